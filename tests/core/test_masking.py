from __future__ import annotations

from typing import Any

import pytest
from rich.pretty import pretty_repr

from retell_async._core.masking import Hidden, mask_address, mask_path, mask_start, mask_text, masked
from retell_async._core.model import UnknownObject
from retell_async.types import LlmResponse, PhoneCallResponse

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
        (rf"bytearray(b'X: a\x00b{KEY}')", r"bytearray(b'X: a\x00b***')"),
        *(
            (f"{escape}{secret} {escape}{secret}", f"{escape}{shown} {escape}{shown}")
            for escape in (r"\n", r"\t", r"\x00", r"\x1b[2J", r"\u000a", "%0A", "%20", "\x1b[31m", "\x1b[0m")
            for secret, shown in (
                ("key_abcdef", "***"),
                (KEY, "***"),
                ("+14155550199", "+141******99"),
                ("24155550199", "2415*****99"),
                ("(415) 555-0199", "(415********99"),
            )
        ),
        ("api_key_required, monkey_business, api_key_of_the_year_2026", "api_key_required, monkey_business, api_key_of_the_year_2026"),
        (f"Authorization: Bearer {KEY}", "Authorization: Bearer ***"),
        ("no way to http://user:p%40ss@proxy.test:3128/", "no way to http://***@proxy.test:3128/"),
        ("call (415) 555-0101 or 415-555-0101, 415.555.0101.", "call (415********01 or 415-******01, 415.******01."),
        ("1 (415) 555-0101; 1-415-555-0101", "1 (4**********01; 1-41********01"),
        ("/get-contact/415%20555%200101", "/get-contact/415%**********01"),
        ("in London 020 7946 0958, in Paris 01 23 45 67 89", "in London 020 *******58, in Paris 01 2********89"),
        ("on 01/02/2026 at 08.30 of 2026-11-26, 0.123456789 s, 10.0.0.1", "on 01/02/2026 at 08.30 of 2026-11-26, 0.123456789 s, 10.0.0.1"),
        ("call_415-555-0101 and 3f415-555-0101", "call_415-555-0101 and 3f415-555-0101"),
        ("https://h/x?token=abc&limit=5", "https://h/x?token=***&limit=5"),
        ("https://h/x?limit=5&X-Amz-Signature=abc#end", "https://h/x?limit=5&X-Amz-Signature=***#end"),
        *((f"https://h/x?{name}=abc", f"https://h/x?{name}=***") for name in ("api_key", "apikey", "key", "sig", "password", "access-key")),
        ("/v2/list?pagination_key=abc&sort_key=d&max_tokens=5&monkey", "/v2/list?pagination_key=abc&sort_key=d&max_tokens=5&monkey"),
        (
            "https://api.retellai.com/v2/list-calls?limit=50&x=call_1415555010042",
            "https://api.retellai.com/v2/list-calls?limit=50&x=call_1415555010042",
        ),
    ],
)
def test_numbers_keys_and_passwords_are_masked_however_they_are_written(text: str, shown: str) -> None:
    assert mask_text(text) == shown


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/get-call/x%0A09:16%20CRITICAL?a=1", "/get-call/x%0A09:16%20CRITICAL"),
        ("/get-phone-number/%34%31%35%35%35%35%30%31%30%30", "/get-phone-number/4155****00"),
        ("/get-contact/415%2F555%2F0100", "/get-contact/415%2F******00"),
        ("/a%3Fb/..%2F..%2Fx", "/a%3Fb/..%2F..%2Fx"),
    ],
)
def test_a_path_is_masked_and_stays_encoded(path: str, shown: str) -> None:
    assert mask_path(path) == shown


@pytest.mark.parametrize("password", ["plain", "Zq7/Tail9", "p?ss", "p#w/d", "p:a:ss", "p ss", "p%2Fss"])
def test_the_address_of_a_database_shows_no_password(password: str) -> None:
    assert (
        mask_address(f"postgresql://user:{password}@db.test:5432/name?sslmode=require")
        == "postgresql://user:***@db.test:5432/name?sslmode=require"
    )
    assert mask_address("postgresql://db.test/name") == "postgresql://db.test/name"
    assert mask_address(f"postgresql://user@db.test/name?password={password.partition('#')[0]}").startswith(
        "postgresql://user@db.test/name?"
    )


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


HEADERS = ["Authorization", "X-Api-Key", "x-api-key", "Api-Key", "apikey", "X-Access-Key", "Cookie", "X-Secret", "X-Whatever"]


@pytest.mark.parametrize("name", HEADERS)
def test_headers_of_tools_are_secrets(name: str) -> None:
    sent = {"headers": {name: "s3cret", "Content-Type": "text/plain"}, "url": "https://h/x"}
    model = LlmResponse.from_dict({"llm_id": "llm_1", "general_tools": [{"type": "custom", **sent}], "mcps": [{"name": "m", **sent}]})
    for text in (repr(model), str(model), str(model.general_tools), str(model.mcps), pretty_repr(model), str(masked(model.to_dict()))):
        assert "s3cret" not in text
        assert "text/plain" in text or "mcps" not in text


@pytest.mark.parametrize("name", ["api_key", "token", "key", "sig", "auth", "password"])
def test_query_parameters_of_tools_are_secrets(name: str) -> None:
    tool = {"type": "custom", "query_params": {name: "s3cret", "limit": "5"}, "url": f"https://h/x?{name}=s3cret&limit=6"}
    model = LlmResponse.from_dict({"llm_id": "llm_1", "general_tools": [tool]})
    for text in (repr(model.general_tools), pretty_repr(model), str(masked(model.to_dict()))):
        assert "s3cret" not in text
        assert "limit=6" in text
        assert "'limit': '5'" in text


def test_a_field_of_the_api_that_is_called_key_is_none() -> None:
    assert masked({"metadata": [{"key": "tier", "value": "gold"}]}) == {"metadata": [{"key": "tier", "value": "gold"}]}


def test_what_is_hidden_is_in_no_repr() -> None:
    assert KEY not in repr([Hidden(KEY)])
    assert Hidden(KEY).value == KEY


def test_what_is_nested_deeply_is_shown_as_far_as_anybody_reads() -> None:
    deep: Any = "+14155550100"
    for _ in range(900):
        deep = [{"m": deep}]
    holder = UnknownObject(metadata=deep)
    assert "[{'m': [{'m': " in repr(holder)
    assert len(repr(holder)) < 500
    assert "…" in repr(holder)
    assert "…" in str(masked(deep))


NUMBERS_AND_KEYS = [
    "+14155550100",
    "415-555-0101",
    "(415) 555-0101",
    "14155550100",
    KEY,
    "https://user:pass@h.test/",
    "/x?token=abc&limit=5",
]


@pytest.mark.parametrize("secret", NUMBERS_AND_KEYS)
@pytest.mark.parametrize("longest", [80, 300])
def test_what_is_cut_off_is_masked_as_the_whole_is(secret: str, longest: int) -> None:
    for before in range(longest + 600):
        text = f"{'a' * before} {secret} {'b' * 1500}"
        assert mask_start(text, longest) == f"{mask_text(text)[: longest - 1]}…"


def test_secrets_longer_than_what_is_looked_at_are_masked() -> None:
    after = "c" * 5000
    assert mask_start(f"key_{'b' * 3000} then +14155550100 {after}", 80).startswith("*** then +141******00 c")
    assert mask_start(f"Bearer {'b' * 3000}", 80) == "Bearer ***"
    assert mask_start(f"https://user:{'p' * 3000}@h.test {after}", 80).startswith("https://***@h.test c")


def test_what_is_not_shown_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = 0

    def counted(text: str) -> str:
        nonlocal seen
        seen += len(text)
        return mask_text(text)

    monkeypatch.setattr("retell_async._core.masking.mask_text", counted)
    text = "User: my number is four one five, and it's 12 past 3.\n" * 20_000
    call = PhoneCallResponse.from_dict(
        {
            "call_id": "call_1",
            "call_type": "phone_call",
            "transcript": text,
            "transcript_object": [{"role": "agent", "content": text, "words": []}] * 1000,
            "metadata": {"a": {"b": [text] * 1000}, text: text, **{str(number): text for number in range(1000)}},
            "new_field": [[text] * 10] * 10,
            **{f"new_{number}": {"a": [text] * 10} for number in range(1000)},
        }
    )
    shown = repr(call)
    assert "… 954 more" not in shown
    assert "… 952 more}" in shown
    assert ", … 996 more]" in shown
    assert len(shown) < 100_000
    assert seen < 2_000_000 < len(text) * 2


def test_the_fields_of_an_answer_are_all_shown_however_much_is_in_one() -> None:
    holder = UnknownObject(metadata={str(number): {"a": [1] * 9} for number in range(10_000)}, call_id="call_1")
    assert repr(holder).endswith("'49': {'a': [1, 1, 1, 1, … 5 more]}, … 9950 more}, call_id='call_1')")
