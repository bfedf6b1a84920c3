"""Requests to the API and its answers, without HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

__all__ = ["Answer", "Incoming", "Json", "Refused"]

Json = dict[str, Any]


@attrs.frozen
class Incoming:
    """A request that was checked against the document."""

    path: Mapping[str, str]
    query: Json
    body: Json


@attrs.frozen
class Answer:
    status: int
    body: Any = None
    """What is sent as JSON; ``None`` sends no body at all."""


class Refused(Exception):
    """The API answers with an error of this status and message. Messages name fields, never what was sent in them."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message

    def answer(self) -> Answer:
        return Answer(self.status, {"status": "error", "message": self.message})
