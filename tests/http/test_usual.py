"""Usual answers, read by llhttp, and all others, read by h11: whoever reads one, it is the same."""

from __future__ import annotations

import gc
from collections.abc import Coroutine
from enum import Enum
from random import Random
from typing import Any, cast

import attrs
import h11
import httpx
import pytest

from retell_async._http.wire import usual
from retell_async._http.wire.http1 import BufferedRequest, BufferedResponse, Http1Connection

LENGTH = ("Content-Length", "2")
HEADERS = [("Host", "retell.test"), ("Accept", "*/*"), ("authorization", "Bearer key"), LENGTH]


class Script:
    """A connection over which these bytes come, in these parts, and then nothing more: it ends, breaks or goes on without a byte."""

    def __init__(self, parts: list[bytes], end: type[OSError] | None = None) -> None:
        self.parts = parts
        self.end = end
        self.sent = b""
        self.is_open = True

    async def send(self, data: bytes, timeout: float | None) -> None:
        self.sent += data

    async def receive(self, timeout: float | None) -> bytes:
        if self.parts:
            return self.parts.pop(0)
        if self.end is not None:
            raise self.end
        return b""

    def is_quiet(self) -> bool:
        return self.is_open

    async def aclose(self) -> None:
        self.is_open = False

    def drop(self) -> None:
        self.is_open = False


def request(**changed: Any) -> BufferedRequest:
    values: dict[str, Any] = {"method": "POST", "target": "/x?y=1", "headers": HEADERS, "content": b"{}"} | changed
    return BufferedRequest(("http", "retell.test", None), values["method"], "http://retell.test", *list(values.values())[1:])


def at_once(running: Coroutine[Any, Any, BufferedResponse]) -> BufferedResponse:
    """What a coroutine returns that never waits."""
    with pytest.raises(StopIteration) as stopped:
        running.send(None)
    return cast("BufferedResponse", stopped.value.value)


def outcome(parts: list[bytes], end: type[OSError] | None, sending: BufferedRequest, *, by_llhttp: bool) -> tuple[Any, ...]:
    """What comes of a request: the answer or the error, whether the connection goes on, and what was sent."""
    stream = Script(list(parts), end)
    connection = Http1Connection("retell.test", 80, None)
    connection._stream = stream
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(usual, "HAS_LLHTTP", by_llhttp)
        try:
            got: BufferedResponse | Exception = at_once(connection.exchange(sending, {}))
        except httpx.RequestError as error:
            got = error
    sent = sorted(stream.sent.partition(b"\r\n\r\n")[0].split(b"\r\n")), stream.sent.partition(b"\r\n\r\n")[2]
    if isinstance(got, Exception):
        return type(got), str(got), stream.is_open, sent
    broken = None if got.broken is None else (type(got.broken), str(got.broken))
    return got.status, got.headers, got.reason, None if broken else got.content, broken, stream.is_open, sent


def same(parts: list[bytes], end: type[OSError] | None = None, sending: BufferedRequest | None = None) -> tuple[Any, ...]:
    sending = sending or request()
    by_h11 = outcome(parts, end, sending, by_llhttp=False)
    by_llhttp = outcome(parts, end, sending, by_llhttp=True)
    assert by_llhttp == by_h11, parts
    return by_llhttp


def answer(status: str = "200 OK", body: bytes = b"ok", *fields: str, length: int | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status}", *fields, f"Content-Length: {len(body) if length is None else length}"]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def chunked(*chunks: bytes, trailer: bytes = b"", field: str = "Transfer-Encoding: chunked") -> bytes:
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return b"HTTP/1.1 200 OK\r\n" + field.encode() + b"\r\n\r\n" + body + b"0\r\n" + trailer + b"\r\n"


USUAL = [
    answer(),
    answer("201 Created", b"{}", "X: 1", "x: 2", "Empty:", "Wide:  a \t b  "),
    answer("204 No Content", b"", length=0),
    answer("422 Unprocessable Entity", b"x" * 70_000),
    answer("200", b"1"),
    chunked(b"a", b"bc" * 9000),
    chunked(),
    chunked(*[b"x"] * 30_000),
]
SELDOM = [
    b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + answer(),
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + answer(),
    b"HTTP/1.1 102 Processing\r\n\r\n" * 99 + answer(),
    b"HTTP/1.1 102 Processing\r\n\r\n" * 100 + answer(),
    b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
    b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
    answer("200 OK", b"ok", "Connection: close"),
    answer("200 OK", b"ok", "Connection: Upgrade", "Upgrade: websocket"),
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nframes",
    answer("304 Not Modified", b"", length=10),
    answer() + answer("200 OK", b"of nobody"),
    answer() + b"garbage",
    answer() + b"H",
    answer() + b"\r\n",
    answer() + b"\n",
    answer() + b"\r",
    answer("200 OK", b"ok\r\n") + b"\r",
    answer("204 No Content", b"", length=0) + b"\r\n",
    answer("204 No Content", b"", length=0) + b"\r\r\n\r\n",
    answer("204 No Content", b"", length=0) + b"\n",
    chunked(b"ok") + b"\r\n",
    chunked(b"ok", trailer=b"T: 1\r\n"),
    chunked(b"ok", trailer=b"Transfer-Encoding: gzip\r\n"),
    chunked(b"ok", trailer=b"Content-Length: x\r\n"),
    b"HTTP/1.1 200 OK\r\nContent-Length: 00000000000000000002\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nContent-Length: 000000000000000000002\r\n\r\nok",
    answer("200 OK", b"ok", "Folded: a\r\n b"),
    answer().replace(b"\r\n", b"\n"),
    answer("200 OK", b"ok", "Content-Length: 2"),
    answer("200 OK", b"ok", "Content-Length: 3"),
    answer("200 OK", b"ok", length=5),
    answer("200 OK", b"okay", length=2),
    b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    chunked(b"ok", field="Transfer-Encoding: gzip, chunked"),
    chunked(b"ok", field="Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
    chunked(b"ok", field="Transfer-Encoding: identity"),
    chunked(b"ok", field="transfer-encoding: Chunked"),
    chunked(b"ok", field="Transfer-Encoding: xchunked"),
    chunked(b"ok").replace(b"2\r\nok", b"2 \r\nok"),
    chunked(b"ok").replace(b"2\r\nok", b"2;a=\"b\";c\r\nok"),
    chunked(b"ok").replace(b"2\r\nok", b"2;" + b"x" * 200_000 + b"\r\nok"),
    chunked(b"ok").replace(b"2\r\nok", b"0x2\r\nok"),
    chunked(b"ok").replace(b"2\r\nok", b"FFFFFFFFFFFFFFFFF\r\nok"),
    chunked(b"ok").replace(b"ok\r\n", b"ok!\r\n"),
    chunked(b"ok", trailer=b"T: " + b"t" * 200_000 + b"\r\n"),
    chunked(b"ok", trailer=b"no field\r\n"),
    chunked(b"ok")[:-2],
    b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + b"\r\nContent-Length: 2\r\n\r\nok",
    b"\r\n" + answer(),
    b"HTTP/1.1 200 OK\r\nX : 1\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nX\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nX: a\x01b\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nX: a\x7fb\xe4\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nX: a\x0bb\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 \x01\xe4\x0b\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 099 OK\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 999 \r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"http/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1  200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"ICY 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    b"\x15\x03\x01\x00\x02\x02",
    b"",
]  # fmt: skip


@pytest.mark.parametrize("whole", [*USUAL, *SELDOM], ids=range(len(USUAL) + len(SELDOM)))
def test_both_read_the_same(whole: bytes) -> None:
    same([whole] if whole else [])
    same([whole[at : at + 1] for at in range(min(len(whole), 300))])


@pytest.mark.soak
@pytest.mark.parallel
@pytest.mark.parametrize("whole", [*USUAL, *SELDOM], ids=range(len(USUAL) + len(SELDOM)))
@pytest.mark.parametrize("end", [None, ConnectionResetError, TimeoutError])
def test_both_read_the_same_wherever_it_is_cut(whole: bytes, end: type[OSError] | None) -> None:
    for at in (*range(min(len(whole), 120)), len(whole) - 1):
        same([part for part in (whole[:at], whole[at:]) if part], end)
    same([whole[at : at + 1] for at in range(min(len(whole), 3000))], end)


def test_sizes_of_chunks_may_have_any_number_of_zeros_before_them() -> None:
    """The one difference: llhttp does not show how they are written, and h11 takes twenty digits."""
    whole = chunked(b"ok").replace(b"2\r\nok", b"000000000000000000002\r\nok")
    got = [outcome([whole], None, request(), by_llhttp=by_llhttp) for by_llhttp in (True, False)]
    assert got[0][3:5] == (b"ok", None)
    assert got[1][4] == (httpx.RemoteProtocolError, "the answer is broken: illegal chunk header")


@pytest.mark.parametrize("whole", USUAL, ids=range(len(USUAL)))
def test_the_usual_is_left_to_llhttp_alone(whole: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(h11, "Connection")
    for parts in ([whole], [whole[at : at + 7000] for at in range(0, len(whole), 7000)]):
        assert outcome(parts, None, request(), by_llhttp=True)[-2], "the connection is closed"


@pytest.mark.soak
@pytest.mark.parallel
def test_made_up_answers_are_read_the_same() -> None:
    chance = Random(18)
    pieces = [
        b"\r\n",
        b"\n",
        b"\r",
        b" ",
        b":",
        b";",
        b",",
        b"0",
        b"\x00",
        b"\xff",
        b"chunked",
        b"Content-Length: 2\r\n",
        b"HTTP/1.1 200 OK\r\n",
    ]
    read = 0
    for _ in range(3000):
        whole = bytearray(chance.choice([*USUAL[:3], *USUAL[4:5], *USUAL[6:], *(one for one in SELDOM if len(one) < 1000)]))
        for _ in range(chance.randrange(3)):
            at, until = sorted(chance.randrange(len(whole) + 1) for _ in range(2))
            change = chance.randrange(4)
            if change == 0:
                whole[at:at] = chance.choice(pieces)
            elif change == 1:
                del whole[at : min(until, at + 8)]
            elif change == 2:
                whole[at : at + 1] = bytes([chance.randrange(256)])
            else:
                whole[at:at] = whole[at:until]
        cuts = sorted(chance.randrange(len(whole) + 1) for _ in range(chance.randrange(4)))
        parts = [bytes(whole[at:until]) for at, until in zip([0, *cuts], [*cuts, len(whole)], strict=True) if at < until]
        read += isinstance(same(parts, chance.choice([None, None, ConnectionResetError, TimeoutError]))[0], int)
    assert 500 < read < 2500


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"method": "GET", "headers": HEADERS[:-1], "content": b""},
        {"method": "HEAD", "headers": HEADERS[:-1], "content": b""},
        {"method": "BREW"},
        {"method": "GET X"},
        {"target": "/a b"},
        {"target": "/a\r\nX: 1"},
        {"target": ""},
        {"headers": [*HEADERS[:-1], ("Connection", "close"), LENGTH]},
        {"headers": [*HEADERS[:-1], ("connection", "Keep-Alive"), LENGTH]},
        {"headers": [*HEADERS[:-1], ("Expect", "100-continue"), LENGTH]},
        {"headers": [*HEADERS[:-1], ("X", "a\r\nY: b"), LENGTH]},
        {"headers": [*HEADERS[:-1], ("X", " a"), LENGTH]},
        {"headers": [*HEADERS[:-1], ("X", "a\t"), LENGTH]},
        {"headers": [*HEADERS[:-1], ("X", ""), LENGTH]},
        {"headers": [*HEADERS[:-1], ("X Y", "a"), LENGTH]},
        {"headers": [*HEADERS[:-1], ("X: a\r\nY", "b"), LENGTH]},
        {"headers": [*HEADERS[:-1], ("Host", "other.test"), LENGTH]},
        {"headers": [LENGTH]},
        {"headers": []},
        {"headers": [LENGTH, *HEADERS[:-1]]},
        {"headers": [HEADERS[0], ("content-length", "2")]},
        {"headers": [HEADERS[0], ("Content-Length", "3")]},
        {"headers": [HEADERS[0], ("Content-Length", "2"), ("Content-Length", "2")]},
        {"headers": [HEADERS[0], ("Transfer-Encoding", "chunked")]},
        {"headers": [*HEADERS[:-1], ("Upgrade", "websocket"), ("Connection", "Upgrade"), LENGTH]},
    ],
)
def test_both_send_the_same(changed: dict[str, Any]) -> None:
    for whole in (answer(), chunked(b"ok"), answer("200 OK", b"", length=2)):
        same([whole], None, request(**changed))


def test_an_answer_that_was_read_leaves_no_work_for_the_garbage_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        for _ in range(10):
            usual.UsualAnswer().feed(answer())
        assert gc.collect() == 0
    finally:
        gc.enable()


class Env(str, Enum):  # noqa: UP042 - whose format is another text than it holds
    PROD = "prod"


class Quiet(str):  # noqa: SLOT000
    def __format__(self, spec: str) -> str:
        return "***"

    def __str__(self) -> str:
        return "***"


@pytest.mark.parametrize("value", [Env.PROD, Quiet("a1b2c3"), b"bytes"])
def test_a_header_goes_out_as_what_it_holds_whatever_was_sent_before(value: Any) -> None:
    text = bytes(value) if isinstance(value, bytes) else str.encode(value)
    for sent in (value, text.decode(), value):
        got = same([answer()], None, request(headers=[*HEADERS[:-1], ("User-Agent", sent), ("X-Key", sent), LENGTH]))
        assert f"User-Agent: {text.decode()}".encode() in got[-1][0]
        assert f"X-Key: {text.decode()}".encode() in got[-1][0]


def test_what_cannot_be_written_does_not_leave() -> None:
    left: list[int] = []
    stream = Script([answer()])
    connection = Http1Connection("retell.test", 80, None)
    connection._stream = stream
    with pytest.raises(httpx.LocalProtocolError):
        at_once(connection.exchange(attrs.evolve(request(headers=[("Host", "x"), ("X", "a\r\nY: b")]), leaves=lambda: left.append(1)), {}))
    assert (left, stream.sent) == ([], b"")
