from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from retell_async import webhooks
from retell_async.archive import Archive
from retell_async.archive.erasure import Number

US, UK, DE, NO, SA = "+14155550123", "+442079460958", "+4915112345678", "+4792345678", "+966501234567"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        *(
            (US, text)
            for text in (US, "14155550123", "+1 (415) 555-0123", "4155550123", "001 415 555 0123", "01114155550123", "011 1 415 555-0123")
        ),
        *((US, text) for text in ("415, 555, 0123", "(415) - 555 - 0123", "415\u00b7555\u00b70123", "415_555_0123", "415... 555... 0123")),
        *(
            (US, text)
            for text in (
                "415\u00a0555\u00a00123",
                "415/555/0123",
                "415\u2011555\u20110123",
                "\uff14\uff11\uff15\uff15\uff15\uff15\uff10\uff11\uff12\uff13",
            )
        ),
        *((US, text) for text in ("%2B14155550123", "%2B1%20415%20555%200123", "%20%28415%29%20555-0123", "sip:+14155550123@sip.test;a=b")),
        *((UK, text) for text in (UK, "020 7946 0958", "(020) 7946 0958", "+44 (0)20 7946 0958", "0044 20 7946 0958", "20 7946 0958")),
        *((DE, text) for text in ("0151 12345678", "0151/12345678", "+49 151 12345678", "+49 (0) 151 12345678")),
        *((NO, text) for text in (NO, "92 34 56 78", "4792345678", "0047 92345678")),
        (SA, "\u0669\u0666\u0666\u0665\u0660\u0661\u0662\u0663\u0664\u0665\u0666\u0667"),
        (SA, "\u0660\u0665\u0660\u0661\u0662\u0663\u0664\u0665\u0666\u0667"),
        ("+79161234567", "8 (916) 123-45-67"),
        *((US, text) for text in ("+1 [415] 555-0123", "{415} 555 0123", "415*555*0123", "415:555:0123", "+1\u200b415\u200b5550123")),
        *((US, text) for text in ("%5B415%5D%20555-0123", "415%3A555%3A0123")),
    ],
)
def test_a_number_is_found_in_any_form(number: str, text: str) -> None:
    assert Number(number).taken_out(f"call {text}, please").count("[erased]") == 1
    digits = [char for char in Number(number).taken_out(f"call {text} please") if char.isdecimal()]
    assert len(digits) <= 4  # of what stands before it in a URL


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("+14792345678", NO),
        ("+14792345678", "+47 92 34 56 78"),
        ("+14792345678", "0047 92345678"),
        ("+6592345678", "+4792345678"),
        ("+12079460958", "+44 20 7946 0958"),
        ("+12079460958", "0044 (20) 7946 0958"),
        (NO, "+6592345678"),
        (NO, "+65 9234 5678"),
        (US, "24155550123"),
        (US, "+141555501234"),
    ],
)
def test_a_number_of_somebody_else_is_left(number: str, text: str) -> None:
    assert Number(number).taken_out(f"call {text}") == f"call {text}"
    assert not Number(number).is_in_field(text)


def test_a_field_is_of_a_person_if_it_is_the_whole_number() -> None:
    for text in (US, "14155550123", "4155550123", "+1 415 555 0123", "sip:+14155550123@sip.test"):
        assert Number(US).is_in_field(text)
    assert Number(UK).is_in_field("02079460958")
    assert not Number(UK).is_in_field("2079460958")  # which may be one of the United States
    assert not Number(US).is_in_field(None)


def test_numbers_that_are_numbers_in_json() -> None:
    value = {"a": 14155550123, "b": 14155550123.0, "c": 4155550123, "d": 14155550124, "e": True, "f": float("inf"), "g": [1764000000000]}
    assert Number(US).without(value) == {**value, "a": "[erased]", "b": "[erased]", "c": "[erased]"}


def call(id: str, to_number: str, **more: Any) -> webhooks.Event:
    about = {"call_id": id, "from_number": "+14155550100", "to_number": to_number, "call_status": "ended", "end_timestamp": 5, **more}
    return webhooks.parse_event(json.dumps({"event": more.pop("event", "call_ended"), "call": about}))


def held_in(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir())


@pytest.mark.asyncio
async def test_events_that_wait_and_keys_are_erased_and_strangers_are_not(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    async with Archive(file) as archive:
        await archive.inbox.put(call("call_no", NO, transcript="User: takk"))
        await archive.inbox.put(
            call("call_to", UK, transfer_destination={"number": "+14792345678"}, metadata={"session_id": "+14792345678"})
        )
        await archive.inbox.put(call("call_two", UK, metadata={"session_id": "s +1 479 234 5678"}))
        await archive.drain()
        await archive.inbox.put(call("call_us", "+14792345678", transcript="User: I am Jane Roe"))
        await archive.llm_store.begin("call_to", "text:+14792345678")
        await archive.llm_store.begin("call_two", "text-14792345678")
        erased = await archive.erase("+1 479 234 5678")
        assert erased.conversations == ["call_us"]
        await archive.drain()
        await archive.inbox.put(call("call_us", "+14792345678"))
        await archive.drain()
        assert [await archive.record(id) is not None for id in ("call_no", "call_to", "call_two", "call_us")] == [True, True, True, False]
        assert await archive.conversations_of("[erased]") == []
        assert (await archive.raw("call_to") or {})["transfer_destination"] == {"number": "[erased]"}
    held = held_in(tmp_path)
    assert not any(form in held for form in (b"14792345678", b"479 234", b"Jane Roe"))
    assert b"takk" in held
