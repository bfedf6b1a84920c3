"""What a server may do at all, whoever agrees to what: its start flags, as values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, cast

import attrs

from .._core.errors import ConfigurationError
from .._core.masking import mask
from .catalog import Asks, Tool, tools
from .consent import visible

__all__ = ["Policy", "calls", "rings"]

_PATTERN = re.compile(r"\+[1-9][0-9]{0,14}\*?")
_NUMBER = re.compile(r"\+[1-9][0-9]{3,14}")
_BATCH = "tasks"
_CALLS = ("create_phone_call", "create_web_call", "create_batch_call")
"""The tools that place calls."""
_RINGS = ("create_phone_call", "create_batch_call")
"""Those whose calls ring somebody: a web call waits until somebody joins it."""


def _listed(flag: str, values: tuple[str, ...] | None) -> tuple[str, ...]:
    """The values of a flag; a fence without any would be none, and nobody would see it."""
    if values is not None and not values:
        raise ConfigurationError(f"{flag} is empty: name what it lets in, or leave it out")
    return values or ()


def _patterns(patterns: tuple[str, ...] | None) -> tuple[str, ...] | None:
    for pattern in _listed("--allow-to", patterns):
        if not _PATTERN.fullmatch(pattern):
            raise ConfigurationError(f"--allow-to takes a number in E.164 form or the beginning of one, such as +1415*, not {pattern!r}")
    return patterns


def _names(patterns: tuple[str, ...] | None) -> tuple[str, ...] | None:
    for pattern in _listed("--tools", patterns):
        if not any(fnmatchcase(name, pattern) for name in tools()):
            raise ConfigurationError(f"--tools {pattern!r} names no tool: they are {', '.join(tools())}")
    return patterns


def _not_below_0(_: object, __: object, value: int | None) -> None:
    if value is not None and value < 0:
        raise ConfigurationError(f"--max-calls must not be below 0: {value}")


@attrs.frozen(kw_only=True)
class Policy:
    """The start flags of a server.

    :raises ConfigurationError: a value cannot work.
    """

    read_only: bool = False
    """Only tools that read."""
    tools: tuple[str, ...] | None = attrs.field(default=None, converter=_names)
    """Names of the tools that there are, with ``*`` for anything; ``None`` for all."""
    allow: frozenset[Asks] = frozenset()
    """What is done without asking a human."""
    allow_to: tuple[str, ...] | None = attrs.field(default=None, converter=_patterns)
    """Numbers that may be called, or their beginnings with ``*`` behind; ``None`` for any."""
    max_calls: int | None = attrs.field(default=None, validator=_not_below_0)
    """Calls that are placed at most as long as the server runs; ``None`` for any number."""

    def __attrs_post_init__(self) -> None:
        if not any(self.has(tool) for tool in tools().values()):
            raise ConfigurationError(
                f"--read-only leaves none of --tools {','.join(self.tools or ())}: name some that read, or leave it out"
            )

    def has(self, tool: Tool) -> bool:
        """Whether a tool is there at all."""
        named = self.tools is None or any(fnmatchcase(tool.name, pattern) for pattern in self.tools)
        return named and (tool.effect == "read" or not self.read_only)

    def refusal(self, tool: Tool, arguments: Mapping[str, Any], placed: int, more: int) -> str | None:
        """Why a tool is not called so, whoever agrees; ``None`` if it may be.

        :param placed: the calls that were placed before, or may have been.
        :param more: those that it would add.
        """
        if tool.name not in _CALLS:
            return None
        if self.max_calls is not None and placed + more > self.max_calls:
            left = max(self.max_calls - placed, 0)
            return f"this server places {self.max_calls} calls at most (--max-calls), {left} are left, and this would place {more}"
        if self.allow_to and rings(tool):
            for number in _numbers(arguments):
                if (
                    not isinstance(number, str)
                    or not _NUMBER.fullmatch(number)
                    or not any(fnmatchcase(number, one) for one in self.allow_to)
                ):
                    shown = visible(mask(str(number)))
                    return f"{shown} is not among the numbers that this server may call (--allow-to {' '.join(self.allow_to)})"
        return None


def calls(tool: Tool, arguments: Mapping[str, Any]) -> int:
    """How many calls it would place."""
    if tool.name not in _CALLS:
        return 0
    tasks = arguments.get(_BATCH)
    return len(cast("list[object]", tasks)) if isinstance(tasks, list) else 1


def rings(tool: Tool) -> bool:
    """Whether it rings somebody's telephone."""
    return tool.name in _RINGS


def _numbers(arguments: Mapping[str, Any]) -> list[object]:
    """The numbers that would be called: that of the call, or that of each task of a batch, ``None`` for one that has none."""
    tasks = arguments.get(_BATCH)
    if not isinstance(tasks, list):
        return [arguments.get("to_number")]
    some = cast("list[object]", tasks)
    return [cast("Mapping[str, object]", task).get("to_number") if isinstance(task, Mapping) else None for task in some]
