"""Answers as they came, and parsed."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast, overload

import anyio

from .errors import APIError, RetellError, cut_off, text_of, unusable
from .interop.awaited import Bytes, Each, Nothing, Text, awaited
from .json import loads
from .masking import cut
from .model import KeyedModel, Many, One, Spec, lookup, set_key

if TYPE_CHECKING:
    from os import PathLike

    import httpx

    from .operation import Operation

__all__ = ["NO_PAGE", "Answer", "RawResponse", "Received", "StreamedResponse", "answer_of", "decode", "is_empty"]

T = TypeVar("T")
U = TypeVar("U")
_NOTHING: Any = object()
NO_PAGE, OTHER_SHAPE = "the answer is no page: it has no array of items", "the answer is JSON of another shape than it should be"


class Answer:
    """A whole answer. The object of httpx is made when somebody asks for it."""

    __slots__ = ("_data", "_make", "_response", "content", "release", "seconds", "status_code")

    def __init__(self, status_code: int, content: bytes, make: Callable[[], httpx.Response]) -> None:
        self.status_code = status_code
        self.content = content
        """The body, decoded."""
        self.seconds = 0.0
        """From sending the request to the end of the answer."""
        self.release: Callable[[], None] | None = None
        """What gives its connection to others, while the body is still on its way."""
        self._make = make
        self._response: httpx.Response | None = None
        self._data: Any = _NOTHING

    @property
    def is_success(self) -> bool:
        return 200 <= self.status_code < 300 or self.status_code == 101  # which only a WebSocket gets

    @property
    def is_redirect(self) -> bool:
        return self.status_code in {301, 302, 303, 307, 308}

    def parse(self) -> None:
        """Parse the body and keep it for `take`.

        :raises APIResponseValidationError: it is not JSON.
        """
        try:
            self._data = loads(self.content)
        except (ValueError, RecursionError) as error:
            response = self.response
            kind = response.headers.get("content-type", "no content-type")
            message = f"the answer is not JSON ({kind}, {len(self.content)} bytes): {type(error).__name__}: {error}"
            raise unusable(response, text_of(response) or None, message=message) from cut(error)

    def check(self, operation: Operation[Any]) -> None:
        """Parse the body and check its shape: an object, an array or a page, as the operation says, that names what was made.

        :raises APIResponseValidationError: it is not.
        """
        self.parse()
        if self._data is None and operation.nullable:
            return
        if _is_other_shape(operation.decode_of(self.status_code)[0], self._data):
            raise unusable(self.response, self._data, message=OTHER_SHAPE)
        if operation.paging is not None and not _is_page(self._data):
            raise unusable(self.response, self._data, message=NO_PAGE)
        if _is_nameless(operation, self._data):
            raise unusable(self.response, self._data, message=f"the answer has no {operation.names}")

    def take(self) -> Any:
        """The parsed body, for the caller alone: models are made of it in place.

        :raises APIResponseValidationError: it is not JSON.
        """
        if self._data is _NOTHING:
            self.parse()
        data, self._data = self._data, _NOTHING
        return data

    @property
    def response(self) -> httpx.Response:
        if self._response is None:
            self._response = self._make()
            self._response.elapsed = timedelta(seconds=self.seconds)
        return self._response


class Received(Generic[T]):
    """The status and the headers of a successful answer, and how it came about."""

    _manager: Any = None
    """What it was opened with, until it is closed: a program that enters one by hand does not keep it, and it would end at once."""

    def __init__(self, answer: Answer, *, idempotency_key: str | None = None, retries_taken: int = 0) -> None:
        self._answer = answer
        self.idempotency_key = idempotency_key
        """The key that the request carried, if it was one that carries a key."""
        self.retries_taken = retries_taken
        """How often the request was sent again after a failure."""

    @property
    def http_response(self) -> httpx.Response:
        """The answer as httpx has it."""
        return self._answer.response

    @property
    def http_request(self) -> httpx.Request:
        """The request as it was sent, with its secrets."""
        return self.http_response.request

    @property
    def status_code(self) -> int:
        """The status: 2xx."""
        return self._answer.status_code

    @property
    def method(self) -> str:
        """The method of the request that was answered."""
        return self.http_request.method

    @property
    def url(self) -> httpx.URL:
        """Where the answer came from."""
        return self.http_response.url

    @property
    def http_version(self) -> str:
        """The version of HTTP that the answer came in, such as ``HTTP/1.1``."""
        return self.http_response.http_version

    @property
    def is_closed(self) -> bool:
        """Whether nothing more is to come of the answer."""
        return self.http_response.is_closed

    @property
    def headers(self) -> httpx.Headers:
        """The headers of the answer; their names are found in any case."""
        return self.http_response.headers

    @property
    def request_id(self) -> str | None:
        """The server's name for this exchange, if it gave one."""
        found: str | None = self.headers.get("x-request-id")
        return found

    @property
    def elapsed(self) -> timedelta:
        """The time from sending the request to the end of the answer, or to the end of its headers where the body comes later."""
        return timedelta(seconds=self._answer.seconds)


class RawResponse(Received[T]):
    """A successful answer, whole: its status, headers and bytes, and with `parse` what a method returns without `with_raw_response`."""

    def __init__(self, answer: Answer, parse: Callable[[Answer], T], *, idempotency_key: str | None = None, retries_taken: int = 0) -> None:
        super().__init__(answer, idempotency_key=idempotency_key, retries_taken=retries_taken)
        self._parse = parse
        self._parsed: T = _NOTHING
        self._awaited: Any = _NOTHING

    @property
    def content(self) -> bytes:
        """The body, decoded."""
        return self._answer.content

    @property
    def meaning(self) -> T:
        """What `parse` gives, without the wrapper that may be awaited."""
        if self._parsed is _NOTHING:
            try:
                self._parsed = self._parse(self._answer)
            except APIError as error:
                error.idempotency_key = self.idempotency_key
                raise
            keyed: object = self._parsed
            if isinstance(keyed, KeyedModel) and self.idempotency_key is not None:
                set_key(keyed, self.idempotency_key)
        return self._parsed

    def read(self) -> Bytes:
        """The body, decoded."""
        return Bytes(self.content)

    def text(self) -> Text:
        """The body as text."""
        return Text(text_of(self.http_response))

    def json(self) -> Any:
        """The body as parsed JSON, parsed anew each time."""
        return awaited(self.http_response.json())

    @overload
    def parse(self) -> T: ...
    @overload
    def parse(self, *, to: type[U]) -> Awaitable[U]: ...
    def parse(self, *, to: Any = None) -> Any:
        """What the answer means; the same object each time.

        It may be awaited too, which gives what the method gives without `with_raw_response`: the same, but not to be awaited again.

        :param to: read the body as this instead: a model, a class of pydantic, `dict`, `list`, `str`, `bytes` or `httpx.Response`.
        :raises APIResponseValidationError: the body is not what it should be.
        """
        if to is not None:
            from .interop.cast import cast_answer

            return awaited(cast_answer(self._answer, to))
        if self._awaited is _NOTHING:
            self._awaited = awaited(self.meaning)
        return self._awaited

    def iter_bytes(self, chunk_size: int | None = None) -> Each[bytes]:
        """The body in pieces: of `chunk_size` bytes, or whole."""
        return Each(self.http_response.iter_bytes(chunk_size))

    def iter_text(self, chunk_size: int | None = None) -> Each[str]:
        """The body in pieces of text: of `chunk_size` characters, or whole."""
        return Each(self.http_response.iter_text(chunk_size))

    def iter_lines(self) -> Each[str]:
        """The body line by line, without the line ends."""
        return Each(self.http_response.iter_lines())

    def aclose(self) -> Nothing:
        """Nothing: the answer is whole, and its connection was given back."""
        return Nothing()

    close = aclose

    def map(self, change: Callable[[T], U]) -> RawResponse[U]:
        """The same answer with another meaning."""
        return RawResponse(
            self._answer,
            lambda _: change(self.meaning),
            idempotency_key=self.idempotency_key,
            retries_taken=self.retries_taken,
        )

    def __repr__(self) -> str:
        return f"RawResponse({self.status_code}, {len(self.content)} bytes)"


class StreamedResponse(Received[T]):
    """A successful answer whose body is still on its way, for ``async with``: it is read with one of the methods here, once.

    It keeps a connection until the block ends. Reading raises `APITimeoutError` when the body stops coming,
    `APIConnectionError` when it breaks off, and `RetellError` when it was read before or the block has ended.
    """

    def __init__(self, raw: RawResponse[T]) -> None:
        super().__init__(raw._answer, idempotency_key=raw.idempotency_key, retries_taken=raw.retries_taken)
        self._raw = raw

    async def iter_bytes(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        """The body in pieces, decoded: of `chunk_size` bytes, or as they arrive."""
        with self._reading():
            async for part in self.http_response.aiter_bytes(chunk_size):
                yield part

    async def iter_text(self, chunk_size: int | None = None) -> AsyncIterator[str]:
        """The body in pieces of text: of `chunk_size` characters, or as they arrive."""
        with self._reading():
            async for part in self.http_response.aiter_text(chunk_size):
                yield part

    async def iter_lines(self) -> AsyncIterator[str]:
        """The body line by line, without the line ends."""
        with self._reading():
            async for line in self.http_response.aiter_lines():
                yield line

    async def stream_to_file(self, path: str | PathLike[str], *, chunk_size: int | None = None) -> None:
        """Write the body to a file."""
        async with await anyio.open_file(path, "wb") as file:
            async for part in self.iter_bytes(chunk_size):
                await file.write(part)

    async def read(self) -> bytes:
        """The whole body."""
        with self._reading():
            self._answer.content = await self.http_response.aread()
        return self._answer.content

    async def text(self) -> str:
        """The whole body as text."""
        await self.read()
        return text_of(self.http_response)

    async def json(self) -> Any:
        """The whole body as parsed JSON."""
        await self.read()
        return self.http_response.json()

    @overload
    async def parse(self) -> T: ...
    @overload
    async def parse(self, *, to: type[U]) -> U: ...
    async def parse(self, *, to: Any = None) -> Any:
        """The whole body, as what a method returns without `with_streaming_response`, or as `to`, as `RawResponse.parse` has it.

        :raises APIResponseValidationError: the body is not what it should be.
        """
        await self.read()
        if to is None:
            return self._raw.meaning
        from .interop.cast import cast_answer

        return cast_answer(self._answer, to)

    async def aclose(self) -> None:
        """Let the connection go; what was not read is lost."""
        release, self._answer.release = self._answer.release, None
        try:
            await self.http_response.aclose()
        finally:
            if release is not None:
                release()
        manager = let_go(self)
        if manager is not None:
            await manager.__aexit__(None, None, None)

    close = aclose

    def map(self, change: Callable[[RawResponse[T]], U]) -> StreamedResponse[U]:
        """The same answer with another meaning."""
        return StreamedResponse(self._raw.map(lambda _: change(self._raw)))

    @contextmanager
    def _reading(self) -> Generator[None]:
        import httpx

        before = sys.exception()
        try:
            yield
        except (httpx.RequestError, OSError) as error:
            failure = cut_off(self.http_response, error)
            failure.idempotency_key = self.idempotency_key
            raise failure from cut(error, before, headers=self.http_response.request.headers)
        except httpx.StreamConsumed as error:
            raise RetellError("the body was read already, and can be read once: keep what `read` gives") from cut(error, before)
        except httpx.StreamClosed as error:
            raise RetellError("the body cannot be read any more: its connection was let go") from cut(error, before)

    def __repr__(self) -> str:
        return f"StreamedResponse({self.status_code})"


def _is_page(data: Any) -> bool:
    return not isinstance(data, dict) or isinstance(cast("dict[str, Any]", data).get("items"), list)


def _is_nameless(operation: Operation[Any], data: Any) -> bool:
    """Whether an answer does not say what was made, so that nobody knows whether anything was."""
    if operation.names is None or not isinstance(data, dict):
        return False
    made = cast("dict[str, Any]", data).get(operation.names)
    return not (isinstance(made, str) and made)


def _is_other_shape(spec: Spec | None, data: Any) -> bool:
    if isinstance(spec, Many):
        return not isinstance(data, list)
    if spec is None or isinstance(data, dict):
        return False
    table = lookup(spec.name) if isinstance(spec, One) else spec
    return not isinstance(data, list) or getattr(table, "array", None) is None


def keep(received: Received[Any], manager: object) -> None:
    """Have an answer keep what it was opened with."""
    received._manager = manager  # pyright: ignore[reportPrivateUsage]


def let_go(received: Received[Any]) -> Any:
    """What an answer was opened with, which is now another's to end; ``None`` if the answer was closed by hand."""
    manager, received._manager = received._manager, None  # pyright: ignore[reportPrivateUsage]
    return manager


def answer_of(received: Received[Any]) -> Answer:
    """What was received, before anything was read of it."""
    return received._answer  # pyright: ignore[reportPrivateUsage]


def is_empty(answer: Answer, operation: Operation[Any]) -> bool:
    """Whether an answer has nothing to say beyond its status."""
    if operation.media != "json":
        return False
    return operation.empty or (not answer.content and (operation.response is None or operation.optional or operation.nullable))


def decode(answer: Answer, operation: Operation[T], *, strict: bool | Literal["known"] = False) -> T:
    """Read a successful answer to an operation as the operation says: models, plain JSON, ``None`` where there is no body, a text or bytes.

    :param strict: compare the body with the document and refuse any difference; for tests. ``"known"`` lets unknown fields pass.
    :raises APIResponseValidationError: the body is not JSON, or of another shape.
    """
    if operation.media != "json":
        return cast("T", answer.content if operation.media == "bytes" else text_of(answer.response))
    if is_empty(answer, operation):
        return operation.decode({}) if operation.optional else cast("T", None)
    data = answer.take()
    if strict:
        from .strict import UNKNOWN_FIELD, check

        found = check(operation, data, answer.status_code)
        problems = tuple(one for one in found if strict != "known" or not one.endswith(UNKNOWN_FIELD))
        if problems:
            message = f"the answer is not as the document says: {'; '.join(problems)}"
            wrong = unusable(answer.response, data, message=message, problems=problems)
            del data
            raise wrong
    if data is None and operation.nullable:
        return cast("T", None)
    if _is_nameless(operation, data):
        wrong = unusable(answer.response, data, message=f"the answer has no {operation.names}")
        del data
        raise wrong
    spec, decoded_by = operation.decode_of(answer.status_code)
    decoded: T = decoded_by(data)
    if decoded is data and spec is not None:
        wrong = unusable(answer.response, data, message=OTHER_SHAPE)
        del data, decoded
        raise wrong
    return decoded
