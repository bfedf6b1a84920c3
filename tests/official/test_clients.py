"""Attributes, requests by verb, raw responses and lists as programs for the official SDK use them."""

from __future__ import annotations

import asyncio
import copy
import gc
import inspect
import json
import pickle
import sys
import warnings
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, cast

import attrs
import httpx
import pydantic
import pytest
import retell

import retell_async
from retell_async import AsyncPage, AsyncRetell, ConfigurationError, RateLimit, Retell, RetryPolicy, omit, webhooks
from retell_async.lib import webhook_auth
from retell_async.types import CallResponse, PhoneCallResponse, VoiceResponse

from ..needed import answer_of, listed, nothing_listed, path_of

pytestmark = pytest.mark.asyncio
KEY = "key_0123456789abcdef"
ITEM = {"call_id": "call_1", "call_type": "phone_call"}
PAGE = {"items": [ITEM], "has_more": False}


def client(answer: Callable[[httpx.Request], httpx.Response] | httpx.Response, **settings: Any) -> AsyncRetell:
    serve = (lambda _: answer) if isinstance(answer, httpx.Response) else answer
    http = httpx.AsyncClient(transport=httpx.MockTransport(serve))
    return AsyncRetell(KEY, base_url="http://retell.test/v0", http_client=http, max_retries=0, **settings)


def echo(request: httpx.Request) -> httpx.Response:
    said = {"method": request.method, "url": str(request.url), "headers": dict(request.headers), "body": request.content.decode()}
    return httpx.Response(200, json=said)


async def test_settings_are_attributes() -> None:
    there = retell.AsyncRetell(api_key=KEY, default_headers={"x-a": "1"}, default_query={"q": 1})
    here = AsyncRetell(KEY, default_headers={"x-a": "1"}, default_query={"q": 1})
    for name in ("api_key", "base_url", "timeout", "max_retries", "default_query", "auth_headers"):
        assert getattr(here, name) == getattr(there, name), name
    assert here.default_headers["x-a"] == "1"
    assert here.default_headers["Authorization"] == f"Bearer {KEY}"
    for name, value in {"api_key": "key_2", "base_url": "http://a.test/b/", "timeout": 3.0, "max_retries": 7}.items():
        setattr(here, name, value)
        setattr(there, name, value)
        assert getattr(here, name) == getattr(there, name) == value
    for name, value in {"api_key": "a\n", "base_url": "a", "timeout": -1, "max_retries": -1}.items():
        with pytest.raises(ConfigurationError):
            setattr(here, name, value)


async def test_what_is_set_is_used() -> None:
    async with client(echo) as here:
        here.api_key, here.base_url = "key_2", httpx.URL("http://other.test")
        said = await here.get("/a", cast_to=object)
    assert cast("Any", said)["url"] == "http://other.test/a"
    assert cast("Any", said)["headers"]["authorization"] == "Bearer key_2"


async def test_settings_of_the_wrong_kind_are_type_errors_too() -> None:
    with pytest.raises(TypeError, match="Invalid `http_client` argument"), httpx.Client() as wrong:
        AsyncRetell(KEY, http_client=cast("Any", wrong))
    with pytest.raises(TypeError, match="max_retries cannot be None"):
        AsyncRetell(KEY, max_retries=cast("Any", None))


async def test_an_http_client_takes_what_httpx_takes() -> None:
    transport = httpx.MockTransport(echo)
    settings: dict[str, Any] = {
        "auth": ("a", "b"), "base_url": "http://x", "cookies": {"a": "b"}, "default_encoding": "utf-8", "event_hooks": {"request": []},
        "follow_redirects": True, "headers": {"x-own": "1"}, "http1": True, "limits": httpx.Limits(), "max_redirects": 3,
        "params": {"p": "1"}, "timeout": 3, "trust_env": False, "verify": True, "cert": None, "http2": False,
    }  # fmt: skip
    assert settings.keys() | {"transport", "proxy", "mounts"} == {*inspect.signature(httpx.AsyncClient).parameters}
    for way in ({"transport": transport}, {"mounts": {"all://": transport}}):
        async with AsyncRetell(KEY, http_client=retell_async.DefaultAsyncHttpxClient(**settings, **cast("Any", way))) as here:
            said = cast("Any", await here.get("/a", cast_to=object))
            assert (said["url"], said["headers"]["x-own"]) == ("https://api.retellai.com/a?p=1", "1")
            assert here.timeout == httpx.Timeout(3)
    retell_async.DefaultAsyncHttpxClient(proxy="http://127.0.0.1:3128", **settings)


async def test_options_that_take_the_place_of_others() -> None:
    async with client(echo, default_headers={"x-a": "1"}, default_query={"q": "1"}) as here:
        view = here.with_options(set_default_headers={"x-b": "2"}, set_default_query={})
        said = cast("Any", await view.get("/a", cast_to=object))
        assert (said["url"], said["headers"].get("x-a"), said["headers"]["x-b"]) == ("http://retell.test/v0/a", None, "2")
        with pytest.raises(ValueError, match="mutually exclusive"):
            here.copy(default_headers={}, set_default_headers={})
        other = here.with_options(http_client=httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(200, json=[1]))))
        assert await other.get("/a", cast_to=object) == [1]
        await other.close()
        assert other.is_closed()
        assert not here.is_closed()


async def test_an_option_that_is_none_stays_as_it_is() -> None:
    retry = RetryPolicy(deadline=100.0)
    own: dict[str, Any] = {"retry": retry, "strict": True, "rate_limit": RateLimit(5, max_wait=1.0), "max_connections": 3, "hooks": ()}
    async with client(echo, default_headers={"x-a": "1"}, default_query={"q": "1"}, **own) as here:
        for name in inspect.signature(here.with_options).parameters.keys() - {"timeout", "max_retries"}:
            view = here.with_options(**cast("Any", {name: None}))
            assert (view._settings, view._shared) == (here._settings, here._shared), name
            assert here.copy(**cast("Any", {name: None}))._shared is here._shared
            said = cast("Any", await view.get("/a", cast_to=object))
            assert (said["url"], said["headers"]["authorization"]) == ("http://retell.test/v0/a?q=1", f"Bearer {KEY}")
    for wrong in ({"retry": 3}, {"max_connections": 0}, {"rate_limit": 5}, {"hooks": "log"}):
        with pytest.raises(ConfigurationError):
            here.with_options(**cast("Any", wrong))


async def test_a_view_has_what_a_class_of_ones_own_added() -> None:
    kinds: list[Any] = [retell.Retell, retell.AsyncRetell, Retell, AsyncRetell]
    for kind in kinds:

        class Tenant(kind):  # type: ignore[misc, valid-type]
            def __init__(self, *, tenant: str = "nobody", **settings: Any) -> None:
                self.tenant = tenant
                super().__init__(**settings)

        mine = Tenant(tenant="a", api_key=KEY, timeout=9.0)
        assert mine.call is not None
        extra = mine.with_options(max_retries=1, _extra_kwargs={"tenant": "b"})
        assert (extra.tenant, extra.timeout, extra.max_retries, extra.api_key) == ("b", 9.0, 1, KEY)
        if kind in {Retell, AsyncRetell}:  # the official one makes it anew, of nothing but its settings
            view = mine.with_options(max_retries=1)
            assert (view.tenant, view.max_retries, mine.max_retries) == ("a", 1, 2)
            assert view.call is not mine.call
            assert view._version == retell_async.__version__


class Slow(httpx.AsyncByteStream):
    """A body that is not there yet."""

    def __init__(self) -> None:
        self.closed = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield json.dumps(ITEM).encode()

    async def aclose(self) -> None:
        self.closed += 1


async def test_an_answer_lives_without_the_manager_that_opened_it() -> None:
    body = Slow()
    async with client(httpx.Response(200, stream=body)) as here:
        answer = await here.call.with_streaming_response.retrieve("c").__aenter__()
        gc.collect()
        await asyncio.sleep(0)
        assert not body.closed
        assert (await answer.parse()).call_id == "call_1"
        await answer.close()
        assert body.closed


@pytest.mark.parametrize("by_hand", [True, False])
async def test_a_block_ends_as_it_ends_when_its_answer_was_closed_by_hand(by_hand: bool) -> None:
    async def stop(here: AsyncRetell) -> None:
        async with here.call.with_streaming_response.retrieve("c") as answer:
            if by_hand:
                await answer.close()
            raise KeyError

    body = Slow()
    async with client(httpx.Response(200, stream=body)) as here:
        with pytest.raises(KeyError):
            await stop(here)
        assert body.closed


async def test_the_body_of_a_verb() -> None:
    async with client(echo) as here:
        for verb in (here.post, here.put, here.patch, here.delete):
            said = cast("Any", await verb("a", cast_to=object, body={"a": 1}, options={"params": {"x": "1"}, "extra_json": {"b": 2}}))
            assert said["url"] == "http://retell.test/v0/a?x=1"
            assert json.loads(said["body"]) == {"a": 1, "b": 2}
        said = cast("Any", await here.post("/a", cast_to=object, content=b"raw", options={"headers": {"Content-Type": "text/plain"}}))
        assert (said["body"], said["headers"]["content-type"]) == ("raw", "text/plain")
        said = cast("Any", await here.post("/a", cast_to=object, content=pieces()))
        assert said["body"] == "onetwo"
        said = cast("Any", await here.post("/a", cast_to=object, body={"n": [1]}, files={"f": ("a.txt", b"in it")}))
        assert 'name="n"\r\n\r\n[1]\r\n' in said["body"]
        assert 'filename="a.txt"' in said["body"]
        with pytest.raises(TypeError, match="there is no 'header'"):
            await here.get("/a", cast_to=object, options={"header": {}})
        with pytest.raises(TypeError, match="`body` and `content`"):
            await here.post("/a", cast_to=object, body={}, content=b"")


async def pieces() -> AsyncIterator[bytes]:
    yield b"one"
    yield b"two"


async def test_a_whole_url_of_another_origin_gets_nothing_of_the_client() -> None:
    async with client(echo) as here:
        said = cast("Any", await here.get("http://retell.test/b?c=1", cast_to=object))
        assert (said["url"], said["headers"]["authorization"]) == ("http://retell.test/b?c=1", f"Bearer {KEY}")
        said = cast("Any", await here.get("https://elsewhere.test/b", cast_to=object))
        assert (said["url"], "authorization" in said["headers"]) == ("https://elsewhere.test/b", False)
        view = here.with_options(default_headers={"X-Tenant-Key": "k1"}, default_query={"tenant": "t1"})
        said = cast("Any", await view.get("/b", cast_to=object))
        assert (said["url"], said["headers"]["x-tenant-key"]) == ("http://retell.test/v0/b?tenant=t1", "k1")
        own: dict[str, Any] = {"headers": {"Authorization": "Bearer another", "X-Own": "1"}, "params": {"a": "b"}}
        said = cast("Any", await view.get("https://elsewhere.test/b", cast_to=object, options=own))
        assert said["url"] == "https://elsewhere.test/b?a=b"
        known = {"accept", "accept-encoding", "connection", "host", "user-agent"}
        assert {name: text for name, text in said["headers"].items() if name not in known} == {
            "authorization": "Bearer another",
            "x-own": "1",
        }


async def test_what_is_cast_to() -> None:
    class Mine(pydantic.BaseModel):
        name: str

    phone = {"call_type": "phone_call", "call_id": "call_1"}
    cases: list[tuple[Any, Any, Any]] = [
        (PhoneCallResponse, phone, PhoneCallResponse),
        (CallResponse, phone, PhoneCallResponse),
        (list[VoiceResponse], [{"voice_id": "v"}], list),
        (Mine, {"name": "a"}, Mine),
        (Mine | None, {"name": "a"}, Mine),
        (dict, {"a": 1}, dict),
        (dict[str, int], {"a": 1}, dict),
        (object, [1], list),
        (str, {"a": 1}, str),
        (bytes, {"a": 1}, bytes),
        (retell_async.NoneType, {"a": 1}, type(None)),
        (httpx.Response, {"a": 1}, httpx.Response),
    ]
    for to, body, kind in cases:
        async with client(httpx.Response(200, json=body)) as here:
            assert isinstance(await here.get("/a", cast_to=to), kind), to
    async with client(httpx.Response(200, json={"name": {"a": 1}})) as here:
        assert cast("Any", await here.get("/a", cast_to=Mine)).name == {"a": 1}
        with pytest.raises(retell_async.APIResponseValidationError) as caught:
            await here.with_options(strict=True).get("/a", cast_to=Mine)
        assert isinstance(caught.value.__cause__, pydantic.ValidationError)


async def test_strict_validation_lets_fields_pass_that_came_later() -> None:
    voice = answer_of("VoiceResponse", voice_id="v", voice_name="n", provider="elevenlabs", gender="male")
    missing = {name: text for name, text in voice.items() if name != "gender"}
    for body, passes in (({**voice, "brand_new": 1}, True), (missing, False), ({**voice, "gender": 1}, False)):
        transport = httpx.MockTransport(lambda _, body=body: httpx.Response(200, json=body))
        for package in (retell, retell_async):
            one: Any = package.Retell(api_key="k", http_client=httpx.Client(transport=transport), _strict_response_validation=True)
            with one:
                if passes:
                    assert one.voice.retrieve("v").voice_id == "v"
                else:
                    with pytest.raises(package.APIResponseValidationError):
                        one.voice.retrieve("v")
    with (
        Retell(
            "k",
            strict=True,
            http_client=httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200, json={**voice, "new": 1}))),
        ) as here,
        pytest.raises(retell_async.APIResponseValidationError, match="new: unknown field"),
    ):
        here.voice.retrieve("v")


async def test_a_verb_follows_redirects_within_its_origin() -> None:
    seen: list[tuple[str, str, str | None]] = []

    def serve(request: httpx.Request) -> httpx.Response:
        seen.append((request.method, request.url.path, request.headers.get("content-type")))
        if request.url.path == "/v0/a":
            return httpx.Response(302, headers={"location": "/b"})
        return httpx.Response(200, json={"ok": True})

    async with client(serve) as here:
        assert await here.post("/a", cast_to=object, body={"a": 1}) == {"ok": True}
        assert seen == [("POST", "/v0/a", "application/json"), ("GET", "/b", None)]
        with pytest.raises(retell_async.APIStatusError) as caught:
            await here.post("/a", cast_to=object, body={}, options={"follow_redirects": False})
        assert caught.value.status_code == 302


async def test_a_header_is_taken_out_with_omit() -> None:
    async with client(echo) as here:
        said = cast("Any", await here.get("/a", cast_to=object, options={"headers": {"X-Stainless-Lang": omit}}))
        assert "x-stainless-lang" not in said["headers"]
        assert said["headers"]["x-stainless-retry-count"] == "0"


async def test_a_raw_response_is_awaited_or_not() -> None:
    async with client(httpx.Response(200, json=ITEM)) as here:
        raw = await here.call.with_raw_response.retrieve("call_1")
        assert raw.parse() is raw.parse() == await raw.parse() is await raw.parse()
        assert (await raw.parse()).call_id == raw.parse().call_id == "call_1"
        assert await raw.json() == raw.json() == ITEM
        assert await raw.text() == raw.text()
        assert await raw.read() == raw.content == b"".join([part async for part in raw.iter_bytes()])
        assert "".join([part async for part in raw.iter_text()]) == "".join([part async for part in raw.iter_lines()]) == raw.text()
        assert (raw.method, str(raw.url), raw.http_version, raw.is_closed) == (
            "GET", "http://retell.test/v0/v2/get-call/call_1", "HTTP/1.1", True,
        )  # fmt: skip
        assert await raw.parse(to=dict) == ITEM
        assert await raw.parse(to=bytes) == raw.content
        assert isinstance(raw, retell_async.AsyncAPIResponse)
        async with here.call.with_streaming_response.retrieve("call_1") as response:
            assert isinstance(response, retell_async.AsyncAPIResponse)
            assert (await response.parse()).call_id == "call_1"
        assert response.is_closed
    async with client(httpx.Response(204)) as here:
        nothing = await here.call.with_raw_response.delete("call_1")
        assert [await cast("Any", nothing.parse())] == [None]
        assert [nothing.parse()] == [None]
        assert not nothing.parse()
        assert [await cast("Any", here.call).delete("call_1")] == [None]
    async with client(httpx.Response(200, json=PAGE)) as here:
        listed = await here.call.with_raw_response.list()
        assert (await listed.parse()).items[0].call_id == listed.parse().items[0].call_id == "call_1"


def answers(request: httpx.Request) -> httpx.Response:
    if request.method == "DELETE":
        return httpx.Response(204)
    if request.url.path.endswith(path_of("listVoices")):
        return httpx.Response(200, json=listed("listVoices", {"voice_id": "voice_1"}))
    return httpx.Response(200, json=PAGE if "list" in request.url.path else {**ITEM, "call_analysis": {"call_summary": "Well."}})


async def test_nothing_but_a_raw_answer_can_be_awaited() -> None:
    async with client(answers) as here:
        call = await here.call.retrieve("call_1")
        given = [call, call.call_analysis, await here.call.list(), await here.voice.list(), await cast("Any", here.call).delete("call_1")]
        raw = await here.call.with_raw_response.retrieve("call_1")
        voices = await here.voice.with_raw_response.list()
        for own in (raw, voices, await here.call.with_raw_response.list()):
            assert inspect.isawaitable(own.parse())
            given.append(await own.parse())
        given.extend([raw.parse().call_analysis, await raw.json(), await raw.text(), await raw.read(), await raw.parse(to=dict)])
        async with here.call.with_streaming_response.retrieve("call_1") as response:
            given.append(await response.parse())
    with Retell(KEY, http_client=httpx.Client(transport=httpx.MockTransport(answers))) as there:
        whole = there.call.with_raw_response.retrieve("call_1")
        given.extend([there.call.retrieve("call_1"), there.call.list(), there.voice.list(), cast("Any", there.call).delete("call_1")])
        given.extend([whole.parse(), whole.parse(to=dict), whole.json(), whole.text(), whole.read(), cast("Any", whole).close()])
    for value in given:
        assert not inspect.isawaitable(value)
        assert not hasattr(type(value), "__await__")


async def test_what_a_raw_answer_gives_is_what_it_would_be_without() -> None:
    async with client(answers) as here:
        placed = (await here.call.with_raw_response.create_phone_call(from_number="+14155550100", to_number="+14155550101")).parse()
        assert placed.idempotency_key == (await placed).idempotency_key is not None
        for value in (placed, (await here.call.with_raw_response.list()).parse(), (await here.voice.with_raw_response.list()).parse()):
            plain = await value
            assert isinstance(value, type(plain))
            assert value == plain == value
            assert value.model_dump() == plain.model_dump()
            assert repr(value) == repr(plain)
            for copied in (copy.copy(value), copy.deepcopy(value), pickle.loads(pickle.dumps(value)), value.model_copy()):
                assert type(copied) is type(plain)
                assert copied == plain
        placed.call_id = "call_2"
        assert (await placed).call_id == "call_2"
        assert type(attrs.evolve(placed, call_id="call_3")) is type(await placed)


async def test_raw_and_streamed_answers_of_the_client() -> None:
    async with client(httpx.Response(200, json=ITEM)) as here:
        assert (await here.with_raw_response.call.retrieve("call_1")).parse().call_id == "call_1"
        async with here.with_streaming_response.call.retrieve("call_1") as response:
            assert await response.json() == ITEM
        assert {name for name in dir(here.with_raw_response) if not name.startswith("_")} >= {
            name for name in dir(retell.AsyncRetell(api_key=KEY).with_raw_response) if not name.startswith("_")
        }


async def test_a_list_is_a_coroutine() -> None:
    async with client(httpx.Response(200, json=PAGE)) as here:
        assert asyncio.iscoroutine(here.call.list())
        assert isinstance(await asyncio.create_task(here.call.list()), AsyncPage)
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(here.call.list())
        assert task.result()[0].call_id == "call_1"
        pages = await asyncio.gather(here.call.list(), asyncio.wait_for(here.call.list(), 5), asyncio.shield(here.call.list()))
        assert [len(page) for page in pages] == [1, 1, 1]
        in_thread = await asyncio.to_thread(
            lambda loop: asyncio.run_coroutine_threadsafe(here.call.list(), loop), asyncio.get_running_loop()
        )
        page = await asyncio.wrap_future(in_thread)
        assert len(page) == 1
        again = here.call.list()
        assert [len(await again), len(await again)] == [1, 1]


async def test_a_task_of_a_list_is_cancelled() -> None:
    started = asyncio.Event()

    async def serve(_: httpx.Request) -> httpx.Response:
        started.set()
        await asyncio.sleep(60)
        raise AssertionError

    http = httpx.AsyncClient(transport=httpx.MockTransport(serve))
    async with AsyncRetell(KEY, http_client=http) as here:
        task = asyncio.create_task(here.call.list())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_list_that_nobody_awaits_warns_of_nothing() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        async with client(httpx.Response(200, json=PAGE)) as here:
            here.call.list()
            here.call.list().close()
            assert [item.call_id async for item in here.call.list()] == ["call_1"]
    assert caught == []


async def test_asyncio_runs_a_list() -> None:
    here = client(httpx.Response(200, json=PAGE))
    assert len(await asyncio.to_thread(asyncio.run, here.call.list())) == 1


async def test_methods_that_list_are_marked() -> None:
    here = client(httpx.Response(200, json=PAGE))
    for method in (here.call.list, here.voice.list):
        assert inspect.iscoroutinefunction(method) is (sys.version_info >= (3, 12))
    assert inspect.iscoroutinefunction(here.call.retrieve)


async def test_webhooks_are_true_or_false() -> None:
    body, signature = '{"event":"call_ended"}', webhook_auth.sign('{"event":"call_ended"}', KEY)
    for verify in (webhook_auth.verify, AsyncRetell(KEY).verify, AsyncRetell.verify):
        assert verify(body, KEY, signature) is True
        assert verify(body.encode(), KEY, signature) is True
        for wrong in (
            (f"{body} ", KEY, signature),
            (body, "key_2", signature),
            (body, KEY, f"x{signature}"),
            (body, KEY, ""),
            (body, KEY, cast("str", None)),
            (body, KEY, webhook_auth.sign(body, KEY, 1)),
        ):
            assert verify(*wrong) is False
    assert webhooks.verify(body, KEY, signature) is True


@pytest.mark.parametrize("stamp", [1_700_000_000_000, 0])
async def test_signatures_are_those_of_the_official_sdk(stamp: int) -> None:
    theirs: Any = retell.lib.webhook_auth.symmetric  # type: ignore[attr-defined]
    assert webhook_auth.sign("a", KEY, stamp) == theirs["sign"]("a", KEY, stamp)
    signed = webhook_auth.sign("a", KEY, stamp)
    for now in (stamp, stamp + webhook_auth.FIVE_MINUTES, stamp + webhook_auth.FIVE_MINUTES + 1):
        options = {"timestamp": now, "timeout": webhook_auth.FIVE_MINUTES}
        assert webhook_auth.verify("a", KEY, signed, options) is theirs["verify"]("a", KEY, signed, options)


async def test_a_resource_is_made_of_a_client_by_keyword() -> None:
    from retell_async.resources._sync.voice import VoiceResource
    from retell_async.resources.voice import AsyncVoiceResource

    nothing = nothing_listed("listVoices")
    async with client(httpx.Response(200, json=nothing)) as here:
        assert [*await AsyncVoiceResource(client=here).list()] == []
    with Retell(KEY, http_client=httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200, json=nothing)))) as there:
        assert [*VoiceResource(client=there).list()] == []


@pytest.mark.parametrize("kind", [AsyncRetell, Retell])
@pytest.mark.parametrize("state", ["new", "used", "closed", "view", "resource", "method"])
async def test_a_client_is_not_pickled_in_any_state_and_says_so_once(kind: Any, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    printed: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", printed.append)
    http = httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(200, json=ITEM)))
    made = kind(KEY, http_client=http, base_url="http://retell.test")
    if state != "new":
        got = made.call.retrieve("call_1")
        assert (got if kind is Retell else await got).call_id == "call_1"
    if state == "closed":
        await asyncio.to_thread(made.close) if kind is Retell else await made.close()
    held = {"view": made.with_options(max_retries=1), "resource": made.call, "method": made.call.retrieve}.get(state, made)
    pickles = [partial(pickle.dumps, protocol=protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    ways: list[Callable[[Any], Any]] = [*pickles, copy.deepcopy]
    for refuse in ways:
        with pytest.raises(TypeError, match="a client is not pickled and has no deep copy") as caught:
            refuse(held)
        assert KEY not in str(caught.value)
        del caught
    gc.collect()
    assert printed == []
    await asyncio.to_thread(made.close) if kind is Retell else await made.close()
