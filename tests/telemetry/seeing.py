"""What OpenTelemetry gets of what goes on: spans as they end, spans as a tree, and metrics by name and labels."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from retell_async import telemetry
from retell_async.telemetry import OpenTelemetryHook

__all__ = ["Seen", "attributes_of", "seeing"]


class Seen:
    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader], shutdown_on_exit=False)
        self.tracer = self.tracers.get_tracer("the program")

    def hook(self, **settings: Any) -> OpenTelemetryHook:
        return OpenTelemetryHook(tracer_provider=self.tracers, meter_provider=self.meters, **settings)

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        return self.exporter.get_finished_spans()

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        (span,) = self.named(name)
        return span

    def children(self, of: ReadableSpan) -> list[ReadableSpan]:
        return [span for span in self.spans if span.parent is not None and span.parent.span_id == _context(of).span_id]

    def metrics(self) -> dict[tuple[Any, ...], float]:
        """Sums of counters, values of gauges and sums of histograms, by name and labels in their order."""
        found: dict[tuple[Any, ...], float] = {}
        data = self.reader.get_metrics_data()
        for resource in [] if data is None else data.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    for point in metric.data.data_points:
                        value = getattr(point, "value", None)
                        labels = (point.attributes or {}).values()
                        found[(metric.name, *labels)] = getattr(point, "sum", 0.0) if value is None else value
        return found


def attributes_of(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def _context(span: ReadableSpan) -> Any:
    assert span.context is not None
    return span.context


@contextmanager
def seeing(**settings: Any) -> Generator[Seen]:
    seen = Seen()
    with telemetry.instrumented(seen.hook(**settings)):
        yield seen
