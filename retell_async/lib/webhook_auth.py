"""Webhook signatures as the official SDK checks them: true or false, without a reason. `retell_async.webhooks` says why not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retell_async._core.errors import WebhookVerificationError
from retell_async._core.masking import Hidden
from retell_async.webhooks import signature as _signature

__all__ = ["FIVE_MINUTES", "sign", "symmetric", "verify"]

FIVE_MINUTES = 5 * 60 * 1000
"""How old a signature may be, in milliseconds."""


def sign(body: str | bytes, api_key: str, timestamp: int | None = None) -> str:
    """The header's value for a body, as Retell would send it.

    :param timestamp: the time of sending, in milliseconds; now by default.
    """
    key = Hidden(api_key)
    del api_key  # what is refused below shows it in no traceback
    return _signature.sign(body, key.value, timestamp_ms=timestamp)


def verify(body: str | bytes, api_key: str, signature: str, opts: Mapping[str, Any] | None = None) -> bool:
    """Whether Retell sent this body in the last five minutes and it is unchanged.

    :param opts: ``timestamp``, the time to judge by, and ``timeout``, how old a signature may be; both in milliseconds.
    :raises ConfigurationError: the key is none, such as an empty one, with which anybody could sign.
    """
    key = Hidden(api_key)
    del api_key  # as above
    given = opts or {}
    try:
        return _signature.verify(
            body, key.value, signature, tolerance=given.get("timeout", FIVE_MINUTES) / 1000, now_ms=given.get("timestamp")
        )
    except WebhookVerificationError:
        return False


symmetric: dict[str, Any] = {"sign": sign, "verify": verify}
"""The same two by name."""
