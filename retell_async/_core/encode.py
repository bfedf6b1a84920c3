"""From a `Request` to what goes over the wire, without I/O."""

from __future__ import annotations

import json
import math
import os
from collections.abc import AsyncIterable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from inspect import isawaitable
from pathlib import PurePath
from typing import IO, Any, Literal, cast
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

import attrs

from .json import dumped
from .masking import Hidden, HiddenMapping, mask_name
from .model import Model
from .operation import FileContent, FilePart, Multipart, Omit, Part, Request, Style

__all__ = ["HARMLESS", "Encoded", "FilePart", "Part", "UsualHeaders", "check_text", "encode", "file_part", "is_seekable", "json_bytes"]

_LONGEST_TARGET = 65_000  # httpx takes no URL above 65,536

HARMLESS = frozenset(("accept", "accept-encoding", "connection", "user-agent"))
"""Headers of the client that may go to another origin, in lower case."""


def _hidden(headers: Mapping[str, str]) -> HiddenMapping:
    return headers if type(headers) is HiddenMapping else HiddenMapping(headers)


@attrs.define(on_setattr=attrs.setters.NO_OP)  # else all of them would be set as slowly as the one that is converted
class Encoded:
    """One HTTP request. At most one of `content` and `form` is there."""

    method: str
    base_url: str = attrs.field(repr=False)
    target: str = attrs.field(repr=False)  # this and what follows may hold phone numbers, and the headers hold the API key
    """Path and query, under the base URL."""
    headers: HiddenMapping = attrs.field(repr=False, converter=_hidden)
    content: bytes | AsyncIterable[bytes] | None = attrs.field(default=None, repr=False)
    form: Sequence[Part] | None = attrs.field(default=None, repr=False)
    redirected: Literal["inside", "outside"] | None = attrs.field(default=None, repr=False)
    """``None`` unless a redirect led here: then whether it stayed within the origin of the first URL."""

    @property
    def url(self) -> str:
        return self.base_url + self.target

    @property
    def repeatable(self) -> bool:
        """Whether the body can be sent more than once: an open file that cannot be wound back cannot."""
        if isinstance(self.content, AsyncIterable):
            return False
        return self.form is None or not any(isinstance(value, tuple) and not _can_be_read_again(value[1]) for _, value in self.form)


class UsualHeaders:
    """The headers of a client's requests that add none of their own: they are the same from one request to the next."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], tuple[Hidden[Sequence[Mapping[str, str | Omit]]], HiddenMapping]] = {}

    def merged(self, layers: Sequence[Mapping[str, str | Omit]]) -> HiddenMapping:
        """Layers as `encode` has them, of which the first says what the body is."""
        kind = tuple(cast("Mapping[str, str]", layers[0]).values())
        known = self._known.get(kind)
        if known is None or known[0].value != layers:
            known = self._known[kind] = Hidden(layers), HiddenMapping(_merged(layers))
        return known[1]


def encode(
    request: Request[Any],
    *,
    base_url: str,
    headers: Sequence[Mapping[str, str | Omit]] = (),
    query: Sequence[Mapping[str, object]] = (),
    extra_body: Mapping[str, object] | None = None,
    usual: UsualHeaders | None = None,
) -> Encoded:
    """Encode a request.

    :param headers: layers of headers, a header of a later layer replaces that of an earlier one (in any case of letters), and `omit`
        takes it out. The last layer is the request's own. If the path is a whole URL of another origin than the base URL, it alone is
        sent there, with the harmless ones of the other layers and none of the client's parameters: the API key stays here.
    :param query: parameters under and over those of the request: the first layer is the client's, the request's own come after it,
        then the other layers. As with the official SDK, an array is sent as ``name[]=1&name[]=2`` and an object as ``name[key]=1``, and
        what is empty is not sent.
    :param extra_body: fields added to the body.
    :param usual: those of the client that `headers` are of, whose own layers are its caller's to keep as they are.
    :raises TypeError: a value is of a kind that cannot be sent; the message says where it is.
    :raises ValueError: a value is of a right kind and cannot be sent, such as NaN.
    """
    of_body = {"Accept": "application/json" if request.operation.media == "json" else "*/*"}
    body: Any = request.body if extra_body is None else {**(request.body or {}), **extra_body}
    content: bytes | AsyncIterable[bytes] | None = request.content
    form: Sequence[Part] | None = request.form
    if request.operation.multipart is not None:
        form = list(_form(request.operation.multipart, body or {}))
    elif body is not None:
        content = json_bytes(body)
        if request.operation.aliases is not None:
            content = request.operation.aliases.replaced(content)
        of_body["Content-Type"] = "application/json"
    path, elsewhere = request.path, False
    if not path.startswith("/") and "://" in path:
        base_url, path, elsewhere = _origin_and_path(path, base_url)
    if elsewhere:
        query = query[1:]
    if usual is not None and not (elsewhere or request.headers or headers[-1]):
        merged: Mapping[str, str] = usual.merged((of_body, *headers))
    else:
        taken = {name: _header(name, value) for name, value in (request.headers or {}).items()}
        layers = [*headers[:-1], taken]
        if elsewhere:
            layers = [{name: text for name, text in layer.items() if name.lower() in HARMLESS} for layer in layers]
        merged = _merged((of_body, *layers, *headers[-1:]))
    target = _target(path, [*query[:1], request.query, *query[1:]], request.operation.styles or {})
    if len(target) > _LONGEST_TARGET:
        raise ValueError(f"the path and the query are of {len(target):,} characters, and {_LONGEST_TARGET:,} can be sent")
    return Encoded(
        method=request.operation.method,
        base_url=base_url,
        target=target,
        headers=merged,
        content=content,
        form=form,
    )


def _merged(layers: Sequence[Mapping[str, str | Omit]]) -> dict[str, str]:
    found: dict[str, tuple[str, str]] = {}
    for layer in layers:
        for name, text in layer.items():
            if isinstance(text, Omit):
                found.pop(name.lower(), None)
            else:
                found[name.lower()] = name, text
    return dict(found.values())


def _origin_and_path(url: str, base_url: str) -> tuple[str, str, bool]:
    """The two of a whole URL in place of a path, and whether the origin is another than that of the base URL."""
    parts, base = urlsplit(url), urlsplit(base_url)
    elsewhere = (parts.scheme, parts.netloc) != (base.scheme, base.netloc)
    return f"{parts.scheme}://{parts.netloc}", urlunsplit(("", "", parts.path or "/", parts.query, "")), elsewhere


def check_text(text: str, place: str, kind: type[ValueError] = ValueError) -> str:
    """Refuse a text that is no Unicode, with half a pair of surrogates, as a cut emoji has it, or a file name in an unknown encoding."""
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise kind(f"{mask_name(place)}: a text with half a surrogate pair cannot be sent")
    return text


def _header(name: str, value: object) -> str:
    """The value of a header, an array as its items with commas between.

    :raises ValueError: a header cannot carry it.
    """
    if not isinstance(value, (str, int, float)):
        from .interop.values import in_query

        value = in_query(value, name)
    items = cast("list[object]", value) if isinstance(value, list) else [value]
    text = ",".join(_text(name, item, "a header") for item in items)
    if not (text.isascii() and text.isprintable() and text == text.strip()):
        raise ValueError(f"{mask_name(name)}: a header is in ASCII, without line breaks and without white space around it")
    return text


def _target(path: str, layers: Sequence[Mapping[str, object]], styles: Mapping[str, Style]) -> str:
    check_text(path, "the path")
    merged: dict[str, object] = {}
    for layer in layers:
        merged.update(layer)
    if not merged:
        return path
    pairs = [pair for name, value in merged.items() for pair in _query_pairs(name, value, styles.get(name))]
    if not pairs:
        return path
    return f"{path}{'&' if '?' in path else '?'}{urlencode(pairs, quote_via=quote)}"


_BETWEEN = {"comma": ",", "space": " ", "pipe": "|"}


def _query_pairs(name: str, value: object, style: Style | None = None) -> Iterator[tuple[str, str]]:
    if value is None or isinstance(value, Omit):
        return
    if isinstance(value, (str, int, float)):
        if value != "":
            yield check_text(name, "the name of a query parameter"), _text(name, value, "a query parameter")
        return
    from .interop.values import in_query

    plain = in_query(value, name)
    if style is not None and isinstance(plain, (dict, list)):
        yield from _styled_pairs(name, cast("dict[str, object] | list[object]", plain), style)
    elif isinstance(plain, dict):
        for key, item in cast("dict[str, object]", plain).items():
            yield from _query_pairs(f"{name}[{key}]", item)
    elif isinstance(plain, list):
        for item in cast("list[object]", plain):
            yield from _query_pairs(f"{name}[]", item)
    else:
        yield from _query_pairs(name, plain)


def _styled_pairs(name: str, value: dict[str, object] | list[object], style: Style) -> Iterator[tuple[str, str]]:
    """The pairs for a value in the style that the document asks for. The items of arrays and objects must be scalars."""
    if style == "fields" and isinstance(value, dict):
        for key, item in value.items():
            yield from _query_pairs(key, item)
        return
    flat = [part for pair in value.items() for part in pair] if isinstance(value, dict) else value
    texts = [_text(name, item, "a query parameter") for item in flat if item is not None]
    if style in _BETWEEN:
        yield from [(name, _BETWEEN[style].join(texts))] if texts else []
    else:
        yield from ((name, text) for text in texts)


def _text(name: str, value: object, place: str) -> str:
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return check_text(str.__str__(value), name)
    if isinstance(value, (int, float)):
        if not math.isfinite(value):
            raise ValueError(f"{mask_name(name)}: {value} cannot be sent as {place}")
        return str(value)
    raise TypeError(f"{mask_name(name)}: {type(value).__name__} cannot be sent as {place}")


def _default(value: object) -> object:
    if isinstance(value, Model):
        return vars(value)
    if isinstance(value, Mapping):
        return dict(cast("Mapping[object, object]", value))
    raise TypeError(type(value).__name__)


_to_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_default).encode


def json_bytes(value: object) -> bytes:
    """Compact JSON in UTF-8. Anywhere inside may be models (ours, pydantic's, attrs', dataclasses), any iterable and any mapping.

    :raises TypeError: a value inside is of a kind that cannot be sent; the message says where it is.
    :raises ValueError: a number is not finite, a text is not Unicode, or a value holds itself or is nested too deeply.
    """
    try:
        return dumped(value) or _to_json(value).encode()
    except (TypeError, ValueError, RecursionError):  # before anything that can be gone through only once has been
        from .interop.values import settled

        return _to_json(settled(value)).encode()


def _form(multipart: Multipart, body: Mapping[str, Any]) -> Iterator[Part]:
    for name, value in body.items():
        if value is None or isinstance(value, Omit):
            continue
        check_text(name, "the name of a field of a form")
        if name in multipart.files:
            for number, file in enumerate(_files(value)):
                yield name, file_part(file, f"{name}[{number}]")
        elif name in multipart.json:
            yield name, json_bytes(value).decode()
        elif name in multipart.parts:
            yield from _parts(name, value)
        elif isinstance(value, (str, int, float)):
            yield name, _text(name, value, "a field of a form")
        else:
            yield name, _text_of_form(name, value)


def _parts(name: str, value: object) -> Iterator[Part]:
    """A part for each item of an array, and one of its own media type for what is an object, as OpenAPI has it."""
    from .interop.values import settled

    plain: object = settled(value, name)
    for item in cast("list[object]", plain) if isinstance(plain, list) else [plain]:
        if isinstance(item, (dict, list)):
            yield name, (None, json_bytes(cast("object", item)), "application/json", None)
        else:
            yield name, _text(name, item, "a field of a form")


def _text_of_form(name: str, value: object) -> str:
    """A value that is no scalar: an array or an object as JSON, an enum or a moment as it is in JSON, without quotes."""
    from .interop.values import settled

    plain = settled(value, name)
    return plain if isinstance(plain, str) else json_bytes(plain).decode()


def _can_be_read_again(content: FileContent) -> bool:
    return isinstance(content, (bytes, os.PathLike)) or is_seekable(content)


def is_seekable(file: IO[bytes]) -> bool:
    """Whether a file can be wound back to its beginning."""
    seekable = getattr(file, "seekable", None)
    return seekable is not None and bool(seekable())


def _files(value: object) -> Iterable[Any]:
    if isinstance(value, tuple):
        items = cast("tuple[object, ...]", value)
        return [items] if items and isinstance(items[0], str | None) else items
    if isinstance(value, (str, bytes, os.PathLike)) or hasattr(value, "read") or not isinstance(value, Iterable):
        return [cast("object", value)]  # type: ignore[redundant-cast]
    return cast("Iterable[Any]", value)  # type: ignore[redundant-cast]


class _Begun:
    """A file of which the first bytes were read already: they come first."""

    def __init__(self, start: bytes, file: IO[bytes]) -> None:
        self._start = start
        self._file = file

    def read(self, number: int) -> bytes:
        if not self._start:
            return self._file.read(number)
        piece, self._start = self._start[:number], self._start[number:]
        return piece


def _binary_file(value: object, place: str) -> IO[bytes] | None:
    """The value, as it can be read from its beginning; ``None`` if it is no binary file."""
    read = getattr(value, "read", None)
    if not callable(read):
        return None
    if getattr(value, "closed", False) is True:
        raise ValueError(f"{place}: the file is closed")
    nothing = read(0)
    if isawaitable(nothing):
        close = getattr(nothing, "close", None)  # what is not awaited must be closed
        if close is not None:
            close()
        raise TypeError(f"{place}: a file that is read with await cannot be sent: give its path, its bytes or a plain open file")
    if not isinstance(nothing, bytes):
        return None
    file = cast("IO[bytes]", value)
    # Some take 0 bytes for all that there are, and cannot go back.
    return cast("IO[bytes]", _Begun(nothing, file)) if nothing and not is_seekable(file) else file


def file_part(value: object, place: str) -> FilePart:
    place = mask_name(place)
    name: object = None
    kind: object = None
    headers: object = None
    content = value
    if isinstance(value, tuple):
        given = cast("tuple[object, ...]", value)
        if len(given) not in {2, 3, 4}:
            raise TypeError(f"{place}: a file given as a tuple is (name, content), (name, content, media type) or the same with headers")
        name, content, kind, headers = (*given, None, None)[:4]
        if isinstance(content, str):
            content = check_text(content, place).encode()
    if isinstance(content, os.PathLike):
        name = name or PurePath(cast("os.PathLike[str]", content)).name
    elif (file := _binary_file(content, place)) is not None:
        name = name or PurePath(str(getattr(content, "name", "upload"))).name
        content = file
    elif not isinstance(content, bytes):
        hint = "; give a path as pathlib.Path" if isinstance(content, str) else ""
        raise TypeError(f"{place}: {type(content).__name__} is not a file: bytes, a path, an open binary file or a tuple is{hint}")
    name = name or "upload"
    if not isinstance(name, str) or not (kind is None or isinstance(kind, str)):
        raise TypeError(f"{place}: the name and the media type of a file must be str")
    check_text(name, f"the name of {place}")
    if kind is not None and not (kind.isascii() and kind.isprintable()):
        raise ValueError(f"{place}: a media type is in ASCII, without line breaks")
    return name, cast("FileContent", content), kind, _headers_of_part(headers, place)


def _headers_of_part(headers: object, place: str) -> Mapping[str, str] | None:
    if headers is None:
        return None
    if not isinstance(headers, Mapping):
        raise TypeError(f"{place}: the headers of a file must be a mapping, not {type(headers).__name__}")
    for name, text in cast("Mapping[object, object]", headers).items():
        for part in (name, text):
            if not isinstance(part, str) or not (part.isascii() and part.isprintable()):
                raise ValueError(f"{place}: a header of a file is a str in ASCII, without line breaks")
    return cast("Mapping[str, str]", headers)
