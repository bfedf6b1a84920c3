"""One call, from its first connection to its end: it runs the agent's code and says what that gives."""

from __future__ import annotations

import json
import math
import threading
import time
from collections import deque
from collections.abc import AsyncIterable, Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import anyio
import anyio.lowlevel
import attrs

from retell_async import _instrumentation
from retell_async._core.attempt import Done, Failed, attempt
from retell_async._core.masking import masked_traceback
from retell_async._instrumentation import TurnActivity, trace_in

from .agent import Agent, say_all
from .channel import Channel
from .chat.transcripts import is_spoken
from .connection import Connection, FloodedError
from .effects import Effects
from .log import log, object_of, text_of
from .messages import AgentConfig, Options, UpdateAgent, dump
from .protocol import Action, Asked, Conversation, Details, Event, Ignored, Kind, Other, Updated
from .settings import FAILURE, Settings, SilentPickup
from .store import Records, Store
from .turn import Turn

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from retell_async.types import CallResponse, Utterance, UtteranceOrToolCall

__all__ = ["Session", "Stats"]

_RESUME_AFTER = 1.0
_MOST_UNSENT = 32
_MOST_UPDATES = 64
_GOODBYE_REMINDERS = 100
_HEARD_WITHIN = 5.0
"""Seconds after which a connection on which Retell sends nothing may be one that it has left: it sends a ping every two."""
_ENDED_HERE = {"closed", "too_long", "flooded"}
_MOVED = (1001, "another process has the call")


@attrs.define
class Stats:
    """What an application has done since it was made."""

    calls: int = 0
    """Calls that were led, each once however often it was connected."""
    refused: int = 0
    """Connections that were not let in, and calls that were not the application's own."""
    reconnects: int = 0
    """Further connections of calls."""
    turns: int = 0
    """Answers that Retell asked for, reminders included."""
    discarded: int = 0
    """Turns that the user did not get to hear: Retell asked again, or the call ended, before the agent began to speak them."""
    failed: int = 0
    """Turns in which the agent's code raised, or gave nothing to say."""
    timed_out: int = 0
    """Turns in which the agent's code gave nothing for too long."""
    fillers: int = 0
    """Fillers that were said."""
    ignored: int = 0
    """Frames that had no effect, since they are none of the protocol or came out of order."""


class Session:
    """One call. Everything about it that is not about a single turn."""

    def __init__(self, call_id: str, agent: Agent, settings: Settings, store: Store, stats: Stats, before: Session | None = None) -> None:
        self.call_id = call_id
        """Retell's id of the call."""
        self.settings = settings
        self.call: CallResponse | None = None
        """The call's details, ``None`` until Retell has sent them."""
        self._state: dict[str, Any] = {}
        self.ended: str | None = None
        """Why the call is over: ``closed`` by Retell, ``lost`` for good, ``too_long``, ``flooded`` or ``refused``. Where only this process
        is done with it: ``shutdown``, or ``moved`` when Retell has connected it to another one."""
        self._agent = agent
        self._stats = stats
        self._thread = threading.get_ident()
        self._records = Records(store, call_id)
        self._conversation = Conversation(
            options=Options(
                auto_reconnect=settings.auto_reconnect,
                call_details=settings.call_details,
                transcript_with_tool_calls=settings.transcript_with_tool_calls,
            )
        )
        self._changed = anyio.Event()
        self._effects = Effects(call_id, store, self._save_soon)
        if before is not None:
            self._effects.adopt(before._effects)
        self._tasks: TaskGroup
        self._loaded = anyio.Event()
        self._over = anyio.Event()
        self._newest: Connection | None = None
        """The connection that came last, which may still wait to be led."""
        self._connection: Connection | None = None
        self._restored = False
        self._connections = 0
        self._heard_at = -math.inf
        """When the last frame came."""
        self._turn: Turn | None = None
        self._held: Asked | None = None
        self._ready = not settings.call_details
        self._is_admitted = settings.admit is None
        """Whether it is one of the application's own; what another process has kept is of one."""
        self._updates: deque[Updated] | None = deque(maxlen=_MOST_UPDATES) if type(agent).on_update is not Agent.on_update else None
        self._updated = anyio.Event()
        self._interruption = anyio.CancelScope()
        """Around what is being said in one, the newest."""
        self._greeted = False
        self._heard_user = False
        self._picked_up = False
        self._taking_leave = False
        self._reminders: dict[str, Any] = {
            "reminder_trigger_ms": settings.reminder_trigger_ms,
            "reminder_max_count": settings.reminder_max_count,
        }
        """What the agent has but for a goodbye."""
        self._logged: set[str] = set()
        self._untold: TurnActivity | None = None
        """A greeting that hooks of the telemetry are not told of yet."""

    def __repr__(self) -> str:
        return f"Session({self.call_id!r})"

    # For the application.

    @property
    def state(self) -> dict[str, Any]:
        """The application's own. It survives reconnections, and other processes too with a store that they share.

        Those get the text of what JSON does not have, such as a datetime, if the store writes JSON. It is saved when a turn is complete,
        when a connection is lost, and at the end.

        :raises TypeError: it is set to what is no dict.
        """
        return self._state

    @state.setter
    def state(self, state: dict[str, Any]) -> None:
        if not isinstance(cast("object", state), dict):
            raise TypeError(f"session.state is a dict, and not {type(state).__name__}")
        self._state = state

    @property
    def transcript(self) -> Sequence[Utterance]:
        """All that was said so far."""
        return self._conversation.transcript

    @property
    def transcript_with_tool_calls(self) -> Sequence[UtteranceOrToolCall] | None:
        """The same with tool calls and keys pressed, if the application asked for it."""
        return self._conversation.transcript_with_tool_calls

    def interrupt(
        self,
        message: str | AsyncIterable[str | None],
        *,
        uninterruptible: bool = True,
        end_call: bool = False,
        transfer_number: str | None = None,
        digit_to_press: str | None = None,
    ) -> None:
        """Speak now, whoever is speaking. The turn that is being answered is cancelled, also if that is the one that calls this.

        A newer request stops what is still to come of it, and nothing comes of it where there is no connection. An async iterator that
        raises, or gives no words for `timeout` seconds, ends with the failure message.

        :param uninterruptible: whether the user cannot interrupt it; one who is speaking would at once.
        :raises ValueError: more than one action is given, or one that cannot be carried out.
        :raises TypeError: the message is neither a text nor an async iterator.
        :raises RuntimeError: it is called from another thread than that of the event loop.
        """
        self._check_thread("interrupt")
        if not isinstance(message, str) and not hasattr(message, "__aiter__"):
            raise TypeError(f"an interruption is a text or an async iterator of texts, and not {type(message).__name__}")
        action = None
        if end_call or transfer_number is not None or digit_to_press is not None:
            action = Action(end_call=end_call, transfer_number=transfer_number, digit_to_press=digit_to_press)
        if not self._conversation.open:
            return
        id = self._conversation.begin_interrupt()
        self._give_up(self._turn)
        self._interruption.cancel()
        if isinstance(message, str):
            self._conversation.interrupt(id, message, complete=True, uninterruptible=uninterruptible, action=action)
            self._wake()
        else:
            scope = self._interruption = anyio.CancelScope()
            self._tasks.start_soon(self._stream_interrupt, scope, id, message, uninterruptible, action)

    def update_agent(
        self,
        *,
        responsiveness: float | None = None,
        interruption_sensitivity: float | None = None,
        reminder_trigger_ms: float | None = None,
        reminder_max_count: int | None = None,
    ) -> None:
        """Change the agent for this call. Where the connection is lost, the next one brings it.

        :param responsiveness: 0 to 1; less waits longer before the agent speaks.
        :param interruption_sensitivity: 0 to 1; more makes the agent easier to interrupt.
        :param reminder_trigger_ms: milliseconds of silence after which Retell asks for a reminder.
        :param reminder_max_count: how many reminders there may be, 0 for none.
        :raises ValueError: a value is no number or out of bounds, or none is given.
        :raises RuntimeError: it is called from another thread than that of the event loop.
        """
        self._check_thread("update_agent")
        given = {
            "responsiveness": responsiveness,
            "interruption_sensitivity": interruption_sensitivity,
            "reminder_trigger_ms": reminder_trigger_ms,
            "reminder_max_count": reminder_max_count,
        }
        for name, number in given.items():
            if number is not None and (isinstance(number, bool) or not isinstance(cast("object", number), (int, float))):
                raise ValueError(f"{name} must be a number, and is {number!r}")
        for name, value in (("responsiveness", responsiveness), ("interruption_sensitivity", interruption_sensitivity)):
            if value is not None and not 0 <= value <= 1:
                raise ValueError(f"{name} must be between 0 and 1, and is {value!r}")
        if reminder_trigger_ms is not None and not 0 < reminder_trigger_ms < float("inf"):
            raise ValueError(f"reminder_trigger_ms must be above 0, and is {reminder_trigger_ms!r}")
        if reminder_max_count is not None and not (0 <= reminder_max_count < math.inf and int(reminder_max_count) == reminder_max_count):
            raise ValueError(f"reminder_max_count must be a whole number of 0 or more, and is {reminder_max_count!r}")
        changes = {name: value for name, value in given.items() if value is not None}
        if not changes:
            raise ValueError("update_agent changes nothing: give it something to change")
        self._reminders.update({name: value for name, value in changes.items() if name in self._reminders})
        self._update_agent(changes)

    def send_metadata(self, metadata: object) -> None:
        """Send anything that JSON has to the front end of a web call, on the next connection where there is none.

        :raises TypeError: it holds what JSON does not have.
        :raises ValueError: a number in it is not finite, or it holds itself.
        :raises RuntimeError: it is called from another thread than that of the event loop.
        """
        self._check_thread("send_metadata")
        self._conversation.metadata(metadata)
        self._wake()

    def tool_call(self, name: str, arguments: Mapping[str, Any] | str) -> str:
        """Note in the transcript that a tool is called, and give the id under which `tool_result` says what came of it.

        Where there is no connection, both wait for the next one.

        :param arguments: a JSON object, as one or as text.
        :raises ValueError: the name is no text, or the arguments are no such object.
        :raises RuntimeError: it is called from another thread than that of the event loop.
        """
        self._check_thread("tool_call")
        id = f"tool_{uuid4().hex}"
        text = arguments if isinstance(arguments, str) else json.dumps(arguments, default=str, allow_nan=False)
        if object_of(text) is None:
            raise ValueError(f"the arguments of a tool call are a JSON object, and those of {name!r} are not")
        self._conversation.tool_call(id, name, text)
        self._wake()
        return id

    def tool_result(self, id: str, content: object, *, successful: bool | None = None) -> None:
        """Note in the transcript what came of a tool call: a text, or anything else, which is written as JSON.

        :raises ValueError: the id is no text.
        :raises RuntimeError: it is called from another thread than that of the event loop.
        """
        self._check_thread("tool_result")
        self._conversation.tool_result(id, text_of(content), successful=successful)
        self._wake()

    def _check_thread(self, name: str) -> None:
        """:raises RuntimeError: this is another thread, in which nothing of the event loop may be touched."""
        if threading.get_ident() != self._thread:
            raise RuntimeError(
                f"{name} is called from another thread than that of the event loop, and nothing was done: call it in a function that is "
                f"`async def`, or by `anyio.from_thread.run_sync` or asyncio's `call_soon_threadsafe`"
            )

    # For turns.

    async def say(self, turn: Turn, text: str) -> None:
        if turn.complete:
            raise RuntimeError("this turn is complete: nothing more can be said in it")
        if not isinstance(cast("object", text), str):
            raise TypeError(f"a turn says texts, and not {type(text).__name__}")
        if self._respond(turn, text, complete=False, uninterruptible=turn.uninterruptible):
            turn.text += text
            if text.strip():
                turn.active_at = anyio.current_time()
                turn.note()
            self._wake()
            self._note_spoken(turn)
        await self._breathe()

    async def once(self, turn: Turn, key: str, fn: Callable[[], object], retry_on: tuple[type[Exception], ...]) -> object:
        return await self._effects.once(key, fn, self._tasks, turn, retry_on)

    def _respond(self, turn: Turn, text: str, **how: Any) -> bool:
        """`Conversation.respond` for a turn, unless another one has taken its place: on another connection that may have the same id."""
        return turn is self._turn and self._conversation.respond(turn.id, text, **how)

    # For the application object.

    async def run(self) -> None:
        """Lead the call to its end, over the connections that `connect` is given. Where this is cancelled, they are left."""
        self._stats.calls += self.settings.admit is None
        try:
            async with anyio.create_task_group() as self._tasks:
                try:
                    await self._claim()
                    self._loaded.set()
                    self._tasks.start_soon(self._end_unless_connected, 0)
                    self._tasks.start_soon(self._end_after, self.settings.limits.call_seconds)
                    self._tasks.start_soon(self._save_changes)
                    if self._updates is not None:
                        self._tasks.start_soon(self._tell_updates, self._updates)
                    await self._over.wait()
                finally:
                    await self._finish()
                    self._tasks.cancel_scope.cancel()
        finally:
            self._loaded.set()

    async def connect(self, channel: Channel) -> bool:
        """Lead the call over a connection, in the place of the one before, until it is gone.

        :returns: ``False`` when that cannot be, since the call is over or another process has had it since.
        """
        first = self._newest is None
        connection = self._newest = Connection(channel)
        await self._loaded.wait()
        if not first and not self._over.is_set() and await self._claim():
            self.end("moved", *_MOVED)
        if self._over.is_set():
            return False
        await self._lead(connection)
        return True

    async def _lead(self, connection: Connection) -> None:
        if self._newest is not connection:
            connection.replaced()
            await connection.close()
            return
        before, self._connection = self._connection, connection
        self._connections += 1
        if before is not None:
            before.replaced()
        if self._connections > 1:
            self._stats.reconnects += 1
        code: int | None = None
        try:
            with connection.scope:
                self._give_up(self._turn)
                events = self._conversation.opened()
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(connection.write, self._conversation, self._current)
                    if not self._ready:
                        tasks.start_soon(self._wait_for_details)
                    if self._connections > 1:
                        tasks.start_soon(self._resume)
                    self._take(events)
                    try:
                        code = await connection.read(self.settings.limits, self._read)
                    except FloodedError:
                        log.error("call %r: too many messages a second: closed", self.call_id)
                        self.end("flooded", 1008, "too many messages")
                    tasks.cancel_scope.cancel()
        finally:
            if self._connection is connection:
                self._connection = None
                self._conversation.closed()
                self._give_up(self._turn)
                if connection.closing is None:
                    self._disconnected(code)
            await connection.close()

    def end(self, why: str, code: int | None, reason: str = "") -> None:
        """End the call.

        :param code: what to close the connection with, ``None`` to leave it without a word, so that Retell connects again elsewhere.
        """
        if self._over.is_set():
            return
        self.ended = self.ended or why
        self._over.set()
        self._conversation.closed()
        if self._connection is not None:
            self._connection.closing = None if code is None else (code, reason)
            self._connection.scope.cancel()

    @property
    def over(self) -> bool:
        """Whether the call has ended, though what is to be done then may still go on."""
        return self._over.is_set()

    # A connection.

    def _current(self) -> Connection | None:
        return self._connection

    def _read(self, text: str | bytes | None) -> None:
        self._heard_at = anyio.current_time()
        self._take([Ignored("a frame that is too long")] if text is None else self._conversation.received(text))

    async def _resume(self) -> None:
        await anyio.sleep(_RESUME_AFTER)
        self._take(self._conversation.resume())

    async def _wait_for_details(self) -> None:
        await anyio.sleep(self.settings.details_within)
        if not self._ready:
            if self.settings.admit is not None:
                self._refuse("its details did not come in time")
            else:
                log.warning("call %r: its details did not come in time", self.call_id)
                self._make_ready()

    def _disconnected(self, code: int | None) -> None:
        if code == 1000:
            self.end("closed", None)
        elif not self._over.is_set():
            if code is not None:
                log.warning("call %r: the connection is gone (%d); waiting for another", self.call_id, code)
            self._save_soon()
            self._tasks.start_soon(self._end_unless_connected, self._connections)

    async def _end_unless_connected(self, connections: int) -> None:
        await anyio.sleep(self.settings.reconnect_within)
        if self._connections == connections:
            self.end("lost", None)

    async def _end_after(self, seconds: float) -> None:
        await anyio.sleep(seconds)
        log.warning("call %r: longer than %g seconds: hung up", self.call_id, seconds)
        self.end("too_long", 1000, "too long")

    def _wake(self) -> None:
        if self._connection is not None:
            self._connection.wake()

    async def _breathe(self) -> None:
        """Let others run, and while too much is waiting to be sent, the connection."""
        await anyio.lowlevel.checkpoint()
        while self._conversation.waiting > _MOST_UNSENT and self._connection is not None:
            await self._connection.drained()

    # What comes in.

    def _take(self, events: Sequence[Event]) -> None:
        for event in events:
            match event:
                case Asked():
                    self._asked(event)
                case Updated():
                    self._update(event)
                case Details(call):
                    self._detailed(call)
                case Ignored(reason):
                    self._stats.ignored += 1
                    self._log_once(f"ignored: {reason}")
                case Other(message):
                    self._log_once(f"a message that this version does not know: {message.interaction_type[:50]!r}")

    def _log_once(self, what: str) -> None:
        if what not in self._logged and len(self._logged) < 100:
            self._logged.add(what)
            log.warning("call %r: %s (logged once)", self.call_id, what)

    def _detailed(self, call: CallResponse) -> None:
        self.call = call
        self._tell_late()
        if self._ready:
            return
        try:
            admitted = self.settings.admits(call)
        except Exception as error:  # noqa: BLE001 - whatever the application's code raises
            log.error("call %r: admit failed\n%s", self.call_id, masked_traceback(error))
            admitted = False
        if admitted:
            self._make_ready()
        else:
            self._refuse("it is not one of this application's")

    def _refuse(self, why: str) -> None:
        self._stats.refused += 1
        log.warning("call %r refused: %s", self.call_id, why)
        self.end("refused", 1008, "not admitted")

    def _make_ready(self) -> None:
        self._ready = self._is_admitted = True
        self._stats.calls += self.settings.admit is not None
        held, self._held = self._held, None
        if held is not None and self._conversation.wanted == held.id:
            self._asked(held)

    def _asked(self, asked: Asked) -> None:
        self._heard_user = self._heard_user or asked.kind == "response"
        if not self._ready and (self.settings.admit is not None or (asked.kind == "begin" and self._greets_by_details())):
            self._held = asked
            return
        if self._turn is not None:
            self._note_told(self._turn)
        self._give_up(self._turn)
        self._interruption.cancel()
        if asked.kind != "begin":
            self._stats.turns += 1
        if self._taking_leave and asked.kind == "reminder":
            self._conversation.respond(asked.id, "", complete=True, action=Action(end_call=True))
            self._wake()
            return
        if self._taking_leave:
            self._taking_leave = False
            self._update_agent(self._reminders)
        turn = Turn(self, asked.id, asked.kind, self.settings.timeout, self._effects.untold())
        self._turn = turn
        self._tasks.start_soon(self._answer, turn)

    def _greets_by_details(self) -> bool:
        return callable(self.settings.begin_message) or type(self._agent).on_enter is not Agent.on_enter

    def _update(self, event: Updated) -> None:
        if self._conversation.greeted and not self._greeted:
            self._greeted = True
            self._save_soon()
        turn = self._turn
        if turn is not None and event.spoken == turn.id:
            turn.speaking = True
            self._note_spoken(turn)
        self._heard_user = (
            self._heard_user or event.message.turntaking == "user_turn" or any(item.role == "user" for item in self.transcript)
        )
        if self._updates is not None:
            self._updates.append(event)
            self._updated.set()

    async def _tell_updates(self, updates: deque[Updated]) -> None:
        while True:
            self._updated = anyio.Event()
            while updates:
                if not self._ready and self.settings.admit is not None:
                    break
                await self._guard("on_update", self._agent.on_update, self, updates.popleft())
            await self._updated.wait()

    # Turns.

    def _give_up(self, turn: Turn | None) -> None:
        """Cancel a turn that is not wanted any more."""
        if turn is None:
            return
        self._turn = None
        turn.scope.cancel()
        if turn.kind != "begin" and not turn.spoken.is_set():
            self._stats.discarded += 1

    async def _answer(self, turn: Turn) -> None:
        """Say what the agent gives for a turn, to its end or until nobody wants it any more."""
        with self._watched(turn), turn.scope:
            async with anyio.create_task_group() as watching:
                watching.start_soon(self._watch, turn)
                ended = await attempt(lambda: self._speak(turn))
                if isinstance(ended, Done):
                    self._complete(turn)
                else:
                    self._failed(turn, ended.error)
                watching.cancel_scope.cancel()
        if turn.complete:
            self._save_soon()

    async def _speak(self, turn: Turn) -> None:
        await say_all(self._hook(turn.kind)(turn), turn.say)

    @contextmanager
    def _watched(self, turn: Turn) -> Generator[None]:
        """A block that hooks of the telemetry are told of.

        A greeting that waits for no details is told of when they have come, which say to what trace the call belongs.
        """
        activity = turn.activity
        if activity is None:
            yield
        elif self.call is not None or self._ready or turn.kind != "begin":
            activity.traceparent = None if self.call is None else trace_in(self.call.metadata)
            with _instrumentation.begin(activity):
                yield
        else:
            try:
                yield
            finally:
                activity.seconds = time.perf_counter() - activity.began
                self._untold = activity
                self._tell_late()

    def _tell_late(self, *, at_last: bool = False) -> None:
        activity = self._untold
        if activity is not None and (self.call is not None or at_last):
            self._untold = None
            activity.traceparent = None if self.call is None else trace_in(self.call.metadata)
            with _instrumentation.begin(activity):
                pass

    def _hook(self, kind: Kind) -> Callable[[Turn], Any]:
        agent = self._agent
        return {"begin": agent.on_enter, "response": agent.on_turn, "reminder": agent.on_reminder}[kind]

    async def _watch(self, turn: Turn) -> None:
        """Say a filler when the agent is slow, and give the turn up when it is too slow."""
        settings = self.settings
        may_be_filled = settings.filler and turn.kind == "response" and any(item.role == "agent" for item in turn.transcript)
        filled_at = anyio.current_time() + settings.filler_after if may_be_filled else math.inf
        while (now := anyio.current_time()) < (until := turn.active_at + turn.timeout):
            if now >= filled_at:
                filled_at = math.inf
                if not turn.text.strip():
                    filler = settings.filler[self._stats.fillers % len(settings.filler)]
                    if self._respond(turn, f"{filler.rstrip()} ", complete=False):
                        turn.filler = filler
                        self._stats.fillers += 1
                    self._wake()
            turn.hurried = anyio.Event()
            with anyio.move_on_after(min(until, filled_at) - now):
                await turn.hurried.wait()
        if turn.complete:  # at the last moment
            return
        self._stats.timed_out += 1
        turn.note("timed_out")
        log.error("call %r: turn %d gave nothing for %g seconds", self.call_id, turn.id, turn.timeout)
        self._apologise(turn)
        turn.scope.cancel()

    def _complete(self, turn: Turn) -> None:
        says_something = turn.text.strip() or turn.action is not None or turn.says_goodbye or turn.may_be_silent
        if not says_something and turn is self._turn and self._conversation.wanted == turn.id:
            self._stats.failed += 1
            turn.note("failed")
            log.error("call %r: turn %d gave nothing to say", self.call_id, turn.id)
            self._apologise(turn)
            return
        if not self._respond(turn, "", complete=True, action=turn.action):
            return
        turn.complete = True
        turn.note("complete")
        self._wake()
        self._note_spoken(turn)
        pattern, pickup = self.settings.goodbye_pattern, self.settings.silent_pickup
        if turn.action is None and turn.kind != "begin" and (turn.says_goodbye or (pattern and pattern.search(turn.text))):
            self._taking_leave = True
            self._update_agent({"reminder_trigger_ms": self.settings.goodbye_after * 1000, "reminder_max_count": _GOODBYE_REMINDERS})
        if turn.kind == "begin" and not turn.text.strip() and pickup is not None:
            self._tasks.start_soon(self._pick_up, pickup)

    def _failed(self, turn: Turn, error: BaseException) -> None:
        if turn.scope.cancel_called:  # nobody wants it any more, and what its cleanup raises is no failure that anybody notices
            log.info("call %r: turn %d (%s) was given up, and raised\n%s", self.call_id, turn.id, turn.kind, masked_traceback(error))
            return
        self._stats.failed += 1
        turn.note("failed", error)
        log.error("call %r: turn %d (%s) failed\n%s", self.call_id, turn.id, turn.kind, masked_traceback(error))
        self._apologise(turn)

    def _apologise(self, turn: Turn) -> None:
        message = self.settings.failure_message
        if callable(message):
            try:
                message = _checked(message(turn))
            except Exception as error:  # noqa: BLE001 - whatever the application's code raises
                log.error("call %r: failure_message failed\n%s", self.call_id, masked_traceback(error))
                message = FAILURE
        turn.tells.clear()  # it is this message that the user hears to the end, and not what was done
        turn.complete = self._respond(turn, _after(turn.text, message), complete=True)
        self._wake()

    def _note_spoken(self, turn: Turn) -> None:
        """What the agent speaks may be a filler; the turn is spoken when there are words of it."""
        if turn.speaking and turn.text.strip():
            turn.spoken.set()

    def _note_told(self, turn: Turn) -> None:
        """Another turn is asked for: what this one did is told to it too, unless the user has heard this one to its end.

        An endpoint is faster than speech, so most turns that are interrupted are complete. To tell once too often does no harm.
        """
        since = self.transcript[len(turn.transcript) :]
        if turn.complete and turn.spoken.is_set() and is_spoken(f"{turn.filler} {turn.text}", since):
            self._effects.told(turn)

    async def _pick_up(self, pickup: SilentPickup) -> None:
        await anyio.sleep(pickup.after)
        if not self._heard_user and self._conversation.open and not self._picked_up:
            self._picked_up = True
            self.interrupt(pickup.message, uninterruptible=False)

    async def _stream_interrupt(
        self, scope: anyio.CancelScope, id: int, message: AsyncIterable[str | None], uninterruptible: bool, action: Action | None
    ) -> None:
        conversation, said, failed = self._conversation, "", True

        async def say(text: str) -> None:
            nonlocal said
            said += text
            if not conversation.interrupt(id, text, complete=False, uninterruptible=uninterruptible):
                scope.cancel()
            self._wake()
            await self._breathe()
            if text.strip():
                patience.deadline = anyio.current_time() + self.settings.timeout

        with scope:
            with anyio.move_on_after(self.settings.timeout) as patience:
                ended = await attempt(lambda: say_all(message, say))
                if isinstance(ended, Done):
                    failed = not said.strip() and action is None
                elif not patience.cancel_called and not scope.cancel_called:
                    log.error("call %r: an interruption failed\n%s", self.call_id, masked_traceback(ended.error))
            if scope.cancel_called:
                return
            if patience.cancel_called and failed:
                log.error("call %r: an interruption gave nothing for %g seconds", self.call_id, self.settings.timeout)
            last = ""
            if failed:
                self._stats.failed += 1
                sentence, action = self.settings.failure_message, None
                last = _after(said, sentence if isinstance(sentence, str) else FAILURE)
            conversation.interrupt(id, last, complete=True, uninterruptible=uninterruptible, action=action)
            self._wake()

    def _update_agent(self, changes: Mapping[str, Any]) -> None:
        self._conversation.update_agent(AgentConfig(**changes))
        self._wake()
        self._save_soon()

    # Beginning and end.

    async def _claim(self) -> bool:
        """Claim the call for a connection; whether another process had it since the last one. What was kept is restored once."""
        elsewhere, record = await self._records.claim()
        if record is not None and not self._restored:
            self._restored = True
            self._is_admitted = self._is_admitted or bool(record)
            self._conversation.greeted = self._conversation.greeted or record.get("greeted") is True
            parts: dict[str, Callable[[Any], None]] = {"state": self._restore_state, "effects": self._effects.restore}
            if not self._connections:  # else what is kept is older than what was said here
                parts |= {"agent": self._restore_agent, "reminders": self._restore_reminders}
                self._taking_leave = record.get("taking_leave") is True
            for name, restore in parts.items():
                try:
                    if kept := record.get(name):
                        restore(kept)
                except Exception as error:  # noqa: BLE001 - a store may give anything
                    log.error("call %r: the %s that the store has kept cannot be used\n%s", self.call_id, name, masked_traceback(error))
        return elsewhere

    def _restore_state(self, kept: Mapping[str, Any]) -> None:
        for key, value in {**kept}.items():
            self.state.setdefault(key, value)

    def _restore_agent(self, kept: Mapping[str, Any]) -> None:
        self._conversation.agent = _agent_of(kept)

    def _restore_reminders(self, kept: Mapping[str, Any]) -> None:
        self._reminders.update(_agent_of(kept))

    async def _save(self) -> bool:
        """Save what another process would need. ``False`` when one has the call already."""
        if not self._is_admitted:
            return True
        if await self._records.save(self._record()):
            return True
        if not self._records.doubtful:
            return False
        heard = self._connection is not None and self._heard_at > max(self._records.unanswered_at, anyio.current_time() - _HEARD_WITHIN)
        if heard or self.ended in _ENDED_HERE:  # so Retell has the call with this process, whoever has claimed it
            await self._claim()
            await self._records.save(self._record())
        return True

    def _record(self) -> dict[str, Any]:
        return {
            "state": self.state,
            "greeted": self._conversation.greeted,
            "effects": self._effects.record(),
            "agent": dict(self._conversation.agent),
            "reminders": dict(self._reminders),
            "taking_leave": self._taking_leave,
        }

    def _save_soon(self) -> None:
        self._changed.set()

    async def _save_changes(self) -> None:
        while True:
            await self._changed.wait()
            self._changed = anyio.Event()
            if not await self._save():
                self.end("moved", *_MOVED)

    async def _finish(self) -> None:
        self.end("shutdown", None)
        self._give_up(self._turn)
        self._tell_late(at_last=True)
        with anyio.move_on_after(self.settings.finish_within, shield=True):
            await self._effects.settled()
        if self.ended == "refused" or not self._is_admitted:
            return
        if not await self._save():
            self.ended = "moved"
        goes_on = self.ended in {"shutdown", "moved"}
        name, hook = ("on_leave", self._agent.on_leave) if goes_on else ("on_exit", self._agent.on_exit)
        with anyio.move_on_after(self.settings.finish_within, shield=True) as waiting:
            await self._guard(name, hook, self)
        if waiting.cancelled_caught:
            log.error("call %r: %s took more than %g seconds", self.call_id, name, self.settings.finish_within)
        await self._save()

    async def _guard(self, name: str, hook: Callable[..., Awaitable[None] | None], *arguments: object) -> None:
        """Call a hook of the application, and log what it raises."""

        async def call() -> None:
            given = hook(*arguments)
            if given is not None:
                await given

        ended = await attempt(call)
        if isinstance(ended, Failed):
            log.error("call %r: %s failed\n%s", self.call_id, name, masked_traceback(ended.error))


def _agent_of(kept: Mapping[str, Any]) -> dict[str, Any]:
    config = AgentConfig(**kept)
    dump(UpdateAgent(agent_config=config))  # what cannot be sent is unusable
    return config.to_dict()


def _after(said: str, message: str) -> str:
    """A message as it goes on after what was said."""
    return f" {message}" if message and said and not said[-1].isspace() else message


def _checked(message: object) -> str:
    if not isinstance(message, str):
        raise TypeError(f"it must give a text, and gave {type(message).__name__}")
    return message
