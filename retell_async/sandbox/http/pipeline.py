"""One request from its arrival to its reply, without I/O."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import attrs

from ..common.messages import Answer
from ..faults.active import RequestEffect
from ..faults.fingerprint import fingerprint
from ..faults.replies import Reply, reply_to
from ..service import Sandbox
from ..state.request_log import LoggedRequest

__all__ = ["PendingRequest", "receive"]


@attrs.frozen
class PendingRequest:
    """A request that has arrived. It is carried out `delay` seconds later, by `finish`, which may be called once."""

    _strike: RequestEffect
    _received: LoggedRequest
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
) -> PendingRequest:
    """Log a request and decide which faults strike it. The parameters are those of `Sandbox.answer`."""
    operation = sandbox.operation(method, path)
    effect = (
        RequestEffect()
        if operation is None
        else sandbox.faults.effect_on_request(operation, partial(fingerprint, method, path, query, content_type, content), time.monotonic())
    )
    received = sandbox.log.add(
        sandbox.store.now(),
        method,
        path,
        query=query,
        content_type=content_type,
        content=content,
        operation=operation,
        faults=effect.names,
    )
    answer = partial(sandbox.answer, method, path, query=query, authorization=authorization, content_type=content_type, content=content)
    return PendingRequest(effect, received, answer)
