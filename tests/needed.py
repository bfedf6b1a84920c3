"""What the pinned document wants beside what a test is about: a field that has to be there from the next month on is filled in."""

from __future__ import annotations

import json
from typing import Any, cast

from codegen.generate import ROOT
from retell_async.sandbox.common.messages import Json
from retell_async.sandbox.openapi.document import packaged_document
from retell_async.sandbox.openapi.schema_values import minimal_value, properties, required

__all__ = ["answer_of", "body_of", "filled", "in_pages", "listed", "nothing_listed", "path_of"]


def answer_of(name: str, **given: Any) -> Json:
    """A model's fields: these, and the least of what it must have beside them."""
    return filled({"$ref": f"#/components/schemas/{name}"}, given)


def body_of(operation: str, **given: Any) -> Json:
    """A body of an operation, by its id: these fields, and the least of what it must have beside them."""
    return filled(packaged_document().routes[operation].json_schema or {}, given)


def filled(schema: Json, given: Json) -> Json:
    """An object with what a schema requires of each, whichever of its alternatives it is."""
    resolve = packaged_document().resolve
    known = properties(schema, resolve)
    return {name: minimal_value(known[name], resolve) for name in sorted(required(schema, resolve) & known.keys() - given.keys())} | given


def path_of(operation: str) -> str:
    """The path of an operation, by its id."""
    return packaged_document().routes[operation].path


def nothing_listed(operation: str) -> Any:
    """The answer of a list, by its id, on which nothing is: a bare array, or a page."""
    found = minimal_value(packaged_document().routes[operation].answer or {}, packaged_document().resolve)
    return cast("object", found)


def listed(operation: str, *items: Any) -> Any:
    """The answer of a list, by its id, on which these are."""
    nothing = nothing_listed(operation)
    return [*items] if nothing == [] else {**nothing, "items": [*items]}


def in_pages(method: str) -> bool:
    """Whether a method (``voice.list``) answers in pages; else with all there is, in an array."""
    table = json.loads((ROOT / "retell_async/raw/operations.json").read_text(encoding="utf-8"))
    return any(method in said["methods"] and said["lists"] == "pages" for said in table["operations"].values())
