"""An async Python SDK for the Retell AI voice-agent API."""

from ._call_slots import CallSlots
from ._client import AsyncRetell
from ._core.errors import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    ConflictError,
    InternalServerError,
    NotFoundError,
    OutcomeUnknownError,
    PaymentRequiredError,
    PermissionDeniedError,
    PreconditionFailedError,
    RateLimitError,
    RetellError,
    UnprocessableEntityError,
    WaitTimeoutError,
    WebhookVerificationError,
)
from ._core.hints import readable, register
from ._core.model import Model, UnknownObject
from ._core.operation import FileTypes, Omit, RequestOptions, omit
from ._core.pages import AsyncPage, AsyncPaginator
from ._core.response import RawResponse, StreamedResponse
from ._engine.events import Hook, LimitEvent, RetryEvent, WaitEvent, log
from ._engine.limits import RateLimit
from ._engine.retry import RetryPolicy
from ._http.clients import DefaultAioHttpClient, DefaultAsyncHttpxClient
from ._version import __version__

__all__ = [
    "APIConnectionError",
    "APIError",
    "APIResponseValidationError",
    "APIStatusError",
    "APITimeoutError",
    "AsyncPage",
    "AsyncPaginator",
    "AsyncRetell",
    "AuthenticationError",
    "BadRequestError",
    "CallSlots",
    "ConfigurationError",
    "ConflictError",
    "DefaultAioHttpClient",
    "DefaultAsyncHttpxClient",
    "FileTypes",
    "Hook",
    "InternalServerError",
    "LimitEvent",
    "Model",
    "NotFoundError",
    "Omit",
    "OutcomeUnknownError",
    "PaymentRequiredError",
    "PermissionDeniedError",
    "PreconditionFailedError",
    "RateLimit",
    "RateLimitError",
    "RawResponse",
    "RequestOptions",
    "RetellError",
    "RetryEvent",
    "RetryPolicy",
    "StreamedResponse",
    "UnknownObject",
    "UnprocessableEntityError",
    "WaitEvent",
    "WaitTimeoutError",
    "WebhookVerificationError",
    "__version__",
    "log",
    "omit",
]

register(f"{__name__}.raw")
for _name in __all__:
    readable(globals()[_name])
