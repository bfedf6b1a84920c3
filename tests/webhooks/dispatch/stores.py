"""Stores of deliveries of several kinds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
import trio
import trio.testing

from retell_async.webhooks import Claim, MemoryStore


class Recorded(MemoryStore):
    """Notes what is asked of it; claims, being a store of today, are what the memory says."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.log: list[str] = []
        self.renewed: Callable[[], object] = lambda: None

    async def claim(self, key: str) -> Claim:
        self.log.append("claim")
        return await super().claim(key)

    async def renew(self, key: str) -> bool:
        self.log.append("renew")
        self.renewed()
        return await super().renew(key)

    async def done(self, key: str) -> None:
        await anyio.lowlevel.checkpoint()
        self.log.append("done")
        await super().done(key)

    async def release(self, key: str) -> None:
        await anyio.lowlevel.checkpoint()
        self.log.append("release")
        await super().release(key)


class Legacy:
    """A store of the kind that there was before leases."""

    def __init__(self) -> None:
        self.keys: set[str] = set()

    async def claim(self, key: str) -> bool:
        await anyio.lowlevel.checkpoint()
        if key in self.keys:
            return False
        self.keys.add(key)
        return True

    async def release(self, key: str) -> None:
        await anyio.lowlevel.checkpoint()
        self.keys.discard(key)


class Minimal:
    """A store with no more than the three methods, whose answers are the values of `Claim`."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}

    async def claim(self, key: str) -> Any:
        if key in self.kept:
            return self.kept[key]
        self.kept[key] = "in_progress"
        return "mine"

    async def done(self, key: str) -> None:
        self.kept[key] = "done"

    async def release(self, key: str) -> None:
        self.kept.pop(key, None)


def in_virtual_time(main: Callable[[], Awaitable[None]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Run under trio's clock, which stands for the store's as well."""
    monkeypatch.setattr("retell_async.webhooks._dispatch.store.time.monotonic", trio.current_time)
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
