"""Small documents, and what a pass makes of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from codegen.document import Json, Refused

STRING: Json = {"type": "string"}
INTEGER: Json = {"type": "integer"}


def ref(name: str, **beside: Any) -> Json:
    return {"$ref": f"#/components/schemas/{name}", **beside}


def object_(*required: str, **properties: Json) -> Json:
    return {"type": "object", "properties": properties, **({"required": list(required)} if required else {})}


def array(item: Json) -> Json:
    return {"type": "array", "items": item}


def enum(*values: Any) -> Json:
    return {"type": "string", "enum": list(values)}


def content(schema: Json, kind: str = "application/json") -> Json:
    return {"content": {kind: {"schema": schema}}}


def operation(identifier: str = "getThing", answer: Json | None = None, **more: Any) -> Json:
    said = {"operationId": identifier, "responses": {"200": {"description": "", **({} if answer is None else content(answer))}}}
    return {**said, **more}


def document(paths: Json, schemas: Json | None = None, **components: Json) -> Json:
    return {
        "openapi": "3.0.3",
        "info": {"title": "Small", "version": "1"},
        "paths": paths,
        "components": {"schemas": schemas or {}, **components},
    }


def holding(**schemas: Json) -> Json:
    """A document in which one operation answers with all of these components."""
    fields = {f"field_{index}": ref(name) for index, name in enumerate(schemas)}
    return document({"/get-thing": {"get": operation(answer=object_(**fields))}}, schemas)


def posting(body: Json, kind: str = "application/json", schemas: Json | None = None) -> Json:
    """A document with one operation that takes this body."""
    return document({"/create-thing": {"post": operation("createThing", requestBody=content(body, kind))}}, schemas)


def after(run: Callable[[Json], None], given: Json) -> Json:
    """A copy of a document after a pass."""
    made: Json = json.loads(json.dumps(given))
    run(made)
    return made


def schemas_after(run: Callable[[Json], None], **schemas: Json) -> Json:
    made: Json = after(run, holding(**schemas))["components"]["schemas"]
    return made


def refused(run: Callable[[Json], Any], given: Json) -> tuple[str, str]:
    """Where and why a document is refused."""
    with pytest.raises(Refused) as caught:
        run(json.loads(json.dumps(given)))
    return caught.value.pointer, caught.value.reason
