"""Outcomes whose reader is cancelled by asyncio itself, as a time-out does, in the turn in which they come."""

from __future__ import annotations

import asyncio

import httpx

from retell_async import AsyncRetell, Dispatch, Outcome, Progress

from ..engine.example import BASE_URL, KEY
from .account import request


def placed(sent: httpx.Request) -> httpx.Response:
    if "get-concurrency" in sent.url.path:
        return httpx.Response(200, json={"current_concurrency": 0, "concurrency_limit": 100})
    return httpx.Response(201, json={"call_id": "call_1", "call_type": "phone_call", "call_status": "registered", "agent_id": "a"})


def test_an_outcome_that_comes_as_its_reader_is_cancelled_is_read_next() -> None:
    async def main() -> list[int]:
        waits: list[asyncio.Future[Outcome]] = []
        found: list[int] = []
        cancelled = 0

        def hook(progress: Progress) -> None:
            if progress.done % 3 == 1 and waits:
                waits[-1].cancel()

        async def read(outcomes: Dispatch) -> Outcome:
            return await anext(outcomes)

        http_client = httpx.AsyncClient(transport=httpx.MockTransport(placed))
        async with AsyncRetell(KEY, base_url=BASE_URL, http_client=http_client) as client:
            requests = [request(number) for number in range(20)]
            async with client.dispatch(requests, until="placed", live=2, on_progress=hook) as outcomes:
                while True:
                    waits.append(asyncio.ensure_future(read(outcomes)))
                    try:
                        found.append((await waits[-1]).index)
                    except asyncio.CancelledError:
                        cancelled += 1
                    except StopAsyncIteration:
                        break
        assert cancelled
        return found

    assert sorted(asyncio.run(main())) == list(range(20))
