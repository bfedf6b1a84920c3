# pyright: reportDeprecated=false
"""The tools that answer a question: what they read, and what they make of it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

import anyio
import attrs

from .._client import AsyncRetell
from .._core.errors import RetellError, WaitTimeoutError
from .._core.operation import omit
from .addresses import links_of
from .catalog import Json, Tool
from .outcomes import BROKEN, compared, cost_by_agent, differences, excerpts, failed_by_reason
from .results import Answer, Failed, failure, moment, summary
from .schemas import describe

__all__ = ["Progress", "answer"]

Progress = Callable[[float, float, str], Awaitable[None]]
"""Told how far something is, of how much, and a word."""

_PAGE = 1000
_MOST = 5000
"""Calls that a question is answered from at most."""
_WEEK = 7 * 86400.0
_READ_AT_MOST = 100
_READ_TOGETHER = 25
_AT_ONCE = 8
_WAIT = 45.0
_GLANCE = 10.0
_ENGINES = {"retell-llm": ("llm", "llm_id"), "conversation-flow": ("conversation_flow", "conversation_flow_id")}
"""Where the prompts and flows of agents are, by the type of their engine."""


async def answer(client: AsyncRetell, tool: Tool, arguments: Mapping[str, Any], progress: Progress) -> Answer:
    """Answer a question.

    :raises Failed: it cannot be answered.
    """
    try:
        return await _BY_NAME[tool.name](client, arguments, progress)
    except (RetellError, ValueError, TypeError) as error:
        if tool.name == "describe_schema":
            raise Failed(f"describe_schema: {error}") from None
        raise failure(tool, error) from None


@attrs.frozen
class _Period:
    since: float
    until: float

    @property
    def said(self) -> Json:
        return {"since": moment(self.since), "until": moment(self.until)}

    def holds(self, call: Mapping[str, Any]) -> bool:
        at = call.get("start_timestamp") or call.get("end_timestamp")
        return isinstance(at, int | float) and self.since <= at / 1000 <= self.until

    @property
    def criteria(self) -> Json:
        return {"type": "range", "op": "bt", "value": [int(self.since * 1000), int(self.until * 1000)]}


def _period(arguments: Mapping[str, Any]) -> _Period:
    until = _moment(arguments.get("until"), time.time())
    since = _moment(arguments.get("since"), until - _WEEK)
    if since >= until:
        raise Failed(f"the period ends ({moment(until)}) before it begins ({moment(since)})")
    return _Period(since, until)


def _moment(text: str | None, default: float) -> float:
    if text is None:
        return default
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Failed(f"{text!r} is no time: ISO 8601 with a zone is needed, such as 2026-11-01T00:00:00Z") from None
    if found.tzinfo is None:
        raise Failed(f"{text!r} has no zone: put Z behind it for UTC, or an offset such as +02:00")
    return found.timestamp()


def _agent(arguments: Mapping[str, Any]) -> Json:
    agent = arguments.get("agent_id")
    return {} if agent is None else {"agent": [{"agent_id": agent}]}


async def _calls(client: AsyncRetell, criteria: Any) -> tuple[list[Json], bool]:
    """The calls that meet conditions, the latest first, and whether these are all."""
    found: list[Json] = []
    async for call in client.call.list(filter_criteria=criteria, limit=_PAGE):
        if len(found) == _MOST:
            return found, False
        found.append(call.to_dict())
    return found, True


async def _of_period(client: AsyncRetell, period: _Period, criteria: Json) -> tuple[list[Json], Json]:
    """The calls of a period, those that never connected too, and what to say of what is missing.

    Calls that never connected may have no start, and then a filter by it leaves them out: they are asked for by their status.
    """
    started, all_started = await _calls(client, {**criteria, "start_timestamp": period.criteria})
    broken, all_broken = await _calls(client, {**criteria, "call_status": {"type": "enum", "op": "in", "value": list(BROKEN)}})
    calls = {call["call_id"]: call for call in [*started, *(call for call in broken if period.holds(call))]}
    undated = sum("start_timestamp" not in call and "end_timestamp" not in call for call in broken)
    return list(calls.values()), {"complete": all_started and all_broken, **({"failed_without_a_time": undated} if undated else {})}


async def _failed_calls(client: AsyncRetell, arguments: Mapping[str, Any], _: Progress) -> Answer:
    period = _period(arguments)
    calls, missing = await _of_period(client, period, _agent(arguments))
    return Answer({"period": period.said, **failed_by_reason(calls), **missing})


async def _cost_by_agent(client: AsyncRetell, arguments: Mapping[str, Any], _: Progress) -> Answer:
    period = _period(arguments)
    calls, complete = await _calls(client, {"start_timestamp": period.criteria})
    return Answer({"period": period.said, **cost_by_agent(calls), "complete": complete})


async def _compare(client: AsyncRetell, arguments: Mapping[str, Any], _: Progress) -> Answer:
    period, agent_id = _period(arguments), arguments["agent_id"]
    versions = {name: arguments[f"version_{name}"] for name in ("a", "b")}
    settings = {name: (await client.agent.retrieve(agent_id, version=version)).to_dict() for name, version in versions.items()}
    engines = {name: await _engine(client, said) for name, said in settings.items()}
    told: Json = {
        "agent_id": agent_id,
        "period": period.said,
        "settings": differences(settings["a"], settings["b"]),
        "engine": differences(engines["a"], engines["b"]),
    }
    for name, version in versions.items():
        calls, missing = await _of_period(client, period, {"agent": [{"agent_id": agent_id, "version": [version]}]})
        told[name] = {"version": version, **compared(calls), **missing}
    return Answer(told)


async def _engine(client: AsyncRetell, agent: Mapping[str, Any]) -> Json:
    """The prompts or the flow of an agent, with the version that it has; nothing where they are elsewhere."""
    said: Json = agent.get("response_engine") or {}
    resource, key = _ENGINES.get(str(said.get("type")), ("", ""))
    if not resource:
        return {}
    version = {} if said.get("version") is None else {"version": said["version"]}
    found: Json = (await getattr(client, resource).retrieve(str(said.get(key)), **version)).to_dict()
    return found


async def _find(client: AsyncRetell, arguments: Mapping[str, Any], progress: Progress) -> Answer:
    period, wanted = _period(arguments), arguments.get("limit", 10)
    criteria: Any = {"start_timestamp": period.criteria, **_agent(arguments)}
    cursor, looked, found = arguments.get("cursor"), 0, list[Json]()
    while True:
        page = await client.call.list(filter_criteria=criteria, limit=_READ_TOGETHER, pagination_key=omit if cursor is None else cursor)
        read = await _together(client, [call.call_id for call in page.items])
        looked += len(read)
        for call in read:
            if places := excerpts(call.get("transcript") or "", arguments["text"]):
                found.append({**summary({key: call.get(key) for key in _SHOWN}), "excerpts": places})
        cursor = page.pagination_key if page.has_more else None
        await progress(looked, _READ_AT_MOST, f"{len(found)} found")
        if cursor is None or len(found) >= wanted or looked >= _READ_AT_MOST:
            break
    links = [link for call in found for link in links_of({**call, "transcript": True})[1:]]
    told = {"period": period.said, "looked_at": looked, "found": found}
    return Answer(told | ({} if cursor is None else {"next_cursor": cursor}), links)


_SHOWN = ("call_id", "agent_id", "call_status", "start_timestamp", "from_number", "to_number", "disconnection_reason")


async def _together(client: AsyncRetell, ids: list[str]) -> list[Json]:
    """Calls with their transcripts, in order."""
    found: dict[str, Json] = {}
    limit = anyio.CapacityLimiter(_AT_ONCE)

    async def read(call_id: str) -> None:
        async with limit:
            try:
                found[call_id] = (await client.call.retrieve(call_id)).to_dict()
            except (RetellError, ValueError) as error:  # raised where no group wraps it
                errors.append(error)

    errors: list[RetellError | ValueError] = []
    async with anyio.create_task_group() as tasks:
        for call_id in ids:
            tasks.start_soon(read, call_id)
    if errors:
        raise errors[0]
    return [found[call_id] for call_id in ids]


async def _wait(client: AsyncRetell, arguments: Mapping[str, Any], progress: Progress) -> Answer:
    call_id, until, seconds = arguments["call_id"], arguments.get("until", "ended"), arguments.get("seconds", _WAIT)

    async def tell() -> None:  # so that whoever waits does not give up
        for count in itertools.count(1):
            await anyio.sleep(_GLANCE)
            await progress(count * _GLANCE, max(seconds, count * _GLANCE), "waiting")

    await client.call.retrieve(call_id)  # one that there is not is told at once: lists, which are waited by, may lag behind what was placed
    call, wrong = None, None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tell)
        try:
            call = await client.call.wait(call_id, until=until, within=seconds)
        except WaitTimeoutError:
            pass
        except (RetellError, ValueError) as error:
            wrong = error  # raised where no group wraps it
        tasks.cancel_scope.cancel()
    if wrong is not None:
        raise wrong
    found: Json = (call or await client.call.retrieve(call_id)).to_dict()
    done = call is not None or "call_analysis" in found or (until == "ended" and "end_timestamp" in found)
    told: Json = {"done": done, **summary(found)}
    if not done:
        told["what_to_do"] = "It goes on. Call wait_for_call again to wait longer."
    elif "call_analysis" in found:
        told["call_analysis"] = found["call_analysis"]
    return Answer(told, links_of(found))


async def _describe(_: AsyncRetell, arguments: Mapping[str, Any], __: Progress) -> Answer:
    return Answer(describe(arguments["path"]), ours=True)


_BY_NAME: Mapping[str, Callable[[AsyncRetell, Mapping[str, Any], Progress], Awaitable[Answer]]] = {
    "failed_calls": _failed_calls,
    "compare_agent_versions": _compare,
    "cost_by_agent": _cost_by_agent,
    "find_in_transcripts": _find,
    "wait_for_call": _wait,
    "describe_schema": _describe,
}
