"""The application: who answers, and the calls that are going on."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import anyio

from retell_async import ConfigurationError
from retell_async._core.masking import masked_traceback

from .agent import AgentFactory, factory_of
from .channel import Channel, Opening, Refused
from .log import is_ending, is_stray, log
from .serving import asgi
from .serving.gate import Gate
from .session import Session, Stats
from .settings import FAILURE, Limits, Settings, SilentPickup
from .store import MemoryStore, Store
from .turn import Turn

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from retell_async.types import CallResponse
    from retell_async.webhooks import Senders

__all__ = ["App"]

AgentT = TypeVar("AgentT")


class App:
    """Answers Retell on the WebSocket of a custom-LLM agent. An ASGI application: serve it by `serve`, or mount it in Starlette or FastAPI.

    Its address for Retell is ``wss://host/<secret>``, to which Retell adds the id of the call, or ``wss://host/?secret=<secret>``.

    :param secret: what must stand in the address; several while it is being changed. ``None`` lets in anybody.
    :param begin_message: what the agent says first, or what makes it from the `Session`, whose `call` is known then. ``None`` waits for the
        user to speak. An `Agent` class may have `on_enter` instead.
    :param failure_message: said when the agent's code raises, or gives nothing for too long; or what makes it from the `Turn`.
    :param timeout: seconds within which the next words of a turn must come. `Turn.timeout` changes it for one turn.
    :param filler: said when a turn has no words after `filler_after` seconds, one after the other; never before the agent has spoken.
    :param silent_pickup: what the agent does when both sides wait for the other to speak.
    :param goodbye_pattern: a regular expression, upper and lower case alike, for texts with which the agent takes leave: as
        `Turn.goodbye` has it, silence of `goodbye_after` seconds then ends the call.
    :param reminder_trigger_ms: what the agent has of it in Retell, which does not tell: a goodbye changes it for the call, and a user who
        goes on speaking changes it back.
    :param reminder_max_count: likewise; 0 for an agent without reminders.
    :param auto_reconnect: whether Retell watches the connection and opens another when it is lost.
    :param call_details: whether Retell tells about the call, in `Turn.call`.
    :param transcript_with_tool_calls: whether transcripts come with tool calls and keys pressed too.
    :param details_within: seconds that those are waited for, where the begin message or `admit` needs them.
    :param reconnect_within: seconds that a call whose connection was lost is kept.
    :param finish_within: seconds that side effects which are going on when a call ends get, and then `on_exit`.
    :param admit: which calls are one's own: metadata that they must have, or a function of the call. Others are closed with 1008.
    :param senders: who may connect, if the address is to be checked: `retell_async.webhooks.Senders`.
    :param limits: how much is taken: calls, seconds, bytes, messages.
    :param store: keeps state and side effects; the memory of this process by default.
    :raises ConfigurationError: a setting cannot work.
    """

    def __init__(
        self,
        *,
        secret: str | Sequence[str] | None,
        begin_message: str | Callable[[Session], str] | None = None,
        failure_message: str | Callable[[Turn], str] = FAILURE,
        timeout: float = 10.0,
        filler: str | Sequence[str] | None = None,
        filler_after: float = 1.0,
        silent_pickup: SilentPickup | None = None,
        goodbye_pattern: str | re.Pattern[str] | None = None,
        goodbye_after: float = 4.0,
        reminder_trigger_ms: float = 10_000,
        reminder_max_count: int = 1,
        auto_reconnect: bool = True,
        call_details: bool = True,
        transcript_with_tool_calls: bool = False,
        details_within: float = 2.0,
        reconnect_within: float = 15.0,
        finish_within: float = 30.0,
        admit: Mapping[str, Any] | Callable[[CallResponse], bool] | None = None,
        senders: Senders | None = None,
        limits: Limits | None = None,
        store: Store | None = None,
    ) -> None:
        self._gate = Gate(secret, senders)
        del secret  # what is refused below shows it in no traceback
        self.settings = Settings(
            begin_message=begin_message,
            failure_message=failure_message,
            timeout=timeout,
            filler=filler,
            filler_after=filler_after,
            silent_pickup=silent_pickup,
            goodbye_pattern=goodbye_pattern,
            goodbye_after=goodbye_after,
            reminder_trigger_ms=reminder_trigger_ms,
            reminder_max_count=reminder_max_count,
            auto_reconnect=auto_reconnect,
            call_details=call_details,
            transcript_with_tool_calls=transcript_with_tool_calls,
            details_within=details_within,
            reconnect_within=reconnect_within,
            finish_within=finish_within,
            admit=admit,
            limits=Limits() if limits is None else limits,
        )
        self.stats = Stats()
        """What this application has done so far."""
        self.draining = False
        """Whether no new calls are taken, since the application is being shut down."""
        self._store = MemoryStore() if store is None else store
        if isinstance(self._store, type):
            raise ConfigurationError(f"the store is the class {self._store.__name__}, and must be an object of one")
        for method in ("claim", "save", "begin", "finish"):
            if not callable(getattr(self._store, method, None)):
                raise ConfigurationError(f"the store has no method {method}: see llm.Store")
        self._make_agent: AgentFactory | None = None
        self._sessions: dict[str, Session] = {}
        self._home: TaskGroup | None = None
        self._leading = 0
        self._fewer = anyio.Event()

    @property
    def sessions(self) -> Mapping[str, Session]:
        """The calls that are going on, by their ids, with those that wait to be connected again."""
        return self._sessions

    def agent(self, agent: AgentT) -> AgentT:
        """Register what answers: an async generator function of a `Turn`, or a class that is an `Agent`, of which each call gets an object.

        A function may also return an async iterator, a text or nothing. In place of a class, a function without arguments may make the
        object for a call, such as ``lambda: Receptionist(database)`` or ``functools.partial(Receptionist, database)``.

        :raises TypeError: it is none of these, or no object can be made of the class.
        :raises ConfigurationError: there is one already, or it greets by `on_enter` though there is a `begin_message`.
        """
        if self._make_agent is not None:
            raise ConfigurationError("an agent is registered already")
        self._make_agent = factory_of(agent, greets=self.settings.begin_message is not None)
        return agent

    async def __call__(self, scope: asgi.Message, receive: asgi.Receive, send: asgi.Send) -> None:
        """Serve as an ASGI application."""
        await asgi.serve(self, scope, receive, send)

    def check(self) -> AgentFactory:
        """What makes the agent of a call.

        :raises ConfigurationError: no agent is registered.
        """
        if self._make_agent is None:
            raise ConfigurationError("nothing answers: register an agent with @app.agent")
        return self._make_agent

    def open(self, opening: Opening) -> str | Refused:
        """Whether a WebSocket may be opened: the id of its call, or why not. For libraries that this package does not know.

        :raises ConfigurationError: no agent is registered.
        """
        self.check()
        found = self._gate.admit(opening)
        if isinstance(found, str) and found not in self._sessions:
            if self.draining:
                found = Refused(503, "shutting down: no new calls are taken")
            elif len(self._sessions) >= self.settings.limits.calls:
                found = Refused(503, "too many calls")
        if isinstance(found, Refused):
            self.stats.refused += 1
            log.warning("a connection was refused with %d: %s", found.status, found.reason)
        return found

    @asynccontextmanager
    async def lifespan(self) -> AsyncGenerator[None]:
        """Where calls are led that begin while this lasts. At its end those that are going on are left, and `on_leave` is waited for.

        `serve` enters it, and so do servers that tell of their start and end by ASGI's lifespan, unless the application is mounted in
        another. Outside of it, a call is led by the task of its first connection, and left when the server ends that.
        """
        if self._home is not None:
            yield
            return
        failed: BaseException | None = None
        async with anyio.create_task_group() as tasks:
            self._home = tasks
            try:
                yield
            except (Exception, SystemExit, KeyboardInterrupt) as error:  # noqa: BLE001 - raised again, not in a group
                failed = error
            finally:
                self._home = None
                self.abandon()
        if failed is not None:
            raise failed

    async def lead(self, call_id: str, channel: Channel) -> None:
        """Lead a call over a WebSocket that was opened for it, until that is gone. For libraries that this package does not know.

        Outside of a `lifespan`, what leads a call's first connection returns when the call is over. A WebSocket that is still open when it
        returns is to be dropped without a close, so that Retell opens another.

        :raises ConfigurationError: no agent is registered.
        """
        make_agent = self.check()
        session = self._sessions.get(call_id)
        if session is not None and not session.over and await self._connect(session, channel):
            return
        try:
            agent = make_agent()
        except Exception as error:  # noqa: BLE001 - whatever the application's code raises
            log.error("call %r: no agent could be made for it\n%s", call_id, masked_traceback(error))
            await channel.close(1011, "no agent")  # a connection that is lost, Retell would open again and again
            return
        session = self._sessions[call_id] = Session(call_id, agent, self.settings, self._store, self.stats, before=session)
        self._leading += 1
        if self._home is not None:
            self._home.start_soon(self._run, session)
            await self._connect(session, channel)
            return
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._run, session)
            await self._connect(session, channel)

    async def _connect(self, session: Session, channel: Channel) -> bool:
        try:
            return await session.connect(channel)
        except BaseException as error:
            if is_ending(error):
                raise
            log.error("call %r: a connection broke off\n%s", session.call_id, masked_traceback(error))
            return True

    async def _run(self, session: Session) -> None:
        try:
            await session.run()
        except BaseException as error:
            if not is_stray(error):  # one that is would end the other calls too
                raise
            log.error("call %r broke off\n%s", session.call_id, masked_traceback(error))
        finally:
            if self._sessions.get(session.call_id) is session:
                del self._sessions[session.call_id]
            self._leading -= 1
            self._fewer.set()

    async def drain(self, within: float | None = None) -> bool:
        """Take no new calls, and wait for those that are going on; they may still be connected again.

        :param within: seconds to wait, ``None`` for as long as it takes.
        :returns: whether all are over.
        """
        self.draining = True
        with anyio.move_on_after(within):
            while self._leading:
                if self._fewer.is_set():
                    self._fewer = anyio.Event()
                await self._fewer.wait()
        return not self._leading

    def reopen(self) -> None:
        """Take new calls again, after `drain`. Both servers of this package do so when they start."""
        self.draining = False
        self._fewer = anyio.Event()

    def abandon(self) -> None:
        """Leave all calls without closing them, so that Retell connects them again, to another process if there is one."""
        for session in list(self._sessions.values()):
            session.end("shutdown", None)

    def hide(self, text: str) -> str:
        """A text without the secrets in it, for a log."""
        return self._gate.hide(text)
