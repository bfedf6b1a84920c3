"""The guard: a failure inside ends there, and nothing else."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from retell_async._core.masking import masked_traceback
from retell_async._logs import Log

__all__ = ["contain_errors", "log_warning"]

_logger = Log("retell_async.sandbox")


@contextmanager
def contain_errors(what: str, usual: tuple[type[BaseException], ...] = ()) -> Generator[list[BaseException], None, None]:
    """Stop every exception at this point. The list that the context gives then holds it, and it is logged unless it is of a usual type.

    Cancellation is no failure and passes through.
    """
    problems: list[BaseException] = []
    try:
        yield problems
    except Exception as error:  # noqa: BLE001 - nothing that comes from outside may end the sandbox
        problem = _first(error, usual)
        problems.append(problem)
        if not isinstance(problem, usual):
            _logger.error("%s failed: %s", what, masked_traceback(error))  # noqa: TRY400 - which would show what is masked here


def _first(error: BaseException, usual: tuple[type[BaseException], ...]) -> BaseException:
    """The exception to report: of a group, the first that is not usual."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    leaves = [_first(inner, usual) for inner in error.exceptions]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType, reportUnknownMemberType]
    return next((leaf for leaf in leaves if not isinstance(leaf, usual)), leaves[0])


def log_warning(text: str) -> None:
    _logger.warning("%s", text)
