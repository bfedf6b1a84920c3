"""Fingerprints of requests: the same in every run of the same program."""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import Any, cast
from urllib.parse import parse_qsl, urlencode

__all__ = ["fingerprint"]

# Fields that differ between two runs of the same program.
_INCIDENTAL = frozenset({"idempotency_key", "metadata", "pagination_key"})


def fingerprint(method: str, path: str, query: str, content_type: str, content: bytes) -> bytes:
    """The fingerprint of a request."""
    asked = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name not in _INCIDENTAL]
    digest = blake2b(f"{method} {path}?{urlencode(sorted(asked))}\n".encode(), digest_size=8)
    if content_type.startswith("application/json"):
        digest.update(_lasting(content))
    return digest.digest()


def _lasting(content: bytes) -> bytes:
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return content
    if isinstance(body, dict):
        body = {name: value for name, value in cast("dict[str, Any]", body).items() if name not in _INCIDENTAL}
    return json.dumps(body, sort_keys=True).encode()
