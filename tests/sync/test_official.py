"""What programs for the official SDK do with a `Retell` beside calling its methods."""

from __future__ import annotations

import gc
import inspect
import io
import json
import weakref
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, cast

import httpx
import pytest
import retell

from retell_async import APIStatusError, ConfigurationError, Retell, omit
from retell_async.lib import webhook_auth
from retell_async.resources._sync import Resources
from retell_async.types import CallListResponse, CallResponse, PhoneCallResponse

from .example import answering, client_of

KEY = "key_0123456789abcdef"
CALL = {"call_id": "call_1", "call_type": "phone_call"}


def echo(request: httpx.Request) -> httpx.Response:
    said = {"method": request.method, "url": str(request.url), "headers": dict(request.headers), "body": request.read().decode()}
    return httpx.Response(200, json=said)


async def echo_stream(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json={"body": (await request.aread()).decode()})


def test_settings_are_attributes_and_what_is_set_is_used() -> None:
    there = retell.Retell(api_key=KEY, default_headers={"x-a": "1"}, default_query={"q": 1})
    with client_of(
        echo, api_key=KEY, base_url=str(there.base_url), max_retries=2, default_headers={"x-a": "1"}, default_query={"q": 1}
    ) as here:
        for name in ("api_key", "base_url", "max_retries", "default_query", "auth_headers"):
            assert getattr(here, name) == getattr(there, name), name
        assert here.default_headers["x-a"] == "1"
        assert here.user_agent == here.default_headers["User-Agent"]
        for name, value in {"api_key": "key_2", "base_url": "http://other.test/b/", "timeout": 3.0, "max_retries": 7}.items():
            setattr(here, name, value)
            assert getattr(here, name) == value
        said: Any = here.get("/a", cast_to=object)
        assert (said["url"], said["headers"]["authorization"]) == ("http://other.test/b/a?q=1", "Bearer key_2")
        view = here.with_options(set_default_headers={"x-b": "2"}, set_default_query={})
        said = view.get("/a", cast_to=object)
        assert (said["url"], said["headers"].get("x-a"), said["headers"]["x-b"]) == ("http://other.test/b/a", None, "2")
        for name, wrong in {"api_key": "a\n", "base_url": "a", "timeout": -1, "max_retries": -1}.items():
            with pytest.raises(ConfigurationError):
                setattr(here, name, wrong)
        with pytest.raises(ValueError, match="mutually exclusive"):
            here.copy(default_headers={}, set_default_headers={})


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("auth_headers", {"Authorization": "Bearer secret\n"}, "Authorization holds a line break or a character that is not ASCII"),
        ("auth_headers", {"Authorization": "Bearer secret\u200b"}, "Authorization holds a line break or a character that is not ASCII"),
        ("auth_headers", {"Authorization": None}, "Authorization must be a str, not NoneType"),
        ("user_agent", "Caf\u00e9/1.0", "User-Agent holds a line break or a character that is not ASCII"),
    ],
)
def test_a_header_that_a_class_says_and_http_cannot_carry_is_refused(name: str, value: Any, problem: str) -> None:
    wrong: type[Retell] = type("Wrong", (Retell,), {name: property(lambda _: value)})
    with wrong("key", base_url="http://127.0.0.1:9") as client, pytest.raises(ConfigurationError, match=problem) as caught:
        client.call.retrieve("call_1")
    assert "secret" not in f"{caught.value!r} {caught.value.args}"


class Tenant(Retell):
    """What a class of a user's says of headers and of the query is sent."""

    tenant = "t1"

    @property
    def auth_headers(self) -> dict[str, str]:
        return {**super().auth_headers, "X-Auth": self.tenant}

    @property
    def default_headers(self) -> dict[str, Any]:
        return {**super().default_headers, "X-Tenant": self.tenant, "X-A": omit}

    @property
    def default_query(self) -> dict[str, object]:
        return {**super().default_query, "tenant": self.tenant}

    @property
    def user_agent(self) -> str:
        return "mine/1"

    def platform_headers(self) -> dict[str, str]:
        return {}


def test_headers_of_a_class_of_ones_own_are_sent() -> None:
    http_client = httpx.Client(transport=httpx.MockTransport(echo))
    with Tenant(KEY, http_client=http_client, default_headers={"X-A": "1", "X-B": "2"}, default_query={"q": "1"}) as client:
        for each in (client, client.with_options(timeout=3)):
            said: Any = each.get("/a", cast_to=object)
            headers = said["headers"]
            assert (headers["x-auth"], headers["x-tenant"], headers["x-b"], headers["user-agent"]) == ("t1", "t1", "2", "mine/1")
            assert headers["authorization"] == f"Bearer {KEY}"
            assert headers.keys().isdisjoint({"x-a", "x-stainless-lang"})
            assert said["url"].endswith("/a?q=1&tenant=t1")
        form: Any = client.post("/a", cast_to=object, body={"a": "b"}, files=[("f", b"text")])
        assert form["headers"]["content-type"].startswith("multipart/form-data")
        client.tenant = "t\n2"
        with pytest.raises(ConfigurationError):
            client.get("/a", cast_to=object)


@pytest.mark.parametrize(
    "held",
    [
        lambda client: client.agent,
        lambda client: client.with_options(timeout=3).agent,
        lambda client: client.copy(http_client=client._given).agent,
    ],
)
def test_a_resource_goes_on_without_its_client_and_asks_its_class(held: Callable[[Any], Any]) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        said = (request.headers["x-auth"], request.headers["x-tenant"], request.url.params["tenant"])
        return httpx.Response(200, json={"agent_id": " ".join(said)})

    http_client = httpx.Client(transport=httpx.MockTransport(answer))
    client = Tenant(KEY, http_client=http_client)
    cast("Any", client)._given = http_client
    agents = held(client)
    del client
    gc.collect()
    for one in (agents, agents.with_raw_response):
        found = one.retrieve("a")
        assert (found.parse() if one is not agents else found).agent_id == "t1 t1 t1"
    agents._sender.background.close()


def test_a_client_that_nobody_has_is_let_go_at_once_unless_its_class_is_asked() -> None:
    class Named(Retell):
        """One that says nothing of what is sent."""

    for kind in (Retell, Named):
        with kind(KEY) as client:
            held = weakref.ref(client)
        del client
        assert held() is None
    with Tenant(KEY) as client:
        held = weakref.ref(client)
    del client
    gc.collect()
    assert held() is None


def test_a_view_with_an_http_client_of_its_own_is_closed_by_itself() -> None:
    with client_of(echo) as here:
        other = here.with_options(http_client=httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(200, json=[1]))))
        assert cast("Any", other.get("/a", cast_to=object)) == [1]
        other.close()
        assert other.is_closed()
        assert not here.is_closed()
        assert cast("Any", here.get("/a", cast_to=object))["method"] == "GET"
        same = here.with_options(max_connections=3)  # it sends with the same client of httpx, in the same event loop
        assert cast("Any", same.get("/a", cast_to=object))["method"] == "GET"
        same.close()
        assert here.is_closed()


def test_an_option_that_is_none_stays_as_it_is() -> None:
    with client_of(echo) as here:
        for name in inspect.signature(here.with_options).parameters.keys() - {"timeout", "max_retries"}:
            view: Any = here.with_options(**cast("Any", {name: None}))
            assert (view._settings, view._background) == (here._settings, here._background), name
            assert view.get("/a", cast_to=object)["headers"]["authorization"] == f"Bearer {KEY}"


def test_verbs() -> None:
    with client_of(echo) as here:
        for verb in (here.post, here.put, here.patch, here.delete):
            said: Any = verb("a", cast_to=object, body={"a": 1}, options={"params": {"x": "1"}, "extra_json": {"b": 2}})
            assert said["url"].endswith("/a?x=1")
            assert json.loads(said["body"]) == {"a": 1, "b": 2}
        said = here.post(
            "/a", cast_to=object, content=b"raw", options={"headers": {"Content-Type": "text/plain", "X-Stainless-Lang": omit}}
        )
        assert (said["body"], said["headers"]["content-type"], "x-stainless-lang" in said["headers"]) == ("raw", "text/plain", False)
        with pytest.raises(TypeError, match="there is no 'header'"):
            here.get("/a", cast_to=object, options={"header": {}})
    with answering(json=CALL) as here:
        assert isinstance(here.get("/a", cast_to=cast("Any", CallResponse)), PhoneCallResponse)


def pieces() -> Iterator[bytes]:
    yield b"one"
    yield b"two"


@pytest.mark.parametrize("make", [pieces, lambda: io.BytesIO(b"onetwo"), lambda: [b"one", b"two"]])
def test_a_body_that_comes_in_pieces(make: Callable[[], Any]) -> None:
    with client_of(echo_stream) as here:
        assert cast("Any", here.post("/a", cast_to=object, content=make())) == {"body": "onetwo"}


def test_a_verb_follows_redirects_unless_told_otherwise() -> None:
    def serve(request: httpx.Request) -> httpx.Response:
        here = request.url.path.endswith("/b")
        return httpx.Response(200, json={"ok": True}) if here else httpx.Response(302, headers={"location": "/b"})

    with client_of(serve) as client:
        assert cast("Any", client.post("/a", cast_to=object, body={"a": 1})) == {"ok": True}
        with pytest.raises(APIStatusError) as caught:
            client.post("/a", cast_to=object, body={}, options={"follow_redirects": False})
        assert caught.value.status_code == 302


def test_raw_and_streamed_answers() -> None:
    with answering(json=CALL) as here:
        raw = here.with_raw_response.call.retrieve("call_1")
        assert raw.parse().call_id == "call_1"
        assert raw.parse(to=dict) == raw.json() == CALL
        assert raw.read() == raw.content == b"".join(raw.iter_bytes()) == b"".join(raw.iter_bytes(3))
        assert raw.text() == "".join(raw.iter_text()) == "".join(raw.iter_lines())
        raw.close()
        with here.with_streaming_response.call.retrieve("call_1") as response:
            assert response.parse(to=dict) == CALL
        names = {name for name in dir(here.with_raw_response) if not name.startswith("_")}
        theirs = {name for name in dir(retell.Retell(api_key=KEY).with_raw_response) if not name.startswith("_")}
        resources = {name for name, found in vars(Resources).items() if isinstance(found, cached_property)}
        assert theirs <= names <= theirs | resources
    with answering(204) as here:
        assert here.call.with_raw_response.delete("call_1").parse() is None
    with answering(json={"items": [CALL], "has_more": False}) as here:
        assert isinstance(here.call.list(), cast("Any", CallListResponse))


class Slow(httpx.SyncByteStream):
    """A body that is not there yet."""

    closed = False

    def __iter__(self) -> Iterator[bytes]:
        yield b'{"call_id": "call_1", "call_type": "phone_call"}'

    def close(self) -> None:
        self.closed = True


def test_an_answer_lives_without_the_manager_that_opened_it() -> None:
    body = Slow()
    http = httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200, stream=body)))
    with Retell("key_1", http_client=http) as client:
        answer = client.call.with_streaming_response.retrieve("c").__enter__()
        gc.collect()
        assert not body.closed
        assert answer.parse().call_id == "call_1"
        answer.close()
        assert body.closed


def test_webhooks_are_true_or_false() -> None:
    body = "{}"
    signature = webhook_auth.sign(body, KEY)
    assert Retell(KEY).verify(body, KEY, signature) is Retell.verify(body, KEY, signature) is True
    assert Retell(KEY).verify(body, "key_2", signature) is False
