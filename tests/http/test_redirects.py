"""Redirects: which requests follow which, with what, and what is said of those that are not followed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from retell_async._client import AsyncRetell
from retell_async._core import errors
from retell_async._core.encode import encode
from retell_async._core.operation import Operation
from retell_async._http.clients import DefaultAsyncHttpxClient
from retell_async._http.redirects import followed

from ..engine.example import CREATE, KEY, LIST_BY_POST, UPLOAD, client_of, get
from .test_transport import ok, serving

pytestmark = pytest.mark.parallel

BASE = "http://retell.test/prefix"
UPDATE: Operation[Any] = Operation(id="updateThing", method="PATCH", path="/update-thing", repeat="safe")
WITH_KEY = {"Authorization": f"Bearer {KEY}", "X-Api-Key": "secret", "User-Agent": "u"}


def encoded(request: Any) -> Any:
    return encode(request, base_url=BASE, headers=(WITH_KEY,), query=({"page": 1},))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_read_goes_where_it_is_sent(status: int) -> None:
    there = followed(encoded(get()), status, "/v2/thing?x=1#part")
    assert not isinstance(there, str)
    assert (there.method, there.url, there.redirected) == ("GET", "http://retell.test/v2/thing?x=1", "inside")
    assert there.headers["Authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    "location", ["https://retell.test/", "http://retell.test:8080/", "http://other.test/", "//other.test/", "http://retell.test.evil.test/"]
)
def test_to_another_origin_no_key_goes_and_no_header_of_a_user(location: str) -> None:
    there = followed(encoded(get()), 302, location)
    assert not isinstance(there, str)
    assert there.redirected == "outside"
    assert {name.lower() for name in there.headers} == {"accept", "user-agent"}
    back = followed(there, 302, BASE)
    assert not isinstance(back, str)
    assert (back.redirected, "Authorization" in back.headers) == ("outside", False)


def test_a_name_and_a_password_in_a_target_are_not_taken() -> None:
    there = followed(encoded(get()), 302, "http://user:word@retell.test/x")
    assert not isinstance(there, str)
    assert there.url == "http://retell.test/x"


@pytest.mark.parametrize("request_", [LIST_BY_POST.request(body={"limit": 1}), UPDATE.request(body={"limit": 1})])
def test_what_has_a_body_stays_as_it_is_and_within_its_origin(request_: Any) -> None:
    first = encoded(request_)
    for status in (307, 308):
        there = followed(first, status, "/moved")
        assert not isinstance(there, str)
        assert (there.method, there.content) == (first.method, b'{"limit":1}')
        assert "another origin" in str(followed(first, status, "https://retell.test/moved"))
    for status in (301, 302, 303):
        assert f"a GET of this {first.method}" in str(followed(first, status, "/moved"))


@pytest.mark.parametrize(
    "location",
    [
        None,
        "",
        "ftp://retell.test/",
        "javascript:alert(1)",
        "http://[::1",
        "http://a..test/",
        "http://a.test:99999/",
        "http://a b/",
        "\ud800",
        "http://" + "a" * 64 + ".test/",
    ],
)
def test_a_target_that_cannot_be_gone_to(location: str | None) -> None:
    assert "nowhere" in str(followed(encoded(get()), 302, location))


class Server:
    """Sends to where `redirects` says, by path, and answers the rest."""

    def __init__(self, redirects: Mapping[str, tuple[int, str | None]], status: int = 200) -> None:
        self.redirects = redirects
        self.status = status
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        status, location = self.redirects.get(request.url.path, (self.status, None))
        body: dict[str, Any] = {"items": []} if "list-" in request.url.path else {"thing_id": request.url.path}
        return httpx.Response(status, headers={} if location is None else {"location": location}, json=body)


@pytest.mark.anyio
async def test_a_redirect_is_followed_through_a_given_client() -> None:
    server = Server({"/prefix/get-thing/thing_1": (301, "/b?x=1"), "/b": (308, "http://other.test/c")})
    http_client = httpx.AsyncClient(
        transport=httpx.MockTransport(server),
        params={"token": "secret"},
        headers={"x-own": "secret"},
        cookies={"session": "secret"},
        auth=lambda request: (request.headers.update({"x-auth": "secret"}), request)[1],
        follow_redirects=True,
    )
    async with AsyncRetell(KEY, base_url=BASE, http_client=http_client) as client:
        raw = await client.send_raw(get(), {"extra_headers": {"x-call": "secret"}})
    assert raw.json() == {"thing_id": "/c"}
    first, second, third = server.requests
    assert [str(request.url) for request in server.requests] == [
        f"{BASE}/get-thing/thing_1?token=secret",
        "http://retell.test/b?x=1",
        "http://other.test/c",
    ]
    assert (second.headers["authorization"], second.headers["x-own"], second.headers["x-auth"]) == (f"Bearer {KEY}", "secret", "secret")
    assert first.headers["cookie"] == second.headers["cookie"] == "session=secret"
    assert "secret" not in str(third.headers.raw)
    assert "authorization" not in third.headers
    assert third.headers["host"] == "other.test"


@pytest.mark.anyio
@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("follows", [False, True])
async def test_what_creates_is_sent_nowhere_else(status: int, follows: bool) -> None:
    server = Server({"/prefix/create-thing": (status, "/call/%2B14155550100?token=abc")})
    own = httpx.AsyncClient(transport=httpx.MockTransport(server), follow_redirects=follows)
    async with AsyncRetell(KEY, base_url=BASE, http_client=own) as client:
        with pytest.raises(
            errors.APIStatusError, match=rf"{status} - .*a redirect to http://retell.test/call/%2B141\*+00\?…, where"
        ) as caught:
            await client.send(CREATE.request(body={}), {})
        assert not isinstance(caught.value, errors.OutcomeUnknownError)
    assert len(server.requests) == 1
    assert "abc" not in str(caught.value)


@pytest.mark.anyio
async def test_a_target_is_told_as_it_was_sent() -> None:
    server = Server({"/prefix/create-thing": (307, "/x%0A09:16%20CRITICAL%1b%5B2J")})
    async with AsyncRetell(KEY, base_url=BASE, http_client=httpx.AsyncClient(transport=httpx.MockTransport(server))) as client:
        with pytest.raises(errors.APIStatusError, match=r"a redirect to http://retell\.test/x%0A09:16%20CRITICAL%1b%5B2J, where"):
            await client.send(CREATE.request(body={}), {})


@pytest.mark.anyio
async def test_see_other_means_that_something_may_have_been_done() -> None:
    server = Server({"/prefix/create-thing": (303, "/things/1")})
    async with client_of(server) as client:
        with pytest.raises(errors.OutcomeUnknownError, match=r"a redirect to http://retell.test/things/1"):
            await client.send(CREATE.request(body={}), {})
    assert len(server.requests) == 1


@pytest.mark.anyio
async def test_a_list_by_post_keeps_its_body() -> None:
    server = Server({"/prefix/v3/list-calls": (307, "/v4/list-calls")})
    async with client_of(server) as client:
        await client.send(LIST_BY_POST.request(body={"limit": 3}), {})
    assert [(request.method, json.loads(request.content)) for request in server.requests] == [("POST", {"limit": 3})] * 2


@pytest.mark.anyio
async def test_a_circle_and_too_long_a_way_end_in_one_error() -> None:
    circle = Server({"/prefix/get-thing/thing_1": (302, "/a"), "/a": (302, "/b"), "/b": (302, "/a")})
    async with client_of(circle) as client:
        with pytest.raises(errors.APIStatusError, match=r"302 - .*a redirect to http://retell.test/a, in a circle"):
            await client.send(get(), {})
    assert len(circle.requests) == 3
    spiral = Server({"/prefix/get-thing/thing_1": (302, "/0")} | {f"/{number}": (302, f"/{number + 1}") for number in range(50)})
    async with client_of(spiral) as client:
        with pytest.raises(errors.APIStatusError, match=r"302 - .*after 20 others"):
            await client.send(get(), {})
    assert len(spiral.requests) == 21


@pytest.mark.anyio
async def test_a_redirect_without_a_target_is_one_error() -> None:
    async with client_of(Server({"/prefix/get-thing/thing_1": (302, None)})) as client:
        with pytest.raises(errors.APIStatusError, match=r"302 - .*a redirect to nowhere: it has no Location"):
            await client.send(get(), {})


@pytest.mark.anyio
async def test_another_origin_that_wants_a_key_is_named() -> None:
    def serve(request: httpx.Request) -> httpx.Response:
        if request.url.scheme == "http":
            return httpx.Response(308, headers={"location": "https://retell.test/prefix/get-thing/thing_1"})
        return httpx.Response(401, json={})

    async with client_of(serve) as client:
        with pytest.raises(
            errors.APIStatusError, match=r"308 - .*https://retell.test/prefix/.*another origin, which got no API key"
        ) as caught:
            await client.send(get(), {})
    assert caught.value.status_code == 308


@pytest.mark.anyio
@pytest.mark.soak
@pytest.mark.parametrize("given", [False, True])
async def test_redirects_over_connections(given: bool) -> None:
    async with serving() as other, serving() as server:
        moves = {"/get-thing/thing_1": f"{server.url}/b", "/b": f"{other.url}/c", "/get-thing/streamed": "/b", "/v3/list-calls": "/b"}

        def respond(path: str) -> bytes:
            return ok() if path not in moves else b"HTTP/1.1 307 T\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % moves[path].encode()

        server.respond = respond
        http_client = DefaultAsyncHttpxClient() if given else None
        async with AsyncRetell(KEY, base_url=server.url, http_client=http_client, max_retries=0) as client:
            assert (await client.send(get(), {})).thing_id == "1"
            async with client.stream(get("streamed"), {}) as response:
                assert response.status_code == 200
            with pytest.raises(errors.APIStatusError, match=r"307 - .*another origin, and this POST has a body"):
                await client.send(LIST_BY_POST.request(body={}), {})
            moves["/create-knowledge-base"] = "/b"
            with pytest.raises(errors.APIStatusError, match=r"307 - .*where this POST is not sent too"):
                await client.send(UPLOAD.request(body={"knowledge_base_name": "n"}), {})
    assert all(KEY.encode() in request for request in server.requests)
    assert len(other.requests) == 2
    assert not any(KEY.encode() in request for request in other.requests)
