"""Retell's side of the WebSocket without a socket: it keeps the rules of the protocol and says which of them the other side breaks."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import anyio
import trio
import trio.testing

from retell_async import llm
from retell_async.llm.messages import AgentInterrupt, Answer, Config, Response, parse_answer

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
        self._asked = [0]
        self._resumable = 0
        self._before: dict[int, int] = {}
        """How many answers came before an id was asked for here."""
        self._code = 1000
        self._coming: deque[str | bytes] = deque()
        self._came = anyio.Event()
        self._changed = anyio.Event()

    # What the application sees.

    async def receive(self) -> str | bytes:
        await anyio.lowlevel.checkpoint()
        while not self._coming:
            if self.gone.is_set():
                raise llm.Disconnected(self._code)
            self._came = anyio.Event()
            await self._came.wait()
        return self._coming.popleft()

    async def send(self, text: str) -> None:
        if self.gone.is_set():
            raise llm.Disconnected(1006)
        assert self.closed_with is None, "a frame after the close"
        answer = parse_answer(text)
        self._judge(answer)
        self.answers.append(answer)
        self.times.append(anyio.current_time())
        self._changed.set()
        if isinstance(answer, Config) and answer.config.call_details and self.talk.gives_details:
            self.tell({"interaction_type": "call_details", "call": {**CALL, **self.talk.details}})
        await anyio.lowlevel.checkpoint()

    async def close(self, code: int, reason: str) -> None:
        assert self.closed_with is None, "closed twice"
        self.closed_with = code
        self.lose(code)

    def _judge(self, answer: Answer) -> None:
        """Say which rule of the protocol an answer breaks."""
        assert isinstance(answer, Config) == (not self.answers), "the configuration comes once, and first"
        assert "response_type" in answer
        if isinstance(answer, Response):
            before = self.responses(answer.response_id)
            assert answer.response_id in {*self._asked, self._resumable}, "an answer that nobody asked for"
            assert not any(part.content_complete for part in before), "content after the last part"
            assert sum(1 for name in ("end_call", "transfer_number", "digit_to_press") if answer.to_dict().get(name)) <= 1
            newer = [id for id in self._asked if id > answer.response_id]
            ends_greeting = answer.response_id == 0 and answer.content_complete and not answer.content
            assert not newer or self._coming or ends_greeting, "an answer that is out of date"
            greeted = any(part.content_complete for part in self.responses(0))
            assert answer.response_id == 0 or greeted, "an answer before the begin message is complete"
        if isinstance(answer, AgentInterrupt):
            parts = [other for other in self.of(AgentInterrupt) if other.interrupt_id == answer.interrupt_id]
            assert not any(part.content_complete for part in parts), "content after the last part"

    # What Retell does.

    def tell(self, message: Json | str | bytes) -> None:
        self._coming.append(json.dumps(message) if isinstance(message, dict) else message)
        self._came.set()

    def ask(self, id: int, *transcript: Json, kind: str = "response_required", **more: Any) -> None:
        if id not in self._asked:  # what was taken up again under this id before
            self._before[id] = len(self.answers)
        self._asked.append(id)
        self.tell({"interaction_type": kind, "response_id": id, "transcript": list(transcript), **more})

    async def answer(self, id: int, *transcript: Json, kind: str = "response_required") -> str:
        """Ask, and wait for the whole text of the answer."""
        self.ask(id, *transcript, kind=kind)
        return await self.complete(id)

    def may_resume(self, id: int) -> None:
        """The other side may answer what was asked for on another connection."""
        self._resumable = id

    def update(self, *transcript: Json, turn: str | None = None) -> None:
        self.tell({"interaction_type": "update_only", "transcript": list(transcript), **({"turntaking": turn} if turn else {})})

    def lose(self, code: int) -> None:
        """The connection is gone."""
        if not self.gone.is_set():
            self._code = code
            self.gone.set()
            self._came.set()

    async def hang_up(self) -> None:
        """The call is over, and the application has done what is then to be done."""
        self.lose(1000)
        await self.over.wait()

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
        await self.until(lambda _: any(part.content_complete for part in self.responses(id)), within)
        return self.text(id)

    def text(self, id: int) -> str:
        return "".join(answer.content for answer in self.responses(id))

    def responses(self, id: int) -> list[Response]:
        since = self.answers[self._before.get(id, 0) :]
        return [answer for answer in since if isinstance(answer, Response) and answer.response_id == id]

    def of(self, kind: type[T]) -> list[T]:
        return [answer for answer in self.answers if isinstance(answer, kind)]


class Talk:
    """One call, over any number of connections."""

    def __init__(self, app: llm.App, tasks: Any, *, gives_details: bool = True, details: Json | None = None) -> None:
        self.app = app
        self.gives_details = gives_details
        self.details = details or {}
        self._tasks = tasks

    def connect(self, call_id: str = "call_1", kind: type[Line] | None = None) -> Line:
        line = (kind or Line)(self)

        async def lead() -> None:
            await self.app.lead(call_id, line)
            line.over.set()

        self._tasks.start_soon(lead)
        return line

    async def greeted(self) -> Line:
        """A connection on which the begin message was given."""
        line = self.connect()
        await line.complete(0)
        return line


@asynccontextmanager
async def talking(app: llm.App, **settings: Any) -> AsyncGenerator[Talk]:
    """A call to an application, ended at the end."""
    async with anyio.create_task_group() as tasks:
        yield Talk(app, tasks, **settings)
        tasks.cancel_scope.cancel()
