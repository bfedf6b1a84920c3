from __future__ import annotations

from typing import Any

import pytest

from retell_async.archive.policy import storable, storable_event, storage_of, strictest
from retell_async.archive.rows import (
    columns,
    dumped,
    latency_rows,
    merged,
    observed,
    recheck_at,
    tool_calls_of,
    utterances_of,
)

CALL: dict[str, Any] = {
    "call_id": "call_1",
    "call_type": "phone_call",
    "agent_id": "agent_1",
    "call_status": "ended",
    "direction": "outbound",
    "from_number": "+14155550100",
    "to_number": "+14155550101",
    "start_timestamp": 1_000,
    "end_timestamp": 61_000,
    "disconnection_reason": "user_hangup",
    "transcript_with_tool_calls": [
        {"role": "agent", "content": "Hello. ", "words": [{"word": "Hello. ", "start": 0.5, "end": 1.0}]},
        {"role": "tool_call_invocation", "tool_call_id": "t1", "name": "book", "arguments": '{"at":"ten"}', "time_sec": 2.0},
        {"role": "tool_call_result", "tool_call_id": "t1", "content": "booked", "successful": True, "time_sec": 2.75},
        {"role": "dtmf", "digit": "5"},
        {"role": "user", "content": "Bye", "words": []},
    ],
}


def seen(data: dict[str, Any], source: Any = "event", at: int = 0, event: str = "") -> Any:
    return observed("call", {"call_id": "call_1", **data}, source, at, event)


def test_what_is_said_and_called_become_rows() -> None:
    said = utterances_of("call", CALL)
    assert [(one.position, one.role, one.text, one.second) for one in said] == [
        (0, "agent", "Hello.", 0.5),
        (1, "dtmf", "5", None),
        (2, "user", "Bye", None),
    ]
    (called,) = tool_calls_of("call", CALL)
    assert (called.name, called.arguments, called.result, called.state, called.duration_ms) == (
        "book",
        '{"at":"ten"}',
        "booked",
        "done",
        750.0,
    )
    text = utterances_of("call", {"transcript": "Agent: Hello\nthere\nUser: Hi\n"})
    assert [(one.role, one.text) for one in text] == [("agent", "Hello\nthere"), ("user", "Hi")]


@pytest.mark.parametrize("wrong", [None, 7, "x", [1], {"a": []}, float("inf"), 10**400, True, "\ud800\0"])
def test_values_of_the_wrong_kind_break_nothing(wrong: Any) -> None:
    """Whatever stands in any field, it becomes rows that a database takes."""
    for name in (*CALL, "call_analysis", "call_cost", "latency", "metadata", "duration_ms", "transcript", "disconnection_reason"):
        data = {**CALL, name: wrong}
        found = seen(data)
        if found is None:
            assert name == "call_id"
            continue
        row = columns("call", data, found.stage)
        for value in row.values():
            assert value is None or isinstance(value, (str, bool, float)) or -(2**63) <= value < 2**63
            if isinstance(value, str):
                value.encode()
                assert "\0" not in value
        utterances_of("call", data)
        tool_calls_of("call", data)
        latency_rows(data)
        dumped(data).encode()


def test_events_may_come_in_any_order() -> None:
    started = seen({"call_status": "ongoing", "start_timestamp": 1_000, "only": "started"}, at=1, event="call_started")
    ended = seen({**CALL, "recording_url": "r", "call_status": "registered"}, at=2, event="call_ended")
    analysed = seen({**CALL, "call_analysis": {"call_successful": True}}, at=3, event="call_analyzed")
    ways = [(started, ended, analysed), (analysed, ended, started), (ended, started, analysed), (analysed, started, ended)]
    results = []
    for way in ways:
        known = None
        for one in way:
            known = merged(known, one) or known
        assert known is not None
        results.append((known.stage, dict(sorted(known.data.items()))))
    assert all(result == results[0] for result in results)
    stage, data = results[0]
    assert (stage, data["call_status"], data["recording_url"], data["only"]) == (3, "ended", "r", "started")
    assert "call_analysis" in data


def test_what_the_api_says_is_all_there_is() -> None:
    known = merged(seen({**CALL, "gone": 1}, at=5, event="call_ended"), seen(CALL, "read", at=4))
    assert known is not None
    assert "gone" not in known.data
    assert merged(known, seen({**CALL, "gone": 1}, at=3, event="call_ended")) is None
    listed = merged(known, seen({"call_status": "ended", "end_timestamp": 61_000, "call_analysis": {}}, "list", at=9))
    assert listed is not None
    assert "transcript_with_tool_calls" in listed.data
    assert "from_number" not in listed.data
    assert merged(listed, seen(CALL, "read", at=10)) is None  # it lags behind


def test_an_analysis_is_asked_for_ever_less_often_and_not_for_ever() -> None:
    now = 61_000
    waits = []
    while (due := recheck_at("call", CALL, "everything", 2, now)) is not None:
        waits.append(due - now)
        now = due
    assert waits[0] == 30_000
    assert waits == sorted(waits)
    assert len(waits) < 60
    assert recheck_at("call", CALL, "everything", 3, 61_000) is None
    assert recheck_at("call", CALL, "basic_attributes_only", 2, 61_000) is None
    assert recheck_at("call", {"end_timestamp": 61_000}, "everything", 2, 61_000) is None  # it never connected


def test_the_status_of_an_event_may_lag_behind() -> None:
    assert columns("call", {**CALL, "call_status": "registered"}, 2)["status"] == "ended"
    never = {"call_status": "registered", "direction": "outbound", "disconnection_reason": "dial_failed"}
    assert columns("call", never, 2)["status"] == "not_connected"
    assert columns("call", never, 2)["error_code"] == "dial_failed"
    assert columns("call", CALL, 2)["error_code"] is None


def test_what_may_not_be_kept() -> None:
    call = {
        **CALL,
        "transcript": "t",
        "recording_url": "r",
        "call_analysis": {"call_summary": "s", "call_successful": True},
        "metadata": {"session_id": "s1"},
        "retell_llm_dynamic_variables": {"name": "Ann"},
        "scrubbed_transcript_with_tool_calls": [],
        "a_field_of_tomorrow": "?",
    }
    assert storable(call, "everything") == call
    basic = storable(call, "basic_attributes_only")
    assert basic.keys() <= CALL.keys() | {"metadata"}
    assert "transcript_with_tool_calls" not in basic
    scrubbed = storable(call, "everything_except_pii")
    assert not scrubbed.keys() & {"transcript", "transcript_with_tool_calls", "recording_url", "retell_llm_dynamic_variables"}
    assert scrubbed["call_analysis"] == {"call_successful": True}
    assert "scrubbed_transcript_with_tool_calls" in scrubbed
    event = {"event": "transfer_started", "call": call, "transfer_destination": {"number": "+14155550102"}}
    assert storable_event(event, "everything_except_pii").keys() == {"event", "call"}
    assert storable_event(event, "everything") == event


def test_who_asks_for_less_gets_less() -> None:
    assert storage_of({}) == "everything"
    assert storage_of({"data_storage_setting": None, "opt_out_sensitive_data_storage": True}) == "basic_attributes_only"
    assert storage_of({"data_storage_setting": "everything", "opt_out_sensitive_data_storage": True}) == "everything"
    assert storage_of({"data_storage_setting": "nothing_at_all"}) == "basic_attributes_only"
    assert strictest("everything", "basic_attributes_only", "everything_except_pii") == "basic_attributes_only"
