from __future__ import annotations

import time

import pytest
from hypothesis import given, strategies as st

from retell_async._core.retry_after import retry_after_seconds

NOW = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "1"}, 1.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": " 0.25 "}, 0.25),
        ({"retry-after": "86400"}, 86400.0),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:30 GMT"}, 10.0),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:10 GMT"}, 0.0),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:30 GMT", "date": "Tue, 14 Nov 2023 22:13:28 GMT"}, 2.0),
        ({"retry-after": "Tue, 14 Nov 2023 22:13:30 GMT", "date": "now"}, 10.0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "99999999999999999999999999999999999"}, None),
        ({"retry-after-ms": "1e300", "retry-after": "9"}, 9.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Tue, 99 Nov 2023 22:13:30 GMT"}, None),
    ],
)
def test_what_the_headers_ask_for(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_seconds(headers, now=NOW) == seconds


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Tokyo", "Australia/Lord_Howe"])
@pytest.mark.parametrize(
    "date",
    [
        "Tue, 14 Nov 2023 22:13:30 GMT",
        "Tue, 14 Nov 2023 22:13:30 -0000",
        "Tue, 14 Nov 2023 22:13:30",
        "Tue, 14 Nov 2023 23:13:30 +0100",
        "Tuesday, 14-Nov-23 22:13:30 GMT",
        "Tue Nov 14 22:13:30 2023",
    ],
)
def test_a_date_in_any_form_is_in_utc_wherever_this_runs(monkeypatch: pytest.MonkeyPatch, zone: str, date: str) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert retry_after_seconds({"retry-after": date}, now=NOW) == 10.0
        assert retry_after_seconds({"retry-after": "Tue, 14 Nov 2023 22:13:32 GMT", "date": date}, now=0.0) == 2.0
    finally:
        monkeypatch.undo()
        time.tzset()


@given(st.text() | st.from_regex(r"\w{3},? \d{1,2}[ -]\w{3}[ -]\d{2,4} \d\d:\d\d(:\d\d)?( [-+]?\w{3,5})?"))
def test_no_text_is_an_error(text: str) -> None:
    seconds = retry_after_seconds({"retry-after": text}, now=NOW)
    assert seconds is None or seconds >= 0
