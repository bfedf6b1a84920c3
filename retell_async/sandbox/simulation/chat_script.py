"""What is written in a chat. Pure: the same seed gives the same messages."""

from __future__ import annotations

import re
from collections.abc import Iterable
from random import Random

from ..common.messages import Json

__all__ = ["answer", "opening", "sms_script", "transcript", "user_message"]

_FAREWELL = re.compile(r"\b(bye|goodbye|that is all|that's all)\b", re.IGNORECASE)
_GREETING = "Good day, this is the assistant of the dental practice. What can I do for you?"
_NOTICE = "Good day, your check-up at the dental practice is due. Would Thursday at half past ten suit you?"
_ANSWERS = (
    "There is a place free on Thursday at half past ten. Shall I keep it for you?",
    "Please plan about forty minutes, and bring your insurance card.",
    "You can change it until the evening before. Just write to us here.",
    "There are places to park behind the house; the first hour costs nothing.",
    "I have noted that. Is there anything else?",
)
_REPLIES = ("Yes, that suits me.", "Can it be a little later?", "How long will it take?", "Is there somewhere to park?", "Thank you!")
_GOODBYE = "Thank you for writing. Goodbye!"


def opening(seed: int, text: str | None, now: int) -> list[Json]:
    """The messages that a chat begins with: the agent's opening, if there is one."""
    return [_message(seed, 0, "agent", text, now)] if text else []


def sms_script(seed: int, text: str | None, now: int) -> list[Json]:
    """A whole SMS conversation, each message with the time at which it is written."""
    rng = Random(seed)
    messages = [_message(seed, 0, "agent", text or _NOTICE, now)]
    at = now
    for _ in range(rng.randint(0, 3)):
        at += rng.randint(8_000, 90_000)
        messages.append(_message(seed, len(messages), "user", rng.choice(_REPLIES), at))
        at += rng.randint(1_500, 4_000)
        messages.append(_message(seed, len(messages), "agent", rng.choice(_ANSWERS), at))
    return messages


def user_message(seed: int, number: int, text: str, now: int) -> Json:
    """:param number: how many messages there were before."""
    return _message(seed, number, "user", text, now)


def answer(seed: int, number: int, text: str, now: int) -> tuple[list[Json], bool]:
    """The agent's answer to a message, tool calls included, and whether it ends the chat.

    :param number: how many messages there were before.
    """
    if _FAREWELL.search(text) is None:
        first = Random(seed).randrange(len(_ANSWERS))
        greets = number == 0
        return [_message(seed, number + 1, "agent", _GREETING if greets else _ANSWERS[(first + number) % len(_ANSWERS)], now)], False
    call = f"tool_call_{seed & 0xFFFFFFFF:08x}_{number}"
    invocation = {"role": "tool_call_invocation", "tool_call_id": call, "name": "end_call", "arguments": "{}", "type": "end_call"}
    result = {"role": "tool_call_result", "tool_call_id": call, "content": "the conversation was ended", "successful": True}
    return [
        _message(seed, number + 1, "agent", _GOODBYE, now),
        {"message_id": _id(seed, number + 2), "created_timestamp": now, **invocation},
        {"message_id": _id(seed, number + 3), "created_timestamp": now, **result},
    ], True


def transcript(messages: Iterable[Json]) -> str:
    return "".join(
        f"{message['role'].capitalize()}: {message['content']}\n" for message in messages if message["role"] in {"agent", "user"}
    )


def _message(seed: int, number: int, role: str, text: str, at: int) -> Json:
    return {"message_id": _id(seed, number), "role": role, "content": text, "created_timestamp": at}


def _id(seed: int, number: int) -> str:
    return f"message_{seed:012x}{number:04x}"
