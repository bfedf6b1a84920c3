"""Replies: what is sent for a request, whole or broken."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Literal

import attrs

from ..common.messages import Answer

__all__ = ["Reply", "whole"]

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
_JSON: Mapping[str, str] = {"content-type": "application/json"}


@attrs.frozen
class Reply:
    """What is sent for one request."""

    status: int | None
    """``None`` when no answer is sent."""
    content: bytes = b""
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str])
    ending: Literal["whole", "truncated", "reset", "silence"] = "whole"
    """``truncated`` closes the connection after half of the content."""
    seconds: float = 0.0
    """How long a silence lasts."""

    @property
    def sent(self) -> bytes:
        """The part of the content that is sent."""
        return self.content[: len(self.content) // 2] if self.ending == "truncated" else self.content


def whole(answer: Answer) -> Reply:
    """An answer as it is sent when nothing goes wrong."""
    return Reply(answer.status) if answer.body is None else Reply(answer.status, _encode(answer.body).encode(), _JSON)
