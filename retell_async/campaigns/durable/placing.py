"""Placing a call once, whatever happens in between: what is sent again, what is looked for, and what stays unknown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from ..._core.errors import OutcomeUnknownError
from ..._engine.retry import RetryPolicy

if TYPE_CHECKING:
    from ..._client import AsyncRetell
    from ...raw.models import PhoneCallResponse

__all__ = ["place"]

_LOOK = 20.0  # seconds for which a call is looked for whose outcome is not known


async def place(client: AsyncRetell, request: Mapping[str, Any], sent_at: float | None, now: float) -> PhoneCallResponse:
    """Place a call under the key of its request, and give the call; the one that was placed already, if it was.

    :param request: the keywords of `call.create_phone_call`, the same each time, with a key that its metadata has too.
    :param sent_at: when it was sent first, by whoever did not live to see the answer; ``None`` if it was not.
    :param now: when it is sent now, as Unix time in seconds.
    :raises OutcomeUnknownError: nobody can know whether it was placed.
    :raises APIError: it was not placed.
    """
    if sent_at is None:
        try:
            return await client.call.create_phone_call(**request)
        except OutcomeUnknownError:
            sent_at = now
    # Within the key's hour it is sent again, as it was; after it, the list of calls is searched for what the metadata says.
    policy: RetryPolicy = client._settings.retry  # pyright: ignore[reportPrivateUsage]
    looking = client.with_options(retry=attrs.evolve(policy, on_unknown_outcome="reconcile", reconcile_within=_LOOK))
    return await looking.call.create_phone_call(**request, idempotency_key_since=sent_at)
