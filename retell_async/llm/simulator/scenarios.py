"""What a caller does in a call: the scenarios that every server should stand, and one's own from a file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias, cast

import attrs

__all__ = ["Lines", "Lose", "HangUp", "Pause", "Say", "Scenario", "Send", "Silence", "Step", "Wait", "read_scenarios", "scenarios"]


@attrs.frozen
class Say:
    """The caller says something, cutting off the agent if it speaks. An answer is wanted."""

    text: str


@attrs.frozen
class Silence:
    """The caller has been silent for a while: a reminder is wanted."""

    heard: bool = True
    """Whether there is a transcript; ``False`` for an empty one."""


@attrs.frozen
class Wait:
    """Wait for the agent: until it has spoken all of its answer, until its first words, or until it calls a tool or has answered."""

    until: Literal["answer", "words", "tool"] = "answer"


@attrs.frozen
class Pause:
    """Nothing happens for some seconds."""

    seconds: float


@attrs.frozen
class Lose:
    """The connection is lost, and opened again. What was left without an answer is asked for again."""


@attrs.frozen
class HangUp:
    """The caller hangs up."""


@attrs.frozen
class Send:
    """A frame as it is."""

    text: str = attrs.field(repr=False)


Step: TypeAlias = Say | Silence | Wait | Pause | Lose | HangUp | Send


@attrs.frozen
class Scenario:
    """One call."""

    name: str
    about: str
    steps: Sequence[Step]
    tools: frozenset[str] = frozenset()
    """Names of tools that are to be called exactly once in it."""


@attrs.frozen
class Lines:
    """What the caller says, in words that the server understands: where they should lead to something."""

    first: str = "Hello, are you open tomorrow?"
    second: str = "And on Sunday?"
    third: str = "What does it cost?"
    tool: str = "At ten, please."
    correction: str = "At ten, please, or at eleven."
    slow: str = "Take your time and tell me everything about it."
    failing: str = "Please fail now."
    goodbye: str = "No, thanks. Goodbye."


# As the API may send them one day: a message, a role and fields that nobody knows yet, and an utterance without words.
_OF_NEW_KINDS = (
    '{"interaction_type":"brand_new","response_id":"x"}',
    '{"interaction_type":"update_only","transcript":[{"role":"user","content":"Hm"},{"role":"brand_new"}],"mood":{"happy":1}}',
)


def scenarios(lines: Lines | None = None, tools: Sequence[str] = ()) -> list[Scenario]:
    """The scenarios that every server should stand.

    :param tools: the tools that the server calls, each exactly once, when the caller says the line `tool`.
    """
    say = lines or Lines()
    begin, answer, words = Wait(), Wait(), Wait("words")
    three: list[Step] = [Say(say.first), words, Say(say.second), words] * 3
    return [
        Scenario(
            "plain",
            "three questions, one after the other",
            [begin, Say(say.first), answer, Say(say.second), answer, Say(say.third), answer],
        ),
        Scenario("greeting", "the caller speaks over the greeting", [Wait("words"), Say(say.first), answer]),
        Scenario(
            "first word",
            "the caller speaks first, and is faster than a greeting that takes its time",
            [Say("Hello?"), answer, Say(say.first), answer],
        ),
        Scenario("interruption", "the caller interrupts three answers", [begin, *three, answer]),
        Scenario(
            "false start",
            "the caller goes on speaking: three answers are asked for before one can come",
            [begin, Say("Well"), Say(f"Well, {say.first}"), Say(f"Well, {say.first} {say.second}"), answer],
        ),
        Scenario("silence", "the caller is silent, twice", [begin, Silence(), answer, Say(say.first), answer, Silence(), answer]),
        Scenario(
            "nothing heard", "a reminder and a transcript with nothing in it", [begin, Silence(heard=False), answer, Say(say.first), answer]
        ),
        Scenario(
            "slow model",
            "an answer that takes its time, while pings go on",
            [begin, Say(say.slow), answer, Pause(5.5), Say(say.second), answer],
        ),
        Scenario(
            "tool",
            "the caller interrupts while a tool is called, and says it again",
            [begin, Say(say.first), answer, Say(say.tool), Wait("tool"), Say(say.correction), answer, Say(say.correction), answer],
            frozenset(tools),
        ),
        Scenario(
            "reconnect",
            "the connection is lost in the middle of an answer",
            [begin, Say(say.first), words, Lose(), answer, Say(say.second), answer],
        ),
        Scenario("failing model", "an answer that fails, and another one", [begin, Say(say.failing), answer, Say(say.second), answer]),
        Scenario(
            "unknown messages",
            "messages and fields that the server does not know",
            [begin, *map(Send, _OF_NEW_KINDS), Say(say.first), answer],
        ),
        Scenario(
            "goodbye",
            "the caller takes leave, and the agent may hang up",
            [begin, Say(say.first), answer, Say(say.goodbye), answer, Silence(), answer],
        ),
    ]


def read_scenarios(text: str) -> list[Scenario]:
    """One's own scenarios, from TOML: tables ``[[scenario]]`` with `name`, `steps`, and if they matter `about` and `tools`.

    A step is a text: ``say <words>``, ``wait [answer|words|tool]``, ``silence``, ``pause <seconds>``, ``lose``, ``hang up``,
    ``send <frame>``.

    :raises ValueError: it cannot be read; the message names the place.
    """
    found: Any = tomllib.loads(text).get("scenario")
    if not isinstance(found, list) or not found:
        raise ValueError("there is no table [[scenario]]")
    return [_scenario(each, f"scenario {number}") for number, each in enumerate(cast("Sequence[Any]", found), 1)]


def _scenario(table: Any, place: str) -> Scenario:
    fields = cast("Mapping[str, Any]", table if isinstance(table, Mapping) else {"name": None})
    if unknown := fields.keys() - {"name", "about", "steps", "tools"}:
        raise ValueError(f"{place} has no use for {', '.join(sorted(unknown))}")
    name, about, steps, tools = fields.get("name"), fields.get("about", ""), fields.get("steps"), fields.get("tools", [])
    if not isinstance(name, str) or not name or not isinstance(about, str):
        raise ValueError(f"{place} needs a name, which is a text, as is what it is about")
    if not _texts(steps) or not steps:
        raise ValueError(f"{place} needs steps, which are a list of texts")
    if not _texts(tools):
        raise ValueError(f"{place} has tools that are not a list of names")
    return Scenario(name, about, [read_step(step, f"step {number} of {place}") for number, step in enumerate(steps, 1)], frozenset(tools))


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in cast("Sequence[Any]", value))


def read_step(text: str, place: str) -> Step:
    """A step by its text.

    :raises ValueError: there is no such step.
    """
    verb, _, rest = text.strip().partition(" ")
    rest = rest.strip()
    match verb, rest:
        case "say", said if said:
            return Say(said)
        case "send", frame if frame:
            return Send(frame)
        case "wait", "" | "answer":
            return Wait()
        case "wait", "words":
            return Wait("words")
        case "wait", "tool":
            return Wait("tool")
        case "silence", "":
            return Silence()
        case "lose", "":
            return Lose()
        case "hang", "up":
            return HangUp()
        case "pause", seconds if seconds.replace(".", "", 1).isdecimal():
            return Pause(float(seconds))
        case _:
            raise ValueError(
                f"{place} is none: say <words>, wait [answer|words|tool], silence, pause <seconds>, lose, hang up, send <frame>"
            )
