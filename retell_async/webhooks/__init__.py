"""What Retell sends: events, inbound requests and custom functions, verified, parsed and answered.

`verify`, `unwrap` and `sign` need bytes and headers and nothing else. `Router` serves all of it as an ASGI application.
`retell_async.webhooks.fastapi` has dependencies for single endpoints, `retell_async.webhooks.aiohttp` mounts a router in aiohttp.
"""

from __future__ import annotations

from retell_async._core.errors import WebhookVerificationError
from retell_async._core.hints import readable

from ._dispatch.runner import Stats
from ._dispatch.store import Claim, DeliveryStore, LeasedStore, LegacyStore, MemoryStore, delivery_key
from .events import (
    Alert,
    AlertResolved,
    AlertTriggered,
    CallAnalyzed,
    CallEnded,
    CallEvent,
    CallStarted,
    ChatAnalyzed,
    ChatEnded,
    ChatEvent,
    ChatStarted,
    ChatTranscriptUpdated,
    Event,
    TranscriptUpdated,
    TransferBridged,
    TransferCancelled,
    TransferEnded,
    TransferEvent,
    TransferStarted,
    UnknownEvent,
    parse_event,
    unwrap,
)
from .functions import FunctionAnswer, FunctionCall, function_answer, parse_function, unwrap_function
from .gate import Gate
from .inbound import InboundAnswer, InboundCall, InboundChat, InboundRequest, parse_inbound, unwrap_inbound
from .router import Router
from .senders import RETELL_ADDRESSES, Senders
from .signature import HEADER, sign, verify

__all__ = [
    "sign",
    "verify",
    "unwrap",
    "unwrap_inbound",
    "unwrap_function",
    "parse_event",
    "parse_inbound",
    "parse_function",
    "WebhookVerificationError",
    "HEADER",
    "Event",
    "CallEvent",
    "CallStarted",
    "CallEnded",
    "CallAnalyzed",
    "TranscriptUpdated",
    "TransferEvent",
    "TransferStarted",
    "TransferBridged",
    "TransferCancelled",
    "TransferEnded",
    "ChatEvent",
    "ChatStarted",
    "ChatEnded",
    "ChatAnalyzed",
    "ChatTranscriptUpdated",
    "Alert",
    "AlertTriggered",
    "AlertResolved",
    "UnknownEvent",
    "InboundRequest",
    "InboundCall",
    "InboundChat",
    "InboundAnswer",
    "FunctionCall",
    "FunctionAnswer",
    "function_answer",
    "Router",
    "Stats",
    "Gate",
    "Claim",
    "DeliveryStore",
    "LeasedStore",
    "LegacyStore",
    "MemoryStore",
    "delivery_key",
    "Senders",
    "RETELL_ADDRESSES",
]

for _name in __all__:
    readable(globals()[_name])
