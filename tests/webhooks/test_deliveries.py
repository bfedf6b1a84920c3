"""Which deliveries are the same."""

from __future__ import annotations

from typing import Any

import pytest

from retell_async.webhooks import MemoryStore, delivery_key, parse_event

from .sending import CALL, CHAT, body_of


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


@pytest.mark.anyio
async def test_a_claim_is_given_once_until_it_is_released() -> None:
    store = MemoryStore()
    assert [await store.claim("a"), await store.claim("a"), await store.claim("b")] == [True, False, True]
    await store.release("a")
    await store.release("never claimed")
    assert [await store.claim("a"), await store.claim("b")] == [True, False]


@pytest.mark.anyio
async def test_the_memory_is_bounded() -> None:
    store = MemoryStore(size=3)
    for number in range(5):
        assert await store.claim(str(number))
    assert [await store.claim("4"), await store.claim("3"), await store.claim("2")] == [False, False, False]
    assert await store.claim("0")
