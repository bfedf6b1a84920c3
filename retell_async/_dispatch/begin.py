# pyright: reportDeprecated=false
"""A client's way to dispatch calls, from its settings."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, cast, get_args

import attrs

from .._call_slots import CallSlots
from .._core.errors import ConfigurationError
from .._core.operation import Omit, Request, RequestOptions
from .._engine.limits import RateLimit
from .._helpers.call import Ends
from .dispatch import Dispatch, Way
from .numbers import Numbers
from .outcome import Until

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Iterable

    from .._client import AsyncRetell
    from .._engine.calls import Call
    from .._helpers.watch import Events
    from ..raw.models import PhoneCallResponse
    from .dispatch import Hook

__all__ = ["begin", "check_requests", "placing"]

_METHOD = "call.create_phone_call"


def begin(
    client: AsyncRetell,
    requests: Iterable[Any] | AsyncIterable[Any],
    *,
    until: Until,
    live: int | None,
    per_number: RateLimit | Mapping[str, RateLimit] | None,
    keep_free: int | None,
    burst: bool,
    slots: CallSlots | None,
    router: Events | None,
    within: float | None,
    every: float | None,
    on_progress: Hook | None,
) -> Dispatch:
    """What `client.dispatch` gives.

    :raises ConfigurationError: a setting cannot work.
    """
    if until not in get_args(Until):
        raise ConfigurationError(f'until must be "placed", "ended" or "analyzed", not {until!r}')
    check_requests(requests)
    if live is not None and not _is_count(live):
        raise ConfigurationError(f"live must be a whole number, 1 or more, not {live!r}")
    if on_progress is not None and not callable(on_progress):
        raise ConfigurationError("on_progress must be a function")
    if iscoroutinefunction(on_progress):
        raise ConfigurationError("on_progress must be a function and no `async def`: it is called in between and not waited for")
    if slots is None and keep_free is not None:
        slots = CallSlots(client, keep_free=keep_free, burst=burst)
    elif slots is not None and (keep_free or burst):
        raise ConfigurationError("keep_free and burst are settings of the slots that were given")
    if slots is None and live is None:
        raise ConfigurationError("nothing bounds the calls: give live, or let the account be asked for its room with keep_free=0")
    way = Way(
        *placing(_patient(client)),
        ends=Ends(client.call, router, within=within, every=every),
        until=until,
        slots=slots,
        numbers=Numbers(per_number),
        live=live,
        on_progress=on_progress,
    )
    return Dispatch(requests, way)


def check_requests(requests: object) -> None:
    """Refuse what is no iterable, or is a single request.

    :raises ConfigurationError: it is.
    """
    is_one = isinstance(requests, (str, bytes, Mapping))
    if is_one or not (hasattr(requests, "__iter__") or hasattr(requests, "__aiter__")):
        kind = type(cast("object", requests)).__name__  # type: ignore[redundant-cast]
        raise ConfigurationError(f"requests must be an iterable of requests, not {kind}: [request] for a single one")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _patient(client: AsyncRetell) -> AsyncRetell:
    """The client, which waits for limits as long as it takes."""
    from ..raw.api.call import create_phone_call

    operation = create_phone_call.OPERATION
    known = client._settings.rate_limits.get(operation.limit or operation.id, RateLimit())  # pyright: ignore[reportPrivateUsage]
    if isinstance(known.max_wait, Omit):
        return client.with_options(rate_limits={_METHOD: attrs.evolve(known, max_wait=None)})
    return client


def placing(client: AsyncRetell) -> tuple[Callable[[Mapping[str, Any]], Awaitable[Call]], Callable[[Call], Awaitable[PhoneCallResponse]]]:
    """What prepares a request for a call, and what carries it out."""
    calls = type(client.call)(cast("Any", _Preparing(client)))

    async def prepare(given: Mapping[str, Any]) -> Call:
        return cast("Call", await calls.create_phone_call(**given))

    async def place(call: Call) -> PhoneCallResponse:
        return (await client._carry_out(call)).meaning  # type: ignore[no-any-return] # pyright: ignore[reportPrivateUsage]

    return prepare, place


class _Preparing:
    """Has methods give what would be sent, and sends nothing."""

    def __init__(self, client: AsyncRetell) -> None:
        self._client = client

    async def send(self, request: Request[Any], options: RequestOptions) -> Call:
        return self._client._prepare(request, options, parse=True)  # pyright: ignore[reportPrivateUsage]
