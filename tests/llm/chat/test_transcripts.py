"""Transcripts as chat messages."""

from __future__ import annotations

from typing import Any

import pytest

from retell_async.llm.chat.transcripts import REMINDER, chat_messages, is_spoken, last_said, spoken_part
from retell_async.llm.effects import Effect
from retell_async.llm.messages import ResponseRequired, parse_request
from retell_async.llm.protocol import Action

Json = dict[str, Any]


def items(*said: Json) -> Any:
    import json

    frame = {"interaction_type": "response_required", "response_id": 1, "transcript": [], "transcript_with_tool_calls": said}
    message = parse_request(json.dumps(frame))
    assert isinstance(message, ResponseRequired)
    return message.transcript_with_tool_calls


def words(*spoken: str) -> list[Json]:
    return [{"word": word, "start": at, "end": at + 0.5} for at, word in enumerate(spoken)]


@pytest.mark.parametrize(
    ("content", "spoken", "part"),
    [
        ("Yes, until six.", ["Yes,", "until", "six."], "Yes, until six."),
        ("Yes, until six.", ["Yes, ", "until "], "Yes, until"),
        ("Yes, until six.", ["Yes,", "until", "six"], "Yes, until six."),  # a sign that was not spoken is no interruption
        ("Yes, until six.", [], "Yes, until six."),
        ("Yes,  until six.", ["Yes,", "until"], "Yes,  until"),
        ("Yes, until six.", ["yes"], "Yes,"),  # as recognisers write it
        ("Yes, until six.", ["YES", "", "until"], "Yes, until"),
        ("Yes, until six.", [","], "Yes, until six."),
        ("Open \u2014 \u201cuntil\u201d six.", ["open", '"until"'], "Open \u2014 \u201cuntil\u201d"),
        ("A cafe\u0301 at six", ["a", "caf\u00e9"], "A cafe\u0301"),
        ("Stra\u00dfe or Weg", ["STRASSE"], "Stra\u00dfe"),
        ("\u4f60\u597d\uff0c\u8ba4\u8bc6", ["\u4f60", "\u597d"], "\u4f60\u597d"),
        ("A state-of-the-art one", ["a", "state"], "A state"),
        ("You are booked at 10:30 on Friday, in person.", ["you", "are", "booked", "at", "ten", "thirty"], "You are booked at 10:30 on"),
        ("That is one hundred and five. Goodbye.", ["that", "is", "105", "goodbye"], "That is one hundred and five. Goodbye."),
        ("That is $5. Goodbye.", ["that", "is", "five", "dollars"], "That is $5. Goodbye."),
        ("Yes, until six.", ["No,"], "Yes,"),  # as many words
        ("Yes.", ["Yes.", "And", "more"], "Yes."),
        ("", ["Yes"], ""),
    ],
)
def test_the_part_that_was_spoken(content: str, spoken: list[str], part: str) -> None:
    (item,) = items({"role": "agent", "content": content, "words": words(*spoken)})
    assert spoken_part(content, item.words) == part


@pytest.mark.parametrize(
    ("since", "whole"),
    [
        ([], False),
        ([{"role": "user", "content": "One moment. You are booked."}], False),
        ([{"role": "agent", "content": "One moment. You are booked."}], True),
        ([{"role": "agent", "content": "One moment."}], False),
        ([{"role": "agent", "content": "One moment. You are booked.", "words": words("One", "moment.")}], False),
        ([{"role": "agent", "content": "One moment. You are booked.", "words": words("one", "moment", "you", "are", "booked")}], True),
        (
            [
                {"role": "agent", "content": "One moment."},
                {"role": "user", "content": "Yes"},
                {"role": "agent", "content": "You are booked."},
            ],
            True,
        ),
    ],
)
def test_whether_a_text_was_spoken_to_its_end(since: list[Json], whole: bool) -> None:
    assert is_spoken(" One moment. You are booked. ", items(*since)) is whole


def test_a_conversation() -> None:
    said = items(
        {"role": "agent", "content": "Hello."},
        {"role": "agent", "content": "How can I help you today?", "words": words("How", "can", "I", "help")},
        {"role": "user", "content": "Order seven", "words": words("Order")},
        {"role": "user", "content": "please."},
        {"role": "tool_call_invocation", "tool_call_id": "t1", "name": "lookup", "arguments": '{"id":7}'},
        {"role": "tool_call_result", "tool_call_id": "t1", "content": "on its way"},
        {"role": "tool_call_invocation", "tool_call_id": "t2", "name": "lookup", "arguments": "{}"},
        {"role": "tool_call_result", "tool_call_id": "t3", "content": "?"},
        {"role": "node_transition", "former_node_id": "a"},
        {"role": "brand_new"},
        {"no": "role"},
        {"role": "agent", "content": "It is on its way."},
        {"role": "dtmf", "digit": "5"},
        {"role": "transfer_target", "content": "Who is this?"},
        {"role": "user"},
    )
    assert chat_messages(said, system="Be brief.") == [
        {"role": "system", "content": "Be brief."},
        {"role": "assistant", "content": "Hello. How can I help"},
        {"role": "user", "content": "Order seven please."},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "t1", "type": "function", "function": {"name": "lookup", "arguments": '{"id":7}'}}],
        },
        {"role": "tool", "tool_call_id": "t1", "content": "on its way"},
        {"role": "assistant", "content": "It is on its way."},
        {"role": "user", "content": "(pressed 5) Who is this?"},
    ]
    assert last_said(said) == ""  # the last is empty
    assert last_said(items({"role": "user", "content": "Hi"}, {"role": "agent", "content": "Hello."})) == "Hi"
    assert last_said([]) == ""


@pytest.mark.parametrize("odd", [None, 5, ["user"], {"role": "user"}, True])
@pytest.mark.parametrize(
    "entry",
    [
        {"role": "user", "content": "?"},
        {"role": "agent", "content": "?", "words": [{"word": "?"}]},
        {"role": "tool_call_invocation", "tool_call_id": "t1", "name": "lookup", "arguments": "{}"},
        {"role": "tool_call_result", "tool_call_id": "t1", "content": "?"},
        {"role": "dtmf", "digit": "5"},
    ],
)
def test_an_entry_that_is_none_of_the_protocol_costs_no_turn(entry: Json, odd: Any) -> None:
    call = {"role": "tool_call_invocation", "tool_call_id": "t1", "name": "lookup", "arguments": "{}"}
    for name in entry:
        changed = {**entry, name: odd}
        without = {key: value for key, value in entry.items() if key != name}
        for wrong in (changed, without):
            said = items(
                {"role": "user", "content": "Hi"}, call, wrong, {"role": "tool_call_result", "tool_call_id": "t1", "content": "ok"}
            )
            messages = chat_messages(said)
            assert messages[0] == {"role": "user", "content": "Hi"}
            for message in messages:
                assert message["content"] is None or isinstance(message["content"], str)
                for made in message.get("tool_calls", ()):
                    assert {type(value) for value in (made["id"], *made["function"].values())} == {str}
            assert isinstance(last_said(said), str)


def call_of(id: str) -> Json:
    return {"role": "tool_call_invocation", "tool_call_id": id, "name": "lookup", "arguments": "{}"}


def result_of(id: str, content: str = "ok") -> Json:
    return {"role": "tool_call_result", "tool_call_id": id, "content": content}


A, B, A_IS_OK, B_IS_OK = call_of("a"), call_of("b"), result_of("a"), result_of("b")
YES = {"role": "user", "content": "Yes"}


@pytest.mark.parametrize(
    ("said", "order"),
    [
        ([A, A_IS_OK], ["a", "=a"]),
        ([A, YES, A_IS_OK], ["a", "=a", "Yes"]),
        ([A, YES, {"role": "agent", "content": "Well"}, A_IS_OK], ["a", "=a", "Yes", "Well"]),
        ([YES, A, {"role": "dtmf", "digit": "5"}, A_IS_OK, YES], ["Yes", "a", "=a", "(pressed 5) Yes"]),
        ([A, B, A_IS_OK, B_IS_OK], ["a+b", "=a", "=b"]),
        ([A, B, B_IS_OK, YES, A_IS_OK], ["a+b", "=a", "=b", "Yes"]),
        ([A, call_of("c"), B, B_IS_OK, A_IS_OK], ["a+b", "=a", "=b"]),  # the one between has no result
        ([A, A_IS_OK, B, B_IS_OK], ["a", "=a", "b", "=b"]),
        ([A, YES, B, A_IS_OK, B_IS_OK], ["a", "=a", "Yes", "b", "=b"]),
        ([A, A_IS_OK, result_of("a", "again"), YES], ["a", "=a", "Yes"]),
        ([A, A, A_IS_OK, A_IS_OK], ["a", "=a"]),
        ([A_IS_OK, YES, A], ["Yes", "a", "=a"]),
        ([B_IS_OK, A, YES], ["Yes"]),
    ],
)
def test_results_stand_behind_their_calls_as_endpoints_want_them(said: list[Json], order: list[str]) -> None:
    messages = chat_messages(items(*said))
    shown = [
        "+".join(call["id"] for call in message["tool_calls"])
        if "tool_calls" in message
        else f"={message['tool_call_id']}"
        if message["role"] == "tool"
        else message["content"]
        for message in messages
    ]
    assert shown == order
    assert {message["content"] for message in messages if message["role"] == "tool"} <= {"ok"}


def test_a_reminder_ends_with_words_of_the_user() -> None:
    assert chat_messages([], reminder=REMINDER) == [{"role": "user", "content": REMINDER}]
    assert chat_messages(items({"role": "agent", "content": "Hello."}), reminder="...")[-1] == {"role": "user", "content": "..."}


@pytest.mark.parametrize(("system", "begins"), [("Be brief.", "Be brief.\n\nDone already"), ("", "Done already"), (None, "Done already")])
def test_what_was_done_stands_in_the_one_system_message_in_front(system: str | None, begins: str) -> None:
    said = items({"role": "agent", "content": "Hello."}, {"role": "user", "content": "Ten."})
    effects = [Effect("book:10", 1, done=True, result="booked"), Effect("mail", 1)]
    messages = chat_messages(said, system=system, reminder=REMINDER, effects=effects)
    assert [message["role"] for message in messages] == ["system", "assistant", "user"]
    assert messages[0]["content"].startswith(begins)
    assert messages[0]["content"].count("\n") == begins.count("\n") + 1


def test_what_was_done_and_not_told() -> None:
    ends = [
        Effect("hang_up({})", 1, done=True, result="Say goodbye.", action=Action(end_call=True)),
        Effect("leave({})", 1, done=True, result="Ask whether that is all.", says_goodbye=True),
    ]
    effects = [Effect("book:10", 1, done=True, result={"slot": 10}), Effect("mail", 2), *ends]
    not_happened = (
        "What that does with the phone call (to hang up, transfer, press keys or take leave) has not happened: make the very same call "
        "again if it is still wanted. Nothing else of it is done twice."
    )
    unheard = "Called already, in an answer that the user did not hear to its end"
    assert chat_messages([], effects=effects) == [
        {
            "role": "system",
            "content": 'Done already, though the user may not have been told: book:10. Result: {"slot": 10}\n'
            "Begun already, though the user may not have been told, and not to be done again: mail. The very same call gives its result.\n"
            f"{unheard}: hang_up({{}}). Result: Say goodbye.\n{not_happened}\n"
            f"{unheard}: leave({{}}). Result: Ask whether that is all.\n{not_happened}",
        }
    ]
