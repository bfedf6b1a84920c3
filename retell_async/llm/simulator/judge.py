"""What a server did, judged by the rules of the protocol: a state machine that is told what was sent and what came. No I/O, no clock.

Times are seconds, from any beginning.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import attrs

from ..messages import (
    AgentInterrupt,
    Answer,
    Config,
    Message,
    Ping,
    Pong,
    ProtocolError,
    ReminderRequired,
    Response,
    ResponseRequired,
    ToolCallInvocation,
    ToolCallResult,
    UnknownAnswer,
    parse_answer,
)
from ..protocol import DIGITS, NUMBER

__all__ = ["RULES", "Finding", "Judge", "Latencies", "Report", "Rule", "Verdict"]

Rule: TypeAlias = Literal[
    "well-formed",
    "response-type",
    "config-first",
    "begin-message",
    "known-id",
    "current-id",
    "completed",
    "complete-once",
    "in-words",
    "one-action",
    "pong",
    "tool-calls",
    "effects-once",
    "stays-open",
    "to-the-end",
]

RULES: dict[Rule, str] = {
    "well-formed": "every frame is text and a JSON object whose fields have the right types",
    "response-type": "every message says what it is in `response_type`",
    "config-first": "the configuration comes once, and first",
    "begin-message": "the response with id 0 comes and is completed",
    "known-id": "only what was asked for is answered",
    "current-id": "nothing is sent for an id once a newer one was asked for",
    "completed": "every answer that is still wanted is completed in time",
    "complete-once": "nothing comes for an id after its last part",
    "in-words": "what the caller says is answered in words, or by an action",
    "one-action": "an answer has one action at most, with a number or digits that there are",
    "pong": "pings are answered in time, under `response_type`",
    "tool-calls": "tool calls have ids of their own and a JSON object as arguments, and results belong to them",
    "effects-once": "no tool with a side effect is called twice with the same arguments, and in its scenario exactly once",
    "stays-open": "the server does not close the connection but to hang up",
    "to-the-end": "the agent does not hang up or transfer while the caller has more to say",
}

_SENTENCE = re.compile(r"[.!?…。？！](?:\s|$)")
_ACTIONS = ("end_call", "transfer_number", "digit_to_press")
_MOST_FINDINGS = 20
_REACTS_WITHIN = 0.02
"""Seconds from when the server has read a newer request to when it sends nothing for the older one any more."""


@attrs.frozen
class Finding:
    """A rule that was broken."""

    rule: Rule
    at: float
    what: str


@attrs.frozen
class Verdict:
    """What came of one rule."""

    rule: Rule
    seen: int
    """How often the rule had to be kept; 0 if it was never put to the test."""
    broken: int
    findings: Sequence[Finding]
    """The first of them."""

    @property
    def passed(self) -> bool:
        return not self.broken


@attrs.frozen
class Latencies:
    """Seconds from a request, of which the answer was complete, to something of it."""

    values: Sequence[float]

    def quantile(self, share: float) -> float | None:
        """Such as 0.5 and 0.95; ``None`` if nothing was measured."""
        ordered = sorted(self.values)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else None


@attrs.frozen
class Report:
    """What came of all rules, and how fast it was."""

    verdicts: Sequence[Verdict]
    first_frame: Latencies
    first_sentence: Latencies

    @property
    def passed(self) -> bool:
        return all(verdict.passed for verdict in self.verdicts)


@attrs.define
class _Turn:
    asked_at: float
    wanted: bool = True
    complete: bool = False
    text: str = ""
    actions: set[str] = attrs.field(factory=set[str])
    frame_at: float | None = None
    sentence_at: float | None = None
    outdated_at: float | None = None
    """When a newer one was asked for."""
    known_at: float | None = None
    """When the server had read that."""
    reminder: bool = False
    late: float | None = None
    """How long after that something came, if it did."""


@attrs.define(eq=False, kw_only=True)
class Judge:
    """Judges one call, over any number of connections.

    :param slack: seconds within which the server cannot know yet of a newer request. Where `read` tells that it does know, what comes all
        the same counts if it happens in two turns or more: servers that look only after sending do so in each.
    :param answer_within: seconds within which an answer must be complete, unless it goes on being sent.
    :param pong_within: seconds within which a ping must be answered.
    :param side_effects: names of the tools that must not be called twice with the same arguments. Look-ups may be.
    :param exactly_once: names of the tools that must be called once in the call, whatever the arguments.
    """

    slack: float = 0.25
    answer_within: float = 15.0
    pong_within: float = 5.0
    side_effects: frozenset[str] = frozenset()
    exactly_once: frozenset[str] = frozenset()
    _findings: list[Finding] = attrs.field(factory=list[Finding])
    _seen: Counter[Rule] = attrs.field(factory=Counter[Rule])
    _turns: dict[int, _Turn] = attrs.field(factory=dict[int, _Turn])
    _frames: int = 0
    _first_frames: list[float] = attrs.field(factory=list[float])
    _first_sentences: list[float] = attrs.field(factory=list[float])
    _pings: list[float] = attrs.field(factory=list[float])
    _watches_pings: bool = False
    _interrupts: dict[int, bool] = attrs.field(factory=dict[int, bool])
    """Interruptions, and whether they are complete."""
    _interrupted_at: float = 0.0
    """When the newest one began."""
    _opened: bool = False
    _tools: set[str] = attrs.field(factory=set[str])
    _effects: Counter[str] = attrs.field(factory=Counter[str])
    _calls: Counter[str] = attrs.field(factory=Counter[str])

    def opened(self, at: float) -> None:
        """A connection was opened, for which a begin message is wanted."""
        self._seen["to-the-end"] = 1
        self._opened, self._frames, self._pings, self._watches_pings = True, 0, [], False
        unanswered = {id: turn for id, turn in self._turns.items() if turn.wanted and not turn.complete and id != 0}
        self._turns = {0: _Turn(at), **unanswered}

    def sent(self, message: Message, at: float) -> None:
        """Retell's side sent a message."""
        match message:
            case ResponseRequired() | ReminderRequired():
                for turn in self._turns.values():
                    if turn.wanted:
                        turn.wanted, turn.outdated_at = False, at
                self._turns[message.response_id] = _Turn(at, reminder=isinstance(message, ReminderRequired))
            case Ping():
                self._pings.append(at)
            case _:
                pass

    def read(self, at: float) -> None:
        """The server has read all that was sent, as far as its library goes."""
        for turn in self._turns.values():
            if turn.outdated_at is not None and turn.known_at is None:
                turn.known_at = at

    def received(self, frame: str | bytes, at: float) -> None:
        """The server sent a frame."""
        self._frames += 1
        self._seen["well-formed"] += 1
        if isinstance(frame, bytes):
            self._find("well-formed", at, "a binary frame")
            return
        try:
            answer = parse_answer(frame)
        except ProtocolError as error:
            self._find("well-formed", at, str(error))
            return
        self._seen["response-type"] += 1
        if "response_type" not in answer:
            self._find("response-type", at, "a message without `response_type`")
        self._take(answer, at)

    def lost(self, at: float) -> None:
        """The connection was closed or broken by Retell's side, or on the way."""
        self._missing_pongs(at)
        self._pings = []

    def closed(self, code: int, at: float) -> None:
        """The server closed the connection."""
        self._seen["stays-open"] += 1
        if code != 1000:
            self._find("stays-open", at, f"closed with {code}")
        for id, turn in self._turns.items():
            if code == 1000 and turn.wanted and not turn.complete:
                self._find("completed" if id else "begin-message", at, f"hung up before response {id} was complete")
            turn.wanted = turn.wanted and code != 1000
        self.lost(at)

    def report(self, at: float, *, unsaid: int = 0) -> Report:
        """What came of it, with what is missing by now.

        :param unsaid: how often the caller would have spoken yet when the agent ended the call.
        """
        if not self._opened:
            return Report([Verdict(rule, 0, 0, ()) for rule in RULES], Latencies(()), Latencies(()))
        missing: list[Finding] = [Finding("to-the-end", at, f"the caller had {unsaid} more to say")] if unsaid else []
        stale = [(id, turn.late) for id, turn in self._turns.items() if turn.late is not None]
        if len(stale) > 1:
            missing += [Finding("current-id", at, f"a part of {id}, {after:.2f} s after a newer request was read") for id, after in stale]
        for id, turn in self._turns.items():
            rule: Rule = "completed" if id else "begin-message"
            late = at - (turn.asked_at if turn.frame_at is None else turn.frame_at) > self.answer_within
            if turn.wanted and not turn.complete and late:
                missing.append(Finding(rule, at, _missing(id, turn)))
        missing += [
            Finding("effects-once", at, f"{name!r} was called {self._calls[name]} times, not once")
            for name in sorted(self.exactly_once)
            if self._calls[name] != 1
        ]
        self._missing_pongs(at)
        found = [*self._findings, *missing]
        verdicts = [
            Verdict(rule, self._seen[rule] + len([each for each in missing if each.rule == rule]), len(broken), broken[:_MOST_FINDINGS])
            for rule in RULES
            for broken in [[each for each in found if each.rule == rule]]
        ]
        return Report(verdicts, Latencies(tuple(self._first_frames)), Latencies(tuple(self._first_sentences)))

    def _take(self, answer: Answer, at: float) -> None:
        match answer:
            case Config():
                self._seen["config-first"] += 1
                self._watches_pings = answer.config.auto_reconnect is True
                if self._frames > 1:
                    self._find("config-first", at, f"the configuration was frame {self._frames}")
            case Response():
                self._response(answer, at)
            case AgentInterrupt():
                self._interrupted(answer, at)
            case Pong():
                self._ponged(at)
            case ToolCallInvocation() | ToolCallResult():
                self._tool(answer, at)
            case UnknownAnswer():
                self._find("well-formed", at, f"a message of an unknown kind: {answer.response_type[:40]!r}")
            case _:
                pass

    def _response(self, answer: Response, at: float) -> None:
        id = answer.response_id
        turn = self._turns.get(id)
        self._seen["known-id"] += 1
        if turn is None:
            self._find("known-id", at, f"{id} was not asked for")
            return
        self._seen["current-id"] += 1
        if turn.outdated_at is not None:
            newer = max(self._turns)
            if at - turn.outdated_at > self.slack or (newer > id and self._turns[newer].frame_at is not None):
                self._find("current-id", at, f"a part of {id}, {at - turn.outdated_at:.2f} s after a newer request")
            elif turn.known_at is not None and at - turn.known_at > _REACTS_WITHIN:
                turn.late = at - turn.known_at
            return
        self._seen["complete-once"] += 1
        if turn.complete:
            self._find("complete-once", at, f"a part of {id} after its last one")
            return
        self._acts(answer, turn.actions, at)
        turn.text += answer.content
        if turn.frame_at is None:
            turn.frame_at = at
        if turn.sentence_at is None and (_SENTENCE.search(turn.text) or (answer.content_complete and turn.text.strip())):
            turn.sentence_at = at
        if answer.content_complete:
            turn.complete = True
            if id:
                self._first_frames.append(turn.frame_at - turn.asked_at)
            if id and turn.sentence_at is not None:
                self._first_sentences.append(turn.sentence_at - turn.asked_at)
            self._seen["completed" if id else "begin-message"] += 1
            if id and not turn.reminder:
                self._seen["in-words"] += 1
                if not turn.text.strip() and not turn.actions:
                    self._find("in-words", at, f"response {id} is complete without a word")

    def _interrupted(self, answer: AgentInterrupt, at: float) -> None:
        if answer.interrupt_id not in self._interrupts:
            self._interrupted_at = at
        for id, turn in self._turns.items():
            if turn.wanted and not turn.complete and turn.frame_at is not None and turn.asked_at > self._interrupted_at:
                self._find(
                    "current-id", at, f"a part of the interruption {answer.interrupt_id} amid response {id}, which was asked for later"
                )
            if turn.wanted and not turn.complete:
                turn.wanted, turn.outdated_at = False, at
        self._seen["complete-once"] += 1
        if self._interrupts.get(answer.interrupt_id):
            self._find("complete-once", at, f"a part of the interruption {answer.interrupt_id} after its last one")
        self._acts(answer, set(), at)
        self._interrupts[answer.interrupt_id] = answer.content_complete

    def _acts(self, answer: Response | AgentInterrupt, before: set[str], at: float) -> None:
        sent = answer.to_dict()
        before.update(name for name in _ACTIONS if sent.get(name))
        self._seen["one-action"] += bool(before)
        if len(before) > 1:
            self._find("one-action", at, " and ".join(sorted(before)))
        for name, form in (("transfer_number", NUMBER), ("digit_to_press", DIGITS)):
            given = sent.get(name)
            if given and not (isinstance(given, str) and form.fullmatch(given)):
                self._find("one-action", at, f"a {name} that is none")

    def _ponged(self, at: float) -> None:
        self._seen["pong"] += 1
        if self._pings and at - self._pings.pop(0) > self.pong_within:
            self._find("pong", at, f"later than {self.pong_within:g} s")

    def _missing_pongs(self, at: float) -> None:
        if self._watches_pings:
            while self._pings and at - self._pings[0] > self.pong_within:
                self._seen["pong"] += 1
                self._find("pong", self._pings.pop(0), "a ping that was not answered")

    def _tool(self, answer: ToolCallInvocation | ToolCallResult, at: float) -> None:
        self._seen["tool-calls"] += 1
        id = answer.tool_call_id
        if isinstance(answer, ToolCallResult):
            if id not in self._tools:
                self._find("tool-calls", at, "a result of a call that was not made")
            return
        if id in self._tools:
            self._find("tool-calls", at, "two calls with one id")
        self._tools.add(id)
        self._calls[answer.name] += 1
        arguments = _arguments(answer.arguments)
        if not isinstance(arguments, dict):
            self._find("tool-calls", at, "arguments that are no JSON object as text")
        if answer.name in self.side_effects | self.exactly_once:
            self._seen["effects-once"] += 1
            effect = f"{answer.name}({json.dumps(arguments, sort_keys=True)})"
            self._effects[effect] += 1
            if self._effects[effect] == 2:
                self._find("effects-once", at, f"{answer.name[:40]!r} was called again with the same arguments")

    def _find(self, rule: Rule, at: float, what: str) -> None:
        self._findings.append(Finding(rule, at, what))


def _missing(id: int, turn: _Turn) -> str:
    if turn.frame_at is not None:
        return f"response {id} was never completed"
    if id:
        return f"response {id} was never answered"
    return "response 0 never came: where the user is to speak first, it is an empty one"


def _arguments(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
