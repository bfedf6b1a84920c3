"""Turns of a custom LLM as spans: in virtual time, over a line without a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
from opentelemetry import trace

from retell_async import llm

from ..llm.talk import agent, run, talking, user
from .seeing import Seen, attributes_of, seeing

TRACE = "00-11111111111111111111111111111111-2222222222222222-01"


def application(**settings: Any) -> llm.App:
    app = llm.App(**{"secret": None, "begin_message": "Hello.", "timeout": 3.0, **settings})

    @app.agent
    async def answer(turn: llm.Turn) -> AsyncIterator[str]:
        match turn.said:
            case "slow":
                yield "Let me see. "
                await anyio.sleep(2)
                yield "Here."
            case "stuck":
                await anyio.sleep_forever()
            case "broken":
                raise ValueError("+14155550101")
            case "silent":
                yield ""
            case said:
                yield said

    return app


def outcomes(seen: Seen) -> list[tuple[int, str, str | None]]:
    found = [attributes_of(span) for span in seen.spans]
    return [(turn["retell.turn.id"], turn["retell.turn.outcome"], turn.get("error.type")) for turn in found]


def test_turns_and_how_they_end() -> None:
    async def main() -> None:
        async with talking(application()) as talk:
            line = await talk.greeted()
            assert await line.answer(1, agent("Hello."), user("yes")) == "yes"
            line.ask(2, user("slow"))
            await anyio.sleep(1)
            await line.answer(3, user("broken"))
            await line.answer(4, user("stuck"))
            await line.answer(5, user("silent"))
            await line.answer(6, user("bye"), kind="reminder_required")
            line.ask(7, user("slow"))
            await anyio.sleep(1)
            await line.hang_up()

    with seeing() as seen:
        run(main)
    assert outcomes(seen) == [
        (0, "complete", None),
        (1, "complete", None),
        (2, "interrupted", None),
        (3, "failed", "ValueError"),
        (4, "timed_out", "timed_out"),
        (5, "failed", "failed"),
        (6, "complete", None),
        (7, "interrupted", None),
    ]
    begin, first = (attributes_of(span) for span in seen.spans[:2])
    assert seen.spans[0].name == "turn begin"
    assert begin["gen_ai.conversation.id"] == begin["retell.call_id"] == "call_1"
    assert 0 <= first.pop("gen_ai.response.time_to_first_chunk") < 1
    assert first == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.conversation.id": "call_1",
        "retell.call_id": "call_1",
        "retell.turn.id": 1,
        "retell.turn.kind": "response",
        "retell.turn.outcome": "complete",
        "retell.turn.interrupted": False,
    }
    assert attributes_of(seen.spans[2])["retell.turn.interrupted"] is True
    assert "gen_ai.response.time_to_first_chunk" in attributes_of(seen.spans[2])
    assert "gen_ai.response.time_to_first_chunk" not in attributes_of(seen.spans[4])
    assert "5550101" not in str([span.to_json() for span in seen.spans])
    metrics = seen.metrics()
    assert metrics["retell.turns", "complete"] == 3
    assert metrics["retell.turns", "interrupted"] == 2
    assert ("retell.turn.first_text",) in metrics


def test_turns_join_the_trace_of_their_call_and_the_agents_code_is_inside() -> None:
    inside: list[Any] = []
    app = llm.App(secret=None)

    @app.agent
    async def answer(turn: llm.Turn) -> AsyncIterator[str]:
        inside.append(trace.get_current_span().get_span_context())
        yield "Yes."
        inside.append(trace.get_current_span().get_span_context())

    async def main() -> None:
        async with talking(app, details={"metadata": {"traceparent": TRACE}}) as talk:
            line = await talk.greeted()
            await line.answer(1, user("Are you open?"))
            await line.hang_up()

    with seeing() as seen:
        run(main)
    span = seen.one("turn response")
    assert span.parent is not None
    assert f"{span.parent.trace_id:032x}" == "1" * 32
    assert inside == [span.context, span.context]


def test_an_interruption_interrupts_the_turn() -> None:
    async def main() -> None:
        app = application()
        async with talking(app) as talk:
            line = await talk.greeted()
            line.ask(1, user("slow"))
            await anyio.sleep(1)
            app.sessions["call_1"].interrupt("One moment.")
            await anyio.sleep(1)
            await line.hang_up()

    with seeing() as seen:
        run(main)
    assert outcomes(seen)[1] == (1, "interrupted", None)
