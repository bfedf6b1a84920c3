"""What a service does with the official SDK: a verifier that takes text, and JSON without types."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from retell.lib.webhook_auth import symmetric

from .timing import batches

KEY = "key_0123456789abcdef"


def prepare(path: str) -> Callable[[], float]:
    body = Path(path).read_bytes()
    signature = str(symmetric["sign"](body.decode(), KEY))

    def once() -> None:
        text = body.decode()
        assert symmetric["verify"](text, KEY, signature)
        json.loads(text)

    return batches(once)
