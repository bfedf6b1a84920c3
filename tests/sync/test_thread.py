"""The thread of a `Retell`'s event loop, whatever the program around it does."""

from __future__ import annotations

import asyncio
import concurrent.futures.thread
import socket
import threading
import time
from collections.abc import Iterator

import httpx
import pytest

from retell_async import APITimeoutError, RetellError, RetryPolicy
from retell_async._blocking import thread as module
from retell_async._blocking.thread import LoopThread

from .example import client_of


@pytest.fixture
def started() -> Iterator[LoopThread]:
    thread = LoopThread()
    thread.start()
    yield thread
    thread.portal.call(thread.portal.stop)
    thread.join(5)
    assert thread.has_ended


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

    assert started.portal.call(ask) == [
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
