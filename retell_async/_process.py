"""Which process this is. One that was forked off leaves alone what its parent has open."""

from __future__ import annotations

import os
from typing import Any
from weakref import WeakSet

__all__ = ["keep_for_parent", "this_process"]

_process = object()
_open: WeakSet[Any] = WeakSet()
_of_parent: list[Any] = []


def this_process() -> object:
    """The same object as long as it is the same process."""
    return _process


def keep_for_parent(thing: object) -> None:
    """Let nothing of this be collected in a process that is forked off: what is closed there may be closed for the parent too."""
    _open.add(thing)


def _forked() -> None:
    global _process  # noqa: PLW0603 - there is one process
    _process = object()
    _of_parent.extend(_open)
    _open.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
