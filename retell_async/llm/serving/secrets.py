"""Secrets in the logs of servers, which have the paths of all connections."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterable, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

    from ..app import App

__all__ = ["hidden_in_logs"]

_REFUSAL = "ASGI callable returned without completing handshake."
"""What uvicorn takes each connection for that is refused with an answer."""


@contextmanager
def hidden_in_logs(apps: Sequence[App], loggers: Iterable[logging.Logger]) -> Generator[None]:
    """Keep the secrets of applications out of what a server logs."""

    def without_secrets(text: str) -> str:
        for app in apps:
            text = app.hide(text)
        return text

    def hidden(part: object) -> object:
        text = part if isinstance(part, str) else repr(part)
        without = without_secrets(text)
        return part if without == text else without

    def hide(record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(hidden(part) for part in record.args)
            record.msg = hidden(record.msg)
        elif (text := record.getMessage()) != (without := without_secrets(text)):
            record.msg, record.args = without, None
        if record.exc_info:
            text = "".join(traceback.format_exception(*record.exc_info)).rstrip()
            if (without := without_secrets(text)) != text:
                record.exc_info, record.exc_text = None, without
        return record.msg != _REFUSAL

    hiding = tuple(loggers)
    for logger in hiding:
        logger.addFilter(hide)
    try:
        yield
    finally:
        for logger in hiding:
            logger.removeFilter(hide)
