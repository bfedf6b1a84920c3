"""Retell's side of the WebSocket without a socket: it keeps the rules of the protocol and says which of them the other side breaks."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import anyio
import trio
import trio.testing

from retell_async import llm
from retell_async.llm.messages import AgentInterrupt, Answer, Config, Pong, Response, parse_answer

Json = dict[str, Any]
T = TypeVar("T")

CALL: Json = {"call_type": "web_call", "call_id": "call_1", "agent_id": "agent_1", "agent_version": 0, "call_status": "ongoing"}


def run(main: Callable[[], Awaitable[T]]) -> T:
    """Run under a clock that jumps ahead whenever all tasks wait."""

    async def begun() -> T:
        return await main()

    return trio.run(begun, clock=trio.testing.MockClock(autojump_threshold=0))


def user(content: str) -> Json:
    return {"role": "user", "content": content, "words": []}


def agent(content: str) -> Json:
    return {"role": "agent", "content": content, "words": []}


class Line:
    """One WebSocket, of which this end is Retell's. `answers` is all that came, in order."""

    def __init__(self, talk: Talk) -> None:
        self.talk = talk
        self.answers: list[Answer] = []
        self.times: list[float] = []
        self.closed_with: int | None = None
        self.gone = anyio.Event()
        self.over = anyio.Event()
        self._code = 1000
        self._sending, self._receiving = anyio.create_memory_object_stream[str | bytes](math.inf)
        self._changed = anyio.Event()

    # What the application sees.

    async def receive(self) -> str | bytes:
        try:
            return await self._receiving.receive()
        except anyio.EndOfStream:
            raise llm.Disconnected(self._code) from None

    async def send(self, text: str) -> None:
        await anyio.lowlevel.checkpoint()
        if self.gone.is_set():
            raise llm.Disconnected(1006)
        assert self.closed_with is None, "a frame after the close"
        answer = parse_answer(text)
        self.talk.judge(answer)
        self.answers.append(answer)
        self.times.append(anyio.current_time())
        self._changed.set()
        if isinstance(answer, Config) and answer.config.call_details and self.talk.gives_details:
            self.tell({"interaction_type": "call_details", "call": {**CALL, **self.talk.details}})

    async def close(self, code: int, reason: str) -> None:
        assert self.closed_with is None, "closed twice"
        self.closed_with = code
        self.lose(code)

    # What Retell does.

    def tell(self, message: Json | str | bytes) -> None:
        import json

        self._sending.send_nowait(json.dumps(message) if isinstance(message, dict) else message)

    def ask(self, id: int, *transcript: Json, kind: str = "response_required") -> None:
        self.talk.ask(id)
        self.tell({"interaction_type": kind, "response_id": id, "transcript": list(transcript)})

    def update(self, *transcript: Json, turn: str | None = None) -> None:
        self.tell({"interaction_type": "update_only", "transcript": list(transcript), **({"turntaking": turn} if turn else {})})

    def lose(self, code: int) -> None:
        """The connection is gone."""
        if not self.gone.is_set():
            self._code = code
            self.gone.set()
            self._sending.close()

    async def until(self, found: Callable[[Answer], bool], within: float = 60.0) -> Answer:
        """The first answer that is such a one."""
        with anyio.fail_after(within):
            while True:
                for answer in self.answers:
                    if found(answer):
                        return answer
                self._changed = anyio.Event()
                await self._changed.wait()

    async def complete(self, id: int, within: float = 60.0) -> str:
        """The whole text of an answer, once it is complete."""
        await self.until(lambda answer: isinstance(answer, Response) and answer.response_id == id and answer.content_complete, within)
        return self.text(id)

    def text(self, id: int) -> str:
        return "".join(answer.content for answer in self.responses(id))

    def responses(self, id: int) -> list[Response]:
        return [answer for answer in self.answers if isinstance(answer, Response) and answer.response_id == id]

    def of(self, kind: type[T]) -> list[T]:
        return [answer for answer in self.answers if isinstance(answer, kind)]


class Talk:
    """One call, over any number of connections."""

    def __init__(self, app: llm.App, tasks: Any, *, gives_details: bool = True, details: Json | None = None) -> None:
        self.app = app
        self.gives_details = gives_details
        self.details = details or {}
        self._tasks = tasks
        self._asked = 0
        self._complete = False
        self._fresh = True

    def connect(self, call_id: str = "call_1") -> Line:
        line = Line(self)
        self._fresh, self._asked_here = True, 0
        self._complete = False

        async def lead() -> None:
            await self.app.lead(call_id, line)
            line.over.set()

        self._tasks.start_soon(lead)
        return line

    def ask(self, id: int) -> None:
        self._next = id

    def judge(self, answer: Answer) -> None:
        """Retell takes this frame, or says which rule it breaks. What is asked for counts from when the other side can know."""
        if self._fresh:
            assert isinstance(answer, Config), "the first frame is the configuration"
        else:
            assert not isinstance(answer, Config), "there is one configuration"
        self._fresh = False
        assert "response_type" in answer
        if isinstance(answer, Response):
            actions = [name for name in ("end_call", "transfer_number", "digit_to_press") if getattr(answer, name)]
            assert len(actions) <= 1
        if isinstance(answer, AgentInterrupt):
            assert answer.interrupt_id >= 1
        if isinstance(answer, Pong):
            assert answer.timestamp


@asynccontextmanager
async def talking(app: llm.App, **settings: Any) -> AsyncGenerator[Talk]:
    """A call to an application, ended at the end."""
    async with anyio.create_task_group() as tasks:
        yield Talk(app, tasks, **settings)
        tasks.cancel_scope.cancel()
