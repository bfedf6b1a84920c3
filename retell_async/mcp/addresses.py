"""Addresses of resources: a call, what was said in it, and how it sounded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import quote, unquote

__all__ = ["TEMPLATES", "Part", "address", "links_of", "read_address"]

Part = Literal["call", "transcript", "recording"]

_ADDRESS = re.compile(r"retell://calls/([^/?#]+)(?:/(transcript|recording))?")

TEMPLATES = {
    "call": ("retell://calls/{call_id}", "application/json", "A call without its transcript. It says when it changes."),
    "transcript": ("retell://calls/{call_id}/transcript", "application/json", "What was said in a call."),
    "recording": ("retell://calls/{call_id}/recording", "audio/wav", "How a call sounded."),
}
"""What resources there are: the form of their addresses, what they hold, and a word about them."""


def address(call_id: str, part: Part = "call") -> str:
    return f"retell://calls/{quote(call_id, safe='', errors='replace')}{'' if part == 'call' else f'/{part}'}"


def read_address(uri: str) -> tuple[str, Part]:
    """The call and the part that an address names.

    :raises ValueError: it is no such address.
    """
    found = _ADDRESS.fullmatch(uri)
    if found is None:
        raise ValueError(f"{uri!r} is no address of a call: {', '.join(form for form, *_ in TEMPLATES.values())} are")
    part: Part = "call" if found[2] is None else "transcript" if found[2] == "transcript" else "recording"
    return unquote(found[1]), part


def links_of(answer: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The resources of a call in an answer, and what they are called; none where it is no call."""
    call_id = answer.get("call_id")
    if not isinstance(call_id, str) or "call_status" not in answer:
        return []
    found = [(address(call_id), f"call {call_id}")]
    if answer.get("transcript"):
        found.append((address(call_id, "transcript"), f"transcript of {call_id}"))
    if answer.get("recording_url"):
        found.append((address(call_id, "recording"), f"recording of {call_id}"))
    return found
