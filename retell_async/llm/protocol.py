"""The server's side of one call's conversation: a state machine that is told what came in and what the application wants. No I/O, no clock.

It lasts as long as the call, over any number of connections. What is to be sent is taken from it frame by frame, at the moment of sending,
so that what is out of date by then is never sent.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import attrs

from .messages import (
    AgentConfig,
    AgentInterrupt,
    CallDetails,
    Config,
    Message,
    Metadata,
    Options,
    Ping,
    Pong,
    ProtocolError,
    ReminderRequired,
    Response,
    ResponseRequired,
    ToolCallInvocation,
    ToolCallResult,
    UnknownRequest,
    UpdateAgent,
    UpdateOnly,
    dump,
    parse_answer,
    parse_request,
)

if TYPE_CHECKING:
    from retell_async.types import CallResponse, Utterance, UtteranceOrToolCall

__all__ = [
    "DIGITS",
    "NUMBER",
    "Action",
    "Asked",
    "Conversation",
    "Details",
    "Event",
    "Ignored",
    "Kind",
    "Other",
    "Updated",
    "actions_of",
    "ends_greeting",
]

Kind: TypeAlias = Literal["begin", "response", "reminder"]

_MOST_WAITING = 32
"""Frames that may wait to be sent before answers to pings are left out."""

DIGITS = re.compile(r"[0-9*#]+")
NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")


@attrs.frozen
class Action:
    """What is done once a text is spoken: at most one of these.

    :raises ValueError: none or more than one is given, or it cannot be carried out.
    """

    end_call: bool = False
    transfer_number: str | None = attrs.field(default=None, repr=False)
    show_transferee_as_caller: bool = False
    digit_to_press: str | None = attrs.field(default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        if sum((self.end_call, self.transfer_number is not None, self.digit_to_press is not None)) != 1:
            raise ValueError("one of end_call, transfer_number and digit_to_press is to be given: they exclude each other")
        number: Any = self.transfer_number
        digits: Any = self.digit_to_press
        if number is not None and not (isinstance(number, str) and NUMBER.fullmatch(number)):
            raise ValueError("the number to transfer to is to be one in E.164, a plus and 7 to 15 digits, such as '+14155550100'")
        if self.show_transferee_as_caller and number is None:
            raise ValueError("show_transferee_as_caller goes with a transfer_number")
        if digits is not None and not (isinstance(digits, str) and DIGITS.fullmatch(digits)):
            raise ValueError("digits to press are a text of 0 to 9, * and #")

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of a message that say so."""
        return attrs.asdict(self, filter=lambda _, value: value is not None and value is not False)


def actions_of(message: Response | AgentInterrupt) -> dict[str, Any]:
    """The actions in a message, by their fields, whether they can be carried out or not."""
    sent = message.to_dict()
    return {name: sent[name] for name in ("end_call", "transfer_number", "digit_to_press") if sent.get(name)}


def ends_greeting(message: Response) -> bool:
    """Whether it says no more than that the begin message is complete."""
    return message.response_id == 0 and message.content_complete and not message.content and not actions_of(message)


@attrs.frozen
class Asked:
    """An answer is wanted, and no earlier one is any more."""

    id: int
    kind: Kind


@attrs.frozen
class Updated:
    """The transcript or whose turn it is has changed."""

    message: UpdateOnly
    """The message that said so, with the transcript."""
    spoken: int | None
    """The answer that the agent begins to speak, if it does."""


@attrs.frozen
class Details:
    """The call's details came."""

    call: CallResponse


@attrs.frozen
class Other:
    """A message that this version does not know."""

    message: UnknownRequest


@attrs.frozen
class Ignored:
    """A frame that has no effect; `reason` says why and holds nothing that was sent."""

    reason: str


Event: TypeAlias = Asked | Updated | Details | Other | Ignored


@attrs.define(eq=False, kw_only=True)
class Conversation:
    """What was asked, what is still wanted, and what is to be sent.

    :param options: sent first on each connection, ``None`` to send none.
    :param greeted: whether the begin message was heard before, from another process.
    """

    options: Options | None = None
    greeted: bool = False
    """Whether the begin message was heard, or is no longer wanted: it is not repeated on another connection."""
    open: bool = False
    """Whether there is a connection."""
    transcript: Sequence[Utterance] = ()
    """The newest."""
    transcript_with_tool_calls: Sequence[UtteranceOrToolCall] | None = None
    agent: dict[str, Any] = attrs.field(factory=dict[str, Any])
    """What was changed of the agent in this call. Nobody knows whether a connection that broke has brought it, so each new one does."""
    discarded: int = 0
    """Frames that were never sent because they were out of date."""
    _queue: deque[tuple[Message, str]] = attrs.field(factory=deque[tuple[Message, str]])
    """Messages, and the frames that they are."""
    _asked: Asked | None = None
    """What was asked last, on any connection."""
    _asked_here: bool = False
    """Whether that was on the present connection, by Retell."""
    _current: int | None = None
    """The id whose frames may be sent: of what was asked last, unless an interruption took its place."""
    _wanted: bool = False
    """Whether that id is not complete yet."""
    _begun: bool = False
    """Whether words of it were sent."""
    _unanswered: Asked | None = None
    """What the connection that is gone has left without an answer."""
    _interrupt: int = 0
    """The newest interruption."""
    _interrupting: bool = False
    """Whether it is not complete yet."""

    @property
    def wanted(self) -> int | None:
        """The id of the answer that is wanted and not complete."""
        return self._current if self.open and self._wanted else None

    # What happens.

    def opened(self) -> list[Event]:
        """A connection was opened, in the place of another one if there is one."""
        self.closed()
        self.open, self._asked_here, self._begun = True, False, False
        self._current = 0
        kept, self._queue = self._queue, deque()
        if self.options is not None:
            self._send(Config(config=self.options))
        if self.agent:
            self._send(UpdateAgent(agent_config=AgentConfig(**self.agent)))
        events: list[Event] = []
        if self.greeted:
            # The agent may say nothing before a begin message came, and the caller has heard it already: this one says nothing.
            self._send(Response(response_id=0, content="", content_complete=True))
        else:
            self._asked, self._wanted, self._unanswered = Asked(0, "begin"), True, None
            events.append(self._asked)
        self._queue += kept
        return events

    def resume(self) -> list[Event]:
        """Ask again for what the last connection left without an answer, if Retell did not do so itself."""
        if not self.open or self._unanswered is None:
            return []
        return [self._ask(self._unanswered, here=False)]

    def received(self, text: str | bytes) -> list[Event]:
        """A frame came."""
        if not self.open:
            return []
        if isinstance(text, bytes):
            return [Ignored("a binary frame")]
        try:
            message = parse_request(text)
        except ProtocolError as error:
            return [Ignored(str(error))]
        match message:
            case Ping():
                if len(self._queue) >= _MOST_WAITING:  # the newest says as much as all of them
                    self._queue = deque(each for each in self._queue if not isinstance(each[0], Pong))
                self._send(Pong(timestamp=message.timestamp))
                return []
            case CallDetails():
                return [Details(message.call)]
            case UpdateOnly():
                self._heard(message)
                spoken = self._current if message.turntaking == "agent_turn" and self._begun else None
                self.greeted = self.greeted or spoken == 0 or any(item.role == "agent" for item in message.transcript)
                return [Updated(message, spoken)]
            case ResponseRequired() | ReminderRequired():
                return self._required(message)
            case UnknownRequest():
                return [Other(message)]

    def closed(self) -> None:
        """The connection is gone."""
        if not self.open:
            return
        queued = (message for message, _ in self._queue if isinstance(message, Response))
        unsent = any(message.content_complete and message.response_id == self._current for message in queued)
        if (self._wanted or unsent) and self._asked is not None and self._asked.kind != "begin" and self._current == self._asked.id:
            self._unanswered = self._asked
        self.open = self._wanted = self._begun = self._interrupting = False
        self._current = None
        self._queue = deque(each for each in self._queue if isinstance(each[0], (Metadata, ToolCallInvocation, ToolCallResult)))

    # What the application wants.

    def respond(self, id: int, content: str, *, complete: bool, uninterruptible: bool = False, action: Action | None = None) -> bool:
        """Say a part of an answer. ``False`` for one that is no longer wanted: nothing comes of it.

        :raises ValueError: an action is given with a part that is not the last.
        """
        if action is not None and not complete:
            raise ValueError("an action goes with the last part of an answer")
        if id != self.wanted:
            return False
        if not content and not complete:
            return True
        options: dict[str, Any] = {"no_interruption_allowed": True} if uninterruptible else {}
        self._send(Response(response_id=id, content=content, content_complete=complete, **options, **(action.fields if action else {})))
        self._begun = self._begun or bool(content)
        self._wanted = not complete
        return True

    def begin_interrupt(self) -> int:
        """The id for a new interruption. It takes the place of an earlier one and of an answer that is under way."""
        self._interrupt += 1
        self._interrupting = self.open
        self._drop_answers()
        self._current = None
        self._wanted = self._begun = False
        self.greeted = self.greeted or self.open
        return self._interrupt

    def interrupt(self, id: int, content: str, *, complete: bool, uninterruptible: bool = True, action: Action | None = None) -> bool:
        """Say a part of an interruption. ``False`` for one whose place another has taken, or which is complete.

        :raises ValueError: an action is given with a part that is not the last, or it cannot go with an interruption.
        """
        if action is not None and (not complete or action.show_transferee_as_caller):
            raise ValueError("an action goes with the last part of an interruption, and show_transferee_as_caller with answers only")
        if not (self.open and self._interrupting and id == self._interrupt):
            return False
        if not content and not complete:
            return True
        options: dict[str, Any] = {"no_interruption_allowed": True} if uninterruptible else {}
        self._send(
            AgentInterrupt(interrupt_id=id, content=content, content_complete=complete, **options, **(action.fields if action else {}))
        )
        self._interrupting = not complete
        return True

    # What follows waits for the next connection where there is none, and raises `TypeError` or `ValueError` for what no message can hold.

    def update_agent(self, changes: AgentConfig) -> None:
        """Change the agent for this call."""
        message = UpdateAgent(agent_config=changes)
        parse_answer(dump(message))
        self.agent.update(changes.to_dict())
        if self.open:
            self._send(message)

    def metadata(self, metadata: object) -> None:
        """Send something to the front end of a web call."""
        self._put(Metadata(metadata=metadata))

    def tool_call(self, id: str, name: str, arguments: str) -> None:
        """Note that a tool is called."""
        self._put(ToolCallInvocation(tool_call_id=id, name=name, arguments=arguments))

    def tool_result(self, id: str, content: str, *, successful: bool | None) -> None:
        """Note what came of a tool call."""
        outcome: dict[str, Any] = {} if successful is None else {"successful": successful}
        self._put(ToolCallResult(tool_call_id=id, content=content, **outcome))

    # What is to be sent.

    @property
    def waiting(self) -> int:
        """How many frames are waiting to be sent, those out of date included."""
        return len(self._queue)

    def next_frame(self) -> str | None:
        """The next frame that is to be sent, now; ``None`` while there is none."""
        while self.open and self._queue:
            message, frame = self._queue.popleft()
            if isinstance(message, Response):
                outdated = message.response_id != self._current and not ends_greeting(message)
            else:
                outdated = isinstance(message, AgentInterrupt) and message.interrupt_id != self._interrupt
            if not outdated:
                return frame
            self.discarded += 1
        return None

    def _send(self, message: Message) -> None:
        self._queue.append((message, dump(message)))

    def _put(self, message: Message) -> None:
        parse_answer(dump(message))  # what cannot be sent is told to who wants it sent
        self._send(message)

    def _required(self, message: ResponseRequired | ReminderRequired) -> list[Event]:
        id = message.response_id
        # Nobody knows whether a new connection counts on or begins again, and nothing of the old one comes on it.
        last = self._asked.id if self._asked is not None and self._asked_here else 0
        if id < last or id <= 0:
            return [Ignored("a response_id that is lower than the one before")]
        if id == last:
            return [Ignored("a response_id that was asked for already")]
        self._heard(message)
        return [self._ask(Asked(id, "response" if isinstance(message, ResponseRequired) else "reminder"))]

    def _ask(self, asked: Asked, *, here: bool = True) -> Asked:
        self._drop_answers()  # another answer may have had the same id
        self._asked, self._asked_here, self._unanswered = asked, here, None
        self._current, self._wanted, self._begun, self._interrupting = asked.id, True, False, False
        self.greeted = True
        return asked

    def _drop_answers(self) -> None:
        """Send nothing more of answers, but that the begin message is complete: the agent may say nothing before."""
        kept = deque[tuple[Message, str]]()
        dropped: list[Response] = []
        for message, frame in self._queue:
            if isinstance(message, Response) and not ends_greeting(message):
                dropped.append(message)
            else:
                kept.append((message, frame))
        self._queue = kept
        self.discarded += len(dropped)
        if (self._current == 0 and self._wanted) or any(message.response_id == 0 and message.content_complete for message in dropped):
            self._send(Response(response_id=0, content="", content_complete=True))

    def _heard(self, message: UpdateOnly | ResponseRequired | ReminderRequired) -> None:
        self.transcript = message.transcript
        self.transcript_with_tool_calls = message.transcript_with_tool_calls
