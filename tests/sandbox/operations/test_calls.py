"""Calls through the API, the clock moved by hand."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from retell_async.sandbox import Settings, SteppedClock

from ..checked import Api, Json

BUSY = Settings(outcomes={"dial_busy": 1})
TALKS = Settings(outcomes={"user_hangup": 1})


def test_a_phone_call_from_ringing_to_analysis() -> None:
    api = Api(TALKS)
    from_number = api.number()
    placed = api.call(from_number, metadata={"job": 7}, retell_llm_dynamic_variables={"name": "Ada"})
    assert placed["call_status"] == "registered"
    assert (placed["direction"], placed["call_type"], placed["metadata"]) == ("outbound", "phone_call", {"job": 7})
    assert "start_timestamp" not in placed

    seen: dict[str, Json] = {}
    while "call_analysis" not in (call := api.get(f"/v2/get-call/{placed['call_id']}")):
        seen.setdefault(call["call_status"], call)
        api.clock.advance(1)
    assert list(seen) == ["registered", "ongoing", "ended"]
    assert "telephony_identifier" in seen["ongoing"]
    assert len(seen["ongoing"]["transcript"]) < len(call["transcript"])
    assert call["duration_ms"] == call["end_timestamp"] - call["start_timestamp"]
    assert call["disconnection_reason"] == "user_hangup"
    assert call["transcript_object"][0]["words"][0]["start"] > 0
    assert call["transcript"].startswith("Agent: ")
    assert call["latency"]["e2e"]["num"] == call["llm_token_usage"]["num_requests"]
    assert call["call_cost"]["combined_cost"] > 0
    assert {name: call[name] for name in placed if name != "call_status"} == {
        name: placed[name] for name in placed if name != "call_status"
    }
    assert [item["call_id"] for item in api.calls()] == [call["call_id"]]
    assert set(call) - set(api.calls()[0]) == {"transcript", "transcript_object", "transcript_with_tool_calls"}


def test_a_call_that_reaches_nobody() -> None:
    api = Api(BUSY)
    call_id = api.call(api.number())["call_id"]
    api.clock.advance(60)
    call = api.get(f"/v2/get-call/{call_id}")
    assert (call["call_status"], call["disconnection_reason"], call["duration_ms"]) == ("not_connected", "dial_busy", 0)
    assert not {"start_timestamp", "transcript", "latency"} & set(call)
    assert call["call_analysis"]["call_successful"] is False


def test_a_web_call() -> None:
    api = Api(TALKS)
    made = api.post("/v3/create-web-call", {"agent_id": api.agent(agent_name="Guide"), "metadata": {"page": "home"}})
    assert made["transport"] == "gateway"
    assert made["expires_at"] == api.clock.now() + 30_000
    call = api.get(f"/v2/get-call/{made['call_id']}")
    assert (call["call_type"], call["access_token"], call["agent_name"]) == ("web_call", made["access_token"], "Guide")
    api.clock.advance(600)
    assert api.get(f"/v2/get-call/{made['call_id']}")["call_status"] == "ended"


def test_the_agent_says_its_begin_message_to_the_one_it_calls() -> None:
    api = Api(TALKS)
    llm_id = api.llm(begin_message="Hello {{name}} of {{ town }}, {{who}}?", default_dynamic_variables={"name": "you", "town": "Ulm"})
    agent_id = api.post("/create-agent", {"voice_id": "v", "response_engine": {"type": "retell-llm", "llm_id": llm_id}})["agent_id"]
    call_id = api.call(api.number(), override_agent_id=agent_id, retell_llm_dynamic_variables={"name": "Ada"})["call_id"]
    api.clock.advance(600)
    assert api.get(f"/v2/get-call/{call_id}")["transcript"].startswith("Agent: Hello Ada of Ulm, {{who}}?\n")


def test_the_same_seed_makes_the_same_calls_in_whatever_order() -> None:
    numbers = [f"+1201555{line:04}" for line in range(100, 130)]

    def run(order: list[str], seed: int) -> dict[str, Any]:
        api = Api(Settings(seed=seed))
        from_number = api.number()
        for to_number in order:
            api.call(from_number, to_number)
        api.clock.advance(600)
        return {call["to_number"]: (call["disconnection_reason"], call["duration_ms"]) for call in api.calls(limit=100)}

    assert run(numbers, 1) == run(numbers[::-1], 1) != run(numbers, 2)


def test_an_idempotency_key_makes_one_call_within_an_hour() -> None:
    api = Api()
    from_number = api.number()
    first = api.call(from_number, idempotency_key="key-1")
    api.clock.advance(3_599)
    again = api.call(from_number, idempotency_key="key-1")
    assert (again["call_id"], again["call_status"] == "registered") == (first["call_id"], False)
    assert api.call(from_number, idempotency_key="key-2")["call_id"] != first["call_id"]
    api.clock.advance(1)
    assert api.call(from_number, idempotency_key="key-1")["call_id"] != first["call_id"]
    assert len(api.calls()) == 3


def test_a_key_is_kept_for_an_hour_of_the_callers_time_at_any_speed() -> None:
    api = Api(clock=SteppedClock(speed=60))
    from_number = api.number()
    first = api.call(from_number, idempotency_key="key-1")
    api.clock.advance(3_599 * 60)
    assert api.call(from_number, idempotency_key="key-1")["call_id"] == first["call_id"]


@pytest.mark.parametrize("key", ["four", "a b c d", "x" * 256, 5])
def test_keys_that_are_none(key: object) -> None:
    api = Api()
    assert api.refusal("POST", "/v2/create-phone-call", {"from_number": "+1", "to_number": "+1", "idempotency_key": key})[0] == 400


def test_the_concurrency_limit_is_kept_until_calls_end() -> None:
    api = Api(Settings(concurrency_limit=3, outcomes={"user_hangup": 1}))
    from_number, agent_id = api.number(), api.agent()
    first = api.call(from_number)
    api.call(from_number)
    api.post("/v3/create-web-call", {"agent_id": agent_id})
    shown = api.get("/get-concurrency")
    assert (shown["current_concurrency"], shown["concurrency_limit"]) == (3, 3)
    body = {"from_number": from_number, "to_number": "+12015550100"}
    assert api.refusal("POST", "/v2/create-phone-call", body)[0] == 429
    assert api.refusal("POST", "/v3/create-web-call", {"agent_id": agent_id})[0] == 429

    while api.get(f"/v2/get-call/{first['call_id']}")["call_status"] != "ongoing":
        api.clock.advance(1)
    api.post(f"/v2/stop-call/{first['call_id']}")
    assert api.get("/get-concurrency")["current_concurrency"] == 2
    api.call(from_number)
    api.clock.advance(600)
    assert api.get("/get-concurrency")["current_concurrency"] == 0


def test_stopping_a_call() -> None:
    api = Api(TALKS)
    call_id = api.call(api.number())["call_id"]
    assert api.refusal("POST", f"/v2/stop-call/{call_id}") == (422, "the call is not ongoing")
    while api.get(f"/v2/get-call/{call_id}")["call_status"] != "ongoing":
        api.clock.advance(0.1)
    api.clock.advance(5)
    assert api.post(f"/v2/stop-call/{call_id}") is None
    call = api.get(f"/v2/get-call/{call_id}")
    assert (call["call_status"], call["disconnection_reason"], call["end_timestamp"]) == ("ended", "manual_stopped", api.clock.now())
    assert call["transcript_object"][-1]["words"][-1]["end"] <= 5.1
    assert api.refusal("POST", f"/v2/stop-call/{call_id}")[0] == 422
    stopped = {"disconnection_reason": {"type": "enum", "op": "in", "value": ["manual_stopped"]}}
    assert [item["call_id"] for item in api.calls(filter_criteria=stopped)] == [call_id]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"to_number": "2015550100"}, 400),
        ({"to_number": "+1 201 555 0100"}, 400),
        ({"to_number": None}, 400),
        ({"from_number": "+14155550199"}, 422),
        ({"override_agent_id": "agent_none"}, 422),
        ({"override_agent_version": 3}, 422),
        ({"override_agent_version": "v3"}, 400),
        ({"metadata": []}, 400),
        ({"retell_llm_dynamic_variables": {"n": 1}}, 400),
        ({"agent_override": {"agent": {"ring_duration_ms": 1}}}, 400),
    ],
)
def test_calls_that_cannot_be_placed(change: Json, status: int) -> None:
    api = Api()
    body = {"from_number": api.number(), "to_number": "+12015550100"} | change
    code, message = api.refusal("POST", "/v2/create-phone-call", body)
    assert code == status
    assert "555" not in message, "numbers stay out of messages"


def test_sip_headers_of_a_call_start_with_x() -> None:
    api = Api()
    number = api.number()
    allowed = {"X-Account": "42", "x-lower": "yes"}
    assert api.call(number, custom_sip_headers=allowed)["custom_sip_headers"] == allowed
    for name in ("From", "", "x", "XAccount", "User-To-User", " X-Account"):
        task = {"to_number": "+12015550100", "custom_sip_headers": {"X-Account": "42", name: "7"}}
        for path, body, where in (
            ("/v2/create-phone-call", {"from_number": number, **task}, "body.custom_sip_headers"),
            ("/create-batch-call", {"from_number": number, "tasks": [task]}, "body.tasks.custom_sip_headers"),
        ):
            refused = api.refusal("POST", path, body)
            assert refused == (400, f"{where}: the names must start with X-, and {name!r} does not")
    assert len(api.calls()) == 1


def test_a_number_without_an_agent_calls_nobody() -> None:
    api = Api()
    number = api.post("/create-phone-number", {})["phone_number"]
    body = {"from_number": number, "to_number": "+12015550100"}
    assert "override_agent_id" in api.refusal("POST", "/v2/create-phone-call", body)[1]
    api.call(number, override_agent_id=api.agent())


def test_several_agents_share_a_number_by_weight() -> None:
    api = Api()
    agents = [{"agent_id": api.agent(), "weight": 0.2}, {"agent_id": api.agent(), "weight": 0.8}]
    from_number = api.post("/create-phone-number", {"outbound_agents": agents})["phone_number"]
    placed = Counter(api.call(from_number, f"+1201555{line:04}")["agent_id"] for line in range(200))
    assert 20 < placed[agents[0]["agent_id"]] < 60
    assert len({api.call(from_number)["agent_id"] for _ in range(10)}) == 1


def test_an_override_of_the_agent_holds_for_one_call() -> None:
    api = Api(Settings(outcomes={"dial_no_answer": 1}))
    from_number = api.number()
    call_id = api.call(from_number, agent_override={"agent": {"ring_duration_ms": 5_000, "agent_name": "Other"}})["call_id"]
    api.clock.advance(5)
    assert api.get(f"/v2/get-call/{call_id}")["disconnection_reason"] == "dial_no_answer"
    assert "agent_name" not in api.call(from_number)


def test_unknown_calls() -> None:
    api = Api()
    assert api.refusal("GET", "/v2/get-call/call_none") == (422, "call_id was not found")
    assert api.refusal("POST", "/v2/stop-call/call_none")[0] == 422
