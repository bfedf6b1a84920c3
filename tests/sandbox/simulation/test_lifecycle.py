"""How calls go, without a store or a server."""

from __future__ import annotations

import json
from collections import Counter
from importlib import resources
from statistics import median_low

import attrs
import pytest
from hypothesis import given, strategies as st

from retell_async.sandbox.simulation.conversation import converse
from retell_async.sandbox.simulation.lifecycle import (
    CallKind,
    CallPlan,
    CallProfile,
    call_cost,
    latency,
    plan_call,
    stage,
    status,
    stopped,
    turns,
)
from retell_async.sandbox.simulation.outcomes import DEFAULT_OUTCOMES, Outcomes

NOW = 1_760_000_000_000
OUTCOMES = Outcomes.of(DEFAULT_OUTCOMES)

DOCUMENT = json.loads(resources.files("retell_async.raw").joinpath("openapi.json").read_bytes())
REASONS: list[str] = DOCUMENT["components"]["schemas"]["DisconnectionReason"]["enum"]


def plan(reason: str | None = None, *, seed: int = 1, kind: CallKind = "phone_call", profile: CallProfile | None = None) -> CallPlan:
    outcomes = OUTCOMES if reason is None else Outcomes.of({reason: 1})
    return plan_call(seed, kind, NOW, outcomes, profile or CallProfile(detects_voicemail=True))


@given(st.integers(0, 2**64 - 1), st.sampled_from(REASONS), st.sampled_from(["phone_call", "web_call"]))
def test_every_course_runs_through_its_stages_in_order(seed: int, reason: str, kind: CallKind) -> None:
    planned = plan(reason, seed=seed, kind=kind)
    assert planned == plan(reason, seed=seed, kind=kind)
    assert planned.reason == reason
    assert NOW < planned.end < planned.analyzed
    moments = [NOW, *([] if planned.start is None else [planned.start]), planned.end, planned.analyzed]
    expected = ["registered", *([] if planned.start is None else ["ongoing"]), "ended", "analyzed"]
    assert [stage(planned, moment) for moment in moments] == expected
    assert [stage(planned, moment - 1) for moment in moments[1:]] == expected[:-1]
    assert status(planned, planned.end) in {"ended", "not_connected", "error"}
    assert (status(planned, planned.end) == "not_connected") <= (planned.start is None)


def test_outcomes_come_about_as_often_as_their_weights_say() -> None:
    counts = Counter(plan(seed=seed).reason for seed in range(5_000))
    for reason, weight in DEFAULT_OUTCOMES.items():
        assert counts[reason] / 50 == pytest.approx(weight, rel=0.25, abs=0.5)


def test_web_calls_know_nothing_of_telephones() -> None:
    outcomes = Outcomes.of_web_calls(DEFAULT_OUTCOMES)
    assert set(outcomes.reasons) == {"user_hangup", "agent_hangup", "inactivity", "error_no_audio_received"}
    assert Outcomes.of_web_calls({"dial_busy": 1}).reasons == ("user_hangup",)


@pytest.mark.parametrize("weights", [{}, {"user_hangup": 0}, {"user_hangup": -1}, {"user_hangup": float("nan")}, {"tired": 1}])
def test_weights_that_make_no_sense(weights: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"reason|weight"):
        Outcomes.of(weights)


def test_settings_of_the_agent_bound_the_call() -> None:
    assert plan("dial_no_answer", profile=CallProfile(ring_ms=7_000)).end == NOW + 7_000
    longest = CallProfile(max_duration_ms=60_000)
    courses = [plan("user_hangup", seed=seed, profile=longest) for seed in range(50)]
    assert {planned.reason for planned in courses if planned.duration_ms == 60_000} == {"max_duration_reached"}
    assert all(planned.duration_ms <= 60_000 for planned in courses)


def test_a_voicemail_that_nobody_looks_out_for_ends_as_an_ordinary_call() -> None:
    unseen = plan("voicemail_reached", profile=CallProfile())
    assert (unseen.reason, unseen.in_voicemail, unseen.successful) == ("user_hangup", True, False)


def test_a_stopped_call_ends_at_once() -> None:
    planned = plan("user_hangup")
    assert planned.start is not None
    ended = stopped(planned, planned.start + 9_500)
    assert (ended.reason, ended.duration_ms, status(ended, ended.end)) == ("manual_stopped", 9_500, "ended")
    assert ended.analyzed - ended.end == planned.analyzed - planned.end
    assert call_cost(ended)["total_duration_seconds"] == 10


@given(st.integers(0, 2**32))
def test_cost_and_latency_add_up(seed: int) -> None:
    planned = plan("user_hangup", seed=seed)
    cost = call_cost(planned)
    assert cost["combined_cost"] == pytest.approx(sum(item["cost"] for item in cost["product_costs"]), abs=1e-3)
    assert cost["combined_cost"] == pytest.approx(cost["total_duration_seconds"] * cost["total_duration_unit_price"], abs=1e-3)
    measured = latency(planned)
    assert measured["e2e"]["p50"] == median_low(measured["e2e"]["values"]) == planned.latency_ms
    for summary in measured.values():
        assert summary["num"] == len(summary["values"]) == turns(planned.duration_ms)
        assert summary["min"] <= summary["p50"] <= summary["p90"] <= summary["p95"] <= summary["p99"] <= summary["max"]


def test_a_call_that_reached_nobody_costs_nothing() -> None:
    assert call_cost(plan("dial_busy")) == {
        "product_costs": [],
        "total_duration_seconds": 0,
        "total_duration_unit_price": 0,
        "combined_cost": 0,
    }


@given(st.integers(0, 2**32), st.sampled_from(["user_hangup", "agent_hangup", "voicemail_reached", "inactivity"]))
def test_words_follow_each_other_within_the_call(seed: int, reason: str) -> None:
    planned = plan(reason, seed=seed)
    conversation = converse(planned)
    words = [word for utterance in conversation.utterances for word in utterance["words"]]
    edges = [moment for word in words for moment in (word["start"], word["end"])]
    assert edges == sorted(edges)
    assert edges[0] > 0
    assert planned.duration_ms / 1000 * 0.6 < edges[-1] <= planned.duration_ms / 1000
    for utterance in conversation.utterances:
        assert utterance["content"] == " ".join(word["word"] for word in utterance["words"])
    assert conversation.transcript().count("\n") == len(conversation.utterances)
    assert (conversation.with_tool_calls != conversation.utterances) == (reason == "agent_hangup")


def test_the_agent_begins_with_what_it_was_told_to_say() -> None:
    assert converse(plan("user_hangup"), "Good morning, Ada.").utterances[0]["content"] == "Good morning, Ada."


def test_nothing_is_said_in_a_call_that_is_stopped_at_once() -> None:
    planned = plan("user_hangup")
    assert planned.start is not None
    assert converse(attrs.evolve(planned, end=planned.start + 1)).utterances == []
