"""Values that may be awaited, for programs that were written ``await raw.parse()``."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Bytes", "Each", "Nothing", "Text", "awaited"]

T = TypeVar("T")


class _Awaited:
    __slots__ = ()

    def __await__(self) -> Generator[Any, Any, Self]:
        yield from ()
        return self


class Text(_Awaited, str):
    """A text."""

    __slots__ = ()


class Bytes(_Awaited, bytes):
    """Bytes."""

    __slots__ = ()


class Each(Iterator[T]):
    """Parts that are there already, for ``for`` and for ``async for``."""

    def __init__(self, parts: Iterator[T]) -> None:
        self._parts = parts

    def __next__(self) -> T:
        return next(self._parts)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        for part in self._parts:
            return part
        raise StopAsyncIteration


class _Object(_Awaited, dict[str, Any]):
    __slots__ = ()


class _Array(_Awaited, list[Any]):
    __slots__ = ()


class Nothing:
    """What an answer without a body means: false, equal to ``None``, and ``None`` when it is awaited."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, Any, None]:
        yield from ()

    def __bool__(self) -> Literal[False]:
        return False

    def __eq__(self, other: object) -> bool:
        return other is None or isinstance(other, Nothing)

    def __hash__(self) -> int:
        return hash(None)

    def __repr__(self) -> str:
        return "None"


def awaited(value: Any) -> Any:
    """The same value as one that may be awaited. Models and pages can be by themselves; a number cannot."""
    kind = value.__class__
    if value is None:
        return Nothing()
    if kind is dict:
        return _Object(cast("dict[str, Any]", value))
    if kind is list:
        return _Array(cast("list[Any]", value))
    return Text(value) if kind is str else value
