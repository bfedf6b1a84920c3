"""What comes of calls that are dispatched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import attrs

if TYPE_CHECKING:
    from ..raw.models import PhoneCallResponse

__all__ = ["Outcome", "Progress", "Status", "Until"]

Until = Literal["placed", "ended", "analyzed"]
Status = Literal["not_placed", "unknown", "placed", "ended", "analyzed"]


@attrs.frozen(kw_only=True)
class Outcome:
    """What came of one request for a call."""

    index: int
    """The request's number among those that were given, from 0."""
    request: Any = attrs.field(repr=False)
    """The request, as it was given."""
    status: Status
    """How far it got, as far as is known: ``not_placed`` (nobody was called: `error` says why), ``unknown`` (it may have been placed:
    `error` is an `OutcomeUnknownError` with what is needed to find out), ``placed``, ``ended`` (it is over) or ``analyzed``."""
    call: PhoneCallResponse | None = None
    """The call as it was seen last."""
    error: Exception | None = None
    """Why it got no further than this; ``None`` when it got as far as it was to be followed."""
    idempotency_key: str | None = None
    """The key that the request carried; ``None`` when it was not sent."""


@attrs.frozen(kw_only=True)
class Progress:
    """How far a dispatch is. Each request is counted as ``taken``, and at its end in one of the last three."""

    taken: int = 0
    """Requests that were taken."""
    placed: int = 0
    """Calls that were placed."""
    live: int = 0
    """Calls that were placed and, as far as is known, are not over. 0 where calls are not followed."""
    not_placed: int = 0
    """Outcomes of requests that placed no call."""
    unknown: int = 0
    """Outcomes of which it is not known whether there is a call."""
    done: int = 0
    """Outcomes of calls that were placed, whether they could be followed to their end or not."""
