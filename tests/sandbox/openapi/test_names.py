"""Operations by their names: those of the document and those of the client, and none that does not exist."""

from __future__ import annotations

from functools import partial
from typing import Any

import httpx
import pytest

from retell_async.sandbox import Fault, create_app
from retell_async.sandbox.openapi.document import packaged_document
from retell_async.sandbox.openapi.names import client_names, matches
from retell_async.testing import LocalRetell

from ...needed import path_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def local() -> LocalRetell:
    return LocalRetell()


def test_every_operation_has_a_name_in_the_client(local: LocalRetell) -> None:
    names = client_names()
    assert names.keys() == packaged_document().routes.keys()
    client: Any = local.client()
    for id, known in names.items():
        for name in known:
            resource, _, method = name.partition(".")
            assert callable(getattr(getattr(client, resource), method))
            assert local.sandbox.operation_named(name) == id


async def test_the_clients_names_mean_the_same(local: LocalRetell) -> None:
    number = local.create_fixtures().phone_number
    fault = local.fault("error", operation="call.create_phone_call", status=503, times=1)
    others = local.fault("error", operation="agent.*", status=400)
    async with local.client() as client:
        await client.call.create_phone_call(from_number=number, to_number="+12015550100")
        await client.call.list()
    assert (fault.count, others.count) == (1, 0)
    local.assert_received("call.create_phone_call", times=2, to_number="+12015550100")
    assert local.requests("createPhoneCall") == local.requests("call.create_phone_call")
    assert len(local.requests("call.list")) == 1


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("createPhoneCal", "createPhoneCall"),
        ("create_phone_call", "call.create_phone_call"),
        ("call.create_phonecall", "call.create_phone_call"),
        ("CREATEPHONECALL", "createPhoneCall"),
        ("listAgent", "listAgents"),
        ("chat_agent.publsh", "chat_agent.publish"),
    ],
)
def test_a_name_that_does_not_exist(local: LocalRetell, name: str, near: str) -> None:
    local.create_fixtures()
    for refused in (
        lambda: local.fault("timeout", operation=name),
        lambda: local.sandbox.faults.add(Fault(kind="reset", operation=name)),
        lambda: local.assert_received(name, times=0),
        lambda: local.requests(name),
    ):
        with pytest.raises(ValueError, match="is no operation") as error:
            refused()
        assert near in str(error.value).partition("near it are ")[2].split(", ")
    assert len(local.sandbox.faults) == 0


async def test_a_field_that_an_operation_does_not_take(local: LocalRetell) -> None:
    number = local.create_fixtures().phone_number
    async with local.client() as client:
        placed = await client.call.create_phone_call(
            from_number=number, to_number="+12015550100", extra_body={"brand_new": 1}, metadata={"to_numbr": 1}
        )
        await client.call.retrieve(placed.call_id)
    for operation in ("call.create_phone_call", "createPhoneCall"):
        for refused in (
            partial(local.assert_received, operation, times=0, to_numbr="+12015550100"),
            partial(local.assert_received, operation, to_numbr="+12015550100", from_number=number),
            partial(local.requests, operation, to_numbr=""),
        ):
            with pytest.raises(ValueError, match="createPhoneCall takes no field 'to_numbr': near it are to_number"):
                refused()
    with pytest.raises(ValueError, match="an operation takes no field 'to_numbr': near it are to_number"):
        local.requests(to_numbr="")
    with pytest.raises(ValueError, match="createPhoneCall takes no field 'general_prompt'"):
        local.assert_received("createPhoneCall", times=0, general_prompt="")
    with pytest.raises(ValueError, match=r"getCall takes no field 'call_id'$"):
        local.assert_received("call.retrieve", times=0, call_id=placed.call_id)
    # Known fields that were not sent, fields of schemas that are put together, and what the document does not know but was sent.
    local.assert_received("createPhoneCall", times=0, override_agent_id="agent_1")
    local.assert_received("agent.create", times=0, agent_name="Ada", response_engine={})
    assert local.assert_received("createPhoneCall", brand_new=1) == local.requests(brand_new=1)
    assert local.requests(general_prompt="") == []


def test_patterns_and_events(local: LocalRetell) -> None:
    for operation in ("*", "create*", "call.*", "*.list", "get?all"):
        local.fault("latency", operation=operation)
    for event in ("*", "call_*", "transcript_updated", "chat_ended"):
        local.fault("webhook_lost", operation=event)
    with pytest.raises(ValueError, match="'kreate\\*' is no operation"):
        local.fault("latency", operation="kreate*")
    with pytest.raises(ValueError, match="'call_endd' is no event: near it are call_ended"):
        local.fault("webhook_lost", operation="call_endd")
    with pytest.raises(ValueError, match="is no event"):
        local.fault("webhook_lost", operation="createPhoneCall")
    assert matches("listCalls", "*.list")
    assert not matches("createPhoneCall", "*.list")


async def test_over_http(local: LocalRetell) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(create_app(local.sandbox)), base_url="http://sandbox") as http:
        refused = await http.post("/sandbox/faults", json={"kind": "reset", "operation": "createPhonCall"})
        assert refused.status_code == 400
        assert "createPhoneCall" in refused.json()["message"]
        assert (await http.post("/sandbox/faults", json={"kind": "reset", "operation": "call.stop"})).json()["struck"] == 0
        await http.get(path_of("listVoices"), headers={"authorization": "Bearer k"})
        for name in ("listVoices", "voice.list"):
            assert len((await http.get("/sandbox/requests", params={"operation": name})).json()["items"]) == 1
        refused = await http.get("/sandbox/requests", params={"operation": "listVoice"})
        assert (refused.status_code, "listVoices" in refused.json()["message"]) == (400, True)
