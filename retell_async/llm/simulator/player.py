"""Retell's side of one call: a state machine that is told what came and what time it is, and says what to send. No I/O, no clock.

Times are seconds, from any beginning.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from math import inf
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit, urlunsplit

import attrs

from ..messages import (
    AgentInterrupt,
    CallDetails,
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
    UpdateOnly,
    parse_answer,
)
from ..protocol import actions_of
from .scenarios import HangUp, Lose, Pause, Say, Send, Silence, Step, Wait

__all__ = ["CONNECT_SECONDS", "Player", "Sign", "socket_url"]

CONNECT_SECONDS = 7.0
"""How long one attempt to connect may take."""
_CONNECTS = 3
_CONNECT_PAUSE = 3.0
_RECONNECT_PAUSE = 0.2
_RECONNECTS = {"silent": 2, "abnormal": 4}
_PING_EVERY = 2.0
_PONG_WITHIN = 5.1
"""A moment more than the judge gives."""
_BEGIN_AGAIN_WITHIN = 2.0
"""How long a begin message is waited for after a reconnection: whether one must come is not documented."""

_HUNG_UP = "hung up by the agent"
_TRANSFERRED = "transferred by the agent"

Json: TypeAlias = dict[str, Any]
SignKind: TypeAlias = Literal["said", "cut off", "tool", "result", "hangs up", "transfers", "presses"]


def socket_url(url: str, call_id: str) -> str:
    """The URL of a call's WebSocket: the server's, with the call's id at the end of its path.

    :raises ValueError: it is not a URL.
    """
    parts = urlsplit(url)
    _ = parts.port  # raises when it is not a number
    scheme = {"https": "wss", "http": "ws"}.get(parts.scheme, parts.scheme)
    return urlunsplit(parts._replace(scheme=scheme, path=f"{parts.path.rstrip('/')}/{call_id}"))


def _queue(steps: Iterable[Step]) -> deque[Step]:
    return deque(steps)


@attrs.define
class _Turn:
    """What was asked for last."""

    id: int | None
    """``None`` for an interruption by the agent."""
    kind: str
    text: str = ""
    complete: bool = False
    cut: bool = False
    """Whether the caller speaks over it, so that nothing more of it is spoken."""
    tool: bool = False
    action: Json = attrs.field(factory=dict[str, Any])
    interrupt_id: int | None = None


@attrs.define
class _Speech:
    """What the agent is saying, word by word."""

    begun: float
    next_at: float
    spoken: int = 0
    words: list[str] = attrs.field(factory=list[str])
    _joins: bool = False
    """Whether the last word may go on."""

    def add(self, text: str) -> None:
        words = text.split()
        if words and self._joins and self.words and not text[0].isspace():
            self.words[-1] += words.pop(0)
        self.words += words
        self._joins = not text[-1].isspace()

    @property
    def over(self) -> bool:
        return self.spoken >= len(self.words)


@attrs.frozen
class Sign:
    """What the agent has said or done."""

    kind: SignKind
    what: str = ""
    """The words, the tool and its arguments, its result, the number or the keys."""


@attrs.define(eq=False, kw_only=True)
class Player:
    """The conversation of one call, by steps.

    :param steps: what the caller does.
    :param details: the call, for servers that ask for it.
    :param epoch: milliseconds of Unix time at second 0, for pings.
    :param pace: words that the agent speaks in a second.
    :param caller_pace: words that the caller speaks in a second; ``None`` for the agent's pace.
    :param patience: seconds without a part of an answer after which the call is given up.
    :param longest: seconds within which an answer must be complete, else the call is given up.
    :param most: seconds after which the call is given up, whatever goes on.
    :param linger: seconds that pass after the last step, for what comes too late.
    :param open_ended: whether more steps may come: the call does not end with the last.
    """

    steps: deque[Step] = attrs.field(converter=_queue)
    details: Json
    epoch: float = 0.0
    pace: float = 20.0
    caller_pace: float | None = None
    patience: float = 16.0
    longest: float = 60.0
    most: float = inf
    linger: float = 1.0
    open_ended: bool = False
    connect_at: float | None = 0.0
    """When to connect next; ``None`` while connected, or when no connection is wanted."""
    frames: deque[Message | str] = attrs.field(factory=deque[Message | str])
    """To be sent, in this order, while connected."""
    closing: int | None = None
    """The code to close the connection with, once all frames are sent."""
    losing: bool = False
    """Whether the connection is to be broken off."""
    ended: str | None = None
    """How the call came to its end, once it did."""
    gave_up: bool = False
    """Whether that was because nothing came any more."""
    spoken: list[Json] = attrs.field(factory=list[Json])
    """Utterances that are over."""
    signs: list[Sign] = attrs.field(factory=list[Sign])
    """What the agent has said to its end or was cut off in, and what it did."""
    _up: bool = False
    _attempts: int = 0
    _lost: dict[str, int] = attrs.field(factory=lambda: {"silent": 0, "abnormal": 0})
    _config: Json = attrs.field(factory=dict[str, Any])
    _silent: bool = False
    """Whether the connection is being broken off because a ping was not answered."""
    _ping_at: float | None = None
    _pong_by: float | None = None
    _pinged: int = 0
    """The timestamp of the last ping: no two are alike."""
    _turn: _Turn | None = None
    _dropped: set[int] = attrs.field(factory=set[int])
    """Interruptions that were under way or over when an answer was asked for: nothing more of them is heard."""
    _asked_at: float = 0.0
    """When something was asked for last, or the caller began to wait for it."""
    _heard_at: float = 0.0
    """When something of it came last."""
    _last_id: int = 0
    _again: str | None = None
    """The kind of what the last connection left without an answer, until it is asked for again."""
    _rejoined: bool = False
    """Whether the present connection took the place of a lost one."""
    _rejoined_at: float | None = None
    """When it did, until the conversation goes on."""
    _speech: _Speech | None = None
    _step: Step | None = None
    _until: float | None = None
    """When the present step, or the time after the last, ends by itself."""
    _tools: list[tuple[float, Json]] = attrs.field(factory=list[tuple[float, Json]])
    _begun: float | None = None

    @property
    def over(self) -> bool:
        """Whether there is nothing more to do, once frames are sent and the connection is closed."""
        return self.ended is not None

    @property
    def deadline(self) -> float | None:
        """When `time_passed` is to be called at the latest; ``None`` if nothing happens by itself."""
        times = [self._ping_at, self._pong_by, self._until, self._given_up_at]
        if self._speech is not None and not self._speech.over:
            times.append(self._speech.next_at)
        if isinstance(self._step, Wait):
            times.append(self._patient_until)
        if self._rejoined_at is not None:
            times.append(self._rejoined_at + _BEGIN_AGAIN_WITHIN)
        return min((time for time in times if time is not None), default=None)

    @property
    def saying(self) -> str:
        """What the agent has said of its present utterance."""
        return "" if self._speech is None else " ".join(self._speech.words[: self._speech.spoken])

    @property
    def unsaid(self) -> int:
        """How often the caller would have spoken yet when the agent ended the call."""
        by_agent = self.ended in {_HUNG_UP, _TRANSFERRED} and not self.open_ended
        return sum(isinstance(step, Say) for step in (self._step, *self.steps)) if by_agent else 0

    # What happens.

    def opened(self, now: float) -> None:
        """A connection is open."""
        first = self._begun is None
        self._begun = now if first else self._begun
        self._up, self.connect_at, self._attempts, self._config = True, None, 0, {}
        self._rejoined, self._rejoined_at = not first, None if first else now
        self._turn = _Turn(0, "begin")
        self._asked_at = self._heard_at = now
        self._go_on(now)

    def failed(self, now: float, *, final: bool = False) -> None:
        """An attempt to connect failed.

        :param final: whether others would too.
        """
        self._attempts += 1
        if final or self._attempts >= _CONNECTS:
            self._end("no connection")
        else:
            self.connect_at = now + _CONNECT_PAUSE

    def closed(self, code: int, now: float, reason: str = "") -> None:
        """The connection is gone: closed by the server, or (1006) lost.

        :param reason: what the server said when it closed it.
        """
        silent, wanted = self._silent, self.losing and not self._silent
        self._up = self.losing = self._silent = False
        self._ping_at = self._pong_by = None
        self.frames.clear()
        if self.over:
            return
        if code != 1006:
            self._end(_HUNG_UP if code == 1000 else f"closed by the server with {code}{f' ({reason})' if reason else ''}")
            return
        if self._turn is not None and not self._turn.complete and self._turn.id != 0:
            self._again = self._turn.kind
        self._cut_off()
        if not wanted:
            how = "silent" if silent else "abnormal"
            self._lost[how] += 1
            if self._lost[how] > _RECONNECTS[how]:
                self._end("no ping was answered" if silent else "the connection was lost too often")
                return
        self.connect_at = now + _RECONNECT_PAUSE

    def received(self, frame: str | bytes, now: float) -> None:
        """A frame came. What is no message of the protocol is passed over, as Retell does; a binary one ends the call."""
        self._speak(now)
        if isinstance(frame, bytes):
            self._end("a binary frame came", 1007)
            return
        try:
            message = parse_answer(frame)
        except ProtocolError:
            return
        match message:
            case Config():
                self._config = message.config.to_dict()
                if self._config.get("call_details") is True:
                    self.frames.append(CallDetails(call=self.details))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
                self._ping_at = now if self._config.get("auto_reconnect") is True else None
            case Pong():
                self._pong_by = None
            case Response() if self._turn is not None and message.response_id == self._turn.id and not self._turn.complete:
                self._heard(message, self._turn, now)
            case AgentInterrupt():
                self._interrupted(message, now)
            case ToolCallInvocation() | ToolCallResult():
                self._tools.append((now, {("role" if key == "response_type" else key): value for key, value in message.to_dict().items()}))
                if isinstance(message, ToolCallInvocation):
                    self.signs.append(Sign("tool", f"{message.name} {message.arguments}"))
                else:
                    self.signs.append(Sign("result", message.content))
                self._heard_at = now
                if self._turn is not None:
                    self._turn.tool = True
            case _:
                pass
        self._go_on(now)

    def time_passed(self, now: float) -> None:
        """Time went by."""
        if self._pong_by is not None and now >= self._pong_by:
            self.losing = self._silent = True
            return
        if self._ping_at is not None and now >= self._ping_at:
            self._ping(now)
        self._go_on(now)

    def add(self, steps: Iterable[Step], now: float) -> None:
        """The caller does more. It does not wait for the agent any longer."""
        self.steps.extend(steps)
        if isinstance(self._step, Wait):
            self._step = None
        self._go_on(now)

    def hang_up(self) -> None:
        """The caller hangs up at once."""
        self._end("hung up by the caller")

    # What comes of it.

    def _go_on(self, now: float) -> None:
        """Take steps as long as one is done."""
        self._speak(now)
        if self._given_up_at is not None and now >= self._given_up_at and not self.over:
            self.gave_up = True
            self._end(f"given up: not over after {self.most:g} s")
        while self._up and not self.over and not self.losing and self._ready(now) and self._is_done(now):
            if not self.steps:
                if self._is_unanswered() and not self.open_ended and not isinstance(self._step, Wait):
                    self._take(Wait(), now)
                    continue
                if self.open_ended:
                    self._step = self._until = None
                elif self._until is None or self._step is not None:
                    self._step, self._until = None, now + self.linger
                elif now >= self._until:
                    self._end("played")
                return
            self._take(self.steps.popleft(), now)

    def _is_unanswered(self) -> bool:
        """Whether an answer is wanted. After a reconnection no begin message is."""
        return self._turn is not None and not self._turn.complete and (self._turn.id != 0 or not self._rejoined)

    def _ready(self, now: float) -> bool:
        """Whether the conversation goes on, after a reconnection: once there was time for a begin message."""
        if self._rejoined_at is None:
            return True
        begun = self._turn is not None and self._turn.id == 0 and self._turn.complete
        if not begun and now < self._rejoined_at + _BEGIN_AGAIN_WITHIN:
            return False
        self._rejoined_at = None
        again, self._again = self._again, None
        if again is not None:
            self._ask(again, now)
        return True

    def _is_done(self, now: float) -> bool:
        """Whether the present step is done."""
        step, turn = self._step, self._turn
        match step:
            case Say():
                if self._until is not None and now < self._until:
                    return False
                self._until, words = None, step.text.split()
                self.spoken.append(self._utterance("user", words, now - len(words) / self._caller_pace))
                self.frames.append(self._update())
                self._ask("response", now)
                return True
            case Pause():
                return self._until is None or now >= self._until
            case Wait() if turn is not None:
                answered = turn.complete and (self._speech is None or self._speech.over)
                done = answered or bool(step.until == "words" and turn.text.strip()) or (step.until == "tool" and turn.tool)
                if not done and now >= self._patient_until:
                    self.gave_up = True
                    endless = now < self._heard_at + self.patience
                    self._end("given up: an answer without an end" if endless else "given up: the agent fell silent")
                return done
            case _:
                return True

    def _take(self, step: Step, now: float) -> None:
        """Begin a step."""
        self._step, self._until = step, None
        match step:
            case Say():
                self._cut_off()
                words = step.text.split()
                self._until = now + len(words) / self._caller_pace
                self.frames.append(self._update("user_turn", [self._utterance("user", words[:1], now)]))
            case Silence():
                self._ask("reminder", now, heard=step.heard)
            case Pause():
                self._until = now + step.seconds
            case Lose():
                self.losing = True
            case HangUp():
                self.hang_up()
            case Send():
                self.frames.append(step.text)
            case Wait():
                self._asked_at = self._heard_at = now

    @property
    def _caller_pace(self) -> float:
        return self.pace if self.caller_pace is None else self.caller_pace

    @property
    def _patient_until(self) -> float:
        """When the call is given up, unless the answer is complete by then; what is complete may be spoken to its end."""
        spoken = self._speech is not None and self._turn is not None and self._turn.complete
        until = min(self._heard_at + self.patience, self._asked_at + self.longest)
        return until + (len(self._speech.words) / self.pace if self._speech is not None and spoken else 0.0)

    @property
    def _given_up_at(self) -> float | None:
        """When the call is given up, if it is not over by then."""
        return None if self._begun is None or self.most == inf else self._begun + self.most

    def _ping(self, now: float) -> None:
        self._pinged = max(self._pinged + 1, round(self.epoch + now * 1000))
        self.frames.append(Ping(timestamp=self._pinged))
        self._ping_at = now + _PING_EVERY
        self._pong_by = now + _PONG_WITHIN if self._pong_by is None else self._pong_by

    def _ask(self, kind: str, now: float, *, heard: bool = True) -> None:
        self._cut_off()
        if self._turn is not None and self._turn.interrupt_id is not None:
            self._dropped.add(self._turn.interrupt_id)
        self._last_id += 1
        self._turn, self._asked_at, self._heard_at = _Turn(self._last_id, kind), now, now
        message = ReminderRequired if kind == "reminder" else ResponseRequired
        self.frames.append(message(response_id=self._last_id, **(self._transcripts() if heard else {"transcript": []})))
        if self._ping_at is not None:
            self._ping(now)  # what comes back shows when the server has read that a newer answer is wanted

    def _heard(self, message: Response, turn: _Turn, now: float) -> None:
        self._heard_at = now
        turn.text += message.content
        turn.complete = message.content_complete
        turn.action.update(actions_of(message))
        if not turn.cut:
            self._say(message.content, now)

    def _interrupted(self, message: AgentInterrupt, now: float) -> None:
        """The agent speaks over whoever speaks, and what it was asked for is not wanted any more."""
        turn = self._turn
        if message.interrupt_id in self._dropped:
            return
        if turn is None or turn.interrupt_id != message.interrupt_id:
            self._cut_off()
            turn = self._turn = _Turn(None, "response", interrupt_id=message.interrupt_id)
        if turn.complete:
            return
        self._heard_at = now
        turn.text += message.content
        turn.complete = message.content_complete
        turn.action.update(actions_of(message))
        self._say(message.content, now)

    def _say(self, text: str, now: float) -> None:
        if not text:
            return
        if self._speech is None:
            self.frames.append(self._update("agent_turn"))
            self._speech = _Speech(now, now)
        elif self._speech.over:
            self._speech.next_at = max(self._speech.next_at, now)
        self._speech.add(text)

    def _speak(self, now: float) -> None:
        """The agent speaks on, until now."""
        speech, turn = self._speech, self._turn
        while speech is not None and not speech.over and speech.next_at <= now:
            speech.spoken += 1
            speech.next_at += 1 / self.pace
        done = turn is not None and turn.complete and not turn.cut and (speech is None or speech.over)
        if turn is None or not done:
            return
        if speech is not None:
            self._cut_off()
            self.frames.append(self._update())
        turn.cut = True
        if turn.action.get("end_call"):
            self.signs.append(Sign("hangs up"))
            self._end(_HUNG_UP)
        elif "transfer_number" in turn.action:
            self.signs.append(Sign("transfers", str(turn.action["transfer_number"])))
            self._end(_TRANSFERRED)
        elif turn.action:
            self.signs.append(Sign("presses", str(turn.action["digit_to_press"])))

    def _cut_off(self) -> None:
        """The agent stops speaking. What it has said is part of the transcript."""
        speech, self._speech = self._speech, None
        if self._turn is not None:
            self._turn.cut = True
        if speech is not None and speech.spoken:
            self.spoken.append(self._utterance("agent", speech.words[: speech.spoken], speech.begun))
            said = speech.over and (self._turn is None or self._turn.complete)
            self.signs.append(Sign("said" if said else "cut off", self.spoken[-1]["content"]))

    def _end(self, how: str, code: int = 1000) -> None:
        if not self.over:
            self.ended, self.closing, self.connect_at = how, code, None

    def _utterance(self, role: str, words: list[str], begun: float) -> Json:
        at, pace = begun - (self._begun or 0), self.pace if role == "agent" else self._caller_pace
        timed = [{"word": word, "start": at + number / pace, "end": at + (number + 1) / pace} for number, word in enumerate(words)]
        return {"role": role, "content": " ".join(words), "words": timed}

    def _update(self, turntaking: str | None = None, more: Iterable[Json] = ()) -> UpdateOnly:
        turn: Json = {} if turntaking is None else {"turntaking": turntaking}
        return UpdateOnly(**self._transcripts(more), **turn)

    def _transcripts(self, more: Iterable[Json] = ()) -> Json:
        said = [*self.spoken, *more]
        if self._speech is not None and self._speech.spoken:
            said.append(self._utterance("agent", self._speech.words[: self._speech.spoken], self._speech.begun))
        view: Json = {"transcript": said}
        if self._config.get("transcript_with_tool_calls") is True:
            placed = [(line["words"][0]["start"] if line["words"] else 0.0, line) for line in said]
            placed += [(at - (self._begun or 0), item) for at, item in self._tools]
            view["transcript_with_tool_calls"] = [item for _, item in sorted(placed, key=lambda entry: entry[0])]
        return view
