from __future__ import annotations

import math
import traceback
from typing import Any, cast

import anyio
import h11
import httpx
import pytest
import retell
from hypothesis import given, strategies as st

from retell_async._client import AsyncRetell
from retell_async._core.errors import ConfigurationError, RetellError
from retell_async._core.operation import omit
from retell_async._engine.settings import check_base_url, check_headers, check_timeout

from .example import KEY


@pytest.mark.parametrize("key", [" ", "key_1\n", " key_1", "ключ", "key_1\x00", b"key_1", 1])
def test_a_key_that_cannot_be_sent_is_refused_and_not_shown(key: Any) -> None:
    with pytest.raises(ConfigurationError, match="API key") as refused:
        AsyncRetell(key)
    assert not str(key).strip() or str(key) not in str(refused.value)


def test_without_a_key_the_error_says_where_to_put_one() -> None:
    with pytest.raises(RetellError, match="RETELL_API_KEY"):
        AsyncRetell()


def test_key_and_base_url_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETELL_API_KEY", KEY)
    assert AsyncRetell().base_url == "https://api.retellai.com"
    monkeypatch.setenv("RETELL_BASE_URL", "http://127.0.0.1:8888/")
    client = AsyncRetell()
    assert (client.api_key, str(client.base_url)) == (KEY, "http://127.0.0.1:8888")
    client = AsyncRetell("key_argument", base_url="https://eu.retell.test/v1/")
    assert (client.api_key, str(client.base_url)) == ("key_argument", "https://eu.retell.test/v1/")


@pytest.mark.parametrize(
    "url",
    ["", "api.retellai.com", "//api.retellai.com", "ftp://retell.test", "https://", "https://a b", "https://a/?q=1", "https://a#f",
     "https://user:pass@a", "https://a:port", "https://[::1", "https://a\n", "http://127.0.0.1:0"],
)  # fmt: skip
def test_a_base_url_that_cannot_work_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="base URL"):
        check_base_url(url)


def test_a_base_url_may_be_an_httpx_url() -> None:
    assert check_base_url(httpx.URL("https://retell.test/a/")) == "https://retell.test/a"


@pytest.mark.parametrize(
    "timeout",
    [
        -1,
        0,
        -0.5,
        math.nan,
        10**400,
        "5",
        True,
        (),
        (5,),
        (1, 2, 3, 4, 5),
        (1, "2"),
        (1, -2),
        httpx.Timeout(-1),
        httpx.Timeout(5, connect=-1),
    ],
)
def test_a_timeout_that_cannot_work_is_refused(timeout: Any) -> None:
    with pytest.raises(ConfigurationError, match="timeout"):
        AsyncRetell(KEY, timeout=timeout)


def test_a_tuple_is_the_timeout_that_httpx_makes_of_it() -> None:
    assert check_timeout((5, 60.0, 30, None)) == httpx.Timeout(connect=5, read=60, write=30, pool=None)
    assert check_timeout((5, 60)) == httpx.Timeout(connect=5, read=60, write=None, pool=None)


@pytest.mark.parametrize("timeout", [1, 0.5, math.inf, None, httpx.Timeout(None), httpx.Timeout(5, connect=1), httpx.Timeout(0)])
def test_a_timeout_that_works_is_kept(timeout: Any) -> None:
    assert check_timeout(timeout) is timeout


@pytest.mark.parametrize("settings", [{"max_retries": -1}, {"max_retries": 1.5}, {"max_retries": True}, {"max_connections": 0}])
def test_a_number_that_cannot_work_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(settings))):
        AsyncRetell(KEY, **settings)


@pytest.mark.parametrize(
    "headers",
    [
        {"a b": "c"},
        {"": "c"},
        {"a:": "c"},
        {"a(b": "c"},
        {1: "c"},
        {"a": "c\r\nd: e"},
        {"a": "ö"},
        {"a": " c"},
        {"a": "c\t"},
        {"a": 1},
        {"a": None},
    ],
)
def test_a_header_that_cannot_be_sent_is_refused(headers: Any) -> None:
    with pytest.raises(ConfigurationError, match="header"):
        check_headers(headers)


TEXTS = st.text('aZ0-_!(:," \t\r\n\x00\x7fé~', max_size=4)


@given(st.dictionaries(TEXTS, TEXTS, max_size=2))
def test_a_header_that_is_not_refused_can_be_sent(headers: dict[str, str]) -> None:
    try:
        checked = check_headers(headers)
    except ConfigurationError:
        return
    h11.Request(method="GET", target="/", headers=[("Host", "x"), *((name, str(value)) for name, value in checked.items())])


def test_only_an_async_client_can_be_given() -> None:
    with httpx.Client() as client, pytest.raises(ConfigurationError, match=r"an httpx\.Client, not Client"):
        AsyncRetell(KEY, http_client=client)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def test_repr_shows_no_key() -> None:
    client = AsyncRetell(KEY, default_headers={"X-Token": "secret"})
    assert repr(client) == "AsyncRetell(base_url='https://api.retellai.com')"
    assert KEY not in repr(vars(client))
    assert "secret" not in repr(vars(client))


def test_options_change_a_view_and_not_the_client() -> None:
    client = AsyncRetell(KEY, max_retries=1, default_headers={"A": "1"}, default_query={"x": 1})
    view = client.with_options(max_retries=5, default_headers={"B": "2"}, base_url="http://other.test")
    assert (client.max_retries, str(client.base_url)) == (1, "https://api.retellai.com")
    assert (view.max_retries, str(view.base_url), view.api_key) == (5, "http://other.test", KEY)
    assert type(view) is AsyncRetell
    with pytest.raises(ConfigurationError, match="timeout"):
        client.copy(timeout=-1)


def sent(**settings: Any) -> httpx.Headers:
    """The headers that a request has."""
    found: list[httpx.Headers] = []

    def serve(request: httpx.Request) -> httpx.Response:
        found.append(request.headers)
        return httpx.Response(200, json={})

    options = settings.pop("options", {})

    async def ask() -> None:
        async with AsyncRetell(http_client=httpx.AsyncClient(transport=httpx.MockTransport(serve)), **settings) as client:
            await client.request("GET", "/get-thing", **options)

    anyio.run(ask)
    return found[0]


def test_an_empty_key_makes_a_client_that_sends_nothing_without_a_header_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETELL_API_KEY", "")
    assert (
        retell.AsyncRetell().api_key
        == AsyncRetell().api_key
        == AsyncRetell("").api_key
        == AsyncRetell(KEY).with_options(api_key="").api_key
        == ""
    )
    for settings in ({}, {"api_key": ""}, {"default_headers": {"X": "1"}}):
        with pytest.raises(ConfigurationError, match="the API key is empty: give api_key, or set the environment variable RETELL_API_KEY"):
            sent(**settings)
    assert sent(default_headers={"authorization": "Basic x"})["Authorization"] == "Basic x"
    assert sent(options={"extra_headers": {"Authorization": "Basic y"}})["Authorization"] == "Basic y"
    assert "Authorization" not in sent(default_headers={"Authorization": omit})


def test_omit_takes_a_header_out() -> None:
    assert "Authorization" not in sent(api_key=KEY, options={"extra_headers": {"authorization": omit}})
    assert sent(api_key=KEY, default_headers={"X": "1"})["X"] == "1"
    assert "X" not in sent(api_key=KEY, default_headers={"X": "1"}, options={"extra_headers": {"x": omit}})
    assert sent(api_key=KEY, default_headers={"X": omit}, options={"extra_headers": {"x": "2"}})["X"] == "2"


@pytest.mark.parametrize("lines", ["X-One: 1\n x-two :2:3 \n \n", "X-One:1\nX-Three:", "\n", ""])
def test_headers_of_the_environment_are_read_as_the_official_sdk_reads_them(lines: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETELL_CUSTOM_HEADERS", lines)
    official = retell.AsyncRetell(api_key=KEY, default_headers={"X-Four": "4"})
    ours = sent(api_key=KEY, default_headers={"X-Four": "4"})
    for name in ("X-One", "X-Two", "X-Three", "X-Four"):
        assert ours.get(name) == httpx.Headers(official._custom_headers).get(name)
    assert sent(api_key=KEY, default_headers={"x-one": "5"})["X-One"] == "5"


def test_a_line_of_the_environment_that_is_no_header_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETELL_CUSTOM_HEADERS", "X-One: 1\nX-Key s3cret")
    with pytest.raises(ConfigurationError, match="RETELL_CUSTOM_HEADERS: line 2 is no header") as refused:
        AsyncRetell(KEY)
    frames = [frame.f_locals for frame, _ in traceback.walk_tb(refused.value.__traceback__)][1:]
    assert "s3cret" not in f"{refused.value}{frames}"


@pytest.mark.parametrize("name", ["Content-Length", "content-length", "Transfer-Encoding"])
def test_how_long_a_body_is_says_the_client_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> Any:
        return pytest.raises(ConfigurationError, match=f"the header {name} cannot be set: the client says how long a body is")

    for value in ("3", "chunked"):
        with refused():
            sent(api_key=KEY, options={"extra_headers": {name: value}})
        with refused():
            sent(api_key=KEY, default_headers={name: value})
        with refused():
            AsyncRetell(KEY).with_options(default_headers={name: value})
    assert sent(api_key=KEY, options={"extra_headers": {name: omit, "Host": "other.test"}})["Host"] == "other.test"
    monkeypatch.setenv("RETELL_CUSTOM_HEADERS", f"{name}: 3")
    with refused():
        AsyncRetell(KEY)


def test_a_body_in_pieces_may_say_how_long_it_is() -> None:
    found: list[httpx.Request] = []

    async def serve(request: httpx.Request) -> httpx.Response:
        await request.aread()
        found.append(request)
        return httpx.Response(200, json={})

    async def ask(content: object, length: str) -> None:
        async with AsyncRetell(KEY, http_client=httpx.AsyncClient(transport=httpx.MockTransport(serve))) as client:
            await client.post("/x", cast_to=object, content=cast("Any", content), options={"headers": {"Content-Length": length}})

    anyio.run(ask, [b"a", b"bc"], "3")
    assert (found[0].headers["Content-Length"], "Transfer-Encoding" in found[0].headers, found[0].content) == ("3", False, b"abc")
    for content, length in ((b"abc", "3"), ([b"a"], "1.0")):
        with pytest.raises(ConfigurationError, match="Content-Length cannot be set"):
            anyio.run(ask, content, length)


def test_a_header_of_the_environment_that_cannot_be_sent_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETELL_CUSTOM_HEADERS", "X-One: sécret")
    with pytest.raises(ConfigurationError, match="RETELL_CUSTOM_HEADERS: the header X-One") as refused:
        AsyncRetell(KEY)
    _, *frames = traceback.walk_tb(refused.value.__traceback__)  # the first is this one
    assert len(frames) > 1
    assert "sécret" not in f"{refused.value}{[frame.f_locals for frame, _ in frames]}"
