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
    "DEFAULT_CONNECTION_LIMITS",
    "DEFAULT_MAX_RETRIES",
    "DEFAULT_TIMEOUT",
    "NOT_GIVEN",
    "APIConnectionError",
    "APIError",
    "APIResponse",
    "APIResponseValidationError",
    "APIStatusError",
    "APITimeoutError",
    "AsyncAPIResponse",
    "AsyncClient",
    "AsyncListPage",
    "AsyncListPaginator",
    "AsyncPage",
    "AsyncPaginator",
    "AsyncRetell",
    "AsyncStream",
    "AuthenticationError",
    "BadRequestError",
    "BaseModel",
    "CallSlots",
    "CircuitBreaker",
    "CircuitEvent",
    "CircuitOpenError",
    "Client",
    "ConfigurationError",
    "ConflictError",
    "DefaultAioHttpClient",
    "DefaultAsyncHttpxClient",
    "DefaultHttpxClient",
    "Dispatch",
    "FileTypes",
    "Hook",
    "InternalServerError",
    "LimitEvent",
    "Model",
    "NoneType",
    "NotFoundError",
    "NotGiven",
    "Omit",
    "Outcome",
    "OutcomeUnknownError",
    "PaymentRequiredError",
    "PermissionDeniedError",
    "PreconditionFailedError",
    "Progress",
    "ProxiesTypes",
    "RateLimit",
    "RateLimitError",
    "RawResponse",
    "RequestOptions",
    "Retell",
    "RetellError",
    "RetryEvent",
    "RetryPolicy",
    "Stream",
    "StreamedResponse",
    "SyncDispatch",
    "SyncListPage",
    "SyncPage",
    "SyncRawResponse",
    "SyncStreamedResponse",
    "Timeout",
    "Transport",
    "UnknownObject",
    "UnprocessableEntityError",
    "WaitEvent",
    "WaitTimeoutError",
    "WebhookVerificationError",
    "__title__",
    "__version__",
    "file_from_path",
    "log",
    "not_given",
    "omit",
    "types",
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


def _public(thing: Any) -> None:
    """Let what has a name here be known by it, in a traceback and in a report of Sentry's, and have hints that can be read."""
    if str(getattr(thing, "__module__", None)).partition(".")[0] == __name__:
        readable(thing)
        if isinstance(thing, type) and thing.__name__ in __all__:
            thing.__module__ = __name__


register(f"{__name__}.raw")
for _name in __all__:
    if _name in globals():
        _public(globals()[_name])


if not TYPE_CHECKING:  # who checks types is told of those names above, and of no others

    def __getattr__(name: str) -> Any:
        """Synchronous code, clients of httpx, what few use, and what the official SDK exports beside: found when it is asked for."""
        from importlib import import_module

        if name in {"resources", "types"}:
            return import_module(f"{__name__}.{name}")
        if name.startswith("OutcomeUnknown"):  # the kinds of `OutcomeUnknownError`, for pickle
            module: str | None = "_core.errors"
        else:
            module = "_official_names" if name in _OFFICIAL_NAMES else _LATER.get(name)
        if module is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = globals()[name] = getattr(import_module(f"{__name__}.{module}"), name)
        _public(found)
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *_LATER})
