"""Loggers that never raise: no outcome is lost, and no task ends, because a line could not be written."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any

from ._core.masking import masked_traceback

__all__ = ["Log"]


class Log(logging.LoggerAdapter[logging.Logger]):
    """Writes to the logger of this name.

    `logging` catches what a handler raises while it writes, and lets through what a filter raises, or a handler that does not care. Such
    an error is shown as `logging` shows its own: on standard error, unless `logging.raiseExceptions` is off.
    """

    def __init__(self, name: str) -> None:
        super().__init__(logging.getLogger(name))

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        return msg, kwargs  # with the `extra` of the line

    def log(self, level: int, msg: object, *args: object, stacklevel: int = 1, **settings: Any) -> None:
        try:
            super().log(level, msg, *args, stacklevel=stacklevel + 1, **settings)  # the caller is who calls this
        except Exception as error:  # noqa: BLE001 - of whatever the user has put there
            show(error)


def show(error: Exception) -> None:
    """Show why a line could not be written."""
    if logging.raiseExceptions:
        with suppress(Exception):  # there may be no standard error
            sys.stderr.write(f"--- Logging error ---\n{masked_traceback(error)}")
