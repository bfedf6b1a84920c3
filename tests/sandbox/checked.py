"""The sandbox asked without HTTP, and each of its answers held against the document by another validator than its own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, cast
from urllib.parse import urlencode

import httpx
from jsonschema import Draft4Validator, ValidationError, validators
from referencing import Registry
from referencing.jsonschema import DRAFT4

from codegen.document import load_file, operations
from codegen.generate import ROOT
from codegen.surface import known
from retell_async.sandbox import Sandbox, Settings, SteppedClock
from retell_async.sandbox.openapi.document import packaged_document

from ..needed import filled

Json = dict[str, Any]

DOCUMENT: Json = json.loads(resources.files("retell_async.raw").joinpath("openapi.json").read_bytes())
REGISTRY: Registry[Any] = Registry[Any]().with_resource("urn:document", DRAFT4.create_resource(DOCUMENT))
UNIVERSAL = {400, 401, 404}
"""What any operation can answer, whether the document says it or not."""


SURFACE: Json = load_file(ROOT / "openapi" / "surface.yaml")


@cache
def places() -> dict[str, str]:
    """Where the operations of the surface are in the document: they are tested under the paths that the surface has."""
    there = {f"{method.upper()} {path}" for method, path, _ in operations(DOCUMENT)}
    moved = {meant: key for key, (meant, version) in known(DOCUMENT, SURFACE).items() if not version}
    return {key: key if key in there else moved.get(key, "") for key in SURFACE if " " in key}


def lost() -> list[str]:
    """The operations of the surface that the document no longer has."""
    return [key for key, there in places().items() if not there]


def asks_for(operation: str, source: str) -> bool:
    """Whether the text of a test has the path of an operation, with whatever stands in the place of its parameters."""
    path = operation.partition(" ")[2]
    return re.search('"' + re.sub(r"{\w+}", r"[^/\"]+", path) + r"[\"?]", source) is not None


def where(method: str, path: str) -> tuple[str, str]:
    """Method and path of a request as the document has them now."""
    for key, there in places().items():
        pattern = re.sub(r"{(\w+)}", r"(?P<\1>[^/]*)", key)
        if key != there and (found := re.fullmatch(pattern, f"{method} {path}")) is not None:
            assert there, f"the API no longer has {key}"
            method, _, path = re.sub(r"{(\w+)}", lambda name: found[name[1]], there).partition(" ")
            break
    return method, path


class Api:
    """One account, whose clock stands still until it is moved."""

    def __init__(self, settings: Settings | None = None, clock: SteppedClock | None = None) -> None:
        self.clock = clock or SteppedClock()
        self.sandbox = Sandbox(settings or Settings(), self.clock)

    def ask(self, method: str, path: str, body: object = None, *, query: Mapping[str, object] | None = None) -> tuple[int, Any]:
        """Status and body of an answer that the document allows."""
        content = b"" if body is None else json.dumps(body).encode()
        method, path = where(method, path)
        answer = self.sandbox.answer(
            method, path, query=urlencode(query or {}), authorization="Bearer key", content_type="application/json", content=content
        )
        check(method, path, answer.status, answer.body)
        return answer.status, answer.body

    def form(self, path: str, fields: Mapping[str, Any], files: Sequence[tuple[str, tuple[str, bytes, str]]] = ()) -> tuple[int, Any]:
        """Status and body of the answer to a multipart form."""
        _, path = where("POST", path)
        sent = httpx.Request("POST", "http://sandbox", data=fields, files=[*files])
        content_type = sent.headers.get("content-type", "")
        answer = self.sandbox.answer("POST", path, authorization="Bearer key", content_type=content_type, content=sent.read())
        check("POST", path, answer.status, answer.body)
        return answer.status, answer.body

    def get(self, path: str, **query: object) -> Any:
        return self._succeed("GET", path, None, query)

    def post(self, path: str, body: object = None, **query: object) -> Any:
        return self._succeed("POST", path, body, query)

    def patch(self, path: str, body: object, **query: object) -> Any:
        return self._succeed("PATCH", path, body, query)

    def delete(self, path: str, **query: object) -> None:
        self._succeed("DELETE", path, None, query)

    def refusal(self, method: str, path: str, body: object = None, **query: object) -> tuple[int, str]:
        """Status and message of an error."""
        status, answer = self.ask(method, path, body, query=query)
        assert status >= 400, answer
        assert set(answer) == {"status", "message"}
        return status, answer["message"]

    def _succeed(self, method: str, path: str, body: object, query: Mapping[str, object]) -> Any:
        found = packaged_document().match(*where(method, path))
        if found is not None and method == "POST" and isinstance(body, dict):  # what was made must have what the document wants by now
            body = filled(found[0].json_schema or {}, body)
        status, answer = self.ask(method, path, body, query=query)
        assert 200 <= status < 300, answer
        return answer

    def llm(self, **fields: object) -> str:
        return cast("str", self.post("/create-retell-llm", fields)["llm_id"])

    def agent(self, **fields: object) -> str:
        engine = {"type": "retell-llm", "llm_id": self.llm()}
        return cast("str", self.post("/create-agent", {"voice_id": "retell-Cimo", "response_engine": engine, **fields})["agent_id"])

    def number(self, **fields: object) -> str:
        agents = [{"agent_id": self.agent(), "weight": 1}]
        return cast("str", self.post("/create-phone-number", {"outbound_agents": agents, **fields})["phone_number"])

    def call(self, from_number: str, to_number: str = "+12015550100", **fields: object) -> Json:
        return cast("Json", self.post("/v2/create-phone-call", {"from_number": from_number, "to_number": to_number, **fields}))

    def calls(self, **asked: object) -> list[Json]:
        return cast("list[Json]", self.post("/v3/list-calls", asked)["items"])


def check(method: str, path: str, status: int, body: Any) -> None:
    """:raises AssertionError: the document does not allow this answer."""
    found = packaged_document().match(method, path)
    if found is None:
        assert status == 404
        return
    where, responses = _responses(found[0].id)
    response = responses.get(str(status))
    if response is None:
        assert status in UNIVERSAL, f"{found[0].id} does not answer {status}"
        return
    if "$ref" in response:
        where, response = response["$ref"], _at(response["$ref"])
    else:
        where = f"{where}/{status}"
    if "content" not in response:
        assert body is None
        return
    _validator(f"urn:document{where}/content/application~1json/schema").validate(body)


@cache
def _responses(operation_id: str) -> tuple[str, Json]:
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            if operation["operationId"] == operation_id:
                return f"#/paths/{path.replace('~', '~0').replace('/', '~1')}/{method}/responses", operation["responses"]
    raise LookupError(operation_id)


def _at(pointer: str) -> Json:
    found: Any = DOCUMENT
    for part in pointer.removeprefix("#/").split("/"):
        found = found[part]
    return cast("Json", found)


@cache
def _validator(reference: str) -> Any:
    return _OpenAPIValidator({"$ref": reference}, registry=REGISTRY)


def _nullable(keyword: str) -> Any:
    plain = Draft4Validator.VALIDATORS[keyword]

    def check_keyword(validator: Any, value: Any, instance: Any, schema: Json) -> Iterator[ValidationError]:
        if not (instance is None and schema.get("nullable")):
            yield from plain(validator, value, instance, schema) or ()

    return check_keyword


_KEYWORDS = ("type", "enum", "oneOf", "anyOf", "allOf")
_OpenAPIValidator: Any = validators.extend(Draft4Validator, {keyword: _nullable(keyword) for keyword in _KEYWORDS})  # type: ignore[no-untyped-call]  # pyright: ignore[reportUnknownMemberType]
