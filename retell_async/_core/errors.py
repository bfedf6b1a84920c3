"""What can go wrong, as one tree: `RetellError` is above all of it, `APIError` above what happened to a request.

What is printed of an error (`str`, `repr`, a traceback) has phone numbers and API keys masked. `message`, `body`, `request` and `response`
are what was received and sent, unmasked, until an error is pickled: what is unpickled has them masked too.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, TypeVar, cast

from .masking import mask_path, mask_text, masked, one_line, without_key
from .reasons import stated_reason
from .retry_after import retry_after_seconds

if TYPE_CHECKING:
    from typing import Self

    import httpx

E = TypeVar("E", bound="APIError")

__all__ = [
    "APIConnectionError",
    "APIError",
    "APIResponseValidationError",
    "APIStatusError",
    "APITimeoutError",
    "AuthenticationError",
    "BadRequestError",
    "CircuitOpenError",
    "ConfigurationError",
    "ConflictError",
    "InternalServerError",
    "NotFoundError",
    "OutcomeUnknownError",
    "PaymentRequiredError",
    "PermissionDeniedError",
    "PreconditionFailedError",
    "RateLimitError",
    "RetellError",
    "UnprocessableEntityError",
    "WaitTimeoutError",
    "WebhookVerificationError",
    "WrongKindError",
    "cut_off",
    "outcome_unknown",
    "reason",
    "status_error",
    "text_of",
    "unusable",
]


class RetellError(Exception):
    """Base of every error that this package raises on its own account."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self.args, self.__dict__)  # without what makes its message once more


class ConfigurationError(RetellError, ValueError):
    """A setting that cannot work, such as an empty API key or a negative timeout; nothing was sent."""


class WrongKindError(ConfigurationError, TypeError):
    """A setting of the wrong type."""


class WebhookVerificationError(RetellError):
    """A delivery that is not proven to come from Retell; `reason` says why in a sentence and holds no secret."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class APIError(RetellError):
    """A request that did not end with a usable answer.

    `response` and `status_code` are ``None`` when no answer arrived. `body` is the parsed JSON of the answer, or its text when it is not
    JSON; ``None`` when there is none. `idempotency_key` is the key under which the request was sent, if it was one that carries a key.
    """

    idempotency_key: str | None = None
    _by_client = False  # but by a program, which finds in it what it said and no more

    def __init__(self, message: str, request: httpx.Request, *, body: object | None, response: httpx.Response | None = None) -> None:
        self._said = mask_text(without_key(message, request.headers))
        super().__init__(self._said)
        self.message = message
        self.request = request
        self.body = body
        self._response = response
        if self._by_client:
            by_client(self)

    @property
    def response(self) -> httpx.Response | None:
        return self._response

    @property
    def status_code(self) -> int | None:
        return None if self._response is None else self._response.status_code

    @property
    def request_id(self) -> str | None:
        """The server's name for this exchange, if it gave one."""
        found: str | None = None if self._response is None else self._response.headers.get("x-request-id")
        return found

    def __str__(self) -> str:
        if not self._by_client:
            return str(self.args[0])
        return f"{self.args[0]} ({one_line(self.request.method)} {mask_path(self.request.url.raw_path.decode('ascii'))})"

    def __copy__(self) -> Self:
        return _restore(type(self), self.args, self.__dict__)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self.__copy__()  # what it holds is not changed by anybody

    def __reduce__(self) -> tuple[Any, ...]:
        request = _masked_request(self.request)
        response = None if self._response is None else _masked_response(self._response, request)
        body, message = self.body, self.message
        if body is not None:
            try:
                body = masked(self.body)
                message = message.replace(str(self.body), str(body))
            except RecursionError:
                body = None
        state = {**self.__dict__, "message": mask_text(message), "request": request, "body": body, "_response": response}
        return _restore, (type(self), self.args, state)


class AnsweredError(APIError):
    """Base of the errors that come of an answer."""

    @property
    def response(self) -> httpx.Response:
        return cast("httpx.Response", self._response)

    @property
    def status_code(self) -> int:
        return self.response.status_code


class APIResponseValidationError(AnsweredError):
    """An answer that says success but whose body is not what it should be: not JSON, or of another shape.

    `problems` lists what strict mode found, each with its place in the body; it is empty otherwise.
    """

    def __init__(
        self, response: httpx.Response, body: object | None, *, message: str | None = None, problems: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message or "Data returned by API invalid for expected schema.", response.request, body=body, response=response)
        self.problems = problems


class APIConnectionError(APIError):
    """No whole answer arrived: no connection, or one that broke.

    `sent` is ``False`` when nothing of the request can have reached the server. `response` has the status and the headers of an answer that
    says success and whose body broke off.
    """

    def __init__(self, *, message: str = "Connection error.", request: httpx.Request, sent: bool | None = None) -> None:
        super().__init__(message, request, body=None)
        if sent is not None:  # which a client always says
            by_client(self)
        self.sent = sent is not False


class APITimeoutError(APIConnectionError):
    """No answer within the time allowed."""

    def __init__(self, request: httpx.Request, *, message: str = "Request timed out.", sent: bool | None = None) -> None:
        super().__init__(message=message, request=request, sent=sent)


class CircuitOpenError(APIConnectionError):
    """A request that was not sent, since the server failed too often lately: see `CircuitBreaker`.

    `retry_after` is the number of seconds after which it may be tried again. `sent` is ``False``.
    """

    def __init__(self, *, message: str = "Connection error.", request: httpx.Request, retry_after: float = 0.0) -> None:
        super().__init__(message=message, request=request, sent=False)
        self.retry_after = retry_after


class OutcomeUnknownError(APIError):
    """A request that may have been carried out or not, and that must not be repeated blindly. ``__cause__`` is what went wrong last.

    It is also an instance of the class of the last failure: `APITimeoutError`, another `APIConnectionError`, or, when an
    answer came, the `APIStatusError` of its status (and then it is no connection error). Where that status says success and the body is cut
    off, or not what it should be, it is an `APIResponseValidationError` besides. It is none of these where the last failure is none: the
    client was closed, or the idempotency key was too old to be sent.

    What is known is here, for finding out: `operation` is its id in the API's document; `since` the Unix time at which the first attempt
    left that may have been carried out; `attempts` the number of attempts; `response` the last answer, if there was one.

    With an `idempotency_key` the same request under the same key may be sent again within an hour of `since`: it makes no second call.
    With a `token` what was created can be found: it has the token in its ``metadata``, under ``retell_async_token``.
    """

    sent = True
    _by_client = True
    problems: tuple[str, ...] = ()
    retry_after: float | None = None

    def __init__(
        self,
        *,
        message: str = "the request may have been carried out or not",
        request: httpx.Request,
        response: httpx.Response | None = None,
        body: object | None = None,
        operation: str | None = None,
        idempotency_key: str | None = None,
        token: str | None = None,
        attempts: int = 1,
        since: float | None = None,
    ) -> None:
        APIError.__init__(self, message, request, body=body, response=response)
        self.operation = operation
        self.idempotency_key = idempotency_key
        self.token = token
        self.attempts = attempts
        self.since = since

    def __str__(self) -> str:
        known = [
            f"{name} {value}" for name, value in (("idempotency_key", self.idempotency_key), ("token", self.token)) if value is not None
        ]
        return " ".join([super().__str__(), *([f"[{', '.join(known)}]"] if known else [])])


class WaitTimeoutError(RetellError, TimeoutError):
    """What was waited for was not done in time. It goes on, and may be waited for again.

    :param name: its id.
    :param last: how it stood when it was seen last; ``None`` if it was not seen.
    """

    def __init__(self, name: str, within: float, last: Any = None) -> None:
        super().__init__(f"{one_line(name)} was not done within {within:g} s{'' if last is not None else ', and was never seen'}")
        self.name = name
        self.within = within
        self.last = last

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.name, self.within, None if self.last is None else {})  # what it holds was said in confidence


class APIStatusError(AnsweredError):
    """An answer with another status than success. `message` is its status and its body, `str` says the reason that the body states."""

    def __init__(self, message: str, *, response: httpx.Response, body: object | None) -> None:
        super().__init__(message, response.request, body=body, response=response)


class BadRequestError(APIStatusError):
    """400: the request is not as the API wants it."""


class AuthenticationError(APIStatusError):
    """401: the API key is missing or not valid."""


class PaymentRequiredError(APIStatusError):
    """402: the account has to pay before it may do this."""


class PermissionDeniedError(APIStatusError):
    """403: the account may not do this."""


class NotFoundError(APIStatusError):
    """404: there is no such thing. Older operations answer 422 instead (`UnprocessableEntityError`)."""


class ConflictError(APIStatusError):
    """409: the present state does not allow it."""


class PreconditionFailedError(APIStatusError):
    """412: a precondition does not hold."""


class UnprocessableEntityError(APIStatusError):
    """422: the request is well formed and cannot be carried out; often what it names does not exist under this API key."""


class RateLimitError(APIStatusError):
    """429: too many requests. `retry_after` is the number of seconds that the server asks to wait, ``None`` when it does not say."""

    def __init__(self, message: str, *, response: httpx.Response, body: object | None) -> None:
        super().__init__(message, response=response, body=body)
        self.retry_after = retry_after_seconds(response.headers, now=time.time())


class InternalServerError(APIStatusError):
    """5xx: the server failed; what was asked for may have been done or not."""


_BY_STATUS: dict[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    402: PaymentRequiredError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    412: PreconditionFailedError,
    422: UnprocessableEntityError,
    429: RateLimitError,
}


def _unknown(kind: type[APIError]) -> type[OutcomeUnknownError]:
    name = f"OutcomeUnknown{kind.__name__.removeprefix('API')}"
    package = __name__.partition(".")[0]
    # Of a status too where that says success: an answer came, and handlers of answers are to see it.
    kinds = (kind, APIStatusError) if kind is APIResponseValidationError else (kind,)
    made: Any = type(name, (OutcomeUnknownError, *kinds), {"__module__": package, "__doc__": OutcomeUnknownError.__doc__})
    globals()[name] = made  # where the package has it from, and pickle of the package
    return cast("type[OutcomeUnknownError]", made)


_KINDS: tuple[type[APIError], ...] = (
    APIConnectionError,
    APITimeoutError,
    APIResponseValidationError,
    APIStatusError,
    InternalServerError,
    *_BY_STATUS.values(),
)
_UNKNOWN: dict[type[object], type[OutcomeUnknownError]] = {kind: _unknown(kind) for kind in _KINDS}


def outcome_unknown(last: Exception | None, **known: Any) -> OutcomeUnknownError:
    """The error for a request that may have been carried out; it is also an instance of the class of the last failure.

    :param known: what `OutcomeUnknownError` takes.
    """
    kind = next((kind for kind in type(last).__mro__ if kind in _UNKNOWN), None)
    if kind is APIConnectionError and known.get("response") is not None:
        kind = APIResponseValidationError  # it was done: who tries again where there is no connection would do it twice
    return (OutcomeUnknownError if kind is None else _UNKNOWN[kind])(**known)


def status_error(response: httpx.Response) -> APIStatusError:
    """The error that stands for an answer whose body is read and whose status is not 2xx."""
    body, is_json = _body(response)
    kind = InternalServerError if response.status_code >= 500 else _BY_STATUS.get(response.status_code, APIStatusError)
    shown = _shown(response, body)
    redirect = response.extensions.get("redirect")
    if redirect is not None:
        shown = f"{shown}; a redirect {redirect}"
    error = by_client(kind(shown, response=response, body=body))
    code = f"Error code: {response.status_code}"
    error.message = f"{code} - {body}" if is_json else str(body) or code
    return error


def by_client(error: E) -> E:
    """The same error as a client makes it: it says the status and what was asked, too, all of it on one line."""
    error._by_client = True  # pyright: ignore[reportPrivateUsage]
    error._said = one_line(said(error))  # pyright: ignore[reportPrivateUsage]
    error.args = (said(error) if error.status_code is None else f"Error code: {error.status_code} - {said(error)}",)
    return error


def unusable(
    response: httpx.Response, body: object | None, *, message: str | None = None, problems: tuple[str, ...] = ()
) -> APIResponseValidationError:
    """The error for an answer that says success, and whose body is not what it should be."""
    return by_client(APIResponseValidationError(response, body, message=message, problems=problems))


def said(error: APIError) -> str:
    """What an error says, masked, beside the status and what was asked."""
    return error._said  # pyright: ignore[reportPrivateUsage]


def cut_off(response: httpx.Response, error: Exception) -> APIError:
    """The error for a successful answer whose body broke off. The part that came is left out of it."""
    import httpx

    if isinstance(error, httpx.TimeoutException):
        return APITimeoutError(response.request, message="Request timed out: the answer did not arrive whole in time", sent=True)
    broken = APIConnectionError(
        message=f"Connection error: the answer could not be read whole: {reason(error)}", request=response.request, sent=True
    )
    broken._response = httpx.Response(  # pyright: ignore[reportPrivateUsage]
        response.status_code, headers=response.headers, request=response.request, extensions=response.extensions
    )
    return by_client(broken)


def reason(error: BaseException) -> str:
    """What an error says, behind its name: one of a user's own may fail at that too."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - whatever its own code raises
        text = "what it says cannot be read"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _body(response: httpx.Response) -> tuple[object, bool]:
    """The body, and whether it is JSON."""
    try:
        return cast("object", response.json()), True
    except (ValueError, RecursionError):
        return text_of(response).strip(), False


def text_of(response: httpx.Response) -> str:
    """The body as text, whatever the server says of its encoding."""
    try:
        return response.text
    except Exception:  # noqa: BLE001 - any codec of Python's may be named, those among it that are none of text
        return response.content.decode("utf-8", "replace")


def _shown(response: httpx.Response, body: object | None) -> str:
    if _is_plain(body):
        return str(cast("dict[str, object]", body))
    if stated := stated_reason(body):
        return stated
    phrase = response.reason_phrase or "no reason given"
    if not response.content:
        return f"{phrase}, with an empty body"
    if not isinstance(body, str):
        return phrase
    kind = response.headers.get("content-type", "").partition(";")[0].strip()
    if kind.lower().endswith("json"):
        return f"{phrase}, with a body that is not JSON although its Content-Type says {kind}"
    return f"{phrase}, with a body of {kind or 'unknown type'} in place of JSON"


def _is_plain(body: object) -> bool:
    """Whether a body is a short message and at most a status. It is then shown whole, by its repr, which escapes control characters."""
    if not isinstance(body, dict):
        return False
    said = cast("dict[str, object]", body)
    short = all(isinstance(text, str) and len(text) <= 500 for text in said.values())
    return short and said.keys() <= {"status", "message"} and bool(said.get("message"))


def _masked_request(request: httpx.Request) -> httpx.Request:
    """What a request was about, without its body."""
    import httpx

    url = request.url
    if url.query:
        url = url.copy_with(params=[(name, str(masked(text, name))) for name, text in url.params.multi_items()])
    return httpx.Request(request.method, mask_text(str(url)), headers=_masked_headers(request.headers))


def _masked_response(response: httpx.Response, request: httpx.Request) -> httpx.Response:
    import httpx

    try:
        content = response.content
    except httpx.ResponseNotRead:
        content = b""
    try:
        shown = json.dumps(masked(json.loads(content)))
    except (ValueError, RecursionError):
        shown = mask_text(content.decode("utf-8", "replace"))
    extensions = {name: value for name, value in response.extensions.items() if name in {"http_version", "reason_phrase"}}
    headers = _masked_headers(response.headers)
    return httpx.Response(response.status_code, headers=headers, content=shown.encode(), extensions=extensions, request=request)


def _masked_headers(headers: httpx.Headers) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), mask_text(headers[name]).encode(headers.encoding)) for name in _TELLING if name in headers]


_TELLING = ("content-type", "user-agent", "x-request-id", "retry-after", "location", "date", "server")
"""Headers that are kept when an error is pickled."""


def _restore(kind: type[E], args: tuple[Any, ...], state: dict[str, Any]) -> E:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error
