"""Retell's side as the simulator plays it, in virtual time: what it sends, when, and how a call ends."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import Any

import pytest

from retell_async.llm.messages import Message, ResponseRequired, dump
from retell_async.llm.simulator.player import Player, socket_url
from retell_async.llm.simulator.scenarios import HangUp, Lines, Lose, Pause, Say, Send, Silence, Step, Wait, read_scenarios, scenarios

Json = dict[str, Any]
Server = Callable[[Json], Iterable[tuple[float, Json | str | bytes]]]
"""What comes of a frame: frames, and after how many seconds. The opening of a connection is a frame of the kind ``opened``."""


def response(id: Any, content: str, *, complete: bool = True, **more: Any) -> Json:
    return {"response_type": "response", "response_id": id, "content": content, "content_complete": complete, **more}


def polite(frame: Json) -> Iterator[tuple[float, Json]]:
    """A server without fault."""
    match frame["interaction_type"]:
        case "opened":
            yield (
                0,
                {"response_type": "config", "config": {"auto_reconnect": True, "call_details": True, "transcript_with_tool_calls": True}},
            )
            yield 0, response(0, "Hello there.")
        case "ping_pong":
            yield 0.01, {"response_type": "ping_pong", "timestamp": frame["timestamp"]}
        case "response_required":
            yield 0.1, response(frame["response_id"], "One two three four", complete=False)
            yield 0.5, response(frame["response_id"], " five.", end_call=heard(frame).startswith("Bye"))
        case "reminder_required":
            yield 0.1, response(frame["response_id"], "Still there?")


def heard(frame: Json) -> str:
    return next((line["content"] for line in reversed(frame["transcript"]) if line["role"] == "user"), "")


class Play:
    """A call in virtual time. `sent` is all that the player sent, and when."""

    def __init__(self, server: Server, steps: Iterable[Step], **settings: Any) -> None:
        self.server = server
        self.player = Player(steps=steps, details={"call_id": "call_1"}, pace=10.0, patience=5.0, epoch=1e12, **settings)
        self.now = 0.0
        self.sent: list[tuple[float, Json]] = []
        self.opened: list[float] = []
        self.refuses = 0
        self.closed_with: int | None = None
        self._coming: list[tuple[float, int, Json | str | bytes | int]] = []
        self._number = 0

    def run(self, until: float = 1e6) -> Play:
        player, up = self.player, False
        while True:
            if not up:
                if player.over or player.connect_at is None or player.connect_at > until:
                    return self
                self.now = max(self.now, player.connect_at)
                if self.refuses:
                    self.refuses -= 1
                    player.failed(self.now)
                    continue
                up, self._coming = True, []
                self.opened.append(self.now)
                self._serve({"interaction_type": "opened"})
                player.opened(self.now)
            while player.frames:
                frame = player.frames.popleft()
                text = frame if isinstance(frame, str) else dump(frame)
                self.sent.append((self.now, json.loads(text)))
                self._serve(json.loads(text))
            if player.losing:
                up = False
                player.closed(1006, self.now)
                continue
            if player.over:
                self.closed_with = player.closing
                return self
            self._coming.sort(key=lambda entry: entry[:2])
            at = self._coming[0][0] if self._coming else 1e9
            if player.deadline is not None and player.deadline < at:
                assert player.deadline > self.now - 1e-9, "it asks to be woken in the past"
                self.now = max(player.deadline, self.now)
                if self.now > until:
                    return self
                player.time_passed(self.now)
                continue
            if at > until:
                return self
            self.now, _, coming = self._coming.pop(0)
            if isinstance(coming, int):
                up = False
                player.closed(coming, self.now)
            else:
                player.received(json.dumps(coming) if isinstance(coming, dict) else coming, self.now)

    def kinds(self, *without: str) -> list[str]:
        return [frame["interaction_type"] for _, frame in self.sent if frame["interaction_type"] not in without]

    def requests(self) -> list[Json]:
        return [frame for _, frame in self.sent if "response_id" in frame]

    def said(self, frame: Json) -> list[str]:
        return [f"{line['role']}: {line['content']}" for line in frame["transcript"]]

    def _serve(self, frame: Json) -> None:
        for after, what in self.server(frame):
            self._number += 1
            self._coming.append((self.now + after, self._number, what))


def test_a_plain_call() -> None:
    play = Play(polite, [Wait(), Say("Are you open?"), Wait()]).run()
    assert play.player.ended == "played"
    assert play.closed_with == 1000
    assert play.kinds("ping_pong") == [
        "call_details",
        "update_only",  # agent_turn
        "update_only",  # greeted
        "update_only",  # user_turn
        "update_only",
        "response_required",
        "update_only",
        "update_only",
    ]
    turns = [frame.get("turntaking") for _, frame in play.sent if frame["interaction_type"] == "update_only"]
    assert turns == ["agent_turn", None, "user_turn", None, "agent_turn", None]
    [asked] = play.requests()
    assert play.said(asked) == ["agent: Hello there.", "user: Are you open?"]
    assert play.said([frame for _, frame in play.sent if "transcript" in frame][-1])[-1] == "agent: One two three four five."
    assert [line["content"] for line in play.player.spoken] == ["Hello there.", "Are you open?", "One two three four five."]
    words = asked["transcript"][1]["words"]
    assert [word["word"] for word in words] == ["Are", "you", "open?"]
    assert words[0]["start"] < words[0]["end"] <= words[1]["start"] + 1e-9


def test_who_interrupts_hears_only_what_was_spoken() -> None:
    def at_length(frame: Json) -> Iterator[tuple[float, Any]]:
        if frame["interaction_type"] == "response_required":
            yield 0.1, response(frame["response_id"], "one two three four five six seven eight nine ten", complete=False)
            yield 9, response(frame["response_id"], "eleven")
        else:
            yield from polite(frame)

    play = Play(at_length, [Wait(), Say("a"), Wait("words"), Pause(0.35), Say("b b"), Wait("words")]).run()
    first, second = play.requests()
    assert [first["response_id"], second["response_id"]] == [1, 2]
    assert play.said(second) == ["agent: Hello there.", "user: a", "agent: one two three four", "user: b b"]


def test_a_begin_message_that_says_nothing() -> None:
    def mute(frame: Json) -> Iterator[tuple[float, Any]]:
        yield from ([(0.0, response(0, ""))] if frame["interaction_type"] == "opened" else polite(frame))

    play = Play(mute, [Wait(), Say("a"), Wait()]).run()
    assert play.said(play.requests()[0]) == ["user: a"]
    assert "transcript_with_tool_calls" not in play.requests()[0]
    assert play.kinds().count("ping_pong") == 0


def test_reminders_with_and_without_a_transcript() -> None:
    play = Play(polite, [Wait(), Silence(), Wait(), Silence(heard=False), Wait()]).run()
    assert [(frame["interaction_type"], play.said(frame)) for frame in play.requests()] == [
        ("reminder_required", ["agent: Hello there."]),
        ("reminder_required", []),
    ]


def test_tool_calls_stand_where_they_were_made() -> None:
    def tooling(frame: Json) -> Iterator[tuple[float, Any]]:
        if frame["interaction_type"] == "response_required" and frame["response_id"] == 1:
            yield 0.1, {"response_type": "tool_call_invocation", "tool_call_id": "t1", "name": "book", "arguments": "{}"}
            yield 0.2, {"response_type": "tool_call_result", "tool_call_id": "t1", "content": "7"}
            yield 9, response(1, "Booked.")
        else:
            yield from polite(frame)

    play = Play(tooling, [Wait(), Say("a"), Wait("tool"), Pause(0.5), Say("b"), Wait()]).run()
    second = play.requests()[1]
    assert [item["role"] for item in second["transcript_with_tool_calls"]] == [
        "agent",
        "user",
        "tool_call_invocation",
        "tool_call_result",
        "user",
    ]
    assert second["transcript_with_tool_calls"][2] == {
        "role": "tool_call_invocation",
        "tool_call_id": "t1",
        "name": "book",
        "arguments": "{}",
    }


def test_the_agent_interrupts() -> None:
    def interrupting(frame: Json) -> Iterator[tuple[float, Any]]:
        if frame["interaction_type"] == "response_required":
            yield 0.1, response(frame["response_id"], "one two three four five six seven eight", complete=False)
            yield 0.31, {"response_type": "agent_interrupt", "interrupt_id": 3, "content": "Stop", "content_complete": False}
            yield (
                0.4,
                {"response_type": "agent_interrupt", "interrupt_id": 3, "content": " it.", "content_complete": True, "end_call": True},
            )
        else:
            yield from polite(frame)

    play = Play(interrupting, [Wait(), Say("a"), Wait(), Say("never said")]).run()
    assert play.player.ended == "hung up by the agent"
    assert [line["content"] for line in play.player.spoken][1:] == ["a", "one two three", "Stop it."]


def test_an_interruption_that_comes_too_late_is_not_heard() -> None:
    def late(frame: Json) -> Iterator[tuple[float, Any]]:
        part = {"response_type": "agent_interrupt", "interrupt_id": 1, "content": "One two three ", "content_complete": False}
        if frame.get("response_id") == 1:
            yield from [(0.1, part), (0.5, part), (0.55, part)]
        else:
            yield from polite(frame)

    play = Play(late, [Wait(), Say("a"), Wait("words"), Pause(0.15), Say("b"), Wait()]).run()
    assert [line["content"] for line in play.player.spoken][1:] == ["a", "One two", "b", "One two three four five."]


@pytest.mark.parametrize("cut", [True, False])
def test_end_call_counts_if_it_was_heard(cut: bool) -> None:
    steps = [Wait(), Say("Bye"), Wait("words"), *([Say("Wait"), Wait()] if cut else [Pause(5)])]
    play = Play(polite, steps).run()
    assert play.player.ended == ("played" if cut else "hung up by the agent")


def test_a_transfer_ends_the_call() -> None:
    def transferring(frame: Json) -> Iterator[tuple[float, Any]]:
        if frame["interaction_type"] == "response_required":
            yield 0.1, response(1, "", transfer_number="+14155550100")
        else:
            yield from polite(frame)

    assert Play(transferring, [Wait(), Say("a"), Wait(), Say("b")]).run().player.ended == "transferred by the agent"


def test_an_answer_is_asked_for_again_after_a_loss() -> None:
    play = Play(polite, [Wait(), Say("a b"), Wait("words"), Lose(), Wait()]).run()
    assert play.player.ended == "played"
    assert len(play.opened) == 2
    first, again = play.requests()
    assert (first["response_id"], again["response_id"]) == (1, 2)
    assert play.said(again)[:2] == ["agent: Hello there.", "user: a b"]


def test_no_begin_message_is_needed_after_a_loss() -> None:
    openings: list[Json] = []

    def once(frame: Json) -> Iterator[tuple[float, Any]]:
        if frame["interaction_type"] == "opened":
            openings.append(frame)
            if len(openings) > 1:
                return
        yield from polite(frame)

    play = Play(once, [Wait(), Say("a"), Wait("words"), Lose(), Wait()]).run()
    assert play.player.ended == "played"
    (_, _), (again, _) = [(at, frame) for at, frame in play.sent if "response_id" in frame]
    assert again == pytest.approx(play.opened[1] + 2.0)


def test_what_was_answered_is_not_asked_for_again() -> None:
    play = Play(polite, [Wait(), Say("a"), Wait(), Lose(), Pause(1)]).run()
    assert len(play.requests()) == 1


def test_a_server_that_loses_the_connection() -> None:
    def losing(frame: Json) -> Iterator[tuple[float, Any]]:
        yield from ([(0.1, 1006)] if frame["interaction_type"] == "response_required" else polite(frame))

    play = Play(losing, [Wait(), Say("a"), Wait()]).run()
    assert len(play.opened) == 5
    assert play.player.ended == "the connection was lost too often"


@pytest.mark.parametrize(("code", "ended"), [(1000, "hung up by the agent"), (1011, "closed by the server with 1011")])
def test_a_server_that_closes(code: int, ended: str) -> None:
    def closing(frame: Json) -> Iterator[tuple[float, Any]]:
        yield from ([(0.1, code)] if frame["interaction_type"] == "response_required" else polite(frame))

    assert Play(closing, [Wait(), Say("a"), Wait()]).run().player.ended == ended


def test_a_binary_frame_ends_the_call() -> None:
    def binary(frame: Json) -> Iterator[tuple[float, Any]]:
        yield from ([(0.1, b"{}")] if frame["interaction_type"] == "response_required" else polite(frame))

    play = Play(binary, [Wait(), Say("a"), Wait()]).run()
    assert (play.player.ended, play.closed_with) == ("a binary frame came", 1007)


def test_pings_come_every_two_seconds() -> None:
    play = Play(polite, [Wait(), Pause(9)]).run()
    at = [at for at, frame in play.sent if frame["interaction_type"] == "ping_pong"]
    assert at == pytest.approx([0, 2, 4, 6, 8, 10][: len(at)])
    assert len(at) in {5, 6}
    assert play.sent[0][1] == {"interaction_type": "call_details", "call": {"call_id": "call_1"}}


def test_a_server_that_answers_no_ping_is_connected_to_twice_again() -> None:
    def deaf(frame: Json) -> Iterator[tuple[float, Any]]:
        yield from (() if frame["interaction_type"] == "ping_pong" else polite(frame))

    play = Play(deaf, [Wait(), Pause(60)]).run()
    assert play.opened == pytest.approx([0, 5.3, 10.6])
    assert play.player.ended == "no ping was answered"


def test_a_loss_is_no_silence_though_a_ping_is_on_its_way() -> None:
    def late(frame: Json) -> Iterator[tuple[float, Any]]:
        for after, answer in polite(frame):
            yield after + (4 if frame["interaction_type"] == "ping_pong" else 0), answer

    play = Play(late, [Wait(), Lose(), Pause(0.5), Lose(), Pause(0.5), Lose(), Pause(0.5)]).run()
    assert play.player.ended == "played"


def test_a_server_that_never_answers_is_given_up() -> None:
    play = Play(lambda _: (), [Wait(), Say("never said")]).run()
    assert (play.now, play.player.ended, play.player.gave_up) == (5.0, "given up: the agent fell silent", True)


@pytest.mark.parametrize("parts", ["words", "nothing", "tools", "interruptions", "whole interruptions"])
def test_an_answer_without_end_is_given_up(parts: str) -> None:
    def part(id: int, number: int) -> Json:
        if parts == "tools":
            return {"response_type": "tool_call_invocation", "tool_call_id": str(number), "name": "look", "arguments": "{}"}
        if parts in {"words", "nothing"}:
            return response(id, "" if parts == "nothing" else " more", complete=False)
        whole = parts.startswith("whole")
        content = " ".join(["more"] * 5)
        return {"response_type": "agent_interrupt", "interrupt_id": number * whole, "content": content, "content_complete": whole}

    def endless(frame: Json) -> Iterator[tuple[float, Any]]:
        if frame["interaction_type"] == "response_required":
            for number in range(1, 100):
                yield number * 0.2, part(frame["response_id"], number)
        else:
            yield from polite(frame)

    play = Play(endless, [Wait(), Say("a"), Wait(), Say("never said")], longest=10).run()
    assert play.player.ended == "given up: an answer without an end"
    assert play.now < 12


def test_an_answer_that_goes_on_coming_is_waited_for() -> None:
    def slow(frame: Json) -> Iterator[tuple[float, Any]]:
        if frame["interaction_type"] == "response_required":
            for number in range(1, 6):
                yield number * 4, response(1, " more", complete=number == 5)
        else:
            yield from polite(frame)

    assert Play(slow, [Wait(), Say("a"), Wait()]).run().player.ended == "played"


def test_what_is_complete_is_heard_to_its_end() -> None:
    def at_length(frame: Json) -> Iterator[tuple[float, Any]]:
        asked = frame["interaction_type"] == "response_required"
        yield from [(0.1, response(frame["response_id"], "word " * 200))] if asked else polite(frame)

    play = Play(at_length, [Wait(), Say("a"), Wait(), Say("b")]).run()
    assert play.player.ended == "played"
    assert len(play.player.spoken[2]["content"].split()) == 200


@pytest.mark.parametrize("open_ended", [True, False])
def test_a_call_that_does_not_come_to_its_end_is_given_up(open_ended: bool) -> None:
    def at_length(frame: Json) -> Iterator[tuple[float, Any]]:
        asked = frame["interaction_type"] == "response_required"
        yield from [(0.1, response(frame["response_id"], "word " * 500_000))] if asked else polite(frame)

    play = Play(at_length, [Wait(), Say("a"), Wait(), Say("b")], most=60, open_ended=open_ended).run()
    assert (play.player.ended, play.player.gave_up) == ("given up: not over after 60 s", True)
    assert play.now == pytest.approx(60)
    assert Play(polite, [Wait(), Pause(50)], most=60).run().player.ended == "played"


def test_the_last_answer_is_waited_for() -> None:
    play = Play(polite, [Wait(), Say("a"), Wait("words")]).run()
    assert play.player.spoken[-1]["content"] == "One two three four five."

    def without_end(frame: Json) -> Iterator[tuple[float, Any]]:
        for after, answer in polite(frame):
            if "five" not in answer.get("content", ""):
                yield after, answer

    assert Play(without_end, [Wait(), Say("a"), Wait("words")]).run().player.gave_up


@pytest.mark.parametrize(("end", "unsaid"), [({"end_call": True}, 2), ({"transfer_number": "+14155550100"}, 2), ({}, 0)])
def test_what_the_caller_would_have_said(end: Json, unsaid: int) -> None:
    def ending(frame: Json) -> Iterator[tuple[float, Json]]:
        if frame["interaction_type"] == "opened":
            yield 0, response(0, "Hello.")
        if frame["interaction_type"] == "response_required":
            yield 0, response(frame["response_id"], "Bye.", **end)

    play = Play(ending, [Wait(), Say("a"), Wait(), Say("b"), Wait(), Say("c"), Silence(), Wait()]).run()
    assert play.player.unsaid == unsaid


def test_a_ping_follows_each_request() -> None:
    play = Play(polite, [Wait(), Say("a"), Wait(), Say("b"), Wait()]).run()
    kinds = play.kinds("update_only")
    assert [after for before, after in pairwise(kinds) if before == "response_required"] == ["ping_pong"] * 2
    stamps = [frame["timestamp"] for _, frame in play.sent if frame["interaction_type"] == "ping_pong"]
    assert len(set(stamps)) == len(stamps)


def test_what_the_agent_did_beside_speaking() -> None:
    def busy(frame: Json) -> Iterator[tuple[float, Any]]:
        if frame["interaction_type"] == "response_required":
            id = frame["response_id"]
            yield 0.1, {"response_type": "tool_call_invocation", "tool_call_id": f"t{id}", "name": "book", "arguments": "{}"}
            yield 0.2, {"response_type": "tool_call_result", "tool_call_id": f"t{id}", "content": "7"}
            more: Json = {1: {}, 2: {"digit_to_press": "1#"}, 3: {"transfer_number": "+14155550100"}}[id]
            yield 0.3, response(id, "One two three four.", **more)
        else:
            yield from polite(frame)

    play = Play(busy, [Wait(), Say("a"), Wait("words"), Pause(0.15), Say("b"), Wait(), Say("c"), Wait(), Say("d")]).run()
    assert [(sign.kind, sign.what) for sign in play.player.signs] == [
        ("said", "Hello there."),
        ("tool", "book {}"),
        ("result", "7"),
        ("cut off", "One two"),
        ("tool", "book {}"),
        ("result", "7"),
        ("said", "One two three four."),
        ("presses", "1#"),
        ("tool", "book {}"),
        ("result", "7"),
        ("said", "One two three four."),
        ("transfers", "+14155550100"),
    ]


def test_a_caller_whose_words_were_typed_takes_no_time_to_say_them() -> None:
    play = Play(polite, [Wait(), Say("one two three four five"), Wait()], caller_pace=float("inf")).run()
    spoken = [at for at, frame in play.sent if frame.get("turntaking") == "user_turn"]
    asked = [at for at, frame in play.sent if "response_id" in frame]
    assert asked == spoken
    assert [word["end"] - word["start"] for word in play.player.spoken[1]["words"]] == [0.0] * 5


def test_a_refusal_that_will_not_change() -> None:
    player = Player(steps=[Wait()], details={})
    player.failed(1.0, final=True)
    assert player.ended == "no connection"


def test_the_caller_hangs_up_at_once() -> None:
    play = Play(polite, [Wait(), Say("a"), Wait()]).run(until=0.05)
    play.player.hang_up()
    assert (play.player.ended, play.player.closing, play.player.unsaid) == ("hung up by the caller", 1000, 0)


@pytest.mark.parametrize(("refused", "ended"), [(2, "played"), (3, "no connection")])
def test_three_attempts_to_connect(refused: int, ended: str) -> None:
    play = Play(polite, [Wait()])
    play.refuses = refused
    play.run()
    assert play.player.ended == ended
    assert play.opened == ([6.0] if refused == 2 else [])


def test_a_frame_as_it_is_and_hanging_up() -> None:
    play = Play(polite, [Wait(), Send('{"interaction_type": "brand_new"}'), HangUp(), Say("never said")]).run()
    assert play.player.ended == "hung up by the caller"
    assert play.kinds()[-1] == "brand_new"


def test_more_steps_may_come() -> None:
    play = Play(polite, [], open_ended=True)
    play.run(until=29)
    assert not play.player.over
    player = play.player
    player.frames.clear()
    player.add([Say("a"), Wait()], 29.1)
    player.time_passed(29.3)
    player.add([Say("b")], 29.4)  # typed while the answer is waited for
    player.time_passed(29.6)
    asked = [frame.response_id for frame in player.frames if isinstance(frame, ResponseRequired)]
    assert asked == [1, 2]
    assert not player.over


@pytest.mark.parametrize(
    "garbage", ["{", "[]", '{"response_type": "brand_new"}', json.dumps(response("1", "a")), json.dumps(response(7, "a"))]
)
def test_what_is_no_answer_is_passed_over(garbage: str) -> None:
    def odd(frame: Json) -> Iterator[tuple[float, Any]]:
        yield 0.0, garbage
        yield from polite(frame)

    play = Play(odd, [Wait(), Say("a"), Wait()]).run()
    assert play.player.ended == "played"
    assert [line["content"] for line in play.player.spoken] == ["Hello there.", "a", "One two three four five."]


def test_every_scenario_is_played_to_its_end() -> None:
    found = scenarios(Lines(goodbye="Bye"))
    assert len({scenario.name for scenario in found}) == len(found) >= 9
    for scenario in found:
        play = Play(polite, scenario.steps).run()
        assert play.player.ended == ("hung up by the agent" if scenario.name == "goodbye" else "played"), scenario.name
        assert play.now < 30
        ids = [frame["response_id"] for frame in play.requests() if frame["response_id"] != "x"]
        assert ids == list(range(1, len(ids) + 1))


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("ws://h:1/llm/", "ws://h:1/llm/c1"),
        ("https://h/llm?secret=s", "wss://h/llm/c1?secret=s"),
        ("http://h", "ws://h/c1"),
        ("http://h:80?tenant=1", "ws://h:80/c1?tenant=1"),
    ],
)
def test_the_address_of_a_call(url: str, found: str) -> None:
    assert socket_url(url, "c1") == found


SCRIPT = """
[[scenario]]
name = "booking"
about = "a slot"
tools = ["book"]
steps = ["wait", "say At ten.", "wait words", "wait tool", "wait answer", "silence", "pause 1.5", "lose", "send {}", "hang up"]
"""


def test_scenarios_of_ones_own() -> None:
    [scenario] = read_scenarios(SCRIPT)
    assert (scenario.name, scenario.about, scenario.tools) == ("booking", "a slot", frozenset({"book"}))
    assert list(scenario.steps) == [
        Wait(),
        Say("At ten."),
        Wait("words"),
        Wait("tool"),
        Wait(),
        Silence(),
        Pause(1.5),
        Lose(),
        Send("{}"),
        HangUp(),
    ]


@pytest.mark.parametrize(
    ("script", "wrong"),
    [
        ("", r"no table \[\[scenario\]\]"),
        ("scenario = [1]", "scenario 1 needs a name"),
        ("[[scenario]]\nsteps = ['wait']", "scenario 1 needs a name"),
        ("[[scenario]]\nname = 'a'", "scenario 1 needs steps"),
        ("[[scenario]]\nname = 'a'\nsteps = [1]", "scenario 1 needs steps"),
        ("[[scenario]]\nname = 'a'\nsteps = ['wait']\ntools = 'book'", "tools that are not a list"),
        ("[[scenario]]\nname = 'a'\nsteps = ['wait', 'shout']", "step 2 of scenario 1 is none: say <words>"),
        ("[[scenario]]\nname = 'a'\nsteps = ['say']", "step 1 of scenario 1"),
        ("[[scenario]]\nname = 'a'\nsteps = ['pause x']", "step 1 of scenario 1"),
        ("[[scenario]]\nname = 'a'\nsteps = ['wait']\nmood = 1", "no use for mood"),
        ("[[scenario", "."),
    ],
)
def test_a_script_that_cannot_be_read(script: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        read_scenarios(script)


def test_messages_are_the_protocols_own() -> None:
    play = Play(polite, [Wait(), Say("a"), Wait()])
    play.player.opened(0.0)
    play.player.received(json.dumps(response(0, "Hello.")), 0.0)
    assert play.player.frames
    assert all(isinstance(frame, Message) for frame in play.player.frames)
