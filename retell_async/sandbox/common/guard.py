"""The one guard: failures that end nothing but themselves."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Generator
from contextlib import contextmanager

from retell_async._core.masking import mask_text

__all__ = ["contain_errors", "log_warning"]


_logger = logging.getLogger("retell_async.sandbox")


@contextmanager
def contain_errors(what: str, usual: tuple[type[BaseException], ...] = ()) -> Generator[list[BaseException], None, None]:
    """The one guard: whatever fails inside ends there, is handed over in the list that this gives, and written down unless it is usual.

    Cancellation is no failure, and passes.
    """
    problems: list[BaseException] = []
    try:
        yield problems
    except Exception as error:  # noqa: BLE001 - nothing that comes from outside may end the sandbox
        problem = _first(error, usual)
        problems.append(problem)
        if not isinstance(problem, usual):
            text = mask_text("".join(traceback.format_exception(error)))
            _logger.error("%s failed: %s", what, text)  # noqa: TRY400 - which would show what is masked here


def _first(error: BaseException, usual: tuple[type[BaseException], ...]) -> BaseException:
    """Where several things failed, what was not to be expected before what was."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    leaves = [_first(inner, usual) for inner in error.exceptions]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType, reportUnknownMemberType]
    return next((leaf for leaf in leaves if not isinstance(leaf, usual)), leaves[0])


def log_warning(text: str) -> None:
    _logger.warning("%s", text)
