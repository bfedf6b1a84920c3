"""Our own way from a response to a model, after the response has been read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from retell_async._core.operation import Operation
from retell_async._core.response import Answer, decode
from retell_async.raw.api.call import get_call, list_calls

from .timing import READINGS, batches


def prepare(argument: str) -> Callable[[], float]:
    path, _, reading = argument.partition(" ")
    body, read = Path(path).read_bytes(), READINGS[reading]
    operation: Operation[Any] = list_calls.OPERATION if body.startswith(b'{"items"') else get_call.OPERATION
    response = httpx.Response(200, request=httpx.Request("GET", "https://api.example.com/v2/get-call/call_1"))

    def once() -> None:
        read(decode(Answer(200, body, lambda: response), operation))

    return batches(once)
