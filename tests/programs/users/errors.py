"""Handlers of errors."""

from __future__ import annotations

import logging
import os
import pickle
from typing import Any

import httpx
import retell
from retell import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    AsyncRetell,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    Retell,
    RetellError,
    UnprocessableEntityError,
)

KINDS: list[tuple[int, type[APIStatusError]]] = [
    (400, BadRequestError),
    (401, AuthenticationError),
    (403, PermissionDeniedError),
    (404, NotFoundError),
    (409, ConflictError),
    (418, APIStatusError),
    (422, UnprocessableEntityError),
    (500, InternalServerError),
    (503, InternalServerError),
]


def answering(status: int) -> httpx.MockTransport:
    return httpx.MockTransport(
        lambda _: httpx.Response(status, json={"status": "error", "message": "it went wrong"}, headers={"x-request-id": "r1"})
    )


def program_each_status_has_its_error() -> None:
    for status, kind in KINDS:
        with Retell(api_key="key_0123456789", http_client=httpx.Client(transport=answering(status)), max_retries=0) as client:
            try:
                client.agent.retrieve("agent_1")
            except APIStatusError as error:
                assert type(error) is kind
                assert isinstance(error, APIError)
                assert (error.status_code, error.response.status_code) == (status, status)
                assert error.body == {"status": "error", "message": "it went wrong"}
                assert "it went wrong" in error.message
                assert str(error).startswith(f"Error code: {status} - ")
                assert error.request.method == "GET"
                assert error.response.headers["x-request-id"] == "r1"
                assert error.response.json()["message"] == "it went wrong"
                assert error.args
            else:
                raise AssertionError(status)


async def program_the_order_of_handlers() -> None:
    async def attempt(transport: httpx.AsyncBaseTransport) -> str:
        async with AsyncRetell(api_key="key_0123456789", http_client=httpx.AsyncClient(transport=transport), max_retries=0) as client:
            try:
                await client.call.create_web_call(agent_id="agent_1")
            except APITimeoutError:
                return "timeout"
            except APIConnectionError as error:
                assert error.__cause__ is not None
                return "connection"
            except RateLimitError:
                return "limit"
            except APIStatusError as error:
                return str(error.status_code)
            except APIError:
                return "other"
        return "fine"

    def failing(error: Exception) -> httpx.MockTransport:
        def serve(_: httpx.Request) -> httpx.Response:
            raise error

        return httpx.MockTransport(serve)

    assert await attempt(failing(httpx.ReadTimeout("slow"))) == "timeout"
    assert await attempt(failing(httpx.ConnectError("nobody there"))) == "connection"
    assert await attempt(answering(500)) == "500"
    assert await attempt(answering(402)) == "402"
    assert await attempt(httpx.MockTransport(lambda _: httpx.Response(201, json={"call_id": "c", "access_token": "t"}))) == "fine"


def program_settings_that_cannot_be() -> None:
    key = os.environ.pop("RETELL_API_KEY")
    try:
        Retell()
    except RetellError as error:
        assert "api_key" in str(error)
    finally:
        os.environ["RETELL_API_KEY"] = key
    with Retell() as client:
        for call in (lambda: client.call.retrieve(""), lambda: client.agent.retrieve("")):
            try:
                call()
            except ValueError as error:
                assert "id" in str(error)
            else:
                raise AssertionError("an empty id was taken")


def program_errors_that_travel() -> None:
    with Retell(api_key="key_0123456789", http_client=httpx.Client(transport=answering(404)), max_retries=0) as client:
        try:
            client.call.retrieve("call_1")
        except NotFoundError as error:
            logging.getLogger("app").exception("no such call")
            told: dict[str, Any] = {"type": type(error).__name__, "status": error.status_code, "detail": str(error)}
            assert told["type"] == "NotFoundError"
    assert issubclass(retell.APITimeoutError, retell.APIConnectionError)
    assert issubclass(APIResponseValidationError, APIError)
    assert pickle.loads(pickle.dumps(NotFoundError)) is NotFoundError
