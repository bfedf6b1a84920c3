"""Proxies of the environment, read as httpx reads them, and what cannot be one."""

from __future__ import annotations

import logging
import traceback
from typing import Any

import httpx
import pytest
from httpx._utils import URLPattern, get_environment_proxies
from hypothesis import given, settings, strategies as st

from retell_async._client import AsyncRetell
from retell_async._core.errors import ConfigurationError
from retell_async._engine.settings import check_base_url
from retell_async._http import proxies as _proxies
from retell_async._http.clients import DefaultAsyncHttpxClient
from retell_async._http.hosts import is_host
from retell_async._http.proxies import Proxies

from ...engine.example import KEY, get

PASSWORD = "pa55-word"
NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def way(url: str) -> str | None:
    parsed = httpx.URL(url)
    proxy = Proxies().of(parsed.scheme, parsed.raw_host.decode(), parsed.port)
    return None if proxy is None else str(proxy.url)


def way_of_httpx(url: str) -> str | None:
    patterns = sorted((URLPattern(name), proxy) for name, proxy in get_environment_proxies().items())
    return next((proxy for pattern, proxy in patterns if pattern.matches(httpx.URL(url))), None)


def test_the_environment_says_which_way_to_go(monkeypatch: pytest.MonkeyPatch) -> None:
    assert way("https://api.retellai.com") is None
    monkeypatch.setenv("https_proxy", "proxy.test:3128")
    monkeypatch.setenv("no_proxy", "localhost,.inside.test")
    assert way("https://api.retellai.com") == "http://proxy.test:3128"
    assert way("https://a.inside.test") is None
    assert way("https://inside.test") == "http://proxy.test:3128"
    assert way("http://api.retellai.com") is None
    monkeypatch.setenv("all_proxy", "http://all.test:1")
    assert way("http://api.retellai.com") == "http://all.test:1"


@pytest.mark.parametrize(
    ("no_proxy", "url"),
    [
        ("127.0.0.1:8888", "http://127.0.0.1:8888"),
        ("a.test:443", "https://a.test"),
        ("a.test:80, b.test", "http://a.test"),
        ("x,*", "http://a.test"),
        ("[::1]", "http://[::1]:9"),
        ("[::1]:9", "http://[::1]:9"),
        ("::1", "http://[::1]"),
        ("*.a.test", "http://b.a.test"),
        ("A.Test", "http://b.a.test"),
        ("büro.test", "http://a.xn--bro-hoa.test"),
        ("http://a.test", "http://a.test"),
    ],
)
def test_exceptions(monkeypatch: pytest.MonkeyPatch, no_proxy: str, url: str) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://proxy.test:1")
    assert way(url) == "http://proxy.test:1"
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert way(url) is None


@pytest.mark.parametrize(
    ("no_proxy", "url"),
    [
        ("a.test:81", "http://a.test:82"),
        ("a.test", "http://wwwa.test"),
        ("127.0.0.1", "http://127.0.0.11"),
        ("https://a.test", "http://a.test"),
        ("[::1", "http://[::1]"),
        ("a b,<local>,:80", "http://a.test"),
    ],
)
def test_what_is_no_exception(monkeypatch: pytest.MonkeyPatch, no_proxy: str, url: str) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://proxy.test:1")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert way(url) == "http://proxy.test:1"


_HOSTS = st.sampled_from(["a.test", "b.a.test", "xa.test", "localhost", "127.0.0.1", "10.1.2.3", "test"])
_ENTRIES = st.builds(
    lambda scheme, dot, host, rest: f"{scheme}{dot if not host[0].isdigit() else ''}{host}{rest}",
    st.sampled_from(["", "", "http://", "https://", "all://"]),
    st.sampled_from(["", "", "."]),
    _HOSTS,
    st.sampled_from(["", ":8080", "/16"]),
)


@settings(max_examples=300)
@given(st.lists(_ENTRIES, max_size=3), st.sampled_from(["http", "https"]), _HOSTS, st.sampled_from(["", ":8080", ":81"]))
def test_it_is_as_httpx_has_it(entries: list[str], scheme: str, host: str, port: str) -> None:
    entries = [entry for entry in entries if "://." not in entry]  # a host that cannot be, to httpx
    url = f"{scheme}://{host}{port}"
    with pytest.MonkeyPatch.context() as environment:
        for name, value in (("HTTP_PROXY", "http://one.test:1"), ("ALL_PROXY", "http://all.test:2"), ("NO_PROXY", ",".join(entries))):
            environment.setenv(name, value)
        assert way(url) == way_of_httpx(url)


def test_the_settings_of_a_system_have_exceptions_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_proxies, "getproxies", lambda: {"http": "http://proxy.test:1"})
    monkeypatch.setattr(_proxies, "proxy_bypass", lambda host: host == "intranet")
    assert way("http://intranet") is None
    assert way("http://a.test") == "http://proxy.test:1"


WRONG = [
    f"http://me:{PASSWORD}@proxy.test:port",
    f"http://me:{PASSWORD}#1@proxy.test:1",
    f"socks://me:{PASSWORD}@proxy.test:1",
    f"ftp://me:{PASSWORD}@proxy.test",
    f"http://me:{PASSWORD}@{'a' * 64}.test:1",
    f"http://me:{PASSWORD}@proxy.test:99999",
    f"http://me:{PASSWORD}@",
    f"socks5://me:{PASSWORD}@proxy.test:1",
]


def everything_shown(error: BaseException) -> str:
    """What a tool shows of an error that sends the variables of each frame, but for those of this test."""
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    for frame in shown.stack:
        if frame.filename == __file__:
            frame.locals = None
    return "".join(shown.format()) + repr(error)


@pytest.mark.anyio
@pytest.mark.parametrize("url", WRONG)
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY"])
async def test_what_cannot_be_a_proxy_is_one_error_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, url: str, variable: str
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(_proxies, "find_spec", lambda _: None)
    monkeypatch.setenv(variable, url)
    async with AsyncRetell(KEY, base_url="http://retell.test", max_retries=2) as client:
        with pytest.raises(ConfigurationError, match=variable) as caught:
            await client.send(get(), {})
    assert PASSWORD not in everything_shown(caught.value)
    assert PASSWORD not in caplog.text


@pytest.mark.parametrize("proxy", [*WRONG, 5])
def test_a_proxy_that_is_given_is_checked_at_once(monkeypatch: pytest.MonkeyPatch, proxy: Any) -> None:
    monkeypatch.setattr(_proxies, "find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match="proxy") as caught:
        DefaultAsyncHttpxClient(proxy=proxy)
    assert PASSWORD not in everything_shown(caught.value)


def test_a_proxy_may_be_given_as_httpx_has_it() -> None:
    for proxy in ("proxy.test:1", "http://proxy.test:1", httpx.URL("http://proxy.test:1"), httpx.Proxy("http://proxy.test:1")):
        assert isinstance(DefaultAsyncHttpxClient(proxy=proxy), httpx.AsyncClient)


# Hosts.


@pytest.mark.parametrize(
    "host", ["a.test", "a.test.", "localhost", "a_b.test", "127.0.0.1", "::1", "büro.test", "xn--bro-hoa.test", "1.2.3"]
)
def test_hosts_that_can_be(host: str) -> None:
    assert is_host(host)
    assert check_base_url(f"http://{f'[{host}]' if ':' in host else host}:81/v1/")


@pytest.mark.parametrize(
    "host",
    [
        "xn--a.test",
        "☃️\u200d.test",
        "ü" * 60 + ".test",
        "\ud800.test",
        "",
        ".",
        "a..test",
        ".a.test",
        "a" * 64 + ".test",
        ".".join(["a" * 60] * 5),
        "256.1.1.1",
        "1::2::3",
        "a%20b",
        "a*b",
        "a'b",
        "a!b",
    ],
)
def test_hosts_that_cannot_be(host: str) -> None:
    assert not is_host(host)
    with pytest.raises(ConfigurationError, match="base URL"):
        check_base_url(f"http://{f'[{host}]' if ':' in host else host}/v1")


def test_a_base_url_that_is_refused_shows_no_password() -> None:
    for url in (f"http://me:{PASSWORD}@a.test:port", f"http://me:{PASSWORD}@a\u2100.test", f"http://me:{PASSWORD}@a.test"):
        with pytest.raises(ConfigurationError, match="base URL") as caught:
            check_base_url(url)
        assert PASSWORD not in str(caught.value)
        assert caught.value.__cause__ is None
