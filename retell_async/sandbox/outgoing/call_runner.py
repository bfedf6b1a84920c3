"""Runs calls: sends their events, calls custom functions and opens custom-LLM conversations, each when it is due. No I/O."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from math import ceil
from typing import Any

import attrs

from ..common.guard import contain_errors
from ..common.messages import Json
from ..simulation.conversation import Pause, answer_to_update, paused, script
from ..simulation.lifecycle import TRANSFER_MS, CallPlan, CallProfile, ended, lengthened, stage, talks, transfer_end, turned_away
from ..simulation.variables import fill_variables
from ..state.calls import Call, CallProgress
from ..state.endpoints import CallEndpoints
from ..state.store import Store
from ..views.calls import call_object, listed_call, transfer_number
from . import custom_functions
from .events import Milestone, event_delivery
from .llm_session import Session
from .outbox import AttemptResult, Delivery, Outbox

__all__ = ["CallRunner"]

_HELD_MS = 86_400_000
"""A call is lengthened by so much until its custom function has answered."""


class CallRunner:
    """Runs the calls of a store. A call that it fails on ends, with the disconnection reason ``error_retell``."""

    def __init__(self, store: Store, outbox: Outbox) -> None:
        self._store = store
        self._outbox = outbox
        self.sessions: dict[str, Session] = {}
        """Ongoing custom-LLM conversations, by the ids of their calls."""
        self._prepared: dict[str, Session] = {}
        """Those of calls that were not answered yet."""
        store.on_start = partial(self._run, self._started)
        store.on_change = partial(self._run, self._changed)
        store.on_prompt = partial(self._run, self._prompted)

    def _run(self, step: Callable[..., None], call: Call, *about: Any) -> None:
        """Do something for a call. If that fails, the call ends: none goes on for ever."""
        with contain_errors(f"call {call.id}") as problems:
            step(call, *about)
        if problems:
            self._break_off(call)

    def _break_off(self, call: Call) -> None:
        now = self._store.now()
        if call.plan.end <= now:
            call.progress = None  # what fails is what comes after the end
        else:
            end = turned_away if stage(call.plan, now) == "registered" else ended
            self._store.change_call(call, end(call.plan, now, "error_retell"))

    def wake(self, call_id: str) -> None:
        """Schedule what a conversation does next. Called after each event of its session."""
        call = self._store.calls.get(call_id)
        session = self.sessions.get(call_id)
        if session is None:
            return
        if session.phase == "over" and not session.connected:
            del self.sessions[call_id]
        now = self._store.now()
        due = min((moment for moment in (session.deadline, session.connect_at) if moment is not None and moment > now), default=None)
        if due is not None and due != session.wakes_at:
            session.wakes_at = due
            self._store.scheduler.add(due, partial(self._pass_time, call_id))
        if call is not None:
            self._run(self._schedule, call)
        self._store.scheduler.notify()

    def session_event(self, call: str, what: str, text: str = "", code: int = 1006) -> None:
        """Pass an event of the connection to its session, if that is still there."""
        session, now, found = self.sessions.get(call), self._store.now(), self._store.calls.get(call)
        if session is None:
            return
        with contain_errors(f"the conversation of call {call}") as problems:
            self._tell(session, now, what, text, code)
        if problems and found is not None:
            self._break_off(found)
        self.wake(call)

    def _tell(self, session: Session, now: int, what: str, text: str, code: int) -> None:
        match what:
            case "opened":
                session.opened(now)
            case "failed":
                session.failed(now)
            case "received":
                session.received(text, now)
            case "binary":
                session.binary()
            case "waited":
                session.time_passed(now)
            case "parted":
                session.parted(now)
            case _:
                session.closed(code, now)

    def _pass_time(self, call_id: str) -> None:
        session = self.sessions.get(call_id)
        if session is not None:
            session.wakes_at = None
            self.session_event(call_id, "waited")

    def _started(self, call: Call, profile: CallProfile) -> None:
        endpoints, plan = call.params.endpoints, call.plan
        if endpoints is None:
            return
        call.progress = CallProgress()
        if endpoints.llm_url is not None and plan.start is not None:
            self._prepared[call.id] = self._session(
                call, call.progress, endpoints, fill_variables(endpoints.llm_url, _variables(call)), plan.start
            )
            self._extend(call, plan.start + profile.max_duration_ms)
        self._schedule(call)

    def _extend(self, call: Call, end: int) -> None:
        """Let a conversation last until one side hangs up, but not beyond a time."""
        plan = call.plan
        if talks(plan):
            longest = attrs.evolve(plan, reason="max_duration_reached", end=end, analyzed=end + plan.analyzed - plan.end)
            self._store.calls.change(call, longest)

    def _session(self, call: Call, progress: CallProgress, endpoints: CallEndpoints, url: str, start: int) -> Session:
        plan = call.plan
        progress.spoken = []
        return Session(
            url=url,
            plan=plan,
            speed=lambda: self._store.speed,
            details=lambda: listed_call(call, start - 1),
            finished=lambda reason: self._store.change_call(call, ended(plan, self._store.now(), reason)),
            reminder_ms=endpoints.reminder_ms,
            reminders=endpoints.reminders,
            spoken=progress.spoken,
            items=progress.items,
        )

    def _changed(self, call: Call) -> None:
        if call.progress is None:
            return
        if call.plan.end <= self._store.now():
            self._hang_up(call.id)
        self._schedule(call)

    def _hang_up(self, call_id: str) -> None:
        """The call is over: so is its conversation, and the connection to its custom LLM is closed."""
        session = self.sessions.get(call_id) or self._prepared.pop(call_id, None)
        if session is not None:
            session.stop()
            self.wake(call_id)

    def _prompted(self, call: Call) -> None:
        """The agent was told to speak: it does so as soon as nobody else speaks."""
        progress = call.progress = call.progress or CallProgress()
        if progress.spoken is not None or any(pause.length is None for pause in progress.pauses) or call.plan.start is None:
            return
        place = self._store.now() - call.plan.start
        ends = [spoken["words"][-1]["end"] * 1000 for spoken in _spoken(call) if spoken["words"][0]["start"] * 1000 <= place]
        place = ceil(max([place, *ends]))
        line = answer_to_update(call.plan, place / 1000 + 0.2)
        length = ceil(line["words"][-1]["end"] * 1000) + 400 - place
        progress.pauses.append(Pause(place, length))
        progress.added.append(line)
        self._store.change_call(call, lengthened(call.plan, length))

    def _schedule(self, call: Call) -> None:
        progress = call.progress
        if progress is None:
            return
        due = min((milestone[0] for milestone in _milestones(call) if milestone[:2] > progress.last_milestone), default=None)
        if due is not None and due != progress.next_milestone_at:
            progress.next_milestone_at = due
            self._store.scheduler.add(due, partial(self._run, self._reach, call, due))

    def _reach(self, call: Call, due: int) -> None:
        progress = call.progress
        if progress is None or progress.next_milestone_at != due:
            return
        if self._store.calls.get(call.id) is not call:
            self._hang_up(call.id)
            return
        progress.next_milestone_at = None
        while reached := min(
            (milestone for milestone in _milestones(call) if progress.last_milestone < milestone[:2] <= (due, 99)), default=None
        ):
            progress.last_milestone = reached[:2]
            self._happen(call, progress, *reached)
        self._schedule(call)

    def _happen(self, call: Call, progress: CallProgress, at: int, _: int, what: str) -> None:
        endpoints = call.params.endpoints
        if what == "connect":
            self.sessions[call.id] = self._prepared.pop(call.id)
            self.wake(call.id)
        elif what == "hang_up":
            self._hang_up(call.id)
        elif what == "function" and endpoints is not None:
            tool = endpoints.tools[progress.called]
            progress.called += 1
            self._call_function(call, progress, tool, at)
        elif endpoints is not None and endpoints.webhook is not None:
            body = partial(_event_body, call, what, at)
            self._outbox.add(
                event_delivery(self._outbox.new_id(), self._store.now(), endpoints.webhook, what, call.id, body, _variables(call))
            )

    def _call_function(self, call: Call, progress: CallProgress, tool: Json, at: int) -> None:
        variables, place = _variables(call), at - (call.plan.start or at)
        id = f"tool_call_{self._store.new_id('tool call', call.id, length=12)}"
        args = custom_functions.arguments(tool, variables)
        invocation: Json = {"role": "tool_call_invocation", "tool_call_id": id, "name": tool["name"], "arguments": json.dumps(args)}
        progress.items.append((place, invocation))
        progress.pauses.append(Pause(place, None))
        self._store.calls.change(call, lengthened(call.plan, _HELD_MS))
        sent = call_object(call, at, for_webhook=True)
        make_request = custom_functions.request(tool, args, sent, variables)
        self._outbox.add(
            Delivery(
                id=self._outbox.new_id(),
                kind="function",
                name=tool["name"],
                about=call.id,
                url=make_request.url,
                created=at,
                timeout_ms=tool.get("timeout_ms", custom_functions.TIMEOUT_MS),
                retries=tool.get("max_retry", 0),
                reads_content=True,
                make_request=lambda: make_request,
                done=partial(self._run, self._answered, call, progress, tool, id),
            )
        )

    def _answered(self, call: Call, progress: CallProgress, tool: Json, id: str, result: AttemptResult) -> None:
        now, start, pause = self._store.now(), call.plan.start or 0, progress.pauses[-1]
        if call.plan.end <= now:
            return  # the call ended before the function answered
        length = now - start - pause.at
        progress.pauses[-1] = Pause(pause.at, length)
        item: Json = {
            "role": "tool_call_result",
            "tool_call_id": id,
            "content": custom_functions.tool_result(result),
            "successful": result.good,
        }
        progress.items.append((now - start, item))
        progress.collected |= custom_functions.variables_in(tool, result)
        self._store.change_call(call, lengthened(call.plan, length - _HELD_MS))


def _event_body(call: Call, event: str, at: int) -> Json:
    body: Json = {
        "event": event,
        "event_timestamp": at,
        "call": listed_call(call, at) if event == "call_started" else call_object(call, at, for_webhook=True),
    }
    if event == "transcript_updated":
        body["transcript_with_tool_calls"] = body["call"].get("transcript_with_tool_calls", [])
    elif event.startswith("transfer_") and event != "transfer_ended":
        body["transfer_destination"] = {"number": transfer_number(call)}
        option: Json = {} if call.params.endpoints is None else (call.params.endpoints.transfer or {}).get("transfer_option", {})
        body["transfer_option"] = {"type": option.get("type", "cold_transfer")}
    return body


def _milestones(call: Call) -> Iterator[Milestone]:
    """All milestones of a call, unordered. No two of the same time have the same rank."""
    plan, progress, endpoints = call.plan, call.progress, call.params.endpoints
    if progress is None or endpoints is None:
        return
    subscribed = () if endpoints.webhook is None else endpoints.webhook.events
    if plan.start is not None:
        if "call_started" in subscribed:
            yield plan.start, 0, "call_started"
        if progress.spoken is not None:
            yield plan.start, 1, "connect"
        if "transcript_updated" in subscribed or endpoints.tools:
            for at, rank, what in _turns(call, plan.start):
                if at <= plan.end and (what == "function" or what in subscribed):
                    yield at, rank, what
            if "transcript_updated" in subscribed:
                yield plan.end, 6, "transcript_updated"
        for at, rank, what in _transfer(plan, plan.start, tried=endpoints.transfer is not None, late=progress.spoken is not None):
            if what in subscribed:
                yield at, rank, what
    if progress.spoken is not None:
        yield plan.end, 5, "hang_up"
    if "call_ended" in subscribed:
        yield plan.end, 8, "call_ended"
    if "call_analyzed" in subscribed:
        yield plan.analyzed, 9, "call_analyzed"


def _turns(call: Call, start: int) -> Iterator[Milestone]:
    """The milestones after utterances. Custom functions are called one by one, after the first utterances of the user."""
    left = len(call.params.endpoints.tools) if call.params.endpoints is not None and talks(call.plan) else 0
    for spoken in _spoken(call):
        at = start + ceil(spoken["words"][-1]["end"] * 1000)
        yield at, 2, "transcript_updated"
        if spoken["role"] == "user" and left:
            left -= 1
            yield at, 3, "function"


def _transfer(plan: CallPlan, start: int, *, tried: bool, late: bool) -> Iterator[Milestone]:
    """The milestones of a transfer: at the end of the call, or one in its middle that is cancelled."""
    if plan.reason == "call_transfer":
        yield (plan.end if late else max(start, plan.end - TRANSFER_MS)), 4, "transfer_started"
        yield plan.end, 7, "transfer_bridged"
        yield transfer_end(plan), 10, "transfer_ended"
    elif tried and talks(plan) and plan.seed % 4 == 0 and plan.duration_ms > 3 * TRANSFER_MS:
        yield start + TRANSFER_MS, 4, "transfer_started"
        yield start + 2 * TRANSFER_MS, 4, "transfer_cancelled"


def _spoken(call: Call) -> list[Json]:
    progress = call.progress
    if progress is None:
        return script(call.plan, call.params.opening)
    return progress.spoken if progress.spoken is not None else paused(script(call.plan, call.params.opening), progress.pauses)


def _variables(call: Call) -> dict[str, str]:
    """All dynamic variables of a call at present, system variables included."""
    params = call.params
    given: Mapping[str, str] = {} if params.endpoints is None else params.endpoints.variables
    system = {"call_id": call.id, "call_type": params.kind, "session_type": "voice"}
    if params.from_number is not None and params.to_number is not None:
        inbound = params.direction == "inbound"
        system |= {
            "direction": params.direction,
            "user_number": params.from_number if inbound else params.to_number,
            "agent_number": params.to_number if inbound else params.from_number,
        }
    return {**system, **given, **(call.progress.collected if call.progress is not None else {}), **call.overrides}
