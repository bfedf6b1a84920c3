"""Every ``allOf`` becomes the one schema that it means.

Schemas are laid over each other: properties together, each narrowed by all that say something of it; bounds to the tighter one; enums to
what is in both. A union under something else is narrowed member by member, and a member that contradicts falls out.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from .. import marks
from ..document import TIGHTER, Json, Refused, all_schemas, fingerprint, pointer, ref_name, resolved, rewrite, roots

_ANNOTATIONS = frozenset({"default", "deprecated", "title", "readOnly", "writeOnly", "format", "pattern", "discriminator"})
_BESIDE = _ANNOTATIONS | {"nullable", marks.NAME}
_UNION = frozenset({marks.TAG, marks.NAME, "discriminator"})
"""What is said of a union as a whole."""


class _Contradiction(Exception):
    """Nothing can satisfy both."""


def run(document: Json) -> None:
    for where, holder, key in list(roots(document)):
        holder[key] = _flat(document, holder[key], where)
    for _, schema in all_schemas(document):
        for name in schema.pop(marks.ABSENT, ()):
            schema.get("properties", {}).pop(name, None)
            if name in schema.get("required", ()):
                schema["required"].remove(name)
        for name in schema.get("required", ()) if "properties" in schema else ():
            schema["properties"].setdefault(name, {})  # what has to be there and is described nowhere may be anything


def _flat(document: Json, schema: Json, where: str) -> Json:
    """The schema without ``allOf``, in it and inside it."""
    schema = _meant(document, schema, where)
    rewrite(schema, lambda way, child: _flat(document, child, where + pointer(*way)))
    return schema


def _meant(document: Json, schema: Json, where: str) -> Json:
    """The schema without ``allOf`` at its top, and without what has to be laid over the members of a union."""
    if "allOf" not in schema and ("oneOf" not in schema or not {"properties", "required", "enum", marks.ABSENT} & schema.keys()):
        return schema
    of_union = {key: schema[key] for key in ("oneOf", "nullable", *_UNION) if "oneOf" in schema and key in schema}
    beside = {key: value for key, value in schema.items() if key != "allOf" and key not in of_union}
    meant, *others = [deepcopy(part) for part in (*schema.get("allOf", ()), of_union, beside) if part] or [{}]
    try:
        for part in others:
            meant = _both(document, meant, part, where)
    except _Contradiction as error:
        raise Refused(where, f"nothing can satisfy all of it: {error}") from None
    return _meant(document, meant, where)


def _expanded(document: Json, schema: Json, where: str) -> Json:
    """The schema itself, without reference or ``allOf`` at its top, remembering what it was a reference to."""
    name = ref_name(schema)
    schema = _meant(document, deepcopy(resolved(document, schema)), pointer("components", "schemas", name) if name else where)
    if name is not None:
        schema[marks.BASE] = name
        schema.pop(marks.NAME, None)
    return schema


def _both(document: Json, one: Json, other: Json, where: str) -> Json:
    if ref_name(one) is not None and ref_name(one) == ref_name(other):
        return {**one, **other}
    if other.keys() <= _BESIDE:
        return _annotated(one, other)
    if one.keys() <= _BESIDE:
        return _annotated(other, one)
    left, right = _expanded(document, one, where), _expanded(document, other, where)
    if "oneOf" in left or "oneOf" in right:
        union, over = (left, right) if "oneOf" in left else (right, left)
        return _narrowed_union(document, union, over, where)
    merged = {**left, **right, **{key: _keyword(document, key, left[key], right[key], where) for key in left if key in right}}
    if merged.get("type") == "string" and ("enum" in left) != ("enum" in right) and len(merged["enum"]) == 1:
        merged[marks.ANY_TEXT] = True
    _nullable(merged, left, right)
    for ref, said in ((one, left), (other, right)):  # a narrowing that changes nothing leaves the reference
        if ref_name(ref) is not None and fingerprint(merged) == fingerprint(said):
            return ref
    return merged


def _annotated(schema: Json, notes: Json) -> Json:
    if "$ref" not in schema and "oneOf" not in schema:  # an inline schema has said itself whether it may be null
        notes = {key: value for key, value in notes.items() if key != "nullable"}
    return {**schema, **notes}


def _narrowed_union(document: Json, union: Json, over: Json, where: str) -> Json:
    members: list[Json] = []
    for member in union["oneOf"]:
        try:
            members.append(_both(document, member, deepcopy(over), where))
        except _Contradiction:
            continue
    if not members:
        raise _Contradiction("no member of the union is left")
    rest = {key: value for key, value in union.items() if key in _BESIDE | _UNION}
    _nullable(rest, {"nullable": union.get("nullable")}, over)
    return {**members[0], **rest} if len(members) == 1 else {"oneOf": members, **rest}


def _keyword(document: Json, key: str, left: Any, right: Any, where: str) -> Any:
    if left == right:
        return left
    if key == "properties":
        both = {name: _both(document, left[name], right[name], where + pointer(key, name)) for name in left if name in right}
        return {**left, **right, **both}
    if key in ("items", "additionalProperties") and isinstance(left, dict) and isinstance(right, dict):
        return _both(document, left, right, f"{where}/{key}")
    if key == "additionalProperties":
        return right if left is True else left
    if key in ("required", marks.ABSENT, marks.EXCLUSIVE):
        return sorted([*left, *(item for item in right if item not in left)])
    if key == "enum":
        if not (common := [value for value in left if value in right]):
            raise _Contradiction(f"{left} and {right} have no value in common")
        return common
    if key == "type":
        if (left, right) in (("integer", "number"), ("number", "integer")):
            return "integer"
        raise _Contradiction(f"{left} and {right}")
    if key in TIGHTER:
        return TIGHTER[key](left, right)
    if key in _BESIDE or key.startswith("x-"):
        return right
    raise Refused(where, f"{key} says two things and cannot be merged")


def _nullable(merged: Json, left: Json, right: Json) -> None:
    """Null passes if it passes both; a schema without a type says nothing of null."""
    sides = [side for side in (left, right) if "type" in side or "nullable" in side]
    merged.pop("nullable", None)
    if sides and all(side.get("nullable") for side in sides):
        merged["nullable"] = True
