"""From a request to its answer, without I/O."""

from __future__ import annotations

import hmac

from .clock import Clock
from .document import Document, packaged
from .exchange import Answer, Incoming, Refused
from .operations import HANDLERS
from .store import Settings, Store

__all__ = ["Sandbox"]


class Sandbox:
    """The API on one account, with its state in memory. Two sandboxes share nothing.

    :param settings: what the account is like.
    :param clock: the sandbox's time; it runs like that of a clock on the wall unless another is given.
    """

    def __init__(self, settings: Settings | None = None, clock: Clock | None = None) -> None:
        self.store = Store(settings, clock)
        self._document: Document = packaged()

    def answer(
        self, method: str, path: str, *, query: str = "", authorization: str = "", content_type: str = "", content: bytes = b""
    ) -> Answer:
        """What the API answers: the path, escaped as it was sent, the query string, two headers and the body are all that it looks at."""
        try:
            found = self._document.match(method, path)
            if found is None:
                raise Refused(404, "the API has no such operation")
            self._let_in(authorization)
            route, values = found
            handler = HANDLERS.get(route.id)
            if handler is None:
                raise Refused(404, f"{route.id} is not in the sandbox yet")
            incoming = Incoming(values, route.read_query(query), route.read_body(content, content_type))
            return Answer(route.status, handler(self.store, incoming))
        except Refused as refused:
            return refused.answer()

    def _let_in(self, authorization: str) -> None:
        scheme, _, key = authorization.partition(" ")
        only = self.store.settings.api_key
        if scheme.lower() != "bearer" or not key.strip() or not (only is None or hmac.compare_digest(key.strip().encode(), only.encode())):
            raise Refused(401, "the API key is missing or wrong")
