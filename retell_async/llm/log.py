"""The log, how an error is told from the end of what it comes out of, and how JSON is written and read.

What says how something went must not fail itself.
"""

from __future__ import annotations

import asyncio
import json
import math
from hashlib import blake2b
from typing import Any, NoReturn, cast

import anyio

from retell_async._core.json import well_formed
from retell_async._core.masking import mask_text
from retell_async._logs import Log

__all__ = ["as_json", "is_ending", "is_json", "is_stray", "log", "named", "object_of", "parsed", "stated_of", "text_of"]

log = Log("retell_async.llm")


def is_stray(error: BaseException) -> bool:
    """Whether an error that just came out ends neither the program nor the scope around: a cancellation of the task as such included."""
    if isinstance(error, (SystemExit, KeyboardInterrupt)):
        return False
    if isinstance(error, Exception):
        return True
    try:
        return anyio.current_effective_deadline() != -math.inf
    except RuntimeError:  # no loop runs any more, and what was left in it is thrown away
        return False


def is_ending(error: BaseException) -> bool:
    """Whether an error that just came out ends the task too: that of a server, which cancels it as such on asyncio."""
    if isinstance(error, asyncio.CancelledError) and (task := asyncio.current_task()) is not None and task.cancelling():
        return True
    return not is_stray(error)


def named(key: str) -> str:
    """The key of a side effect as logs and errors have it: masked, and for ``name(arguments)``, as tools have it, the name and a hash.

    Arguments are what the user of the phone said. The hash tells those of one call apart, and is too short to try out what they were.
    """
    name, bracket, arguments = key.partition("(")
    if not (bracket and arguments.endswith(")")):
        return mask_text(key)
    return f"{mask_text(name)}(#{blake2b(arguments.encode('utf-8', 'replace'), digest_size=3).hexdigest()})"


def text_of(value: object) -> str:
    """A text as it is, and anything else as JSON, with what JSON does not have as Python writes it."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, default=str)
    except Exception:  # noqa: BLE001 - keys that JSON does not have, circles, and whatever a `__str__` raises
        return _written(value)


def is_json(value: object) -> bool:
    """Whether JSON has it."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def as_json(value: object) -> Any:
    """A value as JSON has it, with the text of whatever it does not have."""
    try:
        return json.loads(json.dumps(value, default=str, allow_nan=False))
    except Exception:  # noqa: BLE001 - as in `text_of`
        return _written(value)


def parsed(text: str) -> Any:
    """What a text is as JSON.

    :raises ValueError: it is none, as with a number that JSON does not have, or it is nested too deeply.
    """
    try:
        return json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is none of JSON's values")


def object_of(text: str) -> dict[str, Any] | None:
    """The JSON object that a text is, ``None`` if it is none."""
    try:
        found = parsed(text)
    except ValueError:
        return None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else None


def stated_of(error: BaseException) -> str:
    """The class and the message of an error."""
    return f"{type(error).__name__}: {well_formed(_written(error))}"


def _written(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - it is the application's
        return f"a {type(value).__name__} that cannot be written"
