"""Watching a live call: what is said and done in it, as it happens, over the WebSocket that Retell has for that."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast
from urllib.parse import quote

import anyio
import attrs
import httpcore

from retell_async import APIConnectionError, APIError, InternalServerError, RateLimitError, RetellError
from retell_async._core.json import loads
from retell_async._core.masking import mask_start
from retell_async._core.model import Model, adopter, model
from retell_async._core.operation import Operation, Request
from retell_async._core.pages import StreamingSender
from retell_async._helpers.watch import Client

if TYPE_CHECKING:
    from retell_async._core.operation import Sender

try:
    from wsproto.connection import Connection, ConnectionState, ConnectionType
    from wsproto.events import CloseConnection, Ping, TextMessage
    from wsproto.utilities import RemoteProtocolError, generate_accept_token, generate_nonce
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(f"{error.name} is missing: call.monitor needs `pip install 'retell-async[llm]'`", name=error.name) from None

__all__ = ["MonitorError", "MonitorItem", "Watched", "monitor"]

_OPERATION: Operation[Any] = Operation(id="GET /v2/monitor-call", method="GET", path="/v2/monitor-call/{call_id}", repeat="safe")
_NOT_ONGOING = 4004
_CROWDED = 4008
_FINAL = {1002, 1003, 1007, 1008, 1009, 1010}
_SAID = {
    _NOT_ONGOING: "the call is not ongoing: it has not begun, or is over",
    _CROWDED: "five others watch the call, and there may be no more",
    1008: "the server does not let this client watch",
}
_ATTEMPTS = 6
_ATTEMPTS_WHILE_IT_LASTS = 40
"""About five minutes: then the call is taken for lost."""
_PAUSE = 0.5
_LONGEST_PAUSE = 8.0
_QUIET = 20.0
"""Seconds without anything after which the server is asked whether it is there, and then after which it is not."""
_LONGEST = 1 << 22
_CHUNK = 1 << 16
_GONE = (httpcore.NetworkError, httpcore.TimeoutException, anyio.ClosedResourceError)
"""What reading and writing raise when the connection is gone."""


class MonitorError(RetellError):
    """A call cannot be watched, or not any longer. `code` is the WebSocket's close code."""

    def __init__(self, code: int, reason: str = "") -> None:
        said = _SAID.get(code, "the connection was closed")
        super().__init__(f"{said} (close code {code}{f': {mask_start(reason, 200)}' if reason else ''})")
        self.code = code


@model
class MonitorItem(Model):
    """Something that was said or done in the call. ``item["name"]`` reads the fields that are the kind's own."""

    id: str
    """An item with the id of an earlier one takes its place."""
    role: str | None = None
    """``agent``, ``user``, ``tool_call_invocation``, ``tool_call_result``, ``node_transition`` or another kind."""
    content: str | None = None
    """What was said, or the result of a tool call; so far, where it is still growing."""
    time_sec: float | None = None
    """Seconds from the beginning of the call."""


@attrs.define
class Watched:
    """What is known of a call that is watched, over any number of connections. No I/O, no clock."""

    items: dict[str, MonitorItem] = attrs.field(factory=dict[str, MonitorItem])
    seen: bool = False
    """Whether the call was seen to be going on: something came."""
    failures: int = 0
    """How many connections were lost or refused, one after the other, with which nothing came that had not come before."""
    _versions: set[int] = attrs.field(factory=set[int])
    """What items have been: a server may tell all of it again on each connection."""

    def received(self, text: str) -> list[MonitorItem]:
        """The items in a message that are new or have changed. What is no item is passed over."""
        try:
            data: Any = loads(text)
        except (ValueError, RecursionError):
            return []
        self.seen = True
        changed: list[MonitorItem] = []
        for each in cast("Sequence[Any]", data) if isinstance(data, list) else [data]:
            fields = cast("dict[str, Any]", each) if isinstance(each, dict) else {}
            id = fields.get("id")
            if not isinstance(id, str | int) or isinstance(id, bool):
                continue
            item = adopter(MonitorItem)({**fields, "id": str(id)})
            known = self.items.get(item.id)
            if known is None or known.to_dict() != item.to_dict():
                self.items[item.id] = item
                changed.append(item)
                version = hash(repr(item.to_dict()))
                if version not in self._versions:
                    self._versions.add(version)
                    self.failures = 0
        return changed

    def closed(self, code: int, reason: str = "") -> Literal["over", "again"]:
        """What to do once the connection is gone; 1006 if it was lost.

        :raises MonitorError: the call cannot be watched.
        """
        if code == 1000 or (code == _NOT_ONGOING and self.seen):
            return "over"
        self.failures += 1
        # A connection of one's own that is gone may be counted for as long as the server has not noticed.
        final = code in _FINAL or (code >= 4000 and not (code == _CROWDED and self._lost_before))
        if final or self.failures >= (_ATTEMPTS if code == _CROWDED else self._most):
            raise MonitorError(code, reason)
        return "again"

    def unopened(self, error: APIError) -> None:
        """A connection could not be opened.

        :raises APIError: that error, unless it may go away while the call lasts.
        """
        self.failures += 1
        passing = isinstance(error, APIConnectionError | InternalServerError | RateLimitError)
        if not self._lost_before or not passing or self.failures >= self._most:
            raise error

    @property
    def _lost_before(self) -> bool:
        """Whether there was another connection before the one that failed last."""
        return self.seen or self.failures > 1

    @property
    def _most(self) -> int:
        return _ATTEMPTS_WHILE_IT_LASTS if self.seen else _ATTEMPTS

    @property
    def pause(self) -> float:
        """Seconds until the next attempt to connect."""
        return min(_LONGEST_PAUSE, _PAUSE * 2.0 ** max(0, self.failures - 1))


class _Client(StreamingSender, Client, Protocol):
    """What the sender of a resource is."""


class _Closed(Exception):
    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.reason = reason


async def monitor(sender: Sender, call_id: str) -> AsyncGenerator[MonitorItem]:
    """Give what is said and done in a call, each item again when it has grown, until the call is over.

    :raises MonitorError: the call is not ongoing, too many watch it, or the connection is lost again and again.
    :raises APIError: the server does not open a WebSocket.
    :raises RetellError: the client was closed meanwhile.
    """
    watched, client = Watched(), cast("_Client", sender)
    while True:
        try:
            async with aclosing(_messages(client, call_id)) as messages:
                while True:
                    with client.waiting():
                        text = await anext(messages)
                    for item in watched.received(text):
                        yield item
        except _Closed as closed:
            if watched.closed(closed.code, closed.reason) == "over":
                return
        except APIError as error:
            watched.unopened(error)
        with client.waiting():
            await anyio.sleep(watched.pause)


async def _messages(sender: StreamingSender, call_id: str) -> AsyncGenerator[str]:
    """The messages of one connection.

    :raises _Closed: there will be no more.
    """
    key = generate_nonce()
    headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key.decode()}
    request: Request[Any] = Request(_OPERATION, f"/v2/monitor-call/{quote(call_id, safe='')}", {}, None)
    async with sender.stream(request, {"extra_headers": headers}) as response:
        answer = response.http_response
        stream = answer.extensions.get("network_stream")
        accepted = generate_accept_token(key).decode()
        if answer.status_code != 101 or stream is None or answer.headers.get("sec-websocket-accept") != accepted:
            raise RetellError("the server opened no WebSocket, or the client's http_client cannot: httpx's own transport is needed")
        connection = Connection(ConnectionType.CLIENT)
        try:
            async with aclosing(_texts(connection, stream)) as texts:
                async for text in texts:
                    yield text
        finally:
            with anyio.move_on_after(1, shield=True):
                await _leave(connection, stream)


async def _texts(connection: Connection, stream: Any) -> AsyncGenerator[str]:
    parts: list[str] = []
    length, asked = 0, False
    while True:
        try:
            data = await stream.read(_CHUNK, timeout=_QUIET)
        except httpcore.ReadTimeout:
            if asked:
                raise _Closed(1006, "nothing came any more") from None
            asked = True
            await _write(stream, connection.send(Ping()))
            continue
        except _GONE:
            raise _Closed(1006) from None
        asked = False
        try:
            connection.receive_data(data or None)
            for event in connection.events():
                match event:
                    case TextMessage():
                        length += len(event.data)
                        if length > _LONGEST:
                            raise _Closed(1009, "a message without an end")
                        parts.append(event.data)
                        if event.message_finished:
                            yield "".join(parts)
                            parts, length = [], 0
                    case Ping():
                        await _write(stream, connection.send(event.response()))
                    case CloseConnection():
                        raise _Closed(int(event.code), event.reason or "")
                    case _:  # a pong, or a binary message, which there are none of
                        pass
        except RemoteProtocolError:
            raise _Closed(1006) from None
        if not data:
            raise _Closed(1006)


async def _write(stream: Any, data: bytes) -> None:
    try:
        await stream.write(data, timeout=_QUIET)
    except _GONE:
        raise _Closed(1006) from None


async def _leave(connection: Connection, stream: Any) -> None:
    """Say goodbye, if the other side still listens."""
    if connection.state in {ConnectionState.OPEN, ConnectionState.REMOTE_CLOSING}:
        try:
            await stream.write(connection.send(CloseConnection(1000)), timeout=1.0)
        except _GONE:
            return
