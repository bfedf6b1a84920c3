"""JSON by msgspec, for its speed; by the standard library what msgspec refuses to read, and what it writes in a way of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, cast

__all__ = ["dumped", "field_at", "loads", "well_formed"]

_TEXT = frozenset((str,))
_PLAIN = frozenset((str, int, bool, type(None)))


def loads(content: bytes | str) -> Any:
    """Parse JSON. Whole numbers of any size stay whole; a lone surrogate (half an emoji, cut off by a JavaScript sender) is taken.

    :raises ValueError: it is not JSON, by the standard library's judgement.
    :raises RecursionError: it is nested too deeply.
    """
    decode, _, errors = _msgspec()
    try:
        return decode(content)
    except errors:
        return json.loads(content)


def dumped(fields: object) -> bytes | None:
    """The JSON of a flat object, byte for byte as the standard library writes it; ``None`` if that is to do it.

    :raises ValueError: a text is no Unicode.
    """
    if type(fields) is not dict:
        return None
    plain = cast("dict[object, object]", fields)
    if not (_PLAIN.issuperset(map(type, plain.values())) and _TEXT.issuperset(map(type, plain))):
        return None  # numbers with a point, among others, they write in ways of their own
    try:
        return _msgspec()[1](plain)
    except OverflowError:
        return None


@cache
def _msgspec() -> tuple[Callable[[bytes | str], Any], Callable[[Any], bytes], tuple[type[Exception], ...]]:
    """What decodes and encodes, and what decoding raises: for a text that holds a surrogate as it is an error of another kind."""
    import msgspec  # with the first request, since it takes a tenth of the time that importing this package takes

    return msgspec.json.Decoder().decode, msgspec.json.Encoder().encode, (msgspec.MsgspecError, UnicodeEncodeError)


def well_formed(value: Any) -> Any:
    """A value of JSON that can be encoded: halves of pairs that stand together are one character, and others the one for what is none."""
    match value:
        case str():
            return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case list():
            return [well_formed(item) for item in cast("list[object]", value)]
        case dict():
            return {well_formed(name): well_formed(item) for name, item in cast("dict[object, object]", value).items()}
        case _:
            return value


def field_at(item: Mapping[str, Any], name: str) -> Any:
    """A field by its name with dots, such as ``call_cost.combined_cost``; ``None`` if it is not there."""
    value: Any = item
    for step in name.split("."):
        value = cast("Mapping[str, Any]", value).get(step) if isinstance(value, Mapping) else None
    return value
