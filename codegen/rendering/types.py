"""Types of what the generator's parser found, as they read in generated code: for what comes back, for what is sent, and decoders."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterable

from .. import marks
from ..document import Refused, visible
from ..parser import FileProperty, ListProperty, LiteralEnumProperty, ModelProperty, Property, UnionProperty, map_values, mark, nameless


def received(*props: Property) -> str:
    """The type of a value in an answer, or in one of several: enums are open, but for the tags of unions; optional is ``None``."""
    found = " | ".join(types(*props, sending=False)) or "None"
    return found if all(prop.required for prop in props) or found == "Any" or found.endswith(" | None") else f"{found} | None"


def sent(prop: Property) -> str:
    """The type of a value in a request: enums are closed, objects are dicts that a type checker checks, or models."""
    return " | ".join(types(prop, sending=True))


def alternatives(prop: Property) -> list[Property]:
    """What a value may be."""
    return prop.inner_properties if isinstance(prop, UnionProperty) else [prop]


def types(*props: Property, sending: bool) -> list[str]:
    """The types of all that a value may be."""
    parts = dict.fromkeys(part for prop in props for one in alternatives(prop) for part in _types(one, sending=sending))
    return ["Any"] if parts.keys() == {"Any", "None"} else sorted(parts, key="None".__eq__)


def _types(prop: Property, *, sending: bool) -> list[str]:
    own = prop.get_type_string(no_optional=True).as_unembedded_code()
    match prop:
        case LiteralEnumProperty():
            own = values(prop) if nameless(prop) else own
            is_closed = nameless(prop) == "Tag" or (sending and nameless(prop) != "Open")
            return [own] if is_closed else [own, prop.value_type.__name__]
        case FileProperty():
            return ["FileTypes"]
        case ListProperty() if sending:
            item = sent(prop.inner_property)
            return ["Strings" if item == "str" else f"Iterable[{item}]"]  # a str is an Iterable[str] too, and never what is meant
        case ListProperty():
            return [f"list[{received(prop.inner_property)}]"]
        case ModelProperty() if inner := map_values(prop):
            return [f"Mapping[str, {'object' if sent(inner) == 'Any' else sent(inner)}]" if sending else f"dict[str, {received(inner)}]"]
        case ModelProperty() if sending:
            return [] if mark(prop, marks.UNKNOWN) else [f"{own}Param"] if mark(prop, marks.UNION) else [f"{own}Param", own]
        case _:
            return [own]


def values(enum: LiteralEnumProperty) -> str:
    """The values of an enum as a type."""
    return f"Literal[{', '.join(map(literal, sorted(enum.values)))}]"


def spec(prop: Property) -> str | None:
    """The expression that decodes a value to models; None where there is none in it, and for what `members` lets be but one of several."""
    match prop:
        case UnionProperty():
            return next(filter(None, map(spec, prop.inner_properties)), None)
        case ListProperty():
            inner, kind = spec(prop.inner_property), "Many"
        case ModelProperty() if values := map_values(prop):
            inner, kind = spec(values), "Mapped"
        case ModelProperty():
            inner, kind = literal(str(prop.class_info.name)), "One"
        case _:
            return None
    return inner and f"{kind}({inner})"


def names(types: Iterable[str]) -> set[str]:
    """The names that types use."""
    return {node.id for one in types for node in ast.walk(ast.parse(one, mode="eval")) if isinstance(node, ast.Name)}


def literal(value: object) -> str:
    """A value as it reads in source code: strings in double quotes, with an escape for all that cannot be seen."""
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


def quoted(annotation: str) -> str:
    """A type as it reads in quotes: without a backslash where that can be, since type checkers refuse one there."""
    return literal(annotation) if {"'", "\\"} & set(annotation) else '"{}"'.format(annotation.replace('"', "'"))
