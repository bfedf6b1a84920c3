"""Faults on a real connection, as httpx sees them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import anyio
import httpx
import pytest

from retell_async.sandbox import Fault, Sandbox, Served, serve

pytestmark = [pytest.mark.anyio, pytest.mark.soak]

HEADERS = {"Authorization": "Bearer key_of_nobody"}


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serve() as served:
        yield served


@pytest.fixture
async def http(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(headers=HEADERS, base_url=served.url, timeout=2) as client:
        yield client


def llms(sandbox: Sandbox) -> int:
    return len(sandbox.store.llms.entries)


async def create(http: httpx.AsyncClient) -> httpx.Response:
    return await http.post("/create-retell-llm", json={})


@pytest.mark.parametrize("acted", [False, True])
async def test_a_reset(served: Served, http: httpx.AsyncClient, acted: bool) -> None:
    served.sandbox.faults.add(Fault(kind="reset", acted=acted, times=1))
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        await create(http)
    assert llms(served.sandbox) == int(acted)
    assert (await create(http)).status_code == 201


@pytest.mark.parametrize("acted", [False, True])
async def test_a_timeout(served: Served, http: httpx.AsyncClient, acted: bool) -> None:
    served.sandbox.faults.add(Fault(kind="timeout", acted=acted, times=1))
    with pytest.raises(httpx.ReadTimeout):
        await http.post("/create-retell-llm", json={}, timeout=0.1)
    assert llms(served.sandbox) == int(acted)
    (received,) = served.sandbox.log
    assert (received.status, received.faults) == (None, ("timeout",))


async def test_a_silence_ends_in_a_reset(served: Served, http: httpx.AsyncClient) -> None:
    served.sandbox.faults.add(Fault(kind="timeout", seconds=0.05))
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        await create(http)


async def test_latency_goes_on_without_the_caller(served: Served, http: httpx.AsyncClient) -> None:
    served.sandbox.faults.add(Fault(kind="latency", seconds=0.3))
    with pytest.raises(httpx.ReadTimeout):
        await http.post("/create-retell-llm", json={}, timeout=0.05)
    assert llms(served.sandbox) == 0
    begun = time.monotonic()
    assert (await create(http)).status_code == 201
    assert time.monotonic() - begun >= 0.3
    await anyio.sleep(0.1)
    assert llms(served.sandbox) == 2


async def test_a_truncated_and_a_malformed_body(served: Served, http: httpx.AsyncClient) -> None:
    served.sandbox.faults.add(Fault(kind="truncated", times=1))
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete"):
        await create(http)
    served.sandbox.faults.add(Fault(kind="malformed", times=1))
    answer = await create(http)
    assert answer.status_code == 201
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        answer.json()
    assert llms(served.sandbox) == 2


async def test_an_error_with_a_date_to_wait_for(served: Served, http: httpx.AsyncClient) -> None:
    served.sandbox.faults.add(Fault(kind="rate_limit", form="date", retry_after=3))
    answer = await create(http)
    assert answer.status_code == 429
    assert answer.headers["retry-after"].endswith(" GMT")
    assert llms(served.sandbox) == 0
