"""Watching a live call: what is shown and when it ends, pure, and over real sockets against the sandbox and a server that fails."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from http import HTTPStatus
from typing import Any

import anyio
import httpx
import pytest
import trustme
from websockets.asyncio.server import Server, ServerConnection, serve as serve_websockets
from websockets.http11 import Request, Response

from retell_async import (
    APIConnectionError,
    APIError,
    AsyncRetell,
    AuthenticationError,
    DefaultAsyncHttpxClient,
    InternalServerError,
    RateLimitError,
    Retell,
    RetellError,
    RetryPolicy,
)
from retell_async.llm import monitor as monitoring
from retell_async.llm.monitor import MonitorError, MonitorItem, Watched
from retell_async.sandbox import Sandbox, Settings, serve

Json = dict[str, Any]


def item(id: str, content: str, **more: Any) -> Json:
    return {"id": id, "role": "user", "content": content, "time_sec": 1.5, **more}


def test_items_come_when_they_are_new_or_have_grown() -> None:
    watched = Watched()
    [first] = watched.received(json.dumps(item("i1", "Hel", mood="good")))
    assert (first.id, first.role, first.content, first.time_sec, first["mood"]) == ("i1", "user", "Hel", 1.5, "good")
    assert watched.received(json.dumps(item("i1", "Hel", mood="good"))) == []
    [grown, other] = watched.received(json.dumps([item("i1", "Hello"), item("i2", "a"), item("i1", "Hello")]))
    assert (grown.content, other.id) == ("Hello", "i2")
    assert list(watched.items) == ["i1", "i2"]
    assert watched.items["i1"].content == "Hello"


def test_half_an_emoji_hides_no_item() -> None:
    [shown] = Watched().received(json.dumps(item("i1", "Hm \ud83d")))
    assert shown.content == "Hm \ud83d"


@pytest.mark.parametrize("text", ["", "{", "[1]", "{}", '{"id": true}', '{"id": 1.5}', '{"event": "brand_new"}', "[" * 100_000])
def test_what_is_no_item_is_passed_over(text: str) -> None:
    assert Watched().received(text) == []


def test_how_a_call_ends() -> None:
    watched = Watched()
    assert watched.closed(1000) == "over"
    with pytest.raises(MonitorError, match="not ongoing") as error:
        watched.closed(4004)
    assert error.value.code == 4004
    watched.received("{}")
    assert watched.closed(4004) == "over"  # it went on when this was lost


def test_a_call_of_which_nothing_came_is_not_said_to_have_ended() -> None:
    watched = Watched()
    assert watched.closed(1006) == "again"
    with pytest.raises(MonitorError, match="not ongoing") as error:
        watched.closed(4004)
    assert error.value.code == 4004


def test_a_server_that_never_tells_anything_is_given_up_soon() -> None:
    watched = Watched()
    for _ in range(5):
        assert watched.closed(1011) == "again"
    with pytest.raises(MonitorError, match="close code 1011"):
        watched.closed(1011)


@pytest.mark.parametrize("told", [["{}"], []])
def test_ones_own_dead_connection_may_still_be_counted(told: list[str]) -> None:
    with pytest.raises(MonitorError, match="five others"):
        Watched().closed(4008)
    watched = Watched()
    for text in told:
        watched.received(text)
    assert watched.closed(1006) == "again"
    assert [watched.closed(4008) for _ in range(4)] == ["again"] * 4
    with pytest.raises(MonitorError, match="five others"):
        watched.closed(4008)


def error(status: int) -> APIError:
    request = httpx.Request("GET", "http://test")
    kinds = {401: AuthenticationError, 429: RateLimitError, 502: InternalServerError}
    if status == 0:
        return APIConnectionError(request=request)
    return kinds[status]("no", response=httpx.Response(status, request=request), body=None)


def test_a_connection_that_cannot_be_opened_again_yet() -> None:
    for status in (0, 429, 502):
        with pytest.raises(APIError):
            Watched().unopened(error(status))
        lost = Watched()
        lost.closed(1006)
        for _ in range(4):
            lost.unopened(error(status))
        with pytest.raises(APIError):
            lost.unopened(error(status))
        watched = Watched(seen=True)
        for _ in range(39):
            watched.unopened(error(status))
        with pytest.raises(APIError):
            watched.unopened(error(status))
    with pytest.raises(AuthenticationError):
        Watched(seen=True).unopened(error(401))


@pytest.mark.parametrize(("code", "said"), [(4003, "close code 4003"), (1008, "does not let"), (4999, "why"), (1002, "close code 1002")])
def test_what_ends_it_for_good(code: int, said: str) -> None:
    with pytest.raises(MonitorError, match=said):
        Watched(seen=True).closed(code, "why")


def test_an_id_may_be_a_number() -> None:
    [shown] = Watched().received('{"id": 7, "role": "agent", "content": "Hello"}')
    assert (shown.id, shown.content) == ("7", "Hello")


def port_of(server: Server) -> int:
    port: int = next(iter(server.sockets)).getsockname()[1]
    return port


@pytest.mark.soak
def test_a_server_that_is_away_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitoring, "_PAUSE", 0.01)
    refused = 0

    async def main() -> None:
        def refuse(socket: ServerConnection, request: Request) -> Response | None:
            nonlocal refused
            refused += 1
            return socket.respond(HTTPStatus.BAD_GATEWAY, "") if 1 < refused <= 9 else None

        async def handle(socket: ServerConnection) -> None:
            await (first_half if refused == 1 else second_half)(socket)

        async with (
            serve_websockets(handle, "127.0.0.1", 0, process_request=refuse) as server,
            AsyncRetell("key", base_url=f"http://127.0.0.1:{port_of(server)}", retry=RetryPolicy(first_delay=0.01)) as client,
        ):
            assert (await watch(client))[-1].content == "Bye"

    asyncio.run(main())


def test_numbers_in_reasons_are_masked() -> None:
    with pytest.raises(MonitorError) as error:
        Watched().closed(4999, "call from +14155550100")
    assert "4155550100" not in str(error.value)


def test_a_lost_connection_is_opened_again_with_longer_pauses() -> None:
    watched = Watched(seen=True)
    pauses = []
    for _ in range(39):
        assert watched.closed(1006) == "again"
        pauses.append(watched.pause)
    assert pauses[:6] == [0.5, 1, 2, 4, 8, 8]
    assert 240 < sum(pauses) < 360
    with pytest.raises(MonitorError, match="close code 1006"):
        watched.closed(1006)
    watched.received(json.dumps(item("i1", "a")))
    assert watched.closed(1012) == "again"


def test_a_server_that_tells_the_same_on_each_connection_is_given_up() -> None:
    watched = Watched()
    told = [item("i1", "Hel"), item("i1", "Hello"), item("i2", "a")]
    for number in range(39):
        shown = [one.content for each in told for one in watched.received(json.dumps(each))]
        assert shown == (["Hel", "Hello", "a"] if number == 0 else ["Hel", "Hello"])
        assert watched.closed(1006) == "again"
    watched.received(json.dumps(told))
    with pytest.raises(MonitorError, match="close code 1006"):
        watched.closed(1006)


def test_an_id_is_needed() -> None:
    async def main() -> None:
        async with AsyncRetell(api_key="key_of_the_tests") as client:
            with pytest.raises(ValueError, match="call_id"):
                await anext(client.call.monitor(""))

    asyncio.run(main())


Scripts = list[Callable[[ServerConnection], Awaitable[None]]]


@asynccontextmanager
async def scripted(scripts: Scripts, context: ssl.SSLContext | None = None) -> AsyncGenerator[tuple[int, list[Request]]]:
    """A server whose connections go by these, one after the other."""
    requests: list[Request] = []

    def note(socket: ServerConnection, request: Request) -> Response | None:
        requests.append(request)
        return None

    async def handle(socket: ServerConnection) -> None:
        await scripts.pop(0)(socket)

    async with serve_websockets(handle, "127.0.0.1", 0, ssl=context, process_request=note) as server:
        yield next(iter(server.sockets)).getsockname()[1], requests


async def first_half(socket: ServerConnection) -> None:
    await socket.send(json.dumps(item("i1", "Hello")))
    await socket.send(json.dumps(item("i2", "a" * 300_000)))
    socket.transport.abort()


async def second_half(socket: ServerConnection) -> None:
    for each in (item("i1", "Hello"), item("i2", "a"), item("i3", "Bye")):
        await socket.send(json.dumps(each))
    await (await socket.ping())


async def watch(client: AsyncRetell, call_id: str = "call_1") -> list[MonitorItem]:
    return [item async for item in client.call.monitor(call_id)]


@pytest.mark.soak
def test_a_lost_connection_loses_and_repeats_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitoring, "_PAUSE", 0.01)

    async def main() -> None:
        async with (
            scripted([first_half, second_half]) as (port, requests),
            AsyncRetell(api_key="key_of_the_tests", base_url=f"http://127.0.0.1:{port}") as client,
        ):
            found = await watch(client, "call 1/..")
        assert [(each.id, len(each.content or "")) for each in found] in (
            [("i1", 5), ("i2", 300_000), ("i2", 1), ("i3", 3)],
            [("i1", 5), ("i2", 1), ("i3", 3)],  # the loss overtook the second
        )
        assert [request.path for request in requests] == ["/v2/monitor-call/call%201%2F.."] * 2
        assert requests[0].headers["Authorization"] == "Bearer key_of_the_tests"

    asyncio.run(main())


@pytest.mark.soak
def test_tls_and_the_proxy_are_those_of_the_client() -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    seen: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        seen.append(head.split(b"\r\n")[0])
        host, _, port = head.split()[1].decode().partition(":")
        there, back = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")

        async def pump(source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                to.write(data)
            to.close()

        await asyncio.gather(pump(reader, back), pump(there, writer), return_exceptions=True)

    async def main() -> None:
        async with AsyncExitStack() as stack:
            port, _ = await stack.enter_async_context(scripted([second_half, second_half, second_half], context))
            through = await asyncio.start_server(proxy, "127.0.0.1", 0)
            stack.push_async_callback(through.wait_closed)
            stack.callback(through.close)
            proxy_url = f"http://127.0.0.1:{through.sockets[0].getsockname()[1]}"
            for http_client in (
                DefaultAsyncHttpxClient(verify=trusting, proxy=proxy_url),
                DefaultAsyncHttpxClient(verify=trusting),
                httpx.AsyncClient(verify=trusting, trust_env=False),
            ):
                async with AsyncRetell(api_key="key_of_the_tests", base_url=f"https://127.0.0.1:{port}", http_client=http_client) as client:
                    assert [each.id for each in await watch(client)] == ["i1", "i2", "i3"]
            assert seen == [f"CONNECT 127.0.0.1:{port} HTTP/1.1".encode()]
            async with AsyncRetell(api_key="key_of_the_tests", base_url=f"https://127.0.0.1:{port}", max_retries=0) as client:
                with pytest.raises(RetellError, match="ertificate"):
                    await watch(client)

    asyncio.run(main())


@pytest.mark.soak
def test_a_server_that_opens_no_websocket() -> None:
    async def main() -> None:
        transport = httpx.MockTransport(lambda request: httpx.Response(200, json={}))
        async with AsyncRetell(api_key="key_of_the_tests", http_client=httpx.AsyncClient(transport=transport)) as client:
            with pytest.raises(RetellError, match="opened no WebSocket"):
                await watch(client)

    asyncio.run(main())


async def placed(client: AsyncRetell) -> str:
    """A web call that has just begun."""
    engine = await client.llm.create(begin_message="Hello there, how are you today?")
    agent = await client.agent.create(response_engine={"type": "retell-llm", "llm_id": engine.llm_id}, voice_id="retell-Cimo")
    call = await client.call.create_web_call(agent_id=agent.agent_id)
    with anyio.fail_after(10):
        while (await client.call.retrieve(call.call_id)).call_status != "ongoing":  # noqa: ASYNC110 - of another process, as it were
            await anyio.sleep(0.05)
    return call.call_id


@pytest.mark.soak
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_call_of_the_sandbox(backend: str) -> None:
    async def main() -> None:
        async with serve(Sandbox(Settings(api_key="key_of_the_tests"))) as served:
            async with AsyncRetell(api_key="key_of_the_tests", base_url=served.url) as client:
                with pytest.raises(MonitorError, match="not ongoing") as refused:
                    await watch(client, "call_unknown")
                assert refused.value.code == 4004
                call_id = await placed(client)
                async with AsyncExitStack() as stack:
                    five = [await stack.enter_async_context(aclosing(client.call.monitor(call_id))) for _ in range(5)]
                    with anyio.fail_after(10):
                        found = [await anext(items) for items in five][-1]
                    assert found.role == "agent"
                    with anyio.fail_after(10):
                        assert len((await anext(five[-1])).content or "") > len(found.content or "")  # it grows
                    with pytest.raises(MonitorError, match="five others") as crowded:
                        await watch(client, call_id)
                    assert crowded.value.code == 4008
                with anyio.fail_after(10):  # the others have left
                    watching = client.call.monitor(call_id)
                    async with aclosing(watching):
                        assert (await anext(watching)).id == found.id
                        await client.call.stop(call_id)
                        async for _ in watching:
                            pass
            async with AsyncRetell(api_key="key_of_another", base_url=served.url) as stranger:
                with pytest.raises(AuthenticationError):
                    await watch(stranger, call_id)

    anyio.run(main, backend=backend)


@pytest.mark.soak
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_whoever_watches_is_told_when_the_client_is_closed(backend: str) -> None:
    async def main() -> None:
        async with serve(Sandbox(Settings(api_key="key_of_the_tests"))) as served, anyio.create_task_group() as tasks:
            client = AsyncRetell(api_key="key_of_the_tests", base_url=served.url)
            watching = anyio.Event()

            async def watched(call_id: str) -> None:
                async for _ in client.call.monitor(call_id):
                    watching.set()

            async def refused(call_id: str) -> None:
                with pytest.raises(RetellError, match="the client is closed"):
                    await watched(call_id)

            tasks.start_soon(refused, await placed(client))
            with anyio.fail_after(20):
                await watching.wait()
                await client.aclose()

    anyio.run(main, backend=backend)


@pytest.mark.soak
def test_without_await() -> None:
    async def main() -> None:
        async with scripted([second_half]) as (port, _):

            def watched() -> list[str]:
                with Retell(api_key="key_of_the_tests", base_url=f"http://127.0.0.1:{port}") as client:
                    return [item.id for item in client.call.monitor("call_1")]

            assert await anyio.to_thread.run_sync(watched) == ["i1", "i2", "i3"]

    asyncio.run(main())
