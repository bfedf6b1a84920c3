"""Every union of objects gets a table that tells its members apart by looking, never by trying.

First choice is the document's own discriminator, with its mapping, the values that members list, or the names of components. Else a tag: a
required field that each member has with values of its own. Else a key: a required field that no other member knows; one member may have
none, and is what is none of the others. Else a tag that may be left out.
Where none of these is there, the overlay has to name one (``x-tag: field`` beside ``oneOf``), and the document is refused until it does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from itertools import chain
from typing import Any

from .. import marks
from ..document import Json, Refused, all_schemas, fingerprint, is_object, ref_name, resolved


def run(document: Json) -> None:
    for _, schema in list(all_schemas(document)):
        if "oneOf" in schema:
            _flatten(document, schema)
            if len(schema["oneOf"]) == 1:
                (member,) = schema.pop("oneOf")
                schema.pop("type", None)
                schema |= {key: value for key, value in member.items() if key not in schema}
    for where, schema in list(all_schemas(document)):
        if "oneOf" in schema:
            _tell_apart(document, schema, where)


def _flatten(document: Json, schema: Json) -> None:
    """A union inside a union is one union."""
    members: list[Json] = []
    for member in schema["oneOf"]:
        meant = resolved(document, member)
        if "oneOf" in meant and ("$ref" not in member or any(is_object(resolved(document, inner)) for inner in meant["oneOf"])):
            _flatten(document, meant)
            members.extend({**inner} for inner in meant["oneOf"])
            schema |= {"nullable": True} if meant.get("nullable") else {}
        else:
            members.append(member)
    schema["oneOf"] = list({fingerprint(member): member for member in members}.values())


def _tell_apart(document: Json, schema: Json, where: str) -> None:
    schema.pop("type", None)
    objects = [(member, meant) for member in schema["oneOf"] if is_object(meant := resolved(document, member))]
    if len(objects) < 2:
        if objects and any(resolved(document, member).get("type") == "object" for member in schema["oneOf"] if member is not objects[0][0]):
            raise Refused(f"{where}/oneOf", "an object with fields cannot be told from one without")
        return
    meanings = [meant for _, meant in objects]
    known = Counter(chain(*(meant["properties"] for meant in meanings)))
    keys = [min((name for name in meant.get("required", ()) if known[name] == 1), default=None) for meant in meanings]
    have_keys = keys.count(None) <= 1 and any(keys)  # one may be left, which is what is none of the others
    tag: str | None = schema.get(marks.TAG)
    if tag is not None and not _values(document, meanings, tag):
        raise Refused(f"{where}/oneOf", f"{tag!r} cannot be the tag: a member has no values of its own for it")
    if tag is None and _discriminated(document, schema, objects):
        return
    tag = tag or _tag(document, meanings, optional=not have_keys)
    if tag is not None:
        schema[marks.TAG] = tag
        for (member, _), own in zip(objects, _values(document, meanings, tag), strict=True):
            member[marks.VALUES] = own
        return
    if not have_keys:
        named = [ref_name(member) or member.get("title") or f"member {schema['oneOf'].index(member)}" for member, _ in objects]
        alike = " and ".join(name for name, key in zip(named, keys, strict=True) if key is None)
        lacks = "there is no tag (a field with other values in each) and no key (a required field of its own)"
        remedy = "name a tag in the overlay, x-tag: <field> beside oneOf"
        if "discriminator" in schema:
            remedy = "give each the field that discriminator names, in the overlay"
        raise Refused(f"{where}/oneOf", f"{alike} cannot be told apart: {lacks}; {remedy}")
    for (member, _), key in zip(objects, keys, strict=True):
        member[marks.KEY] = key


def _discriminated(document: Json, schema: Json, objects: Sequence[tuple[Json, Json]]) -> bool:
    """Whether the document says itself what tells the members apart, by a field of theirs, and the values that it maps or these list."""
    said = schema.get("discriminator", {})
    names = [ref_name(member) or member.get(marks.BASE) for member, _ in objects]
    if None in names or not all(said.get("propertyName") in meant["properties"] for _, meant in objects):
        return False
    mapped = [(value, str(ref).rpartition("/")[2]) for value, ref in said.get("mapping", {}).items()]
    listed = _values(document, [meant for _, meant in objects], said["propertyName"]) or [[] for _ in objects]
    values = [[*own, *(value for value, to in mapped if to == name and value not in own)] for own, name in zip(listed, names, strict=True)]
    for (member, _), own, name in zip(objects, values, names, strict=True):
        member[marks.VALUES] = own or [name]
    schema[marks.TAG] = said["propertyName"]
    return True


def _values(document: Json, members: Sequence[Json], name: str) -> list[list[Any]]:
    """The values that a field has in each member; none at all unless these tell the members apart."""
    found = [list(resolved(document, member["properties"].get(name, {})).get("enum", ())) for member in members]
    values = [*chain(*found)]
    return found if all(found) and all(isinstance(one, Hashable) for one in values) and len({*values}) == len(values) else []


def _tag(document: Json, members: Sequence[Json], *, optional: bool) -> str | None:
    """The field that tells them apart by its values; one that may be left out only if nothing else does."""
    names: set[str] = set.intersection(*(set(member["properties"]) for member in members))
    required = {name for name in names if all(name in member.get("required", ()) for member in members)}
    best = sorted(names if optional else required, key=lambda name: (name not in required, name != "type", name))
    return next((name for name in best if _values(document, members, name)), None)
