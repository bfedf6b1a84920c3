from __future__ import annotations

import gzip
import json
import pickle
import sys
import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import anyio
import httpx
import pytest
from pytest_httpx import HTTPXMock

from retell_async._client import AsyncRetell
from retell_async._core import errors
from retell_async._core.model import UnknownObject
from retell_async._engine.limits import RateLimit
from retell_async._http.exchange import _unzipped

from ..engine.example import CREATE, DELETE, KEY, LIST_WHOLE, NO_OPTIONS, UPLOAD, answering, client_of, get

pytestmark = pytest.mark.anyio


async def test_a_request_as_it_arrives() -> None:
    def serve(request: httpx.Request) -> httpx.Response:
        assert str(request.url) == "http://retell.test/prefix/create-thing?a=1&b=2"
        assert request.headers["authorization"] == f"Bearer {KEY}"
        assert request.headers["user-agent"].startswith("retell-async/")
        assert request.headers["content-type"] == "application/json"
        assert request.headers["x-one"] == "call"
        assert request.extensions["timeout"] == {"connect": 7, "read": 7, "write": 7, "pool": 300}
        return httpx.Response(201, json={"thing_id": "thing_1", "got": json.loads(request.content)})

    async with client_of(serve, default_headers={"X-One": "client"}, default_query={"a": 1}) as client:
        thing = await client.send(
            CREATE.request(body={"name": "x"}),
            {"timeout": 7.0, "extra_headers": {"x-one": "call"}, "extra_query": {"b": 2}, "extra_body": {"new": None}},
        )
    assert thing == UnknownObject(thing_id="thing_1", got={"name": "x", "new": None})


async def test_the_timeout_of_a_client_that_says_none_is_a_minute_and_max_wait_for_ones_own_queue() -> None:
    seen: list[Any] = []

    def serve(request: httpx.Request) -> httpx.Response:
        seen.append(request.extensions["timeout"])
        return httpx.Response(200, json={})

    async with client_of(serve) as client:
        await client.send(get(), {})
        await client.with_options(timeout=3).send(get(), {})
        await client.with_options(timeout=3).send(get(), {"timeout": None})
    assert [(timeout["connect"], timeout["read"], timeout["pool"]) for timeout in seen] == [
        (5.0, 60.0, 300),
        (3, 3, 300),
        (None, None, 300),
    ]


async def test_the_timeout_of_a_given_client_is_kept() -> None:
    def serve(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=request.extensions["timeout"]["read"])

    async with AsyncRetell(KEY, http_client=httpx.AsyncClient(transport=httpx.MockTransport(serve), timeout=9)) as client:
        assert await client.request("GET", "/") == 9


async def test_an_operation_without_an_answer_gives_none() -> None:
    async with answering(204) as client:
        await client.send(DELETE.request(path={"thing_id": "1"}), {})
        assert await client.request("DELETE", "/x") is None


@pytest.mark.parametrize("content", [b"", b"<html>", b'{"a": 1', b"\xff", b"[" * 100_000])
async def test_a_body_that_is_not_json_gives_one_error_that_carries_the_answer(content: bytes) -> None:
    async with answering(content=content, headers={"content-type": "text/html"}) as client:
        with pytest.raises(errors.APIResponseValidationError, match=f"not JSON .text/html, {len(content)} bytes") as caught:
            await client.send(get(), {})
    assert caught.value.response.content == content
    assert caught.value.status_code == 200
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("body", [[], "text", 1, None])
async def test_a_body_of_another_shape_gives_one_error_that_carries_it(body: Any) -> None:
    async with answering(content=json.dumps(body)) as client:
        with pytest.raises(errors.APIResponseValidationError, match="another shape") as caught:
            await client.send(get(), {})
        with pytest.raises(errors.APIResponseValidationError):
            await answering(json={}).send(LIST_WHOLE.request(), {})
    assert caught.value.body == body


async def test_strict_mode_refuses_what_the_document_does_not_say(monkeypatch: pytest.MonkeyPatch) -> None:
    strict = ModuleType("retell_async._core.strict")
    strict.check = lambda operation, data, status: [f"{operation.id} {name}: unknown" for name in data]  # type: ignore[attr-defined]
    strict.UNKNOWN_FIELD = ": unknown field"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, strict.__name__, strict)
    async with answering(json={"a": 1, "b": 2}) as client:
        await client.send(get(), {})
        with pytest.raises(errors.APIResponseValidationError, match="getThing a: unknown; getThing b: unknown") as caught:
            await client.with_options(strict=True).send(get(), {})
    assert caught.value.problems == ("getThing a: unknown", "getThing b: unknown")


class CutOff(httpx.AsyncByteStream):
    def __init__(self, error: type[httpx.RequestError]) -> None:
        self.error = error
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b'{"a":'
        raise self.error("cut off")

    async def aclose(self) -> None:
        self.closed = True


@pytest.mark.parametrize("error", [httpx.RemoteProtocolError, httpx.ReadError])
async def test_an_answer_that_is_cut_off_gives_one_error_with_its_status(error: type[httpx.RequestError]) -> None:
    stream = CutOff(error)
    async with answering(stream=stream, headers={"x-request-id": "r1"}) as client:
        with pytest.raises(errors.APIConnectionError, match=r"not be read whole: .*cut off") as caught:
            await client.send(get(), {})
    assert caught.value.response is not None
    assert (caught.value.status_code, caught.value.request_id, caught.value.response.content) == (200, "r1", b"")
    assert stream.closed


async def test_what_was_created_by_an_answer_that_is_cut_off_is_no_connection_error() -> None:
    async with answering(stream=CutOff(httpx.ReadError)) as client:
        with pytest.raises(errors.OutcomeUnknownError, match="not be read whole") as caught:
            await client.call.create_web_call(agent_id="agent_1")
    assert caught.value.status_code == 200
    assert not isinstance(caught.value, errors.APIConnectionError)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (httpx.ReadError, errors.APIConnectionError),
        (ConnectionResetError, errors.APIConnectionError),
        (httpx.ReadTimeout, errors.APITimeoutError),
    ],
)
@pytest.mark.parametrize("way", ["read", "iter_bytes", "iter_text", "iter_lines", "parse", "stream_to_file"])
async def test_an_error_while_a_stream_is_read_has_the_key_and_can_be_pickled(
    error: type[Any], kind: type[errors.APIError], way: str, tmp_path: Path
) -> None:
    stream = CutOff(error)
    async with answering(201, stream=stream, headers={"x-request-id": "r1"}) as client:

        async def read() -> None:
            async with client.call.with_streaming_response.create_phone_call(
                from_number="+14155550100", to_number="+14155550101", idempotency_key="my-own-key"
            ) as response:
                if way.startswith("iter"):
                    async for _ in getattr(response, way)():
                        pass
                else:
                    await getattr(response, way)(*([tmp_path / "body"] if way == "stream_to_file" else []))

        with pytest.raises(kind) as caught:
            await read()
    assert stream.closed
    for one in (caught.value, pickle.loads(pickle.dumps(caught.value))):
        assert type(one) is kind
        assert one.idempotency_key == "my-own-key"
        assert str(one) == str(caught.value)
        if one.response is not None:
            assert (one.status_code, one.request_id, one.response.content) == (201, "r1", b"")


class Arriving(httpx.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b'{"a":1}'


async def test_a_stream_is_read_once_and_while_it_is_open() -> None:
    async with client_of(lambda _: httpx.Response(200, stream=Arriving())) as client:
        async with client.stream(get(), NO_OPTIONS) as response:
            assert [part async for part in response.iter_bytes()] == [b'{"a":1}']
            with pytest.raises(errors.RetellError, match="read already"):
                await response.parse()
            with pytest.raises(errors.RetellError, match="read already"):
                async for _ in response.iter_lines():
                    pass
        async with client.stream(get(), NO_OPTIONS) as response:
            pass
        with pytest.raises(errors.RetellError, match="let go"):
            await response.read()
        async with client.stream(get(), NO_OPTIONS) as response:
            assert await response.read() == await response.read() == b"".join([part async for part in response.iter_bytes()])


async def test_an_answer_that_stops_arriving_is_a_timeout() -> None:
    async with answering(stream=CutOff(httpx.ReadTimeout)) as client:
        with pytest.raises(errors.APITimeoutError, match=r"^Request timed out: .*whole in time"):
            await client.send(get(), {})


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (httpx.ConnectError("refused"), errors.APIConnectionError),
        (httpx.RemoteProtocolError("closed"), errors.APIConnectionError),
        (httpx.ReadError(""), errors.APIConnectionError),
        (httpx.ConnectTimeout(""), errors.APITimeoutError),
        (httpx.ReadTimeout(""), errors.APITimeoutError),
        (httpx.WriteTimeout(""), errors.APITimeoutError),
        (httpx.PoolTimeout(""), errors.APITimeoutError),
    ],
)
async def test_a_failed_connection_keeps_its_cause(error: httpx.TransportError, kind: type[errors.APIError]) -> None:
    def serve(request: httpx.Request) -> httpx.Response:
        raise error

    async with client_of(serve) as client:
        with pytest.raises(kind) as caught:
            await client.send(get(), {})
    assert type(caught.value) is kind
    assert caught.value.__cause__ is error
    assert caught.value.request.url.path == "/prefix/get-thing/thing_1"


async def test_an_error_status_is_an_error() -> None:
    async with answering(
        429, json={"status": "error", "message": "Account rate limited"}, headers={"retry-after": "1.5"}, rate_limit=RateLimit(max_wait=0)
    ) as client:
        with pytest.raises(errors.RateLimitError, match=r"429 - .*Account rate limited") as caught:
            await client.send(get(), {})
    assert caught.value.retry_after == 1.5


async def test_a_redirect_is_not_followed() -> None:
    async with answering(307, headers={"location": "https://elsewhere.test/"}) as client:
        with pytest.raises(errors.APIStatusError, match="307"):
            await client.request("POST", "/create-phone-call", json={})


async def test_any_request_can_be_sent() -> None:
    def serve(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=[request.method, str(request.url), request.content.decode()])

    async with client_of(serve) as client:
        assert await client.request("post", "/new?x=1", json=[1], params={"y": True}, extra_headers={"a": "b"}) == [
            "POST",
            "http://retell.test/prefix/new?x=1&y=true",
            "[1]",
        ]
        assert await client.request("GET", "/new") == ["GET", "http://retell.test/prefix/new", ""]
        with pytest.raises(ValueError, match="slash"):
            await client.request("GET", "https://elsewhere.test/")
        with pytest.raises(ValueError, match="no method"):
            await client.request("GE T", "/new")
        with pytest.raises(ValueError, match="fragment"):
            await client.request("GET", "/new#1")


async def test_a_bad_option_is_refused_before_anything_is_sent() -> None:
    def serve(request: httpx.Request) -> httpx.Response:
        raise AssertionError

    async with client_of(serve) as client:
        with pytest.raises(errors.ConfigurationError, match="timeout"):
            await client.send(get(), {"timeout": -1})
        with pytest.raises(errors.ConfigurationError, match="max_retries"):
            await client.send(get(), {"max_retries": -1})
        with pytest.raises(errors.ConfigurationError, match="header"):
            await client.send(get(), {"extra_headers": {"a": "b\n"}})
        with pytest.raises(TypeError, match="bytes"):
            await client.send(CREATE.request(body={"a": b""}), {})


async def test_a_closed_client_sends_nothing_and_neither_do_its_views() -> None:
    client = answering(json={})
    view = client.with_options(timeout=1)
    assert not view.is_closed()
    async with client:
        await view.send(get(), {})
    assert client.is_closed()
    assert view.is_closed()
    for closed in (client, view):
        with pytest.raises(errors.RetellError, match="closed"):
            await closed.send(get(), {})
    await client.close()


async def test_a_client_that_was_never_used_can_be_closed() -> None:
    client = AsyncRetell(KEY)
    await client.aclose()
    with pytest.raises(errors.RetellError, match="closed"):
        await client.send(get(), {})


async def test_a_given_client_that_its_owner_closed_is_closed_here_too() -> None:
    own = httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(200, json={})))
    client = AsyncRetell(KEY, http_client=own)
    await own.aclose()
    assert client.is_closed()
    with pytest.raises(errors.RetellError, match="closed"):
        await client.send(get(), {})


async def test_pytest_httpx_sees_the_client(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(url="https://api.retellai.com/get-thing/thing_1", json={"thing_id": "thing_1"})
    async with AsyncRetell(KEY) as client:
        assert (await client.send(get(), {})).thing_id == "thing_1"


async def test_a_form_as_it_arrives(tmp_path: Path) -> None:
    (tmp_path / "two.txt").write_bytes(b"two")
    bodies: list[bytes] = []

    def serve(request: httpx.Request) -> httpx.Response:
        boundary = request.headers["content-type"].removeprefix("multipart/form-data; boundary=")
        bodies.append(request.content.replace(boundary.encode(), b"B"))
        return httpx.Response(201, json={})

    with (tmp_path / "two.txt").open("rb") as opened:
        async with client_of(serve) as client:
            await client.send(
                UPLOAD.request(
                    body={
                        "knowledge_base_name": "Ä",
                        "knowledge_base_texts": [{"title": "a", "text": "b"}],
                        "knowledge_base_files": [("one.txt", b"one", "text/x-one"), tmp_path / "two.txt", opened],
                    }
                ),
                NO_OPTIONS,
            )
            await client.send(UPLOAD.request(body={"knowledge_base_name": "only text"}), {})
    two = (
        b'--B\r\nContent-Disposition: form-data; name="knowledge_base_files"; filename="two.txt"\r\nContent-Type: text/plain\r\n\r\ntwo\r\n'
    )
    assert bodies[0] == (
        b'--B\r\nContent-Disposition: form-data; name="knowledge_base_name"\r\n\r\n\xc3\x84\r\n'
        b'--B\r\nContent-Disposition: form-data; name="knowledge_base_texts"\r\n\r\n[{"title":"a","text":"b"}]\r\n'
        b'--B\r\nContent-Disposition: form-data; name="knowledge_base_files"; filename="one.txt"\r\nContent-Type: text/x-one\r\n\r\none\r\n'
        + two
        + two
        + b"--B--\r\n"
    )
    assert bodies[1] == b'--B\r\nContent-Disposition: form-data; name="knowledge_base_name"\r\n\r\nonly text\r\n--B--\r\n'


async def test_a_file_that_is_not_there_is_an_error_before_anything_is_sent(tmp_path: Path) -> None:
    async with answering(json={}) as client:
        with pytest.raises(FileNotFoundError):
            await client.send(UPLOAD.request(body={"knowledge_base_files": [tmp_path / "none"]}), {})


async def test_a_request_that_is_cancelled_leaves_a_client_that_works() -> None:
    async def serve(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("slow"):
            await anyio.sleep_forever()
        return httpx.Response(200, json={})

    async with AsyncRetell(KEY, http_client=httpx.AsyncClient(transport=httpx.MockTransport(serve))) as client:
        with anyio.move_on_after(0.01) as scope:
            await client.send(get("slow"), {})
        assert scope.cancelled_caught
        await client.send(get(), {})


async def test_a_misspelt_keyword_is_refused_before_anything_is_sent() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise AssertionError("sent")

    async with AsyncRetell("key_test", http_client=httpx.AsyncClient(transport=httpx.MockTransport(refuse))) as client:
        misspelt: Any = {"agent_nam": "Front desk"}
        with pytest.raises(TypeError, match=r"PATCH /update-agent/.* has no parameter 'agent_nam'"):
            await client.agent.update("agent_1", **misspelt)
        with pytest.raises(TypeError, match=r"POST /v\d+/list-calls has no parameter 'agent_nam'"):
            client.call.list(**misspelt)
        number: Any = {"+14155550177": 1}
        with pytest.raises(TypeError, match=r"PATCH /update-agent/.* has no parameter '\+141\*{6}77'"):
            await client.agent.update("agent_1", **number)
        with pytest.raises(TypeError, match=r"there is no '\+141\*{6}77'"):
            await client.get("/agent", cast_to=object, options=number)
        with pytest.raises(errors.ConfigurationError, match=r"no str: \('\+141\*{6}77'"):
            await client.send(get(), {"extra_query": cast("Any", {("+14155550177",): 1})})
        with pytest.raises(errors.ConfigurationError, match=r"'\+141\*{6}77 ' is no name"):
            await client.send(get(), {"extra_headers": {"+14155550177 ": "1"}})


@pytest.mark.parametrize(
    ("path", "kind", "said"),
    [
        ("/x\n", ValueError, "path holds a line break"),
        ("/x\0", ValueError, "path holds a line break"),
        ("/x\ud800", ValueError, "path: a text with half a surrogate pair"),
        ("/" + "x" * 70_000, ValueError, "the path and the query are of 70,001 characters"),
        (5, TypeError, "path must be a str, not int"),
        (None, TypeError, "path must be a str, not NoneType"),
        ("http://127.0.0.1:abc/x", ValueError, "path is a URL whose host or port|path must start with a slash"),
        ("http://[::1", ValueError, "path is a URL whose host or port|path must start with a slash"),
        *(
            (url, ValueError, "path is a URL, which starts with|path must start with a slash")
            for url in ("http://", "ftp://a/b", "http://a:0/", "http://a b/", "http://a..b/")
        ),
    ],
)
async def test_a_path_that_cannot_be_one_is_refused_before_anything_is_sent(path: Any, kind: type[Exception], said: str) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise AssertionError("sent")

    async with AsyncRetell("key_test", http_client=httpx.AsyncClient(transport=httpx.MockTransport(refuse))) as client:
        for ask in (client.get(path, cast_to=object), client.post(path, cast_to=object, body={}), client.request("GET", path)):
            with pytest.raises(kind, match=said):
                await ask


async def test_a_query_that_is_too_long_is_refused_before_anything_is_sent() -> None:
    async with AsyncRetell("key_test", base_url="http://retell.test") as client:
        with pytest.raises(ValueError, match=r"the path and the query are of 70,0.. characters, and 65,000 can be sent"):
            await client.send(get(), {"extra_query": {"a": "x" * 70_000}})


ZIPPED = gzip.compress(b'{"a":1}')


@pytest.mark.parametrize("content", [ZIPPED, ZIPPED[:-3], ZIPPED[:9], ZIPPED * 2, ZIPPED + b"more", b"", b"none", b"\0" * 40])
def test_what_is_zipped_is_undone_as_httpx_does_it(content: bytes) -> None:
    def told(read: Callable[[], bytes], *wrong: type[Exception]) -> object:
        try:
            return read()
        except wrong as error:
            return str(error)

    by_httpx = told(lambda: httpx.Response(200, headers={"content-encoding": "gzip"}, content=content).content, httpx.DecodingError)
    assert told(lambda: _unzipped(content), zlib.error) == by_httpx


async def test_the_log_line_of_an_answer_shows_the_path_as_it_was_sent(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "retell_async")
    async with client_of(lambda _: httpx.Response(200, json={"call_id": "x", "call_type": "web_call"})) as client:
        for id in ("x\n09:16 billing CRITICAL forged\x1b[2J", "../../+14155550199?a"):
            await client.call.retrieve(id)
    forged, other = [record.getMessage().partition(": ")[0] for record in caplog.records if record.name == "retell_async"]
    assert forged.endswith("/v2/get-call/x%0A09:16%20billing%20CRITICAL%20forged%1B%5B2J")
    assert "4155550199" not in other
    assert other.endswith("%3Fa")


async def test_what_a_request_is_called_is_on_one_line() -> None:
    told: list[Any] = []
    always = httpx.MockTransport(lambda _: httpx.Response(500, json={}))
    async with AsyncRetell("key_test", http_client=httpx.AsyncClient(transport=always), max_retries=1, hooks=[told.append]) as client:
        with pytest.raises(errors.InternalServerError, match=r"\(GET /x%C2%85y/%2B141\*{6}77\)"):
            await client.get("/x\x85y/%2B14155550177", cast_to=object)
    assert [event.operation for event in told] == ["GET /x%C2%85y"]


@pytest.mark.parametrize("extra", ["x", "", [], [("a", 1)]])
async def test_an_extra_body_that_is_no_mapping_is_refused_by_name(extra: Any) -> None:
    async with AsyncRetell("key_test", base_url="http://retell.test") as client:
        for request in (get(), CREATE.request(body={"a": 1})):
            with pytest.raises(errors.ConfigurationError, match="extra_body must be a mapping, not") as refused:
                await client.send(request, {"extra_body": extra})
            assert isinstance(refused.value, TypeError)
        with pytest.raises(errors.ConfigurationError, match="extra_body has more fields for an object, and the body is of type list"):
            await client.request("POST", "/x", json=[1], extra_body={"a": 1})


async def test_a_time_out_for_a_connection_names_the_seconds_that_were_set() -> None:
    texts: set[str] = set()

    async def serve(_: httpx.Request) -> httpx.Response:
        await anyio.sleep(0.3)
        return httpx.Response(200, json={})

    async def ask() -> None:
        try:
            await client.send(get(), {})
        except errors.APITimeoutError as error:
            texts.add(str(error))

    given = httpx.AsyncClient(transport=httpx.MockTransport(serve))
    client = AsyncRetell(KEY, max_connections=1, timeout=httpx.Timeout(5, pool=0.05), http_client=given)
    async with client, anyio.create_task_group() as tasks:
        for _ in range(6):
            tasks.start_soon(ask)
    (text,) = texts
    assert text.startswith("Request timed out: no free connection within 0.05 s: all that max_connections or the HTTP client allow")
