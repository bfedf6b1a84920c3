"""One request from its arrival to its reply, without I/O."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import attrs

from .exchange import Answer
from .faults import Strike, fingerprint
from .log import Received
from .reply import Reply, reply_to
from .service import Sandbox

__all__ = ["Handling", "receive"]


@attrs.frozen
class Handling:
    """A request that has arrived. It is carried out `delay` seconds later, by `finish`, which may be called once."""

    _strike: Strike
    _received: Received
    _carry_out: Callable[[], Answer]

    @property
    def delay(self) -> float:
        return self._strike.delay

    def finish(self) -> Reply:
        """Carry the request out, unless a fault prevents it, and give what is sent for it."""
        answer = self._carry_out() if self._strike.acted else None
        reply = reply_to(answer, self._strike, time.time())
        sent = reply.content[: len(reply.content) // 2] if reply.ending == "truncated" else reply.content
        self._received.answered(reply.status, sent)
        return reply


def receive(
    sandbox: Sandbox, method: str, path: str, *, query: str = "", authorization: str = "", content_type: str = "", content: bytes = b""
) -> Handling:
    """Log a request and decide which faults strike it. The parameters are those of `Sandbox.answer`."""
    operation = sandbox.operation(method, path)
    strike = (
        Strike()
        if operation is None
        else sandbox.faults.strike(operation, partial(fingerprint, method, path, query, content_type, content), time.monotonic())
    )
    received = sandbox.log.add(
        sandbox.store.now(),
        method,
        path,
        query=query,
        content_type=content_type,
        content=content,
        operation=operation,
        faults=strike.names,
    )
    answer = partial(sandbox.answer, method, path, query=query, authorization=authorization, content_type=content_type, content=content)
    return Handling(strike, received, answer)
