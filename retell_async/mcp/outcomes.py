"""What calls come to: functions over calls as lists give them."""

from __future__ import annotations

import difflib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import mean, median
from typing import Any, cast

from .catalog import Json

__all__ = ["BROKEN", "compared", "cost_by_agent", "differences", "excerpts", "failed_by_reason", "why_failed"]

BROKEN = ("error", "not_connected")
"""The statuses of calls that never connected, or broke off."""
_EXAMPLES = 3
_CHANGES = 3000
_AROUND = 80
_OF_EACH_VERSION = (
    "version",
    "base_version",
    "last_modification_timestamp",
    "is_published",
    "version_title",
    "version_description",
    "tags",
)


def why_failed(call: Mapping[str, Any]) -> str | None:
    """Why a call failed; ``None`` if it did not."""
    reason = call.get("disconnection_reason")
    if call.get("call_status") in BROKEN:
        return str(reason or call["call_status"])
    if _analysis(call).get("call_successful") is False:
        return f"not successful ({reason})" if reason else "not successful"
    return None


def failed_by_reason(calls: Iterable[Mapping[str, Any]]) -> Json:
    """Failed calls by their reason and the workspace's own number, the most frequent first."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    count = 0
    for call in calls:
        count += 1
        if (reason := why_failed(call)) is not None:
            groups[reason, _own_number(call)].append(call)
    rows = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
    return {
        "calls": count,
        "failed": sum(len(some) for _, some in rows),
        "groups": [
            {
                "reason": reason,
                "number": number,
                "calls": len(some),
                "other_numbers": len({_other_number(call) for call in some}),
                "agents": sorted({str(call.get("agent_id")) for call in some})[:_EXAMPLES],
                "examples": [str(call.get("call_id")) for call in some[:_EXAMPLES]],
            }
            for (reason, number), some in rows
        ],
    }


def _own_number(call: Mapping[str, Any]) -> str:
    if call.get("call_type") != "phone_call":
        return "web call"
    return str(call.get("to_number" if call.get("direction") == "inbound" else "from_number"))


def _other_number(call: Mapping[str, Any]) -> object:
    return call.get("from_number" if call.get("direction") == "inbound" else "to_number")


def cost_by_agent(calls: Iterable[Mapping[str, Any]]) -> Json:
    """What calls cost by agent, the dearest first; in cents (USD), as the API has it."""
    groups: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for call in calls:
        groups[str(call.get("agent_id"))].append(call)
    agents = [
        {
            "agent_id": agent,
            "calls": len(some),
            "cost_in_cents": round(sum(_costs(some)), 2),
            "minutes": round(sum(_durations(some)) / 60_000, 1),
            "without_cost": len(some) - len(_costs(some)),
        }
        for agent, some in groups.items()
    ]
    agents.sort(key=lambda row: (-cast("float", row["cost_in_cents"]), cast("str", row["agent_id"])))
    total = round(sum(cast("float", row["cost_in_cents"]) for row in agents), 2)
    return {"cost_in_cents": total, "calls": sum(map(len, groups.values())), "agents": agents}


def compared(calls: Sequence[Mapping[str, Any]]) -> Json:
    """How calls went: counts, shares of those of which it is known, and what was usual."""
    connected = [call for call in calls if call.get("start_timestamp") is not None and call.get("call_status") != "not_connected"]
    judged = [said for call in calls if isinstance(said := _analysis(call).get("call_successful"), bool)]
    latencies = [p50 for call in calls if isinstance(p50 := _at(call, "latency", "e2e", "p50"), int | float)]
    return {
        "calls": len(calls),
        "connected": len(connected),
        "successful": None if not judged else round(sum(judged) / len(judged), 3),
        "judged": len(judged),
        "seconds": None if not (durations := _durations(connected)) else round(mean(durations) / 1000, 1),
        "cost_in_cents": None if not (costs := _costs(calls)) else round(mean(costs), 2),
        "latency_ms": None if not latencies else round(median(latencies)),
        "sentiment": dict(Counter(str(said) for call in calls if (said := _analysis(call).get("user_sentiment")) is not None)),
        "reasons": dict(Counter(str(reason) for call in calls if (reason := call.get("disconnection_reason"))).most_common(10)),
    }


def differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> Json:
    """Settings that differ, by their names with dots; of long texts the lines that do."""
    return {
        name: {"changes": _lines(before, after)} if _is_long(before) and _is_long(after) else {"a": before, "b": after}
        for name, before, after in _differing(a, b)
        if name.partition(".")[0] not in _OF_EACH_VERSION
    }


def _differing(a: Any, b: Any, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        one, other = cast("Mapping[str, Any]", a), cast("Mapping[str, Any]", b)
        for key in dict.fromkeys([*one, *other]):
            yield from _differing(one.get(key), other.get(key), f"{name}.{key}" if name else key)
    elif a != b:
        yield name, a, b


def _is_long(value: object) -> bool:
    return isinstance(value, str) and len(value) > _AROUND


def _lines(a: str, b: str) -> str:
    found = "\n".join(line for line in difflib.unified_diff(a.splitlines(), b.splitlines(), "a", "b", n=0, lineterm=""))
    return found if len(found) <= _CHANGES else f"{found[:_CHANGES]}..."


def excerpts(transcript: str, text: str, most: int = 3) -> list[str]:
    """What was said around each place in which a text stands, in any case."""
    folded, wanted = transcript.lower(), text.lower()
    found: list[str] = []
    at = folded.find(wanted)
    while at >= 0 and len(found) < most:
        found.append(transcript[max(at - _AROUND, 0) : at + len(wanted) + _AROUND].strip())
        at = folded.find(wanted, at + len(wanted) + _AROUND)
    return found


def _analysis(call: Mapping[str, Any]) -> Mapping[str, Any]:
    found = call.get("call_analysis")
    return cast("Mapping[str, Any]", found) if isinstance(found, Mapping) else {}


def _at(value: Any, *way: str) -> Any:
    for step in way:
        value = cast("Mapping[str, Any]", value).get(step) if isinstance(value, Mapping) else None
    return value


def _costs(calls: Iterable[Mapping[str, Any]]) -> list[float]:
    return [cost for call in calls if isinstance(cost := _at(call, "call_cost", "combined_cost"), int | float)]


def _durations(calls: Iterable[Mapping[str, Any]]) -> list[float]:
    return [duration for call in calls if isinstance(duration := call.get("duration_ms"), int | float)]
