"""Connections of a call: lost and opened again, refused, too much of them, and none when the server shuts down."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, cast

import anyio
import pytest

from retell_async import ConfigurationError, llm, webhooks
from retell_async.llm.messages import AgentInterrupt, Metadata, Response, ToolCallInvocation, ToolCallResult, UpdateAgent
from retell_async.llm.protocol import ends_greeting

from .talk import Line, Talk, agent, run, talking, user
from .test_session import Receptionist, application, echo

Turns = AsyncIterator[str]


async def lost_in_a_turn(talk: Talk) -> Line:
    """A connection that was lost one second after a request."""
    line = await talk.greeted()
    line.ask(1, user("a"))
    await anyio.sleep(1)
    line.lose(1006)
    return line


async def slow(turn: llm.Turn) -> Turns:
    yield "One. "
    await anyio.sleep(2)
    yield "Two."


@pytest.mark.parametrize("asks", [True, False])
def test_an_answer_that_a_lost_connection_cut_off_is_given_again(asks: bool) -> None:
    async def main() -> None:
        app = application(slow)
        async with talking(app) as talk:
            await lost_in_a_turn(talk)
            await anyio.sleep(5)
            line = await talk.greeted()
            line.may_resume(1)
            if asks:
                line.ask(1, user("a"))
            assert await line.complete(1) == "One. Two."
            await anyio.sleep(10)
            assert [answer.response_id for answer in line.of(Response)] == [0, 1, 1, 1]
            assert line.of(Response)[0].to_dict() == {
                "response_type": "response",
                "response_id": 0,
                "content": "",
                "content_complete": True,
            }
        assert app.stats.reconnects == 1

    run(main)


def test_what_is_set_and_noted_between_two_connections_reaches_retell() -> None:
    async def answer(turn: llm.Turn) -> Turns:
        async def book() -> str:
            noted = turn.tool_call("book", {})
            await anyio.sleep(3)
            turn.tool_result(noted, "booked", successful=True)
            turn.session.send_metadata({"booked": True})
            return "booked"

        yield "One moment. "
        yield await turn.once("book", book)

    async def main() -> None:
        app = application(answer)
        async with talking(app) as talk:
            line = await lost_in_a_turn(talk)
            await anyio.sleep(0.1)
            (session,) = app.sessions.values()
            session.update_agent(responsiveness=0.3)
            await anyio.sleep(5)
            (call,) = line.of(ToolCallInvocation)
            line = await talk.greeted()
            line.may_resume(1)
            assert await line.complete(1) == "One moment. booked"
            assert [answer.tool_call_id for answer in line.of(ToolCallResult)] == [call.tool_call_id]
            assert [answer.agent_config.responsiveness for answer in line.of(UpdateAgent)] == [0.3]
            assert [answer.metadata for answer in line.of(Metadata)] == [{"booked": True}]

    run(main)


def test_an_answer_that_was_sent_is_not_given_again() -> None:
    async def main() -> None:
        async with talking(application(echo)) as talk:
            line = talk.connect()
            await line.answer(1, user("a"))
            line.lose(1006)
            line = talk.connect()
            await anyio.sleep(10)
            assert [answer.response_id for answer in line.of(Response)] == [0]

    run(main)


@pytest.mark.parametrize(("code", "ended", "after"), [(1000, "closed", 0), (1006, "lost", 15), (1005, "lost", 15), (1011, "lost", 15)])
def test_a_call_ends_when_it_is_closed_or_not_connected_again(code: int, ended: str, after: float) -> None:
    Receptionist.made.clear()
    app = llm.App(secret=None)
    app.agent(Receptionist)

    async def main() -> None:
        async with talking(app) as talk:
            line = await talk.greeted()
            begun = anyio.current_time()
            line.lose(code)
            await line.over.wait()
            assert anyio.current_time() - begun == pytest.approx(after)
        assert Receptionist.made[0].log == [(ended, {})]

    run(main)


def test_an_agent_is_the_same_over_all_connections() -> None:
    Receptionist.made.clear()
    app = llm.App(secret=None)
    app.agent(Receptionist)

    async def main() -> None:
        async with talking(app) as talk:
            line = await talk.greeted()
            line.update(turn="agent_turn")
            for _ in range(5):
                await anyio.sleep(1)
                line.lose(1006)
                await anyio.sleep(14)
                line = talk.connect()
                assert await line.complete(0) == ""
            await line.hang_up()
        (receptionist,) = Receptionist.made
        assert receptionist.log == ["agent_turn", ("closed", {})]

    run(main)
    assert (app.stats.calls, app.stats.reconnects) == (1, 5)


def test_an_application_that_was_shut_down_can_be_served_again() -> None:
    app = application(echo)

    async def main() -> None:
        app.reopen()
        async with talking(app) as talk:
            opening = llm.Opening(path="/call_1", query="", peer=None, forwarded_for=None)
            assert app.open(opening) == "call_1"
            await talk.greeted()
            assert not await app.drain(0.1)
            assert app.draining
            assert isinstance(app.open(llm.Opening(path="/call_2", query="", peer=None, forwarded_for=None)), llm.Refused)

    for _ in range(2):  # each in an event loop of its own
        anyio.run(main)


def test_a_new_connection_may_count_from_1_again() -> None:
    async def main() -> None:
        async with talking(application(echo)) as talk:
            line = talk.connect()
            for id in range(1, 6):
                await line.answer(id, user("a"))
            line.lose(1006)
            line = talk.connect()
            for id in range(1, 3):
                assert await line.answer(id, user("b")) == f"{id}: b"
            line.ask(1, user("c"))
            await anyio.sleep(1)
            assert line.text(1) == "1: b"
        assert talk.app.stats.ignored == 1

    run(main)


def test_a_call_whose_first_connection_never_begins_is_lost() -> None:
    class Slow(llm.MemoryStore):
        async def claim(self, call_id: str) -> tuple[int, dict[str, Any] | None]:
            await anyio.sleep(1)
            return await super().claim(call_id)

    Receptionist.made.clear()
    app = llm.App(secret=None, store=Slow())
    app.agent(Receptionist)

    async def main() -> None:
        async with app.lifespan():
            async with talking(app) as talk:
                talk.connect()
                await anyio.sleep(0.5)
            await anyio.sleep(10)
            assert app.sessions
            await anyio.sleep(10)
            assert not app.sessions
        assert Receptionist.made[0].log == [("lost", {})]

    run(main)


def test_a_connection_that_breaks_off_costs_no_call(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Line):
        async def receive(self) -> str | bytes:
            await anyio.sleep(1)
            raise ZeroDivisionError

    async def main() -> None:
        app = application(echo)
        async with talking(app) as talk:
            broken = talk.connect(kind=Broken)
            await broken.complete(0)
            await anyio.sleep(2)
            line = await talk.greeted()
            assert await line.answer(1, user("a")) == "1: a"
            await line.hang_up()
            await broken.over.wait()
        assert app.stats.calls == 1

    run(main)
    assert "a connection broke off" in caplog.text


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("lifespan", [True, False])
async def test_the_task_of_a_connection_that_is_cancelled_is_cancelled(lifespan: bool, caplog: pytest.LogCaptureFixture) -> None:
    app = application(echo)
    async with AsyncExitStack() as stack:
        if lifespan:
            await stack.enter_async_context(app.lifespan())
        line = Line(Talk(app, None))
        leading = asyncio.create_task(app.lead("call_1", line))
        await line.complete(0)
        leading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leading
        assert (app.sessions.keys() == {"call_1"}) is lifespan  # where there is none, it was the task that held the call
        assert line.closed_with is None
    assert not app.sessions
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.parametrize("first", [1, 3, 4, 5])
def test_a_new_connection_may_count_from_anywhere_after_an_answer_was_taken_up_again(first: int) -> None:
    async def main() -> None:
        async with talking(application(slow)) as talk:
            line = await talk.greeted()
            for id in (1, 2, 3):
                await line.answer(id, user("a"))
            line.ask(4, user("b"))
            await anyio.sleep(1)
            line.lose(1006)
            line = talk.connect()
            line.may_resume(4)
            assert await line.complete(4) == "One. Two."
            for id in range(first, first + 4):
                assert await line.answer(id, user("c")) == "One. Two."
        assert talk.app.stats.ignored == 0

    run(main)


@pytest.mark.parametrize("heard", ["nothing", "agent_turn", "words", "the user"])
def test_a_greeting_that_was_not_heard_is_given_again(heard: str) -> None:
    async def main() -> None:
        async with talking(application(slow)) as talk:
            line = await talk.greeted()
            if heard == "agent_turn":
                line.update(turn="agent_turn")
            elif heard == "words":
                line.update(agent("Hel"))
            elif heard == "the user":
                line.ask(1, user("Hello?"))
            await anyio.sleep(0.1)
            line.lose(1006)
            line = talk.connect()
            assert await line.complete(0) == ("Hello." if heard == "nothing" else "")

    run(main)


@pytest.mark.parametrize("between", [1, 5])
def test_a_silent_pickup_outlives_a_connection(between: float) -> None:
    async def main() -> None:
        app = application(slow, begin_message=None, silent_pickup=llm.SilentPickup(after=4))
        async with talking(app) as talk:
            line = await talk.greeted()
            await anyio.sleep(1)
            line.lose(1006)
            await anyio.sleep(between)
            line = talk.connect()
            await line.until(lambda answer: isinstance(answer, AgentInterrupt) and answer.content == "Hello?")
            await anyio.sleep(10)
            assert len(line.of(AgentInterrupt)) == 1

    run(main)


def test_a_number_that_cannot_be_sent_back_costs_a_frame_and_no_connection() -> None:
    async def main() -> None:
        app = application(slow)
        async with talking(app) as talk:
            line = talk.connect()
            for number in ("1e999", "NaN", "-Infinity"):
                line.tell(f'{{"interaction_type":"ping_pong","timestamp":{number}}}')
            assert await line.answer(1, user("a")) == "One. Two."
        assert app.stats.ignored == 3

    run(main)


def test_a_connection_takes_the_place_of_one_that_is_still_there() -> None:
    async def main() -> None:
        app = application(slow)
        async with talking(app) as talk:
            first = await talk.greeted()
            first.ask(1, user("a"))
            await anyio.sleep(1)
            second = talk.connect()
            assert await second.answer(1, user("a")) == "One. Two."
            assert first.closed_with == 1001
            assert first.text(1) == "One. "
            second.lose(1000)
            await first.over.wait()
            await second.over.wait()
        assert not app.sessions

    run(main)


def test_two_connections_at_once_before_the_state_is_loaded() -> None:
    class Slow(llm.MemoryStore):
        async def claim(self, call_id: str) -> tuple[int, dict[str, Any] | None]:
            await anyio.sleep(1)
            return await super().claim(call_id)

    async def main() -> None:
        app = application(echo, store=Slow())
        async with talking(app) as talk:
            first = talk.connect()
            await anyio.sleep(0.1)
            second = await talk.greeted()
            assert await second.answer(1, user("a")) == "1: a"
            assert first.closed_with == 1001

    run(main)


# Which calls are taken.


async def admits_nobody(call: Any) -> bool:
    return False


async def yields_nobody(call: Any) -> AsyncIterator[bool]:
    yield False


@pytest.mark.parametrize(
    ("admit", "taken"),
    [
        ({"tenant": "acme"}, True),
        ({"tenant": "acme", "ticket": 17}, True),
        ({}, True),
        ({"tenant": "other"}, False),
        ({"missing": None}, False),
        (lambda call: call.metadata["ticket"] == 17, True),
        (lambda call: False, False),
        (lambda call: call.metadata["missing"], False),
    ],
)
def test_calls_that_are_not_ones_own_are_closed_with_1008(admit: Any, taken: bool) -> None:
    Receptionist.made.clear()
    app = llm.App(secret=None, admit=admit)
    app.agent(Receptionist)

    async def main() -> None:
        async with talking(app, details={"metadata": {"tenant": "acme", "ticket": 17}}) as talk:
            line = talk.connect()
            line.ask(1, user("a"))
            if taken:
                assert await line.complete(1) == "turn 1"
            else:
                await line.over.wait()
                assert line.closed_with == 1008
                assert [answer for answer in line.of(Response) if not ends_greeting(answer)] == []
                assert Receptionist.made[0].log == []
        assert (app.stats.calls, app.stats.refused) == (taken, not taken)

    run(main)


@pytest.mark.parametrize("code", [1000, 1006])
def test_of_a_call_that_was_not_admitted_yet_the_agent_sees_nothing(code: int) -> None:
    seen: list[str] = []

    class Store(llm.MemoryStore):
        async def save(self, call_id: str, record: dict[str, Any], claim: int) -> bool:
            seen.append("saved")
            return await super().save(call_id, record, claim)

    class Seeing(llm.Agent):
        def on_turn(self, turn: llm.Turn) -> str:
            return "Yes."

        async def on_update(self, session: llm.Session, update: llm.Updated) -> None:
            seen.append("on_update")

        async def on_exit(self, session: llm.Session) -> None:
            seen.append("on_exit")

        async def on_leave(self, session: llm.Session) -> None:
            seen.append("on_leave")

    def made(store: llm.Store) -> llm.App:
        app = llm.App(secret=None, admit={"tenant": "acme"}, store=store)
        app.agent(Seeing)
        return app

    async def main() -> None:
        store = Store()
        async with talking(made(store), gives_details=False) as talk:
            line = talk.connect()
            line.update(user("a"))
            await anyio.sleep(1)
            line.lose(code)
            await anyio.sleep(20)
            assert not talk.app.sessions
        app = made(store)
        async with app.lifespan(), talking(app, gives_details=False) as talk:
            talk.connect()
            await anyio.sleep(1)
        assert seen == []
        async with talking(made(store), details={"metadata": {"tenant": "acme"}}) as talk:
            await talk.connect().answer(1, user("a"))
            await anyio.sleep(1)
            assert "saved" in seen
            async with talking(made(store), gives_details=False) as elsewhere:
                elsewhere.connect().lose(code)  # the call has been admitted by the other process
                await anyio.sleep(20)
                assert "on_exit" in seen

    run(main)


@pytest.mark.parametrize("details", [{}, {"metadata": None}, {"metadata": "acme"}])
def test_a_call_without_metadata_is_none_of_ones_own(details: dict[str, Any]) -> None:
    async def main() -> None:
        async with talking(application(echo, admit={"tenant": "acme"}), details=details) as talk:
            line = talk.connect()
            await line.over.wait()
            assert line.closed_with == 1008

    run(main)


def test_a_call_whose_details_do_not_come_is_none_of_ones_own() -> None:
    async def main() -> None:
        async with talking(application(echo, admit={"tenant": "acme"}), gives_details=False) as talk:
            line = talk.connect()
            begun = anyio.current_time()
            await line.over.wait()
            assert line.closed_with == 1008
            assert anyio.current_time() - begun == pytest.approx(2)

    run(main)


def opening(path: str = "/call_1", query: str = "", peer: str | None = "100.20.5.228") -> llm.Opening:
    return llm.Opening(path=path, query=query, peer=peer, forwarded_for=None)


@pytest.mark.parametrize(
    ("path", "query", "found"),
    [
        ("/s3cret-one/call_1", "", "call_1"),
        ("/s3cret-two/call_1", "", "call_1"),
        ("/s3cret-one/call_1/", "", "call_1"),
        ("/deep/down/s3cret-one/call_1", "tenant=5", "call_1"),
        ("/call_1", "secret=s3cret-one", "call_1"),
        ("/llm/call_1", "tenant=5&secret=s3cret-one", "call_1"),
        ("/", "secret=s3cret-one&tenant=x/call_1", "call_1"),
        ("/", "secret=s3cret-one&tenant=x", 404),
        ("/llm", "secret=s3cret-one/call_1", "call_1"),  # the id may be put behind the query
        ("/llm", "secret=s3cret-one&tenant=x/call_1", "call_1"),
        ("/llm", "tenant=x&secret=s3cret-one/call_1", "call_1"),
        ("/s3cret-one", "tenant=x/call_1", "call_1"),
        ("/llm", "tenant=x/call_1", 403),
        ("/call_1", "secret=s3cret-one&next=/a/b", "call_1"),
        ("/s3cret-one/Call_1", "", "Call_1"),
        ("/call_1", "", 403),
        ("/wrong/call_1", "", 403),
        ("/s3cret-onE/call_1", "", 403),
        ("/s3cret-one", "", 403),
        ("/call_1/s3cret-one", "", 403),
        ("/call_1", "secret=", 403),
        ("/", "", 403),
        ("//call_1", "", 403),
        ("/\ud83d/call_1", "", 403),
        ("/", "secret=s3cret-one", 404),
        ("/s3cret-one/call 1", "", 404),
        (f"/s3cret-one/{'c' * 201}", "", 404),
        ("/s3cret-one/call_1\n", "", 404),
    ],
)
def test_the_secret_and_the_id_of_the_call_stand_in_the_address(path: str, query: str, found: str | int) -> None:
    app = application(echo, secret=["s3cret-one", "s3cret-two"])
    answer = app.open(opening(path, query))
    assert (answer.status if isinstance(answer, llm.Refused) else answer) == found
    assert app.stats.refused == isinstance(answer, llm.Refused)


def test_without_a_secret_anybody_may_connect() -> None:
    app = application(echo)
    for path, query in (("/call_1", ""), ("/any/where/call_1", ""), ("/llm", "tenant=x/call_1"), ("/", "tenant=x/call_1")):
        assert app.open(opening(path, query)) == "call_1"


@pytest.mark.parametrize(("peer", "allowed"), [("100.20.5.228", True), ("100.20.5.229", False), (None, False)])
def test_who_connects_can_be_checked(peer: str | None, allowed: bool) -> None:
    app = application(echo, senders=webhooks.Senders())
    found = app.open(opening(peer=peer))
    assert (found == "call_1") if allowed else (isinstance(found, llm.Refused) and found.status == 403)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"secret": ""}, "8 or more"),
        ({"secret": "short"}, "8 or more"),
        ({"secret": "with/a/slash"}, "8 or more"),
        ({"secret": []}, "no secret"),
        ({"secret": ["long-enough", 5]}, "8 or more"),
        ({"timeout": 0}, "timeout must be"),
        ({"timeout": "10"}, "timeout must be"),
        ({"filler": ""}, "filler"),
        ({"filler": ["Hm.", None]}, "filler"),
        ({"filler_after": -1}, "filler_after must be"),
        ({"goodbye_pattern": "("}, "no regular expression"),
        ({"admit": {"tenant": 1}, "call_details": False}, "call_details=False"),
        ({"admit": admits_nobody}, "decides without waiting"),
        ({"admit": yields_nobody}, "decides without waiting"),
        ({"admit": lambda call: (yield)}, "decides without waiting"),
        ({"failure_message": yields_nobody}, "makes one without waiting"),
        ({"secret": 12345678}, "8 or more"),
        ({"filler": 5}, "filler"),
        ({"goodbye_pattern": 5}, "goodbye_pattern must be"),
        ({"goodbye_pattern": re.compile(b"bye")}, "goodbye_pattern must be"),
        ({"goodbye_after": math.inf}, "goodbye_after must be finite"),
        ({"reminder_trigger_ms": math.inf}, "reminder_trigger_ms must be finite"),
        ({"finish_within": math.inf}, "finish_within must be finite"),
        ({"timeout": math.nan}, "timeout must be"),
        ({"begin_message": 5}, "begin_message must be"),
        ({"begin_message": "Hello.", "silent_pickup": llm.SilentPickup(4)}, "one of them must go"),
        ({"silent_pickup": 4}, r"silent_pickup must be an llm\.SilentPickup"),
        ({"auto_reconnect": "no"}, "auto_reconnect must be True or False"),
        ({"call_details": 0}, "call_details must be True or False"),
        ({"transcript_with_tool_calls": None}, "transcript_with_tool_calls must be True or False"),
        ({"admit": 5}, "admit must be"),
        ({"senders": "1.2.3.4"}, r"senders must be a webhooks\.Senders"),
        ({"senders": webhooks.Senders}, r"senders must be a webhooks\.Senders"),
        ({"limits": 5}, r"limits must be an llm\.Limits"),
        ({"store": llm.MemoryStore}, "the store is the class MemoryStore"),
    ],
)
def test_settings_that_cannot_work(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as caught:
        llm.App(**{"secret": None, **settings})
    secret = settings.get("secret")
    if isinstance(secret, str) and secret:
        assert secret not in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"begin_message": "", "silent_pickup": llm.SilentPickup(4)},
        {"begin_message": lambda session: "", "silent_pickup": llm.SilentPickup(4)},
        {
            "timeout": math.inf,
            "filler_after": math.inf,
            "limits": llm.Limits(calls=math.inf, call_seconds=math.inf, messages_per_second=math.inf),
        },
        {"filler": ("Hm.", "Well.")},
        {"secret": ("s3cret-one", "s3cret-two")},
    ],
)
def test_settings_that_work(settings: dict[str, Any]) -> None:
    async def main() -> None:
        app = llm.App(**{"secret": None, **settings})
        app.agent(echo)
        async with talking(app) as talk:
            line = await talk.greeted()
            assert await line.answer(1, user("a")) == "1: a"

    run(main)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: llm.Limits(calls=0),
        lambda: llm.Limits(message_bytes=math.inf),
        lambda: llm.SilentPickup(0),
        lambda: llm.SilentPickup(4, " "),
        lambda: llm.SilentPickup(4, cast("Any", 5)),
    ],
)
def test_parts_of_settings_that_cannot_work(wrong: Any) -> None:
    with pytest.raises(ConfigurationError):
        wrong()


# Too much.


def test_calls_beyond_the_limit_are_refused() -> None:
    async def main() -> None:
        app = application(echo, limits=llm.Limits(calls=1))
        async with talking(app) as talk:
            line = await talk.greeted()
            refused = app.open(opening("/call_2"))
            assert isinstance(refused, llm.Refused)
            assert refused.status == 503
            assert app.open(opening("/call_1")) == "call_1"  # it may connect again
            await line.hang_up()
            assert app.open(opening("/call_2")) == "call_2"

    run(main)


def test_a_call_that_is_too_long_is_hung_up() -> None:
    async def main() -> None:
        async with talking(application(echo, limits=llm.Limits(call_seconds=60))) as talk:
            line = talk.connect()
            begun = anyio.current_time()
            await line.over.wait()
            assert line.closed_with == 1000
            assert anyio.current_time() - begun == pytest.approx(60)

    run(main)


def test_a_frame_that_is_too_long_is_ignored() -> None:
    async def main() -> None:
        app = application(echo, limits=llm.Limits(message_bytes=1000))
        async with talking(app) as talk:
            line = talk.connect()
            line.ask(1, user("a" * 1000))
            assert await line.answer(2, user("a")) == "2: a"
            assert not line.responses(1)
        assert app.stats.ignored == 1

    run(main)


def test_a_flood_is_closed_with_1008() -> None:
    async def main() -> None:
        app = application(echo, limits=llm.Limits(messages_per_second=5))
        async with talking(app) as talk:
            line = await talk.greeted()
            for _ in range(20):  # as fast as is allowed
                for _ in range(5):
                    line.update(user("a"))
                await anyio.sleep(1)
            assert not line.gone.is_set()
            for _ in range(60):
                line.update(user("a"))
            await line.over.wait()
            assert line.closed_with == 1008
        assert app.stats.refused == 0

    run(main)


def test_answers_to_pings_do_not_pile_up_for_one_who_reads_nothing() -> None:
    class Deaf(Line):
        async def send(self, text: str) -> None:
            await super().send(text)
            if len(self.answers) == 3:
                await self.gone.wait()

    async def main() -> None:
        app = application(echo)
        async with talking(app) as talk:
            line = talk.connect(kind=Deaf)
            await line.complete(0)
            for number in range(1000):
                line.tell({"interaction_type": "ping_pong", "timestamp": number})
                await anyio.sleep(0.1)
            assert app.sessions["call_1"]._conversation.waiting < 50

    run(main)


def test_a_reader_that_is_slow_holds_the_agent_back() -> None:
    said = 0

    async def endless(turn: llm.Turn) -> Turns:
        nonlocal said
        while True:
            said += 1
            yield "word "

    class Slow(Line):
        async def send(self, text: str) -> None:
            await anyio.sleep(0.1)
            await super().send(text)

    async def main() -> None:
        async with talking(application(endless)) as talk:
            line = talk.connect(kind=Slow)
            line.ask(1, user("a"))
            await anyio.sleep(10)
            assert len(line.responses(1)) <= said <= len(line.responses(1)) + 40

    run(main)


# The end of the server.


def test_draining_takes_no_new_calls_and_waits_for_the_others() -> None:
    async def main() -> None:
        app = application(slow)
        async with talking(app) as talk:
            line = await talk.greeted()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(app.drain)
                await anyio.sleep(0.1)
                refused = app.open(opening("/call_2"))
                assert isinstance(refused, llm.Refused)
                assert refused.status == 503
                line.lose(1006)
                assert app.open(opening("/call_1")) == "call_1"
                line = talk.connect()
                assert await line.answer(1, user("a")) == "One. Two."
                await line.hang_up()

    run(main)


def test_what_does_not_end_in_time_is_left_to_another_process() -> None:
    async def main() -> None:
        app = application(slow)
        async with talking(app) as talk:
            line = await talk.greeted()
            assert not await app.drain(within=5)
            app.abandon()
            await line.over.wait()
            assert line.closed_with is None  # which Retell sees as 1006, after which it connects again
            assert await app.drain(within=5)

    run(main)
