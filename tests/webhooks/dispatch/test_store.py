"""Which deliveries are the same."""

from __future__ import annotations

import json
from typing import Any

import pytest

from retell_async import ConfigurationError
from retell_async.webhooks import Claim, MemoryStore, delivery_key, parse_event

from ..sending import CALL, CHAT, body_of


def key(data: Any) -> str:
    body = body_of(data)
    return delivery_key(parse_event(body), body)


@pytest.mark.parametrize("event", ["call_started", "call_ended", "call_analyzed"])
def test_what_happens_once_to_a_call_is_known_by_its_id(event: str) -> None:
    assert key({"event": event, "call": CALL}) == f"{event}:call_1"
    assert key({"event": event, "call": CALL}) == key({"call": CALL | {"duration_ms": 1}, "event": event})
    assert key({"event": event, "call": CALL}) != key({"event": event, "call": CALL | {"call_id": "call_2"}})


@pytest.mark.parametrize("event", ["chat_started", "chat_ended", "chat_analyzed"])
def test_what_happens_once_to_a_chat_is_known_by_its_id(event: str) -> None:
    assert key({"event": event, "chat": CHAT}) == f"{event}:chat_1"


@pytest.mark.parametrize(
    "event", ["transcript_updated", "transfer_started", "transfer_cancelled", "transfer_ended", "new", "alert_triggered"]
)
def test_what_may_happen_again_is_known_by_its_body(event: str) -> None:
    data = {"event": event, "call": CALL, "transfer_destination": {"number": "+14155550100"}}
    assert key(data) == key(data)
    assert key(data) != key(data | {"call": CALL | {"transcript": "User: Grüß Gott\nAgent: Hallo\n"}})


def test_different_events_of_one_call_differ() -> None:
    assert (
        len({key({"event": event, "call": CALL}) for event in ("call_started", "call_ended", "call_analyzed", "transfer_started", "new")})
        == 5
    )


@pytest.mark.parametrize("call", [{}, {"call_id": None}, {"call_type": "phone_call"}, {"call_id": ""}])
def test_without_an_id_the_body_tells(call: dict[str, Any]) -> None:
    assert key({"event": "call_ended", "call": call}) != key({"event": "call_ended", "call": call | {"duration_ms": 1}})


@pytest.mark.parametrize("call_id", ["gr\u00f6\u00dfe", "call_\ud800", "call\x00", "c" * 200, "line\nbreak"])
def test_a_key_is_short_and_plain_whatever_the_id(call_id: str) -> None:
    body = json.dumps({"event": "call_ended", "call": {"call_type": "web_call", "call_id": call_id}}).encode()
    found = delivery_key(parse_event(body), body)
    assert len(found) <= 200
    assert found.isascii()
    assert found.isprintable()
    assert found == delivery_key(parse_event(body), body)
    assert found != delivery_key(parse_event(body), body + b" ")


def test_only_a_claim_that_is_mine_is_true() -> None:
    assert [bool(claim) for claim in (Claim.MINE, Claim.IN_PROGRESS, Claim.DONE)] == [True, False, False]


@pytest.mark.anyio
async def test_a_claim_is_given_once_until_it_is_released() -> None:
    store = MemoryStore()
    assert [await store.claim("a"), await store.claim("a"), await store.claim("b")] == [Claim.MINE, Claim.IN_PROGRESS, Claim.MINE]
    await store.release("a")
    await store.release("never claimed")
    assert [await store.claim("a"), await store.claim("b")] == [Claim.MINE, Claim.IN_PROGRESS]


@pytest.mark.anyio
async def test_what_is_done_stays_done() -> None:
    store = MemoryStore()
    await store.claim("a")
    await store.done("a")
    await store.release("a")
    assert await store.claim("a") is Claim.DONE
    assert not await store.renew("a")


@pytest.mark.anyio
async def test_a_lease_lapses_unless_it_is_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    store = MemoryStore(lease=60)
    assert await store.claim("a") is Claim.MINE
    now += 59
    assert await store.renew("a")
    assert not await store.renew("b")
    now += 59
    assert await store.claim("a") is Claim.IN_PROGRESS
    now += 1
    assert await store.claim("a") is Claim.MINE
    now -= 500  # a clock that is set back, which this one never is, takes no claim away
    assert await store.claim("a") is Claim.IN_PROGRESS


@pytest.mark.anyio
async def test_the_memory_is_bounded() -> None:
    store = MemoryStore(size=3)
    for number in range(5):
        assert await store.claim(str(number)) is Claim.MINE
        await store.done(str(number))
    assert [await store.claim(str(number)) for number in (4, 3, 2)] == [Claim.DONE] * 3
    assert [await store.claim(str(number)) for number in (1, 0)] == [Claim.MINE] * 2


@pytest.mark.anyio
async def test_claims_displace_neither_what_is_done_nor_each_other() -> None:
    store = MemoryStore(size=3)
    await store.claim("done")
    await store.done("done")
    for number in range(10):
        assert await store.claim(str(number)) is Claim.MINE
    assert await store.claim("done") is Claim.DONE
    assert [await store.claim(str(number)) for number in range(10)] == [Claim.IN_PROGRESS] * 10


@pytest.mark.anyio
async def test_claims_that_lapsed_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    store = MemoryStore(size=3, lease=60)
    for number in range(10):
        await store.claim(str(number))
    now += 60
    assert await store.renew("9")  # nobody took it since
    assert [await store.renew(str(number)) for number in (7, 6)] == [True, False]


@pytest.mark.parametrize("settings", [{"size": 0}, {"size": -1}, {"lease": 0}, {"lease": -1}, {"lease": float("nan")}])
def test_settings_of_the_memory_that_cannot_be(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="above 0"):
        MemoryStore(**settings)
