"""The state machine: each rule of the facts, then any order of anything."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from retell_async.llm.messages import AgentConfig, Options
from retell_async.llm.protocol import Action, Asked, Conversation, Details, Ignored, Other, Updated

Json = dict[str, Any]
OPTIONS = Options(auto_reconnect=True, call_details=True)


def opened(*, greeting: str | None = "Hello.") -> Conversation:
    """A conversation whose begin message was given."""
    conversation = Conversation(options=OPTIONS)
    conversation.opened()
    if greeting is not None:
        assert conversation.respond(0, greeting, complete=True)
        sent(conversation)
    return conversation


def sent(conversation: Conversation) -> list[Json]:
    frames = []
    while (frame := conversation.next_frame()) is not None:
        frames.append(json.loads(frame))
    return frames


def ask(conversation: Conversation, id: int, kind: str = "response_required", transcript: object = ()) -> list[Any]:
    return conversation.received(json.dumps({"interaction_type": kind, "response_id": id, "transcript": list(transcript)}))  # type: ignore[call-overload]


def update(turn: str | None = None, *transcript: Json) -> str:
    return json.dumps({"interaction_type": "update_only", "transcript": transcript, **({"turntaking": turn} if turn else {})})


def test_the_configuration_is_first_and_the_begin_message_is_asked_for() -> None:
    conversation = Conversation(options=OPTIONS)
    assert conversation.opened() == [Asked(0, "begin")]
    conversation.tool_call("t1", "lookup", "{}")
    assert conversation.respond(0, "Hello.", complete=True)
    assert sent(conversation) == [
        {"response_type": "config", "config": {"auto_reconnect": True, "call_details": True}},
        {"response_type": "tool_call_invocation", "tool_call_id": "t1", "name": "lookup", "arguments": "{}"},
        {"response_type": "response", "response_id": 0, "content": "Hello.", "content_complete": True},
    ]


def test_without_options_there_is_no_configuration() -> None:
    conversation = Conversation()
    conversation.opened()
    assert sent(conversation) == []


def test_waiting_for_the_user_is_an_empty_begin_message() -> None:
    conversation = opened(greeting=None)
    assert conversation.respond(0, "", complete=True)
    assert sent(conversation)[1:] == [{"response_type": "response", "response_id": 0, "content": "", "content_complete": True}]
    assert conversation.wanted is None


def test_an_answer_in_parts_is_complete_once() -> None:
    conversation = opened()
    assert ask(conversation, 1) == [Asked(1, "response")]
    assert conversation.wanted == 1
    assert conversation.respond(1, "Yes, ", complete=False)
    assert conversation.respond(1, "", complete=False)  # says nothing and sends nothing
    assert conversation.respond(1, "until six.", complete=True)
    assert not conversation.respond(1, "And", complete=False)
    assert not conversation.respond(1, "", complete=True)
    assert [(frame["content"], frame["content_complete"]) for frame in sent(conversation)] == [("Yes, ", False), ("until six.", True)]


def test_a_reminder_is_answered_like_a_response() -> None:
    conversation = opened()
    assert ask(conversation, 1, "reminder_required") == [Asked(1, "reminder")]
    assert conversation.respond(1, "Are you there?", complete=True)
    assert sent(conversation)[0]["response_id"] == 1


def test_a_newer_request_discards_what_was_said_to_the_older_one() -> None:
    conversation = opened()
    ask(conversation, 1)
    conversation.respond(1, "Yes, ", complete=False)
    assert conversation.next_frame() is not None
    conversation.respond(1, "until ", complete=False)  # not sent yet when the newer one comes
    assert ask(conversation, 2) == [Asked(2, "response")]
    assert not conversation.respond(1, "six.", complete=True)
    conversation.respond(2, "No.", complete=True)
    assert [frame["response_id"] for frame in sent(conversation)] == [2]
    assert conversation.discarded == 1


def test_an_update_cancels_nothing() -> None:
    conversation = opened()
    ask(conversation, 1)
    conversation.received(update("user_turn", {"role": "user", "content": "Hm"}))
    assert conversation.wanted == 1
    assert conversation.transcript[0].content == "Hm"


def test_which_answer_is_spoken() -> None:
    conversation = opened()

    def spoken(turn: str | None) -> int | None:
        (event,) = conversation.received(update(turn))
        assert isinstance(event, Updated)
        return event.spoken

    ask(conversation, 1)
    assert spoken("agent_turn") is None  # nothing of it was said: that was the begin message
    conversation.respond(1, "Yes.", complete=False)
    assert spoken("user_turn") is None
    assert spoken(None) is None
    assert spoken("agent_turn") == 1
    conversation.respond(1, "", complete=True)
    assert spoken("agent_turn") == 1


def test_pings_are_answered_with_their_time() -> None:
    conversation = opened()
    assert conversation.received('{"interaction_type": "ping_pong", "timestamp": 1760000000000}') == []
    assert sent(conversation) == [{"response_type": "ping_pong", "timestamp": 1760000000000}]


def test_the_details_of_the_call() -> None:
    conversation = opened()
    (event,) = conversation.received('{"interaction_type": "call_details", "call": {"call_type": "web_call", "call_id": "c1"}}')
    assert isinstance(event, Details)
    assert event.call.call_id == "c1"


def test_what_this_version_does_not_know_is_passed_on() -> None:
    conversation = opened()
    (event,) = conversation.received('{"interaction_type": "brand_new", "mood": "good"}')
    assert isinstance(event, Other)
    assert event.message["mood"] == "good"


@pytest.mark.parametrize("frame", ["", "{", "[]", "{}", b"{}", '{"interaction_type": "response_required"}'])
def test_a_frame_that_is_none_changes_nothing(frame: str | bytes) -> None:
    conversation = opened()
    ask(conversation, 1)
    assert [type(event) for event in conversation.received(frame)] == [Ignored]
    assert conversation.wanted == 1
    assert sent(conversation) == []


@pytest.mark.parametrize("id", [-1, 0, 1, 2])
def test_an_id_that_does_not_ascend_is_ignored(id: int) -> None:
    conversation = opened()
    ask(conversation, 1)
    ask(conversation, 2)
    assert [type(event) for event in ask(conversation, id)] == [Ignored]
    assert conversation.wanted == 2


def test_ids_may_leave_gaps() -> None:
    conversation = opened()
    ask(conversation, 3)
    assert ask(conversation, 10) == [Asked(10, "response")]


@pytest.mark.parametrize(
    ("action", "fields"),
    [
        (Action(end_call=True), {"end_call": True}),
        (Action(transfer_number="+14155550100"), {"transfer_number": "+14155550100"}),
        (
            Action(transfer_number="+14155550100", show_transferee_as_caller=True),
            {"transfer_number": "+14155550100", "show_transferee_as_caller": True},
        ),
        (Action(digit_to_press="1#"), {"digit_to_press": "1#"}),
    ],
)
def test_an_action_goes_with_the_last_part(action: Action, fields: Json) -> None:
    conversation = opened()
    ask(conversation, 1)
    with pytest.raises(ValueError, match="last part"):
        conversation.respond(1, "Bye.", complete=False, action=action)
    conversation.respond(1, "Bye.", complete=True, action=action)
    assert sent(conversation) == [{"response_type": "response", "response_id": 1, "content": "Bye.", "content_complete": True, **fields}]


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"end_call": True, "transfer_number": "+14155550100"},
        {"end_call": True, "digit_to_press": "1"},
        {"transfer_number": ""},
        {"transfer_number": "abc"},
        {"transfer_number": "415-555"},
        {"transfer_number": "+12"},
        {"transfer_number": "+1 415 555 0100"},
        {"transfer_number": 14155550100},
        {"digit_to_press": ""},
        {"digit_to_press": "one"},
        {"digit_to_press": 1},
        {"end_call": True, "show_transferee_as_caller": True},
    ],
)
def test_actions_exclude_each_other(wrong: Json) -> None:
    with pytest.raises(ValueError):
        Action(**wrong)


def test_a_number_to_transfer_to_is_not_shown() -> None:
    assert "4155550100" not in repr(Action(transfer_number="+14155550100"))


def test_what_cannot_be_interrupted_says_so() -> None:
    conversation = opened()
    ask(conversation, 1)
    conversation.respond(1, "Listen.", complete=True, uninterruptible=True)
    assert sent(conversation)[0]["no_interruption_allowed"] is True


def test_an_interruption_takes_the_place_of_an_answer() -> None:
    conversation = opened()
    ask(conversation, 1)
    conversation.respond(1, "Yes, ", complete=False)
    first = conversation.begin_interrupt()
    assert conversation.wanted is None
    assert not conversation.respond(1, "until six.", complete=True)
    assert conversation.interrupt(first, "One ", complete=False)
    second = conversation.begin_interrupt()
    assert second != first
    assert not conversation.interrupt(first, "moment.", complete=True)
    assert conversation.interrupt(second, "Stop.", complete=True, action=Action(end_call=True))
    assert not conversation.interrupt(second, "", complete=True)
    assert sent(conversation) == [
        {
            "response_type": "agent_interrupt",
            "interrupt_id": second,
            "content": "Stop.",
            "content_complete": True,
            "no_interruption_allowed": True,
            "end_call": True,
        }
    ]


@pytest.mark.parametrize("said", [None, "parts that were sent", "parts", "all", "nothing"])
def test_before_an_interruption_the_begin_message_is_complete(said: str | None) -> None:
    conversation = Conversation(options=OPTIONS)
    conversation.opened()
    if said is not None:
        conversation.respond(0, "" if said == "nothing" else "Hello, ", complete=said in {"all", "nothing"})
    before = sent(conversation) if said == "parts that were sent" else []
    for _ in range(2):
        conversation.interrupt(conversation.begin_interrupt(), "One moment.", complete=True)
    assert not conversation.respond(0, "how can I help?", complete=True)
    frames = [*before, *sent(conversation)]
    kinds = ["config", *(["response"] if before else []), "response", "agent_interrupt"]
    assert [frame["response_type"] for frame in frames] == kinds
    assert frames[-2] == {"response_type": "response", "response_id": 0, "content": "", "content_complete": True}
    ask(conversation, 1)
    assert conversation.respond(1, "Yes.", complete=True)
    assert [frame["response_id"] for frame in sent(conversation)] == [1]


def test_an_interruption_at_the_beginning_of_another_connection_leaves_its_begin_message() -> None:
    conversation = opened()
    conversation.greeted = True
    conversation.closed()
    conversation.opened()
    conversation.interrupt(conversation.begin_interrupt(), "Hello again.", complete=True)
    assert [frame["response_type"] for frame in sent(conversation)] == ["config", "response", "agent_interrupt"]


def test_a_newer_request_takes_the_place_of_an_interruption_that_is_not_complete() -> None:
    conversation = opened()
    interruption = conversation.begin_interrupt()
    conversation.interrupt(interruption, "One ", complete=False)
    ask(conversation, 1)
    assert not conversation.interrupt(interruption, "moment.", complete=True)
    assert conversation.respond(1, "Yes.", complete=True)
    assert [frame["response_type"] for frame in sent(conversation)] == ["agent_interrupt", "response"]


@pytest.mark.parametrize("action", [Action(transfer_number="+14155550100", show_transferee_as_caller=True)])
def test_an_interruption_cannot_show_the_transferee(action: Action) -> None:
    conversation = opened()
    with pytest.raises(ValueError, match="show_transferee_as_caller"):
        conversation.interrupt(conversation.begin_interrupt(), "Bye.", complete=True, action=action)


def test_the_rest_of_the_messages() -> None:
    conversation = opened()
    conversation.update_agent(AgentConfig(responsiveness=0.4))
    conversation.metadata({"mood": "happy"})
    conversation.tool_call("t1", "lookup", '{"id":7}')
    conversation.tool_result("t1", "7", successful=None)
    conversation.tool_result("t1", "7", successful=False)
    assert sent(conversation) == [
        {"response_type": "update_agent", "agent_config": {"responsiveness": 0.4}},
        {"response_type": "metadata", "metadata": {"mood": "happy"}},
        {"response_type": "tool_call_invocation", "tool_call_id": "t1", "name": "lookup", "arguments": '{"id":7}'},
        {"response_type": "tool_call_result", "tool_call_id": "t1", "content": "7"},
        {"response_type": "tool_call_result", "tool_call_id": "t1", "content": "7", "successful": False},
    ]
    with pytest.raises(TypeError):
        conversation.metadata({1, 2})


def test_nothing_after_the_close() -> None:
    conversation = opened()
    ask(conversation, 1)
    conversation.respond(1, "Yes, ", complete=False)
    conversation.closed()
    assert conversation.wanted is None
    assert not conversation.respond(1, "until six.", complete=True)
    conversation.update_agent(AgentConfig(responsiveness=0.4))
    conversation.tool_call("t1", "lookup", "{}")
    assert not conversation.interrupt(conversation.begin_interrupt(), "Stop.", complete=True)
    assert ask(conversation, 2) == []
    assert conversation.next_frame() is None


def test_what_does_not_belong_to_one_connection_is_sent_on_the_next() -> None:
    conversation = opened()
    conversation.update_agent(AgentConfig(responsiveness=0.4, reminder_max_count=3))
    sent(conversation)
    ask(conversation, 1)
    conversation.tool_call("t1", "lookup", "{}")  # not sent yet
    conversation.respond(1, "Yes.", complete=True)
    conversation.closed()
    conversation.update_agent(AgentConfig(responsiveness=0.5))
    conversation.tool_result("t1", "7", successful=None)
    conversation.metadata({"mood": "happy"})
    conversation.opened()
    assert sent(conversation)[1:] == [
        {"response_type": "update_agent", "agent_config": {"responsiveness": 0.5, "reminder_max_count": 3}},
        {"response_type": "response", "response_id": 0, "content": "", "content_complete": True},
        {"response_type": "tool_call_invocation", "tool_call_id": "t1", "name": "lookup", "arguments": "{}"},
        {"response_type": "tool_call_result", "tool_call_id": "t1", "content": "7"},
        {"response_type": "metadata", "metadata": {"mood": "happy"}},
    ]
    conversation.closed()
    conversation.opened()
    assert [frame["response_type"] for frame in sent(conversation)] == ["config", "update_agent", "response"]


def test_an_interruption_that_nobody_can_hear_takes_no_greeting_away() -> None:
    conversation = opened(greeting=None)
    conversation.closed()
    assert not conversation.interrupt(conversation.begin_interrupt(), "Stop.", complete=True)
    assert conversation.opened() == [Asked(0, "begin")]


def test_the_begin_message_is_not_repeated_on_another_connection() -> None:
    conversation = opened()
    conversation.received('{"interaction_type":"update_only","transcript":[{"role":"agent","content":"Hel"}]}')
    conversation.closed()
    assert conversation.opened() == []
    assert sent(conversation)[1:] == [{"response_type": "response", "response_id": 0, "content": "", "content_complete": True}]
    assert conversation.resume() == []


def test_a_begin_message_that_nobody_heard_is_asked_for_again() -> None:
    conversation = opened(greeting=None)
    conversation.closed()
    assert conversation.opened() == [Asked(0, "begin")]


def test_a_begin_message_is_not_wanted_any_more_when_the_user_was_faster() -> None:
    conversation = opened(greeting=None)
    conversation.respond(0, "Hel", complete=False)
    assert ask(conversation, 1) == [Asked(1, "response")]
    assert not conversation.respond(0, "lo.", complete=True)
    assert conversation.discarded == 1
    ask(conversation, 2)
    conversation.interrupt(conversation.begin_interrupt(), "Yes?", complete=True)
    ask(conversation, 3)
    conversation.respond(3, "Yes.", complete=True)
    # The agent may say nothing before the begin message is complete, so that is sent in any case, once, and says nothing.
    empty = {"response_type": "response", "response_id": 0, "content": "", "content_complete": True}
    frames = sent(conversation)
    assert [frame for frame in frames if frame.get("response_id") == 0] == [empty]
    assert [frame["response_type"] for frame in frames[frames.index(empty) + 1 :]] == ["agent_interrupt", "response"]
    conversation.closed()
    assert conversation.opened() == []


@pytest.mark.parametrize("complete", [False, True])
def test_what_a_lost_connection_left_without_an_answer_is_asked_for_again(complete: bool) -> None:
    conversation = opened()
    ask(conversation, 1)
    conversation.respond(1, "Yes, ", complete=complete)  # never sent
    conversation.closed()
    conversation.opened()
    assert conversation.resume() == [Asked(1, "response")]
    assert conversation.resume() == []
    conversation.respond(1, "Yes.", complete=True)
    assert ask(conversation, 1) == [Asked(1, "response")]  # by Retell too: nobody knows whether it is the same question
    conversation.respond(1, "No.", complete=True)
    assert [type(event) for event in ask(conversation, 1)] == [Ignored]
    assert [(frame["response_id"], frame["content"]) for frame in sent(conversation)[1:]] == [(0, ""), (1, "No.")]


def test_what_was_sent_whole_is_not_asked_for_again_unless_retell_does() -> None:
    conversation = opened()
    ask(conversation, 1)
    conversation.respond(1, "Yes.", complete=True)
    sent(conversation)
    conversation.closed()
    conversation.opened()
    assert conversation.resume() == []
    assert ask(conversation, 1) == [Asked(1, "response")]


def test_a_connection_in_the_place_of_another_one() -> None:
    conversation = opened()
    ask(conversation, 1)
    conversation.opened()
    assert conversation.wanted is None
    assert ask(conversation, 1) == [Asked(1, "response")]


def test_another_process_has_greeted() -> None:
    conversation = Conversation(options=OPTIONS, greeted=True)
    assert conversation.opened() == []
    assert ask(conversation, 7) == [Asked(7, "response")]


_steps = st.one_of(
    st.tuples(st.just("ask"), st.integers(-1, 8), st.sampled_from(["response_required", "reminder_required"])),
    st.tuples(st.just("respond"), st.integers(0, 8), st.sampled_from(["", "a", "b"]), st.booleans()),
    st.tuples(st.just("interrupt"), st.integers(0, 3), st.booleans()),
    st.tuples(st.just("begin_interrupt")),
    st.tuples(st.just("send"), st.integers(1, 4)),
    st.tuples(st.just("update"), st.sampled_from(["agent_turn", "user_turn"])),
    st.tuples(st.just("broken")),
    st.tuples(st.just("close")),
    st.tuples(st.just("open")),
    st.tuples(st.just("resume")),
)


@settings(max_examples=400)
@given(st.lists(_steps, max_size=40))
def test_any_order_of_frames_intents_and_connections(steps: list[Any]) -> None:
    conversation = Conversation(options=OPTIONS)
    open = False
    newest = asked = 0  # on this connection
    complete: list[tuple[int, int]] = []
    connection = 0
    first = True
    interrupted = 0
    for step in steps:
        match step:
            case ("ask", id, kind):
                before = conversation.wanted
                events = ask(conversation, id, kind)
                assert ([type(event) for event in events] == [Asked]) == (open and id > asked)
                if open and id > asked:
                    newest = asked = id
                    if (connection, id) in complete:  # by itself, before it was asked for here
                        complete.remove((connection, id))
                else:
                    assert conversation.wanted == before
            case ("respond", id, content, whole):
                wanted = conversation.wanted
                assert conversation.respond(id, content, complete=whole) == (open and id == wanted)
            case ("interrupt", id, whole):
                conversation.interrupt(id, "x", complete=whole)
            case ("begin_interrupt",):
                interrupted = conversation.begin_interrupt()
                assert conversation.wanted is None
            case ("send", count):
                for _ in range(count):
                    frame = conversation.next_frame()
                    if frame is None:
                        break
                    assert open
                    message = json.loads(frame)
                    assert (message["response_type"] == "config") == first
                    first = False
                    if message["response_type"] == "response":
                        id = message["response_id"]
                        assert id == newest or (id == 0 and message["content_complete"] and not message["content"])
                        assert (connection, id) not in complete
                        if message["content_complete"]:
                            complete.append((connection, id))
                    if message["response_type"] == "agent_interrupt" or message.get("response_id"):
                        assert (connection, 0) in complete
                    if message["response_type"] == "agent_interrupt":
                        assert message["interrupt_id"] == interrupted
            case ("update", turn):
                conversation.received(update(turn))
            case ("broken",):
                conversation.received("{")
            case ("close",):
                conversation.closed()
                open = False
            case ("open",):
                conversation.opened()
                open, first, newest, asked, connection = True, True, 0, 0, connection + 1
            case ("resume",):
                for event in conversation.resume():
                    assert isinstance(event, Asked)
                    newest = event.id
        assert conversation.open == open
