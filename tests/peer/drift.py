"""How our surface and the official SDK's differ: operations, keywords, fields of objects, enum values, kinds of values; both ways.

The official SDK is not needed for anything else: it is looked at where it happens to be installed beside this project. Facts are compared
(names, types, values), never words. Its classes and our schemas are laid beside each other starting from each method: arguments from its
signature, fields from its answer, members of unions by the values that tell them apart.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Set as AbstractSet
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cache, cached_property, partial
from importlib import import_module
from inspect import signature, unwrap
from typing import Any, Literal, Required, Union, get_args, get_origin, get_type_hints

import attrs

from codegen.document import SCALARS, Json, is_object, ref_name
from codegen.operation import Fields, answer, keywords, properties
from codegen.passes.names import python_name
from codegen.reserved import OPTIONS
from codegen.revisions.diff import Revision, choices, inside, kinds

ARRAYS, MAPS = ("list", "List", "Sequence", "Iterable", "SequenceNotStr"), ("dict", "Dict", "Mapping")
"""Names of types of the official SDK for these."""


class Side(StrEnum):
    """Who has it."""

    PEER = "official SDK"
    OURS = "retell-async"


@attrs.frozen(order=True)
class Finding:
    """Something that one side has and the other lacks."""

    side: Side
    what: Literal["method", "keyword", "field", "value", "kind", "member", "optional"]
    where: str
    name: str

    def __str__(self) -> str:
        return f"{self.what}: {self.where} {self.name}"


@attrs.frozen
class Field:
    """A field of an object, or an argument of a method."""

    shape: Callable[[], Shape]
    required: bool


@attrs.frozen
class Object:
    """An object with fields of its own."""

    name: str
    fields: dict[str, Field]

    @cached_property
    def tags(self) -> dict[str, frozenset[Any]]:
        """The values of fields that have only some."""
        shapes = {name: field.shape() for name, field in self.fields.items()}
        return {name: shape.values for name, shape in shapes.items() if shape.values and not shape.objects and not shape.items}

    @property
    def told_by(self) -> str:
        """What a reader knows it by among others: the values of its tags, else its name."""
        tags = [f"{name}={next(iter(values))}" for name, values in sorted(self.tags.items()) if len(values) == 1]
        return ",".join(tags) or self.name


@attrs.frozen
class Shape:
    """What may stand somewhere, as both sides can say it."""

    kinds: frozenset[str] = frozenset()
    """Of ``str int float bool null any array map object``; with an object or alone, ``any`` is not among others."""
    values: frozenset[Any] = frozenset()
    objects: tuple[Object, ...] = ()
    items: Shape | None = None
    name: str | None = None
    """What our document calls it."""


def drift(here: Revision) -> list[Finding]:
    """All differences between a revision and the official SDK, sorted."""
    theirs, ours = peer_methods(), our_methods(here)
    found = {Finding(Side.PEER, "method", "client", name) for name in theirs.keys() - ours.keys()}
    found |= {Finding(Side.OURS, "method", "client", name) for name in ours.keys() - theirs.keys()}
    options = OPTIONS.intersection(*(signature(method).parameters for method in theirs.values()))
    comparison = _Comparison(found)
    for name in sorted(ours.keys() & theirs.keys()):
        taken, answered_here = ours[name]
        fields = {python_name(wire): field for wire, field in taken.fields.items()}
        call, answered = _peer_call(theirs[name], options)
        comparison.objects(Object(f"client.{name}()", fields), call, "keyword", sent=True)
        comparison.shapes(answered_here, answered, f"client.{name}() ->", sent=False)
    return sorted(found)


@attrs.frozen
class Drift:
    """Findings that want something done, those that are meant to be so with the reason, and reasons for what is no longer found."""

    open: list[Finding]
    settled: list[tuple[Finding, str]]
    stale: list[str]


def compare(here: Revision, reasons: dict[str, str]) -> Drift:
    """Compare a revision with the official SDK.

    :param reasons: which differences are meant, and why, by a pattern of theirs.
    """
    result = Drift([], [], [])
    used: set[str] = set()
    for finding in drift(here):
        meant = next((known for known in reasons if finding.side is Side.PEER and fnmatchcase(str(finding), known)), None)
        if meant is None:
            result.open.append(finding)
        else:
            used.add(meant)
            result.settled.append((finding, reasons[meant]))
    result.stale.extend(known for known in reasons if known not in used)
    return result


class _Comparison:
    def __init__(self, found: set[Finding]) -> None:
        self.found = found
        self._seen: set[tuple[str, str, bool]] = set()

    def shapes(self, ours: Shape, theirs: Shape, where: str, *, sent: bool) -> None:
        if ours.kinds == {"any"} or theirs.kinds == {"any"}:
            return
        self._difference(
            "kind", where, *(shape.kinds - {"int" if "float" in shape.kinds else "", "" if sent else "null"} for shape in (ours, theirs))
        )
        if ours.values and theirs.values:
            self._difference("value", where, ours.values, theirs.values)
        if ours.items and theirs.items:
            self.shapes(ours.items, theirs.items, f"{where}[]", sent=sent)
        for one in theirs.objects:
            if (matched := match(one, ours.objects)) is not None:
                self.objects(matched, one, "field", sent=sent)
            elif ours.objects:
                self.found.add(Finding(Side.PEER, "member", where, one.told_by))
        for one in ours.objects:
            if (matched := match(one, theirs.objects)) is not None:
                self.objects(one, matched, "field", sent=sent)
            elif theirs.objects:
                self.found.add(Finding(Side.OURS, "member", where, one.told_by))

    def objects(self, ours: Object, theirs: Object, what: Literal["keyword", "field"], *, sent: bool) -> None:
        if (ours.name, theirs.name, sent) in self._seen:
            return
        self._seen.add((ours.name, theirs.name, sent))
        self._difference(what, ours.name, ours.fields.keys(), theirs.fields.keys())
        for name in ours.fields.keys() & theirs.fields.keys():
            one, other = ours.fields[name], theirs.fields[name]
            if sent and one.required != other.required:  # of an answer it only says how sure a reader can be
                self.found.add(Finding(Side.PEER if one.required else Side.OURS, "optional", ours.name, name))
            self.shapes(one.shape(), other.shape(), f"{ours.name}.{name}", sent=sent)

    def _difference(self, what: Any, where: str, ours: Any, theirs: Any) -> None:
        self.found |= {Finding(Side.PEER, what, where, str(name)) for name in theirs - ours}
        self.found |= {Finding(Side.OURS, what, where, str(name)) for name in ours - theirs}


def match(one: Object, others: tuple[Object, ...]) -> Object | None:
    """The other side's counterpart: the one that no tag contradicts, and that shares the most values of tags, then fields."""

    def agrees(other: Object) -> bool:
        return all(one.tags[name] & other.tags[name] for name in one.tags.keys() & other.tags.keys())

    def likeness(other: Object) -> tuple[int, float]:
        shared = sum(len(one.tags[name] & other.tags[name]) == 1 for name in one.tags.keys() & other.tags.keys())
        return shared, len(one.fields.keys() & other.fields.keys()) / (len(one.fields.keys() | other.fields.keys()) or 1)

    return max((other for other in others if agrees(other)), key=likeness, default=None)


# Ours: the prepared document.


def our_methods(here: Revision) -> dict[str, tuple[Object, Shape]]:
    """What each method takes, under its name and the API's, and what it answers."""
    document, found = here.prepared, {}
    for key, operation in here.operations.items():
        answered = answer(operation)
        for method in here.entries[key].methods:
            taken = Object(method, _our_fields(document, keywords(document, operation), sent=True))
            found[method] = (taken, Shape(frozenset({"null"})) if answered is None else our_shape(document, answered))
    return found


def _our_fields(document: Json, fields: Fields, *, sent: bool) -> dict[str, Field]:
    return {wire: Field(partial(our_shape, document, schema, sent=sent), required) for wire, (schema, required) in fields.items()}


def our_shape(document: Json, schema: Json, *, sent: bool = False) -> Shape:
    inner = next(iter(inside(document, schema).values()), None)
    return Shape(
        _plain(kinds(document, schema)),
        frozenset(value for _, choice in choices(document, schema) for value in choice.get("enum", ())),
        tuple(
            Object(ref_name(one) or "", _our_fields(document, properties(document, one, sent=sent), sent=sent))
            for one, meant in choices(document, schema)
            if is_object(meant)
        ),
        None if inner is None else our_shape(document, inner, sent=sent),
        ref_name(schema),
    )


# Theirs: what is installed.


def peer_methods() -> dict[str, Callable[..., Any]]:
    """The methods of the official SDK's asynchronous client, by resource and name.

    :raises SystemExit: the official SDK is not installed.
    """
    try:
        client, resources = import_module("retell").AsyncRetell, vars(import_module("retell.resources"))
    except ModuleNotFoundError as error:
        raise SystemExit(f"the official SDK is not installed: {error}") from error
    return {
        f"{name}.{method.__name__}": method
        for name, attribute in vars(client).items()
        if isinstance(attribute, cached_property) and not name.startswith("with_")
        for method in vars(get_type_hints(attribute.func, resources)["return"]).values()
        if isinstance(method, types.FunctionType) and not method.__name__.startswith("_")
    }


def _peer_call(method: Callable[..., Any], options: AbstractSet[str]) -> tuple[Object, Shape]:
    """What a method takes beside the options, which all of them take, and what it answers."""
    method = unwrap(method)
    hints = get_type_hints(method, include_extras=True)
    fields = {
        name: Field(partial(peer_shape, hints[name]), parameter.default is parameter.empty)
        for name, parameter in signature(method).parameters.items()
        if name != "self" and name not in options
    }
    return Object(method.__qualname__, fields), peer_shape(hints["return"])


def peer_shape(annotation: Any) -> Shape:
    annotation = bare(annotation)
    arguments, name = get_args(annotation), type_name(annotation)
    if is_union(annotation):
        return _one([peer_shape(member) for member in arguments])
    if get_origin(annotation) is Literal:
        return Shape(frozenset(type(value).__name__ for value in arguments), frozenset(arguments))
    if annotation in (None, types.NoneType):
        return Shape(frozenset({"null"}))
    if is_dict(annotation):
        hints = peer_hints(annotation).items()
        return _peer_object(annotation, {wire: Field(partial(peer_shape, hint), get_origin(hint) is Required) for wire, hint in hints})
    if isinstance(annotation, type) and hasattr(annotation, "model_fields"):
        said = {field.alias or wire: field for wire, field in annotation.model_fields.items()}
        return _peer_object(
            annotation, {wire: Field(partial(peer_shape, field.annotation), field.is_required()) for wire, field in said.items()}
        )
    if name in ("Omit", "NotGiven"):
        return Shape()
    if name in ARRAYS and arguments:
        return Shape(frozenset({"array"}), items=peer_shape(arguments[0]))
    if name in MAPS:
        return Shape(frozenset({"map"}), items=peer_shape(arguments[1]) if arguments else None)
    return Shape(frozenset({name if name in SCALARS.values() else "any"}))


def _peer_object(annotation: Any, fields: dict[str, Field]) -> Shape:
    return Shape(frozenset({"object"}), objects=(Object(f"{annotation.__module__}.{annotation.__qualname__}", fields),))


def is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType)


def is_dict(annotation: Any) -> bool:
    """Whether it is a TypedDict, of `typing` or of `typing_extensions`."""
    return hasattr(annotation, "__required_keys__")


def bare(annotation: Any) -> Any:
    """What is annotated, without what is said of it."""
    while hasattr(annotation, "__metadata__") or type_name(annotation) in ("Required", "NotRequired"):
        annotation = get_args(annotation)[0]
    return annotation


@cache
def peer_hints(typed_dict: Any) -> dict[str, Any]:
    """What a TypedDict says of its fields, by the API's names."""
    return {_alias(hint) or wire: hint for wire, hint in get_type_hints(typed_dict, include_extras=True).items()}


def type_name(annotation: Any) -> str:
    """What a type is called, without what it is of."""
    return getattr(get_origin(annotation), "__name__", "") or getattr(annotation, "_name", "") or getattr(annotation, "__name__", "")


def _alias(hint: Any) -> str | None:
    for argument in (hint, *get_args(hint)):
        for note in getattr(argument, "__metadata__", ()):
            if alias := getattr(note, "alias", None):
                return str(alias)
    return None


def _one(members: list[Shape]) -> Shape:
    """A union as one shape."""
    inner = [member.items for member in members if member.items]
    return Shape(
        _plain(frozenset().union(*(member.kinds for member in members))),
        frozenset().union(*(member.values for member in members)),
        tuple(one for member in members for one in member.objects),
        _one(inner) if inner else None,
    )


def _plain(kinds: AbstractSet[str]) -> frozenset[str]:
    """Anything is all there is to say, but beside objects: the official SDK says "or null" of one with ``Optional[object]``."""
    if "object" in kinds:
        return frozenset(kinds - {"any", "file"})
    return frozenset({"any"} if kinds & {"any", "file"} else kinds)
