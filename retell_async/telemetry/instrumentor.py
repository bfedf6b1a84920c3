"""What ``opentelemetry-instrument`` finds: spans and metrics without a line in the program."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Any

from retell_async import _instrumentation

try:
    from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"{error.name} is missing: telemetry needs `pip install 'retell-async[telemetry]'`", name=error.name
    ) from None

from .otel import OpenTelemetryHook

__all__ = ["RetellInstrumentor"]

_PROPAGATE = "RETELL_TELEMETRY_PROPAGATE"


class RetellInstrumentor(BaseInstrumentor):  # type: ignore[misc]
    """An instrumentor as OpenTelemetry has them: `instrument` adds an `OpenTelemetryHook` to the hooks, `uninstrument` takes it out.

    `instrument` takes what `OpenTelemetryHook` takes. The environment variable ``RETELL_TELEMETRY_PROPAGATE=true`` stands for
    ``propagate=True``.
    """

    _hook: OpenTelemetryHook | None = None

    def instrumentation_dependencies(self) -> Collection[str]:
        return ()

    def _instrument(self, **kwargs: Any) -> None:
        kwargs.setdefault("propagate", os.environ.get(_PROPAGATE, "").lower() in {"1", "true"})
        self._hook = OpenTelemetryHook(**kwargs)
        _instrumentation.set_hooks((*_instrumentation.hooks, self._hook))

    def _uninstrument(self, **_kwargs: Any) -> None:
        _instrumentation.set_hooks(hook for hook in _instrumentation.hooks if hook is not self._hook)
        self._hook = None
