"""Iterating over what comes bit by bit, so that it is closed when nobody wants the rest: left to itself, a generator is closed some day."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any, Generic, TypeVar

__all__ = ["closing"]

T = TypeVar("T")


class closing(Generic[T]):  # noqa: N801 - as those of contextlib, of which none lets an error of a frozen class through
    """An iterator over it, closed at the end if it can be."""

    def __init__(self, iterable: AsyncIterable[T]) -> None:
        self._iterator = iterable.__aiter__()

    async def __aenter__(self) -> AsyncIterator[T]:
        return self._iterator

    async def __aexit__(self, *_: object) -> None:
        iterator: Any = self._iterator
        if hasattr(iterator, "aclose") and inspect.isawaitable(closed := iterator.aclose()):
            await closed
