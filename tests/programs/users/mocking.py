"""How programs test themselves without the API."""

from __future__ import annotations

import copy
import os
import pickle
from types import SimpleNamespace
from typing import Any
from unittest import mock

import httpx
import respx
from retell import AsyncRetell, Retell
from retell.types import AgentResponse, PhoneCallResponse

CALL = {
    "call_id": "call_1", "call_type": "phone_call", "agent_id": "a", "agent_version": 0, "call_status": "registered",
    "direction": "outbound", "from_number": "+14155550100", "to_number": "+14155550101",
}  # fmt: skip


def place(client: Retell, number: str) -> str:
    return client.call.create_phone_call(from_number="+14155550100", to_number=number).call_id


async def place_async(client: AsyncRetell, number: str) -> str:
    return (await client.call.create_phone_call(from_number="+14155550100", to_number=number)).call_id


def program_respx() -> None:
    client = Retell(api_key="key_0123456789", base_url="https://api.retellai.com")
    with respx.mock(base_url="https://api.retellai.com") as router:
        route = router.post("/v2/create-phone-call").mock(return_value=httpx.Response(201, json=CALL))
        assert place(client, "+14155550101") == "call_1"
        assert route.called
        assert b"+14155550101" in route.calls.last.request.content
        router.get("/v2/get-call/call_1").mock(side_effect=[httpx.Response(500), httpx.Response(200, json=CALL)])
        assert client.with_options(max_retries=1).call.retrieve("call_1").call_id == "call_1"


async def program_respx_with_await() -> None:
    async with AsyncRetell(api_key="key_0123456789", base_url="https://api.retellai.com") as client:
        with respx.mock(base_url="https://api.retellai.com") as router:
            router.post("/v2/create-phone-call").respond(201, json=CALL)
            assert await place_async(client, "+14155550101") == "call_1"


def program_mocks() -> None:
    fake = mock.MagicMock()
    fake.call.create_phone_call.return_value = SimpleNamespace(call_id="call_9")
    assert place(fake, "+14155550101") == "call_9"
    client = Retell(api_key="key_0123456789")
    with mock.patch.object(client.call, "create_phone_call", autospec=True) as create:
        create.return_value = PhoneCallResponse(**CALL)
        assert place(client, "+14155550101") == "call_1"
        create.assert_called_once_with(from_number="+14155550100", to_number="+14155550101")
    specified = mock.create_autospec(client.call, instance=True)
    specified.retrieve.return_value = PhoneCallResponse.construct(call_id="call_2")
    assert specified.retrieve("call_2").call_id == "call_2"
    try:
        specified.nothing_of_the_kind()
    except AttributeError:
        pass
    else:
        raise AssertionError("autospec took anything")
    with mock.patch(f"{Retell.__module__.partition('.')[0]}.Retell") as kind:
        kind.return_value.agent.list.return_value = []
        assert kind().agent.list() == []


async def program_mocks_with_await() -> None:
    fake = mock.AsyncMock()
    fake.call.create_phone_call.return_value = SimpleNamespace(call_id="call_9")
    assert await place_async(fake, "+14155550101") == "call_9"
    client = AsyncRetell(api_key="key_0123456789")
    with mock.patch.object(client.call, "create_phone_call", new=mock.AsyncMock(return_value=PhoneCallResponse(**CALL))) as create:
        assert await place_async(client, "+14155550101") == "call_1"
        create.assert_awaited_once()
    with mock.patch.object(client.call, "retrieve", autospec=True) as retrieve:
        retrieve.return_value = PhoneCallResponse(**CALL)
        assert (await client.call.retrieve("call_1")).call_id == "call_1"


def program_made_up_answers() -> None:
    call = PhoneCallResponse(**CALL, something_new=1)
    assert call.something_new == 1  # type: ignore[attr-defined] # pyright: ignore[reportAttributeAccessIssue]
    assert pickle.loads(pickle.dumps(call)) == call
    assert copy.deepcopy(call) == call
    assert call.model_copy(deep=True).call_id == "call_1"
    partly = AgentResponse.construct(agent_id="agent_1")
    assert partly.agent_id == "agent_1"
    assert AgentResponse.model_construct(agent_id="agent_2").agent_id == "agent_2"
    call.call_status = "ended"
    assert call.to_dict()["call_status"] == "ended"
    loaded: Any = PhoneCallResponse.parse_obj(CALL)
    assert loaded.json(exclude_none=True)
    assert os.environ["RETELL_API_KEY"]
