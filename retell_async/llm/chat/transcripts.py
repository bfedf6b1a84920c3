"""Transcripts as chat messages."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias, cast

from retell_async._core.json import well_formed
from retell_async._core.masking import mask_text

from ..effects import Effect
from ..log import stated_of, text_of

__all__ = ["REMINDER", "ChatMessage", "chat_messages", "is_spoken", "last_said", "spoken_part"]

ChatMessage: TypeAlias = dict[str, Any]
"""As OpenAI's chat completions have it: ``role`` and ``content``, and what goes with tool calls."""

REMINDER = "(The user has been silent for a while. Say something short to go on.)"

_SIGNS = re.compile(r"[^\w\s]+(?=\s)")
"""The signs behind a word."""
_ROLES = {"agent": "assistant", "user": "user", "transfer_target": "user"}


def last_said(transcript: Sequence[Any]) -> str:
    """What the user said last."""
    return cast("str", well_formed(next((_content(item) for item in reversed(transcript) if item.role == "user"), "")))


def spoken_part(content: str, words: Iterable[Any]) -> str:
    """The part of an utterance that its words reach to; all of it if there are none.

    Letters and digits are compared, without case, accents and signs. Where they differ, as a number does that one has in digits and the
    other in words, as many words of the utterance are taken as were spoken, and all of it if the last ones are alike.
    """
    return _part(content, [str(word.word) for word in words if getattr(word, "word", None)])


def is_spoken(text: str, since: Iterable[Any]) -> bool:
    """Whether the agent has spoken a text to its end, by the part of the transcript that has it."""
    words = " ".join(_text(item) for item in since if item.role == "agent").split()
    return bool(words) and _part(text, words) == text


def _part(content: str, given: Sequence[str]) -> str:
    if "".join("".join(given).split()) == "".join(content.split()):
        return content
    spoken = [plain for text in given if (plain := _plain(text))]
    if not spoken:
        return content
    all_spoken, known, end = "".join(spoken), 0, 0
    for at, character in enumerate(content, 1):
        plain = _plain(character)
        if plain and (known == len(all_spoken) or not all_spoken.startswith(plain, known)):
            break
        known, end = known + len(plain), at if plain else end
    else:
        return content
    if known < len(all_spoken):
        ends = [(found, token.end()) for token in re.finditer(r"\S+", content) if (found := _plain(token[0]))]
        if len(spoken) >= len(ends) or spoken[-1] == ends[-1][0]:
            return content
        end = ends[len(spoken) - 1][1]
    signs = _SIGNS.match(content, end)
    return content[: end if signs is None else signs.end()]


def _plain(text: str) -> str:
    """The letters and digits of a text."""
    return "".join(filter(str.isalnum, text if text.isascii() else unicodedata.normalize("NFKD", text))).casefold()


def chat_messages(
    transcript: Sequence[Any], *, system: str | None = None, reminder: str | None = None, effects: Sequence[Effect] = ()
) -> list[ChatMessage]:
    """A transcript as chat messages; what follows each other from one side is one message.

    An endpoint refuses a call that is not followed by its result at once, so what lay between the two comes after both. Many refuse a
    system message that is not the first, so there is one, with what was done in it.
    """
    messages: list[ChatMessage] = []
    if system is not None or effects:
        content = "\n\n".join(filter(None, (system, "\n".join(map(_told, effects)))))
        messages.append({"role": "system", "content": content})
    results: dict[str, Any] = {}
    for item in transcript:
        if item.role == "tool_call_result":
            results.setdefault(_id(item), item)
    beside: list[dict[str, Any]] | None = None  # the calls that the next one stands beside
    for item in transcript:
        role = item.role if isinstance(item.role, str) else ""
        if role != "tool_call_invocation":
            beside = None
        if role in _ROLES:
            _said(messages, _ROLES[role], _text(item))
        elif role == "tool_call_invocation" and (id := _id(item)) and isinstance(item.name, str) and isinstance(item.arguments, str):
            result = results.pop(id, None)
            if result is None:  # an endpoint refuses a call without one, and an id that was there before
                continue
            if beside is None:
                beside = []
                messages.append({"role": "assistant", "content": None, "tool_calls": beside})
            beside.append({"id": id, "type": "function", "function": {"name": item.name, "arguments": item.arguments}})
            messages.append({"role": "tool", "tool_call_id": id, "content": text_of(result.content)})
        elif role == "dtmf" and item.digit is not None:
            _said(messages, "user", f"(pressed {item.digit})")
    if reminder:
        _said(messages, "user", reminder)
    return cast("list[ChatMessage]", well_formed(messages))


def _content(item: Any) -> str:
    return item.content if isinstance(item.content, str) else ""


def _id(item: Any) -> str:
    return item.tool_call_id if isinstance(item.tool_call_id, str) else ""


def _text(item: Any) -> str:
    content = _content(item)
    words: Any = item.words
    return spoken_part(content, words) if item.role == "agent" and words.__class__ is list else content


def _said(messages: list[ChatMessage], role: str, content: str) -> None:
    content = content.strip()  # an endpoint may refuse a last message that ends in a space
    if not content:
        return
    last = messages[-1] if messages else {}
    if last.get("role") == role and isinstance(last["content"], str):
        last["content"] = f"{last['content']} {content}"
    else:
        messages.append({"role": role, "content": content})


def _told(effect: Effect) -> str:
    if effect.error is not None:
        failed = f"It failed, and may have happened all the same: {mask_text(stated_of(effect.error))}"
        return f"Tried already, though the user may not have been told, and not to be tried again: {effect.key}. {failed}"
    if not effect.done:
        begun = "Begun already, though the user may not have been told, and not to be done again"
        return f"{begun}: {effect.key}. The very same call gives its result."
    if effect.action is None and not effect.says_goodbye:
        return f"Done already, though the user may not have been told: {effect.key}. Result: {text_of(effect.result)}"
    return (
        f"Called already, in an answer that the user did not hear to its end: {effect.key}. Result: {text_of(effect.result)}\n"
        "What that does with the phone call (to hang up, transfer, press keys or take leave) has not happened: make the very same call "
        "again if it is still wanted. Nothing else of it is done twice."
    )
