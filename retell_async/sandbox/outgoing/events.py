"""Webhook events of calls and chats."""

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
"""A time, a rank among milestones of the same time, and what happens."""


def event_delivery(
    id: str,
    now: int,
    webhook: WebhookTarget,
    event: str,
    about: str,
    body: Callable[[], Json],
    variables: Mapping[str, str],
) -> Delivery:
    """The delivery of an event. Events of one call or chat are first attempted in their order."""
    url = fill_variables(webhook.url, variables)
    headers = {"content-type": "application/json"}

    def request() -> OutgoingRequest:
        # A lone surrogate cannot be encoded; escaped with a backslash, as in JavaScript, it arrives unchanged.
        content = json.dumps(body(), separators=(",", ":"), ensure_ascii=False).encode(errors="backslashreplace")
        return OutgoingRequest("POST", url, content, headers)

    return Delivery(
        id=id,
        kind="event",
        name=event,
        about=about,
        url=url,
        created=now,
        timeout_ms=webhook.timeout_ms,
        retries=RETRIES,
        make_request=request,
        ordering_key=about,
    )
