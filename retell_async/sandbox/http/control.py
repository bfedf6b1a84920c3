# pyright: reportDeprecated=false
"""The control interface of the sandbox: faults, time, what was received and sent, and a page that shows it.

Everything is JSON and needs no key. It is for this machine alone: a request under an unknown host name, or from another site's page, is
refused with 403.

==========================================  =======================================================================================
``GET /``                                   the page
``GET /sandbox/state``                      what the page shows: account, numbers, faults, and the newest agents, calls, deliveries and
                                            requests. ``?limit=50``; each of the four goes on with ``?calls=`` and what ``older`` says
``GET /sandbox/faults``                     the faults that are set, with how often each struck, and what can be said of one
``POST /sandbox/faults``                    set one: a `Fault` as an object, ``{"kind": "error", "status": 503, "probability": 0.05}``
``DELETE /sandbox/faults``                  remove all
``DELETE /sandbox/faults/{id}``             remove one
``GET /sandbox/requests``                   what was received, newest first: ``?operation=createPhoneCall&limit=100``
``GET /sandbox/requests/{number}``          one of them, with what was sent and answered
``DELETE /sandbox/requests``                forget all of them
``GET /sandbox/deliveries``                 what was sent: webhooks, inbound requests and custom functions, newest first:
                                            ``?about=call_...&limit=100``
``GET /sandbox/deliveries/{id}``            one of them, with its payload, its signatures and what the endpoint answered
``POST /sandbox/deliveries/{id}/again``     send it again; the answer changes nothing in the sandbox
``GET /sandbox/calls``                      how many calls were placed to each number
``GET /sandbox/calls/{call_id}``            a call as the API gives it at this moment
``POST /sandbox/calls``                     ``{"from_number": ..., "to_number": ...}`` lets somebody call a number of the account, with
                                            ``"headers"`` of SIP if there are any
``POST /sandbox/calls/{call_id}/end``       end a call that is going on
``GET /sandbox/clock``                      the sandbox's time in milliseconds, and how fast it runs
``POST /sandbox/clock``                     ``{"advance": 60}`` moves the clock on, in seconds; ``{"advance": "next"}`` to what happens next
``GET /sandbox/files/{file}``               what a call's ``recording_url`` and the like lead to: silence as long as the call, and a log
==========================================  =======================================================================================
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from itertools import islice
from typing import Any, cast
from urllib.parse import parse_qsl, unquote

from ..common.messages import Answer, Json, Refused
from ..common.untrusted import parse_json
from ..faults.fault import Fault
from ..faults.replies import Reply, whole
from ..outgoing.outbox import Delivery
from ..service import Sandbox
from ..state.calls import Call
from ..state.clock import RunningClock, SteppedClock
from ..state.endpoints import CALL_EVENTS, CHAT_EVENTS
from ..state.request_log import LoggedRequest
from ..state.upcoming import next_event_at
from ..views import recordings
from ..views.calls import call_object
from .control_views import (
    agent_row,
    call_row,
    delivery_detail,
    delivery_row,
    fault_fields,
    fault_row,
    number_row,
    page,
    request_detail,
    request_row,
)

__all__ = ["answer", "answers", "placed"]

_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/sandbox/page.css": ("page.css", "text/css; charset=utf-8"),
    "/sandbox/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
_POLICY = (
    "default-src 'self'; img-src data:; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'"
)
_HEADERS = {
    "cache-control": "no-cache",
    "content-security-policy": _POLICY,
    "cross-origin-resource-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_SHOWN = 50
_MOST = 1_000
_LONGEST_LEAP = 1e9

Handler = Callable[[Sandbox, str, Mapping[str, str], Json], Any]


def answers(path: str) -> bool:
    """Whether a path belongs to the control interface."""
    return path in _FILES or path.startswith("/sandbox/")


def answer(sandbox: Sandbox, method: str, path: str, query: str, content: bytes) -> Reply | None:
    """The reply to a request of the control interface; ``None`` for other paths."""
    if not answers(path):
        return None
    if path in _FILES and method == "GET":
        name, kind = _FILES[path]
        return Reply(200, _file(name), {"content-type": kind, **_HEADERS})
    name, _, rest = path.removeprefix("/sandbox/").partition("/")
    id, act = (rest, "") if name == "files" else rest.partition("/")[::2]
    handler = _HANDLERS.get((method, "/".join(filter(None, (name, "{}" if id else "", act)))))
    try:
        if handler is None:
            raise Refused(404, f"the sandbox has no such path: see {__name__}")
        sandbox.mark_seen(sandbox.store.now())
        body = handler(sandbox, unquote(id), dict(parse_qsl(query)), _read(content))
        return body if isinstance(body, Reply) else _reply(Answer(204 if body is None else 200, body))
    except Refused as refused:
        return _reply(refused.answer())


def _reply(answer: Answer) -> Reply:
    reply = whole(answer)
    return Reply(reply.status, reply.content, {**reply.headers, **_HEADERS})


def _recorded(sandbox: Sandbox, path: str, _: Mapping[str, str], __: Json) -> Reply:
    id, name = path.partition("/")[::2]
    call = sandbox.store.calls.get(id)
    found = None if call is None else recordings.content(call, name, sandbox.store.now())
    if found is None:
        raise Refused(404, "there is no such file")
    return Reply(200, found[0], {"content-type": found[1]})


def placed(sandbox: Sandbox) -> Counter[str]:
    """How many calls were placed to each number."""
    return Counter(call.params.to_number for _, call in sandbox.store.calls.entries if call.params.to_number is not None)


def _read(content: bytes) -> Json:
    try:
        body = parse_json(content or b"{}")
    except ValueError:
        raise Refused(400, "the body is not valid JSON") from None
    if not isinstance(body, dict):
        raise Refused(400, "the body must be an object")
    return cast("Json", body)


@cache
def _file(name: str) -> bytes:
    return resources.files("retell_async.sandbox").joinpath("http", "page", name).read_bytes()


def _state(sandbox: Sandbox, _: str, query: Mapping[str, str], __: Json) -> Json:
    store, now, limit = sandbox.store, sandbox.store.now(), _limit(query)
    agents, older_agents = page(reversed(store.agents.entries), lambda entry: entry[0][0], _whole(query, "agents"), limit)
    calls, older_calls = page(store.calls.newest_first(), lambda call: call.position[1], _whole(query, "calls"), limit)
    deliveries, older_deliveries = page(_sent(sandbox), lambda delivery: delivery.serial, _whole(query, "deliveries"), limit)
    requests, older_requests = page(_log(sandbox), lambda received: received.number, _whole(query, "requests"), limit)
    return {
        "clock": _time(sandbox),
        "account": {
            "seed": store.settings.seed,
            "active_calls": len(store.calls.active(now)),
            "concurrency_limit": store.settings.concurrency_limit,
            "calls": len(store.calls.entries),
            "agents": len(store.agents.entries),
            "requests": sandbox.log.count,
            "deliveries": len(sandbox.outbox.log),
        },
        "numbers": [number_row(number) for number in store.numbers],
        "agents": [agent_row(asset) for _, asset in agents],
        "calls": [call_row(call, now) for call in calls],
        "deliveries": [delivery_row(delivery) for delivery in deliveries],
        "requests": [request_row(received) for received in requests],
        "older": {"agents": older_agents, "calls": older_calls, "deliveries": older_deliveries, "requests": older_requests},
        "faults": [fault_row(active) for active in list(sandbox.faults)],
    }


def _sent(sandbox: Sandbox) -> list[Delivery]:
    return list(reversed(sandbox.outbox.log))


def _log(sandbox: Sandbox) -> list[LoggedRequest]:
    return list(reversed(sandbox.log))


def _limit(query: Mapping[str, str]) -> int:
    limit = _whole(query, "limit")
    if limit is not None and not 1 <= limit <= _MOST:
        raise Refused(400, f"limit must be a whole number, 1 to {_MOST}")
    return _SHOWN if limit is None else limit


def _whole(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise Refused(400, f"{name} must be a whole number")
    return int(text)


def _faults(sandbox: Sandbox, _: str, __: Mapping[str, str], ___: Json) -> Json:
    return {
        "items": [fault_row(active) for active in list(sandbox.faults)],
        "fields": fault_fields(),
        "operations": sandbox.operations,
        "events": [*CALL_EVENTS, *CHAT_EVENTS],
    }


def _add_fault(sandbox: Sandbox, _: str, __: Mapping[str, str], body: Json) -> Json:
    try:
        return fault_row(sandbox.set_fault(Fault.from_dict(body)))
    except (ValueError, TypeError) as error:
        raise Refused(400, str(error)) from None


def _remove_fault(sandbox: Sandbox, id: str, _: Mapping[str, str], __: Json) -> None:
    found = next((active.id for active in list(sandbox.faults) if str(active.id) == id), None)
    if found is None:
        raise Refused(404, "no such fault is set")
    sandbox.remove_fault(found)


def _remove_faults(sandbox: Sandbox, _: str, __: Mapping[str, str], ___: Json) -> None:
    sandbox.clear_faults()


def _requests(sandbox: Sandbox, _: str, query: Mapping[str, str], __: Json) -> Json:
    try:
        operation = sandbox.operation_named(query["operation"]) if "operation" in query else None
    except ValueError as error:
        raise Refused(400, str(error)) from None
    matches = (received for received in _log(sandbox) if operation in {None, received.operation})
    return {
        "count": sandbox.log.count,
        "items": [{**request_row(received), "query": received.query, "body": received.body} for received in islice(matches, _limit(query))],
    }


def _request(sandbox: Sandbox, id: str, _: Mapping[str, str], __: Json) -> Json:
    received = next((received for received in _log(sandbox) if str(received.number) == id), None)
    if received is None:
        raise Refused(404, "no such request is in the log, or no longer")
    return request_detail(received)


def _forget_requests(sandbox: Sandbox, _: str, __: Mapping[str, str], ___: Json) -> None:
    sandbox.log.clear()


def _deliveries(sandbox: Sandbox, _: str, query: Mapping[str, str], __: Json) -> Json:
    about = query.get("about")
    matches = (delivery for delivery in _sent(sandbox) if about in {None, delivery.about})
    return {"items": [delivery_row(delivery) for delivery in islice(matches, _limit(query))]}


def _delivery(sandbox: Sandbox, id: str, _: Mapping[str, str], __: Json) -> Json:
    delivery = sandbox.outbox.get(id)
    if delivery is None:
        raise Refused(404, "there is no such delivery, or no longer")
    return delivery_detail(delivery, sandbox.store)


def _send_again(sandbox: Sandbox, id: str, _: Mapping[str, str], __: Json) -> Json:
    try:
        return delivery_row(sandbox.send_again(id))
    except KeyError:
        raise Refused(404, "there is no such delivery, or no longer") from None


def _ring(sandbox: Sandbox, _: str, __: Mapping[str, str], body: Json) -> Json:
    from_number, to_number, headers = body.get("from_number"), body.get("to_number"), body.get("headers", {})
    if not isinstance(from_number, str) or not isinstance(to_number, str) or not from_number:
        raise Refused(400, "from_number and to_number must be texts")
    if not isinstance(headers, dict) or not all(isinstance(value, str) for value in cast("Json", headers).values()):
        raise Refused(400, "headers must be an object of texts")
    try:
        contact = sandbox.ring(from_number, to_number, cast("dict[str, str]", headers))
    except ValueError as error:
        raise Refused(404, str(error)) from None
    return {"over": contact.over, "call_id": contact.call_id}


def _placed(sandbox: Sandbox, _: str, __: Mapping[str, str], ___: Json) -> Json:
    return {"placed": dict(placed(sandbox))}


def _call(sandbox: Sandbox, id: str, _: Mapping[str, str], __: Json) -> Json:
    return call_object(_existing(sandbox, id), sandbox.store.now())


def _end_call(sandbox: Sandbox, id: str, _: Mapping[str, str], __: Json) -> Json:
    call = _existing(sandbox, id)
    try:
        path = sandbox.path_of("call.stop", call.id)
    except ValueError:
        raise Refused(404, "the API has no operation that stops a call") from None
    stopped = sandbox.post(path, {})
    if stopped.status >= 400:
        raise Refused(409, stopped.body["message"])
    return call_row(call, sandbox.store.now())


def _existing(sandbox: Sandbox, id: str) -> Call:
    call = sandbox.store.calls.get(id)
    if call is None:
        raise Refused(404, "there is no such call")
    return call


def _clock(sandbox: Sandbox, _: str, __: Mapping[str, str], ___: Json) -> Json:
    return _time(sandbox)


def _time(sandbox: Sandbox) -> Json:
    clock = sandbox.store.clock
    return {"now": clock.now(), "speed": 0 if isinstance(clock, SteppedClock) else clock.speed}


def _advance(sandbox: Sandbox, _: str, __: Mapping[str, str], body: Json) -> Json:
    clock, seconds = sandbox.store.clock, body.get("advance")
    if not isinstance(clock, (SteppedClock, RunningClock)):
        raise Refused(409, "the sandbox has a clock of its user's own, which cannot be moved from here")
    if seconds == "next":
        with sandbox.store.frozen_time() as now:
            due = next_event_at(sandbox.store, now)
        if due is None:
            raise Refused(409, "nothing is going to happen by itself")
        seconds = max(0, due - clock.now()) / 1000
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds <= _LONGEST_LEAP:
        raise Refused(400, "advance must be a number of seconds, 0 or more, or next")
    clock.advance(seconds)
    return _time(sandbox)


_HANDLERS: Mapping[tuple[str, str], Handler] = {
    ("GET", "state"): _state,
    ("GET", "faults"): _faults,
    ("POST", "faults"): _add_fault,
    ("DELETE", "faults"): _remove_faults,
    ("DELETE", "faults/{}"): _remove_fault,
    ("GET", "requests"): _requests,
    ("GET", "requests/{}"): _request,
    ("DELETE", "requests"): _forget_requests,
    ("GET", "deliveries"): _deliveries,
    ("GET", "deliveries/{}"): _delivery,
    ("POST", "deliveries/{}/again"): _send_again,
    ("GET", "calls"): _placed,
    ("POST", "calls"): _ring,
    ("GET", "calls/{}"): _call,
    ("GET", "files/{}"): _recorded,
    ("POST", "calls/{}/end"): _end_call,
    ("GET", "clock"): _clock,
    ("POST", "clock"): _advance,
}
