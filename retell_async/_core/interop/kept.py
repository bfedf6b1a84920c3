"""What is made of a class once, and kept by the class: one that was made in a function goes when nobody has it any more."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

__all__ = ["kept_by_class"]

T = TypeVar("T")
C = TypeVar("C", bound=type[Any])


class _Kept(dict[str, Any]):
    """It stays where it is: a class that is sent elsewhere, as cloudpickle sends what is made in a notebook, goes without it."""

    def __reduce__(self) -> tuple[type[_Kept], tuple[()]]:
        return _Kept, ()


def kept_by_class(make: Callable[[C], T]) -> Callable[[C], T]:
    """Have what a function makes of a class made once. Two threads that ask first at once may make one each."""
    name = f"{make.__module__}.{make.__qualname__}"

    @wraps(make)
    def kept(cls: C) -> T:
        try:
            found: T = vars(cls)["__kept__"][name]
        except KeyError:
            if "__kept__" not in vars(cls):
                cls.__kept__ = _Kept()
            found = vars(cls)["__kept__"][name] = make(cls)
        return found

    return kept
