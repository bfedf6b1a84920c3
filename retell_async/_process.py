"""Which process this is. One that was forked off leaves alone what its parent has open."""

from __future__ import annotations

import os

__all__ = ["this_process"]

_process = object()


def this_process() -> object:
    """The same object as long as it is the same process."""
    return _process


def _forked() -> None:
    global _process  # noqa: PLW0603 - there is one process
    _process = object()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
