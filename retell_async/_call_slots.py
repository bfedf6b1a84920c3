"""Holding back new calls while the account has no room for them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio

from ._core.errors import APIResponseValidationError, ConfigurationError

if TYPE_CHECKING:
    from ._client import AsyncRetell
    from .raw.models.get_concurrency_response import GetConcurrencyResponse

__all__ = ["CallSlots", "Occupancy", "room"]


def room(account: GetConcurrencyResponse, *, burst: bool = False) -> int:
    """How many more outbound or web calls the account could have at once when it answered so; never below 0.

    :param burst: count the room above the limit too, whose calls cost more, if the account has that switched on.
    :raises ValueError: the answer does not say.
    """
    limit = account.concurrency_limit
    if limit is None or account.current_concurrency is None:
        raise ValueError("the answer has no concurrency_limit or no current_concurrency")
    if burst and account.concurrency_burst_enabled and account.concurrency_burst_limit:
        limit = account.concurrency_burst_limit
    return max(limit - (account.reserved_inbound_concurrency or 0) - account.current_concurrency, 0)


class Occupancy:
    """What is known of the room for calls: what the account said last, less what was taken since then and it cannot know of."""

    def __init__(self) -> None:
        self._room = 0
        self._asked = 0
        self._starting = 0  # calls that are being created
        self._unseen: dict[int, int] = {}  # calls that were created, by the number of questions asked until then

    @property
    def free(self) -> int:
        return self._room - self._starting - sum(self._unseen.values())

    def asking(self) -> int:
        """Take note that the account is asked, and give the question's number. Calls created before it are in its answer."""
        self._asked += 1
        return self._asked

    def answered(self, question: int, room: int) -> None:
        """Take note of the answer."""
        self._room = room
        self._unseen = {asked: calls for asked, calls in self._unseen.items() if asked >= question}

    def take(self) -> None:
        """Take note that a call is about to be created."""
        self._starting += 1

    def created(self) -> None:
        """Take note that it was, or may have been."""
        self._starting -= 1
        self._unseen[self._asked] = self._unseen.get(self._asked, 0) + 1

    def failed(self) -> None:
        """Take note that it was not."""
        self._starting -= 1


class CallSlots:
    """Lets calls be created only while the account has room for them, by what `client.concurrency.retrieve` says.

    ``slots = CallSlots(client)``, and then ``async with slots.one(): await client.call.create_phone_call(...)`` for each call: the block is
    entered, first come, first served, when there is a free slot. Others who use the account are counted as often as it is asked.

    :param keep_free: so many slots are left to others.
    :param every: seconds between two questions while there is no room.
    :param burst: use the account's burst room too; its calls cost more.
    :raises ConfigurationError: a value cannot work.
    """

    def __init__(self, client: AsyncRetell, *, keep_free: int = 0, every: float = 2.0, burst: bool = False) -> None:
        if keep_free < 0 or not every > 0:
            raise ConfigurationError("keep_free must be 0 or more, and every above 0 seconds")
        self._client = client
        self._keep_free = keep_free
        self._every = every
        self._burst = burst
        self._occupancy = Occupancy()
        self._queue = anyio.Lock()
        self._clock: Callable[[], float] = anyio.current_time
        self._ask_at = 0.0

    @asynccontextmanager
    async def one(self) -> AsyncGenerator[None]:
        """Wait for a free slot, in which the block creates one call.

        A block that ends in an error is taken to have created one if it did not end before the call could be made: with `APIStatusError`
        the slot is free again at once, otherwise when the account says so.
        """
        async with self._queue:
            while self._occupancy.free <= self._keep_free:
                await self._ask()
            self._occupancy.take()
        from ._core.errors import APIStatusError, OutcomeUnknownError

        try:
            yield
        except OutcomeUnknownError:
            self._occupancy.created()
            raise
        except APIStatusError:
            self._occupancy.failed()
            raise
        except BaseException:
            self._occupancy.created()
            raise
        else:
            self._occupancy.created()

    async def _ask(self) -> None:
        wait = min(self._ask_at - self._clock(), self._every)  # no longer, if it was set in a run of trio whose clock began elsewhere
        if wait > 0:
            await anyio.sleep(wait)
        self._ask_at = self._clock() + self._every
        from .raw.api.concurrency import get_concurrency

        question = self._occupancy.asking()
        raw = await self._client.send_raw(get_concurrency.OPERATION.request(), {}, parse=True)
        try:
            free = room(raw.meaning, burst=self._burst)
        except ValueError as error:
            raise APIResponseValidationError(raw.http_response, raw.json(), message=str(error)) from error
        self._occupancy.answered(question, free)
