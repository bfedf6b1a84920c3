"""Placing a call once, whatever happens in between: what is sent again, what is looked for, and what stays unknown."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from ..._dispatch.begin import placing
from ..._engine.limits import RateLimit
from ..._engine.retry import KEY_LIFETIME

if TYPE_CHECKING:
    from ..._client import AsyncRetell

__all__ = ["Placing"]

_LOOK = 20.0  # seconds for which a call is looked for whose outcome is not known, before it is given up
_GLANCE = 3.0  # the same where its key is still known, and it can be sent again
_LONG_AGO = 1.0  # Unix time: what was sent so long ago is not sent again, whatever the clock says


class Placing:
    """Places calls. Requests are the keywords of `call.create_phone_call`, the same each time, with a key that their metadata has too."""

    def __init__(self, client: AsyncRetell) -> None:
        policy = client._settings.retry  # pyright: ignore[reportPrivateUsage]
        # It leaves now or not at all, and once: whoever has leave to send it has it for a moment.
        self._first = client.with_options(max_retries=0, rate_limits={"call.create_phone_call": RateLimit(max_wait=0)})
        again = attrs.evolve(policy, on_unknown_outcome="reconcile", reconcile_within=_GLANCE)
        self._again = self._first.with_options(retry=again)
        self._last = self._first.with_options(retry=attrs.evolve(again, reconcile_within=_LOOK))

    async def place(self, request: Mapping[str, Any], age: float | None, on_leave: Callable[[], object] | None = None) -> str:
        """Send the request for a call once, and give the call's id; that of the one that was placed already, if it was.

        After the hour of its key nothing is sent: the call is looked for.

        :param age: seconds since it was sent first; ``None`` if it was not.
        :param on_leave: called when it goes out.
        :raises OutcomeUnknownError: it is not known whether it was placed.
        :raises RateLimitError: it was not placed, and may be later.
        :raises APIError: it was not placed.
        """
        if age is None:
            return await _send(self._first, request, on_leave)
        client = self._again if self.is_known(age) else self._last
        return await _send(client, {**request, "idempotency_key_since": time.time() - age}, on_leave)

    async def find(self, request: Mapping[str, Any]) -> str:
        """Look for the call of a request that was sent before, and give its id. Nothing is sent.

        :raises OutcomeUnknownError: there is none, as far as can be known.
        """
        return await _send(self._last, {**request, "idempotency_key_since": _LONG_AGO}, None)

    @staticmethod
    def is_known(age: float) -> bool:
        """Whether the API knows the key still of what was sent first so many seconds ago, and a repeat under it is no second call."""
        return 0 <= age < KEY_LIFETIME


async def _send(client: AsyncRetell, request: Mapping[str, Any], on_leave: Callable[[], object] | None) -> str:
    prepare, place = placing(client)
    call = await prepare(request)
    call.on_leave = on_leave
    return (await place(call)).call_id
