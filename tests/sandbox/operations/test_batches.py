"""Batch calls, their windows and the concurrency that they leave to others."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from retell_async.sandbox import Settings, SteppedClock
from retell_async.sandbox.common.messages import Refused
from retell_async.sandbox.operations.calls.call_windows import check_time_zone, next_open

from ..checked import Api, Json

TALKS = {"user_hangup": 1.0}


def tasks(count: int, **fields: object) -> list[Json]:
    return [{"to_number": f"+1201555{line:04}", **fields} for line in range(count)]


def of_batch(api: Api, id: str) -> list[Json]:
    found: list[Json] = []
    asked: Json = {"filter_criteria": {"batch_call_id": {"type": "string", "op": "eq", "value": id}}, "limit": 1000}
    found += api.calls(**asked)
    return found


def test_every_task_becomes_a_call_in_its_time() -> None:
    api = Api(Settings(outcomes=TALKS))
    number = api.number()
    batch = api.post("/create-batch-call", {"from_number": number, "tasks": tasks(10, metadata={"a": 1})})
    assert (batch["total_task_count"], batch["scheduled_timestamp"]) == (10, api.clock.now() // 1000)
    assert len(of_batch(api, batch["batch_call_id"])) == 1
    api.clock.advance(1)
    assert len(of_batch(api, batch["batch_call_id"])) == 6
    api.clock.advance(60)
    calls = of_batch(api, batch["batch_call_id"])
    assert len({call["to_number"] for call in calls}) == 10
    assert {call["metadata"]["a"] for call in calls} == {1}


def test_a_batch_keeps_below_the_limit_and_leaves_slots_to_others() -> None:
    api = Api(Settings(outcomes=TALKS, concurrency_limit=5))
    number = api.number()
    batch = api.post("/create-batch-call", {"from_number": number, "tasks": tasks(30), "reserved_concurrency": 2})
    running: list[int] = []
    for _ in range(400):
        api.clock.advance(5)
        running.append(api.get("/get-concurrency")["current_concurrency"])
    assert (max(running), running[-1]) == (3, 0)
    assert len(of_batch(api, batch["batch_call_id"])) == 30


def test_however_late_one_looks_the_calls_are_the_same() -> None:
    def run(step: float) -> list[tuple[str, int, str]]:
        api = Api(Settings(concurrency_limit=3))
        number = api.number()
        api.post("/create-batch-call", {"from_number": number, "tasks": tasks(20)})
        for _ in range(round(3_600 / step)):
            api.clock.advance(step)
            api.get("/get-concurrency")
        return sorted((call["to_number"], call["end_timestamp"], call["disconnection_reason"]) for call in api.calls(limit=100))

    assert run(3_600) == run(7.2)
    assert len(run(3_600)) == 20


def test_a_batch_waits_for_its_time_and_its_window() -> None:
    monday = datetime(2026, 1, 5, 8, tzinfo=UTC)
    api = Api(clock=SteppedClock(round(monday.timestamp() * 1000)))
    number = api.number()
    window = {"windows": [{"start": 600, "end": 660}], "timezone": "UTC", "day": ["Monday"]}
    body = {"from_number": number, "tasks": tasks(1), "call_time_window": window, "trigger_timestamp": api.clock.now() + 3_600_000}
    batch = api.post("/create-batch-call", body)
    assert batch["call_time_window"] == window
    api.clock.advance(2 * 3_600 - 1)
    assert of_batch(api, batch["batch_call_id"]) == []
    api.clock.advance(1)
    assert len(of_batch(api, batch["batch_call_id"])) == 1


def test_a_task_whose_agent_is_gone_makes_no_call_and_holds_up_nobody() -> None:
    api = Api()
    number, agent_id = api.number(), api.agent()
    every = [*tasks(1, override_agent_id=agent_id), *tasks(2)]
    batch = api.post("/create-batch-call", {"from_number": number, "tasks": every, "trigger_timestamp": api.clock.now() + 1_000})
    api.delete(f"/delete-agent/{agent_id}")
    api.clock.advance(60)
    assert len(of_batch(api, batch["batch_call_id"])) == 2


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"tasks": []}, 400),
        ({"tasks": [{"to_number": "12"}]}, 400),
        ({"tasks": tasks(1, override_agent_id="agent_none")}, 422),
        ({"from_number": "+14155550199"}, 422),
        ({"reserved_concurrency": 1_000}, 400),
        ({"trigger_timestamp": -1}, 400),
        ({"call_time_window": {"windows": [{"start": 5, "end": 5}]}}, 400),
        ({"call_time_window": {"windows": [{"start": 0, "end": 5}], "timezone": "Mars/Base"}}, 400),
    ],
)
def test_batches_that_cannot_be(change: Json, status: int) -> None:
    api = Api()
    assert api.refusal("POST", "/create-batch-call", {"from_number": api.number(), "tasks": tasks(1)} | change)[0] == status


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-03-06T08:00-08:00", "2026-03-06T09:00-08:00"),
        ("2026-03-06T12:00-08:00", "2026-03-06T12:00-08:00"),
        ("2026-03-06T17:00-08:00", "2026-03-09T09:00-07:00"),
        ("2026-03-07T12:00-08:00", "2026-03-09T09:00-07:00"),
    ],
)
def test_windows_are_in_local_time_and_follow_daylight_saving(now: str, opens: str) -> None:
    window = {"windows": [{"start": 540, "end": 1020}], "day": ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"]}
    check_time_zone(window)
    at, expected = (round(datetime.fromisoformat(text).timestamp() * 1000) for text in (now, opens))
    assert next_open(window, at) == expected


@pytest.mark.parametrize("zone", ["../etc", "/etc/passwd", "a\0b", "x" * 5_000])
def test_odd_names_of_zones(zone: str) -> None:
    with pytest.raises(Refused):
        check_time_zone({"windows": [], "timezone": zone})
