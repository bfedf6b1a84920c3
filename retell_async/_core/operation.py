"""What one operation of the API is, and a request to it: values without I/O, made by generated code and sent by the client."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from os import PathLike
from typing import IO, TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeAlias, TypedDict, TypeVar, cast
from urllib.parse import quote

import attrs

from .model import Decode, Model, Spec, decoder, required_ids

if TYPE_CHECKING:
    import httpx

    from .pages import AsyncPaginator

__all__ = [
    "Aliases",
    "FileContent",
    "FilePart",
    "FileTypes",
    "Multipart",
    "Omit",
    "Operation",
    "Paging",
    "Part",
    "Request",
    "RequestOptions",
    "Sender",
    "Strings",
    "Style",
    "given",
    "omit",
]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

if TYPE_CHECKING:

    class _Strings(Protocol):
        def __contains__(self, value: object, /) -> bool: ...  # which a str does not: it is asked for strings alone
        def __iter__(self) -> Iterator[str]: ...
        def __len__(self) -> int: ...

    Strings: TypeAlias = _Strings | Iterator[str]
else:
    Strings = Sequence[str]  # which for pydantic is a list of strings, and no str
"""Several strings, in whatever holds or gives them; a plain `str`, which is a sequence of strings to a type checker, is none."""

FileContent: TypeAlias = bytes | IO[bytes] | PathLike[str]
FileTypes: TypeAlias = (
    FileContent
    | tuple[str | None, FileContent | str]
    | tuple[str | None, FileContent | str, str | None]
    | tuple[str | None, FileContent | str, str | None, Mapping[str, str]]
)
"""A file to upload: its content, an open binary file or a path, or a tuple of file name, content (which may be a text there) and optionally
content type and headers of its part."""


Style: TypeAlias = Literal["repeat", "comma", "space", "pipe", "fields"]
"""How an array or an object is written in a query: as ``name=1&name=2``, as ``name=1,2`` or with another sign between, or as ``key=1``."""

FilePart: TypeAlias = tuple[str | None, FileContent, str | None, Mapping[str, str] | None]
"""A file name, if it is a file, its content, its media type (``None``: told by the name), and headers of its part, if it has any."""
Part: TypeAlias = tuple[str, str | FilePart]
"""A field of a form: its name, and its text or its file."""


class Omit:
    """The type of `omit`: an argument that was not given, and that therefore is not sent (``None`` is sent, as ``null``)."""

    def __bool__(self) -> Literal[False]:
        return False

    def __repr__(self) -> str:
        return "omit"


omit = Omit()
"""Stands for "not given" wherever an argument is optional."""


class RequestOptions(TypedDict, total=False):
    """What every method takes beside the operation's own parameters."""

    extra_headers: Mapping[str, str | Omit] | None
    """Headers added to this request; they replace those of the client, and `omit` takes one out."""
    extra_query: Mapping[str, object] | None
    """Query parameters added to this request."""
    extra_body: Mapping[str, object] | None
    """Fields added to the body of this request, for what this version does not know yet."""
    timeout: float | httpx.Timeout | Omit | None
    """Seconds for each attempt, or an `httpx.Timeout`; ``None`` waits for ever."""
    max_retries: int | Omit
    """How often this request may be tried again."""
    deadline: float | Omit | None
    """Seconds for this request with all its attempts and waits; ``None`` for as long as it takes."""
    idempotency_key_since: float | datetime | None
    """For an `idempotency_key` of your own that was sent before: when it was first, as Unix time in seconds or an aware `datetime`."""


@attrs.frozen
class Multipart:
    """How a form is encoded: parts that are files, fields that hold one JSON text, and those with a part for each item or object."""

    files: Sequence[str] = ()
    json: Sequence[str] = ()
    parts: Sequence[str] = ()


@attrs.frozen
class Paging:
    """How a list goes on: where the key of the next page is sent."""

    location: Literal["query", "body"]


class Aliases:
    """The official SDK's names for fields of a body whose own names are not in Python's style."""

    def __init__(self, body: Spec, names: Sequence[str]) -> None:
        self.body = body
        self.names = names

    @cached_property
    def _keys(self) -> list[bytes]:
        return [f'"{name}"'.encode() for name in self.names]

    def replaced(self, content: bytes) -> bytes:
        """The JSON of a body with the API's names.

        :raises ValueError: one field is there under both names.
        """
        if not any(key in content for key in self._keys):
            return content
        from .interop.aliases import replaced

        return replaced(self.body, content)


@attrs.frozen
class Operation(Generic[T_co]):
    """One operation of the API, as the pinned document and `openapi/surface.yaml` describe it."""

    id: str
    method: str
    path: str
    repeat: Literal["safe", "idempotency_key", "unsafe"]
    """Whether the same request may be sent again once it may have been carried out."""
    response: Spec | None = None
    """What the body of an answer holds; ``None`` if there are no models in it."""
    statuses: Mapping[int, Spec] | None = None
    """The same, by the status of the answer, where different statuses have different bodies."""
    media: Literal["json", "text", "bytes"] = "json"
    """What the body of an answer is."""
    empty: bool = False
    """The answer has no body."""
    multipart: Multipart | None = None
    aliases: Aliases | None = None
    paging: Paging | None = None
    styles: Mapping[str, Style] | None = None
    """How arrays and objects in the query are written, where the document says so."""
    exclusive: Sequence[Sequence[str]] = ()
    """Fields of the body that may not be sent together."""
    timeout: float | None = None
    """Seconds that an attempt may take where the client's own setting is left at its default; ``None`` for that default."""
    limit: str | None = None
    """The name of the limit that it shares with other operations; ``None`` where it has one of its own."""
    optional: bool = False
    """Whether a successful answer may come without a body: it changes what the caller names, and needs to say no more."""
    nullable: bool = False
    """Whether a successful answer may have no body, or ``null`` for one: both are ``None``."""

    def request(
        self,
        *,
        path: Mapping[str, str] | None = None,
        query: Mapping[str, object] | None = None,
        header: Mapping[str, object] | None = None,
        body: Mapping[str, object] | Model | None = None,
    ) -> Request[T_co]:
        """A request to this operation, checked as far as that can be done before it is sent.

        :raises TypeError: a path parameter is no text.
        :raises ValueError: one is empty, a dot segment or no Unicode, or two fields exclude each other.
        """
        url = self.path
        for name, value in (path or {}).items():
            if not value:
                raise ValueError(f"Expected a non-empty value for `{name}` but received {value!r}: {self.method} {self.path} needs one")
            if not isinstance(cast("object", value), str):
                raise TypeError(f"{name} must be a str, not {type(value).__name__}: {self.method} {self.path} needs one")
            if value in {".", ".."}:
                raise ValueError(f"{name} is {value!r}, which would make another path of {self.method} {self.path}")
            try:
                url = url.replace(f"{{{name}}}", quote(value, safe=_PLAIN_IN_A_SEGMENT))
            except UnicodeEncodeError:
                raise ValueError(f"{name}: a text with half a surrogate pair cannot be sent") from None
        fields = None if body is None else given(_fields(body))
        for names in self.exclusive:
            if fields is not None and fields.keys() >= {*names}:
                raise ValueError(f"{' and '.join(names)} exclude each other in {self.method} {self.path}: send one of them")
        headers = {name: value for name, value in given(header).items() if value is not None} if header else {}
        return Request(operation=self, path=url, query=given(query) if query else {}, body=fields, headers=headers)

    @cached_property
    def decode(self) -> Decode:
        """Takes a parsed body, which must belong to nobody else, and gives models."""
        return decoder(self.response) if self.response is not None else lambda data: data

    def decode_of(self, status: int) -> tuple[Spec | None, Decode]:
        """What the body of an answer with this status holds, and what decodes it."""
        spec = self.statuses.get(status) if self.statuses is not None else None
        return (self.response, self.decode) if spec is None else (spec, decoder(spec))

    @cached_property
    def names(self) -> str | None:
        """The field by which an answer of success names what was made; ``None`` if nothing is made or nothing names it.

        It is the one id that the answer must have, or of several the one that the path speaks of: ``call_id`` of ``/v2/create-phone-call``.
        """
        if self.repeat == "safe" or self.response is None:
            return None
        ids = required_ids(self.response)
        if len(ids) == 1:
            return next(iter(ids))
        made = next(part for part in reversed(self.path.split("/")) if not part.startswith("{")).replace("-", "_")
        return next((name for name in sorted(ids) if f"_{made}".endswith(f"_{name.removesuffix('_id')}")), None)


_PLAIN_IN_A_SEGMENT = "!$&'()*+,;=:@"
"""What stands for itself in a segment of a path (RFC 3986): a phone number is ``+1...``, as in recorded requests of the official SDK."""


@attrs.define
class Request(Generic[T_co]):
    """A request to one operation: its path filled in, its query and body without what was not given."""

    operation: Operation[T_co]
    path: str = attrs.field(repr=False)  # these three may hold phone numbers
    query: Mapping[str, object] = attrs.field(repr=False)
    body: Mapping[str, Any] | None = attrs.field(repr=False)
    headers: Mapping[str, object] | None = attrs.field(default=None, repr=False, kw_only=True)
    """What the operation takes as headers."""
    content: bytes | AsyncIterable[bytes] | None = attrs.field(default=None, repr=False)
    """A body that is sent as it is."""
    form: Sequence[Part] | None = attrs.field(default=None, repr=False)
    """A body that is a form."""

    def with_body(self, body: Mapping[str, Any]) -> Request[T_co]:
        """The same with another body, at a third of what `attrs.evolve` takes."""
        return Request(self.operation, self.path, self.query, body, self.content, self.form, headers=self.headers)


class Sender(Protocol):
    """What carries a request out: the client, or a view of it."""

    async def send(self, request: Request[T], options: RequestOptions) -> T:
        """Send it and give back what was answered."""
        ...

    def paginate(self, request: Request[Any], options: RequestOptions) -> AsyncPaginator[Any]:
        """Give what fetches the pages of a list when asked for them."""
        ...


def _fields(body: Any) -> dict[str, Any]:
    if isinstance(body, (dict, Model, Mapping)):  # the first for its speed alone
        return dict(cast("Mapping[str, Any]", body))
    from .interop.values import fields

    found = fields(body)
    if found is None:
        raise TypeError(f"the body must be a mapping or a model, not {type(body).__name__}")
    return dict(found)


def given(fields: Mapping[str, object]) -> dict[str, Any]:
    """Leave out what was not given."""
    return {name: value for name, value in fields.items() if not isinstance(value, Omit)}
