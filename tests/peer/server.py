"""A server that answers every operation of the pinned document with success, and with a value that the document allows.

It checks nothing of a request.
"""

from __future__ import annotations

import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Json = dict[str, Any]
DOCUMENT: Json = json.loads((Path(__file__).parents[2] / "retell_async" / "raw" / "openapi.json").read_text(encoding="utf-8"))
_DEEPEST = 8


class Answers:
    """What is answered to a request: a status and the text of a body, by method and path."""

    def __init__(self, document: Json) -> None:
        self._schemas: Json = document["components"]["schemas"]
        self._answers = [
            (method.upper(), re.compile(re.sub(r"{\w+}", "[^/]+", path)), *self._answer(operation))
            for path, item in document["paths"].items()
            for method, operation in item.items()
            if method in {"get", "post", "put", "patch", "delete"}
        ]

    def find(self, method: str, path: str) -> tuple[int, str | None] | None:
        """The answer to a request; ``None`` where the document has no such operation."""
        found = [(status, body) for verb, pattern, status, body in self._answers if verb == method and pattern.fullmatch(path)]
        return found[0] if found else None

    def _answer(self, operation: Json) -> tuple[int, str | None]:
        status = next(status for status in operation["responses"] if str(status).startswith("2"))
        content = operation["responses"][status].get("content", {})
        return int(status), json.dumps(self._value(content["application/json"]["schema"])) if "application/json" in content else None

    def _value(self, schema: Json, depth: int = 0) -> Any:
        schema = self._whole(schema)
        if "enum" in schema:
            return schema["enum"][0]
        match schema.get("type"):
            case "object":
                needed = schema.get("required", ())
                fields = schema.get("properties", {}).items()
                return {name: self._value(field, depth + 1) for name, field in fields if name in needed or depth < _DEEPEST}
            case "array":
                return [self._value(schema["items"], depth + 1)] if depth < _DEEPEST else []
            case "integer":
                return schema.get("minimum", 1)
            case "number":
                return schema.get("minimum", 0) + 0.5
            case "boolean":
                return True
            case "string":
                return "a" * max(schema.get("minLength", 0), 3)
            case _:
                return {}

    def _whole(self, schema: Json) -> Json:
        """One schema in place of a reference, of all that it is, and of the first that it may be."""
        while "$ref" in schema:
            schema = self._schemas[schema["$ref"].rpartition("/")[2]]
        parts = [*schema.get("allOf", ()), *schema.get("oneOf", ())[:1], *schema.get("anyOf", ())[:1]]
        whole: Json = {}
        for part in (*map(self._whole, parts), schema):
            fields, needed = whole.get("properties", {}), whole.get("required", [])
            whole = whole | part
            if fields or "properties" in part:
                whole |= {
                    "type": "object",
                    "properties": fields | part.get("properties", {}),
                    "required": [*needed, *part.get("required", ())],
                }
        return whole


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    answers: Answers

    def _serve(self) -> None:
        self._skip_body()
        found = self.answers.find(self.command, self.path.partition("?")[0])
        status, body = found if found is not None else (404, json.dumps({"message": "the document has no such operation"}))
        content = b"" if body is None else body.encode()
        self.send_response(status)
        if body is not None:
            self.send_header("Content-Type", "application/json")
        if status != 204:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - as the base class calls them

    def _skip_body(self) -> None:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            return
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            self.rfile.read(size + 2)
        while self.rfile.readline().strip():
            pass

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(6, 1, 1)  # TCP_NODELAY

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: what fails is told by the tests."""


def server() -> ThreadingHTTPServer:
    """A server on a free port of loopback, which serves once its `serve_forever` is called."""
    Handler.answers = Answers(DOCUMENT)
    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)
