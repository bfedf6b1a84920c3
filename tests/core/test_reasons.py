"""The reason in an error's body: in every shape that servers and what stands before them give it."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import pytest
from hypothesis import given, strategies as st

from retell_async._core.errors import status_error
from retell_async._core.reasons import stated_reason

REQUEST = httpx.Request("GET", "https://api.retellai.com/get-agent/agent_1")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"status": "error", "message": "Not Found"}, "Not Found"),
        ({"Message": "User is not authorized"}, "User is not authorized"),
        ({"message": {"text": "deep", "code": 7}}, "text: deep; code: 7"),
        ({"error": "invalid", "error_description": "the voice is gone"}, "the voice is gone; invalid"),
        ({"error": {"code": "bad_model", "message": "no such model"}}, "no such model [bad_model]"),
        ({"error": {"code": "bad_model"}}, "code: bad_model"),
        ({"error": {"errors": [{"reason": "quota"}, {"reason": "rate"}]}}, "quota; rate"),
        ({"detail": "the number is not in E.164 form"}, "the number is not in E.164 form"),
        (
            {"detail": [{"loc": ["body", "tasks", 0, "to_number"], "msg": "missing", "input": {"api_key": "s"}}]},
            "body.tasks.0.to_number: missing",
        ),
        ({"message": ["a is required", "b is required"], "error": "Bad Request"}, "a is required; b is required; Bad Request"),
        (
            {"title": "Invalid", "status": 400, "errors": {"voice_id": ["too long", "not known"]}},
            "Invalid; voice_id: too long; voice_id: not known",
        ),
        ({"errors": [{"source": {"pointer": "/data/name"}, "detail": "is taken"}]}, "/data/name: is taken"),
        ({"errors": ["first", "second", "first"]}, "first; second"),
        ({"errors": [{"field": "name", "message": "is empty"}]}, "name: is empty"),
        (
            {"metadata": ["must be an object"], "request": {"limit": ["at most 1000"]}},
            "metadata: must be an object; request.limit: at most 1000",
        ),
        ({"fault": {"faultstring": "no quota", "detail": {"errorcode": "q.1"}}}, "errorcode: q.1; no quota"),
        ({"response": {"data": {"message": "inside"}}}, "response.data: inside"),
        ({"error": "Not Found", "path": "/v2/get-call/x", "timestamp": 1}, "Not Found"),
        ({"issues": [{"path": ["body", "name"], "message": "is empty"}]}, "body.name: is empty"),
        ({"reason": "paused"}, "paused"),
        ({"api_key": "hunter2hunter2", "session": "s", "ok": False, "code": "E17"}, "code: E17"),
        ({"message": 17}, "17"),
        ("error code: 1020", "error code: 1020"),
        ("upstream connect error\r\n  reset  before headers\n", "upstream connect error reset before headers"),
        (
            "<html><head><title>504 Gateway\n Time-out</title></head><body><h1>504 Gateway Time-out</h1>nginx</body></html>",
            "504 Gateway Time-out",
        ),
        ("<!DOCTYPE html><title>Blocked &amp; logged</title><h1>Access <b>denied</b></h1>", "Blocked & logged; Access denied"),
        (
            "<html><!-- <title>no</title> --><script>var a = '<h1>no</h1>'</script><p>Down for <i>maintenance</i></p></html>",
            "Down for maintenance",
        ),
        ('<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Not yours</Message></Error>', "Not yours"),
        ("", ""),
        ("   ", ""),
        (None, ""),
        (True, ""),
        ({}, ""),
        ([], ""),
        ("\ufffd\ufffdPNG", ""),
        ("PK\0\0", ""),
    ],
)
def test_the_reason_is_found(body: Any, said: str) -> None:
    assert stated_reason(body) == said


def test_it_stands_in_the_error_with_numbers_and_keys_masked() -> None:
    body = {"detail": [{"loc": ["body"], "msg": "no +14155550100 for key_0123456789abcdef"}]}
    error = status_error(httpx.Response(422, request=REQUEST, json=body))
    assert str(error) == "Error code: 422 - body: no +141******00 for *** (GET /get-agent/agent_1)"
    assert error.message == f"Error code: 422 - {body}"
    assert error.body == body


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\x1b[31mred\x1b[0m and \x9b1mbold", "red and bold"),
        ("\x1b]0;title\x07after \x1b]8;;http://x\x1b\\link", "after link"),
        ("\x1b(Bset \x1bc reset", "set reset"),
        ("a\x00b\x08c\x7fd\x85e\u2028f\u202eg\ud800h", "a b c d e f g h"),
        ("2026-11-01 INFO\nforged line", "2026-11-01 INFO forged line"),
        ("Grüße, 日本語, \u200dok", "Grüße, 日本語, \u200dok"),
    ],
)
def test_nothing_in_it_acts_on_a_terminal_or_a_log(text: str, said: str) -> None:
    assert stated_reason({"message": text}) == said


@pytest.mark.parametrize(
    "body", ["x" * 1_000_000, {"message": "x" * 1_000_000}, {"errors": ["x" * 100] * 50_000}, "<h1>" + "x" * 1_000_000]
)
def test_it_is_short(body: Any) -> None:
    assert len(stated_reason(body)) <= 500
    assert "x" in stated_reason(body)


class Seen(str):
    __slots__ = ()
    looked_at = 0

    def __str__(self) -> str:
        Seen.looked_at += 1
        return super().__str__()


@pytest.mark.parametrize("silent", ["", " "])
def test_of_a_body_however_large_so_much_is_looked_at(silent: str) -> None:
    row = [Seen(silent)] * 3_000
    for body in (row, {"errors": row}, {"errors": [row] * 3_000}, {f"field {number}": row for number in range(3_000)}):
        Seen.looked_at = 0
        assert stated_reason(body) == ""
        assert 0 < Seen.looked_at <= 1_000


def test_a_page_whose_parts_do_not_end_takes_no_time() -> None:
    start = time.process_time()
    for part in ("<!--", "<script>", "<style>", "<h1>"):
        stated_reason(f"<html>{part * 10_000}")
    assert time.process_time() - start < 1


def test_what_a_reason_is_about_has_an_end() -> None:
    place: Any = "x"
    for _ in range(900):
        place = {"a": place}
    assert stated_reason({"msg": "no", "loc": place}) == stated_reason({"msg": "no", "loc": [place]}) == "no"


def test_a_body_however_deep_has_an_end() -> None:
    deep: Any = "bottom"
    for _ in range(900):
        deep = {"error": [deep]}
    assert stated_reason(deep) == ""


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["message", "errors", "detail", "loc", "source", "error", "x"]) | st.text(max_size=3), inner, max_size=4
            )
        ),
        max_leaves=12,
    )
)
def test_no_body_breaks_it(body: Any) -> None:
    said = stated_reason(body)
    assert len(said) <= 500
    assert all(one.isprintable() or one in "\u200c\u200d" for one in said)
    error = status_error(httpx.Response(400, request=REQUEST, content=json.dumps(body).encode()))
    assert str(error).startswith("Error code: 400 - ")
