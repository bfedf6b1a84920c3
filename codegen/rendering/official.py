"""The names that the official SDK has for types, each said in one of ours: `retell_async/types`.

`openapi/official.json`, which `python -m codegen official` writes, has them: what its methods answer, the modules of what they take with
the names in each, and what those names go on to by the type that they are here. What a later document does not have any more is an object
there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import attrs

from ..document import Json
from .views import Field, Operation, Views

__all__ = ["Alias", "Params", "Types", "official"]

_NAME = re.compile(r"\b[A-Z]\w*Param\b")
_ANY = "Mapping[str, object]"


@attrs.frozen
class Alias:
    """A name of theirs, and the type that it is here."""

    name: str
    type: str


@attrs.frozen
class Params:
    """A module of what one method takes."""

    module: str
    name: str
    """The dict of all its keywords."""
    method: str
    models: list[tuple[str, str, str]]
    """Their names, their modules, and their names there."""
    params: list[tuple[str, str]]
    fields: list[Field]
    aliases: list[Alias]


@attrs.frozen
class Types:
    """The whole of it."""

    modules: list[Params]
    responses: list[Alias]
    own: list[tuple[str, str]]
    """Our names for models, and their modules, without those that are theirs."""
    params: list[tuple[str, str]]


def official(names: Json, views: Views) -> Types:
    """What is to be written, from the names and what the document has."""
    methods: dict[str, Operation] = {f"{one.name}.{method.name}": method.operation for one in views.resources for method in one.methods}
    modules = dict(views.param_names)
    responses = [
        Alias(name, f"Page[{operation.item}]" if operation.item else operation.returns)
        for name, method in names.get("responses", {}).items()
        if (operation := methods.get(method)) is not None
    ]
    known = dict(views.model_names)
    responses += [Alias(name, model) for name, model in names.get("models", {}).items() if model in known]
    responses = [alias for alias in responses if alias.name != alias.type]
    theirs = {alias.name for alias in responses}
    found: list[Params] = []
    for module, said in names.get("params", {}).items():
        operation = methods.get(said["method"])
        aliases = [Alias(name, _known(kind, modules)) for name, kind in _all(said["names"], names["parts"])]
        used = {name for alias in aliases for name in _NAME.findall(alias.type)}
        fields = [] if operation is None else [*operation.path_fields, *operation.query_fields, *operation.body_fields]
        fields = list({field.name: field for field in fields}.values())
        models = [] if operation is None else operation.models
        taken = {alias.name for alias in aliases}
        hidden = {name: f"{name}_" for name, _ in models if name in taken}  # the model goes under another name there
        fields = [attrs.evolve(field, type=_renamed(field.type, hidden)) for field in fields]
        imports = sorted({(name, modules[name]) for name in used} | {*([] if operation is None else operation.params)})
        named = [(name, place, hidden.get(name, name)) for name, place in models]
        found.append(Params(module, said["class"], said["method"], named, imports, fields, sorted(aliases, key=lambda one: one.name)))
    return Types(
        found, sorted(responses, key=lambda one: one.name), [pair for pair in views.model_names if pair[0] not in theirs], views.param_names
    )


def _all(ends: Json, parts: Json, start: str = "") -> Iterator[tuple[str, str]]:
    """Every name, and its type: those that are said, and those that they go on to."""
    for end, kind in ends.items():
        yield f"{start}{end}", kind
        yield from _all(parts.get(kind, {}), parts, f"{start}{end}")


def _renamed(kind: str, names: dict[str, str]) -> str:
    return re.sub(r"\b[A-Z]\w*\b", lambda found: names.get(found[0], found[0]), kind)


def _known(kind: str, modules: dict[str, str]) -> str:
    return kind if kind == _ANY or all(name in modules for name in _NAME.findall(kind)) else _ANY
