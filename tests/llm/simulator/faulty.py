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
    "greets late, unless somebody has spoken": "greeting-overtaken",
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
    "sends too much at once": "well-formed",
    "bytes that are no text": "well-formed",
    "pings under interaction_type": "pong",
    "reads nothing while it answers": "pong",
    "two actions": "one-action",
    "configures itself late": "config-first",
    "answers with the id of the turn before": "current-id",
    "looks at the newest id after sending": "current-id",
    "looks at the newest id after sending, and knows no pings": "current-id",
    "hangs up at once": "begin-message",
    "hangs up when it is asked": "completed",
    "hangs up after its first answer": "to-the-end",
    "ends the call with its first answer": "to-the-end",
    "breaks off its answers": "completed",
    "says nothing": "in-words",
    "says spaces": "in-words",
    "transfers to nowhere": "one-action",
    "never comes to an end": "completed",
    "floods": "completed",
    "calls tools without end": "completed",
    "interrupts without end": "completed",
    "goes on with an interruption": "current-id",
    "arguments that are no JSON": "tool-calls",
    "options of other types": "well-formed",
    "says all of it again": "said-once",
    "answers the first utterance": "newest-line",
}
"""Faults, and the rule that each breaks."""
HARMLESS: dict[str, bool] = {"says one thing": True, "answers the newest utterance": False}
"""Servers without a fault, and whether all their answers in a call are alike."""


class Faulty:
    """One connection. Without a fault, a server that keeps all rules."""

    def __init__(self, socket: ServerConnection, fault: str | None, booked: set[str]) -> None:
        self.socket = socket
        self.fault = fault
        self.booked = booked
        self.path = socket.request.path if socket.request is not None else ""
        self.tasks: set[asyncio.Task[None]] = set()
        self.tools = 0
        self.newest = 0
        self.heard: list[dict[str, Any]] = []

    async def send(self, message: dict[str, Any]) -> None:
        if self.fault == "no response_type" and message["response_type"] == "response":
            message = {name: value for name, value in message.items() if name != "response_type"}
        text = json.dumps(message)
        await self.socket.send(text.encode() if self.fault == "binary frames" and message.get("response_id") else text)

    async def respond(self, id: Any, content: str, complete: bool, **more: Any) -> None:
        await self.send({"response_type": "response", "response_id": id, "content": content, "content_complete": complete, **more})

    async def begin(self) -> None:
        late = self.fault == "configures itself late"
        config = {"response_type": "config", "config": {"auto_reconnect": "no pings" not in str(self.fault)}}
        if self.fault == "options of other types":
            config["config"] = {"auto_reconnect": "yes"}
        if self.fault == "hangs up at once":
            await self.socket.close()
            return
        if not late:
            await self.send(config)
        if self.fault == "greets late, unless somebody has spoken":
            self.tasks.add(asyncio.create_task(self.greet_late()))
        elif self.fault != "no greeting":
            await self.respond("0" if self.fault == "a greeting with an id that is a text" else 0, "Hello.", True)
        if late:
            await self.send(config)

    async def greet_late(self) -> None:
        await asyncio.sleep(0.5)
        await self.respond(0, "Hello.", True)

    async def run(self) -> None:
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
                self.newest, self.heard = frame["response_id"], frame["transcript"]
                if self.fault == "crashes on an empty transcript":
                    frame["transcript"][-1]["content"]
                if self.fault == "hangs up when it is asked":
                    await self.socket.close()
                lets_go_on = {"goes on after an interruption", "cancels nothing and books twice", "goes on with an interruption"}
                if self.fault not in lets_go_on and not str(self.fault).startswith("looks at"):
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
        if self.fault == "sends too much at once":
            await self.socket.send(" " * 2_000_000)
        if self.fault == "bytes that are no text":
            self.socket.transport.write(b"\x81\x02\xff\xfe")
        if self.fault == "reads nothing while it answers" and "time" in said:
            await asyncio.sleep(8)
        await asyncio.sleep(0.02)
        if await self.answered_wrongly(id):
            return
        await self.respond(id, "Let me see. ", False)
        if "ten" in said:
            await self.book()
        for word in ("This", " takes", " a", " while."):
            await asyncio.sleep(0.1)
            await self.respond(id, word, False)
        if self.fault == "never completes":
            return
        more: dict[str, dict[str, Any]] = {
            "two actions": {"end_call": True, "digit_to_press": "1"},
            "ends the call with its first answer": {"end_call": True},
        }
        again = "Let me see. This takes a while." if self.fault == "says all of it again" else ""
        await self.respond(id, again, True, **more.get(str(self.fault), {}))
        if self.fault == "hangs up after its first answer":
            await self.socket.close()
        if self.fault == "completes twice":
            await self.respond(id, "", True)

    async def answered_wrongly(self, id: int) -> bool:
        """Whether there is nothing more to say, since the fault was said in place of it."""
        match self.fault:
            case "looks at the newest id after sending" | "looks at the newest id after sending, and knows no pings":
                for _ in range(11):
                    await asyncio.sleep(0.06)
                    await self.respond(id, "word ", False)
                    if id < self.newest:
                        return True
                await self.respond(id, "", True)
            case "says one thing":
                await self.respond(id, "This is a demo.", True)
            case "answers the first utterance" | "answers the newest utterance":
                heard = self.heard[0 if "first" in self.fault else -1]["content"] if self.heard else ""
                await self.respond(id, f"You said: {heard}", True)
            case "breaks off its answers":
                await self.respond(id, "Well, ", False)
                await self.socket.close()
            case "says nothing":
                await self.respond(id, "", True)
            case "says spaces":
                await self.respond(id, " ", True)
            case "transfers to nowhere":
                await self.respond(id, "I put you through.", True, transfer_number="reception")
            case "never comes to an end" | "floods":
                while True:
                    await self.respond(id, "word ", False)
                    await asyncio.sleep(0 if self.fault == "floods" else 0.1)
            case "calls tools without end":
                while True:
                    await self.call("look", json.dumps({"at": self.tools}))
                    await asyncio.sleep(0.1)
            case "interrupts without end" | "goes on with an interruption":
                for number in range(1000):
                    whole = self.fault == "interrupts without end"
                    words = {"content": "One moment, please, I look for it. ", "content_complete": whole}
                    await self.send({"response_type": "agent_interrupt", "interrupt_id": id * 1000 + number * whole, **words})
                    await asyncio.sleep(0.1)
            case "arguments that are no JSON":
                await self.call("look", "{'at': 'ten'}")
                return False
            case _:
                return False
        return True

    async def book(self) -> None:
        if self.fault == "never books" or (self.path in self.booked and self.fault != "cancels nothing and books twice"):
            return
        self.booked.add(self.path)
        await self.call("book", '{"slot": "ten"}')

    async def call(self, name: str, arguments: str) -> None:
        self.tools += 1
        id = f"{self.path}-{self.tools}"
        await self.send({"response_type": "tool_call_invocation", "tool_call_id": id, "name": name, "arguments": arguments})
        await self.send({"response_type": "tool_call_result", "tool_call_id": id, "content": "done"})


@asynccontextmanager
async def faulty(fault: str | None) -> AsyncGenerator[str]:
    """Serve it on a free port."""
    booked: set[str] = set()

    async def handle(socket: ServerConnection) -> None:
        await Faulty(socket, fault, booked).run()

    async with serve(handle, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/llm"
