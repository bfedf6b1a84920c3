"""The router without a server: what it answers, when, and what runs."""

from __future__ import annotations

import json
import logging
import re
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
import pytest

from retell_async.webhooks import (
    CallEnded,
    CallStarted,
    Event,
    FunctionCall,
    Router,
    Senders,
    UnknownEvent,
)
from retell_async.webhooks.events import EVENT_NAMES

from .exchanges import Exchange, Handled, deliver
from .sending import CALL, KEY, SIGNATURE, body_of, event_body, signed

pytestmark = pytest.mark.anyio


async def fail() -> None:
    raise LookupError("no customer has the number +14155550100")


# Which handler gets what.


async def test_each_event_goes_to_the_handlers_of_its_name() -> None:
    router = Router(KEY)
    ended, started, either, every, new = Handled(), Handled(), Handled(), Handled(), Handled()
    router.on("call_ended")(ended)
    router.on("call_started")(started)
    router.on("call_ended", "call_started")(either)
    router.on()(every)
    router.on("call_paused")(new)
    for body in (event_body("call_ended"), event_body("call_started"), event_body("call_paused"), event_body("call_hidden")):
        assert (await deliver(router, body)).status == 204

    assert ended == ["call_ended"]
    assert started == ["call_started"]
    assert either == ["call_ended", "call_started"]
    assert every == ["call_ended", "call_started", "call_paused", "call_hidden"]
    assert new == ["call_paused"]
    assert router.stats.handled == 9


async def test_handlers_get_typed_events() -> None:
    router = Router(KEY)
    got: list[object] = []

    @router.on("call_ended")
    async def on_ended(event: CallEnded) -> None:  # pyright: ignore[reportUnusedFunction]
        got.append(event.call.call_id)

    @router.on("call_started")
    async def on_started(event: CallStarted) -> None:  # pyright: ignore[reportUnusedFunction]
        got.append(event.call.call_status)

    @router.on("new")
    async def on_new(event: Event) -> None:  # pyright: ignore[reportUnusedFunction]
        got.append(type(event))

    for event in ("call_ended", "call_started", "new"):
        await deliver(router, event_body(event))

    assert got == ["call_1", "ended", UnknownEvent]


@pytest.mark.parametrize("more", [{}, {"call": None}, {"call": [{"call_id": "call_1"}]}, {"chat": {"chat_id": "chat_1"}}])
async def test_an_event_without_what_it_is_about_reaches_no_handler_and_is_not_acknowledged(more: dict[str, Any]) -> None:
    router = Router(KEY)
    got: list[object] = []

    @router.on("call_ended")
    @router.on()
    async def on_ended(event: object) -> None:  # pyright: ignore[reportUnusedFunction]
        got.append(event)

    exchange = await deliver(router, body_of({"event": "call_ended", **more}))
    assert (exchange.status, exchange.body) == (400, b"unreadable: call_ended has no object in `call` to be about")
    assert (got, router.stats.refused) == ([], 1)


async def test_a_handler_reads_a_call_of_no_known_kind_like_any_other() -> None:
    router = Router(KEY)
    got: list[object] = []

    @router.on("call_ended")
    async def on_ended(event: CallEnded) -> None:  # pyright: ignore[reportUnusedFunction]
        got.append((event.call.call_type, event.call.call_id, event.call.disconnection_reason, event.call.recording_url))

    for call in ({"call_type": "fax_call", "call_id": "call_1"}, {"call_id": "call_2"}):
        assert (await deliver(router, body_of({"event": "call_ended", "call": call}))).status == 204
    assert got == [("fax_call", "call_1", None, None), (None, "call_2", None, None)]
    assert router.stats.failed == 0


async def test_an_event_that_nobody_wants_is_acknowledged() -> None:
    router = Router(KEY)
    exchange = await deliver(router, event_body())
    assert (exchange.status, exchange.body, exchange.headers) == (204, b"", {})
    assert router.stats.unhandled == 1


@pytest.mark.parametrize("path", ["", "/", "/events", "/inbound", "/events/", "/inbound/"])
@pytest.mark.parametrize("root_path", ["", "/retell", "/a/b"])
async def test_paths_of_webhooks(path: str, root_path: str) -> None:
    router = Router(KEY)
    handled = Handled()
    router.on("call_ended")(handled)
    assert (await deliver(router, event_body(), path=path, root_path=root_path)).status == 204
    assert handled == ["call_ended"]


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/else", "POST", 404),
        ("/events//", "POST", 404),
        ("//", "POST", 404),
        ("/api/functions/lookup", "POST", 404),
        ("/functions", "POST", 404),
        ("/functions/", "POST", 404),
        ("/functions/other", "POST", 404),
        ("/functions/other/", "POST", 404),
        ("/functions/look/up", "POST", 404),
        ("/events", "GET", 405),
        ("/events", "PUT", 405),
        ("/functions/lookup", "HEAD", 405),
        ("/functions/lookup", "OPTIONS", 405),
    ],
)
async def test_other_paths_and_methods(path: str, method: str, status: int) -> None:
    router = Router(KEY)
    handled = Handled()
    router.on()(handled)
    router.function("lookup")(handled)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert (await deliver(router, event_body(), path=path, method=method)).status == status
    assert handled == []
    assert router.stats.refused == 1


@pytest.mark.parametrize("handler", [lambda _: None, print, 1, Handled])
def test_a_handler_that_cannot_be_awaited_is_refused_at_once(handler: Any) -> None:
    router = Router(KEY)
    for register in (router.on("call_ended"), router.inbound, router.function("lookup")):
        with pytest.raises(TypeError, match="async function"):
            register(handler)


def test_anything_that_can_be_awaited_is_a_handler() -> None:
    async def handle(more: int, event: object) -> None: ...

    router = Router(KEY)
    for handler in (partial(handle, 1), partial(partial(handle), 1), Handled()):
        router.on("call_ended")(handler)


def test_registering_what_cannot_be_is_refused_at_once() -> None:
    async def handle(what: Any) -> Any: ...

    router = Router(KEY)
    router.inbound(handle)
    with pytest.raises(ValueError, match="already"):
        router.inbound(handle)
    router.function("lookup")(handle)
    for name in ("lookup", "", "look up", "a/b", "a" * 65, "größe"):
        with pytest.raises(ValueError, match="registered already, or is not"):
            router.function(name)
    with pytest.raises(ValueError, match=r"@router\.inbound"):
        router.on("call_inbound")
    for what in (handle, None, CallEnded):
        with pytest.raises(TypeError, match=r"named by a text, such as 'call_ended'.*@router\.on\(\) is for every event"):
            router.on(what)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("call_endd", "call_ended"),
        ("callEnded", "call_ended"),
        ("CALL-ENDED ", "call_ended"),
        ("call_start", "call_started"),
        ("call_analysed", "call_analyzed"),
        ("transcript_update", "transcript_updated"),
        ("transfer_canceled", "transfer_cancelled"),
        ("alert_trigger", "alert_triggered"),
        ("call_inbond", "call_inbound"),
    ],
)
def test_a_misspelt_event_is_a_warning_that_names_the_near_one_and_where(name: str, near: str) -> None:
    with pytest.warns(UserWarning, match=re.escape(f"@router.on({name!r})") + f".*'{near}' is close") as told:
        Router(KEY).on(name)(Handled())
    assert [warning.filename for warning in told] == [__file__]


async def test_new_events_are_no_misspellings(caplog: pytest.LogCaptureFixture) -> None:
    names = ["call_paused", "call_resumed", "call_failed", "call_updated", "call_recorded", "chat_updated", "transfer_failed", "sms_sent"]
    router = Router(KEY)
    handled = Handled()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        router.on(*names)(handled)
        for name in EVENT_NAMES:
            router.on(name)
    assert caplog.text == ""
    for name in names:
        assert (await deliver(router, event_body(name))).status == 204
    assert handled == names


@pytest.mark.parametrize(
    "settings",
    [
        {"api_key": ""},
        {"api_key": []},
        {"tolerance": 0},
        {"tolerance": float("nan")},
        {"max_bytes": 0},
        {"deadline": 0},
        {"deadline": -1},
        {"acknowledge_after": -1},
        {"acknowledge_after": 9},
        {"max_in_flight": 0},
        {"max_waiting": -1},
        {"max_waiting_bytes": -1},
        {"store": object()},
        {"shutdown_timeout": -1},
        {"shutdown_timeout": float("nan")},
    ],
)
def test_settings_that_cannot_work_are_refused_at_once(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Router(**{"api_key": KEY, **settings})


# Who is let in.


def _refused() -> list[Any]:
    body = event_body()
    long = b" " * 20_001
    # A signature is made when it is sent: it is good for five minutes, and the tests before this one may take longer.
    return [
        pytest.param(body, dict, 401, "no x-retell-signature header", id="unsigned"),
        pytest.param(body, lambda: {SIGNATURE: "v=1"}, 401, "malformed", id="malformed"),
        pytest.param(body, lambda: signed(body, timestamp_ms=1_700_000_000_000), 401, "too old", id="stale"),
        pytest.param(body, lambda: signed(body, key="other"), 401, "wrong key or changed body", id="wrong key"),
        pytest.param(body + b" ", lambda: signed(body), 401, "wrong key or changed body", id="changed body"),
        pytest.param(body, lambda: signed(body) | {"content-length": "20001"}, 413, "too long", id="too long by its length"),
        pytest.param(body, lambda: signed(body) | {"content-length": "9" * 5000}, 413, "too long", id="absurd length"),
        pytest.param(long, lambda: signed(long), 413, "too long", id="too long"),
        pytest.param(b"{", lambda: signed(b"{"), 400, "unreadable", id="not JSON"),
        pytest.param(b"{}", lambda: signed(b"{}"), 400, "unreadable", id="no event"),
    ]


@pytest.mark.parametrize(("body", "headers", "status", "text"), _refused())
async def test_what_is_not_let_in_runs_nothing(body: bytes, headers: Callable[[], dict[str, str]], status: int, text: str) -> None:
    router = Router(KEY, max_bytes=20_000)
    handled = Handled()
    router.on()(handled)
    exchange = await deliver(router, body, headers=headers())

    assert exchange.status == status
    assert exchange.body.decode().startswith(text)
    assert exchange.headers["content-length"] == str(len(exchange.body))
    assert handled == []
    assert router.stats.refused == 1


@pytest.mark.parametrize("length", ["", "abc", "-1", "١٢", "5"])
async def test_a_length_that_says_nothing_is_no_matter(length: str) -> None:
    router = Router(KEY)
    body = event_body()
    assert (await deliver(router, body, headers=signed(body) | {"content-length": length})).status == 204


async def test_a_body_in_parts() -> None:
    router = Router(KEY)
    handled = Handled()
    router.on()(handled)
    body = event_body()
    parts = [b"", body[:10], b"", body[10:11], body[11:], b""]
    assert (await deliver(router, body, parts=parts)).status == 204
    assert handled == ["call_ended"]


async def test_no_more_is_read_than_the_limit() -> None:
    router = Router(KEY, max_bytes=100)
    parts = [b"x" * 60, b"x" * 60, b"never read"]
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": parts.pop(0), "more_body": True}

    async def send(message: Any) -> None:
        statuses.extend([message["status"]] if "status" in message else [])

    headers = [(SIGNATURE.encode(), signed(b"")[SIGNATURE].encode())]
    await router({"type": "http", "method": "POST", "path": "/events", "headers": headers}, receive, send)
    assert statuses == [413]
    assert parts == [b"never read"]


async def test_what_needs_no_body_to_be_refused_is_refused_unread() -> None:
    router = Router(KEY, senders=Senders())

    async def receive() -> dict[str, Any]:
        raise AssertionError("the body is read")

    statuses: list[int] = []

    async def send(message: Any) -> None:
        statuses.extend([message["status"]] if "status" in message else [])

    scope: dict[str, Any] = {"type": "http", "method": "POST", "path": "/events", "headers": [], "client": ("100.20.5.228", 1)}
    for change in ({}, {"client": ("10.0.0.1", 1)}, {"path": "/else"}, {"method": "GET"}, {"headers": [(b"content-length", b"99999999")]}):
        await router({**scope, **change}, receive, send)
    assert statuses == [401, 403, 404, 405, 413]


async def test_a_body_that_does_not_come_is_given_up() -> None:
    router = Router(KEY, deadline=0.05)
    handled = Handled()
    router.on()(handled)
    body = event_body()
    exchange = await deliver(router, body, parts=[body[:5]], then=anyio.sleep_forever)
    assert exchange.status == 408
    assert handled == []


async def test_a_sender_that_goes_away_early_is_no_matter() -> None:
    router = Router(KEY)
    handled = Handled()
    router.on()(handled)
    body = event_body()
    exchange = await deliver(router, body, parts=[body[:5]], then=anyio.lowlevel.checkpoint)
    assert exchange.status is None
    assert handled == []


@pytest.mark.parametrize(
    ("client", "forwarded_for", "status"),
    [
        (("100.20.5.228", 1), None, 204),
        (("10.0.0.1", 1), "100.20.5.228", 204),
        (("10.0.0.1", 1), "100.20.5.228, 203.0.113.9", 403),
        (("203.0.113.9", 1), "100.20.5.228", 403),
        (None, None, 403),
    ],
)
async def test_the_address_of_the_sender(client: Any, forwarded_for: str | None, status: int) -> None:
    router = Router(KEY, senders=Senders(proxies=["10.0.0.0/8"]))
    body = event_body()
    headers = signed(body) | ({"X-Forwarded-For": forwarded_for} if forwarded_for else {})
    assert (await deliver(router, body, headers=headers, client=client)).status == status


async def test_keys_may_be_changed() -> None:
    router = Router(["key_new", KEY])
    body = event_body()
    assert (await deliver(router, body)).status == 204
    assert (await deliver(router, body, headers=signed(body, key="key_new"))).status == 204
    assert (await deliver(router, body, headers=signed(body, key="key_older"))).status == 401


# Events: when they are answered, and how often they are handled.


async def test_acknowledged_first_and_handled_afterwards() -> None:
    router = Router(KEY)
    go_on = anyio.Event()
    handled = Handled(go_on.wait)
    router.on("call_ended")(handled)
    exchange = Exchange()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(exchange.run, router, event_body())
        await exchange.answered.wait()
        assert exchange.status == 204
        await anyio.wait_all_tasks_blocked()
        assert router.stats.in_flight == 1
        go_on.set()
    assert router.stats.in_flight == 0
    assert router.stats.handled == 1


async def test_handled_first_if_asked() -> None:
    router = Router(KEY, acknowledge_after=5)
    go_on = anyio.Event()
    router.on("call_ended")(Handled(go_on.wait))
    exchange = Exchange()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(exchange.run, router, event_body())
        await anyio.wait_all_tasks_blocked()
        assert exchange.status is None
        go_on.set()
    assert exchange.status == 204


async def test_handled_first_but_acknowledged_in_time() -> None:
    router = Router(KEY, acknowledge_after=0.02)
    go_on = anyio.Event()
    router.on("call_ended")(Handled(go_on.wait))
    exchange = Exchange()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(exchange.run, router, event_body())
        await exchange.answered.wait()
        assert exchange.status == 204
        assert router.stats.in_flight == 1
        go_on.set()
    assert router.stats.handled == 1


async def test_the_same_delivery_is_handled_once() -> None:
    router = Router(KEY)
    handled = Handled()
    router.on()(handled)
    bodies = [event_body("call_ended"), event_body("call_ended"), event_body("transcript_updated"), event_body("transcript_updated")]
    for body in bodies:
        assert (await deliver(router, body)).status == 204
    assert handled == ["call_ended", "transcript_updated"]
    assert router.stats.duplicates == 2


async def test_a_handler_that_raises_is_answered_so_that_retell_sends_again() -> None:
    router = Router(KEY, acknowledge_after=5)
    failing = Handled(fail)
    after = Handled()
    router.on("call_ended")(failing)
    router.on("call_ended")(after)
    assert (await deliver(router, event_body())).status == 500
    failing.then = None
    assert (await deliver(router, event_body())).status == 204
    assert (await deliver(router, event_body())).status == 204

    assert failing == ["call_ended"] * 2
    assert after == ["call_ended"] * 2
    assert (router.stats.failed, router.stats.handled, router.stats.duplicates) == (1, 3, 1)


async def test_a_handler_that_raises_in_the_background_is_logged_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    router = Router(KEY)
    failing = Handled(fail)
    router.on("call_ended")(failing)
    assert (await deliver(router, event_body())).status == 204
    assert router.stats.failed == 1
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.name == "retell_async.webhooks"
    assert "the handler of call_ended failed" in record.getMessage()
    assert "LookupError" in record.getMessage()
    assert "+141******00" in record.getMessage()
    assert "4155550100" not in caplog.text

    assert (await deliver(router, event_body())).status == 204
    assert failing == ["call_ended"] * 2


async def test_no_more_handlers_run_than_allowed() -> None:
    router = Router(KEY, max_in_flight=3)
    most = 0

    @router.on("call_ended")
    async def handle(event: CallEnded) -> None:  # pyright: ignore[reportUnusedFunction]
        nonlocal most
        most = max(most, router.stats.in_flight)
        await anyio.sleep(0.001)

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(deliver, router, event_body(call_id=f"call_{number}"))
    assert most == 3
    assert router.stats.handled == 20


async def test_handlers_run_although_nobody_waits_for_the_answer() -> None:
    router = Router(KEY)
    handled = Handled()
    router.on()(handled)
    body = event_body()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body}

    async def send(message: Any) -> None:
        raise OSError("the connection is gone")

    headers = [(name.encode(), value.encode()) for name, value in signed(body).items()]
    await router({"type": "http", "method": "POST", "path": "/events", "headers": headers}, receive, send)
    assert handled == ["call_ended"]


# Custom functions.


@pytest.fixture
def shop() -> Router:
    router = Router(KEY)

    @router.function("lookup_order")
    async def lookup_order(function: FunctionCall) -> object:  # pyright: ignore[reportUnusedFunction]
        call_id = function.call.call_id if function.call is not None else None
        return {"order": function.args.get("order_id"), "call": call_id}

    @router.function("say")
    async def say(function: FunctionCall) -> object:  # pyright: ignore[reportUnusedFunction]
        result: object = function.args["result"]
        return result

    @router.function("bad")
    async def bad(function: FunctionCall) -> object:  # pyright: ignore[reportUnusedFunction]
        return {"items": [object()]}

    return router


async def test_a_function_in_both_shapes(shop: Router) -> None:
    wrapped = body_of({"name": "lookup_order", "args": {"order_id": "A7"}, "call": CALL})
    exchange = await deliver(shop, wrapped, path="/functions/lookup_order")
    assert (exchange.status, exchange.headers["content-type"]) == (200, "application/json")
    assert json.loads(exchange.body) == {"order": "A7", "call": "call_1"}

    exchange = await deliver(shop, body_of({"order_id": "A7"}), path="/functions/lookup_order", method="PUT")
    assert json.loads(exchange.body) == {"order": "A7", "call": None}


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_a_function_without_a_body(shop: Router, method: str) -> None:
    exchange = await deliver(shop, b"", path="/functions/lookup_order", method=method, query=b"order_id=A%207&empty=")
    assert json.loads(exchange.body) == {"order": "A 7", "call": None}


@pytest.mark.parametrize("root_path", ["", "/retell"])
async def test_a_path_that_ends_in_a_slash(shop: Router, root_path: str) -> None:
    exchange = await deliver(shop, b"", path="/functions/lookup_order/", root_path=root_path, method="GET", query=b"order_id=A7")
    assert exchange.status == 200


async def test_a_text_goes_as_it_is(shop: Router) -> None:
    exchange = await deliver(shop, body_of({"result": "größer"}), path="/functions/say")
    assert (exchange.body.decode(), exchange.headers["content-type"]) == ("größer", "text/plain; charset=utf-8")


async def test_the_same_call_is_carried_out_each_time(shop: Router) -> None:
    for _ in range(3):
        assert (await deliver(shop, body_of({"order_id": "A7"}), path="/functions/lookup_order")).status == 200
    assert (shop.stats.handled, shop.stats.duplicates) == (3, 0)


async def test_a_body_for_one_function_does_not_reach_another(shop: Router) -> None:
    exchange = await deliver(shop, body_of({"name": "lookup_order", "args": {}, "call": CALL}), path="/functions/say")
    assert exchange.status == 404
    assert shop.stats.handled == 0


async def test_a_function_that_raises(shop: Router, caplog: pytest.LogCaptureFixture) -> None:
    exchange = await deliver(shop, body_of({}), path="/functions/say")
    assert (exchange.status, exchange.body) == (500, b"failed: the handler raised, or gave what is no JSON")
    exchange = await deliver(shop, body_of({}), path="/functions/bad")
    assert exchange.status == 500
    assert "items[0]: object cannot be sent" in caplog.text
    assert shop.stats.failed == 2


async def test_a_result_that_an_agent_would_not_read_whole_is_logged(shop: Router, caplog: pytest.LogCaptureFixture) -> None:
    assert (await deliver(shop, body_of({"result": "ä" * 15_000}), path="/functions/say")).status == 200
    assert caplog.text == ""
    assert (await deliver(shop, body_of({"result": "ä" * 15_001}), path="/functions/say")).status == 200
    assert "the function say gave more than the 15000 characters" in caplog.text


# Other scopes.


async def test_the_start_and_end_of_a_server() -> None:
    messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    await Router(KEY)({"type": "lifespan"}, receive, send)
    assert sent == [{"type": "lifespan.startup.complete"}, {"type": "lifespan.shutdown.complete"}]


async def test_other_scopes() -> None:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {}

    async def send(message: Any) -> None:
        sent.append(message)

    await Router(KEY)({"type": "websocket"}, receive, send)
    assert sent == [{"type": "websocket.close"}]
    with pytest.raises(ValueError, match="no scope"):
        await Router(KEY)({"type": "other"}, receive, send)
