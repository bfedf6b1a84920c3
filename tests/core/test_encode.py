from __future__ import annotations

import io
import json
import math
import os
from collections import ChainMap, OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID, uuid4

import attrs
import pytest
import retell
from hypothesis import given, strategies as st
from pydantic import BaseModel, ConfigDict, Field

from retell_async._core.encode import Encoded, UsualHeaders, encode, file_part, json_bytes
from retell_async._core.json import dumped
from retell_async._core.model import UnknownObject
from retell_async._core.operation import Request, omit

from ..engine.example import BASE_URL, CREATE, LIST, UPLOAD, get


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    LOW = 1


@attrs.frozen
class Point:
    x: int
    more: Any = omit


@dataclass
class Spot:
    y: int | None
    inside: Point


class Taken(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    when: datetime
    left: int | None = None
    named: int = Field(default=0, serialization_alias="asNamed")


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
        (Decimal(1), "Decimal", TypeError),
        (uuid4(), "UUID", TypeError),
        (io.BytesIO(b"x"), "BytesIO", TypeError),
        (Colour, "EnumType", TypeError),
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


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ({"metadata": {"+14155550177": math.nan}}, "metadata.+141******77: nan cannot be sent as JSON"),
        ({"metadata": {"14155550177": {"a": b""}}}, "metadata.1415*****77.a: bytes cannot be sent as JSON"),
        ({"+14155550177": ["\ud800"]}, "+141******77[0]: a text with half a surrogate pair cannot be sent"),
        ({"m": {"+14155550177": {("a",): 1}}}, "m.+141******77: a key must be a str, not tuple"),
        ({"a\nb": math.nan}, "a\\nb: nan cannot be sent as JSON"),
    ],
)
def test_a_number_that_is_a_key_is_masked_in_what_is_refused(body: dict[str, Any], shown: str) -> None:
    with pytest.raises((TypeError, ValueError)) as refused:
        encoded(CREATE.request(body=body))
    assert str(refused.value) == shown


@pytest.mark.parametrize("value", [math.nan, "\ud800", io.BytesIO(), {"a": math.nan}])
def test_a_number_that_is_the_name_of_a_parameter_is_masked_in_what_is_refused(value: Any) -> None:
    for make in (
        lambda: encoded(get(), query=({}, {"+14155550177": value})),
        lambda: encoded(get(), query=({}, {"filter": {"+14155550177": value}})),
        lambda: file_part(("name", 1), "+14155550177"),
    ):
        with pytest.raises((TypeError, ValueError), match=r"^(\+141\*{6}77|filter)") as refused:
            make()
        assert "4155550177" not in str(refused.value)


def test_a_value_that_holds_itself_is_refused() -> None:
    ring: dict[str, Any] = {"a": []}
    ring["a"].append(ring)
    with pytest.raises(ValueError, match=r"ring\.a\[0\]: holds itself"):
        json_bytes({"ring": ring})


def test_a_value_that_is_nested_too_deeply_is_refused_with_its_place() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    for value in ({"metadata": {"m": deep}}, UnknownObject(metadata={"m": deep}), {"metadata": {"m": (deep,)}}):
        with pytest.raises(ValueError, match=r"^metadata\.m\[0\]\[0\].*…: nested more than 200 deep") as refused:
            json_bytes(value)
        assert len(str(refused.value)) < 200
    with pytest.raises(ValueError, match="nested"):
        encoded(LIST.request(query={"filter": deep}))
    while deep:
        deep = deep.pop()  # or dropping it would take a stack as deep


def test_query_values() -> None:
    query = {"a": True, "b": False, "none": None, "n": 3, "list": ["x y", 2, None], "e": "", "o": omit, "phone": "+1&=é"}
    made = encoded(LIST.request(query=query), query=({"a": "client", "z": 1}, {"n": 4}))
    assert (
        made.url == "http://retell.test/prefix/v2/list-things?a=true&z=1&b=false&n=4&list%5B%5D=x%20y&list%5B%5D=2&phone=%2B1%26%3D%C3%A9"
    )
    assert encoded(LIST.request(query={"a": None})).url == "http://retell.test/prefix/v2/list-things"


@pytest.mark.parametrize("value", [object(), b"x", [b"x"], {"a": object()}])
def test_a_query_value_of_another_kind_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match=r"limit.* query parameter"):
        encoded(LIST.request(query={"limit": value}))
    with pytest.raises(ValueError, match="limit: nan"):
        encoded(LIST.request(query={"limit": math.nan}))


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ({3}, [3]),
        (frozenset({"a"}), ["a"]),
        ((1, 2), [1, 2]),
        (deque([1, (2, {3})]), [1, [2, [3]]]),
        (range(2), [0, 1]),
        ((item for item in "ab"), ["a", "b"]),
        (map(str, [1]), ["1"]),
        ({"a": 1}.keys(), ["a"]),
        ({"a": 1}.values(), [1]),
        ({"a": 1}.items(), [["a", 1]]),
        (ChainMap[str, Any]({"a": {1}}, {"b": 2}), {"a": [1], "b": 2}),
        (datetime(2026, 1, 2, 3, tzinfo=UTC), "2026-01-02T03:00:00+00:00"),
        (date(2026, 1, 2), "2026-01-02"),
        (Colour.RED, "red"),
        (Level.LOW, 1),
        ({Colour.RED: Level.LOW}, {"red": 1}),
        (Spot(None, Point(1)), {"y": None, "inside": {"x": 1}}),
        (Point(1, {2}), {"x": 1, "more": [2]}),
        (Taken(when=datetime(2026, 1, 2, tzinfo=UTC)), {"when": "2026-01-02T00:00:00Z"}),
        (Taken(when=datetime(2026, 1, 2, tzinfo=UTC), named=1), {"when": "2026-01-02T00:00:00Z", "asNamed": 1}),
        ([{"a": omit, "b": UnknownObject(c=(1,), d=omit)}], [{"b": {"c": [1]}}]),
    ],
)
def test_what_stands_for_arrays_objects_and_texts(value: Any, sent: Any) -> None:
    content = encoded(CREATE.request(body={"at": {"depth": value}})).content
    assert isinstance(content, bytes)
    assert json.loads(content) == {"at": {"depth": sent}}


def test_a_body_may_be_any_object() -> None:
    assert encoded(CREATE.request(body=Point(1))).content == b'{"x":1}'  # type: ignore[arg-type]
    assert encoded(CREATE.request(body=Taken(when=datetime(2026, 1, 2, tzinfo=UTC)))).content == b'{"when":"2026-01-02T00:00:00Z"}'  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="the body must be"):
        CREATE.request(body=[1])  # type: ignore[arg-type]


def test_a_query_is_written_as_the_official_sdk_writes_it() -> None:
    official = retell.AsyncRetell(api_key="key_1").qs
    queries: tuple[dict[str, Any], ...] = (
        {"a": [1, "x y"], "b": {"c": True, "d": [1, 2], "e": {"f": "g"}}, "g": None, "h": "", "i": [], "j": {}},
        {"a": [[1, 2], {"b": 3}], "d": Decimal("1.50"), "u": UUID(int=1)},
    )
    for query in queries:
        ours = encoded(LIST.request(query=query)).target.partition("?")[2]
        assert parse_qsl(ours) == official.stringify_items(query)
    made = encoded(LIST.request(query={"s": {1}, "when": date(2026, 1, 2), "colour": Colour.RED, "p": Point(1)}))
    assert parse_qsl(made.target.partition("?")[2]) == [("s[]", "1"), ("when", "2026-01-02"), ("colour", "red"), ("p[x]", "1")]


def test_omit_takes_a_header_out_whatever_its_case() -> None:
    layers: tuple[dict[str, Any], ...] = (
        {"Authorization": "Bearer a", "X": "1"},
        {"authorization": omit, "x": omit, "y": omit},
        {"X": "2"},
    )
    assert encoded(get(), headers=layers).headers == {"Accept": "application/json", "X": "2"}


def test_usual_headers_are_merged_once_and_a_change_in_them_is_seen() -> None:
    usual = UsualHeaders()
    layers: Any = [{"Authorization": "Bearer one"}, {"X-Team": "a"}, {}]

    def sent(**more: Any) -> Any:
        return encode(CREATE.request(body={}), base_url=BASE_URL, headers=[*map(dict, layers[:2]), more], usual=usual).headers

    first = sent()
    assert sent() is first
    assert dict(sent(authorization="Bearer two")) == {
        **{name: text for name, text in first.items() if name != "Authorization"},
        "authorization": "Bearer two",
    }
    assert sent() is first
    assert encode(get(), base_url=BASE_URL, headers=layers, usual=usual).headers.get("Content-Type") is None
    layers[0]["Authorization"] = "Bearer three"
    layers[1]["X-Team"] = omit
    assert dict(sent()) == {"Accept": "application/json", "Content-Type": "application/json", "Authorization": "Bearer three"}


def test_a_path_keeps_its_parameter_in_one_piece() -> None:
    assert encoded(get("a/b?c#d é%2F")).url == "http://retell.test/prefix/get-thing/a%2Fb%3Fc%23d%20%C3%A9%252F"


def test_what_stands_for_itself_in_a_path_is_sent_as_it_is_as_by_the_official_sdk() -> None:
    for plain in ("+14155550100", "a:b@c,d;e=f!g$h&i'j(k)l*m~n-o._", "..a"):
        assert encoded(get(plain)).url == f"http://retell.test/prefix/get-thing/{plain}"
    assert encoded(get('"<>`{}|\\^[]\t')).url == "http://retell.test/prefix/get-thing/%22%3C%3E%60%7B%7D%7C%5C%5E%5B%5D%09"


@pytest.mark.parametrize("given", [5, True, 1.5, b"thing", uuid4(), ["thing"]])
def test_an_id_that_is_no_text_is_refused_by_its_name(given: Any) -> None:
    with pytest.raises(TypeError, match=rf"^thing_id must be a str, not {type(given).__name__}: GET /get-thing"):
        get(given)


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
        ("knowledge_base_files", ("upload", b"1", None, None)),
        ("knowledge_base_files", ("two.pdf", Path("/tmp/two.pdf"), None, None)),
        ("knowledge_base_files", ("upload", opened, None, None)),
        ("knowledge_base_files", ("four.md", b"4", None, None)),
        ("knowledge_base_files", ("five", Path("x.bin"), "text/plain", None)),
        ("enable_auto_refresh", "true"),
        ("max_chunk_size", "2000"),
    ]


def test_one_file_needs_no_list() -> None:
    assert form(knowledge_base_files=("a.txt", b"a")) == form(knowledge_base_files=[("a.txt", b"a")])
    assert form(knowledge_base_files=(b"a", b"b")) == form(knowledge_base_files=[b"a", b"b"])
    assert form(knowledge_base_files=[]) == []


@pytest.mark.parametrize("file", ["path.txt", io.StringIO("text"), 1, ("a",), ("a", b"x", 1), (1, b"x"), ("a", b"x", None, "X: 1"), None])
def test_what_is_no_file_is_refused_with_its_place(file: Any) -> None:
    with pytest.raises(TypeError, match=r"knowledge_base_files\[1\]"):
        form(knowledge_base_files=[b"ok", file])


def test_a_plain_field_of_a_form_holds_json_of_what_is_no_text_and_nothing_that_json_does_not_have() -> None:
    assert form(knowledge_base_name={"a": [1, "é"]}, a=Colour.RED, b=date(2026, 1, 2), c=omit) == [
        ("knowledge_base_name", '{"a":[1,"é"]}'),
        ("a", "red"),
        ("b", "2026-01-02"),
    ]
    with pytest.raises(TypeError, match="knowledge_base_name: bytes cannot be sent"):
        form(knowledge_base_name=b"x")


def test_files_come_in_anything_that_gives_them_with_texts_and_headers() -> None:
    part = ("a.txt", "Zoë", "text/plain", {"X-Part": "1"})
    sent = [("knowledge_base_files", ("a.txt", "Zoë".encode(), "text/plain", {"X-Part": "1"}))]
    assert form(knowledge_base_files=iter([part])) == form(knowledge_base_files=part) == form(knowledge_base_files=deque([part])) == sent
    assert form(knowledge_base_files={b"1": ...}.keys()) == form(knowledge_base_files=(None, b"1")) == form(knowledge_base_files=b"1")
    for headers in ({"X": "a\r\nb"}, {"X\n": "a"}, {"X": 1}):
        with pytest.raises(ValueError, match=r"knowledge_base_files\[0\]: a header"):
            form(knowledge_base_files=[("a", b"x", None, headers)])


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
    assert json.loads(json_bytes(value)) == value


@given(st.dictionaries(st.text(), st.none() | st.booleans() | st.integers() | st.text()))
def test_a_flat_body_is_written_as_the_standard_library_writes_it(fields: dict[str, Any]) -> None:
    is_short = all(value is None or isinstance(value, str) or -(2**63) <= value < 2**64 for value in fields.values())
    written = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()
    assert dumped(fields) in ({written} if is_short else {written, None})
    assert json_bytes(fields) == written


@pytest.mark.parametrize("other", [{1: "a"}, {"a": 1.5}, {"a": {}}, {"a": Level.LOW}, [1], OrderedDict(a=1), "a", None])
def test_what_the_two_write_in_ways_of_their_own_is_for_the_standard_library(other: Any) -> None:
    assert dumped(other) is None


def test_what_is_encoded_shows_no_secret() -> None:
    made = encoded(get("+14155550100"), headers=({"Authorization": "Bearer secret"},))
    assert repr(made) == "Encoded(method='GET')"
