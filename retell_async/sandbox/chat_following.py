"""Lets each chat tell of itself when its time comes. No I/O."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from math import inf

from .chat_views import chat_object, listed_chat
from .exchange import Json
from .following import Milestone, event_errand
from .live import CHAT_EVENTS, Address
from .records import Chat
from .store import Store

__all__ = ["begin", "follow"]

_LAST = 1_000_000


def begin(store: Store, chat: Chat, agent: Json) -> None:
    """Follow a new chat, if anybody listens."""
    chat.address = Address.of(agent, store.settings.webhook_url, CHAT_EVENTS)
    follow(store, chat)


def follow(store: Store, chat: Chat) -> None:
    """See to it that what happens next in a chat is told of. To be called after each change of it."""
    due = min((milestone[0] for milestone in _milestones(chat) if milestone[:2] > chat.told), default=None)
    if due is not None and due != chat.scheduled:
        chat.scheduled = due
        store.agenda.add(due, partial(_reach, store, chat, due))


def _reach(store: Store, chat: Chat, due: int) -> None:
    if chat.scheduled != due or store.chats.get(chat.id) is not chat:
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
            store.errands.add(event_errand(store, chat.address, event, chat.id, partial(_event_body, chat, event, at), variables))
    follow(store, chat)


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
