"""Keys and tokens by which a request is recognised: by the server, and by whoever looks later whether it was carried out."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from .._core.errors import ConfigurationError
from .._core.operation import Omit, Operation, Request
from .._instrumentation import MARK, TRACEPARENT, is_traceparent, trace_in

__all__ = [
    "KEY_FIELD",
    "MARK",
    "in_order",
    "is_listed",
    "is_to_another",
    "joined",
    "marked",
    "new_key",
    "renewed",
    "token_of",
    "traced",
    "with_key",
]

T = TypeVar("T")

KEY_FIELD = "idempotency_key"

_KEY = re.compile(r"[A-Za-z0-9_-]{5,255}")
_NO_DIGITS = re.compile(r"\D")
_CARRIER = re.compile(r"ra-[0-9a-f]{32}-([0-9a-f]{32})([0-9a-f]{16})([0-9a-f]{2})")

_LISTED = frozenset({"createPhoneCall", "createWebCall", "registerPhoneCall"})


def is_listed(operation: Operation[Any]) -> bool:
    """Whether what this operation creates can be looked for by a token in its metadata: calls can, chats and batches cannot."""
    return operation.id in _LISTED


def new_key(traceparent: str | None = None) -> str:
    """A key that no other request has.

    :param traceparent: the trace that the request belongs to. The key carries it, so that whoever sends the same request again under this
        key, in another trace and perhaps another process, sends the same trace in its metadata.
    """
    return f"ra-{os.urandom(16).hex()}{'' if traceparent is None else '-' + traceparent[3:].replace('-', '')}"


def renewed(key: str) -> str:
    """Another key in the place of one that was made here, for the same request."""
    return new_key(_trace_in_key(key))


def _trace_in_key(key: str) -> str | None:
    found = _CARRIER.fullmatch(key)
    trace = None if found is None else "-".join(("00", *found.groups()))
    return trace if is_traceparent(trace) else None


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
    return request.with_body({**body, KEY_FIELD: key}), key


def in_order(request: Request[T]) -> Request[T]:
    """The request with what may be added here at the end of its body, whoever gave it: one that is sent again is the same to the byte."""
    body = request.body or {}
    metadata = body.get("metadata")
    if isinstance(metadata, Mapping):
        body = {**body, "metadata": _with_last(cast("Mapping[str, Any]", metadata), (TRACEPARENT, MARK))}
    return request.with_body(_with_last(body, ("metadata", KEY_FIELD)))


def _with_last(fields: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    others = {name: value for name, value in fields.items() if name not in names}
    return others | {name: fields[name] for name in names if name in fields}


def token_of(request: Request[Any]) -> str | None:
    """The token that a caller has put into the metadata of what the request creates."""
    token = _metadata(request).get(MARK)
    return token if isinstance(token, str) and token else None


def marked(request: Request[T], token: str) -> Request[T]:
    """The request with a token in the metadata of what it creates, beside the caller's own.

    :raises TypeError: the metadata is no object, to which none can be added.
    """
    return _with_metadata(request, MARK, token)


def traced(request: Request[T], key: str | None, traceparent: str | None) -> Request[T]:
    """The request with the trace in the metadata of what it creates. One that the caller has put there stays.

    :param key: one of the caller's: then it is the trace that the key carries, and none if it carries none, since what is sent under one
        key is always the same.
    :param traceparent: that of a request without such a key.
    :raises TypeError: the metadata is no object, to which none can be added.
    """
    trace = traceparent if key is None else _trace_in_key(key)
    if trace is None or _metadata(request).get(TRACEPARENT) is not None:
        return request
    return _with_metadata(request, TRACEPARENT, trace)


def joined(request: Request[Any]) -> str | None:
    """The trace that a request with a key of the caller's belongs to, as far as the request says; ``None`` where it says nothing."""
    key = (request.body or {}).get(KEY_FIELD)
    return (_trace_in_key(key) or trace_in(_metadata(request))) if isinstance(key, str) else None


def is_to_another(asked: object, answered: object) -> bool:
    """Whether a call that was answered is to another number than the one asked for: its key was used before, for that one.

    The same number may be written in several ways, with signs in between, without its country code or with a zero behind it. So the last
    seven digits tell: who is told by mistake that nobody was called may call again. An answer without a number tells nothing.
    """
    ends = {_NO_DIGITS.sub("", str(number))[-7:] for number in (asked, answered)}
    return len(ends) == 2 and "" not in ends


def _with_metadata(request: Request[T], name: str, value: str) -> Request[T]:
    return request.with_body({**(request.body or {}), "metadata": {**_metadata(request), name: value}})


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
