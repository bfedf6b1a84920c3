"""The pipeline of a request to the API, from its arrival to its reply. No I/O."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import attrs

from ..common.messages import Answer
from ..faults.active import RequestEffect
from ..faults.fingerprint import fingerprint
from ..faults.replies import Reply
from ..service import Sandbox
from ..state.request_log import LoggedRequest

__all__ = ["PendingRequest", "receive"]


@attrs.frozen
class PendingRequest:
    """A request that has arrived. After `delay` seconds it is carried out by `finish`, which is called once."""

    _effect: RequestEffect
    _logged: LoggedRequest
    _carry_out: Callable[[], Answer]

    @property
    def delay(self) -> float:
        return self._effect.delay

    def finish(self) -> Reply:
        """Carry the request out, unless a fault prevents it, and give the reply."""
        reply = self._effect.reply_to(self._carry_out() if self._effect.acted else None, time.time())
        self._logged.answered(reply.status, reply.sent)
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
    logged = sandbox.log.add(
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
    return PendingRequest(effect, logged, answer)
