"""Chat endpoints that speak as OpenAI's do, as an agent: streamed over the connections of this package, tool calls carried out."""

from __future__ import annotations

import codecs
import inspect
import io
import json
import math
import zlib
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import uuid4

import anyio
import anyio.lowlevel
import attrs

from retell_async import ConfigurationError, RetellError
from retell_async._core.json import well_formed
from retell_async._core.masking import Hidden, mask_start, mask_text, masked_traceback, without_key
from retell_async._engine.settings import check_key

from ..effects import Errors, errors_of
from ..functions import closing, gives_late, has_yield, result_of
from ..log import is_json, log, object_of, stated_of, text_of
from .transcripts import ChatMessage

if TYPE_CHECKING:
    import httpx

    from retell_async._engine import given as httpx2  # its clients, checked where it is not installed too

    from ..turn import Turn

__all__ = ["ChatCompletions", "CompletionError", "Tool"]

T = TypeVar("T")

# What is taken of an endpoint that sends without end: more would hold up all other calls of the process, or fill its memory.
_LONGEST_REASON = 300
"""Characters that are shown of a reason."""
_LONGEST_ERROR = 64 * 1024
"""Bytes that are read of an answer that is an error."""
_LONGEST_EVENT = 1024 * 1024
"""Characters that a line may have, and the lines of an event together."""
_MOST_TRIES = 32
"""Lines at which an event that has several is looked at for whether it is whole."""
_LONGEST_PIECE = 8 * 1024
"""Bytes of a body that are looked at in one go, and that decompressing it gives in one."""

_CALLED = ("tool_calls", "function_call")
_WHOLE = ("stop", "eos_token", "stop_sequence", "length", *_CALLED)
"""What an endpoint gives as the `finish_reason` of an answer of which all came that it has; older versions of TGI call a stop otherwise."""
_REST_WITHIN = 2.0
"""Seconds in which what follows the `finish_reason` must have come, and what an error says."""
_END_WITHIN = 0.1
"""Seconds that the end of a body is waited for after its last event: what was read to its end leaves a connection for the next answer."""
_THINKING, _THOUGHT = "<think>", "</think>"
_HEADERS = {"Accept": "text/event-stream, application/json", "Accept-Encoding": "identity", "Content-Type": "application/json"}


class CompletionError(RetellError):
    """A chat endpoint did not answer as it should. `status` is the status of its answer, ``None`` if there was none."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


@attrs.frozen
class Tool:
    """Something that the model may call.

    :raises ConfigurationError: it has no name, what it calls is no function or has a yield, an argument has the name that the turn has
        there, or `retry_on` has something else than errors.
    """

    name: str
    """By which the model calls it."""
    description: str
    """What it is for, as the model reads it."""
    parameters: Mapping[str, Any]
    """A JSON Schema of the arguments: an object."""
    function: Callable[..., Awaitable[object] | object]
    """Called with the `Turn`, and the arguments as keywords. What it gives is what the model reads: a text, or anything that JSON has."""
    once: bool = True
    """Whether it happens at most once a call with the same arguments, as `Turn.once` has it: asked for again, the model is given what it
    gave, and its turn takes the action that it took. ``False`` is for what only looks up."""
    retry_on: Errors = ()
    """As `Turn.once` has it: errors that say that nothing was done, after which it may be called again with the same arguments."""

    def __attrs_post_init__(self) -> None:
        if not self.name or not callable(self.function):
            raise ConfigurationError("a tool needs a name, and a function to call")
        if has_yield(self.function):
            raise ConfigurationError(
                f"the function of the tool {self.name!r} has a yield, so nothing of it would run: let it return its result"
            )
        try:
            errors_of(self.retry_on)
        except TypeError as error:
            raise ConfigurationError(f"the tool {self.name!r}: {error}") from None
        try:
            turn = next(iter(inspect.signature(self.function).parameters.values()), None)
        except (TypeError, ValueError):  # which cannot be told of all
            return
        if turn is not None and turn.kind is turn.POSITIONAL_OR_KEYWORD and turn.name in (self.parameters.get("properties") or {}):
            raise ConfigurationError(
                f"the tool {self.name!r} has an argument {turn.name!r}, and its function's first parameter, which is the Turn, has that "
                f"name too: give that one another"
            )


class ChatCompletions:
    """An agent whose words come from a chat endpoint: ``app.agent(llm.ChatCompletions(url, model="..."))``.

    :param base_url: what stands before ``/chat/completions``.
    :param api_key: sent as a bearer token, if there is one.
    :param system: the system message, or what makes it from the `Turn`.
    :param tools: what the model may call. Calls and results are in Retell's transcript too.
    :param rounds: how often the model may call tools in one turn.
    :param http_client: of httpx or httpx2, for settings of the connection; by default one of this package's own, which opens as many as
        there are answers under way, and which `aclose` closes.
    :param body: further fields of the request, such as ``temperature``.
    :raises ConfigurationError: a setting cannot work.
    """

    def __init__(
        self,
        base_url: str,
        *,
        model: str,
        api_key: str | None = None,
        system: str | Callable[[Turn], str] | None = None,
        tools: Sequence[Tool] = (),
        rounds: int = 5,
        http_client: httpx.AsyncClient | httpx2.AsyncClient | None = None,
        **body: Any,
    ) -> None:
        self._key = Hidden(api_key)
        del api_key  # what is refused below shows it in no traceback
        if self._key.value is not None:
            check_key(self._key.value)
        url: Any = base_url
        if not isinstance(url, str) or not url.startswith(("http://", "https://")) or "?" in url or "#" in url:
            raise ConfigurationError("base_url must begin with http:// or https://, and have no query: /chat/completions is put behind it")
        self._url = f"{url.rstrip('/')}/chat/completions"
        if not (system is None or isinstance(cast("object", system), str) or callable(system)) or gives_late(system):
            raise ConfigurationError("system must be a text, or a function of the turn that makes one without waiting and without yield")
        self._system = system
        for given in cast("Sequence[Any]", tools):
            if not isinstance(given, Tool):
                raise ConfigurationError(
                    f"a tool must be an llm.Tool, which has the function to call too, and one is a {type(given).__name__}"
                )
        self._tools = {tool.name: tool for tool in tools}
        if len(self._tools) != len(tools):
            raise ConfigurationError("two tools have one name")
        most: Any = rounds
        if not isinstance(most, int) or isinstance(most, bool) or most < 0:
            raise ConfigurationError(f"rounds must be a whole number of 0 or more, and is {most!r}")
        self._rounds = rounds
        if "messages" in body:
            raise ConfigurationError("messages are made of each turn: what the model is told first is given as system")
        self._is_given = http_client is not None
        self._client = _own_client() if http_client is None else _checked(http_client)
        self._body: dict[str, Any] = {"model": model, "stream": True, **body}
        if tools:
            self._body["tools"] = [
                {"type": "function", "function": {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}}
                for tool in tools
            ]
        for name, value in self._body.items():
            if not is_json(value):
                raise ConfigurationError(f"{name} is sent as JSON, and JSON does not have all of it")

    async def __call__(self, turn: Turn) -> AsyncGenerator[str]:
        """The words for a turn.

        :raises CompletionError: the endpoint did not answer as it should.
        """
        messages = turn.messages(self._system(turn) if callable(self._system) else self._system)
        for round in range(self._rounds + 1):
            gap = bool(turn.text) and not turn.text[-1].isspace()
            answer = _Answer(self._shown)
            async with closing(self._complete(messages, answer, last=round == self._rounds)) as texts:
                async for text in texts:
                    yield f" {text}" if gap and not text[0].isspace() else text
                    gap = False
            calls = answer.calls
            if not calls:
                return
            if round == self._rounds:
                raise CompletionError(f"the model goes on calling tools after {self._rounds} rounds of it")
            messages.append(answer.message())
            for call in calls:
                messages.append({"role": "tool", "tool_call_id": call.id, "content": await self._carry_out(turn, call)})

    async def aclose(self) -> None:
        """Close the connections, unless they are those of a client that was given."""
        if not self._is_given:
            client, self._client = self._client, _own_client()  # it may serve again, as in an application's next lifespan
            await client.aclose()

    async def _complete(self, messages: list[ChatMessage], answer: _Answer, *, last: bool) -> AsyncGenerator[str]:
        import httpx

        from retell_async._http.way import REPEATABLE

        body = {**self._body, "messages": well_formed(messages), **({"tool_choice": "none"} if last and self._tools else {})}
        key = self._key.value
        auth = httpx.USE_CLIENT_DEFAULT if key is None else _bearer(key)
        del key
        content = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
        problem, until = "", None
        try:
            async with self._client.stream(
                "POST", self._url, content=content, auth=auth, headers=_HEADERS, extensions={REPEATABLE: True}
            ) as response:
                if not response.is_success:
                    reason = f"the chat endpoint answers with {response.status_code}: {self._shown(await _reason(response))}"
                    raise CompletionError(reason, response.status_code)
                async with closing(_parts(response, self._shown)) as parts:
                    while (part := await _next(parts, until)) is not None:
                        text = answer.take(part)
                        if answer.is_ended and until is None:
                            until = anyio.current_time() + _REST_WITHIN
                        if text:
                            yield text
        except httpx.HTTPError as error:
            problem = f"the chat endpoint did not answer: {self._shown(f'{type(error).__name__}: {error}')}"
        answer.check(problem)
        if text := answer.rest():
            yield text

    def _shown(self, said: str) -> str:
        """As much as is shown of what the endpoint says, which may repeat the key that it was sent."""
        return mask_start(without_key(said, {"Authorization": self._key.value or ""}), _LONGEST_REASON)

    async def _carry_out(self, turn: Turn, call: _Call) -> str:
        """What the model is told of a tool that it called."""
        tool, given, called = self._tools.get(call.name), call.given, False

        async def run() -> str:
            """Call it and note that it is called: what `once` gives from memory is not."""
            nonlocal called
            called = True
            noted = turn.tool_call(call.name, call.arguments)
            try:
                if tool is None:
                    raise CompletionError(f"there is no tool {self._shown(call.name)!r}")
                if given is None:
                    raise CompletionError("the arguments are not a JSON object")
                content = text_of(await result_of(partial(tool.function, turn, **given)))
            except (Exception, SystemExit) as error:
                turn.tool_result(noted, _failed(error), successful=False)
                raise
            turn.tool_result(noted, content, successful=True)
            return content

        try:
            if tool is None or given is None or not tool.once:
                await turn.check_wanted()
                return await run()
            return await turn.once(f"{tool.name}({json.dumps(given, sort_keys=True)})", run, retry_on=tool.retry_on)
        except Exception as error:  # noqa: BLE001 - the model is to tell the user, and the turn to go on
            what = f"failed\n{masked_traceback(error)}" if called else f"was not called: {mask_text(stated_of(error))}"
            log.error("call %r: the tool %r %s", turn.session.call_id, self._shown(call.name), what)
            return _failed(error)


def _own_client() -> httpx.AsyncClient:
    # Made with the agent: what it imports takes longer than the first caller, and all others of the process, should wait.
    import httpx

    from retell_async import DefaultAsyncHttpxClient

    # As many connections as there are answers under way: the application says how many calls there may be.
    return DefaultAsyncHttpxClient(timeout=httpx.Timeout(60.0, connect=5.0), limits=httpx.Limits(max_connections=None))


def _checked(given: object) -> httpx.AsyncClient:
    """:raises ConfigurationError: it is no client that awaits."""
    import httpx

    from retell_async._http.httpx2 import Httpx2Client, is_httpx2

    client = Httpx2Client(cast("Any", given)) if is_httpx2(given) else given
    if not isinstance(client, httpx.AsyncClient):
        raise ConfigurationError(f"http_client must be an httpx.AsyncClient, and is a {type(given).__name__}")
    return client


def _failed(error: BaseException) -> str:
    return f"failed: {mask_text(stated_of(error))}"


@attrs.define
class _Call:
    id: str = ""
    name: str = ""
    text: str = ""
    """The arguments as the model gives them."""

    @property
    def is_whole(self) -> bool:
        """Whether all arguments came, of which an endpoint gives at least an empty object."""
        return object_of(self.text) is not None

    def is_followed(self, id: str, name: str, arguments: Any) -> bool:
        """Whether a part under the same index begins another call. Without a name it never does: this one may lack arguments."""
        if not name or (id and id == self.id):
            return False
        has_other_id = bool(id and self.id)
        return has_other_id or bool(arguments) if self.is_whole else has_other_id and self.name not in {"", name}

    @property
    def given(self) -> dict[str, Any] | None:
        """The arguments, ``None`` if they are no JSON object."""
        return object_of(self.text or "{}")

    @property
    def arguments(self) -> str:
        """The arguments as a JSON object, which they must be for Retell and for the endpoint."""
        return json.dumps({"unreadable": self.text}) if self.given is None else self.text or "{}"


class _Answer:
    """What the model has said and called so far, put together from parts.

    :param shown: what is shown of a text of the endpoint's.
    """

    def __init__(self, shown: Callable[[str], str]) -> None:
        self._shown = shown
        self._text = ""
        self._head: str | None = ""
        """The beginning, until it is known whether the model thinks aloud in it, and while it does."""
        self.calls: list[_Call] = []
        self._at: dict[Any, _Call] = {}
        self._finish = ""
        self._begun = False
        self._notice = ""
        """What the endpoint said before the answer began, such as that it is queued, or, if none begins, why."""
        self._passed_over = ""
        """The index of a choice that is not the first, of several at once."""
        self._streams = False
        """Whether it comes in parts, at the end of which some endpoints give all of it again."""

    @property
    def is_ended(self) -> bool:
        """Whether the endpoint has said how it ends."""
        return bool(self._finish)

    def take(self, part: Mapping[str, Any]) -> str:
        """The text in a part.

        :raises CompletionError: the endpoint reports an error in it, or it has another form than OpenAI's.
        """
        try:
            return self._take(part)
        except (AttributeError, TypeError) as error:
            raise CompletionError("the chat endpoint sends an answer in another form than OpenAI's") from error

    def _take(self, part: Mapping[str, Any]) -> str:
        choice = self._first(part.get("choices") or ())
        notice = "" if "choices" in part else _stated(part)
        error: Any = part.get("error") or choice.get("error") or (self._begun and notice)
        self._notice = notice or self._notice
        self._begun = self._begun or bool(choice)
        if error:
            raise CompletionError(f"the chat endpoint reports an error: {self._shown(_stated(error))}")
        self._finish = choice.get("finish_reason") or self._finish
        delta: Any = choice.get("delta")
        self._streams = self._streams or bool(delta)
        if not self._streams:
            delta = choice.get("message")
        if not delta:
            return ""
        for position, call in enumerate(delta.get("tool_calls") or ()):
            if call:
                self._call(call, position)
        text = self._spoken(_text(delta.get("content")) or _text(delta.get("refusal")))
        self._text += text
        return text

    def _first(self, choices: Sequence[Any]) -> Any:
        for choice in filter(None, choices):
            index: Any = choice.get("index") or 0
            if str(index) == "0":
                return choice
            self._passed_over = repr(index)
        return {}

    def _spoken(self, text: str) -> str:
        """A text without what the model thinks before it speaks, which some endpoints give in front of it, in ``<think>``."""
        if self._head is None:
            return text
        self._head = (self._head + text).lstrip()
        if self._head.startswith(_THINKING) and _THOUGHT in self._head:
            self._head = self._head.partition(_THOUGHT)[2].lstrip()
        if _THINKING.startswith(self._head) or self._head.startswith(_THINKING):
            return ""
        text, self._head = self._head, None
        return text

    def rest(self) -> str:
        """What was held back at the end: it could have been the beginning of a thought."""
        text, self._head = self._head or "", None
        if text.startswith(_THINKING):
            return ""
        self._text += text
        return text

    def _call(self, call: Mapping[str, Any], position: int) -> None:
        """Take a part of a tool call.

        Parts belong together by their index. Some endpoints number none, or all alike, or parts of one call otherwise; give none an id, one
        later, or each part another; or say the name in each part.
        """
        id, index = call.get("id") or "", call.get("index")
        function: Any = call.get("function") or {}
        name, arguments = function.get("name") or "", function.get("arguments") or ""
        index = position if index is None else index
        known = self._at.get(index)
        if known is None and not name and arguments and self.calls and not self.calls[-1].is_whole:
            known = self._at[index] = self.calls[-1]
        if known is None or known.is_followed(id, name, arguments):
            known = self._at[index] = _Call()
            self.calls.append(known)
        known.id = known.id or id
        known.name += "" if name == known.name else name
        known.text += arguments if isinstance(arguments, str) else json.dumps(arguments)

    def check(self, problem: str) -> None:
        """Look at how it ended. What an endpoint sends or owes after it has said so does not matter.

        :param problem: what else there was with it, if anything was.
        :raises CompletionError: the endpoint does not say that it is whole, or tools are called, and not all of what they are called with
            came, or not by which name.
        """
        if not self._finish:
            if self._notice and not self._begun:
                problem = problem or f"the chat endpoint reports an error: {self._shown(self._notice)}"
            others = f", but a choice with the index {self._shown(self._passed_over)}, which is not the first" if self._passed_over else ""
            raise CompletionError(problem or f"the chat endpoint broke off its answer: no finish_reason came{others}")
        if self._finish not in _WHOLE:
            raise CompletionError(
                f"the chat endpoint ended its answer with {self._shown(str(self._finish))!r}: only with {', '.join(_WHOLE)} it is whole"
            )
        if self.calls and self._finish == "length":
            raise CompletionError(f"the model was stopped while it called a tool ({self._finish}): nothing is called")
        if self._finish in _CALLED and not self.calls:
            raise CompletionError(f"the chat endpoint ended its answer with {self._finish}, and no call came")
        if not all(call.name for call in self.calls):
            raise CompletionError("the chat endpoint calls a tool without a name: nothing is called")
        ids = {""}
        for call in self.calls:
            if call.id in ids:  # an endpoint refuses one that is there twice
                call.id = f"call_{uuid4().hex}"
            ids.add(call.id)
        if self._finish == "length":
            log.warning("the chat endpoint broke off an answer: it was given too few tokens for it")

    def message(self) -> ChatMessage:
        calls = [{"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}} for call in self.calls]
        return {"role": "assistant", "content": self._text or None, "tool_calls": calls}


def _text(content: Any) -> str:
    """The text of a content, which may come in parts."""
    if isinstance(content, str):
        return content
    parts = cast("Sequence[Any]", content) if isinstance(content, list) else ()
    found = [cast("Any", part).get("text") for part in parts if isinstance(part, dict)]
    return "".join(text for text in found if isinstance(text, str))


async def _next(parts: AsyncIterator[T], until: float | None) -> T | None:
    """The next part; ``None`` at the end, or if none comes in time."""
    with anyio.move_on_at(math.inf if until is None else until):
        return await anext(parts, None)
    return None


async def _parts(response: httpx.Response, shown: Callable[[str], str]) -> AsyncGenerator[Mapping[str, Any]]:
    """The JSON objects of a stream of events, or the one of an endpoint that does not stream, whatever type either is said to have.

    :param shown: what is shown of a text of the endpoint's.
    :raises CompletionError: there is something else, or nothing.
    """
    import httpx

    event, held, tries = "", "", 0
    streams: bool | None = None
    came = False
    async with closing(_lines(response)) as lines:
        async for line in lines:
            if streams is None and line.strip():
                streams = not line.lstrip().startswith("{")
            name, _, data = (part.strip() for part in line.partition(":")) if streams else ("data", "", line.strip())
            if name == "event":
                event = data
            if streams and not line and held:
                part = object_of(held)
                if part is None:
                    raise CompletionError("the chat endpoint sends something that is no JSON object")
                held, tries = "", 0
                yield _event(event, part)
            if name != "data" or not data:
                continue
            came = True
            if data == "[DONE]":
                with anyio.move_on_after(_END_WITHIN), suppress(httpx.HTTPError, CompletionError):
                    async for _ in lines:
                        pass
                return
            # An event may have several lines, and not all endpoints put an empty one between two events. One of very many lines is looked
            # at with its last: at each line it would hold up all other calls.
            held = f"{held}\n{data}" if held else data
            _check_length(held)
            if tries >= _MOST_TRIES or not data.endswith("}"):
                continue
            part = object_of(held)
            tries += 1
            if part is not None:
                held, tries = "", 0
                yield _event(event, part)
    if held and (part := object_of(held)) is not None:
        yield _event(event, part)
    if not came:
        given = shown(response.headers.get("content-type", ""))
        raise CompletionError(f"the chat endpoint sends neither events nor a JSON object (content-type: {given})")


def _event(kind: str, part: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"error": part.get("error") or part} if kind == "error" else part


async def _lines(response: httpx.Response) -> AsyncGenerator[str]:
    # Not by `aiter_lines`, whose generators stand in each other and are not closed with it.
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8-sig")("replace"), translate=True)
    rest = ""
    async with closing(_pieces(response)) as pieces:
        async for piece in pieces:
            *lines, rest = (rest + decoder.decode(piece)).split("\n")
            for line in lines:
                yield line
            _check_length(rest)
    yield rest


def _check_length(event: str) -> None:
    if len(event) > _LONGEST_EVENT:
        raise CompletionError(f"the chat endpoint sends a line or an event of more than {_LONGEST_EVENT} characters")


async def _pieces(response: httpx.Response) -> AsyncGenerator[bytes]:
    """A body, decompressed, after each piece of which other calls have their turn."""
    if response.is_stream_consumed:  # by a hook of the client
        for piece in _cut(await response.aread()):
            yield piece
            await anyio.lowlevel.checkpoint()
        return
    pieces_of = _decompressor(response.headers.get("content-encoding", "").strip().lower())
    async with closing(cast("AsyncIterable[bytes]", response.stream)) as chunks:
        async for chunk in chunks:
            for piece in pieces_of(chunk):
                yield piece
                await anyio.lowlevel.checkpoint()


def _decompressor(encoding: str) -> Callable[[bytes], Iterator[bytes]]:
    """What undoes an encoding, though none was asked for: some proxies compress whatever passes."""
    if encoding in {"", "identity"}:
        return _cut
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        raise CompletionError("the chat endpoint answers in an encoding that it was not asked for")
    compressed = zlib.decompressobj(zlib.MAX_WBITS | 32)

    def decompress(data: bytes) -> Iterator[bytes]:
        piece = None
        while piece is None or len(piece) == _LONGEST_PIECE:  # else there is nothing left of it
            try:
                piece = compressed.decompress(data, _LONGEST_PIECE)
            except zlib.error:
                raise CompletionError("the chat endpoint's answer is not compressed as it says") from None
            yield piece
            data = compressed.unconsumed_tail

    return decompress


def _cut(data: bytes) -> Iterator[bytes]:
    for at in range(0, len(data), _LONGEST_PIECE):
        yield data[at : at + _LONGEST_PIECE]


async def _reason(response: httpx.Response) -> str:
    """What an answer that is an error says of it, if it says it in what is read."""
    import httpx

    body = b""
    # The status is known, whatever becomes of the rest.
    with anyio.move_on_after(_REST_WITHIN), suppress(httpx.HTTPError, CompletionError):
        async with closing(_pieces(response)) as pieces:
            async for piece in pieces:
                body += piece
                if len(body) > _LONGEST_ERROR:
                    break
    said = object_of(body.decode("utf-8-sig", "replace"))
    return response.reason_phrase if said is None else _stated(said.get("error", said))


def _stated(error: Any) -> str:
    """What an endpoint says of an error, in whichever field."""
    said: Any = (error.get("message") or error.get("detail")) if isinstance(error, Mapping) else error  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return said if isinstance(said, str) else ""


def _bearer(key: str) -> Callable[[httpx.Request], httpx.Request]:
    def auth(request: httpx.Request) -> httpx.Request:
        request.headers["Authorization"] = f"Bearer {key}"
        return request

    return auth
