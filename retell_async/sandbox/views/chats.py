"""Chats as answers and webhooks show them."""

from __future__ import annotations

from random import Random

from ..common.messages import Json
from ..simulation.analysis import custom_analysis
from ..simulation.chat_script import transcript
from ..state.records import Chat

__all__ = ["analysis", "chat_cost", "chat_object", "listed_chat"]

_MESSAGE_PRICE = 0.2  # cents


def listed_chat(chat: Chat, now: int) -> Json:
    """A chat as lists show it: without its messages."""
    view: Json = {
        "chat_id": chat.id,
        "chat_type": chat.kind,
        "agent_id": chat.agent_id,
        "version": chat.agent_version,
        "chat_status": chat.status(now),
        "start_timestamp": chat.start,
        **chat.echoed,
    }
    if chat.agent_tag is not None:
        view["agent_tag"] = chat.agent_tag
    if now >= chat.end():
        view |= {"end_timestamp": chat.end(), "collected_dynamic_variables": chat.overrides, "chat_cost": chat_cost(chat, now)}
    found = analysis(chat, now)
    if found is not None:
        view["chat_analysis"] = found
    return view


def chat_cost(chat: Chat, now: int) -> Json:
    cost = round(_MESSAGE_PRICE * sum(message["role"] == "agent" for message in chat.said(now)), 4)
    return {"product_costs": [{"product": "gpt_4_1", "cost": cost}], "combined_cost": cost}


def chat_object(chat: Chat, now: int, *, for_webhook: bool = False) -> Json:
    """A chat in full, with its messages.

    :param for_webhook: webhooks have the messages even when they are not stored.
    """
    view = listed_chat(chat, now)
    ended = now >= chat.end()
    if for_webhook or not ended or chat.storage != "basic_attributes_only":
        said = chat.said(now)
        view |= {"transcript": transcript(said), "message_with_tool_calls": said}
    return view


def analysis(chat: Chat, now: int) -> Json | None:
    """The ``chat_analysis``, once it is done."""
    if now < chat.analyzed():
        return None
    successful = any(message["role"] == "user" for message in chat.messages) and Random(chat.seed + 1).random() < 0.8
    return {
        "chat_summary": "The user and the agent wrote about an appointment" + (", and agreed on a time." if successful else "."),
        "user_sentiment": "Positive" if successful else "Neutral",
        "chat_successful": successful,
        "custom_analysis_data": custom_analysis(chat.asked_analysis, chat.seed),
    }
