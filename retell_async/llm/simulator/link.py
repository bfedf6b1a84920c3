"""Playing calls against a server, over real WebSockets of the `websockets` library."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from socket import gaierror
from typing import Any
from uuid import uuid4

import anyio
import attrs

try:
    from websockets.asyncio.client import ClientConnection, connect
    from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI, WebSocketException
    from websockets.uri import parse_uri
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"{error.name} is missing: retell_async.llm.simulate needs `pip install 'retell-async[llm]'`", name=error.name
    ) from None

from ..messages import Message, ReminderRequired, ResponseRequired, dump
from .judge import Judge, Report
from .player import CONNECT_SECONDS, Player, socket_url
from .scenarios import Scenario

__all__ = ["Call", "Result", "Settings", "check_url", "play", "play_all"]

_SENT_WITHIN = 10.0
_CLOSED_WITHIN = 2.0
_LONGEST = 1 << 20
_VIOLATIONS = {1002: "what is no frame of a WebSocket", 1007: "a frame that is no text in UTF-8", 1009: "a frame of more than a mebibyte"}
"""What the library closes a connection for, and with which codes."""
_LONGEST_ANSWER = 4
"""How much longer than it may take to come an answer may take to its end."""


def check_url(url: str) -> None:
    """See whether a call can be opened at a URL.

    :raises ValueError: it cannot; the message says why, without the URL, which holds a secret.
    """
    full = socket_url(url, "call")
    if not full.startswith(("ws://", "wss://")):
        raise ValueError("the URL must start with ws:// or wss://")
    try:
        host = parse_uri(full).host
    except InvalidURI as error:
        raise ValueError(f"the URL cannot be used: {error.msg}") from None
    try:
        host.encode("idna")
    except UnicodeError:
        raise ValueError("the URL's host is no name of a host") from None
    if not host or any(letter.isspace() for letter in host):
        raise ValueError("the URL's host is no name of a host")


class _Connection(ClientConnection):
    """A connection that is over at once when it cannot be read: the library waits for the server to close it."""

    def send_data(self) -> None:
        super().send_data()
        sent = self.protocol.close_sent
        if sent is not None and sent.code in _VIOLATIONS:
            self.transport.close()


class _connect(connect):  # noqa: N801 - as the library writes it
    """Without redirects: nothing says that Retell follows them, and what comes of them would be told of another address."""

    def process_redirect(self, exc: Exception) -> Exception:
        return exc


@attrs.frozen
class Settings:
    """How calls are played and judged; seconds, where it says nothing else."""

    answer_within: float = 15.0
    slack: float = 0.02
    call_within: float = 600.0
    pace: float = 20.0
    """Words that are spoken in a second."""
    metadata: Any = None
    """That of the call, for servers that ask for it."""
    variables: Mapping[str, Any] | None = None
    """Its dynamic variables."""
    side_effects: frozenset[str] = frozenset()
    """Names of the tools that must not be called twice in a call with the same arguments."""
    caller_pace: float | None = None
    """Words that the caller speaks in a second; ``None`` for `pace`."""


@attrs.frozen
class Result:
    """What came of one call."""

    scenario: Scenario
    report: Report
    ended: str
    """How the call came to its end, in a few words."""
    seconds: float
    connected: bool
    said: Sequence[str] = ()
    """What the caller and the agent said, such as ``agent: Hello.``"""

    @property
    def passed(self) -> bool:
        return self.connected and self.report.passed


class Call:
    """One call against a server, from its first connection to its end.

    :param url: the server's URL, without the id of the call.
    :param heard: called whenever something came or time went by.
    :param on_connect: called when the first connection is there.
    """

    def __init__(
        self,
        url: str,
        scenario: Scenario,
        settings: Settings,
        *,
        open_ended: bool = False,
        heard: Callable[[Player], None] | None = None,
        on_connect: Callable[[], object] | None = None,
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
                **({} if settings.variables is None else {"retell_llm_dynamic_variables": dict(settings.variables)}),
            },
            epoch=(time.time() - anyio.current_time()) * 1000,
            pace=settings.pace,
            caller_pace=settings.caller_pace,
            patience=settings.answer_within + 1,
            longest=_LONGEST_ANSWER * settings.answer_within + 1,
            most=settings.call_within,
            open_ended=open_ended,
            connect_at=anyio.current_time(),
        )
        self.judge = Judge(
            answer_within=settings.answer_within,
            longest=_LONGEST_ANSWER * settings.answer_within,
            slack=settings.slack,
            side_effects=settings.side_effects,
            exactly_once=scenario.tools,
        )
        self._url = socket_url(url, call_id)
        self._scenario = scenario
        self._heard = heard
        self._on_connect = on_connect
        self._has_metadata = settings.metadata is not None
        self._code: int | None = None  # with which the server closed the last connection, and why
        self._reason = ""
        self._waiting: anyio.CancelScope | None = None
        self._connecting = anyio.CancelScope()

    def wake(self) -> None:
        """The player has something to do that came from elsewhere."""
        if self._waiting is not None:
            self._waiting.cancel()

    def hang_up(self) -> None:
        """The caller hangs up at once."""
        self.player.hang_up()
        self._connecting.cancel()
        self.wake()

    async def play(self) -> Result:
        """Play until the call is over."""
        player, begun, connected, problem = self.player, anyio.current_time(), False, None
        while not player.over:
            socket = None
            try:
                with anyio.CancelScope() as self._connecting:
                    await anyio.sleep_until(begun if player.connect_at is None else player.connect_at)
                    # Without a proxy, without limits of the library's own: what comes is judged.
                    socket = await _connect(
                        self._url,
                        create_connection=_Connection,
                        compression=None,
                        ping_interval=None,
                        proxy=None,
                        open_timeout=CONNECT_SECONDS,
                        max_size=_LONGEST,
                    )
            except (OSError, WebSocketException, TimeoutError, EOFError) as error:
                problem = _problem(error, secure=self._url.startswith("wss:"))
                player.failed(anyio.current_time(), final=_is_refusal(error))
                continue
            if socket is None:
                continue
            connected = True
            if self._on_connect is not None:
                self._on_connect()
            try:
                await self._converse(socket)
            finally:
                with anyio.move_on_after(_CLOSED_WITHIN, shield=True):
                    await socket.close(player.closing or 1000)
                socket.transport.abort()
        now = anyio.current_time()
        ended = str(player.ended) if problem is None or player.ended != "no connection" else f"no connection: {problem}"
        if self._code == 1008 and not self._has_metadata:
            ended += ": does the server take only calls of its own? --metadata gives this one theirs"
        report = self.judge.report(now, gave_up=player.gave_up, unsaid=player.unsaid)
        said = tuple(f"{line['role']}: {line['content']}" for line in player.spoken)
        return Result(self._scenario, report, ended, now - begun, connected, said)

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
                    code = self._closed(closed)
            now = anyio.current_time()
            if code is not None:
                return player.closed(code, now, self._reason)
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
            await anyio.lowlevel.checkpoint()  # the library does not look at the clock while there are frames
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
                if isinstance(frame, ResponseRequired | ReminderRequired):
                    await self._ping(socket)
        except TimeoutError:
            self.judge.closed(1006, anyio.current_time())
            return 1006
        except ConnectionClosed as closed:
            return self._closed(closed)
        return None

    def _closed(self, closed: ConnectionClosed) -> int:
        """Tell the judge who closed the connection, and why.

        :returns: the code that it was closed with.
        """
        now = anyio.current_time()
        if closed.rcvd is None and closed.sent is not None and closed.sent.code in _VIOLATIONS:
            self.judge.violated(_VIOLATIONS[closed.sent.code], now)
            self.judge.lost(now)
            return 1006
        code, self._reason = (1006, "") if closed.rcvd is None else (closed.rcvd.code, closed.rcvd.reason)
        self._code = code
        self.judge.closed(code, now)
        return code

    async def _ping(self, socket: ClientConnection) -> None:
        """Have the judge told when the server's library has read what was sent so far."""
        judge, number, loop = self.judge, self.judge.messages, asyncio.get_running_loop()

        def ponged(pong: asyncio.Future[float]) -> None:
            if not pong.cancelled() and pong.exception() is None:
                # What is behind the library, such as a proxy's other side, is given as much time as the library took.
                judge.ponged(number, loop.time() + pong.result())

        asyncio.ensure_future(await socket.ping()).add_done_callback(ponged)


async def play(url: str, scenario: Scenario, settings: Settings | None = None, *, on_connect: Callable[[], object] | None = None) -> Result:
    """Play a scenario against a server, under asyncio.

    :param url: the server's, with its secret, and without the id of a call.
    :param on_connect: called when there is a connection.
    :raises ValueError: it is not a URL of a WebSocket.
    """
    check_url(url)
    return await Call(url, scenario, settings or Settings(), on_connect=on_connect).play()


async def play_all(url: str, scenarios: Sequence[Scenario], settings: Settings | None = None, *, concurrency: int = 4) -> list[Result]:
    """Play several, some of them at once.

    :returns: their results, in the order of the scenarios; only the first one's if that finds no server.
    """
    results: dict[int, Result] = {}
    room = anyio.CapacityLimiter(concurrency)
    known = anyio.Event()  # whether there is a server

    async def one(number: int, scenario: Scenario) -> None:
        async with room:
            results[number] = await play(url, scenario, settings, on_connect=known.set)
        known.set()

    async with anyio.create_task_group() as tasks:
        for number, scenario in enumerate(scenarios):
            tasks.start_soon(one, number, scenario)
            await known.wait()
            if 0 in results and not results[0].connected:
                break
    return [results[number] for number in sorted(results)]


def _is_refusal(error: Exception) -> bool:
    return isinstance(error, gaierror) or (isinstance(error, InvalidStatus) and 300 <= error.response.status_code < 500)


def _problem(error: Exception, *, secure: bool) -> str:
    if isinstance(error, InvalidStatus):
        status = error.response.status_code
        if 300 <= status < 400:
            return f"the server answered {status}, a redirect, which is not followed: give the address that it leads to"
        return f"the server answered {status}{': is the secret right?' if status in {401, 403, 404} else ''}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"what answers there speaks no TLS that fits ({error.reason or type(error).__name__}): is it ws://?"
    if isinstance(error, InvalidHandshake):
        return "what answers there opens no WebSocket"
    if isinstance(error, gaierror):
        return "there is no such host"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there"
    if isinstance(error, (ConnectionError, EOFError)):
        return f"the connection was broken off: is it {'ws' if secure else 'wss'}://?"
    return "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__
