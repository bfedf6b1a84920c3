"""FastAPI dependencies that verify and parse what Retell sends to an endpoint.

A request that Retell did not send gets 401, 403, 408 or 413, and one that holds something else gets 400; the endpoint is not called then.
The endpoint can still read the body.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import TypeVar, Unpack

try:
    from fastapi import HTTPException, Request
    from starlette.requests import ClientDisconnect
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"{error.name} is missing: retell_async.webhooks.fastapi needs `pip install 'retell-async[fastapi]'`", name=error.name
    ) from None

from retell_async._core.errors import WebhookVerificationError

from .events import Event, parse_event
from .functions import FunctionCall, parse_function
from .gate import Gate, GateSettings
from .http import IncomingRequest, Refused
from .inbound import InboundCall, InboundChat, parse_inbound

__all__ = ["verified_event", "verified_function", "verified_inbound"]

T = TypeVar("T")


def verified_event(api_key: str | Sequence[str], **settings: Unpack[GateSettings]) -> Callable[[Request], Awaitable[Event]]:
    """A dependency that gives a webhook's event; the parameters are those of `Gate`."""
    return _dependency(Gate(api_key, **settings), lambda body, _: parse_event(body))


def verified_inbound(
    api_key: str | Sequence[str], **settings: Unpack[GateSettings]
) -> Callable[[Request], Awaitable[InboundCall | InboundChat]]:
    """A dependency that gives an inbound call or chat; the parameters are those of `Gate`."""
    return _dependency(Gate(api_key, **settings), lambda body, _: parse_inbound(body))


def verified_function(api_key: str | Sequence[str], **settings: Unpack[GateSettings]) -> Callable[[Request], Awaitable[FunctionCall]]:
    """A dependency that gives a custom function's call; the parameters are those of `Gate`."""
    return _dependency(Gate(api_key, **settings), lambda body, request: parse_function(body, request.query_params))


def _dependency(gate: Gate, parse: Callable[[bytes, Request], T]) -> Callable[[Request], Awaitable[T]]:
    async def dependency(request: Request) -> T:
        try:
            body = await gate.admit(_incoming(request))
            # Where Starlette's own methods keep what they read, and look first.
            request._body = body  # pyright: ignore[reportPrivateUsage]
            return parse(body, request)
        except ClientDisconnect:
            raise HTTPException(HTTPStatus.BAD_REQUEST, "the sender went away before its request was complete") from None
        except (Refused, WebhookVerificationError) as error:
            status = error.status if isinstance(error, Refused) else HTTPStatus.BAD_REQUEST
            raise HTTPException(status, error.reason) from error

    return dependency


def _incoming(request: Request) -> IncomingRequest:
    parts = request.stream()

    async def read() -> bytes:
        async for part in parts:
            if part:
                return part
        return b""

    return IncomingRequest(
        method=request.method,
        path=request.url.path,
        query=request.url.query,
        headers=request.headers.items(),
        peer=request.client.host if request.client else None,
        read=read,
    )
