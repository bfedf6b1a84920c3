"""The only I/O with the user's own endpoints: sends deliveries and connects to custom LLMs, and reports the results to the sandbox."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING, Any, Protocol

import anyio
from anyio.abc import TaskGroup, TaskStatus

from ..common.guard import contain_errors, log_warning
from ..common.messages import Refused
from ..state.clock import SteppedClock
from ..state.store import Store
from .llm_session import Session
from .local_socket import Application, NotOpenedError
from .outbox import AttemptResult, Delivery, Outbox

if TYPE_CHECKING:
    import httpx

    from .llm_connection import Connection

__all__ = ["Sender", "Source"]

_AT_A_TIME = 64
_MOST_FAULTS = 10
"""How many of a call are logged."""
_PATIENCE = 5.0
"""Real seconds that a clock stands still for the other side of a conversation to answer."""
_GLANCE = 0.002
_AGAIN = 0.5
"""Seconds until a write to the journal is tried again."""


class Source(Protocol):
    """What has something to send, and gets the results: a `Sandbox`."""

    @property
    def store(self) -> Store: ...

    @property
    def outbox(self) -> Outbox: ...

    @property
    def sessions(self) -> Mapping[str, Session]:
        """Ongoing custom-LLM conversations, by the ids of their calls."""
        ...

    def mark_seen(self, now: int) -> None:
        """Note that somebody sees this time."""
        ...

    def attempted(self, delivery_id: str, result: AttemptResult) -> None:
        """Take the result of an attempt."""
        ...

    def session_event(self, call_id: str, what: str, **about: Any) -> None:
        """Take an event of the connection to a custom LLM."""
        ...


class Sender:
    """Sends what a sandbox has to send: webhooks, custom functions, inbound webhooks, and frames to custom LLMs.

    Timeouts are real time, whatever the speed of the sandbox's clock. A sandbox has one running sender at a time.

    :param transport: carries the requests instead of the network: an `httpx.ASGITransport` reaches an application in this process.
    :param app: an application in this process that WebSockets go to instead of the network.
    :param attended: whether `run` is called elsewhere; otherwise `settle` and `advance` run it while they last.
    """

    def __init__(
        self,
        sandbox: Source,
        transport: httpx.AsyncBaseTransport | None = None,
        app: Application | None = None,
        *,
        attended: bool = False,
    ) -> None:
        self._app = app
        self._sandbox = sandbox
        self._transport = transport
        self._attended = attended
        self._running: set[str] = set()
        self._connections: dict[str, Connection] = {}
        """Those to custom LLMs, by the ids of their calls."""
        self._waker: _Waker | None = None

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Work until cancelled."""
        waker = self._waker = _Waker()
        store = self._sandbox.store
        unheard, store.scheduler.notify = store.scheduler.notify, waker.wake
        http: httpx.AsyncClient | None = None
        try:
            async with AsyncExitStack() as clients, anyio.create_task_group() as tasks:
                task_status.started()
                while True:
                    store.scheduler.run_due(store.clock.now())
                    if self._sandbox.outbox.waiting or self._sandbox.sessions:
                        if http is None:
                            from .exchange import new_client

                            http = await clients.enter_async_context(new_client(self._transport, _AT_A_TIME))
                        self._start(tasks, http)
                    due = store.scheduler.next_due
                    await waker.wait(None if due is None else store.clock.seconds_until(due))
        finally:
            self._waker, store.scheduler.notify = None, unheard
            self._running.clear()
            self._connections.clear()

    async def settle(self) -> None:
        """Wait until nothing is due any more. Answers of the other side of a conversation are waited for up to a few seconds."""
        async with self.at_work():
            patient_until = anyio.current_time() + _PATIENCE
            while not self._done or (self._listening and anyio.current_time() < patient_until):  # noqa: ASYNC110 - `run` may be in another thread
                await anyio.sleep(_GLANCE)

    @property
    def _done(self) -> bool:
        """Whether nothing is due or being sent, conversations aside."""
        store = self._sandbox.store
        due = store.scheduler.next_due
        return not self._sandbox.outbox.waiting and store.scheduler.frozen_at is None and (due is None or due > store.clock.now())

    @property
    def _listening(self) -> bool:
        """Whether the other side of a conversation is to receive or to answer something."""
        now = self._sandbox.store.clock.now()
        return any(session.busy(now) for session in list(self._sandbox.sessions.values()))

    async def advance(self, seconds: float) -> None:
        """Move a stepped clock forward, from one action that is due to the next. Each is done before the clock moves on.

        :raises TypeError: the clock runs by itself.
        """
        clock = self._sandbox.store.clock
        if not isinstance(clock, SteppedClock):
            raise TypeError("the sandbox's clock runs by itself: it cannot be moved")
        target = clock.now() + round(seconds * 1000)
        async with self.at_work():
            while True:
                await self.settle()
                due = self._sandbox.store.scheduler.next_due
                if due is None or due > target:
                    break
                clock.advance(max(0, due - clock.now()) / 1000)
            clock.advance((target - clock.now()) / 1000)
            await self.settle()

    @asynccontextmanager
    async def at_work(self) -> AsyncGenerator[None, None]:
        """Run while the context lasts, unless it is running already."""
        while self._attended and self._waker is None:  # noqa: ASYNC110 - it may start in another thread
            await anyio.sleep(_GLANCE)
        if self._waker is not None:
            yield
            return
        async with anyio.create_task_group() as tasks:
            await tasks.start(self.run)
            yield
            tasks.cancel_scope.cancel()

    def _start(self, tasks: TaskGroup, http: httpx.AsyncClient) -> None:
        for delivery in self._sandbox.outbox.waiting.values():
            if len(self._running) >= _AT_A_TIME:
                break
            if delivery.id not in self._running:
                self._running.add(delivery.id)
                tasks.start_soon(self._send, http, delivery)
        now = self._sandbox.store.clock.now()
        for call_id, session in list(self._sandbox.sessions.items()):
            connection = self._connections.get(call_id)
            if connection is not None:
                connection.wake()
            elif session.connect_at is not None and session.connect_at <= now:
                self._connect(tasks, http, call_id, session)

    async def _attempt(self, what: str, work: Callable[[], Awaitable[None]], usual: tuple[type[BaseException], ...] = ()) -> str | None:
        """Do something with an endpoint. No failure gets past this point.

        :returns: what went wrong, in a few words; ``None`` if nothing did.
        """
        from .exchange import USUAL, Unusable

        with contain_errors(what, (*USUAL, *usual)) as problems:
            await work()
        told = (Unusable, NotOpenedError, TimeoutError)
        return next((str(error) if isinstance(error, told) else type(error).__name__ for error in problems), None)

    async def _tell(self, what: str, tell: Callable[[], None]) -> None:
        """Report a result to the sandbox, as soon as its journal can be written to."""
        while True:
            try:
                return tell()
            except Refused as refused:
                log_warning(f"{what} waits: {refused.message}")
                await anyio.sleep(_AGAIN)

    async def _send(self, http: httpx.AsyncClient, delivery: Delivery) -> None:
        from .exchange import Received, exchange

        begun = time.monotonic()
        answer = Received()
        self._sandbox.mark_seen(self._sandbox.store.clock.now())
        send = partial(exchange, http, delivery, self._sandbox.store.webhook_key, answer)
        problem = await self._attempt(f"{delivery.kind} {delivery.name}", send)
        seconds = time.monotonic() - begun
        result = (
            AttemptResult(answer.status, answer.content, None, seconds, answer.signature)
            if problem is None
            else AttemptResult(problem=problem, seconds=seconds, signature=answer.signature)
        )
        await self._tell(f"the answer to {delivery.name}", partial(self._sandbox.attempted, delivery.id, result))
        self._running.discard(delivery.id)
        self._sandbox.store.scheduler.notify()

    def _connect(self, tasks: TaskGroup, http: httpx.AsyncClient, call_id: str, session: Session) -> None:
        """Begin a connection to a custom LLM."""
        from .llm_connection import FAILURES, Connection

        async def tell(what: str, **about: Any) -> None:
            await self._tell("a conversation", partial(self._sandbox.session_event, call_id, what, **about))

        async def talk() -> None:
            told = False
            try:
                problem = await self._attempt("a conversation", partial(connection.run, http), (NotOpenedError, *FAILURES))
                if not connection.opened:
                    log_warning(f"call {call_id}: its custom LLM opened no WebSocket: {problem or 'it is gone'}")
                await (tell("closed", code=connection.code) if connection.opened else tell("failed"))
                told = True
                if session.phase == "over":
                    for fault in session.faults[:_MOST_FAULTS]:
                        log_warning(f"call {call_id}: its custom LLM broke a rule: {fault}")
            finally:
                self._connections.pop(call_id, None)
                if not told and connection.opened:  # this sender stops; what runs next goes on
                    self._sandbox.session_event(call_id, "parted")
            self._sandbox.store.scheduler.notify()

        connection = self._connections[call_id] = Connection(session, call_id, tell, self._app)
        tasks.start_soon(talk)


class _Waker:
    """Wakes the task that made it, from any thread."""

    def __init__(self) -> None:
        self._event = anyio.Event()
        self._thread = get_ident()
        self._submit = _submitter()

    def wake(self) -> None:
        if get_ident() == self._thread:
            self._event.set()
        else:
            self._submit(self._set)

    async def wait(self, seconds: float | None) -> None:
        with anyio.move_on_after(seconds):
            await self._event.wait()
        self._event = anyio.Event()

    def _set(self) -> None:
        self._event.set()


def _submitter() -> Callable[[Callable[[], None]], object]:
    try:
        return asyncio.get_running_loop().call_soon_threadsafe
    except RuntimeError:
        import trio

        return trio.lowlevel.current_trio_token().run_sync_soon
