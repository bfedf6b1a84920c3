"""The checks before a request is let in: its sender, size, speed and signature."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import TypedDict

import anyio

from retell_async._core.errors import ConfigurationError, WebhookVerificationError
from retell_async._core.masking import Hidden

from .http import IncomingRequest, Refused
from .senders import Senders
from .signature import TOLERANCE, Signature, header_value, signing_keys

__all__ = ["MAX_BYTES", "Gate", "GateSettings"]

MAX_BYTES = 10 * 1024 * 1024
READ_TIMEOUT = 8.0


class GateSettings(TypedDict, total=False):
    """What `Gate` takes beside the API key."""

    tolerance: float
    max_bytes: int
    read_timeout: float
    senders: Senders | None


class Gate:
    """Lets only those requests in that Retell sent.

    :param api_key: the API key with the webhook badge; several while keys are being changed.
    :param tolerance: seconds that a signature may lie in the past or in the future.
    :param max_bytes: the longest body that is read.
    :param read_timeout: seconds within which the body must have arrived.
    :param senders: who may send; by default only the signature is checked, and not the address.
    :raises ConfigurationError: a setting cannot work.
    """

    def __init__(
        self,
        api_key: str | Sequence[str],
        *,
        tolerance: float = TOLERANCE,
        max_bytes: int = MAX_BYTES,
        read_timeout: float = READ_TIMEOUT,
        senders: Senders | None = None,
    ) -> None:
        key = Hidden(api_key)
        del api_key  # what is refused below shows it in no traceback
        if not (tolerance > 0 and max_bytes > 0 and read_timeout > 0):
            raise ConfigurationError("tolerance, max_bytes and read_timeout must be above 0")
        self._keys = signing_keys(key.value)
        self._tolerance = tolerance
        self._max_bytes = max_bytes
        self._read_timeout = read_timeout
        self._senders = senders

    async def admit(self, request: IncomingRequest) -> bytes:
        """The whole body of a request. If the headers are reason enough to refuse it, the body is not read.

        :raises Refused: Retell did not send it, or the body is too long or too slow.
        """
        if self._senders is not None and not self._senders.allow(request.peer, header_value(request.headers, "x-forwarded-for")):
            raise Refused(HTTPStatus.FORBIDDEN, "wrong address: Retell does not send from there, or a proxy is not named in `senders`")
        length = header_value(request.headers, "content-length") or ""
        if length.isdecimal() and (len(length) > 15 or int(length) > self._max_bytes):
            raise self._too_long()
        try:
            signature = Signature.parse(header_value(request.headers))
            signature.check_age(self._tolerance)
            body = await self._read(request)
            signature.check_body(body, self._keys)
        except WebhookVerificationError as error:
            raise Refused(HTTPStatus.UNAUTHORIZED, error.reason) from error
        return body

    async def _read(self, request: IncomingRequest) -> bytes:
        parts: list[bytes] = []
        size = 0
        with anyio.move_on_after(self._read_timeout):
            while part := await request.read():
                size += len(part)
                if size > self._max_bytes:
                    raise self._too_long()
                parts.append(part)
            return b"".join(parts)
        raise Refused(HTTPStatus.REQUEST_TIMEOUT, f"too slow: the body did not arrive within {self._read_timeout:g} s")

    def _too_long(self) -> Refused:
        return Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"too long: more than {self._max_bytes} bytes")
