"""Webhook signatures as the official SDK checks them: true or false, without a reason. `retell_async.webhooks` says why not."""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from retell_async._core.errors import WebhookVerificationError
from retell_async._core.masking import Hidden
from retell_async.webhooks import signature as _signature

__all__ = ["FIVE_MINUTES", "make_secure_webhooks", "sign", "symmetric", "symmetric_get_signer", "symmetric_get_verifier", "verify"]

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


def symmetric_get_signer(secret: str) -> Callable[[str], str]:
    """What makes the digest of a text under a secret: its HMAC-SHA256, in hexadecimal."""
    key = Hidden(secret)
    return lambda text: hmac.new(key.value.encode(), text.encode(), hashlib.sha256).hexdigest()


def symmetric_get_verifier(secret: str) -> Callable[[str, str], bool]:
    """What says whether a digest is that of a text under a secret."""
    signer = symmetric_get_signer(secret)
    return lambda text, digest: hmac.compare_digest(signer(text), digest)


def make_secure_webhooks(
    get_signer: Callable[[str], Callable[[str], str]], get_verifier: Callable[[str], Callable[[str, str], bool]]
) -> dict[str, Callable[..., Any]]:
    """`sign` and `verify` by name, as `symmetric` has them, with digests of your own.

    :param get_signer: gives, for a key, what makes the digest of a text.
    :param get_verifier: gives, for a key, what says whether a digest is that of a text.
    """

    def signed(body: str, key: str, timestamp: int | None = None) -> str:
        moment = _now() if timestamp is None else timestamp
        return f"v={moment},d={get_signer(key)(f'{body}{moment}')}"

    def verified(body: str, key: str, signature: str, opts: Mapping[str, Any] | None = None) -> bool:
        given = opts or {}
        read = re.fullmatch(r"v=([0-9]+),d=([0-9a-f]{64})", signature)
        if read is None or abs(given.get("timestamp", _now()) - int(read[1])) > given.get("timeout", FIVE_MINUTES):
            return False
        return get_verifier(key)(f"{body}{read[1]}", read[2])

    return {"sign": signed, "verify": verified}


def _now() -> int:
    return int(time.time() * 1000)
