"""The signature of what Retell sends: making it, and verifying it.

The header's value is ``v=<Unix time in milliseconds>,d=<digest>``; the digest is the HMAC-SHA256, in lower-case hexadecimal, of the raw
body followed by the digits of the time, under the API key that carries the webhook badge.
"""

from __future__ import annotations

import hmac
import re
import time
from collections.abc import Iterable, Sequence
from typing import Literal, Protocol, cast, runtime_checkable

import attrs

from retell_async._core.errors import ConfigurationError, WebhookVerificationError
from retell_async._core.masking import Hidden
from retell_async._engine.settings import check_key

__all__ = ["HEADER", "Headers", "Signature", "header_value", "raw_bytes", "sign", "signing_keys", "verify"]

HEADER = "x-retell-signature"
TOLERANCE = 300.0
"""Seconds that a signature may lie in the past or in the future, as Retell recommends."""

_FORM = re.compile(r"v=(0|[1-9][0-9]{0,15}),d=([0-9a-f]{64})")


@runtime_checkable
class HasItems(Protocol):
    """Headers as frameworks keep them: a mapping of names to values, or a multi-mapping."""

    def items(self) -> Iterable[tuple[str, str]]: ...


Headers = HasItems | Iterable[tuple[str, str]] | Iterable[tuple[bytes, bytes]]
"""A mapping, or pairs of names and values; names in any case."""


def sign(body: bytes | str, api_key: str, *, timestamp_ms: int | None = None) -> str:
    """The header's value for a body, as Retell would send it: for tests and for simulations of Retell.

    :param timestamp_ms: the time of sending, in milliseconds; now by default.
    """
    hidden = Hidden(api_key)
    del api_key  # what is refused below shows it in no traceback
    stamp = str(_now_ms() if timestamp_ms is None else timestamp_ms)
    content = raw_bytes(body)
    (key,) = signing_keys(hidden.value)
    return f"v={stamp},d={_digest(key, content, stamp).hex()}"


def verify(
    body: bytes | str,
    api_key: str | Sequence[str],
    signature: str | None,
    *,
    tolerance: float = TOLERANCE,
    now_ms: int | None = None,
) -> Literal[True]:
    """Make sure that Retell sent this body recently and that it is unchanged: ``True``, or an error.

    :param body: the raw body as it was received, not JSON that was parsed and written again.
    :param api_key: the API key with the webhook badge; several while keys are being changed, any of which may fit.
    :param signature: the value of the header ``x-retell-signature``; ``None`` when there was none.
    :param tolerance: seconds that the signature may lie in the past or in the future.
    :param now_ms: the time to judge the age by, in milliseconds; now by default.
    :raises WebhookVerificationError: one of these is not so; the `reason` says which.
    """
    raw, key = Hidden(body), Hidden(api_key)
    del body, api_key  # what is refused below shows them in no traceback
    keys = Hidden(signing_keys(key.value))
    read = Signature.parse(signature)
    read.check_age(tolerance, now_ms=now_ms)
    read.check_body(raw_bytes(raw.value), keys.value)
    return True


@attrs.frozen
class Signature:
    """The parts of the header's value. Its form and age can be checked before the body is read.

    Each method raises `WebhookVerificationError` when its check fails.
    """

    timestamp: str
    digest: bytes = attrs.field(repr=False)

    @classmethod
    def parse(cls, value: object) -> Signature:
        if value is None:
            raise WebhookVerificationError(f"no {HEADER} header: Retell did not send this, or a proxy took the header away")
        match = _FORM.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            raise WebhookVerificationError(f"malformed {HEADER} header: it is not v=<milliseconds>,d=<64 lower-case hexadecimal digits>")
        return cls(match[1], bytes.fromhex(match[2]))

    def check_age(self, tolerance: float, *, now_ms: int | None = None) -> None:
        age = ((_now_ms() if now_ms is None else now_ms) - int(self.timestamp)) / 1000
        if abs(age) <= tolerance:
            return
        if age > 0:
            raise WebhookVerificationError(
                f"too old: signed {age:.0f} s ago, and {tolerance:g} s are tolerated; a request sent again, or a clock here that is fast"
            )
        raise WebhookVerificationError(
            f"too new: signed {-age:.0f} s in the future, and {tolerance:g} s are tolerated; a clock here that is slow"
        )

    def check_body(self, body: bytes, keys: Iterable[bytes]) -> None:
        fits = [hmac.compare_digest(_digest(key, body, self.timestamp), self.digest) for key in keys]
        del body, keys
        if not any(fits):
            raise WebhookVerificationError(
                "wrong key or changed body: only the API key with the webhook badge signs, no other key of the workspace, and it signs "
                "the raw bytes of the body; JSON that was parsed and written again differs, most often in white space and accents"
            )


def signing_keys(api_key: object) -> tuple[bytes, ...]:
    """Keys as HMAC takes them: of one API key, or of several.

    :raises ConfigurationError: there is none, or one is no API key; with an empty one anybody could sign.
    """
    keys = Hidden[tuple[object, ...]]((api_key,))
    if isinstance(api_key, Sequence) and not isinstance(api_key, (str, bytes)):
        keys = Hidden(tuple(cast("Sequence[object]", api_key)))
    del api_key
    if not keys.value:
        raise ConfigurationError("there is no API key to verify with")
    return tuple(map(str.encode, map(check_key, keys.value)))


def header_value(headers: Headers, name: str = HEADER) -> str | None:
    """The value of a header whose name may be in any case; more than one are joined with commas, as HTTP has it.

    :raises WebhookVerificationError: the headers cannot be read, or its value is no text.
    """
    try:
        pairs = headers.items() if isinstance(headers, HasItems) else headers
        found = [value for key, value in pairs if _text(key).lower() == name]
    except (TypeError, ValueError, AttributeError):
        raise WebhookVerificationError("unreadable headers: they are neither a mapping of names to values nor pairs of them") from None
    texts: list[str] = []
    for value in cast("list[object]", found):
        if isinstance(value, (str, bytes)):
            texts.append(_text(value))
        elif value is not None:
            raise WebhookVerificationError(f"malformed {name} header: its value must be one str, and is of type {type(value).__name__}")
    return ", ".join(texts) if texts else None


def _digest(key: bytes, body: bytes, timestamp: str) -> bytes:
    return hmac.digest(key, body + timestamp.encode(), "sha256")


def raw_bytes(body: bytes | str) -> bytes:
    """The bytes of a body.

    :raises TypeError: it is neither bytes nor text.
    """
    if isinstance(body, str):
        return body.encode("utf-8", "surrogatepass")  # a text that is no UTF-8 fits no signature, and is no other error
    if not isinstance(body, bytes):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"the body must be the raw bytes (or text) that were received, not {type(body).__name__}")
    return body


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
