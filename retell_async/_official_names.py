"""Names that the official SDK exports and this package has under others, or needs only for programs that were written for it."""

from __future__ import annotations

from abc import ABCMeta
from os import PathLike, fspath
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
from httpx import Timeout

from ._blocking.response import SyncStreamedResponse
from ._client import AsyncRetell
from ._core.model import Model
from ._core.operation import FileTypes, Omit, omit
from ._core.pages import Page
from ._core.response import Received, StreamedResponse
from ._engine.settings import DEFAULT_MAX_RETRIES
from ._http.exchange import no_cookies
from ._sync import Retell

__all__ = [
    "DEFAULT_CONNECTION_LIMITS",
    "DEFAULT_MAX_RETRIES",
    "DEFAULT_TIMEOUT",
    "NOT_GIVEN",
    "APIResponse",
    "AsyncAPIResponse",
    "AsyncClient",
    "AsyncStream",
    "BaseModel",
    "Client",
    "DefaultHttpxClient",
    "NoneType",
    "NotGiven",
    "ProxiesTypes",
    "Stream",
    "Timeout",
    "Transport",
    "__title__",
    "file_from_path",
    "not_given",
]

T = TypeVar("T")

__title__ = "retell_async"

NotGiven = Omit
NOT_GIVEN = not_given = omit

AsyncClient = AsyncRetell
Client = Retell
AsyncStream = StreamedResponse
Stream = SyncStreamedResponse
AsyncAPIResponse = APIResponse = Received

DEFAULT_TIMEOUT = Timeout(timeout=60.0, connect=5.0)
DEFAULT_CONNECTION_LIMITS = httpx.Limits(max_connections=100, max_keepalive_connections=20)

Transport = httpx.BaseTransport
ProxiesTypes = str | httpx.Proxy | dict[str | httpx.URL, str | httpx.URL | httpx.Proxy | None]


if TYPE_CHECKING:
    DefaultHttpxClient = httpx.Client
else:

    class DefaultHttpxClient(httpx.Client):
        """An `httpx.Client` with the settings that the official SDK has by default, and settings of your own. It keeps no cookies."""

        def __init__(self, **settings: Any) -> None:
            usual = {"limits": DEFAULT_CONNECTION_LIMITS, "follow_redirects": True, "cookies": no_cookies()}
            super().__init__(**{**usual, **settings})


class _Base(ABCMeta):
    """Pages are models in the official SDK, and a model may be an abstract class as well."""

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, (Model, Page)) if cls is BaseModel else super().__subclasscheck__(subclass)


class BaseModel(Model, metaclass=_Base):
    """Base of all models, and of models of your own for ``cast_to``.

    Fields of your own may be what JSON has, and models. Their defaults hold: a value, or ``Field(default_factory=...)`` of pydantic or
    ``field(factory=...)`` of attrs. What would not hold, such as an alias or a validator, is a `TypeError` when the class is made. It is
    the same in a class made of one of the API's, such as ``class Mine(PhoneCallResponse)``.
    """


def file_from_path(path: str | PathLike[str]) -> FileTypes:
    """A file to upload, by its path."""
    return Path(fspath(path))
