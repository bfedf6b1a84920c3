"""Our own way from the bytes of a webhook to a typed event."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from retell_async import webhooks

from .timing import READINGS, batches

KEY = "key_0123456789abcdef"


def prepare(path: str) -> Callable[[], float]:
    body = Path(path).read_bytes()
    headers = {"Content-Type": "application/json", "X-Retell-Signature": webhooks.sign(body, KEY)}

    def once() -> None:
        event = webhooks.unwrap(body, headers, api_key=KEY)
        assert isinstance(event, webhooks.CallAnalyzed)
        READINGS["each word"](event.call)

    return batches(once)
