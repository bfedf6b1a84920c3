"""What goes on in this package, told to hooks while there are any. Nothing is made for them else."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from contextvars import ContextVar, Token
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias, cast

import attrs

if TYPE_CHECKING:
    from ._core.response import RawResponse

__all__ = [
    "MARK",
    "TRACEPARENT",
    "Activity",
    "AttemptActivity",
    "CampaignAttemptActivity",
    "DeliveryActivity",
    "DeliveryOutcome",
    "Hook",
    "Observed",
    "RequestActivity",
    "TurnActivity",
    "begin",
    "current",
    "is_traceparent",
    "set_hooks",
    "tell",
    "trace_in",
    "trace_of",
]

MARK = "retell_async_token"
"""The key in `metadata` under which a token stands by which a call is found."""
TRACEPARENT = "traceparent"
"""The key in `metadata` under which the trace stands that a call belongs to, as W3C Trace Context writes it."""

_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


@attrs.define(kw_only=True, eq=False)
class Activity:
    """Something that takes time. A hook gets it when it begins; what comes of it stands in it when the hook's context manager is left."""

    began: float = attrs.field(factory=time.perf_counter, init=False, repr=False)
    seconds: float = attrs.field(default=0.0, init=False)
    """How long it took."""
    traceparent: str | None = attrs.field(default=None, repr=False)
    """The trace that it belongs to by what Retell or a key says, as W3C Trace Context writes it."""
    call_id: str | None = None
    """The call that it is about, as soon as that is known."""
    error: BaseException | None = attrs.field(default=None, repr=False)
    """What ended it, if it did not end well."""


@attrs.define(kw_only=True, eq=False)
class RequestActivity(Activity):
    """An operation of the API, with all its attempts and waits.

    Under an idempotency key of the caller's, `traceparent` is what the key or the request's metadata says.
    """

    operation: str
    """The operation's id in the API's document."""
    method: str
    path: str
    """As the document has it: with names in place of ids."""
    base_url: str
    places_call: bool
    """Whether it makes a call that has metadata."""
    propagated: str | None = attrs.field(default=None, repr=False)
    """A hook may set this where `places_call`: the trace that the metadata of the call shall name, as W3C Trace Context writes it. Under an
    idempotency key of the caller's it is not sent, since what is sent under one key must stay what it was."""
    attempts: int = 0
    """How often it was sent."""
    answer: RawResponse[Any] | None = attrs.field(default=None, repr=False)
    """The successful answer, if there is one that is read whole."""


@attrs.define(kw_only=True, eq=False)
class AttemptActivity(Activity):
    """One exchange with the server, within a `RequestActivity`."""

    request: RequestActivity
    number: int
    """From 1."""
    status: int | None = None
    """The status of the answer, if one came."""


DeliveryOutcome: TypeAlias = Literal["handled", "failed", "unhandled", "duplicate", "in_progress", "late", "refused"]
"""What came of a delivery: its handlers ran; one failed; there is none; it had come before, and was handled or still is being; there was no
room or no time for it; or it was not let in."""


@attrs.define(kw_only=True, eq=False)
class DeliveryActivity(Activity):
    """Something that Retell has sent to a `webhooks.Router`: from its first byte to the end of its handlers."""

    kind: Literal["event", "inbound", "function", "unknown"]
    name: str
    """The name of the event or of the function."""
    sent: Any = attrs.field(default=None, repr=False)
    """What was sent. It is large, and there only while the hook is called."""
    outcome: DeliveryOutcome | None = None
    """``None`` until it ends, and if it was cancelled."""


@attrs.define(kw_only=True, eq=False)
class TurnActivity(Activity):
    """A turn of an `llm.App`: from the request for it until the agent's code has said all, or nobody wants it any more."""

    turn: int
    """Retell's number of it."""
    kind: Literal["begin", "response", "reminder"]
    first_text: float | None = None
    """Seconds until the agent's code gave the first text; ``None`` if it gave none."""
    outcome: Literal["complete", "interrupted", "failed", "timed_out"] = "interrupted"
    """Whether all was said, or a newer request, an interruption or the end of the call came before; or how the agent's code failed."""


@attrs.define(kw_only=True, eq=False)
class CampaignAttemptActivity(Activity):
    """An attempt of a durable campaign, as one process carries it out: until the call is over, or it is known that there is none."""

    key: str
    """What names the attempt, the same in every process: the idempotency key of its request."""
    reason: str | None = None
    """The reason of its end: that of the call, ``not_placed`` or ``unknown``; ``None`` if it goes on."""
    call: Any = attrs.field(default=None, repr=False)
    """The call, once it is over."""


Hook: TypeAlias = Callable[[Any], AbstractContextManager[Any] | None]
"""Called with each activity when it begins and with each event (`RetryEvent`, `LimitEvent`, `WaitEvent`, `CircuitEvent`) when it happens.

What it gives for an activity is entered where the activity is carried out and left at its end. It must return at once, and may be called in
several threads. What it raises is logged.
"""

hooks: tuple[Hook, ...] = ()

_current: ContextVar[tuple[Activity, ...]] = ContextVar("retell_async_activities", default=())


def set_hooks(given: Iterable[Hook]) -> None:
    """Tell these hooks, and no others."""
    global hooks  # noqa: PLW0603 - one for the process, as tracers and registries of metrics are
    hooks = tuple(given)


def current() -> tuple[Activity, ...]:
    """The activities that this code is part of, the outermost first; none while there are no hooks."""
    return _current.get()


class Observed:
    """An activity under observation: the block in which it is carried out."""

    __slots__ = ("_managers", "_token", "activity")

    def __init__(self, activity: Activity, managers: Sequence[AbstractContextManager[Any]]) -> None:
        self.activity = activity
        self._managers = managers
        self._token: Token[tuple[Activity, ...]] | None = None

    def __enter__(self) -> Self:
        self._token = _current.set((*_current.get(), self.activity))
        for manager in self._managers:
            try:
                manager.__enter__()
            except Exception as failed:  # noqa: BLE001 - no call is lost because somebody could not count it
                _log(failed)
                self._managers = [other for other in self._managers if other is not manager]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        activity = self.activity
        activity.seconds = activity.seconds or time.perf_counter() - activity.began
        if error is not None:
            activity.error = error
        for manager in reversed(self._managers):
            try:
                manager.__exit__(None, None, None)
            except Exception as failed:  # noqa: BLE001 - as above
                _log(failed)
        if self._token is not None:
            with suppress(ValueError):  # a coroutine that is closed elsewhere, since its event loop is gone
                _current.reset(self._token)


def begin(activity: Activity) -> Observed:
    """Tell the hooks that something begins. The block of what this gives is where it is carried out."""
    managers: list[AbstractContextManager[Any]] = []
    for hook in hooks:
        try:
            manager = hook(activity)
        except Exception as failed:  # noqa: BLE001 - as above
            _log(failed)
        else:
            if manager is not None:
                managers.append(manager)
    return Observed(activity, managers)


def tell(event: object) -> None:
    """Tell the hooks that something happened."""
    for hook in hooks:
        try:
            hook(event)
        except Exception as failed:  # noqa: BLE001 - as above
            _log(failed)


def _log(error: Exception) -> None:
    from ._logs import Log

    Log("retell_async").error("a hook of the telemetry failed", exc_info=error)


def is_traceparent(value: object) -> bool:
    """Whether this is a trace that something can join, as W3C Trace Context writes it."""
    return isinstance(value, str) and _TRACEPARENT.fullmatch(value) is not None


def trace_of(key: str) -> str:
    """The trace of everything that is done under a key, the same wherever and whenever that is."""
    digits = hashlib.sha256(b"retell-async trace of " + key.encode()).hexdigest()
    return f"00-{digits[:32]}-{digits[32:48]}-01"


def trace_in(metadata: object) -> str | None:
    """The trace that the metadata of a call names: outright, or by the token that a campaign has put there."""
    if not isinstance(metadata, Mapping):
        return None
    given = cast("Mapping[str, Any]", metadata)
    named, token = given.get(TRACEPARENT), given.get(MARK)
    if is_traceparent(named):
        return cast("str", named)
    return trace_of(token) if isinstance(token, str) and token else None
