"""No way to fail shows the API key, nor in this package's own frames a phone number: not in texts, not in the local variables of frames.

`WAYS` are the ways that a request may go and `FAILURES` what may happen to it; each is tried with each. A new one is added there.
"""

from __future__ import annotations

import ast
import copy
import inspect
import logging
import pickle
import socket
import struct
import textwrap
import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from operator import attrgetter
from types import TracebackType
from typing import Any, cast

import anyio
import httpx
import pytest
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from retell_async import webhooks
from retell_async._client import AsyncRetell
from retell_async._core import errors
from retell_async._engine.limits import RateLimit
from retell_async._http.clients import DefaultAioHttpClient, DefaultAsyncHttpxClient

from ..http.test_transport import ok
from .example import CREATE, NO_OPTIONS, UPLOAD, get

# Under trio httpx leaves the iterators of bodies open that it does not read to their end.
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.soak,
    pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning"),
    pytest.mark.parallel,
]

KEY = "key_" + "5ecr3t0123456789"
NUMBER = "4155550123"
PHONE = f"+1{NUMBER}"
PASSWORD = "pa55word"  # of a proxy


# What a server does


async def _refuse(stream: SocketStream, status: bytes) -> None:
    body = b'{"message":"no %s for %s"}' % (PHONE.encode(), KEY.encode())
    await stream.send(b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))


async def _reset(stream: SocketStream) -> None:
    raw = stream.extra(SocketAttribute.raw_socket)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await anyio.aclose_forcefully(stream)


async def behave(stream: SocketStream, how: str) -> None:
    """Answer one request that has been read, or leave it."""
    if how == "silence":
        await anyio.sleep_forever()
    elif how == "reset":
        await _reset(stream)
    elif how == "garbage":
        await stream.send(b"SSH-2.0-OpenSSH_9 %s\r\n\r\n" % PHONE.encode())
    elif how == "cut off":
        await stream.send(ok()[:-4])
    elif how == "no JSON":
        await stream.send(ok(b'{"to_number": "%s"' % PHONE.encode()))
    elif how == "other shape":
        await stream.send(ok(b'["%s"]' % PHONE.encode()))
    elif how == "bad encoding":
        await stream.send(ok(b"no gzip", b"Content-Encoding: gzip\r\n"))
    elif how == "stalled body":
        await stream.send(ok()[:-4])
        await anyio.sleep_forever()
    elif how in {"422", "429", "500"}:
        await _refuse(stream, f"{how} Something".encode())
    elif how == "redirect":
        await stream.send(b"HTTP/1.1 307 Elsewhere\r\nLocation: http://elsewhere.test/%s\r\nContent-Length: 0\r\n\r\n" % PHONE.encode())
    elif how not in {"", "nobody"}:
        raise AssertionError(how)


@asynccontextmanager
async def serving(how: str) -> AsyncGenerator[str]:
    async def talk(stream: SocketStream) -> None:
        if how == "reset while sending":
            await stream.receive(1000)
            await _reset(stream)
            return
        buffered = BufferedByteReceiveStream(stream)
        try:
            async with stream:
                head = await buffered.receive_until(b"\r\n\r\n", 100_000)
                if head.startswith(b"CONNECT"):
                    await stream.send(b"HTTP/1.1 407 Say who you are\r\nContent-Length: 0\r\n\r\n")
                    return
                length = next((int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")), 0)
                await buffered.receive_exactly(length)
                await behave(stream, how)
        except (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, talk)
        yield f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"
        tasks.cancel_scope.cancel()


# What is asked of it

Send = Callable[[AsyncRetell], Awaitable[object]]


async def place(client: AsyncRetell) -> object:
    return await client.send(CREATE.request(body={"from_number": PHONE, "to_number": PHONE}), {"extra_body": {"more": 1}})


async def look(client: AsyncRetell) -> object:
    return await client.send(get(PHONE), {})


async def ask(client: AsyncRetell) -> object:
    return await client.request("POST", f"/get-phone-number/{PHONE}", json={"to_number": PHONE})


async def upload(client: AsyncRetell) -> object:
    content = f"{PHONE}\n".encode() * 400_000
    return await client.send(UPLOAD.request(body={"knowledge_base_name": PHONE, "knowledge_base_files": [("a", content)]}), {})


async def stream(client: AsyncRetell) -> object:
    async with client.stream(get(PHONE), NO_OPTIONS) as response:
        return await response.parse()


async def deadline(client: AsyncRetell) -> object:
    return await client.with_options(timeout=20).send(CREATE.request(body={"to_number": PHONE}), {"deadline": 0.1})


async def large(client: AsyncRetell) -> object:
    return await client.send(CREATE.request(body={"to_number": [PHONE] * 500_000}), {})


async def cancelled(client: AsyncRetell) -> object:
    failed: list[BaseException] = []

    async def run() -> None:
        try:
            await client.with_options(timeout=20).send(CREATE.request(body={"to_number": PHONE}), {})
        except BaseException as error:
            failed.append(error)
            raise

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await anyio.sleep(0.1)
        tasks.cancel_scope.cancel()
    return failed[0]


FAILURES: dict[str, tuple[str, Send]] = {
    "read time-out": ("silence", place),
    "read time-out of what names a number": ("silence", look),
    "any request": ("silence", ask),
    "deadline": ("silence", deadline),
    "cancelled": ("silence", cancelled),
    "reset": ("reset", place),
    "reset of a read": ("reset", look),
    "reset while sending": ("reset while sending", upload),
    "reset while sending JSON": ("reset while sending", large),
    "garbage": ("garbage", look),
    "cut off": ("cut off", look),
    "no JSON": ("no JSON", look),
    "other shape": ("other shape", look),
    "bad encoding": ("bad encoding", look),
    "stalled body": ("stalled body", place),
    "stream": ("stalled body", stream),
    "stream cut off": ("cut off", stream),
    "422": ("422", place),
    "429": ("429", place),
    "500": ("500", place),
    "redirect": ("redirect", look),
    "refused": ("nobody", place),
}

# Ways to it


class Proxied:
    """A client of httpx whose way leads through a proxy with a password, which is the server itself."""

    def __init__(self, make: Callable[..., httpx.AsyncClient]) -> None:
        self.make = make

    def __call__(self, url: str) -> httpx.AsyncClient:
        return self.make(proxy=url.replace("://", f"://user:{PASSWORD}@"), trust_env=False)


def instrumented(url: str) -> httpx.AsyncClient:
    """One that is seen by a tool, so that requests go through httpx."""
    client = DefaultAsyncHttpxClient()
    send = client.send

    async def seen(request: httpx.Request, **settings: Any) -> httpx.Response:
        return await send(request, **settings)

    client.send = seen  # type: ignore[method-assign]
    return client


UVLOOP = ("asyncio", {"use_uvloop": True})
Way = tuple[Any, Callable[[str], httpx.AsyncClient | None]]

WAYS: dict[str, Way] = {
    "default": ("asyncio", lambda _: None),
    "uvloop": (UVLOOP, lambda _: None),
    "trio": ("trio", lambda _: None),
    "default client of httpx": ("asyncio", lambda _: DefaultAsyncHttpxClient()),
    "with a tool": ("asyncio", instrumented),
    "with a tool, trio": ("trio", instrumented),
    "HTTP/2 pool": ("asyncio", lambda _: DefaultAsyncHttpxClient(http2=True)),
    "HTTP/2": ("asyncio", lambda _: httpx.AsyncClient(http1=False, http2=True)),
    "HTTP/2, trio": ("trio", lambda _: httpx.AsyncClient(http1=False, http2=True)),
    "proxy": ("asyncio", Proxied(DefaultAsyncHttpxClient)),
    "proxy, trio": ("trio", Proxied(DefaultAsyncHttpxClient)),
    "httpx": ("asyncio", lambda _: httpx.AsyncClient()),
    "httpx, trio": ("trio", lambda _: httpx.AsyncClient()),
    "aiohttp": ("asyncio", lambda _: DefaultAioHttpClient()),
    "aiohttp, uvloop": (UVLOOP, lambda _: DefaultAioHttpClient()),
    "aiohttp, proxy": ("asyncio", Proxied(DefaultAioHttpClient)),
}

EACH = pytest.mark.parametrize(("anyio_backend", "way"), [(way[0], way[1]) for way in WAYS.values()], ids=list(WAYS))

# What is shown of it


def every_error(error: BaseException | None, seen: dict[int, BaseException]) -> Iterator[BaseException]:
    if error is None or id(error) in seen:
        return
    seen[id(error)] = error
    yield error
    yield from every_error(error.__cause__, seen)
    yield from every_error(error.__context__, seen)
    if isinstance(error, BaseExceptionGroup):
        for inner in cast("BaseExceptionGroup[BaseException]", error).exceptions:
            yield from every_error(inner, seen)


def deep(value: object, depth: int = 6) -> str:
    """As an error tracker shows a variable: containers from inside, all else by its repr."""
    if depth and isinstance(value, Mapping):
        return " ".join(f"{deep(key, depth - 1)}: {deep(item, depth - 1)}" for key, item in cast("Mapping[object, object]", value).items())
    if depth and isinstance(value, (list, tuple, set, frozenset)):
        return " ".join(deep(item, depth - 1) for item in cast("list[object]", value))
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).decode("utf-8", "replace")
    return value if isinstance(value, str) else repr(value)


def variables(traceback: TracebackType | None) -> Iterator[tuple[str, str, str, str]]:
    """Module, function, name and text of all local variables."""
    while traceback is not None:
        frame = traceback.tb_frame
        for name, value in frame.f_locals.items():
            yield str(frame.f_globals["__name__"]), frame.f_code.co_name, name, deep(value)
        traceback = traceback.tb_next


def chains(traceback: TracebackType | None) -> Iterator[tuple[str, str]]:
    """Headers that this package's functions name by attributes of variables, for tools that show what the failing lines name."""
    while traceback is not None:
        frame = traceback.tb_frame
        if str(frame.f_globals["__name__"]).startswith("retell_async."):
            for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(frame.f_code)))):
                names = ast.unparse(node).split(".") if isinstance(node, ast.Attribute) else []
                if names[-1:] == ["headers"] and names[0] in frame.f_locals and all(name.isidentifier() for name in names):
                    with suppress(AttributeError):
                        yield f"{frame.f_code.co_name}: {'.'.join(names)}", repr(attrgetter(".".join(names[1:]))(frame.f_locals[names[0]]))
        traceback = traceback.tb_next


def without_this_file(shown: traceback.TracebackException) -> traceback.TracebackException:
    left: list[traceback.TracebackException | None] = [shown]
    while left:
        one = left.pop()
        if one is not None:
            one.stack = traceback.StackSummary.from_list([frame for frame in one.stack if frame.filename != __file__])
            left += [one.__cause__, one.__context__, *(one.exceptions or ())]
    return shown


def assert_nothing_shows(error: BaseException, *, number: bool = True) -> None:
    shown = "".join(without_this_file(traceback.TracebackException.from_exception(error, capture_locals=True)).format())
    assert KEY not in shown
    assert PASSWORD not in shown
    for one in every_error(error, {}):
        assert [name for name, text in chains(one.__traceback__) if KEY in text or PASSWORD in text] == []
        for text in (str(one), repr(one), *getattr(one, "__notes__", ())):
            assert KEY not in text
            assert PASSWORD not in text
            assert NUMBER not in text, (type(one), text)
        for module, function, name, text in variables(one.__traceback__):
            if module == __name__:
                continue
            assert KEY not in text, (module, function, name)
            assert PASSWORD not in text, (module, function, name)
            if number and module.startswith("retell_async"):
                assert NUMBER not in text, (module, function, name, text[:200])


@EACH
@pytest.mark.parametrize("failure", FAILURES)
async def test_a_failure_shows_no_secret(anyio_backend: Any, way: Callable[[str], httpx.AsyncClient | None], failure: str) -> None:
    how, send = FAILURES[failure]
    settings: dict[str, Any] = {"max_retries": 0, "rate_limit": RateLimit(max_wait=0), "timeout": 0.2}
    if how == "silence" and send is not upload:
        settings["timeout"] = httpx.Timeout(5, read=0.1)
    async with serving(how) as url:
        base_url = "http://127.0.0.1:1" if how == "nobody" else url
        async with AsyncRetell(KEY, base_url=base_url, http_client=way(url), **settings) as client:
            error = await error_of(send, client)
            assert_nothing_shows(error)
            assert "test_secrets.py" in "".join(traceback.format_exception(error))


async def error_of(send: Send, client: AsyncRetell) -> BaseException:
    try:
        given = await send(client)
    except Exception as error:  # noqa: BLE001
        return error
    assert isinstance(given, BaseException), given
    return given


class OfTheUserError(Exception):
    pass


def complain(*_: object) -> Any:
    raise OfTheUserError("in the code of the user")


async def complain_later(*_: object) -> None:
    complain()


@pytest.mark.parametrize(
    ("http_client", "sent"),
    [
        (lambda: DefaultAsyncHttpxClient(event_hooks={"request": [complain_later]}), False),
        (lambda: DefaultAsyncHttpxClient(event_hooks={"response": [complain_later]}), True),
        (lambda: httpx.AsyncClient(transport=httpx.MockTransport(complain)), True),  # how far the request got nobody knows
    ],
    ids=["request", "response", "transport"],
)
async def test_a_failure_in_code_of_the_user_shows_no_secret_and_its_place(
    http_client: Callable[[], httpx.AsyncClient], sent: bool
) -> None:
    async with serving("422") as url, AsyncRetell(KEY, base_url=url, http_client=http_client(), max_retries=0) as client:
        error = await error_of(place, client)
    assert isinstance(error, errors.APIConnectionError)
    assert (error.sent, isinstance(error, errors.OutcomeUnknownError)) == (sent, sent)
    assert_nothing_shows(error)
    causes = [cause for cause in every_error(error, {}) if type(cause) is OfTheUserError]
    assert [frame.name for frame in traceback.extract_tb(causes[0].__traceback__)][-1] == "complain"


async def test_where_an_error_was_raised_that_nobody_expects_is_in_its_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise AttributeError("nothing there")

    monkeypatch.setattr("retell_async._http.wire.http1.Http1Connection._connect", broken)
    async with AsyncRetell(KEY, base_url="http://127.0.0.1:1") as client:
        error = await error_of(place, client)
    assert_nothing_shows(error)
    (cause,) = [cause for cause in every_error(error, {}) if type(cause) is AttributeError]
    assert any("exchange, " in line and "http1.py:" in line for note in cause.__notes__ for line in note.splitlines())


async def test_an_error_that_was_being_handled_is_left_as_it_is() -> None:
    def fail() -> None:
        raise OfTheUserError

    seen: list[Any] = []
    async with serving("reset") as url, AsyncRetell(KEY, base_url=url, max_retries=0) as client:
        try:
            await anyio.to_thread.run_sync(fail)
        except OfTheUserError as caught:
            seen += [caught, traceback.extract_tb(caught.__traceback__), await error_of(look, client)]
    before, frames, error = seen
    assert len(frames) > 1
    assert traceback.extract_tb(before.__traceback__) == frames
    assert before in list(every_error(error, {}))


async def bad_body(client: AsyncRetell) -> object:
    return await client.send(CREATE.request(body={"to_number": PHONE, "at": {1, 2}}), {})


async def bad_query(client: AsyncRetell) -> object:
    return await client.send(get(PHONE), {"extra_query": {"at": float("nan")}})


async def bad_form(client: AsyncRetell) -> object:
    return await client.send(UPLOAD.request(body={"knowledge_base_name": PHONE, "knowledge_base_files": 1}), {})


async def bad_header(client: AsyncRetell) -> object:
    client.with_options(default_headers={"Authorization": f"Bearer {KEY}\n"})
    return None


async def bad_key(client: AsyncRetell) -> object:
    client.with_options(api_key=f"{KEY}\n")
    return None


async def closed(client: AsyncRetell) -> object:
    await client.aclose()
    return await place(client)


async def no_limit(client: AsyncRetell) -> object:
    AsyncRetell(KEY, base_url=f"http://user:{PASSWORD}@127.0.0.1")
    return None


async def bad_setting(client: AsyncRetell) -> object:
    AsyncRetell(f"{KEY} ", default_headers={"Authorization": KEY})
    return None


async def other_bad_setting(client: AsyncRetell) -> object:
    AsyncRetell(KEY, default_headers={"Authorization": f"Bearer {KEY}"}, max_retries=-1)
    return None


@pytest.mark.parametrize(
    "send",
    [bad_body, bad_query, bad_form, bad_header, bad_key, closed, no_limit, bad_setting, other_bad_setting],
    ids=lambda send: send.__name__,
)
async def test_what_is_refused_before_it_is_sent_shows_no_secret(send: Send) -> None:
    async with AsyncRetell(KEY, base_url="http://127.0.0.1:1") as client:
        assert_nothing_shows(await error_of(send, client))


def check(*arguments: Any, how: Callable[..., object], **settings: Any) -> None:
    try:
        how(*arguments, **settings)
    except (errors.RetellError, TypeError) as error:
        assert_nothing_shows(error)
    else:
        raise AssertionError("not refused")


BODY = f'{{"event":"call_started","call":{{"to_number":"{PHONE}"}}}}'
OLD = {"x-retell-signature": webhooks.sign(BODY, KEY, timestamp_ms=1)}
WRONG = {"x-retell-signature": webhooks.sign(BODY + " ", KEY)}


@pytest.mark.parametrize("headers", [OLD, WRONG, {}, {"x-retell-signature": "v=1"}], ids=["old", "wrong", "none", "malformed"])
@pytest.mark.parametrize("keys", [KEY, [KEY, "key_other"], f"{KEY}\n", [KEY, ""]], ids=["one", "two", "bad", "one bad"])
def test_webhooks_that_are_refused_show_no_secret(headers: dict[str, str], keys: Any) -> None:
    for unwrap in (webhooks.unwrap, webhooks.unwrap_function, webhooks.unwrap_inbound):
        check(BODY, headers, api_key=keys, how=unwrap)
    check(BODY, keys, headers.get("x-retell-signature"), how=webhooks.verify)
    if keys not in (KEY, [KEY, "key_other"]):
        check(keys, how=webhooks.Router)


# What leaves the process


async def test_a_pickled_error_holds_no_secret_and_says_the_same() -> None:
    def serve(request: httpx.Request) -> httpx.Response:
        body = {"message": f"no {PHONE} for {KEY}", "to_number": PHONE, "access_token": "of-somebody"}
        return httpx.Response(422, json=body, headers={"x-request-id": "r1", "set-cookie": "session=of-somebody"})

    async with AsyncRetell(
        KEY, base_url="http://retell.test", http_client=httpx.AsyncClient(transport=httpx.MockTransport(serve))
    ) as client:
        error = await error_of(ask, client)
    assert isinstance(error, errors.UnprocessableEntityError)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        pickled = pickle.dumps(error, protocol)
        for secret in (KEY, NUMBER, "of-somebody"):
            assert secret.encode() not in pickled
        restored = pickle.loads(pickled)
        assert type(restored) is type(error)
        assert (str(restored), repr(restored)) == (str(error), repr(error))
        assert (restored.status_code, restored.request_id, restored.request.method) == (422, "r1", "POST")
        assert restored.body == {"message": "no +141******23 for ***", "to_number": "+141******23", "access_token": "***"}
        assert restored.response.json() == restored.body
        assert restored.response.request is restored.request
        assert str(pickle.loads(pickle.dumps(restored))) == str(error)


async def test_a_copied_error_is_the_same_error() -> None:
    async with AsyncRetell(KEY, base_url="http://127.0.0.1:1", max_retries=0) as client:
        error = await error_of(look, client)
    assert isinstance(error, errors.APIConnectionError)
    for copied in (copy.copy(error), copy.deepcopy(error), copy.deepcopy([error])[0]):
        assert type(copied) is type(error)
        assert copied is not error
        assert str(copied) == str(error)
        assert vars(copied) == vars(error)


def test_an_error_about_a_stream_that_was_not_read_can_be_pickled() -> None:
    response = httpx.Response(500, stream=httpx.ByteStream(b"never read"), request=httpx.Request("GET", "http://retell.test/"))
    error = errors.InternalServerError("failed", response=response, body=None)
    assert pickle.loads(pickle.dumps(error)).response.content == b""


@EACH
async def test_no_log_shows_a_secret(
    anyio_backend: Any, way: Callable[[str], httpx.AsyncClient | None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving("422") as url, AsyncRetell(KEY, base_url=url, max_retries=1, http_client=way(url)) as client:
        for send in (look, place, ask):
            await error_of(send, client)
    assert caplog.records
    for record in caplog.records:
        text = record.getMessage()
        assert KEY not in text, (record.name, text)
        assert PASSWORD not in text, (record.name, text)
        assert NUMBER not in text, (record.name, text)


async def test_the_lines_of_httpx_about_requests_of_others_are_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    http_client = httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(200, json={})))
    async with AsyncRetell(KEY, base_url="http://retell.test", http_client=http_client) as client:
        await client.send(get(PHONE), {})
        await http_client.get(f"http://other.test/{PHONE}")
    assert [record.getMessage() for record in caplog.records if record.name == "httpx"] == [
        'HTTP Request: GET http://retell.test/get-thing/+141******23 "HTTP/1.1 200 OK"',
        f'HTTP Request: GET http://other.test/{PHONE} "HTTP/1.1 200 OK"',
    ]
