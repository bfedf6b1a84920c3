"""An answer whose body is read later, for those who do not await."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

from .._core.errors import text_of
from .._core.response import RawResponse, Received, StreamedResponse, keep

if TYPE_CHECKING:
    from os import PathLike
    from types import TracebackType

    from .loop import Use

__all__ = ["Opened", "SyncRawResponse", "SyncStreamedResponse"]

T = TypeVar("T")
U = TypeVar("U")
_END: Any = object()


class SyncRawResponse(RawResponse[T]):
    """A `RawResponse` of a `Retell`, of which nothing is there to be awaited."""

    def __init__(self, raw: RawResponse[T]) -> None:
        super().__init__(
            raw._answer,  # pyright: ignore[reportPrivateUsage]
            lambda _: raw.meaning,
            idempotency_key=raw.idempotency_key,
            retries_taken=raw.retries_taken,
        )

    def read(self) -> bytes:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        """The body, decoded."""
        return self.content

    def text(self) -> str:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        """The body as text."""
        return text_of(self.http_response)

    def json(self) -> Any:
        """The body as parsed JSON, parsed anew each time."""
        return self.http_response.json()

    def close(self) -> None:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        """Nothing: the answer is whole, and its connection was given back."""

    @overload  # type: ignore[override]
    def parse(self) -> T: ...
    @overload
    def parse(self, *, to: type[U]) -> U: ...
    def parse(self, *, to: Any = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """What the answer means; the same object each time.

        :param to: read the body as this instead: a model, a class of pydantic, `dict`, `list`, `str`, `bytes` or `httpx.Response`.
        :raises APIResponseValidationError: the body is not what it should be.
        """
        if to is None:
            return self.meaning
        from .._core.interop.cast import cast_answer

        return cast_answer(self._answer, to)


class SyncStreamedResponse(Received[T]):
    """A `StreamedResponse` of a `Retell`, for ``with``: its body is still on its way, and is read with one of the methods here, once.

    It keeps a connection until the block ends. Reading raises `APITimeoutError` when the body stops coming, and
    `APIConnectionError` when it breaks off.
    """

    def __init__(self, use: Use, response: StreamedResponse[T]) -> None:
        super().__init__(
            response._answer,  # pyright: ignore[reportPrivateUsage]
            idempotency_key=response.idempotency_key,
            retries_taken=response.retries_taken,
        )
        self._use = use
        self._response = response

    def iter_bytes(self, chunk_size: int | None = None) -> Iterator[bytes]:
        """The body in pieces, decoded: of `chunk_size` bytes, or as they arrive."""
        return self._each(self._response.iter_bytes(chunk_size))

    def iter_text(self, chunk_size: int | None = None) -> Iterator[str]:
        """The body in pieces of text: of `chunk_size` characters, or as they arrive."""
        return self._each(self._response.iter_text(chunk_size))

    def iter_lines(self) -> Iterator[str]:
        """The body line by line, without the line ends."""
        return self._each(self._response.iter_lines())

    def stream_to_file(self, path: str | PathLike[str], *, chunk_size: int | None = None) -> None:
        """Write the body to a file."""
        with Path(path).open("wb") as file:
            file.writelines(self.iter_bytes(chunk_size))

    def read(self) -> bytes:
        """The whole body."""
        return self._use.run(self._response.read)

    def text(self) -> str:
        """The whole body as text."""
        return self._use.run(self._response.text)

    def json(self) -> Any:
        """The whole body as parsed JSON."""
        return self._use.run(self._response.json)

    @overload
    def parse(self) -> T: ...
    @overload
    def parse(self, *, to: type[U]) -> U: ...
    def parse(self, *, to: Any = None) -> Any:
        """The whole body, as what a method returns without `with_streaming_response`, or as `to`, as `RawResponse.parse` has it.

        :raises APIResponseValidationError: the body is not what it should be.
        """
        return self._use.run(partial(self._response.parse, to=to))

    def close(self) -> None:
        """Let the connection go; what was not read is lost."""
        self._use.run(self._response.aclose)

    def _each(self, parts: AsyncIterator[U]) -> Iterator[U]:
        async def following() -> U:
            return await anext(parts, _END)

        while (part := self._use.run(following)) is not _END:
            yield part

    def __repr__(self) -> str:
        return f"SyncStreamedResponse({self.status_code})"


class Opened(AbstractContextManager[SyncStreamedResponse[T]]):
    """A manager that lives as long as the answer that it opens."""

    def __init__(self, manager: AbstractContextManager[SyncStreamedResponse[T]]) -> None:
        self._manager = manager

    def __enter__(self) -> SyncStreamedResponse[T]:
        answer = self._manager.__enter__()
        keep(answer, self._manager)
        return answer

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> bool | None:
        return self._manager.__exit__(kind, error, traceback)
