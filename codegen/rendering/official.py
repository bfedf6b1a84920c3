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
from .types import names as names_in
from .views import Views


def official(names: Json, views: Views) -> Iterator[tuple[str, str, Json]]:
    """The modules of `retell_async/types`, from the names and what the document has: a template, a name and what it says."""
    methods = {f"{one.name}.{method.name}": method.operation for one in views.resources for method in one.methods}
    params, models = dict(views.modules["params"]), dict(views.modules["models"])
    answers = {name: methods[method] for name, method in names.get("responses", {}).items() if method in methods}
    pages = {name: one.returns if one.returns in models else "UnknownObject" for name, one in answers.items() if one.paging}
    responses = {name: f"Page[{one.item}]" if name in pages else one.returns for name, one in answers.items()}
    responses |= {name: model for name, model in names.get("models", {}).items() if model in models}
    for module, said in names.get("params", {}).items():
        operation = methods.get(said["method"])
        known = dict(_all(said["names"], names["parts"]))
        needed = {name: {one for one in names_in([kind]) if one.endswith("Param")} for name, kind in known.items()}
        aliases = {name: kind if needed[name] <= params.keys() else "Mapping[str, object]" for name, kind in known.items()}
        keywords = [] if operation is None else [*chain(*operation.fields.values())]
        used = views.imports([*aliases.values(), *(field.type for field in keywords)])
        # a model goes under another name where its own is taken
        here = {name: f"{name}_" if name in aliases else name for _, _, name in used}
        fields = {field.name: attrs.evolve(field, type=_renamed(field.type, here)) for field in keywords}
        imports = [(*one, here[one[2]]) for one in used]
        yield "types/params", module, {**said, "imports": imports, "fields": fields.values(), "aliases": sorted(aliases.items())}
    theirs = {name: kind for name, kind in sorted(responses.items()) if name != kind}
    answered = sorted((module_name(name), name) for name in responses)
    yield "types/init", "__init__", {"params": names.get("params", {}), "responses": theirs, "pages": pages, "answers": answered}
    for module, name in answered:
        yield "types/answer", module, {"name": name}


def _all(ends: Json, parts: Json, start: str = "") -> Iterator[tuple[str, str]]:
    """Every name, and its type: those that are said, and those that they go on to."""
    for end, kind in ends.items():
        yield f"{start}{end}", kind
        yield from _all(parts.get(kind, {}), parts, f"{start}{end}")


def _renamed(kind: str, names: dict[str, str]) -> str:
    return re.sub(r"\b[A-Z]\w*\b", lambda found: names.get(found[0], found[0]), kind)
