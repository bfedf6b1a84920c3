# pyright: reportDeprecated=false
"""Holding back new calls while the account has no room for them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

import anyio

from ._core.errors import ConfigurationError, unusable
from ._logs import Log

if TYPE_CHECKING:
    from ._client import AsyncRetell
    from .raw.models.get_concurrency_response import GetConcurrencyResponse

__all__ = ["CallSlots", "Occupancy", "Slot", "most"]

_logger = Log("retell_async")


def most(account: GetConcurrencyResponse, *, burst: bool = False) -> int:
    """How many outbound and web calls the account may have at once, when it answered so.

    :param burst: count those above the limit too, which cost more, if the account has that switched on.
    :raises ValueError: the answer does not say.
    """
    limit = account.concurrency_limit
    if limit is None or account.current_concurrency is None:
        raise ValueError("the answer has no concurrency_limit or no current_concurrency")
    if burst and account.concurrency_burst_enabled and account.concurrency_burst_limit:
        limit = account.concurrency_burst_limit
    return limit - (account.reserved_inbound_concurrency or 0)


class Slot:
    """Room for one call, until somebody says that the call is over."""

    def __init__(self, slots: CallSlots) -> None:
        self._slots: CallSlots | None = slots
        self.asked = 0
        """How many questions there were before the call was created."""

    def ended(self) -> None:
        """Take note that the call is over. Said again, it says nothing new."""
        slots, self._slots = self._slots, None
        if slots is not None:
            slots.ended(self)


class Occupancy:
    """What is known of the room for calls: what the account said last, and what has changed since then that it cannot know of."""

    def __init__(self) -> None:
        self._room = 0  # below 0 where the account has more calls than it may
        self._asked = 0
        self._starting = 0  # calls that are being created
        self._unseen: dict[int, int] = {}  # calls that were created, by the number of questions asked until then
        self._held: set[Slot] = set()  # calls whose end will be told
        self._late = 0  # so many of those had ended before the account answered: what is told of them is in its answer

    @property
    def free(self) -> int:
        return self._room - self._starting - sum(self._unseen.values())

    def asking(self) -> int:
        """Take note that the account is asked, and give the question's number. Calls created before it are in its answer."""
        self._asked += 1
        return self._asked

    def answered(self, question: int, room: int, live: int = 0) -> None:
        """Take note of the answer: how many more calls there may be, and how many there are."""
        self._room = room
        self._unseen = {asked: calls for asked, calls in self._unseen.items() if asked >= question}
        self._late = max(sum(slot.asked < question for slot in self._held) - live, 0)

    def take(self) -> None:
        """Take note that a call is about to be created."""
        self._starting += 1

    def created(self, slot: Slot | None = None) -> None:
        """Take note that it was, or may have been.

        :param slot: what its end will be told of.
        """
        self._starting -= 1
        self._unseen[self._asked] = self._unseen.get(self._asked, 0) + 1
        if slot is not None:
            slot.asked = self._asked
            self._held.add(slot)

    def failed(self) -> None:
        """Take note that it was not."""
        self._starting -= 1

    def ended(self, slot: Slot) -> None:
        """Take note that a call is over."""
        self._held.remove(slot)
        if slot.asked in self._unseen:
            self._unseen[slot.asked] -= 1
        elif self._late:
            self._late -= 1
        else:
            self._room += 1


class CallSlots:
    """Lets calls be created only while the account has room for them, by what `client.concurrency.retrieve` says.

    ``slots = CallSlots(client)``, and then ``async with slots.one(): await client.call.create_phone_call(...)`` for each call: the block is
    entered, first come, first served, when there is a free slot. Others who use the account are counted as often as it is asked.

    :param keep_free: so many slots are left to others.
    :param every: seconds between two questions while there is no room.
    :param burst: use the account's burst room too; its calls cost more.
    :raises ConfigurationError: a value cannot work. The first block raises it too, if the account has no more slots than `keep_free`.
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
        self._changed: anyio.Event | None = None
        self._clock: Callable[[], float] = anyio.current_time
        self._ask_at = 0.0
        self._limit: int | None = None

    @asynccontextmanager
    async def one(self) -> AsyncGenerator[None]:
        """Wait for a free slot, in which the block creates one call.

        A block that ends in an error is taken to have created one if it did not end before the call could be made: with `APIStatusError`
        the slot is free again at once, otherwise when the account says so.
        """
        async with self._place(None):
            yield

    @asynccontextmanager
    async def hold(self) -> AsyncGenerator[Slot]:
        """The same for those who learn when the call is over, and then say so: ``slot.ended()`` frees the slot without a question."""
        slot = Slot(self)
        async with self._place(slot):
            yield slot

    async def limit(self) -> int:
        """How many calls there may be at once, those of others included, without the slots that are left to them. Asks the account once."""
        async with self._queue:
            if self._limit is None:
                await self._ask()
            return max(cast("int", self._limit) - self._keep_free, 0)

    def ended(self, slot: Slot) -> None:
        """Take note that the call in a slot is over: what ``slot.ended()`` does."""
        self._occupancy.ended(slot)
        self._look_again()

    @asynccontextmanager
    async def _place(self, slot: Slot | None) -> AsyncGenerator[None]:
        async with self._queue:
            while self._occupancy.free <= self._keep_free:
                await self._ask()
            self._occupancy.take()
        from ._core.errors import APIConnectionError, APIStatusError, OutcomeUnknownError

        try:
            yield
        except OutcomeUnknownError:
            self._occupancy.created()
            raise
        except (APIStatusError, APIConnectionError) as error:
            if isinstance(error, APIConnectionError) and error.sent:
                self._occupancy.created()
            else:
                self._occupancy.failed()
                self._look_again()
            raise
        except BaseException:
            self._occupancy.created()
            raise
        else:
            self._occupancy.created(slot)

    def _look_again(self) -> None:
        if self._changed is not None:
            self._changed.set()

    async def _ask(self) -> None:
        """Ask the account when it is time to, unless something changes before."""
        wait = min(self._ask_at - self._clock(), self._every)  # no longer, if it was set in a run of trio whose clock began elsewhere
        if wait > 0:
            self._changed = anyio.Event()
            with anyio.move_on_after(wait):
                await self._changed.wait()
                return
        self._ask_at = self._clock() + self._every
        from .raw.api.concurrency import get_concurrency

        question = self._occupancy.asking()
        raw = await self._client.send_raw(get_concurrency.OPERATION.request(), {}, parse=True)
        account = raw.meaning
        try:
            limit = most(account, burst=self._burst)
        except ValueError as error:
            raise unusable(raw.http_response, raw.json(), message=str(error)) from error
        live = cast("int", account.current_concurrency)
        self._check_limit(limit)
        self._limit = limit
        self._occupancy.answered(question, limit - live, live)

    def _check_limit(self, limit: int) -> None:
        """Say it once if there can be no call at all, as long as the account has this limit.

        :raises ConfigurationError: it is so from the beginning, and `keep_free` is why.
        """
        if limit > self._keep_free or limit == self._limit:
            return
        text = f"keep_free={self._keep_free} leaves no slot: the account has {max(limit, 0)} for outbound and web calls"
        if self._limit is None and limit > 0:
            raise ConfigurationError(f"{text}; give keep_free a lower value")
        _logger.warning("%s, and no call is placed until it has more", text)
