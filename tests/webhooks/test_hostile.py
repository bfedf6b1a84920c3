"""What somebody may send who has the address, and in odd cases the key as well."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

from retell_async.webhooks import Router, sign

from .exchanges import Exchange, Handled, deliver
from .sending import KEY, SIGNATURE, event_body, signed

pytestmark = pytest.mark.anyio

BODY = event_body()


def listening(**settings: Any) -> tuple[Router, Handled]:
    router, handled = Router(KEY, **settings), Handled()
    router.on()(handled)
    return router, handled


@pytest.mark.parametrize("size", [1, 7, 64])
async def test_a_body_in_a_thousand_parts(size: int) -> None:
    router, handled = listening()
    body = event_body(padding="x" * 1_000)
    parts = [part for start in range(0, len(body), size) for part in (body[start : start + size], b"")]
    assert (await deliver(router, body, parts=parts)).status == 204
    assert handled == ["call_ended"]


async def test_a_body_that_trickles_in_is_given_up() -> None:
    router, handled = listening(deadline=0.1)

    async def receive() -> dict[str, Any]:
        await anyio.sleep(0.01)
        return {"type": "http.request", "body": b" ", "more_body": True}

    statuses: list[int] = []

    async def send(message: Any) -> None:
        statuses.extend([message["status"]] if "status" in message else [])

    headers = [(SIGNATURE.encode(), signed(b"")[SIGNATURE].encode())]
    with anyio.fail_after(5):
        await router({"type": "http", "method": "POST", "path": "/events", "headers": headers}, receive, send)
    assert (statuses, handled) == ([408], [])


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "\xff", "application/json; charset=utf-16"],
)
async def test_the_content_type_is_no_matter(kind: str) -> None:
    router, handled = listening()
    assert (await deliver(router, BODY, headers={SIGNATURE: sign(BODY, KEY), "content-type": kind})).status == 204
    assert handled == ["call_ended"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b'{"event":"call_\xff"}',
        b"[" * 200_000,
        b'{"event":"call_ended","call":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001,
        b'{"event":' + b"1" * 10_000 + b"}",
        b'{"event":["call_ended"]}',
        b"NaN",
        b"{}{}",
    ],
    ids=lambda body: repr(body[:24]),
)
async def test_a_signed_body_that_holds_nothing_is_refused(body: bytes) -> None:
    router, handled = listening()
    exchange = await deliver(router, body)
    assert (exchange.status, handled) == (400, [])
    assert exchange.body.startswith(b"unreadable")
    assert router.stats.refused == 1


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "post", "BREW"])
async def test_other_methods(method: str) -> None:
    router, handled = listening()
    assert (await deliver(router, BODY, method=method)).status == 405
    assert handled == []


NOW = sign(BODY, KEY)
STAMP, DIGEST = NOW.removeprefix("v=").split(",d=")


@pytest.mark.parametrize(
    "signature",
    [
        f"{NOW}, {NOW}",
        f"{NOW},{NOW}",
        f"v={STAMP},v={STAMP},d={DIGEST}",
        f"v=-{STAMP},d={DIGEST}",
        f"v=+{STAMP},d={DIGEST}",
        f"v={STAMP}.0,d={DIGEST}",
        f"v=0{STAMP},d={DIGEST}",
        f"v={'9' * 16},d={DIGEST}",
        f"v={'9' * 5_000},d={DIGEST}",
        f"v=0,d={DIGEST}",
        f"v=1e12,d={DIGEST}",
        f"v={STAMP[:-3]},d={DIGEST}",
        f"v={STAMP.translate({ord(str(digit)): 0x660 + digit for digit in range(10)})},d={DIGEST}",
        f"v={STAMP},d={DIGEST.upper()}",
        f"v={STAMP},d={DIGEST[:-1]}",
        f"v={STAMP},d=",
        f"d={DIGEST},v={STAMP}",
        f" {NOW}",
        f"{NOW}\n",
        f"{NOW}\0",
        "None",
        "null",
        "",
    ],
    ids=lambda _: "signature",  # the same in every process that runs tests
)
async def test_signatures_that_are_none(signature: str) -> None:
    router, handled = listening()
    scope_headers = [(SIGNATURE.encode(), signature.encode())]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": BODY}

    exchange: list[int] = []

    async def send(message: Any) -> None:
        exchange.extend([message["status"]] if "status" in message else [])

    await router({"type": "http", "method": "POST", "path": "/events", "headers": scope_headers}, receive, send)
    assert (exchange, handled) == ([401], [])


async def test_a_signature_sent_twice_is_refused() -> None:
    router, handled = listening()
    headers = [(SIGNATURE.encode(), sign(BODY, KEY).encode())] * 2
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": BODY}

    async def send(message: Any) -> None:
        statuses.extend([message["status"]] if "status" in message else [])

    await router({"type": "http", "method": "POST", "path": "/events", "headers": headers}, receive, send)
    assert (statuses, handled) == ([401], [])


@pytest.mark.parametrize("keys", [[KEY, ""], ["", KEY], [KEY, None], [KEY, " "], (KEY, "key\n"), [b"key"], {KEY: 1}, None, 5])
def test_keys_of_which_one_is_none_are_refused_when_the_router_is_made(keys: Any) -> None:
    with pytest.raises(ValueError, match="API key"):
        Router(keys)


async def test_a_key_is_changed_without_a_gap() -> None:
    before, during, after = (Router(keys) for keys in ([KEY], [KEY, "key_new"], ["key_new"]))
    old, new = signed(BODY), signed(BODY, key="key_new")
    statuses = [[(await deliver(router, BODY, headers=headers)).status for headers in (old, new)] for router in (before, during, after)]
    assert statuses == [[204, 401], [204, 204], [401, 204]]


async def test_an_id_that_no_store_could_take_is_handled_once() -> None:
    router, handled = listening()
    for call_id in ("call_\ud800", "\x00", "x" * 100_000):
        body = json.dumps({"event": "call_ended", "call": {"call_type": "web_call", "call_id": call_id}}).encode()
        for _ in range(2):
            assert (await deliver(router, body)).status == 204
    assert len(handled) == 3


async def test_many_events_at_once_of_which_all_fail() -> None:
    router = Router(KEY, max_in_flight=3, deadline=60)

    async def fail() -> None:
        raise LookupError

    handled = Handled(fail)
    router.on()(handled)
    async with anyio.create_task_group() as tasks:
        for number in range(200):
            tasks.start_soon(Exchange().run, router, event_body(call_id=f"call_{number}"))
    assert (router.stats.failed, router.stats.waiting, router.stats.in_flight) == (200, 0, 0)
