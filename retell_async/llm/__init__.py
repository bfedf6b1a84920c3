"""The custom LLM: a server for the WebSocket on which Retell asks, call by call, what the agent says next.

`App` needs an async generator of texts and nothing else. The messages of the protocol, in both directions, are in
`retell_async.llm.messages`, and the state machine that decides what is sent in `retell_async.llm.protocol`; neither does any I/O.
"""

from __future__ import annotations

from retell_async._core.hints import readable

from .agent import Agent
from .app import App
from .channel import Channel, Disconnected, Opening, Refused
from .chat.completions import ChatCompletions, CompletionError, Tool
from .effects import Effect, SideEffectFailedError, SideEffectNotBegunError, SideEffectUnknownError
from .messages import ProtocolError
from .protocol import Updated
from .serving.server import serve
from .session import Session, Stats
from .settings import Limits, SilentPickup
from .store import MemoryStore, Outcome, Store
from .turn import Turn

__all__ = [
    "App",
    "serve",
    "Agent",
    "Turn",
    "Session",
    "Updated",
    "Effect",
    "ChatCompletions",
    "Tool",
    "CompletionError",
    "SilentPickup",
    "Limits",
    "Stats",
    "Store",
    "MemoryStore",
    "Outcome",
    "SideEffectUnknownError",
    "SideEffectFailedError",
    "SideEffectNotBegunError",
    "ProtocolError",
    "Channel",
    "Opening",
    "Refused",
    "Disconnected",
]

for _name in __all__:
    readable(globals()[_name])
