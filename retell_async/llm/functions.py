"""Functions that an application gives: what is told of them before they are called, what they give, and closing what gives bit by bit."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterable, AsyncIterator, Callable
from typing import Any, Generic, TypeVar, cast

__all__ = ["closing", "gives_late", "has_yield", "is_any", "result_of"]

T = TypeVar("T")


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
    result = function()
    while inspect.isawaitable(result):  # a function may give what another one gives late
        result = await result
    if inspect.isgenerator(result) or inspect.isasyncgen(result):
        raise TypeError(f"what it gives is a generator ({result.__name__}), of which nothing has run: let it return its result")
    return result


def gives_late(function: Any) -> bool:
    """Whether it is one that waits or yields, so that it gives no value at once."""
    return has_yield(function) or is_any(function, inspect.iscoroutinefunction)


class closing(Generic[T]):  # noqa: N801 - as those of contextlib, of which none lets an error of a frozen class through
    """An iterator over it, closed at the end if it can be: left to itself, a generator is closed some day."""

    def __init__(self, iterable: AsyncIterable[T]) -> None:
        self._iterator = iterable.__aiter__()

    async def __aenter__(self) -> AsyncIterator[T]:
        return self._iterator

    async def __aexit__(self, *_: object) -> None:
        iterator: Any = self._iterator
        if hasattr(iterator, "aclose") and inspect.isawaitable(closed := iterator.aclose()):
            await closed
