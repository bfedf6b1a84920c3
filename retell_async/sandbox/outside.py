"""What comes from outside, and may be anything: JSON that can be worked with, and failures that end nothing but themselves."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, cast

from retell_async._core.masking import mask_text

__all__ = ["guarded", "parsed", "sendable", "warned"]

_logger = logging.getLogger("retell_async.sandbox")
_DEEPEST = 100
"""Levels of JSON: far more than anybody sends, and far fewer than Python can go through by recursion."""
_LONGEST_NUMBER = 300
"""Digits: more than that are beyond what a float can hold, and arithmetic with them fails."""


def parsed(content: bytes | str) -> Any:
    """JSON from outside.

    :raises ValueError: it is none, holds a number that JSON does not have, or is nested deeper than anything that is meant.
    """
    try:
        value = json.loads(content, parse_constant=_no_number, parse_float=_finite, parse_int=_whole)
    except RecursionError:
        raise ValueError("too deep") from None
    text = content if isinstance(content, str) else content.decode(errors="replace")
    if text.count("[") + text.count("{") > _DEEPEST:
        _check_depth(value)
    return value


def sendable(value: Any) -> Any:
    """The same JSON with question marks in place of halves of emojis, which no encoding has bytes for."""
    match value:
        case str():
            return value.encode(errors="replace").decode()
        case list():
            return [sendable(item) for item in cast("list[object]", value)]
        case dict():
            return {sendable(name): sendable(item) for name, item in cast("dict[str, object]", value).items()}
        case _:
            return value


@contextmanager
def guarded(what: str, usual: tuple[type[BaseException], ...] = ()) -> Generator[list[BaseException], None, None]:
    """The one guard: whatever fails inside ends there, is handed over in the list that this gives, and written down unless it is usual.

    Cancellation is no failure, and passes.
    """
    problems: list[BaseException] = []
    try:
        yield problems
    except Exception as error:  # noqa: BLE001 - nothing that comes from outside may end the sandbox
        problem = _first(error, usual)
        problems.append(problem)
        if not isinstance(problem, usual):
            text = mask_text("".join(traceback.format_exception(error)))
            _logger.error("%s failed: %s", what, text)  # noqa: TRY400 - which would show what is masked here


def _first(error: BaseException, usual: tuple[type[BaseException], ...]) -> BaseException:
    """Where several things failed, what was not to be expected before what was."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    leaves = [_first(inner, usual) for inner in error.exceptions]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType, reportUnknownMemberType]
    return next((leaf for leaf in leaves if not isinstance(leaf, usual)), leaves[0])


def warned(text: str) -> None:
    _logger.warning("%s", text)


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
