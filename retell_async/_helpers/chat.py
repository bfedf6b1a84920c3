# pyright: reportDeprecated=false
"""`client.chat`: waiting for chats."""

from __future__ import annotations

from collections.abc import Awaitable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

from .._core.errors import ConfigurationError
from .._core.resource import Resource
from . import WITHIN
from .watch import EVERY, EVERY_WITH_EVENTS, MOST, Client, Events, Watch, listed

if TYPE_CHECKING:
    from .._core.pages import AsyncPaginator
    from ..raw.models import ChatResponse

__all__ = ["ChatHelper"]

_OVER = ("ended", "error")


class _Chats(Protocol):
    """What the generated resource has."""

    def list(self, *, filter_criteria: Any, limit: int) -> AsyncPaginator[ChatResponse]: ...
    def retrieve(self, chat_id: str) -> Awaitable[ChatResponse]: ...


class ChatHelper(Resource):
    """Methods of `client.chat` beside those of the API."""

    @property
    def _chats(self) -> _Chats:
        return cast("_Chats", self)

    @cached_property
    def _watch(self) -> Watch[Any]:
        def pages(criteria: dict[str, Any]) -> AsyncPaginator[ChatResponse]:
            return self._chats.list(filter_criteria=criteria, limit=MOST)

        return Watch(listed(pages, "chat", _OVER), self._chats.retrieve, cast("Client", self._sender).waiting)

    async def wait(
        self,
        chat_id: str,
        *,
        until: Literal["ended", "analyzed"] = "ended",
        within: float | None = WITHIN,
        every: float | None = None,
        router: Events | None = None,
    ) -> ChatResponse:
        """Wait until a chat is over, or until it is analysed, and return it whole.

        All who wait on one client are asked for together, with one request. A chat is over when its status is ``ended`` or ``error``.

        :param chat_id: the id that `create` or `create_sms_chat` gave.
        :param until: ``"ended"``, or ``"analyzed"`` for `chat_analysis` too.
        :param within: seconds to wait at most, by default two hours; ``None`` for as long as it takes.
        :param every: seconds from one question to the next: by default 2, and with a `router` 30.
        :param router: a `webhooks.Router` that gets the account's events: these end the wait at once.
        :raises WaitTimeoutError: it was not over in time. It goes on.
        :raises APIStatusError: there is no such chat, or the key may not see it.
        """
        if until not in {"ended", "analyzed"}:
            raise ConfigurationError(f'until must be "ended" or "analyzed", not {until!r}')
        if router is not None:
            self._watch.listen(router, ("chat_ended", "chat_analyzed"), lambda event: (event.chat.chat_id, event.chat))
        if every is None:
            every = EVERY if router is None else EVERY_WITH_EVENTS
        is_done = _is_over if until == "ended" else _is_analyzed
        chat: ChatResponse = await self._watch.wait(chat_id, is_done, within=within, every=every, is_whole=_is_whole)
        return chat


def _is_over(chat: Any) -> bool:
    return chat.chat_status in _OVER or chat.end_timestamp is not None


def _is_analyzed(chat: Any) -> bool:
    return chat.chat_analysis is not None


def _is_whole(chat: Any) -> bool:
    return "transcript" in chat  # which lists leave out
