"""Dynamic variables in texts: ``{{name}}``."""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["fill_variables"]

_VARIABLE = re.compile(r"{{\s*([^{}]+?)\s*}}")


def fill_variables(text: str, variables: Mapping[str, str]) -> str:
    """The text with its variables filled in. A variable without a value stays as it is."""
    return _VARIABLE.sub(lambda match: variables.get(match[1], match[0]), text)
