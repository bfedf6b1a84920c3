from __future__ import annotations

import io
import math
import os
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, strategies as st

from retell_async._core.encode import Encoded, encode, json_bytes
from retell_async._core.model import UnknownObject
from retell_async._core.operation import Request

from ..engine.example import BASE_URL, CREATE, LIST, UPLOAD, get


def encoded(request: Request[Any], **more: Any) -> Encoded:
    return encode(request, base_url=BASE_URL, **more)


def test_a_body_is_compact_json_in_utf_8() -> None:
    made = encoded(CREATE.request(body={"name": "Zoë", "n": 1.5, "flag": True, "none": None, "list": [1, ()]}))
    assert made.content == '{"name":"Zoë","n":1.5,"flag":true,"none":null,"list":[1,[]]}'.encode()
    assert (made.method, made.url) == ("POST", "http://retell.test/prefix/create-thing")
    assert made.headers == {"Accept": "application/json", "Content-Type": "application/json"}


def test_models_and_mappings_may_stand_anywhere_in_a_body() -> None:
    inner = UnknownObject(a=None, deep=[UnknownObject(b=1)])
    body: dict[str, Any] = {"x": [inner], "y": MappingProxyType({"z": OrderedDict[str, Any](k=inner)})}
    assert json_bytes(body) == (b'{"x":[{"a":null,"deep":[{"b":1}]}],"y":{"z":{"k":{"a":null,"deep":[{"b":1}]}}}}')
    assert encoded(CREATE.request(body=inner)).content == b'{"a":null,"deep":[{"b":1}]}'


def test_without_a_body_there_is_none_and_extra_fields_make_one() -> None:
    assert encoded(get()).content is None
    assert "Content-Type" not in encoded(get()).headers
    assert encoded(CREATE.request(), extra_body={"new": 1}).content == b'{"new":1}'
    assert encoded(CREATE.request(body={"a": 1, "b": 2}), extra_body={"b": 3}).content == b'{"a":1,"b":3}'


@pytest.mark.parametrize(
    ("value", "place", "error"),
    [
        (datetime(2026, 1, 1, tzinfo=UTC), "datetime", TypeError),
        (Decimal(1), "Decimal", TypeError),
        ({1, 2}, "set", TypeError),
        (b"bytes", "bytes", TypeError),
        ({("a",): 1}, "key", TypeError),
        (math.nan, "nan", ValueError),
        (-math.inf, "inf", ValueError),
        ("\ud800", "surrogate", ValueError),
        ({"\ud800": 1}, "surrogate", ValueError),
    ],
)
def test_what_json_does_not_have_is_refused_with_its_place(value: Any, place: str, error: type[Exception]) -> None:
    with pytest.raises(error, match=place) as refused:
        encoded(CREATE.request(body={"tools": [{"name": "x"}, UnknownObject(arguments={"when": value})]}))
    assert "tools[1].arguments.when" in str(refused.value)
    with pytest.raises(error, match="body"):
        json_bytes(value)


def test_a_value_that_holds_itself_is_refused() -> None:
    ring: dict[str, Any] = {"a": []}
    ring["a"].append(ring)
    with pytest.raises(ValueError, match=r"ring\.a\[0\]: holds itself"):
        json_bytes({"ring": ring})


def test_query_values() -> None:
    query = {"a": True, "b": False, "none": None, "n": 3, "list": ["x y", 2, None], "e": "", "phone": "+1&=é"}
    made = encoded(LIST.request(query=query), query=({"a": "client", "z": 1}, {"n": 4}))
    assert made.url == "http://retell.test/prefix/v2/list-things?a=true&z=1&b=false&n=4&list=x%20y&list=2&e=&phone=%2B1%26%3D%C3%A9"
    assert encoded(LIST.request(query={"a": None})).url == "http://retell.test/prefix/v2/list-things"


@pytest.mark.parametrize("value", [{"a": 1}, datetime(2026, 1, 1, tzinfo=UTC), b"x", [{"a": 1}]])
def test_a_query_value_of_another_kind_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match=r"limit: .* query parameter"):
        encoded(LIST.request(query={"limit": value}))
    with pytest.raises(ValueError, match="limit: nan"):
        encoded(LIST.request(query={"limit": math.nan}))


def test_a_path_keeps_its_parameter_in_one_piece() -> None:
    assert encoded(get("a/b?c#d é+1")).url == "http://retell.test/prefix/get-thing/a%2Fb%3Fc%23d%20%C3%A9%2B1"


def test_later_headers_replace_earlier_ones_whatever_their_case() -> None:
    made = encoded(get(), headers=({"Authorization": "Bearer a", "X": "1"}, {"x": "2"}, {"accept": "text/plain"}))
    assert made.headers == {"accept": "text/plain", "Authorization": "Bearer a", "x": "2"}


def form(**fields: Any) -> list[tuple[str, Any]]:
    made = encoded(UPLOAD.request(body=fields))
    assert made.content is None
    assert "Content-Type" not in made.headers
    assert made.form is not None
    return list(made.form)


def test_a_form_has_a_part_a_file_and_one_json_text_a_structured_field() -> None:
    opened = io.BytesIO(b"3")
    assert form(
        knowledge_base_name="Ünï",
        knowledge_base_texts=[{"title": "a", "text": "ä"}],
        knowledge_base_urls=["https://a.test"],
        knowledge_base_files=[b"1", Path("/tmp/two.pdf"), opened, ("four.md", b"4"), ("five", Path("x.bin"), "text/plain")],
        enable_auto_refresh=True,
        max_chunk_size=2000,
        left=None,
    ) == [
        ("knowledge_base_name", "Ünï"),
        ("knowledge_base_texts", '[{"title":"a","text":"ä"}]'),
        ("knowledge_base_urls", '["https://a.test"]'),
        ("knowledge_base_files", ("upload", b"1", None)),
        ("knowledge_base_files", ("two.pdf", Path("/tmp/two.pdf"), None)),
        ("knowledge_base_files", ("upload", opened, None)),
        ("knowledge_base_files", ("four.md", b"4", None)),
        ("knowledge_base_files", ("five", Path("x.bin"), "text/plain")),
        ("enable_auto_refresh", "true"),
        ("max_chunk_size", "2000"),
    ]


def test_one_file_needs_no_list() -> None:
    assert form(knowledge_base_files=("a.txt", b"a")) == form(knowledge_base_files=[("a.txt", b"a")])
    assert form(knowledge_base_files=(b"a", b"b")) == form(knowledge_base_files=[b"a", b"b"])
    assert form(knowledge_base_files=[]) == []


@pytest.mark.parametrize("file", ["path.txt", io.StringIO("text"), 1, ("a",), ("a", "text"), ("a", b"x", 1), (1, b"x"), None])
def test_what_is_no_file_is_refused_with_its_place(file: Any) -> None:
    with pytest.raises(TypeError, match=r"knowledge_base_files\[1\]"):
        form(knowledge_base_files=[b"ok", file])


def test_a_structured_value_in_a_plain_field_is_refused() -> None:
    with pytest.raises(TypeError, match="knowledge_base_name: dict cannot be sent as a field of a form"):
        form(knowledge_base_name={})


HALF = "half \ud83d"


@pytest.mark.parametrize(
    ("make", "place"),
    [
        (lambda: encoded(LIST.request(query={"name": HALF})), "name"),
        (lambda: encoded(LIST.request(query={HALF: 1})), "the name of a query parameter"),
        (lambda: encoded(LIST.request(), query=({}, {"more": [HALF]})), "more"),
        (lambda: get(HALF), "thing_id"),
        (lambda: encoded(Request(LIST, f"/{HALF}", {}, None)), "the path"),
        (lambda: encoded(CREATE.request(body={"name": HALF})), "name"),
        (lambda: encoded(CREATE.request(), extra_body={HALF: 1}), "a key of body"),
        (lambda: form(knowledge_base_name=HALF), "knowledge_base_name"),
        (lambda: form(knowledge_base_texts=[{"text": HALF}]), r"\[0\]\.text"),
        (lambda: form(**{HALF: "x"}), "the name of a field"),
        (lambda: form(knowledge_base_files=[(HALF, b"x")]), r"the name of knowledge_base_files\[0\]"),
        (lambda: form(knowledge_base_files=[Path("/tmp") / os.fsdecode(b"caf\xe9.txt")]), r"the name of knowledge_base_files\[0\]"),
    ],
)
def test_half_a_surrogate_pair_is_refused_with_its_place_wherever_it_is(make: Callable[[], Any], place: str) -> None:
    with pytest.raises(ValueError, match=f"{place}.*half a surrogate pair") as caught:
        make()
    assert type(caught.value) is ValueError


@pytest.mark.parametrize("kind", ["text/plain\r\nX-More: 1", "text/plän", "a\tb"])
def test_a_media_type_adds_no_header(kind: str) -> None:
    with pytest.raises(ValueError, match=r"knowledge_base_files\[0\]: a media type"):
        form(knowledge_base_files=[("a", b"a", kind)])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(json_values)
def test_json_comes_back_as_it_was(value: Any) -> None:
    import json

    assert json.loads(json_bytes(value)) == value


def test_what_is_encoded_shows_no_secret() -> None:
    made = encoded(get("+14155550100"), headers=({"Authorization": "Bearer secret"},))
    assert repr(made) == "Encoded(method='GET')"
