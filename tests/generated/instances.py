"""Instances of every schema that an operation reaches, made from the prepared document and from nothing of the generated code."""

from __future__ import annotations

import copy
from collections.abc import Callable
from random import Random
from typing import Any

import attrs
from hypothesis import strategies as st

from codegen.document import Json, operations, resolved
from codegen.generate import pinned
from codegen.prepare import prepare

DOCUMENT = prepare(pinned())
SCHEMAS: dict[str, Json] = DOCUMENT["components"]["schemas"]
OBJECTS = [name for name, schema in SCHEMAS.items() if "properties" in schema]
ANSWERED = [name for name in OBJECTS if SCHEMAS[name].get("x-response")]
UNIONS = [name for name, schema in SCHEMAS.items() if "oneOf" in schema]
OPERATIONS: dict[str, Json] = {f"{method.upper()} {path}": operation for method, path, operation in operations(DOCUMENT)}
DEPTH = 4
UNKNOWN = "zz_unknown"


def answer(key: str) -> Json | None:
    """The schema of an operation's answer; None if it has no body."""
    (response,) = OPERATIONS[key]["responses"].values()
    content = response.get("content")
    return content["application/json"]["schema"] if content else None


def body(key: str) -> tuple[str, Json] | None:
    """The media type and the schema of an operation's body."""
    content = OPERATIONS[key].get("requestBody", {}).get("content", {})
    return next(((kind, resolved(DOCUMENT, media["schema"])) for kind, media in content.items()), None)


@attrs.frozen
class Deviation:
    """A change to an instance that makes it disobey the document, and what should be said of it."""

    plant: Callable[[], None]
    said: str


@attrs.define
class Maker:
    """Makes instances: obedient ones, or such as only a server of another day sends."""

    random: Random
    obedient: bool = True
    full: bool = False
    deviations: list[Deviation] = attrs.field(factory=list)

    def odds(self, chance: float) -> bool:
        return self.random.random() < chance

    def value(self, schema: Json, path: str = "$", depth: int = 0, *, sure: bool = True) -> Any:
        """A value of a schema. Deviations in it are collected as long as it is sure which alternative it stands for."""
        nullable = schema.get("nullable") or resolved(DOCUMENT, schema).get("nullable")
        if not self.full and ((nullable and self.odds(0.2)) or (not self.obedient and depth and self.odds(0.05))):
            return None
        schema = resolved(DOCUMENT, schema)
        if "oneOf" in schema:
            return self.member(schema, path, depth, sure=sure)
        if "enum" in schema:
            return UNKNOWN if not self.obedient and self.odds(0.2) else self.random.choice(schema["enum"])
        if "properties" in schema:
            return self.object(schema, path, depth, sure=sure)
        if schema.get("type") == "array":
            least = schema.get("minItems", 0)
            count = max(least, self.random.randint(1 if self.full else 0, 2) if depth < DEPTH else 0)
            return [self.value(schema.get("items", {}), f"{path}[{index}]", depth + 1, sure=sure) for index in range(count)]
        if schema.get("type") == "object":
            values = schema.get("additionalProperties")
            values = values if isinstance(values, dict) else {}
            keys = ["first key", "Zweiter Schlüssel"][: self.random.randint(0, 2) if depth < DEPTH else 0]
            return {key: self.value(values, f"{path}.{key}", depth + 1, sure=sure) for key in keys}
        return self.scalar(schema)

    def member(self, schema: Json, path: str, depth: int, *, sure: bool) -> Any:
        if not self.obedient and "x-tag" in schema and self.odds(0.2):
            return {schema["x-tag"]: self.random.choice([UNKNOWN, 7, None, ["x"], {"y": 1}]), "deep": [{"type": "x"}]}
        members = schema["oneOf"]
        if depth >= DEPTH:
            members = sorted(members, key=lambda member: len(str(resolved(DOCUMENT, member))))[:2]
        chosen = self.random.choice(members)
        objects = [member for member in schema["oneOf"] if "properties" in resolved(DOCUMENT, member)]
        made = self.value(
            {key: item for key, item in chosen.items() if key != "nullable"},
            path,
            depth,
            sure=sure and len(objects) == len(schema["oneOf"]),
        )
        tag = schema.get("x-tag")
        if tag and isinstance(made, dict):
            if self.obedient or made.get(tag) not in resolved(DOCUMENT, resolved(DOCUMENT, chosen)["properties"][tag]).get("enum", ()):
                made[tag] = self.random.choice(chosen["x-values"])
            if sure:
                self.deviations = [one for one in self.deviations if not one.said.startswith(f"{path}.{tag}:")]
                self.deviate(made, tag, UNKNOWN, f"{path}: no member of the union has {tag} {UNKNOWN!r}")
        return made

    def object(self, schema: Json, path: str, depth: int, *, sure: bool) -> Json:
        required = set(schema.get("required", ()))
        made: Json = {}
        names = list(schema["properties"])
        self.random.shuffle(names)
        for name in names:
            field = schema["properties"][name]
            if not self.full and not self.obedient and name in required and self.odds(0.1):
                continue
            if name in required or self.full or self.odds(0.5 if depth < 2 else 0.15 if depth < DEPTH else 0):
                made[name] = self.value(field, f"{path}.{name}", depth + 1, sure=sure)
                if sure:
                    self.deviate_field(made, name, field, f"{path}.{name}", required=name in required)
        if not self.obedient and self.odds(0.5):
            made[UNKNOWN] = self.random.choice([None, 1, "text", [{}], {"type": "x", "deep": [None]}])
        if sure:
            self.deviate(made, UNKNOWN, {"a": 1}, f"{path}.{UNKNOWN}: unknown field")
        return made

    def scalar(self, schema: Json) -> Any:
        match schema.get("type"):
            case "string":
                text = self.random.choice(["a", "Zoë +1/2?&=#%", "two words", "\u2028<\"'>\\"]) * self.random.randint(1, 2)
                return text[: schema.get("maxLength")] or text
            case "integer":
                return self.random.randint(int(schema.get("minimum", -5)), int(schema.get("maximum", 10**12)))
            case "number":
                return self.random.choice([schema.get("minimum", 0) + 0.5, int(schema.get("maximum", 3)), 1])
            case "boolean":
                return self.odds(0.5)
            case _:
                return self.random.choice([None, 0, "any", [1, {}], {"any": {"thing": None}}])

    def deviate_field(self, made: Json, name: str, field: Json, path: str, *, required: bool) -> None:
        """Plant what does not depend on the place in a union: only where one kind of value is possible."""
        meant = resolved(DOCUMENT, field)
        if "oneOf" in meant or ("type" not in meant and "enum" not in meant and "properties" not in meant):
            return
        nullable = field.get("nullable") or meant.get("nullable")
        if not nullable and required:  # where a field may be absent, null is let pass too
            self.deviations.append(Deviation(lambda: made.update({name: None}), f"{path}: null"))
        if "enum" in meant:
            if meant.get("type", "string") == "string" and len(meant["enum"]) > 1:
                self.deviate(made, name, UNKNOWN, f"{path}: unknown value {UNKNOWN!r}")
        elif meant.get("type") in ("string", "integer", "number", "boolean"):
            self.deviate(made, name, {"x": 1}, f"{path}: an object where none is expected")
            self.deviate(made, name, [1], f"{path}: an array where none is expected")

    def deviate(self, made: Json, name: str, value: Any, said: str) -> None:
        self.deviations.append(Deviation(lambda: made.update({name: copy.deepcopy(value)}), said))


makers = st.randoms(use_true_random=True)  # one draw an instance, which keeps a thousand fields affordable
"""Randomness that repeats itself from run to run."""
