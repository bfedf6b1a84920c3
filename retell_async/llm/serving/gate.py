"""Which request may open a WebSocket, and for which call."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from hmac import compare_digest
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from retell_async import ConfigurationError
from retell_async._core.masking import Hidden

from ..channel import Opening, Refused

if TYPE_CHECKING:
    from retell_async.webhooks import Senders

__all__ = ["Gate"]

_SECRET = re.compile(r"[A-Za-z0-9._~-]{8,}")
_CALL_ID = re.compile(r"[A-Za-z0-9._~:-]{1,200}")


class Gate:
    """Takes the call's id from the end of the path, and the secret from what stands before it or from the query's ``secret``.

    :raises ConfigurationError: a secret is too short or cannot stand in a URL.
    """

    def __init__(self, secret: str | Sequence[str] | None, senders: Senders | None) -> None:
        one_only = isinstance(secret, str) or not isinstance(secret, Iterable)
        given: Hidden[tuple[Any, ...]] = Hidden(() if secret is None else (secret,) if one_only else tuple(secret))
        needed = secret is not None
        del secret  # what is refused below shows it in no traceback
        if needed and not given.value:
            raise ConfigurationError("there is no secret; None says that anybody may connect")
        if not all(isinstance(one, str) and _SECRET.fullmatch(one) for one in given.value):
            raise ConfigurationError(
                "a secret must be 8 or more letters, digits, '.', '_', '~' and '-', so that it can stand in a URL: "
                "`python -c 'import secrets; print(secrets.token_urlsafe())'` makes one"
            )
        if senders is not None and (isinstance(senders, type) or not callable(getattr(senders, "allow", None))):
            raise ConfigurationError(f"senders must be a webhooks.Senders, and is {senders!r}")
        self._secrets = given
        self._senders = senders

    def admit(self, opening: Opening) -> str | Refused:
        """The id of the call that a request is for, or why it is refused."""
        if self._senders is not None and not self._senders.allow(opening.peer, opening.forwarded_for):
            return Refused(403, "wrong address: Retell does not connect from there, or a proxy is not named in `senders`")
        segments = [segment for segment in opening.path.split("/") if segment]
        # A URL may hold its secret in a query, behind which the id may have been put.
        queried, _, behind = dict(parse_qsl(opening.query)).get("secret", "").partition("/")
        _, slash, last = opening.query.rpartition("/")
        if not behind and slash and (not segments or last.startswith("call_")):
            behind = last  # of another field, which comes after the secret or without one
        call_id = behind.strip("/") or (segments[-1] if segments else "")
        before = "".join(segments[-1:] if behind else segments[-2:-1])
        if self._secrets.value and not any(_same(one, queried) or _same(one, before) for one in self._secrets.value):
            return Refused(403, "wrong secret")
        if not _CALL_ID.fullmatch(call_id):
            return Refused(404, "wrong path: it does not end in the id of a call")
        return call_id

    def hide(self, text: str) -> str:
        """A text without the secrets in it."""
        for secret in self._secrets.value:
            text = text.replace(secret, "***")
        return text


def _same(one: str, other: str) -> bool:
    return compare_digest(one.encode(), other.encode("utf-8", "surrogatepass"))
