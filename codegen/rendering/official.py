"""The names that the official SDK has for types, each said in one of ours: `retell_async/types`.

`openapi/official.json`, which `python -m tests.peer official` writes, has them: what its methods answer, the modules of what they take with
the names in each, and what those names go on to by the type that they are here. What a later document does not have any more is an object
there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain

import attrs

from ..document import Json
from ..passes.names import module_name
from .classes import Field
from .types import names as names_in
from .views import Views

_ANY = "Mapping[str, object]"


@attrs.frozen
class Params:
    """A module of what one method takes."""

    module: str
    name: str
    """The dict of all its keywords."""
    method: str
    imports: list[tuple[str, str, str, str]]
    """Folders, modules and names of what it uses, and their names there."""
    fields: list[Field]
    aliases: list[tuple[str, str]]
    """Names of theirs, and the types that they are here."""


@attrs.frozen
class Types:
    """The whole of it."""

    modules: list[Params]
    responses: list[tuple[str, str]]
    """Names of theirs, and the types that they are here."""
    pages: dict[str, str]
    """Those of them that are pages, and the models of their JSON."""
    own: list[tuple[str, str]]
    """Our names for models, and their modules, without those that are theirs."""
    answers: list[tuple[str, str]]
    """Their modules of what methods answer, and the class of each."""


def official(names: Json, views: Views) -> Types:
    """What is to be written, from the names and what the document has."""
    methods = {f"{one.name}.{method.name}": method.operation for one in views.resources for method in one.methods}
    params, models = dict(views.param_names), dict(views.model_names)
    answers = {name: methods[method] for name, method in names.get("responses", {}).items() if method in methods}
    pages = {name: one.returns if one.returns in models else "UnknownObject" for name, one in answers.items() if one.paging}
    responses = {name: f"Page[{one.item}]" if name in pages else one.returns for name, one in answers.items()}
    responses |= {name: model for name, model in names.get("models", {}).items() if model in models}
    found: list[Params] = []
    for module, said in names.get("params", {}).items():
        operation = methods.get(said["method"])
        aliases = {name: kind if _is_known(kind, params) else _ANY for name, kind in _all(said["names"], names["parts"])}
        keywords = [] if operation is None else [*chain(*operation.fields.values())]
        used = views.imports([*aliases.values(), *(field.type for field in keywords)])
        # a model goes under another name where its own is taken
        here = {name: f"{name}_" if name in aliases else name for _, _, name in used}
        fields = {field.name: attrs.evolve(field, type=_renamed(field.type, here)) for field in keywords}
        imports = [(*one, here[one[2]]) for one in used]
        found.append(Params(module, said["class"], said["method"], imports, list(fields.values()), sorted(aliases.items())))
    aliased = sorted((name, kind) for name, kind in responses.items() if name != kind)
    answered = sorted((module_name(name), name) for name in responses)
    return Types(found, aliased, pages, [pair for pair in views.model_names if pair[0] not in dict(aliased)], answered)


def _all(ends: Json, parts: Json, start: str = "") -> Iterator[tuple[str, str]]:
    """Every name, and its type: those that are said, and those that they go on to."""
    for end, kind in ends.items():
        yield f"{start}{end}", kind
        yield from _all(parts.get(kind, {}), parts, f"{start}{end}")


def _renamed(kind: str, names: dict[str, str]) -> str:
    return re.sub(r"\b[A-Z]\w*\b", lambda found: names.get(found[0], found[0]), kind)


def _is_known(kind: str, params: dict[str, str]) -> bool:
    return all(name in params for name in names_in([kind]) if name.endswith("Param"))
