"""A mock of an HTTP client is asked by its `send`, and one of a method that awaits is awaited, as with the official SDK."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from typing import Any
from unittest import mock

import httpx
import httpx2
import pytest
import retell

import retell_async
from retell_async import APIConnectionError, AsyncRetell, NotFoundError, Retell

from ..engine.example import KEY

MOCKS: dict[str, Callable[[type], Any]] = {
    "Mock": lambda kind: mock.Mock(spec=kind),
    "MagicMock": lambda kind: mock.MagicMock(spec=kind),
    "autospec": lambda kind: mock.create_autospec(kind, instance=True),
}
each = pytest.mark.parametrize("make", MOCKS.values(), ids=MOCKS)


def answer(library: Any = httpx, status: int = 200, **body: Any) -> Any:
    return library.Response(status, json={"agent_id": "a", **body}, request=library.Request("GET", "http://retell.test"))


@each
@pytest.mark.parametrize(("package", "library"), [(retell, httpx), (retell_async, httpx), (retell_async, httpx2)])
def test_of_one_that_does_not_await(package: Any, library: Any, make: Callable[[type], Any]) -> None:
    http_client = make(library.Client)
    http_client.send.return_value = answer(library)
    client = package.Retell(api_key=KEY, http_client=http_client)
    assert [client.agent.retrieve("a", version=4).agent_id for _ in range(2)] == ["a", "a"]
    assert http_client.send.call_count == http_client.build_request.call_count == 2
    assert "get-agent/a" in str(http_client.build_request.call_args.kwargs["url"])
    client.close()
    http_client.close.assert_called_once_with()


@pytest.mark.parametrize("make", [*MOCKS.values(), lambda kind: mock.AsyncMock(spec=kind)], ids=[*MOCKS, "AsyncMock"])
@pytest.mark.parametrize(("package", "library"), [(retell, httpx), (retell_async, httpx), (retell_async, httpx2)])
def test_of_one_that_awaits(package: Any, library: Any, make: Callable[[type], Any]) -> None:
    http_client = make(library.AsyncClient)
    http_client.send.return_value = answer(library)

    async def main() -> None:
        client = package.AsyncRetell(api_key=KEY, http_client=http_client)
        assert (await client.agent.retrieve("a")).agent_id == "a"
        await client.close()

    asyncio.run(main())
    assert http_client.send.await_count == http_client.aclose.await_count == 1


@each
@pytest.mark.parametrize("library", [httpx, httpx2])
def test_what_builds_requests_may_be_that_of_a_real_client(library: Any, make: Callable[[type], Any]) -> None:
    http_client = make(library.Client)
    http_client.build_request.side_effect = library.Client().build_request
    http_client.send.return_value = answer(library)
    with Retell(KEY, http_client=http_client) as client:
        assert client.agent.retrieve("a", version=4).agent_id == "a"


def test_errors_and_repeats() -> None:
    http_client = mock.MagicMock(spec=httpx.Client)
    http_client.send.side_effect = [answer(status=503), httpx.ConnectError("no"), answer(), answer(status=404)]
    with Retell(KEY, http_client=http_client) as client:
        assert client.agent.retrieve("a").agent_id == "a"
        with pytest.raises(NotFoundError):
            client.agent.retrieve("a")
    assert http_client.send.call_count == 4


def test_an_answer_that_was_encoded() -> None:
    http_client = mock.MagicMock(spec=httpx.Client)
    http_client.send.return_value = httpx.Response(200, headers={"content-encoding": "gzip"}, content=gzip.compress(b'{"agent_id":"a"}'))
    with Retell(KEY, http_client=http_client) as client, client.agent.with_streaming_response.retrieve("a") as response:
        assert response.parse().agent_id == "a"


@pytest.mark.parametrize("answers", [{}, {"return_value": mock.MagicMock(status_code=200)}, {"return_value": {"agent_id": "a"}}])
def test_a_mock_without_an_answer_says_so(answers: dict[str, Any]) -> None:
    http_client = mock.MagicMock(spec=httpx.AsyncClient)
    http_client.send.configure_mock(**answers)

    async def main() -> None:
        async with AsyncRetell(KEY, http_client=http_client, max_retries=0) as client:
            await client.agent.retrieve("a")

    with pytest.raises(APIConnectionError, match=r"no answer: set its send\.return_value"):
        asyncio.run(main())


def patched(owner: Any, name: str) -> Any:
    with mock.patch.object(owner, name) as made:
        return made


METHODS = [("call", "list"), ("agent", "list"), ("voice", "list"), ("concurrency", "retrieve")]
OF_METHODS: dict[str, Callable[[Any, str], Any]] = {
    "patch": patched,
    "patch of the class": lambda resource, name: patched(type(resource), name),
    "MagicMock": lambda resource, name: getattr(mock.MagicMock(spec=resource), name),
    "AsyncMock": lambda resource, name: getattr(mock.AsyncMock(spec=resource), name),
    "autospec": lambda resource, name: getattr(mock.create_autospec(resource), name),
}


@pytest.mark.parametrize("make", OF_METHODS.values(), ids=OF_METHODS)
@pytest.mark.parametrize("package", [retell, retell_async])
def test_of_methods_that_await(package: Any, make: Callable[[Any, str], Any]) -> None:
    client = package.AsyncRetell(api_key=KEY)
    for resource, method in METHODS:
        double = make(getattr(client, resource), method)
        double.return_value = [1]
        assert asyncio.run(double()) == [1], method


@pytest.mark.parametrize("make", [make for name, make in OF_METHODS.items() if name != "AsyncMock"])
@pytest.mark.parametrize("package", [retell, retell_async])
def test_of_methods_that_do_not(package: Any, make: Callable[[Any, str], Any]) -> None:
    client = package.Retell(api_key=KEY)
    for resource, method in METHODS:
        double = make(getattr(client, resource), method)
        double.return_value = [1]
        assert double() == [1], method
