"""The least that any service does with a webhook: an HMAC of its bytes, and JSON without types."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable
from pathlib import Path

import msgspec

from .timing import batches

KEY = b"key_0123456789abcdef"
TIMESTAMP = b"1760000000000"


def prepare(argument: str) -> Callable[[], float]:
    parser, _, path = argument.partition(":")
    body = Path(path).read_bytes()
    parsers: dict[str, Callable[[bytes], object]] = {"json": json.loads, "msgspec": msgspec.json.decode}
    parse = parsers[parser]

    def once() -> None:
        hmac.digest(KEY, body + TIMESTAMP, "sha256")
        parse(body)

    return batches(once)
