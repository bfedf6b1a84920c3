"""The one place that speaks to the user's own endpoints: it does what a sandbox has to do outside, and tells it what came of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from threading import get_ident
from urllib.parse import urlsplit

import anyio
import httpx
import httpx_ws
from anyio.abc import TaskGroup, TaskStatus
from wsproto.events import BytesMessage, TextMessage
from wsproto.utilities import ProtocolError

from retell_async.webhooks import sign
from retell_async.webhooks.signature import HEADER

from .clock import SteppedClock
from .errands import Ask, Errand, Heard
from .llm import CONNECT_SECONDS, Session, address
from .service import Sandbox

__all__ = ["Outgoing"]

_AT_A_TIME = 64
_SHOWN = 4096
"""Bytes that are kept of an answer that decides nothing."""
_PATIENCE = 5.0
"""Seconds that a clock is kept standing for the other side of a conversation to say something."""
_GLANCE = 0.002
# A network that fails, and addresses and headers that cannot be sent.
_UNREACHABLE = (httpx.RequestError, httpx.InvalidURL, ValueError)


class Outgoing:
    """Sends what a sandbox has to send: webhooks, inbound requests, custom functions, and the frames of custom-LLM conversations.

    Answers are waited for in the caller's time, whatever the speed of the sandbox's clock. One sandbox has one of these running at a time.

    :param transport: what carries the requests instead of the network: an `httpx.ASGITransport` reaches an application in this process.
    :param attended: whether somebody else sees to `run`; otherwise `settle` and `advance` run it as long as they last.
    """

    def __init__(self, sandbox: Sandbox, transport: httpx.AsyncBaseTransport | None = None, *, attended: bool = False) -> None:
        self._sandbox = sandbox
        self._transport = transport
        self._attended = attended
        self._running: set[str] = set()
        self._talking: set[str] = set()
        self._news: dict[str, anyio.Event] = {}
        self._waker: _Waker | None = None

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Work until cancelled."""
        waker = self._waker = _Waker()
        store = self._sandbox.store
        unheard, store.agenda.news = store.agenda.news, waker.wake
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=_AT_A_TIME)
        try:
            async with (
                httpx.AsyncClient(transport=self._transport, timeout=None, limits=limits, trust_env=False) as http,  # noqa: S113 - each errand has its own
                anyio.create_task_group() as tasks,
            ):
                task_status.started()
                while True:
                    store.agenda.catch_up(store.clock.now())
                    self._start(tasks, http)
                    due = store.agenda.next_due
                    await waker.wait(None if due is None else store.clock.seconds_until(due))
        finally:
            self._waker, store.agenda.news = None, unheard
            self._running.clear()
            self._talking.clear()

    async def settle(self) -> None:
        """Wait until all is done that is to be done by now. What the other side of a conversation owes is waited for a few seconds."""
        async with self._at_work():
            patient_until = anyio.current_time() + _PATIENCE
            while not self._done or (self._listening and anyio.current_time() < patient_until):  # noqa: ASYNC110 - `run` may be in another thread
                await anyio.sleep(_GLANCE)

    @property
    def _done(self) -> bool:
        """Whether nothing is due or under way; conversations aside."""
        store = self._sandbox.store
        due = store.agenda.next_due
        return not store.errands.waiting and store.agenda.moment is None and (due is None or due > store.clock.now())

    @property
    def _listening(self) -> bool:
        """Whether the other side of a conversation has something to receive or to say."""
        now = self._sandbox.store.clock.now()
        return any(session.busy(now) for session in list(self._sandbox.following.sessions.values()))

    async def advance(self, seconds: float) -> None:
        """Move a clock that stands still on, from one thing that is due to the next, each done before the clock goes further.

        :raises TypeError: the clock runs by itself.
        """
        clock = self._sandbox.store.clock
        if not isinstance(clock, SteppedClock):
            raise TypeError("the sandbox's clock runs by itself: it cannot be moved")
        target = clock.now() + round(seconds * 1000)
        async with self._at_work():
            while True:
                await self.settle()
                due = self._sandbox.store.agenda.next_due
                if due is None or due > target:
                    break
                clock.advance(max(0, due - clock.now()) / 1000)
            clock.advance((target - clock.now()) / 1000)
            await self.settle()

    @asynccontextmanager
    async def _at_work(self) -> AsyncGenerator[None, None]:
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
        for errand in self._sandbox.store.errands.waiting.values():
            if len(self._running) >= _AT_A_TIME:
                break
            if errand.id not in self._running:
                self._running.add(errand.id)
                tasks.start_soon(self._send, http, errand)
        now = self._sandbox.store.clock.now()
        for call_id, session in list(self._sandbox.following.sessions.items()):
            if call_id not in self._talking and session.connect_at is not None and session.connect_at <= now:
                self._talking.add(call_id)
                tasks.start_soon(self._talk, http, call_id, session)
            elif call_id in self._news and (session.frames or session.closing is not None):
                self._news[call_id].set()

    async def _send(self, http: httpx.AsyncClient, errand: Errand) -> None:
        begun = time.monotonic()
        ask = errand.ask()
        signature = sign(ask.content, self._sandbox.store.webhook_key)
        status, content, problem = await self._ask(http, errand, ask, signature)
        shown = content if errand.reads else content[:_SHOWN]
        heard = Heard(status, shown, problem, time.monotonic() - begun, signature)
        self._running.discard(errand.id)
        self._sandbox.heard(errand.id, heard)
        self._sandbox.store.agenda.news()

    async def _ask(self, http: httpx.AsyncClient, errand: Errand, ask: Ask, signature: str) -> tuple[int | None, bytes, str | None]:
        headers = {**ask.headers, HEADER: signature}
        seconds = errand.timeout_ms / 1000
        try:
            url = _checked(ask.url).copy_merge_params(ask.query)
            with anyio.fail_after(seconds):
                response = await http.request(ask.method, url, content=ask.content, headers=headers)
        except TimeoutError:
            return None, b"", f"no answer within {seconds:g} s"
        except _UNREACHABLE as error:
            return None, b"", type(error).__name__
        return response.status_code, response.content, None

    async def _talk(self, http: httpx.AsyncClient, call_id: str, session: Session) -> None:
        """One connection of a conversation, from its opening to its end."""
        opened = False
        code = 1006
        try:
            with anyio.CancelScope(deadline=anyio.current_time() + CONNECT_SECONDS) as scope:
                socket: httpx_ws.AsyncWebSocketSession
                async with httpx_ws.aconnect_ws(address(session.url, call_id), http, keepalive_ping_interval_seconds=None) as socket:
                    opened = True
                    scope.deadline = float("inf")
                    self._sandbox.conversed(call_id, "opened")
                    code = await self._exchange(socket, call_id, session)
        except* (*_UNREACHABLE, httpx_ws.HTTPXWSException, ProtocolError):
            pass  # the session is told: the connection did not come about, or is lost
        self._talking.discard(call_id)
        self._news.pop(call_id, None)
        if opened:
            self._sandbox.conversed(call_id, "closed", code=code)
        else:
            self._sandbox.conversed(call_id, "failed")

    async def _exchange(self, socket: httpx_ws.AsyncWebSocketSession, call_id: str, session: Session) -> int:
        """Send and receive until one side closes, and give the code: that of the server, or 1006 when the connection was lost."""
        code = 1006
        async with anyio.create_task_group() as tasks:

            async def send() -> None:
                while True:
                    news = self._news[call_id] = anyio.Event()
                    while session.frames:
                        await socket.send_text(session.frames.popleft())
                    if session.closing is not None:
                        await socket.close(session.closing)
                        tasks.cancel_scope.cancel()
                    await news.wait()

            tasks.start_soon(send)
            while True:
                try:
                    event = await socket.receive()
                except httpx_ws.WebSocketDisconnect as closed:
                    code = int(closed.code)
                    break
                except httpx_ws.WebSocketNetworkError:
                    break
                if isinstance(event, TextMessage):
                    self._sandbox.conversed(call_id, "received", text=event.data)
                elif isinstance(event, BytesMessage):
                    self._sandbox.conversed(call_id, "binary")
            tasks.cancel_scope.cancel()
        return code


def _checked(url: str) -> httpx.URL:
    """:raises ValueError: it is no URL, or its port is none."""
    _ = urlsplit(url).port
    return httpx.URL(url)


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
