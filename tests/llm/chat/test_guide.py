"""The guide's examples for clients of vendors: what they ask of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from retell_async import llm

from ...docs.blocks import blocks
from ..talk import run, talking, user
from ..test_session import application

Json = dict[str, Any]


class Client:
    """A client of either vendor, which keeps what it is asked."""

    def __init__(self) -> None:
        self.asked: list[Json] = []
        self.chat = self.completions = self.messages = self

    async def create(self, **asked: Any) -> Any:
        self.asked.append(asked)
        return self._openai()

    @asynccontextmanager
    async def _openai(self) -> AsyncGenerator[AsyncIterator[Any]]:
        yield self._parts()

    async def _parts(self) -> AsyncIterator[Any]:
        yield type("Part", (), {"choices": []})
        delta = type("Delta", (), {"content": "Yes."})
        yield type("Part", (), {"choices": [type("Choice", (), {"delta": delta})]})

    @asynccontextmanager
    async def stream(self, **asked: Any) -> AsyncGenerator[Any]:
        self.asked.append(asked)
        yield type("Stream", (), {"text_stream": self._texts()})

    async def _texts(self) -> AsyncIterator[str]:
        yield "Yes."


@pytest.mark.parametrize("vendor", ["with_openai", "with_anthropic"])
def test_an_example_for_a_vendors_client(vendor: str) -> None:
    names: Json = {}
    (source,) = [block.source for block in blocks("python") if f"def {vendor}(" in block.source]
    exec(source, names)
    client = Client()
    model = names[vendor](client)

    async def answer(turn: llm.Turn) -> AsyncIterator[str]:
        if turn.id == 1:
            await turn.once("book:ten", lambda: "booked at ten")
            await anyio.sleep_forever()
        async for text in model(turn):
            yield text

    said = [
        {"role": "agent", "content": "Hello. "},
        user("Ten."),
        {"role": "tool_call_invocation", "tool_call_id": "t1", "name": "book", "arguments": "{}"},
        {"role": "tool_call_result", "tool_call_id": "t1", "content": "ok"},
        {"role": "agent", "content": "One moment. "},
    ]

    async def main() -> None:
        async with talking(application(answer, transcript_with_tool_calls=True)) as talk:
            line = await talk.greeted()
            for id, kind in ((1, "response_required"), (2, "response_required"), (3, "reminder_required")):
                line.ask(id, kind=kind, transcript_with_tool_calls=said)
                await anyio.sleep(1)
            assert [line.text(id) for id in (2, 3)] == ["Yes.", "Yes."]

    run(main)
    assert len(client.asked) == 2
    for asked in client.asked:
        assert "booked at ten" in str(asked)
        messages = asked["messages"]
        if vendor == "with_anthropic":
            assert asked["system"].startswith("Be brief.")
            assert messages[0]["role"] == "user"
            assert {frozenset(each) for each in messages} == {frozenset({"role", "content"})}
            assert {each["role"] for each in messages} <= {"user", "assistant"}
            assert all(each["content"] and each["content"] == each["content"].strip() for each in messages)
        else:
            assert [each["role"] for each in messages][:5] == ["system", "assistant", "user", "assistant", "tool"]
