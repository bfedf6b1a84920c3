"""A chat endpoint behind an agent."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import traceback
import zlib
from collections.abc import AsyncIterator, Iterator
from datetime import date
from functools import partial
from typing import Any, cast

import anyio
import anyio.lowlevel
import httpx
import httpx2
import pytest

from retell_async import ConfigurationError, llm
from retell_async.llm.log import object_of
from retell_async.llm.messages import ToolCallInvocation, ToolCallResult, UpdateAgent

from ..talk import agent, run, talking, user
from ..test_session import FAILURE

Json = dict[str, Any]
KEY = "sk-of-the-tests-0123456789"


def delta(**fields: Any) -> Json:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": None}]}


def called(name: str, arguments: str, *, index: int = 0) -> list[Json]:
    """A tool call in the parts that it comes in."""
    half = len(arguments) // 2
    return [
        delta(content=None, tool_calls=[{"index": index, "id": f"call_{name}", "function": {"name": name, "arguments": ""}}]),
        delta(tool_calls=[{"index": index, "function": {"arguments": arguments[:half]}}]),
        delta(tool_calls=[{"index": index, "function": {"arguments": arguments[half:]}}]),
    ]


def finish(reason: str) -> Json:
    return {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}


JSON = {"content-type": "application/json"}
WHOLE = {"choices": [{"message": {"content": "No."}, "finish_reason": "stop"}]}
EOF = EOFError()
"""The end of a stream, without a word."""
OPEN = object()
"""Nothing more, and no end."""
DONE = b"[DONE]"


class Stream(httpx.AsyncByteStream):
    """Says at the end that the answer is whole, unless it was said how it ends."""

    def __init__(self, parts: list[Any], pause: float) -> None:
        ends = '"finish_reason": "' in json.dumps([part for part in parts if isinstance(part, dict)])
        self.parts = [*parts, *([] if ends else [finish("stop")]), DONE]
        self.pause = pause
        self.closed = self.read = False

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> bytes:
        await anyio.sleep(self.pause)
        if not self.parts:
            self.read = True
            raise StopAsyncIteration
        part = self.parts.pop(0)
        if part is EOF:
            raise StopAsyncIteration
        if part is OPEN:
            await anyio.sleep_forever()
        if isinstance(part, Exception):
            raise part
        return b": a comment\n\ndata: " + (part if isinstance(part, bytes) else json.dumps(part).encode()) + b"\n\n"

    async def aclose(self) -> None:
        self.closed = True


class Endpoint(httpx.AsyncBaseTransport):
    """Answers one request after the other."""

    def __init__(self, *answers: list[Any] | httpx.Response | Exception, pause: float = 0.0) -> None:
        self.answers = list(answers)
        self.pause = pause
        self.requests: list[httpx.Request] = []
        self.bodies: list[Json] = []
        self.streams: list[Stream] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        self.bodies.append(json.loads(await request.aread()))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            return answer
        self.streams.append(Stream(answer, self.pause))
        return httpx.Response(200, headers={"content-type": "text/event-stream; charset=utf-8"}, stream=self.streams[-1])


def application(endpoint: Endpoint, **settings: Any) -> llm.App:
    app = llm.App(secret=None, begin_message="Hello.")
    client = httpx.AsyncClient(transport=endpoint)
    app.agent(llm.ChatCompletions("https://chat.test/v1/", model="m1", api_key=KEY, http_client=client, **settings))
    return app


def test_words_are_streamed() -> None:
    endpoint = Endpoint(
        [delta(role="assistant"), delta(content="Yes, "), {"choices": []}, delta(content="until six."), delta(content=None)]
    )

    async def main() -> None:
        async with talking(application(endpoint, system="Be brief.", temperature=0.2)) as talk:
            line = talk.connect()
            assert await line.answer(1, agent("Hello."), user("Are you open?")) == "Yes, until six."
            assert [answer.content for answer in line.responses(1)] == ["Yes, ", "until six.", ""]

    run(main)
    assert str(endpoint.requests[0].url) == "https://chat.test/v1/chat/completions"
    assert endpoint.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert endpoint.bodies == [
        {
            "model": "m1",
            "stream": True,
            "temperature": 0.2,
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "assistant", "content": "Hello."},
                {"role": "user", "content": "Are you open?"},
            ],
        }
    ]
    assert endpoint.streams[0].closed
    assert endpoint.streams[0].read  # so that the connection is there for the next answer


def test_a_body_that_does_not_end_is_not_waited_for() -> None:
    endpoint = Endpoint(
        [delta(content="Yes."), finish("stop"), DONE, OPEN], [delta(content="Yes."), finish("stop"), DONE, httpx.ReadError("gone")]
    )

    async def main() -> None:
        async with talking(application(endpoint)) as talk:
            line = talk.connect()
            begun = anyio.current_time()
            assert await line.answer(1, user("a")) == "Yes."
            assert anyio.current_time() - begun < 0.2
            assert await line.answer(2, user("a")) == "Yes."

    run(main)
    assert endpoint.streams[0].closed


def test_half_an_emoji_is_no_end_of_the_answers() -> None:
    """JavaScript cuts texts anywhere, also where an agent was interrupted."""
    endpoint = Endpoint(
        [delta(content="Wait \ud83d"), delta(content="\ude00."), *called("look", '{"at": "\\ud83d"}'), finish("tool_calls")],
        [delta(content="Yes.")],
        [delta(content="Yes.")],
    )
    tool = llm.Tool("look", "", {}, lambda turn, at: f"{turn.said}, {at} \ud83d\ude00")

    async def main() -> None:
        async with talking(application(endpoint, system=lambda turn: f"{turn.transcript[0].content}", tools=[tool])) as talk:
            line = talk.connect()
            assert await line.answer(1, agent("Good \ud83d"), user("\ude00?")) == "Wait \ud83d\ude00. Yes."
            line.lose(1006)
            line = talk.connect()
            assert await line.answer(1, agent("Good \ud83d"), user("\ude00?")) == "Yes."
        assert talk.app.stats.failed == 0

    run(main)
    sent = endpoint.bodies[1]["messages"]
    assert [each["content"] for each in sent] == ["Good \ufffd", "Good \ufffd", "\ufffd?", "Wait \U0001f600.", "\ufffd?, \ufffd \U0001f600"]


def test_an_endpoint_that_does_not_stream() -> None:
    whole = {"choices": [{"message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop"}]}
    endpoint = Endpoint(httpx.Response(200, json=whole))

    async def main() -> None:
        async with talking(application(endpoint, system=lambda turn: f"Turn {turn.id}.")) as talk:
            line = talk.connect()
            assert await line.answer(1, user("a")) == "Yes."

    run(main)
    assert endpoint.bodies[0]["messages"][0] == {"role": "system", "content": "Turn 1."}


def test_an_interrupted_turn_stops_the_stream() -> None:
    endpoint = Endpoint([delta(content="word ")] * 100, [delta(content="Yes.")], pause=0.5)

    async def main() -> None:
        async with talking(application(endpoint)) as talk:
            line = talk.connect()
            line.ask(1, user("a"))
            await anyio.sleep(2)
            assert await line.answer(2, user("b")) == "Yes."
            assert endpoint.streams[0].closed
            assert line.text(1).count("word") < 5

    run(main)


async def book(turn: llm.Turn, slot: int) -> Json:
    booked.append(slot)
    return {"booked": slot}


def lookup(turn: llm.Turn, **arguments: Any) -> str:
    looked_up.append(arguments)
    return "nothing"


booked: list[int] = []
looked_up: list[Json] = []
TOOLS = [
    llm.Tool("book", "Book a slot.", {"type": "object", "properties": {"slot": {"type": "integer"}}}, book),
    llm.Tool("lookup", "Look up.", {"type": "object", "properties": {}}, lookup, once=False),
]


@pytest.mark.parametrize("once", [True, False])
def test_an_answer_that_was_cancelled_calls_no_further_tool(once: bool) -> None:
    acted: list[str] = []

    async def act(turn: llm.Turn) -> None:
        acted.append("act")

    async def think(turn: llm.Turn) -> None:
        with anyio.CancelScope(shield=True):  # as a thread is
            await anyio.sleep(2)

    tools = [
        llm.Tool("think", "Think.", {"type": "object", "properties": {}}, think, once=False),
        llm.Tool("act", "Act.", {"type": "object", "properties": {}}, act, once=once),
    ]
    endpoint = Endpoint([*called("think", "{}"), *called("act", "{}", index=1)], [delta(content="As you like.")])

    async def main() -> None:
        async with talking(application(endpoint, tools=tools)) as talk:
            line = await talk.greeted()
            line.ask(1, user("ten"))
            await anyio.sleep(1)
            assert await line.answer(2, user("no, cancel that")) == "As you like."
            await anyio.sleep(3)

    run(main)
    assert acted == []


def test_tools_are_called_and_their_results_told() -> None:
    booked.clear()
    looked_up.clear()
    calls = [*called("book", '{"slot": 10}'), *called("lookup", "", index=1)]
    endpoint = Endpoint([delta(content="One moment."), *calls], [delta(content="Booked.")], calls, [delta(content="As I said.")])

    async def main() -> None:
        async with talking(application(endpoint, tools=TOOLS)) as talk:
            line = talk.connect()
            assert await line.answer(1, user("ten")) == "One moment. Booked."
            assert [(call.name, call.arguments) for call in line.of(ToolCallInvocation)] == [("book", '{"slot": 10}'), ("lookup", "{}")]
            assert [(result.content, result.successful) for result in line.of(ToolCallResult)] == [
                ('{"booked": 10}', True),
                ("nothing", True),
            ]
            assert await line.answer(2, user("ten, please")) == "As I said."
            assert [call.name for call in line.of(ToolCallInvocation)] == ["book", "lookup", "lookup"]  # what is remembered is not called

    run(main)
    assert booked == [10]  # once, however often it is asked for
    assert looked_up == [{}, {}]
    assert [tool["function"]["name"] for tool in endpoint.bodies[0]["tools"]] == ["book", "lookup"]
    assert endpoint.bodies[1]["messages"][1:] == [
        {
            "role": "assistant",
            "content": "One moment.",
            "tool_calls": [
                {"id": "call_book", "type": "function", "function": {"name": "book", "arguments": '{"slot": 10}'}},
                {"id": "call_lookup", "type": "function", "function": {"name": "lookup", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "call_book", "content": '{"booked": 10}'},
        {"role": "tool", "tool_call_id": "call_lookup", "content": "nothing"},
    ]


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("missing", "{}", "there is no tool 'missing'"),
        ("book", "{", "not a JSON object"),
        ("book", "[]", "not a JSON object"),
        ("book", '{"slot": NaN}', "not a JSON object"),
        pytest.param("book", '{"slot": ' + "[" * 10_000, "not a JSON object", id="deep"),
        ("book", '{"wrong": 1}', "failed: TypeError"),
        ("list", "{}", "failed: TypeError: what it gives is a generator (yields), of which nothing has run"),
    ],
)
def test_a_tool_that_fails_is_told_to_the_model(name: str, arguments: str, told: str) -> None:
    endpoint = Endpoint(called(name, arguments), [delta(content="Sorry.")])
    tools = [*TOOLS, llm.Tool("list", "", {}, lambda turn, **_: yields(turn))]

    async def main() -> None:
        async with talking(application(endpoint, tools=tools)) as talk:
            line = talk.connect()
            assert await line.answer(1, user("a")) == "Sorry."
            assert [result.successful for result in line.of(ToolCallResult)] == [False]
            assert all(isinstance(json.loads(call.arguments), dict) for call in line.of(ToolCallInvocation))

    run(main)
    assert isinstance(json.loads(endpoint.bodies[1]["messages"][-2]["tool_calls"][0]["function"]["arguments"]), dict)
    assert told in endpoint.bodies[1]["messages"][-1]["content"]


def test_a_model_that_calls_without_end_is_made_to_answer() -> None:
    endpoint = Endpoint(*[called("lookup", "{}")] * 2, [delta(content="Well.")])

    async def main() -> None:
        async with talking(application(endpoint, tools=TOOLS, rounds=2)) as talk:
            line = talk.connect()
            assert await line.answer(1, user("a")) == "Well."

    run(main)
    assert [body.get("tool_choice") for body in endpoint.bodies] == [None, None, "none"]


def test_a_model_that_calls_even_then_fails_and_nothing_more_is_carried_out(caplog: pytest.LogCaptureFixture) -> None:
    looked_up.clear()

    async def main() -> None:
        async with talking(application(Endpoint(*[called("lookup", "{}")] * 3), tools=TOOLS, rounds=2)) as talk:
            line = talk.connect()
            assert await line.answer(1, user("a")) == FAILURE

    run(main)
    assert len(looked_up) == 2
    assert "goes on calling tools after 2 rounds" in caplog.text


def test_what_happened_is_not_told_as_failed_whatever_it_gave() -> None:
    at: list[int] = []

    def book_day(turn: llm.Turn, slot: int) -> Any:
        at.append(slot)
        return {"day": date(2026, 11, 26), date(2026, 11, 27): "free"} if slot == 1 else {"day": date(2026, 11, 26)}

    tools = [llm.Tool("book", "Book.", {"type": "object", "properties": {}}, book_day)]
    calls = [*called("book", '{"slot": 0}'), *called("book", '{"slot": 1}', index=1)]
    calls[3]["choices"][0]["delta"]["tool_calls"][0]["id"] = "call_other"
    endpoint = Endpoint(calls, [delta(content="Booked.")])

    async def main() -> None:
        async with talking(application(endpoint, tools=tools)) as talk:
            line = talk.connect()
            assert await line.answer(1, user("a")) == "Booked."
            assert [result.successful for result in line.of(ToolCallResult)] == [True, True]

    run(main)
    assert at == [0, 1]
    assert endpoint.bodies[1]["messages"][-2]["content"] == '{"day": "2026-11-26"}'


def listed(*parts: Json) -> Json:
    return delta(tool_calls=[part["choices"][0]["delta"]["tool_calls"][0] for part in parts])


def whole(id: str | None, name: str, arguments: str, **more: Any) -> Json:
    return delta(tool_calls=[{**({"id": id} if id else {}), "function": {"name": name, "arguments": arguments}, **more}])


@pytest.mark.parametrize(
    "parts",
    [
        [whole("a", "book", '{"slot": 1}', index=0), whole("b", "lookup", '{"x": 2}', index=0)],
        [whole("a", "book", '{"slot": 1}'), whole("b", "lookup", '{"x": 2}')],
        [whole("a", "book", cast("Any", {"slot": 1})), whole("b", "lookup", cast("Any", {"x": 2}))],
        [whole("a", "book", '{"slot"'), whole(None, "", ": 1}"), whole("b", "lookup", '{"x"'), whole(None, "", ": 2}")],
        [whole("a", "book", '{"slot"', index=0), whole("a", "book", ": 1}", index=0), whole("b", "lookup", '{"x": 2}', index=1)],
        [listed(whole("a", "book", '{"slot": 1}'), whole("b", "lookup", '{"x": 2}'))],
        [listed(whole("", "book", '{"slot": 1}'), whole("", "lookup", '{"x": 2}'))],
        [listed(whole(None, "book", '{"slot": 1}', index=0), whole(None, "lookup", '{"x": 2}', index=0))],
        [whole(None, "book", '{"slot": 1}', index=0), whole(None, "lookup", '{"x": 2}', index=0)],
        [whole(None, "book", '{"slot": 1}'), whole(None, "book", ""), whole(None, "lookup", '{"x":'), whole(None, "", " 2}")],
    ],
)
def test_calls_in_the_ways_of_other_endpoints(parts: list[Json]) -> None:
    booked.clear()
    looked_up.clear()

    async def main() -> None:
        async with talking(application(Endpoint(parts, [delta(content="Right.")]), tools=TOOLS)) as talk:
            line = talk.connect()
            assert await line.answer(1, user("a")) == "Right."

    run(main)
    assert (booked, looked_up) == ([1], [{"x": 2}])


LOOKUP = whole("z", "lookup", '{"x": 2}', index=5)


@pytest.mark.parametrize(
    "parts",
    [
        [whole("a", "book", "", index=0), whole("b", "", '{"slot"', index=0), whole("c", "", ": 1}", index=0)],  # another id in each part
        [whole("a", "book", '{"slot"', index=0), whole("b", "book", ": 1}", index=0)],  # and the name in each
        [whole("a", "book", "", index=0), whole("b", "book", '{"slot": 1}', index=0)],
        [whole("a", "book", '{"slot": 1}', index=0), whole("b", "", "", index=0)],  # nothing at the end
        [whole(None, "book", "", index=0), whole("b", "", '{"slot": 1}', index=0)],  # the id later
        [whole(None, "book", '{"slot": 1}', index=0), whole("b", "", "", index=0)],
        [whole("a", "", "", index=0), whole(None, "book", '{"slot": 1}', index=0)],  # the name later
        [whole("a", "", "", index=0), whole("b", "book", '{"slot": 1}', index=0)],
        [whole("a", "book", "", index=0), whole("a", "", '{"slot": 1}', index=1)],  # another index
        [whole("a", "book", "", index=0), whole("b", "", '{"slot"', index=1), whole("c", "", ": 1}", index=2)],
    ],
)
def test_parts_of_a_call_that_are_told_apart_by_neither_id_nor_index(parts: list[Json]) -> None:
    """Those without a name go on with the call that still lacks arguments: carried out without them, it books something else."""
    calls: list[Json] = []
    looked_up.clear()
    tools = [llm.Tool("book", "", {}, lambda turn, **given: calls.append(given)), *(tool for tool in TOOLS if tool.name == "lookup")]

    async def main() -> None:
        async with talking(application(Endpoint([*parts, LOOKUP], [delta(content="Right.")]), tools=tools)) as talk:
            assert await talk.connect().answer(1, user("a")) == "Right."

    run(main)
    assert (calls, looked_up) == ([{"slot": 1}], [{"x": 2}])


@pytest.mark.parametrize("parts", [[LOOKUP, whole("b", "", "", index=6)], [LOOKUP, whole("b", "", "{}", index=6)], [whole("b", "", "{}")]])
def test_nothing_is_called_by_an_answer_with_a_call_without_a_name(parts: list[Json], caplog: pytest.LogCaptureFixture) -> None:
    looked_up.clear()

    async def main() -> None:
        async with talking(application(Endpoint(parts), tools=TOOLS)) as talk:
            assert await talk.connect().answer(1, user("a")) == FAILURE

    run(main)
    assert not looked_up
    assert "calls a tool without a name: nothing is called" in caplog.text


def test_calls_with_one_id_or_none_go_back_with_one_each() -> None:
    endpoint = Endpoint(
        [whole("a", "lookup", "{}", index=0), whole("a", "lookup", "{}", index=1), whole(None, "lookup", "{}", index=2)], []
    )

    async def main() -> None:
        async with talking(application(endpoint, tools=TOOLS)) as talk:
            await talk.connect().answer(1, user("a"))

    run(main)
    *_, asked, first, second, third = endpoint.bodies[1]["messages"]
    ids = [call["id"] for call in asked["tool_calls"]]
    assert ids == [message["tool_call_id"] for message in (first, second, third)]
    assert len(set(ids)) == 3


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["identity", "", "gzip", "GZIP", "x-gzip", "deflate"])
def test_a_stream_in_lines_of_any_kind_that_was_compressed_on_its_way(encoding: str, end: str) -> None:
    part = {"choices": [{"index": 0, "delta": {"content": "No."}, "finish_reason": "stop"}]}
    event = "".join(f"data: {line}{end}" for line in json.dumps(part, indent=1).split("\n"))
    written = f"\ufeff{event}{end}data: [DONE]{end}{end}".encode()  # with the mark that some put in front
    compressed = gzip.compress(written) if "gzip" in encoding.lower() else zlib.compress(written) if encoding == "deflate" else written

    class Bytes(Stream):
        async def __anext__(self) -> bytes:
            if not self.parts:
                raise StopAsyncIteration
            return bytes([self.parts.pop(0)])

    stream = Bytes([], 0)
    stream.parts = list(compressed)
    headers = {"content-type": "text/event-stream", "content-encoding": encoding}

    async def main() -> None:
        async with talking(application(Endpoint(httpx.Response(200, headers=headers, stream=stream)))) as talk:
            line = talk.connect()
            assert await line.answer(1, user("a")) == "No."

    run(main)


@pytest.mark.parametrize("part", ["<", "<thinking> ", "2 < 3", "</think>"])
def test_words_that_are_no_thoughts(part: str) -> None:
    async def main() -> None:
        async with talking(application(Endpoint([delta(content=part), delta(content="No.")]))) as talk:
            line = talk.connect()
            assert await line.answer(1, user("a")) == f"{part}No."

    run(main)


@pytest.mark.parametrize("held", ["<", " <thi", "<think"])
def test_words_that_are_no_thoughts_are_not_lost_at_the_end(held: str) -> None:
    async def main() -> None:
        async with talking(application(Endpoint([delta(content=held)]))) as talk:
            line = talk.connect()
            assert await line.answer(1, user("a")) == held.lstrip()

    run(main)


def test_a_model_that_thinks_and_says_nothing_fails_the_turn() -> None:
    async def main() -> None:
        async with talking(application(Endpoint([delta(content="<think>Yes?"), finish("length")]))) as talk:
            line = talk.connect()
            assert await line.answer(1, user("a")) == FAILURE

    run(main)


def test_an_answer_for_which_there_were_too_few_tokens(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with talking(application(Endpoint([delta(content="Half an"), finish("length")]))) as talk:
            line = talk.connect()
            assert await line.answer(1, user("a")) == "Half an"

    run(main)
    assert "too few tokens" in caplog.text


@pytest.mark.parametrize(
    "parts",
    [
        [delta(content=[{"type": "text", "text": "No."}, {"type": "image_url"}])],
        [delta(refusal="No.")],
        [delta(content="No."), finish("stop"), EOF],
        [delta(content="No."), finish("eos_token")],
        [delta(content="No."), finish("stop_sequence")],
        [{"choices": None}, {"choices": [None]}, {"choices": [{"delta": None}]}, delta(content="No.", tool_calls=[None])],
        [delta(content=" \n"), delta(content="No.")],
        [delta(content="<think>Yes?</think>No.")],
        [delta(content=part) for part in ("\n", "<th", "ink>Ye", "s.</th", "ink>", "\n\n", "N", "o.")],
        [delta(content="<think>Yes.</think>"), delta(content="No."), finish("stop")],
        httpx.Response(201, headers={"content-type": "text/event-stream"}, stream=Stream([json.dumps(delta(content="No.")).encode()], 0)),
        httpx.Response(200, content="\ufeff" + json.dumps(WHOLE), headers=JSON),
        httpx.Response(200, content="\r\n\r\n" + json.dumps(WHOLE, indent=1), headers={"content-type": "text/plain"}),
        *(
            httpx.Response(200, headers={"content-type": type}, stream=Stream([delta(content="No.")], 0))
            for type in ("text/plain; charset=utf-8", "text/html; charset=utf-8", "application/octet-stream", "application/json")
        ),
        [delta(content="No."), {"choices": [{"message": {"content": "No."}, "delta": {}, "finish_reason": "stop"}]}],
        [delta(content="No."), {"choices": [{"message": {"content": "No."}, "finish_reason": "stop"}]}],
        [{"choices": [{"index": 1, "delta": {"content": "Yes."}}]}, delta(content="No.")],
        [{"choices": [{"index": "1", "delta": {"content": "Yes."}}, {"index": "0", "delta": {"content": "No."}}]}],
        [{"message": "queued"}, {"detail": "at 1"}, delta(content="No.")],
        [delta(content="No."), finish("stop"), httpx.ReadError("gone")],
        [delta(content="No."), finish("stop"), OPEN],
    ],
)
def test_words_in_the_ways_of_other_endpoints(parts: list[Any]) -> None:
    async def main() -> None:
        async with talking(application(Endpoint(parts))) as talk:
            line = talk.connect()
            assert await line.answer(1, user("a")) == "No."

    run(main)


ODD: list[Json] = [
    {"choices": {"delta": {"content": "x"}}},
    {"choices": "x"},
    {"choices": 1},
    {"choices": [{"delta": "x"}]},
    {"choices": [{"delta": {"tool_calls": {"index": 0}}}]},
    {"choices": [{"delta": {"tool_calls": [{"index": {}, "function": {"name": "book"}}]}}]},
]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (httpx.Response(401, json={"error": {"message": "wrong key"}}), "401: wrong key"),
        (httpx.Response(500, text="<html>"), "500: Internal Server Error"),
        (httpx.Response(429, json=["?"]), "answers with 429"),
        (httpx.ConnectError("refused"), "did not answer: ConnectError: refused"),
        ([delta(content="Ye"), httpx.ReadError("gone")], "did not answer: ReadError: gone"),
        ([{"error": {"message": "overloaded"}}], "reports an error: overloaded"),
        ([b"{"], "no JSON object"),
        ([b"[]"], "no JSON object"),
        ([delta(content="Ye"), EOF], "broke off its answer"),
        ([*called("cancel_all", ""), EOF], "broke off its answer"),
        ([*called("book", "{"), finish("length")], "was stopped while it called a tool (length)"),
        ([b'{"choices": []}\n\nevent: error\ndata: {"message": "overloaded"}'], "reports an error: overloaded"),
        (httpx.Response(200, headers={"content-encoding": "br"}, stream=Stream([b"{}"], 0)), "encoding that it was not asked for"),
        (httpx.Response(200, headers={"content-encoding": "gzip"}, stream=Stream([b"{}"], 0)), "not compressed as it says"),
        ([], "gave nothing to say"),
        ([delta(content="Ye"), finish("content_filter")], "ended its answer with 'content_filter'"),
        ([delta(content="Ye"), finish("error")], "ended its answer with 'error'"),
        ([delta(content="Ye"), DONE], "broke off its answer"),
        ([delta(content="Ye"), {"object": "error", "message": "overloaded"}], "reports an error: overloaded"),
        ([delta(content="Ye"), {"detail": "overloaded"}], "reports an error: overloaded"),
        ([{"choices": [{"delta": {}, "finish_reason": "error", "error": {"message": "overloaded"}}]}], "reports an error: overloaded"),
        ([delta(content="One moment."), finish("tool_calls")], "with tool_calls, and no call came"),
        (httpx.Response(503, json={"detail": "overloaded"}), "answers with 503: overloaded"),
        (
            httpx.Response(200, text="<html>", headers={"content-type": "text/html"}),
            "neither events nor a JSON object (content-type: text/html)",
        ),
        *(([part], "another form than OpenAI's") for part in ODD),
        (httpx.Response(401, json={"error": {"message": f"wrong key: {KEY}"}}), "401: wrong key: ***"),
        (httpx.Response(401, json=f"wrong key: {KEY}"), "answers with 401"),
        (httpx.ConnectError(f"refused {KEY}"), "ConnectError: refused ***"),
        ([{"error": {"message": f"{'no ' * 95}{KEY}"}}], "reports an error: no no"),  # cut where the key stands
        ([finish(KEY)], "ended its answer with '***'"),
        (
            httpx.Response(200, text="<html>", headers={"content-type": f"text/html; {KEY}"}),
            "neither events nor a JSON object (content-type: text/html; ***)",
        ),
        ([{"message": "queued"}, EOF], "reports an error: queued"),
        ([{"message": "queued"}, httpx.ReadError("gone")], "did not answer: ReadError: gone"),
        ([{"choices": [{"index": "A", "delta": {"content": "Yes."}}]}, EOF], "no finish_reason came, but a choice with the index 'A'"),
    ],
)
def test_an_endpoint_that_fails_is_a_failed_turn(answer: Any, says: str, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with talking(application(Endpoint(answer))) as talk:
            line = talk.connect()
            line.ask(1, user("a"))
            assert (await line.complete(1)).endswith(FAILURE)

    run(main)
    assert says in caplog.text
    assert KEY[:8] not in caplog.text


class Hostile(httpx.AsyncByteStream):
    """Sends one chunk again and again."""

    def __init__(self, chunk: bytes, times: int = 10_000) -> None:
        self.chunk, self.times, self.sent = chunk, times, 0

    def __aiter__(self) -> Hostile:
        return self

    async def __anext__(self) -> bytes:
        if self.sent == self.times:
            raise StopAsyncIteration
        self.sent += 1
        return self.chunk


SPACES, LETTERS = (gzip.compress(byte * 50_000_000, 1) for byte in (b" ", b"x"))


@pytest.mark.parametrize(
    ("status", "chunk", "headers", "says", "most"),
    [
        (500, b" " * 10_000, {}, "answers with 500: Internal Server Error", 7),
        (500, SPACES, {"content-encoding": "gzip"}, "answers with 500: Internal Server Error", 1),
        (500, b"?", {"content-encoding": "br"}, "answers with 500: Internal Server Error", 0),
        (200, b"data: " + b"x" * 10_000, {}, "a line or an event of more than 1048576 characters", 105),
        (200, b'data: {"a": "' + b"x" * 10_000 + b"\n", {}, "a line or an event of more than 1048576 characters", 105),
        (200, LETTERS, {"content-encoding": "gzip"}, "a line or an event of more than 1048576 characters", 1),
    ],
)
def test_no_more_is_taken_of_an_endpoint_than_its_answer_may_have(
    status: int, chunk: bytes, headers: Json, says: str, most: int, caplog: pytest.LogCaptureFixture
) -> None:
    stream = Hostile(chunk)

    async def main() -> None:
        async with talking(application(Endpoint(httpx.Response(status, headers=headers, stream=stream)))) as talk:
            assert await talk.connect().answer(1, user("a")) == FAILURE

    run(main)
    assert says in caplog.text
    assert stream.sent <= most


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_others_have_their_turns_while_much_of_a_body_is_looked_at(encoding: str) -> None:
    turns = 0
    blank = b"\n" * 1_000_000
    body = Hostile(gzip.compress(blank) if encoding == "gzip" else blank, 1)

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await anyio.lowlevel.checkpoint()

    async def main() -> None:
        answer = httpx.Response(200, headers={"content-encoding": encoding}, stream=body)
        async with talking(application(Endpoint(answer))) as talk, anyio.create_task_group() as others:
            line = talk.connect()
            await line.complete(0)
            others.start_soon(take_turns)
            assert await line.answer(1, user("a")) == FAILURE
            others.cancel_scope.cancel()

    run(main)
    assert turns > 100


def test_what_decompresses_to_many_times_as_much_comes_whole() -> None:
    words = "no " * 30_000
    part = {"choices": [{"index": 0, "delta": {"content": words}, "finish_reason": "stop"}]}
    chunk = gzip.compress(f"data: {json.dumps(part)}\n\ndata: [DONE]\n\n".encode())
    assert len(chunk) < 1000

    async def main() -> None:
        answer = httpx.Response(200, headers={"content-encoding": "gzip"}, stream=Hostile(chunk, 1))
        async with talking(application(Endpoint(answer))) as talk:
            assert await talk.connect().answer(1, user("a")) == words

    run(main)


def test_what_comes_after_the_end_costs_no_answer() -> None:
    end = b'data: {"choices": [{"delta": {"content": "No."}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
    stream = Hostile(end + b"x" * 10_000)

    async def main() -> None:
        async with talking(application(Endpoint(httpx.Response(200, stream=stream)))) as talk:
            assert await talk.connect().answer(1, user("a")) == "No."

    run(main)


ENDS: list[list[Any]] = [
    [finish("error")],
    [finish("error"), EOF],
    [finish("content_filter")],
    [finish("length")],
    [{"object": "error", "message": "overloaded"}],
    [{"error": "overloaded"}],
    [DONE],
    [EOF],
]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("arguments", ["", '{"slot"', '{"slot": 1}'])
def test_nothing_is_called_by_an_answer_that_is_not_whole(arguments: str, end: list[Any], caplog: pytest.LogCaptureFixture) -> None:
    calls: list[Json] = []
    tool = llm.Tool("book", "", {}, lambda turn, **given: calls.append(given))

    async def main() -> None:
        async with talking(application(Endpoint([*called("book", arguments), *end]), tools=[tool])) as talk:
            line = talk.connect()
            assert await line.answer(1, user("a")) == FAILURE
            assert talk.app.stats.failed == 1
            assert not line.of(ToolCallInvocation)

    run(main)
    assert not calls
    assert len(caplog.records) == 1


@pytest.mark.parametrize("end", [httpx.ReadError("gone"), OPEN])
def test_what_an_endpoint_owes_after_it_has_said_that_all_came_stops_no_tool(end: Any) -> None:
    booked.clear()
    began: list[float] = []

    async def main() -> None:
        began.append(anyio.current_time())
        endpoint = Endpoint([*called("book", '{"slot": 1}'), finish("tool_calls"), end], [delta(content="Right.")])
        async with talking(application(endpoint, tools=TOOLS)) as talk:
            assert await talk.connect().answer(1, user("a")) == "Right."
        assert anyio.current_time() - began[0] < 3

    run(main)
    assert booked == [1]


@pytest.mark.parametrize("once", [True, False])
def test_a_tool_that_would_end_the_program_has_a_result_in_the_transcript(once: bool) -> None:
    def leave(turn: llm.Turn) -> None:
        raise SystemExit(3)

    async def main() -> None:
        endpoint = Endpoint([*called("leave", "{}")], [delta(content="Sorry.")])
        async with talking(application(endpoint, tools=[llm.Tool("leave", "", {}, leave, once=once)])) as talk:
            line = talk.connect()
            assert await line.answer(1, user("a")) == ("Sorry." if once else FAILURE)
            (result,) = line.of(ToolCallResult)
            assert (result.content, result.successful) == ("failed: SystemExit: 3", False)

    run(main)


def test_neither_keys_nor_numbers_are_in_what_the_model_is_told_of_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    secret, number = "key_1234567890abcdef1234567890ab", "+14155550100"

    def book(turn: llm.Turn) -> None:
        raise ConnectionError(f"no {number} by {secret}")

    endpoint = Endpoint([*called("book", "{}"), *called(KEY, "{}", index=1)], [delta(content="Sorry.")])

    async def main() -> None:
        async with talking(application(endpoint, tools=[llm.Tool("book", "", {}, book)])) as talk:
            line = talk.connect()
            assert await line.answer(1, user("a")) == "Sorry."
            told = [result.content for result in line.of(ToolCallResult)]
            assert told == [message["content"] for message in endpoint.bodies[1]["messages"][-2:]]
            assert told[0].startswith("failed: ConnectionError: no ")
            assert told[1] == "failed: CompletionError: there is no tool '***'"
            assert not any(hidden in shown for shown in (*told, caplog.text) for hidden in (secret, number, KEY))

    run(main)


@pytest.mark.parametrize("reason", ["stop", "tool_calls", "function_call"])
def test_a_call_without_arguments_by_an_answer_that_is_whole(reason: str) -> None:
    looked_up.clear()

    async def main() -> None:
        endpoint = Endpoint([*called("lookup", ""), finish(reason)], [delta(content="Right.")])
        async with talking(application(endpoint, tools=TOOLS)) as talk:
            assert await talk.connect().answer(1, user("a")) == "Right."

    run(main)
    assert looked_up == [{}]


@pytest.mark.parametrize("act", [lambda turn: turn.end_call(), lambda turn: turn.transfer("+14155550100"), lambda turn: turn.goodbye()])
def test_what_a_tool_does_with_the_turn_it_does_with_each_turn_that_calls_it(act: Any) -> None:
    calls: list[int] = []

    async def leave(turn: llm.Turn) -> str:
        act(turn)
        calls.append(turn.id)
        return "say goodbye"

    tool = llm.Tool("leave", "Take leave.", {}, leave)
    twice = [*called("leave", "{}"), *called("leave", "", index=1)]
    twice[3]["choices"][0]["delta"]["tool_calls"][0]["id"] = "call_again"
    endpoint = Endpoint(called("leave", "{}"), [delta(content="Bye.")], twice, [delta(content="Goodbye.")], [delta(content="Well?")])

    async def main() -> None:
        async with talking(application(endpoint, tools=[tool])) as talk:
            line = talk.connect()
            assert await line.answer(1, user("bye")) == "Bye."
            assert await line.answer(2, user("goodbye")) == "Goodbye."
            first, second = line.responses(1)[-1], line.responses(2)[-1]
            assert {**second.to_dict(), "response_id": 1} == first.to_dict()
            await anyio.sleep(1)
            goodbyes = [answer for answer in line.answers if isinstance(answer, UpdateAgent)]
            assert len(goodbyes) == (0 if second.end_call or second.transfer_number else 3)  # and one that took the first back
            assert await line.answer(3, user("wait")) == "Well?"
            assert not line.responses(3)[-1].end_call

    run(main)
    assert calls == [1]


@pytest.mark.parametrize(("retry_on", "told", "times"), [((), "failed: ConnectionError: restarting", 1), (ConnectionError, "found", 2)])
def test_a_tool_that_failed_is_called_again_if_nothing_was_done(
    retry_on: Any, told: str, times: int, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[int] = []

    def look(turn: llm.Turn) -> str:
        calls.append(turn.id)
        if len(calls) == 1:
            raise ConnectionError("restarting")
        return "found"

    endpoint = Endpoint(called("look", "{}"), [delta(content="Sorry.")], called("look", "{}"), [delta(content="Well.")])

    async def main() -> None:
        async with talking(application(endpoint, tools=[llm.Tool("look", "", {}, look, retry_on=retry_on)])) as talk:
            line = talk.connect()
            assert await line.answer(1, user("a")) == "Sorry."
            assert await line.answer(2, user("a")) == "Well."

    run(main)
    assert len(calls) == times
    assert endpoint.bodies[3]["messages"][-1]["content"] == told
    assert caplog.text.count("Traceback") == 1  # where it was called
    assert ("the tool 'look' was not called: ConnectionError: restarting" in caplog.text) == (times == 1)


def test_the_key_stands_in_no_local_variable_of_an_error() -> None:
    async def main() -> None:
        client = httpx.AsyncClient(transport=Endpoint(httpx.ConnectError("refused")))
        completions = llm.ChatCompletions("https://chat.test/v1", model="m1", api_key=KEY, http_client=client)

        class Turn:
            text = ""

            def messages(self, system: str | None) -> list[Json]:
                return []

        with pytest.raises(llm.CompletionError) as caught:
            async for _ in completions(Turn()):  # type: ignore[arg-type]
                pass
        shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
        assert KEY not in "".join(shown.format())
        await completions.aclose()

    run(main)


def test_its_own_client_has_a_connection_for_each_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    class Transport(httpx.AsyncBaseTransport):
        def __init__(self, limits: httpx.Limits, **_: Any) -> None:
            self.limits = limits

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            asked.append(self.limits.max_connections)
            raise httpx.ConnectError("no")

    monkeypatch.setattr("retell_async._http.clients.Transport", Transport)

    async def main() -> None:
        completions = llm.ChatCompletions("http://127.0.0.1:9/v1", model="m1")
        app = llm.App(secret=None)
        app.agent(completions)
        async with talking(app) as talk:
            await talk.connect().answer(1, user("a"))
        await completions.aclose()

    run(main)
    assert asked == [None]


def test_its_own_client_is_there_before_the_first_caller() -> None:
    program = """
import sys
from retell_async import llm
assert "httpx" not in sys.modules
llm.ChatCompletions("http://127.0.0.1:9/v1", model="m1")
assert {"httpx", "retell_async._http.transport"} <= set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.mark.parametrize("client", [httpx.AsyncClient, httpx2.AsyncClient])
def test_a_client_that_was_given_is_not_closed(client: Any) -> None:
    async def main() -> None:
        async with client() as given:
            await llm.ChatCompletions("https://chat.test/v1", model="m1", http_client=given).aclose()
            assert not given.is_closed

    run(main)


def test_its_own_client_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        completions = llm.ChatCompletions("http://127.0.0.1:9/v1", model="m1")
        app = llm.App(secret=None)
        app.agent(completions)
        async with talking(app) as talk:
            line = talk.connect()
            assert await line.answer(1, user("a")) == FAILURE
        await completions.aclose()

    client = httpx.AsyncClient(transport=Endpoint(httpx.ConnectError("no")))
    monkeypatch.setattr("retell_async.DefaultAsyncHttpxClient", lambda **_: client)
    run(main)
    assert client.is_closed


WHOLE_STREAM = b'data: {"choices": [{"delta": {"content": "No."}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'


def of(library: Any, seen: list[Any], status: int = 200, api_key: str | None = None, **settings: Any) -> llm.App:
    """An application over a client of httpx or of httpx2, whose requests are put down."""

    def serve(request: Any) -> Any:
        seen.append(request)
        body = WHOLE_STREAM if status == 200 else b'{"error": {"message": "no quota"}}'

        async def parts() -> AsyncIterator[bytes]:
            for at in range(0, len(body), 9):
                yield body[at : at + 9]

        return library.Response(status, content=parts())

    app = llm.App(secret=None)
    client = library.AsyncClient(transport=library.MockTransport(serve), **settings)
    app.agent(llm.ChatCompletions("https://chat.test/v1", model="m1", api_key=api_key, http_client=client))
    return app


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_the_key_goes_out_in_place_of_the_auth_of_a_client(library: Any) -> None:
    seen: list[Any] = []

    async def main() -> None:
        async with talking(of(library, seen, api_key=KEY, auth=("user", "word"))) as talk:
            assert await talk.connect().answer(1, user("a")) == "No."

    run(main)
    assert seen[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("library", [httpx, httpx2])
def test_a_client_that_was_given_sends_the_question_with_its_own_auth(library: Any) -> None:
    seen: list[Any] = []

    async def main() -> None:
        async with talking(of(library, seen, auth=("user", "word"))) as talk:
            assert await talk.connect().answer(1, user("a")) == "No."

    run(main)
    assert json.loads(seen[0].content)["messages"] == [{"role": "user", "content": "a"}]
    assert seen[0].headers["content-type"] == "application/json"
    assert seen[0].headers["authorization"].startswith("Basic ")


@pytest.mark.parametrize("library", [httpx, httpx2])
@pytest.mark.parametrize(("status", "said"), [(200, "No."), (429, FAILURE)])
def test_a_hook_may_read_the_answer(library: Any, status: int, said: str, caplog: pytest.LogCaptureFixture) -> None:
    async def read(response: Any) -> None:
        await response.aread()

    async def main() -> None:
        async with talking(of(library, [], status, event_hooks={"response": [read]})) as talk:
            assert await talk.connect().answer(1, user("a")) == said

    run(main)
    assert ("429: no quota" in caplog.text) == (status == 429)


def test_an_event_in_very_many_lines_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    from retell_async.llm.chat import completions

    looked: list[int] = []

    def look(text: str) -> Any:
        looked.append(len(text))
        return object_of(text)

    monkeypatch.setattr(completions, "object_of", look)
    lines = ["{", *['"a": {', "}", ","] * 20_000, '"choices": [{"message": {"content": "No."}, "finish_reason": "stop"}]', "}"]
    whole = "\n".join(lines).encode()
    events = b"".join(b"data: " + line.encode() + b"\n" for line in lines) + b"\ndata: [DONE]\n\n"

    async def main() -> None:
        for body in (whole, events):
            async with talking(application(Endpoint(httpx.Response(200, content=body)))) as talk:
                assert await talk.connect().answer(1, user("a")) == "No."

    run(main)
    assert len(looked) <= 2 * 34


def test_an_error_that_does_not_end_keeps_its_status(caplog: pytest.LogCaptureFixture) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b'{"error": '
        await anyio.sleep_forever()

    async def main() -> None:
        began = anyio.current_time()
        async with talking(application(Endpoint(httpx.Response(503, content=body())))) as talk:
            assert await talk.connect().answer(1, user("a")) == FAILURE
        assert anyio.current_time() - began < 4

    run(main)
    assert "answers with 503" in caplog.text


def test_what_comes_on_and_on_after_the_end_is_no_failure() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield WHOLE_STREAM.removesuffix(b"data: [DONE]\n\n")
        while True:
            await anyio.sleep(0.3)
            yield b'data: {"choices": []}\n\n'

    async def main() -> None:
        began = anyio.current_time()
        async with talking(application(Endpoint(httpx.Response(200, content=body())))) as talk:
            assert await talk.connect().answer(1, user("a")) == "No."
        assert anyio.current_time() - began < 4

    run(main)


def yields(turn: llm.Turn) -> Iterator[str]:
    yield "booked"


async def yields_late(turn: Any) -> AsyncIterator[str]:
    yield "booked"


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: llm.ChatCompletions("chat.test", model="m1"),
        lambda: llm.ChatCompletions("https://chat.test?key=1", model="m1"),
        lambda: llm.ChatCompletions(cast("Any", None), model="m1"),
        lambda: llm.ChatCompletions("https://chat.test", model="m1", api_key=""),
        lambda: llm.ChatCompletions("https://chat.test", model="m1", api_key=KEY + "\n"),
        lambda: llm.ChatCompletions("https://chat.test", model="m1", api_key=" " + KEY),
        lambda: llm.ChatCompletions("https://chat.test", model="m1", api_key=cast("Any", KEY.encode())),
        lambda: llm.ChatCompletions("https://chat.test", model=cast("Any", {"m1"})),
        lambda: llm.ChatCompletions("https://chat.test", model="m1", rounds=-1),
        lambda: llm.ChatCompletions("https://chat.test", model="m1", rounds=cast("Any", "2")),
        lambda: llm.ChatCompletions("https://chat.test", model="m1", system=cast("Any", 1)),
        lambda: llm.ChatCompletions("https://chat.test", model="m1", system=cast("Any", book)),
        lambda: llm.ChatCompletions("https://chat.test", model="m1", stop={"\n"}),
        lambda: llm.ChatCompletions("https://chat.test", model="m1", messages=[]),
        lambda: llm.ChatCompletions("https://chat.test", model="m1", http_client=cast("Any", httpx.Client())),
        lambda: llm.ChatCompletions("https://chat.test", model="m1", http_client=cast("Any", httpx.AsyncClient)),
        lambda: llm.ChatCompletions("https://chat.test", model="m1", tools=cast("Any", [{"type": "function", "function": {}}])),
        lambda: llm.ChatCompletions("https://chat.test", model="m1", tools=[llm.Tool("book", "", {"enum": {1}}, book)]),
        lambda: llm.Tool("book", "", {}, book, retry_on=cast("Any", "ConnectionError")),
        lambda: llm.ChatCompletions("https://chat.test", model="m1", tools=[TOOLS[0], TOOLS[0]]),
        lambda: llm.Tool("", "", {}, lookup),
        lambda: llm.Tool("lookup", "", {}, cast("Any", "lookup")),
        lambda: llm.Tool("yields", "", {}, yields),
        lambda: llm.Tool("yields", "", {}, partial(yields_late, None)),
        lambda: llm.Tool("lookup", "", {"type": "object", "properties": {"turn": {"type": "string"}}}, lambda turn: None),
    ],
)
def test_what_cannot_work(wrong: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        wrong()
    assert KEY not in "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
