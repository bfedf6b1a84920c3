"""What the guide for users of the official SDK says of it, and of this package beside it, is so."""

from __future__ import annotations

import asyncio
import copy
import inspect
import io
import json
import pickle
import re
from collections import deque
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from email.parser import BytesParser
from enum import Enum
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, get_args

import attrs
import celery
import httpx
import httpx2
import msgspec
import pydantic
import pytest
import retell
import retell._response
import retell.types
from fastapi.encoders import jsonable_encoder
from pydantic_settings import BaseSettings, EnvSettingsSource

import retell_async
from retell_async import types, webhooks
from retell_async._core.errors import status_error
from tests.peer.checkers import mypy, pyright

from ...needed import answer_of, in_pages, listed
from .guide import CALL, GUIDE, Sent, omit_of, row

pytestmark = pytest.mark.parallel

OPTIONS = {"extra_headers", "extra_query", "extra_body", "timeout", "max_retries"}


@pytest.fixture(name="there")
def official_client() -> retell.AsyncRetell:
    return retell.AsyncRetell(api_key="key_1")


@pytest.fixture(name="here")
def our_client() -> retell_async.AsyncRetell:
    return retell_async.AsyncRetell("key_1")


def resources(client: object) -> Iterator[tuple[str, Any]]:
    for name in dir(client):
        if not name.startswith("_") and hasattr(getattr(client, name), "with_raw_response"):
            yield name, getattr(client, name)


def test_the_version_is_the_one_that_is_compared() -> None:
    assert retell.__version__ in GUIDE


def test_resources_methods_and_options(there: retell.AsyncRetell, here: retell_async.AsyncRetell) -> None:
    assert "all 21 resources" in row("Resources and methods")
    found = dict(resources(there))
    assert len(found) == 21
    for name, resource in found.items():
        methods = {each for each in dir(resource) if not each.startswith(("_", "with_"))}
        for gone in methods - {*dir(getattr(here, name))}:  # with a later document than the one that the peer was made from
            with pytest.raises(AttributeError, match=f"client.{name}.{gone} is gone: the API no longer has"):
                getattr(getattr(here, name), gone)
    assert set(re.findall(r"`(\w+)`", row("Options of a request"))) == OPTIONS
    assert set(inspect.signature(there.call.retrieve).parameters) >= OPTIONS
    assert "`inspect.getfullargspec` has `**options`" in row("Options of a request")
    assert inspect.getfullargspec(here.call.retrieve).varkw == "options"
    assert set(inspect.signature(here.call.retrieve).parameters) >= OPTIONS
    assert set(retell_async.RequestOptions.__annotations__) >= OPTIONS


@pytest.mark.parametrize("setting", ["api_key", "base_url", "timeout", "max_retries", "http_client", "default_headers", "default_query"])
def test_settings_of_a_client(setting: str) -> None:
    assert f"`{setting}`" in row("Settings of a client")
    for client in (retell.AsyncRetell, retell_async.AsyncRetell):
        assert setting in inspect.signature(client).parameters


def test_settings_from_the_environment_and_of_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "`RETELL_API_KEY` and `RETELL_BASE_URL`; `with_options` and `copy`" in row("Settings of a client")
    monkeypatch.setenv("RETELL_API_KEY", "key_2")
    monkeypatch.setenv("RETELL_BASE_URL", "http://retell.test")
    clients: list[Any] = [retell.AsyncRetell(), retell_async.AsyncRetell()]
    for client in clients:
        assert (client.api_key, str(client.base_url).rstrip("/")) == ("key_2", "http://retell.test")
        for copied in (client.copy, client.with_options):
            changed = copied(set_default_headers={"X-One": "1"}, set_default_query={"a": "1"}, http_client=httpx.AsyncClient())
            assert changed.default_headers["X-One"] == "1"
            assert changed.default_query == {"a": "1"}


@pytest.mark.anyio
async def test_keywords() -> None:
    assert "what is not given is not sent, `None` is `null`" in row("Keywords")

    def update(client: Any) -> Awaitable[Any]:
        made: Awaitable[Any] = client.agent.update("a", voicemail_option=None, voice_speed=1.1, agent_name=omit_of(client))
        return made

    _, requests = await Sent().both(update)
    for request in requests:
        assert json.loads(request.content) == {"voicemail_option": None, "voice_speed": 1.1}


@pytest.mark.anyio
async def test_pages() -> None:
    said = row("Pages")
    assert "`items`, `has_more`, `pagination_key` of an awaited list, which can be set" in said
    page = {"items": [CALL], "has_more": True, "pagination_key": "next"}
    answers, _ = await Sent(page).both(lambda client: client.call.list())
    for answer, kind in zip(answers, (retell.types.CallListResponse, types.CallListResponse), strict=True):
        assert ([one.call_id for one in answer.items], answer.has_more, answer.pagination_key) == (["call_1"], True, "next")
        assert "equal to a page with the same" in said
        assert answer == kind(**page)
        answer.items, answer.has_more, answer.pagination_key = [], False, None
        assert "true without items too" in said
        assert answer
        assert (answer.items, answer.to_dict()) == ([], {"items": [], "has_more": False, "pagination_key": None})


def test_pages_for_mocks() -> None:
    assert "`CallListResponse(items=[...], has_more=False)` and its like for mocks, with what models have" in row("Pages")
    page = {"items": [CALL], "has_more": False, "new": 1}
    kinds: list[Any] = [retell.types.CallListResponse, types.CallListResponse]
    modules: list[Any] = [retell.types, types]
    for kind, module in zip(kinds, modules, strict=True):
        made = kind(**page)
        assert (made.items[0].call_analysis.call_summary, made.to_dict()) == ("short", page)
        assert made.items[0].call_type == "phone_call"
        for again in (
            *(kind.model_validate(page), kind.model_validate_json(json.dumps(page)), kind.construct(**page)),
            *(made.model_copy(), made.model_copy(deep=True), copy.deepcopy(made), pickle.loads(pickle.dumps(made))),
            *(pydantic.TypeAdapter(kind).validate_python(page), kind.model_validate_json(made.to_json())),
        ):
            assert isinstance(again, kind)
            assert again == made
            assert again.to_dict() == page
        assert made.model_copy(update={"items": []}).items == []
        assert made.model_copy(update={"items": []}) != made
        assert (made.model_fields_set, made.model_extra) == ({"items", "has_more", "new"}, {"new": 1})
        assert made.model_dump(include={"has_more", "total"}) == {"has_more": False, "total": None}
        assert {"items", "has_more"} <= {*kind.model_json_schema()["required"]}
        with pytest.raises(ValueError, match="CallListResponse"):
            kind(pagination_key="a")
        with pytest.raises(ValueError, match="has_more"):
            pydantic.TypeAdapter(kind).validate_python({"items": []})
        assert kind(items=[made.items[0]], has_more=True).items[0] is made.items[0]
        if not in_pages("voice.list"):  # as the document has it by now
            assert pydantic.TypeAdapter(module.VoiceListResponse).validate_python([]) == []


@pytest.mark.asyncio
async def test_lists_as_coroutines() -> None:
    said = row("Lists as coroutines")
    page = {"items": [CALL], "has_more": False}
    for client in Sent(page).clients:
        loop = asyncio.get_running_loop()
        assert "`asyncio.create_task(client.call.list())`" in said
        assert len((await asyncio.create_task(client.call.list())).items) == 1
        assert "`TaskGroup.create_task`" in said
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(client.call.list())
        assert len(task.result().items) == 1
        assert "`asyncio.run_coroutine_threadsafe`" in said
        waiting = await asyncio.to_thread(asyncio.run_coroutine_threadsafe, client.call.list(), loop)
        assert len((await asyncio.wrap_future(waiting)).items) == 1
    assert "`asyncio.run`" in said
    for client in Sent(page).clients:
        assert len((await asyncio.to_thread(asyncio.run, client.call.list())).items) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize("method", ["parse", "text", "json"])
@pytest.mark.parametrize(
    ("name", "answer"),
    [("call.list", {"items": [CALL], "has_more": False}), ("voice.list", listed("listVoices", {})), ("concurrency.retrieve", {})],
)
async def test_raw_answers_as_coroutines(name: str, answer: Any, method: str) -> None:
    said = row("Raw answers as coroutines")
    resource, _, action = name.partition(".")
    for client in Sent(answer).clients:
        raw = await getattr(getattr(client, resource).with_raw_response, action)()
        meant = await getattr(raw, method)()
        assert f"`raw.{method}()`" in said
        assert "`asyncio.gather`" in said
        assert [*await asyncio.gather(getattr(raw, method)(), getattr(raw, method)())] == [meant, meant]
        assert "`asyncio.as_completed`" in said
        assert [await one for one in asyncio.as_completed([getattr(raw, method)()])] == [meant]
        assert "`asyncio.create_task`" in said
        task = asyncio.create_task(getattr(raw, method)())
        assert await task == meant
        assert type(task.result()) is type(meant)
        assert "`TaskGroup.create_task`" in said
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(getattr(raw, method)())
        assert task.result() == meant
        cancelled = asyncio.create_task(getattr(raw, method)())
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled


@pytest.mark.asyncio
async def test_clients_with_settings_of_their_own() -> None:
    said = row("HTTP clients with settings of their own")
    for name in ("DefaultAsyncHttpxClient", "DefaultAioHttpClient"):
        assert f"`http_client={name}(...)`" in said
        for package in (retell, retell_async):
            given = getattr(package, name)(timeout=7)
            kind: Any = package.AsyncRetell
            async with kind(api_key="key_1", http_client=given) as client:
                assert client.timeout == httpx.Timeout(7)


def test_defaults(there: retell.AsyncRetell, here: retell_async.AsyncRetell) -> None:
    assert there.max_retries == here.max_retries == 2
    assert there.timeout == httpx.Timeout(60, connect=5)


def test_errors_of_both() -> None:
    said = row("Errors | `RetellError`")
    for name in ("RetellError", "APIError", "APIConnectionError", "APITimeoutError", "APIResponseValidationError", "APIStatusError"):
        assert f"`{name}`" in said
        assert issubclass(getattr(retell_async, name), retell_async.RetellError)
        assert issubclass(getattr(retell, name), retell.RetellError)
    kinds = [
        name for name in dir(retell) if isinstance(getattr(retell, name), type) and issubclass(getattr(retell, name), retell.APIStatusError)
    ]
    assert all(issubclass(getattr(retell_async, name), retell_async.APIStatusError) for name in kinds)


def test_large_answers_and_other_requests(there: retell.AsyncRetell, here: retell_async.AsyncRetell) -> None:
    for part in re.findall(r"`(\w+)`", row("Large answers")):
        assert hasattr(retell._response.AsyncAPIResponse, part)
        assert hasattr(retell_async.StreamedResponse, part)
    for verb in ("get", "post", "patch", "put", "delete"):
        theirs, ours = (inspect.signature(getattr(client, verb)).parameters for client in (there, here))
        assert theirs.keys() - ours.keys() <= {"stream", "stream_cls"}
        assert re.search(rf"`(client\.)?{verb}`", row("Other requests"))
    for setting in inspect.signature(there.with_options).parameters:
        assert setting in {*inspect.signature(here.with_options).parameters, "_extra_kwargs"}


def test_names_of_both() -> None:
    said = row("Names |")
    names = re.findall(r"`(\w+)`", said.partition("exports:")[2].partition(";")[0])
    assert len(names) > 10
    for name in names:
        assert hasattr(retell, name)
        assert hasattr(retell_async, name)


def test_attributes_of_both(there: retell.AsyncRetell, here: retell_async.AsyncRetell) -> None:
    said = row("Attributes of a client |")
    settable, _, readable = said.partition("which can be set")
    for name in re.findall(r"`(\w+)`", settable):
        for client in (there, here):
            setattr(client, name, getattr(client, name))
    assert there.custom_auth is here.custom_auth is None
    for name in {*re.findall(r"`(\w+)`", readable)} - {"custom_auth"}:
        assert getattr(there, name) is not None
        assert getattr(here, name) is not None


def test_members_of_raw_responses() -> None:
    said = row("Raw responses |")
    for name in re.findall(r"`(?:await raw\.)?(\w+)(?:\(\))?`", said):
        assert hasattr(retell._response.AsyncAPIResponse, name)
        assert hasattr(retell_async.RawResponse, name)


def test_raw_answers_are_awaited_there() -> None:
    assert "`raw.parse()` as well, as `raw.text()` and `raw.json()`" in row("`await raw.parse()` |")
    for method in ("parse", "text", "json"):
        assert inspect.iscoroutinefunction(getattr(retell._response.AsyncAPIResponse, method))
        assert not inspect.iscoroutinefunction(getattr(retell_async.RawResponse, method))


def test_verifying(there: retell.AsyncRetell, here: retell_async.AsyncRetell) -> None:
    assert "`client.verify(body, api_key, signature)`, true or false" in row("Webhooks | `retell_async.lib")
    assert "which raises with the reason" in row("`client.verify(body, api_key, signature)`, false")
    body = "{}"
    official: Any = retell.Retell(api_key="key_1")
    assert not hasattr(there, "verify")
    signature = webhooks.sign(body, "key_1")
    assert official.verify(body, "key_1", signature) is here.verify(body, "key_1", signature) is True
    assert official.verify(body, "key_2", signature) is here.verify(body, "key_2", signature) is False
    for package in ("retell", "retell_async"):
        assert import_module(f"{package}.lib.webhook_auth").verify(body, "key_1", signature) is True
    with pytest.raises(retell_async.WebhookVerificationError):
        webhooks.verify(body, "key_2", signature)


def test_the_text_of_an_error() -> None:
    response = httpx.Response(
        404, json={"status": "error", "message": "no such call"}, request=httpx.Request("GET", "http://retell.test/a")
    )
    theirs = retell.AsyncRetell(api_key="key_1")._make_status_error_from_response(response)
    ours = status_error(response)
    assert (ours.message, ours.body, ours.status_code) == (theirs.message, theirs.body, theirs.status_code)
    said = row("Errors | `RetellError`")
    assert "`str`, `repr` and `args[0]` have `Error code: 404 - `; those that a program makes say what it says" in said
    assert "that, and what was asked for" in row("`str(error)` is the status and the body")
    assert str(ours) == f"{theirs} (GET /a)"
    assert (ours.args, repr(ours)) == (theirs.args, repr(theirs))
    assert '(`{"error": "none"}`) that text' in row("`str(error)` is the status and the body")
    assert str(status_error(httpx.Response(404, json={"error": "none"}, request=response.request))) == "Error code: 404 - none (GET /a)"
    for package in (retell, retell_async):
        assert str(package.RateLimitError("slow down", response=response, body=None)) == "slow down"
        assert str(package.APIConnectionError(request=response.request)) == "Connection error."
    assert type(ours).__name__ == type(theirs).__name__


def test_no_key() -> None:
    assert "as its kind `ConfigurationError`" in row("no key: a `RetellError` with the first client")
    with pytest.raises(retell.RetellError):
        retell.AsyncRetell()
    with pytest.raises(retell_async.ConfigurationError):
        retell_async.AsyncRetell()


def test_http_clients() -> None:
    said = row("`http_client=` of `Retell`") + row("HTTP clients with settings of their own |")
    names = set(re.findall(r"http_client=(\w+)\(", said)) | {"DefaultHttpxClient"}
    assert names == {"DefaultAsyncHttpxClient", "DefaultAioHttpClient", "DefaultHttpxClient"}
    for name in names:
        assert name in said
        assert hasattr(retell, name)
        assert hasattr(retell_async, name)
    for kind in (httpx.Client, httpx2.Client, retell_async.DefaultHttpxClient, httpx.AsyncClient, httpx2.AsyncClient):
        retell_async.Retell("key_1", http_client=kind()).close()
    retell.Retell(api_key="key_1", http_client=httpx.Client()).close()
    wrong: Any = httpx.AsyncClient()
    with pytest.raises(TypeError, match="Invalid `http_client` argument"):
        retell.Retell(api_key="key_1", http_client=wrong)


def test_methods_of_models() -> None:
    said = row("Models |")
    for name in re.findall(r"`(\w+)`", said):
        assert hasattr(retell.BaseModel, name)
        assert hasattr(retell_async.Model, name)
    for name in ("model_dump", "model_dump_json", "to_dict", "to_json"):
        keywords = inspect.signature(getattr(retell.BaseModel, name)).parameters.keys() - {"self", "mode"}
        assert getattr(retell_async.UnknownObject(a=1), name)(**dict.fromkeys(keywords))
    models: list[Any] = [retell.types.PhoneCallResponse, types.PhoneCallResponse]
    for kind in models:
        made = kind(**CALL)
        assert (made.call_analysis.call_summary, made.new_field, made.to_dict()) == ("short", {"a": 1}, CALL)


def test_fields_that_were_left_out() -> None:
    assert "`dict(call)`, `for name, value in call` and FastAPI's answers without a type have them" in row("Fields that were left out")
    assert "the fields that are there" in row("`vars(call)`, ")
    models: list[Any] = [retell.types.PhoneCallResponse, types.PhoneCallResponse]
    for kind in models:
        call = kind(**CALL)
        fields = jsonable_encoder({"call": call})["call"]
        assert fields["call_cost"] is dict(call)["call_cost"] is dict(iter(call))["call_cost"] is None
        assert fields["call_analysis"]["call_summary"] == "short"
        assert ("call_cost" in vars(call)) is (kind is models[0])


def test_what_was_written_and_read_again_is_equal() -> None:
    assert "equal to what their `model_dump` makes" in row("Models |")
    models: list[Any] = [retell.types.PhoneCallResponse, types.PhoneCallResponse]
    for kind in models:
        call = kind(**CALL)
        assert kind(**call.model_dump()) == call == kind.model_validate_json(call.model_dump_json())
        assert kind(**{**CALL, "agent_name": None}) == call
        assert kind(**{**CALL, "agent_name": "a"}) != call
        assert kind(**{**CALL, "call_analysis": {"call_summary": "other"}}) != call
        assert kind(**{**CALL, "other_new_field": None}) != call


def test_webhooks_with_digests_of_ones_own() -> None:
    said = row("Webhooks | `retell_async.lib")
    modules = [import_module(f"{name}.lib.webhook_auth") for name in ("retell", "retell_async")]
    for name in ("make_secure_webhooks", "symmetric_get_signer", "symmetric_get_verifier"):
        assert f"`{name}`" in said
    made = [one.make_secure_webhooks(one.symmetric_get_signer, one.symmetric_get_verifier) for one in modules]
    signed = [one["sign"]("{}", "key_1", 1000) for one in made]
    assert signed[0] == signed[1] == webhooks.sign("{}", "key_1", timestamp_ms=1000)
    for one in (*made, *(module.symmetric for module in modules)):
        assert one["verify"]("{}", "key_1", one["sign"]("{}", "key_1")) is True
        for body, key, signature, opts in (
            *(("{}", "key_1", signed[0], {"timestamp": 1000 + 300_001}), ("{ }", "key_1", signed[0], {"timestamp": 1000})),
            *(("{}", "key_2", signed[0], {"timestamp": 1000}), ("{}", "key_1", "v=1", None), ("{}", "key_1", signed[0], None)),
        ):
            assert one["verify"](body, key, signature, opts) is False
        assert one["verify"]("{}", "key_1", signed[0], {"timestamp": 2000, "timeout": 1000}) is True


def test_models_of_ones_own() -> None:
    assert "defaults hold, those of `Field(default_factory=...)` too" in row("Models of your own")
    assert "`class Thing(pydantic.BaseModel)`, which `cast_to` takes too" in row("in a model of your own")

    class There(retell.BaseModel):
        n: int = 3
        names: list[str] = pydantic.Field(default_factory=list)

    class Here(retell_async.BaseModel):
        n: int = 3
        names: list[str] = pydantic.Field(default_factory=list)

    models: list[Any] = [There, Here]
    for kind in models:
        assert kind().model_dump() == {"n": 3, "names": []}
    with pytest.raises(TypeError, match=r"Field\(alias=\.\.\.\) does not hold"):

        class Other(retell_async.BaseModel):
            a: str = pydantic.Field(alias="b")


def test_models_elsewhere() -> None:
    assert "types of FastAPI's answers and, with `Body()`, of its requests" in row("Models elsewhere")
    for kind in (retell.types.PhoneCallResponse, types.PhoneCallResponse):
        held: Any = pydantic.create_model("Held", call=(kind, ...))(call=CALL)
        assert (type(held.call), held.model_dump(exclude_unset=True)) == (kind, {"call": CALL})
        assert copy.deepcopy(held.call) == pickle.loads(pickle.dumps(held.call)) == held.call
        assert "to_number" in held.model_json_schema()["$defs"]["PhoneCallResponse"]["required"]
    assert 'told apart by `Field(discriminator="call_type")`' in row("Models elsewhere")
    told = pydantic.Field(discriminator="call_type")
    for package in (retell.types, types):
        calls: Any = Annotated[package.PhoneCallResponse | package.WebCallResponse, told]
        made: Any = pydantic.create_model("Held", call=(calls, ...))(call=CALL)
        assert type(made.call) is package.PhoneCallResponse


def test_attributes() -> None:
    assert "`llm.api_model_config`, `tool.input_schema`" in row("Attributes |")
    llms: list[Any] = [retell.types.LlmResponse.construct(model_config={}), types.LlmResponse.from_dict({"model_config": {}})]
    assert all(llm.api_model_config is not None for llm in llms)
    tools: list[Any] = [retell.types.McpToolDefinition.construct(inputSchema={}), types.MCPToolDefinition.from_dict({"inputSchema": {}})]
    assert all(tool.input_schema is not None for tool in tools)


def test_unions() -> None:
    assert "`isinstance(call, CallResponse)`" in row("Unions")
    unions: list[Any] = [retell.types.CallResponse, types.CallResponse]
    kinds: list[Any] = [retell.types.PhoneCallResponse, types.PhoneCallResponse]
    for kind, union in zip(kinds, unions, strict=True):
        assert isinstance(kind.construct(**CALL), union)
        assert not isinstance(CALL, union)


class Engine(pydantic.BaseModel):
    type: str = "retell-llm"
    llm_id: str
    version: int | None = None


@pytest.mark.anyio
async def test_keys_and_values() -> None:
    assert "`additional_properties` is sent as `additionalProperties`" in row("Keys of dicts")
    for word in ("any iterable", "any mapping", "`datetime`", "models of pydantic", "`omit`"):
        assert word in row("Values")
    parameters = {"type": "object", "properties": {"additional_properties": {"type": "string"}}, "additional_properties": False}

    def create(client: Any) -> Awaitable[Any]:
        made: Awaitable[Any] = client.llm.create(
            general_tools=({"type": "custom", "name": name, "parameters": parameters, "timeout_ms": omit_of(client)} for name in "ab"),
            knowledge_base_ids=deque("cd"),
            default_dynamic_variables={"additional_properties": "1"},
            kb_config=MappingProxyType({"top_k": 1}),
            extra_body={"when": datetime(2026, 1, 2, tzinfo=UTC), "engine": Engine(type="retell-llm", llm_id="l")},
        )
        return made

    _, (there, here) = await Sent().both(create)
    body = json.loads(here.content)
    assert body == json.loads(there.content)
    assert [tool["name"] for tool in body["general_tools"]] == ["a", "b"]
    assert body["general_tools"][0]["parameters"] == {
        "type": "object",
        "properties": {"additional_properties": {"type": "string"}},
        "additionalProperties": False,
    }
    assert (body["default_dynamic_variables"], body["when"]) == ({"additional_properties": "1"}, "2026-01-02T00:00:00+00:00")


@pytest.mark.anyio
async def test_queries() -> None:
    assert "`name[]=1&name[]=2`, an object `name[key]=1`; what is empty is not sent" in row("Queries")
    query = {"name": [1, 2], "at": {"key": 1, "deep": {"x": True}}, "empty": "", "none": None}
    _, (there, here) = await Sent(default_query={"more": ["a b"]}).both(lambda client: client.call.retrieve("c", extra_query=query))
    assert here.url.params.multi_items() == there.url.params.multi_items()
    assert set(here.url.params.multi_items()) == {
        *(("name[]", "1"), ("name[]", "2"), ("at[key]", "1"), ("at[deep][x]", "true"), ("more[]", "a b"))
    }


@pytest.mark.anyio
@pytest.mark.parametrize(
    "file",
    [
        b"a",
        io.BytesIO(b"a"),
        Path(__file__),
        ("a.txt", b"a"),
        ("a.txt", "text"),
        ("a.txt", io.BytesIO(b"a"), "text/plain"),
        ("a.txt", b"a", "text/plain", {"X-Part": "1"}),
    ],
)
async def test_files(file: Any) -> None:
    assert "bytes, paths, open files, and tuples of name, content (text too), media type and headers" in row("Files")
    sending: Any = {"knowledge_base_name": "n", "knowledge_base_files": [file]}
    _, requests = await Sent().both(lambda client: client.knowledge_base.create(**sending))
    parts = [next(part for part in BytesParser().parsebytes(head(one) + one.content).walk() if part.get_filename()) for one in requests]
    for name in ("Content-Type", "X-Part"):
        assert parts[0][name] == parts[1][name]
    assert parts[0].get_payload() == parts[1].get_payload()
    assert parts[0].get_filename() == parts[1].get_filename()


def head(request: httpx.Request) -> bytes:
    return f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()


@pytest.mark.anyio
async def test_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "`omit` takes out one that every request has; `RETELL_CUSTOM_HEADERS` has more" in row("Headers")
    monkeypatch.setenv("RETELL_CUSTOM_HEADERS", "X-One: 1\nX-Two: 2")

    def retrieve(client: Any) -> Awaitable[Any]:
        made: Awaitable[Any] = client.call.retrieve("c", extra_headers={"X-Two": omit_of(client), "X-Three": omit_of(client)})
        return made

    _, requests = await Sent(default_headers={"X-Three": "3", "X-Four": "4"}).both(retrieve)
    for request in requests:
        assert [request.headers.get(f"X-{name}") for name in ("One", "Two", "Three", "Four")] == ["1", None, None, "4"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        (name, arguments)
        for name, arguments in (("voice.list", {}), ("knowledge_base.list", {}), ("mcp_tool.get_mcp_tools", {"mcp_id": "m"}))
        if not in_pages(name)  # as the document has it by now
    ],
)
async def test_lists_that_have_no_pages(name: str, arguments: dict[str, str]) -> None:
    assert f"`{name}`" in row("Lists that have no pages")
    ids, arguments = (["agent_1"], {"mcp_id": "m"}) if name == "mcp_tool.get_mcp_tools" else ([], {})
    answers, _ = await Sent([{"name": "n"}]).both(lambda client: attrgetter(name)(client)(*ids, **arguments))
    assert [(isinstance(answer, list), len(answer), answer[0].name) for answer in answers] == [(True, 1, "n")] * 2
    assert "which is false when it is empty" in row("Lists that have no pages")
    answers, _ = await Sent([]).both(lambda client: attrgetter(name)(client)(*ids, **arguments))
    assert [bool(answer) for answer in answers] == [False, False]


def test_models_of_attrs() -> None:
    assert "`isinstance(call, pydantic.BaseModel)`, `model_fields`" in row("models are pydantic's")
    assert issubclass(retell.types.PhoneCallResponse, pydantic.BaseModel)
    assert not issubclass(types.PhoneCallResponse, pydantic.BaseModel)
    assert hasattr(retell.types.PhoneCallResponse, "model_fields")
    assert not hasattr(types.PhoneCallResponse, "model_fields")
    assert "call_id" in {field.name for field in attrs.fields(types.PhoneCallResponse)}


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["Retell", "AsyncRetell"])
async def test_copies_of_a_client(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "shares its connections; `pickle` and `copy.deepcopy` refuse it with a `TypeError`" in row("Copies of a client")
    monkeypatch.setattr("sys.unraisablehook", lambda _: None)  # to which the official SDK says something
    for package in (retell, retell_async):
        client = getattr(package, name)(api_key="key_1", base_url="http://retell.test")
        copied = copy.copy(client)
        assert (type(copied), copied.api_key, str(copied.base_url)) == (type(client), client.api_key, str(client.base_url))
        for taken in (pickle.dumps, copy.deepcopy):
            with pytest.raises(TypeError):
                taken(client)
        for one in (copied, client):
            if name == "Retell":
                one.close()
            else:
                await one.close()
            assert client.is_closed()


def test_bodies_by_msgspec() -> None:
    assert "say `data: dict[str, Any]`, and make it `PhoneCallResponse.from_dict(data)`" in row("with Litestar")
    with pytest.raises(TypeError, match=r"from_dict\(\)"):
        msgspec.convert(CALL, types.PhoneCallResponse)
    made = types.PhoneCallResponse.from_dict(msgspec.convert(CALL, dict[str, Any]))
    assert json.loads(msgspec.json.encode(made)) == CALL


@pytest.mark.asyncio
async def test_pages_by_msgspec() -> None:
    assert "`Litestar(..., type_encoders={SyncPage: SyncPage.model_dump})`" in row("Litestar answers with a page")
    said = {"items": [CALL], "has_more": False}
    page = await Sent(said).clients[1].call.list()
    with pytest.raises(TypeError, match="unsupported"):
        msgspec.json.encode(page)
    written = msgspec.json.encode(page, enc_hook=retell_async.AsyncPage.model_dump)
    assert json.loads(written) == json.loads(msgspec.json.encode(page.model_dump())) == page.model_dump()


def test_what_is_gone_through() -> None:
    assert "compare `a.model_dump()` with `b.model_dump()`" in row("DeepDiff")
    there, here = (module.PhoneCallResponse(**CALL) for module in (retell.types, types))
    assert [isinstance(model, pydantic.BaseModel) for model in (there, here)] == [True, False]  # before it asks whether it is iterable
    assert next(iter(here)) == ("call_id", "call_1")
    assert there.model_dump()["call_id"] == here.model_dump()["call_id"]


def test_arguments_of_celery() -> None:
    assert "they hand over the dict: `call = PhoneCallResponse.from_dict(call)`" in row("Celery")

    def kind(call: object) -> str:
        return type(call).__name__

    def run(hint: object, name: str) -> Any:
        kind.__annotations__["call"] = hint
        return celery.Celery("calls").task(pydantic=True, name=name)(kind).run(CALL)

    assert run(retell.types.PhoneCallResponse, "there") == "PhoneCallResponse"
    assert run(types.PhoneCallResponse, "here") == "dict"


def test_json_by_what_knows_pydantic_alone() -> None:
    assert "give it `call.model_dump()`, or name the type: `response=PhoneCallResponse`" in row(
        "what makes JSON of pydantic's models alone"
    )

    def default(value: object) -> object:
        if isinstance(value, pydantic.BaseModel):
            return value.model_dump()
        raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")

    ours = types.PhoneCallResponse(**CALL)
    assert json.loads(json.dumps(retell.types.PhoneCallResponse.construct(**CALL), default=default))["call_id"] == CALL["call_id"]
    with pytest.raises(TypeError, match="PhoneCallResponse is not JSON serializable"):
        json.dumps(ours, default=default)
    assert json.loads(json.dumps(ours.model_dump(), default=default))["call_id"] == CALL["call_id"]
    answer = pydantic.create_model("Answer", response=types.PhoneCallResponse)  # what ninja makes of `response=`
    assert answer(response=ours).model_dump(mode="json")["response"]["call_id"] == CALL["call_id"]


def test_settings_that_are_models() -> None:
    voice = answer_of("VoiceResponse", voice_id="v", voice_name="n", provider="elevenlabs", gender="male")
    said = row("pydantic-settings fills a field")
    assert "`voice: Json[VoiceResponse]`" in said
    json_of: Any = pydantic.Json
    assert pydantic.TypeAdapter(json_of[types.VoiceResponse]).validate_python(json.dumps(voice)) == types.VoiceResponse.from_dict(voice)
    source = EnvSettingsSource(BaseSettings, env_nested_delimiter="__")
    assert "`voice: dict[str, str]`" in said
    for kind, filled in ((retell.types.VoiceResponse, True), (types.VoiceResponse, False), (dict[str, str], True)):
        assert source.field_is_complex(pydantic.fields.FieldInfo(annotation=kind)) is filled


def test_hashes_of_arguments() -> None:
    assert "`@st.cache_data(hash_funcs={PhoneCallResponse: lambda call: call.model_dump_json()})`" in row("Streamlit takes a model")
    assert not isinstance(types.PhoneCallResponse(**CALL), pydantic.BaseModel)  # which it makes this text of by itself
    first, second = (types.PhoneCallResponse(**{**CALL, "call_id": name}).model_dump_json() for name in ("call_1", "call_2"))
    assert types.PhoneCallResponse(**CALL).model_dump_json() == first != second


def test_validating() -> None:
    said = row("`model_validate` refuses values of another kind")
    assert "`pydantic.ValidationError`" in said
    assert "a `call_type` of `web_call` for a `PhoneCallResponse`" in said
    for wrong in ({**CALL, "call_status": "of next year"}, {"call_type": "phone_call"}, {**CALL, "call_type": "web_call"}):
        with pytest.raises(pydantic.ValidationError):
            retell.types.PhoneCallResponse.model_validate(wrong)
    assert types.PhoneCallResponse.model_validate({**CALL, "call_status": "of next year"}).call_status == "of next year"
    with pytest.raises(ValueError, match="needs"):
        types.PhoneCallResponse.model_validate({"call_type": "phone_call"})
    with pytest.raises(ValueError, match="no PhoneCallResponse has the call_type 'web_call'"):
        types.PhoneCallResponse.model_validate({**CALL, "call_type": "web_call"})


@dataclass
class Spot:
    x: int


class Kind(Enum):
    A = "a"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("value", "meant"),
    [({1}, [1]), (Kind.A, "a"), (date(2026, 1, 2), "2026-01-02"), (Spot(1), {"x": 1}), (attrs.make_class("Point", ["x"])(1), {"x": 1})],
)
async def test_values_that_only_we_send(value: Any, meant: Any) -> None:
    assert "a `set`, a dataclass, a model of attrs, a plain `Enum` or a `date` in a body is a `TypeError`" in row("a `set`")
    sent = Sent()
    with pytest.raises(TypeError, match="JSON serializable"):
        await sent.clients[0].call.create_web_call(agent_id="a", metadata={"x": value})
    await sent.clients[1].call.create_web_call(agent_id="a", metadata={"x": value})
    assert json.loads(sent.requests[-1].content)["metadata"] == {"x": meant}


@pytest.mark.anyio
async def test_an_empty_key() -> None:
    assert row('an empty API key (`api_key=""`)')
    with pytest.raises(retell_async.ConfigurationError, match="the API key is empty"):
        await Sent(api_key="").clients[1].call.retrieve("c")
    for client in Sent(api_key="", default_headers={"Authorization": "Basic x"}).clients:
        await client.call.retrieve("c")


CHECKED = """
from typing import Literal
from {package}.types import CallListResponse, CallResponse, PhoneCallResponse, WebCallResponse
def end(status: Literal["ended"]) -> None: ...
def two(call: WebCallResponse | PhoneCallResponse) -> CallResponse:
    return call
def one(call: CallResponse) -> WebCallResponse | PhoneCallResponse:
    return call  # one of two
def status(call: PhoneCallResponse) -> Literal["registered", "not_connected", "ongoing", "ended", "error"]:
    if call.call_status == "ended":
        end(call.call_status)  # after a comparison
    match call.call_status:
        case "ended" as status:
            end(status)
        case _:
            pass
    return call.call_status  # a status
def token(call: WebCallResponse) -> str:
    return call.access_token  # a token
def look(call: CallResponse, page: object) -> None:
    if call.call_type == "phone_call":
        print(call.from_number)  # by its tag
    if isinstance(call, PhoneCallResponse):
        print(call.from_number)
    print(isinstance(page, CallListResponse))  # a page
"""


def test_members_of_a_union_are_asked_for() -> None:
    assert "`CallResponse.__args__` has the members" in row("`CallResponse` is `Union")
    assert [one.__name__ for one in get_args(retell.types.CallResponse)] == ["WebCallResponse", "PhoneCallResponse"]
    members: Any = retell_async.types.CallResponse.__args__  # type: ignore[attr-defined]
    assert [one.__name__ for one in members] == ["WebCallResponse", "PhoneCallResponse", "UnknownCallResponse"]


def test_dicts_of_requests() -> None:
    assert "`CallCreatePhoneCallParams`" in row("Dicts of requests")
    for package in (retell, retell_async):
        kind: Any = package.types.CallCreatePhoneCallParams
        given = {"from_number": "+14155550100", "to_number": "+14155550101"}
        assert pydantic.create_model("Job", call=(kind, ...))(call=given).model_dump() == {"call": given}


@pytest.mark.soak
def test_what_type_checkers_know(tmp_path: Path) -> None:
    assert "for mypy ask `isinstance(call, PhoneCallResponse)`" in row("mypy knows a member")
    assert "for a type alone" in row("`isinstance(page, CallListResponse)`")
    lines = {words: number for number, line in enumerate(CHECKED.splitlines(), 1) for words in line.partition("  # ")[2:] if words}
    for package in ("retell", "retell_async"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "program.py").write_text(CHECKED.format(package=package))
    assert "say `CallResponse`, which takes both" in row("`CallResponse` is `Union")
    assert "to mypy after a `match`" in row("a status is a `Literal`")
    assert "may be `None` to them" in row("`access_token` of a `WebCallResponse`")
    for checker, ours in ((mypy, set(lines)), (pyright, {"a page", "one of two", "a status", "a token"})):
        found = {package: {line for _, line in checker(tmp_path / package)} for package in ("retell", "retell_async")}
        assert found == {"retell": set(), "retell_async": {lines[words] for words in ours}}
