"""What is logged, with texts from outside masked; and how an error of the application is told from the end of the task that it runs in."""

from __future__ import annotations

import logging
import math
import traceback

import anyio

from retell_async._core.masking import Hidden, mask_text

__all__ = ["Hidden", "failure", "is_stray", "log", "mask_text"]

log = logging.getLogger("retell_async.llm")


def failure(error: BaseException) -> str:
    """What is logged of an error: its traceback as text, since a traceback may quote phone numbers."""
    return mask_text("".join(traceback.format_exception(error)))


def is_stray(error: BaseException) -> bool:
    """Whether an error that just came out of the application's code is its own, a cancellation of something that it waits for included."""
    if isinstance(error, (SystemExit, KeyboardInterrupt, GeneratorExit)):
        return False
    return isinstance(error, Exception) or anyio.current_effective_deadline() != -math.inf
