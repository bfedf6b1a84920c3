"""What is said in a call: made from its course, the same each time."""

from __future__ import annotations

from random import Random

import attrs

from .exchange import Json
from .lifecycle import Course, turns

__all__ = ["Conversation", "converse"]

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


@attrs.frozen
class Conversation:
    """The parts of a call object that are made of words."""

    utterances: list[Json]
    tool_calls: list[Json]
    """What follows the last words: an invocation and its result, or nothing."""

    def transcript(self) -> str:
        return "".join(f"{utterance['role'].capitalize()}: {utterance['content']}\n" for utterance in self.utterances)


def converse(course: Course, opening: str | None = None) -> Conversation:
    """The words of a connected call that has ended, each with its place in the recording, in seconds.

    :param opening: what the agent says first, when its settings say so.
    """
    rng = Random(course.seed + 2)
    seconds = course.duration_ms / 1000
    lines = _lines(rng, course, opening)
    utterances: list[Json] = []
    at = 0.4
    for role, text in lines:
        words: list[Json] = []
        for word in text.split():
            length = 0.1 + 0.045 * len(word) + rng.uniform(0, 0.08)
            words.append({"word": word, "start": at, "end": at + length})
            at += length + 0.04
        utterances.append({"role": role, "content": text, "words": words})
        at += rng.uniform(0.4, 1.2)
    spoken = [_fitted(utterance, max(0.7, seconds / (at + 0.2)), seconds) for utterance in utterances]
    return Conversation(
        [utterance for utterance in spoken if utterance["words"]], _hang_up(course) if course.reason == "agent_hangup" else []
    )


def _lines(rng: Random, course: Course, opening: str | None) -> list[tuple[str, str]]:
    if course.in_voicemail:
        return [("user", _MAILBOX), ("agent", _MESSAGE)]
    first = rng.randrange(len(_EXCHANGES))
    lines = [("agent", opening or _GREETING)]
    for number in range(turns(course) - 1):
        asked, answered = _EXCHANGES[(first + number) % len(_EXCHANGES)]
        lines += [("user", asked), ("agent", answered)]
    if course.reason == "agent_hangup" and len(lines) > 1:
        lines[-1] = ("agent", _GOODBYE)
    return lines


def _fitted(utterance: Json, factor: float, seconds: float) -> Json:
    """The same spoken faster or slower, so that the words fill the time that the call took; what is too late is not said."""
    words = [
        {"word": word["word"], "start": round(word["start"] * factor, 3), "end": round(word["end"] * factor, 3)}
        for word in utterance["words"]
    ]
    said = [word for word in words if word["end"] <= seconds]
    return {"role": utterance["role"], "content": " ".join(word["word"] for word in said), "words": said}


def _hang_up(course: Course) -> list[Json]:
    tool_call_id = f"tool_call_{course.seed & 0xFFFFFFFF:08x}"
    return [
        {"role": "tool_call_invocation", "tool_call_id": tool_call_id, "name": "end_call", "arguments": "{}"},
        {"role": "tool_call_result", "tool_call_id": tool_call_id, "content": "the call was ended", "successful": True},
    ]
