"""A client of httpx2 is one to send with, with the same errors."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any

import httpx
import httpx2
import pytest

from retell_async import APIConnectionError, APITimeoutError, AsyncRetell, NotFoundError, OutcomeUnknownError

pytestmark = pytest.mark.anyio
KEY = "key_0123456789abcdef"


def client(serve: Callable[[httpx2.Request], httpx2.Response], **settings: Any) -> AsyncRetell:
    given = httpx2.AsyncClient(transport=httpx2.MockTransport(serve), **settings)
    return AsyncRetell(KEY, base_url="http://retell.test", http_client=given, max_retries=0)


async def test_what_is_sent_and_answered() -> None:
    def serve(request: httpx2.Request) -> httpx2.Response:
        assert request.headers["authorization"] == f"Bearer {KEY}"
        return httpx2.Response(
            200, headers={"content-encoding": "gzip"}, content=gzip.compress(b'{"agent_id":"%s"}' % request.url.path[-1:].encode())
        )

    async with client(serve) as here:
        assert (await here.agent.retrieve("a")).agent_id == "a"
        async with here.agent.with_streaming_response.retrieve("b") as response:
            assert await response.read() == b'{"agent_id":"b"}'


async def test_parameters_of_the_client_stand_beside_those_of_a_request() -> None:
    async with client(lambda request: httpx2.Response(200, json=str(request.url)), params={"tenant": "7"}) as here:
        assert await here.get("/x?y=1", cast_to=object) == "http://retell.test/x?tenant=7&y=1"
        assert await here.get("/x?tenant=8", cast_to=object) == "http://retell.test/x?tenant=8"


async def test_a_form() -> None:
    seen: list[bytes] = []

    def serve(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.content)
        return httpx2.Response(201, json={"knowledge_base_id": "k"})

    async with client(serve) as here:
        await here.knowledge_base.create(knowledge_base_name="a", knowledge_base_files=[("a.txt", b"in it")])
    assert b'filename="a.txt"' in seen[0]


@pytest.mark.parametrize(
    ("error", "kind", "sent"),
    [
        (httpx2.ConnectError("no"), APIConnectionError, False),
        (httpx2.ConnectTimeout("no"), APITimeoutError, False),
        (httpx2.PoolTimeout("no"), APITimeoutError, False),
        (httpx2.ReadTimeout("no"), APITimeoutError, True),
        (httpx2.RemoteProtocolError("no"), APIConnectionError, True),
        (httpx2.ReadError("no"), APIConnectionError, True),
        (RuntimeError("no"), APIConnectionError, True),
    ],
)
async def test_errors_are_told_apart(error: Exception, kind: type[APIConnectionError], sent: bool) -> None:
    def serve(_: httpx2.Request) -> httpx2.Response:
        raise error

    async with client(serve) as here:
        with pytest.raises(kind) as caught:
            await here.agent.retrieve("a")
        assert caught.value.sent is sent
        with pytest.raises(kind) as creating:
            await here.call.create_web_call(agent_id="a")
        assert isinstance(creating.value, OutcomeUnknownError) is sent


async def test_a_hook_that_raises_for_a_status() -> None:
    async def check(response: httpx2.Response) -> None:
        response.raise_for_status()

    async with client(lambda _: httpx2.Response(404, json={"message": "no"}), event_hooks={"response": [check]}) as here:
        with pytest.raises(NotFoundError):
            await here.agent.retrieve("a")


async def test_its_timeout_is_kept_and_it_is_closed_with_the_client() -> None:
    given = httpx2.AsyncClient(timeout=3)
    async with AsyncRetell(KEY, http_client=given) as here:
        assert here.timeout == httpx.Timeout(3)
        assert not here.is_closed()
    assert given.is_closed
    assert here.is_closed()
    assert AsyncRetell(KEY, http_client=httpx2.AsyncClient()).timeout == httpx.Timeout(60, connect=5)
