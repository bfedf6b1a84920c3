"""Clients with settings of their own."""

from __future__ import annotations

import os
from typing import Any

import httpx
import retell
from retell import AsyncClient, AsyncRetell, Client, DefaultAsyncHttpxClient, DefaultHttpxClient, Omit, Retell, Timeout

SEEN: list[httpx.Request] = []


def serve(request: httpx.Request) -> httpx.Response:
    SEEN.append(request)
    return httpx.Response(
        200,
        json={
            "agent_id": "agent_1",
            "items": [],
            "has_more": False,
            "last_modification_timestamp": 1,
            "voice_id": "v",
            "response_engine": {"type": "retell-llm", "llm_id": "l"},
            "version": 0,
        },
    )


def program_http_clients() -> None:
    def log(request: httpx.Request) -> None:
        hooked.append(str(request.url))

    hooked: list[str] = []
    with Retell(
        http_client=DefaultHttpxClient(
            transport=httpx.HTTPTransport(local_address="127.0.0.1"), event_hooks={"request": [log]}, timeout=httpx.Timeout(20, connect=2)
        )
    ) as client:
        assert client.agent.list().items == []
        assert client.timeout == httpx.Timeout(20, connect=2)
    assert hooked[0].startswith(os.environ["RETELL_BASE_URL"])
    own = httpx.Client(limits=httpx.Limits(max_connections=5), headers={"X-Team": "voice"})
    client = Retell(http_client=own)
    assert client.agent.list().items == []
    client.close()
    assert own.is_closed
    assert isinstance(DefaultHttpxClient(), httpx.Client)

    class Session(httpx.Client):
        sent = 0

        def send(self, request: httpx.Request, **settings: Any) -> httpx.Response:
            Session.sent += 1
            return super().send(request, **settings)

    with Retell(http_client=Session(transport=httpx.MockTransport(serve))) as client:
        client.agent.retrieve("agent_1")
    assert Session.sent == 1


async def program_http_clients_with_await() -> None:
    own = DefaultAsyncHttpxClient(transport=httpx.MockTransport(serve), timeout=7.0)
    async with AsyncRetell(http_client=own) as client:
        assert (await client.agent.retrieve("agent_1")).agent_id == "agent_1"
        assert client.timeout == httpx.Timeout(7.0)
    assert own.is_closed
    async with AsyncRetell(http_client=httpx.AsyncClient(trust_env=False)) as client:
        assert (await client.agent.list()).items == []


def program_options_of_a_view() -> None:
    client = Retell(
        api_key="key_0123456789", http_client=httpx.Client(transport=httpx.MockTransport(serve)), default_headers={"X-App": "a"}
    )
    SEEN.clear()
    client.with_options(max_retries=5, timeout=3.0).agent.retrieve("agent_1")
    client.with_options(default_headers={"X-More": "b"}, default_query={"q": "1"}).agent.retrieve("agent_1")
    client.copy(set_default_headers={"X-Only": "c"}).agent.retrieve("agent_1")
    client.agent.retrieve(
        "agent_1", extra_headers={"X-Own": "d", "X-App": Omit()}, extra_query={"z": "9"}, timeout=Timeout(5.0, connect=1.0)
    )
    client.agent.update("agent_1", agent_name="N", extra_body={"new_field": True})
    first, second, third, fourth, fifth = SEEN
    assert first.headers["x-app"] == "a"
    assert (second.headers["x-more"], second.url.params["q"]) == ("b", "1")
    assert ("x-app" in third.headers, third.headers["x-only"]) == (False, "c")
    assert ("x-app" in fourth.headers, fourth.headers["x-own"], fourth.url.params["z"]) == (False, "d", "9")
    assert fourth.extensions["timeout"]["connect"] == 1.0
    assert b'"new_field":true' in fifth.content.replace(b" ", b"")
    assert first.headers["authorization"] == "Bearer key_0123456789"
    client.api_key = "key_9876543210"
    client.agent.retrieve("agent_1")
    assert SEEN[-1].headers["authorization"] == "Bearer key_9876543210"
    assert client.max_retries == retell.DEFAULT_MAX_RETRIES


class Tracked(Retell):
    """A class of one's own, as those who add methods have it."""

    def __init__(self, tenant: str, **settings: Any) -> None:
        super().__init__(**settings)
        self.tenant = tenant

    @property
    def auth_headers(self) -> dict[str, str]:
        return {**super().auth_headers, "X-Tenant": self.tenant}

    def agent_names(self) -> list[str | None]:
        return [agent.agent_name for agent in self.agent.list().items or []]


class TrackedAsync(AsyncRetell):
    async def agent_names(self) -> list[str | None]:
        return [agent.agent_name for agent in (await self.agent.list()).items or []]


def program_subclasses() -> None:
    SEEN.clear()
    with Tracked("t1", http_client=httpx.Client(transport=httpx.MockTransport(serve))) as client:
        assert client.agent_names() == []
    assert SEEN[-1].headers["x-tenant"] == "t1"
    assert Client is Retell
    assert AsyncClient is AsyncRetell


async def program_subclasses_with_await() -> None:
    async with TrackedAsync() as client:
        assert await client.agent_names() == []


def program_the_environment() -> None:
    os.environ["RETELL_CUSTOM_HEADERS"] = "X-From-Env: yes\nX-Other: 2"
    try:
        client = Retell(http_client=httpx.Client(transport=httpx.MockTransport(serve)))
    finally:
        del os.environ["RETELL_CUSTOM_HEADERS"]
    SEEN.clear()
    client.agent.retrieve("agent_1")
    assert SEEN[-1].headers["x-from-env"] == "yes"
    assert str(client.base_url).rstrip("/") == os.environ["RETELL_BASE_URL"]
    assert client.api_key == os.environ["RETELL_API_KEY"]
    clients = {
        tenant: Retell(api_key=f"key_{tenant}_0123456", http_client=httpx.Client(transport=httpx.MockTransport(serve)))
        for tenant in ("a", "b")
    }
    for tenant, own in clients.items():
        own.agent.retrieve("agent_1")
        assert SEEN[-1].headers["authorization"].startswith(f"Bearer key_{tenant}")
        own.close()
