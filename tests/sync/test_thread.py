"""The thread of a `Retell`'s event loop, whatever the program around it does."""

from __future__ import annotations

import asyncio
import concurrent.futures.thread
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import sniffio

from retell_async import APITimeoutError, Retell, RetellError, RetryPolicy
from retell_async._blocking import thread as module
from retell_async._blocking.thread import LoopThread

from ..engine.example import BASE_URL, KEY
from .example import LISTED, client_of, loops, pages


@pytest.fixture
def started() -> Iterator[LoopThread]:
    thread = LoopThread()
    thread.start()
    yield thread
    thread.end()
    thread.join(5)
    assert thread.has_ended


def test_what_begins_after_the_end_is_an_error(started: LoopThread) -> None:
    async def nothing() -> None: ...

    started.end()
    started.join(5)
    with pytest.raises(RuntimeError, match="closed"):
        started.begin(nothing)
    done: concurrent.futures.Future[None] = concurrent.futures.Future()
    copy_context().run(started._begin, nothing, done)  # what was to begin in the moment of the end
    with pytest.raises(RuntimeError):
        started.wait(done)


def test_a_task_that_cancels_itself_ends_the_wait_for_it_and_nothing_else(started: LoopThread) -> None:
    async def cancelled() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(1)

    with pytest.raises(concurrent.futures.CancelledError):
        started.wait(started.begin(cancelled))
    started.wait(started.begin(partial(asyncio.sleep, 0)))


def test_a_library_that_asks_is_told_asyncio_whatever_the_caller_runs_in(started: LoopThread) -> None:
    found: list[str] = []

    async def ask() -> None:
        found.append(sniffio.current_async_library())

    token = sniffio.current_async_library_cvar.set("trio")
    try:
        started.wait(started.begin(ask))
    finally:
        sniffio.current_async_library_cvar.reset(token)
    assert found == ["asyncio"]


@pytest.mark.parametrize("begins", [True, False], ids=["threads begin", "no thread begins"])
def test_names_are_looked_up_while_the_interpreter_ends(started: LoopThread, monkeypatch: pytest.MonkeyPatch, begins: bool) -> None:
    monkeypatch.setattr(concurrent.futures.thread, "_shutdown", True)  # asyncio's executor takes nothing any more
    for name in ("getaddrinfo", "getnameinfo"):
        monkeypatch.setattr(socket, name, lambda *given, name=name: (name, *given))
    if not begins:

        def refused(self: threading.Thread) -> None:
            raise RuntimeError("can't create new thread at interpreter shutdown")

        monkeypatch.setattr(threading.Thread, "start", refused)

    async def ask() -> list[object]:
        loop = asyncio.get_running_loop()
        with pytest.raises(RuntimeError):
            await loop.run_in_executor(None, int)
        return [await loop.getaddrinfo("a.test", 80, type=socket.SOCK_STREAM), await loop.getnameinfo(("::1", 80), 1)]

    answers: list[object] = []

    async def look_up() -> None:
        answers.extend(await ask())

    started.wait(started.begin(look_up))
    assert answers == [
        ("getaddrinfo", "a.test", 80, 0, socket.SOCK_STREAM, 0, 0),
        ("getnameinfo", ("::1", 80), 1),
    ]


def test_waits_end_while_the_clocks_of_the_program_stand_still(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    async def serve(_: httpx.Request) -> httpx.Response:
        asked.append(1)
        if len(asked) > 2:
            await asyncio.sleep(60)
        return httpx.Response(200 if len(asked) == 2 else 500, json={"thing_id": "1"})

    for name in ("time", "monotonic"):  # as freezegun does it, which leaves `clock_gettime` alone
        monkeypatch.setattr(time, name, lambda: 1_735_689_600.0)
    with client_of(serve, max_retries=1, retry=RetryPolicy(first_delay=0.01, deadline=0.2)) as client:
        assert client.request("GET", "/thing") == {"thing_id": "1"}
        with pytest.raises(APITimeoutError):
            client.request("GET", "/thing")


def test_a_second_loop_in_one_thread_of_the_system_is_refused() -> None:
    """As when eventlet has made greenlets of threads."""

    async def begin() -> LoopThread:
        thread = LoopThread()
        thread._run()
        return thread

    thread = asyncio.run(begin())
    with pytest.raises(RetellError, match="make one Retell for all"):
        thread.ready.result()
    assert thread.has_ended


def test_a_thread_that_cannot_begin_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(run: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(module, "_start", refused)
    thread = LoopThread()
    with pytest.raises(RuntimeError, match="can't start"):
        thread.start()
    assert thread.has_ended


# Where no thread can begin any more


@pytest.fixture
def no_thread_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in Python 3.12 after the end of the main thread: of threads that a client would begin."""
    start = threading.Thread.start

    def refused(self: threading.Thread) -> None:
        if self.name in {"retell-async", "AnyIO worker thread"}:
            raise RuntimeError("can't create new thread at interpreter shutdown")
        start(self)

    monkeypatch.setattr(threading.Thread, "start", refused)


ways = pytest.mark.parametrize(
    "make",
    [
        client_of,
        lambda serve: Retell(KEY, base_url=BASE_URL, max_retries=0, http_client=httpx.Client(transport=httpx.MockTransport(serve))),
    ],
    ids=["awaits", "does not await"],
)


@ways
@pytest.mark.usefixtures("no_thread_begins")
def test_whoever_waits_runs_the_loop_where_no_thread_begins(make: Callable[..., Retell], tmp_path: Path) -> None:
    client = make(pages)
    assert client.call.create_web_call(agent_id="agent_1").call_id == "call_0"
    assert [call.call_id for call in client.call.list()] == LISTED
    assert {call.call_id for call in client.call.ended_since(0)} == {*LISTED}
    with client.call.with_streaming_response.list() as response:
        assert client.call.retrieve("call_0").call_id == "call_0"
        response.stream_to_file(tmp_path / "page")
    assert b"call_0" in (tmp_path / "page").read_bytes()
    wanted = [{"from_number": "+14155550100", "to_number": "+14155550123"}] * 3
    with client.dispatch(wanted, until="placed", keep_free=None, live=1) as outcomes:
        assert [outcome.status for outcome in outcomes] == ["placed"] * 3
    assert not loops()
    client.close()
    client.close()
    with pytest.raises(RetellError, match="closed"):
        client.call.retrieve("call_0")


@pytest.mark.usefixtures("no_thread_begins")
def test_who_runs_the_loop_for_long_holds_up_nobody() -> None:
    begun, fast = threading.Event(), threading.Event()

    async def serve(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("slow"):
            begun.set()
            while not fast.is_set():  # noqa: ASYNC110 - it is set by another thread
                await asyncio.sleep(0.01)
        return httpx.Response(200, json={"thing_id": request.url.path[-4:]})

    with client_of(serve) as client, ThreadPoolExecutor(8) as threads:
        slow = threads.submit(client.request, "GET", "/slow")
        assert begun.wait(10)
        assert list(threads.map(lambda _: client.request("GET", "/fast")["thing_id"], range(50))) == ["fast"] * 50
        assert not slow.done()
        fast.set()
        assert slow.result(10) == {"thing_id": "slow"}


@pytest.mark.usefixtures("no_thread_begins")
def test_what_cannot_wait_without_a_thread_says_so_and_sends_nothing() -> None:
    asked: list[httpx.Request] = []

    def serve(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json={})

    client = client_of(serve)

    async def main() -> None:
        with pytest.raises(RetellError, match="outside of that loop"):
            client.request("GET", "/thing")

    asyncio.run(main())
    client.close()
    assert not asked
    assert client.is_closed()


@pytest.mark.usefixtures("no_thread_begins")
def test_a_client_that_was_never_used_is_closed_where_no_thread_begins() -> None:
    given = httpx.Client()
    Retell(KEY, http_client=given).close()
    assert given.is_closed


def test_a_thread_that_could_not_begin_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(run: object) -> Any:
        raise RuntimeError("can't start new thread")  # there are too many, which is no end of the program

    clients = [Retell(KEY, base_url=BASE_URL), client_of(pages)]
    with monkeypatch.context() as patch:
        patch.setattr(module, "_start", refused)
        for client in clients:
            with pytest.raises(RuntimeError, match="can't start"):
                client.request("GET", "/thing")
        clients[0].close()
    assert clients[0].is_closed()
    assert clients[1].call.retrieve("call_0").call_id == "call_0"
    clients[1].close()
