"""What is said in a call. Pure: the same plan gives the same words."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from random import Random

import attrs

from ..common.messages import Json
from .lifecycle import CallPlan, turns

__all__ = ["Conversation", "Item", "Pause", "converse", "paused", "script", "answer_to_update", "user_lines", "utterance"]

_GREETING = "Hello, this is the assistant of the dental practice. Do you have a moment to talk about your appointment?"
_MAILBOX = "You have reached my mailbox. Please leave your name and a short message after the tone."
_MESSAGE = "Good day, I am calling about your appointment next week. Please ring us back when it suits you."
_GOODBYE = "Thank you for your time. Everything is noted. Goodbye!"
_EXCHANGES = (
    ("Yes, I have a minute. What is it about?", "Your check-up is due this month, and I would like to find a time that suits you."),
    (
        "Would the morning be possible as well?",
        "It would. There is a place free on Tuesday at nine and another on Thursday at half past ten.",
    ),
    ("Thursday sounds better to me.", "Good, then I will put you down for Thursday at half past ten with the same doctor as last time."),
    ("Wait, I have to look at my calendar first.", "Of course, take all the time you need. I will hold the place for you meanwhile."),
    ("How long is it going to take?", "Please plan about forty minutes, with ten more if pictures have to be taken."),
    ("Do I have to bring anything?", "Your insurance card is enough, and a list of any medicine that you take at present."),
    ("Can I still change it later on?", "You can, until the evening before. Ring this number or answer the message that we send."),
    ("Is there somewhere to park the car?", "There are places behind the house, and the first hour costs nothing for our patients."),
    ("Sorry, could you say that again?", "Gladly. I said that we confirm the time by text message within the next few minutes."),
    (
        "And what does it cost without insurance?",
        "The check-up itself is ninety dollars. Anything beyond that we would agree with you first.",
    ),
)


_PATIENCE = "Thank you for waiting. I have just been told something new, so let me take that up."
_MIN_PACE = 0.7
_TOOL_CALLS = frozenset({"tool_call_invocation", "tool_call_result"})

Item = tuple[int, Json]
"""Something in a transcript that is not speech, and when it was: milliseconds from the start of the call."""


@attrs.frozen
class Conversation:
    """The transcripts of a call."""

    utterances: list[Json]
    with_tool_calls: list[Json]
    """The same, with tool calls, their results, keys pressed and injected context in between."""

    def transcript(self) -> str:
        return "".join(f"{utterance['role'].capitalize()}: {utterance['content']}\n" for utterance in self.utterances)


@attrs.frozen
class Pause:
    """A time in which nobody speaks because the agent waits. What follows is said later."""

    at: int
    """Milliseconds from the start of the call."""
    length: int | None
    """Milliseconds; ``None`` while it lasts."""


def script(plan: CallPlan, opening: str | None = None) -> list[Json]:
    """What both sides say in a connected call if nothing comes in between; each word has its time, in seconds.

    :param opening: the agent's first words, if its settings have any.
    """
    rng = Random(plan.seed + 2)
    seconds = plan.talk_ms / 1000
    at = 0.4
    utterances: list[Json] = []
    for role, text in _lines(rng, plan, opening):
        spoken = utterance(role, text, at, rng)
        utterances.append(spoken)
        at = spoken["words"][-1]["end"] + 0.04 + rng.uniform(0.4, 1.2)
    pace = max(_MIN_PACE, seconds / (at + 0.2))
    fitted = (_moved(spoken, lambda moment: round(moment * pace, 3), seconds) for spoken in utterances)
    return [spoken for spoken in fitted if spoken["words"]]


def converse(
    plan: CallPlan,
    opening: str | None = None,
    *,
    until: int | None = None,
    spoken: Sequence[Json] | None = None,
    pauses: Sequence[Pause] = (),
    added: Sequence[Json] = (),
    items: Sequence[Item] = (),
    timed: bool = False,
) -> Conversation:
    """The transcripts of a connected call.

    :param until: a time, in milliseconds since the epoch; the end of the call unless given.
    :param spoken: what was said instead of `script`.
    :param added: utterances that fill pauses.
    :param timed: whether tool calls and results have ``time_sec``.
    """
    if plan.start is None:
        return Conversation([], [])
    length = min(plan.end, plan.end if until is None else until) - plan.start
    said = paused(script(plan, opening), pauses) if spoken is None else spoken
    if added:
        said = sorted([*said, *added], key=lambda spoken: spoken["words"][0]["start"])
    heard = (_moved(spoken, lambda moment: moment, length / 1000) for spoken in said)
    utterances = [spoken for spoken in heard if spoken["words"]]
    woven: list[tuple[float, Json]] = [(place, item) for place, item in items if place <= length]
    if plan.reason == "agent_hangup" and length == plan.duration_ms:
        woven += [(length, item) for item in _hang_up(plan)]
    if timed:
        woven = [(place, item | {"time_sec": place / 1000} if item["role"] in _TOOL_CALLS else item) for place, item in woven]
    woven += [(spoken["words"][0]["start"] * 1000, spoken) for spoken in utterances]
    return Conversation(utterances, [item for _, item in sorted(woven, key=itemgetter(0))])


def paused(utterances: Iterable[Json], pauses: Iterable[Pause]) -> list[Json]:
    """Utterances moved by pauses. Nothing follows a pause that has no end yet."""
    moved = list(utterances)
    for pause in pauses:
        before = [spoken for spoken in moved if spoken["words"][0]["start"] * 1000 < pause.at]
        if pause.length is None:
            return before
        later = _later(pause.length / 1000)
        moved = before + [_moved(spoken, later) for spoken in moved[len(before) :]]
    return moved


def utterance(role: str, text: str, at: float, rng: Random) -> Json:
    """An utterance.

    :param at: when it begins, in seconds from the start of the call.
    """
    words: list[Json] = []
    for word in text.split():
        end = at + 0.1 + 0.045 * len(word) + rng.uniform(0, 0.08)
        words.append({"word": word, "start": round(at, 3), "end": round(end, 3)})
        at = end + 0.04
    return {"role": role, "content": text, "words": words}


def user_lines(plan: CallPlan) -> list[str]:
    """What the user says in a call, whatever the agent says."""
    return [text for role, text in _lines(Random(plan.seed + 2), plan, None) if role == "user"]


def answer_to_update(plan: CallPlan, at: float) -> Json:
    """What the agent says when it is told to speak (``trigger_response``).

    :param at: when it begins, in seconds from the start of the call.
    """
    return utterance("agent", _PATIENCE, at, Random(plan.seed + round(at * 1000)))


def _lines(rng: Random, plan: CallPlan, opening: str | None) -> list[tuple[str, str]]:
    if plan.in_voicemail:
        return [("user", _MAILBOX), ("agent", _MESSAGE)]
    first = rng.randrange(len(_EXCHANGES))
    lines = [("agent", (opening or "").strip() or _GREETING)]
    for number in range(turns(plan.talk_ms) - 1):
        asked, answered = _EXCHANGES[(first + number) % len(_EXCHANGES)]
        lines += [("user", asked), ("agent", answered)]
    if plan.reason == "agent_hangup" and len(lines) > 1:
        lines[-1] = ("agent", _GOODBYE)
    return lines


def _moved(spoken: Json, move: Callable[[float], float], seconds: float = math.inf) -> Json:
    """The same utterance at other times, without words that end after so many seconds."""
    words: list[Json] = [{"word": word["word"], "start": move(word["start"]), "end": move(word["end"])} for word in spoken["words"]]
    said = [word for word in words if word["end"] <= seconds]
    return {"role": spoken["role"], "content": " ".join(word["word"] for word in said), "words": said}


def _later(seconds: float) -> Callable[[float], float]:
    return lambda moment: round(moment + seconds, 3)


def _hang_up(plan: CallPlan) -> list[Json]:
    tool_call_id = f"tool_call_{plan.seed & 0xFFFFFFFF:08x}"
    return [
        {"role": "tool_call_invocation", "tool_call_id": tool_call_id, "name": "end_call", "arguments": "{}"},
        {"role": "tool_call_result", "tool_call_id": tool_call_id, "content": "the call was ended", "successful": True},
    ]
