# pyright: reportDeprecated=false
"""Finding out whether what was asked for exists, where the API can be asked that."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

import anyio

from .._core.masking import mask_text
from .._core.operation import Operation, Request
from .._core.response import Answer, RawResponse
from .idempotency import MARK

__all__ = ["find"]

T = TypeVar("T")
Send = Callable[[Request[Any]], Awaitable[RawResponse[Any]]]

_FIRST_DELAY = 0.25
_LONGEST_DELAY = 4.0
_SHORTEST_LOOK = 0.25
_CLOCKS_DIFFER = 300.0


def look(token: str) -> Request[Any]:
    """The request for the calls that have this token."""
    from ..raw.api.call import list_calls

    return list_calls.request(
        body={"filter_criteria": {"metadata": [{"key": MARK, "type": "string", "op": "eq", "value": token}]}, "limit": 1}
    )


async def find(
    send: Send,
    operation: Operation[T],
    token: str,
    *,
    since: float,
    within: float,
    clock: Callable[[], float] = anyio.current_time,
) -> RawResponse[T] | None:
    """Look for what has this token, again and again for so many seconds; ``None`` if it does not appear.

    :param send: sends the requests for the list.
    :param since: Unix time at which the request was sent first; what is older is not its work.

    A call that is found is given as the operation gives one that it creates. Its fields are those of the list of calls: of a web call they
    include ``call_id`` and ``access_token``, and none of ``expires_at``, ``ice_servers`` and ``transport``.
    """
    until = clock() + within
    delay = _FIRST_DELAY
    while True:
        with anyio.move_on_after(until - clock()):
            answer = await _look(send, operation, token, since)
            if answer is not None:
                return answer
        left = until - clock()
        if left < _SHORTEST_LOOK:
            return None
        await anyio.sleep(min(delay, left / 2))  # more often at the end, so that the last look is close to it
        delay = min(delay * 2, _LONGEST_DELAY)


async def _look(send: Send, operation: Operation[T], token: str, since: float) -> RawResponse[T] | None:
    from .._logs import Log

    try:
        raw = await send(look(token))
        found = next((item for item in raw.json()["items"] if _is_it(item, token, since)), None)
        if found is None:
            return None
        # What the list lacks of a call is no reason to lose the call: it is not compared with the document, even if all else is.
        received = Answer(raw.status_code, raw.content, lambda: raw.http_response)
        answer = RawResponse(received, lambda _: operation.decode(found), retries_taken=raw.retries_taken)
        answer.parse()
    except Exception as error:  # noqa: BLE001
        # The account may not list calls, the outage goes on, the client was closed, the answer is something else altogether: what was
        # asked for stays unknown, and that is what is reported.
        reason = mask_text(f"{type(error).__name__}: {error}")
        Log("retell_async").info("%s: could not look whether it was carried out (%s)", operation.id, reason)
        return None
    Log("retell_async").info("%s: it was carried out, the list of calls has %s", operation.id, found["call_id"])
    return answer


def _is_it(item: Any, token: str, since: float) -> bool:
    """Whether an entry of the list is what was asked for, whatever the list was filtered by."""
    if not isinstance(item, dict):
        return False
    entry = cast("dict[str, Any]", item)
    metadata: Any = entry.get("metadata")
    call_id = entry.get("call_id")
    start = entry.get("start_timestamp")  # in ms; not there before the call is connected
    is_older = isinstance(start, (int, float)) and start / 1000 < since - _CLOCKS_DIFFER
    is_call = isinstance(call_id, str) and call_id != ""
    return is_call and isinstance(metadata, dict) and cast("dict[str, Any]", metadata).get(MARK) == token and not is_older
