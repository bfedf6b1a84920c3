"""Placing a call once, whatever happens in between: what is sent again, what is looked for, and what stays unknown."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import attrs

from ..._core.errors import OutcomeUnknownError
from ..._engine.limits import RateLimit

if TYPE_CHECKING:
    from ..._client import AsyncRetell

__all__ = ["Placing"]

_LOOK = 20.0  # seconds for which a call is looked for whose outcome is not known
_LONG_AGO = 1.0  # Unix time: what was sent so long ago is not sent again, whatever the clock says


class Placing:
    """Places calls. Requests are the keywords of `call.create_phone_call`, the same each time, with a key that their metadata has too."""

    def __init__(self, client: AsyncRetell) -> None:
        policy = client._settings.retry  # pyright: ignore[reportPrivateUsage]
        self._client = client
        # It leaves now or not at all: whoever has leave to send it has it for a moment.
        self._now = client.with_options(rate_limits={"call.create_phone_call": RateLimit(max_wait=0)})
        self._again = client.with_options(retry=attrs.evolve(policy, on_unknown_outcome="reconcile", reconcile_within=_LOOK))

    async def place(self, request: Mapping[str, Any], age: float | None) -> str:
        """Place a call, and give its id; that of the one that was placed already, if it was.

        :param age: seconds since it was sent first, by whoever did not live to see the answer; ``None`` if it was not.
        :raises OutcomeUnknownError: nobody can know whether it was placed.
        :raises RateLimitError: it was not placed, and may be later.
        :raises APIError: it was not placed.
        """
        since = time.time() - (age or 0.0)
        if age is None:
            with suppress(OutcomeUnknownError):
                return (await self._now.call.create_phone_call(**request)).call_id
        return await self._sent_before(request, since)

    async def find(self, request: Mapping[str, Any]) -> str:
        """Look for the call of a request that was sent before, and give its id. Nothing is sent.

        :raises OutcomeUnknownError: there is none, as far as can be known.
        """
        return await self._sent_before(request, _LONG_AGO)

    async def _sent_before(self, request: Mapping[str, Any], since: float) -> str:
        # Within the key's hour it is sent again, as it was; after it, the list of calls is searched for what the metadata says.
        return (await self._again.call.create_phone_call(**request, idempotency_key_since=since)).call_id
