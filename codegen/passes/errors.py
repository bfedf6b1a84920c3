"""One body for all errors: every operation lists which statuses it answers with, and none has an error model of its own."""

from __future__ import annotations

from .. import marks
from ..document import Json, Refused, by_key, followed, pointer, resolved, to_ref

NAME = "ErrorResponse"


def run(document: Json) -> None:
    fields: Json = {}
    for operation in by_key(document).values():
        answers = {str(status): followed(document, response) for status, response in operation.get("responses", {}).items()}
        operation["responses"] = {status: response for status, response in answers.items() if status.startswith("2")}
        errors = {status: response for status, response in answers.items() if status not in operation["responses"]}
        operation[marks.ERRORS] = sorted(int(status) for status in errors if status.isdecimal())  # neither `default` nor `4XX` is one
        for content in (content for response in errors.values() for content in response.get("content", {}).values()):
            schema = resolved(document, content.get("schema", {}))
            for name, field in schema.get("properties", {}).items():  # an error shows its message whatever else its body has
                fields[name] = field if fields.get(name, field) == field else {}
    if fields:
        body = {"type": "object", "properties": fields}
        known = document.setdefault("components", {}).setdefault("schemas", {}).setdefault(NAME, body)
        if known is not body and "message" not in known.get("properties", {}):
            where = pointer("components", "schemas", NAME)
            raise Refused(where, "the name is wanted for the shared error body: give it x-name in the overlay")
    document.get("components", {}).pop("responses", None)
    document[marks.ERROR_BODY] = to_ref(NAME) if fields else None
