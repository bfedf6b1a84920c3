"""Only what an operation needs is generated; what none needs is set aside by name, in ``x-unreachable``, for the report.

Run again at the end it takes out what was only ever laid under other schemas.
"""

from __future__ import annotations

from collections.abc import Iterator

from .. import marks
from ..document import Json, Refused, by_key, operation_roots, operations, pointer, ref_name, walk


def run(document: Json) -> None:
    components = document.setdefault("components", {})
    _inline_parameters(document)
    reached: set[str] = set()
    for name in _starts(document):
        follow(document, name, reached)
    schemas = components.get("schemas", {})
    document.setdefault(marks.UNREACHABLE, sorted(set(schemas) - reached))
    components["schemas"] = {name: schema for name, schema in schemas.items() if name in reached}


def _inline_parameters(document: Json) -> None:
    """Every operation has its own parameters and body in full, so that nothing else needs looking up."""
    components = document.get("components", {})
    for method, path, operation in operations(document):
        where = pointer("paths", path, method)
        shared = document["paths"][path].get("parameters", ())
        own = [_looked_up(components, "parameters", parameter) for parameter in operation.get("parameters", ())]
        names = {(parameter["in"], parameter["name"]) for parameter in own}
        own.extend(
            parameter
            for parameter in (_looked_up(components, "parameters", parameter) for parameter in shared)
            if (parameter["in"], parameter["name"]) not in names
        )
        for parameter in own:
            if "schema" not in parameter:
                raise Refused(f"{where}/parameters", f"{parameter['name']} has no schema: what it has instead cannot be expressed")
        operation["parameters"] = own
        if "requestBody" in operation:
            operation["requestBody"] = _looked_up(components, "requestBodies", operation["requestBody"])
        for holder in (operation.get("requestBody", {}), *operation.get("responses", {}).values()):
            for content in holder.get("content", {}).values():
                content.setdefault("schema", {})
    for item in document["paths"].values():
        item.pop("parameters", None)
    components.pop("parameters", None)
    components.pop("requestBodies", None)


def _looked_up(components: Json, kind: str, holder: Json) -> Json:
    while "$ref" in holder:
        name = holder["$ref"].removeprefix(f"#/components/{kind}/")
        if name not in components.get(kind, {}):
            raise Refused(pointer("components", kind, name), "is referred to and missing")
        holder = components[kind][name]
    return {**holder, "schema": dict(holder["schema"])} if "schema" in holder else dict(holder)


def _starts(document: Json) -> Iterator[str]:
    for operation in by_key(document).values():
        for _, holder, key in operation_roots(operation, ""):
            yield from refs(holder[key])
    if document.get(marks.ERROR_BODY):
        yield from refs(document[marks.ERROR_BODY])


def refs(schema: Json) -> Iterator[str]:
    """The names of the components that a schema refers to, itself and in what is inside it."""
    for _, inner in walk(schema):
        if (name := ref_name(inner)) is not None:
            yield name


def follow(document: Json, name: str, reached: set[str]) -> None:
    """Add to what is reached a component, and all that it refers to."""
    waiting = [name]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            if name not in document["components"].get("schemas", {}):
                raise Refused(pointer("components", "schemas", name), "is referred to and missing")
            waiting.extend(refs(document["components"]["schemas"][name]))
