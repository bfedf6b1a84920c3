"""Inbound requests: the handler runs once for each, however often it arrives, and the answer is in time."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from uuid import uuid4

import anyio
import attrs

from retell_async._core.attempt import Done, Failed
from retell_async._logs import Log

from ..http import Respond, Response
from ..inbound import InboundAnswer, InboundCall, InboundChat
from .outcome import Ended
from .runner import Runner

__all__ = ["InboundDispatcher", "InboundHandler"]

InboundHandler = Callable[[InboundCall | InboundChat], Awaitable[InboundAnswer]]

_FAILED = Response(HTTPStatus.INTERNAL_SERVER_ERROR, b"failed: the handler of the inbound request raised", "text/plain")
_LATE = Response(HTTPStatus.SERVICE_UNAVAILABLE, b"late: the handler of the inbound request is not done", "text/plain")

_logger = Log("retell_async.webhooks")


@attrs.define
class _Pending:
    """A request whose handler runs or has run."""

    done: anyio.Event = attrs.field(factory=anyio.Event)
    response: Response = _FAILED
    failed: Failed | None = None


class InboundDispatcher:
    """Runs the handler of inbound requests.

    A request that Retell repeats gets the answer of the first, so that a handler which takes longer than the deadline can still answer the
    repetition. The handler runs again only if it raised.

    :param remembered: how many answers are remembered.
    """

    def __init__(self, runner: Runner, *, remembered: int = 1_000) -> None:
        self._runner = runner
        self._remembered = remembered
        self._pending: dict[str, _Pending] = {}
        self._answered: dict[str, _Pending] = {}

    async def dispatch(
        self, request: InboundCall | InboundChat, body: bytes, handler: InboundHandler | None, until: float, respond: Respond
    ) -> Ended:
        """Answer a request by `until`, in seconds of the event loop's clock, and return when its handler is done: how it ended."""
        if handler is None:
            self._runner.stats.unhandled += 1
            _logger.warning("%s arrived and no handler is registered for it: the number's own agent takes it", request.event)
            await respond(_response(request.accept()))
            return Ended("unhandled")
        key = _key(request, body)
        pending = self._pending.get(key) or self._answered.get(key)
        if pending is not None:
            self._runner.stats.duplicates += 1
            await self._answer(pending, until, respond)
            return Ended("duplicate")
        pending = self._pending[key] = _Pending()
        in_time = False
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._run_handler, key, pending, handler, request)
            in_time = await self._answer(pending, until, respond)
        if pending.failed is not None:
            pending.failed.raise_if_exit()
            return Ended("failed", pending.failed)
        return Ended("handled" if in_time else "late")

    async def _run_handler(self, key: str, pending: _Pending, handler: InboundHandler, request: InboundCall | InboundChat) -> None:
        async def handle(request: InboundCall | InboundChat) -> Response:
            answer = await handler(request)
            if getattr(answer, "event", None) != request.event:
                raise TypeError(f"a handler of inbound requests must return accept() or reject() of its request, not {answer!r}")
            return _response(answer)

        try:
            outcome = await self._runner.run(handle, request, request.event)
            if isinstance(outcome, Done):
                pending.response = outcome.value
                self._answered[key] = pending
                if len(self._answered) > self._remembered:
                    del self._answered[next(iter(self._answered))]
            else:
                pending.failed = outcome
        finally:
            del self._pending[key]
            pending.done.set()

    async def _answer(self, pending: _Pending, until: float, respond: Respond) -> bool:
        """Answer by `until`; whether the handler was done by then."""
        with anyio.CancelScope(deadline=until):
            await pending.done.wait()
        in_time = pending.done.is_set()
        self._runner.stats.late += not in_time
        await respond(pending.response if in_time else _LATE)
        return in_time


def _response(answer: InboundAnswer) -> Response:
    return Response(HTTPStatus.OK, answer.to_json(), "application/json")


def _key(request: InboundCall | InboundChat, body: bytes) -> str:
    subject = request.call_id if isinstance(request, InboundCall) else request.chat_id
    if subject is None and request.event_timestamp is None:
        return uuid4().hex  # two calls between the same numbers have the same body then
    return f"{request.event}:{subject or hashlib.sha256(body).hexdigest()}"
