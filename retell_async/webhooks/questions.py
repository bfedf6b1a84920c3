"""Inbound requests: each is asked once, however often it arrives, and answered in time."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from uuid import uuid4

import anyio
import attrs

from .exchange import Answer, Respond
from .inbound import InboundAnswer, InboundCall, InboundChat
from .runner import Done, Failed, Runner, log

__all__ = ["InboundHandler", "Questions"]

InboundHandler = Callable[[InboundCall | InboundChat], Awaitable[InboundAnswer]]

_FAILED = Answer(HTTPStatus.INTERNAL_SERVER_ERROR, b"failed: the handler of the inbound request raised", "text/plain")
_LATE = Answer(HTTPStatus.SERVICE_UNAVAILABLE, b"late: the handler of the inbound request is not done", "text/plain")


@attrs.define
class _Question:
    settled: anyio.Event = attrs.field(factory=anyio.Event)
    answer: Answer = _FAILED
    failed: Failed | None = None


class Questions:
    """Puts inbound requests to their handler.

    A request that Retell repeats shares the answer of the first. So a handler that takes longer than the deadline is not started anew
    by the repetition but may answer it; one that raised is.

    :param kept: how many answers are remembered.
    """

    def __init__(self, runner: Runner, *, kept: int = 1_000) -> None:
        self._runner = runner
        self._kept = kept
        self._questions: dict[str, _Question] = {}

    async def put(
        self, request: InboundCall | InboundChat, body: bytes, handler: InboundHandler | None, until: float, respond: Respond
    ) -> None:
        """Answer a request by `until`, in seconds of the event loop's clock, and return when its handler is done."""
        if handler is None:
            self._runner.stats.unhandled += 1
            log.warning("%s arrived and no handler is registered for it: the number's own agent takes it", request.event)
            await respond(_answer(request.accept()))
            return
        key = _key(request, body)
        question = self._questions.get(key)
        if question is not None:
            self._runner.stats.duplicates += 1
            await self._settle(question, until, respond)
            return
        question = self._questions[key] = _Question()
        if len(self._questions) > self._kept:
            del self._questions[next(iter(self._questions))]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._ask, key, question, handler, request)
            await self._settle(question, until, respond)
        if question.failed is not None:
            question.failed.leave()

    async def _ask(self, key: str, question: _Question, handler: InboundHandler, request: InboundCall | InboundChat) -> None:
        async def ask(request: InboundCall | InboundChat) -> Answer:
            answer = await handler(request)
            if getattr(answer, "event", None) != request.event:
                raise TypeError(f"a handler of inbound requests must return accept() or reject() of its request, not {answer!r}")
            return _answer(answer)

        try:
            ended = await self._runner.run(ask, request, request.event)
            if isinstance(ended, Done):
                question.answer = ended.value
            else:
                question.failed = ended
        finally:
            if question.answer is _FAILED and self._questions.get(key) is question:
                del self._questions[key]
            question.settled.set()

    async def _settle(self, question: _Question, until: float, respond: Respond) -> None:
        with anyio.CancelScope(deadline=until):
            await question.settled.wait()
        if not question.settled.is_set():
            self._runner.stats.late += 1
        await respond(question.answer if question.settled.is_set() else _LATE)


def _answer(answer: InboundAnswer) -> Answer:
    return Answer(HTTPStatus.OK, answer.to_json(), "application/json")


def _key(request: InboundCall | InboundChat, body: bytes) -> str:
    subject = request.call_id if isinstance(request, InboundCall) else request.chat_id
    if subject is None and request.event_timestamp is None:
        return uuid4().hex  # two calls between the same numbers have the same body then
    return f"{request.event}:{subject or hashlib.sha256(body).hexdigest()}"
