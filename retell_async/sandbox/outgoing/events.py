"""Events of calls and chats, and the deliveries that tell of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from ..common.messages import Json
from ..simulation.variables import fill_variables
from ..state.endpoints import WebhookTarget
from .outbox import Delivery, OutgoingRequest

__all__ = ["Milestone", "RETRIES", "event_delivery"]


RETRIES = 3

Milestone = tuple[int, int, str]
"""A time, the place among what happens at that time, and what happens."""


def event_delivery(
    id: str,
    now: int,
    webhook: WebhookTarget,
    event: str,
    about: str,
    body: Callable[[], Json],
    variables: Mapping[str, str],
) -> Delivery:
    """What it takes to tell of an event; one about the same call or chat is not begun before the one before it was tried."""
    url = fill_variables(webhook.url, variables)
    # Half an emoji has no bytes; escaped with a backslash, as JSON allows and JavaScript does, it arrives as it is.
    headers = {"content-type": "application/json"}
    return Delivery(
        id=id,
        kind="event",
        name=event,
        about=about,
        url=url,
        created=now,
        timeout_ms=webhook.timeout_ms,
        retries=RETRIES,
        make_request=lambda: OutgoingRequest(
            "POST", url, json.dumps(body(), separators=(",", ":"), ensure_ascii=False).encode(errors="backslashreplace"), headers
        ),
        ordering_key=about,
    )
