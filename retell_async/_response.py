"""An answer as it came, and what it means."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from ._errors import APIResponseValidationError
from ._json import loads
from ._model import KeyedModel

if TYPE_CHECKING:
    import httpx

    from ._operation import Operation

__all__ = ["Answer", "RawResponse", "decode"]

T = TypeVar("T")
U = TypeVar("U")
_NOTHING: Any = object()


class Answer:
    """A whole answer: what is always needed of it, and as httpx has it once somebody asks for that."""

    __slots__ = ("_make", "_response", "content", "seconds", "status_code")

    def __init__(self, status_code: int, content: bytes, make: Callable[[], httpx.Response]) -> None:
        self.status_code = status_code
        self.content = content
        """The body, decoded."""
        self.seconds = 0.0
        """From sending the request to the end of the answer."""
        self._make = make
        self._response: httpx.Response | None = None

    @property
    def is_success(self) -> bool:
        return 200 <= self.status_code < 300

    @property
    def response(self) -> httpx.Response:
        if self._response is None:
            self._response = self._make()
            self._response.elapsed = timedelta(seconds=self.seconds)
        return self._response


class RawResponse(Generic[T]):
    """A successful answer, whole: its status, headers and bytes, and with `parse` what a method returns without `with_raw_response`."""

    def __init__(
        self,
        answer: Answer,
        parse: Callable[[Answer], T],
        *,
        idempotency_key: str | None = None,
        retries_taken: int = 0,
    ) -> None:
        self._answer = answer
        self.idempotency_key = idempotency_key
        """The key that the request carried, if it was one that carries a key."""
        self.retries_taken = retries_taken
        """How often the request was sent again after a failure."""
        self._parse = parse
        self._parsed: T = _NOTHING

    @property
    def http_response(self) -> httpx.Response:
        return self._answer.response

    @property
    def http_request(self) -> httpx.Request:
        return self.http_response.request

    @property
    def status_code(self) -> int:
        return self._answer.status_code

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
        return timedelta(seconds=self._answer.seconds)

    @property
    def content(self) -> bytes:
        return self._answer.content

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
            self._parsed = self._parse(self._answer)
            keyed: object = self._parsed
            if isinstance(keyed, KeyedModel):
                keyed.__key__ = self.idempotency_key
        return self._parsed

    def map(self, change: Callable[[T], U]) -> RawResponse[U]:
        """The same answer with another meaning."""
        return RawResponse(
            self._answer,
            lambda _: change(self.parse()),
            idempotency_key=self.idempotency_key,
            retries_taken=self.retries_taken,
        )

    def __repr__(self) -> str:
        return f"RawResponse({self.status_code}, {len(self.content)} bytes)"


def decode(answer: Answer, operation: Operation[T], *, strict: bool = False) -> T:
    """Read a successful answer to an operation as the operation says: models, plain JSON, or ``None`` where there is no body.

    :param strict: compare the body with the document and refuse any difference; for tests.
    :raises APIResponseValidationError: the body is not JSON, or of another shape.
    """
    if operation.empty or (not answer.content and operation.response is None):
        return cast("T", None)
    try:
        data: Any = loads(answer.content)
    except (ValueError, RecursionError) as error:
        response = answer.response
        kind = response.headers.get("content-type", "no content-type")
        message = f"the answer is not JSON ({kind}, {len(answer.content)} bytes): {type(error).__name__}: {error}"
        raise APIResponseValidationError(response, response.text or None, message=message) from error
    if strict:
        from ._strict import check

        problems = tuple(check(operation, data))
        if problems:
            message = f"the answer is not as the document says: {'; '.join(problems)}"
            raise APIResponseValidationError(answer.response, data, message=message, problems=problems)
    decoded: T = operation.decode(data)
    if decoded is data and operation.response is not None:
        message = "the answer is JSON of another shape than it should be"
        raise APIResponseValidationError(answer.response, data, message=message)
    return decoded
