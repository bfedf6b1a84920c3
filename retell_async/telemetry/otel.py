"""Spans and metrics of OpenTelemetry."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from retell_async import __version__
from retell_async._instrumentation import Activity, AttemptActivity, DeliveryActivity, RequestActivity

from .attributes import at_begin, at_end, name_of, of_event
from .figures import METRICS, Figures, Measured, Metric, OfCall

try:
    from opentelemetry import context as contexts, metrics, trace
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"{error.name} is missing: telemetry needs `pip install 'retell-async[telemetry]'`", name=error.name
    ) from None

if TYPE_CHECKING:
    from contextvars import Token

__all__ = ["OpenTelemetryHook"]

_FAILED = trace.Status(trace.StatusCode.ERROR)


class OpenTelemetryHook:
    """Makes spans and metrics of what goes on.

    :param tracer_provider: where spans go; by default the global one.
    :param meter_provider: where metrics go; by default the global one.
    :param propagate: put the trace into the ``metadata`` of calls that are placed, as ``traceparent``: the call's webhooks and turns then
        join it, in whichever process. Under an idempotency key of your own nothing is put in: see `trace_metadata`.
    :param most_agents: so many agents have labels of their own in metrics; those that come later are ``other``.
    :raises ModuleNotFoundError: OpenTelemetry is not installed.
    """

    def __init__(
        self,
        *,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
        propagate: bool = False,
        most_agents: int = 100,
    ) -> None:
        self.propagate = propagate
        self._tracer = trace.get_tracer("retell_async", __version__, tracer_provider)
        self._figures = Figures(most_agents=most_agents)
        meter = metrics.get_meter("retell_async", __version__, meter_provider)
        self._records = {metric: _recorder(meter, metric) for metric in METRICS}

    def __call__(self, what: Any) -> AbstractContextManager[Any] | None:
        if isinstance(what, Activity):
            return self._begin(what)
        name, attributes = of_event(what)
        trace.get_current_span().add_event(name, attributes)
        self._record(self._figures.of_event(what))
        return None

    def _begin(self, activity: Activity) -> _Span:
        context, links = (None, None) if activity.traceparent is None else _whose(activity, activity.traceparent)
        kind, start = trace.SpanKind.INTERNAL, None
        of_call: OfCall = ()
        if isinstance(activity, AttemptActivity):
            kind = trace.SpanKind.CLIENT
        elif not isinstance(activity, RequestActivity):
            if isinstance(activity, DeliveryActivity):
                kind, of_call = trace.SpanKind.CONSUMER, self._figures.at_begin(activity)
            # It may have begun before it was known what it belongs to.
            start = time.time_ns() - int((time.perf_counter() - activity.began) * 1e9)
        span = self._tracer.start_span(name_of(activity), context, kind, at_begin(activity), links, start, record_exception=False)
        if self.propagate and isinstance(activity, RequestActivity) and activity.places_call:
            activity.propagated = _traceparent(span.get_span_context())
        return _Span(self, activity, span, start, of_call)

    def _record(self, measured: Iterable[Measured]) -> None:
        for metric, value, labels in measured:
            self._records[metric](value, labels)

    def ended(self, activity: Activity, of_call: OfCall) -> None:
        self._record(self._figures.at_end(activity, of_call))


class _Span:
    """A span that is the current one within a block, and ends with it."""

    __slots__ = ("_activity", "_hook", "_of_call", "_span", "_start", "_token")

    def __init__(self, hook: OpenTelemetryHook, activity: Activity, span: trace.Span, start: int | None, of_call: OfCall) -> None:
        self._hook = hook
        self._activity = activity
        self._span = span
        self._start = start
        self._of_call = of_call
        self._token: Token[contexts.Context] | None = None

    def __enter__(self) -> Self:
        self._token = contexts.attach(trace.set_span_in_context(self._span))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if self._token is not None:
            contexts.detach(self._token)
        activity, span, start = self._activity, self._span, self._start
        if span.is_recording():
            attributes = at_end(activity)
            if attributes:
                span.set_attributes(attributes)
            if "error.type" in attributes:
                span.set_status(_FAILED)
        span.end(None if start is None else start + int(activity.seconds * 1e9))
        if not isinstance(activity, AttemptActivity):
            self._hook.ended(activity, self._of_call)


def _recorder(meter: metrics.Meter, metric: Metric) -> Callable[[float, Mapping[str, str]], None]:
    if metric.kind == "counter":
        return meter.create_counter(metric.name, metric.unit, metric.about).add
    if metric.kind == "gauge":
        return meter.create_gauge(metric.name, metric.unit, metric.about).set
    return meter.create_histogram(metric.name, metric.unit, metric.about, explicit_bucket_boundaries_advisory=list(metric.buckets)).record


def _whose(activity: Activity, traceparent: str) -> tuple[contexts.Context, list[trace.Link] | None]:
    """What a span is part of, and what it is linked with.

    What Retell sends, and an attempt of a campaign, join the trace of their call, and are linked with where they arrived. A request stays
    where it is made, and is linked with the trace that its key names.
    """
    context, call = contexts.get_current(), _context_of(traceparent)
    here = trace.get_current_span(context).get_span_context()
    if here.is_valid and here.trace_id == call.trace_id:
        return context, None
    if here.is_valid and isinstance(activity, RequestActivity):
        return context, [trace.Link(call)]
    joined = trace.set_span_in_context(trace.NonRecordingSpan(call), context)
    return joined, [trace.Link(here)] if here.is_valid else None


def _context_of(traceparent: str) -> trace.SpanContext:
    _, trace_id, span_id, flags = traceparent.split("-")
    return trace.SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=trace.TraceFlags(int(flags, 16)))


def _traceparent(context: trace.SpanContext) -> str | None:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}" if context.is_valid else None
