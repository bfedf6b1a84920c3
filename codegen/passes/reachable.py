"""Only what an operation needs is generated; what none needs is set aside by name, in ``x-unreachable``, for the report."""

from __future__ import annotations

import re
from collections.abc import Iterable

from .. import marks
from ..document import Json, Refused, component, followed, operations, parts, pointer, roots, walk


def run(document: Json) -> None:
    components = document.setdefault("components", {})
    for method, path, operation in operations(document):
        _write_out(document, operation, document["paths"][path].get("parameters", ()), pointer("paths", path, method))
    for holder in (*document["paths"].values(), components):
        holder.pop("parameters", None)
    components.pop("requestBodies", None)
    needed = set[str]().union(*used(document).values())
    schemas = components.get("schemas", {})
    document[marks.UNREACHABLE] = sorted(set(schemas) - needed)
    components["schemas"] = {name: schema for name, schema in schemas.items() if name in needed}


def _write_out(document: Json, operation: Json, shared: Iterable[Json], where: str) -> None:
    """Give an operation its own parameters and body in full, so that nothing else needs looking up."""
    parameters: dict[tuple[str, str], Json] = {}
    for parameter in (followed(document, one) for one in [*operation.get("parameters", ()), *shared]):
        if "schema" not in parameter:
            raise Refused(f"{where}/parameters", f"{parameter['name']} has no schema: what it has instead cannot be expressed")
        parameters.setdefault((parameter["in"], parameter["name"]), parameter)
    for name in re.findall(r"{([^}]*)}", parts(where)[1]):  # which a path cannot be without
        parameters.setdefault(("path", name), {"in": "path", "name": name, "required": True, "schema": {"type": "string"}})
    operation["parameters"] = list(parameters.values())
    if "requestBody" in operation:
        operation["requestBody"] = dict(followed(document, operation["requestBody"]))
    for holder in (operation.get("requestBody", {}), *operation.get("responses", {}).values()):
        for content in holder.get("content", {}).values():
            content.setdefault("schema", {})


def usage(document: Json) -> None:
    """Each component says whether requests hold it, answers, or both; what was only ever laid under other schemas is taken out."""
    schemas, users = document["components"]["schemas"], used(document)
    for name, mark in ((name, mark) for mark, names in users.items() for name in names):
        schemas[name][mark] = True
    document["components"]["schemas"] = {name: schema for name, schema in schemas.items() if users.keys() & schema.keys()}


def used(document: Json) -> dict[str, set[str]]:
    """The names of the components that requests hold, and of those that answers do, by the mark that says so."""
    found: dict[str, set[str]] = {marks.REQUEST: set(), marks.RESPONSE: {*_refs(document.get(marks.ERROR_BODY) or {}, "")}}
    for method, path, operation in operations(document):
        for where, holder, _ in roots(operation):
            names = _refs(holder["schema"], pointer("paths", path, method) + where)
            found[marks.RESPONSE if where.startswith("/responses") else marks.REQUEST].update(names)
    return {mark: reached(document, names) for mark, names in found.items()}


def _refs(schema: Json, where: str) -> set[str]:
    """The names of the components that a schema refers to, itself and in what is inside it."""
    found = {f"{place}/$ref": str(inner["$ref"]) for place, inner in walk(schema, where) if "$ref" in inner}
    for place, ref in found.items():
        if not ref.startswith("#/components/schemas/"):
            raise Refused(place, f"{ref} cannot stand for a schema: only references to #/components/schemas/ can")
    return {ref.removeprefix("#/components/schemas/") for ref in found.values()}


def reached(document: Json, names: Iterable[str]) -> set[str]:
    """The names of some components, and of all that they refer to."""
    found, new = set[str](), {*names}
    while new:
        found |= new
        new = {ref for name in new for ref in _refs(component(document, name), pointer("components", "schemas", name))} - found
    return found
