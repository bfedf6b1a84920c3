"""Claims on deliveries, by the user's store: its errors are logged and go no further, and it may take no longer than its time."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import anyio

from retell_async._core.attempt import Done, Failed, attempt, attempt_here
from retell_async._core.errors import ConfigurationError
from retell_async._core.masking import mask_text
from retell_async._logs import Log

from .store import LEASE, Claim, DeliveryStore, LegacyStore

__all__ = ["Claims"]

ResultT = TypeVar("ResultT")

_SETTLE_TIMEOUT = 5.0

_logger = Log("retell_async.webhooks")


class Claims:
    """Which deliveries this process handles and which others do.

    :raises ConfigurationError: the store lacks a method, or its lease is not above 0.
    """

    def __init__(self, store: DeliveryStore | LegacyStore) -> None:
        for method in ("claim", "release"):
            if not callable(getattr(store, method, None)):
                raise ConfigurationError(f"the store has no method {method}: see DeliveryStore")
        self._store = store
        self._renew: Callable[[str], Awaitable[bool]] | None = getattr(store, "renew", None)
        self._done: Callable[[str], Awaitable[None]] | None = getattr(store, "done", None)
        self._lease: float = math.inf if self._done is None else getattr(store, "lease", LEASE)
        if not self._lease > 0:
            raise ConfigurationError("the store's lease must be above 0 seconds")
        self._held: dict[str, float] = {}
        """What this process handles now, and when it was claimed. A `LegacyStore` cannot tell that from what is done."""

    async def claim(self, key: str, until: float, refuse: Callable[[], Awaitable[None]]) -> Claim | None:
        """Claim a delivery. `settle` has to follow on `Claim.MINE`.

        ``None`` when the store failed, or did not answer by `until` or within its lease: then `refuse` is called at once, and a claim that
        the store carried out all the same is released, since the delivery would otherwise be taken for handled when it is sent again. The
        claim is also released when the caller is cancelled.
        """
        if key in self._held:
            return Claim.IN_PROGRESS
        self._held[key] = anyio.current_time()
        until = min(until, self._held[key] + self._lease)
        claims: list[Claim] = []  # what the store answered, once it did
        answered = anyio.Event()
        asking = anyio.CancelScope(deadline=until + _SETTLE_TIMEOUT, shield=True)

        async def claim() -> None:
            with asking:
                claims.append(self._claim(await self._store.claim(key)))

        async def ask() -> None:
            try:
                _log_failure("claim", await attempt_here(claim))
            except GeneratorExit as error:  # of the store, or since the event loop is gone
                _log_failure("claim", Failed(error))
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
                    _logger.error("the store of deliveries does not answer to a claim")
                late = not claims
                if late:
                    await refuse()
        except GeneratorExit:
            self.forget(key)
            raise
        except BaseException:
            await self._release_unused(key, claims)
            raise
        if late:
            await self._release_unused(key, claims)
            return None
        if claims[0] is not Claim.MINE:
            self.forget(key)
        return claims[0]

    async def _release_unused(self, key: str, claims: Sequence[Claim]) -> None:
        """Undo a claim that is not wanted any more.

        One that the store has not answered may have been carried out, or be somebody else's, and a `LegacyStore` releases that as well.
        """
        if claims[:1] == [Claim.MINE] or not (claims or self._done is None):
            await self.settle(key, succeeded=False)
            return
        self.forget(key)
        if not claims:
            _logger.error(
                "%s counts as done if the store took the claim, and is lost then: it has no leases, and who has it is not known", key
            )

    def _claim(self, answer: object) -> Claim:
        with contextlib.suppress(ValueError):
            return Claim(answer.decode() if isinstance(answer, bytes) else answer)
        if answer:
            return Claim.MINE
        if self._done is None:
            return Claim.DONE
        _logger.warning("the store of deliveries answered %r to a claim, which does not say that it is done: taken as in progress", answer)
        return Claim.IN_PROGRESS

    async def keep_renewed(self, key: str, scope: anyio.CancelScope) -> None:
        """Renew the lease of a claim until the scope is cancelled or the lease is lost."""
        renew = self._renew
        if renew is None:
            return

        async def renewed() -> bool:
            return bool(await renew(key))

        begun = self._held[key]
        with scope:
            while True:
                await anyio.sleep_until(begun + self._lease / 3)
                begun = anyio.current_time()
                outcome = None
                with anyio.move_on_after(self._lease / 3):
                    outcome = _log_failure("renewal", await attempt(renewed))
                if outcome is None:
                    _logger.error("the store of deliveries does not answer to a renewal")
                elif outcome == Done(False):
                    _logger.warning("the lease of %s lapsed while it was being handled: it may be handled twice", key)
                    return

    async def settle(self, key: str, *, succeeded: bool) -> None:
        """Tell the store how the handling ended, even when the caller is cancelled. If the store fails, the lease lapses."""
        try:
            with anyio.move_on_after(_SETTLE_TIMEOUT, shield=True) as waiting:
                if not succeeded:
                    _log_failure("release", await attempt(lambda: self._store.release(key)))
                elif (done := self._done) is not None:
                    _log_failure("done", await attempt(lambda: done(key)))
            if waiting.cancelled_caught:
                _logger.error("the store of deliveries does not take how %s ended", key)
        finally:
            self.forget(key)

    def forget(self, key: str) -> None:
        """Let the lease of a claim lapse: for when nothing can be awaited any more."""
        self._held.pop(key, None)


def _log_failure(what: str, outcome: Done[ResultT] | Failed) -> Done[ResultT] | Failed:
    if isinstance(outcome, Failed):
        error = outcome.error
        _logger.error("the store of deliveries failed at a %s: %s: %s", what, type(error).__name__, mask_text(str(error)))
        outcome.raise_if_exit()
    return outcome
