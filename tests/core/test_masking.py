from __future__ import annotations

from typing import Any

import pytest

from retell_async._core.masking import Hidden, mask_text, masked

from ..engine.example import KEY


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("to +14155550100.", "to +141******00."),
        ("/get-phone-number/%2B14155550100", "/get-phone-number/%2B141******00"),
        ("/get-phone-number/%2b14155550100?a=%2B442071838750", "/get-phone-number/%2b141******00?a=%2B442*******50"),
        ("/%252B14155550100", "/%252B141******00"),
        ("%2B1%20%28415%29%20555-0100 is quoted", "%2B141******00 is quoted"),
        (r'{"to_number":"\u002b14155550100"}', r'{"to_number":"\u002b141******00"}'),
        ("/get-phone-number/14155550100", "/get-phone-number/1415*****00"),
        (f"Authorization: Bearer {KEY}", "Authorization: Bearer ***"),
        ("no way to http://user:p%40ss@proxy.test:3128/", "no way to http://***@proxy.test:3128/"),
        (
            "https://api.retellai.com/v2/list-calls?limit=50&x=call_1415555010042",
            "https://api.retellai.com/v2/list-calls?limit=50&x=call_1415555010042",
        ),
    ],
)
def test_numbers_keys_and_passwords_are_masked_however_they_are_written(text: str, shown: str) -> None:
    assert mask_text(text) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (
            {"access_token": "abc", "from_number": "14155", "n": 1, "to_number": 14155550100},
            {"access_token": "***", "from_number": "1***", "n": 1, "to_number": "1415*****00"},
        ),
        (
            [{"text": "call +14155550100", "at": 1700000000000, "ok": True, "none": None}],
            [{"text": "call +141******00", "at": 1700000000000, "ok": True, "none": None}],
        ),
    ],
)
def test_json_is_masked_and_stays_json(value: Any, shown: Any) -> None:
    assert masked(value) == shown


def test_what_is_hidden_is_in_no_repr() -> None:
    assert KEY not in repr([Hidden(KEY)])
    assert Hidden(KEY).value == KEY
