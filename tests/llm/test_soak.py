"""Over real sockets: uvicorn, the websockets library, kills, many calls at once, and the sandbox as Retell."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from random import Random
from time import perf_counter
from typing import Any

import anyio
import hypercorn.asyncio
import hypercorn.config
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from retell_async import AsyncRetell, ConfigurationError, llm
from retell_async.llm.serving import websockets
from retell_async.sandbox import Sandbox, Settings, SteppedClock, serve

from ..http.test_transport import serving
from .serving import SECRET, Retell, application, calling, served
from .talk import talking, user
from .test_session import FAILURE

pytestmark = pytest.mark.soak

Turns = AsyncIterator[str]
Door = Callable[[llm.App], AbstractAsyncContextManager[str]]


async def echo(turn: llm.Turn) -> Turns:
    yield f"{turn.id}: "
    yield turn.said


@asynccontextmanager
async def by_websockets(app: llm.App) -> AsyncGenerator[str]:
    async with websockets.serve(app, port=0, drain_within=5) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/{SECRET}"


@asynccontextmanager
async def by_wsproto(app: llm.App) -> AsyncGenerator[str]:
    async with served(app, ws="wsproto") as url:
        yield url


DOORS: list[Door] = [served, by_wsproto, by_websockets]


@pytest.mark.asyncio
@pytest.mark.parametrize("door", DOORS)
async def test_a_call(door: Door) -> None:
    app = application(echo)
    async with door(app) as url:
        async with calling(url) as retell:
            assert await retell.text(0) == "Hello."
            await retell.ask(1, {"role": "user", "content": "Grüß Gott"})
            assert await retell.text(1) == "1: Grüß Gott"
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"{url.removesuffix(SECRET)}wrong-secret/call_1")
        assert refused.value.response.status_code == 403
    assert not app.sessions
    assert app.stats.calls == 1


@pytest.mark.asyncio
@pytest.mark.parametrize("door", DOORS)
async def test_broken_frames_of_every_kind(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "retell_async.llm")
    app = application(echo, limits=llm.Limits(message_bytes=100_000))
    async with door(app) as url, calling(url) as retell:
        await retell.text(0)
        await retell.ask(5)
        await retell.text(5)
        for _ in range(2):
            for frame in (
                "{",
                "",
                "[]",
                "null",
                b"\x00\xff",
                b"{}",
                '{"interaction_type": 5}',
                '{"interaction_type": "response_required"}',
            ):
                await retell.tell(frame)
            await retell.tell(json.dumps({"interaction_type": "update_only", "transcript": [], "padding": "x" * 150_000}))
            await retell.ask(4)
            await retell.ask(5)
        await retell.ask(6, {"role": "user", "content": "still here"})
        assert await retell.text(6) == "6: still here"
        assert app.stats.ignored == 22
    messages = Counter(record.getMessage() for record in caplog.records if "ignored" in record.getMessage())
    assert set(messages.values()) == {1}


@pytest.mark.asyncio
@pytest.mark.parametrize("door", DOORS)
async def test_a_socket_that_is_killed_in_the_middle_of_an_answer(door: Door) -> None:
    async def slow(turn: llm.Turn) -> Turns:
        turn.session.state["begun"] = turn.session.state.get("begun", 0) + 1
        yield "One. "
        await anyio.sleep(0.3)
        yield f"Two. {turn.session.state['begun']}"

    app = application(slow, reconnect_within=5)
    async with door(app) as url:
        async with calling(url) as retell:
            await retell.text(0)
            await retell.ask(1)
            while (await retell.receive()).get("content") != "One. ":
                pass
            retell.socket.transport.abort()
        async with calling(url) as retell:
            assert await retell.text(0) == ""
            await retell.ask(1)
            assert await retell.text(1) == "One. Two. 2"
    assert app.stats.reconnects == 1


@pytest.mark.asyncio
@pytest.mark.parametrize("door", DOORS)
async def test_what_is_not_admitted_is_closed_with_1008(door: Door) -> None:
    app = application(echo, admit={"tenant": "acme"})
    async with door(app) as url, calling(url) as retell:
        with pytest.raises(ConnectionClosed):
            await retell.text(0)
        assert retell.socket.close_code == 1008


@pytest.mark.asyncio
@pytest.mark.parametrize("door", ["websockets", "uvicorn"])
async def test_a_flood_is_closed_at_once(door: str) -> None:
    app = application(echo, limits=llm.Limits(messages_per_second=2))
    async with AsyncExitStack() as stack:
        if door == "websockets":
            server = await stack.enter_async_context(websockets.serve(app, port=0, drain_within=1))
            url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/{SECRET}"
        else:
            url = await stack.enter_async_context(served(app))
        async with connect(f"{url}/call_1") as socket:
            begun = anyio.current_time()
            with suppress(ConnectionClosed):
                for number in range(200):
                    await socket.send(json.dumps({"interaction_type": "ping_pong", "timestamp": number}))
                while True:
                    await socket.recv()
            assert socket.close_code == 1008
            assert anyio.current_time() - begun < 2


@pytest.mark.asyncio
async def test_a_websockets_server_that_is_left_leaves_its_calls_for_another() -> None:
    app = application(echo, finish_within=0.5)
    async with websockets.serve(app, port=0, drain_within=0.2) as server:
        url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/{SECRET}"
        socket = await connect(f"{url}/call_1")
        await Retell(socket).text(0)
    await socket.wait_closed()
    assert socket.close_code == 1006
    assert not app.sessions


@pytest.mark.asyncio
@pytest.mark.parametrize("logger", [None, logging.getLogger("of.my.own"), logging.LoggerAdapter(logging.getLogger("of.my.own"), {})])
async def test_the_log_of_the_websockets_library_has_no_secret(
    logger: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "websockets.client")  # Retell's side
    caplog.set_level(logging.DEBUG)
    usual = logging.getLogger("websockets.server")  # a server that ran in this process before may have set it otherwise
    caplog.set_level(logging.DEBUG, usual.name)
    monkeypatch.setattr(usual, "disabled", False)
    monkeypatch.setattr(usual, "propagate", True)
    app = application(echo)
    async with websockets.serve(app, port=0, drain_within=1, logger=logger) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with calling(f"ws://127.0.0.1:{port}/{SECRET}") as retell:
            await retell.text(0)
        for version in ("9.9", "1.1"):
            stream = await anyio.connect_tcp("127.0.0.1", port)
            async with stream:
                await stream.send(f"GET /{SECRET}/call_2 HTTP/{version}\r\nHost: x\r\n\r\n".encode())
                with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                    await stream.receive()
    assert "GET /***/call_1" in caplog.text
    assert "GET /***/call_2 HTTP/9.9" in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.asyncio
async def test_a_handler_without_its_check() -> None:
    from websockets.asyncio.server import serve as serve_websockets

    async with serve_websockets(websockets.Handler(application(echo)), "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}/{SECRET}/call_1") as socket:
            with pytest.raises(ConnectionClosed):
                await socket.recv()


_WITHOUT = """
import sys
from importlib.abc import MetaPathFinder

class Missing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {missing!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
from retell_async import llm
{use}
"""


@pytest.mark.parametrize(
    ("missing", "use", "what"),
    [
        ("uvicorn", "app = llm.App(secret=None); app.agent(lambda turn: None); llm.serve(app)", "llm.serve"),
        ("websockets", "app = llm.App(secret=None); app.agent(lambda turn: None); llm.serve(app)", "llm.serve"),
        ("websockets", "import retell_async.llm.serving.websockets", "retell_async.llm.serving.websockets"),
    ],
)
def test_one_line_says_which_extra_to_install(missing: str, use: str, what: str) -> None:
    program = _WITHOUT.format(missing=missing, use=use)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "During handling" not in done.stderr
    assert done.stderr.splitlines()[-1] == (f"ModuleNotFoundError: {missing} is missing: {what} needs `pip install 'retell-async[llm]'`")


def test_several_processes_are_not_started_silently() -> None:
    with pytest.raises(ConfigurationError, match="one process"):
        llm.serve(llm.App(secret=None), workers=4)


# A process that is told to end.


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@asynccontextmanager
async def process(port: int, drain_within: float, *more: str) -> AsyncGenerator[subprocess.Popen[str]]:
    async with started("-m", "tests.llm.service", str(port), str(drain_within), *more, port=port) as running:
        yield running


@asynccontextmanager
async def started(*arguments: str, port: int) -> AsyncGenerator[subprocess.Popen[str]]:
    command = [sys.executable, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    running = subprocess.Popen(  # noqa: ASYNC220 - started while nothing else runs
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )
    try:
        await listened_to(port)
        yield running
    finally:
        running.kill()
        with running:
            running.wait()


async def listened_to(port: int) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        await anyio.sleep(0.05)


async def takes_no_new_call(url: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"{url}/call_2")
    assert refused.value.response.status_code == 503


async def greeted(url: str) -> Retell:
    """A connection that its test or the server ends."""
    retell = Retell(await connect(f"{url}/call_1"))
    await retell.text(0)
    return retell


@pytest.mark.needs("signals")
@pytest.mark.asyncio
async def test_a_server_that_is_told_to_end_waits_for_its_calls() -> None:
    port = free_port()
    async with process(port, 60) as running:
        url = f"ws://127.0.0.1:{port}/{SECRET}"
        async with calling(url) as retell:
            await retell.text(0)
            running.send_signal(signal.SIGTERM)
            await anyio.sleep(0.5)
            await takes_no_new_call(url)
            await retell.ask(1)
            assert await retell.text(1) == "One. Two."
            assert running.poll() is None
        output, _ = await asyncio.to_thread(running.communicate, timeout=20)
    assert running.returncode == 0
    assert output.splitlines()[-1] == "drained"
    assert SECRET not in output
    assert "***/call_1" in output
    assert "Traceback" not in output


@pytest.mark.needs("signals")
@pytest.mark.asyncio
@pytest.mark.parametrize(("drain_within", "signals"), [(0.5, 1), (60, 2)])
async def test_calls_that_do_not_end_in_time_are_left_without_a_close(drain_within: float, signals: int) -> None:
    port = free_port()
    async with process(port, drain_within) as running:
        retell = await greeted(f"ws://127.0.0.1:{port}/{SECRET}")
        for _ in range(signals):
            running.send_signal(signal.SIGTERM)
            await anyio.sleep(0.3)
        with pytest.raises(ConnectionClosed):
            await retell.receive()
        assert retell.socket.close_code == 1006  # after which Retell connects again
        await asyncio.to_thread(running.communicate, timeout=20)


@pytest.mark.needs("signals")
@pytest.mark.asyncio
async def test_all_applications_of_a_service_are_waited_for() -> None:
    port = free_port()
    async with process(port, 60, "both") as running:
        second = f"ws://127.0.0.1:{port}/second/another-of-the-tests"
        async with calling(second) as booking:
            await booking.text(0)
            async with calling(f"ws://127.0.0.1:{port}/first/{SECRET}") as retell:
                await retell.text(0)
                running.send_signal(signal.SIGTERM)
                await anyio.sleep(0.5)
                await takes_no_new_call(second)
                await retell.ask(1)
                assert await retell.text(1) == "One. Two."
            await anyio.sleep(0.5)  # the first has no calls any more
            await booking.ask(1)
            assert await booking.text(1) == "One moment. Booked."
        output, _ = await asyncio.to_thread(running.communicate, timeout=20)
    assert "of-the-tests" not in output
    assert "shutting down when 2 calls are over" in output


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("drain_within", "signals"), [(0.5, [signal.SIGTERM]), (60, [signal.SIGTERM, signal.SIGTERM]), (60, [signal.SIGINT] * 2)]
)
async def test_a_side_effect_that_is_under_way_is_finished_first(drain_within: float, signals: list[signal.Signals]) -> None:
    port = free_port()
    async with process(port, drain_within, "both") as running:
        retell = await greeted(f"ws://127.0.0.1:{port}/second/another-of-the-tests")
        await retell.ask(1)
        while (await retell.receive())["content"] != "One moment. ":
            pass
        for each in signals:
            running.send_signal(each)
            await anyio.sleep(0.3)
        output, _ = await asyncio.to_thread(running.communicate, timeout=20)
        with pytest.raises(ConnectionClosed):
            await retell.receive()
        assert retell.socket.close_code == 1006
    said = [line for line in output.splitlines() if line in {"begun", "booked", "left: shutdown", "the service is over"}]
    assert said == ["begun", "booked", "left: shutdown", "the service is over"]


@pytest.mark.needs("signals")
@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("command", "ends_after", "code"),
    [
        ("uvicorn --port {port}", 0, 1012),
        ("hypercorn --bind 127.0.0.1:{port}", 3, 1011),
        ("hypercorn --worker-class trio --bind 127.0.0.1:{port}", 3, 1006),
        ("hypercorn --graceful-timeout 30 --bind 127.0.0.1:{port}", 30, 1000),
        ("hypercorn --graceful-timeout 30 --worker-class trio --bind 127.0.0.1:{port}", 30, 1000),
    ],
)
async def test_what_other_servers_do_with_calls_when_they_are_told_to_end(command: str, ends_after: float, code: int) -> None:
    port = free_port()
    async with started("-m", *command.format(port=port).split(), "tests.llm.service:app", port=port) as running:
        retell = await greeted(f"ws://127.0.0.1:{port}/{SECRET}")
        running.send_signal(signal.SIGTERM)
        begun = perf_counter()
        if ends_after:
            await anyio.sleep(1)
            await retell.ask(1)
            assert await retell.text(1) == "One. Two."
        if code == 1000:
            with pytest.raises((OSError, TimeoutError)):
                await connect(f"ws://127.0.0.1:{port}/{SECRET}/call_2", open_timeout=3)
            await retell.socket.close()
        with anyio.fail_after(10):
            await retell.socket.wait_closed()
        assert retell.socket.close_code == code
        await asyncio.to_thread(running.communicate, timeout=10)
        assert perf_counter() - begun < 15


@pytest.mark.asyncio
async def test_hypercorn_does_not_tell_that_retell_has_hung_up() -> None:
    ended: list[str | None] = []
    over = anyio.Event()

    class Receptionist(llm.Agent):
        def on_turn(self, turn: llm.Turn) -> str:
            return "Yes."

        async def on_exit(self, session: llm.Session) -> None:
            ended.append(session.ended)
            over.set()

    app = llm.App(secret=SECRET, reconnect_within=0.5)
    app.agent(Receptionist)
    port, stop = free_port(), anyio.Event()
    config = hypercorn.config.Config()
    config.bind, config.errorlog, config.accesslog = [f"127.0.0.1:{port}"], None, None
    serving = asyncio.create_task(hypercorn.asyncio.serve(app, config, shutdown_trigger=stop.wait))  # type: ignore[arg-type]
    await listened_to(port)
    retell = await greeted(f"ws://127.0.0.1:{port}/{SECRET}")
    await retell.socket.close()
    assert retell.socket.close_code == 1000
    with anyio.fail_after(10):
        await over.wait()
    stop.set()
    await serving
    assert ended == ["lost"]


@pytest.mark.asyncio
async def test_a_server_that_is_killed_and_started_again() -> None:
    port = free_port()
    async with process(port, 1) as running:
        retell = await greeted(f"ws://127.0.0.1:{port}/{SECRET}")
        await retell.ask(1)
        running.kill()
        await retell.socket.wait_closed()
        assert retell.socket.close_code == 1006
    async with process(port, 1), calling(f"ws://127.0.0.1:{port}/{SECRET}") as retell:
        await retell.ask(1)
        assert await retell.text(1) == "One. Two."


# Many.


@pytest.mark.needs("proc")
@pytest.mark.asyncio
async def test_five_hundred_calls_of_twenty_turns(capsys: pytest.CaptureFixture[str]) -> None:
    calls, turns = 500, 20
    effects: Counter[str] = Counter()

    async def effect(key: str) -> str:
        effects[key] += 1
        await anyio.sleep(0.01)
        return key

    async def answer(turn: llm.Turn) -> Turns:
        yield "One "
        await anyio.sleep(0.02)
        key = f"{turn.session.call_id}:{turn.id // 4}"
        yield await turn.once(key, lambda: effect(key))
        yield " two."

    app = application(answer, limits=llm.Limits(calls=calls))
    before = set(asyncio.all_tasks())
    outdated = 0
    wrong: list[str] = []
    base = peak = 0

    async def call(url: str, which: int) -> None:
        nonlocal outdated
        rng = Random(which)
        async with calling(url, f"call_{which}") as retell:
            await retell.text(0)
            all_there.append(which)
            if len(all_there) == calls:
                everybody.set()
            await everybody.wait()
            transcript: list[Any] = []
            id = 0
            for _ in range(turns):
                transcript.append({"role": "user", "content": f"line {id}", "words": []})
                id += 1
                await retell.ask(id, *transcript)
                while rng.random() < 0.3:  # the caller goes on speaking
                    await anyio.sleep(rng.random() * 0.05)
                    id += 1
                    await retell.ask(id, *transcript)
                complete = 0
                text = ""
                while not complete:
                    frame = await retell.receive()
                    if frame["response_type"] != "response":
                        continue
                    if frame["response_id"] != id:
                        outdated += 1  # sent before the newer request had arrived
                        continue
                    text += frame["content"]
                    complete += frame["content_complete"]
                if text != f"One call_{which}:{id // 4} two.":
                    wrong.append(text)
                transcript.append({"role": "agent", "content": text, "words": []})
            extra = None
            with anyio.move_on_after(0.05):
                extra = await retell.socket.recv()
            if extra is not None:
                wrong.append(str(extra))

    all_there: list[int] = []
    everybody = anyio.Event()
    async with served(app) as url:
        base = rss()
        async with anyio.create_task_group() as tasks:
            for which in range(calls):
                tasks.start_soon(call, url, which)
            await everybody.wait()
            peak = rss()
        with anyio.fail_after(20):
            await app.drain()
    assert wrong == []
    assert set(effects.values()) == {1}
    assert app.stats.calls == calls
    assert (app.stats.failed, app.stats.timed_out, app.stats.ignored) == (0, 0, 0)
    assert app.stats.turns >= calls * turns
    assert set(asyncio.all_tasks()) - before <= {task for task in asyncio.all_tasks() if task is asyncio.current_task()}
    with capsys.disabled():
        per_call = (peak - base) / calls / 1024
        print(f"\n{calls} calls of {turns} turns: {app.stats}")
        print(f"{outdated} frames crossed a newer request; {per_call:.0f} KiB a call, both ends")


@pytest.mark.asyncio
async def test_what_this_layer_adds(capsys: pytest.CaptureFixture[str]) -> None:
    """From a request to the first byte of its answer, with a hundred calls of one turn a second each."""

    async def answer(turn: llm.Turn) -> Turns:
        yield "Yes."

    app = application(answer)
    took: list[float] = []

    async def call(url: str, which: int) -> None:
        async with calling(url, f"call_{which}") as retell:
            await retell.text(0)
            await anyio.sleep(Random(which).random())
            transcript = [{"role": "user", "content": "Are you open?", "words": [{"word": "open?", "start": 1.0, "end": 1.4}] * 3}] * 20
            for id in range(1, 7):
                begun = perf_counter()
                await retell.ask(id, *transcript)
                await retell.receive()
                took.append(perf_counter() - begun)
                await anyio.sleep(1)

    async with served(app) as url, anyio.create_task_group() as tasks:
        for which in range(100):
            tasks.start_soon(call, url, which)
    median = statistics.median(took) * 1000
    with capsys.disabled():
        p95 = sorted(took)[int(len(took) * 0.95)] * 1000
        print(f"\nfrom request to first byte, both ends in one process: median {median:.2f} ms, p95 {p95:.2f} ms")
    assert median < 2


def rss() -> int:
    """Bytes of memory in use."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# The sandbox as Retell.


@pytest.mark.asyncio
async def test_calls_of_the_sandbox() -> None:
    key = "key_of_the_llm_tests"

    async def answer(turn: llm.Turn) -> Turns:
        name = turn.call.retell_llm_dynamic_variables["name"] if turn.call is not None and turn.call.retell_llm_dynamic_variables else "?"
        if turn.id == 2:
            yield f"Goodbye {name}."
            turn.end_call()
        else:
            yield f"Yes {name}."

    app = application(answer)
    async with (
        served(app) as url,
        serve(Sandbox(Settings(api_key=key, outcomes={"user_hangup": 1}), SteppedClock())) as sandbox,
        AsyncRetell(key, base_url=sandbox.url) as client,
    ):
        agent = await client.agent.create(
            response_engine={"type": "custom-llm", "llm_websocket_url": url.replace("ws://", "http://")}, voice_id="retell-Cimo"
        )
        created = await client.call.create_web_call(agent_id=agent.agent_id, retell_llm_dynamic_variables={"name": "Ann"})
        await sandbox.advance(600)
        call = await client.call.retrieve(created.call_id)
    assert call.disconnection_reason in {"agent_hangup", "user_hangup"}
    transcript = call.transcript or ""
    assert transcript.startswith("Agent: Hello.")
    assert "Agent: Yes Ann." in transcript
    assert app.stats.calls == 1
    assert (app.stats.failed, app.stats.ignored, app.stats.reconnects) == (0, 0, 0)


# The example.


@pytest.mark.asyncio
async def test_one_command_starts_it() -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "PORT": "8973"}
    with subprocess.Popen(  # noqa: ASYNC220 - started while nothing else runs
        [sys.executable, "-m", "examples.custom_llm"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as running:
        assert running.stdout is not None
        url = (await asyncio.to_thread(running.stdout.readline)).strip()
        assert re.fullmatch(r"ws://127\.0\.0\.1:8973/[A-Za-z0-9_-]{43}", url)
        while "running on" not in await asyncio.to_thread(running.stdout.readline):
            pass
        async with calling(url) as retell:
            assert await retell.text(0) == "Hello, when would you like to come?"
            await retell.ask(1, user("At ten"))
            assert await retell.text(1) == "One moment, please. You are booked at ten. Is there anything else?"
        running.terminate()
        output = await asyncio.to_thread(running.stdout.read)
    assert url.rpartition("/")[2] not in output


WORDS = b'data: {"choices": [{"delta": {"content": "No."}, "finish_reason": "stop"}]}\n\n'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(WORDS), WORDS)
HANG_UP = b""


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
@pytest.mark.parametrize(
    ("answers", "said", "closed_after"),
    [
        ([ANSWER, HANG_UP, ANSWER, HANG_UP, ANSWER], ["No.", "No.", "No."], -1),
        ([ANSWER, HANG_UP, HANG_UP, ANSWER], ["No.", "closed the connection without an answer", "No."], -1),
        ([HANG_UP, ANSWER], ["closed the connection without an answer", "No."], -1),
        ([ANSWER, b"HTTP/1.1 2", ANSWER], ["No.", "RemoteProtocolError", "No."], 2),
        ([ANSWER, b"no HTTP\r\n\r\n", ANSWER], ["No.", "no HTTP", "No."], -1),
    ],
)
async def test_a_chat_endpoint_that_closes_a_kept_connection_is_asked_again(
    answers: list[bytes], said: list[str], closed_after: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Servers close a connection after some seconds without a request, and one may be on its way just then."""
    app = llm.App(secret=None, begin_message="Hello.", call_details=False)
    left = list(answers)
    async with serving(lambda _: left.pop(0)) as server:
        server.close_after = closed_after
        completions = llm.ChatCompletions(server.url, model="m1")
        app.agent(completions)
        async with talking(app) as talk:
            line = await talk.greeted()
            for id, expected in enumerate(said, 1):
                answer = await line.answer(id, user("a"))
                assert answer == (expected if expected == "No." else FAILURE)
                assert expected == "No." or expected in caplog.text
        await completions.aclose()
    assert not left
    assert len(server.requests) == len(answers)
