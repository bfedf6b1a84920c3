"""Whether a tool has put something of its own in the place of methods of httpx: to trace requests, to record or to fake them.

Sentry, Datadog and New Relic do so with `httpx.AsyncClient.send`; OpenTelemetry and Logfire with the method of a transport, of its class or
of one object; pytest-httpx, respx and vcrpy below. What they want to see must go that way, while they want to see it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from operator import attrgetter, is_
from pathlib import Path
from types import FunctionType
from typing import Any, cast

__all__ = ["Methods"]

_code = attrgetter("__code__")


class Methods:
    """Methods of a class, looked at anew for each request: a tool may come and go at any time.

    :param package: the file of a module beside which, or below which, their own code is.
    """

    def __init__(self, owner: type[Any], names: Sequence[str], package: str) -> None:
        self._owner = owner
        self._names = [name for name in names if hasattr(owner, name)]
        self._folder = f"{Path(package).parent}{os.sep}"
        self._known: tuple[Any, ...] = ()
        self._codes: tuple[Any, ...] = ()

    def are_replaced(self) -> bool:
        """Whether one of them is not the class's own, or runs other code than its own."""
        owner = self._owner
        methods = tuple([getattr(owner, name) for name in self._names])
        # By identity: a wrapper may say that it equals what it wraps, and a tool may change the code of a function and leave the function.
        if self._known and all(map(is_, methods, self._known)) and all(map(is_, map(_code, methods), self._codes)):
            return False
        if not all(map(self._is_own, methods)):
            return True
        self._known, self._codes = methods, tuple(map(_code, methods))
        return False

    def stand_in(self, instance: object) -> bool:
        """Whether an object has one of its own in front of that of its class."""
        return not vars(instance).keys().isdisjoint(self._names)

    def _is_own(self, method: object) -> bool:
        # A wrapper may also say that it is a function, and a function that wraps another carries it along.
        plain = type(method) is FunctionType and not vars(method)
        return plain and cast("FunctionType", method).__code__.co_filename.startswith(self._folder)
