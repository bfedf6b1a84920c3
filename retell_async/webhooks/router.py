"""The router: verifies and parses each request, and hands it to its handlers."""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from contextlib import AbstractAsyncContextManager
from difflib import get_close_matches
from functools import partial
from http import HTTPStatus
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, cast, overload
from urllib.parse import parse_qsl

import anyio

from retell_async import _instrumentation
from retell_async._core.attempt import Failed
from retell_async._core.errors import ConfigurationError, WebhookVerificationError
from retell_async._core.masking import Hidden, mask_text
from retell_async._instrumentation import DeliveryActivity, DeliveryOutcome, Observed, trace_in
from retell_async._logs import Log

from . import asgi
from ._dispatch.event_dispatcher import Delivery, EventDispatcher
from ._dispatch.inbound_dispatcher import InboundDispatcher, InboundHandler
from ._dispatch.lifetime import CLOSED, Lifetime
from ._dispatch.outcome import Ended
from ._dispatch.runner import Runner, Stats, require_async
from ._dispatch.store import DeliveryStore, LegacyStore, MemoryStore, delivery_key
from .events import (
    EVENT_NAMES,
    AlertResolved,
    AlertTriggered,
    CallAnalyzed,
    CallEnded,
    CallStarted,
    ChatAnalyzed,
    ChatEnded,
    ChatStarted,
    ChatTranscriptUpdated,
    Event,
    TranscriptUpdated,
    TransferBridged,
    TransferCancelled,
    TransferEnded,
    TransferStarted,
    parse_event,
    require_subject,
)
from .functions import FunctionCall, function_answer, parse_function
from .gate import MAX_BYTES, Gate
from .http import IncomingRequest, Refused, Respond, Response
from .inbound import InboundCall, InboundChat
from .senders import Senders
from .signature import TOLERANCE

__all__ = ["Router"]

EventT = TypeVar("EventT")
EventHandler = Callable[[EventT], Awaitable[object]]
OnEvent = Callable[[EventHandler[EventT]], EventHandler[Any]]
FunctionHandler = Callable[[FunctionCall], Awaitable[object]]

_WEBHOOK_PATHS = {"", "/events", "/inbound"}
_FUNCTION_PATH = re.compile(r"/functions/([A-Za-z0-9_-]{1,64})\Z")
_FUNCTION_METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE"}
_LONGEST_RESULT = 15_000
_NAMES = (*EVENT_NAMES, InboundCall.event, InboundChat.event)
_NEAR = 0.85
"""How similar an event's name is to the one that was meant: call_endd is, call_paused is not."""

_logger = Log("retell_async.webhooks")

_FAILED = Response(HTTPStatus.INTERNAL_SERVER_ERROR, b"failed: the handler raised, or gave what is no JSON", "text/plain")


class Router:
    """An ASGI application that answers what Retell sends, with handlers that are registered by decorators.

    Serve it, or mount it in Starlette or FastAPI. Its paths are ``/events`` and ``/inbound`` for webhooks (each takes both kinds), and
    ``/functions/<name>`` for custom functions.

    Events are acknowledged at once and handled afterwards: a slow handler delays nothing, and an event whose handler raises is not sent
    again. Events that wait for their handlers are kept in memory, where a crash loses them. When there is no more room, the answer is 503,
    and Retell sends the event again. With `acknowledge_after`, handlers get that many seconds before the event is acknowledged. If one
    raises within them, the answer is 500, and Retell sends the event again. Inbound requests and functions are answered by their handlers.

    When a delivery comes again, it is acknowledged if the first was handled, and answered with 503 while the first is being handled. A
    handler that is cancelled has failed, like one that raises. `SystemExit` and `KeyboardInterrupt` are raised again when all handlers of
    the event have run.

    Work that is left after the answer is done in tasks of the router, between the start and the end of its server. A router that is served
    by itself is told of both. One that is mounted in another application has to be entered by its lifespan: ``async with router:``. At the
    end it takes no new requests and waits for those that it has. What is not done within `shutdown_timeout` is cancelled, and logged as
    lost if it was acknowledged. A router that is not entered does such work before the application's call for the request returns, and
    depends on its server to wait for that.

    :param api_key: the API key with the webhook badge; several while keys are being changed.
    :param tolerance: seconds that a signature may lie in the past or in the future.
    :param max_bytes: the longest body that is read.
    :param deadline: seconds within which events and inbound requests are answered; Retell waits 10.
    :param acknowledge_after: seconds that an event's handlers get before it is acknowledged; waiting to be handled counts.
    :param max_in_flight: how many events are handled at a time; the others wait.
    :param max_waiting: how many events may wait.
    :param max_waiting_bytes: how many bytes the bodies of events that wait may have together. An event takes some 20 kB beside its body.
    :param store: remembers deliveries, so that each is handled once; a `MemoryStore` by default, which is of this process alone.
    :param shutdown_timeout: seconds that events get to be handled when the server shuts down; Kubernetes ends a process after 30.
    :param senders: who may send; by default only the signature is checked, and not the address.
    :raises ConfigurationError: a setting cannot work.
    """

    def __init__(
        self,
        api_key: str | Sequence[str],
        *,
        tolerance: float = TOLERANCE,
        max_bytes: int = MAX_BYTES,
        deadline: float = 8.0,
        acknowledge_after: float = 0.0,
        max_in_flight: int = 100,
        max_waiting: int = 10_000,
        max_waiting_bytes: int = 64 * 1024 * 1024,
        store: DeliveryStore | LegacyStore | None = None,
        shutdown_timeout: float = 25.0,
        senders: Senders | None = None,
    ) -> None:
        key = Hidden(api_key)
        del api_key  # what is refused below shows it in no traceback
        if not (0 <= acknowledge_after <= deadline):
            raise ConfigurationError("acknowledge_after must be between 0 and the deadline")
        self._gate = Gate(key.value, tolerance=tolerance, max_bytes=max_bytes, read_timeout=deadline, senders=senders)
        self._deadline = deadline
        self._acknowledge_after = acknowledge_after
        self._events: dict[str | None, list[EventHandler[Any]]] = {}
        self._inbound_handler: InboundHandler | None = None
        self._functions: dict[str, FunctionHandler] = {}
        self._lifetime = Lifetime(shutdown_timeout)
        self._entered: list[tuple[int, AbstractAsyncContextManager[None]]] = []  # by which task
        self._runner = Runner()
        self._inbound_dispatcher = InboundDispatcher(self._runner)
        self._event_dispatcher = EventDispatcher(
            self._runner,
            MemoryStore() if store is None else store,
            acknowledge_after=acknowledge_after,
            max_in_flight=max_in_flight,
            max_waiting=max_waiting,
            max_waiting_bytes=max_waiting_bytes,
        )

    @property
    def stats(self) -> Stats:
        """What this router has done so far."""
        return self._runner.stats

    @property
    def acknowledge_after(self) -> float:
        """Seconds that an event's handlers get before it is acknowledged; 0 if it is acknowledged first."""
        return self._acknowledge_after

    @overload
    def on(self, event: Literal["call_started"], /) -> OnEvent[CallStarted]: ...
    @overload
    def on(self, event: Literal["call_ended"], /) -> OnEvent[CallEnded]: ...
    @overload
    def on(self, event: Literal["call_analyzed"], /) -> OnEvent[CallAnalyzed]: ...
    @overload
    def on(self, event: Literal["transcript_updated"], /) -> OnEvent[TranscriptUpdated | ChatTranscriptUpdated]: ...
    @overload
    def on(self, event: Literal["transfer_started"], /) -> OnEvent[TransferStarted]: ...
    @overload
    def on(self, event: Literal["transfer_bridged"], /) -> OnEvent[TransferBridged]: ...
    @overload
    def on(self, event: Literal["transfer_cancelled"], /) -> OnEvent[TransferCancelled]: ...
    @overload
    def on(self, event: Literal["transfer_ended"], /) -> OnEvent[TransferEnded]: ...
    @overload
    def on(self, event: Literal["chat_started"], /) -> OnEvent[ChatStarted]: ...
    @overload
    def on(self, event: Literal["chat_ended"], /) -> OnEvent[ChatEnded]: ...
    @overload
    def on(self, event: Literal["chat_analyzed"], /) -> OnEvent[ChatAnalyzed]: ...
    @overload
    def on(self, event: Literal["alert_triggered"], /) -> OnEvent[AlertTriggered]: ...
    @overload
    def on(self, event: Literal["alert_resolved"], /) -> OnEvent[AlertResolved]: ...
    @overload
    def on(self, /, *events: str) -> OnEvent[Event]: ...
    def on(self, *events: str) -> OnEvent[Any]:
        """Register a handler for events of these names, or for every event when none is named.

        The handlers of an event run one after the other. Events may arrive out of order.

        A name that this version does not know may be a newer event. If it is close to one that it knows, that is a `UserWarning`.

        :raises ConfigurationError: a name is that of an inbound request, which is answered by the handler of `inbound`.
        :raises TypeError: a name is no text, or the handler is not an async function.
        """
        for name in events:
            if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise TypeError(f"an event is named by a text, such as 'call_ended', not by {name!r}; @router.on() is for every event")
            if name in {InboundCall.event, InboundChat.event}:
                raise ConfigurationError(f"{name} wants an answer: register its handler with @router.inbound")
            if name not in EVENT_NAMES and (near := get_close_matches(_plain(name), _NAMES, n=1, cutoff=_NEAR)):
                warnings.warn(f"@router.on({name!r}): no known event has this name, and {near[0]!r} is close to it", stacklevel=2)

        def register(handler: EventHandler[Any]) -> EventHandler[Any]:
            for name in events or (None,):
                self._events.setdefault(name, []).append(require_async(handler))
            return handler

        return register

    def inbound(self, handler: InboundHandler) -> InboundHandler:
        """Register the handler of inbound calls and text messages. It returns what `accept` or `reject` of the request gives.

        A request that Retell repeats gets the same answer. The handler runs again only if it raised.

        :raises ConfigurationError: there is a handler already.
        :raises TypeError: the handler is not an async function.
        """
        if self._inbound_handler is not None:
            raise ConfigurationError("a handler for inbound requests is registered already")
        self._inbound_handler = require_async(handler)
        return handler

    def function(self, name: str) -> Callable[[FunctionHandler], FunctionHandler]:
        """Register the handler of a custom function. The path of the function's URL at Retell ends in ``/functions/<name>``.

        The agent gets what the handler returns: text, or anything that JSON can hold. Retell may repeat a call that failed, and the handler
        then runs again, since an agent may also mean two calls with the same arguments.

        :raises ConfigurationError: a function cannot have this name, or there is a handler for it already.
        :raises TypeError: the handler is not an async function.
        """
        if name in self._functions or not _FUNCTION_PATH.fullmatch(f"/functions/{name}"):
            raise ConfigurationError(f"{name!r} is registered already, or is not 1 to 64 letters, digits, '_' and '-'")

        def register(handler: FunctionHandler) -> FunctionHandler:
            self._functions[name] = require_async(handler)
            return handler

        return register

    async def __call__(self, scope: MutableMapping[str, Any], receive: asgi.Receive, send: asgi.Send) -> None:
        """Serve as an ASGI application."""
        await asgi.serve(self, scope, receive, send)

    async def __aenter__(self) -> Self:
        """Own the handlers that run, until the block ends: they go on when a server ends the call for their request."""
        opened = self._lifetime.opened()
        await opened.__aenter__()
        self._entered.append((anyio.get_current_task().id, opened))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        """Close the router, as `aclose` does. When the block was cancelled, nothing is waited for."""
        here = anyio.get_current_task().id
        place = max((place for place, (task, _) in enumerate(self._entered) if task == here), default=None)
        if place is None:
            raise RuntimeError(
                "a router has to be left by the task that entered it: if there is no such task, do not enter it, and call aclose()"
            )
        return await self._entered.pop(place)[1].__aexit__(kind, error, traceback)

    async def aclose(self) -> None:
        """Take no new requests, and wait until those that are under way are done, at most for `shutdown_timeout`.

        What is not done by then is cancelled, and logged as lost if it was acknowledged. New requests are answered with 503, until the
        router is entered again. A handler that calls this is not waited for.
        """
        await self._lifetime.close()

    async def handle(self, request: IncomingRequest, respond: Respond) -> None:
        """Answer a request by calling `respond` once. Return when its handlers are done, or, if the router was entered, at once."""
        until = anyio.current_time() + self._deadline
        began = time.perf_counter()
        self.stats.received += 1
        try:
            function = self._function_named(request)
            body = await self._gate.admit(request)
            sent = self._parse(function, body, request.query)
        except (Refused, WebhookVerificationError) as error:
            status = error.status if isinstance(error, Refused) else HTTPStatus.BAD_REQUEST
            self.stats.refused += 1
            self.stats.failed += 0 if isinstance(error, Refused) else 1  # Retell signed it, and no handler can have it
            _logger.warning("%s %s refused with %d: %s", request.method, mask_text(repr(request.path)), status, error.reason)
            if _instrumentation.hooks:
                _ended_at_once(_observed(None, None, began), "refused", error)
            await respond(Response(status, error.reason.encode(), "text/plain"))
            return
        if self._lifetime.is_closed:
            self.stats.late += 1
            if _instrumentation.hooks:
                _ended_at_once(_observed(sent, function, began), "late")
            await respond(CLOSED)
            return
        observed = _observed(sent, function, began) if _instrumentation.hooks else None
        work: Callable[[Respond], Awaitable[Ended]]
        match sent:
            case FunctionCall():
                work = partial(self._carry_out, sent, str(function))
            case InboundCall() | InboundChat():
                work = partial(self._inbound_dispatcher.dispatch, sent, body, self._inbound_handler, until)
            case _:
                work = partial(self._event_dispatcher.dispatch, self._delivery(sent, body), until)
                del sent  # it is large, and may wait
        await self._lifetime.carry_out(work if observed is None else partial(_watched, observed, work), respond)

    def _function_named(self, request: IncomingRequest) -> str | None:
        """The function that a path is for, ``None`` when it is for webhooks."""
        path = request.path.removesuffix("/")
        match = _FUNCTION_PATH.search(path) if request.routed else _FUNCTION_PATH.match(path)
        if match is None and not request.routed and path not in _WEBHOOK_PATHS:
            raise Refused(HTTPStatus.NOT_FOUND, "wrong path: /events, /inbound and /functions/<name> are served")
        if match is not None and match[1] not in self._functions and not (request.routed and request.method == "POST"):
            raise _no_function()
        if request.method not in ({"POST"} if match is None else _FUNCTION_METHODS):
            raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, "wrong method: Retell does not use it here")
        return None if match is None else match[1]

    def _parse(self, function: str | None, body: bytes, query: str) -> Event | InboundCall | InboundChat | FunctionCall:
        if function in self._functions:
            return _function_call(function, body, query)
        try:
            sent = parse_event(body)
        except WebhookVerificationError:
            if function is not None:
                raise _no_function() from None
            raise
        return require_subject(sent)

    async def _carry_out(self, call: FunctionCall, name: str, respond: Respond) -> Ended:
        async def carry_out(call: FunctionCall) -> Response:
            given = function_answer(await self._functions[name](call))
            return Response(HTTPStatus.OK, given.content, given.content_type)

        ended = await self._runner.run(carry_out, call, f"the function {name}")
        if isinstance(ended, Failed):
            await respond(_FAILED)
            ended.raise_if_exit()
            return Ended("failed", ended)
        if len(ended.value.content.decode()) > _LONGEST_RESULT:
            _logger.warning("the function %s gave more than the %d characters that an agent reads by default", name, _LONGEST_RESULT)
        await respond(ended.value)
        return Ended("handled")

    def _delivery(self, event: Event, body: bytes) -> Delivery:
        handlers = [*self._events.get(event.event, ()), *self._events.get(None, ())]
        return Delivery(event.event, delivery_key(event, body), body, event, handlers)


def _observed(sent: Any, function: str | None, began: float) -> Observed:
    """A delivery as hooks of the telemetry see it. What was sent is shown to them, and not kept."""
    match sent:
        case None:
            kind, name = "unknown", "unknown"
        case FunctionCall():
            kind, name = "function", str(function)
        case _:
            kind, name = ("inbound" if isinstance(sent, (InboundCall, InboundChat)) else "event"), sent.event
    call = getattr(sent, "call", None)
    subject = call or getattr(sent, "chat", None)
    activity = DeliveryActivity(
        kind=cast("Any", kind),
        name=name,
        sent=sent,
        call_id=getattr(sent if call is None else call, "call_id", None),
        traceparent=trace_in(getattr(subject, "metadata", None)),
    )
    activity.began = began
    observed = _instrumentation.begin(activity)
    activity.sent = None
    return observed


def _ended_at_once(observed: Observed, how: DeliveryOutcome, error: BaseException | None = None) -> None:
    with observed:
        activity = cast("DeliveryActivity", observed.activity)
        activity.outcome, activity.error = how, error


async def _watched(observed: Observed, work: Callable[[Respond], Awaitable[Ended]], respond: Respond) -> None:
    """Do some work while it is observed."""
    with observed:
        ended = await work(respond)
        activity = cast("DeliveryActivity", observed.activity)
        activity.outcome, activity.error = ended.how, None if ended.failed is None else ended.failed.error


def _plain(name: str) -> str:
    """An event's name in the spelling that all of them have."""
    return re.sub(r"\W+", "_", name.strip().lower())


def _no_function() -> Refused:
    return Refused(HTTPStatus.NOT_FOUND, "wrong path: there is no function of this name")


def _function_call(name: str, body: bytes, query: str) -> FunctionCall:
    call = parse_function(body, dict(parse_qsl(query, keep_blank_values=True)))
    if call.name not in {None, name}:  # the signature covers the body but not the path
        raise Refused(HTTPStatus.NOT_FOUND, f"wrong path: it is for the function {name}, and the body calls another")
    return call
