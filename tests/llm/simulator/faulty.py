"""Servers as they are found in public, each with a fault of its own, on the `websockets` library and nothing of ours."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.server import ServerConnection, serve

FAULTS: dict[str, str] = {
    "a greeting with an id that is a text": "well-formed",
    "no greeting": "begin-message",
    "no response_type": "response-type",
    "crashes on an empty transcript": "stays-open",
    "crashes on what it does not know": "stays-open",
    "goes on after an interruption": "current-id",
    "falls silent when the model raises": "completed",
    "cancels nothing and books twice": "effects-once",
    "never books": "effects-once",
    "completes twice": "complete-once",
    "never completes": "completed",
    "binary frames": "well-formed",
    "garbage": "well-formed",
    "pings under interaction_type": "pong",
    "reads nothing while it answers": "pong",
    "two actions": "one-action",
    "configures itself late": "config-first",
    "answers with the id of the turn before": "current-id",
    "looks only after sending": "current-id",
    "hangs up at once": "begin-message",
    "hangs up after the first answer": "to-the-end",
    "answers nothing": "in-words",
    "never comes to an end": "completed",
    "calls a tool without end": "completed",
    "transfers to no number": "one-action",
}
"""Faults, and the rule that each breaks."""


ACTIONS: dict[str, dict[str, Any]] = {
    "two actions": {"end_call": True, "digit_to_press": "1"},
    "hangs up after the first answer": {"end_call": True},
    "transfers to no number": {"transfer_number": "the desk"},
}


AGAIN = {"cancels nothing and books twice", "calls a tool without end"}


class Faulty:
    """One connection. Without a fault, a server that keeps all rules."""

    def __init__(self, socket: ServerConnection, fault: str | None, booked: set[str]) -> None:
        self.socket = socket
        self.fault = fault
        self.booked = booked
        self.call = socket.request.path if socket.request is not None else ""
        self.tasks: set[asyncio.Task[None]] = set()
        self.tools = 0
        self.newest = 0

    async def send(self, message: dict[str, Any]) -> None:
        if self.fault == "no response_type" and message["response_type"] == "response":
            message = {name: value for name, value in message.items() if name != "response_type"}
        text = json.dumps(message)
        await self.socket.send(text.encode() if self.fault == "binary frames" and message.get("response_id") else text)

    async def respond(self, id: Any, content: str, complete: bool, **more: Any) -> None:
        await self.send({"response_type": "response", "response_id": id, "content": content, "content_complete": complete, **more})

    async def begin(self) -> None:
        late = self.fault == "configures itself late"
        config = {"response_type": "config", "config": {"auto_reconnect": True}}
        if not late:
            await self.send(config)
        if self.fault != "no greeting":
            await self.respond("0" if self.fault == "a greeting with an id that is a text" else 0, "Hello.", True)
        if late:
            await self.send(config)

    async def run(self) -> None:
        if self.fault == "hangs up at once":
            return
        await self.begin()
        try:
            async for text in self.socket:
                await self.take(json.loads(text))
        finally:
            for task in self.tasks:
                task.cancel()

    async def take(self, frame: dict[str, Any]) -> None:
        match frame["interaction_type"]:
            case "ping_pong":
                tag = "interaction_type" if self.fault == "pings under interaction_type" else "response_type"
                await self.socket.send(json.dumps({tag: "ping_pong", "timestamp": frame["timestamp"]}))
            case "response_required" | "reminder_required":
                if self.fault == "crashes on an empty transcript":
                    frame["transcript"][-1]["content"]
                self.newest = frame["response_id"]
                if self.fault not in {"goes on after an interruption", "cancels nothing and books twice", "looks only after sending"}:
                    for task in self.tasks:
                        task.cancel()
                if self.fault == "reads nothing while it answers":
                    await self.answer(frame)
                else:
                    task = asyncio.create_task(self.answer(frame))
                    self.tasks.add(task)
                    task.add_done_callback(lambda done: done.cancelled() or done.exception())
            case "update_only" | "call_details":
                pass
            case _ if self.fault == "crashes on what it does not know":
                raise KeyError(frame["interaction_type"])
            case _:
                pass

    async def answer(self, frame: dict[str, Any]) -> None:
        id, said = frame["response_id"], next((line["content"] for line in reversed(frame["transcript"]) if line["role"] == "user"), "")
        if self.fault == "answers with the id of the turn before":
            id -= 1
        if self.fault == "falls silent when the model raises" and "fail" in said:
            raise RuntimeError("the model")
        if self.fault == "garbage":
            await self.socket.send("undefined")
        if self.fault == "reads nothing while it answers" and "time" in said:
            await asyncio.sleep(8)
        await asyncio.sleep(0.02)
        if self.fault == "answers nothing":
            await self.respond(id, "", True)
            return
        await self.respond(id, "Let me see. ", False)
        while self.fault in {"never comes to an end", "calls a tool without end"}:
            await asyncio.sleep(0.1)
            await (self.respond(id, "word ", False) if self.fault == "never comes to an end" else self.book())
        if "ten" in said:
            await self.book()
        for word in ("This", " takes", " a", " while."):
            await asyncio.sleep(0.1)
            await self.respond(id, word, False)
            if self.fault == "looks only after sending" and id < self.newest:
                return
        if self.fault == "never completes":
            return
        await self.respond(id, "", True, **ACTIONS.get(str(self.fault), {}))
        if self.fault == "completes twice":
            await self.respond(id, "", True)

    async def book(self) -> None:
        if self.fault == "never books" or (self.call in self.booked and self.fault not in AGAIN):
            return
        self.booked.add(self.call)
        self.tools += 1
        id = f"{self.call}-{self.tools}"
        await self.send({"response_type": "tool_call_invocation", "tool_call_id": id, "name": "book", "arguments": '{"slot": "ten"}'})
        await self.send({"response_type": "tool_call_result", "tool_call_id": id, "content": "booked"})


@asynccontextmanager
async def faulty(fault: str | None) -> AsyncGenerator[str]:
    """Serve it on a free port."""
    booked: set[str] = set()

    async def handle(socket: ServerConnection) -> None:
        await Faulty(socket, fault, booked).run()

    async with serve(handle, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/llm"
