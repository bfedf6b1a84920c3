"""Runs chats: sends their events when they are due. No I/O."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from math import inf

from ..common.messages import Json
from ..state.endpoints import CHAT_EVENTS, WebhookTarget
from ..state.records import Chat
from ..state.store import Store
from ..views.chats import chat_object, listed_chat
from .events import Milestone, event_delivery
from .outbox import Outbox

__all__ = ["ChatRunner"]

_LAST = 1_000_000


class ChatRunner:
    """Runs the chats of a store."""

    def __init__(self, store: Store, outbox: Outbox) -> None:
        self._store = store
        self._outbox = outbox
        store.on_chat_start = self._started
        store.on_chat_change = self._schedule

    def _started(self, chat: Chat, agent: Json) -> None:
        chat.webhook = WebhookTarget.of(agent, self._store.settings.webhook_url, CHAT_EVENTS)
        self._schedule(chat)

    def _schedule(self, chat: Chat) -> None:
        due = min((milestone[0] for milestone in _milestones(chat) if milestone[:2] > chat.last_milestone), default=None)
        if due is not None and due != chat.next_milestone_at:
            chat.next_milestone_at = due
            self._store.scheduler.add(due, partial(self._reach, chat, due))

    def _reach(self, chat: Chat, due: int) -> None:
        if chat.next_milestone_at != due or self._store.chats.get(chat.id) is not chat:
            return
        chat.next_milestone_at = None
        for at, rank, event in sorted(milestone for milestone in _milestones(chat) if chat.last_milestone < milestone[:2] <= (due, inf)):
            chat.last_milestone = (at, rank)
            if chat.webhook is not None:
                variables = {
                    "chat_id": chat.id,
                    "session_type": "chat",
                    **chat.echoed.get("retell_llm_dynamic_variables", {}),
                    **chat.overrides,
                }
                body = partial(_event_body, chat, event, at)
                self._outbox.add(event_delivery(self._outbox.new_id(), self._store.now(), chat.webhook, event, chat.id, body, variables))
        self._schedule(chat)


def _event_body(chat: Chat, event: str, at: int) -> Json:
    return {"event": event, "chat": listed_chat(chat, at) if event == "chat_started" else chat_object(chat, at, for_webhook=True)}


def _milestones(chat: Chat) -> Iterator[Milestone]:
    subscribed = () if chat.webhook is None else chat.webhook.events
    if "chat_started" in subscribed:
        yield chat.start, 0, "chat_started"
    if "transcript_updated" in subscribed:
        for number, message in enumerate(chat.messages, 1):
            if message["created_timestamp"] <= chat.end():
                yield message["created_timestamp"], number, "transcript_updated"
    if "chat_ended" in subscribed:
        yield chat.end(), _LAST, "chat_ended"
    if "chat_analyzed" in subscribed:
        yield chat.analyzed(), _LAST + 1, "chat_analyzed"
