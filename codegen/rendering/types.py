"""Python types of prepared schemas, as they read in generated code: for what comes back, for what is sent, and for what decodes it."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterable

import attrs

from .. import marks
from ..document import SCALARS, Json, Refused, is_object, ref_name, resolved, visible


@attrs.frozen
class Types:
    """Types of the schemas of one prepared document; what they need imported is collected in ``models`` and ``params``."""

    document: Json
    models: set[str] = attrs.field(factory=set)
    params: set[str] = attrs.field(factory=set)

    def received(self, schema: Json) -> str:
        """The type of a value in an answer: enums are open."""
        return self._nullable(schema, self._received(schema))

    def sent(self, schema: Json) -> str:
        """The type of a value in a request: objects are dicts that a type checker checks, or models.

        Enums are closed, but for one value that stands over any text, which is what the official SDK has.
        """
        return self._nullable(schema, self._sent(schema))

    def _nullable(self, schema: Json, name: str) -> str:
        nullable = schema.get("nullable") or resolved(self.document, schema).get("nullable")
        return f"{name} | None" if nullable and name not in ("Any", "object") else name

    def _received(self, schema: Json) -> str:
        if (name := ref_name(schema)) is not None:
            self.models.add(name)
            return f"{name} | str" if "enum" in resolved(self.document, schema) else name
        if "oneOf" in schema:
            return self._union(schema, self.received)
        if "enum" in schema:
            literal = self.literal(schema)
            closed = schema.get(marks.IS_TAG) or schema.get("type") == "boolean"
            return literal if closed else f"{literal} | {SCALARS[schema.get('type', 'string')]}"
        if schema.get("type") == "array":
            return f"list[{self.received(schema.get('items', {}))}]"
        if (values := _map_values(schema)) is not None:
            return f"dict[str, {self.received(values)}]"
        return self._scalar(schema)

    def _sent(self, schema: Json) -> str:
        if (name := ref_name(schema)) is not None:
            meant = resolved(self.document, schema)
            if "enum" in meant:
                self.models.add(name)
                return name
            self.params.add(f"{name}Param")
            if is_object(meant):
                self.models.add(name)
                return f"{name}Param | {name}"
            return f"{name}Param"
        if "oneOf" in schema:
            return self._union(schema, self.sent)
        if "enum" in schema:
            is_open = schema.get(marks.ANY_TEXT) and not schema.get(marks.IS_TAG)
            return f"{self.literal(schema)}{' | str' if is_open else ''}"
        if schema.get("type") == "array":
            item = self.sent(schema.get("items", {}))
            if item == "str":  # a str is an Iterable[str] too, and never what is meant
                return "Strings"
            return f"Iterable[{item}]"
        if (values := _map_values(schema)) is not None:
            value = self.sent(values)
            return f"Mapping[str, {'object' if value == 'Any' else value}]"
        return self._scalar(schema)

    def _union(self, schema: Json, member: Callable[[Json], str]) -> str:
        names = dict.fromkeys(part for one in schema["oneOf"] for part in alternatives(member(one)))
        return " | ".join(names)

    def literal(self, schema: Json) -> str:
        return f"Literal[{', '.join(literal(value) for value in schema['enum'])}]"

    def _scalar(self, schema: Json) -> str:
        kind = schema.get("type")
        if kind == "string" and schema.get("format") == "binary":
            return "FileTypes"
        if kind in SCALARS:
            return SCALARS[kind]
        if kind is None or kind == "object":
            return "Any"
        raise Refused("", f"a schema of type {kind!r} cannot be expressed")

    def spec(self, schema: Json) -> str | None:
        """The expression that decodes a value to models; None where there is none in it."""
        if (name := ref_name(schema)) is not None:
            meant = resolved(self.document, schema)
            return None if "enum" in meant else f'One("{name}")'
        if "oneOf" in schema:  # of scalars and arrays, and at most one object: others have a name
            specs = {self.spec(member) for member in schema["oneOf"]} - {None}
            if len(specs) > 1:
                raise Refused("", "a union with two kinds of arrays of objects cannot be told apart")
            return specs.pop() if specs else None
        if schema.get("type") == "array":
            item = self.spec(schema.get("items", {}))
            return None if item is None else f"Many({item})"
        if (values := _map_values(schema)) is not None:
            item = self.spec(values)
            return None if item is None else f"Mapped({item})"
        return None

    def union_spec(self, schema: Json, unknown: str | None = None) -> str:
        """The table of a union that has a name, and the class for what is none of its members if there can be such."""
        objects = [member for member in schema["oneOf"] if is_object(resolved(self.document, member))]
        arrays = {self.spec(member) for member in schema["oneOf"] if resolved(self.document, member).get("type") == "array"} - {None}
        if len(arrays) > 1:
            raise Refused("", "a union with two kinds of arrays of objects cannot be told apart")
        array = f", array={arrays.pop()}" if arrays else ""
        other = f', other="{unknown}"' if unknown is not None else ""
        if marks.TAG in schema:
            table = ", ".join(f'{literal(value)}: "{ref_name(member)}"' for member in objects for value in member[marks.VALUES])
            return f"Tagged({literal(schema[marks.TAG])}, {{{table}}}{other}{array})"
        if schema.get(marks.KEYED):
            table = ", ".join(f'{literal(member[marks.KEY])}: "{ref_name(member)}"' for member in objects if member.get(marks.KEY))
            other = next((f', other="{ref_name(member)}"' for member in objects if not member.get(marks.KEY)), other)
            return f"Keyed({{{table}}}{other}{array})"
        return f'Keyed({{}}, other="{ref_name(objects[0])}"{array})'


def literal(value: object) -> str:
    """A value as it reads in source code: strings in double quotes, with an escape for all that cannot be seen.

    :raises Refused: it cannot be written as one.
    """
    match value:
        case str():
            inner = "".join(f"\\{char}" if char in '"\\' else visible(char) for char in value)
            return f'"{inner}"'
        case None | bool() | int():
            return repr(value)
        case float() if math.isfinite(value):
            return repr(value)
        case list() | tuple():
            return f"[{', '.join(map(literal, value))}]"
        case _:
            raise Refused("", f"{value!r} cannot be written as a value")


_CODE = (
    *(ast.Expression, ast.Name, ast.Load, ast.Subscript, ast.Tuple, ast.BinOp, ast.BitOr, ast.Constant, ast.UnaryOp, ast.USub),
    *(ast.Dict, ast.keyword),
)
_TABLES = frozenset({"Keyed", "Many", "Mapped", "One", "Tagged"})


def is_code(text: str) -> bool:
    """Whether an expression is a type or the table of a union, and nothing that could do anything."""
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError):
        return False
    whole = text.isprintable() and (tree.body.col_offset, tree.body.end_col_offset) == (0, len(text.encode()))
    return whole and all(
        isinstance(node, _CODE) or (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _TABLES)
        for node in ast.walk(tree)
    )


def scalar(values: Iterable[object]) -> str:
    """The type of whatever may stand in the place of these values."""
    return " | ".join(dict.fromkeys(type(value).__name__ for value in values))


def quoted(annotation: str) -> str:
    """A type as it reads in quotes: without a backslash where that can be, since type checkers refuse one there."""
    return literal(annotation) if {"'", "\\"} & set(annotation) else '"{}"'.format(annotation.replace('"', "'"))


def alternatives(annotation: str) -> list[str]:
    """What stands between the ``|`` of a union type."""

    def parts(node: ast.expr) -> list[ast.expr]:
        return [*parts(node.left), *parts(node.right)] if isinstance(node, ast.BinOp) else [node]

    found = [ast.get_source_segment(annotation, part) for part in parts(ast.parse(annotation, mode="eval").body)]
    return [part for part in found if part is not None]


def _map_values(schema: Json) -> Json | None:
    """What the values of an object without fields of its own are."""
    if schema.get("type") != "object" or is_object(schema):
        return None
    values = schema.get("additionalProperties")
    return values if isinstance(values, dict) else {}
