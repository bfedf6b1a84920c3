from __future__ import annotations

import pickle
from copy import copy, deepcopy
from typing import Any

import httpx
import pytest
import retell

from retell_async._core import errors
from retell_async._core.errors import APIStatusError, status_error

from ..engine.example import KEY

REQUEST = httpx.Request("GET", "https://api.retellai.com/get-phone-number/%2B14155550100", headers={"Authorization": f"Bearer {KEY}"})


def answer(status: int, **parts: Any) -> httpx.Response:
    return httpx.Response(status, request=REQUEST, **parts)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.BadRequestError),
        (401, errors.AuthenticationError),
        (402, errors.PaymentRequiredError),
        (403, errors.PermissionDeniedError),
        (404, errors.NotFoundError),
        (409, errors.ConflictError),
        (412, errors.PreconditionFailedError),
        (418, APIStatusError),
        (422, errors.UnprocessableEntityError),
        (429, errors.RateLimitError),
        (500, errors.InternalServerError),
        (503, errors.InternalServerError),
        (302, APIStatusError),
    ],
)
def test_each_status_has_its_error(status: int, kind: type[APIStatusError]) -> None:
    response = answer(status, json={"status": "error", "message": "why"}, headers={"x-request-id": "r1"})
    error = status_error(response)
    assert type(error) is kind
    body = {"status": "error", "message": "why"}
    assert (error.status_code, error.message, error.body) == (status, f"Error code: {status} - {body}", body)
    assert str(error) == f"Error code: {status} - {body} (GET /get-phone-number/%2B141******00)"
    assert error.response is response
    assert error.request is REQUEST
    assert error.request_id == "r1"
    assert isinstance(error, errors.RetellError)


@pytest.mark.parametrize(
    ("parts", "message", "body"),
    [
        ({"json": {"status": "error", "error_message": "other name"}}, "other name", {"status": "error", "error_message": "other name"}),
        ({"json": {"message": "why", "token": "secret"}}, "why", {"message": "why", "token": "secret"}),
        ({"json": {"message": ["a"]}}, "a", {"message": ["a"]}),
        ({"json": ["a"]}, "a", ["a"]),
        ({"json": {"message": "", "status": "error"}}, "Bad Gateway", {"message": "", "status": "error"}),
        ({"json": [None, True, {}]}, "Bad Gateway", [None, True, {}]),
        ({"html": "<h1>no</h1>"}, "no", "<h1>no</h1>"),
        ({"html": "<p></p>"}, "Bad Gateway, with a body of text/html in place of JSON", "<p></p>"),
        ({"content": b'{"mess'}, '{"mess', '{"mess'),
        ({"content": b"[" * 3000}, "[" * 499 + "…", "[" * 3000),
        ({"content": b"\xff\xfe"}, "Bad Gateway, with a body of unknown type in place of JSON", "��"),
        *(
            (
                {"content": b"\xff\xfe", "headers": {"Content-Type": f"{kind}; charset=utf-8"}},
                f"Bad Gateway, with a body that is not JSON although its Content-Type says {kind}",
                "��",
            )
            for kind in ("application/json", "application/problem+json", "Application/JSON")
        ),
        ({}, "Bad Gateway, with an empty body", ""),
        ({"content": b"null"}, "Bad Gateway", None),
        ({"json": {"error": {"message": "no", "code": "no_funds"}}}, "no [no_funds]", {"error": {"message": "no", "code": "no_funds"}}),
        ({"json": {"message": "no", "error_code": 7, "a": []}}, "no [7]", {"message": "no", "error_code": 7, "a": []}),
    ],
)
def test_any_body_gives_a_short_text(parts: dict[str, Any], message: str, body: object) -> None:
    error = status_error(answer(502, **parts))
    assert (error.args[0], error.body) == (f"Error code: 502 - {message}", body)
    assert "Error code: 502" in repr(error)
    assert str(error).startswith(f"Error code: 502 - {message} (")


@pytest.mark.parametrize("parts", [{}, {"content": b"null"}, {"json": "plain"}, {"json": []}, {"text": " <h1> "}, {"content": b'{"a"'}])
def test_message_and_body_are_those_of_the_official_sdk(parts: dict[str, Any]) -> None:
    there = retell.Retell(api_key="k")._make_status_error_from_response(answer(502, **parts))
    here = status_error(answer(502, **parts))
    assert (here.message, here.body) == (there.message, there.body)


def test_no_secret_is_printed() -> None:
    error = status_error(answer(404, json={"message": f"no +14155550100 for {KEY}"}))
    assert str(error) == "Error code: 404 - {'message': 'no +141******00 for ***'} (GET /get-phone-number/%2B141******00)"
    assert KEY in error.message
    assert "4155550100" not in repr(error)
    assert KEY not in repr(error)


def to(path: str) -> httpx.Request:
    return httpx.Request("GET", f"https://api.retellai.com/get-call/{path}")


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("x%0A09:16%20CRITICAL%1B%5B2J", "x%0A09:16%20CRITICAL%1B%5B2J"),
        ("..%2F..%2Fx", "..%2F..%2Fx"),
        ("a%2Fb%3Fc%23d?e=1", "a%2Fb%3Fc%23d"),
        ("ü", "%C3%BC"),
        ("%0A14155550100", "%0A1415*****00"),
        ("%2B1%20415%C2%A0555%20%30100", "+1%204*********00"),
    ],
)
def test_what_was_asked_is_told_as_it_was_sent(sent: str, shown: str) -> None:
    error = errors.APIConnectionError(request=to(sent), sent=True)
    assert str(error) == f"Connection error. (GET /get-call/{shown})"


@pytest.mark.parametrize(
    "error",
    [
        errors.APIConnectionError(message="odd: a\nb\x1b[2J\u202ec", request=REQUEST, sent=True),
        errors.APITimeoutError(REQUEST, message="odd: a\nb\x1b[2J\u202ec", sent=False),
        errors.outcome_unknown(None, message="odd: a\nb\x1b[2J\u202ec", request=REQUEST),
        errors.unusable(answer(200), None, message="odd: a\nb\x1b[2J\u202ec"),
        errors.WaitTimeoutError("odd: a\nb\x1b[2J\u202ec", 1.0),
    ],
)
def test_what_a_client_says_is_on_one_line(error: errors.RetellError) -> None:
    for one in (error, copy(error), pickle.loads(pickle.dumps(error))):
        assert "odd: a\\nb\\x1b[2J\\u202ec" in str(one)


def test_a_status_with_a_strange_reason_or_kind_is_told_on_one_line() -> None:
    for parts in ({"extensions": {"reason_phrase": b"a\x1b[2Jb"}}, {"headers": [(b"content-type", b"a\x1b[2J\x85b")], "content": b"\xff"}):
        assert str(status_error(answer(502, **parts))).isprintable()


def test_an_error_that_a_program_makes_says_what_it_says() -> None:
    class Mine(errors.APIError):
        pass

    for error in (
        errors.APIError("boom", REQUEST, body=None),
        Mine("boom", request=REQUEST, body={"a": 1}),
        errors.APIConnectionError(message="boom", request=REQUEST),
        errors.APITimeoutError(REQUEST, message="boom"),
    ):
        assert (str(error), error.args, str(pickle.loads(pickle.dumps(errors.APIError("boom", REQUEST, body=None))))) == (
            "boom",
            ("boom",),
            "boom",
        )
    assert errors.APIConnectionError(request=REQUEST).sent
    assert str(errors.APIResponseValidationError(answer(200, text="x"), "x", message="odd")) == "odd"
    assert str(errors.unusable(answer(200, text="x"), "x", message="odd")).startswith("Error code: 200 - odd (GET ")


def test_an_error_without_an_answer_has_no_status() -> None:
    for error in (
        errors.APIConnectionError(message="gone", request=REQUEST, sent=False),
        errors.APITimeoutError(REQUEST, message="late", sent=True),
        errors.OutcomeUnknownError(request=REQUEST),
    ):
        assert (error.response, error.status_code, error.body, error.request_id) == (None, None, None, None)
        assert str(error).endswith(" (GET /get-phone-number/%2B141******00)")


def test_errors_can_be_made_as_users_of_the_official_sdk_make_them() -> None:
    response = answer(429, headers={"retry-after": "2"})
    made = errors.RateLimitError("slow", response=response, body=None)
    assert (made.retry_after, str(made), made.args, made.message) == (2, "slow", ("slow",), "slow")
    assert [str(errors.APIConnectionError(request=REQUEST)), str(errors.APITimeoutError(REQUEST))] == [
        "Connection error.",
        "Request timed out.",
    ]
    for error in (made, errors.APITimeoutError(REQUEST)):
        assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert errors.APITimeoutError(request=REQUEST).request is REQUEST
    assert errors.APIConnectionError(message="gone", request=REQUEST).message == "gone"
    assert errors.APIResponseValidationError(response=response, body={}).status_code == 429


@pytest.mark.parametrize(
    "error",
    [
        status_error(answer(429, json={"message": "slow"}, headers={"retry-after": "2"})),
        errors.APITimeoutError(REQUEST),
        errors.APIResponseValidationError(answer(200, text="x"), "x", problems=("a: b",)),
    ],
)
def test_errors_can_be_pickled(error: errors.APIError) -> None:
    restored = pickle.loads(pickle.dumps(error))
    assert type(restored) is type(error)
    assert str(restored) == str(error)
    assert (restored.status_code, restored.body, restored.message) == (error.status_code, error.body, error.message)
    assert vars(restored).keys() == vars(error).keys()


LAST: list[errors.APIError] = [
    errors.APITimeoutError(REQUEST),
    errors.APIConnectionError(request=REQUEST),
    errors.APIResponseValidationError(answer(200, text="x"), "x"),
    *(status_error(answer(status, json={})) for status in (400, 401, 402, 403, 404, 409, 412, 418, 422, 429, 500)),
]


@pytest.mark.parametrize("last", LAST, ids=lambda error: type(error).__name__)
def test_an_unknown_outcome_is_of_the_kind_of_what_happened_last(last: errors.APIError) -> None:
    error = errors.outcome_unknown(last, request=REQUEST, response=last.response, body=last.body, token="t", attempts=2)
    assert isinstance(error, errors.OutcomeUnknownError)
    assert isinstance(error, type(last))
    assert isinstance(error, errors.APIConnectionError) is isinstance(last, errors.APIConnectionError)
    restored = pickle.loads(pickle.dumps(error))
    assert type(restored) is type(error)
    assert (str(restored), restored.status_code, restored.token, restored.attempts) == (str(error), last.status_code, "t", 2)


def test_an_unknown_outcome_whose_repeat_was_not_sent_is_a_connection_error_and_no_open_circuit() -> None:
    error = errors.outcome_unknown(errors.CircuitOpenError(request=REQUEST), request=REQUEST)
    assert isinstance(error, errors.APIConnectionError)
    assert errors.CircuitOpenError not in type(error).__mro__  # which says that nothing was sent
    assert error.sent


def test_what_is_unknown_for_the_age_of_a_key_is_of_no_other_kind() -> None:
    assert type(errors.outcome_unknown(None, request=REQUEST)) is errors.OutcomeUnknownError


def test_handlers_written_for_the_official_sdk_fire_in_their_order() -> None:
    """`except` as its documentation has it: no connection, too many requests, another status."""

    def handled(error: errors.APIError) -> str:
        try:
            raise error
        except errors.APITimeoutError:
            return "timeout"
        except errors.APIConnectionError:
            return "connection"
        except errors.RateLimitError:
            return "limit"
        except errors.APIStatusError as caught:
            return str(caught.status_code)

    for last, meant in ((LAST[0], "timeout"), (LAST[1], "connection"), (LAST[2], "200"), (LAST[-1], "500")):
        assert handled(errors.outcome_unknown(last, request=REQUEST, response=last.response)) == meant


def test_an_error_whose_answer_was_not_read_can_be_pickled() -> None:
    response = answer(500, stream=httpx.ByteStream(b"{}"))
    response.is_stream_consumed = True
    error = pickle.loads(pickle.dumps(errors.InternalServerError("why", response=response, body=None)))
    assert (error.message, error.response.content) == ("why", b"")


@pytest.mark.parametrize("location", ["/anmeldung/geschäft".encode(), "/anmeldung/geschäft".encode("latin-1"), b"/login"])
def test_an_error_with_any_location_can_be_pickled_and_copied(location: bytes) -> None:
    response = httpx.Response(303, headers=[(b"location", location)], request=REQUEST)
    error = errors.outcome_unknown(status_error(response), request=REQUEST, response=response, idempotency_key="ra-1")
    for one in (pickle.loads(pickle.dumps(error)), copy(error), deepcopy(error)):
        assert one.idempotency_key == "ra-1"
        assert one.response is not None
        assert one.response.headers["location"] == response.headers["location"]


def test_an_error_with_a_body_of_any_depth_can_be_pickled() -> None:
    error = status_error(answer(500, content=b'{"a":' * 400 + b"1" + b"}" * 400))
    assert pickle.loads(pickle.dumps(error)).status_code == 500


def test_a_pickled_error_masks_its_url() -> None:
    query = {"note": "to +14155550123", "api_token": "hush", "to_number": "4155550123", "limit": "3"}
    request = httpx.Request("GET", "https://user:hush@retell.test/get-call/call_1", params=query)
    url = pickle.loads(pickle.dumps(errors.APIConnectionError(request=request))).request.url
    assert (url.path, url.params["limit"], "hush" in str(url), "4155550123" in str(url)) == ("/get-call/call_1", "3", False, False)


def test_a_short_key_is_left_out_as_a_word_and_within_no_other() -> None:
    request = httpx.Request("GET", "https://retell.test/a", headers={"authorization": "Bearer k"})
    assert (
        str(errors.APIConnectionError(message="the token of k is blocked: 'k'", request=request, sent=True))
        == "the token of *** is blocked: '***' (GET /a)"
    )
