"""The clients of httpx2 to type checkers, by what they are used for: where it is not installed, its own classes would be anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["AsyncClient", "Client"]


class _Response(Protocol):
    """Told from the coroutine that a client gives which awaits."""

    @property
    def status_code(self) -> int: ...
    @property
    def http_version(self) -> str: ...


class _Either(Protocol):
    @property
    def is_closed(self) -> bool: ...
    @property
    def trust_env(self) -> bool: ...
    def build_request(self, method: str, url: str, /) -> Any: ...


class AsyncClient(_Either, Protocol):
    """An `httpx2.AsyncClient`."""

    def send(self, request: Any, /, *, stream: bool, follow_redirects: bool) -> Coroutine[Any, Any, _Response]: ...
    def aclose(self) -> Coroutine[Any, Any, None]: ...


class Client(_Either, Protocol):
    """An `httpx2.Client`."""

    def send(self, request: Any, /, *, stream: bool, follow_redirects: bool) -> _Response: ...
    def close(self) -> None: ...


if not TYPE_CHECKING:
    try:
        from httpx2 import AsyncClient, Client  # whoever reads annotations at run time has the classes themselves
    except ImportError:
        AsyncClient.__module__ = Client.__module__ = "httpx2"
