"""How well a dispatch uses what it may: ten thousand calls in virtual time."""

from __future__ import annotations

import gc
from collections import Counter, deque
from typing import Any

import httpx
import pytest
import trio

from retell_async import AsyncRetell

from .account import LIST, PLACE, ROOM, Account, request

CALLS, LIVE = 10_000, 200


class Lean(Account):
    """An account that keeps no more than it needs, and counts requests."""

    def __init__(self) -> None:
        super().__init__(limit=LIVE, lasts=lambda _: 2.0, analysed=0.5, latency=0.05, delay=0.05)
        self.requests: Counter[str] = Counter()
        self.server.arrivals = deque(maxlen=1)  # type: ignore[assignment]
        self.server.bodies = deque(maxlen=1)  # type: ignore[assignment]
        self.filled: tuple[float, float] | None = None
        self.last: tuple[float, float] = 0.0, 0.0

    def answer(self, request: httpx.Request, now: float) -> httpx.Response | Exception:
        self.requests[next(path for path in (PLACE, ROOM, LIST, "") if path in request.url.path)] += 1
        answer = super().answer(request, now)
        if PLACE in request.url.path:
            self.last = trio.current_time(), self.live_seconds
            if self.filled is None and len(self.open) == LIVE:
                self.filled = self.last
        return answer

    async def _live(self, name: str, seconds: float) -> None:
        await super()._live(name, seconds)
        del self.calls[name]


@pytest.mark.soak
@pytest.mark.parametrize("until", ["ended", "analyzed"])
def test_ten_thousand_calls_keep_the_slots_in_use_and_the_memory_flat(until: Any) -> None:
    account = Lean()
    sizes: list[int] = []

    async def main(client: AsyncRetell) -> None:
        done = 0
        async with client.dispatch(map(request, range(CALLS)), until=until, router=account) as outcomes:
            async for outcome in outcomes:
                assert outcome.status == until
                done += 1
                if done % 2000 == 0:
                    gc.collect()
                    sizes.append(len(gc.get_objects()))
        assert done == CALLS

    account.run(main)
    assert account.filled is not None
    (began, before), (ended, after) = account.filled, account.last
    use = (after - before) / (ended - began) / LIVE
    beside = (account.requests.total() - CALLS) / CALLS
    print(f"{until}: {use:.1%} of the slots in use, {beside:.4f} requests a call beside the placement, objects: {sizes}")
    assert account.requests[PLACE] == CALLS
    assert account.most <= LIVE
    assert use >= 0.95
    assert beside <= 1
    # One object kept for each call would be four thousand from the second figure to the fourth; those of calls in flight come and go.
    assert max(sizes[1:]) < sizes[1] + CALLS / 4
