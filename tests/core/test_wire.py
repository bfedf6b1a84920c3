"""Queries, headers and answers of other kinds, as operations say them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from retell_async._core.encode import encode
from retell_async._core.errors import APIResponseValidationError
from retell_async._core.model import Keyed, Many, One, UnknownObject
from retell_async._core.operation import Operation
from retell_async._core.response import Answer, decode


def made(**said: Any) -> Operation[Any]:
    return Operation(id="getThing", method="GET", path="/get-thing", repeat="safe", **said)


@pytest.mark.parametrize(
    ("style", "value", "target"),
    [
        (None, ["a", "b"], "?q%5B%5D=a&q%5B%5D=b"),
        ("repeat", ["a", 1, True, None], "?q=a&q=1&q=true"),
        ("comma", ["a", "b c"], "?q=a%2Cb%20c"),
        ("space", ("a", "b"), "?q=a%20b"),
        ("pipe", ["a", "b"], "?q=a%7Cb"),
        ("fields", {"status": "a", "min": 1}, "?status=a&min=1"),
        ("comma", {"status": "a", "min": 1}, "?q=status%2Ca%2Cmin%2C1"),
        (None, {"status": "a", "min": 1}, "?q%5Bstatus%5D=a&q%5Bmin%5D=1"),
        ("comma", "a", "?q=a"),
        ("comma", [], ""),
        ("repeat", [], ""),
    ],
)
def test_a_query_is_written_as_the_operation_says(style: Any, value: Any, target: str) -> None:
    operation = made(styles={"q": style} if style else None)
    assert encode(operation.request(query={"q": value}), base_url="https://x.test").target == f"/get-thing{target}"


def test_an_object_in_an_array_cannot_be_written_with_commas() -> None:
    with pytest.raises(TypeError, match="q: dict cannot be sent"):
        encode(made(styles={"q": "comma"}).request(query={"q": [{"a": 1}]}), base_url="https://x.test")


def test_header_parameters_are_sent_and_the_callers_own_headers_win() -> None:
    request = made().request(header={"X-Workspace": "w", "X-Count": 2, "X-Tags": ["a", "b"], "X-None": None})
    sent = encode(request, base_url="https://x.test", headers=({"X-Workspace": "client"}, {"x-count": "3"})).headers
    assert {name: sent[name] for name in sent if name.lower().startswith("x-")} == {"X-Workspace": "w", "x-count": "3", "X-Tags": "a,b"}


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "ü", " a", float("nan")])
def test_a_header_that_cannot_be_sent_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="X-Workspace"):
        encode(made().request(header={"X-Workspace": value}), base_url="https://x.test")


@pytest.mark.parametrize(("media", "meant"), [("text", "a;b\n"), ("bytes", b"a;b\n")])
def test_text_and_bytes_come_back_as_they_are(media: Any, meant: object) -> None:
    operation = made(media=media)
    answer = Answer(200, b"a;b\n", lambda: httpx.Response(200, content=b"a;b\n"))
    assert decode(answer, operation) == meant
    assert encode(operation.request(), base_url="https://x.test").headers["Accept"] == "*/*"


def test_nothing_is_none_where_there_may_be_nothing() -> None:
    assert decode(Answer(204, b"", lambda: httpx.Response(204)), made(nullable=True)) is None


def test_null_is_none_where_an_answer_may_be_null() -> None:
    operation = made(nullable=True, response=One("UnknownObject"))
    answer = Answer(200, b"null", lambda: httpx.Response(200, content=b"null"))
    answer.check(operation)
    assert decode(answer, operation) is None


def test_an_answer_may_be_one_thing_or_an_array_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Keyed({}, other="UnknownObject", array=Many(One("UnknownObject")))
    monkeypatch.setattr("retell_async._core.model.generated", lambda _: SimpleNamespace(lookup=lambda _: table))
    operation = made(response=One("ThingOrThings"))
    for content, meant in ((b'{"a":1}', UnknownObject), (b'[{"a":1}]', list)):
        answer = Answer(200, content, lambda: httpx.Response(200))
        answer.check(operation)
        assert type(decode(answer, operation)) is meant
    with pytest.raises(APIResponseValidationError):
        Answer(200, b'"a"', lambda: httpx.Response(200, request=httpx.Request("GET", "https://x.test"))).check(operation)
