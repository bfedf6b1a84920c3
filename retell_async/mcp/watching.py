# pyright: reportDeprecated=false
"""Telling who watches a call that it changed. One question asks for all calls that are watched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import anyio
import attrs

from .._client import AsyncRetell
from .._core.errors import RetellError
from .._core.masking import mask_text
from .._logs import Log
from .addresses import read_address
from .consent import digest

__all__ = ["EVERY", "Watching"]

EVERY = 3.0
"""Seconds from one question to the next."""

_MOST = 1000  # calls that one page of a list holds

_logger = Log("retell_async")


@attrs.define(eq=False)
class Watching:
    """The addresses that are watched.

    :param changed: told the address of what changed.
    :param every: seconds from one look to the next. Nothing is asked while nobody watches.
    """

    client: AsyncRetell
    changed: Callable[[str], Awaitable[None]]
    every: float = EVERY
    _watched: Counter[str] = attrs.field(factory=Counter[str], init=False)
    _seen: dict[str, str] = attrs.field(factory=dict[str, str], init=False)
    """What each call looked like, by its id."""
    _woken: anyio.Event = attrs.field(factory=lambda: anyio.Event(), init=False)  # noqa: PLW0108 - anyio loads it when it is asked for

    def watch(self, addresses: Iterable[str]) -> list[str]:
        """Watch these from the next look on, and give those that can be watched."""
        some = [address for address in addresses if _call_of(address) is not None]
        self._watched.update(some)
        self._woken.set()
        return some

    async def look(self) -> None:
        """Look at all that is watched, and tell what changed since the last time. An outage of the API is waited out."""
        try:
            await self._look()
        except RetellError as error:
            _logger.info("watching calls: %s; it is asked again", mask_text(str(error)))

    def leave(self, addresses: Iterable[str]) -> None:
        """Watch these no more, as often as they were watched."""
        self._watched.subtract(addresses)
        self._watched = +self._watched
        ids = {_call_of(address) for address in self._watched}
        self._seen = {call_id: look for call_id, look in self._seen.items() if call_id in ids}

    async def run(self) -> None:
        """Look again and again, until it is cancelled."""
        while True:
            self._woken = anyio.Event()
            if self._watched:
                await self.look()
                with anyio.move_on_after(self.every):
                    await self._woken.wait()
            else:
                await self._woken.wait()

    async def _look(self) -> None:
        ids = sorted({call_id for address in self._watched if (call_id := _call_of(address)) is not None})
        for some in (ids[first : first + _MOST] for first in range(0, len(ids), _MOST)):
            found = await self._fetch(some)
            for call_id in some:
                look = found.get(call_id, "gone")
                before = self._seen.get(call_id)
                self._seen[call_id] = look
                if before is not None and before != look:
                    for address in [address for address in self._watched if _call_of(address) == call_id]:
                        await self.changed(address)

    async def _fetch(self, ids: Sequence[str]) -> dict[str, str]:
        criteria: Any = {"call_id": {"type": "enum", "op": "in", "value": list(ids)}}
        return {call.call_id: digest(call.to_dict()) async for call in self.client.call.list(filter_criteria=criteria, limit=_MOST)}


def _call_of(address: str) -> str | None:
    try:
        return read_address(address)[0]
    except ValueError:
        return None
