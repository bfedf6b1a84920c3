"""Models, unions and pages as types of pydantic's and of FastAPI's."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Annotated, Any

import anyio
import httpx
import pydantic
import pytest
from fastapi import Body, FastAPI

from retell_async import AsyncListPage, AsyncPage, AsyncRetell, types
from retell_async.raw import models, params
from retell_async.raw.api.call.list_calls import OPERATION

from ...needed import answer_of
from .test_models import CALL

pytestmark = pytest.mark.parallel

VOICE = answer_of("VoiceResponse", voice_id="v", voice_name="n", provider="elevenlabs", gender="male")
VOICES = AsyncListPage([types.VoiceResponse.from_dict(VOICE)])
"""As a list without pages is answered, whichever there are."""


def served(request: httpx.Request) -> httpx.Response:
    answers: dict[str, Any] = {
        OPERATION.path: {"items": [CALL], "has_more": True, "pagination_key": "k"},
        "/v2/get-call/c": CALL,
    }
    return httpx.Response(200, json=answers[request.url.path])


def application() -> FastAPI:
    app = FastAPI()
    client = AsyncRetell("key_secret", http_client=httpx.AsyncClient(transport=httpx.MockTransport(served)))

    @app.get("/call")
    async def call() -> types.CallResponse:
        return await client.call.retrieve("c")

    @app.get("/set", response_model=types.CallResponse, response_model_exclude_unset=True)
    async def only_set() -> object:
        return await client.call.retrieve("c")

    @app.get("/calls")
    async def calls() -> AsyncPage[types.V3CallResponse]:
        return await client.call.list()

    @app.get("/voices")
    async def voices() -> list[types.VoiceResponse]:
        return VOICES

    @app.get("/page-of-voices")
    async def page_of_voices() -> AsyncListPage[types.VoiceResponse]:
        return VOICES

    @app.get("/untyped/{what}")
    async def untyped(what: str):  # type: ignore[no-untyped-def]
        return {"call": await client.call.retrieve("c"), "calls": await client.call.list(), "voices": VOICES}[what]

    @app.post("/call")
    async def take(call: types.CallResponse = Body()) -> str:  # noqa: B008
        return type(call).__name__

    return app


class Asked:
    """An application, and what it answers."""

    def __init__(self) -> None:
        self._app = application()

    def get(self, path: str) -> httpx.Response:
        return anyio.run(self._ask, "GET", path, None)

    def post(self, path: str, json: object) -> httpx.Response:
        return anyio.run(self._ask, "POST", path, json)

    async def _ask(self, method: str, path: str, body: object) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self._app), base_url="http://app.test") as client:
            return await client.request(method, path, json=body)


@pytest.fixture(name="app")
def one_application() -> Asked:
    return Asked()


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("/untyped/call", types.PhoneCallResponse.from_dict(CALL)),
        (
            "/untyped/calls",
            types.CallListResponse(items=[types.V3PhoneCallResponse.from_dict(CALL)], has_more=True, pagination_key="k"),
        ),
    ],
)
def test_fastapi_answers_with_all_fields_where_no_type_is_said(app: Asked, path: str, meant: Any) -> None:
    answer = app.get(path)
    assert (answer.status_code, answer.json()) == (200, meant.model_dump(by_alias=True))
    assert (answer.json() if path == "/untyped/call" else answer.json()["items"][0])["call_cost"] is None
    assert app.get("/untyped/voices").json() == [types.VoiceResponse.from_dict(VOICE).model_dump()]


def test_fastapi_answers_with_what_the_server_sent_where_it_is_told_to(app: Asked) -> None:
    answer = app.get("/set")
    assert (answer.status_code, answer.json()) == (200, CALL)


def test_fastapi_answers_with_null_for_what_was_left_out_as_with_any_model_of_pydantics(app: Asked) -> None:
    whole = {name: item for name, item in CALL.items() if name not in {"call_analysis", "transcript_object"}}
    for call in (app.get("/call").json(), app.get("/calls").json()["items"][0]):
        assert call.items() >= whole.items()
        assert call["call_cost"] is None
    voices = app.get("/voices").json()
    assert voices == app.get("/page-of-voices").json()
    assert voices[0].items() >= VOICE.items()


def test_fastapi_takes_a_call_and_says_what_is_missing(app: Asked) -> None:
    assert app.post("/call", json=CALL).json() == "PhoneCallResponse"
    assert app.post("/call", json={"call_type": "fax_call", "agent_id": "a", "agent_version": 1, "call_id": "c"}).status_code == 422
    refused = app.post("/call", json={**CALL, "transcript_object": [{"role": "agent", "words": []}]})
    assert [(one["type"], one["loc"]) for one in refused.json()["detail"]] == [("missing", ["body", "transcript_object", 0, "content"])]
    assert app.post("/call", json=[1]).json()["detail"][0]["msg"] == "Input should be a CallResponse"


def test_the_schema_that_fastapi_shows(app: Asked) -> None:
    said = app.get("/openapi.json").json()
    shown = said["components"]["schemas"]
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/CallResponse"}}}
    assert (
        said["paths"]["/call"]["get"]["responses"]["200"]["content"] == said["paths"]["/call"]["post"]["requestBody"]["content"] == content
    )
    assert shown["CallResponse"] == {
        "oneOf": [{"$ref": "#/components/schemas/WebCallResponse"}, {"$ref": "#/components/schemas/PhoneCallResponse"}],
        "discriminator": {
            "propertyName": "call_type",
            "mapping": {
                name: f"#/components/schemas/{kind}"
                for name, kind in (("web_call", "WebCallResponse"), ("phone_call", "PhoneCallResponse"))
            },
        },
    } | {name: shown["CallResponse"][name] for name in ("title",) if name in shown["CallResponse"]}
    call = shown["PhoneCallResponse"]
    assert set(call["required"]) >= {"call_id", "to_number"}
    assert call["properties"]["call_id"] == {"type": "string", "title": "Call Id"}
    assert call["properties"]["call_analysis"]["anyOf"] == [{"$ref": "#/components/schemas/CallAnalysis"}, {"type": "null"}]
    assert call["properties"]["call_type"]["const"] == "phone_call"
    status = call["properties"]["call_status"]["anyOf"]
    assert "ended" in status[0]["enum"]
    assert status[1] == {"type": "string"}  # what it will have one day
    page = said["paths"]["/calls"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert page["properties"]["items"]["items"] == {"$ref": "#/components/schemas/V3CallResponse"}
    assert page["required"] == ["items", "has_more"]


class Kept(pydantic.BaseModel):
    """A model of the user's with ours in it."""

    call: types.CallResponse
    analysis: types.CallAnalysis | None = None
    calls: list[types.PhoneCallResponse] = []


def test_a_model_of_pydantics_holds_ours() -> None:
    kept = Kept.model_validate({"call": CALL, "analysis": {"call_summary": "x"}, "calls": [CALL]})
    assert type(kept.call) is type(kept.calls[0]) is types.PhoneCallResponse
    assert kept.model_dump(exclude_unset=True) == {"call": CALL, "analysis": {"call_summary": "x"}, "calls": [CALL]}
    assert json.loads(kept.model_dump_json(exclude_unset=True)) == kept.model_dump(exclude_unset=True)
    assert Kept.model_validate_json(kept.model_dump_json(exclude_unset=True)) == kept
    same = Kept(call=kept.call)
    assert same.call is kept.call
    with pytest.raises(pydantic.ValidationError) as refused:
        Kept.model_validate({"call": {"call_type": "phone_call", "to_number": "+14155550101"}})
    assert {one["loc"] for one in refused.value.errors()} >= {("call", "call_id"), ("call", "from_number")}
    assert "+14155550101" not in str(refused.value)


def test_an_unknown_member_of_a_union_is_taken() -> None:
    fields = {field: CALL[field] for field in ("agent_id", "agent_version", "call_id", "call_status")}
    taken = pydantic.TypeAdapter(types.CallResponse).validate_python({**fields, "call_type": "fax_call"})
    assert type(taken) is types.UnknownCallResponse


def test_what_is_of_another_kind_is_not_taken() -> None:
    class Event(pydantic.BaseModel):
        call: types.WebCallResponse

    class Mine(types.WebCallResponse):
        pass

    phone, web = {**CALL, "access_token": "t"}, {**CALL, "access_token": "t", "call_type": "web_call"}
    for wrong in (phone, types.PhoneCallResponse.from_dict(phone)):
        with pytest.raises(pydantic.ValidationError) as caught:
            Event.model_validate({"call": wrong}, from_attributes=True)
        assert [(one["type"], one["loc"], one["msg"]) for one in caught.value.errors()] == [
            ("kind", ("call", "call_type"), "Input should be a WebCallResponse")
        ]
    for kind in (types.WebCallResponse, Mine):
        with pytest.raises(ValueError, match="has the call_type 'phone_call'"):
            kind.model_validate(phone)
        with pytest.raises(ValueError, match="has the call_type 'phone_call'"):
            kind.model_validate_json(json.dumps(phone))
        for right in (web, {**web, "call_type": "of_next_year"}):
            assert kind.model_validate(right).to_dict() == pydantic.TypeAdapter(kind).validate_python(right).to_dict() == right
        assert kind.from_dict(phone).to_dict() == phone  # as a client decodes answers


def test_a_kind_with_several_tags_is_taken_with_each() -> None:
    for role in ("agent", "user", "transfer_target"):
        assert types.Utterance.model_validate({"role": role, "content": "hi", "words": []}).role == role
    with pytest.raises(ValueError, match="no Utterance has the role 'tool_call_result'"):
        types.Utterance.model_validate({"role": "tool_call_result", "content": "hi", "words": []})


def test_a_value_of_no_known_type_is_written_all_the_same() -> None:
    call = types.PhoneCallResponse.from_dict(CALL)
    page = AsyncPage.__new__(AsyncPage)
    page._hold(types.UnknownCallResponse.from_dict({"items": [call]}))
    for value, meant in ((call, CALL), ({"call": [call]}, {"call": [CALL]}), (page, {"items": [CALL]})):
        assert pydantic.TypeAdapter(Any).dump_python(value, exclude_unset=True) == meant
        assert json.loads(pydantic.TypeAdapter(Any).dump_json(value, exclude_unset=True)) == meant


def test_a_page_is_only_given() -> None:
    with pytest.raises(pydantic.ValidationError, match="a page that a client answered with"):
        pydantic.TypeAdapter(AsyncPage[types.CallResponse]).validate_python({"items": []})


def refs(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(found := schema.get("$ref"), str):
            yield found.rpartition("/")[2]
        for item in schema.values():
            yield from refs(item)
    elif isinstance(schema, list):
        for item in schema:
            yield from refs(item)


@pytest.mark.parametrize("name", ["AgentResponse", "LlmResponse", pytest.param("ConversationFlowResponse", marks=pytest.mark.soak)])
def test_the_schema_of_what_holds_most_is_whole(name: str) -> None:
    kind: Any = models.lookup(name)
    said = kind.model_json_schema()
    assert {*refs(said)} <= said["$defs"].keys()
    assert said["properties"].keys() == {kind.__wire__.get(field, field) for field in kind.__annotations__}
    assert said == pydantic.TypeAdapter(kind).json_schema(mode="serialization")


@pytest.mark.soak
@pytest.mark.parametrize("name", sorted(dir(models)))
def test_every_model_and_union_is_a_type_for_pydantic(name: str) -> None:
    kind: Any = getattr(models, name)
    assert pydantic.TypeAdapter(kind).json_schema()


WANTED: dict[str, Any] = {
    "call": {
        "from_number": "+14155550100",
        "to_number": "+14155550101",
        "metadata": {"jobs": [1]},
        "agent_override": {"agent": {"boosted_keywords": ["a", "b"], "response_engine": {"type": "retell-llm", "llm_id": "l"}}},
    },
    "agent": {
        "voice_id": "v",
        "response_engine": {"type": "retell-llm", "llm_id": "l"},
        "post_call_analysis_data": [{"type": "string", "name": "n", "description": "d"}],
    },
}


class Wanted(pydantic.BaseModel):
    call: types.CallCreatePhoneCallParams
    agent: types.AgentCreateParams | None = None


@pytest.mark.parametrize(
    "make",
    [
        lambda: Wanted(**WANTED),
        lambda: Wanted.model_validate_json(json.dumps(WANTED)),
        lambda: Wanted.model_validate(WANTED, strict=True),
    ],
    ids=["python", "json", "strict"],
)
def test_what_a_request_takes_is_a_type_for_pydantic_and_stays_the_dicts_that_it_is(make: Callable[[], Wanted]) -> None:
    made = make()
    assert json.loads(made.model_dump_json()) == WANTED  # and no null for each setting that was left out
    override: Any = made.call.get("agent_override")
    assert override["agent"]["response_engine"] == {"type": "retell-llm", "llm_id": "l"}


def test_what_a_request_needs_and_of_what_kind_pydantic_says() -> None:
    with pytest.raises(pydantic.ValidationError) as caught:
        Wanted.model_validate({"call": {"from_number": 1, "agent_override": {"agent": {"boosted_keywords": "abc"}}}})
    assert {error["loc"][:2] for error in caught.value.errors()} == {
        ("call", "to_number"),
        ("call", "from_number"),
    }


def test_a_model_is_taken_where_a_request_takes_one() -> None:
    override = types.AgentOverrideRequest.from_dict({"agent": {"voice_id": "v"}})
    made = Wanted.model_validate({"call": {**WANTED["call"], "agent_override": override}})
    assert made.call.get("agent_override") is override


def test_of_a_union_pydantic_takes_what_most_of_the_fields_are_of() -> None:
    class Short(pydantic.BaseModel):
        call_id: str | None = None

    kinds: Any = (types.PhoneCallResponse | Short, Short | types.PhoneCallResponse)
    for kind in kinds:
        assert isinstance(pydantic.TypeAdapter(kind).validate_python(CALL), types.PhoneCallResponse)
        assert isinstance(pydantic.TypeAdapter(kind).validate_python({"call_id": "c"}), Short)


def test_classes_are_told_apart_by_a_discriminator() -> None:
    told = pydantic.Field(discriminator="call_type")
    kinds: Any = (Annotated[types.PhoneCallResponse | types.WebCallResponse, told], Annotated[types.CallResponse, told])
    for kind in kinds:
        calls = pydantic.TypeAdapter(kind)
        for call in (calls.validate_python(CALL), calls.validate_json(json.dumps(CALL)), calls.validate_python(CALL, strict=True)):
            assert call == types.PhoneCallResponse.from_dict(CALL)
    with pytest.raises(pydantic.ValidationError, match="call_type"):
        pydantic.TypeAdapter(kinds[0]).validate_python({**CALL, "call_type": "of_next_year"})
    said = pydantic.TypeAdapter(kinds[0]).json_schema()
    assert {*said["discriminator"]["mapping"]} == {"phone_call", "web_call"}
    assert said["$defs"]["PhoneCallResponse"]["properties"]["call_type"]["const"] == "phone_call"


def test_fastapi_takes_what_a_request_takes_for_its_body() -> None:
    app = FastAPI()

    @app.post("/calls")
    def place(params: types.CallCreatePhoneCallParams) -> str:
        return f"{params['to_number']} {params.get('agent_override')}"

    body = app.openapi()["components"]["schemas"]["CallCreatePhoneCallParams"]
    assert body["required"] == ["from_number", "to_number"]

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app.test") as client:
            return await client.post("/calls", json={**WANTED["call"], "agent_override": {"agent": {"voice_id": "v"}}})

    assert anyio.run(ask).json() == "+14155550101 {'agent': {'voice_id': 'v'}}"


@pytest.mark.soak
def test_what_any_method_takes_is_a_type_for_pydantic() -> None:
    refused: dict[str, str] = {}
    for name in sorted({*dir(params), *types._PARAMS}):
        kind: Any = getattr(types, name)
        try:
            pydantic.TypeAdapter(kind)
        except pydantic.errors.PydanticSchemaGenerationError as error:
            refused[name] = str(error)
    assert len(refused) == 10
    assert all("IO[bytes]" in said for said in refused.values())  # a file, which is no type for pydantic there either


def test_without_pydantic_one_line_says_what_to_install_and_all_else_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydantic", None)
    monkeypatch.delitem(sys.modules, "retell_async._core.interop.schema", raising=False)
    call = types.PhoneCallResponse.from_dict(CALL)
    with pytest.raises(ImportError, match="pip install pydantic"):
        call.model_json_schema()
    assert not hasattr(call, "__pydantic_serializer__")
    assert call.model_dump(exclude_unset=True) == types.PhoneCallResponse.model_validate(CALL).to_dict() == CALL


ROW = SimpleNamespace(**VOICE)
"""As an ORM gives them."""


def test_attributes_are_taken_for_fields_where_pydantic_is_told_so() -> None:
    call: dict[str, Any] = {
        "call_type": "phone_call",
        "call_id": "c",
        "agent_id": "a",
        "agent_version": 0,
        "call_status": "ended",
        "new": 1,
    }
    listed = types.V3PhoneCallResponse(**call, from_number="+1", to_number="+2", direction="outbound")
    cases: list[tuple[Any, object, type[Any]]] = [
        (types.PhoneCallResponse, listed, types.PhoneCallResponse),
        (types.CallResponse, listed, types.PhoneCallResponse),
        (types.PhoneCallResponse | types.V3PhoneCallResponse, listed, types.V3PhoneCallResponse),
        (types.VoiceResponse, ROW, types.VoiceResponse),
    ]
    for kind, given, made in cases:
        found: Any = pydantic.TypeAdapter(kind).validate_python(given, from_attributes=True)
        assert type(found) is made
        assert found.to_dict().get("new") == (1 if given is listed else None)
    for kind, given, _ in (cases[0], cases[-1]):
        with pytest.raises(pydantic.ValidationError):
            pydantic.TypeAdapter(kind).validate_python(given)
    with pytest.raises(pydantic.ValidationError):
        pydantic.TypeAdapter(types.VoiceResponse).validate_python("v", from_attributes=True)
