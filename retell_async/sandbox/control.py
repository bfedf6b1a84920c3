"""The sandbox's own interface beside the API's: faults, time, what was received, and a page that shows it.

Everything is JSON and needs no key.

========================================  =========================================================================================
``GET /``                                 the page
``GET /sandbox/state``                    what the page shows: account, agents, last calls, last requests, faults
``GET /sandbox/faults``                   the faults that are set, with how often each struck
``POST /sandbox/faults``                  set one: a `Fault` as an object, ``{"kind": "error", "status": 503, "probability": 0.05}``
``DELETE /sandbox/faults``                remove all
``DELETE /sandbox/faults/{id}``           remove one
``GET /sandbox/requests``                 what was received, newest first: ``?operation=createPhoneCall&limit=100``
``DELETE /sandbox/requests``              forget it
``GET /sandbox/deliveries``               what was sent: webhooks, inbound requests and custom functions, newest first: ``?limit=100``
``GET /sandbox/calls``                    how many calls were placed to each number
``GET /sandbox/calls/{call_id}``          a call as the API gives it at this moment
``POST /sandbox/calls``                   ``{"from_number": ..., "to_number": ...}`` lets somebody call a number of the account
``GET /sandbox/clock``                    the sandbox's time in milliseconds, and how fast it runs
``POST /sandbox/clock``                   ``{"advance": 60}`` moves a clock that stands still, in seconds
``GET /sandbox/files/{call_id}/{name}``   what a call's ``recording_url`` and the like lead to: silence as long as the call, and a log
========================================  =========================================================================================
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from itertools import islice
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qsl, unquote

from . import recordings
from .clock import SteppedClock
from .errands import Errand
from .exchange import Answer, Json, Refused
from .faults import Fault, Struck
from .log import Received
from .outside import parsed
from .reply import Reply, whole
from .views import call_object, listed_call

if TYPE_CHECKING:
    from .service import Sandbox

__all__ = ["answer", "placed"]

_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/sandbox/page.css": ("page.css", "text/css; charset=utf-8"),
    "/sandbox/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
_HEADERS = {"cache-control": "no-cache", "content-security-policy": "default-src 'self'; img-src 'self' data:"}
_SHOWN = 50
_MOST = 1_000

Handler = Callable[["Sandbox", str, Mapping[str, str], Json], Any]


def answer(sandbox: Sandbox, method: str, path: str, query: str, content: bytes) -> Reply | None:
    """What is answered on a path of this interface; ``None`` on all others."""
    if path in _FILES and method == "GET":
        name, kind = _FILES[path]
        return Reply(200, _file(name), {"content-type": kind, **_HEADERS})
    if not path.startswith("/sandbox/"):
        return None
    name, _, id = path.removeprefix("/sandbox/").partition("/")
    handler = _HANDLERS.get((method, f"{name}/{{}}" if id else name))
    try:
        if handler is None:
            raise Refused(404, f"the sandbox has no such path: see {__name__}")
        sandbox.saw(sandbox.store.now())
        body = handler(sandbox, unquote(id), dict(parse_qsl(query)), _read(content))
    except Refused as refused:
        return whole(refused.answer())
    return body if isinstance(body, Reply) else whole(Answer(204 if body is None else 200, body))


def _recorded(sandbox: Sandbox, path: str, _: Mapping[str, str], __: Json) -> Reply:
    id, name = path.partition("/")[::2]
    call = sandbox.store.calls.get(id)
    found = None if call is None else recordings.content(call, name, sandbox.store.now())
    if found is None:
        raise Refused(404, "there is no such file")
    return Reply(200, found[0], {"content-type": found[1]})


def placed(sandbox: Sandbox) -> Counter[str]:
    """How many calls were placed to each number."""
    return Counter(call.order.to_number for _, call in sandbox.store.calls.entries if call.order.to_number is not None)


def _read(content: bytes) -> Json:
    try:
        body = parsed(content or b"{}")
    except ValueError:
        raise Refused(400, "the body is not valid JSON") from None
    if not isinstance(body, dict):
        raise Refused(400, "the body must be an object")
    return cast("Json", body)


@cache
def _file(name: str) -> bytes:
    return resources.files("retell_async.sandbox").joinpath("page", name).read_bytes()


def _state(sandbox: Sandbox, _: str, __: Mapping[str, str], ___: Json) -> Json:
    store, now = sandbox.store, sandbox.store.now()
    entries = store.calls.entries
    return {
        "clock": _time(sandbox),
        "account": {
            "seed": store.settings.seed,
            "active_calls": len(store.calls.active(now)),
            "concurrency_limit": store.settings.concurrency_limit,
            "calls": len(entries),
            "agents": len(store.agents.entries),
            "requests": sandbox.log.count,
            "deliveries": len(store.errands.log),
        },
        "agents": [_agent(asset.latest) for _, asset in islice(reversed(store.agents.entries), _SHOWN)],
        "calls": [listed_call(call, now) for _, call in islice(reversed(entries), _SHOWN)],
        "deliveries": [_delivery(errand) for errand in islice(reversed(store.errands.log), _SHOWN)],
        "requests": [_received(received) for received in islice(reversed(sandbox.log), _SHOWN)],
        "faults": [_struck(struck) for struck in sandbox.faults],
    }


def _agent(body: Json) -> Json:
    return {name: body.get(name) for name in ("agent_id", "agent_name", "version", "voice_id", "response_engine", "webhook_url")}


def _faults(sandbox: Sandbox, _: str, __: Mapping[str, str], ___: Json) -> Json:
    return {"items": [_struck(struck) for struck in sandbox.faults]}


def _add_fault(sandbox: Sandbox, _: str, __: Mapping[str, str], body: Json) -> Json:
    try:
        fault = Fault.from_dict(body)
        return _struck(sandbox.set_fault(fault))
    except (ValueError, TypeError) as error:
        raise Refused(400, str(error)) from None


def _remove_fault(sandbox: Sandbox, id: str, _: Mapping[str, str], __: Json) -> None:
    found = next((struck.id for struck in sandbox.faults if str(struck.id) == id), None)
    if found is None:
        raise Refused(404, "no such fault is set")
    sandbox.remove_fault(found)


def _remove_faults(sandbox: Sandbox, _: str, __: Mapping[str, str], ___: Json) -> None:
    sandbox.clear_faults()


def _struck(struck: Struck) -> Json:
    return {"id": struck.id, "struck": struck.count, "fault": struck.fault.to_dict()}


def _requests(sandbox: Sandbox, _: str, query: Mapping[str, str], __: Json) -> Json:
    try:
        operation = sandbox.operation_named(query["operation"]) if "operation" in query else None
    except ValueError as error:
        raise Refused(400, str(error)) from None
    meant = (received for received in reversed(sandbox.log) if operation in {None, received.operation})
    return {
        "count": sandbox.log.count,
        "items": [{**_received(received), "query": received.query, "body": received.body} for received in islice(meant, _limit(query))],
    }


def _limit(query: Mapping[str, str]) -> int:
    limit = query.get("limit", str(_SHOWN))
    if not (limit.isascii() and limit.isdigit() and len(limit) <= len(str(_MOST)) and 1 <= int(limit) <= _MOST):
        raise Refused(400, f"limit must be a whole number, 1 to {_MOST}")
    return int(limit)


def _received(received: Received) -> Json:
    return {
        "number": received.number,
        "at": received.at,
        "method": received.method,
        "path": received.path,
        "operation": received.operation,
        "status": received.status,
        "faults": received.faults,
    }


def _forget_requests(sandbox: Sandbox, _: str, __: Mapping[str, str], ___: Json) -> None:
    sandbox.log.clear()


def _deliveries(sandbox: Sandbox, _: str, query: Mapping[str, str], __: Json) -> Json:
    return {"items": [_delivery(errand) for errand in islice(reversed(sandbox.store.errands.log), _limit(query))]}


def _delivery(errand: Errand) -> Json:
    return {
        "id": errand.id,
        "kind": errand.kind,
        "event": errand.name,
        "about": errand.about,
        "url": errand.url,
        "created": errand.created,
        "state": errand.state,
        "attempts": [{"at": attempt.at, "status": attempt.heard.status, "problem": attempt.heard.problem} for attempt in errand.attempts],
    }


def _ring(sandbox: Sandbox, _: str, __: Mapping[str, str], body: Json) -> Json:
    from_number, to_number = body.get("from_number"), body.get("to_number")
    if not isinstance(from_number, str) or not isinstance(to_number, str):
        raise Refused(400, "from_number and to_number must be texts")
    try:
        ringing = sandbox.ring(from_number, to_number)
    except ValueError as error:
        raise Refused(404, str(error)) from None
    return {"over": ringing.over, "call_id": ringing.call_id}


def _placed(sandbox: Sandbox, _: str, __: Mapping[str, str], ___: Json) -> Json:
    return {"placed": dict(placed(sandbox))}


def _call(sandbox: Sandbox, id: str, _: Mapping[str, str], __: Json) -> Json:
    call = sandbox.store.calls.get(id)
    if call is None:
        raise Refused(404, "there is no such call")
    return call_object(call, sandbox.store.now())


def _clock(sandbox: Sandbox, _: str, __: Mapping[str, str], ___: Json) -> Json:
    return _time(sandbox)


def _time(sandbox: Sandbox) -> Json:
    clock = sandbox.store.clock
    return {"now": clock.now(), "speed": 0 if isinstance(clock, SteppedClock) else clock.speed}


def _advance(sandbox: Sandbox, _: str, __: Mapping[str, str], body: Json) -> Json:
    clock, seconds = sandbox.store.clock, body.get("advance")
    if not isinstance(clock, SteppedClock):
        raise Refused(409, "the clock runs by itself: start the sandbox with one that stands still")
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds <= 1e9:
        raise Refused(400, "advance must be a number of seconds, 0 or more")
    clock.advance(seconds)
    return _time(sandbox)


_HANDLERS: Mapping[tuple[str, str], Handler] = {
    ("GET", "state"): _state,
    ("GET", "faults"): _faults,
    ("POST", "faults"): _add_fault,
    ("DELETE", "faults"): _remove_faults,
    ("DELETE", "faults/{}"): _remove_fault,
    ("GET", "requests"): _requests,
    ("DELETE", "requests"): _forget_requests,
    ("GET", "deliveries"): _deliveries,
    ("GET", "calls"): _placed,
    ("POST", "calls"): _ring,
    ("GET", "calls/{}"): _call,
    ("GET", "files/{}"): _recorded,
    ("GET", "clock"): _clock,
    ("POST", "clock"): _advance,
}
