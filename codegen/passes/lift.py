"""Every object, union and long enum gets a name of its own (`codegen/README.md` says which) and a place among the components."""

from __future__ import annotations

import json
import re
from collections import defaultdict

from .. import marks
from ..document import Json, Refused, all_schemas, by_key, fingerprint, is_object, pointer, ref_name, rewrite, to_ref
from .aliases import is_named

_BESIDE = frozenset({"nullable", "deprecated", "default", "readOnly", "writeOnly", marks.VALUES, marks.KEY})
"""What is said of a place, not of what stands there."""

SHORT_ENUM = 3
"""Up to this many values are written out where they stand."""


def run(document: Json) -> None:
    _Lift(document).run()


def pascal(name: str) -> str:
    """``voicemail_option`` and ``voicemail-option`` as ``VoicemailOption``; capitals inside stay."""
    return "".join(word[:1].upper() + word[1:] for word in re.split(r"[^A-Za-z0-9]+", name) if word)


def singular(name: str) -> str:
    for plural, one in (("ies", "y"), ("sses", "ss"), ("xes", "x"), ("ches", "ch"), ("s", "")):
        if name.endswith(plural) and (plural == "sses" or not name.endswith(("ss", "us", "is", "sms"))):
            return name[: -len(plural)] + one
    return name


class _Lift:
    def __init__(self, document: Json) -> None:
        self.document = document
        self.schemas: Json = document["components"]["schemas"]
        self.taken = frozenset(self.schemas)
        self.known: Json = document.get(marks.NAMES) or {}
        self.named: Json = {place: name for place, name in self.known.items() if place.endswith("()")}  # of `names`
        for schema in self.schemas.values():
            schema.pop(marks.BASE, None)
        # what each component says, before anything inside it is lifted
        self.said = {name: fingerprint(schema) for name, schema in self.schemas.items()}
        # property -> what is said there -> the named owners that say it
        self.says: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        components = {id(schema): name for name, schema in self.schemas.items()}
        for _, schema in all_schemas(document):
            for value, name in (self._inner(field, wire) for wire, field in schema.get("properties", {}).items()):
                if self._wants_name(value):
                    self.says[name][_said(value)] += [components[id(schema)]] if id(schema) in components else []

    def run(self) -> None:
        for name in sorted(self.schemas):
            self._inside(self.schemas[name], name)
        for operation in by_key(self.document).values():
            title = pascal(operation["operationId"])
            for content in operation.get("requestBody", {}).get("content", {}).values():
                content["schema"] = self._lifted(content["schema"], f"{title}Request", title, f"{title} body")
            answers = sorted(operation["responses"].items(), key=lambda answer: f"{title} {answer[0]}" not in self.known)
            for index, (status, response) in enumerate(answers):  # the one that was there first has the short name
                for content in response.get("content", {}).values():
                    name = f"{title}Response{status if index else ''}"
                    content["schema"] = self._lifted(content["schema"], name, title, f"{title} {status}")
            for parameter in operation["parameters"]:
                parameter["schema"] = self._at_property(parameter["name"], parameter["schema"], title)
        self.document[marks.NAMES] = dict(sorted(self.named.items()))

    def _inner(self, schema: Json, name: str) -> tuple[Json, str]:
        """What an array or a map of arrays is made of in the end, and the name that fits one of it."""
        while (item := schema.get("items") or schema.get("additionalProperties")) and isinstance(item, dict) and not is_object(schema):
            schema, name = item, singular(name)
        return schema, name

    def _wants_name(self, schema: Json) -> bool:
        is_short = "oneOf" not in schema and not is_object(schema) and len(schema.get("enum", ())) <= SHORT_ENUM
        return "$ref" not in schema and not is_short and is_named(self.document, schema)

    def _inside(self, schema: Json, owner: str) -> None:
        """Lift what is inside a schema that has a name."""

        def lifted(way: tuple[str | int, ...], child: Json) -> Json:
            if way[0] == "oneOf":
                name = self._member_name(child, owner)
                return self._lifted(child, name, owner, f"{owner} {name}")
            if way[0] == "properties":
                return self._at_property(str(way[1]), child, owner)
            return self._lifted(child, f"{singular(owner)}Item" if singular(owner) == owner else singular(owner), owner, f"{owner} item")

        rewrite(schema, lifted)

    def _at_property(self, name: str, schema: Json, owner: str) -> Json:
        """What stands at a property, which may be an array of it, with what is inside it lifted."""
        inner, short = self._inner(schema, name)
        new = self._new_name(short, inner, owner) if self._wants_name(inner) else owner + pascal(short)
        return self._lifted(schema, new, owner, f"{owner}.{name}")

    def _new_name(self, name: str, schema: Json, owner: str) -> str:
        if joined := _joined(schema):
            return joined
        base: str | None = schema.get(marks.BASE)
        rivals = [other for other in self.says[name] if json.loads(other).get(marks.BASE) == base]
        owners = sorted(self.says[name].get(_said(schema), ()), key=lambda owner: (len(owner), owner))
        if base:
            return (pascal(name) if len(rivals) <= 1 else owner) + base
        words = len(re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+", name))
        if len(rivals) <= 1 and (words > 1 or len(owners) > 1) and pascal(name) not in self.taken:
            return pascal(name)
        return (owners[0] if owners else owner) + pascal(name)

    def _member_name(self, member: Json, union: str) -> str:
        if base := str(member.get(marks.BASE, "")):
            end = re.findall(r"[A-Z][a-z0-9]*", union)[-1]  # ``PreSession`` of ``PreSessionTool`` when the other is ``AppTool``
            return (union.removesuffix(end) if base.endswith(end) else union) + base
        said = [member.get("title"), *map(str, member.get(marks.VALUES, ())), member.get(marks.KEY), "Object"]
        return union + pascal(next(filter(None, said)))

    def _lifted(self, schema: Json, name: str, owner: str, place: str) -> Json:
        """The schema, or a reference to it where it now has a name; arrays and maps are gone through.

        :param name: what it is called if nothing was called anything at this place before.
        """
        if not self._wants_name(schema):
            rewrite(schema, lambda _, child: self._lifted(child, name, owner, place))
            schema.pop(marks.BASE, None)
            return schema
        beside = {key: schema.pop(key) for key in [*schema] if key in _BESIDE}
        schema.pop(marks.BASE, None)
        had = self.known.get(place)
        name = schema.pop(marks.NAME, None) or had or name
        said = fingerprint(schema)
        if self.said.get(name, said) != said and not (name == had and name in self.taken):
            name = owner + name
        if self.said.get(name, said) != said:
            reason = f"the class {name} is another one already, of {place}" if name == had else f"two schemas want the name {name}"
            raise Refused(pointer("components", "schemas", name), f"{reason}: give one of them x-name in the overlay")
        if name not in self.schemas:
            self.schemas[name], self.said[name] = schema, said
            self._inside(schema, name)
        self.named[place] = name
        return to_ref(name) | beside


def _said(schema: Json) -> str:
    """What a schema says of what stands there, whether or not that may be null or left out."""
    return fingerprint({key: value for key, value in schema.items() if key not in _BESIDE})


def _joined(schema: Json) -> str | None:
    """``NumberOrRangeFilter`` for a union of two or three components whose names end with the same word."""
    words: list[list[str]] = [re.findall(r"[A-Z]+(?![a-z])|[A-Z][a-z0-9]*", ref_name(member) or "") for member in schema.get("oneOf", ())]
    alike = 2 <= len(words) <= 3 and all(len(name) == 2 and name[1] == words[0][1] for name in words)
    return "Or".join(first for first, _ in words) + words[0][1] if alike else None
