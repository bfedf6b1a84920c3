"""Keys and tokens by which a request is recognised: by the server, and by whoever looks later whether it was carried out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast
from uuid import uuid4

import attrs

from .._core.errors import ConfigurationError
from .._core.operation import Omit, Operation, Request

__all__ = ["KEY_FIELD", "MARK", "is_listed", "marked", "new_key", "token_of", "with_key"]

T = TypeVar("T")

KEY_FIELD = "idempotency_key"
MARK = "retell_async_token"
"""The key in `metadata` under which a token stands."""

_KEY = re.compile(r"[A-Za-z0-9_-]{5,255}")


_LISTED = frozenset({"createPhoneCall", "createWebCall", "registerPhoneCall"})


def is_listed(operation: Operation[Any]) -> bool:
    """Whether what this operation creates can be looked for by a token in its metadata: calls can, chats and batches cannot."""
    return operation.id in _LISTED


def new_key() -> str:
    """A key that no other request has."""
    return f"ra-{uuid4().hex}"


def with_key(request: Request[T], make: Callable[[], str] = new_key) -> tuple[Request[T], str]:
    """The request with an idempotency key in its body, and that key: the caller's, or one made for it.

    :raises ConfigurationError: the caller's key is one that the server refuses.
    """
    body = request.body or {}
    key = body.get(KEY_FIELD)
    if key is None:
        key = make()
    elif not isinstance(key, str) or not _KEY.fullmatch(key):
        raise ConfigurationError(f"{KEY_FIELD} must be 5 to 255 letters, digits, '_' and '-'")
    return attrs.evolve(request, body={**body, KEY_FIELD: key}), key


def token_of(request: Request[Any]) -> str | None:
    """The token that a caller has put into the metadata of what the request creates."""
    token = _metadata(request).get(MARK)
    return token if isinstance(token, str) and token else None


def marked(request: Request[T], token: str) -> Request[T]:
    """The request with a token in the metadata of what it creates, beside the caller's own.

    :raises TypeError: the metadata is no object, to which none can be added.
    """
    return attrs.evolve(request, body={**(request.body or {}), "metadata": {**_metadata(request), MARK: token}})


def _metadata(request: Request[Any]) -> Mapping[str, Any]:
    metadata: Any = (request.body or {}).get("metadata")
    if metadata is None or isinstance(metadata, Omit):
        return {}
    if isinstance(metadata, Mapping):
        return cast("Mapping[str, Any]", metadata)
    from .._core.interop.values import fields

    found = fields(metadata)
    if found is None:
        hint = ": give what json.loads makes of it" if isinstance(metadata, (str, bytes)) else ""
        raise TypeError(f"metadata must be an object, such as a dict, and not {type(metadata).__name__}{hint}")
    return found
