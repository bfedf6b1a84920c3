"""The WebSocket on which a client watches a call that is going on."""

from __future__ import annotations

import json
import re
from collections import Counter
from urllib.parse import unquote

import anyio
import attrs
from starlette.types import Receive, Scope, Send

from ..common.messages import Json
from ..service import Sandbox
from ..simulation.lifecycle import stage
from ..views.calls import conversation_of

__all__ = ["LOOK_EVERY", "REFUSED", "Watch", "Watchers"]

_PATH = re.compile(r"/v2/monitor-call/([^/]+)")
_MOST = 5
_NOT_ONGOING = 4004
_CROWDED = 4008
LOOK_EVERY = 0.05
"""Real seconds."""
REFUSED: Json = {"status": "error", "message": "the WebSocket is not opened"}


@attrs.define(eq=False)
class Watch:
    """One who watches a call."""

    _sandbox: Sandbox
    _call_id: str
    closing: tuple[int, str] | None = None
    """The close code and the reason, once there is nothing more to see."""
    counted: bool = False
    _seen: dict[str, Json] = attrs.field(factory=dict[str, Json])

    def look(self) -> list[str]:
        """The items that are new or have changed, as messages; after the end of the call, the last ones."""
        if self.closing is not None:
            return []
        with self._sandbox.store.frozen_time() as now:
            call = self._sandbox.store.calls.get(self._call_id)
            if call is None or stage(call.plan, now) != "ongoing":
                self.closing = (1000, "")
            if call is None:
                return []
            shown = [_shown(number, item) for number, item in enumerate(conversation_of(call, now).with_tool_calls)]
        changed = [item for item in shown if self._seen.get(item["id"]) != item]
        if changed:
            self._sandbox.mark_seen(now)
        self._seen.update({item["id"]: item for item in changed})
        return [json.dumps(item, separators=(",", ":")) for item in changed]


class Watchers:
    """Who watches the calls of a sandbox. Watching changes nothing, so that no journal tells of it."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._watching: Counter[str] = Counter()

    def admit(self, path: str, authorization: str) -> str | int:
        """The id of the call that a WebSocket is for, or the status with which it is refused."""
        match = _PATH.fullmatch(path)
        if match is None:
            return 404
        status = self._sandbox.refusal(authorization)
        return unquote(match[1]) if status is None else status

    def enter(self, call_id: str) -> Watch:
        """Begin to watch a call, until `leave`."""
        watch = Watch(self._sandbox, call_id)
        with self._sandbox.store.frozen_time() as now:
            call = self._sandbox.store.calls.get(call_id)
            if call is None or stage(call.plan, now) != "ongoing":
                watch.closing = (_NOT_ONGOING, "the call is not ongoing")
            elif self._watching[call_id] >= _MOST:
                watch.closing = (_CROWDED, f"{_MOST} others watch the call")
            else:
                watch.counted = True
                self._watching[call_id] += 1
        return watch

    def leave(self, call_id: str, watch: Watch) -> None:
        if watch.counted:
            watch.counted = False
            self._watching[call_id] -= 1

    async def serve(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        """One WebSocket, from its opening to its end."""
        await receive()
        call_id = self.admit(path, _header(scope, b"authorization"))
        if isinstance(call_id, int):
            await _refuse(call_id, scope, send)
            return
        watch = self.enter(call_id)
        await send({"type": "websocket.accept"})
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._show, watch, send)
                while (await receive())["type"] != "websocket.disconnect":
                    pass
                tasks.cancel_scope.cancel()
        finally:
            self.leave(call_id, watch)

    async def _show(self, watch: Watch, send: Send) -> None:
        """Send each item when it is new or has changed, until the call is over."""
        while True:
            for text in watch.look():
                await send({"type": "websocket.send", "text": text})
            if watch.closing is not None:
                code, reason = watch.closing
                await send({"type": "websocket.close", "code": code, "reason": reason})
                return
            await anyio.sleep(LOOK_EVERY)


def _shown(number: int, item: Json) -> Json:
    words = item.get("words")
    at = words[0]["start"] if words else item.get("time_sec", 0.0)
    return {"id": f"item_{number}", "time_sec": at, **item}


async def _refuse(status: int, scope: Scope, send: Send) -> None:
    if "websocket.http.response" in scope.get("extensions", {}):
        body = json.dumps(REFUSED).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": body})
    else:
        await send({"type": "websocket.close"})


def _header(scope: Scope, wanted: bytes) -> str:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == wanted), "")
