"""Lines in a log for what goes on, and what they have in common with those of the program: the call and the trace."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, MutableMapping
from contextlib import AbstractContextManager, ExitStack
from typing import Any

from retell_async import CircuitEvent
from retell_async._core.masking import one_line
from retell_async._instrumentation import Activity, AttemptActivity, current

from .attributes import Attributes, at_end, error_type, kind_of, name_of, of_event, text_of

__all__ = ["ContextFilter", "LoggingHook", "StructlogHook", "add_context"]


class LoggingHook:
    """Writes a line to a logger of the standard library for each activity that ended: a warning for what failed. Attempts are at DEBUG.

    What is known of it is in the record's ``retell`` attribute. Retries, limits and waits are logged by the client itself, unless it was
    given other hooks.

    :param logger: the logger, or its name.
    """

    def __init__(self, logger: logging.Logger | str = "retell_async") -> None:
        self._logger = logging.getLogger(logger) if isinstance(logger, str) else logger

    def __call__(self, what: Any) -> AbstractContextManager[Any] | None:
        return _at_end(what, self._write) if isinstance(what, Activity) else None

    def _write(self, level: int, kind: str, fields: Attributes) -> None:
        if self._logger.isEnabledFor(level):
            said = one_line(" ".join(f"{name}={value}" for name, value in fields.items()))
            self._logger.log(level, "%s: %s", kind, said, extra={"retell": fields})


class StructlogHook:
    """Writes an event to a logger of structlog for each activity that ended, and for each retry, limit, wait and circuit breaker.

    Give clients ``hooks=()``, or they log the latter to the standard library too.

    :param logger: by default ``structlog.get_logger("retell_async")``.
    :raises ModuleNotFoundError: structlog is not installed.
    """

    def __init__(self, logger: Any = None) -> None:
        if logger is None:
            try:
                import structlog
            except ModuleNotFoundError as error:
                raise ModuleNotFoundError(
                    f"{error.name} is missing: StructlogHook needs `pip install structlog`", name=error.name
                ) from None
            logger = structlog.get_logger("retell_async")
        self._logger = logger

    def __call__(self, what: Any) -> AbstractContextManager[Any] | None:
        if isinstance(what, Activity):
            return _at_end(what, self._write)
        name, fields = of_event(what)
        level = logging.WARNING if isinstance(what, CircuitEvent) and what.state == "open" else logging.INFO
        self._write(level, name, {"operation": what.operation, **_plain(fields)})
        return None

    def _write(self, level: int, kind: str, fields: Attributes) -> None:
        self._logger.log(level, kind, **fields)


def _at_end(activity: Activity, write: Callable[[int, str, Attributes], None]) -> ExitStack:
    def end() -> None:
        failed = error_type(activity)
        usual = logging.DEBUG if isinstance(activity, AttemptActivity) else logging.INFO
        fields = {"activity": name_of(activity), "seconds": round(activity.seconds, 3), **_plain(at_end(activity))}
        write(logging.WARNING if failed is not None and usual == logging.INFO else usual, kind_of(activity), fields)

    ending = ExitStack()
    ending.callback(end)
    return ending


def _plain(attributes: Attributes) -> Attributes:
    """Attributes by names as logs have them: ``call_id`` and not ``retell.call_id``."""
    return {name.removeprefix("retell.").replace(".", "_"): value for name, value in attributes.items()}


def add_context(_logger: Any, _method: str, event_dict: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A processor of structlog: adds the call (``call_id``) and the trace (``trace_id``, ``span_id``) in which a line is written."""
    for name, value in _context().items():
        event_dict.setdefault(name, value)
    return event_dict


class ContextFilter(logging.Filter):
    """A filter for a handler of `logging`: adds ``call_id``, ``trace_id`` and ``span_id`` to each record; empty where there is none."""

    def filter(self, record: logging.LogRecord) -> bool:
        context = _context()
        for name in ("call_id", "trace_id", "span_id"):
            if not hasattr(record, name):
                setattr(record, name, context.get(name, ""))
        return True


def _context() -> dict[str, str]:
    found: dict[str, str] = {}
    call_id = text_of(next((activity.call_id for activity in reversed(current()) if activity.call_id is not None), None))
    if call_id is not None:
        found["call_id"] = call_id
    trace = sys.modules.get("opentelemetry.trace")
    if trace is not None:
        span = trace.get_current_span().get_span_context()
        if span.is_valid:
            found["trace_id"], found["span_id"] = f"{span.trace_id:032x}", f"{span.span_id:016x}"
    return found
