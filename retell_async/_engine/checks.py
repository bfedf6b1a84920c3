"""What settings are checked for."""

from __future__ import annotations

import sys
from math import inf
from typing import TypeGuard

__all__ = ["is_number"]


def is_number(value: object, *, above: float = -inf, finite: bool = True) -> TypeGuard[float]:
    """Whether it is a number that can be reckoned with: a whole one may be too large for that.

    :param finite: whether ``inf`` is none.
    """
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    return above < value and (abs(value) <= sys.float_info.max or (value == inf and not finite))
