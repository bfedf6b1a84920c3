"""A request by verb and path, as the official SDK takes it, made into one of ours."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, Literal, cast
from urllib.parse import quote, urlsplit

from .._core.encode import Part, check_text, file_part, json_bytes
from .._core.masking import mask_path, mask_text
from .._core.operation import Omit, Operation, Request, RequestOptions
from .._http.hosts import is_host
from .._http.loops import in_thread

__all__ = ["check_path", "operation_at", "verb"]

_OPTIONS = {"headers", "params", "timeout", "max_retries", "extra_json", "follow_redirects", "idempotency_key"}
_PIECE = 2**16
_NAME = re.compile(r"(/v\d+)?/[^/]*")
_CONTROL = re.compile(r"[\0-\x1f\x7f]")


def operation_at(method: str, path: str) -> Operation[Any]:
    """What a request by method and path asks for. It is under the limit of the API's own operation there, if that is known."""
    from ..raw.limits import LIMITS

    path = quote(urlsplit(path).path, safe="/%!$&'()*+,;=:@")
    # What follows the name of the operation are ids, of which each would have a limit of its own.
    named = _NAME.match(path)
    name = f"{method} {mask_path(path if named is None else named.group())}"
    repeat: Literal["safe", "unsafe"] = "safe" if method in {"GET", "HEAD"} else "unsafe"
    return Operation(id=name, method=method, path=mask_path(path), repeat=repeat, limit=LIMITS.get(name))


def verb(
    method: str, path: str, options: Mapping[str, Any], body: object, content: object, files: Any
) -> tuple[Request[Any], RequestOptions, bool]:
    """The request, its options, and whether it follows redirects.

    :raises TypeError: there is no such option, or two of `body`, `content` and `files` exclude each other; the path is no text.
    :raises ValueError: the path cannot be one.
    """
    path = _whole(check_path(path))
    for name in options.keys() - _OPTIONS:
        raise TypeError(f"options: there is no {mask_text(repr(name))}; there are {', '.join(sorted(_OPTIONS))}")
    if content is not None and body is not None:
        raise TypeError("Passing both `body` and `content` is not supported")
    if content is not None and files is not None:
        raise TypeError("Passing both `files` and `content` is not supported")
    if isinstance(body, bytes):
        warnings.warn(
            "Passing raw bytes as `body` is deprecated and will be removed in a future version. "
            "Please pass raw bytes via the `content` parameter instead.",
            DeprecationWarning,
            stacklevel=4,
        )
        body, content = None, body
    headers: dict[str, str | Omit] = dict(options.get("headers") or {})
    extra = options.get("extra_json")
    if extra is not None:
        if not (body is None or isinstance(body, Mapping)):
            raise TypeError(f"extra_json is added to a mapping, and the body is {type(body).__name__}")
        body = {**cast("Mapping[str, object]", body or {}), **extra}
    form: Sequence[Part] | None = None
    kind = next((name for name in headers if name.lower() == "content-type"), None)
    if files is not None or (kind is not None and str(headers[kind]).startswith("multipart/form-data")):
        form, body = [*_fields(body), *_files(files)], None
        if kind is not None and "boundary=" not in str(headers[kind]):
            del headers[kind]
    if content is not None and kind is None:
        headers["Content-Type"] = "application/json"
    sent = None if content is None else _content(content)
    request: Request[Any] = Request(operation_at(method, path), path, {}, cast("Any", body), sent, form)
    given: RequestOptions = {"extra_headers": cast("Any", headers), "extra_query": options.get("params")}
    if "timeout" in options:
        given["timeout"] = options["timeout"]
    if "max_retries" in options:
        given["max_retries"] = options["max_retries"]
    return request, given, options.get("follow_redirects") is not False


def check_path(path: object) -> str:
    """A path, or a whole URL, as it can be quoted where it has to be.

    :raises TypeError: it is no text.
    :raises ValueError: it is no Unicode, or holds what nobody means to send.
    """
    if not isinstance(path, str):
        raise TypeError(f"path must be a str, not {type(path).__name__}")
    if _CONTROL.search(path):
        raise ValueError("path holds a line break or another control character: in an id it is quoted, as %0A")
    return check_text(path, "path")


def _whole(path: str) -> str:
    """The path with its slash, or a URL that can be one."""
    if path.startswith("/"):
        return path
    if "://" not in path.partition("?")[0]:
        return f"/{path}"
    try:
        parts = urlsplit(path)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("path is a URL whose host or port cannot be read") from None
    if parts.scheme not in {"http", "https"} or not host or not is_host(host) or port == 0:
        raise ValueError("path is a URL, which starts with https:// or http:// and names a host and, if any, a port above 0")
    return path


def _fields(body: object) -> list[Part]:
    if body is None:
        return []
    if not isinstance(body, Mapping):
        raise TypeError(f"the fields of a form must be a mapping, not {type(body).__name__}")
    fields = cast("Mapping[str, object]", body).items()
    return [(name, value if isinstance(value, str) else _text(value)) for name, value in fields if value is not None]


def _text(value: object) -> str:
    return json.dumps(json.loads(json_bytes(value)))  # with the spaces that the official SDK writes


def _files(files: Any) -> list[Part]:
    given: Iterable[tuple[str, object]] = cast("Mapping[str, object]", files).items() if isinstance(files, Mapping) else files or ()
    return [(name, file_part(file, name)) for name, file in given]


def _content(content: object) -> bytes | AsyncIterable[bytes]:
    """Bytes, or what gives them as they are sent, once."""
    if isinstance(content, (bytes, bytearray)):
        return bytes(content)
    if isinstance(content, AsyncIterable):
        return cast("AsyncIterable[bytes]", content)
    if hasattr(content, "read"):
        return _read(content)
    if isinstance(content, Iterable) and not isinstance(content, str):
        return _each(cast("Iterable[bytes]", content))
    raise TypeError(f"content must be bytes, an open binary file or an iterable of bytes, not {type(content).__name__}")


async def _read(file: Any) -> AsyncIterator[bytes]:
    while piece := await in_thread(file.read, _PIECE):
        yield piece


async def _each(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    each = iter(pieces)
    while (piece := await in_thread(next, each, None)) is not None:  # what makes them may wait for something
        yield piece
