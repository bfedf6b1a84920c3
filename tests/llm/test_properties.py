"""Whatever the order of frames, failures, cancellations and reconnections, the rules hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import anyio
from hypothesis import given, settings, strategies as st

from retell_async import llm
from retell_async.llm.messages import Response

from .talk import Line, agent, run, talking, user
from .test_session import application

_behaviours = st.sampled_from(
    ["words", "slow", "fails", "fails late", "books", "books spoken", "hangs", "says nothing", "interrupts", "ends"]
)
_steps = st.one_of(
    st.tuples(st.just("ask"), _behaviours, st.sampled_from(["response_required", "reminder_required"])),
    st.tuples(st.just("again")),
    st.tuples(st.just("back")),
    st.tuples(st.just("update"), st.sampled_from(["agent_turn", "user_turn", None])),
    st.tuples(st.just("broken"), st.sampled_from(["{", "[]", b"{}", '{"interaction_type":"brand_new"}'])),
    st.tuples(st.just("ping")),
    st.tuples(st.just("sleep"), st.sampled_from([0.01, 0.3, 1.0, 4.0, 12.0])),
    st.tuples(st.just("lose"), st.sampled_from([1005, 1006, 1011]), st.sampled_from([0.0, 0.5, 10.0])),
    st.tuples(st.just("replace")),
    st.tuples(st.just("interrupt")),
)


@settings(max_examples=200)
@given(st.lists(_steps, max_size=25))
def test_any_call(steps: list[Any]) -> None:
    behaviours: dict[int, str] = {}
    booked: Counter[str] = Counter()
    open_turns: Counter[str] = Counter()

    async def book(key: str) -> str:
        booked[key] += 1
        await anyio.sleep(0.4)
        return key

    async def answer(turn: llm.Turn) -> AsyncIterator[str]:
        open_turns["begun"] += 1
        try:
            match behaviours[turn.id]:
                case "words":
                    for word in ("One ", "two ", "three."):
                        yield word
                case "slow":
                    yield "Well, "
                    await anyio.sleep(2)
                    yield "yes."
                case "fails":
                    raise ZeroDivisionError
                case "fails late":
                    yield "Well, "
                    await anyio.sleep(0.2)
                    raise ZeroDivisionError
                case "books":
                    yield await turn.once("slot", lambda: book("slot"))
                case "books spoken":
                    yield "I book. "
                    yield await turn.once("other", lambda: book("other"), when="spoken")
                case "hangs":
                    await anyio.sleep_forever()
                case "interrupts":
                    yield "Well, "
                    turn.session.interrupt("Stop.")
                case "ends":
                    yield "Bye."
                    turn.end_call()
                case _:
                    pass
        finally:
            open_turns["begun"] -= 1

    async def main() -> None:
        app = application(answer, filler="Hm.", filler_after=0.3)
        async with talking(app) as talk:
            line = talk.connect()
            lines: list[Line] = [line]
            newest = 0
            for step in steps:
                match step:
                    case ("ask", behaviour, kind):
                        newest += 1
                        behaviours[newest] = behaviour
                        line.ask(newest, agent("Hello."), user("a"), kind=kind)
                    case ("again",) if newest:
                        line.ask(newest, user("a"))
                    case ("back",) if newest > 1:
                        line.tell({"interaction_type": "response_required", "response_id": newest - 1, "transcript": []})
                    case ("update", turn):
                        line.update(user("a"), turn=turn)
                    case ("broken", frame):
                        line.tell(frame)
                    case ("ping",):
                        line.tell({"interaction_type": "ping_pong", "timestamp": 1})
                    case ("sleep", seconds):
                        await anyio.sleep(seconds)
                    case ("lose", code, seconds):
                        line.lose(code)
                        await anyio.sleep(seconds or 0.001)
                        line = talk.connect()
                        line.may_resume(newest)
                        lines.append(line)
                    case ("replace",):
                        await anyio.sleep(0.001)  # so that the one before is there first
                        line = talk.connect()
                        line.may_resume(newest)
                        lines.append(line)
                    case ("interrupt",):
                        for session in app.sessions.values():
                            session.interrupt("Hear me.")
                    case _:
                        pass
            newest += 1
            behaviours[newest] = "words"
            assert await line.answer(newest, user("a")) == "One two three."
            line.lose(1000)
            with anyio.fail_after(60):
                await line.over.wait()
                for other in lines:
                    await other.over.wait()
            assert not app.sessions
            assert app.stats.calls == 1
            for other in lines:
                for id in {part.response_id for part in other.of(Response)}:
                    assert sum(part.content_complete for part in other.responses(id)) <= 1
        assert max(booked.values(), default=0) <= 1
        assert open_turns["begun"] == 0

    run(main)
