# pyright: reportDeprecated=false
"""`client.call`: waiting for calls, and finding those that ended."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable
from contextlib import AbstractContextManager, aclosing
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

from .._core.errors import ConfigurationError
from .._core.resource import Resource
from . import WITHIN
from .watch import EVERY, EVERY_WITH_EVENTS, MOST, Client, Events, Watch, check_times, listed

if TYPE_CHECKING:
    from .._core.pages import AsyncPaginator
    from ..llm.monitor import MonitorItem
    from ..raw.api.call import list_calls
    from ..raw.models import CallResponse

__all__ = ["CallHelper", "Ends"]

_OVER = ("ended", "error", "not_connected")
"""The statuses of calls that are over, as the API names them."""
_NEW = 120.0  # seconds for which a call that was placed need not be known everywhere
_NEVER_HEARD = ("error", "not_connected")


class _Calls(Protocol):
    """What the generated resource has."""

    def list(self, *, filter_criteria: Any, limit: int, sort_order: Any = ...) -> AsyncPaginator[list_calls.Item]: ...
    def retrieve(self, call_id: str) -> Awaitable[CallResponse]: ...


class CallHelper(Resource):
    """Methods of `client.call` beside those of the API."""

    @property
    def _calls(self) -> _Calls:
        return cast("_Calls", self)

    @cached_property
    def _watch(self) -> Watch[Any]:
        def pages(criteria: dict[str, Any]) -> AsyncPaginator[list_calls.Item]:
            return self._calls.list(filter_criteria=criteria, limit=MOST)

        return Watch(listed(pages, "call", _OVER), self._calls.retrieve, cast("Client", self._sender).waiting)

    async def wait(
        self,
        call_id: str,
        *,
        until: Literal["ended", "analyzed"] = "ended",
        within: float | None = WITHIN,
        every: float | None = None,
        router: Events | None = None,
    ) -> CallResponse:
        """Wait until a call is over, or until it is analysed, and return it whole.

        All who wait on one client are asked for together, with one request. A call is over when its status is ``ended``, ``error`` or
        ``not_connected``. One that never connected, or of which nothing is stored to be analysed, is as good as analysed when it is over.

        :param call_id: the id that `create_phone_call` or another method gave.
        :param until: ``"ended"``, or ``"analyzed"`` for `call_analysis` too.
        :param within: seconds to wait at most, by default two hours; ``None`` for as long as it takes.
        :param every: seconds from one question to the next: by default 2, and with a `router` 30.
        :param router: a `webhooks.Router` that gets the account's events: these end the wait at once.
        :raises WaitTimeoutError: it was not over in time. It goes on.
        :raises APIStatusError: there is no such call, or the key may not see it. For 20 seconds it is asked for all the same: one that was
            just placed may not be known everywhere.
        """
        if until not in {"ended", "analyzed"}:
            raise ConfigurationError(f'until must be "ended" or "analyzed", not {until!r}')
        ends = Ends(self, router, within=within, every=every)
        return cast("CallResponse", await ends.wait(call_id, until, is_placed=False))

    async def ended_since(self, moment: datetime | float) -> AsyncGenerator[list_calls.Item]:
        """All calls that ended from a moment on: to find after an outage what webhooks missed.

        Calls that never connected may have no time of their end. All of those are given, whenever they were placed; compare their ids with
        those that you know. Calls come as lists have them, without their transcripts.

        :param moment: a `datetime` with a time zone, or Unix time in seconds.
        :raises ConfigurationError: the moment has no time zone.
        """
        start = _in_ms(moment)
        since: dict[str, Any] = {"type": "number", "op": "ge", "value": start}
        seen: set[str] = set()
        async for call in self._calls.list(filter_criteria={"end_timestamp": since}, limit=MOST, sort_order="ascending"):
            seen.add(call.call_id)
            yield call
        never: dict[str, Any] = {"call_status": {"type": "enum", "op": "in", "value": list(_NEVER_HEARD)}}
        async for call in self._calls.list(filter_criteria=never, limit=MOST, sort_order="ascending"):
            if call.end_timestamp is None and call.call_id not in seen:
                yield call

    async def monitor(self, call_id: str) -> AsyncGenerator[MonitorItem]:
        """Watch a live call: give what is said and done in it as it happens, and end when it is over. Needs the extra ``[llm]``.

        An item comes again as it grows, with the same `id`: ``items[item.id] = item`` keeps the transcript as it is. A lost connection is
        opened again, after which nothing comes twice unless it has changed. As long as it is watched, it takes one of the client's
        connections. Leave it early inside ``async with contextlib.aclosing(client.call.monitor(call_id)) as items``.

        :param call_id: the id of a call that is going on.
        :raises MonitorError: of `retell_async.llm.monitor`: the call is not ongoing (its `code` is 4004), five others watch it (4008), or
            the connection was lost again and again.
        :raises APIStatusError: there is no such call, or the key may not see it.
        """
        from ..llm.monitor import monitor  # a wing of its own: nothing of it is loaded before it is used

        if not call_id:
            raise ValueError("call_id is empty")
        async with aclosing(monitor(self._sender, call_id)) as items:
            async for item in items:
                yield item


class Ends:
    """Waits for ends of calls, with the same settings for all."""

    def __init__(self, calls: CallHelper, router: Events | None, *, within: float | None, every: float | None) -> None:
        self._watch = calls._watch  # pyright: ignore[reportPrivateUsage]
        self._within = within
        self._every = every if every is not None else EVERY if router is None else EVERY_WITH_EVENTS
        check_times(within, self._every)
        if router is not None:
            self._watch.listen(router, ("call_ended", "call_analyzed"), lambda event: (event.call.call_id, event.call))

    @property
    def answered_at(self) -> float:
        """When the API told of calls last, by anyio's clock."""
        return self._watch.answered_at

    def placing(self) -> AbstractContextManager[None]:
        """A block that places calls: events about their ends are kept until somebody waits for them."""
        return self._watch.expecting()

    async def wait(
        self, call_id: str, until: Literal["ended", "analyzed"], *, known: Any = None, whole: bool = True, is_placed: bool = True
    ) -> Any:
        """Return the call once it is over, or analysed.

        :param known: the call as it stands, as far as that is known: it is not asked for at once.
        :param whole: with its transcript, which lists leave out.
        :param is_placed: it is there, though the API may say for a while that it is not.
        """
        is_done = _is_over if until == "ended" else _is_analyzed
        is_whole = _is_whole if whole else _is_known
        more = {"doubted": _NEW} if is_placed else {}
        return await self._watch.wait(call_id, is_done, within=self._within, every=self._every, is_whole=is_whole, known=known, **more)


def _is_known(_: object) -> bool:
    return True


def _is_over(call: Any) -> bool:
    return call.call_status in _OVER or call.end_timestamp is not None


def _is_analyzed(call: Any) -> bool:
    if call.call_analysis is not None:
        return True
    nothing = call.call_status == "not_connected" or call.start_timestamp is None or call.data_storage_setting == "basic_attributes_only"
    return _is_over(call) and nothing


def _in_ms(moment: object) -> int:
    seconds: object = moment.timestamp() if isinstance(moment, datetime) and moment.tzinfo is not None else moment
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds <= time.time() + 86400:
        raise ConfigurationError(
            f"a moment must be a datetime with a time zone, or Unix time in seconds, and not in the future: it is {moment!r}"
        )
    return int(seconds * 1000)


def _is_whole(call: Any) -> bool:
    return "transcript" in call  # which lists leave out
