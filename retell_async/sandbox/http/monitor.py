"""The WebSocket on which a client watches a call that is going on."""

from __future__ import annotations

import json
import re
from collections import Counter
from urllib.parse import unquote

import anyio
from starlette.types import Receive, Scope, Send

from ..common.messages import Json
from ..service import Sandbox
from ..simulation.lifecycle import stage
from ..state.calls import Call
from ..views.calls import conversation_of

__all__ = ["Watchers"]

_PATH = re.compile(r"/v2/monitor-call/([^/]+)")
_MOST = 5
_NOT_ONGOING = 4004
_CROWDED = 4008
_LOOK_EVERY = 0.05
"""Real seconds."""


class Watchers:
    """Who watches the calls of a sandbox. Watching changes nothing, so that no journal tells of it."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._watching: Counter[str] = Counter()

    async def serve(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        """One WebSocket, from its opening to its end."""
        await receive()
        match = _PATH.fullmatch(path)
        status = 404 if match is None else self._sandbox.refusal(_header(scope, b"authorization"))
        if match is None or status is not None:
            await _refuse(status or 404, scope, send)
            return
        call_id = unquote(match[1])
        call = self._ongoing(call_id)
        await send({"type": "websocket.accept"})
        if call is None:
            await send({"type": "websocket.close", "code": _NOT_ONGOING, "reason": "the call is not ongoing"})
            return
        if self._watching[call_id] >= _MOST:
            await send({"type": "websocket.close", "code": _CROWDED, "reason": f"{_MOST} others watch the call"})
            return
        self._watching[call_id] += 1
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._show, call_id, send)
                while (await receive())["type"] != "websocket.disconnect":
                    pass
                tasks.cancel_scope.cancel()
        finally:
            self._watching[call_id] -= 1

    async def _show(self, call_id: str, send: Send) -> None:
        """Send each item when it is new or has changed, until the call is over."""
        sent: dict[str, Json] = {}
        ongoing = True
        while ongoing:
            # What was said last is shown too, before it is over.
            ongoing = self._ongoing(call_id) is not None
            call = self._sandbox.store.calls.get(call_id)
            if call is None:
                break
            now = self._sandbox.store.clock.now()
            shown = [_shown(number, item) for number, item in enumerate(conversation_of(call, now).with_tool_calls)]
            changed = [item for item in shown if sent.get(item["id"]) != item]
            if changed:
                self._sandbox.mark_seen(now)
            for item in changed:
                sent[item["id"]] = item
                await send({"type": "websocket.send", "text": json.dumps(item, separators=(",", ":"))})
            if ongoing:
                await anyio.sleep(_LOOK_EVERY)
        await send({"type": "websocket.close", "code": 1000})

    def _ongoing(self, call_id: str) -> Call | None:
        with self._sandbox.store.frozen_time() as now:
            call = self._sandbox.store.calls.get(call_id)
            return call if call is not None and stage(call.plan, now) == "ongoing" else None


def _shown(number: int, item: Json) -> Json:
    words = item.get("words")
    at = words[0]["start"] if words else item.get("time_sec", 0.0)
    return {"id": f"item_{number}", "time_sec": at, **item}


async def _refuse(status: int, scope: Scope, send: Send) -> None:
    if "websocket.http.response" in scope.get("extensions", {}):
        body = json.dumps({"status": "error", "message": "the WebSocket is not opened"}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": body})
    else:
        await send({"type": "websocket.close"})


def _header(scope: Scope, wanted: bytes) -> str:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == wanted), "")
