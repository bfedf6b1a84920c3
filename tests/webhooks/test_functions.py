"""Custom functions: requests in both shapes, and results."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from retell_async.raw.models import ChatResponse, PhoneCallResponse
from retell_async.webhooks import WebhookVerificationError, function_answer, unwrap_function

from .sending import CALL, CHAT, KEY, body_of, signed

ARGS = {"order_id": "A7", "count": 2}


def test_wrapped_with_its_call() -> None:
    body = body_of({"name": "get_order", "args": ARGS, "call": CALL, "new": 1})
    function = unwrap_function(body, signed(body), api_key=KEY)

    assert (function.name, function.args) == ("get_order", ARGS)
    assert isinstance(function.call, PhoneCallResponse)
    assert function.call.transcript == "User: Grüß Gott\n"
    assert function.chat is None
    assert function["new"] == 1
    assert function.to_dict() == json.loads(body)


def test_wrapped_with_its_chat() -> None:
    body = body_of({"name": "get_order", "args": ARGS, "chat": CHAT})
    function = unwrap_function(body, signed(body), api_key=KEY)

    assert (function.name, function.args, function.call) == ("get_order", ARGS, None)
    assert isinstance(function.chat, ChatResponse)


def test_wrapped_with_neither() -> None:
    body = body_of({"name": "get_order", "args": ARGS})
    function = unwrap_function(body, signed(body), api_key=KEY)

    assert (function.name, function.args, function.call, function.chat) == ("get_order", ARGS, None, None)


@pytest.mark.parametrize(
    "args",
    [
        ARGS,
        {},
        {"name": "Ann"},
        {"name": "Ann", "call": "me"},
        {"name": "Ann", "args": "none", "call": {}},
        {"name": 1, "args": {}, "call": {}},
        {"name": "Ann", "args": {}, "more": 1},
        {"call": CALL},
    ],
)
def test_arguments_alone(args: dict[str, Any]) -> None:
    body = body_of(args)
    function = unwrap_function(body, signed(body), api_key=KEY)

    assert (function.name, function.args, function.call, function.chat) == (None, args, None, None)


@pytest.mark.parametrize("around", [{"call": CALL}, {"chat": CHAT}, {"call": CALL, "new": 1}])
@pytest.mark.parametrize("args", [{}, {"args": None}, {"args": {}}])
def test_wrapped_without_arguments_keeps_its_envelope(around: dict[str, Any], args: dict[str, Any]) -> None:
    body = body_of({"name": "hang_up", **args, **around})
    function = unwrap_function(body, signed(body), api_key=KEY)

    assert (function.name, function.args) == ("hang_up", {})
    assert getattr(function.call, "call_id", None) == around.get("call", {}).get("call_id")
    assert getattr(function.chat, "chat_id", None) == around.get("chat", {}).get("chat_id")


@pytest.mark.parametrize("args", [{"name": "Ann"}, {"name": "Ann", "args": None}, {"name": "Ann", "args": [], "call": CALL}])
def test_a_name_alone_is_an_argument(args: dict[str, Any]) -> None:
    body = body_of(args)
    assert unwrap_function(body, signed(body), api_key=KEY).args == args


def test_without_a_body_the_arguments_are_in_the_query() -> None:
    function = unwrap_function(b"", signed(b""), api_key=KEY, query={"order_id": "A7"})
    assert (function.name, function.args) == (None, {"order_id": "A7"})
    assert unwrap_function("", signed(b""), api_key=KEY).args == {}


@pytest.mark.parametrize("body", [b"[]", b"1", b"{", b"\xff"])
def test_something_else(body: bytes) -> None:
    with pytest.raises(WebhookVerificationError, match="unreadable"):
        unwrap_function(body, signed(body), api_key=KEY)


def test_not_from_retell() -> None:
    with pytest.raises(WebhookVerificationError, match="wrong key"):
        unwrap_function(b"{}", signed(b""), api_key=KEY)


@pytest.mark.parametrize(
    ("result", "content", "content_type"),
    [
        ("Ihre Bestellung ist da.", b"Ihre Bestellung ist da.", "text/plain; charset=utf-8"),
        ("größer", "größer".encode(), "text/plain; charset=utf-8"),
        (None, b"", "text/plain; charset=utf-8"),
        ({"status": "größer", "items": [1, None]}, '{"status":"größer","items":[1,null]}'.encode(), "application/json"),
        ([], b"[]", "application/json"),
        (7, b"7", "application/json"),
        (False, b"false", "application/json"),
    ],
)
def test_results(result: Any, content: bytes, content_type: str) -> None:
    answer = function_answer(result)
    assert (answer.content, answer.content_type) == (content, content_type)


def test_a_model_may_be_a_result() -> None:
    call = PhoneCallResponse.from_dict(CALL)
    assert json.loads(function_answer({"call": call}).content) == {"call": CALL}


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ({"items": [{"price": Decimal(1)}]}, r"items\[0\]\.price: Decimal cannot be sent"),
        (b"bytes", "bytes cannot be sent"),
        (object(), "object cannot be sent"),
    ],
)
def test_a_result_of_the_wrong_kind_is_refused_by_its_place(result: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        function_answer(result)


@pytest.mark.parametrize("result", [{"rate": float("inf")}, "\ud800", {"name": "\ud800"}])
def test_a_result_that_cannot_be_sent_is_refused(result: Any) -> None:
    with pytest.raises(ValueError, match=r"cannot be sent|surrogate"):
        function_answer(result)
