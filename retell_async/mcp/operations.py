"""Carrying out the operation of a tool, through the client's own method."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any, cast

from .._client import AsyncRetell
from .._core.errors import OutcomeUnknownError, RetellError
from .._core.model import Model
from .._core.pages import Page
from .._engine.idempotency import KEY_FIELD, is_to_another
from .._logs import Log
from .addresses import links_of
from .catalog import Json, Tool
from .ledger import Ledger, Sending
from .results import Answer, Failed, failure, listed, one, unknown

__all__ = ["carry_out"]

_LIMIT = 20
_CURSOR = re.compile("[0-9]{1,9}")

_logger = Log("retell_async")


async def carry_out(
    client: AsyncRetell, tool: Tool, arguments: Mapping[str, Any], ledger: Ledger, *, clock: Callable[[], float] = time.time
) -> Answer:
    """Call the method of a tool, and give what it answers, short.

    :raises Failed: it was not carried out, or nobody knows whether it was.
    """
    given = dict(arguments)
    fields = given.pop("fields", None)
    if tool.lists is not None:
        return await _list(client, tool, given, fields)
    if tool.effect == "read":
        answered = await _read(client, tool, given)
        return Answer(one(_dict(answered), fields), links_of(_dict(answered)))
    return _answer(await _write(client, tool, given, ledger, clock))


def _method(client: AsyncRetell, tool: Tool) -> Callable[..., Any]:
    resource, _, name = cast("str", tool.method).partition(".")
    found: Callable[..., Any] = getattr(getattr(client, resource), name)
    return found


async def _read(client: AsyncRetell, tool: Tool, arguments: Mapping[str, Any]) -> Any:
    try:
        return await _method(client, tool)(**arguments)
    except (RetellError, ValueError, TypeError) as error:
        raise failure(tool, error) from None


async def _list(client: AsyncRetell, tool: Tool, arguments: Json, fields: list[str] | None) -> Answer:
    limit, cursor = arguments.pop("limit", _LIMIT), arguments.pop("cursor", None)
    if tool.lists == "pages":
        page: Page[Model] = await _read(
            client, tool, {**arguments, "limit": limit, **({} if cursor is None else {"pagination_key": cursor})}
        )
        told = listed([_dict(item) for item in page.items], fields, page.pagination_key if page.has_more else None)
        return Answer(told | ({} if page.total is None else {"total": page.total}))
    start = 0 if cursor is None else int(cursor) if _CURSOR.fullmatch(cursor) else None
    if start is None:
        raise Failed(f"{tool.name}: {cursor!r} is no next_cursor of this list: leave it out to begin at the start")
    items = [_dict(item) for item in cast("list[Model]", await _read(client, tool, arguments))]
    end = start + limit
    return Answer(listed(items[start:end], fields, str(end) if len(items) > end else None))


async def _write(client: AsyncRetell, tool: Tool, arguments: Json, ledger: Ledger, clock: Callable[[], float]) -> Any:
    """Send a request; or wait for the same one, if it is on its way, and share what comes of it."""
    if tool.repeat == "safe":
        return await _send(client, tool, arguments, ledger, clock)
    while (other := ledger.on_its_way(tool, arguments)) is not None:
        await other.ended.wait()
        if other.failed is not None:
            raise Failed(other.failed.text, other.failed.data)
        if other.done:
            return other.answered
        before = ledger.unknown(tool, arguments)  # of one that was given up
        if before is not None and before.key is None:
            raise unknown(Sending(tool, arguments, None, before.since, None, 0), "the same was on its way, and was given up")
    with ledger.shared(tool, arguments) as shared:
        try:
            shared.answered = await _send(client, tool, arguments, ledger, clock)
        except Failed as failed:
            shared.failed = failed
            raise
        shared.done = True
        return shared.answered


async def _send(client: AsyncRetell, tool: Tool, arguments: Json, ledger: Ledger, clock: Callable[[], float]) -> Any:
    now = clock()
    sending = ledger.begin(tool, arguments, now)
    options: Json = {"idempotency_key_since": sending.since} if sending.since < now else {}
    try:
        answered = await _method(client, tool)(**sending.arguments, **options)
    except OutcomeUnknownError as error:
        raise unknown(sending, str(error)) from None
    except (RetellError, ValueError, TypeError) as error:
        ledger.end(sending, done=False)
        raise failure(tool, error) from None
    except Exception as error:
        raise unknown(sending, type(error).__name__) from error
    except BaseException:
        if tool.repeat != "safe":
            _logger.warning("%s was given up on its way: it may have been carried out or not", tool.name)
        raise
    call_id = getattr(answered, "call_id", None)
    if tool.repeat == "idempotency_key" and is_to_another(sending.arguments["to_number"], answered.to_number):
        ledger.end(sending, done=False)
        raise Failed(
            f"{tool.name}: nobody was called, since {KEY_FIELD} is that of {call_id}, which is a call to another number. Each call needs a "
            f"key of its own: leave {KEY_FIELD} out, and this server makes one."
        )
    ledger.end(sending, done=True, call_id=call_id)
    return answered


def _answer(answered: Any) -> Answer:
    if answered is None:
        return Answer({"done": True})
    found = _dict(answered)
    key = getattr(answered, "idempotency_key", None)  # which a repeat may have had from the request before it
    return Answer(one(found, None) | ({} if key is None else {"idempotency_key": key}), links_of(found))


def _dict(answered: Any) -> Json:
    return answered.to_dict() if isinstance(answered, Model) else {"answer": answered}
