"""A store of deliveries as the router uses it: it costs no more than its time, and its errors are logged and go no further."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import anyio

from retell_async._core.errors import ConfigurationError
from retell_async._core.masking import mask_text

from .deliveries import LEASE, Claim
from .runner import Done, Failed, attempt, caught, log

if TYPE_CHECKING:
    from .deliveries import DeliveryStore, LegacyStore

__all__ = ["Claims"]

ResultT = TypeVar("ResultT")

_SETTLE_TIMEOUT = 5.0


class Claims:
    """Who handles which delivery, by a store and by what this process knows itself.

    :raises ConfigurationError: the store lacks a method, or its leases cannot be.
    """

    def __init__(self, store: DeliveryStore | LegacyStore) -> None:
        for method in ("claim", "release"):
            if not callable(getattr(store, method, None)):
                raise ConfigurationError(f"the store has no method {method}: see DeliveryStore")
        self._store = store
        self._renew: Callable[[str], Awaitable[bool]] | None = getattr(store, "renew", None)
        self._done: Callable[[str], Awaitable[None]] | None = getattr(store, "done", None)
        self._lease = getattr(store, "lease", LEASE)
        if not self._lease > 0:
            raise ConfigurationError("the store's lease must be above 0 seconds")
        self._mine: set[str] = set()
        """What this process handles now. A store of the old kind cannot tell that from what is done."""

    async def take(self, key: str, until: float, refuse: Callable[[], Awaitable[None]]) -> Claim | None:
        """Claim a delivery. What is taken is to be settled.

        ``None`` when the store failed or did not answer by `until`. Then `refuse` is called at once, and a claim that the store carried
        out all the same is given back: else the delivery would be taken for handled when it is sent again. So is one that is cancelled.
        """
        if key in self._mine:
            return Claim.IN_PROGRESS
        self._mine.add(key)
        claimed: list[Claim] = []  # what the store answered, once it did
        answered = anyio.Event()
        asking = anyio.CancelScope(deadline=until + _SETTLE_TIMEOUT, shield=True)

        async def claim() -> None:
            with asking:
                claimed.append(_claim(await self._store.claim(key)))

        async def ask() -> None:
            try:
                _told("claim", await caught(claim))
            finally:
                answered.set()

        late = False
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask)
                with anyio.CancelScope(deadline=until) as waiting:
                    try:
                        await answered.wait()
                    except GeneratorExit:  # the event loop is gone
                        raise
                    except BaseException:
                        asking.deadline = min(asking.deadline, anyio.current_time() + _SETTLE_TIMEOUT)
                        raise
                if waiting.cancelled_caught:
                    log.error("the store of deliveries does not answer to a claim")
                late = not claimed
                if late:
                    await refuse()
        except GeneratorExit:
            self.forget(key)
            raise
        except BaseException:
            await self._give_back(key, claimed)
            raise
        if late:
            await self._give_back(key, claimed)
            return None
        if claimed[0] is not Claim.MINE:
            self.forget(key)
        return claimed[0]

    async def _give_back(self, key: str, claimed: Sequence[Claim]) -> None:
        """Undo a claim that nobody waits for any more; one whose outcome is not known may have been carried out."""
        if not claimed or claimed[0] is Claim.MINE:
            await self.settle(key, well=False)
        else:
            self.forget(key)

    async def keep(self, key: str, scope: anyio.CancelScope) -> None:
        """Renew the lease of what was taken, until the scope is cancelled or the lease is lost."""
        renew = self._renew
        if renew is None:
            return

        async def renewed() -> bool:
            return bool(await renew(key))

        with scope:
            while True:
                await anyio.sleep(self._lease / 3)
                ended = None
                with anyio.move_on_after(self._lease / 3):
                    ended = _told("renewal", await attempt(renewed))
                if ended is None:
                    log.error("the store of deliveries does not answer to a renewal")
                elif ended == Done(False):
                    log.warning("the lease of %s lapsed while it was being handled: it may be handled twice", key)
                    return

    async def settle(self, key: str, *, well: bool) -> None:
        """Say how the handling of what was taken ended, also when cancelled. A store that does not take it lets the lease lapse."""
        try:
            with anyio.move_on_after(_SETTLE_TIMEOUT, shield=True) as waiting:
                if not well:
                    _told("release", await attempt(lambda: self._store.release(key)))
                elif (done := self._done) is not None:
                    _told("done", await attempt(lambda: done(key)))
            if waiting.cancelled_caught:
                log.error("the store of deliveries does not take how %s ended", key)
        finally:
            self.forget(key)

    def forget(self, key: str) -> None:
        """Leave what was taken to its lease: where nothing can be awaited any more."""
        self._mine.discard(key)


def _claim(answer: object) -> Claim:
    if isinstance(answer, bool):
        return Claim.MINE if answer else Claim.DONE
    return Claim(answer)


def _told(what: str, ended: Done[ResultT] | Failed) -> Done[ResultT] | Failed:
    """Log it if the store failed."""
    if isinstance(ended, Failed):
        error = ended.error
        log.error("the store of deliveries failed at a %s: %s: %s", what, type(error).__name__, mask_text(str(error)))
        ended.leave()
    return ended
