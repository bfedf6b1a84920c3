"""Values as texts, whatever they are: what says how something went must not fail itself."""

from __future__ import annotations

import json

__all__ = ["stated_of", "text_of"]


def text_of(value: object) -> str:
    """A text as it is, and anything else as JSON, with what JSON does not have as Python writes it."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, default=str)
    except Exception:  # noqa: BLE001 - keys that JSON does not have, circles, and whatever a `__str__` raises
        return _written(value)


def stated_of(error: BaseException) -> str:
    """The class and the message of an error."""
    return f"{type(error).__name__}: {_written(error)}"


def _written(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - it is the application's
        return f"a {type(value).__name__} that cannot be written"
