"""An async Python SDK for the Retell AI voice-agent API."""

from ._client import AsyncRetell
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
from ._model import Model, UnknownObject
from ._operation import FileTypes, Omit, RequestOptions, omit
from ._pages import AsyncPage, AsyncPaginator
from ._response import RawResponse
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
    "ConfigurationError",
    "ConflictError",
    "FileTypes",
    "InternalServerError",
    "Model",
    "NotFoundError",
    "Omit",
    "OutcomeUnknownError",
    "PaymentRequiredError",
    "PermissionDeniedError",
    "PreconditionFailedError",
    "RateLimitError",
    "RawResponse",
    "RequestOptions",
    "RetellError",
    "UnknownObject",
    "UnprocessableEntityError",
    "WebhookVerificationError",
    "__version__",
    "omit",
]
