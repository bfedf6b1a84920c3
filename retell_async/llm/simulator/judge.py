"""What a server did, judged by the rules of the protocol: a state machine that is told what was sent and what came. No I/O, no clock.

Times are seconds, from any beginning.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

import attrs

from ..chat.transcripts import last_said
from ..log import object_of
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
    odd_fields,
    parse_answer,
)
from ..protocol import DIGITS, NUMBER, actions_of, ends_greeting

if TYPE_CHECKING:
    from retell_async.types import Utterance

__all__ = ["RULES", "Finding", "Judge", "Latencies", "Report", "Rule", "Verdict"]

Rule: TypeAlias = Literal[
    "well-formed",
    "response-type",
    "config-first",
    "begin-message",
    "greeting-overtaken",
    "known-id",
    "current-id",
    "completed",
    "complete-once",
    "said-once",
    "in-words",
    "newest-line",
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
    "begin-message": "the response with id 0 is completed, before anything else is said",
    "greeting-overtaken": "where the caller is faster than the begin message, an empty part completes it, before anything else is said",
    "known-id": "only what was asked for is answered",
    "current-id": "once the server has read that a newer answer is wanted, nothing comes for an older one but the end of a greeting",
    "completed": "every answer that is still wanted is completed in time",
    "complete-once": "nothing comes for an answer after its last part",
    "said-once": "no part of an answer says all of it again that was said before",
    "in-words": "what the caller says is answered in words, or by an action, be it by an interruption",
    "newest-line": "not all answers of a call repeat the first line of its transcript, whatever the caller says later",
    "one-action": "an answer has one action at most, with a number or digits that there are",
    "pong": "pings are answered in time, under `response_type`",
    "tool-calls": "tool calls have ids of their own and a JSON object as arguments, and results belong to them",
    "effects-once": "a side effect does not happen twice, and one that is to happen does",
    "stays-open": "the server does not close the connection but to hang up",
    "to-the-end": "the agent does not hang up or transfer while the caller has more to say",
}

_SENTENCE = re.compile(r"[.!?…。？！](?:\s|$)")
_MOST_FINDINGS = 20
_MOST_TEXT = 20_000
"""Characters of an answer that are looked at."""
_LEAST_REPEATED = 12
"""Characters that nobody says twice by chance, in one go and at the place where it would be."""
_LEAST_OF_A_LINE = 5
"""Characters of a whole line that are in no answer by chance."""
_READS_WITHIN = 2.0
"""Seconds after which a server that answers no ping should have read what it was sent."""


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
    repeated: Sequence[str] = ()
    """Tools that were called again with the same arguments, and of which it was not said whether they have side effects."""
    alike: bool | None = None
    """Whether the caller heard one answer to all that it said, ``None`` if it said no two things that were answered in words. No fault:
    there are servers that only ever say one thing. Most that do read another part of the transcript than its end."""

    @property
    def passed(self) -> bool:
        return all(verdict.passed for verdict in self.verdicts)


@attrs.define
class _Answer:
    """An answer that was asked for, or an interruption."""

    asked_at: float
    to: Literal["begin", "response", "reminder", "interruption"]
    said: str = ""
    """What the caller said last."""
    first: Utterance | None = None
    """The first line of the transcript."""
    wanted: bool = True
    complete: bool = False
    text: str = ""
    part: str = ""
    """The last part that had words."""
    repeats: bool = False
    """Whether a part said all of it again."""
    actions: set[str] = attrs.field(factory=set[str])
    frame_at: float | None = None
    sentence_at: float | None = None
    heard_at: float = attrs.field(default=attrs.Factory(lambda self: self.asked_at, takes_self=True))
    """When something of it came last, or it was asked for."""
    number: int = 0
    """Which message asked for it, counted from 1."""
    outdated_at: float | None = None
    """When a newer one was asked for."""
    outdated_by: int = 0
    """Which message asked for it, counted from 1; 0 if it was the server itself that said something newer."""
    protected: bool = False
    """Whether the caller cannot interrupt it."""
    read_at: float | None = None
    """When it was seen that the server had read that message: by its answer to it, or by a ping that was sent after it and came back."""
    ponged_at: float | None = None
    """When its WebSocket library had read that message, and what is behind the library should have."""

    @property
    def is_heard(self) -> bool:
        """Whether there are words or an action in it."""
        return bool(self.text.strip() or self.actions)

    def outdate(self, at: float, by: int) -> None:
        if self.outdated_at is None:
            self.wanted, self.outdated_at, self.outdated_by = False, at, by

    def what(self, id: int) -> str:
        if self.to == "interruption":
            return f"interruption {id}"
        return f"response {id}" if id else "the begin message"


@attrs.frozen
class _Ping:
    timestamp: int
    at: float
    number: int


@attrs.define(eq=False, kw_only=True)
class Judge:
    """Judges one call, over any number of connections.

    An answer is out of date once the server has read that a newer one is wanted. That it has is shown by the order of what it sends: a part
    of the newer answer comes, or a ping that was sent after the request comes back. If it does not send back the timestamps of pings, the
    WebSocket's own pongs are taken.

    :param slack: seconds after that in which parts may still come, of threads that were about to send them.
    :param answer_within: seconds within which the next part of an answer must come.
    :param longest: seconds within which it must be complete.
    :param pong_within: seconds within which a ping must be answered.
    :param side_effects: names of the tools that must not be called twice with the same arguments.
    :param exactly_once: names of the tools that must be called once in the call, whatever the arguments.
    """

    slack: float = 0.02
    answer_within: float = 15.0
    longest: float = 60.0
    pong_within: float = 5.0
    side_effects: frozenset[str] = frozenset()
    exactly_once: frozenset[str] = frozenset()
    messages: int = 0
    """How many were sent to the server."""
    _findings: dict[Rule, list[Finding]] = attrs.field(factory=lambda: {rule: [] for rule in RULES})
    _broken: Counter[Rule] = attrs.field(factory=Counter[Rule])
    _seen: Counter[Rule] = attrs.field(factory=Counter[Rule])
    _answers: dict[int, _Answer] = attrs.field(factory=dict[int, _Answer])
    _frames: int = 0
    _first_frames: list[float] = attrs.field(factory=list[float])
    _first_sentences: list[float] = attrs.field(factory=list[float])
    _pings: list[_Ping] = attrs.field(factory=list[_Ping])
    _watches_pings: bool = False
    _read: int = 0
    """How many messages the server has shown to have read."""
    _echoes: bool = False
    """Whether the server sends back the timestamps of pings."""
    _interruptions: dict[int, _Answer] = attrs.field(factory=dict[int, _Answer])
    _tools: set[str] = attrs.field(factory=set[str])
    _effects: Counter[str] = attrs.field(factory=Counter[str])
    _calls: Counter[str] = attrs.field(factory=Counter[str])
    _repeated: set[str] = attrs.field(factory=set[str])
    _answered: dict[str, set[str]] = attrs.field(factory=dict[str, set[str]])
    """By what the caller said, the answers in words that it heard to the end."""
    _repeats_first: bool = True
    """Whether each of these repeats the first line of its transcript."""
    _silent: tuple[_Answer, Finding] | None = None
    """The last answer if it had no words, and what is to be said of that if no interruption has them."""
    _connected: bool = False
    _greets: bool = True
    """Whether a begin message is to be completed before anything else is said: once a call, as far as is documented."""

    def opened(self, at: float) -> None:
        """A connection was opened, for which a begin message is wanted."""
        self._end_silence()
        self._connected, self._seen["to-the-end"] = True, 1
        self._frames, self._pings, self._watches_pings, self._echoes = 0, [], False, False
        unanswered = {id: answer for id, answer in self._answers.items() if answer.wanted and not answer.complete and id != 0}
        self._answers = {0: _Answer(at, "begin"), **unanswered}
        self._interruptions = {}

    def sent(self, message: Message, at: float) -> None:
        """Retell's side sent a message."""
        self.messages += 1
        match message:
            case ResponseRequired() | ReminderRequired():
                self._end_silence()
                for answer in (*self._answers.values(), *self._interruptions.values()):
                    if not (answer.to == "interruption" and answer.protected):
                        answer.outdate(at, self.messages)
                to: Literal["response", "reminder"] = "response" if isinstance(message, ResponseRequired) else "reminder"
                said, first = last_said(message.transcript), next(iter(message.transcript), None)
                self._answers[message.response_id] = _Answer(at, to, said, first, number=self.messages)
            case Ping():
                self._pings.append(_Ping(message.timestamp, at, self.messages))
            case _:
                pass

    def ponged(self, number: int, at: float) -> None:
        """The server's WebSocket library has read as many messages.

        :param at: when the server should have read them too.
        """
        for answer in self._outdated(number):
            answer.ponged_at = at if answer.ponged_at is None else answer.ponged_at

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
        for odd in odd_fields(answer):
            self._find("well-formed", at, odd)
        self._take(answer, at)

    def violated(self, what: str, at: float) -> None:
        """The server sent something that cannot be read at all."""
        self._seen["well-formed"] += 1
        self._find("well-formed", at, what)

    def lost(self, at: float) -> None:
        """The connection was closed or broken by Retell's side, or on the way."""
        self._missing_pongs(at)
        self._pings = []

    def closed(self, code: int, at: float) -> None:
        """The server closed the connection."""
        self._seen["stays-open"] += 1
        if code != 1000:
            self._find("stays-open", at, f"closed with {code}")
        else:
            for id, answer in self._answers.items():
                if answer.wanted and not answer.complete:
                    self._find(_rule_of(id), at, f"the server hung up before {answer.what(id)} was complete")
                answer.wanted = False
        self.lost(at)

    def report(self, at: float, *, gave_up: bool = False, unsaid: int = 0) -> Report:
        """What came of it, with what is missing by now.

        :param gave_up: whether the caller waited for the agent in vain.
        :param unsaid: how often the caller would have spoken yet when the agent ended the call.
        """
        missing: list[Finding] = []
        for id, answer in self._answers.items():
            late = at - answer.heard_at > self.answer_within or at - answer.asked_at > self.longest
            if answer.wanted and not answer.complete and late:
                missing.append(Finding(_rule_of(id), at, self._unanswered(id, answer)))
        if gave_up and not missing:
            missing.append(Finding("completed", at, "the caller waited for the agent to come to an end"))
        if self._connected:
            missing += [
                Finding("effects-once", at, f"{name!r} was called {self._calls[name]} times, not once, as told by tool_call_invocation")
                for name in sorted(self.exactly_once)
                if self._calls[name] != 1
            ]
        if unsaid:
            missing.append(Finding("to-the-end", at, f"it ended the call when the caller had {unsaid} more to say"))
        self._missing_pongs(at)
        self._end_silence()
        alike = len({text for texts in self._answered.values() for text in texts}) == 1 if len(self._answered) > 1 else None
        self._seen["newest-line"] = int(alike is not None)
        if alike and self._repeats_first:
            self._find("newest-line", at, "every answer repeats the first line of the transcript: the newest is the last")
        verdicts: list[Verdict] = []
        for rule in RULES:
            more = [finding for finding in missing if finding.rule == rule]
            findings = [*self._findings[rule], *more][:_MOST_FINDINGS]
            verdicts.append(Verdict(rule, self._seen[rule] + len(more), self._broken[rule] + len(more), findings))
        first_frame, first_sentence = Latencies(tuple(self._first_frames)), Latencies(tuple(self._first_sentences))
        return Report(verdicts, first_frame, first_sentence, sorted(self._repeated), alike)

    def _unanswered(self, id: int, answer: _Answer) -> str:
        if answer.frame_at is not None:
            return f"{answer.what(id)} was never completed"
        if id == 0:
            return "no begin message came: an empty one is to be sent where the caller is to speak first"
        return f"{answer.what(id)} was never answered"

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
                self._ponged(answer, at)
            case ToolCallInvocation() | ToolCallResult():
                self._tool(answer, at)
            case UnknownAnswer():
                self._find("well-formed", at, f"a message of an unknown kind: {answer.response_type[:40]!r}")
            case _:
                pass

    def _response(self, response: Response, at: float) -> None:
        id = response.response_id
        answer = self._answers.get(id)
        self._seen["known-id"] += 1
        if answer is None:
            self._find("known-id", at, f"response {id} was not asked for")
            return
        if id:
            self._says(answer, id, at)
        elif response.content_complete:
            self._greets = False  # also when it was on its way while something newer was asked for
        current = ends_greeting(response) or self._is_current(answer, id, at)
        if current and self._part(answer, response, id, at) and response.content_complete:
            if id and answer.frame_at is not None:
                self._first_frames.append(answer.frame_at - answer.asked_at)
            if id and answer.sentence_at is not None:
                self._first_sentences.append(answer.sentence_at - answer.asked_at)
            self._seen[_rule_of(id)] += 1
            self._seen["greeting-overtaken"] += not id and answer.outdated_by > 0
            if at - answer.asked_at > self.longest:
                self._find(_rule_of(id), at, f"{answer.what(id)} took {at - answer.asked_at:.0f} s to its end")
            if answer.to == "response":
                self._seen["in-words"] += 1
                if text := answer.text.strip():
                    self._answered.setdefault(answer.said, set()).add(text)
                    self._repeats_first = self._repeats_first and _repeats(text, answer.first)
                if not answer.is_heard:
                    self._silent = answer, Finding("in-words", at, f"{answer.what(id)} was empty: the caller hears silence")

    def _end_silence(self) -> None:
        """The caller goes on, so an answer without words stays without, unless they came in an interruption since it was asked for."""
        if self._silent is None:
            return
        (answer, found), self._silent = self._silent, None
        if not any(other.is_heard and other.asked_at >= answer.asked_at for other in self._interruptions.values()):
            self._find(found.rule, found.at, found.what)

    def _interrupted(self, interrupt: AgentInterrupt, at: float) -> None:
        id = interrupt.interrupt_id
        answer = self._interruptions.get(id)
        if answer is None:
            for earlier in (*self._answers.values(), *self._interruptions.values()):
                # What was asked for while this was on its way may yet be answered.
                known = earlier.frame_at is not None or earlier.number <= self._read
                if known and not earlier.complete and earlier.outdated_at is None:
                    earlier.outdate(at, 0)
                    earlier.read_at = at  # it knows what it does itself
            answer = self._interruptions[id] = _Answer(at, "interruption")
        self._says(answer, id, at)
        if self._is_current(answer, id, at):
            self._part(answer, interrupt, id, at)

    def _says(self, answer: _Answer, id: int, at: float) -> None:
        """Something else than the begin message is said."""
        if self._greets:
            self._greets = False
            rule: Rule = "greeting-overtaken" if self._answers[0].outdated_by else "begin-message"
            self._seen[rule] += 1
            self._find(rule, at, f"{answer.what(id)} came before the begin message was completed: the agent may not speak yet")

    def _is_current(self, answer: _Answer, id: int, at: float) -> bool:
        self._seen["current-id"] += 1
        if answer.outdated_at is None:
            return True
        read_at = answer.outdated_at + _READS_WITHIN
        if answer.read_at is not None:
            read_at = answer.read_at
        elif answer.ponged_at is not None and not self._echoes:
            read_at = answer.ponged_at
        if at - read_at > self.slack:
            late = f"{at - answer.outdated_at:.3f} s"
            self._find("current-id", at, f"a part of {answer.what(id)} came {late} after something newer was wanted")
        return False

    def _part(self, answer: _Answer, message: Response | AgentInterrupt, id: int, at: float) -> bool:
        self._seen["complete-once"] += 1
        if answer.complete:
            self._find("complete-once", at, f"a part of {answer.what(id)} came after its last one")
            return False
        self._acts(message, answer.actions, at)
        answer.heard_at = at
        if answer.frame_at is None:
            answer.frame_at = at
            if answer.number:  # whose answer has begun has read the request
                self._has_read(answer.number, at)
        self._say(answer, message, id, at)
        answer.complete, answer.protected = message.content_complete, message.no_interruption_allowed is True
        return True

    def _say(self, answer: _Answer, message: Response | AgentInterrupt, id: int, at: float) -> None:
        part, known = message.content.strip(), len(answer.text)
        if part:
            self._seen["said-once"] += 1
            said = answer.text.strip()
            grows = _again(answer.part, part) and len(part) > len(answer.part)
            if not answer.repeats and (grows or (_again(said, part) and (said != answer.part or message.content_complete))):
                answer.repeats = True
                self._find("said-once", at, f"a part of {answer.what(id)} begins with all that was said before: the caller hears it twice")
            answer.part = part
        if known < _MOST_TEXT:
            answer.text += message.content
        if answer.sentence_at is None and (
            _SENTENCE.search(answer.text, max(0, known - 1)) or (message.content_complete and answer.text.strip())
        ):
            answer.sentence_at = at

    def _acts(self, answer: Response | AgentInterrupt, before: set[str], at: float) -> None:
        acts = actions_of(answer)
        before.update(acts)
        if not acts:
            return
        self._seen["one-action"] += 1
        if len(before) > 1:
            self._find("one-action", at, " and ".join(sorted(before)))
        for name, form in (("transfer_number", NUMBER), ("digit_to_press", DIGITS)):
            given = acts.get(name)
            if given is not None and not (isinstance(given, str) and form.fullmatch(given)):
                self._find("one-action", at, f"a {name} that is none: {str(given)[:40]!r}")

    def _ponged(self, pong: Pong, at: float) -> None:
        self._seen["pong"] += 1
        sent_back = [ping for ping in self._pings if ping.timestamp == pong.timestamp]
        for ping in sent_back or self._pings[:1]:
            self._pings.remove(ping)
            if at - ping.at > self.pong_within:
                self._find("pong", at, f"later than {self.pong_within:g} s")
        for ping in sent_back:
            self._echoes = True
            self._has_read(ping.number, at)

    def _outdated(self, number: int) -> list[_Answer]:
        """What is out of date for a server that has read as many messages."""
        answers = (*self._answers.values(), *self._interruptions.values())
        return [answer for answer in answers if answer.outdated_at is not None and answer.outdated_by <= number]

    def _has_read(self, number: int, at: float) -> None:
        self._read = max(self._read, number)
        for answer in self._outdated(number):
            answer.read_at = at if answer.read_at is None else answer.read_at

    def _missing_pongs(self, at: float) -> None:
        if self._watches_pings:
            while self._pings and at - self._pings[0].at > self.pong_within:
                self._seen["pong"] += 1
                self._find("pong", self._pings.pop(0).at, "a ping that was not answered")

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
        arguments = object_of(answer.arguments)
        if arguments is None:
            self._find("tool-calls", at, "arguments that are no JSON object as text")
        effect = f"{answer.name}({answer.arguments if arguments is None else json.dumps(arguments, sort_keys=True)})"
        self._effects[effect] += 1
        named = answer.name in self.side_effects or answer.name in self.exactly_once
        self._seen["effects-once"] += named
        if self._effects[effect] == 2 and named:
            self._find("effects-once", at, f"{answer.name[:40]!r} was called again with the same arguments")
        elif self._effects[effect] == 2:
            self._repeated.add(answer.name[:40])

    def _find(self, rule: Rule, at: float, what: str) -> None:
        self._broken[rule] += 1
        if len(self._findings[rule]) < _MOST_FINDINGS:
            self._findings[rule].append(Finding(rule, at, what))


def _repeats(text: str, first: Utterance | None) -> bool:
    """Whether an answer repeats a line, and is not just what the agent has greeted with, as of an agent that only ever says one thing."""
    if first is None:
        return False
    line = first.content.strip()
    return len(line) >= _LEAST_OF_A_LINE and line in text and not (first.role == "agent" and line == text)


def _again(before: str, part: str) -> bool:
    return len(before) >= _LEAST_REPEATED and part.startswith(before)


def _rule_of(id: int) -> Rule:
    return "completed" if id else "begin-message"
