"""Iterating over what comes bit by bit, so that it is closed when nobody wants the rest: left to itself, a generator is closed some day."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

__all__ = ["closing"]

T = TypeVar("T")


@asynccontextmanager
async def closing(iterable: AsyncIterable[T]) -> AsyncGenerator[AsyncIterator[T]]:
    """An iterator over it, closed at the end if it can be."""
    iterator: Any = iterable.__aiter__()
    try:
        yield iterator
    finally:
        if hasattr(iterator, "aclose") and inspect.isawaitable(closed := iterator.aclose()):
            await closed
