"""Lets each call do what it has to do outside when its time comes: tell of itself, call custom functions, talk by a custom LLM. No I/O."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from math import ceil

import attrs

from . import functions
from .conversation import Pause, paused, script, update_taken_up
from .errands import Ask, Errand, Errands, Heard
from .exchange import Json
from .lifecycle import TRANSFER_MS, Course, Habits, ended, lengthened, talks, transfer_end
from .live import Address, Live, Outside
from .llm import Session
from .store import Call, Store
from .variables import filled
from .views import call_object, listed_call, transfer_number

__all__ = ["Following", "event_errand"]

RETRIES = 3
_HELD_MS = 86_400_000
"""How much longer a call is taken to last while nobody knows how long a function takes."""

Milestone = tuple[int, int, str]
"""A time, the place among what happens at that time, and what happens."""


class Following:
    """Follows the calls of a store from their beginning to their end."""

    def __init__(self, store: Store, errands: Errands) -> None:
        self._store = store
        self._errands = errands
        self.sessions: dict[str, Session] = {}
        """Conversations by a custom LLM that are going on, by their calls."""
        self._prepared: dict[str, Session] = {}
        """Those of calls that were not answered yet."""
        store.on_start = self._started
        store.on_change = self._changed
        store.on_prompt = self._prompted

    def attend(self, call_id: str) -> None:
        """See to it that a conversation goes on in time. To be called after each thing that its session was told."""
        call = self._store.calls.get(call_id)
        session = self.sessions.get(call_id)
        if session is None:
            return
        if session.phase == "over" and not session.connected:
            del self.sessions[call_id]
        now = self._store.now()
        due = min((moment for moment in (session.deadline, session.connect_at) if moment is not None and moment > now), default=None)
        if due is not None and due != session.attended_at:
            session.attended_at = due
            self._store.agenda.add(due, partial(self._pass_time, call_id))
        if call is not None:
            self._schedule(call)
        self._store.agenda.news()

    def take_in(self, call: str, what: str, text: str = "", code: int = 1006) -> None:
        """Tell a conversation what came over its connection; one that is over hears nothing."""
        session, now = self.sessions.get(call), self._store.now()
        if session is None:
            return
        match what:
            case "opened":
                session.opened(now)
            case "failed":
                session.failed(now)
            case "received":
                session.received(text, now)
            case "binary":
                session.binary()
            case _:
                session.closed(code, now)
        self.attend(call)

    def _pass_time(self, call_id: str) -> None:
        session = self.sessions.get(call_id)
        if session is not None:
            session.attended_at = None
            session.passed(self._store.now())
            self.attend(call_id)

    def _started(self, call: Call, habits: Habits) -> None:
        outside, course = call.order.outside, call.course
        if outside is None:
            return
        call.live = Live()
        if outside.llm_url is not None and course.start is not None:
            self._prepared[call.id] = self._session(call, call.live, outside, filled(outside.llm_url, _variables(call)), course.start)
            self._let_it_last(call, course.start + habits.max_duration_ms)
        self._schedule(call)

    def _let_it_last(self, call: Call, end: int) -> None:
        """Let a conversation go on until one of the two sides hangs up, up to a time."""
        course = call.course
        if talks(course):
            longest = attrs.evolve(course, reason="max_duration_reached", end=end, analyzed=end + course.analyzed - course.end)
            self._store.calls.change(call, longest)

    def _session(self, call: Call, live: Live, outside: Outside, url: str, start: int) -> Session:
        course = call.course
        live.spoken = []
        return Session(
            url=url,
            course=course,
            speed=lambda: self._store.speed,
            details=lambda: listed_call(call, start - 1),
            finished=lambda reason: self._store.change_call(call, ended(course, self._store.now(), reason)),
            reminder_ms=outside.reminder_ms,
            reminders=outside.reminders,
            spoken=live.spoken,
            items=live.items,
        )

    def _changed(self, call: Call) -> None:
        if call.live is None:
            return
        session = self.sessions.get(call.id) or self._prepared.get(call.id)
        if session is not None and call.course.end <= self._store.now():
            session.stop()
            self._store.agenda.news()
        self._schedule(call)

    def _prompted(self, call: Call) -> None:
        """The agent was made to speak from outside: it does so as soon as nobody else speaks."""
        live = call.live = call.live or Live()
        if live.spoken is not None or any(pause.length is None for pause in live.pauses) or call.course.start is None:
            return
        place = self._store.now() - call.course.start
        ends = [spoken["words"][-1]["end"] * 1000 for spoken in _spoken(call) if spoken["words"][0]["start"] * 1000 <= place]
        place = ceil(max([place, *ends]))
        line = update_taken_up(call.course, place / 1000 + 0.2)
        length = ceil(line["words"][-1]["end"] * 1000) + 400 - place
        live.pauses.append(Pause(place, length))
        live.added.append(line)
        self._store.change_call(call, lengthened(call.course, length))

    def _schedule(self, call: Call) -> None:
        live = call.live
        if live is None:
            return
        due = min((milestone[0] for milestone in _milestones(call) if milestone[:2] > live.told), default=None)
        if due is not None and due != live.scheduled:
            live.scheduled = due
            self._store.agenda.add(due, partial(self._reach, call, due))

    def _reach(self, call: Call, due: int) -> None:
        live = call.live
        if live is None or live.scheduled != due:
            return
        if self._store.calls.get(call.id) is not call:
            self._prepared.pop(call.id, None)
            return
        live.scheduled = None
        while reached := min((milestone for milestone in _milestones(call) if live.told < milestone[:2] <= (due, 99)), default=None):
            live.told = reached[:2]
            self._happen(call, live, *reached)
        self._schedule(call)

    def _happen(self, call: Call, live: Live, at: int, _: int, what: str) -> None:
        outside = call.order.outside
        if what == "connect":
            self.sessions[call.id] = self._prepared.pop(call.id)
            self.attend(call.id)
        elif what == "function" and outside is not None:
            tool = outside.tools[live.called]
            live.called += 1
            self._call_function(call, live, tool, at)
        elif outside is not None and outside.address is not None:
            body = partial(_event_body, call, what, at)
            self._errands.add(
                event_errand(self._errands.new_id(), self._store.now(), outside.address, what, call.id, body, _variables(call))
            )

    def _call_function(self, call: Call, live: Live, tool: Json, at: int) -> None:
        variables, place = _variables(call), at - (call.course.start or at)
        id = f"tool_call_{self._store.new_id('tool call', call.id, length=12)}"
        args = functions.arguments(tool, variables)
        invocation: Json = {"role": "tool_call_invocation", "tool_call_id": id, "name": tool["name"], "arguments": json.dumps(args)}
        live.items.append((place, invocation))
        live.pauses.append(Pause(place, None))
        self._store.calls.change(call, lengthened(call.course, _HELD_MS))
        sent = call_object(call, at, told=True)
        ask = functions.request(tool, args, sent, variables)
        self._errands.add(
            Errand(
                id=self._errands.new_id(),
                kind="function",
                name=tool["name"],
                about=call.id,
                url=ask.url,
                created=at,
                timeout_ms=tool.get("timeout_ms", functions.TIMEOUT_MS),
                retries=tool.get("max_retry", 0),
                reads=True,
                ask=lambda: ask,
                done=partial(self._answered, call, live, tool, id),
            )
        )

    def _answered(self, call: Call, live: Live, tool: Json, id: str, heard: Heard) -> None:
        now, start, pause = self._store.now(), call.course.start or 0, live.pauses[-1]
        if call.course.end <= now:
            return  # it was ended while the function was under way
        length = now - start - pause.at
        live.pauses[-1] = Pause(pause.at, length)
        item: Json = {"role": "tool_call_result", "tool_call_id": id, "content": functions.result(heard), "successful": heard.good}
        live.items.append((now - start, item))
        live.collected |= functions.variables_in(tool, heard)
        self._store.change_call(call, lengthened(call.course, length - _HELD_MS))


def event_errand(
    id: str,
    now: int,
    address: Address,
    event: str,
    about: str,
    body: Callable[[], Json],
    variables: Mapping[str, str],
) -> Errand:
    """What it takes to tell of an event; one about the same call or chat is not begun before the one before it was tried."""
    url = filled(address.url, variables)
    # Half an emoji has no bytes; escaped with a backslash, as JSON allows and JavaScript does, it arrives as it is.
    headers = {"content-type": "application/json"}
    return Errand(
        id=id,
        kind="event",
        name=event,
        about=about,
        url=url,
        created=now,
        timeout_ms=address.timeout_ms,
        retries=RETRIES,
        ask=lambda: Ask(
            "POST", url, json.dumps(body(), separators=(",", ":"), ensure_ascii=False).encode(errors="backslashreplace"), headers
        ),
        lane=about,
    )


def _event_body(call: Call, event: str, at: int) -> Json:
    body: Json = {
        "event": event,
        "event_timestamp": at,
        "call": listed_call(call, at) if event == "call_started" else call_object(call, at, told=True),
    }
    if event == "transcript_updated":
        body["transcript_with_tool_calls"] = body["call"].get("transcript_with_tool_calls", [])
    elif event.startswith("transfer_") and event != "transfer_ended":
        body["transfer_destination"] = {"number": transfer_number(call)}
        option: Json = {} if call.order.outside is None else (call.order.outside.transfer or {}).get("transfer_option", {})
        body["transfer_option"] = {"type": option.get("type", "cold_transfer")}
    return body


def _milestones(call: Call) -> Iterator[Milestone]:
    """All that happens in a call and is told of or acted on, in no order."""
    course, live, outside = call.course, call.live, call.order.outside
    if live is None or outside is None:
        return
    told = () if outside.address is None else outside.address.events
    if course.start is not None:
        if "call_started" in told:
            yield course.start, 0, "call_started"
        if live.spoken is not None:
            yield course.start, 1, "connect"
        if "transcript_updated" in told or outside.tools:
            for at, rank, what in _turns(call, course.start):
                if at <= course.end and (what == "function" or what in told):
                    yield at, rank, what
            if "transcript_updated" in told:
                yield course.end, 5, "transcript_updated"
        for at, rank, what in _transfer(course, course.start, tried=outside.transfer is not None, told_late=live.spoken is not None):
            if what in told:
                yield at, rank, what
    if "call_ended" in told:
        yield course.end, 6, "call_ended"
    if "call_analyzed" in told:
        yield course.analyzed, 7, "call_analyzed"


def _turns(call: Call, start: int) -> Iterator[Milestone]:
    """After each utterance; the custom functions are called one by one after the first things that the user says."""
    left = len(call.order.outside.tools) if call.order.outside is not None and talks(call.course) else 0
    for spoken in _spoken(call):
        at = start + ceil(spoken["words"][-1]["end"] * 1000)
        yield at, 2, "transcript_updated"
        if spoken["role"] == "user" and left:
            left -= 1
            yield at, 3, "function"


def _transfer(course: Course, start: int, *, tried: bool, told_late: bool) -> Iterator[Milestone]:
    """A transfer at the end of the call, or one in its middle that nobody takes."""
    if course.reason == "call_transfer":
        yield (course.end if told_late else max(start, course.end - TRANSFER_MS)), 4, "transfer_started"
        yield course.end, 5, "transfer_bridged"
        yield transfer_end(course), 8, "transfer_ended"
    elif tried and talks(course) and course.seed % 4 == 0 and course.duration_ms > 3 * TRANSFER_MS:
        yield start + TRANSFER_MS, 4, "transfer_started"
        yield start + 2 * TRANSFER_MS, 4, "transfer_cancelled"


def _spoken(call: Call) -> list[Json]:
    live = call.live
    if live is None:
        return script(call.course, call.order.opening)
    return live.spoken if live.spoken is not None else paused(script(call.course, call.order.opening), live.pauses)


def _variables(call: Call) -> dict[str, str]:
    """All dynamic variables that a call has at a moment, those of the system among them."""
    order = call.order
    given: Mapping[str, str] = {} if order.outside is None else order.outside.variables
    system = {"call_id": call.id, "call_type": order.kind, "session_type": "voice"}
    if order.from_number is not None and order.to_number is not None:
        inbound = order.direction == "inbound"
        system |= {
            "direction": order.direction,
            "user_number": order.from_number if inbound else order.to_number,
            "agent_number": order.to_number if inbound else order.from_number,
        }
    return {**system, **given, **(call.live.collected if call.live is not None else {}), **call.overrides}
