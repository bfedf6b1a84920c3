"""Tracebacks without the frames in which secrets stand: error trackers send local variables."""

from __future__ import annotations

from traceback import extract_tb
from types import TracebackType
from typing import TypeVar, cast

__all__ = ["cut"]

E = TypeVar("E", bound=BaseException)

# What a request passes on its way, and what looks at it there. In their local variables it stands as text and bytes, API key included.
_ON_THE_WAY = frozenset(
    [
        *("retell_async", "httpx", "httpcore", "h11", "h2", "hpack", "socksio", "httpx_ws"),
        *("aiohttp", "httpx_aiohttp", "aiohappyeyeballs", "yarl"),
        *("anyio", "asyncio", "outcome", "trio", "uvloop"),
        *("contextlib", "json", "selectors", "socket", "ssl", "urllib"),
        *("ddtrace", "logfire", "newrelic", "opentelemetry", "sentry_sdk", "wrapt"),
        *("pytest_httpx", "respx", "vcr"),
    ]
)
_TRANSLATED = frozenset(("aiohttp", "h11", "h2", "httpcore"))


def cut(error: E, until: BaseException | None = None, *, note: bool = False) -> E:
    """Take out of an error, and of all that led to it, the frames of what a request passes on its way. Those of others stay.

    To be called where the error is caught and raised again, so that the frames above come to it afterwards.

    :param until: an error that was being handled before, and is left as it is.
    :param note: say in a note of the error where it was raised, for one that nobody expects.
    """
    if note:
        error.add_note(
            "\n".join(["raised in", *(f"  {frame.name}, {frame.filename}:{frame.lineno}" for frame in extract_tb(error.__traceback__))])
        )
    left: list[BaseException | None] = [error]
    seen = {id(until)}
    while left:
        one = left.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        one.__traceback__ = _without(one.__traceback__)
        quiet = one.__suppress_context__
        one.__cause__, one.__context__ = _behind(one.__cause__), _behind(one.__context__)
        one.__suppress_context__ = quiet
        left += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            left += cast("BaseExceptionGroup[BaseException]", one).exceptions
    return error


def _behind(error: BaseException | None) -> BaseException | None:
    """Leave out errors that httpx has translated: what they say is said, and the repr of one of aiohttp shows headers."""
    while error is not None and type(error).__module__.partition(".")[0] in _TRANSLATED:
        error = error.__cause__ or error.__context__
    return error


def _without(traceback: TracebackType | None) -> TracebackType | None:
    kept: list[TracebackType] = []
    while traceback is not None:
        module = str(traceback.tb_frame.f_globals.get("__name__", ""))
        if module.partition(".")[0] not in _ON_THE_WAY:
            kept.append(traceback)
        traceback = traceback.tb_next
    found: TracebackType | None = None
    for entry in reversed(kept):
        found = TracebackType(found, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return found
