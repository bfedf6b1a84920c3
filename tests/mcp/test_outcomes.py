"""What calls come to, as functions over calls; and the tools that ask for it, on the sandbox."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from retell_async.mcp.outcomes import compared, cost_by_agent, differences, excerpts, failed_by_reason, why_failed
from retell_async.sandbox import Settings

from .workspace import PEOPLE, Human, Workspace, data, text, workspace

pytestmark = pytest.mark.anyio

Json = dict[str, Any]


def call(**fields: Any) -> Json:
    usual: Json = {"call_id": "call_1", "call_type": "phone_call", "direction": "outbound", "agent_id": "agent_1", "call_status": "ended"}
    return {**usual, "from_number": "+14155550100", "to_number": PEOPLE, "start_timestamp": 1, **fields}


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"call_status": "not_connected", "disconnection_reason": "dial_busy"}, "dial_busy"),
        ({"call_status": "error", "disconnection_reason": "error_asr"}, "error_asr"),
        ({"call_status": "error"}, "error"),
        ({"call_analysis": {"call_successful": False}, "disconnection_reason": "user_hangup"}, "not successful (user_hangup)"),
        ({"call_analysis": {"call_successful": True}, "disconnection_reason": "user_hangup"}, None),
        ({"call_analysis": {}}, None),
        ({"call_status": "ongoing"}, None),
        ({"call_status": "a status of next year", "call_analysis": None}, None),
    ],
)
def test_why_a_call_failed(fields: Json, why: str | None) -> None:
    assert why_failed(call(**fields)) == why


def test_failed_calls_are_grouped_by_reason_and_the_workspaces_own_number() -> None:
    busy = {"call_status": "not_connected", "disconnection_reason": "dial_busy"}
    calls = [
        *(call(call_id=f"call_{count}", to_number=f"+1415555{count:04}", **busy) for count in range(5)),
        call(call_id="in", direction="inbound", from_number=PEOPLE, to_number="+14155550100", **busy),
        call(call_id="other", from_number="+14155550101", **busy),
        call(call_id="web", call_type="web_call", call_status="error", disconnection_reason="error_asr"),
        call(call_id="fine"),
    ]
    told = failed_by_reason(calls)
    assert (told["calls"], told["failed"]) == (9, 8)
    assert [(row["reason"], row["number"], row["calls"], row["other_numbers"]) for row in told["groups"]] == [
        ("dial_busy", "+14155550100", 6, 6),
        ("dial_busy", "+14155550101", 1, 1),
        ("error_asr", "web call", 1, 1),
    ]
    assert told["groups"][0]["examples"] == ["call_0", "call_1", "call_2"]


def test_costs_are_added_up_by_agent_the_dearest_first() -> None:
    calls = [
        call(agent_id="a", call_cost={"combined_cost": 1.5}, duration_ms=60_000),
        call(agent_id="b", call_cost={"combined_cost": 7.25}, duration_ms=120_000),
        call(agent_id="b", call_cost={"combined_cost": 0.1}),
        call(agent_id="a"),
    ]
    assert cost_by_agent(calls) == {
        "cost_in_cents": 8.85,
        "calls": 4,
        "agents": [
            {"agent_id": "b", "calls": 2, "cost_in_cents": 7.35, "minutes": 2.0, "without_cost": 0},
            {"agent_id": "a", "calls": 2, "cost_in_cents": 1.5, "minutes": 1.0, "without_cost": 1},
        ],
    }
    assert cost_by_agent([]) == {"cost_in_cents": 0, "calls": 0, "agents": []}


def test_what_is_not_known_counts_for_nothing() -> None:
    told = compared(
        [
            call(call_analysis={"call_successful": True, "user_sentiment": "Positive"}, duration_ms=30_000, latency={"e2e": {"p50": 900}}),
            call(call_analysis={"call_successful": False}, duration_ms=90_000, call_cost={"combined_cost": 3}),
            call(call_status="not_connected", start_timestamp=None, disconnection_reason="dial_busy"),
        ]
    )
    assert told == {
        "calls": 3,
        "connected": 2,
        "successful": 0.5,
        "judged": 2,
        "seconds": 60.0,
        "cost_in_cents": 3,
        "latency_ms": 900,
        "sentiment": {"Positive": 1},
        "reasons": {"dial_busy": 1},
    }
    assert compared([])["successful"] is None


def test_settings_that_differ() -> None:
    a = {"version": 0, "voice_id": "a", "voicemail": {"action": {"type": "hangup"}}, "same": [1], "prompt": "Be kind.\n" + "Line.\n" * 40}
    b = {"version": 1, "voice_id": "b", "voicemail": {"action": {"type": "text"}}, "same": [1], "prompt": "Be brief.\n" + "Line.\n" * 40}
    told = differences(a, b)
    assert told.keys() == {"voice_id", "voicemail.action.type", "prompt"}
    assert told["voice_id"] == {"a": "a", "b": "b"}
    assert "-Be kind.\n+Be brief." in told["prompt"]["changes"]


def test_excerpts_are_what_stands_around() -> None:
    transcript = f"User: {'x ' * 100}I want a REFUND now. {'y ' * 200} refund again"
    first, second = excerpts(transcript, "refund")
    assert "I want a REFUND now." in first
    assert len(first) < 200
    assert second.endswith("refund again")
    assert excerpts(transcript, "horse") == []


# The tools.


async def placed(work: Workspace, count: int) -> list[Json]:
    """Calls to several people, once they are over."""
    for one in range(count):
        await work.client.call.create_phone_call(from_number=work.fixtures.phone_number, to_number=f"+1415555{200 + one:04}")
    await work.local.advance(3600)
    return [one.to_dict() async for one in work.client.call.list()]


async def test_the_tools_answer_from_what_the_workspace_has() -> None:
    settings = Settings(outcomes={"dial_busy": 1, "dial_no_answer": 1, "user_hangup": 2})
    async with workspace(settings=settings) as work, work.connect("auto", Human()) as session:
        period = {"since": "2020-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z"}
        calls = await placed(work, 12)
        reasons = Counter(one["disconnection_reason"] for one in calls)

        failed = data(await session.call_tool("failed_calls", period))
        assert failed["calls"] == 12
        told = {row["reason"]: row["calls"] for row in failed["groups"] if row["number"] == work.fixtures.phone_number}
        assert {reason: told[reason] for reason in ("dial_busy", "dial_no_answer")} == {
            reason: reasons[reason] for reason in ("dial_busy", "dial_no_answer")
        }
        assert failed["complete"] is True

        costs = data(await session.call_tool("cost_by_agent", period))
        assert [row["agent_id"] for row in costs["agents"]] == [work.fixtures.agent_id]
        assert costs["cost_in_cents"] == round(sum(one.get("call_cost", {}).get("combined_cost", 0) for one in calls), 2) > 0

        heard = next(one["call_id"] for one in calls if one["call_status"] == "ended")
        word = next(word for word in ((await work.client.call.retrieve(heard)).transcript or "").split() if len(word) > 4)
        told_of: list[float] = []

        async def looked(progress: float, total: float | None, message: str | None) -> None:
            told_of.append(progress)

        wanted = {"text": word.upper(), **period}
        found = data(await session.call_tool("find_in_transcripts", wanted, progress_callback=looked))
        assert told_of == [found["looked_at"]] == [reasons["user_hangup"]]  # of the others there is nothing to read
        assert heard in [one["call_id"] for one in found["found"]]
        assert word in found["found"][0]["excerpts"][0]
        assert data(await session.call_tool("find_in_transcripts", {"text": "a horse", **period}))["found"] == []

        agent = work.fixtures.agent_id
        await work.client.agent.create_version(agent, base_version=0)
        await work.client.agent.update(agent, version=1, voice_id="retell-Willa")
        told = data(await session.call_tool("compare_agent_versions", {"agent_id": agent, "version_a": 0, "version_b": 1, **period}))
        assert told["settings"] == {"voice_id": {"a": "retell-Cimo", "b": "retell-Willa"}}
        assert (told["a"]["calls"], told["a"]["connected"], told["b"]["calls"]) == (12, reasons["user_hangup"], 0)


async def test_a_call_is_waited_for() -> None:
    async with workspace() as work, work.connect("auto") as session:
        one = await work.client.call.create_phone_call(from_number=work.fixtures.phone_number, to_number=PEOPLE)
        waiting = data(await session.call_tool("wait_for_call", {"call_id": one.call_id, "seconds": 0.3}))
        assert waiting["done"] is False
        assert "again" in waiting["what_to_do"]
        await work.local.advance(3600)
        over = data(await session.call_tool("wait_for_call", {"call_id": one.call_id, "until": "analyzed"}))
        assert over["done"] is True
        assert over["call_status"] in {"ended", "not_connected", "error"}


async def test_for_a_call_that_is_not_there_nobody_waits() -> None:
    async with workspace() as work, work.connect("auto") as session:
        told = await session.call_tool("wait_for_call", {"call_id": "call_of_nobody"})
        assert told.is_error
        assert "call_id was not found" in text(told)
        assert [received.operation for received in work.local.requests()] == ["getCall"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"since": "yesterday"}, "no time"),
        ({"since": "2026-11-01T00:00:00"}, "no zone"),
        ({"since": "2026-11-02T00:00:00Z", "until": "2026-11-01T00:00:00Z"}, "before it begins"),
    ],
)
async def test_a_period_that_is_none_is_said_to_be_none(arguments: Json, said: str) -> None:
    async with workspace() as work, work.connect() as session:
        assert said in text(await session.call_tool("failed_calls", arguments))
