"""Whether a tool has replaced methods of httpx to trace, record or fake requests.

Sentry, Datadog and New Relic do so with `httpx.AsyncClient.send`; OpenTelemetry and Logfire with the method of a transport, of its class or
of one object; pytest-httpx, respx and vcrpy below. What they want to see must go that way, while they want to see it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from operator import attrgetter, is_
from types import CodeType, FunctionType, SimpleNamespace
from typing import Any

__all__ = ["Methods"]

_CODE = attrgetter("__code__")
_MOST = 100  # functions that are looked at for what they lead to
_CONSTANTS = (type(None), type(...), int, float, complex, str, bytes, tuple, frozenset, CodeType)
"""What the source of a function can name as it is."""


class Methods:
    """Methods of classes, looked at anew for each request: a tool may come and go at any time.

    :param names: the classes, each with the names of its methods, which its base may define.
    """

    def __init__(self, names: Mapping[type[Any], tuple[str, ...]]) -> None:
        self._owners = SimpleNamespace()
        self._paths: list[str] = []
        self._names = {name for group in names.values() for name in group}
        for number, (owner, group) in enumerate(names.items()):
            setattr(self._owners, f"_{number}", owner)
            self._paths += [f"_{number}.{name}" for name in group if hasattr(owner, name)]
        self._homes = tuple({home for owner in names for home in _homes(owner)})
        self._look = attrgetter(self._paths[0], *self._paths)  # one of them twice, as it gives no tuple of one
        self._known: tuple[Any, ...] = ()
        self._codes: tuple[Any, ...] = ()

    @property
    def found(self) -> tuple[Any, ...]:
        """What is in their places now, something new each time if one was taken away."""
        try:
            return self._look(self._owners)
        except AttributeError:
            return (object(),)

    def are_replaced(self) -> bool:
        """Whether one of them is not the class's own, or runs other code than its own."""
        try:
            found = self._look(self._owners)
        except AttributeError:
            return True
        # By identity: a wrapper may say that it equals what it wraps. A tool may change the code of a function and leave the function.
        if all(map(is_, found, self._known)) and tuple(map(_CODE, found)) == self._codes:
            return False
        if not all(map(self._is_own, found)):
            return True
        self._known, self._codes = found, tuple(map(_CODE, found))
        return False

    def tools(self) -> set[str]:
        """The packages whose functions are around those of the class. One that stands in the place of the class's calls it no more."""
        found: set[str] = set()
        for path in self._paths:
            method = attrgetter(path)(self._owners)
            around: set[str] = set()
            while method is not None and not self._is_own(method):
                # Wrappers of wrapt have the function that they call; the module of a function may be copied from what it wraps.
                around.add(getattr(getattr(method, "_self_wrapper", method), "__globals__", {}).get("__name__", "").partition(".")[0])
                method = getattr(method, "__wrapped__", None)
            if method is not None:
                found |= around
        return found - {""}

    def around(self) -> set[str] | None:
        """The packages of all functions that those in place of the class's lead to; ``None`` if these lead to none of the class's own."""
        left = [*self.found]
        packages, seen, is_led_to = set[str](), set[int](), False
        while left and len(seen) < _MOST:
            one = left.pop()
            if self._is_own(one):
                is_led_to = True
            elif id(one) not in seen:
                seen.add(id(one))
                for function in (one, getattr(one, "_self_wrapper", one)):  # as wrapt has it
                    packages.add(getattr(function, "__globals__", {}).get("__name__", "").partition(".")[0])
                    left += _led_to(function)
        return packages if is_led_to else None

    def stand_in(self, instance: object) -> bool:
        """Whether an object has one of its own in front of that of its class."""
        return not vars(instance).keys().isdisjoint(self._names)

    def are_overridden(self, kind: type[Any], base: type[Any]) -> bool:
        """Whether a class has one of its own in place of that of its base."""
        for one in kind.__mro__:
            if one is base:
                return False
            if not vars(one).keys().isdisjoint(self._names):
                return True
        return False

    def _is_own(self, method: object) -> bool:
        # A wrapper may say that it is a function, and a function that wraps another carries it along: in its `__wrapped__`, or among the
        # constants of its code, which is put in the place of the function's and may have kept the name of its file.
        if type(method) is not FunctionType or vars(method):
            return False
        code = method.__code__
        is_of_source = code.co_qualname == method.__qualname__ and all(isinstance(value, _CONSTANTS) for value in code.co_consts)
        return is_of_source and code.co_filename.startswith(self._homes)


def _led_to(function: Any) -> list[Any]:
    """The functions that one has around it, in its closure or by names of its module."""
    found: list[Any] = [getattr(function, "__wrapped__", None)]
    if isinstance(function, FunctionType):
        found += [function.__globals__.get(name) for name in function.__code__.co_names]
        for cell in function.__closure__ or ():
            with suppress(ValueError):  # it is empty
                found.append(cell.cell_contents)
    return [one for one in found if isinstance(one, FunctionType)]  # wrapt's look like one


def _homes(owner: type[Any]) -> list[str]:
    """The folders of the packages that a class and its bases come from."""
    packages = {sys.modules[base.__module__.partition(".")[0]] for base in owner.__mro__}
    return [f"{folder}{os.sep}" for package in packages for folder in getattr(package, "__path__", ())]
