"""What each operation of the document does to the store. A handler takes a checked request, gives the body of the answer, or refuses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..exchange import Incoming
from ..store import Store
from . import account, agents, calls, llms, numbers

__all__ = ["HANDLERS", "Handler"]

Handler = Callable[[Store, Incoming], Any]

HANDLERS: Mapping[str, Handler] = {
    "createAgent": agents.create,
    "getAgent": agents.retrieve,
    "listAgents": agents.listing,
    "updateAgent": agents.update,
    "deleteAgent": agents.delete,
    "createRetellLLM": llms.create,
    "getRetellLLM": llms.retrieve,
    "listRetellLLM": llms.listing,
    "updateRetellLLM": llms.update,
    "deleteRetellLLM": llms.delete,
    "createPhoneNumber": numbers.create,
    "getPhoneNumber": numbers.retrieve,
    "listPhoneNumbers": numbers.listing,
    "updatePhoneNumber": numbers.update,
    "deletePhoneNumber": numbers.delete,
    "createPhoneCall": calls.create_phone_call,
    "createWebCall": calls.create_web_call,
    "getCall": calls.retrieve,
    "listCalls": calls.listing,
    "stopCall": calls.stop,
    "getConcurrency": account.concurrency,
    "listVoices": account.list_voices,
    "getVoice": account.retrieve_voice,
}
"""By the id that the document gives the operation."""
