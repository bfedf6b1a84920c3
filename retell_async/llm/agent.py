"""What answers: an agent as a class, and a function as an agent."""

from __future__ import annotations

import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import anyio

from retell_async import ConfigurationError

from .functions import closing, gives_late, has_yield, is_any

if TYPE_CHECKING:
    from .protocol import Updated
    from .session import Session
    from .turn import Turn

__all__ = ["Agent", "AgentFactory", "FunctionAgent", "Said", "factory_of", "say_all"]

Said: TypeAlias = AsyncIterable[str | None] | Awaitable[AsyncIterable[str | None] | str | None] | str | None
"""What an agent may give for a turn: an async generator of texts, above all. ``None`` among them is passed over."""


class Agent(ABC):
    """Base of agents. There is one object for each call; what must survive another process belongs in `Session.state`.

    Only `on_turn` has to be there. What a method raises is logged; in a turn, the failure message is said.
    """

    def on_enter(self, turn: Turn) -> Said:
        """Give the begin message, by default that of the application. Nothing means that the user speaks first.

        Once a call, and again on another connection if nothing of it was heard.
        """
        begin_message = turn.session.settings.begin_message
        return begin_message(turn.session) if callable(begin_message) else begin_message

    @abstractmethod
    def on_turn(self, turn: Turn) -> Said:
        """Answer the user."""

    def on_reminder(self, turn: Turn) -> Said:
        """Say something into the silence. By default that is what `on_turn` gives."""
        return self.on_turn(turn)

    async def on_update(self, session: Session, update: Updated) -> None:  # noqa: B027 - it need not be there
        """The transcript or whose turn it is has changed. Updates come in order; when this is too slow, the oldest are left out."""

    async def on_exit(self, session: Session) -> None:  # noqa: B027 - it need not be there
        """The call is over, or was not connected again; `session.ended` says why. What is put into `session.state` is still kept.

        Once a call, as far as can be known: a process that dies calls nothing, and where Retell connects a call again after it was given
        up as ``lost``, this is called again at its end.
        """

    async def on_leave(self, session: Session) -> None:  # noqa: B027 - it need not be there
        """The call goes on, and not here: this process ends and leaves it (``shutdown``), or another one has it already (``moved``).

        In place of `on_exit`, for what this object holds.
        """


AgentFactory: TypeAlias = Callable[[], Agent]

_HOOKS = {
    "on_enter": ("turn",),
    "on_turn": ("turn",),
    "on_reminder": ("turn",),
    "on_update": ("session", "update"),
    "on_exit": ("session",),
    "on_leave": ("session",),
}
"""What the methods of an agent are called with."""


class FunctionAgent(Agent):
    """An agent that is one function, called for every turn but the begin message."""

    def __init__(self, function: Callable[[Turn], Said]) -> None:
        self._function = function

    def on_turn(self, turn: Turn) -> Said:
        return self._function(turn)


def factory_of(agent: object, *, greets: bool) -> AgentFactory:
    """What makes the agent of a call.

    :param greets: whether the application has a begin message.
    :raises TypeError: it is none of what `App.agent` takes.
    :raises ConfigurationError: it has a begin message of its own too.
    """
    if isinstance(agent, Agent):
        raise TypeError(
            f"{type(agent).__name__} is registered as an object, which all calls would share: register the class, or a function without "
            f"arguments that makes one, such as `lambda: {type(agent).__name__}(...)`"
        )
    made: Any = agent
    while isinstance(made, functools.partial):
        made = made.func
    if isinstance(made, type):
        _check_class(made, greets=greets)
        if not _takes(agent):
            raise TypeError(
                f"{made.__name__} needs arguments, and calls have none to give: register a function without arguments that makes one, "
                f"such as `lambda: {made.__name__}(...)`"
            )
        return cast("AgentFactory", agent)
    if not callable(agent):
        raise TypeError(f"an agent is an async generator function of a turn, or a class that is an llm.Agent, and {agent!r} is neither")
    if _takes(agent, None):
        _check_function(agent, "an agent's function")
        function = cast("Callable[[Turn], Said]", agent)
        return lambda: FunctionAgent(function)
    if not _takes(agent) or gives_late(agent):
        raise TypeError(
            f"an agent takes one argument, the turn; what makes one for a call takes none, and is no async function: {agent!r} is neither"
        )
    make = cast("AgentFactory", agent)

    def make_checked() -> Agent:
        made = make()
        _check_class(type(made), greets=greets)
        return made

    return make_checked


def _check_class(cls: type, *, greets: bool) -> None:
    """:raises TypeError: what is made of it can lead no call."""
    if not issubclass(cls, Agent):
        raise TypeError(f"{cls.__name__} is a class that is no llm.Agent")
    if cls.on_turn is Agent.on_turn:
        raise TypeError(f"{cls.__name__} has no on_turn, which answers the user")
    if inspect.isabstract(cls):
        raise TypeError(f"{cls.__name__} is abstract: no object can be made of it")
    for name, arguments in _HOOKS.items():
        method = inspect.getattr_static(cls, name)
        bound = isinstance(method, (staticmethod, classmethod))
        if (bound or inspect.isfunction(method)) and not _takes(getattr(cls, name), *(() if bound else (None,)), *arguments):
            raise TypeError(f"{cls.__name__}.{name} must take {' and '.join(arguments)}, as positional arguments")
    for name in ("on_enter", "on_turn", "on_reminder"):
        _check_function(getattr(cls, name), f"{cls.__name__}.{name}")
    for name in ("on_update", "on_exit", "on_leave"):
        if has_yield(getattr(cls, name)):
            raise TypeError(f"{cls.__name__}.{name} says nothing: it must be without yield")
    if greets and cls.on_enter is not Agent.on_enter:
        raise ConfigurationError(f"{cls.__name__} has an on_enter and the application a begin_message: one of them must go")


def _check_function(function: object, name: str) -> None:
    if is_any(function, inspect.isgeneratorfunction):
        raise TypeError(f"{name} is a generator, and must be an async one: `async def`, and then `yield`")


def _takes(function: Any, *arguments: object) -> bool:
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        return False
    except ValueError:  # something whose signature cannot be told, or something partial that does not fit
        return not isinstance(function, functools.partial)
    return True


async def say_all(said: Said, say: Callable[[str], Awaitable[None]]) -> None:
    """Say the texts that an agent gives, one by one.

    Where `say` is cancelled, a generator is told so at its ``yield``, as at any ``await`` of its own: the deadline may be its own too.

    :raises TypeError: it gives something else.
    """
    given: Any = await said if inspect.isawaitable(said) else said
    if given is None or isinstance(given, str):
        await say(given or "")
        return
    if not hasattr(given, "__aiter__"):
        raise TypeError(f"an agent gives an async iterator of texts, a text or nothing, and this one gave {type(given).__name__}")
    async with closing(given) as parts:
        iterator: Any = parts
        following: Awaitable[object] = iterator.__anext__()
        while True:
            try:
                text = await following
            except StopAsyncIteration:
                return
            try:
                await say(_text(text))
            except anyio.get_cancelled_exc_class() as cancelled:
                if not hasattr(iterator, "athrow"):
                    raise
                following = iterator.athrow(cancelled)
            else:
                following = iterator.__anext__()


def _text(text: object) -> str:
    if text is None or isinstance(text, str):
        return text or ""
    raise TypeError(f"an agent gives texts, and this one gave {type(text).__name__}")
