"""Metrics of Prometheus, for programs that do not use OpenTelemetry's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING, Any

from retell_async import ConfigurationError
from retell_async._instrumentation import Activity

from .figures import METRICS, Figures, Measured, Metric

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

__all__ = ["PrometheusHook"]


class PrometheusHook:
    """Counts and measures what goes on, for Prometheus: the same metrics under the same names as OpenTelemetry's exporter gives them.

    :param registry: where they are registered, by default that of `prometheus_client`. There is one hook a registry.
    :param most_agents: so many agents have labels of their own; those that come later are ``other``.
    :raises ModuleNotFoundError: `prometheus_client` is not installed.
    :raises ConfigurationError: they are registered there already.
    """

    def __init__(self, registry: CollectorRegistry | None = None, *, most_agents: int = 100) -> None:
        try:
            from prometheus_client import REGISTRY
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                f"{error.name} is missing: telemetry needs `pip install 'retell-async[telemetry]'`", name=error.name
            ) from None
        self._figures = Figures(most_agents=most_agents)
        try:
            self._records = {metric: _recorder(metric, registry or REGISTRY) for metric in METRICS}
        except ValueError as error:
            raise ConfigurationError(f"the registry has such metrics already: make one PrometheusHook for it ({error})") from None

    def __call__(self, what: Any) -> AbstractContextManager[Any] | None:
        if isinstance(what, Activity):
            of_call = self._figures.at_begin(what)
            ending = ExitStack()
            ending.callback(lambda: self._record(self._figures.at_end(what, of_call)))
            return ending
        self._record(self._figures.of_event(what))
        return None

    def _record(self, measured: Sequence[Measured]) -> None:
        for metric, value, labels in measured:
            self._records[metric](tuple(labels.values()), value)


def _recorder(metric: Metric, registry: CollectorRegistry) -> Callable[[tuple[str, ...], float], None]:
    from prometheus_client import Counter, Gauge, Histogram

    name, about, labels = metric.prometheus, metric.about, metric.labels
    if metric.kind == "counter":
        counter = Counter(name, about, labels, registry=registry)
        return lambda values, value: (counter.labels(*values) if values else counter).inc(value)
    if metric.kind == "gauge":
        gauge = Gauge(name, about, labels, registry=registry, multiprocess_mode="livesum" if labels else "mostrecent")
        return lambda values, value: (gauge.labels(*values) if values else gauge).set(value)
    histogram = Histogram(name, about, labels, registry=registry, buckets=metric.buckets)
    return lambda values, value: (histogram.labels(*values) if values else histogram).observe(value)
