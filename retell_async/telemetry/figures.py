"""What is counted and measured of what goes on: functions over values, and what bounds the labels."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal, TypeAlias, cast

import attrs

from retell_async import CircuitEvent, LimitEvent, RetellError, RetryEvent, WaitEvent
from retell_async._instrumentation import Activity, CampaignAttemptActivity, DeliveryActivity, RequestActivity, TurnActivity

from .attributes import Told, error_type, method_of, text_of

__all__ = ["METRICS", "Figures", "Measured", "Metric", "OfCall"]

Label: TypeAlias = Literal["agent", "direction", "reason"]

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_LATENCY = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
_CALL = (1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 180.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0)
_OVER = {"ended", "error", "not_connected"}
_OTHER = "other"
_UNKNOWN = "unknown"


@attrs.frozen(eq=False)
class Metric:
    """One metric, by its name in OpenTelemetry."""

    name: str
    kind: Literal["counter", "histogram", "gauge"]
    unit: str
    about: str
    labels: tuple[Label, ...] = ()
    buckets: tuple[float, ...] = ()

    @property
    def prometheus(self) -> str:
        """Its name in Prometheus, which is also that of OpenTelemetry's exporter for it; a counter has ``_total`` after it."""
        return self.name.replace(".", "_") + ("_seconds" if self.unit == "s" else "")


def _counter(name: str, unit: str, about: str, *labels: Label) -> Metric:
    return Metric(name, "counter", unit, about, labels)


def _seconds(name: str, buckets: tuple[float, ...], about: str, *labels: Label) -> Metric:
    return Metric(name, "histogram", "s", about, labels, buckets)


def _gauge(name: str, unit: str, about: str, *labels: Label) -> Metric:
    return Metric(name, "gauge", unit, about, labels)


REQUESTS = _counter("retell.requests", "{request}", "Operations of the API that ended, by how: ok, or the kind of error.", "reason")
REQUEST_DURATION = _seconds("retell.request.duration", _SECONDS, "How long they took, with all attempts and waits.", "reason")
RETRIES = _counter("retell.request.retries", "{retry}", "Requests that were sent again, by the kind of error before.", "reason")
LIMITED = _counter("retell.request.limited", "{answer}", "Answers of 429, by the limit that they were for.", "reason")
WAITS = _seconds("retell.request.wait", _SECONDS, "How long requests waited for a limit or a connection, by which.", "reason")
CIRCUITS = _gauge("retell.circuit_breakers", "{circuit}", "Circuit breakers that are open, or half open.", "reason")
DELIVERIES = _counter("retell.webhook.deliveries", "{delivery}", "What Retell sent, by what came of it.", "reason")
DELIVERY_DURATION = _seconds("retell.webhook.duration", _SECONDS, "From the first byte to the end of the handlers.", "reason")
REDELIVERIES = _counter(
    "retell.webhook.retries", "{delivery}", "What Retell sent again: handled already, or still being handled.", "reason"
)
DELIVERY_FAILURES = _counter("retell.webhook.failures", "{delivery}", "What was not handled: failed, late or refused.", "reason")
TURNS = _counter("retell.turns", "{turn}", "Turns of a custom LLM, by how they ended.", "reason")
FIRST_TEXT = _seconds("retell.turn.first_text", _LATENCY, "From the request for a turn to its first text.")
ATTEMPTS = _counter("retell.campaign.attempts", "{attempt}", "Attempts of campaigns, by what came of them.", "reason")
CALLS = _counter("retell.calls", "{call}", "Calls that are over, by the reason of their disconnection.", "agent", "direction", "reason")
CALL_DURATION = _seconds("retell.call.duration", _CALL, "How long calls lasted.", "agent", "direction")
ANALYZED = _counter("retell.call.analyzed", "{call}", "Calls whose analysis says whether they were successful.", "agent", "direction")
SUCCESS = _counter("retell.call.success", "{call}", "Those that were.", "agent", "direction")
COST = _counter("retell.call.cost.cents", "{cent}", "What calls cost, in cents.", "agent", "direction")
E2E = _seconds("retell.call.e2e.latency", _LATENCY, "From the end of what the user says to the agent's first word.", "agent", "direction")
LLM = _seconds("retell.call.llm.latency", _LATENCY, "The model's part of it.", "agent", "direction")
TTS = _seconds("retell.call.tts.latency", _LATENCY, "The voice's part of it.", "agent", "direction")
CONCURRENCY = _gauge("retell.concurrency.current", "{call}", "Calls that go on in the account, when it was asked last.")
CONCURRENCY_LIMIT = _gauge("retell.concurrency.limit", "{call}", "Calls that it may have.")

METRICS: tuple[Metric, ...] = (
    *(REQUESTS, REQUEST_DURATION, RETRIES, LIMITED, WAITS, CIRCUITS),
    *(DELIVERIES, DELIVERY_DURATION, REDELIVERIES, DELIVERY_FAILURES, TURNS, FIRST_TEXT, ATTEMPTS),
    *(CALLS, CALL_DURATION, ANALYZED, SUCCESS, COST, E2E, LLM, TTS, CONCURRENCY, CONCURRENCY_LIMIT),
)

Labels: TypeAlias = Mapping[str, str]
Measured: TypeAlias = tuple[Metric, float, Labels]
"""A metric, a value, and its labels in their order."""

_Group: TypeAlias = Literal["ended", "cost", "latency", "analyzed"]
OfCall: TypeAlias = Sequence[tuple[_Group, Measured]]


class Figures:
    """Makes measurements of what goes on.

    A call is measured once in this process, however often it is told of: by webhooks that come again, and by a campaign too.

    :param most_agents: so many agents, those that come first, have labels of their own; so with reasons. The others are ``other``.
    :param most_calls: so many calls, those that came last, are known to be measured already.
    """

    def __init__(self, *, most_agents: int = 100, most_calls: int = 10_000) -> None:
        self._agents: set[str] = set()
        self._reasons: dict[Metric, dict[str, Labels]] = {metric: {} for metric in METRICS}
        self._most = most_agents
        self._most_calls = most_calls
        self._calls: dict[str, frozenset[str]] = {}
        self._circuits: dict[int, str] = {}
        self._locks: dict[int, threading.Lock] = {}
        """By process: one that is forked while another thread holds that of the parent goes on."""

    def _lock(self) -> threading.Lock:
        return self._locks.setdefault(os.getpid(), threading.Lock())

    def of_event(self, event: Told) -> list[Measured]:
        """What an event of a client says."""
        match event:
            case RetryEvent():
                return [(RETRIES, 1, self._by_reason(RETRIES, type(event.error).__name__))]
            case LimitEvent():
                return [(LIMITED, 1, self._by_reason(LIMITED, event.limit))]
            case WaitEvent():
                return [(WAITS, event.seconds, self._by_reason(WAITS, event.limit))]
            case CircuitEvent():
                with self._lock():
                    self._circuits.pop(event.circuit, None)
                    if event.state != "closed":
                        self._circuits[event.circuit] = event.state
                    states = list(self._circuits.values())
                return [(CIRCUITS, states.count(state), {"reason": state}) for state in ("open", "half_open")]

    def at_begin(self, activity: Activity) -> OfCall:
        """What a delivery says of its call, to be given to `at_end`: what was sent is not there any more then."""
        call = getattr(activity.sent, "call", None) if isinstance(activity, DeliveryActivity) and activity.kind == "event" else None
        return () if call is None else self._of_call(call)

    def at_end(self, activity: Activity, of_call: OfCall = ()) -> list[Measured]:
        """What an activity says at its end."""
        found: list[Measured] = []
        match activity:
            case RequestActivity():
                reason = self._by_reason(REQUESTS, error_type(activity) or "ok")
                found = [(REQUESTS, 1, reason), (REQUEST_DURATION, activity.seconds, reason)]
                if method_of(activity.operation) == "concurrency.retrieve":
                    found += _concurrency(activity)
            case DeliveryActivity():
                outcome = activity.outcome or "cancelled"
                reason = {"reason": outcome}
                found += [(DELIVERIES, 1, reason), (DELIVERY_DURATION, activity.seconds, reason)]
                if outcome in {"duplicate", "in_progress"}:
                    found.append((REDELIVERIES, 1, reason))
                elif outcome not in {"handled", "unhandled"}:
                    found.append((DELIVERY_FAILURES, 1, reason))
                if outcome not in {"late", "refused"}:
                    found += self._new(activity.call_id, of_call)
            case TurnActivity():
                found.append((TURNS, 1, {"reason": activity.outcome}))
                if activity.first_text is not None:
                    found.append((FIRST_TEXT, activity.first_text, {}))
            case CampaignAttemptActivity():
                if activity.reason is not None:
                    found.append((ATTEMPTS, 1, self._by_reason(ATTEMPTS, activity.reason)))
                if activity.call is not None:
                    found += self._new(activity.call_id, self._of_call(activity.call))
            case _:
                pass
        return found

    def _new(self, call_id: str | None, of_call: OfCall) -> Iterator[Measured]:
        """What was not measured of a call before."""
        if not isinstance(call_id, str) or not of_call:  # whatever Retell says
            return
        with self._lock():
            known = self._calls.pop(call_id, frozenset[str]())
            self._calls[call_id] = known.union(group for group, _ in of_call)
            if len(self._calls) > self._most_calls:
                del self._calls[next(iter(self._calls))]
        yield from (measured for group, measured in of_call if group not in known)

    def _of_call(self, call: Any) -> OfCall:
        """What a call says. Retell's values are of any type: one that is no figure is left out, and the others are measured."""
        found: list[tuple[_Group, Measured]] = []

        def add(group: _Group, metric: Metric, value: object, per: float = 1) -> None:
            if (figure := _figure(value)) is not None:
                found.append((group, (metric, figure / per, whose)))

        whose = {"agent": self._agent(text_of(call.agent_id)), "direction": _direction(call)}
        if text_of(call.call_status) in _OVER or call.disconnection_reason is not None:
            reason = self._by_reason(CALLS, text_of(call.disconnection_reason) or _UNKNOWN)
            found.append(("ended", (CALLS, 1, {**whose, **reason})))
            add("ended", CALL_DURATION, call.duration_ms, 1000)
        add("cost", COST, getattr(call.call_cost, "combined_cost", None))
        for metric, name in ((E2E, "e2e"), (LLM, "llm"), (TTS, "tts")):
            stated = getattr(call.latency, name, None)
            values = getattr(stated, "values", None)
            some = cast("Sequence[object]", values) if isinstance(values, list) and values else (getattr(stated, "p50", None),)
            for value in some:
                add("latency", metric, value, 1000)
        successful = getattr(call.call_analysis, "call_successful", None)
        if isinstance(successful, bool):
            found.append(("analyzed", (ANALYZED, 1, whose)))
            if successful:
                found.append(("analyzed", (SUCCESS, 1, whose)))
        return found

    def _agent(self, id: str | None) -> str:
        if id is None or id in self._agents:
            return id or _UNKNOWN
        if len(self._agents) >= self._most:
            return _OTHER
        self._agents.add(id)
        return id

    def _by_reason(self, metric: Metric, reason: str) -> Labels:
        """The label for a reason, if there are not too many already."""
        known = self._reasons[metric]
        labels = known.get(reason)
        if labels is None:
            if len(known) >= self._most:
                return {"reason": _OTHER}
            labels = known[reason] = {"reason": reason}
        return labels


def _figure(value: object) -> float | None:
    """A number that can be counted and measured; ``None`` if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        figure = float(value)
    except OverflowError:
        return None
    return figure if 0 <= figure < math.inf else None


def _direction(call: Any) -> str:
    if getattr(call, "call_type", None) == "web_call":
        return "web"
    direction = text_of(getattr(call, "direction", None))
    return direction if direction in {"inbound", "outbound"} else _UNKNOWN


def _concurrency(activity: RequestActivity) -> list[Measured]:
    """What the account said of its calls."""
    if activity.answer is not None:
        with suppress(RetellError, AttributeError):
            said = activity.answer.meaning
            stated = ((CONCURRENCY, _figure(said.current_concurrency)), (CONCURRENCY_LIMIT, _figure(said.concurrency_limit)))
            return [(metric, figure, {}) for metric, figure in stated if figure is not None]
    return []
