"""What an operation of a prepared document takes and answers: the rules that generating, the difference and the drift share."""

from __future__ import annotations

from typing import Literal

from . import marks
from .document import Json, resolved

Fields = dict[str, tuple[Json, bool]]
"""By the API's names: schema, and whether it is required."""

Listing = Literal["one object", "a bare array", "pages"]


def answer(operation: Json) -> Json | None:
    """The schema of what means success, a union if there are several; ``None`` if there is no body."""
    several = [next(iter(one["content"].values()))["schema"] for one in operation["responses"].values() if one.get("content")]
    return None if not several else several[0] if len(several) == 1 else {"oneOf": several}


def listing(document: Json, schema: Json) -> tuple[Listing, Json]:
    """How an answer lists things, and the schema of one of them; that of the answer itself if it is no list."""
    meant = resolved(document, schema)
    if meant.get("type") == "array":
        return "a bare array", meant.get("items", {})
    fields = meant.get("properties", {})
    if fields.get("items", {}).get("type") == "array" and "has_more" in fields:
        return "pages", fields["items"].get("items", {})
    return "one object", schema


def keywords(document: Json, operation: Json) -> Fields:
    """What a method takes: the parameters of the operation, and the fields of its body, as they are `called`."""
    found: Fields = {}
    for parameter in operation["parameters"]:
        deprecated = {"deprecated": True} if parameter.get("deprecated") else {}
        required = parameter["in"] == "path" or bool(parameter.get("required"))
        found[called(operation, parameter["in"], parameter["name"])] = (parameter["schema"] | deprecated, required)
    in_body = properties(document, body(document, operation), sent=True)
    return found | {called(operation, "body", name): said for name, said in in_body.items()}


def called(operation: Json, place: str, name: str) -> str:
    """A parameter or a field of the body by its name, with the place where it is sent if another one has that (`names.keywords`)."""
    return f"{place}_{name}" if [place, name] in operation.get(marks.ASIDE, ()) else name


def body(document: Json, operation: Json) -> Json:
    """The schema of what an operation sends; an empty one if it sends nothing."""
    contents = [*operation.get("requestBody", {}).get("content", {}).values()]
    return resolved(document, contents[0]["schema"]) if contents else {}


def properties(document: Json, schema: Json, *, sent: bool) -> Fields:
    """The fields of an object; of one that is sent without what can only be read, of an answer without what can only be written."""
    meant = resolved(document, schema)
    required, elsewhere = meant.get("required", ()), "readOnly" if sent else "writeOnly"
    return {name: (field, name in required) for name, field in meant.get("properties", {}).items() if not field.get(elsewhere)}
