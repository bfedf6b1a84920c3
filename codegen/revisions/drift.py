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
from functools import cache, cached_property
from importlib import import_module
from inspect import signature, unwrap
from pathlib import Path
from typing import Any, Literal, Required, Union, get_args, get_origin, get_type_hints

import attrs

from ..document import SCALARS, Json, is_object, load_file, operation_key, operations, ref_name, resolved
from ..generate import ROOT, pinned
from ..operation import Fields, answer, keywords, properties
from ..passes.names import python_name
from ..prepare import prepare
from ..reserved import OPTIONS
from ..surface import Entry, entries
from .pin import load

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
    """Of ``str int float bool null any array map``."""
    values: frozenset[Any] = frozenset()
    objects: tuple[Object, ...] = ()
    items: Shape | None = None
    name: str | None = None
    """What our document calls it."""

    def all_kinds(self, *, null: bool) -> frozenset[str]:
        """Of what kinds a value may be: a float may also be an int, an enum is of the kind of its values."""
        kinds = {*self.kinds, *(["object"] if self.objects else []), *(type(value).__name__ for value in self.values)}
        return frozenset(kinds - ({"int"} if "float" in kinds else set()) - (set() if null else {"null"}))


def drift(prepared: Json, named: dict[str, Entry], package: str = "retell") -> list[Finding]:
    """All differences between a prepared document and the official SDK, sorted.

    :raises ModuleNotFoundError: the official SDK is not installed.
    """
    theirs, ours = peer_methods(package), our_methods(prepared, named)
    found = {Finding(Side.PEER, "method", "client", name) for name in theirs.keys() - ours.keys()}
    found |= {Finding(Side.OURS, "method", "client", name) for name in ours.keys() - theirs.keys()}
    options = OPTIONS.intersection(*(signature(method).parameters for method in theirs.values()))
    comparison = _Comparison()
    for name in sorted(ours.keys() & theirs.keys()):
        operation, answered_here = ours[name]
        call, answered = _peer_call(theirs[name], options)
        comparison.objects(_our_call(prepared, operation, f"client.{name}()"), call, "keyword", sent=True)
        comparison.shapes(answered_here, answered, f"client.{name}() ->", sent=False)
    return sorted(found | comparison.found)


@attrs.frozen
class Drift:
    """Findings that want something done, those that are meant to be so with the reason, and reasons for what is no longer found."""

    open: list[Finding]
    settled: list[tuple[Finding, str]]
    stale: list[str]
    moved: bool
    """Whether another document was compared than when `openapi/drift.yaml` was written: what differs now may differ for good reasons."""


def compare(openapi: Path = ROOT / "openapi", facts: Json | None = None) -> Drift:
    """Compare what is pinned with the official SDK; `openapi/drift.yaml` says which differences are meant.

    :param facts: another document in place of the pinned one, such as that from which the official SDK was made.
    :raises ModuleNotFoundError: the official SDK is not installed.
    """
    prepared = prepare(pinned(openapi, facts))
    said = load_file(openapi / "drift.yaml")
    known: list[Json] = said["meant"]
    result = Drift([], [], [], moved=facts is not None or said["of"] != load(openapi / "pin.toml").now.pinned)
    used: set[str] = set()
    for finding in drift(prepared, entries(prepared, load_file(openapi / "surface.yaml"))):
        meant = next((entry for entry in known if finding.side is Side.PEER and fnmatchcase(str(finding), entry["finding"])), None)
        if meant is None:
            result.open.append(finding)
        else:
            used.add(meant["finding"])
            result.settled.append((finding, meant["why"]))
    result.stale.extend(entry["finding"] for entry in known if entry["finding"] not in used)
    return result


class _Comparison:
    def __init__(self) -> None:
        self.found: set[Finding] = set()
        self._seen: set[tuple[str, str, bool]] = set()

    def shapes(self, ours: Shape, theirs: Shape, where: str, *, sent: bool) -> None:
        if ours.kinds == {"any"} or theirs.kinds == {"any"}:
            return
        self._difference("kind", where, ours.all_kinds(null=sent), theirs.all_kinds(null=sent))
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


def our_methods(document: Json, named: dict[str, Entry]) -> dict[str, tuple[Json, Shape]]:
    """The operation of each method, and what it answers."""
    return {
        str(method): (operation, _our_answer(document, answer(operation)))
        for verb, path, operation in operations(document)
        for method in named[operation_key(verb, path)].methods
    }


def _our_call(document: Json, operation: Json, name: str) -> Object:
    return Object(
        name, {python_name(wire): field for wire, field in our_fields(document, keywords(document, operation), sent=True).items()}
    )


def _our_answer(document: Json, schema: Json | None) -> Shape:
    return Shape(kinds=frozenset({"null"})) if schema is None else our_shape(document, schema)


def our_fields(document: Json, fields: Fields, *, sent: bool) -> dict[str, Field]:
    return {wire: _our_field(document, schema, required, sent=sent) for wire, (schema, required) in fields.items()}


def _our_field(document: Json, schema: Json, required: bool, *, sent: bool) -> Field:
    return Field(lambda: our_shape(document, schema, sent=sent), required)


def our_shape(document: Json, schema: Json, *, sent: bool = False) -> Shape:
    return attrs.evolve(_our_shape(document, schema, sent=sent), name=ref_name(schema))


def _our_shape(document: Json, schema: Json, *, sent: bool) -> Shape:
    meant = resolved(document, schema)
    null = frozenset({"null"} if meant.get("nullable") or schema.get("nullable") else ())
    if "oneOf" in meant:
        return _one([our_shape(document, member, sent=sent) for member in meant["oneOf"]] + [Shape(kinds=null)])
    if is_object(meant):
        return Shape(
            kinds=null, objects=(Object(ref_name(schema) or "", our_fields(document, properties(document, schema, sent=sent), sent=sent)),)
        )
    if "enum" in meant:
        return Shape(kinds=null, values=frozenset(meant["enum"]))
    kind = meant.get("type")
    if kind == "array":
        return Shape(kinds=null | {"array"}, items=our_shape(document, meant.get("items", {}), sent=sent))
    if kind == "object":
        values = meant.get("additionalProperties")
        return Shape(kinds=null | {"map"}, items=our_shape(document, values, sent=sent) if isinstance(values, dict) else None)
    if meant.get("format") == "binary":
        return Shape(kinds=frozenset({"any"}))
    return Shape(kinds=null | {SCALARS.get(str(kind), "any")})


# Theirs: what is installed.


def peer_methods(package: str) -> dict[str, Callable[..., Any]]:
    """The methods of the official SDK's asynchronous client, by resource and name.

    :raises ModuleNotFoundError: the official SDK is not installed.
    """
    client, resources = import_module(package).AsyncRetell, vars(import_module(f"{package}.resources"))
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
        name: _peer_field(hints[name], required=parameter.default is parameter.empty)
        for name, parameter in signature(method).parameters.items()
        if name != "self" and name not in options
    }
    return Object(method.__qualname__, fields), peer_shape(hints["return"])


def _peer_field(annotation: Any, *, required: bool) -> Field:
    return Field(lambda: peer_shape(annotation), required)


def peer_shape(annotation: Any) -> Shape:
    annotation = bare(annotation)
    origin, arguments, name = get_origin(annotation), get_args(annotation), type_name(annotation)
    if is_union(annotation):
        return _one([peer_shape(member) for member in arguments])
    if origin is Literal:
        return Shape(values=frozenset(arguments))
    if annotation in (None, type(None)):
        return Shape(kinds=frozenset({"null"}))
    if is_dict(annotation):
        fields = {wire: _peer_field(hint, required=get_origin(hint) is Required) for wire, hint in peer_hints(annotation).items()}
        return Shape(objects=(Object(_full_name(annotation), fields),))
    if isinstance(annotation, type) and hasattr(annotation, "model_fields"):
        fields = {
            field.alias or wire: _peer_field(field.annotation, required=field.is_required())
            for wire, field in annotation.model_fields.items()
        }
        return Shape(objects=(Object(_full_name(annotation), fields),))
    if name in ("Omit", "NotGiven"):
        return Shape()
    if name in ARRAYS and arguments:
        return Shape(kinds=frozenset({"array"}), items=peer_shape(arguments[0]))
    if name in MAPS:
        return Shape(kinds=frozenset({"map"}), items=peer_shape(arguments[1]) if arguments else None)
    return Shape(kinds=frozenset({name if name in ("str", "int", "float", "bool") else "any"}))


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


def _full_name(annotation: Any) -> str:
    return f"{annotation.__module__}.{annotation.__qualname__}"


def _one(members: list[Shape]) -> Shape:
    """A union as one shape."""
    kinds: frozenset[str] = frozenset().union(*(member.kinds for member in members))
    inner = [member.items for member in members if member.items]
    if any(member.objects for member in members):  # the official SDK says "or null" of an object with ``Optional[object]``
        kinds -= {"any"}
    return Shape(
        kinds=frozenset({"any"}) if "any" in kinds else kinds,
        values=frozenset().union(*(member.values for member in members)),
        objects=tuple(one for member in members for one in member.objects),
        items=_one(inner) if inner else None,
    )
