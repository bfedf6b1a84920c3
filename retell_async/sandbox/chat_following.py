"""Lets each chat tell of itself when its time comes. No I/O."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from math import inf

from .chat_views import chat_object, listed_chat
from .errands import Errands
from .exchange import Json
from .following import Milestone, event_errand
from .live import CHAT_EVENTS, Address
from .records import Chat
from .store import Store

__all__ = ["ChatFollowing"]

_LAST = 1_000_000


class ChatFollowing:
    """Follows the chats of a store from their beginning to their end."""

    def __init__(self, store: Store, errands: Errands) -> None:
        self._store = store
        self._errands = errands
        store.on_chat_start = self._started
        store.on_chat_change = self._schedule

    def _started(self, chat: Chat, agent: Json) -> None:
        chat.address = Address.of(agent, self._store.settings.webhook_url, CHAT_EVENTS)
        self._schedule(chat)

    def _schedule(self, chat: Chat) -> None:
        due = min((milestone[0] for milestone in _milestones(chat) if milestone[:2] > chat.told), default=None)
        if due is not None and due != chat.scheduled:
            chat.scheduled = due
            self._store.agenda.add(due, partial(self._reach, chat, due))

    def _reach(self, chat: Chat, due: int) -> None:
        if chat.scheduled != due or self._store.chats.get(chat.id) is not chat:
            return
        chat.scheduled = None
        for at, rank, event in sorted(milestone for milestone in _milestones(chat) if chat.told < milestone[:2] <= (due, inf)):
            chat.told = (at, rank)
            if chat.address is not None:
                variables = {
                    "chat_id": chat.id,
                    "session_type": "chat",
                    **chat.echoed.get("retell_llm_dynamic_variables", {}),
                    **chat.overrides,
                }
                body = partial(_event_body, chat, event, at)
                self._errands.add(event_errand(self._errands.new_id(), self._store.now(), chat.address, event, chat.id, body, variables))
        self._schedule(chat)


def _event_body(chat: Chat, event: str, at: int) -> Json:
    return {"event": event, "chat": listed_chat(chat, at) if event == "chat_started" else chat_object(chat, at, told=True)}


def _milestones(chat: Chat) -> Iterator[Milestone]:
    told = () if chat.address is None else chat.address.events
    if "chat_started" in told:
        yield chat.start, 0, "chat_started"
    if "transcript_updated" in told:
        for number, message in enumerate(chat.messages, 1):
            if message["created_timestamp"] <= chat.end():
                yield message["created_timestamp"], number, "transcript_updated"
    if "chat_ended" in told:
        yield chat.end(), _LAST, "chat_ended"
    if "chat_analyzed" in told:
        yield chat.analyzed(), _LAST + 1, "chat_analyzed"
