"""Methods whose operations end: those that still work warn, those that do not say what to use instead."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, NoReturn

from ._errors import RetellError

__all__ = ["deprecated", "gone"]

if TYPE_CHECKING:
    # Every type checker brings the stub along, and marks the calls; nothing needs to be installed.
    from typing_extensions import deprecated
else:

    def deprecated(message: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Let a method give a `DeprecationWarning` when it is called; Python shows one a place that calls it."""

        def mark(method: Callable[..., Any]) -> Callable[..., Any]:
            @wraps(method)
            def warn(*arguments: Any, **options: Any) -> Any:
                warnings.warn(message, DeprecationWarning, stacklevel=2)
                return method(*arguments, **options)

            warn.__deprecated__ = message
            return warn

        return mark


def gone(message: str) -> Callable[..., NoReturn]:
    """Make a method that raises `RetellError` with a message, whatever it is called with."""

    def fail(*_arguments: object, **_options: object) -> NoReturn:
        raise RetellError(message)

    return fail
