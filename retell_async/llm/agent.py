"""What answers: an agent as a class, and a function as an agent."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from .streams import closing

if TYPE_CHECKING:
    from .protocol import Updated
    from .session import Session
    from .turn import Turn

__all__ = ["Agent", "AgentFactory", "FunctionAgent", "Said", "factory_of", "texts"]

Said: TypeAlias = AsyncIterable[str | None] | Awaitable[AsyncIterable[str | None] | str | None] | str | None
"""What an agent may give for a turn: an async generator of texts, above all. ``None`` among them is passed over."""


class Agent:
    """Base of agents. There is one object for each call; what must survive another process belongs in `Session.state`.

    Only `on_turn` has to be there. What a method raises is logged; in a turn, the failure message is said.
    """

    def on_enter(self, turn: Turn) -> Said:
        """Give the begin message, once a call. Nothing means that the user speaks first."""

    def on_turn(self, turn: Turn) -> Said:
        """Answer the user."""
        raise NotImplementedError(f"{type(self).__name__} has no on_turn")

    def on_reminder(self, turn: Turn) -> Said:
        """Say something into the silence. By default that is what `on_turn` gives."""
        return self.on_turn(turn)

    async def on_update(self, session: Session, update: Updated) -> None:
        """The transcript or whose turn it is has changed. Updates come in order; when this is too slow, the oldest are left out."""

    async def on_exit(self, session: Session) -> None:
        """The call is over, was not connected again, or is left to another process; `session.ended` says which.

        What is put into `session.state` is still kept.
        """


AgentFactory: TypeAlias = Callable[[], Agent]


class FunctionAgent(Agent):
    """An agent that is one function, called for every turn but the begin message."""

    def __init__(self, function: Callable[[Turn], Said]) -> None:
        self._function = function

    def on_enter(self, turn: Turn) -> Said:
        begin_message = turn.session.settings.begin_message
        return begin_message(turn.session) if callable(begin_message) else begin_message

    def on_turn(self, turn: Turn) -> Said:
        return self._function(turn)


def factory_of(agent: object) -> AgentFactory:
    """What makes the agent of a call.

    :raises TypeError: it is neither a function of one turn nor an `Agent`.
    """
    if isinstance(agent, type):
        if not issubclass(agent, Agent):
            raise TypeError(f"{agent.__name__} is a class that is no llm.Agent")
        return agent
    if isinstance(agent, Agent):
        return lambda: agent
    if not callable(agent):
        raise TypeError(f"an agent is an async generator function of a turn, or a class that is an llm.Agent, and {agent!r} is neither")
    try:
        inspect.signature(agent).bind(None)
    except TypeError:
        raise TypeError(f"an agent takes one argument, the turn, and {agent!r} does not") from None
    except ValueError:  # something whose signature cannot be told
        pass
    made = FunctionAgent(cast("Callable[[Turn], Said]", agent))
    return lambda: made


async def texts(said: Said) -> AsyncGenerator[str]:
    """The texts that an agent gives, one by one.

    :raises TypeError: it gives something else.
    """
    given: Any = await said if inspect.isawaitable(said) else said
    if given is None or isinstance(given, str):
        yield given or ""
        return
    if not hasattr(given, "__aiter__"):
        raise TypeError(f"an agent gives an async iterator of texts, a text or nothing, and this one gave {type(given).__name__}")
    async with closing(given) as parts:
        async for text in parts:
            yield _text(text)


def _text(text: object) -> str:
    if text is None or isinstance(text, str):
        return text or ""
    raise TypeError(f"an agent gives texts, and this one gave {type(text).__name__}")
