"""Retell's side of the custom-LLM WebSocket: a state machine that gets frames and the passing of time. No I/O.

The person on the call speaks by the script, the agent by the user's server. Times are milliseconds since the epoch, in the sandbox's time.
Time limits of the network are real time, so that they are multiplied by `speed`.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any, Literal, cast

import attrs

from ..common.messages import Json
from ..common.untrusted import parse_json
from ..simulation.conversation import Item, user_lines, utterance
from ..simulation.lifecycle import CallPlan, talks

if TYPE_CHECKING:
    from retell_async.llm.simulator.judge import Judge

__all__ = ["Session"]

_CONNECTS = 3
_CONNECT_PAUSE_MS = 3_000
_RECONNECTS = {"silent": 2, "abnormal": 4}
_PING_MS = 2_000
_PONG_WITHIN_MS = 5_000
_ANSWER_WITHIN_MS, _ANSWERED_WITHIN_MS = 10_000, 60_000
"""Within which the next part of an answer must come, and the last."""
_SENTENCE = re.compile(r"[.!?][\"')\]]*(\s|$)")
_PAUSE_MS = 600
_LEAVING_MS = 900
_LONGEST_MS = 1e9
_REMINDER_MS = 10_000
_MOST_HEARD = 1 << 22
_MOST_UNSENT = 1_000
_MOST_DIGITS = 100
_MOST_UNANSWERED = 2
"""After so many answers that did not come, time does not stand still for the next one."""
_SILENT, _INTERRUPTING = 2, 3
"""Of five callers, one falls silent before its second line until it is reminded, and one cuts off the answer to its first."""
_SPEECHLESS = frozenset({"inactivity", "error_no_audio_received", "error_asr"})

Phase = Literal["connecting", "begin", "agent", "pause", "user", "waiting", "silent", "leaving", "over"]


@attrs.define(eq=False, kw_only=True)
class Session:
    """The conversation of one call.

    :param url: the server's URL, without the call's id.
    :param speed: gives the present speed of the sandbox's time.
    :param details: gives the call object for servers that ask for ``call_details``.
    :param finished: called once, with the disconnection reason.
    """

    url: str
    plan: CallPlan
    speed: Callable[[], float]
    details: Callable[[], Json]
    finished: Callable[[str], None]
    reminder_ms: float = _REMINDER_MS
    reminders: float = 1
    spoken: list[Json] = attrs.field(factory=list[Json])
    """Utterances so far, the present one included."""
    items: list[Item] = attrs.field(factory=list[Item])
    """Tool calls and keys pressed."""
    frames: deque[str] = attrs.field(factory=deque[str])
    """Frames to send, in this order, while connected."""
    closing: int | None = None
    """The code to close the connection with, once all frames are sent."""
    connected: bool = False
    connect_at: int | None = None
    """When to connect next; ``None`` while connected, or when no connection is wanted."""
    phase: Phase = "connecting"
    wakes_at: int | None = None
    """The time at which it is woken, if that is scheduled."""
    _until: int | None = None
    """When the phase ends by itself."""
    _lines: deque[str] = attrs.field(init=False)
    _rng: Random = attrs.field(init=False)
    _attempts: int = 0
    _lost: dict[str, int] = attrs.field(factory=lambda: {"silent": 0, "abnormal": 0})
    _config: Json = attrs.field(factory=dict[str, Any])
    _ping_at: int | None = None
    _pong_by: int | None = None
    _silent: bool = False
    """Whether the connection is being closed because a ping was not answered."""
    _last_id: int = 0
    _asked: int | None = None
    _answer: str = ""
    _asked_at: int = 0
    _speaks: bool = False
    """Whether the agent has begun to speak the answer, which it does at the end of its first sentence."""
    _interrupt: tuple[int, str] | None = None
    _action: Json = attrs.field(factory=dict[str, Any])
    faults: list[str] = attrs.field(factory=list[str])
    """What the server did against the rules of the protocol, in words, once the conversation is over."""
    _judge: Judge | None = None
    _unanswered: int = 0
    """How many answers in a row did not come."""
    _silenced: bool = False
    _cuts_off: bool = False
    """Whether the caller is about to speak over the agent."""
    _heard: int = 0
    """How many characters were received; there is a limit."""

    def __attrs_post_init__(self) -> None:
        self._rng = Random(self.plan.seed + 3)
        self._lines = deque(() if self.plan.reason in _SPEECHLESS else user_lines(self.plan))
        self.connect_at = self.plan.start

    def busy(self, now: int) -> bool:
        """Whether something is to be sent, or nothing goes on until the server has answered."""
        if self.connect_at is not None:
            return self.connect_at <= now
        waiting = (self._asked is not None and self._unanswered < _MOST_UNANSWERED) or self._pong_by is not None
        return self.connected and (waiting or bool(self.frames) or self.closing is not None)

    @property
    def deadline(self) -> int | None:
        """When `time_passed` is to be called at the latest."""
        times = [moment for moment in (self._until, self._ping_at, self._pong_by) if moment is not None]
        return min(times, default=None)

    def opened(self, now: int) -> None:
        self.connected, self.connect_at, self._attempts = True, None, 0
        self._config = {}
        if self._judge is None:
            from retell_async.llm.simulator.judge import Judge

            # Time is not judged: it stands still, or runs faster than the server's.
            never = float("inf")
            self._judge = Judge(slack=never, answer_within=never, longest=never, pong_within=never)
        self._judge.opened(now / 1000)
        if self.phase == "connecting":
            self._wait_for(0, "begin", now)
        elif self._asked is not None:
            self._require("response_required", now)

    def failed(self, now: int) -> None:
        """An attempt to connect failed."""
        self._attempts += 1
        if self._attempts >= _CONNECTS:
            self._finish("error_llm_websocket_open")
        else:
            self.connect_at = now + self._network(_CONNECT_PAUSE_MS)

    def closed(self, code: int, now: int) -> None:
        """The connection is gone: closed by the server, or (1006) lost."""
        self.connected = False
        self._ping_at = self._pong_by = None
        self.frames.clear()
        if self.phase == "over":
            return
        if self._judge is not None and code != 1006:
            self._judge.closed(code, now / 1000)
        self.closing = None
        if self._silent or code == 1006:
            self._reconnect("silent" if self._silent else "abnormal", now)
            self._silent = False
        else:
            self._finish({1000: "agent_hangup", 1005: "error_llm_websocket_open"}.get(code, "error_llm_websocket_runtime"))

    def parted(self, now: int) -> None:
        """The connection was given up by the sandbox itself, to be opened again."""
        self.connected = False
        self._ping_at = self._pong_by = None
        self.frames.clear()
        if self.phase != "over":
            self.closing, self.connect_at = None, now

    def binary(self) -> None:
        """A binary frame came."""
        if self._judge is not None:
            self._judge.received(b"", 0)
        self.closing = 1007
        self._finish("error_llm_websocket_corrupt_payload")

    def received(self, text: str, now: int) -> None:
        """A text frame came. What is not a message of the protocol is ignored; too much text ends the conversation."""
        self._heard += len(text)
        if self._heard > _MOST_HEARD or len(self.frames) > _MOST_UNSENT:
            self.closing = 1009
            self._finish("error_llm_websocket_corrupt_payload")
            return
        if self._judge is not None and self.phase != "over":
            self._judge.received(text, now / 1000)
        try:
            message = parse_json(text)
        except ValueError:
            return
        if not isinstance(message, dict) or self.phase == "over":
            return
        self._take(cast("Json", message), now)

    def time_passed(self, now: int) -> None:
        """Time went by."""
        if self._pong_by is not None and now >= self._pong_by:
            self.closing, self._silent = 1000, True
            self._ping_at = self._pong_by = None
        elif self._ping_at is not None and now >= self._ping_at:
            self._send({"interaction_type": "ping_pong", "timestamp": now})
            self._ping_at = None
            self._pong_by = now + self._network(_PONG_WITHIN_MS)
        if self._until is not None and now >= self._until:
            self._until = None
            self._go_on(now)

    def stop(self) -> None:
        """The call was ended otherwise."""
        if self.phase != "over":
            if self._judge is not None:
                found = (finding for verdict in self._judge.report(0).verdicts for finding in verdict.findings)
                self.faults += [f"{finding.rule}: {finding.what}" for finding in found]
            self.phase, self._until, self._asked, self.connect_at = "over", None, None, None
            self._ping_at = self._pong_by = None
            self.closing = 1000 if self.closing is None else self.closing

    def _take(self, message: Json, now: int) -> None:
        match message:
            case {"response_type": "config", "config": {**config}}:
                self._config = cast("Json", config)
                if config.get("call_details"):
                    self._send({"interaction_type": "call_details", "call": self.details()})
                if config.get("auto_reconnect"):
                    self._ping_at = now
            case {"response_type": "ping_pong", "timestamp": int()}:
                if self._pong_by is not None:
                    self._pong_by, self._ping_at = None, now + self._network(_PING_MS)
            case {"response_type": "update_agent", "agent_config": {**changes}}:
                trigger, most = changes.get("reminder_trigger_ms"), changes.get("reminder_max_count")
                self.reminder_ms = trigger if isinstance(trigger, (int, float)) and 0 < trigger < _LONGEST_MS else self.reminder_ms
                self.reminders = most if isinstance(most, (int, float)) else self.reminders
            case {"response_type": "tool_call_invocation", "tool_call_id": str(id), "name": str(name), "arguments": str(args)}:
                self._weave({"role": "tool_call_invocation", "tool_call_id": id, "name": name, "arguments": args}, now)
            case {"response_type": "tool_call_result", "tool_call_id": str(id), "content": str(content)}:
                item: Json = {"role": "tool_call_result", "tool_call_id": id, "content": content}
                self._weave(item | ({"successful": message["successful"]} if isinstance(message.get("successful"), bool) else {}), now)
            case {"response_type": "agent_interrupt", "interrupt_id": int(id), "content": str(text), "content_complete": bool(complete)}:
                before = self._interrupt[1] if self._interrupt is not None and self._interrupt[0] == id else ""
                self._interrupt = (id, before + text)
                if complete:
                    self._cut_off(now)
                    self._speak(self._interrupt[1], message, now)
                    self._interrupt = None
            case {"response_id": int(id), "content": str(text), "content_complete": bool(complete)} if (
                message.get("response_type", "response") == "response" and id == self._asked
            ):
                self._answer += text
                if complete:
                    self._speak(self._answer, message, now)
                else:
                    self._until = min(now + self._network(_ANSWER_WITHIN_MS), self._asked_at + self._network(_ANSWERED_WITHIN_MS))
                    if not self._speaks and _SENTENCE.search(self._answer):
                        self._speaks = True
                        self._update("agent_turn", now)
            case _:
                pass

    def _go_on(self, now: int) -> None:
        """The time of the phase is over: begin the next."""
        match self.phase:
            case "agent" if self._cuts_off:
                self._cuts_off, self._action = False, {}
                self._cut_off(now)
                self._go_on_as("pause", now)
            case "agent":
                self._spoken_out(now)
            case "pause":
                line = utterance("user", self._lines.popleft(), self._offset(now), self._rng)
                self._update("user_turn", now)
                self.spoken.append(line)
                self._enter("user", now, self._length(line))
            case "user":
                self._update(None, now)
                self._ask("response_required", now)
            case "silent":
                self.reminders -= 1
                self._ask("reminder_required", now)
            case "begin" | "waiting":
                whole = now >= self._asked_at + self._network(_ANSWERED_WITHIN_MS)
                within = (_ANSWERED_WITHIN_MS if whole else _ANSWER_WITHIN_MS) // 1000
                self.faults.append(
                    f"completed: response {self._asked} was not completed{'' if whole else ': nothing more came'} in {within} seconds"
                )
                unanswered = self._unanswered + 1
                if self._answer:
                    self._speak(self._answer, {}, now)
                else:
                    self._asked = None
                    self._listen(now)
                self._unanswered = unanswered
            case "leaving":
                self._finish("user_hangup")
            case _:
                pass

    def _go_on_as(self, phase: Phase, now: int) -> None:
        self.phase = phase
        self._go_on(now)

    def _speak(self, text: str, message: Json, now: int) -> None:
        first = self._asked == 1 and not any(message.get(name) for name in ("end_call", "transfer_number", "digit_to_press"))
        begun, self._speaks = self._speaks, False
        self._asked, self._answer, self._unanswered = None, "", 0
        self._action = message
        line = utterance("agent", text, self._offset(now), self._rng)
        if line["words"]:
            if not begun:
                self._update("agent_turn", now)
            self.spoken.append(line)
        self._cuts_off = first and self._caller == _INTERRUPTING and bool(self._lines) and len(line["words"]) > 1
        self._enter("agent", now, self._length(line) / (2 if self._cuts_off else 1))

    def _spoken_out(self, now: int) -> None:
        action, self._action = self._action, {}
        if action.get("end_call") is True:
            self._finish("agent_hangup")
        elif isinstance(action.get("transfer_number"), str):
            self._finish("call_transfer")
        else:
            if isinstance(action.get("digit_to_press"), str):
                for digit in action["digit_to_press"][:_MOST_DIGITS]:
                    self._weave({"role": "dtmf", "digit": digit}, now)
            self._update(None, now)
            self._listen(now)

    def _listen(self, now: int) -> None:
        """It is the user's turn."""
        if self._lines and self._caller == _SILENT and self._last_id == 1 and self.reminders >= 1 and not self._silenced:
            self._silenced = True
            self._enter("silent", now, self.reminder_ms)
        elif self._lines:
            self._enter("pause", now, _PAUSE_MS)
        elif talks(self.plan):
            self._enter("leaving", now, _LEAVING_MS)
        elif self.reminders >= 1:
            self._enter("silent", now, self.reminder_ms)
        else:
            self._enter("silent", now, None)

    @property
    def _caller(self) -> int:
        return self.plan.seed % 5

    def _cut_off(self, now: int) -> None:
        """Interrupt whoever speaks."""
        if self.phase in {"user", "agent"} and self.spoken:
            line, heard = self.spoken.pop(), self._offset(now)
            words = [word for word in line["words"] if word["end"] <= heard]
            if words:
                self.spoken.append({"role": line["role"], "content": " ".join(word["word"] for word in words), "words": words})

    def _reconnect(self, how: str, now: int) -> None:
        self._lost[how] += 1
        if self._lost[how] > _RECONNECTS[how]:
            self._finish("error_llm_websocket_lost_connection" if how == "silent" else "error_llm_websocket_runtime")
        else:
            self.connect_at = now

    def _finish(self, reason: str) -> None:
        if self.phase != "over":
            self.stop()
            self.finished(reason)

    def _ask(self, interaction: str, now: int) -> None:
        self._last_id += 1
        self._wait_for(self._last_id, "waiting", now)
        self._require(interaction, now)

    def _wait_for(self, id: int, phase: Phase, now: int) -> None:
        self._asked, self._asked_at, self._answer, self._speaks = id, now, "", False
        self._enter(phase, now, self._network(_ANSWER_WITHIN_MS))

    def _require(self, interaction: str, now: int) -> None:
        self._send({"interaction_type": interaction, "response_id": self._asked, **self._transcripts(now)})
        if self._judge is not None and self._asked is not None:
            from retell_async.llm.messages import ResponseRequired

            self._judge.sent(ResponseRequired(response_id=self._asked, transcript=[]), now / 1000)

    def _update(self, turn: str | None, now: int) -> None:
        self._send({"interaction_type": "update_only", **self._transcripts(now), **({"turntaking": turn} if turn is not None else {})})

    def _transcripts(self, now: int) -> Json:
        heard = self._offset(now)
        said = [line for line in self.spoken if line["words"][0]["start"] <= heard]
        view: Json = {"transcript": said}
        if self._config.get("transcript_with_tool_calls"):
            placed = self.items + [(line["words"][0]["start"] * 1000, line) for line in said]
            view["transcript_with_tool_calls"] = [item for _, item in sorted(placed, key=lambda entry: entry[0])]
        return view

    def _send(self, message: Json) -> None:
        if self.connected:
            self.frames.append(json.dumps(message, separators=(",", ":")))

    def _weave(self, item: Json, now: int) -> None:
        self.items.append((now - (self.plan.start or now), item))

    def _enter(self, phase: Phase, now: int, milliseconds: float | None) -> None:
        self.phase = phase
        self._until = None if milliseconds is None else now + round(milliseconds)

    def _network(self, milliseconds: float) -> int:
        return round(milliseconds * self.speed())

    def _offset(self, now: int) -> float:
        return (now - (self.plan.start or now)) / 1000

    def _length(self, line: Json) -> float:
        words = line["words"]
        return (words[-1]["end"] - words[0]["start"]) * 1000 if words else 0
