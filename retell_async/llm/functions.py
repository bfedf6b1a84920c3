"""Functions that an application gives: what of them can be told before they are called, and what they give."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, cast

__all__ = ["gives_late", "has_yield", "is_any", "result_of"]


def is_any(function: Any, *kinds: Callable[[Any], bool]) -> bool:
    """Whether what an application gives is a function of one of these kinds, also as an object that can be called, or in a partial."""
    while isinstance(function, functools.partial):
        function = function.func
    called = function if inspect.isroutine(function) else getattr(cast("object", type(function)), "__call__", None)  # noqa: B004 - of an object
    return any(kind(function) or kind(called) for kind in kinds)


def has_yield(function: Any) -> bool:
    """Whether it is one of which nothing runs when it is called and waited for."""
    return is_any(function, inspect.isgeneratorfunction, inspect.isasyncgenfunction)


async def result_of(function: Callable[[], Any]) -> Any:
    """What a function of the application gives, at once or late.

    :raises TypeError: it is a generator, of which nothing has run.
    """
    given = function()
    result = await given if inspect.isawaitable(given) else given
    if inspect.isgenerator(result) or inspect.isasyncgen(result):
        raise TypeError(f"{result.__name__} has a yield, so nothing of it has run: let it return its result")
    return result


def gives_late(function: Any) -> bool:
    """Whether it is one that waits or yields, so that it gives no value at once."""
    return has_yield(function) or is_any(function, inspect.iscoroutinefunction)
