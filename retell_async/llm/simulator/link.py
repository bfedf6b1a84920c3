"""Playing calls against a server, over real WebSockets of the `websockets` library."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

import anyio
import attrs

try:
    from websockets.asyncio.client import ClientConnection, connect
    from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"{error.name} is missing: retell_async.llm.simulate needs `pip install 'retell-async[llm]'`", name=error.name
    ) from None

from ..messages import Message, dump
from .judge import Judge, Report
from .player import CONNECT_SECONDS, Player, socket_url
from .scenarios import Scenario

__all__ = ["Call", "Result", "Settings", "play", "play_all"]

_SENT_WITHIN = 10.0
_CLOSED_WITHIN = 2.0
_LONGEST = 1 << 20


@attrs.frozen
class Settings:
    """How calls are played and judged; seconds, where it says nothing else."""

    answer_within: float = 15.0
    slack: float = 0.25
    pace: float = 20.0
    """Words that are spoken in a second."""
    metadata: Any = None
    """That of the call, for servers that ask for it."""


@attrs.frozen
class Result:
    """What came of one call."""

    scenario: Scenario
    report: Report
    ended: str
    """How the call came to its end, in a few words."""
    seconds: float
    connected: bool

    @property
    def passed(self) -> bool:
        return self.connected and self.report.passed


class Call:
    """One call against a server, from its first connection to its end.

    :param url: the server's URL, without the id of the call.
    :param heard: called whenever something came or time went by.
    """

    def __init__(
        self, url: str, scenario: Scenario, settings: Settings, *, open_ended: bool = False, heard: Callable[[Player], None] | None = None
    ) -> None:
        call_id = f"call_{uuid4().hex}"
        self.player = Player(
            steps=scenario.steps,
            details={
                "call_type": "web_call",
                "call_id": call_id,
                "agent_id": "agent_simulated",
                "agent_version": 0,
                "call_status": "ongoing",
                **({} if settings.metadata is None else {"metadata": settings.metadata}),
            },
            epoch=(time.time() - anyio.current_time()) * 1000,
            pace=settings.pace,
            patience=settings.answer_within + 1,
            open_ended=open_ended,
            connect_at=anyio.current_time(),
        )
        self.judge = Judge(answer_within=settings.answer_within, slack=settings.slack, exactly_once=scenario.tools)
        self._url = socket_url(url, call_id)
        self._scenario = scenario
        self._heard = heard
        self._waiting: anyio.CancelScope | None = None

    def wake(self) -> None:
        """The player has something to do that came from elsewhere."""
        if self._waiting is not None:
            self._waiting.cancel()

    async def play(self) -> Result:
        """Play until the call is over."""
        player, begun, connected, problem = self.player, anyio.current_time(), False, None
        while not player.over:
            await anyio.sleep_until(begun if player.connect_at is None else player.connect_at)
            try:
                # Without a proxy, without limits of the library's own: what comes is judged.
                socket = await connect(
                    self._url, compression=None, ping_interval=None, proxy=None, open_timeout=CONNECT_SECONDS, max_size=_LONGEST
                )
            except (OSError, InvalidHandshake, TimeoutError, EOFError) as error:
                problem = _problem(error)
                player.failed(anyio.current_time())
                continue
            connected = True
            try:
                await self._converse(socket)
            finally:
                with anyio.move_on_after(_CLOSED_WITHIN, shield=True):
                    await socket.close(player.closing or 1000)
                socket.transport.abort()
        now = anyio.current_time()
        ended = str(player.ended) if problem is None or player.ended != "no connection" else f"no connection: {problem}"
        return Result(self._scenario, self.judge.report(now), ended, now - begun, connected)

    async def _converse(self, socket: ClientConnection) -> None:
        """One connection, to its end."""
        player, judge = self.player, self.judge
        now = anyio.current_time()
        judge.opened(now)
        player.opened(now)
        while True:
            code = await self._send(socket)
            now = anyio.current_time()
            if code is None and player.losing:
                socket.transport.abort()
                judge.lost(now)
                return player.closed(1006, now)
            if code is None and player.closing is not None:
                return judge.lost(now)
            frame: str | bytes | None = None
            if code is None:
                try:
                    frame = await self._receive(socket)
                except ConnectionClosed as closed:
                    code = 1006 if closed.rcvd is None else closed.rcvd.code
            now = anyio.current_time()
            if code is not None:
                judge.closed(code, now)
                return player.closed(code, now)
            if frame is None:
                player.time_passed(now)
            else:
                judge.received(frame, now)
                player.received(frame, now)
            if self._heard is not None:
                self._heard(player)

    async def _receive(self, socket: ClientConnection) -> str | bytes | None:
        """The next frame; ``None`` when there was none in time."""
        deadline = self.player.deadline
        frame: str | bytes | None = None
        with anyio.CancelScope(deadline=float("inf") if deadline is None else deadline) as self._waiting:
            frame = await socket.recv()
        self._waiting = None
        return frame

    async def _send(self, socket: ClientConnection) -> int | None:
        """Send what there is to send.

        :returns: the code that the connection was closed with, if it was.
        """
        frames = self.player.frames
        try:
            while frames:
                frame = frames.popleft()
                with anyio.fail_after(_SENT_WITHIN):
                    await socket.send(frame if isinstance(frame, str) else dump(frame))
                if isinstance(frame, Message):
                    self.judge.sent(frame, anyio.current_time())
        except TimeoutError:
            return 1006
        except ConnectionClosed as closed:
            return 1006 if closed.rcvd is None else closed.rcvd.code
        return None


async def play(url: str, scenario: Scenario, settings: Settings | None = None) -> Result:
    """Play a scenario against a server, under asyncio.

    :param url: the server's, with its secret, and without the id of a call.
    :raises ValueError: it is not a URL of a WebSocket.
    """
    return await Call(url, scenario, settings or Settings()).play()


async def play_all(url: str, scenarios: Sequence[Scenario], settings: Settings | None = None, *, concurrency: int = 4) -> list[Result]:
    """Play several, some of them at once.

    :returns: their results, in the order of the scenarios.
    """
    results: dict[int, Result] = {}
    room = anyio.CapacityLimiter(concurrency)

    async def one(number: int, scenario: Scenario) -> None:
        async with room:
            results[number] = await play(url, scenario, settings)

    async with anyio.create_task_group() as tasks:
        for number, scenario in enumerate(scenarios):
            tasks.start_soon(one, number, scenario)
    return [results[number] for number in sorted(results)]


def _problem(error: Exception) -> str:
    if isinstance(error, InvalidStatus):
        return f"the server answered {error.response.status_code}"
    return "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__
