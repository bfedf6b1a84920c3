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
            seen = {where}
            while "$ref" in response:
                where = response["$ref"].removeprefix("#")
                if where in seen:
                    raise Refused(where, "refers to itself")
                seen.add(where)
                response = at(document, where)
            if str(status).startswith("2"):
                responses[status] = response
                continue
            if str(status).isdecimal():  # neither `default` nor `4XX` is one
                statuses.append(int(status))
            for content in response.get("content", {}).values():
                schema = resolved(document, content.get("schema", {}))
                for name, field in schema.get("properties", {}).items():  # an error shows its message whatever else its body has
                    body = body or {"type": "object", "properties": {}}
                    known = body["properties"].setdefault(name, field)
                    body["properties"][name] = field if known == field else {}
        operation[marks.ERRORS] = sorted(statuses)
    if body is not None:
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        known = schemas.setdefault(NAME, body)
        if known is not body and "message" not in known.get("properties", {}):
            raise Refused(
                pointer("components", "schemas", NAME), "the name is wanted for the shared error body: give it x-name in the overlay"
            )
    document.get("components", {}).pop("responses", None)
    document[marks.ERROR_BODY] = to_ref(NAME) if body is not None else None
