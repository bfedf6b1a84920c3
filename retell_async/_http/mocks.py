"""A mock of a client, as `MagicMock(spec=httpx.Client)` makes one: its `send` gives the answers, as it does with the official SDK."""

from __future__ import annotations

import sys
from inspect import isawaitable
from typing import Any

import httpx

__all__ = ["MockedClient", "is_mock"]


def is_mock(client: object) -> bool:
    """Whether it is one of `unittest.mock`, without importing that."""
    module = sys.modules.get("unittest.mock")
    return module is not None and isinstance(client, module.NonCallableMock)


class MockedClient(httpx.AsyncClient):
    """Asks a mock of a client of httpx or httpx2, of one that awaits or of one that does not."""

    def __init__(self, mock: Any) -> None:
        super().__init__(transport=_Asked(mock), trust_env=False)
        self._mock = mock

    def build_request(self, method: str, url: httpx.URL | str, **settings: Any) -> httpx.Request:
        built = self._mock.build_request(method=method, url=str(url), **settings)
        return built if isinstance(built, httpx.Request) else super().build_request(method, url, **settings)

    async def aclose(self) -> None:
        await super().aclose()
        await _awaited(self._mock.aclose() if hasattr(self._mock, "aclose") else self._mock.close())


class _Asked(httpx.AsyncBaseTransport):
    def __init__(self, mock: Any) -> None:
        self._mock = mock

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await _awaited(self._mock.send(request, stream=True, follow_redirects=False))
        if is_mock(answer) or not hasattr(answer, "aread"):
            raise TypeError("the mock of an HTTP client has no answer: set its send.return_value to an httpx.Response")
        content = await answer.aread()  # decoded, so that the headers of its encoding hold no more
        headers = [
            pair for pair in answer.headers.multi_items() if pair[0] not in {"content-encoding", "content-length", "transfer-encoding"}
        ]
        return httpx.Response(answer.status_code, headers=headers, content=content)


async def _awaited(value: Any) -> Any:
    return await value if isawaitable(value) else value
