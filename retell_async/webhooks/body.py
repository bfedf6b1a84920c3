"""The JSON of a verified body."""

from __future__ import annotations

from typing import Any, cast

from retell_async._core.errors import WebhookVerificationError
from retell_async._core.json import loads

from .signature import raw_bytes

__all__ = ["json_object"]


def json_object(body: bytes | str) -> dict[str, Any]:
    """The JSON object in a body.

    :raises WebhookVerificationError: there is none.
    """
    try:
        data = loads(raw_bytes(body))
    except (ValueError, RecursionError):
        raise WebhookVerificationError("unreadable: the body is not JSON") from None  # the cause's repr may show the body
    if not isinstance(data, dict):
        raise WebhookVerificationError("unreadable: the body's JSON is not an object")
    return cast("dict[str, Any]", data)
