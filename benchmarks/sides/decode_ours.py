"""Our own way from a response to a model, after the response has been read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx

from retell_async._core.response import Answer, decode
from retell_async.raw.api.call.get_call import OPERATION

from .timing import batches, touch


def prepare(path: str) -> Callable[[], float]:
    body = Path(path).read_bytes()
    response = httpx.Response(200, request=httpx.Request("GET", "https://api.example.com/v2/get-call/call_1"))

    def once() -> None:
        touch(decode(Answer(200, body, lambda: response), OPERATION))

    return batches(once)
