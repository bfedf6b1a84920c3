"""Values that may be awaited, for programs that were written ``await raw.parse()``."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any, Literal, SupportsIndex, TypeVar, cast

from ..model import Model, carry_key, fields_of, read, set_fields
from .kept import kept_by_class
from .methods import PydanticMethods

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Bytes", "Each", "Nothing", "Text", "awaited"]

T = TypeVar("T")


class _Done:
    """What an event loop asks of a coroutine, of one that has its value: a task may be made of it, and `gather` may keep it in a dict."""

    __slots__ = ()
    if TYPE_CHECKING:

        def __await__(self) -> Generator[Any, Any, Any]: ...

    def send(self, value: Any, /) -> Any:
        """Run it, as an event loop does with a task."""
        return self.__await__().send(value)

    def throw(self, *error: Any) -> Any:
        """Raise an error in it, as an event loop does with a task that is cancelled."""
        return self.__await__().throw(*error)

    def close(self) -> None:
        """Nothing: there is nothing to end."""


class Text(_Done, str):
    """A text."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, Any, str]:
        yield from ()
        return str(self)


class Bytes(_Done, bytes):
    """Bytes."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, Any, bytes]:
        yield from ()
        return bytes(self)


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


class _Object(_Done, dict[str, Any]):
    __slots__ = ()
    __hash__ = object.__hash__  # type: ignore[assignment]

    def __await__(self) -> Generator[Any, Any, dict[str, Any]]:
        yield from ()
        return dict(self)


class _Array(_Done, list[Any]):
    __slots__ = ()
    __hash__ = object.__hash__  # type: ignore[assignment]

    def __await__(self) -> Generator[Any, Any, list[Any]]:
        yield from ()
        return list(self)


class Nothing(_Done):
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


class _Shared(_Done):
    """A model or a page that may be awaited, which gives the one that it shares its fields with.

    Whoever awaits whatever can be awaited must leave models alone, so no class of theirs has this: each has a subclass for it,
    whose objects say that they are of the class itself.
    """

    __slots__ = ()
    __hash__ = object.__hash__
    if TYPE_CHECKING:
        __plain__: PydanticMethods

    def __await__(self) -> Generator[Any, Any, PydanticMethods]:
        yield from ()
        return self.__plain__

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        return self.__plain__.__reduce_ex__(protocol)


@kept_by_class
def _shared(kind: type[Any]) -> Any:
    fields: dict[str, Any] = {"__slots__": ("__plain__",), "__class__": property(lambda _: kind), "__module__": __name__}
    metaclass: Any = type(kind)
    return metaclass(kind.__name__, (_Shared, kind), fields)


def _share(value: PydanticMethods) -> Any:
    plain: Any = type(value)
    kind = _shared(plain)
    made = kind.__new__(kind)
    made.__plain__ = value
    if isinstance(value, Model):
        read(value)
        carry_key(value, made)
    set_fields(made, fields_of(value))
    if isinstance(value, list):
        made.extend(value)
    return made


def awaited(value: Any) -> Any:
    """The same value as one that may be awaited. A number cannot."""
    kind = value.__class__
    if isinstance(value, PydanticMethods):
        return _share(value)
    if value is None:
        return Nothing()
    if kind is dict:
        return _Object(cast("dict[str, Any]", value))
    if kind is list:
        return _Array(cast("list[Any]", value))
    if kind is bytes:
        return Bytes(value)
    return Text(value) if kind is str else value
