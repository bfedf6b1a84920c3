"""Signatures: fixed vectors, the official SDK's verifier in both directions, and everything that must not get through."""

from __future__ import annotations

import time
import traceback
from collections.abc import Sequence
from email.message import Message
from typing import Any, cast

import httpx
import pytest
from hypothesis import example, given, strategies as st
from multidict import CIMultiDict, MultiDict
from retell.lib.webhook_auth import symmetric
from starlette.datastructures import Headers as StarletteHeaders
from werkzeug.datastructures import Headers as WerkzeugHeaders

from retell_async import RetellError
from retell_async.lib import webhook_auth
from retell_async.webhooks import CallEnded, WebhookVerificationError, sign, unwrap, unwrap_function, unwrap_inbound, verify

from .sending import KEY

NOW = 1_700_000_000_000
BODY = b'{"event":"call_ended"}'
DIGEST = "07024cabe7dd8f6d1c6e4a8324ca92c812e6ad4a7ee506c04f7e462e3321823e"
FINE = f"v={NOW},d={DIGEST}"

# Made by other means than this package: the first three were given, the last is by the `openssl dgst` command.
VECTORS = [
    ("test-api-key", NOW, b'{"event":"call_ended"}', DIGEST),
    ("key_test", NOW, b'{"event":"call_ended"}', "8c7fd3e49f31b8a3409e410a877de6a7ae40eb3c989b3700eaa2336f30ec1b48"),
    ("key_test", NOW, b"", "e1d11e60dc88d2e1d150866588727558f000282e48468d71d841fbebdd30f1cc"),
    (
        "key_3f1c9d",
        1_760_000_000_123,
        r'{"event":"call_analyzed","call":{"transcript":"User: ¿Qué tal, señor?\nAgent: 好的 🙂"}}'.encode(),
        "e0d0007801f58f31e4dccef25b37ffd9df5e66387b71378059d0a4bdce3dca64",
    ),
]

bodies = st.text() | st.text('{}[]":, \t\r\n\u00a0\u2003\u2028éß€漢字🙂0123456789')
keys = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1)
times = st.integers(0, 9_999_999_999_999)


def reason(body: bytes | str = BODY, key: str | Sequence[str] = "test-api-key", signature: str | None = FINE, **options: Any) -> str:
    with pytest.raises(WebhookVerificationError) as caught:
        verify(body, key, signature, **{"now_ms": NOW, **options})
    assert isinstance(caught.value, RetellError)
    assert str(caught.value) == caught.value.reason
    return caught.value.reason


@pytest.mark.parametrize(("key", "timestamp", "body", "digest"), VECTORS)
def test_vectors(key: str, timestamp: int, body: bytes, digest: str) -> None:
    assert sign(body, key, timestamp_ms=timestamp) == f"v={timestamp},d={digest}"
    for form in (body, body.decode()):
        assert verify(form, key, f"v={timestamp},d={digest}", now_ms=timestamp) is True  # `if not verify(...)` must let it in


@given(bodies, keys, times)
@example('{"transcript": "Señor \\u00e9 é \u2028 🙂"}', "key_test", NOW)
def test_the_official_verifier_takes_what_is_signed_here(body: str, key: str, timestamp: int) -> None:
    assert symmetric["verify"](body, key, sign(body, key, timestamp_ms=timestamp), {"timestamp": timestamp})
    assert sign(body, key, timestamp_ms=timestamp) == sign(body.encode(), key, timestamp_ms=timestamp)


@given(bodies, keys, times)
def test_what_the_official_signer_signs_is_taken_here(body: str, key: str, timestamp: int) -> None:
    signature = symmetric["sign"](body, key, timestamp)
    verify(body, key, signature, now_ms=timestamp)
    verify(body.encode(), key, signature, now_ms=timestamp)


@given(bodies, bodies, keys, keys)
def test_both_refuse_the_same(body: str, other: str, key: str, wrong: str) -> None:
    for received, used in ((other, key), (body, wrong)):
        theirs = symmetric["verify"](received, used, sign(body, key, timestamp_ms=NOW), {"timestamp": NOW})
        assert theirs == ((received, used) == (body, key))
        if not theirs:
            assert reason(received, used, sign(body, key, timestamp_ms=NOW)).startswith("wrong key or changed body")


def test_now_is_the_default() -> None:
    verify(BODY, KEY, sign(BODY, KEY))
    verify(BODY, KEY, sign(BODY, KEY, timestamp_ms=int(time.time() * 1000) - 290_000))
    assert reason(BODY, KEY, sign(BODY, KEY, timestamp_ms=int(time.time() * 1000) - 310_000), now_ms=None).startswith("too old")


@pytest.mark.parametrize(
    ("age_ms", "tolerance", "expected"),
    [
        (0, 300, None),
        (300_000, 300, None),
        (300_001, 300, "too old: signed 300 s ago"),
        (3_600_000, 300, "too old: signed 3600 s ago"),
        (-300_000, 300, None),
        (-300_001, 300, "too new: signed 300 s in the future"),
        (600_000, 600, None),
        (1_001, 1, "too old"),
        (1, 0, "too old"),
        (0, float("nan"), "too new"),
        (0, -1, "too new"),
    ],
)
def test_age(age_ms: int, tolerance: float, expected: str | None) -> None:
    if expected is None:
        verify(BODY, "test-api-key", FINE, tolerance=tolerance, now_ms=NOW + age_ms)
    else:
        assert reason(now_ms=NOW + age_ms, tolerance=tolerance).startswith(expected)


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("", id="empty"),
        pytest.param("None", id="None as text"),
        pytest.param(f"v={NOW}", id="no digest"),
        pytest.param(f"d={DIGEST}", id="no time"),
        pytest.param(f"v={NOW},d=", id="empty digest"),
        pytest.param(f"v=,d={DIGEST}", id="empty time"),
        pytest.param(f"d={DIGEST},v={NOW}", id="swapped"),
        pytest.param(f"x{FINE}", id="prefix"),
        pytest.param(f" {FINE}", id="space before"),
        pytest.param(f"{FINE}x", id="suffix"),
        pytest.param(f"{FINE} ", id="space after"),
        pytest.param(f"{FINE}\n", id="newline after"),
        pytest.param(f"{FINE},x=1", id="another part"),
        pytest.param(f"v={NOW}, d={DIGEST}", id="space between"),
        pytest.param(f"v={NOW};d={DIGEST}", id="semicolon"),
        pytest.param(f"v={NOW},d={DIGEST.upper()}", id="upper-case digest"),
        pytest.param(f"V={NOW},D={DIGEST}", id="upper-case names"),
        pytest.param(f"v={NOW},d={DIGEST[:-1]}", id="short"),
        pytest.param(f"v={NOW},d={DIGEST}0", id="long"),
        pytest.param(f"v={NOW},d=g{DIGEST[1:]}", id="not hexadecimal"),
        pytest.param(f"v={NOW},d={'é' * 64}", id="not ASCII"),
        pytest.param(f"v=-{NOW},d={DIGEST}", id="negative"),
        pytest.param(f"v=+{NOW},d={DIGEST}", id="plus"),
        pytest.param(f"v=0{NOW},d={DIGEST}", id="leading zero"),
        pytest.param(f"v={NOW}.0,d={DIGEST}", id="fraction"),
        pytest.param(f"v=1e12,d={DIGEST}", id="exponent"),
        pytest.param(f"v=1_700_000_000_000,d={DIGEST}", id="underscores"),
        pytest.param(f"v=١٧٠٠٠٠٠٠٠٠٠٠٠,d={DIGEST}", id="other digits"),
        pytest.param(f"v={'9' * 17},d={DIGEST}", id="enormous"),
        pytest.param(f"v={'9' * 100_000},d={DIGEST}", id="absurd"),
        pytest.param(f"{FINE},{FINE}", id="repeated"),
        pytest.param(f"{FINE}, {FINE}", id="repeated as HTTP joins it"),
        pytest.param("\x00", id="NUL"),
    ],
)
def test_malformed_header(header: str) -> None:
    assert reason(signature=header).startswith("malformed x-retell-signature header")


def test_missing_header() -> None:
    assert reason(signature=None).startswith("no x-retell-signature header")


@pytest.mark.parametrize("timestamp", [0, 1, 1_700_000_000, 9_999_999_999_999, 9_999_999_999_999_999])
def test_times_of_another_unit_are_too_old_or_too_new(timestamp: int) -> None:
    assert reason(signature=sign(BODY, "test-api-key", timestamp_ms=timestamp)).startswith(("too old", "too new"))


@pytest.mark.parametrize(
    "body",
    [b"", BODY + b" ", BODY[:-1], b' {"event":"call_ended"}', b'{"event": "call_ended"}', b"\xff", "\ud800", BODY + str(NOW).encode()],
)
def test_changed_body(body: bytes | str) -> None:
    assert reason(body).startswith("wrong key or changed body")


@pytest.mark.parametrize("keys", ["other", ["other", "another"], ("test-api-ke",), "test-api-keyy", "TEST-API-KEY"])
def test_wrong_key(keys: str | Sequence[str]) -> None:
    text = reason(BODY, keys)
    assert text.startswith("wrong key or changed body")
    assert not any(key in text for key in ("another", "test-api-ke", "TEST-API-KEY"))


@pytest.mark.parametrize("keys", [["old", "test-api-key"], ("test-api-key", "new"), ["test-api-key"]])
def test_any_of_several_keys_may_fit(keys: Sequence[str]) -> None:
    verify(BODY, keys, FINE, now_ms=NOW)


@pytest.mark.parametrize("key", ["", " ", [], (), ["fine", ""], None, [None], b"bytes", 1, "new\nline", "clé"])
def test_unusable_keys_are_refused_before_anything_is_looked_at(key: Any) -> None:
    with pytest.raises(ValueError, match="API key") as caught:
        verify(BODY, key, None)
    assert "clé" not in str(caught.value)


@pytest.mark.parametrize("body", [{"event": "call_ended"}, None, bytearray(BODY)])
def test_a_parsed_body_is_a_mistake_in_the_program(body: Any) -> None:
    with pytest.raises(TypeError, match="raw bytes"):
        verify(body, "test-api-key", FINE, now_ms=NOW)


@pytest.mark.parametrize(
    "headers",
    [
        {"x-retell-signature": "?"},
        {"X-Retell-Signature": "?"},
        {"X-RETELL-SIGNATURE": "?"},
        [("Host", "example.com"), ("X-Retell-Signature", "?")],
        [(b"host", b"example.com"), (b"x-retell-signature", b"?")],
    ],
)
def test_headers_in_any_case_and_form(headers: Any) -> None:
    signature = sign(BODY, KEY)
    fill: Any = {"?": signature, b"?": signature.encode()}
    pairs = headers.items() if isinstance(headers, dict) else headers
    filled = [(name, fill.get(value, value)) for name, value in pairs]
    for form in (filled, iter(filled), *([dict(filled)] if isinstance(headers, dict) else [])):
        assert unwrap(BODY, form, api_key=KEY).event == "call_ended"


@pytest.mark.parametrize("headers", [{}, [], {"signature": "v"}])
def test_no_header_among_the_headers(headers: Any) -> None:
    with pytest.raises(WebhookVerificationError, match="no x-retell-signature header"):
        unwrap(BODY, headers, api_key=KEY)


def test_a_header_that_is_there_twice_is_malformed() -> None:
    signature = sign(BODY, KEY)
    with pytest.raises(WebhookVerificationError, match="malformed"):
        unwrap(BODY, [("x-retell-signature", signature), ("X-Retell-Signature", signature)], api_key=KEY)


@given(st.binary(), st.binary() | st.binary(max_size=90).map(lambda tail: FINE.encode()[: 90 - len(tail)] + tail))
@example(BODY, FINE.encode())
def test_bytes_of_any_kind_give_the_one_error(body: bytes, signature: bytes) -> None:
    with pytest.raises(WebhookVerificationError):
        unwrap(body, [(b"x-retell-signature", signature)], api_key=KEY)
    with pytest.raises(WebhookVerificationError):
        verify(body, KEY, signature.decode("latin-1"))


@given(st.binary())
@example(b"")
@example(b"[]")
@example(b"null")
@example(b"NaN")
@example(b'{"event":1}')
@example(b'{"event":["call_inbound"]}')
@example(b'{"Event":"call_ended"}')
@example(b"\xef\xbb\xbf{}")
@example(b"[" * 100_000)
@example(b"1" * 5_000)
def test_what_is_signed_and_holds_no_event_gives_the_same_error(body: bytes) -> None:
    with pytest.raises(WebhookVerificationError, match="unreadable"):
        unwrap(body, {"x-retell-signature": sign(body, KEY)}, api_key=KEY)


class Unusable:
    """Headers of a program that is wrong."""

    def items(self) -> int:
        return 5


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "no x-retell-signature header"),
        ([], "malformed x-retell-signature header: its value must be one str, and is of type list"),
        ([FINE], "of type list"),
        ([FINE, FINE], "of type list"),
        ((FINE,), "of type tuple"),
        ({"value": FINE}, "of type dict"),
        (7, "of type int"),
        (True, "of type bool"),
        ("", "malformed"),
        (b"", "malformed"),
        (f"{FINE}, {FINE}", "malformed"),
        ("None", "malformed"),
    ],
)
@pytest.mark.parametrize("name", ["x-retell-signature", "X-Retell-Signature", b"X-Retell-Signature"])
def test_a_value_that_is_no_text_is_told(name: str | bytes, value: Any, expected: str) -> None:
    for headers in ({name: value}, [(name, value)], {"content-type": None, name: value, "via": ["a", "b"]}):
        for parse in (unwrap, unwrap_inbound, unwrap_function):
            with pytest.raises(WebhookVerificationError, match=expected):
                parse(BODY, cast("Any", headers), api_key="test-api-key")


@pytest.mark.parametrize(
    "headers", [{b"x-retell-signature": "SIGNED"}, {"X-RETELL-SIGNATURE": b"SIGNED"}, {"a": None, "x-retell-signature": "SIGNED", "b": [1]}]
)
def test_bytes_are_as_good_as_text_and_other_headers_are_no_matter(headers: dict[Any, Any]) -> None:
    signature = sign(BODY, KEY)
    given = {
        name: signature if value == "SIGNED" else signature.encode() if value == b"SIGNED" else value for name, value in headers.items()
    }
    assert unwrap(BODY, given, api_key=KEY).event == "call_ended"


@pytest.mark.parametrize(
    "headers",
    [
        None,
        5,
        "x-retell-signature: v=1",
        [1],
        [("x-retell-signature",)],
        [("x-retell-signature", FINE, 1)],
        [None],
        {1: FINE},
        {None: FINE},
        Unusable(),
        object(),
    ],
)
def test_headers_that_are_none_give_the_one_error(headers: Any) -> None:
    with pytest.raises(WebhookVerificationError, match="unreadable headers"):
        unwrap(BODY, headers, api_key="test-api-key")


@pytest.mark.parametrize("headers", [{"HTTP_X_RETELL_SIGNATURE": FINE}, {"x_retell_signature": FINE}, {"x-retell-signature ": FINE}])
def test_names_of_other_conventions_are_not_this_header(headers: Any) -> None:
    with pytest.raises(WebhookVerificationError, match="no x-retell-signature header"):
        unwrap(BODY, headers, api_key="test-api-key")


@pytest.mark.parametrize(
    "make", [httpx.Headers, StarletteHeaders, MultiDict, CIMultiDict, WerkzeugHeaders, Message], ids=lambda make: str(make.__module__)
)
def test_headers_of_frameworks(make: Any) -> None:
    signature = sign(BODY, KEY)
    if make is Message:
        headers = Message()
        headers["X-Retell-Signature"] = signature
    else:
        headers = make({"X-Retell-Signature": signature})
    assert unwrap(BODY, headers, api_key=KEY).event == "call_ended"


@pytest.mark.parametrize(
    "headers",
    [
        httpx.Headers([("x-retell-signature", FINE), ("x-retell-signature", FINE)]),
        StarletteHeaders(raw=[(b"x-retell-signature", FINE.encode())] * 2),
        CIMultiDict([("X-Retell-Signature", FINE), ("x-retell-signature", FINE)]),
        WerkzeugHeaders([("X-Retell-Signature", FINE)] * 2),
        {"x-retell-signature": FINE, "X-Retell-Signature": FINE},
    ],
    ids=lambda headers: type(headers).__module__,
)
def test_a_header_that_is_repeated_in_a_framework(headers: Any) -> None:
    with pytest.raises(WebhookVerificationError, match="malformed"):
        unwrap(BODY, headers, api_key="test-api-key")


@pytest.mark.parametrize("signature", [b"v=1", 5, [FINE], {"v": 1}, FINE.encode()])
def test_a_signature_of_another_kind_is_malformed(signature: Any) -> None:
    assert reason(signature=signature).startswith("malformed")


_BRACKETS = b'{"event":"call_ended","call":{"call_type":"web_call","metadata":' + b"[" * 100_000 + b"]" * 100_000 + b"}}"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (_BRACKETS, "not JSON"),
        (b'{"event":"call_ended"}\x00', "not JSON"),
        (b'{"event":"call_\xff"}', "not JSON"),
        (b'\xff\xfe{\x00"\x00e\x00', "not JSON"),
        (b'{"event":' + b"9" * 5_000 + b"}", "JSON"),
        (b'{"event":null}', "no name"),
        (b'{"event":"call_ended","event":["call_started"]}', "no name"),
        (b'{"event":{"call":1}}', "no name"),
        (b'"call_ended"', "not an object"),
        (b"NaN", "not an object"),
    ],
    ids=lambda value: value[:20] if isinstance(value, bytes) else None,
)
def test_hostile_bodies_give_the_one_error(body: bytes, expected: str) -> None:
    with pytest.raises(WebhookVerificationError, match=expected):
        unwrap(body, {"x-retell-signature": sign(body, KEY)}, api_key=KEY)


@pytest.mark.parametrize(
    "body",
    [
        b'{"event":"call_ended","call":{"call_type":"web_call","call_id":"a","call_id":"call_1"}}',
        b'{"event":"call_ended","call":{"call_type":"web_call","call_id":"call_1","duration_ms":NaN,"metadata":{"a":Infinity}}}',
        b'{"event":"call_ended","call":{"call_type":"web_call","call_id":"call_1","metadata":' + b"[" * 300 + b"]" * 300 + b"}}",
        b'{"event":"call_ended","call":{"call_type":"web_call","call_id":"call_1","transcript":"\\ud83d"}}',
        b'\n\t {"event":"call_ended","call":{"call_type":"web_call","call_id":"call_1"}}\r\n',
    ],
)
def test_odd_bodies_that_are_events_all_the_same(body: bytes) -> None:
    event = unwrap(body, {"x-retell-signature": sign(body, KEY)}, api_key=KEY)
    assert isinstance(event, CallEnded)
    assert event.call.call_id == "call_1"
    assert repr(event)


@pytest.mark.parametrize("wrong", [{"body": 5}, {"api_key": f"{KEY}\n"}], ids=str)
@pytest.mark.parametrize("signs", [sign, webhook_auth.sign])
def test_no_frame_shows_the_key_that_a_body_is_signed_with(signs: Any, wrong: dict[str, Any]) -> None:
    arguments = {"body": "{}", "api_key": KEY} | wrong
    try:
        signs(**arguments)
    except (TypeError, ValueError) as error:
        shown = list(traceback.TracebackException.from_exception(error, capture_locals=True).stack)[1:]
        assert shown
        assert not [frame for frame in shown if KEY in str(frame.locals)]
    else:
        pytest.fail("it was signed")
