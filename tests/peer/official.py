"""Makes `openapi/official.json` of the official SDK that is installed: its names for types, each said in one of ours.

Its package and the prepared document are walked in step: method by method from what is sent, keyword by keyword, field by field, unions
member by member by what tells these apart. So a name of theirs means what the document has in the very same place.

Their name of what is in something starts with the name of that, and goes on the same wherever the thing is: what follows
``GeneralToolEndCallTool`` follows ``StateToolEndCallTool`` too. So that is written once, for the type that both are here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import reduce
from importlib import import_module
from inspect import unwrap
from operator import or_
from types import ModuleType, NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import attrs

from codegen import marks
from codegen.document import SCALARS, Json, is_object, to_ref
from codegen.rendering.types import literal
from codegen.revisions.diff import Revision
from tests.peer.drift import (
    ARRAYS,
    MAPS,
    Object,
    Shape,
    bare,
    is_dict,
    is_union,
    match,
    our_methods,
    our_shape,
    peer_hints,
    peer_methods,
    peer_shape,
    type_name,
)

UNLIKE, UNLIKE_DICT = "object", "Mapping[str, object]"
"""What stands for names of what is not here."""


@attrs.define
class Named:
    """What a name of theirs is."""

    kind: str
    """The type that it is here."""
    parts: dict[str, Named] = attrs.field(factory=dict)
    """What their names go on to, by what follows."""


@attrs.frozen
class Official:
    """What the official SDK's names are here."""

    text: str
    """The file that says it."""
    names: int
    """How many there are of what methods take."""
    unlike: list[str]
    """Those of them that are no type here."""


def official(here: Revision) -> Official:
    """Say the names of the official SDK in a revision."""
    theirs, ours = peer_methods(), our_methods(here)
    both = sorted(theirs.keys() & ours.keys())
    exported = vars(import_module("retell.types"))
    responses: dict[str, str] = {}
    models: dict[str, str] = {}
    sent = tuple(
        our_shape(here.prepared, to_ref(name), sent=True).objects[0]
        for name, schema in here.prepared["components"]["schemas"].items()
        if is_object(schema) and schema.get(marks.REQUEST)
    )
    found: dict[str, dict[str, Named]] = {}
    params: dict[str, Json] = {}
    for method in both:
        function: Any = unwrap(theirs[method])
        responses.setdefault(str(function.__annotations__["return"]), method)
        for one, other in _pairs(peer_shape(get_type_hints(function)["return"]), ours[method][1], set()):
            models.setdefault(one.name.rpartition(".")[2], other.name)
        # what is sent is made of what is given by a class of the module with the types
        used = [function.__globals__.get(name) for name in function.__code__.co_names if name.endswith("_params")]
        module = next((one for one in used if isinstance(one, ModuleType)), None)
        if module is not None and (name := module.__name__.rpartition(".")[2]) not in found:
            found[name] = _Walk(module, sent).names(ours[method][0])
            params[name] = {"class": module.__all__[0], "method": method}
    split, parts = _parts(found)
    said = {
        "responses": {name: responses[name] for name in sorted(responses.keys() & exported.keys())},
        "models": {name: models[name] for name in sorted(models.keys() & exported.keys() - responses.keys())},
        "params": {name: {**params[name], "names": _ends(found[name], split)} for name in sorted(params)},
        "parts": dict(sorted(parts.items())),
    }
    names = [(f"{module}.{name}", one.kind) for module in sorted(found) for name, one in _all(found[module])]
    unlike = [name for name, kind in names if kind in (UNLIKE, UNLIKE_DICT)]
    return Official(json.dumps(said, indent=1) + "\n", len(names), unlike)


def _pairs(theirs: Shape, ours: Shape, seen: set[str]) -> Iterator[tuple[Object, Object]]:
    """Their models in an answer, each with ours."""
    for one in theirs.objects:
        if one.name not in seen and (other := match(one, ours.objects)) is not None:
            seen.add(one.name)
            yield one, other
            for wire in sorted(one.fields.keys() & other.fields.keys()):
                yield from _pairs(one.fields[wire].shape(), other.fields[wire].shape(), seen)
    if theirs.items and ours.items:
        yield from _pairs(theirs.items, ours.items, seen)


class _Walk:
    """One of their modules, and what its names are here."""

    def __init__(self, module: ModuleType, sent: tuple[Object, ...]) -> None:
        self._module, self._sent = module, sent
        self._whole: str = module.__all__[0]
        self._unions = {bare(value): name for name in module.__all__ if is_union(bare(value := getattr(module, name)))}
        self._roots: dict[str, Named] = {}
        self._found: dict[str, Named] = {}

    def names(self, ours: Object) -> dict[str, Named]:
        """All names of the module but that of the whole, which takes what ``ours`` does."""
        self._types(getattr(self._module, self._whole), Shape(objects=(ours,)), None)
        for name in self._module.__all__:
            if name not in self._found:
                self._note(name, UNLIKE, None)
        del self._roots[self._whole]
        return self._roots

    def _types(self, annotation: Any, ours: Shape, within: str | None) -> list[str]:
        """Our types for what may stand in a place of theirs; every name there is noted."""
        annotation = bare(annotation)
        name, arguments = type_name(annotation), get_args(annotation)
        if is_dict(annotation):
            return [self._dict(annotation, ours, within)]
        if is_union(annotation):
            return self._union(annotation, ours, within)
        if get_origin(annotation) is Literal:
            return [f"Literal[{', '.join(map(literal, arguments))}]"]
        if name in (*ARRAYS, *MAPS) and arguments:
            item = " | ".join(self._types(arguments[-1], ours.items or Shape(), within))
            return [f"Mapping[str, {item}]" if name in MAPS else f"Iterable[{item}]"]
        return [name if name in SCALARS.values() else UNLIKE]

    def _dict(self, annotation: Any, ours: Shape, within: str | None) -> str:
        name = annotation.__name__
        if name not in self._found:
            (theirs,) = peer_shape(annotation).objects
            matched = match(theirs, ours.objects) or self._elsewhere(theirs)
            self._note(name, UNLIKE_DICT if matched is None else f"{matched.name}Param", within)
            fields = {} if matched is None else matched.fields
            for wire, hint in peer_hints(annotation).items():
                self._types(hint, fields[wire].shape() if wire in fields else Shape(), name)
        return self._found[name].kind

    def _elsewhere(self, theirs: Object) -> Object | None:
        """What other requests hold that is just this, or this without fields that may be left out."""
        needed = {wire for wire, field in theirs.fields.items() if field.required}
        return match(theirs, tuple(one for one in self._sent if needed <= one.fields.keys() <= theirs.fields.keys()))

    def _union(self, annotation: Any, ours: Shape, within: str | None) -> list[str]:
        members = [member for member in get_args(annotation) if member is not NoneType]
        null = ["None"] if NoneType in get_args(annotation) else []
        name = self._unions.get(annotation)
        if name is None and null:
            return [*self._types(reduce(or_, members), ours, within), *null]
        if name in self._found:
            return [self._found[name].kind]
        if name is not None:
            self._note(name, UNLIKE, within)
        some = [member for member in members if member is not object]  # "or null" of an object, as in `drift`
        kinds = list(dict.fromkeys(kind for member in some for kind in self._types(member, ours, name or within))) or [UNLIKE]
        if ours.name is not None and {f"{one.name}Param" for one in ours.objects} == {*kinds}:
            kinds = [f"{ours.name}Param"]
        if name is not None:
            self._found[name].kind = " | ".join([*kinds, *(null if kinds != [UNLIKE] else [])])
            return [self._found[name].kind]
        return kinds

    def _note(self, name: str, kind: str, within: str | None) -> None:
        self._found[name] = Named(kind)
        if within is None or within == self._whole or not name.startswith(within):
            self._roots[name] = self._found[name]
        else:
            self._found[within].parts[name.removeprefix(within)] = self._found[name]


def _parts(modules: dict[str, dict[str, Named]]) -> tuple[set[str], dict[str, dict[str, str]]]:
    """What follows the names of each type, and the types of which it is not always the same: theirs is said of what they stand in."""
    split: set[str] = set()
    while True:
        ways: dict[str, dict[str, str]] = {}
        before = len(split)
        for names in modules.values():
            for _, one in _all(names):
                if ways.setdefault(one.kind, ends := _ends(one.parts, split)) != ends:
                    split.add(one.kind)
        if len(split) == before:
            return split, {kind: ends for kind, ends in ways.items() if ends and kind not in split}


def _ends(parts: dict[str, Named], split: set[str]) -> dict[str, str]:
    ends = {name: one.kind for name, one in parts.items()}
    for name, one in parts.items():
        if one.kind in split:
            ends |= {f"{name}{end}": kind for end, kind in _ends(one.parts, split).items()}
    return dict(sorted(ends.items()))


def _all(parts: dict[str, Named], start: str = "") -> Iterator[tuple[str, Named]]:
    """All names, of what is in something too."""
    for end, one in parts.items():
        yield f"{start}{end}", one
        yield from _all(one.parts, f"{start}{end}")
