"""What a `Retell` does, with a server that is a function."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import io
import json
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any

import httpcore
import httpx
import pytest

from retell_async import (
    APIResponseValidationError,
    AsyncRetell,
    ConfigurationError,
    InternalServerError,
    NotFoundError,
    OutcomeUnknownError,
    RateLimit,
    RateLimitError,
    Retell,
    RetellError,
    RetryEvent,
    RetryPolicy,
    SyncPage,
)
from retell_async._blocking.loop import Background
from retell_async._http.transport import Transport

from ..engine.example import BASE_URL, KEY
from ..engine.test_secrets import KEY as SECRET, every_error
from .example import LISTED, PAGES, answering, client_of, loops, pages

CALL: dict[str, Any] = {"call_id": "call_1", "call_type": "phone_call"}
NUMBERS: dict[str, Any] = {"from_number": "+14155550100", "to_number": "+14155550123"}


@pytest.fixture(autouse=True)
def no_loop_is_left() -> Iterator[None]:
    yield
    gc.collect()
    until(lambda: not loops())


def until(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.001)


# Lists


def test_a_list_is_its_first_page_and_goes_on_through_all_of_them() -> None:
    asked: list[httpx.Request] = []

    def serve(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return pages(request)

    with client_of(serve) as client:
        page = client.call.list(limit=1)
        assert isinstance(page, SyncPage)
        assert (len(asked), len(page), page[0].call_id, page.has_more, page.pagination_key) == (1, 1, LISTED[0], True, "key_1")
        assert repr(page) == "SyncPage(1 items, has_more=True)"
        items = iter(page)
        assert [next(items).call_id for _ in range(2)] == LISTED[:2]
        assert len(asked) == 2
        assert [call.call_id for call in page] == LISTED
        assert [each.items[0].call_id for each in page.pages()] == LISTED
        following = page.next_page()
        assert following is not None
        assert [call.call_id for call in following] == LISTED[1:]
        last = list(page.pages())[-1]
        assert (last.has_more, last.next_page(), len(list(page.pages()))) == (False, None, PAGES)
        assert client.call.with_raw_response.list().parse()[0].call_id == LISTED[0]
        with client.call.with_streaming_response.list() as response:
            assert [call.call_id for call in response.parse()] == LISTED


def test_a_list_can_be_gone_on_with_after_an_error() -> None:
    failures = [False, True, False, False]
    with client_of(lambda request: httpx.Response(500) if failures.pop(0) else pages(request)) as client:
        items = iter(client.call.list())
        assert next(items).call_id == LISTED[0]
        with pytest.raises(InternalServerError):
            next(items)
        assert [call.call_id for call in items] == LISTED[1:]


def test_a_list_without_end_is_an_error() -> None:
    with answering(json={"items": [CALL], "has_more": True, "pagination_key": "key_1"}) as client:
        items = iter(client.call.list())
        assert [next(items).call_id for _ in range(2)] == ["call_1"] * 2
        with pytest.raises(APIResponseValidationError, match="round in a circle"):
            next(items)


# Answers


def test_streams() -> None:
    body = '{"call_id":"ä",\n"call_type":"web_call"}'
    with client_of(lambda _: httpx.Response(200, content=body.encode())) as client:

        def opened() -> Any:
            return client.call.with_streaming_response.retrieve("call_1")

        with opened() as response:
            assert (response.status_code, response.retries_taken, repr(response)) == (200, 0, "SyncStreamedResponse(200)")
            assert b"".join(response.iter_bytes(10)) == body.encode()
        with opened() as response:
            assert "".join(response.iter_text()) == body
        with opened() as response:
            assert list(response.iter_lines()) == body.split("\n")
        with opened() as response:
            for _ in response.iter_bytes(1):
                break
        with opened() as response:
            assert (response.read(), response.text(), response.json()["call_id"]) == (body.encode(), body, "ä")
            assert response.parse().call_id == "ä"
            response.close()


def test_a_stream_to_a_file(tmp_path: Path) -> None:
    with answering(json=CALL) as client:
        with client.call.with_streaming_response.retrieve("call_1") as response:
            response.stream_to_file(tmp_path / "call.json")
        assert json.loads((tmp_path / "call.json").read_bytes()) == CALL


def test_an_error_within_a_stream_is_the_users_own() -> None:
    with answering(json=CALL, headers={"x-request-id": "r1"}) as client:
        own = KeyError("own")

        def use() -> None:
            with client.call.with_streaming_response.retrieve("call_1") as response:
                assert response.request_id == "r1"
                raise own

        with pytest.raises(KeyError) as caught:
            use()
        assert caught.value is own
        assert traceback.extract_tb(own.__traceback__)[-1].line == "raise own"
        assert client.call.retrieve("call_1").call_id == "call_1"


def test_any_request() -> None:
    asked: list[httpx.Request] = []

    def serve(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json={"a": 1})

    with client_of(serve) as client:
        assert client.request("POST", "/new/thing", json={"b": 2}, params={"c": 3}, extra_headers={"x-d": "4"}) == {"a": 1}
    (request,) = asked
    assert (request.method, request.url.path, request.url.query, request.content) == ("POST", "/prefix/new/thing", b"c=3", b'{"b":2}')
    assert request.headers["x-d"] == "4"


def test_files_that_are_open(tmp_path: Path) -> None:
    asked: list[bytes] = []

    def serve(request: httpx.Request) -> httpx.Response:
        asked.append(request.read())
        return httpx.Response(201, json={"knowledge_base_id": "kb_1", "knowledge_base_name": "n", "status": "in_progress"})

    (tmp_path / "one.txt").write_bytes(b"first")
    with client_of(serve) as client, (tmp_path / "one.txt").open("rb") as file:
        client.knowledge_base.create(
            knowledge_base_name="n", knowledge_base_files=[file, ("two.txt", io.BytesIO(b"second")), tmp_path / "one.txt"]
        )
    assert [asked[0].count(content) for content in (b"first", b"second", b'filename="one.txt"')] == [2, 1, 2]


# Errors


def place(client: Retell) -> None:
    client.call.create_phone_call(from_number="+14155550100", to_number="+14155550101")  # the user's line


def test_an_error_shows_the_users_line_and_nothing_of_the_event_loop() -> None:
    with answering(404, json={"message": "no such thing"}) as client, pytest.raises(NotFoundError, match="no such thing") as caught:
        place(client)
    shown = traceback.extract_tb(caught.value.__traceback__)
    assert "the user's line" in (shown[1].line or "")
    assert {frame.filename.rpartition("site-packages")[1] for frame in shown} == {""}
    assert [frame.name for frame in shown[2:]] == ["create_phone_call", "send", "send_raw", "run", "outcome"]


def test_no_traceback_shows_a_secret() -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("too late", request=request)

    for serve in (fail, lambda _: httpx.Response(401, json={"message": f"bad {SECRET}"}), lambda _: httpx.Response(200, content=b"{")):
        with client_of(serve, api_key=SECRET) as client, pytest.raises(RetellError) as caught:
            client.call.retrieve("call_1")
        for error in every_error(caught.value, {}):
            assert SECRET not in f"{error} {error!r}"
            for frame, _ in traceback.walk_tb(error.__traceback__):
                assert frame.f_globals["__name__"] == __name__ or SECRET not in repr(frame.f_locals)


@pytest.mark.parametrize(
    "settings", [{"api_key": "key_5ecr3t0123\n"}, {"base_url": "http://u:pa55word@x.test"}, {"default_headers": {"x": "pa55word\n"}}]
)
def test_settings_that_are_refused_show_no_secret(settings: dict[str, Any]) -> None:
    client = Retell("key_1")
    makes: list[Callable[[], Retell]] = [lambda: Retell(**{"api_key": "key_1", **settings}), lambda: client.with_options(**settings)]
    for make in makes:
        with pytest.raises(ConfigurationError) as caught:
            make()
        for frame, _ in traceback.walk_tb(caught.value.__traceback__):
            if frame.f_globals["__name__"] != __name__:
                assert not {"5ecr3t", "pa55word"} & {word for word in ("5ecr3t", "pa55word") if word in repr(frame.f_locals)}


def test_a_misspelt_keyword_is_an_error() -> None:
    misspelt: Any = {"metdata": {}}
    with answering(json=CALL) as client, pytest.raises(TypeError, match="metdata"):
        client.call.create_phone_call(**NUMBERS, **misspelt)
    assert not loops()  # it was not sent


def test_what_may_have_been_carried_out_is_unknown_here_too() -> None:
    with answering(500) as client, pytest.raises(OutcomeUnknownError):
        client.call.create_web_call(agent_id="agent_1")


class OutcomeOfATest(BaseException):
    """As those of pytest, which are no `Exception`."""


def test_whatever_is_raised_on_the_way_comes_out_and_the_loop_goes_on() -> None:
    failing = [True, False]

    def serve(_: httpx.Request) -> httpx.Response:
        if failing.pop(0):
            raise OutcomeOfATest
        return httpx.Response(200, json=CALL)

    with client_of(serve) as client:
        with pytest.raises(OutcomeOfATest):
            client.call.retrieve("call_1")
        assert client.call.retrieve("call_1").call_id == "call_1"


# One engine


def test_views_share_one_loop_one_engine_and_their_end() -> None:
    asked: list[float] = []

    def serve(_: httpx.Request) -> httpx.Response:
        asked.append(time.monotonic())
        return httpx.Response(200, json=CALL)

    client = client_of(serve, rate_limit=RateLimit(1, per=0.2))
    view = client.with_options(max_retries=5, default_headers={"x-a": "1"}, timeout=1.0)
    assert (view.max_retries, client.max_retries, view.api_key, view.base_url) == (5, 0, KEY, client.base_url)
    assert view.copy().max_retries == 5
    assert repr(view) == f"Retell(base_url={BASE_URL!r})"
    for each in (client, view, client):
        each.call.retrieve("call_1")
    assert len(loops()) == 1
    assert asked[2] - asked[0] > 0.35
    view.close()
    assert client.is_closed()
    assert view.is_closed()
    with pytest.raises(RetellError, match="closed"):
        client.call.retrieve("call_1")
    client.close()


def test_the_engine_is_that_of_the_client_that_awaits() -> None:
    events: list[Any] = []
    answers = [httpx.Response(503), httpx.Response(200, json=CALL)]
    keys: list[str] = []

    def serve(request: httpx.Request) -> httpx.Response:
        keys.append(json.loads(request.content)["idempotency_key"])
        return answers.pop(0)

    with client_of(serve, max_retries=1, retry=RetryPolicy(first_delay=0.001), hooks=[events.append]) as client:
        raw = client.call.with_raw_response.create_phone_call(**NUMBERS)
    assert [type(event) for event in events] == [RetryEvent]
    assert (raw.retries_taken, raw.idempotency_key, keys[0]) == (1, keys[1], keys[1])


def test_what_is_given_is_read_in_the_callers_thread() -> None:
    """Lazy things of programs that do not await, such as query sets, belong to their thread."""
    seen: list[threading.Thread] = []

    class Lazy(dict[str, object]):
        def items(self) -> Any:
            seen.append(threading.current_thread())
            return super().items()

        def __iter__(self) -> Iterator[str]:
            seen.append(threading.current_thread())
            return super().__iter__()

    with answering(json=CALL) as client:
        client.call.create_phone_call(**NUMBERS, metadata=Lazy(a=1))
    assert seen
    assert {*seen} == {threading.current_thread()}


def test_context_variables_go_along() -> None:
    variable = contextvars.ContextVar[str]("variable")
    seen: list[str] = []

    def serve(_: httpx.Request) -> httpx.Response:
        seen.append(variable.get())
        return httpx.Response(200, json=CALL)

    with client_of(serve) as client:
        for value in ("a", "b"):
            variable.set(value)
            client.call.retrieve("call_1")
    assert seen == ["a", "b"]


def test_a_hook_that_would_wait_for_itself_is_told() -> None:
    told: list[str] = []
    client: Retell

    def serve(_: httpx.Request) -> httpx.Response:
        try:
            client.call.retrieve("call_2")
        except RetellError as error:
            told.append(str(error))
        return httpx.Response(200, json=CALL)

    with client_of(serve) as client:
        client.call.retrieve("call_1")
    assert "the event loop that would send the request" in told[0]


# Its life


def test_nothing_runs_before_the_first_request() -> None:
    with Retell("key_1") as client:
        assert not client.is_closed()
        assert client.call is client.call
        assert not loops()
    assert client.is_closed()
    with pytest.raises(RetellError, match="closed"):
        client.call.retrieve("call_1")
    assert not loops()


def test_a_dropped_client_ends_its_loop_at_once_and_says_so() -> None:
    closed: list[bool] = []

    class Transport(httpx.MockTransport):
        async def aclose(self) -> None:
            closed.append(True)

    client = Retell(KEY, http_client=httpx.AsyncClient(transport=Transport(lambda _: httpx.Response(200, json=CALL))))
    page, view = client.call.with_raw_response, client.with_options(max_retries=1)
    page.retrieve("call_1")
    gc.disable()  # nothing is kept by what it keeps itself
    try:
        del client, page
        assert loops()
        with pytest.warns(ResourceWarning, match="use `with`, or `client.close"):
            del view
        until(lambda: not loops())
    finally:
        gc.enable()
    assert closed == [True]


@pytest.mark.parametrize("kind", [Background, Transport])
def test_what_is_dropped_at_the_end_of_a_program_needs_no_name_of_its_module_which_are_gone(
    kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    dropped: Any = object.__new__(kind)
    dropped._thread = object()
    dropped.closed = False
    module = sys.modules[kind.__module__]
    if kind is Background:
        monkeypatch.setattr(Background, "is_over", staticmethod(lambda: True))
    else:
        monkeypatch.setitem(dropped.__del__.__func__.__kwdefaults__, "is_finalizing", lambda: True)
    for name in [name for name in vars(module) if not name.startswith("__")]:
        monkeypatch.setattr(module, name, None)
    del dropped


def test_a_client_that_is_closed_or_was_never_used_goes_without_a_word() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        client = answering(json=CALL)
        del client
        client = answering(json=CALL)
        client.call.retrieve("call_1")
        client.close()
        del client
        gc.collect()


def test_a_client_that_is_closed_in_its_own_loop_ends() -> None:
    client: Retell

    def serve(_: httpx.Request) -> httpx.Response:
        client.close()
        return httpx.Response(200, json=CALL)

    client = client_of(serve)
    with client.call.with_streaming_response.retrieve("call_1") as response:
        assert client.is_closed()
        assert response.parse().call_id == "call_1"
    client = client_of(serve)
    assert client.call.retrieve("call_1").call_id == "call_1"
    assert client.is_closed()
    until(lambda: not loops())


def test_what_is_under_way_goes_on_when_another_thread_closes_the_client() -> None:
    arrived, go_on = threading.Event(), threading.Event()

    async def serve(_: httpx.Request) -> httpx.Response:
        arrived.set()
        await asyncio.to_thread(go_on.wait)
        return httpx.Response(200, json=CALL)

    client = client_of(serve)
    answers: list[str] = []
    thread = threading.Thread(target=lambda: answers.append(client.call.retrieve("call_1").call_id))
    thread.start()
    arrived.wait()
    client.close()
    with pytest.raises(RetellError, match="closed"):
        client.call.retrieve("call_2")
    assert loops()
    go_on.set()
    thread.join()
    assert answers == ["call_1"]


def test_a_stream_that_is_open_can_be_read_when_the_client_is_closed() -> None:
    client = answering(json=CALL)
    with client.call.with_streaming_response.retrieve("call_1") as response:
        client.close()
        assert response.parse().call_id == "call_1"
        assert loops()
    assert not loops()


def test_a_loop_that_cannot_begin_is_an_error_and_not_a_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("too many open files")

    with answering(json=CALL) as client:
        with monkeypatch.context() as patch:
            patch.setattr("anyio.run", fail)
            with pytest.raises(OSError, match="too many"):
                client.call.retrieve("call_1")
        assert client.call.retrieve("call_1").call_id == "call_1"


# Beside what programs put in the place of httpx's methods


OF_CLIENTS = ("build_request", "send", "_send_handling_auth", "_send_handling_redirects", "_send_single_request", "_transport_for_url")
BELOW = (httpx.HTTPTransport, httpcore.ConnectionPool, httpcore.HTTPConnection)
BELOW_ASYNC = (httpx.AsyncHTTPTransport, httpcore.AsyncConnectionPool, httpcore.AsyncHTTPConnection)


def around(send: Callable[..., Any], *, tells: bool) -> Callable[..., Any]:
    """A tool's function around another one, which it tells of as `wraps` does, or has in its closure alone, as one of Sentry's."""

    def passed_on(*arguments: Any, **settings: Any) -> Any:
        return send(*arguments, **settings)

    return wraps(send)(passed_on) if tells else passed_on


@pytest.mark.parametrize("tool", ["", "tells, before", "before", "after"])
@pytest.mark.parametrize(
    ("owner", "method"),
    [
        *((httpx.Client, name) for name in ("request", *OF_CLIENTS)),
        *((owner, "handle_request") for owner in BELOW),
        *((httpx.AsyncClient, name) for name in OF_CLIENTS),
        *((owner, "handle_async_request") for owner in BELOW_ASYNC),
    ],
)
def test_a_guard_of_a_programs_tests_is_asked(monkeypatch: pytest.MonkeyPatch, owner: type, method: str, tool: str) -> None:
    def trace(when: str) -> None:
        for each in (httpx.Client, httpx.AsyncClient) if tool.endswith(when) else ():
            monkeypatch.setattr(each, "send", around(each.send, tells="tells" in tool))

    asked: list[str] = []

    def guard(*_: Any, **__: Any) -> Any:
        asked.append(method)
        raise RuntimeError("no network in tests")

    trace("before")
    monkeypatch.setattr(owner, method, guard)
    trace("after")
    with Retell(KEY, base_url="http://127.0.0.1:9", max_retries=0) as client, client.with_options(timeout=3) as view:
        for send in (
            lambda: client.call.create_phone_call(**NUMBERS),
            view.call.list,
            lambda: client.call.with_streaming_response.retrieve("call_1").__enter__(),
            lambda: next(client.call.ended_since(0)),
        ):
            with pytest.raises(Exception, match="no network in tests"):
                send()
    assert len(asked) >= 4


def test_an_answer_that_is_put_in_place_of_send_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    def send(_: httpx.Client, request: httpx.Request, **__: Any) -> httpx.Response:
        return httpx.Response(200, json=CALL, request=request)

    with Retell(KEY, base_url=BASE_URL) as client, monkeypatch.context() as patch:
        patch.setattr(httpx.Client, "send", send)
        assert client.call.retrieve("call_1").call_id == "call_1"


def test_what_is_put_in_place_of_send_gets_the_same_requests_under_the_same_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mine(Retell):
        """A client of a program's own."""

        @property
        def auth_headers(self) -> dict[str, str]:
            return {"Authorization": "Token mine"}

    seen: list[str] = []

    def send(_: httpx.Client, request: httpx.Request, **__: Any) -> httpx.Response:
        seen.append(request.headers["authorization"])
        return httpx.Response(429, request=request, headers={"retry-after": "30"})

    monkeypatch.setattr(httpx.Client, "send", send)
    with Mine(KEY, base_url=BASE_URL, rate_limit=RateLimit(max_wait=0)) as client:
        for message in ("Error code: 429", "the client keeps to a limit"):
            with pytest.raises(RateLimitError, match=message):
                client.call.retrieve("call_1")
    assert seen == ["Token mine"]


# Beside event loops


@pytest.mark.parametrize("begun", [False, True])
def test_a_loop_whose_beginning_is_interrupted_ends_with_the_client(monkeypatch: pytest.MonkeyPatch, *, begun: bool) -> None:
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        if thread.name == "retell-async":
            if begun:
                start(thread)
            raise KeyboardInterrupt
        start(thread)

    client = answering(json=CALL)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            client.call.retrieve("call_1")
    client.close()


def test_what_is_gone_through_ends_where_garbage_is_collected(monkeypatch: pytest.MonkeyPatch) -> None:
    unraisable: list[Any] = []
    monkeypatch.setattr("sys.unraisablehook", unraisable.append)

    def serve(request: httpx.Request) -> httpx.Response:
        gc.collect()  # in the loop's own thread
        return pages(request)

    class Job:
        calls: Iterator[Any]
        me: Job

    gc.disable()
    try:
        with client_of(serve) as client:
            job = Job()
            job.me, job.calls = job, client.call.ended_since(0)
            next(job.calls)
            del job
            client.call.retrieve("call_1")
    finally:
        gc.enable()
    assert unraisable == []


@pytest.mark.needs("signals")
def test_ctrl_c_while_the_next_one_is_waited_for_is_that_and_nothing_else() -> None:
    async def serve(_: httpx.Request) -> httpx.Response:
        try:
            await asyncio.sleep(5)
        finally:
            await asyncio.sleep(0.05)
        return httpx.Response(200, json={"items": [], "has_more": False})

    class LimitError(Exception):
        pass

    def reached(*_: object) -> None:
        raise LimitError

    before = signal.signal(signal.SIGALRM, reached)
    try:
        with client_of(serve) as client:
            calls = client.call.ended_since(0)
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            with pytest.raises(LimitError):
                next(calls)
    finally:
        signal.signal(signal.SIGALRM, before)


def test_it_works_where_an_event_loop_runs_and_beside_others() -> None:
    async def main() -> tuple[str, str]:
        with answering(json=CALL) as client:
            here = client.call.retrieve("call_1").call_id
        transport = httpx.MockTransport(lambda _: httpx.Response(200, json=CALL))
        async with AsyncRetell(KEY, http_client=httpx.AsyncClient(transport=transport)) as other:
            return here, (await other.call.retrieve("call_1")).call_id

    assert asyncio.run(main()) == ("call_1", "call_1")
    with answering(json=CALL) as client:
        client.call.retrieve("call_1")
        assert asyncio.run(main()) == ("call_1", "call_1")
        assert client.call.retrieve("call_1").call_id == "call_1"
        assert len(loops()) == 1
