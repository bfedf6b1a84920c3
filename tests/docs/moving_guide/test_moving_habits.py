"""What the guide says is different where programs have habits of their own, is so: one test for each row."""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
import re
import warnings
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from threading import Barrier
from typing import Any, get_type_hints

import httpx
import pytest
import retell

import retell_async

from ...http.test_transport import ok, serving
from .guide import CALL, GUIDE, Sent, row

pytestmark = pytest.mark.parallel

PACKAGES: list[Any] = [retell, retell_async]


def answering(body: object = CALL, **parts: Any) -> httpx.MockTransport:
    return httpx.MockTransport(lambda _: httpx.Response(200, json=body, **parts))


def test_event_loops_at_once() -> None:
    said = row("one `AsyncRetell` in several event loops at once")
    assert "a `ConfigurationError` in all but the first, for as long as that one runs: give the threads one `Retell`" in said
    together = Barrier(2)

    async def answer(_: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0.05)
        return httpx.Response(200, json=CALL)

    def ask(client: Any) -> str:
        async def main() -> str:
            together.wait(5)
            return str((await client.call.retrieve("call_1")).call_id)

        return asyncio.run(main())

    def outcome(client: Any) -> list[str]:
        with ThreadPoolExecutor(2) as threads:
            jobs = [threads.submit(ask, client) for _ in range(2)]
        return sorted(type(job.exception()).__name__ if job.exception() else job.result() for job in jobs)

    there, here = (
        package.AsyncRetell(api_key="k", http_client=httpx.AsyncClient(transport=httpx.MockTransport(answer))) for package in PACKAGES
    )
    assert (outcome(there), outcome(here)) == (["call_1", "call_1"], ["ConfigurationError", "call_1"])
    with retell_async.Retell("k", http_client=httpx.Client(transport=answering())) as shared, ThreadPoolExecutor(2) as threads:
        assert [call.call_id for call in threads.map(shared.call.retrieve, ("a", "b"))] == ["call_1", "call_1"]


def test_clients_that_are_dropped() -> None:
    assert "a `ResourceWarning`, which pytest's `filterwarnings = error` makes an error" in row(
        "a client that is dropped and was not closed"
    )

    def status(package: Any) -> str:
        client = package.Retell(api_key="k", http_client=httpx.Client(transport=answering()))
        return str(client.call.retrieve("call_1").call_status)

    for package, expected in zip(PACKAGES, (0, 1), strict=True):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert status(package) == "ended"
            gc.collect()
        assert len([one for one in caught if "a Retell was dropped" in str(one.message)]) == expected


@pytest.mark.anyio
async def test_numbers() -> None:
    assert "70 is an `int`" in row("a field that is a `float` holds 70.0")
    cost = {"combined_cost": 70, "product_costs": [], "total_duration_seconds": 60, "total_duration_unit_price": 1}
    (there, here), _ = await Sent({**CALL, "call_cost": cost}).both(lambda client: client.call.retrieve("call_1"))
    assert [type(call.call_cost.combined_cost) for call in (there, here)] == [float, int]
    assert here.to_dict()["call_cost"] == cost


def test_modules_with_an_underscore() -> None:
    said = row("modules with an underscore")
    for name in re.findall(r"`retell\.(_\w+)`", said):
        import_module(f"retell.{name}")
        with pytest.raises(ModuleNotFoundError):
            import_module(f"retell_async.{name}")
    for name in re.findall(r"\w+", said.partition("from retell_async import ")[2].partition("`")[0]):
        assert hasattr(retell_async, name)


def test_classes_of_ones_own() -> None:
    said = row("a class of your own may have")
    for name in ("auth_headers", "default_headers", "default_query", "user_agent", "platform_headers"):
        assert f"`{name}`" in said
    asked: list[str] = []

    def mine(package: Any) -> Any:
        class Mine(package.Retell):  # type: ignore[misc]
            @property
            def auth_headers(self) -> dict[str, str]:
                return {"Authorization": "Token mine"}

            def _prepare_request(self, request: httpx.Request) -> None:
                asked.append(f"{package.__name__} {request.headers['authorization']}")

        return Mine(api_key="k", http_client=httpx.Client(transport=answering(), event_hooks={"request": [hook]}))

    def hook(request: httpx.Request) -> None:
        asked.append(request.headers["authorization"])

    for package in PACKAGES:
        with mine(package) as client:
            client.call.retrieve("call_1")
    assert asked == ["retell Token mine", "Token mine", "Token mine"]


def test_a_way_of_authenticating_of_ones_own() -> None:
    assert "a `custom_auth` of its own is a `TypeError` when it is made: give `http_client=httpx.Client(auth=...)`" in row(
        "a class of your own may have"
    )

    class Gate(httpx.Auth):
        def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
            request.headers["x-gate"] = "1"
            yield request

    for base in (retell_async.Retell, retell_async.AsyncRetell):
        with pytest.raises(TypeError, match=r"Mine\.custom_auth would not be asked: give `http_client=httpx\.Client\(auth=\.\.\.\)`"):
            type("Mine", (base,), {"custom_auth": property(lambda _: Gate())})
    seen: list[str] = []
    hooks = {"request": [lambda request: seen.append(request.headers["x-gate"])]}
    with retell_async.Retell("k", http_client=httpx.Client(transport=answering(), auth=Gate(), event_hooks=hooks)) as client:
        client.call.retrieve("call_1")
    assert seen == ["1"]


def test_answers_with_little_in_them() -> None:
    said = row("an answer without the id of what was created")
    assert "`OutcomeUnknownError`" in said
    assert "`APIResponseValidationError`" in said
    assert "mocked with `{}`" in GUIDE
    there, here = (package.Retell(api_key="k", http_client=httpx.Client(transport=answering({}))) for package in PACKAGES)
    assert there.call.create_web_call(agent_id="agent_1").call_id is None
    assert there.agent.list().items is None
    with pytest.raises(retell_async.OutcomeUnknownError, match="no call_id"):
        here.call.create_web_call(agent_id="agent_1")
    with pytest.raises(retell_async.APIResponseValidationError, match="no array of items"):
        here.agent.list()
    assert there.call.retrieve("call_1").call_id is here.call.retrieve("call_1").call_id is None
    there.close()
    here.close()


def test_a_line_for_each_request(caplog: pytest.LogCaptureFixture) -> None:
    assert "`GET /v2/get-call/call_1: 200 in 0.123 s`" in row("httpx logs each request at `INFO`")
    caplog.set_level(logging.INFO)
    for package in PACKAGES:
        with package.Retell(api_key="k", http_client=httpx.Client(transport=answering({"phone_number": "+14155550100"}))) as client:
            client.phone_number.retrieve("+14155550100")
    found = [f"{record.name} {record.levelname} {record.getMessage()}" for record in caplog.records]
    line = 'httpx INFO HTTP Request: GET https://api.retellai.com/get-phone-number/{} "HTTP/1.1 200 OK"'
    assert found[:2] == [line.format("+14155550100"), line.format("+141******00")]
    assert re.fullmatch(r"retell_async INFO GET /get-phone-number/\+141\*{6}00: 200 in 0\.\d{3} s", found[2])
    assert len(found) == 3


def test_what_is_sent() -> None:
    assert "a `TypeError`" in row("an id that is no `str`")
    assert "it is sent" in row("`extra_body` of a GET")
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json=CALL)

    for package in PACKAGES:
        with package.Retell(api_key="k", http_client=httpx.Client(transport=httpx.MockTransport(answer))) as client:
            for _ in range(2):
                client.call.retrieve("call_1", extra_body={"a": 1})
            if package is retell:
                client.call.retrieve(5)
            else:
                with pytest.raises(TypeError, match="call_id must be a str"):
                    client.call.retrieve(5)
    assert [request.content for request in seen] == [b"", b"", b"", b'{"a":1}', b'{"a":1}']
    assert seen[2].url.path == "/v2/get-call/5"


@pytest.mark.soak
@pytest.mark.anyio
async def test_cookies() -> None:
    assert "by an `http_client` of yours alone" in row("cookies of an answer")
    kinds: list[Callable[[str], Any]] = [
        lambda url: retell.AsyncRetell(api_key="k", base_url=url),
        lambda url: retell_async.AsyncRetell("k", base_url=url, http_client=httpx.AsyncClient()),
        lambda url: retell_async.AsyncRetell("k", base_url=url),
    ]
    for make, expected in zip(kinds, (True, True, False), strict=True):
        async with serving(lambda _: ok(b"[]", b"Set-Cookie: a=b\r\n")) as server, make(server.url) as client:
            for _ in range(2):
                await client.voice.list()
            assert (b"cookie: a=b" in server.requests[1].lower()) is expected


def test_signatures() -> None:
    assert "keywords to `inspect.signature` and to what makes tools of methods" in row("Options of a request")
    for name in ("Retell", "AsyncRetell"):
        there, here = (getattr(package, name)(api_key="k").call.retrieve for package in PACKAGES)
        assert inspect.signature(there).parameters.keys() <= inspect.signature(here).parameters.keys()
        assert get_type_hints(there).keys() <= get_type_hints(here).keys()
    assert "`body=..., api_key=...`, or by position" in row('`symmetric["sign"](input_str=')
    signs = [import_module(f"{package.__name__}.lib.webhook_auth").symmetric["sign"] for package in PACKAGES]
    assert signs[0](input_str="{}", secret_or_private_key="k", timestamp=1) == signs[1](body="{}", api_key="k", timestamp=1)
    assert signs[0]("{}", "k", 1) == signs[1]("{}", "k", 1)


def test_what_is_not_there() -> None:
    names = re.findall(r"`(?:client\.)?(\w+)`", row("`client.qs`, `client.get_api_list`").partition(" | not there")[0])
    assert len(names) == 9
    clients, models = ([package.Retell(api_key="k") for package in PACKAGES], [package.types.PhoneCallResponse for package in PACKAGES])
    for name in names:
        there, here = clients if name in {"qs", "get_api_list"} else models
        assert (hasattr(there, name), hasattr(here, name)) == (True, False), name


def test_an_error_of_validation_says_what_it_says_there() -> None:
    response = httpx.Response(200, request=httpx.Request("GET", "http://retell.test"))
    there, here = (str(package.APIResponseValidationError(response, None)) for package in PACKAGES)
    assert here == there


class _CutOff(httpx.SyncByteStream):
    def __iter__(self) -> Generator[bytes]:
        yield b"{"
        raise httpx.RemoteProtocolError("closed")


@pytest.mark.parametrize("body", [{"stream": _CutOff()}, {"text": "<html>"}, {"text": ""}])
def test_answers_of_success_that_cannot_be_read(body: dict[str, Any]) -> None:
    assert "That is so\n  for a 201 whose body is cut off or no JSON too" in GUIDE
    transport = httpx.MockTransport(lambda _: httpx.Response(201, **body))
    there, here = (package.Retell(api_key="k", max_retries=0, http_client=httpx.Client(transport=transport)) for package in PACKAGES)
    if "stream" in body:
        with pytest.raises(retell.APIConnectionError):
            there.call.create_web_call(agent_id="agent_1")
    else:
        told: Any = there.call.create_web_call(agent_id="agent_1")
        assert told == body["text"]
    with pytest.raises(retell_async.APIStatusError) as caught:
        here.call.create_web_call(agent_id="agent_1")
    assert isinstance(caught.value, retell_async.OutcomeUnknownError)
    assert not isinstance(caught.value, retell_async.APIConnectionError)
    assert caught.value.status_code == 201
    there.close()
    here.close()


@pytest.mark.anyio
async def test_events_of_an_answer() -> None:
    assert "a `TypeError`: read such an answer with httpx" in row("`client.get(path, cast_to=..., stream=True")
    asked: dict[str, Any] = {"cast_to": object, "stream": True, "stream_cls": retell_async.AsyncStream}
    async with retell_async.AsyncRetell("k") as client:
        for name in ("get", "post", "put", "patch", "delete"):
            with pytest.raises(TypeError, match=rf"^AsyncRetell\.{name}\(\) got an unexpected keyword argument 'stream'"):
                await getattr(client, name)("/x", **asked)
    with retell_async.Retell("k") as blocking, pytest.raises(TypeError, match=r"^Retell\.get\(\) got an unexpected keyword"):
        blocking.get("/x", **asked)


def test_headers_that_say_how_long_a_body_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "a `ConfigurationError`, save" in row("`Content-Length` and `Transfer-Encoding` in")
    retell.Retell(api_key="k", default_headers={"Content-Length": "3"}).close()
    with pytest.raises(retell_async.ConfigurationError, match="Content-Length"):
        retell_async.Retell("k", default_headers={"Content-Length": "3"})
    assert "a `ConfigurationError` with the number of the line" in row("a line of `RETELL_CUSTOM_HEADERS`")
    monkeypatch.setenv("RETELL_CUSTOM_HEADERS", "foo")
    retell.Retell(api_key="k").close()
    with pytest.raises(retell_async.ConfigurationError, match="RETELL_CUSTOM_HEADERS: line 1"):
        retell_async.Retell("k")
