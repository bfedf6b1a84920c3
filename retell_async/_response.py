"""An answer as it came, and what it means."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from ._errors import APIResponseValidationError
from ._json import loads

if TYPE_CHECKING:
    from datetime import timedelta

    import httpx

    from ._operation import Operation

__all__ = ["RawResponse", "decode"]

T = TypeVar("T")
U = TypeVar("U")
_NOTHING: Any = object()


class RawResponse(Generic[T]):
    """A successful answer, whole: its status, headers and bytes, and with `parse` what a method returns without `with_raw_response`."""

    def __init__(
        self,
        http_response: httpx.Response,
        parse: Callable[[httpx.Response], T],
        *,
        idempotency_key: str | None = None,
        retries_taken: int = 0,
    ) -> None:
        self.http_response = http_response
        self.idempotency_key = idempotency_key
        """The key that the request carried, if it was one that carries a key."""
        self.retries_taken = retries_taken
        """How often the request was sent again after a failure."""
        self._parse = parse
        self._parsed: T = _NOTHING

    @property
    def http_request(self) -> httpx.Request:
        return self.http_response.request

    @property
    def status_code(self) -> int:
        return self.http_response.status_code

    @property
    def headers(self) -> httpx.Headers:
        return self.http_response.headers

    @property
    def request_id(self) -> str | None:
        """The server's name for this exchange, if it gave one."""
        found: str | None = self.headers.get("x-request-id")
        return found

    @property
    def elapsed(self) -> timedelta:
        """The time from sending the request to the end of the answer."""
        return self.http_response.elapsed

    @property
    def content(self) -> bytes:
        return self.http_response.content

    def text(self) -> str:
        """The body as text."""
        return self.http_response.text

    def json(self) -> Any:
        """The body as parsed JSON, parsed anew each time."""
        return self.http_response.json()

    def parse(self) -> T:
        """What the answer means; the same object each time.

        :raises APIResponseValidationError: the body is not what it should be.
        """
        if self._parsed is _NOTHING:
            self._parsed = self._parse(self.http_response)
        return self._parsed

    def map(self, change: Callable[[T], U]) -> RawResponse[U]:
        """The same answer with another meaning."""
        return RawResponse(
            self.http_response,
            lambda _: change(self.parse()),
            idempotency_key=self.idempotency_key,
            retries_taken=self.retries_taken,
        )

    def __repr__(self) -> str:
        return f"RawResponse({self.status_code}, {len(self.content)} bytes)"


def decode(response: httpx.Response, operation: Operation[T], *, strict: bool = False) -> T:
    """Read a successful answer to an operation as the operation says: models, plain JSON, or ``None`` where there is no body.

    :param strict: compare the body with the document and refuse any difference; for tests.
    :raises APIResponseValidationError: the body is not JSON, or of another shape.
    """
    if operation.empty or (not response.content and operation.response is None):
        return cast("T", None)
    try:
        data: Any = loads(response.content)
    except (ValueError, RecursionError) as error:
        kind = response.headers.get("content-type", "no content-type")
        message = f"the answer is not JSON ({kind}, {len(response.content)} bytes): {type(error).__name__}: {error}"
        raise APIResponseValidationError(response, response.text or None, message=message) from error
    if strict:
        from ._strict import check

        problems = tuple(check(operation, data))
        if problems:
            message = f"the answer is not as the document says: {'; '.join(problems)}"
            raise APIResponseValidationError(response, data, message=message, problems=problems)
    decoded: T = operation.decode(data)
    if decoded is data and operation.response is not None:
        message = "the answer is JSON of another shape than it should be"
        raise APIResponseValidationError(response, data, message=message)
    return decoded
