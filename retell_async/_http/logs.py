"""The log lines of httpx and of what it stands on are masked while they are about requests of this package; those of others stay."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from .._core.masking import mask_text, one_line

__all__ = ["masked_logs"]

_LOGGERS = (
    *("httpx", "httpx2"),
    *(f"{pool}.{part}" for pool in ("httpcore", "httpcore2") for part in ("connection", "http11", "http2", "proxy", "socks")),
    *(f"hpack.{part}" for part in ("hpack", "table")),
    *(f"aiohttp.{part}" for part in ("client", "internal")),
)

_ours: ContextVar[bool] = ContextVar("retell_async_logs", default=False)


def _mask(record: logging.LogRecord) -> bool:
    if _ours.get():
        text = record.getMessage()
        shown = one_line(mask_text(text))
        if shown != text:
            record.msg, record.args = shown, ()
    return True


# On the loggers, as handlers are the user's. Only what a logger itself is told passes its filters, so each is named here.
for _name in _LOGGERS:
    logging.getLogger(_name).addFilter(_mask)


@contextmanager
def masked_logs() -> Generator[None]:
    """Mask what is logged in this block."""
    token = _ours.set(True)
    try:
        yield
    finally:
        _ours.reset(token)
