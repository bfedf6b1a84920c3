"""An async Python SDK for the Retell AI voice-agent API."""

from typing import TYPE_CHECKING, Any

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
    CircuitOpenError,
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
from ._core.pages import AsyncListPage, AsyncListPaginator, AsyncPage, AsyncPaginator
from ._core.response import RawResponse, StreamedResponse
from ._engine.circuit import CircuitBreaker
from ._engine.events import CircuitEvent, Hook, LimitEvent, RetryEvent, WaitEvent, log
from ._engine.limits import RateLimit
from ._engine.retry import RetryPolicy
from ._version import __version__

if TYPE_CHECKING:
    from . import resources as resources, types as types
    from ._blocking.dispatch import SyncDispatch
    from ._blocking.pages import SyncListPage, SyncPage
    from ._blocking.response import SyncRawResponse, SyncStreamedResponse
    from ._dispatch.dispatch import Dispatch
    from ._dispatch.outcome import Outcome, Progress
    from ._http.clients import DefaultAioHttpClient, DefaultAsyncHttpxClient
    from ._official_names import (
        DEFAULT_CONNECTION_LIMITS as DEFAULT_CONNECTION_LIMITS,
        DEFAULT_MAX_RETRIES as DEFAULT_MAX_RETRIES,
        DEFAULT_TIMEOUT as DEFAULT_TIMEOUT,
        NOT_GIVEN as NOT_GIVEN,
        APIResponse as APIResponse,
        AsyncAPIResponse as AsyncAPIResponse,
        AsyncClient as AsyncClient,
        AsyncStream as AsyncStream,
        BaseModel as BaseModel,
        Client as Client,
        DefaultHttpxClient as DefaultHttpxClient,
        NoneType as NoneType,
        NotGiven as NotGiven,
        ProxiesTypes as ProxiesTypes,
        Stream as Stream,
        Timeout as Timeout,
        Transport as Transport,
        __title__ as __title__,
        file_from_path as file_from_path,
        not_given as not_given,
    )
    from ._sync import Retell

__all__ = [
    "APIConnectionError",
    "APIError",
    "APIResponseValidationError",
    "APIStatusError",
    "APITimeoutError",
    "AsyncListPage",
    "AsyncListPaginator",
    "AsyncPage",
    "AsyncPaginator",
    "AsyncRetell",
    "AuthenticationError",
    "BadRequestError",
    "CallSlots",
    "CircuitBreaker",
    "CircuitEvent",
    "CircuitOpenError",
    "ConfigurationError",
    "ConflictError",
    "DefaultAioHttpClient",
    "DefaultAsyncHttpxClient",
    "Dispatch",
    "FileTypes",
    "Hook",
    "InternalServerError",
    "LimitEvent",
    "Model",
    "NotFoundError",
    "Omit",
    "Outcome",
    "OutcomeUnknownError",
    "PaymentRequiredError",
    "PermissionDeniedError",
    "PreconditionFailedError",
    "Progress",
    "RateLimit",
    "RateLimitError",
    "RawResponse",
    "RequestOptions",
    "Retell",
    "RetellError",
    "RetryEvent",
    "RetryPolicy",
    "StreamedResponse",
    "SyncDispatch",
    "SyncListPage",
    "SyncPage",
    "SyncRawResponse",
    "SyncStreamedResponse",
    "UnknownObject",
    "UnprocessableEntityError",
    "WaitEvent",
    "WaitTimeoutError",
    "WebhookVerificationError",
    "__version__",
    "log",
    "omit",
]

_OFFICIAL_NAMES = {
    *("DEFAULT_CONNECTION_LIMITS", "DEFAULT_MAX_RETRIES", "DEFAULT_TIMEOUT", "NOT_GIVEN", "APIResponse", "AsyncAPIResponse", "AsyncClient"),
    *("AsyncStream", "BaseModel", "Client", "DefaultHttpxClient", "NoneType", "NotGiven", "ProxiesTypes", "Stream", "Timeout", "Transport"),
    *("__title__", "file_from_path", "not_given"),
}

_LATER = {
    "DefaultAioHttpClient": "_http.clients",
    "DefaultAsyncHttpxClient": "_http.clients",
    "Dispatch": "_dispatch.dispatch",
    "Outcome": "_dispatch.outcome",
    "Progress": "_dispatch.outcome",
    "Retell": "_sync",
    "SyncDispatch": "_blocking.dispatch",
    "SyncListPage": "_blocking.pages",
    "SyncPage": "_blocking.pages",
    "SyncRawResponse": "_blocking.response",
    "SyncStreamedResponse": "_blocking.response",
}

register(f"{__name__}.raw")
for _name in __all__:
    if _name not in _LATER:
        readable(globals()[_name])


if not TYPE_CHECKING:  # who checks types is told of those names above, and of no others

    def __getattr__(name: str) -> Any:
        """Synchronous code, clients of httpx, what few use, and what the official SDK exports beside: found when it is asked for."""
        from importlib import import_module

        if name in {"resources", "types"}:
            return import_module(f"{__name__}.{name}")
        if name in _OFFICIAL_NAMES:
            return getattr(import_module(f"{__name__}._official_names"), name)
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = globals()[name] = getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
        readable(found)
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *_LATER})
