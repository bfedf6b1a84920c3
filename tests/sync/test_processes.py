"""A `Retell` over sockets: many threads at once, forks, Ctrl-C, and the end of a program."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

import anyio.from_thread
import httpx
import pytest

from retell_async import AsyncRetell, Retell

from ..engine.example import KEY
from ..http.test_forks import echoing
from ..http.test_transport import Server, ok, serving
from .example import loops

pytestmark = pytest.mark.soak

AT_ONCE = 50
PRELUDE = """
import asyncio, gc, json, os, sys, threading, time
import httpx
from retell_async import *
def client_of(**settings): return Retell("key_1", base_url=sys.argv[1], max_retries=0, timeout=5, **settings)
def ask(client, name): return client.request("GET", f"/get-thing/{name}")["thing_id"] == name
"""


@contextmanager
def silent(path: str = "/silent") -> Generator[Server]:
    """A server that never answers what is asked under this path."""
    with (
        anyio.from_thread.start_blocking_portal() as portal,
        portal.wrap_async_context_manager(serving(lambda asked: None if asked.startswith(path) else ok())) as server,
    ):
        yield server


def command(program: str, url: str) -> list[str]:
    fork = ["-W", "ignore:This process:DeprecationWarning"]  # that it has threads, which is what is tried
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # which a job in the background inherits as ignored
    return [sys.executable, "-W", "error", *fork, "-c", heard + PRELUDE + textwrap.dedent(program), url]


def run(program: str, url: str) -> str:
    ended = subprocess.run(command(program, url), capture_output=True, text=True, timeout=30, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


# Threads


@pytest.mark.parametrize("own", [False, True])
def test_fifty_threads_at_once(own: bool) -> None:
    limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE, keepalive_expiry=60)
    http_client = httpx.Client(limits=limits) if own else None
    with echoing() as (url, used_by), Retell(KEY, base_url=url, max_retries=0, http_client=http_client) as client:

        def ask(number: int) -> bool:
            found = client.with_options(timeout=20).request("GET", f"/get-thing/{number}", extra_headers={"x-process": str(number % 2)})
            return bool(found["thing_id"] == str(number))

        with ThreadPoolExecutor(AT_ONCE) as threads:
            assert all(threads.map(ask, range(20 * AT_ONCE)))
        assert len(loops()) == 1
    assert len(used_by) <= AT_ONCE
    assert not loops()


def test_many_clients_that_are_dropped_leave_nothing() -> None:
    with echoing() as (url, _):
        before = descriptors()
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            for number in range(30):
                assert Retell(KEY, base_url=url).request("GET", f"/get-thing/{number}")["thing_id"] == str(number)
        assert len([warning for warning in told if "a Retell was dropped" in str(warning.message)]) == 30
        end = time.monotonic() + 10
        while loops() and time.monotonic() < end:
            time.sleep(0.01)
        assert not loops()
        assert descriptors() < before + 10


def descriptors() -> int:
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0


def test_an_event_loop_beside_it() -> None:
    async def main(url: str) -> bool:
        async with AsyncRetell(KEY, base_url=url) as client:
            found = await asyncio.gather(*(client.request("GET", f"/get-thing/{number}") for number in range(AT_ONCE)))
            return [each["thing_id"] for each in found] == list(map(str, range(AT_ONCE)))

    with echoing() as (url, _), Retell(KEY, base_url=url) as client, ThreadPoolExecutor(4) as threads:
        asked = [threads.submit(client.request, "GET", f"/get-thing/{number}") for number in range(4 * AT_ONCE)]
        assert all(asyncio.run(main(url)) for _ in range(3))
        assert [each.result()["thing_id"] for each in asked] == list(map(str, range(4 * AT_ONCE)))


# Forks


@pytest.mark.needs("fork")
@pytest.mark.parametrize("end", ["client.close()", "del client", "pass"])
@pytest.mark.parametrize("settings", ["", "http_client=DefaultAsyncHttpxClient()"])
def test_parent_and_child_go_on_each_by_itself(settings: str, end: str) -> None:
    program = f"""
    import warnings
    warnings.simplefilter("ignore", ResourceWarning)  # that a client is dropped
    client = client_of({settings})
    assert ask(client, "before")  # what is imported with the first request is there now
    def use():  # in many threads
        threads = [threading.Thread(target=lambda n=n: [ask(client, f"{{n}}-{{i}}") or os._exit(3) for i in range(10)]) for n in range(8)]
        [thread.start() for thread in threads]
        return threads
    running = use()  # some requests are under way now
    pid = os.fork()
    if pid == 0:
        [thread.join(10) for thread in use()]
        {end}
        print("child", flush=True)
        os._exit(0)
    [thread.join(10) for thread in running + use()]
    assert os.waitpid(pid, 0)[1] == 0
    assert ask(client, "after")
    client.close()
    print("parent")
    """
    with echoing() as (url, _):
        assert run(program, url).split() == ["child", "parent"]


@pytest.mark.needs("fork")
def test_a_child_that_never_uses_the_client_ends_well_and_leaves_it_to_the_parent() -> None:
    program = """
    client = client_of()
    with client.call.with_streaming_response.retrieve("call_1") as response:
        pid = os.fork()
        if pid == 0:
            try:
                response.read()
            except RetellError as error:
                print(error, flush=True)
        else:
            assert os.waitpid(pid, 0)[1] == 0
            assert response.json() == {"thing_id": "call_1"}
    client.close()
    print("end", client.is_closed(), flush=True)
    """
    with echoing() as (url, _):
        first, *ends = run(program, url).splitlines()
    assert first == "this was opened before the process was forked, and belongs to the parent"
    assert ends == ["end True"] * 2


@pytest.mark.needs("fork")
def test_an_http_client_that_does_not_await_is_for_one_process() -> None:
    program = """
    client = client_of(http_client=httpx.Client())
    def tried():
        try:
            return str(ask(client, "x"))
        except ConfigurationError as error:
            return str(error)
    for before in (False, True):  # whether it was used before the fork
        if before: assert ask(client, "before")
        pid = os.fork()
        if pid == 0:
            print(tried(), flush=True)
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
    assert ask(client, "after")
    client.close()
    """
    with echoing() as (url, _):
        unused, used = run(program, url).splitlines()
    assert unused == "True"
    assert "make one in each process" in used


# The end of a program


@pytest.mark.parametrize("settings", ["", "http_client=httpx.Client()"])
@pytest.mark.parametrize(
    "end",
    [
        "pass",
        "client.close()",
        "threading.Thread(target=ask, args=(client, 'other'), daemon=True).start()",
        "threading.Thread(target=client.request, args=('GET', '/silent'), daemon=True).start(); time.sleep(0.2)",
        "import atexit; atexit.register(ask, client, '1')",
        "import atexit; atexit.register(client.close)",
        "kept = [client]; kept.append(kept); client.kept = kept",
        "views = [client.with_options(max_retries=1) for _ in range(3)]",
    ],
)
def test_a_program_ends_at_once_and_without_a_word(end: str, settings: str) -> None:
    with silent() as server:
        server.respond = lambda path: None if path == "/silent" else ok(b'{"thing_id":"%s"}' % path.rpartition("/")[2].encode())
        start = time.monotonic()
        start_of = f"client = client_of({settings}); assert ask(client, '1')"
        if settings:  # httpx leaves its connections to the end of the program, which Python would tell of
            start_of = f"import warnings; warnings.simplefilter('ignore', ResourceWarning); {start_of}"
        assert run(f"{start_of}\n{end}", server.url) == ""
        assert time.monotonic() - start < 10


AT_THE_VERY_END = {
    "a generator with the client": """
        def calls():
            with client_of() as client:
                yield from client.call.list().items
        rows = calls(); next(rows)
    """,
    "a generator over a streamed answer": """
        client = client_of()
        def lines():
            with client.call.with_streaming_response.list() as response:
                yield from response.iter_lines()
        rows = lines(); next(rows)
    """,
    "a streamed answer that was entered": """
        client = client_of()
        manager = client.call.with_streaming_response.list()
        manager.__enter__()
    """,
    "a generator that the loop goes through": """
        client = client_of()
        rows = client.call.ended_since(0); next(rows)
    """,
    "a dispatch": """
        client = client_of()
        def outcomes():
            wanted = [{"from_number": "+14155550100", "to_number": "+14155550123"}] * 3
            with client.dispatch(wanted, until="placed", keep_free=None, live=1) as found:
                yield from found
        rows = outcomes(); next(rows)
    """,
    "one that closes it": """
        class Service:
            def __init__(self): self.client = client_of(); ask(self.client, "1")
            def __del__(self): self.client.close()
        service = Service()
    """,
    "one that was given a client, and closes it unused": """
        class Service:
            def __init__(self): self.client = client_of(http_client=httpx.Client())
            def __del__(self): self.client.close()
        service = Service()
    """,
    "one that sends": """
        class Service:
            def __init__(self): self.client = client_of(); ask(self.client, "1")
            def __del__(self, kind=RetellError, ask=ask):
                try: ask(self.client, "2")
                except kind as error: assert "the interpreter ends" in str(error)
        service = Service()
    """,
    "one that sends first, and views that close": """
        class Service:
            def __init__(self): self.client = client_of(); self.view = self.client.with_options(max_retries=1)
            def __del__(self, kind=RetellError):
                try: self.client.call.retrieve("2")
                except (kind, ImportError): pass  # what is loaded when it is needed cannot be loaded any more
                self.view.close()
        service = Service()
    """,
    "a thread that has the lock": """
        client = client_of(); ask(client, "1")
        class Service:
            def __del__(self, client=client): client.close()
        service = Service()
        def hold():
            with client._background._lock: time.sleep(60)
        threading.Thread(target=hold, daemon=True).start(); time.sleep(0.2)
    """,
}


@pytest.mark.parametrize("kept", [False, True], ids=["collected", "kept"])
@pytest.mark.parametrize("program", AT_THE_VERY_END.values(), ids=AT_THE_VERY_END)
def test_what_closes_or_sends_while_the_interpreter_ends_waits_for_nobody(program: str, kept: bool) -> None:
    answer = b'{"thing_id":"1","call_id":"1","items":[{"call_id":"1","call_type":"web_call","call_status":"ended"}],"has_more":false}'
    with silent() as server:
        server.respond = lambda _: ok(answer)
        start = time.monotonic()
        # What another module keeps is collected later, when that is cleared.
        text = textwrap.dedent(program) + ("\njson.kept = globals().copy()" if kept else "")
        assert run(text, server.url) == ""
        assert time.monotonic() - start < 10


AFTER_THE_MAIN_THREAD = {
    "thread": "threading.Thread(target=ask_later).start()",
    "thread, and a loop that runs": "ask(client, '1'); threading.Thread(target=ask_later).start()",
    "atexit": "import atexit; atexit.register(ask_later)",
}


@pytest.mark.parametrize(
    "settings", ["", "http_client=httpx.Client()", "http_client=DefaultAsyncHttpxClient()", "http_client=DefaultAioHttpClient()"]
)
@pytest.mark.parametrize("end", AFTER_THE_MAIN_THREAD.values(), ids=AFTER_THE_MAIN_THREAD)
@pytest.mark.parametrize("begins", [True, False], ids=["threads begin", "no thread begins"])
def test_a_request_after_the_end_of_the_main_thread_is_sent(end: str, settings: str, begins: bool) -> None:
    with echoing() as (url, _):
        program = f"""
        import warnings; warnings.simplefilter('ignore', ResourceWarning)
        client = client_of({settings}).with_options(default_headers={{"Connection": "close"}})
        def ask_later():
            time.sleep(0.2)
            print(ask(client, 'after'))
            client.close()
        {end}
        def refused(self): raise RuntimeError("can't create new thread at interpreter shutdown")
        if not {begins}: threading.Thread.start = refused  # as Python 3.12 does from here on
        """
        assert run(program, url.replace("127.0.0.1", "localhost")) == "True\n"


# Greenlets

GREENLETS = """
from gevent import monkey
monkey.patch_all()
import gevent
"""


@pytest.mark.parametrize("settings", ["", "http_client=httpx.Client()"])
def test_greenlets_of_gevent_share_clients_and_none_waits_for_another(settings: str) -> None:
    program = f"""
    clients = [client_of({settings}) for _ in range(2)]
    async def beside():
        async with AsyncRetell("key_1", base_url=sys.argv[1]) as client:
            return (await client.request("GET", "/get-thing/beside"))["thing_id"]
    def waits():
        try: clients[0].request("GET", "/silent", timeout=0.5)
        except APITimeoutError: return "time-out"
    ticks = []
    def ticks_on():
        while True: gevent.sleep(0.01); ticks.append(1)
    ticking = gevent.spawn(ticks_on)
    assert gevent.spawn(waits).get() == "time-out"
    assert len(ticks) > 5, ticks
    ticking.kill()
    asking = [gevent.spawn(lambda client=clients[n % 2], n=n: all(ask(client, f"{{n}}-{{m}}") for m in range(10))) for n in range(20)]
    print(all(each.get() for each in asking), asyncio.run(beside()))
    given_up = gevent.spawn(clients[0].request, "GET", "/silent")
    gevent.sleep(0.2)
    given_up.kill()
    with gevent.Timeout(0.2, False): clients[1].request("GET", "/silent")
    with clients[0].call.with_streaming_response.retrieve("x") as response: print(response.read())
    pool = gevent.get_hub().threadpool
    print(pool.spawn(ask, clients[1], "of a thread of the system").get())
    for client in clients: client.close()
    """
    with silent() as server:
        server.respond = lambda path: None if path == "/silent" else ok(b'{"thing_id":"%s"}' % unquote(path).rpartition("/")[2].encode())
        ended = subprocess.run(
            [sys.executable, "-c", GREENLETS + PRELUDE + textwrap.dedent(program), server.url],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (ended.returncode, ended.stderr) == (0, "")
        assert ended.stdout == 'True beside\nb\'{"thing_id":"x"}\'\nTrue\n'


# Ctrl-C


@pytest.mark.needs("signals")
@pytest.mark.parametrize("how", ["client.request('GET', '/silent')", "list(client.call.list())", "opened()"])
def test_ctrl_c_cancels_the_request_and_the_client_goes_on(how: str) -> None:
    program = f"""
    def opened():
        with client.call.with_streaming_response.retrieve("x"): pass
    client = Retell("key_1", base_url=sys.argv[1], max_retries=0, timeout=60, max_connections=1)
    try:
        {how}
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    sys.stdin.readline()
    print(client.request("GET", "/thing"))  # there is one connection, which is free again
    client.close()
    """
    with (
        silent("/") as server,
        subprocess.Popen(command(program, server.url), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        wait_for(lambda: len(server.requests) == 1)
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "interrupted\n"
        wait_for(lambda: server.open == 0)  # its connection is closed
        server.respond = lambda _: ok()
        process.stdin.write("\n")
        process.stdin.close()
        assert process.stdout.read() == "{'thing_id': '1'}\n"
        assert process.wait(10) == 0


@pytest.mark.needs("signals")
def test_ctrl_c_leaves_an_http_client_that_does_not_await_in_use() -> None:
    program = """
    client = client_of(http_client=httpx.Client())
    try:
        client.request("GET", "/silent")
    except KeyboardInterrupt:
        print(ask(client, "after"), flush=True)
    client.close()
    """
    with silent() as server, subprocess.Popen(command(program, server.url), stdout=subprocess.PIPE, text=True) as process:
        server.respond = lambda path: None if path == "/silent" else ok(b'{"thing_id":"after"}')
        wait_for(lambda: len(server.requests) == 1)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=10)[0] == "True\n"
        assert process.returncode == 0


@pytest.mark.needs("signals")
@pytest.mark.parametrize("settings", ["", "http_client=httpx.Client()"])
def test_ctrl_c_ends_a_program_that_does_not_catch_it(settings: str) -> None:
    program = f"""
    with client_of({settings}) as client:
        client.request("GET", "/silent")
    """
    with silent() as server, subprocess.Popen(command(program, server.url), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        wait_for(lambda: len(server.requests) == 1)
        start = time.monotonic()
        process.send_signal(signal.SIGINT)
        told = process.stderr.read()
        assert process.wait(10) == -signal.SIGINT
        assert time.monotonic() - start < 5
    assert told.count("Traceback") == 1
    assert told.splitlines()[-1].startswith("KeyboardInterrupt")


def wait_for(happened: object) -> None:
    assert callable(happened)
    end = time.monotonic() + 10
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def test_the_thread_is_no_reason_for_a_program_to_go_on() -> None:
    with echoing() as (url, _), Retell(KEY, base_url=url) as client:
        client.request("GET", "/get-thing/1")
        (thread,) = loops()
        assert thread.daemon
        assert thread is not threading.current_thread()
