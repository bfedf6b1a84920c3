"""JSON from outside the sandbox, which may be anything."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["parse_json"]

_DEEPEST = 100
"""Levels of JSON: more than anybody sends, and fewer than Python's recursion limit."""
_LONGEST_NUMBER = 300
"""Digits: a longer number does not fit into a float, and arithmetic with it fails."""


def parse_json(content: bytes | str) -> Any:
    """Parse JSON from outside.

    :raises ValueError: it is not JSON, has a number that JSON does not know or that is too long, or is nested too deeply.
    """
    try:
        value = json.loads(content, parse_constant=_no_number, parse_float=_finite, parse_int=_whole)
    except RecursionError:
        raise ValueError("too deep") from None
    text = content if isinstance(content, str) else content.decode(errors="replace")
    if text.count("[") + text.count("{") > _DEEPEST:
        _check_depth(value)
    return value


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(_DEEPEST):
        level = [
            item
            for holder in level
            if isinstance(holder, (dict, list))
            for item in (holder.values() if isinstance(holder, dict) else holder)  # pyright: ignore[reportUnknownVariableType]
        ]
        if not level:
            return
    raise ValueError("too deep")


def _no_number(text: str) -> float:
    raise ValueError(text)


def _finite(text: str) -> float:
    number = float(text)
    if number in {float("inf"), float("-inf")}:
        raise ValueError(text)
    return number


def _whole(text: str) -> int:
    if len(text) > _LONGEST_NUMBER:
        raise ValueError("too long")
    return int(text)
