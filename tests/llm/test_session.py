"""Calls from beginning to end, in virtual time."""

from __future__ import annotations

import abc
import asyncio
import functools
import logging
import math
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal
from functools import partial
from typing import Any, ClassVar, cast

import anyio
import anyio.lowlevel
import pytest

from retell_async import ConfigurationError, llm
from retell_async.llm.messages import AgentInterrupt, Config, Metadata, Pong, Response, ToolCallInvocation, ToolCallResult, UpdateAgent

from .talk import Line, Talk, agent, run, talking, user

FAILURE = "Sorry, something went wrong on my side. Could you say that again?"

Turns = AsyncIterator[str]


def application(function: Callable[[llm.Turn], Any], **settings: Any) -> llm.App:
    app = llm.App(**{"secret": None, "begin_message": "Hello.", **settings})
    app.agent(function)
    return app


async def echo(turn: llm.Turn) -> Turns:
    yield f"{turn.id}: "
    yield turn.said


def test_a_call_of_the_smallest_application() -> None:
    app = application(echo)

    async def main() -> None:
        async with talking(app) as talk:
            line = talk.connect()
            assert await line.complete(0) == "Hello."
            line.tell({"interaction_type": "ping_pong", "timestamp": 1760000000000})
            assert await line.answer(1, agent("Hello."), user("Are you open?")) == "1: Are you open?"
            assert await line.answer(2, agent("Hello."), kind="reminder_required") == "2: "
            await line.hang_up()
        assert [pong.timestamp for pong in line.of(Pong)] == [1760000000000]
        assert line.of(Config)[0].config.to_dict() == {"auto_reconnect": True, "call_details": True, "transcript_with_tool_calls": False}
        assert not app.sessions
        assert app.stats == llm.Stats(calls=1, turns=2, discarded=2)

    run(main)


def test_pings_are_answered_while_the_model_thinks() -> None:
    async def slow(turn: llm.Turn) -> Turns:
        await anyio.sleep(9)
        yield "Yes."

    async def main() -> None:
        async with talking(application(slow)) as talk:
            line = talk.connect()
            line.ask(1, user("Hm"))
            for moment in range(4):
                line.tell({"interaction_type": "ping_pong", "timestamp": moment + 1})
                await anyio.sleep(2)
            assert [pong.timestamp for pong in line.of(Pong)] == [1, 2, 3, 4]
            assert await line.complete(1) == "Yes."

    run(main)


# What the agent says first.


@pytest.mark.parametrize("how", ["answers", "says", "says nothing", "cleans up"])
@pytest.mark.parametrize("asks", [True, False])
def test_words_of_an_older_turn_are_none_of_the_one_that_has_its_id_on_another_connection(asks: bool, how: str) -> None:
    begun = 0

    async def answer(turn: llm.Turn) -> Any:
        nonlocal begun
        begun += 1
        if begun > 1:
            await anyio.sleep(5)
            return "new"
        try:
            with anyio.CancelScope(shield=True):  # as a thread is
                await anyio.sleep(4)
                if how == "says":
                    await turn.say("old")
        finally:
            if how == "cleans up":
                with anyio.CancelScope(shield=True):
                    await turn.say("old")
        return "" if how == "says nothing" else "old"

    async def main() -> None:
        async with talking(application(answer)) as talk:
            line = await talk.greeted()
            line.ask(1, user("ten"))
            await anyio.sleep(0.5)
            line.lose(1006)
            line = talk.connect()
            if asks:
                line.ask(1, user("eleven"))
            else:
                line.may_resume(1)
            assert await line.complete(1) == "new"

    run(main)
    assert begun == 2


def test_a_greeting_of_a_connection_that_is_gone_is_not_heard_on_the_next() -> None:
    class Greeter(llm.Agent):
        times = 0

        async def on_enter(self, turn: llm.Turn) -> str:
            self.times += 1
            number = self.times
            with anyio.CancelScope(shield=True):  # as a thread is
                await anyio.sleep(2)
                await turn.say(f"Hello number {number}.")
            return ""

        async def on_turn(self, turn: llm.Turn) -> str:
            return "Yes."

    app = llm.App(secret=None)
    app.agent(Greeter)

    async def main() -> None:
        async with talking(app) as talk:
            line = talk.connect()
            await anyio.sleep(1)
            line.lose(1006)
            assert await talk.connect().complete(0) == "Hello number 2."

    run(main)


@pytest.mark.parametrize("begin_message", [None, ""])
def test_waiting_for_the_user(begin_message: str | None) -> None:
    async def main() -> None:
        async with talking(application(echo, begin_message=begin_message)) as talk:
            line = talk.connect()
            assert await line.complete(0) == ""

    run(main)


def greeting(session: llm.Session) -> str:
    return f"Hello {session.call.agent_id}." if session.call is not None else "Hello you."


@pytest.mark.parametrize(("details", "says", "after"), [(True, "Hello agent_1.", 0), (False, "Hello you.", 2)])
def test_a_begin_message_that_is_made_for_the_call_waits_for_its_details(details: bool, says: str, after: float) -> None:
    async def main() -> None:
        async with talking(application(echo, begin_message=greeting), gives_details=details) as talk:
            begun = anyio.current_time()
            line = talk.connect()
            assert await line.complete(0) == says
            assert anyio.current_time() - begun == pytest.approx(after)

    run(main)


def test_a_plain_begin_message_waits_for_nothing() -> None:
    async def main() -> None:
        async with talking(application(echo), gives_details=False) as talk:
            begun = anyio.current_time()
            line = talk.connect()
            assert await line.complete(0) == "Hello."
            assert anyio.current_time() == begun

    run(main)


class Receptionist(llm.Agent):
    """Says all that happens to it."""

    made: ClassVar[list[Receptionist]] = []

    def __init__(self) -> None:
        self.log: list[Any] = []
        self.made.append(self)

    async def on_enter(self, turn: llm.Turn) -> Turns:
        assert turn.kind == "begin"
        assert turn.call is not None
        yield f"Hello {turn.call.agent_id}."

    async def on_turn(self, turn: llm.Turn) -> Turns:
        turn.session.state["turns"] = turn.session.state.get("turns", 0) + 1
        yield f"turn {turn.session.state['turns']}"

    async def on_reminder(self, turn: llm.Turn) -> Turns:
        yield "Are you there?"

    async def on_update(self, session: llm.Session, update: llm.Updated) -> None:
        self.log.append(update.message.turntaking)

    async def on_exit(self, session: llm.Session) -> None:
        self.log.append((session.ended, dict(session.state)))

    async def on_leave(self, session: llm.Session) -> None:
        self.log.append(f"left: {session.ended}")


def test_an_agent_that_is_a_class() -> None:
    Receptionist.made.clear()
    app = llm.App(secret=None)
    app.agent(Receptionist)

    async def main() -> None:
        async with talking(app) as talk:
            line = talk.connect()
            assert await line.complete(0) == "Hello agent_1."
            assert await line.answer(1, user("Hi")) == "turn 1"
            line.update(user("Hi"), turn="agent_turn")
            line.update(user("Hi"))
            assert await line.answer(2, user("Hi"), kind="reminder_required") == "Are you there?"
            await line.hang_up()
            other = talk.connect("call_2")
            await other.complete(0)
        first, second = Receptionist.made
        assert first.log == ["agent_turn", None, ("closed", {"turns": 1})]
        assert second.log == ["left: shutdown"]

    run(main)


# A newer request, an exception, a model that is too slow.


def test_a_newer_request_cancels_the_code_that_answers_the_older_one() -> None:
    log: list[Any] = []

    async def answer(turn: llm.Turn) -> Turns:
        try:
            yield "One. "
            await anyio.sleep(1)
            log.append(("said", turn.id))
            yield "Two."
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(5)  # which nobody waits for
            log.append(("cleaned up", turn.id))

    async def main() -> None:
        app = application(answer)
        async with talking(app) as talk:
            line = await talk.greeted()
            line.ask(1, user("a"))
            await anyio.sleep(0.5)
            begun = anyio.current_time()
            assert await line.answer(2, user("b")) == "One. Two."
            assert anyio.current_time() - begun == pytest.approx(6)
            assert line.text(1) == "One. "
            assert [answer.response_id for answer in line.of(Response)] == [0, 0, 1, 2, 2, 2]
            await anyio.sleep(10)
        assert log == [("said", 2), ("cleaned up", 1), ("cleaned up", 2)]
        assert app.stats.discarded == 2

    run(main)


def test_an_exception_ends_the_turn_with_a_sentence(caplog: pytest.LogCaptureFixture) -> None:
    async def answer(turn: llm.Turn) -> Turns:
        if turn.id > 1:
            yield "I think"
        raise ZeroDivisionError("of +14155550100")

    async def main() -> None:
        app = application(answer)
        async with talking(app) as talk:
            line = talk.connect()
            assert await line.answer(1, user("a")) == FAILURE
            assert await line.answer(2, user("b")) == f"I think {FAILURE}"
            assert [answer.content_complete for answer in line.responses(2)] == [False, True]
        assert app.stats.failed == 2

    run(main)
    assert "ZeroDivisionError" in caplog.text
    assert "4155550100" not in caplog.text


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ("", ""),
        ("Pardon?", "Pardon?"),
        (lambda turn: f"Pardon, {turn.kind}?", "Pardon, response?"),
        (lambda turn: turn.nothing, FAILURE),
        (lambda turn: None, FAILURE),
    ],
)
def test_the_sentence_can_be_chosen(message: Any, says: str) -> None:
    async def answer(turn: llm.Turn) -> str:
        raise ZeroDivisionError

    async def main() -> None:
        async with talking(application(answer, failure_message=message)) as talk:
            line = talk.connect()
            assert await line.answer(1, user("a")) == says

    run(main)


class Unwritten(Exception):
    def __str__(self) -> str:
        raise ValueError("of the error itself")


async def of_none(turn: llm.Turn) -> None: ...


def yields() -> Iterator[str]:
    yield "booked"


async def yields_late(slot: str) -> AsyncIterator[str]:
    yield slot


def raised(error: BaseException) -> Any:
    raise error


def cancel_itself() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()


MISTAKES: dict[str, Callable[[llm.Turn], Any]] = {
    "a timeout that is none": lambda turn: setattr(turn, "timeout", None),
    "a timeout that is text": lambda turn: setattr(turn, "timeout", "5"),
    "a decimal": lambda turn: turn.session.update_agent(responsiveness=cast("Any", Decimal("0.5"))),
    "true": lambda turn: turn.session.update_agent(reminder_max_count=True),
    "a tool's name": lambda turn: turn.tool_call(cast("Any", print), {}),
    "a tool's arguments": lambda turn: turn.tool_call("book", "at ten"),
    "a number in them": lambda turn: turn.tool_call("book", {"slot": float("nan")}),
    "a number in them as text": lambda turn: turn.tool_call("book", '{"slot": NaN}'),
    "a result's id": lambda turn: turn.tool_result(cast("Any", 5), "done"),
    "a result's success": lambda turn: turn.tool_result("tool_1", "done", successful=cast("Any", Decimal(1))),
    "metadata": lambda turn: turn.session.send_metadata({1, 2}),
    "an interruption": lambda turn: turn.session.interrupt(cast("Any", 5)),
    "an error that cannot be written": lambda turn: raised(Unwritten()),
    "something said that is no text": lambda turn: turn.say(cast("Any", 5)),
    "retry_on as a list": lambda turn: turn.once("a", lambda: raised(OSError()), retry_on=cast("Any", [OSError])),
    "retry_on as nothing": lambda turn: turn.once("a", lambda: raised(OSError()), retry_on=cast("Any", None)),
    "some other time": lambda turn: turn.once("a", lambda: None, when=cast("Any", "later")),
    "an effect's error that cannot be written": lambda turn: turn.once("a", lambda: raised(Unwritten())),
    "a side effect's key": lambda turn: turn.once(cast("Any", ("book", "ten")), lambda: None),
    "an effect with a yield": lambda turn: turn.once("a", yields),
    "an effect with a late yield": lambda turn: turn.once("a", partial(yields_late, "ten")),
    "an effect that gives what has a yield": lambda turn: turn.once("a", lambda: yields_late("ten")),
    "a state that is no dict": lambda turn: setattr(turn.session, "state", ["met"]),
    "its own task, cancelled": lambda turn: cancel_itself(),
    "the end of a generator": lambda turn: raised(GeneratorExit()),
    "the end of a generator in an effect": lambda turn: turn.once("a", lambda: raised(GeneratorExit())),
}


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("mistake", MISTAKES)
async def test_a_mistake_costs_a_turn_and_not_the_call(mistake: str) -> None:
    async def answer(turn: llm.Turn) -> Turns:
        if turn.id == 1:
            done = MISTAKES[mistake](turn)
            if done is not None and hasattr(done, "__await__"):
                await done
            await anyio.lowlevel.checkpoint()
        yield "Yes."

    app = application(answer)
    async with talking(app) as talk:
        line = talk.connect()
        line.ask(1, user("a"))
        assert await line.complete(1, 3) == FAILURE
        line.ask(2, user("a"))
        assert await line.complete(2, 3) == "Yes."
        assert not line.over.is_set()
    assert app.stats.failed == 1


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_hook_that_cancels_itself_costs_what_is_left_of_it(caplog: pytest.LogCaptureFixture) -> None:
    class Cancelling(Plain):
        async def on_exit(self, session: llm.Session) -> None:
            cancel_itself()
            await anyio.lowlevel.checkpoint()

    app = llm.App(secret=None)
    app.agent(Cancelling)
    async with talking(app) as talk:
        line = await talk.greeted()
        line.lose(1000)
        with anyio.fail_after(3):
            await line.over.wait()
    assert [record.getMessage().partition("\n")[0] for record in caplog.records] == ["call 'call_1': on_exit failed"]


@pytest.mark.parametrize("message", [5, of_none, None])
def test_a_failure_message_that_can_be_none(message: Any) -> None:
    with pytest.raises(ConfigurationError, match="failure_message must be a text, or a function"):
        application(echo, failure_message=message)


def test_a_begin_message_that_cannot_be_made() -> None:
    async def main() -> None:
        async with talking(application(echo, begin_message=lambda session: session.nothing)) as talk:
            line = talk.connect()
            assert await line.complete(0) == FAILURE

    run(main)


@pytest.mark.parametrize("after", [0, 1])
def test_a_model_that_is_too_slow_ends_the_turn_with_a_sentence(after: int) -> None:
    log: list[str] = []

    async def answer(turn: llm.Turn) -> Turns:
        try:
            for _ in range(after):
                await anyio.sleep(9)
                yield "Well. "
            await anyio.sleep(11)
            yield "Never."
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(100)  # which the caller does not wait for
            log.append("cleaned up")

    async def main() -> None:
        app = application(answer)
        async with talking(app) as talk:
            line = talk.connect()
            begun = anyio.current_time()
            assert await line.answer(1, user("a")) == "Well. " * after + FAILURE
            assert anyio.current_time() - begun == pytest.approx(10 + 9 * after)
            await anyio.sleep(101)
            assert log == ["cleaned up"]
        assert app.stats.timed_out == 1

    run(main)


def test_an_answer_that_comes_at_the_last_moment_is_complete_once() -> None:
    async def answer(turn: llm.Turn) -> Turns:
        await anyio.sleep(10)
        if turn.id == 1:
            yield "Yes."

    async def main() -> None:
        app = application(answer)
        async with talking(app) as talk:
            said: list[str] = []
            for which in range(30):
                line = talk.connect(f"call_{which}")
                line.ask(1 + which % 2, user("a"))
                said.append(await line.complete(1 + which % 2))
                await anyio.sleep(1)
            assert set(said) <= {"Yes.", FAILURE, f"Yes. {FAILURE}"}
            assert app.stats.timed_out + app.stats.failed == sum(FAILURE in text for text in said)

    run(main)


def test_a_turn_can_ask_for_more_time() -> None:
    async def answer(turn: llm.Turn) -> Turns:
        turn.timeout = 60
        yield "One moment. "
        await anyio.sleep(50)
        yield "Done."

    async def main() -> None:
        async with talking(application(answer)) as talk:
            line = talk.connect()
            assert await line.answer(1, user("a")) == "One moment. Done."

    run(main)


def test_a_cancellation_that_is_not_ours_is_a_failure() -> None:
    async def answer(turn: llm.Turn) -> Turns:
        if turn.id == 1:
            cancelled = asyncio.get_running_loop().create_future()
            cancelled.cancel()
            await cancelled
        yield "Fine."

    async def main() -> None:
        async with talking(application(answer)) as talk:
            line = talk.connect()
            assert await line.answer(1, user("a")) == FAILURE
            assert await line.answer(2, user("a")) == "Fine."

    anyio.run(main)


# Fillers, silent pickup, goodbye.


@pytest.mark.parametrize(
    ("slow", "transcript", "kind", "says"),
    [
        (2.0, [agent("Hello."), user("a")], "response_required", "Let me see. Yes."),
        (0.5, [agent("Hello."), user("a")], "response_required", "Yes."),
        (2.0, [user("You have reached")], "response_required", "Yes."),
        (2.0, [agent("Hello.")], "reminder_required", "Yes."),
    ],
)
def test_a_filler_is_said_when_the_model_is_slow_and_never_at_the_start(slow: float, transcript: list[Any], kind: str, says: str) -> None:
    async def answer(turn: llm.Turn) -> Turns:
        await anyio.sleep(slow)
        yield "Yes."

    async def main() -> None:
        app = application(answer, filler="Let me see.")
        async with talking(app) as talk:
            line = talk.connect()
            assert await line.answer(1, *transcript, kind=kind) == says
        assert app.stats.fillers == (says != "Yes.")

    run(main)


@pytest.mark.parametrize("timeout", [10.0, math.inf])
@pytest.mark.parametrize("filler", ["Let me see.", None])
def test_a_timeout_that_is_lowered_while_it_waits_counts(timeout: float, filler: str | None) -> None:
    async def answer(turn: llm.Turn) -> Turns:
        await anyio.sleep(0.1)
        turn.timeout = 5
        await anyio.sleep(0.1)
        turn.timeout = 2
        await anyio.sleep(1.5)
        turn.timeout = 3
        await anyio.sleep_forever()
        yield "never"

    async def main() -> None:
        async with talking(application(answer, timeout=timeout, filler=filler)) as talk:
            line = await talk.greeted()
            begun = anyio.current_time()
            line.ask(1, agent("Hello."), user("a"))
            assert await line.complete(1) == (f"{filler} {FAILURE}" if filler else FAILURE)
            assert line.times[-1] - begun == pytest.approx(3)
            assert not filler or line.times[-2] - begun == pytest.approx(1)

    run(main)


async def blank(seconds: float) -> Turns:
    while True:
        yield "\n"
        await anyio.sleep(seconds)


def test_white_space_is_no_word_of_an_answer_and_ends_no_wait_for_one() -> None:
    app = application(lambda turn: blank(0.5), timeout=2, filler="Let me see.", filler_after=1.2)

    async def main() -> None:
        async with talking(app) as talk:
            line = await talk.greeted()
            begun = anyio.current_time()
            line.ask(1, agent("Hello."), user("a"))
            assert (await line.complete(1)).split() == ["Let", "me", "see.", *FAILURE.split()]
            assert line.times[-1] - begun == pytest.approx(2)

    run(main)
    assert (app.stats.timed_out, app.stats.fillers) == (1, 1)


def test_white_space_is_no_word_of_an_interruption() -> None:
    app = application(echo, timeout=2)

    async def main() -> None:
        async with talking(app) as talk:
            line = await talk.greeted()
            begun = anyio.current_time()
            app.sessions["call_1"].interrupt(blank(0.5))
            last = await line.until(lambda answer: isinstance(answer, AgentInterrupt) and answer.content_complete)
            assert isinstance(last, AgentInterrupt)
            assert last.content == FAILURE
            assert line.times[-1] - begun == pytest.approx(2)

    run(main)


def test_fillers_take_turns() -> None:
    async def answer(turn: llm.Turn) -> Turns:
        await anyio.sleep(2)
        yield "Yes."

    async def main() -> None:
        async with talking(application(answer, filler=["Let me see.", "Hm."], filler_after=0.7)) as talk:
            line = talk.connect()
            said = []
            for id in (1, 2, 3):
                line.ask(id, agent("Hello."), user("a"))
                said.append(await line.complete(id))
        assert said == ["Let me see. Yes.", "Hm. Yes.", "Let me see. Yes."]

    run(main)


@pytest.mark.parametrize("speaks", ["nobody", "user", "turn", "request"])
def test_when_both_sides_wait_the_agent_speaks(speaks: str) -> None:
    async def main() -> None:
        app = application(echo, begin_message=None, silent_pickup=llm.SilentPickup(4, "Anybody there?"))
        async with talking(app) as talk:
            line = talk.connect()
            await anyio.sleep(3)
            if speaks == "user":
                line.update(user("Hm"))
            elif speaks == "turn":
                line.update(turn="user_turn")
            elif speaks == "request":
                line.ask(1, user("Hm"))
            await anyio.sleep(3)
            said = [(answer.content, answer.content_complete) for answer in line.of(AgentInterrupt)]
            assert said == ([("Anybody there?", True)] if speaks == "nobody" else [])

    run(main)


async def leave(turn: llm.Turn) -> Turns:
    if turn.said == "bye":
        turn.goodbye()
    yield "Goodbye." if turn.said != "hello" else "Hello."


@pytest.mark.parametrize("pattern", [None, r"\bgoodbye\b"])
def test_silence_after_a_goodbye_ends_the_call(pattern: str | None) -> None:
    async def main() -> None:
        async with talking(application(leave, goodbye_pattern=pattern)) as talk:
            line = talk.connect()
            await line.answer(1, user("bye" if pattern is None else "so long"))
            await anyio.sleep(0.1)
            assert [update.agent_config.to_dict() for update in line.of(UpdateAgent)] == [
                {"reminder_trigger_ms": 4000, "reminder_max_count": 100}
            ]
            await line.answer(2, user("bye"), kind="reminder_required")
            assert [answer.to_dict() for answer in line.responses(2)] == [
                {"response_type": "response", "response_id": 2, "content": "", "content_complete": True, "end_call": True}
            ]

    run(main)


def test_after_a_goodbye_the_reminders_are_those_that_the_agent_is_said_to_have() -> None:
    async def main() -> None:
        async with talking(application(leave, reminder_trigger_ms=6000, reminder_max_count=0)) as talk:
            line = talk.connect()
            await line.answer(1, user("bye"))
            await line.answer(2, user("hello"))
            assert line.of(UpdateAgent)[-1].agent_config.to_dict() == {"reminder_trigger_ms": 6000, "reminder_max_count": 0}

    run(main)


def test_a_user_who_speaks_after_a_goodbye_goes_on() -> None:
    async def main() -> None:
        async with talking(application(leave)) as talk:
            line = await talk.greeted()
            (session,) = talk.app.sessions.values()
            session.update_agent(reminder_max_count=3)
            await line.answer(1, user("bye"))
            assert await line.answer(2, user("hello")) == "Hello."
            assert [update.agent_config.to_dict() for update in line.of(UpdateAgent)] == [
                {"reminder_max_count": 3},
                {"reminder_trigger_ms": 4000, "reminder_max_count": 100},
                {"reminder_trigger_ms": 10_000, "reminder_max_count": 3},
            ]
            assert await line.answer(3, user("hello"), kind="reminder_required") == "Hello."

    run(main)


# What a turn and a session can do.


@pytest.mark.parametrize(
    ("act", "fields"),
    [
        (lambda turn: turn.end_call(), {"end_call": True}),
        (lambda turn: turn.transfer("+14155550100"), {"transfer_number": "+14155550100"}),
        (
            lambda turn: turn.transfer("+14155550100", show_transferee_as_caller=True),
            {"transfer_number": "+14155550100", "show_transferee_as_caller": True},
        ),
        (lambda turn: turn.press("1#"), {"digit_to_press": "1#"}),
    ],
)
def test_actions_go_with_the_end_of_the_turn(act: Callable[[llm.Turn], None], fields: dict[str, Any]) -> None:
    async def answer(turn: llm.Turn) -> Turns:
        act(turn)
        act(turn)
        with pytest.raises(ValueError, match="action already"):
            turn.press("5")
        yield "So long."

    async def main() -> None:
        async with talking(application(answer)) as talk:
            line = talk.connect()
            assert await line.answer(1, user("a")) == "So long."
            *before, last = [answer.to_dict() for answer in line.responses(1)]
            assert last == {"response_type": "response", "response_id": 1, "content": "", "content_complete": True, **fields}
            assert not any(name in frame for name in fields for frame in before)

    run(main)


def test_an_action_of_a_turn_that_fails_is_not_carried_out() -> None:
    async def answer(turn: llm.Turn) -> Turns:
        turn.end_call()
        yield "Good"
        raise ZeroDivisionError

    async def main() -> None:
        async with talking(application(answer)) as talk:
            line = talk.connect()
            await line.answer(1, user("a"))
            assert not any(answer.end_call for answer in line.responses(1))

    run(main)


def test_what_cannot_be_interrupted() -> None:
    async def answer(turn: llm.Turn) -> Turns:
        yield "Listen. "
        turn.uninterruptible = True
        yield "This call is recorded."

    async def main() -> None:
        async with talking(application(answer)) as talk:
            line = talk.connect()
            await line.answer(1, user("a"))
            assert [answer.no_interruption_allowed for answer in line.responses(1)] == [None, True, None]

    run(main)


def test_an_interruption_cancels_the_turn_and_is_said() -> None:
    async def main() -> None:
        app = application(echo)

        async with talking(app) as talk:
            line = await talk.greeted()
            (session,) = app.sessions.values()

            async def stream() -> AsyncIterator[str | None]:
                yield "One "
                yield None
                yield "moment."

            session.interrupt("Stop.")
            await line.until(lambda answer: isinstance(answer, AgentInterrupt) and answer.content_complete)
            session.interrupt(stream(), uninterruptible=False, end_call=True)
            await line.until(lambda answer: isinstance(answer, AgentInterrupt) and answer.end_call is True)
            assert [answer.to_dict() for answer in line.of(AgentInterrupt)] == [
                {
                    "response_type": "agent_interrupt",
                    "interrupt_id": 1,
                    "content": "Stop.",
                    "content_complete": True,
                    "no_interruption_allowed": True,
                },
                {"response_type": "agent_interrupt", "interrupt_id": 2, "content": "One ", "content_complete": False},
                {"response_type": "agent_interrupt", "interrupt_id": 2, "content": "moment.", "content_complete": False},
                {"response_type": "agent_interrupt", "interrupt_id": 2, "content": "", "content_complete": True, "end_call": True},
            ]
            with pytest.raises(ValueError, match="exclude each other"):
                session.interrupt("Stop.", end_call=True, digit_to_press="1")

    run(main)


def test_a_turn_that_interrupts_itself_is_over() -> None:
    async def answer(turn: llm.Turn) -> Turns:
        yield "Well, "
        turn.session.interrupt("The building is on fire.")
        yield "never"
        yield "said"

    async def main() -> None:
        async with talking(application(answer)) as talk:
            line = talk.connect()
            line.ask(1, user("a"))
            await line.until(lambda answer: isinstance(answer, AgentInterrupt))
            await anyio.sleep(1)
            assert "never" not in line.text(1)
            assert not any(answer.content_complete for answer in line.responses(1))

    run(main)


async def failing() -> AsyncIterator[str]:
    yield "One "
    raise ZeroDivisionError


async def hanging() -> AsyncIterator[str]:
    yield "One "
    await anyio.sleep_forever()


async def saying_nothing() -> AsyncIterator[str]:
    yield ""


@pytest.mark.parametrize(("stream", "says"), [(failing, f"One {FAILURE}"), (hanging, f"One {FAILURE}"), (saying_nothing, FAILURE)])
def test_an_interruption_that_fails_ends_with_the_sentence(stream: Any, says: str) -> None:
    async def main() -> None:
        async with talking(application(echo, failure_message=lambda turn: turn.id)) as talk:
            line = await talk.greeted()
            (session,) = talk.app.sessions.values()
            session.interrupt(stream())
            await line.until(lambda answer: isinstance(answer, AgentInterrupt) and answer.content_complete)
            assert "".join(answer.content for answer in line.of(AgentInterrupt)) == says
        assert talk.app.stats.failed == 1

    run(main)


def test_what_a_task_of_ones_own_does_after_the_call() -> None:
    kept: list[llm.Turn] = []

    async def answer(turn: llm.Turn) -> Turns:
        kept.append(turn)
        yield str(await turn.once("known", lambda: 5))

    async def stream() -> Turns:
        yield "Stop."

    async def main() -> None:
        app = application(answer)
        async with app.lifespan(), talking(app) as talk:
            line = talk.connect()
            assert await line.answer(1, user("a")) == "5"
            await line.hang_up()
            await anyio.sleep(1)
            (turn,) = kept
            session = turn.session
            assert session.over
            session.interrupt("Stop.")
            session.interrupt(stream())
            session.update_agent(responsiveness=0.5)
            session.send_metadata({"a": 1})
            session.tool_result(session.tool_call("book", {}), "booked")
            assert await turn.once("known", lambda: 6) == 5
            for _ in range(2):
                with pytest.raises(RuntimeError, match="the call is over"):
                    await turn.once("book", lambda: 5)
            assert not line.of(AgentInterrupt)

    run(main)


def test_a_newer_request_stops_an_interruption() -> None:
    closed: list[float] = []

    async def stream() -> AsyncIterator[str]:
        try:
            while True:
                yield "word "
                await anyio.sleep(0.5)
        finally:
            closed.append(anyio.current_time())

    async def main() -> None:
        async with talking(application(echo)) as talk:
            line = await talk.greeted()
            (session,) = talk.app.sessions.values()
            session.interrupt(stream())
            await anyio.sleep(1.2)
            begun = anyio.current_time()
            assert await line.answer(1, user("a")) == "1: a"
            await anyio.sleep(5)
            assert closed == [begun]
            assert len(line.of(AgentInterrupt)) == 3

    run(main)


def test_an_interruption_that_fails_carries_out_no_action() -> None:
    async def stream() -> AsyncIterator[str]:
        yield "One "
        raise ZeroDivisionError

    async def main() -> None:
        async with talking(application(echo)) as talk:
            line = await talk.greeted()
            (session,) = talk.app.sessions.values()
            session.interrupt(stream(), end_call=True)
            await line.until(lambda answer: isinstance(answer, AgentInterrupt) and answer.content_complete)
            assert not any(answer.end_call for answer in line.of(AgentInterrupt))

    run(main)


def test_the_agent_is_changed_metadata_sent_and_tool_calls_noted() -> None:
    async def answer(turn: llm.Turn) -> Turns:
        session = turn.session
        session.update_agent(responsiveness=0.4, interruption_sensitivity=1, reminder_trigger_ms=8000, reminder_max_count=0)
        session.send_metadata({"mood": "happy"})
        id = turn.tool_call("lookup", {"id": 7})
        yield "One moment. "
        turn.tool_result(id, {"ok": True}, successful=True)
        turn.tool_result(turn.tool_call("lookup", '{"id": 8}'), "nothing")

    async def main() -> None:
        async with talking(application(answer)) as talk:
            line = talk.connect()
            await line.answer(1, user("a"))
            assert line.of(UpdateAgent)[0].agent_config.to_dict() == {
                "responsiveness": 0.4,
                "interruption_sensitivity": 1,
                "reminder_trigger_ms": 8000,
                "reminder_max_count": 0,
            }
            assert line.of(Metadata)[0].metadata == {"mood": "happy"}
            calls, results = line.of(ToolCallInvocation), line.of(ToolCallResult)
            assert [(call.name, call.arguments) for call in calls] == [("lookup", '{"id": 7}'), ("lookup", '{"id": 8}')]
            assert [(result.content, result.successful) for result in results] == [('{"ok": true}', True), ("nothing", None)]
            assert [call.tool_call_id for call in calls] == [result.tool_call_id for result in results]
            assert len({call.tool_call_id for call in calls}) == 2

    run(main)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"responsiveness": 1.1},
        {"interruption_sensitivity": -0.1},
        {"reminder_trigger_ms": 0},
        {"reminder_trigger_ms": float("inf")},
        {"reminder_max_count": -1},
        {"reminder_max_count": 1.5},
        {"reminder_max_count": float("inf")},
        {"reminder_max_count": float("nan")},
    ],
)
def test_values_that_an_agent_cannot_have(wrong: dict[str, Any]) -> None:
    async def main() -> None:
        async with talking(application(echo)) as talk:
            line = await talk.greeted()
            (session,) = talk.app.sessions.values()
            with pytest.raises(ValueError, match=r"must be|changes nothing"):
                session.update_agent(**wrong)
            await anyio.sleep(1)
            assert not line.of(UpdateAgent)

    run(main)


# What an agent may be.


class Words:
    """An async iterator that cannot be closed."""

    def __init__(self, *words: Any) -> None:
        self._words = list(words)

    def __aiter__(self) -> Words:
        return self

    async def __anext__(self) -> Any:
        if not self._words:
            raise StopAsyncIteration
        return self._words.pop(0)


async def a_text(turn: llm.Turn) -> str:
    return "Yes."


async def an_iterator(turn: llm.Turn) -> Words:
    return Words("Ye", None, "", "s.")


async def nothing(turn: llm.Turn) -> None: ...


async def silent(turn: llm.Turn) -> None:
    turn.may_be_silent = True


class Called:
    async def __call__(self, turn: llm.Turn) -> Turns:
        yield "Yes."


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (a_text, "Yes."),
        (an_iterator, "Yes."),
        (lambda turn: Words("Yes."), "Yes."),
        (lambda turn: "Yes.", "Yes."),
        (nothing, FAILURE),
        (lambda turn: Words(None, " "), f" {FAILURE}"),
        (silent, ""),
        (Called(), "Yes."),
        (lambda turn: ["Yes."], FAILURE),
        (lambda turn: Words("Yes. ", 5), f"Yes. {FAILURE}"),
    ],
)
def test_what_a_function_may_give(function: Any, says: str) -> None:
    async def main() -> None:
        async with talking(application(function)) as talk:
            line = talk.connect()
            assert await line.answer(1, user("a")) == says

    run(main)


class NoAgent:
    pass


class Plain(llm.Agent):
    async def on_turn(self, turn: llm.Turn) -> Turns:
        yield "Yes."


class Booking(Plain):
    """One that needs something."""

    def __init__(self, database: str) -> None:
        self.database = database

    async def on_turn(self, turn: llm.Turn) -> Turns:
        yield f"{self.database} {id(self)}"


class Mute(llm.Agent):
    pass


class Half(Plain):
    def on_reminder(self, turn: llm.Turn) -> Any:
        yield "Still there?"


class Talking(Plain):
    async def on_exit(self, session: llm.Session) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        yield "Goodbye."


class Deaf(llm.Agent):
    async def on_turn(self) -> Any:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        yield "Yes."


class Leaving(Plain):
    async def on_exit(self) -> None:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        pass


class Updating(Plain):
    @staticmethod
    async def on_update(session: llm.Session) -> None:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        pass


class Abstract(Plain, abc.ABC):
    @abc.abstractmethod
    def slots(self) -> list[str]: ...


def a_generator(turn: llm.Turn) -> Any:
    yield "Yes."


async def of_nothing() -> Turns:
    yield "Yes."


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (5, "neither"),
        (NoAgent, "no llm.Agent"),
        (of_nothing, "one argument, the turn"),
        (lambda turn, more: "Yes.", "one argument, the turn"),
        (Plain(), "which all calls would share"),
        (Booking, r"Booking needs arguments.*`lambda: Booking"),
        (functools.partial(Booking, more="x"), "Booking needs arguments"),  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
        (Mute, "Mute has no on_turn"),
        (functools.partial(Mute), "Mute has no on_turn"),  # type: ignore[abstract]
        (Half, "Half.on_reminder is a generator, and must be an async one"),
        (a_generator, "is a generator, and must be an async one"),
        (functools.partial(a_generator), "is a generator, and must be an async one"),
        (Talking, "Talking.on_exit says nothing"),
        (Abstract, "Abstract is abstract"),
        (Deaf, "Deaf.on_turn must take turn"),
        (Leaving, "Leaving.on_exit must take session"),
        (Updating, "Updating.on_update must take session and update"),
    ],
)
def test_what_is_no_agent(wrong: Any, says: str) -> None:
    with pytest.raises(TypeError, match=says):
        llm.App(secret=None).agent(wrong)


class Methods(llm.Agent):
    """Of every kind."""

    @staticmethod
    async def on_turn(turn: llm.Turn) -> Turns:  # noqa: ARG004  # pyright: ignore[reportIncompatibleMethodOverride]
        yield "Yes."

    @classmethod
    async def on_exit(cls, session: llm.Session, *more: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        pass

    async def _on_reminder(self, more: str, turn: llm.Turn) -> Turns:
        yield more

    on_reminder = functools.partialmethod(_on_reminder, "Yes.")  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]
    on_leave = functools.wraps(llm.Agent.on_leave)(lambda *given: None)  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]


def test_methods_of_every_kind() -> None:
    app = llm.App(secret=None)
    app.agent(Methods)

    async def main() -> None:
        async with talking(app) as talk:
            line = talk.connect()
            assert await line.answer(1, user("a")) == "Yes."
            assert await line.answer(2, user("a"), kind="reminder_required") == "Yes."
            await line.hang_up()

    run(main)


@pytest.mark.parametrize("agent", [functools.partial(Booking, "db"), lambda: Booking("db")])
def test_each_call_has_an_agent_of_its_own(agent: Any) -> None:
    app = llm.App(secret=None)
    app.agent(agent)

    async def main() -> None:
        async with talking(app) as talk:
            lines = [talk.connect(f"call_{which}") for which in (1, 2)]
            for line in lines:
                line.ask(1, user("a"))
            said = {await line.complete(1) for line in lines}
            assert len(said) == 2
            assert all(text.startswith("db ") for text in said)

    run(main)


@pytest.mark.parametrize("kind", [NoAgent, Mute, Abstract, Receptionist])
def test_an_agent_that_cannot_be_made_is_said_and_not_tried_five_times(kind: Any, caplog: pytest.LogCaptureFixture) -> None:
    def make() -> Any:
        return kind()

    app = llm.App(secret=None, begin_message="Hello.")  # beside which Receptionist has an on_enter
    app.agent(make)

    async def main() -> None:
        async with talking(app) as talk:
            line = talk.connect()
            await line.over.wait()
            assert line.closed_with == 1011
        assert not app.sessions

    run(main)
    assert "no agent could be made for it" in caplog.text


def test_a_begin_message_is_given_by_a_class_too_and_not_twice() -> None:
    async def main() -> None:
        app = llm.App(secret=None, begin_message="Hello.")
        app.agent(Plain)
        async with talking(app) as talk:
            assert await talk.connect().complete(0) == "Hello."

    run(main)
    with pytest.raises(ConfigurationError, match="Receptionist has an on_enter and the application a begin_message"):
        llm.App(secret=None, begin_message="Hello.").agent(Receptionist)


def test_hooks_need_not_be_async(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[Any] = []

    class Listening(Plain):
        def on_exit(self, session: llm.Session) -> Any:
            seen.append(session.ended)

    app = llm.App(secret=None)
    app.agent(Listening)

    async def main() -> None:
        async with talking(app) as talk:
            line = await talk.greeted()
            await line.hang_up()

    run(main)
    assert seen == ["closed"]
    assert not caplog.records


def test_there_is_one_agent() -> None:
    app = application(echo)
    with pytest.raises(ConfigurationError, match="already"):
        app.agent(echo)

    async def main() -> None:
        with pytest.raises(ConfigurationError, match=r"@app\.agent"):
            await llm.App(secret=None).lead("call_1", Line(Talk(app, None)))
        with pytest.raises(ConfigurationError, match=r"@app\.agent"):
            llm.App(secret=None).open(llm.Opening(path="/call_1", query="", peer=None, forwarded_for=None))

    run(main)


# Updates.


def test_updates_come_in_order_and_what_they_raise_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []

    class Listening(llm.Agent):
        on_turn = staticmethod(echo)  # pyright: ignore[reportAssignmentType]

        async def on_update(self, session: llm.Session, update: llm.Updated) -> None:
            await anyio.sleep(1)
            seen.append(session.transcript[-1].content)
            if len(seen) == 1:
                raise ZeroDivisionError

    app = llm.App(secret=None)
    app.agent(Listening)

    async def main() -> None:
        async with talking(app) as talk:
            line = talk.connect()
            for content in ("a", "b"):
                line.update(user(content))
                await anyio.sleep(3)
            assert await line.answer(1, user("c")) == "1: c"
        assert seen == ["a", "b"]

    run(main)
    assert "on_update failed" in caplog.text


def test_a_message_of_a_new_kind_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)

    async def main() -> None:
        app = application(echo)
        async with talking(app) as talk:
            line = talk.connect()
            for _ in range(3):
                line.tell({"interaction_type": "brand_new"})
                line.tell("{")
                line.tell(b"{}")
            line.ask(2, user("a"))
            line.ask(1, user("a"))
            assert await line.complete(2) == "2: a"
        assert app.stats.ignored == 7

    run(main)
    messages = [record.getMessage() for record in caplog.records]
    assert [message.partition(": ")[2] for message in messages] == [
        "a message that this version does not know: 'brand_new' (logged once)",
        "ignored: the frame is not JSON (logged once)",
        "ignored: a binary frame (logged once)",
        "ignored: a response_id that is lower than the one before (logged once)",
    ]
