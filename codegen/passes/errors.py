"""One body for all errors: every operation lists which statuses it answers with, and none has an error model of its own."""

from __future__ import annotations

from .. import marks
from ..document import Json, Refused, at, operations, pointer, resolved, to_ref

NAME = "ErrorResponse"


def run(document: Json) -> None:
    body: Json | None = None
    for method, path, operation in operations(document):
        statuses: list[int] = []
        responses: Json = operation.setdefault("responses", {})
        for status in list(responses):
            where = pointer("paths", path, method, "responses", status)
            response = responses.pop(status)
            while "$ref" in response:
                where = response["$ref"].removeprefix("#")
                response = at(document, where)
            if str(status).startswith("2"):
                responses[status] = response
                continue
            if str(status).isdecimal():  # neither `default` nor `4XX` is one
                statuses.append(int(status))
            schema = resolved(document, response.get("content", {}).get("application/json", {}).get("schema", {}))
            if not schema:
                continue
            if not {"status", "message"} >= schema.get("properties", {"": schema}).keys():
                raise Refused(where, "an error body of another shape than {status, message}: the facade cannot read its message")
            body = schema
        operation[marks.ERRORS] = sorted(statuses)
    if body is not None:
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        if schemas.setdefault(NAME, body) is not body:
            raise Refused(pointer("components", "schemas", NAME), "the name is wanted for the shared error body")
    document.get("components", {}).pop("responses", None)
    document[marks.ERROR_BODY] = to_ref(NAME) if body is not None else None
