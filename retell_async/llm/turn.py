"""One turn: what the agent is asked, and what it can do beside saying something."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast, overload

import anyio
import anyio.lowlevel

from retell_async import _instrumentation
from retell_async._core.json import well_formed
from retell_async._instrumentation import TurnActivity

from .chat.transcripts import REMINDER, ChatMessage, chat_messages, last_said
from .effects import Effect, Errors, carried_out, errors_of
from .functions import has_yield
from .protocol import Action, Kind

if TYPE_CHECKING:
    from retell_async.types import CallResponse, Utterance, UtteranceOrToolCall

    from .session import Session

__all__ = ["Turn"]

T = TypeVar("T")


class Turn:
    """Retell asks what the agent says next. A newer turn, an interruption and the end of the call cancel the code that answers it."""

    def __init__(self, session: Session, id: int, kind: Kind, timeout: float, effects: tuple[Effect, ...]) -> None:
        self.session = session
        """The call that it belongs to."""
        self.id = id
        """Retell's number of the turn: 0 for the begin message, then ascending."""
        self.kind: Kind = kind
        """``response`` after the user has spoken, ``reminder`` after silence, ``begin`` for the begin message."""
        self.transcript: Sequence[Utterance] = session.transcript
        """All that was said up to this turn. It may be empty, and need not begin with the user."""
        self.transcript_with_tool_calls: Sequence[UtteranceOrToolCall] | None = session.transcript_with_tool_calls
        """The same with tool calls and keys pressed, if the application asked for it."""
        self.effects = effects
        """What `once` was called for in turns that the user did not hear to the end, and is to be told or kept to: done, still going on, or
        failed, so that it may have happened all the same. Not what failed with an error of `retry_on`, as nothing was done."""
        self.tells = [effect for effect in effects if effect.has_ended]
        """What the user has been told of once all of this turn was heard: what it was told of itself, and what it has asked for."""
        self._timeout = timeout
        self.hurried = anyio.Event()
        """Set when there is less time than there was."""
        self.uninterruptible = False
        """Whether the user cannot interrupt what is said from now on."""
        self.may_be_silent = kind != "response"
        """Whether saying nothing is meant. Else an answer without words and without an action ends with the failure message."""
        self.text = ""
        """What was said in this turn so far."""
        self.filler = ""
        """What was said before it, while there was nothing of it."""
        self.action: Action | None = None
        """What will be done when it is spoken."""
        self.says_goodbye = False
        self.speaking = False
        self.complete = False
        """Whether everything was said that will be."""
        self.spoken = anyio.Event()
        """Set when the agent begins to speak it: most turns are asked for on a guess and thrown away."""
        self.active_at = anyio.current_time()
        self.scope = anyio.CancelScope()
        self.activity = self._activity() if _instrumentation.hooks else None
        """What hooks of the telemetry are told of it."""

    def __repr__(self) -> str:
        return f"Turn(id={self.id}, kind={self.kind!r}, call_id={self.session.call_id!r})"

    @property
    def timeout(self) -> float:
        """Seconds within which the next words must come, else the turn ends with the failure message. May be changed at any time.

        :raises ValueError: it is set to what is no number above 0.
        """
        return self._timeout

    @timeout.setter
    def timeout(self, seconds: float) -> None:
        given: Any = seconds
        if isinstance(given, bool) or not isinstance(given, (int, float)) or not given > 0:
            raise ValueError(f"timeout must be a number of seconds above 0, and is {given!r}")
        less, self._timeout = seconds < self._timeout, seconds
        if less:
            self.hurried.set()

    @property
    def call(self) -> CallResponse | None:
        """The call's details, ``None`` until Retell has sent them."""
        return self.session.call

    @property
    def said(self) -> str:
        """What the user said last, empty if nothing."""
        return last_said(self.transcript)

    def messages(self, system: str | None = None, *, reminder: str = REMINDER) -> list[ChatMessage]:
        """The conversation as chat messages, as OpenAI's and similar endpoints take them.

        What the agent was to say but was interrupted in is cut to what was spoken. Side effects of turns that were not heard to the end are
        told in the system message, which stands in front: many endpoints take it nowhere else. With `transcript_with_tool_calls`, tool
        calls are there as such, each with its result behind it.

        :param system: what the system message begins with. Without it there is one only if there are side effects to tell.
        :param reminder: a user's message at the end of a reminder, for models that answer nothing to their own words.
        """
        return chat_messages(
            self.transcript if self.transcript_with_tool_calls is None else self.transcript_with_tool_calls,
            system=system,
            reminder=reminder if self.kind == "reminder" else None,
            effects=self.effects,
        )

    async def say(self, text: str) -> None:
        """Say a text, or the next part of one, as ``yield`` does."""
        await self.session.say(self, text)

    def end_call(self) -> None:
        """Hang up when this turn is spoken. Retell does not if the user interrupts it.

        :raises ValueError: the turn has another action already.
        """
        self._act(Action(end_call=True))

    def transfer(self, number: str, *, show_transferee_as_caller: bool = False) -> None:
        """Transfer the call, cold, when this turn is spoken.

        :param number: such as ``+14155550100``. Retell transfers calls of numbers that it sold or that were imported.
        :raises ValueError: the turn has another action already, or the number is none.
        """
        self._act(Action(transfer_number=number, show_transferee_as_caller=show_transferee_as_caller))

    def press(self, digits: str) -> None:
        """Press keys when this turn is spoken.

        :param digits: of 0 to 9, ``*`` and ``#``.
        :raises ValueError: the turn has another action already, or there are other characters.
        """
        self._act(Action(digit_to_press=digits))

    def goodbye(self) -> None:
        """Say that this turn takes leave: if the user stays silent after it, the call is ended, and if the user speaks, it goes on.

        Until then the agent's reminders are set to `goodbye_after` seconds, and after that to what the application says that they are.
        """
        (carried_out() or self).says_goodbye = True

    def tool_call(self, name: str, arguments: Mapping[str, Any] | str) -> str:
        """As `Session.tool_call`."""
        id = self.session.tool_call(name, arguments)
        self.active_at = anyio.current_time()
        return id

    def tool_result(self, id: str, content: object, *, successful: bool | None = None) -> None:
        """As `Session.tool_result`."""
        self.session.tool_result(id, content, successful=successful)
        self.active_at = anyio.current_time()

    @overload
    async def once(
        self,
        key: str,
        fn: Callable[[], Awaitable[T]],
        *,
        when: Literal["now", "spoken"] = ...,
        retry_on: Errors = ...,
    ) -> T: ...
    @overload
    async def once(
        self,
        key: str,
        fn: Callable[[], T],
        *,
        when: Literal["now", "spoken"] = ...,
        retry_on: Errors = ...,
    ) -> T: ...
    async def once(
        self,
        key: str,
        fn: Callable[[], object],
        *,
        when: Literal["now", "spoken"] = "now",
        retry_on: Errors = (),
    ) -> object:
        """Carry out a side effect at most once in this call, and give its result, also to later turns that ask under the same key.

        `fn` runs to its end even if this turn is cancelled meanwhile; for one that is cancelled already it is not begun. What it raises is
        raised here, and again in later turns. An action that it takes, such as `end_call`, is taken by each turn that asks for it: that of
        a turn that is thrown away never happens.

        Its result may be anything in this process; others, which share a store that writes JSON, get the text of what JSON does not have,
        such as a datetime.

        :param key: what the effect is, such as ``book:2026-11-25T10:00``.
        :param when: ``spoken`` waits until the agent begins to speak this turn, of which something must have been said, and does nothing
            if it never does.
        :param retry_on: errors that say that nothing was done: after them a later turn may try again.
        :raises SideEffectUnknownError: it was begun, elsewhere or before, and nobody knows how it ended.
        :raises SideEffectFailedError: it failed in another process.
        :raises SideEffectNotBegunError: nothing was done, since the store failed or did not answer in time; a later turn may try again.
        :raises TypeError: the key is no text, or `fn` no function, or one with a yield.
        :raises ValueError: it is done and takes an action, and this turn has another one already.
        :raises RuntimeError: it was not begun yet, and the call is over, or the turn, of which this code is shielded from the cancellation
            or runs in a task of its own; or it is called inside of `fn`, and would wait for itself.
        """
        given: Any = fn
        if not callable(given):
            if hasattr(given, "close"):
                given.close()  # a coroutine, which else complains that it was never awaited
            raise TypeError("once takes a function, such as `lambda: book(slot)`, and calls it if it is the first")
        if not isinstance(cast("object", key), str):
            raise TypeError(f"the key of a side effect is a text, and not {type(key).__name__}")
        if has_yield(given):
            raise TypeError("the function that once is given has a yield, so nothing of it would run: let it return its result")
        kinds = errors_of(retry_on)
        if when not in {"now", "spoken"}:
            raise ValueError(f"when is 'now' or 'spoken', and not {when!r}")
        if when == "spoken":
            await self.spoken.wait()
        try:
            return await self.session.once(self, well_formed(key), fn, kinds)
        finally:
            self.active_at = anyio.current_time()

    async def check_wanted(self) -> None:
        """End code that went on although the turn is cancelled, before it begins what is not undone.

        What a side effect begins that is being carried out belongs to that, and is no more the turn's.

        :raises RuntimeError: the cancellation does not reach it.
        """
        if self.scope.cancel_called and carried_out() is None:
            await anyio.lowlevel.checkpoint_if_cancelled()
            raise RuntimeError(f"{'the call' if self.session.over else 'this turn'} is over: nothing is begun in it any more")

    def _activity(self) -> TurnActivity:
        return TurnActivity(turn=self.id, kind=self.kind, call_id=self.session.call_id)

    def note(self, outcome: Literal["complete", "failed", "timed_out"] | None = None, error: BaseException | None = None) -> None:
        """Note for whoever watches it how it ended, or else that a text was given."""
        activity = self.activity
        if activity is None:
            return
        if outcome is not None:
            activity.outcome, activity.error = outcome, error
        elif activity.first_text is None:
            activity.first_text = time.perf_counter() - activity.began

    def take_on(self, effect: Effect) -> None:
        """Do when this turn is spoken what a side effect that it has asked for is to do then.

        :raises ValueError: the turn has another action already.
        """
        if effect.action is not None:
            self._act(effect.action)
        if effect.says_goodbye:
            self.goodbye()

    def _act(self, action: Action) -> None:
        # A side effect takes its own, whatever the turn has that began it: each turn that asks for it finds out whether both go together.
        taker = carried_out() or self
        before = taker.action
        if before is not None and before != action:
            raise ValueError(f"this turn has an action already, and there is one a turn: {', '.join(before.fields)}")
        taker.action = action
