"""What is said in a call, as lines: functions over the items of a transcript."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import attrs

from ..._core.masking import mask_text
from ..times import plain

__all__ = ["Growing", "line", "transcript", "wrapped"]

_INDENT = 16  # of what is said, behind the time and who says it
_SAID = {"agent", "user", "transfer_target"}


def line(item: Mapping[str, Any]) -> str | None:
    """One line for something that was said or done; ``None`` for what says nothing."""
    role, at = str(item.get("role")), _second(item)
    before = "      " if at is None else f"{int(at // 60):3}:{int(at % 60):02}"
    text = str(item.get("content") or "")
    if role == "tool_call_invocation":
        arguments = item.get("arguments")
        text = f"{item.get('name') or 'tool'}({arguments if isinstance(arguments, str) else json.dumps(arguments or {})})"
        role = "calls"
    elif role == "tool_call_result":
        role = "result"
    elif role == "node_transition":
        text, role = f"{item.get('former_node_name') or ''} -> {item.get('new_node_name') or ''}", "node"
    elif role not in _SAID:
        text = text or json.dumps({name: value for name, value in item.items() if name not in ("id", "role", "time_sec", "words")})
    return f"{before}  {role:6}  {plain(mask_text(text)).strip()}" if text.strip() else None


def _second(item: Mapping[str, Any]) -> float | None:
    if isinstance(at := item.get("time_sec"), int | float):
        return at
    words = cast("Sequence[Mapping[str, Any]]", item.get("words") or ())
    first = words[0].get("start") if words else None
    return first if isinstance(first, int | float) else None


def wrapped(text: str, width: int | None) -> str:
    """A line in the width of a terminal, what was said below itself; ``None`` for a width without end."""
    return text if width is None else textwrap.fill(text, width, subsequent_indent=" " * _INDENT, drop_whitespace=True)


def transcript(call: Mapping[str, Any]) -> Iterator[str]:
    """A whole transcript, as a call that is over has it."""
    for item in call.get("transcript_with_tool_calls") or call.get("transcript_object") or ():
        if (told := line(item)) is not None:
            yield told


@attrs.define
class Growing:
    """A transcript that grows: which of its lines are done, and which is still being said."""

    _open: dict[str, str] = attrs.field(factory=dict[str, str])
    _told: set[str] = attrs.field(factory=set[str])

    def take(self, item: Mapping[str, Any]) -> list[str]:
        """The lines that are done now that something else has begun."""
        id, told = str(item["id"]), line(item)
        if id in self._told or told is None:
            return []
        done = [text for other, text in self._open.items() if other != id] if id not in self._open else []
        if done:
            self._told.update(other for other in self._open if other != id)
            self._open.clear()
        self._open[id] = told
        return done

    @property
    def current(self) -> str:
        """What is being said."""
        return next(reversed(self._open.values()), "")

    def end(self) -> list[str]:
        """What is left when it is over."""
        done = list(self._open.values())
        self._open.clear()
        return done
