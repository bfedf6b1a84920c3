"""Side effects: at most once a call, whatever is cancelled, asked again, reconnected or connected to another process."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
import traceback
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, date, datetime
from functools import partial
from typing import Any, ClassVar, cast
from uuid import UUID

import anyio
import attrs
import pytest

from retell_async import ConfigurationError, llm
from retell_async.llm.effects import Effect
from retell_async.llm.messages import Response, UpdateAgent
from retell_async.llm.monitor import MonitorError

from .talk import Line, Talk, agent, run, talking, user
from .test_session import FAILURE, application

Turns = AsyncIterator[str]


class Bookings:
    """Something that takes a second and must not happen twice."""

    def __init__(self, *, fails: Exception | None = None) -> None:
        self.begun: list[str] = []
        self.done: list[str] = []
        self.fails = fails

    async def book(self, slot: str) -> dict[str, str]:
        self.begun.append(slot)
        await anyio.sleep(1)
        if self.fails is not None:
            raise self.fails
        self.done.append(slot)
        return {"slot": slot}


def booking(bookings: Bookings, **how: Any) -> Callable[[llm.Turn], Turns]:
    async def answer(turn: llm.Turn) -> Turns:
        yield "One moment. "
        result = await turn.once("book", lambda: bookings.book(turn.said), **how)
        yield f"Booked {result['slot']}."

    return answer


def untold(turn: llm.Turn) -> list[tuple[Any, ...]]:
    return [(effect.key, effect.turn_id, effect.done, effect.result) for effect in turn.effects]


def test_a_cancelled_turn_books_and_the_next_one_is_told() -> None:
    bookings = Bookings()
    told: list[Any] = []

    async def answer(turn: llm.Turn) -> Turns:
        told.append(untold(turn))
        async for text in booking(bookings)(turn):
            yield text

    async def main() -> None:
        async with talking(application(answer)) as talk:
            line = await talk.greeted()
            line.ask(1, user("ten"))
            await anyio.sleep(0.5)
            line.ask(2, user("eleven"))  # while it goes on
            await anyio.sleep(0.2)
            assert await line.answer(3, user("twelve")) == "One moment. Booked ten."
            assert line.text(1) == "One moment. "
            assert await line.answer(4, user("one")) == "One moment. Booked ten."
            line.update(user("one"), turn="agent_turn")
            line.ask(5, user("one"), agent("One moment. Booked ten."), user("two"))  # has heard of it
            assert await line.complete(5) == "One moment. Booked ten."

    run(main)
    assert bookings.begun == bookings.done == ["ten"]
    assert told == [
        [],
        [("book", 1, False, None)],
        [("book", 1, False, None)],
        [("book", 1, True, {"slot": "ten"})],
        [],
    ]


@pytest.mark.parametrize("in_cleanup", [False, True])
def test_a_turn_that_was_cancelled_begins_nothing_and_is_given_what_is_known(in_cleanup: bool, caplog: pytest.LogCaptureFixture) -> None:
    bookings = Bookings()
    given: list[object] = []

    async def answer(turn: llm.Turn) -> Turns:
        async def act() -> None:
            given.append(await turn.once("known", lambda: "as before"))
            await turn.once("book", lambda: bookings.book(turn.said))

        if turn.id == 2:
            with anyio.CancelScope(shield=True):  # as a thread is
                await anyio.sleep(2)
                if in_cleanup:
                    await act()
            await turn.once("book", lambda: bookings.book(turn.said))
        yield str(await turn.once("known", lambda: turn.id))

    async def main() -> None:
        async with talking(application(answer)) as talk:
            line = await talk.greeted()
            assert await line.answer(1, user("hello")) == "1"
            line.ask(2, user("ten"))
            await anyio.sleep(1)
            assert await line.answer(3, user("no, cancel that")) == "1"
            await anyio.sleep(3)

    with caplog.at_level("INFO", "retell_async.llm"):
        run(main)
    assert bookings.begun == []
    assert given == ([1] if in_cleanup else [])
    assert ("this turn is over: nothing is begun" in caplog.text) == in_cleanup


def test_a_side_effect_of_a_turn_that_is_cancelled_meanwhile_begins_all_that_belongs_to_it() -> None:
    bookings = Bookings()

    async def answer(turn: llm.Turn) -> Turns:
        async def book() -> None:
            await bookings.book("ten")
            await turn.once("confirm", lambda: bookings.book("confirmed"))

        if turn.id == 1:
            await turn.once("book", book)
        yield "Yes."

    async def main() -> None:
        async with talking(application(answer)) as talk:
            line = await talk.greeted()
            line.ask(1, user("ten"))
            await anyio.sleep(0.5)
            await line.answer(2, user("eleven"))
            await anyio.sleep(3)

    run(main)
    assert bookings.done == ["ten", "confirmed"]


BOOKED = "One moment. Booked ten."
HEARD: list[tuple[list[str], bool]] = [
    (["One", "moment."], True),
    (["One", "moment.", "Booked"], True),
    (["One", "moment.", "Booked", "ten."], False),
]


@pytest.mark.parametrize("filler", [None, "Well,"])
@pytest.mark.parametrize(("words", "told"), HEARD)
def test_what_a_turn_did_is_told_until_one_that_tells_of_it_is_heard_to_its_end(words: list[str], told: bool, filler: str | None) -> None:
    keys: list[list[str]] = []

    async def answer(turn: llm.Turn) -> Turns:
        keys.append([effect.key for effect in turn.effects])
        if turn.id == 1 and filler:
            await anyio.sleep(2)
        if turn.id == 1:
            yield "One moment. "
            await turn.once("book", lambda: "ten")
            yield "Booked ten."
        else:
            yield "Anything else?"

    async def main() -> None:
        async with talking(application(answer, filler=filler, filler_after=1)) as talk:
            line = await talk.greeted()
            said = [agent("Hello"), user("ten")]
            spoken = await line.answer(1, *said)
            assert spoken == (f"{filler} {BOOKED}" if filler else BOOKED)
            line.update(*said, turn="agent_turn")
            line.update(*said, agent(spoken))  # is yet to be spoken
            heard = [*([filler] if filler else []), *words]
            cut = {**agent(spoken), "words": [{"word": word, "start": at, "end": at + 1} for at, word in enumerate(heard)]}
            said += [cut, user("ten sharp")]
            await line.answer(2, *said)
            line.update(*said, turn="agent_turn")
            await line.answer(3, *said, agent("Anything else?"), user("no"))

    run(main)
    assert keys == [[], ["book"] if told else [], []]


@pytest.mark.parametrize("how", ["raises", "takes too long", "while it goes on"])
def test_what_a_turn_did_that_failed_is_told_however_much_of_it_was_heard(how: str) -> None:
    keys: list[list[str]] = []

    async def answer(turn: llm.Turn) -> Turns:
        keys.append([effect.key for effect in turn.effects])
        yield "One moment. "
        if turn.id == 1:
            await turn.once("book", lambda: anyio.sleep(20 if how == "while it goes on" else 0))
            if how == "takes too long":
                await anyio.sleep_forever()
            raise RuntimeError

    async def main() -> None:
        async with talking(application(answer)) as talk:
            line = await talk.greeted()
            said = [user("ten")]
            for id, more in ((1, "at ten"), (2, "thanks"), (3, "bye")):
                spoken = await line.answer(id, *said)
                line.update(*said, turn="agent_turn")
                said += [agent(spoken), user(more)]
            await line.answer(4, *said)

    run(main)
    # The second turn did not know how it ended where it went on, and nor did the third.
    assert keys == [[], ["book"], ["book"] if how == "while it goes on" else [], ["book"] if how == "while it goes on" else []]


def test_a_reconnection_in_the_middle() -> None:
    bookings = Bookings()

    async def main() -> None:
        async with talking(application(booking(bookings))) as talk:
            line = await talk.greeted()
            line.ask(1, user("ten"))
            await anyio.sleep(0.5)
            line.lose(1006)
            await anyio.sleep(3)
            line = talk.connect()
            assert await line.answer(1, user("ten")) == "One moment. Booked ten."

    run(main)
    assert bookings.begun == ["ten"]


def test_an_effect_under_way_when_the_call_ends_runs_to_its_end() -> None:
    bookings = Bookings()

    async def main() -> None:
        async with talking(application(booking(bookings))) as talk:
            line = await talk.greeted()
            line.ask(1, user("ten"))
            await anyio.sleep(0.5)
            await line.hang_up()

    run(main)
    assert bookings.done == ["ten"]


def test_an_effect_that_does_not_end_is_cut_off_and_unknown(caplog: pytest.LogCaptureFixture) -> None:
    async def forever() -> None:
        await anyio.sleep_forever()

    store = llm.MemoryStore()

    async def answer(turn: llm.Turn) -> Turns:
        try:
            await turn.once("book", forever)
        except llm.SideEffectUnknownError as error:
            yield str(error)

    async def main() -> None:
        async with talking(application(answer, store=store, finish_within=5)) as talk:
            line = await talk.greeted()
            line.ask(1, user("ten"))
            await anyio.sleep(0.5)
            begun = anyio.current_time()
            await line.hang_up()
            assert anyio.current_time() - begun == pytest.approx(5)
            line = talk.connect()  # Retell calls again, perhaps another process
            assert await line.answer(1, user("ten")) == "'book' was begun and may have happened or not"

    run(main)
    assert "may have happened or not" in caplog.text


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ('pay({"card": "4111111111111111", "name": "Ann Smith", "phone": "+14155550123"})', "'pay(#9212c0)'"),
        ("pay:+14155550123 key_0123456789abcdef0123456789", "'pay:+141******23 ***'"),
        ("pay:(415) 555-0123", "'pay:(415********23'"),
        ("book:2026-11-25T10:00", "'book:2026-11-25T10:00'"),
    ],
)
@pytest.mark.parametrize("way", ["cut off", "the store is down", "the store is slow", "no JSON", "waits for itself"])
def test_what_a_caller_said_is_in_no_log_as_the_key_of_a_side_effect(
    key: str, shown: str, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Store(llm.MemoryStore):
        async def finish(self, call_id: str, key: str, outcome: llm.Outcome | None) -> None:
            if way == "the store is down":
                raise KeyError((call_id, key))
            if way == "the store is slow":
                await anyio.sleep_forever()
            if outcome is not None:
                json.dumps(outcome.result)

    async def answer(turn: llm.Turn) -> Turns:
        async def pay() -> object:
            if way == "cut off":
                await anyio.sleep_forever()
            if way == "waits for itself":
                await turn.once(key, pay)
            return {1, 2} if way == "no JSON" else "paid"

        await turn.once(key, pay)
        yield "Paid."

    async def main() -> None:
        async with talking(application(answer, store=Store(), finish_within=5)) as talk:
            line = await talk.greeted()
            line.ask(1, user("Pay."))
            await anyio.sleep(1)
            await line.hang_up()

    run(main)
    assert shown in caplog.text
    assert not any(said in caplog.text for said in ("4111", "Ann", "5550123", "555-0123", "key_"))


@pytest.mark.parametrize("error", [llm.SideEffectUnknownError, partial(llm.SideEffectFailedError, error="declined")])
def test_an_error_of_a_side_effect_has_the_whole_key_beside_its_message(error: Callable[[str], Any]) -> None:
    key = 'pay({"name": "Ann Smith"})'
    raised = error(key)
    assert raised.key == key
    assert "'pay(#" in str(raised)
    assert "Ann" not in str(raised)


def test_a_function_with_a_yield_is_refused_before_anything_is_begun() -> None:
    async def book(slot: str = "nine") -> Turns:
        yield slot

    async def late() -> Any:
        async def book() -> str:
            return "booked after all"

        return book()

    async def answer(turn: llm.Turn) -> Turns:
        with pytest.raises(TypeError, match="has a yield, so nothing of it would run"):
            await turn.once("book", cast("Any", book))
        with pytest.raises(TypeError, match=r"a generator \(book\), of which nothing has run"):
            await turn.once("later", lambda: book("ten"))
        yield str(await turn.once("book", late))

    async def main() -> None:
        async with talking(application(answer)) as talk:
            assert await talk.connect().answer(1, user("ten")) == "booked after all"

    run(main)


def test_what_is_raised_again_does_not_grow() -> None:
    found: list[tuple[int, BaseException | None]] = []
    times: dict[str, int] = {}

    async def answer(turn: llm.Turn) -> Turns:
        try:
            try:
                raise ZeroDivisionError(turn.id)
            except ZeroDivisionError:
                await turn.once("book", lambda: times["ten"])
        except KeyError as error:
            found.append((len(traceback.extract_tb(error.__traceback__)), error.__context__))
            error.__context__ = OSError()  # whatever a turn does with it
        yield "No."

    async def main() -> None:
        async with talking(application(answer)) as talk:
            line = await talk.greeted()
            for id in range(1, 10):
                await line.answer(id, user("ten"))

    run(main)
    assert len({length for length, _ in found}) == 1
    assert [context.args for _, context in found if isinstance(context, ZeroDivisionError)] == [(id,) for id in range(1, 10)]


def test_what_an_effect_raises_is_raised_again_and_nothing_is_repeated() -> None:
    bookings = Bookings(fails=KeyError("taken"))
    seen: list[BaseException] = []

    async def answer(turn: llm.Turn) -> Turns:
        try:
            await turn.once("book", lambda: bookings.book("ten"))
        except KeyError as error:
            seen.append(error)
        yield "Taken."

    async def main() -> None:
        async with talking(application(answer)) as talk:
            line = talk.connect()
            for id in (1, 2):
                assert await line.answer(id, user("ten")) == "Taken."

    run(main)
    assert len(seen) == 2
    assert bookings.begun == ["ten"]


@pytest.mark.parametrize("nothing_done", [False, True])
@pytest.mark.parametrize("elsewhere", [False, True])
def test_what_failed_in_a_turn_that_was_not_heard_is_told_unless_nothing_was_done(elsewhere: bool, nothing_done: bool) -> None:
    bookings = Bookings(fails=TimeoutError("no answer to +14155550100"))
    told: list[list[tuple[str, bool, str]]] = []
    systems: list[str] = []
    store = Shared()

    async def answer(turn: llm.Turn) -> Turns:
        told.append([(effect.key, effect.done, type(effect.error).__name__) for effect in turn.effects])
        systems.extend(str(message["content"]) for message in turn.messages() if message["role"] == "system")
        if turn.id == 1:
            await turn.once("book(ten)", lambda: bookings.book("ten"), retry_on=TimeoutError if nothing_done else ())
        yield "At eleven?"

    async def main() -> None:
        async with talking(application(answer, store=store)) as one, talking(application(answer, store=store)) as two:
            line = await one.greeted()
            line.ask(1, user("ten"))
            await anyio.sleep(0.5)
            line.update(user("ten"), agent("Hello."))
            await line.answer(2, user("or rather"))
            await anyio.sleep(2)
            if elsewhere:
                line.lose(1006)
                await anyio.sleep(1)
                line = two.connect()
            await line.answer(3, user("at eleven"))
            line.update(user("at eleven"), turn="agent_turn")
            line.ask(4, user("at eleven"), agent("At eleven?"), user("yes"))  # has heard of it
            await line.complete(4)

    run(main)
    failed = [("book(ten)", False, "SideEffectFailedError" if elsewhere else "TimeoutError")]
    assert told == [[], [("book(ten)", False, "NoneType")], [] if nothing_done else failed, []]
    if nothing_done:
        assert len(systems) == 1
    else:
        assert "Tried already" in systems[1]
        assert "may have happened all the same" in systems[1]
        assert "no answer to" in systems[1]
        assert "4155550100" not in systems[1]


def test_what_was_cut_off_is_told_and_goes_to_other_processes_as_unknown() -> None:
    told: list[list[BaseException | None]] = []
    store = Shared()

    async def fail() -> None:
        raise SystemExit

    async def answer(turn: llm.Turn) -> Turns:
        told.append([effect.error for effect in turn.effects])
        if turn.id == 1:
            await turn.once("book", fail)
        yield "Yes."

    async def main() -> None:
        async with talking(application(answer, store=store)) as one, talking(application(answer, store=store)) as two:
            line = await one.greeted()
            line.update(agent("Hello."))
            await line.answer(1, user("ten"))
            await line.answer(2, user("eleven"))
            line.lose(1006)
            await anyio.sleep(1)
            await two.connect().answer(3, user("twelve"))

    run(main)
    assert [[type(error) for error in errors] for errors in told] == [[], *[[llm.SideEffectUnknownError]] * 2]


def test_what_says_that_nothing_was_done_can_be_tried_again() -> None:
    bookings = Bookings(fails=ConnectionRefusedError())

    async def main() -> None:
        async with talking(application(booking(bookings, retry_on=ConnectionRefusedError))) as talk:
            line = talk.connect()
            assert await line.answer(1, user("ten")) == f"One moment. {FAILURE}"
            bookings.fails = None
            assert await line.answer(2, user("ten")) == "One moment. Booked ten."

    run(main)
    assert (bookings.begun, bookings.done) == (["ten", "ten"], ["ten"])


@pytest.mark.parametrize("spoken", [True, False])
def test_an_effect_may_wait_until_the_turn_is_spoken(spoken: bool) -> None:
    bookings = Bookings()

    async def main() -> None:
        async with talking(application(booking(bookings, when="spoken"))) as talk:
            line = await talk.greeted()
            line.update(user("ten"), turn="agent_turn")  # that is the begin message
            line.ask(1, user("ten"))
            await anyio.sleep(2)
            assert bookings.begun == []
            if spoken:
                line.update(user("ten"), turn="agent_turn")
                assert await line.complete(1) == "One moment. Booked ten."
            else:
                line.ask(2, user("eleven"))
                await anyio.sleep(2)
                line.update(user("eleven"), turn="agent_turn")
                assert await line.complete(2) == "One moment. Booked eleven."

    run(main)
    assert bookings.done == ["ten" if spoken else "eleven"]


def test_a_filler_that_is_spoken_is_not_the_turn() -> None:
    bookings = Bookings()

    async def answer(turn: llm.Turn) -> Turns:
        await anyio.sleep(3)
        yield "I book it. "
        await turn.once("book", lambda: bookings.book("ten"), when="spoken")

    async def main() -> None:
        async with talking(application(answer, filler="Hm.")) as talk:
            line = await talk.greeted()
            line.ask(1, agent("Hello."), user("ten"))
            await anyio.sleep(2)
            line.update(turn="agent_turn")
            await anyio.sleep(0.5)
            assert bookings.begun == []
            await line.complete(1)

    run(main)
    assert bookings.done == ["ten"]


def test_the_discarded_are_counted() -> None:
    async def main() -> None:
        app = application(booking(Bookings()))
        async with talking(app) as talk:
            line = await talk.greeted()
            for id in (1, 2, 3):
                line.ask(id, user("ten"))
                await anyio.sleep(0.1)
            await line.complete(3)
            line.update(user("ten"), turn="agent_turn")
            await line.answer(4, user("ten"))
            line.update(user("ten"), turn="agent_turn")
            await line.hang_up()
        assert (app.stats.turns, app.stats.discarded) == (4, 2)

    run(main)


@pytest.mark.parametrize("fn", [lambda: 5, 5])
def test_what_once_takes(fn: Any) -> None:
    async def answer(turn: llm.Turn) -> Turns:
        try:
            yield str(await turn.once("key", fn))
        except TypeError as error:
            yield str(error)

    async def main() -> None:
        async with talking(application(answer)) as talk:
            line = talk.connect()
            assert await line.answer(1, user("a")) == (
                "5" if callable(fn) else "once takes a function, such as `lambda: book(slot)`, and calls it if it is the first"
            )

    run(main)


@pytest.mark.parametrize("keys", [["a", "a"], ["a", "b", "a"], ["a", "b", "c", "b"]])
def test_what_would_wait_for_itself_is_told(keys: list[str], caplog: pytest.LogCaptureFixture) -> None:
    async def nested(turn: llm.Turn, keys: list[str]) -> str:
        if not keys:
            return "done"
        return str(await turn.once(keys[0], lambda: nested(turn, keys[1:])))

    async def answer(turn: llm.Turn) -> Turns:
        yield await nested(turn, keys if turn.id == 1 else ["x", "y", "z"])

    async def main() -> None:
        async with talking(application(answer)) as talk:
            line = talk.connect()
            begun = anyio.current_time()
            assert await line.answer(1, user("a")) == FAILURE
            assert anyio.current_time() - begun < 1
            assert await line.answer(2, user("a")) == "done"

    run(main)
    assert f"once({keys[-1]!r}, ...) is called in what it carries out itself" in caplog.text


def test_two_effects_that_would_wait_for_each_other_are_told() -> None:
    async def answer(turn: llm.Turn) -> Turns:
        async def carry_out(other: str) -> str:
            await anyio.sleep(1)
            try:
                return str(await turn.once(other, lambda: "never"))
            except RuntimeError:
                return "told"

        results: list[str] = []

        async def begin(key: str, other: str) -> None:
            results.append(await turn.once(key, lambda: carry_out(other)))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(begin, "a", "b")
            tasks.start_soon(begin, "b", "a")
        yield str(results)

    async def main() -> None:
        async with talking(application(answer)) as talk:
            line = talk.connect()
            assert await line.answer(1, user("a")) == "['told', 'told']"

    run(main)


def test_a_coroutine_in_place_of_a_function() -> None:
    bookings = Bookings()

    async def answer(turn: llm.Turn) -> Turns:
        with pytest.raises(TypeError, match="lambda"):
            await turn.once("book", bookings.book("ten"))  # type: ignore[call-overload]
        yield "Right."

    async def main() -> None:
        async with talking(application(answer)) as talk:
            line = talk.connect()
            assert await line.answer(1, user("a")) == "Right."

    run(main)
    assert bookings.begun == []


# Stores.


def test_two_processes_with_one_store() -> None:
    bookings = Bookings()
    store = llm.MemoryStore()

    async def main() -> None:
        async with in_two_processes(store, partial(application, booking(bookings))) as (one, two):
            line = await one.greeted()
            assert await line.answer(1, user("ten")) == "One moment. Booked ten."
            line.lose(1006)
            line = two.connect()
            assert await line.complete(0) == ""  # the first has greeted
            assert await line.answer(2, user("eleven")) == "One moment. Booked ten."

    run(main)
    assert bookings.done == ["ten"]


@pytest.mark.parametrize(
    ("outcome", "says"),
    [
        (llm.Outcome("begun"), "'book' was begun and may have happened or not"),
        (llm.Outcome("failed", error="KeyError: taken"), "'book' failed: KeyError: taken"),
    ],
)
def test_what_another_process_left(outcome: llm.Outcome, says: str) -> None:
    bookings = Bookings()
    keys: set[str] = set()

    class Left(llm.MemoryStore):
        async def begin(self, call_id: str, key: str) -> llm.Outcome | None:
            return outcome

    async def answer(turn: llm.Turn) -> Turns:
        try:
            await turn.once("book", lambda: bookings.book("ten"))
        except (llm.SideEffectUnknownError, llm.SideEffectFailedError) as error:
            keys.add(error.key)
            yield str(error)

    async def main() -> None:
        async with talking(application(answer, store=Left())) as talk:
            line = talk.connect()
            for id in (1, 2):
                assert await line.answer(id, user("a")) == says

    run(main)
    assert keys == {"book"}
    assert bookings.begun == []


class Broken(llm.MemoryStore):
    """A store that is down, or that hangs."""

    def __init__(self, hangs: bool, *methods: str) -> None:
        super().__init__()
        self.hangs = hangs
        self.methods = methods

    async def _break(self, method: str) -> None:
        if method in self.methods:
            if self.hangs:
                await anyio.sleep_forever()
            raise ConnectionError("of +14155550100")

    async def claim(self, call_id: str) -> tuple[int, dict[str, Any] | None]:
        await self._break("claim")
        return await super().claim(call_id)

    async def save(self, call_id: str, record: dict[str, Any], claim: int) -> bool:
        await self._break("save")
        return await super().save(call_id, record, claim)

    async def begin(self, call_id: str, key: str) -> llm.Outcome | None:
        await self._break("begin")
        return await super().begin(call_id, key)

    async def finish(self, call_id: str, key: str, outcome: llm.Outcome | None) -> None:
        await self._break("finish")
        await super().finish(call_id, key, outcome)


@pytest.mark.parametrize("hangs", [True, False])
def test_what_a_store_did_not_take_is_not_carried_out_and_says_so(hangs: bool, caplog: pytest.LogCaptureFixture) -> None:
    bookings = Bookings()
    store = Broken(hangs, "begin")
    why = "the store did not answer within 5 seconds" if hangs else "the store raised ConnectionError"

    async def answer(turn: llm.Turn) -> Turns:
        assert not turn.effects
        try:
            async for text in booking(bookings)(turn):
                yield text
        except llm.SideEffectNotBegunError as error:
            yield f"{error.key}: {error}"

    async def main() -> None:
        async with talking(application(answer, store=store)) as talk:
            line = talk.connect()
            assert await line.answer(1, user("ten")) == f"One moment. book: 'book' was not begun, and nothing was done: {why}"
            assert "the store does not say whether 'book' may begin, so nothing was done\n" in caplog.text
            assert "4155550100" not in caplog.text
            assert bookings.begun == []
            store.methods = ()
            assert await line.answer(2, user("ten")) == "One moment. Booked ten."

    run(main)


def test_what_was_begun_elsewhere_is_unknown_also_if_the_store_fails_then() -> None:
    class Failing(Broken):
        async def begin(self, call_id: str, key: str) -> llm.Outcome | None:
            given = await super().begin(call_id, key)
            self.methods = ("begin",)
            return given

    store = Failing(True)

    async def answer(turn: llm.Turn) -> Turns:
        try:
            await turn.once("book", lambda: "booked")
        except llm.SideEffectUnknownError:
            yield "Unknown."

    async def main() -> None:
        await llm.MemoryStore.begin(store, "call_1", "book")
        async with talking(application(answer, store=store, timeout=30)) as talk:
            assert await talk.connect().answer(1, user("ten")) == "Unknown."

    run(main)


@pytest.mark.parametrize("hangs", [True, False])
@pytest.mark.parametrize("method", ["claim", "save"])
def test_a_store_that_is_down_costs_the_state_and_nothing_else(hangs: bool, method: str, caplog: pytest.LogCaptureFixture) -> None:
    bookings = Bookings()

    async def main() -> None:
        async with talking(application(booking(bookings), store=Broken(hangs, method, "finish"))) as talk:
            line = talk.connect()
            assert await line.complete(0) == "Hello."
            for id in (1, 2):
                assert await line.answer(id, user("ten")) == "One moment. Booked ten."
            await line.hang_up()

    run(main)
    assert bookings.begun == ["ten"]
    for what in ("does not give its state" if method == "claim" else "does not take its state", "does not take how 'book' ended"):
        assert what in caplog.text
    assert "4155550100" not in caplog.text


def test_state_survives_a_reconnection_and_another_process() -> None:
    store = llm.MemoryStore()

    async def count(turn: llm.Turn) -> Turns:
        state = turn.session.state
        state["count"] = state.get("count", 0) + 1
        yield str(state["count"])

    async def main() -> None:
        async with in_two_processes(store, partial(application, count)) as (one, two):
            line = one.connect()
            assert await line.answer(1, user("a")) == "1"
            line.lose(1006)
            line = one.connect()
            assert await line.answer(2, user("a")) == "2"
            await line.hang_up()
            line = two.connect()
            assert await line.answer(3, user("a")) == "3"
            line = two.connect("call_2")
            assert await line.answer(1, user("a")) == "1"

    run(main)


class Shared:
    """What two processes see: JSON, and nothing of each other's objects."""

    def __init__(self) -> None:
        self.claims: Counter[str] = Counter()
        self.records: dict[str, str] = {}
        self.outcomes: dict[str, str] = {}

    async def begin(self, call_id: str, key: str) -> llm.Outcome | None:
        if key in self.outcomes:
            return llm.Outcome(**json.loads(self.outcomes[key]))
        self.outcomes[key] = '{"state": "begun"}'
        return None

    async def finish(self, call_id: str, key: str, outcome: llm.Outcome | None) -> None:
        if outcome is None:
            del self.outcomes[key]
        else:
            self.outcomes[key] = json.dumps(attrs.asdict(outcome))

    async def claim(self, call_id: str) -> tuple[int, dict[str, Any] | None]:
        await anyio.sleep(0.001)
        self.claims[call_id] += 1
        return self.claims[call_id], json.loads(self.records.get(call_id, "null"))

    async def save(self, call_id: str, record: dict[str, Any], claim: int) -> bool:
        await anyio.sleep(0.001)
        if claim < self.claims[call_id]:
            return False
        self.records[call_id] = json.dumps(record)
        return True

    def state(self) -> Any:
        return json.loads(self.records["call_1"])["state"]


class Noting(llm.Agent):
    """Keeps what it heard, and how it came to its end."""

    ends: ClassVar[list[str]] = []

    async def on_turn(self, turn: llm.Turn) -> Turns:
        turn.session.state["heard"] = turn.said
        yield turn.said

    async def on_exit(self, session: llm.Session) -> None:
        self.ends.append(f"over: {session.ended}")

    async def on_leave(self, session: llm.Session) -> None:
        self.ends.append(f"left: {session.ended}")


def noting(store: llm.Store, **settings: Any) -> llm.App:
    Noting.ends.clear()
    app = llm.App(secret=None, begin_message="Hello.", store=store, **settings)
    app.agent(Noting)
    return app


@asynccontextmanager
async def in_two_processes(store: llm.Store, app_of: Callable[..., llm.App] = noting) -> AsyncGenerator[tuple[Talk, Talk]]:
    """A call to two processes that share a store."""
    async with talking(app_of(store=store)) as one, talking(app_of(store=store)) as two:
        yield one, two


async def lost_after_an_answer(talk: Talk) -> Line:
    line = talk.connect()
    await line.answer(1, user("one"))
    line.lose(1006)
    return line


def circle() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


ODD = [
    (datetime(2026, 11, 26, 10, tzinfo=UTC), "2026-11-26 10:00:00+00:00"),
    ({"slot": date(2026, 11, 26), "id": UUID(int=1)}, {"slot": "2026-11-26", "id": "00000000-0000-0000-0000-000000000001"}),
    (Effect("book", 1), "Effect(key='book', turn_id=1, done=False)"),
    ({("a", 1): 2}, "{('a', 1): 2}"),
    (circle(), "[[...]]"),
]


@pytest.mark.parametrize(("odd", "text"), ODD, ids=str)
def test_what_json_does_not_have_is_text_in_other_processes_and_costs_nothing_else(
    odd: Any, text: Any, caplog: pytest.LogCaptureFixture
) -> None:
    store = Shared()
    told: list[Any] = []

    async def answer(turn: llm.Turn) -> Turns:
        told.append([effect.result for effect in turn.effects])
        turn.session.state.setdefault("customer", "Ann")
        turn.session.state.setdefault("odd", odd)
        told.append(await turn.once("book", lambda: odd))
        yield "Booked."

    async def main() -> None:
        async with in_two_processes(store, partial(application, answer)) as (one, two):
            line = one.connect()
            for id in (1, 2):
                await line.answer(id, user("ten"))
            assert told == [[], odd, [odd], odd]
            line.lose(1006)
            await anyio.sleep(1)
            assert store.state() == {"customer": "Ann", "odd": text}
            told.clear()
            await two.connect().answer(3, user("ten"))
            assert told == [[text], text]

    run(main)
    kind = type(odd).__name__
    for what in (f"session.state['odd'] ({kind})", f"the result of 'book' ({kind})"):
        assert what in caplog.text
    assert caplog.text.count("as text") == 3  # the result goes into the store by itself, and as what the user was not told


def test_a_process_that_has_lost_the_call_keeps_off_its_state() -> None:
    store = Shared()

    async def main() -> None:
        async with in_two_processes(store) as (one, two):
            old = await lost_after_an_answer(one)
            line = two.connect()
            for id, said in ((2, "two"), (3, "three")):
                await line.answer(id, user(said))
            await old.over.wait()
            await anyio.sleep(30)
            assert not one.app.sessions
            assert Noting.ends == ["left: moved"]
            assert store.state() == {"heard": "three"}
            await line.hang_up()
            assert Noting.ends == ["left: moved", "over: closed"]

    run(main)


def test_a_process_that_does_not_know_yet_that_it_has_lost_the_call_finds_out() -> None:
    """The connection is still there as far as the first process sees."""
    store = Shared()

    async def main() -> None:
        async with in_two_processes(store) as (one, two):
            old = await one.greeted()
            await anyio.sleep(0.1)
            line = await two.greeted()
            await old.answer(1, user("one"))
            await old.over.wait()
            assert old.closed_with == 1001
            assert Noting.ends == ["left: moved"]
            await line.answer(2, user("two"))
            await anyio.sleep(1)
            assert store.state() == {"heard": "two"}

    run(main)


def test_a_call_that_comes_back_goes_on_where_the_other_process_left_it() -> None:
    store = Shared()

    async def main() -> None:
        async with in_two_processes(store) as (one, two):
            await lost_after_an_answer(one)
            line = two.connect()
            await line.answer(2, user("two"))
            await anyio.sleep(0.1)
            line.lose(1006)
            back = await one.greeted()
            (session,) = one.app.sessions.values()
            assert session.state == {"heard": "two"}
            await back.answer(3, user("three"))
            await anyio.sleep(30)
            assert Noting.ends == ["left: moved", "left: moved"]
            assert store.state() == {"heard": "three"}
            back.lose(1006)
            await back.over.wait()
            await anyio.sleep(30)
            assert Noting.ends[2:] == ["over: lost"]

    run(main)


def test_an_end_is_told_once_where_nobody_else_has_the_call() -> None:
    async def main() -> None:
        app = noting(Shared())
        async with talking(app) as talk:
            line = await talk.greeted()
            line.lose(1006)
            await anyio.sleep(5)
            line = await talk.greeted()
            line.lose(1006)
            await anyio.sleep(14)
            assert not Noting.ends
            await anyio.sleep(2)
            assert Noting.ends == ["over: lost"]

    run(main)


def test_state_is_saved_when_a_connection_is_lost_in_the_middle_of_a_turn() -> None:
    store = Shared()

    async def answer(turn: llm.Turn) -> Turns:
        turn.session.state["asked"] = turn.id
        yield "One. "
        await anyio.sleep_forever()

    async def main() -> None:
        async with talking(application(answer, store=store)) as talk:
            line = talk.connect()
            line.ask(1, user("one"))
            await anyio.sleep(1)
            line.lose(1006)
            await anyio.sleep(1)
            assert store.state() == {"asked": 1}

    run(main)


async def leaving(turn: llm.Turn) -> Turns:
    yield "Goodbye." if "bye" in turn.said else "Yes?"
    if "bye" in turn.said:
        turn.goodbye()


@pytest.mark.parametrize("speaks", [True, False])
def test_a_goodbye_moves_with_the_call(speaks: bool) -> None:
    store = Shared()

    async def main() -> None:
        async with in_two_processes(store, partial(application, leaving, reminder_max_count=2)) as (one, two):
            line = await one.greeted()
            (session,) = one.app.sessions.values()
            session.update_agent(reminder_trigger_ms=7000, responsiveness=0.5)
            line.update(turn="agent_turn")
            await line.answer(1, user("bye"))
            await anyio.sleep(1)
            line.lose(1006)
            line = await two.greeted()
            assert [answer.agent_config.to_dict() for answer in line.of(UpdateAgent)] == [
                {"reminder_trigger_ms": 4000, "reminder_max_count": 100, "responsiveness": 0.5}
            ]
            await line.answer(2, user("wait" if speaks else "bye"), kind="response_required" if speaks else "reminder_required")
            assert line.responses(2)[-1].end_call is (None if speaks else True)
            if speaks:
                assert line.of(UpdateAgent)[-1].agent_config.to_dict() == {"reminder_trigger_ms": 7000, "reminder_max_count": 2}
                await line.answer(3, user("wait"), kind="reminder_required")
                assert line.responses(3)[-1].end_call is None

    run(main)


def test_a_goodbye_that_a_store_gives_late_ends_no_call_that_goes_on() -> None:
    store = Late("fails before it", 2)

    async def main() -> None:
        async with in_two_processes(store, partial(application, leaving)) as (one, two):
            line = await one.greeted()
            await line.answer(1, user("bye"))
            await anyio.sleep(1)
            line.lose(1006)
            line = await two.greeted()
            await anyio.sleep(1)
            await line.answer(2, user("wait"))
            await anyio.sleep(1)
            await line.answer(3, user("wait"), kind="reminder_required")
            assert line.responses(3)[-1].end_call is None

    run(main)


def test_what_another_process_is_still_doing_is_waited_for() -> None:
    bookings = Bookings()
    store = Shared()

    async def main() -> None:
        async with in_two_processes(store, partial(application, booking(bookings))) as (one, two):
            line = one.connect()
            line.ask(1, user("ten"))
            await anyio.sleep(0.2)
            line.lose(1006)
            line = two.connect()
            assert await line.answer(1, user("ten")) == "One moment. Booked ten."

    run(main)
    assert bookings.begun == ["ten"]


@pytest.mark.parametrize("fails", [None, ConnectionRefusedError()])
def test_a_call_that_comes_back_after_it_was_given_up_knows_what_is_still_going_on(fails: Exception | None) -> None:
    begun: list[int] = []

    async def answer(turn: llm.Turn) -> Turns:
        async def book() -> str:
            begun.append(turn.id)
            await anyio.sleep(12)
            if fails and len(begun) == 1:
                raise fails
            return f"booked by {turn.id}"

        yield "One moment. "
        with suppress(ConnectionRefusedError):
            yield await turn.once("book", book, retry_on=ConnectionRefusedError)

    async def main() -> None:
        app = application(answer, reconnect_within=1, timeout=30)
        async with app.lifespan(), talking(app) as talk:
            line = await talk.greeted()
            line.ask(1, user("ten"))
            await anyio.sleep(0.5)
            line.lose(1006)
            await anyio.sleep(2)
            line = await talk.greeted()
            for id in (2, 3):
                assert await line.answer(id, user("ten")) == "One moment. " + ("" if fails and id == 2 else f"booked by {begun[-1]}")
            assert begun == ([1, 3] if fails else [1])

    run(main)


def test_what_was_done_in_turns_that_were_not_heard_is_told_in_another_process() -> None:
    bookings = Bookings()
    store = Shared()
    told: list[Any] = []

    async def answer(turn: llm.Turn) -> Turns:
        told.append(untold(turn))
        if "ten" in turn.said:
            yield "One moment. "
            await turn.once(turn.said, lambda: bookings.book(turn.said))
        yield "Right."

    async def main() -> None:
        async with in_two_processes(store, partial(application, answer)) as (one, two):
            line = one.connect()
            line.ask(1, user("ten"))
            await anyio.sleep(1.5)
            line.lose(1006)
            await anyio.sleep(0.1)
            line = two.connect()
            line.ask(1, user("at ten"))  # said otherwise: another key
            await line.complete(1)
            await line.answer(2, user("and?"))
            line.update(user("and?"), turn="agent_turn")
            await line.answer(3, user("and?"), agent("Right."), user("well?"))

    run(main)
    ten, at_ten = ("ten", 1, True, {"slot": "ten"}), ("at ten", 1, True, {"slot": "at ten"})
    assert told == [[], [ten], [ten, at_ten], []]


def test_a_turn_that_is_asked_again_is_told_what_it_did() -> None:
    told: list[Any] = []

    async def answer(turn: llm.Turn) -> Turns:
        told.append([effect.key for effect in turn.effects])
        await turn.once("book", lambda: None)
        yield "Right. "
        await anyio.sleep(5)

    async def main() -> None:
        async with talking(application(answer)) as talk:
            line = talk.connect()
            line.ask(1, user("ten"))
            await anyio.sleep(1)
            line.lose(1006)
            line = talk.connect()
            await line.answer(1, user("ten"))

    run(main)
    assert told == [[], ["book"]]


class Late(Shared):
    """Answers certain claims late or with an error, whether it has carried them out, does so later, or never does."""

    def __init__(self, how: str, *late: int) -> None:
        super().__init__()
        self.how = how
        self.late = late
        self.asked = 0
        self.tasks: Any = None

    async def claim(self, call_id: str) -> tuple[int, dict[str, Any] | None]:
        self.asked += 1
        if self.asked not in self.late:
            return await super().claim(call_id)
        match self.how:
            case "answers late":
                await super().claim(call_id)
                await anyio.sleep(3)
            case "carries it out late":
                self.tasks.start_soon(self._later, call_id)
                await anyio.sleep_forever()
            case "fails after it":
                await super().claim(call_id)
            case _:
                pass
        raise ConnectionResetError

    async def _later(self, call_id: str) -> None:
        await anyio.sleep(6)
        await super().claim(call_id)


LATE = ["answers late", "carries it out late", "fails after it", "fails before it"]


@pytest.mark.parametrize("how", LATE)
def test_a_claim_that_is_not_answered_costs_no_call(how: str) -> None:
    store = Late(how, 2)

    async def main() -> None:
        app = noting(store)
        async with anyio.create_task_group() as store.tasks, talking(app) as talk:
            line = talk.connect()
            await line.answer(1, user("one"))
            for id, said in ((2, "two"), (3, "three"), (4, "four")):
                line.lose(1006)
                line = await talk.greeted()
                for _ in range(4):
                    await anyio.sleep(2)
                    line.tell({"interaction_type": "ping_pong", "timestamp": 1})
                assert await line.answer(id, user(said)) == said
                await anyio.sleep(5)
                assert store.state() == {"heard": said}
                assert line.closed_with is None
            await line.hang_up()
            await anyio.sleep(1)
            assert Noting.ends == ["over: closed"]

    run(main)


@pytest.mark.parametrize("how", LATE)
def test_what_a_store_gives_late_is_restored(how: str) -> None:
    store = Late(how, 2)

    async def main() -> None:
        async with anyio.create_task_group() as store.tasks, in_two_processes(store) as (one, two):
            line = one.connect()
            await line.answer(1, user("one"))
            (session,) = one.app.sessions.values()
            session.state["name"] = "Ann"
            await line.answer(2, user("two"))
            await anyio.sleep(1)
            line.lose(1006)
            line = await two.greeted()
            await anyio.sleep(1)
            await line.answer(3, user("three"))
            await anyio.sleep(10)
            assert store.state() == {"name": "Ann", "heard": "three"}
            await line.hang_up()
        assert Noting.ends.count("over: closed") == 1

    run(main)


def test_a_process_that_was_not_answered_leaves_a_call_that_is_elsewhere_alone() -> None:
    store = Late("answers late", 2)

    async def main() -> None:
        async with in_two_processes(store) as (one, two):
            old = await lost_after_an_answer(one)
            old = one.connect()
            await anyio.sleep(1)
            line = two.connect()  # before the first process is answered
            await anyio.sleep(1.5)
            old.lose(1006)
            await line.answer(2, user("two"))
            await anyio.sleep(30)
            assert line.closed_with is None
            assert store.state() == {"heard": "two"}
            assert not one.app.sessions
            await line.hang_up()

    run(main)


@pytest.mark.parametrize("given", [None, (1,), ("1", None), (1, '{"state": {}}')])
def test_a_store_that_gives_something_else(given: Any, caplog: pytest.LogCaptureFixture) -> None:
    class Wrong(llm.MemoryStore):
        async def claim(self, call_id: str) -> Any:
            return given

    async def main() -> None:
        async with talking(noting(Wrong())) as talk:
            line = talk.connect()
            assert await line.answer(1, user("one")) == "one"

    run(main)
    assert "claim gives a number" in caplog.text


EFFECT = {"key": "book", "turn_id": 1, "done": True, "result": "booked"}
UNUSABLE: list[tuple[str, Any]] = [
    ("state", ["met"]),
    ("state", "met"),
    ("effects", {"book": EFFECT}),
    ("effects", [{**EFFECT, "key": ["book", "ten"]}]),
    ("effects", [{"key": "book"}]),
    ("effects", 5),
    ("agent", ["responsiveness"]),
    ("agent", {"responsiveness": float("nan")}),
    ("reminders", {"reminder_max_count": {1}}),
    ("reminders", "10"),
]


@pytest.mark.parametrize(("part", "kept"), UNUSABLE)
def test_what_a_store_has_kept_and_cannot_be_used_costs_no_more_than_itself(part: str, kept: Any, caplog: pytest.LogCaptureFixture) -> None:
    class Odd(llm.MemoryStore):
        async def claim(self, call_id: str) -> Any:
            good = {"state": {"met": "yes"}, "effects": [EFFECT], "agent": {"responsiveness": 0.5}, "greeted": True}
            return (await super().claim(call_id))[0], {**good, part: kept}

    async def answer(turn: llm.Turn) -> Turns:
        yield f"{turn.session.state.get('met')} {[effect.result for effect in turn.effects]}"
        turn.goodbye()

    async def main() -> None:
        async with talking(application(answer, store=Odd())) as talk:
            line = talk.connect()
            says = f"{None if part == 'state' else 'yes'} {[] if part == 'effects' else ['booked']}"
            assert await line.answer(1, user("a")) == says
            assert await line.answer(2, user("a")) == says
            assert line.text(0) == ""
            assert len(line.of(UpdateAgent)) >= 2

    run(main)
    assert f"the {part} that the store has kept cannot be used" in caplog.text


def test_an_outcome_that_is_none_is_not_known() -> None:
    class Odd(llm.MemoryStore):
        async def begin(self, call_id: str, key: str) -> Any:
            return llm.Outcome(cast("Any", "finished"))

    async def answer(turn: llm.Turn) -> Turns:
        with pytest.raises(llm.SideEffectUnknownError):
            await turn.once("book", lambda: "booked")
        yield "Nobody knows."

    async def main() -> None:
        async with talking(application(answer, store=Odd())) as talk:
            assert await talk.connect().answer(1, user("a")) == "Nobody knows."

    run(main)


@dataclasses.dataclass(frozen=True)
class Refused(Exception):
    slot: str


def test_an_error_of_a_frozen_class_comes_out_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    def book() -> str:
        raise Refused("ten")

    async def answer(turn: llm.Turn) -> Turns:
        for _ in range(2):
            try:
                await turn.once("book", book)
            except Refused as error:
                yield f"Not at {error.slot}. "
        if turn.id == 2:
            book()

    async def main() -> None:
        async with talking(application(answer)) as talk:
            line = talk.connect()
            assert await line.answer(1, user("a")) == "Not at ten. Not at ten. "
            assert await line.answer(2, user("a")) == f"Not at ten. Not at ten. {FAILURE}"

    run(main)
    assert "FrozenInstanceError" not in caplog.text


def test_errors_can_be_pickled_and_copied() -> None:
    for error in (
        llm.SideEffectUnknownError("book"),
        llm.SideEffectFailedError("book", "ValueError: no"),
        llm.SideEffectNotBegunError("book", "the store raised KeyError"),
        llm.CompletionError("no", 500),
        llm.Disconnected(1006),
        MonitorError(4008, "crowded"),
    ):
        for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
            assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))


def test_whatever_an_effect_gave_the_messages_can_be_made() -> None:
    seen: list[Any] = []

    async def answer(turn: llm.Turn) -> Turns:
        seen.append(turn.messages())
        await turn.once("book", lambda: {date(2026, 11, 26): "free"})
        yield "Right. "
        await anyio.sleep(1)

    async def main() -> None:
        async with talking(application(answer)) as talk:
            line = talk.connect()
            line.ask(1, user("ten"))
            await anyio.sleep(0.5)
            await line.answer(2, user("ten"))

    run(main)
    assert "datetime.date(2026, 11, 26): 'free'" in seen[1][0]["content"]


def test_the_memory_forgets() -> None:
    now = 0.0
    store = llm.MemoryStore(keep=10, clock=lambda: now)

    async def main() -> None:
        nonlocal now
        assert await store.claim("call_1") == (1, None)
        assert await store.save("call_1", {"state": 1}, 1)
        now = 8
        assert await store.claim("call_2") == (1, None)
        now = 11
        await store.begin("call_3", "book")
        assert await store.claim("call_1") == (1, None)
        assert await store.claim("call_2") == (2, None)
        assert not await store.save("call_2", {"state": 2}, 1)
        assert await store.begin("call_3", "book") == llm.Outcome("begun")
        await store.finish("call_3", "book", None)
        assert await store.begin("call_3", "book") is None

    run(main)


def test_a_store_that_is_none() -> None:
    with pytest.raises(ConfigurationError, match="no method save"):
        llm.App(secret=None, store=type("Half", (), {"claim": lambda self: None})())  # pyright: ignore[reportArgumentType]


def test_no_frame_is_left_behind_by_effects() -> None:
    """An effect's result that comes after its turn says nothing by itself."""
    bookings = Bookings()

    async def main() -> None:
        async with talking(application(booking(bookings))) as talk:
            line = await talk.greeted()
            line.ask(1, user("ten"))
            await anyio.sleep(0.5)
            (session,) = talk.app.sessions.values()
            session.interrupt("Stop.")
            await anyio.sleep(5)
            assert [answer.content for answer in line.of(Response)] == ["Hello.", "", "One moment. "]

    run(main)
    assert bookings.done == ["ten"]


@pytest.mark.parametrize("shared", [False, True])
def test_an_action_in_a_side_effect_is_that_of_each_turn_that_asks_for_it(shared: bool) -> None:
    """Most turns are thrown away, and so is what they were to do at their end."""
    store = Shared() if shared else None
    transferred: list[int] = []

    async def answer(turn: llm.Turn) -> Turns:
        def transfer() -> str:
            turn.transfer("+14155550100", show_transferee_as_caller=True)
            transferred.append(turn.id)
            return "Hold on."

        async def put_through() -> str:
            return await turn.once("transfer", transfer)

        yield await turn.once("put through", put_through)
        yield await turn.once("transfer", transfer)

    def acts(line: Line, id: int) -> tuple[Any, Any]:
        last = line.responses(id)[-1]
        return last.transfer_number, last.show_transferee_as_caller

    async def main() -> None:
        async with talking(application(answer, store=store)) as talk:
            line = await talk.greeted()
            for id in (1, 2):
                assert await line.answer(id, user("a person")) == "Hold on.Hold on."
                assert acts(line, id) == ("+14155550100", True)
            line.update(user("a person"), turn="agent_turn")  # the user hears it, and interrupts
            await anyio.sleep(1)
            if shared:
                line.lose(1006)
                await anyio.sleep(1)
                async with talking(application(answer, store=store)) as other:
                    line = other.connect()
                    assert await line.answer(1, user("a person")) == "Hold on.Hold on."
                    assert acts(line, 1) == ("+14155550100", True)

    run(main)
    assert transferred == [1]


def test_an_action_in_a_side_effect_that_fails_is_not_taken() -> None:
    async def answer(turn: llm.Turn) -> Turns:
        def leave() -> None:
            turn.end_call()
            raise KeyError("no")

        with suppress(KeyError):
            await turn.once("leave", leave)
        yield "Well."

    async def main() -> None:
        async with talking(application(answer)) as talk:
            line = await talk.greeted()
            for id in (1, 2):
                assert await line.answer(id, user("bye")) == "Well."
                assert not line.responses(id)[-1].end_call

    run(main)


def test_a_turn_has_one_action_also_with_those_of_side_effects() -> None:
    async def answer(turn: llm.Turn) -> Turns:
        await turn.once("leave", turn.end_call)
        with pytest.raises(ValueError, match="has an action already"):
            await turn.once("press", lambda: turn.press("1"))
        with pytest.raises(ValueError, match="has an action already"):
            turn.transfer("+14155550100")
        yield "Bye."

    async def main() -> None:
        async with talking(application(answer)) as talk:
            line = await talk.greeted()
            for id in (1, 2):
                assert await line.answer(id, user("bye")) == "Bye."
                assert line.responses(id)[-1].end_call

    run(main)


def test_an_action_that_a_turn_has_no_room_for_is_taken_by_later_ones_that_ask_for_it() -> None:
    transferred: list[int] = []
    clashes: list[str] = []

    async def answer(turn: llm.Turn) -> Turns:
        def transfer() -> str:
            transferred.append(turn.id)
            turn.transfer("+14155550100")
            return "Hold on."

        if turn.id == 1:
            await turn.once("leave", turn.end_call)
        if turn.id == 2:
            turn.press("1")
        try:
            yield await turn.once("transfer", transfer)
        except ValueError as error:
            clashes.append(str(error))
            yield "Well."

    async def main() -> None:
        async with talking(application(answer)) as talk:
            line = await talk.greeted()
            assert [await line.answer(id, user("a person")) for id in (1, 2, 3)] == ["Well.", "Well.", "Hold on."]
            assert line.responses(3)[-1].transfer_number == "+14155550100"

    run(main)
    assert transferred == [1]
    assert clashes == [f"this turn has an action already, and there is one a turn: {name}" for name in ("end_call", "digit_to_press")]


def test_a_turn_may_take_the_same_action_again() -> None:
    async def answer(turn: llm.Turn) -> Turns:
        def leave() -> None:
            turn.end_call()
            turn.end_call()

        await turn.once("leave", leave)
        turn.end_call()
        yield "Bye."

    async def main() -> None:
        async with talking(application(answer)) as talk:
            line = await talk.greeted()
            assert await line.answer(1, user("bye")) == "Bye."
            assert line.responses(1)[-1].end_call

    run(main)


@pytest.mark.parametrize("act", [lambda turn: turn.end_call(), lambda turn: turn.goodbye()])
def test_an_action_goes_with_the_call_to_another_process_while_the_side_effect_is_carried_out(act: Callable[[llm.Turn], None]) -> None:
    left: list[int] = []

    async def answer(turn: llm.Turn) -> Turns:
        async def leave() -> str:
            left.append(turn.id)
            await anyio.sleep(1)
            act(turn)
            return "Bye."

        yield await turn.once("leave", leave)

    async def main() -> None:
        async with in_two_processes(Shared(), partial(application, answer)) as (one, two):
            line = await one.greeted()
            line.ask(1, user("bye"))
            await anyio.sleep(0.5)
            line = two.connect()
            for id in (1, 2):
                assert await line.answer(id, user("bye")) == "Bye."
                await anyio.sleep(0.1)
                assert line.responses(id)[-1].end_call or len(line.of(UpdateAgent)) == 2 * id - 1  # each next one takes the last back

    run(main)
    assert left == [1]
