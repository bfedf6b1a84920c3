"""Seeing what goes on: spans and metrics of OpenTelemetry, metrics of Prometheus, lines in logs; and hooks for anything else.

Nothing is observed before `instrument` is called, and then all clients, routers, apps and campaigns of the process are.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from retell_async import _instrumentation
from retell_async._core.errors import ConfigurationError
from retell_async._core.hints import readable
from retell_async._instrumentation import (
    TRACEPARENT,
    Activity,
    AttemptActivity,
    CampaignAttemptActivity,
    DeliveryActivity,
    Hook,
    RequestActivity,
    TurnActivity,
    trace_of,
)

from .logs import ContextFilter, LoggingHook, StructlogHook, add_context
from .prometheus import PrometheusHook

if TYPE_CHECKING:
    from .otel import OpenTelemetryHook

__all__ = [
    "Activity",
    "AttemptActivity",
    "CampaignAttemptActivity",
    "ContextFilter",
    "DeliveryActivity",
    "Hook",
    "LoggingHook",
    "OpenTelemetryHook",
    "PrometheusHook",
    "RequestActivity",
    "StructlogHook",
    "TurnActivity",
    "add_context",
    "active_hooks",
    "instrument",
    "instrumented",
    "trace_metadata",
    "uninstrument",
]


def instrument(*hooks: Hook) -> None:
    """Tell these hooks, and no others, of everything that this package does in this process.

    Without any it is an `OpenTelemetryHook` where OpenTelemetry is installed, and else a `PrometheusHook`.

    :raises ConfigurationError: one is no hook.
    :raises ModuleNotFoundError: no hook is given, and neither is installed.
    """
    for hook in hooks:
        if not callable(hook):
            raise ConfigurationError(f"a hook is called with what happens, as an OpenTelemetryHook() is; {hook!r} cannot be called")
    _instrumentation.set_hooks(hooks or (_usual(),))


def uninstrument() -> None:
    """Tell nobody any more. What is under way is still told to its end."""
    _instrumentation.set_hooks(())


@contextmanager
def instrumented(*hooks: Hook) -> Generator[None]:
    """A block with other hooks, as `instrument` takes them: for tests."""
    before = _instrumentation.hooks
    instrument(*hooks)
    try:
        yield
    finally:
        _instrumentation.set_hooks(before)


def active_hooks() -> tuple[Hook, ...]:
    """The hooks that are told now."""
    return _instrumentation.hooks


def trace_metadata(key: str) -> dict[str, str]:
    """Metadata for a call that is placed under an idempotency key of your own: the trace that its webhooks and turns join.

    It is made of the key alone, so that the same request is sent whoever sends it again, in whichever process and trace.
    """
    return {TRACEPARENT: trace_of(key)}


def _usual() -> Hook:
    if find_spec("opentelemetry") is not None:
        from .otel import OpenTelemetryHook

        return OpenTelemetryHook()
    return PrometheusHook()


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """The hook that needs OpenTelemetry, found when it is asked for."""
        if name != "OpenTelemetryHook":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from .otel import OpenTelemetryHook

        readable(OpenTelemetryHook)
        return OpenTelemetryHook


for _name in __all__:
    if _name != "OpenTelemetryHook":
        readable(globals()[_name])
