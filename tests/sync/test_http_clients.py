"""A `Retell` sends with a client of httpx or of httpx2 that does not await, as that is set up."""

from __future__ import annotations

import builtins
import gzip
import logging
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextvars import ContextVar
from functools import partial
from types import ModuleType
from typing import Any, cast
from urllib.parse import parse_qsl

import httpcore
import httpx
import httpx2
import pytest

from retell_async import (
    APIConnectionError,
    APITimeoutError,
    AsyncRetell,
    NotFoundError,
    OutcomeUnknownError,
    RateLimit,
    Retell,
    RetellError,
)
from retell_async.raw.api.call import list_calls

from ..engine.example import KEY
from .example import loops

pytestmark = pytest.mark.parametrize("library", [httpx, httpx2])
CALL = {"call_id": "call_1", "call_type": "phone_call"}
WEB: dict[str, Any] = {"agent_id": "agent_1"}
NUMBERS: dict[str, Any] = {"from_number": "+14155550100", "to_number": "+14155550123"}
ANSWER = [
    b"HTTP/1.1 200 OK\r\n",
    b"Connection: close\r\n",
    b"Content-Type: application/json\r\n",
    b"Content-Length: 12\r\n\r\n",
    b'{"items":[]}',
]


def client(library: Any, serve: Callable[[Any], Any], **settings: Any) -> Retell:
    return Retell(KEY, base_url="http://retell.test", http_client=given(library, serve, **settings), max_retries=0)


def given(library: Any, serve: Callable[[Any], Any], **settings: Any) -> Any:
    return library.Client(transport=library.MockTransport(serve), **settings)


def until(happened: Callable[[], object]) -> None:
    end = time.monotonic() + 5
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.001)


# What is sent, and what comes back


def test_requests_and_answers(library: Any) -> None:
    def serve(request: Any) -> Any:
        assert threading.current_thread() is not threading.main_thread()
        said = {
            "url": str(request.url),
            "method": request.method,
            "body": request.content.decode(),
            "key": request.headers["authorization"],
        }
        packed = gzip.compress(library.Response(200, json=said | CALL).content)
        return library.Response(200, headers={"content-encoding": "gzip"}, content=packed)

    with client(library, serve) as here:
        call = here.call.create_phone_call(**NUMBERS, idempotency_key="job_1")
        assert (call.call_id, call["url"], call["key"]) == ("call_1", "http://retell.test/v2/create-phone-call", f"Bearer {KEY}")
        assert '"idempotency_key":"job_1"' in call["body"]
        with here.call.with_streaming_response.retrieve("call_1") as response:
            assert cast("Any", response.json())["method"] == "GET"
        raw = here.call.with_raw_response.retrieve("call_1")
        assert (raw.status_code, raw.parse().call_id) == (200, "call_1")


def test_it_is_used_as_it_is_set_up(library: Any) -> None:
    seen: list[Any] = []

    def serve(request: Any) -> Any:
        seen.append(request)
        return library.Response(200, json={})

    settings = {"headers": {"x-team": "a", "accept-encoding": "identity"}, "params": {"p": "1"}, "base_url": "http://other.test/v9/"}
    with client(library, serve, **settings, event_hooks={"request": [lambda request: request.headers.update({"x-hook": "1"})]}) as here:
        here.agent.retrieve("a", extra_headers={"x-own": "2"})
    (request,) = seen
    assert str(request.url) == "http://retell.test/get-agent/a?p=1"
    assert {name: request.headers[name] for name in ("x-team", "x-hook", "x-own")} == {"x-team": "a", "x-hook": "1", "x-own": "2"}
    assert library is httpx2 or request.headers["accept-encoding"] == "identity"


def test_parameters_of_the_client_stand_beside_those_of_a_request(library: Any) -> None:
    seen: list[str] = []

    def serve(request: Any) -> Any:
        seen.append(str(request.url).removeprefix("http://retell.test"))
        return library.Response(200, json={"knowledge_base_id": "k"})

    class Gateway(library.Client):  # type: ignore[misc]
        def build_request(self, *arguments: Any, params: Any = None, **settings: Any) -> Any:
            return super().build_request(*arguments, params={"tenant": "7", **dict(params or {})}, **settings)

    for http_client in (given(library, serve, params={"tenant": "7"}), Gateway(transport=library.MockTransport(serve))):
        with Retell(KEY, base_url="http://retell.test", http_client=http_client, default_query={"d": "a b"}) as here:
            here.agent.retrieve("a", version=4)
            here.agent.retrieve("a", version=4, extra_query={"tenant": "8"})
            here.get("/x?y=1", cast_to=object)
            here.knowledge_base.create(knowledge_base_name="a", knowledge_base_files=[("a.txt", b"in it")])
    by_params, by_request = seen[: len(seen) // 2], seen[len(seen) // 2 :]
    assert [*map(sorted_query, by_params)] == [*map(sorted_query, by_request)]
    assert [*map(sorted_query, by_params)] == [
        ("/get-agent/a", "d=a b&tenant=7&version=4"),
        ("/get-agent/a", "d=a b&tenant=8&version=4"),
        ("/x", "d=a b&tenant=7&y=1"),
        ("/create-knowledge-base", "d=a b&tenant=7"),
    ]


def test_the_same_where_a_tool_has_replaced_how_it_sends(library: Any) -> None:
    http_client = given(library, lambda request: library.Response(200, json=str(request.url)), params={"tenant": "7"})
    http_client.request = partial(type(http_client).request, http_client)
    with Retell(KEY, base_url="http://retell.test", http_client=http_client) as here:
        assert here.get("/x?y=1", cast_to=object) == "http://retell.test/x?tenant=7&y=1"


def sorted_query(url: str) -> tuple[str, str]:
    """The path and the query of a URL, decoded."""
    path, _, query = url.partition("?")
    return path, "&".join(f"{name}={value}" for name, value in sorted(parse_qsl(query, strict_parsing=True)))


def test_a_query_goes_out_as_it_was_encoded_where_the_client_adds_nothing_to_it(library: Any) -> None:
    def serve(request: Any) -> Any:
        return library.Response(200, json=str(request.url))

    with client(library, serve) as here:
        assert here.get("/x?signature=a%20b%2F&flag", cast_to=object) == "http://retell.test/x?signature=a%20b%2F&flag"


def test_a_redirect_takes_nothing_of_the_client_elsewhere(library: Any) -> None:
    seen: list[Any] = []

    def serve(request: Any) -> Any:
        seen.append(request)
        to = {"/get-agent/a": "/b?x=1", "/b": "http://other.test/c?y=2"}.get(request.url.path)
        return library.Response(200, json={}) if to is None else library.Response(307, headers={"location": to})

    settings: dict[str, Any] = {"params": {"token": "secret"}, "headers": {"x-own": "secret"}, "cookies": {"session": "secret"}}
    with client(library, serve, **settings) as here:
        here.agent.retrieve("a")
    assert [str(request.url) for request in seen] == [
        "http://retell.test/get-agent/a?token=secret",
        "http://retell.test/b?x=1",
        "http://other.test/c?y=2",
    ]
    assert [request.headers.get("x-own") for request in seen] == ["secret", "secret", None]
    assert "secret" not in str(seen[-1].headers.raw)


def test_a_way_of_authenticating(library: Any) -> None:
    class Auth(library.Auth):  # type: ignore[misc]
        requires_response_body = True

        def auth_flow(self, request: Any) -> Generator[Any, Any, None]:
            token = yield library.Request("GET", "http://tokens.test/")
            request.headers["x-token"] = token.json()["token"]
            yield request

    def serve(request: Any) -> Any:
        if request.url.host == "tokens.test":
            return library.Response(200, json={"token": "t"})
        return library.Response(200, json={"token": request.headers["x-token"], "key": request.headers["authorization"]})

    with client(library, serve, auth=Auth()) as here:
        agent = here.agent.retrieve("a")
        assert (agent["token"], agent["key"]) == ("t", f"Bearer {KEY}")


def test_a_class_of_ones_own(library: Any) -> None:
    sent: list[str] = []

    class Mine(library.Client):  # type: ignore[misc]
        def send(self, request: Any, **settings: Any) -> Any:
            sent.append(request.url.path)
            return super().send(request, **settings)

    mine = Mine(transport=library.MockTransport(lambda _: library.Response(200, json={})))
    with Retell(KEY, http_client=mine) as here:
        here.agent.retrieve("a")
    assert sent == ["/get-agent/a"]


def test_what_is_put_in_place_of_send_sees_each_request_and_who_sent_it(library: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Sentry does it."""
    scope = ContextVar[str]("scope")
    seen: list[tuple[str, str]] = []
    send = library.Client.send

    def watched(self: Any, request: Any, **settings: Any) -> Any:
        seen.append((request.method, scope.get()))
        return send(self, request, **settings)

    with client(library, lambda _: library.Response(200, json={})) as here:
        monkeypatch.setattr(library.Client, "send", watched)
        scope.set("first")
        here.agent.retrieve("a")
        scope.set("second")
        here.agent.publish("a", version=1)
    assert seen == [("GET", "first"), ("POST", "second")]


def test_bodies_that_come_in_pieces(library: Any) -> None:
    def serve(request: Any) -> Any:
        return library.Response(201, json={"body": request.read().decode(), "knowledge_base_id": "k"})

    def pieces() -> Iterator[bytes]:
        yield b"one"
        yield b"two"

    with client(library, serve) as here:
        assert cast("Any", here.post("/a", cast_to=object, content=pieces()))["body"] == "onetwo"
        base = here.knowledge_base.create(knowledge_base_name="a", knowledge_base_files=[("a.txt", b"in it" * 10**6)])
        assert 'filename="a.txt"' in base["body"]
        assert base["body"].count("in it") == 10**6


def test_redirects_are_followed_as_ever(library: Any) -> None:
    def serve(request: Any) -> Any:
        if request.url.path == "/elsewhere":
            return library.Response(200, json={"key": "authorization" in request.headers, "team": "x-team" in request.headers})
        return library.Response(302, headers={"location": request.url.params.get("to", "/elsewhere")})

    with client(library, serve, headers={"x-team": "a"}, follow_redirects=True) as here:
        agent = here.agent.retrieve("a")
        assert (agent["key"], agent["team"]) == (True, True)
        agent = here.agent.retrieve("a", extra_query={"to": "http://other.test/elsewhere"})
        assert agent["key"] is False
        with pytest.raises(RetellError):
            here.call.create_web_call(**WEB)


# What goes wrong


@pytest.mark.parametrize(
    ("error", "kind", "sent"),
    [
        ("ConnectError", APIConnectionError, False),
        ("ConnectTimeout", APITimeoutError, False),
        ("PoolTimeout", APITimeoutError, False),
        ("ProxyError", APIConnectionError, False),
        ("ReadTimeout", APITimeoutError, True),
        ("RemoteProtocolError", APIConnectionError, True),
        ("ReadError", APIConnectionError, True),
        ("RuntimeError", APIConnectionError, True),
        ("StopIteration", APIConnectionError, True),
    ],
)
def test_errors_are_told_apart(library: Any, error: str, kind: type[APIConnectionError], sent: bool) -> None:
    asked: list[str] = []

    def serve(request: Any) -> Any:
        asked.append(request.url.path)
        raise (getattr(library, error, None) or getattr(builtins, error))("no")

    with client(library, serve) as here:
        with pytest.raises(kind) as caught:
            here.agent.retrieve("a")
        assert caught.value.sent is sent
        with pytest.raises(kind) as creating:
            here.with_options(max_retries=1).call.create_web_call(**WEB)
        assert isinstance(creating.value, OutcomeUnknownError) is sent
        assert len(asked) == (2 if sent else 3)  # what may have been carried out is not sent again


def test_a_body_that_breaks_off(library: Any) -> None:
    class Broken(library.SyncByteStream):  # type: ignore[misc]
        closed = 0

        def __iter__(self) -> Iterator[bytes]:
            yield b'{"call_'
            raise library.ReadError("gone")

        def close(self) -> None:
            Broken.closed += 1

    with client(library, lambda _: library.Response(200, stream=Broken())) as here:
        with pytest.raises(RetellError, match="gone"):
            here.call.retrieve("call_1")
        with here.call.with_streaming_response.retrieve("call_1") as response:
            assert next(response.iter_bytes()) == b'{"call_'
            with pytest.raises(RetellError):
                response.read()
        assert Broken.closed == 2


def test_hooks_that_raise_or_read(library: Any) -> None:
    def check(response: Any) -> None:
        response.read()
        response.raise_for_status()

    def refuse(request: Any) -> None:
        if "stop" in request.url.path:
            raise ValueError("not now")

    def serve(request: Any) -> Any:
        return library.Response(404 if request.url.path.endswith("gone") else 200, json={"agent_id": "a", "message": "no"})

    with client(library, serve, event_hooks={"request": [refuse], "response": [check]}) as here:
        assert here.agent.retrieve("a").agent_id == "a"
        with pytest.raises(NotFoundError):
            here.agent.retrieve("gone")
        with pytest.raises(APIConnectionError, match="not now"):
            here.agent.retrieve("stop")


def test_log_lines_are_masked(library: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with client(library, lambda _: library.Response(200, json={})) as here:
        here.phone_number.retrieve("+14155550123")
    if library is httpx:
        assert any("HTTP Request" in line for line in caplog.messages)
        assert "14155550123" not in caplog.text


# Nobody waits any more


def test_a_deadline_is_kept_and_the_late_answer_is_closed(library: Any) -> None:
    answer, closed = threading.Event(), threading.Event()

    class Late(library.SyncByteStream):  # type: ignore[misc]
        def __iter__(self) -> Iterator[bytes]:
            yield b"{}"

        def close(self) -> None:
            closed.set()

    def serve(request: Any) -> Any:
        if request.url.path == "/late":
            assert answer.wait(5)
            return library.Response(200, stream=Late())
        return library.Response(200, json={})

    with client(library, serve) as here:
        start = time.monotonic()
        with pytest.raises(APITimeoutError, match="deadline"):
            here.request("GET", "/late", deadline=0.05)
        assert time.monotonic() - start < 1
        assert here.request("GET", "/early") == {}
        assert not closed.is_set()
        answer.set()
        assert closed.wait(5)


def test_a_stream_that_is_waited_for_in_vain_is_closed_when_it_ends(library: Any) -> None:
    more, closed = threading.Event(), threading.Event()

    class Slow(library.SyncByteStream):  # type: ignore[misc]
        def __iter__(self) -> Iterator[bytes]:
            yield b'{"a":'
            assert more.wait(5)
            yield b"1}"

        def close(self) -> None:
            closed.set()

    with client(library, lambda _: library.Response(200, stream=Slow())) as here:
        with pytest.raises(APITimeoutError):
            here.request("GET", "/slow", deadline=0.05)
        assert not closed.is_set()
        more.set()
        assert closed.wait(5)


class _Network:
    """A network whose connections open when they are let, and that keeps what is written."""

    def __init__(self, core: Any) -> None:
        self.opening, self.go_on = threading.Event(), threading.Event()
        self.written: list[bytes] = []
        network = self

        class Stream(core.MockStream):  # type: ignore[misc]
            def write(self, buffer: bytes, timeout: float | None = None) -> None:
                network.written.append(buffer)

        self.stream: Any = Stream

    def connect_tcp(self, *_: Any, **__: Any) -> Any:
        self.opening.set()
        assert self.go_on.wait(5)
        return self.stream(list(ANSWER))


def networked(library: Any) -> tuple[Any, _Network]:
    transport = library.HTTPTransport()
    network = _Network(httpcore if library is httpx else core_of(library))
    cast("Any", transport)._pool._network_backend = network
    return library.Client(transport=transport), network


def core_of(library: ModuleType) -> Any:
    return __import__(f"httpcore{library.__name__.removeprefix('httpx')}")


def test_a_request_that_was_given_up_before_it_left_does_not_leave(library: Any) -> None:
    http_client, network = networked(library)
    with Retell(KEY, base_url="http://retell.test", http_client=http_client, max_retries=0) as here:
        with pytest.raises(APITimeoutError):
            here.call.create_phone_call(**NUMBERS, deadline=0.05)
        assert network.opening.is_set()
        network.go_on.set()
        assert here.request("GET", "/after") == {"items": []}
    until(lambda: not loops())
    sent = b"".join(network.written)
    assert b"GET /after" in sent
    assert b"create-phone-call" not in sent


def test_a_limit_counts_from_when_a_request_leaves(library: Any) -> None:
    http_client, network = networked(library)
    network.go_on.set()
    with Retell(KEY, base_url="http://retell.test", http_client=http_client, rate_limits={"call.list": RateLimit(5)}) as here:
        start = time.monotonic()
        for _ in range(3):
            here.call.list()
        assert time.monotonic() - start > 0.3
    assert b"".join(network.written).count(f"POST {list_calls.OPERATION.path} ".encode()) == 3


# Its life


def test_its_timeout_is_kept_and_it_is_closed_with_the_client(library: Any) -> None:
    http_client = library.Client(timeout=3)
    with Retell(KEY, http_client=http_client) as here:
        assert here.timeout == httpx.Timeout(3)
        assert not here.is_closed()
    assert http_client.is_closed
    assert here.is_closed()
    assert Retell(KEY, http_client=library.Client()).timeout == httpx.Timeout(60, connect=5)
    other = Retell(KEY, http_client=library.Client())
    view = other.with_options(http_client=given(library, lambda _: library.Response(200, json={"agent_id": "a"})))
    assert view.agent.retrieve("a").agent_id == "a"
    view.close()
    assert not other.is_closed()
    other.close()


def test_one_that_was_closed_before(library: Any) -> None:
    with library.Client() as http_client:
        here = Retell(KEY, http_client=http_client)
    assert here.is_closed()
    with pytest.raises(RetellError, match="closed"):
        here.agent.retrieve("a")
    here.close()


def test_only_a_retell_takes_one(library: Any) -> None:
    with library.Client() as http_client, pytest.raises(TypeError, match="Invalid `http_client` argument"):
        AsyncRetell(KEY, http_client=http_client)
    wrong: Any = object()
    with pytest.raises(TypeError, match="Invalid `http_client` argument"):
        Retell(KEY, http_client=wrong)


def test_a_client_of_its_own_may_be_asked_from_where_it_sends(library: Any) -> None:
    """A hook runs in a thread, where an event loop would not be held up."""

    def hook(request: Any) -> None:
        if request.url.path == "/outer":
            here.request("GET", "/inner")

    seen: list[str] = []

    def serve(request: Any) -> Any:
        seen.append(request.url.path)
        return library.Response(200, json={})

    with client(library, serve, event_hooks={"request": [hook]}) as here:
        here.request("GET", "/outer")
    assert seen == ["/inner", "/outer"]
