"""Every operation through the client: what goes over the wire, and what comes of the answer."""

from __future__ import annotations

import importlib
import json
import pkgutil
from email import message_from_bytes, policy
from random import Random
from types import ModuleType
from typing import Any

import attrs
import httpx
import pytest

from codegen.document import Json, ref_name, resolved
from retell_async import AsyncRetell
from retell_async._core.encode import encode
from retell_async._core.model import Model, plain
from retell_async._core.pages import AsyncPage, AsyncPaginator
from retell_async._core.response import RawResponse
from retell_async.raw import api

from .calls import BASE_URL, FILES, METHODS, Given, answered, everything, text, written
from .instances import DOCUMENT, OPERATIONS, answer

pytestmark = pytest.mark.asyncio

RAW: dict[str, ModuleType] = {}
for info in pkgutil.walk_packages(api.__path__, f"{api.__name__}."):
    if not info.ispkg:
        module = importlib.import_module(info.name)
        RAW[f"{module.OPERATION.method} {module.OPERATION.path}"] = module
FORMS = [key for key, module in RAW.items() if module.OPERATION.multipart]
SEEDS = range(3)


class Server:
    """Gives one answer and keeps what it was asked."""

    def __init__(self, key: str, said: Any) -> None:
        self.status, self.content = 204 if said is None else 200, written(key, said)
        self.asked: list[httpx.Request] = []

    def serve(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        return httpx.Response(self.status, content=self.content)

    def client(self) -> AsyncRetell:
        transport = httpx.MockTransport(self.serve)
        return AsyncRetell("key_1", base_url=BASE_URL, max_retries=0, http_client=httpx.AsyncClient(transport=transport), strict=True)


def check_request(request: httpx.Request, key: str, given: Given) -> None:
    method, _, path = key.partition(" ")
    assert request.method == method
    assert request.url.raw_path.decode() == given.target(path)
    assert request.headers["authorization"] == "Bearer key_1"
    for name, value in given.header.items():
        assert request.headers[name] == ",".join(map(text, value if isinstance(value, list) else [value]))
    if given.kind == "multipart/form-data":
        assert given.body is not None
        check_form(request, given.body, is_one_text=given.is_one_text)
    else:
        if "idempotency_key" in (given.body or {}):  # such a body has an end in an order of its own
            assert json.loads(request.content) == given.body
        else:
            assert request.content == given.content()
        assert request.headers.get("content-type") == given.kind


def check_form(request: httpx.Request, fields: dict[str, Any], *, is_one_text: bool) -> None:
    """Each item of an array is a part, and each object is one of JSON, unless all of it is one text."""
    parts: list[tuple[Any, ...]] = []
    for part in parsed(request):
        name = part.get_param("name", header="content-disposition")
        parts.append((name, part.get_filename(), part["content-type"], part.get_payload(decode=True)))
    expected: list[tuple[Any, ...]] = []
    for name, value in fields.items():
        if value in (FILES, FILES[0]):
            files = FILES if value == FILES else FILES[:1]
            expected += [(name, file[0], "application/pdf" if file is FILES[0] else "text/plain", file[1]) for file in files]
            continue
        for item in value if isinstance(value, list) and not is_one_text else [value]:
            media = "application/json" if isinstance(item, (dict, list)) and not is_one_text else None
            said = item if isinstance(item, str) else json.dumps(item, ensure_ascii=False, separators=(",", ":"))
            expected.append((name, None, media, said.encode()))
    assert parts == expected


def parsed(request: httpx.Request) -> list[Any]:
    head = f"content-type: {request.headers['content-type']}\r\n\r\n".encode()
    message: Any = message_from_bytes(head + request.content, policy=policy.HTTP)
    assert message.get_content_type() == "multipart/form-data"
    return list(message.iter_parts())


def check_answer(key: str, result: Any, said: Any) -> None:
    assert plain(result) == said
    schema = answer(key)
    if schema is not None and (name := ref_name(schema)) is not None and "properties" in resolved(DOCUMENT, schema):
        assert type(result).__name__ == name


async def listed(result: Any) -> Any:
    return [item async for item in result] if isinstance(result, AsyncPaginator) else await result


async def test_every_operation_is_tried() -> None:
    assert {key for key, _ in METHODS} == OPERATIONS.keys() == RAW.keys()
    assert FORMS


@pytest.mark.parametrize(("key", "name"), METHODS, ids=[name for _, name in METHODS])
@pytest.mark.parametrize("seed", SEEDS)
async def test_every_method(key: str, name: str, seed: int) -> None:
    random = Random(seed)
    given, said = everything(key, random), answered(key, random)
    server = Server(key, said)
    resource, _, method = name.partition(".")
    async with server.client() as client:
        plain_method = getattr(getattr(client, resource), method)
        raw_method = getattr(getattr(client, resource).with_raw_response, method)
        keywords = given.keywords(plain_method)
        places = [keywords.pop(name) for name in list(given.path)[-1:]]
        result = await listed(plain_method(*places, **keywords))
        raw = await raw_method(*places, **keywords)
    assert len(server.asked) == 2
    for request in server.asked:
        check_request(request, key, given)
    assert isinstance(raw, RawResponse)
    assert raw.status_code == (204 if said is None else 200)
    if isinstance(raw.parse(), AsyncPage):
        items: Any = said["items"] if isinstance(said, dict) else said
        assert plain(result) == plain([*raw.parse().items]) == items
        assert all(isinstance(item, Model) for item in result if plain(item) is not item)
    else:
        check_answer(key, result, said)
        check_answer(key, raw.parse(), said)


@pytest.mark.parametrize("key", RAW)
@pytest.mark.parametrize("seed", SEEDS)
async def test_every_raw_module(key: str, seed: int) -> None:
    random = Random(seed)
    given, said = everything(key, random), answered(key, random)
    if given.body is not None:
        shuffled = list(given.body.items())
        random.shuffle(shuffled)
        given = attrs.evolve(given, body=dict(shuffled))  # the caller's order is kept
    module = RAW[key]
    arguments = given.keywords(module.request, whole=True)
    encoded = encode(module.request(*given.path.values(), **arguments), base_url=BASE_URL)
    assert (encoded.content or b"") == (b"" if given.kind == "multipart/form-data" else given.content())
    server = Server(key, said)
    async with server.client() as client:
        result = await module.send(client, *given.path.values(), **arguments)
    check_request(server.asked[0], key, given)
    check_answer(key, result, said)


def needed(key: str) -> dict[str, Any]:
    """The least that a raw module takes beside the path: an empty body, and what the query and the headers must have."""
    some = {place: {one["name"]: "x" for one in _required(key) if one["in"] == place} for place in ("query", "header")}
    body: Json | None = {} if OPERATIONS[key].get("requestBody") else None
    return Given({}, some["query"], body, None, some["header"]).keywords(RAW[key].request, whole=True)


def _required(key: str) -> list[Json]:
    return [one for one in OPERATIONS[key]["parameters"] if one.get("required")]


@pytest.mark.parametrize("key", RAW)
async def test_what_is_not_given_is_not_sent(key: str) -> None:
    required = needed(key)
    request = RAW[key].request(*("id" for _ in everything(key, Random(0)).path), **required)
    assert request.query == {one["name"]: "x" for one in _required(key) if one["in"] == "query"}
    assert not request.body
    assert encode(request, base_url="").content in (None, b"{}")


@pytest.mark.parametrize("key", [key for key in RAW if "{" in key])
async def test_an_empty_path_parameter_is_refused(key: str) -> None:
    names = list(everything(key, Random(0)).path)
    for empty in names:
        with pytest.raises(ValueError, match=f"Expected a non-empty value for `{empty}` but received ''"):
            RAW[key].request(*("" if name == empty else "x" for name in names), **needed(key))
        with pytest.raises(ValueError, match=rf"{empty} is '\.\.'"):
            RAW[key].request(*(".." if name == empty else "x" for name in names), **needed(key))


@pytest.mark.parametrize("key", ["POST /create-knowledge-base", "POST /add-knowledge-base-sources/{knowledge_base_id}"])
async def test_knowledge_base_forms(key: str) -> None:
    server = Server(key, answered(key, Random(0)))
    texts = [{"title": "Über", "text": "a"}, {"title": "b", "text": "[]"}]
    urls = ["https://a.test/?x=1&y=2", "https://b.test"]
    fields: dict[str, Any] = {"knowledge_base_texts": texts, "knowledge_base_files": FILES, "knowledge_base_urls": urls}
    if "create" in key:
        fields["knowledge_base_name"] = "Name"
    async with server.client() as client:
        await RAW[key].send(client, *(["kb"] if "{" in key else []), body=fields)
    names = [part.get_param("name", header="content-disposition") for part in parsed(server.asked[0])]
    assert names.count("knowledge_base_files") == len(FILES)
    assert not [name for name in names if "[" in str(name)]
    content = {str(part.get_param("name", header="content-disposition")): part.get_payload(decode=True) for part in parsed(server.asked[0])}
    assert content["knowledge_base_texts"] == '[{"title":"Über","text":"a"},{"title":"b","text":"[]"}]'.encode()
    assert content["knowledge_base_urls"] == b'["https://a.test/?x=1&y=2","https://b.test"]'
