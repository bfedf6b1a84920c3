"""What the document says of requests, and what the sandbox answers to those that are none."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from codegen.document import load_file
from retell_async._core.encode import _form
from retell_async._core.operation import Multipart
from retell_async._http.files import opened
from retell_async.sandbox import Sandbox, Settings
from retell_async.sandbox.common.messages import Json
from retell_async.sandbox.openapi.document import packaged_document
from retell_async.sandbox.openapi.multipart import read_form
from retell_async.sandbox.operations import HANDLERS

from ..checked import DOCUMENT, Api

SURFACE = load_file(Path(__file__).parents[3] / "openapi" / "surface.yaml")


def test_every_operation_of_the_document_is_found_by_its_path() -> None:
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            found = packaged_document().match(method.upper(), path.replace("{", "<").replace("}", ">"))
            assert found is not None
            route, values = found
            assert route.id == operation["operationId"]
            assert values == {name: f"<{name}>" for name in route.names}


def test_every_handler_is_of_an_operation_of_the_document() -> None:
    assert HANDLERS.keys() <= {said["id"] for key, said in SURFACE.items() if " " in key}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", ""),
        ("GET", "/create-agent"),
        ("GET", "/get-agent/"),
        ("GET", "/get-agent"),
        ("GET", "/get-agent/a/b"),
        ("GET", "/get-agent/a/"),
    ],
)
def test_paths_of_no_operation(method: str, path: str) -> None:
    assert packaged_document().match(method, path) is None


def test_values_in_paths_are_unescaped() -> None:
    found = packaged_document().match("GET", "/get-agent/a%2Fb%20c")
    assert found is not None
    assert found[1] == {"agent_id": "a/b c"}


def test_what_is_no_operation_is_not_found() -> None:
    assert Api().refusal("POST", "/v9/whatever")[0] == 404


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer  ", "Basic abc", "key", "Bearer wrong"])
def test_a_key_is_needed(authorization: str) -> None:
    answer = Sandbox(Settings(api_key="right")).answer("GET", "/get-concurrency", authorization=authorization)
    assert (answer.status, answer.body) == (401, {"status": "error", "message": "the API key is missing or wrong"})


@pytest.mark.parametrize("authorization", ["Bearer right", "bearer right "])
def test_the_right_key_is_let_in(authorization: str) -> None:
    assert Sandbox(Settings(api_key="right")).answer("GET", "/get-concurrency", authorization=authorization).status == 200
    assert "right" not in repr(Settings(api_key="right"))


@pytest.mark.parametrize(
    ("content", "content_type", "message"),
    [
        (b"", "application/json", "a JSON body is needed"),
        (b"{}", "text/plain", "the content type must be application/json"),
        (b"{", "application/json", "the body is not valid JSON"),
        (b"\xff", "application/json", "the body is not valid JSON"),
        (b'{"a": NaN}', "application/json", "the body is not valid JSON"),
        (b'{"a": -1e999}', "application/json", "the body is not valid JSON"),
        (b"[" * 100_000, "application/json", "the body is not valid JSON"),
        (b"[]", "application/json; charset=utf-8", 'body: the value is not of type "object"'),
        (b'{"agent_name": 3, "voice_id": "v"}', "application/json", "body.agent_name: the value is not of type"),
        (b'{"voice_id": "v"}', "application/json", 'body: "response_engine" is a required property'),
    ],
)
def test_bodies_that_are_none(content: bytes, content_type: str, message: str) -> None:
    answer = Sandbox().answer("POST", "/create-agent", authorization="Bearer k", content_type=content_type, content=content)
    assert answer.status == 400
    assert answer.body["message"].startswith(message)


def test_odd_text_is_taken_and_given_back() -> None:
    api = Api()
    for name in ("\ud800", "\0", "\u2028", "🙂" * 100, "<b>"):
        agent = api.get(f"/get-agent/{api.agent(agent_name=name)}")
        assert agent["agent_name"] == name


@pytest.mark.parametrize("settings", [{"concurrency_limit": 0}, {"outcomes": {}}, {"outcomes": {"tired": 1}}])
def test_settings_that_make_no_sense(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"concurrency_limit|reason"):
        Settings(**settings)  # type: ignore[arg-type]


@pytest.mark.anyio
async def test_what_the_client_writes_into_a_form_is_what_the_sandbox_reads() -> None:
    about, numbers = {"type": "object"}, {"type": "array", "items": {"type": "integer"}}
    fields: dict[str, Json] = {
        "about": about,
        "other": {"$ref": "#/components/schemas/Other"},
        "names": {"type": "array", "items": {"type": "string"}},
        "numbers": numbers,
        "things": {"type": "array", "items": about},
        "name": {"type": "string"},
        "share": {"type": "number"},
        "is_new": {"type": "boolean"},
    }
    body = {"about": {"a": "x"}, "other": {"b": [1]}, "names": ["x", "{y"], "numbers": [1, 2], "things": [{"a": 1}, {}]}
    body |= {"name": '{"a": 1}', "share": 0.5, "is_new": True}
    whole = [name for name, value in body.items() if isinstance(value, dict | list)]
    for multipart in (Multipart(json=whole), Multipart(parts=whole)):
        async with opened([*_form(multipart, body)]) as parts:
            sent = httpx.Request("POST", "https://a.test", files=parts)
        assert read_form(sent.read(), sent.headers["content-type"], fields) == body
    assert [*_form(multipart, {"about": body["about"], "numbers": body["numbers"]})] == [
        ("about", (None, b'{"a":"x"}', "application/json", None)),
        ("numbers", "1"),
        ("numbers", "2"),
    ]
