"""What the guide says is different, or only here, is so: one test for each row."""

from __future__ import annotations

import ast
import inspect
import logging
import re
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any
from unittest import mock

import anyio
import httpx
import pytest
import retell
import retell.types
from fastapi import Body, FastAPI

import retell_async
from retell_async import llm, types, webhooks
from retell_async.raw.api.batch_call import create_batch_call
from retell_async.raw.api.call import create_phone_call
from retell_async.testing import LocalRetell

from ...engine.virtual import Server, run
from .guide import CALL, GUIDE, Sent, row, rows

pytestmark = pytest.mark.parallel

CALLS = {"items": [CALL], "has_more": False}


def both(answer: Callable[[httpx.Request], httpx.Response], **settings: Any) -> list[Any]:
    """A client of each package whose requests this answers."""
    transport = httpx.MockTransport(answer)
    kinds: list[Any] = [retell.AsyncRetell, retell_async.AsyncRetell]
    return [kind(api_key="key_1", http_client=httpx.AsyncClient(transport=transport, follow_redirects=True), **settings) for kind in kinds]


def test_every_row_has_a_test() -> None:
    starts = {
        str(call.args[0].value)
        for path in Path(__file__).parent.glob("test_moving*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == "row"
        and isinstance(call.args[0], ast.Constant)
    }
    assert [one for one in rows() if not any(one.startswith(f"| {start}") for start in starts)] == []
    assert len(rows()) > 50


@pytest.mark.anyio
async def test_what_has_no_body() -> None:
    assert "what has no body is false and equal to `None`" in row("`await raw.parse()` |")
    _, here = both(lambda _: httpx.Response(204))
    raw: Any = await here.call.with_raw_response.stop("call_1")
    nothing = raw.parse()
    assert not nothing
    assert [nothing] == [None]
    assert await nothing is None
    assert "which `isinstance` does not show" in row("`await raw.parse()` |")
    _, here = both(lambda _: httpx.Response(200, json=CALL))
    meant: Any = (await here.call.with_raw_response.retrieve("call_1")).parse()
    assert (isinstance(meant, types.PhoneCallResponse), type(meant) is types.PhoneCallResponse) == (True, False)
    assert type(await meant) is types.PhoneCallResponse


@pytest.mark.anyio
async def test_a_client_that_was_closed() -> None:
    assert "a `RetellError` that says so" in row("a client that was closed")
    there, here = both(lambda _: httpx.Response(200, json=CALL), max_retries=0)
    await there.close()
    with pytest.raises(retell.APIConnectionError):
        await there.call.retrieve("call_1")
    await here.close()
    with pytest.raises(retell_async.RetellError, match="the client is closed") as caught:
        await here.call.retrieve("call_1")
    assert not isinstance(caught.value, retell_async.APIConnectionError)


@pytest.mark.anyio
async def test_members_of_unions() -> None:
    assert "an unknown tag gives an `UnknownObject`" in row("the members of `CallResponse`")
    (there, here), _ = await Sent({**CALL, "call_type": "fax"}).both(lambda client: client.call.retrieve("call_1"))
    assert isinstance(there, (retell.types.PhoneCallResponse, retell.types.WebCallResponse))
    assert isinstance(here, retell_async.UnknownObject)
    assert (here.call_type, here.call_id) == ("fax", "call_1")
    assert not isinstance(here, (types.PhoneCallResponse, types.WebCallResponse))


@pytest.mark.anyio
@pytest.mark.filterwarnings("ignore::pydantic.warnings.UnsupportedFieldAttributeWarning")  # of the official SDK's class, in FastAPI
async def test_bodies_of_fastapi() -> None:
    assert "`call: Annotated[PhoneCallResponse, Body()]`" in row("FastAPI takes a parameter")
    app = FastAPI()
    taken: list[object] = []

    def hook(call: object) -> None:
        taken.append(call)

    kinds = {"/there": retell.types.PhoneCallResponse, "/bare": types.PhoneCallResponse}
    for path, kind in {**kinds, "/here": Annotated[types.PhoneCallResponse, Body()]}.items():
        hook.__annotations__["call"] = kind
        app.post(path)(hook)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app.test") as client:
        answers = {path: await client.post(path, json=CALL) for path in ("/there", "/bare", "/here")}
    assert {path: answer.status_code for path, answer in answers.items()} == {"/there": 200, "/bare": 422, "/here": 200}
    assert answers["/bare"].json()["detail"][0]["loc"] == ["query", "call"]
    assert [type(one) for one in taken] == [retell.types.PhoneCallResponse, types.PhoneCallResponse]


def test_classes_that_are_in_a_response() -> None:
    assert "the class alone; those inside are in `retell_async.types` under the API's names" in row(
        "`retell.types.phone_call_response` and"
    )
    there, here = (import_module(f"{name}.types.phone_call_response") for name in ("retell", "retell_async"))
    assert {"PhoneCallResponse", "CallAnalysis", "TranscriptObject"} <= {*there.__all__}
    assert here.__all__ == ["PhoneCallResponse"]
    made = here.PhoneCallResponse.from_dict({**CALL, "transcript_object": [{}]})
    assert [type(made.call_analysis), type(made.transcript_object[0])] == [types.CallAnalysis, types.Utterance]


def test_keys_of_webhooks() -> None:
    assert "a `ConfigurationError`" in row("`webhook_auth.verify` with an empty key")
    assert "as arguments of `make_secure_webhooks`" in row("`asymmetric_get_signer` and")
    there, here = (import_module(f"{name}.lib.webhook_auth") for name in ("retell", "retell_async"))
    signature = webhooks.sign("{}", "key_1")
    assert there.verify("{}", "", signature) is False
    with pytest.raises(retell_async.ConfigurationError):
        here.verify("{}", "", signature)
    for name in ("asymmetric_get_signer", "asymmetric_get_verifier"):
        assert (hasattr(there, name), hasattr(here, name)) == (True, False)


@pytest.mark.anyio
async def test_what_a_page_is() -> None:
    assert "`for call in page`, `len(page)`; `dict(page)` has its fields" in row("a page is gone through field by field")
    assert "every page is one; what a client gives is an `AsyncPage` or a `SyncPage`" in row("a class of pages")
    (there, here), _ = await Sent(CALLS).both(lambda client: client.call.list())
    assert dict(there).keys() >= {"items", "has_more"}
    assert not hasattr(there, "__len__")
    assert [call.call_id for call in here] == ["call_1"]
    assert (len(here), {*dict(here)} >= {"items", "has_more"}) == (1, True)
    theirs: list[Any] = [retell.types.CallListResponse, retell.types.AgentListResponse]
    assert [isinstance(there, kind) for kind in theirs] == [True, False]
    kinds: list[Any] = [types.CallListResponse, types.AgentListResponse]
    assert [isinstance(here, kind) for kind in kinds] == [True, True]
    assert type(here) is retell_async.AsyncPage
    for page in (kinds[0](**CALLS), here.model_copy()):
        with pytest.raises(RuntimeError, match="copied or made"):
            page._next()


@pytest.mark.anyio
async def test_a_class_made_of_a_page() -> None:
    assert "write `class MyCalls(BaseModel): items: List[MyCall]`" in row("a class made of a page may have fields")

    def made(package: Any, base: Any) -> Any:
        class MyCall(package.types.PhoneCallResponse):  # type: ignore[misc]
            def has_summary(self) -> bool:
                return self.call_analysis is not None

        class MyCalls(base):  # type: ignore[misc]
            items: list[MyCall]

        return MyCalls

    with pytest.raises(TypeError, match=r"MyCalls: items: .* class MyCalls\(BaseModel\): items: list"):
        made(retell_async, types.CallListResponse)
    there, ours = made(retell, retell.types.CallListResponse), made(retell_async, retell_async.BaseModel)
    (theirs, here), _ = await Sent(CALLS).both(
        lambda client: client.post("/v3/list-calls", body={}, cast_to=there if isinstance(client, retell.AsyncRetell) else ours)
    )
    assert theirs.items[0].has_summary() is here.items[0].has_summary()


@pytest.mark.anyio
async def test_requests_of_the_client() -> None:
    assert "`client.request(method, path, json=..., params=...)`" in row("`client.request(cast_to, options)`")
    sent = Sent({"a": 1})
    assert await sent.clients[1].request("POST", "/new", json={"b": 2}, params={"c": 3}) == {"a": 1}
    (request,) = sent.requests
    assert (request.method, request.url.path, request.url.query, request.content) == ("POST", "/new", b"c=3", b'{"b":2}')
    assert list(inspect.signature(sent.clients[0].request).parameters)[:2] == ["cast_to", "options"]


@pytest.mark.anyio
async def test_another_http_client() -> None:
    assert "it has limits of its own and is closed by itself" in row("`with_options(http_client=...)`")
    for client in Sent(CALL).clients:
        other = Sent({**CALL, "call_id": "call_2"})
        view = client.with_options(http_client=other.clients[0]._client)
        assert (await view.call.retrieve("c")).call_id == "call_2"
        await view.close()
        assert not client.is_closed()
        assert (await client.call.retrieve("c")).call_id == "call_1"


def test_methods_that_list_are_coroutine_functions() -> None:
    said = row("a method that lists is a coroutine function")
    assert (
        "`inspect.iscoroutinefunction` takes for one from Python 3.12 on, `asyncio.iscoroutinefunction` and `unittest.mock` on 3.11 too"
        in said
    )
    assert inspect.iscoroutinefunction(retell.AsyncRetell(api_key="key_1").call.list)
    assert inspect.iscoroutinefunction(retell_async.AsyncRetell("key_1").call.list) is (sys.version_info >= (3, 12))
    assert "`patch`, `MagicMock(spec=...)` and `AsyncMock(spec=...)` of clients and\nresources" in GUIDE
    for package in (retell, retell_async):
        calls = package.AsyncRetell(api_key="key_1").call
        assert isinstance(mock.MagicMock(spec=calls).list, mock.AsyncMock)
        assert isinstance(mock.AsyncMock(spec=calls).list, mock.AsyncMock)
        with mock.patch.object(calls, "list") as double:
            assert isinstance(double, mock.AsyncMock)


@pytest.mark.anyio
async def test_whole_urls() -> None:
    assert "only within the origin of the base URL" in row("a whole URL as `path`")
    _, (there, here) = await Sent().both(lambda client: client.get("http://elsewhere.test/a", cast_to=object))
    assert "Authorization" in there.headers
    assert "Authorization" not in here.headers


@pytest.mark.anyio
async def test_redirects() -> None:
    said = row("every redirect is followed")
    seen: list[tuple[str, str, bool]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append((request.method, str(request.url), "Authorization" in request.headers))
        if request.url.host == "elsewhere.test" or request.url.path == "/moved":
            return httpx.Response(200, json=CALL)
        where = "http://elsewhere.test/moved" if request.method == "GET" else "/moved"
        return httpx.Response(307, headers={"Location": where})

    there, here = both(answer, base_url="http://retell.test")
    assert "what reads is sent anywhere, without the key to another origin" in said
    await here.call.retrieve("call_1")
    assert seen.pop() == ("GET", "http://elsewhere.test/moved", False)
    assert "`client.post` and the like go on within their origin" in said
    await here.post("/new", cast_to=object)
    assert seen.pop() == ("POST", "http://retell.test/moved", True)
    assert "what creates by a method of a resource stays" in said
    await there.call.create_web_call(agent_id="a")
    assert seen.pop() == ("POST", "http://retell.test/moved", True)
    with pytest.raises(retell_async.APIStatusError):
        await here.call.create_web_call(agent_id="a")
    assert seen.pop()[1] != "http://retell.test/moved"


def test_long_waits_that_are_asked_for() -> None:
    assert "60 seconds are waited" in row("a `Retry-After` above 60 seconds")

    async def main() -> list[float]:
        server = Server(lambda _, now: httpx.Response(200, json=CALL) if now else httpx.Response(503, headers={"Retry-After": "120"}))
        async with server.client() as client:
            await client.call.retrieve("call_1")
        return server.times()

    assert [round(moment) for moment in run(main)] == [0, 60]
    there: Any = retell.AsyncRetell(api_key="key_1")
    asked = httpx.Headers({"Retry-After": "120"})
    assert there._calculate_retry_timeout(2, SimpleNamespace(get_max_retries=lambda _: 2), asked) < 10


@pytest.mark.anyio
async def test_options_of_verbs() -> None:
    assert '`options={"headers": ..., "params": ...}`' in row("`RequestOptions`: `headers`, `params`")
    options = {"headers": {"X-One": "1"}, "params": {"a": "1"}}
    _, requests = await Sent().both(lambda client: client.get("/new", cast_to=object, options=options))
    for request in requests:
        assert (request.headers["X-One"], request.url.query) == ("1", b"a=1")
    assert "headers" in retell.RequestOptions.__annotations__
    assert "extra_headers" in retell_async.RequestOptions.__annotations__


def test_limits_are_apart_from_retries() -> None:
    assert "`rate_limit=RateLimit(max_wait=0)` raises a 429 at once" in row("a 429 counts as a failure")
    limited = httpx.Response(429, headers={"Retry-After": "7"}, json={})

    async def main() -> None:
        server = Server(lambda _, now: httpx.Response(200, json=CALL) if now else limited)
        async with server.client(max_retries=0) as client:
            await client.call.retrieve("call_1")
            assert server.times()[-1] >= 7
        server.start = None
        async with server.client(rate_limit=retell_async.RateLimit(max_wait=0)) as client:
            with pytest.raises(retell_async.RateLimitError):
                await client.call.retrieve("call_1")

    run(main)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("start", "status", "headers", "ours"),
    [
        ("a 409 is always tried again", 409, {}, 1),
        ("the header `x-should-retry` decides", 400, {"x-should-retry": "true"}, 1),
        ("the header `x-should-retry` decides", 503, {"x-should-retry": "false"}, 2),
    ],
)
async def test_what_is_tried_again(start: str, status: int, headers: dict[str, str], ours: int) -> None:
    assert row("a 409 is always tried again")
    assert row("the header `x-should-retry` decides")
    assert row(start)
    sent: list[str] = []

    def answer(_: httpx.Request) -> httpx.Response:
        sent.append("")
        return httpx.Response(status, headers=headers, json={"message": "it is there already"})

    there, here = both(answer, max_retries=1)
    for client, times in ((there, 3 - ours), (here, ours)):
        sent.clear()
        with pytest.raises((retell.APIStatusError, retell_async.APIStatusError)):
            await client.call.retrieve("call_1")
        assert len(sent) == times


def test_the_budget_of_retries() -> None:
    assert "`RetryPolicy(budget=None)`" in row("each request retries for itself")

    async def main(policy: retell_async.RetryPolicy) -> int:
        server = Server(lambda *_: httpx.Response(503, json={}))
        async with server.client(retry=policy) as client, anyio.create_task_group() as tasks:
            for _ in range(250):
                tasks.start_soon(failing, client)
        return len(server.times())

    async def failing(client: retell_async.AsyncRetell) -> None:
        with pytest.raises(retell_async.InternalServerError):
            await client.call.retrieve("call_1")

    assert 250 < run(lambda: main(retell_async.RetryPolicy())) < 500
    assert run(lambda: main(retell_async.RetryPolicy(budget=None))) == 750


def test_time_that_operations_need() -> None:
    assert "two minutes for a phone call, five for a batch" in row("60 seconds for whatever is asked")
    assert create_phone_call.OPERATION.timeout == 120
    assert create_batch_call.OPERATION.timeout == 300


@pytest.mark.soak
def test_logging_by_the_environment() -> None:
    assert '`logging.getLogger("retell_async").setLevel(logging.DEBUG)`' in row("`RETELL_LOG=debug`")
    for package, level in (("retell", logging.DEBUG), ("retell_async", logging.NOTSET)):
        command = f"import logging, {package}; print(logging.getLogger({package!r}).level)"
        result = subprocess.run([sys.executable, "-c", command], env={"RETELL_LOG": "debug"}, capture_output=True, text=True, check=True)
        assert int(result.stdout) == level


def test_pythons() -> None:
    assert "Python 3.11 or later" in row("Python 3.9 or later")
    assert [metadata(name)["Requires-Python"] for name in ("retell-sdk", "retell-async")] == [">=3.9", ">=3.11"]


@pytest.mark.anyio
async def test_lists_over_all_pages() -> None:
    said = row("Lists over all pages")
    client = Sent(CALLS).clients[1]
    assert [call.call_id async for call in client.call.list()] == ["call_1"]
    for name in ("pages", "prefetch", "map"):
        assert f"`{name}`" in said
        assert hasattr(client.call.list(), name)
    assert await (await client.call.list()).next_page() is None
    theirs = retell.AsyncRetell(api_key="key_1").call.list()
    assert not hasattr(theirs, "__aiter__")
    theirs.close()


def test_rate_limits_and_deadlines() -> None:
    assert "one for all tasks of a client" in row("Rate limits")
    assert "seconds for a call with all of its attempts" in row("Deadlines")

    async def main() -> list[float]:
        server = Server(lambda request, _: httpx.Response(503 if "slow" in str(request.url) else 200, json=CALL))
        async with server.client(rate_limit=retell_async.RateLimit(1)) as client:
            async with anyio.create_task_group() as tasks:
                for _ in range(3):
                    tasks.start_soon(client.call.retrieve, "call_1")
            start = anyio.current_time()
            with pytest.raises(retell_async.APIError):
                await client.call.retrieve("slow", deadline=4.0, max_retries=100)
            assert anyio.current_time() - start <= 4.0
        return server.times("call_1")

    assert [round(moment) for moment in run(main)] == [0, 1, 2]


def test_errors_that_are_only_here() -> None:
    names = re.findall(r"`(\w+)(?:\.retry_after)?`", row("Errors | `PaymentRequiredError`"))
    assert names == ["PaymentRequiredError", "PreconditionFailedError", "OutcomeUnknownError", "RateLimitError"]
    for name in names[:3]:
        assert hasattr(retell_async, name)
        assert not hasattr(retell, name)


@pytest.mark.anyio
async def test_what_is_only_here() -> None:
    assert "typed events, inbound requests and custom functions, and an application" in row("Webhooks | typed events")
    for name in ("CallEnded", "InboundCall", "FunctionCall", "Router"):
        assert hasattr(webhooks, name)
    assert "the WebSocket" in row("Custom LLMs")
    assert llm.App is not None
    assert "`wait` for calls, chats, knowledge bases and tests" in row("Waiting")
    client = retell_async.AsyncRetell("key_1")
    for resource in (client.call, client.chat, client.knowledge_base, client.tests):
        assert hasattr(resource, "wait")
    assert hasattr(client.call, "ended_since")
    assert "the API on your machine" in row("Sandbox")
    assert "beside asyncio" in row("trio")  # under which this test runs too
    local = LocalRetell()
    async with local.client() as tested:
        assert len(await tested.agent.list()) == 0


def test_masking() -> None:
    assert "phone numbers and API keys do not appear in reprs" in row("Masking")
    theirs, ours = (import_module(f"{name}.types").PhoneCallResponse(**CALL) for name in ("retell", "retell_async"))
    assert "+14155550101" in repr(theirs)
    assert "+14155550101" not in repr(ours)
    assert "key_1" not in repr(retell_async.AsyncRetell("key_1"))
