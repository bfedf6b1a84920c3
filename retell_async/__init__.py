"""An async Python SDK for the Retell AI voice-agent API."""

from ._client import AsyncRetell
from ._clients import DefaultAioHttpClient, DefaultAsyncHttpxClient
from ._errors import (
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
    WebhookVerificationError,
)
from ._events import Hook, LimitEvent, RetryEvent, WaitEvent, log
from ._hints import readable
from ._limits import RateLimit
from ._model import Model, UnknownObject
from ._operation import FileTypes, Omit, RequestOptions, omit
from ._pages import AsyncPage, AsyncPaginator
from ._response import RawResponse, StreamedResponse
from ._retry import RetryPolicy
from ._slots import CallSlots
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
    "WebhookVerificationError",
    "__version__",
    "log",
    "omit",
]

for _name in __all__:
    readable(globals()[_name])
