"""The judge: each rule kept and broken, and our own server found without fault."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from retell_async import llm
from retell_async.llm.messages import Ping, ReminderRequired, ResponseRequired, parse_request
from retell_async.llm.simulator.judge import RULES, Judge, Report

from ..talk import Line, agent, run, talking, user
from ..test_session import application

Json = dict[str, Any]


class Call:
    """A call of which the server is this test. Each step takes a second."""

    def __init__(self, **settings: Any) -> None:
        self.judge = Judge(**settings)
        self.now = 0.0
        self.judge.opened(self.now)

    def ask(self, id: int, kind: Any = ResponseRequired, *said: Json) -> None:
        self.judge.sent(parse_request(json.dumps(kind(response_id=id, transcript=list(said)).to_dict())), self.now)

    def ping(self, timestamp: int = 1) -> None:
        self.judge.sent(Ping(timestamp=timestamp), self.now)

    def pong(self, timestamp: int = 1, *, after: float = 0.0) -> None:
        self.say({"response_type": "ping_pong", "timestamp": timestamp}, after=after)

    def say(self, message: Json | str | bytes, *, after: float = 1.0) -> None:
        self.now += after
        self.judge.received(json.dumps(message) if isinstance(message, dict) else message, self.now)

    def respond(self, id: Any, content: str, *, complete: bool = True, after: float = 1.0, **more: Any) -> None:
        self.say({"response_type": "response", "response_id": id, "content": content, "content_complete": complete, **more}, after=after)

    def begin(self) -> None:
        self.say({"response_type": "config", "config": {"auto_reconnect": True}}, after=0)
        self.respond(0, "Hello.", after=0)

    def seen(self, rule: str) -> int:
        return next(verdict.seen for verdict in self.judge.report(self.now).verdicts if verdict.rule == rule)

    def broken(self, *, after: float = 60.0) -> dict[str, int]:
        return broken(self.judge.report(self.now + after))


def broken(report: Report) -> dict[str, int]:
    assert [verdict.rule for verdict in report.verdicts] == list(RULES)
    assert report.passed == all(verdict.passed for verdict in report.verdicts)
    return {verdict.rule: verdict.broken for verdict in report.verdicts if verdict.broken}


INTERRUPTION = {"response_type": "agent_interrupt", "interrupt_id": 1, "content": "Stop.", "content_complete": True}


def tool(id: str, name: str = "book", arguments: str = '{"slot": 10}') -> Json:
    return {"response_type": "tool_call_invocation", "tool_call_id": id, "name": name, "arguments": arguments}


def test_a_call_without_fault_and_how_fast_it_was() -> None:
    call = Call()
    call.begin()
    call.ping()
    call.say({"response_type": "ping_pong", "timestamp": 1})
    call.ask(1)
    call.respond(1, "Well,", complete=False, after=0.5)
    call.respond(1, " yes. And", complete=False, after=0.5)
    call.respond(1, " more.", after=1)
    call.ask(2)
    call.respond(2, "No", complete=False, after=0.2)
    call.ask(3)
    call.respond(2, "t sent in time", complete=False, after=0.1)  # it cannot know yet
    call.respond(3, "Bye", digit_to_press="1", after=0.3)
    call.ask(4, ReminderRequired)
    call.respond(4, "")  # nothing need be said to one who is silent
    call.say(tool("t1"))
    call.say({"response_type": "tool_call_result", "tool_call_id": "t1", "content": "7"})
    call.say({"response_type": "agent_interrupt", "interrupt_id": 1, "content": "Stop.", "content_complete": True})
    call.say({"response_type": "metadata", "metadata": 1})
    call.judge.closed(1000, call.now)
    report = call.judge.report(call.now)
    assert broken(report) == {}
    assert report.repeated == []
    assert report.first_frame.values == pytest.approx([0.5, 0.4, 1.0])
    assert report.first_sentence.values == pytest.approx([1.0, 0.4])
    assert report.first_frame.quantile(0.5) == pytest.approx(0.5)
    assert report.first_frame.quantile(0.95) == pytest.approx(1.0)
    assert Judge().report(0).first_frame.quantile(0.5) is None
    seen = {verdict.rule for verdict in report.verdicts if verdict.seen}
    # No tool was named, and the caller said nothing, first or later.
    assert seen == set(RULES) - {"effects-once", "greeting-overtaken", "newest-line"}


def begun() -> Call:
    call = Call()
    call.begin()
    return call


def test_a_greeting_with_an_id_that_is_a_text() -> None:
    call = Call()
    call.respond("0", "Hello.")
    assert call.broken() == {"well-formed": 1, "begin-message": 1}


def test_a_caller_who_is_faster_than_the_greeting() -> None:
    call = Call()
    call.respond(0, "Hel", complete=False)
    call.ping()
    call.ask(1)
    call.pong()
    call.respond(0, "")  # the agent may not speak before
    call.respond(1, "Yes.")
    call.ask(2)
    call.respond(2, "No.")
    assert call.broken() == {}
    assert call.seen("greeting-overtaken") == 1


@pytest.mark.parametrize("says", [lambda call: call.respond(1, "Yes."), lambda call: call.say(INTERRUPTION)])
@pytest.mark.parametrize("begun", [False, True])
def test_something_else_before_the_greeting_is_complete(says: Any, begun: bool) -> None:
    call = Call()
    if begun:
        call.respond(0, "Hel", complete=False)
    call.ask(1)
    says(call)
    call.respond(0, "")
    call.ask(2)
    call.respond(2, "No.")
    assert call.broken() == {"greeting-overtaken": 1}
    assert "before the begin message was completed" in str(call.judge.report(call.now).verdicts[4].findings)


def test_an_interruption_before_the_greeting_is_complete() -> None:
    call = Call()
    call.respond(0, "Hel", complete=False)
    call.say(INTERRUPTION)
    call.ask(1)
    call.respond(1, "No.")
    assert call.broken() == {"begin-message": 1}


def test_a_greeting_that_was_on_its_way_when_the_caller_spoke() -> None:
    call = Call()
    call.ask(1)
    call.respond(0, "Hello.")  # it cannot know yet
    call.respond(1, "Yes.")
    assert call.broken() == {}
    assert call.seen("greeting-overtaken") == 0


def test_the_words_of_a_greeting_that_is_out_of_date() -> None:
    call = Call()
    call.ask(1)
    call.ping()
    call.pong()
    call.respond(0, "Hello.")
    call.respond(0, "")
    call.respond(1, "Yes.")
    assert call.broken() == {"current-id": 1}


def test_no_greeting_at_all() -> None:
    assert Call().broken() == {"begin-message": 1}
    assert Call().broken(after=1) == {}  # it may still come


def test_a_message_that_does_not_say_what_it_is() -> None:
    call = begun()
    call.ask(1)
    call.say({"response_id": 1, "content": "Yes.", "content_complete": True})
    assert call.broken() == {"response-type": 1}


@pytest.mark.parametrize("frame", [b"{}", "{", "[]", '{"response_type": "brand_new"}', '{"interaction_type": "ping_pong", "timestamp": 1}'])
def test_a_frame_that_is_none(frame: str | bytes) -> None:
    call = begun()
    call.say(frame)
    assert call.broken() == {"well-formed": 1}


@pytest.mark.parametrize(
    ("message", "odd"),
    [
        ({"response_type": "config", "config": {"auto_reconnect": "yes", "call_details": 1}}, 2),
        ({"response_type": "config", "config": {"transcript_with_tool_calls": "true"}}, 1),
        ({"response_type": "config", "config": {"auto_reconnect": None, "call_details": False, "brand_new": 1}}, 0),
        ({"response_type": "update_agent", "agent_config": {"responsiveness": "high", "reminder_trigger_ms": -1}}, 2),
        ({"response_type": "update_agent", "agent_config": {"interruption_sensitivity": 1.5, "reminder_max_count": 1.5}}, 2),
        ({"response_type": "update_agent", "agent_config": {"responsiveness": True, "reminder_max_count": -1}}, 2),
        ({"response_type": "update_agent", "agent_config": {"responsiveness": 0, "reminder_trigger_ms": 1, "reminder_max_count": 2.0}}, 0),
        ({"response_type": "tool_call_result", "tool_call_id": "t1", "content": "y", "successful": "true"}, 1),
        ({"response_type": "tool_call_result", "tool_call_id": "t1", "content": "y", "successful": None}, 0),
        ({**INTERRUPTION, "no_interruption_allowed": "no"}, 1),
        ({**INTERRUPTION, "end_call": 1}, 1),
        ({**INTERRUPTION, "end_call": None, "no_interruption_allowed": None, "transfer_number": None}, 0),
        ({"response_type": "metadata", "metadata": {"end_call": "yes"}}, 0),
    ],
)
def test_fields_that_need_not_be_there_have_types_too(message: Json, odd: int) -> None:
    call = Call()
    if message["response_type"] != "config":
        call.begin()
        call.say(tool("t1"))
    call.say(message)
    call.respond(0, "Hello.") if message["response_type"] == "config" else None
    assert call.broken() == ({"well-formed": odd} if odd else {})


@pytest.mark.parametrize(
    ("parts", "found"),
    [
        (["We ", "We are ", "We are open ", "We are open until ", "We are open until six.", ""], 1),
        (["We ", "are ", "open ", "until ", "six.", "We are open until six."], 1),
        (["We are open until six.", "We are open until six."], 1),
        (["We are open. ", "And we are ", "We are open. And we are closed on Sunday."], 1),
        (["One moment, please. ", "One moment, please. ", "We are open."], 0),  # said twice, and meant so
        (["No, ", "no, ", "no."], 0),
        (["We are open until six. ", "Are we? ", "We are."], 0),
        (["We are open until six.", ""], 0),
    ],
)
def test_an_answer_whose_parts_say_all_of_it_again(parts: list[str], found: int) -> None:
    call = begun()
    for id in (1, 2):  # another answer may be the same
        call.ask(id)
        for number, part in enumerate(parts, 1):
            call.respond(id, part, complete=number == len(parts), after=0.1)
    assert call.broken() == ({"said-once": 2} if found else {})


def test_a_configuration_that_comes_late() -> None:
    call = begun()
    call.say({"response_type": "config", "config": {}})
    assert call.broken() == {"config-first": 1}


def test_an_answer_that_nobody_asked_for() -> None:
    call = begun()
    call.respond(7, "Yes.")
    assert call.broken() == {"known-id": 1}


@pytest.mark.parametrize(
    ("shown", "parts", "found"),
    [
        ("nothing", [0.5, 1.4], 0),  # who answers no ping has two seconds to read
        ("nothing", [2.1], 1),
        ("echo", [0.3, 0.1, 0.01], 0),  # the pong is on its way for 0.4 s, and overtakes nothing
        ("echo", [0.3, 0.1, 0.03], 1),
        ("echo and pong", [0.3, 0.1], 0),  # the library read it earlier than the application
        ("another time", [0.1, 0.1], 0),  # what a server sends by itself shows nothing
        ("pong", [0.1, 0.1, 0.31], 1),
        ("pong", [0.1, 0.1, 0.29], 0),
    ],
)
def test_an_answer_is_out_of_date_once_the_server_has_read_of_a_newer_one(shown: str, parts: list[float], found: int) -> None:
    call = Call()
    call.respond(0, "Hello.", after=0)
    call.ping(7)
    call.ask(1)
    if "echo" in shown:
        call.pong(7)
    call.ask(2)
    call.ping(8)
    if "pong" in shown:
        call.judge.ponged(call.judge.messages - 1, call.now + (0.1 if "echo" in shown else 0.48))
    if shown == "another time":
        call.pong(12345)
    for number, after in enumerate(parts):
        if shown == "echo" and number == 2:
            call.pong(8)
        call.respond(1, "Yes.", complete=False, after=after)
    call.respond(2, "No.", after=0)
    assert call.broken() == ({"current-id": found} if found else {})


def test_one_outdated_part_each_time_is_found_however_fast_it_comes() -> None:
    call = begun()
    for id in range(1, 51):
        call.ask(id)
        call.ping(id)
        call.pong(id, after=0.001)
        if id > 1:
            call.respond(id - 1, "word ", complete=False, after=0.03)
        call.respond(id, "word ", complete=False, after=0.1)
    call.respond(50, ".", after=0.1)
    assert call.broken() == {"current-id": 49}


@pytest.mark.parametrize(("protected", "found"), [(True, 0), (False, 1)])
def test_an_interruption_that_goes_on_though_the_caller_spoke(protected: bool, found: int) -> None:
    call = begun()
    part: Json = {"response_type": "agent_interrupt", "interrupt_id": 1, "content": "One ", "content_complete": False}
    part |= {"no_interruption_allowed": True} if protected else {}
    call.say(part)
    call.ask(1)
    call.ping(1)
    call.pong(1, after=0.1)
    call.respond(1, "Yes.")
    call.say(part)
    assert call.broken() == ({"current-id": found} if found else {})


def test_what_is_asked_for_while_an_interruption_is_on_its_way_may_be_answered() -> None:
    call = begun()
    call.ask(1)
    call.respond(1, "Well, ", complete=False)
    part: Json = {"response_type": "agent_interrupt", "interrupt_id": 1, "content": "One ", "content_complete": False}
    call.ask(2)
    call.say(part, after=0.001)
    call.respond(2, "Yes.", complete=False, after=0.1)
    call.respond(2, "", after=0.1)
    assert call.broken() == {}


def test_an_interruption_outdates_what_the_server_was_saying() -> None:
    call = begun()
    call.ask(1)
    call.respond(1, "Well, ", complete=False)
    interrupt: Json = {"response_type": "agent_interrupt", "content": "One ", "content_complete": False}
    call.say({**interrupt, "interrupt_id": 1})
    call.respond(1, "Yes.")
    call.say({**interrupt, "interrupt_id": 2})
    call.say({**interrupt, "interrupt_id": 1})
    assert call.broken() == {"current-id": 2}


@pytest.mark.parametrize(("said", "told"), [("", "response 1 was never answered"), ("Well, ", "response 1 was never completed")])
def test_a_turn_that_is_left_open(said: str, told: str) -> None:
    call = begun()
    call.ask(1)
    if said:
        call.respond(1, said, complete=False)
    assert call.broken() == {"completed": 1}
    [found] = [verdict.findings for verdict in call.judge.report(call.now + 60).verdicts if verdict.broken]
    assert [finding.what for finding in found] == [told]


def test_an_answer_that_takes_too_long_though_it_goes_on_coming() -> None:
    call = begun()
    call.ask(1)
    for _ in range(12):
        call.respond(1, "word ", complete=False, after=5.5)
        assert call.broken(after=0) == ({} if call.now < 60 else {"completed": 1})
    call.respond(1, "word.")
    assert call.broken() == {"completed": 1}


def test_an_old_answer_that_goes_on_beside_the_new_one() -> None:
    call = begun()
    call.ask(1)
    call.respond(1, "Well, ", complete=False)
    call.ask(2)
    call.respond(2, "No, ", complete=False, after=0.01)
    call.respond(1, "yes.", complete=False, after=0.03)
    call.respond(2, "no.")
    assert call.broken() == {"current-id": 1}


@pytest.mark.parametrize(("greeted", "rules"), [(False, {"begin-message": 1}), (True, {"completed": 1})])
def test_a_server_that_hangs_up_before_it_answers(greeted: bool, rules: Json) -> None:
    call = Call()
    if greeted:
        call.begin()
        call.ask(1)
        call.respond(1, "Well, ", complete=False)
    call.judge.closed(1000, call.now)
    assert call.broken(after=0.1) == rules


def test_a_caller_who_waits_in_vain() -> None:
    assert broken(begun().judge.report(1, gave_up=True)) == {"completed": 1}
    assert broken(Call().judge.report(16, gave_up=True)) == {"begin-message": 1}


def test_a_caller_who_is_not_done() -> None:
    report = begun().judge.report(1, unsaid=3)
    assert broken(report) == {"to-the-end": 1}
    assert [verdict.findings[0].what for verdict in report.verdicts if verdict.broken] == [
        "it ended the call when the caller had 3 more to say"
    ]


@pytest.mark.parametrize(("content", "more", "found"), [("", {}, 1), (" \n", {}, 1), ("", {"digit_to_press": "1"}, 0), ("Yes.", {}, 0)])
def test_an_answer_without_words(content: str, more: Json, found: int) -> None:
    call = begun()
    call.ask(1)
    call.respond(1, content, **more)
    assert call.broken() == ({"in-words": 1} if found else {})
    assert call.seen("in-words") == 1


INTERRUPTED = {"words": (INTERRUPTION, 0), "spaces": ({**INTERRUPTION, "content": " "}, 1)}
INTERRUPTED["an action"] = {**INTERRUPTION, "content": "", "end_call": True}, 0


@pytest.mark.parametrize("interrupted", INTERRUPTED)
@pytest.mark.parametrize("first", ["the answer", "the interruption"])
def test_an_answer_without_words_that_come_in_an_interruption(interrupted: str, first: str) -> None:
    interruption, found = INTERRUPTED[interrupted]
    call = begun()
    call.ask(1)
    if first == "the interruption":
        call.say(interruption, after=0.1)
    call.respond(1, "", after=0.1)
    if first == "the answer":
        call.say(interruption, after=0.1)
    call.ask(2)
    call.respond(2, "Yes.")
    assert call.broken() == ({"in-words": 1} if found else {})


def test_words_of_an_interruption_are_no_answer_to_what_is_asked_after_it() -> None:
    call = begun()
    call.say(INTERRUPTION)
    call.now += 1
    call.ask(1)
    call.respond(1, "")
    call.ask(2)
    call.say({**INTERRUPTION, "interrupt_id": 2})
    call.respond(2, "Yes.")
    assert call.broken() == {"in-words": 1}


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ({"transfer_number": "+14155550100"}, 0),
        ({"transfer_number": "abc"}, 1),
        ({"transfer_number": "415-555"}, 1),
        ({"transfer_number": "12"}, 1),
        ({"transfer_number": 14155550100}, 1),
        ({"transfer_number": ["+14155550100"]}, 1),
        ({"digit_to_press": "1#"}, 0),
        ({"digit_to_press": "one"}, 1),
    ],
)
def test_an_action_that_cannot_be_done(more: Json, found: int) -> None:
    call = begun()
    call.ask(1)
    call.respond(1, "Bye.", **more)
    assert call.broken() == ({"one-action": 1} if found else {})


def test_more_after_the_last_part() -> None:
    call = begun()
    call.ask(1)
    call.respond(1, "Yes.")
    call.respond(1, "", complete=True)
    call.respond(0, "Hello again.")  # not wanted any more
    assert call.broken() == {"complete-once": 1, "current-id": 1}


def test_two_actions() -> None:
    call = begun()
    call.ask(1)
    call.respond(1, "Bye", complete=False, end_call=True)
    call.respond(1, ".", transfer_number="+14155550100")
    assert call.broken() == {"one-action": 1}


@pytest.mark.parametrize("how", ["never", "late"])
def test_pings_that_are_not_answered(how: str) -> None:
    call = begun()
    call.ping()
    if how == "late":
        call.say({"response_type": "ping_pong", "timestamp": 1}, after=6)
    assert call.broken() == {"pong": 1}


def test_without_reconnection_no_ping_has_to_be_answered() -> None:
    call = Call()
    call.respond(0, "Hello.")
    call.ping()
    assert call.broken() == {}


def test_tool_calls_that_do_not_fit() -> None:
    call = begun()
    call.say({"response_type": "tool_call_result", "tool_call_id": "t0", "content": "7"})
    call.say(tool("t1", "lookup", "slot 10"))
    call.say(tool("t1", "lookup", "{}"))
    call.say(tool("t2", "lookup", '{"slot": NaN}'))
    assert call.broken() == {"tool-calls": 4}


@pytest.mark.parametrize(
    ("said", "answers", "alike"),
    [
        (["a"], ["yes"], None),
        (["a", "a"], ["yes", "yes"], None),
        (["a", "b"], ["yes", "yes"], True),
        (["a", "b", "c"], ["yes", "yes ", "no"], False),
        (["a", "b"], ["yes", ""], None),
    ],
)
def test_one_answer_to_all_that_the_caller_says(said: list[str], answers: list[str], alike: bool | None) -> None:
    call = begun()
    for id, (words, answer) in enumerate(zip(said, answers, strict=True), 1):
        call.ask(id, ResponseRequired, agent("Hello."), user(words), agent("Hm"))
        call.respond(id, answer)
    call.ask(9, ReminderRequired, user("something else"))
    call.respond(9, "Are you there?")
    assert call.judge.report(9).alike is alike


@pytest.mark.parametrize(
    ("first", "answer", "found"),
    [
        (user("I want to come at ten."), "You said: I want to come at ten.", 1),
        (user("I want to come at ten."), "I want to come at ten.", 1),
        (agent("Hello, this is Ann."), "Hello, this is Ann. I see.", 1),
        (agent("Hello, this is Ann."), "Hello, this is Ann.", 0),
        (user("Hi"), "Hi there, this is a demo.", 0),
        (user(""), "This is a demo.", 0),
    ],
)
def test_every_answer_repeats_the_first_line(first: Json, answer: str, found: int) -> None:
    call = begun()
    for id, words in enumerate(("And at eleven?", "No, at noon."), 1):
        call.ask(id, ResponseRequired, first, agent("Hm"), user(words))
        call.respond(id, answer)
    assert call.broken() == ({"newest-line": found} if found else {})


@pytest.mark.parametrize(("effects", "found"), [(frozenset[str](), 0), (frozenset({"book"}), 1), (frozenset({"mail"}), 0)])
def test_a_side_effect_that_happens_twice(effects: frozenset[str], found: int) -> None:
    call = Call(side_effects=effects)
    call.begin()
    for which in range(3):
        call.say(tool(f"t{which}", arguments='{"slot": 10, "day": 1}' if which else '{"day": 1, "slot": 10}'))
    assert call.broken() == ({"effects-once": found} if found else {})
    assert call.judge.report(9).repeated == ([] if found else ["book"])  # it may only look something up


def test_nothing_is_missing_in_a_call_that_never_was() -> None:
    assert broken(Judge(exactly_once=frozenset({"book"})).report(9)) == {}


def test_many_faults_take_no_room() -> None:
    call = begun()
    for _ in range(1000):
        call.say("{", after=0.001)
    [verdict] = [verdict for verdict in call.judge.report(9).verdicts if verdict.broken]
    assert (verdict.broken, len(verdict.findings)) == (1000, 20)


def test_a_server_that_closes() -> None:
    call = begun()
    call.judge.closed(1011, call.now)
    assert call.broken() == {"stays-open": 1}


def test_a_reconnection_asks_for_a_begin_message_and_what_was_left() -> None:
    call = begun()
    call.ask(1)
    call.judge.lost(call.now)
    call.judge.opened(call.now)
    call.begin()
    call.respond(1, "Yes.")
    assert call.broken() == {}


def test_our_own_server_is_found_without_fault() -> None:
    judge = Judge()

    async def answer(turn: llm.Turn) -> AsyncIterator[str]:
        id = turn.tool_call("lookup", {"turn": turn.id})
        turn.tool_result(id, "7")
        yield "Well, "
        if turn.id == 3:
            raise ZeroDivisionError
        await anyio.sleep(1)
        yield "yes."

    class Watched(Line):
        async def send(self, text: str) -> None:
            judge.received(text, anyio.current_time())
            await super().send(text)

        def asked(self, id: int) -> None:
            judge.sent(ResponseRequired(response_id=id, transcript=[]), anyio.current_time())
            self.ask(id, agent("Hello."), user("a"))

    async def main() -> None:
        async with talking(application(answer)) as talk:
            judge.opened(anyio.current_time())
            line = talk.connect(kind=Watched)
            assert isinstance(line, Watched)
            await line.complete(0)
            for id, pause in enumerate([3.0, 0.5, 3.0, 0.1, 3.0], 1):
                line.asked(id)
                await anyio.sleep(pause)
            line.lose(1006)
            judge.lost(anyio.current_time())
            judge.opened(anyio.current_time())
            line = talk.connect(kind=Watched)
            assert isinstance(line, Watched)
            await anyio.sleep(1)
            line.asked(6)
            await anyio.sleep(60)
            report = judge.report(anyio.current_time())
            assert broken(report) == {}
            assert len(report.first_frame.values) == 4

    run(main)
