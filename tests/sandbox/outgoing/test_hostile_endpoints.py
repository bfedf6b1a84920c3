"""Endpoints that nobody would write, on sockets: the sandbox writes down what they did, and goes on."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import hashlib
import socket
import struct
import sys
from asyncio import StreamReader as Reader, StreamWriter as Writer
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest

from retell_async.sandbox import Settings, serve
from retell_async.sandbox.outgoing.sender import Sender

from ...needed import path_of
from ..checked import Api, Json

pytestmark = [pytest.mark.asyncio, pytest.mark.soak, pytest.mark.parallel]

Endpoint = Callable[[Reader, Writer, bytes], Awaitable[None]]
CALLER = "+12015550177"
OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


@asynccontextmanager
async def listening(endpoint: Endpoint) -> AsyncIterator[str]:
    """An endpoint that is given each request as it came, and may write anything. Gives where it is."""

    pending: set[asyncio.Task[None] | None] = set()

    async def connected(reader: Reader, writer: Writer) -> None:
        pending.add(asyncio.current_task())
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                head = await reader.readuntil(b"\r\n\r\n")
                for line in head.lower().split(b"\r\n"):
                    if line.startswith(b"content-length:"):
                        await reader.readexactly(int(line.partition(b":")[2]))
                await endpoint(reader, writer, head)
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=1 << 20)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in filter(None, pending):
            task.cancel()
        await asyncio.gather(*filter(None, pending), return_exceptions=True)


def whole(body: bytes, *headers: bytes) -> bytes:
    return OK + b"".join(header + b"\r\n" for header in headers) + b"content-length: %d\r\n\r\n" % len(body) + body


BOMB = gzip.compress(b'{"call_inbound": {}}' + b" " * (1 << 24))
ANSWERS = {
    "nothing": b"",
    "no HTTP": b"hello\r\n\r\n",
    "a status that is none": b"HTTP/1.1 20 OK\r\n\r\n",
    "a status of its own": b"HTTP/1.1 999 Odd\r\ncontent-length: 0\r\n\r\n",
    "half a body": OK + b"content-length: 100\r\n\r\n{",
    "two lengths": OK + b"content-length: 1\r\ncontent-length: 2\r\n\r\n{}",
    "chunks that are none": OK + b"transfer-encoding: chunked\r\n\r\nzz\r\n",
    "a header without end": OK + b"x: " + b"a" * (1 << 19),
    "a header that is none": OK + b"x\x00y: 1\r\n\r\n",
    "a bomb": whole(BOMB, b"content-encoding: gzip"),
    "an encoding nobody asked for": whole(b"abc", b"content-encoding: br"),
    "no gzip": whole(b"abc", b"content-encoding: gzip"),
    "an endless redirect": b"HTTP/1.1 307 Here\r\nlocation: /\r\ncontent-length: 0\r\n\r\n",
    "UTF-16": whole('{"call_inbound": {"metadata": {"a": "ü"}}}'.encode("utf-16"), b"content-type: application/json; charset=latin-9"),
    "half an emoji": whole(b'{"call_inbound": {"metadata": {"a": "\\ud83d"}, "dynamic_variables": {"b": "\\udc00"}}}'),
    "no number": whole(b'{"call_inbound": {"metadata": {"a": NaN, "b": 1e999}}}'),
    "a deep answer": whole(b'{"call_inbound": {"metadata": ' + b'{"a":' * 3_000 + b"1" + b"}" * 3_000 + b"}}"),
    "null": whole(b'{"call_inbound": {"agent_override": {"agent": null}}}'),
}
GOOD = {"UTF-16", "half an emoji", "no number", "a deep answer", "null"}


@pytest.mark.parametrize("name", ANSWERS)
async def test_an_answer_before_a_call(name: str) -> None:
    async def endpoint(_: Reader, writer: Writer, __: bytes) -> None:
        writer.write(ANSWERS[name])

    async with listening(endpoint) as where:
        api, called = account(f"http://{where}/")
        contact = api.sandbox.ring(CALLER, called)
        await Sender(api.sandbox).advance(600)
        (delivery, *_) = api.sandbox.outbox.log
        assert contact.call_id is not None
        assert delivery.state == ("delivered" if name in GOOD else "failed")
        assert len(delivery.attempts) == (1 if name in GOOD else 4)
        assert all(len(attempt.result.content) < 1 << 20 for attempt in delivery.attempts)
        assert "analyzed" in events(api)


def account(hook: str) -> tuple[Api, str]:
    api = Api(Settings(outcomes={"user_hangup": 1}))
    agents = [{"agent_id": api.agent(webhook_url=hook, webhook_timeout_ms=300), "weight": 1}]
    made = api.post("/create-phone-number", {"inbound_agents": agents, "outbound_agents": agents, "inbound_webhook_url": hook})
    return api, str(made["phone_number"])


def events(api: Api) -> list[str]:
    return [delivery.name.removeprefix("call_") for delivery in api.sandbox.outbox.log if delivery.state != "pending"]


@pytest.mark.parametrize("promised", [b"transfer-encoding: chunked\r\n\r\n", b"connection: close\r\n\r\n"])
async def test_answers_without_end(promised: bytes) -> None:
    sent = 0

    async def endpoint(_: Reader, writer: Writer, __: bytes) -> None:
        nonlocal sent
        writer.write(OK + promised)
        chunk = b"8000\r\n" + b" " * 0x8000 + b"\r\n"
        while True:
            writer.write(chunk)
            await writer.drain()
            sent += len(chunk)

    async with listening(endpoint) as where:
        api, called = account(f"http://{where}/")
        contact = api.sandbox.ring(CALLER, called)
        await Sender(api.sandbox).advance(600)
        asked, *told = api.sandbox.outbox.log
        assert contact.call_id is not None
        assert {attempt.result.problem for attempt in asked.attempts} == {"an answer of more than 1048576 bytes"}
        assert {delivery.state for delivery in told} == {"delivered"}  # what they answer is not looked at
    assert sent < 100 << 20


async def test_silence_and_requests_that_cannot_be_sent() -> None:
    async def endpoint(_: Reader, __: Writer, ___: bytes) -> None:
        await anyio.sleep_forever()

    async with listening(endpoint) as where:
        api = Api(Settings(outcomes={"user_hangup": 1}))
        odd: list[Json] = [
            {"url": f"http://{where}/", "timeout_ms": 1000},
            {"url": f"http://{where}/\ud83d"},
            {"url": f"http://{where}/", "headers": {"x": "line\nbreak"}},
            {"url": f"http://{where}/", "headers": {"n\xe9": "\ud83d"}},
            {"url": f"http://{where}/", "headers": {"content-length": "5", "transfer-encoding": "chunked", "host": ""}, "timeout_ms": 1000},
            {"url": "{{nowhere}}"},
        ]
        tools = [{"type": "custom", "name": f"tool_{number}", **tool} for number, tool in enumerate(odd)]
        engine = {"type": "retell-llm", "llm_id": api.llm(general_tools=tools)}
        agents = [{"agent_id": api.agent(response_engine=engine), "weight": 1}]
        number = str(api.post("/create-phone-number", {"outbound_agents": agents})["phone_number"])
        for line in range(100, 104):
            api.call(number, f"+1201555{line:04}")
        await Sender(api.sandbox).advance(1_200)
        asked = {delivery.name: delivery.attempts[0].result.problem for delivery in api.sandbox.outbox.log}
        assert len(asked) == len(tools)
        assert all(asked.values())
        assert api.sandbox.outbox.pending == 0
        assert {call["call_status"] for call in api.calls(limit=100)} == {"ended"}


Frames = Callable[[Reader, Writer], Awaitable[None]]


def frame(payload: bytes, *, opcode: int = 1, final: bool = True) -> bytes:
    length = len(payload)
    size = (
        bytes([length])
        if length < 126
        else b"\x7e" + struct.pack("!H", length)
        if length < 1 << 16
        else b"\x7f" + struct.pack("!Q", length)
    )
    return bytes([opcode | (0x80 if final else 0)]) + size + payload


async def garbage(_: Reader, writer: Writer) -> None:
    writer.write(b"\xff" * 1_000)


async def no_text(_: Reader, writer: Writer) -> None:
    writer.write(frame(b"\xff\xfe"))


async def early_end(_: Reader, __: Writer) -> None:
    """The connection is closed, and nothing was said."""


async def half_a_message_for_ever(_: Reader, writer: Writer) -> None:
    writer.write(frame(b"{", final=False))
    while True:
        writer.write(frame(b" " * 60_000, opcode=0, final=False))
        await writer.drain()


async def flood(_: Reader, writer: Writer) -> None:
    while True:
        writer.write(frame(b'{"response_type": "config", "config": {"call_details": true}}') * 100)
        await writer.drain()


async def a_huge_frame(_: Reader, writer: Writer) -> None:
    writer.write(b"\x81\x7f" + struct.pack("!Q", 1 << 62))
    while True:
        writer.write(b" " * 60_000)
        await writer.drain()


async def odd_close(_: Reader, writer: Writer) -> None:
    writer.write(frame(struct.pack("!H", 999) + b"\xff", opcode=8))


async def deep(_: Reader, writer: Writer) -> None:
    writer.write(frame(b"[" * 60_000) + frame(struct.pack("!H", 1000), opcode=8))


@pytest.mark.parametrize("act", [garbage, no_text, early_end, half_a_message_for_ever, flood, a_huge_frame, odd_close, deep])
async def test_a_custom_llm(act: Frames, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retell_async.sandbox.outgoing.llm_session._MOST_HEARD", 1 << 18)

    async def endpoint(reader: Reader, writer: Writer, head: bytes) -> None:
        key = next(line.split()[1] for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:"))
        accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", usedforsecurity=False).digest())
        writer.write(b"HTTP/1.1 101 Go\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: " + accept + b"\r\n\r\n")
        await act(reader, writer)

    async with listening(endpoint) as where:
        api, call_id = talker(f"ws://{where}/llm")
        async with serve(api.sandbox) as served:
            with anyio.fail_after(60):
                await served.advance(300)
            call = api.get(f"/v2/get-call/{call_id}")
            assert call["call_status"] == ("ended" if act is deep else "error"), call["disconnection_reason"]
            assert not api.sandbox.sessions


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", b"HTTP/1.1 101 Go\r\n\r\n", whole(b"x" * 100_000)]
)
async def test_a_custom_llm_that_does_not_open(answer: bytes) -> None:
    async def endpoint(_: Reader, writer: Writer, __: bytes) -> None:
        writer.write(answer)

    async with listening(endpoint) as where:
        api, call_id = talker(f"ws://{where}/llm")
        async with serve(api.sandbox) as served:
            await served.advance(300)
        assert api.get(f"/v2/get-call/{call_id}")["disconnection_reason"].startswith("error_llm_websocket")


def talker(url: str) -> tuple[Api, str]:
    api = Api(Settings(outcomes={"user_hangup": 1}))
    agent_id = api.agent(response_engine={"type": "custom-llm", "llm_websocket_url": url})
    return api, str(api.call(api.number(), override_agent_id=agent_id)["call_id"])


async def test_clients_of_its_own() -> None:
    odd = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /%ff%00/../\xff HTTP/1.1\r\nhost: a\r\n\r\n",
        b"POST /v2/create-phone-call HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n{",
        b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"a" * (1 << 20),
        b"GET /llm HTTP/1.1\r\nhost: a\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-key: YQ==\r\n\r\n",
        b"POST /sandbox/calls HTTP/1.1\r\nhost: a\r\ncontent-length: 7\r\n\r\n[[[[[[[",
        b'POST /sandbox/clock HTTP/1.1\r\nhost: a\r\ncontent-length: 20\r\n\r\n{"advance": NaN}    ',
        b"DELETE /sandbox/faults/" + b"9" * 6_000 + b" HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET /sandbox/requests?limit=" + b"9" * 6_000 + b" HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET /sandbox/files/../../page.js HTTP/1.1\r\nhost: a\r\n\r\n",
    ]
    async with serve() as served, httpx.AsyncClient(base_url=served.url, headers={"authorization": "Bearer k"}) as client:
        address = httpx.URL(served.url)
        for request in odd:
            reader, writer = await asyncio.open_connection(address.host, address.port)
            with contextlib.suppress(OSError):
                writer.write(request)
                await writer.drain()
                with anyio.move_on_after(0.2):
                    assert not (await reader.read(1 << 16)).startswith(b"HTTP/1.1 500")
            writer.close()
            assert (await client.get(path_of("listVoices"))).status_code == 200


async def test_what_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retell_async.sandbox.http.app._LARGEST", 1_000)
    async with serve() as served, httpx.AsyncClient(base_url=served.url, headers={"authorization": "Bearer k"}) as client:
        assert (await client.post("/create-retell-llm", json={"general_prompt": "a" * 1_000})).status_code == 413
        assert (await client.post("/create-retell-llm", json={"general_prompt": "a"})).status_code == 201


async def test_the_program_lives_and_ends_when_it_is_told_to() -> None:
    """With an endpoint that answers with what used to end the server, and one that keeps its connections open."""

    async def endpoint(_: Reader, writer: Writer, head: bytes) -> None:
        if b"sec-websocket" in head.lower():
            await anyio.sleep_forever()
        writer.write(ANSWERS["null"])

    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    async with listening(endpoint) as where:
        options = ["--port", str(port), "--examples", "--speed", "60", "--webhook-url", f"http://{where}/"]
        program = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "retell_async.sandbox", *options, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        assert program.stdout is not None
        await program.stdout.readline()
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers={"authorization": "Bearer k"}) as client:
            (number,) = (await client.get("/v2/list-phone-numbers")).json()["items"]
            llm = {"type": "custom-llm", "llm_websocket_url": f"ws://{where}/llm"}
            agent = (await client.post("/create-agent", json={"voice_id": "retell-Cimo", "response_engine": llm})).json()
            changes: dict[str, Any] = {"inbound_webhook_url": f"http://{where}/"}
            await client.patch(f"/update-phone-number/{number['phone_number']}", json=changes)
            body = {"from_number": number["phone_number"], "to_number": CALLER, "override_agent_id": agent["agent_id"]}
            assert (await client.post("/v2/create-phone-call", json=body)).status_code == 201
            for _ in range(5):
                rung = await client.post("/sandbox/calls", json={"from_number": CALLER, "to_number": number["phone_number"]})
                assert rung.status_code == 200
            await anyio.sleep(1)
            calls = (await client.post("/v3/list-calls")).json()["items"]
            assert sum(call["direction"] == "inbound" for call in calls) == 5
        program.terminate()
        with anyio.fail_after(15):
            _, errors = await program.communicate()
    assert errors == b""
