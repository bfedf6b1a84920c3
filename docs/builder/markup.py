"""From the docstrings of the package, which are plain text with names in backticks, to what Sphinx reads."""

from __future__ import annotations

import re

__all__ = ["private", "rest", "signature", "with_operation"]

_LITERAL = re.compile(r"``(.+?)``|`([^`]+)`", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_ERROR = re.compile(r"\b[A-Z]\w+Error\b(?!:)")
_DEFAULTS = (
    (re.compile(r" \| (?:~[\w.]+\.)?Omit = omit"), " = omit"),
    (re.compile(r"<function (\w+)(?: at 0x[0-9a-f]+)?>"), r"\1"),
    (re.compile(r"= NOTHING"), "= ..."),
)
_CALLS = re.compile(r"^(Calls ``[^`]+``)\.$", re.MULTILINE)
_STRINGS = re.compile(r"\bStrings\b")
_SPECIAL = re.compile(r"[*|]|(?<=\w)_(?!\w)|\\")


def rest(text: str) -> str:
    """Make names in backticks links where there is something to link to, other code literal, and nothing else special."""
    parts: list[str] = []
    end = 0
    for found in _LITERAL.finditer(text):
        parts.extend((_prose(text[end : found.start()]), found[0] if found[1] else _code(found[2])))
        end = found.end()
    return "".join([*parts, _prose(text[end:])])


def with_operation(text: str, operation: str) -> str:
    """The words of a method with the id of its operation, by which the search finds it too."""
    found, number = _CALLS.subn(rf"\1, the operation ``{operation}``.\n\n.. index:: ! {operation}", text)
    if number != 1:
        raise ValueError(f"the docstring of the method for {operation} does not say once what it calls")
    return found


def signature(text: str) -> str:
    """A signature as it is to be read: an argument that may be left out just shows `omit`, and defaults are what somebody would write."""
    for pattern, shown in _DEFAULTS:
        text = pattern.sub(shown, text)
    return private(text)


def private(annotation: str) -> str:
    """An annotation without the names that only the package itself uses."""
    return _STRINGS.sub("Iterable[str]", annotation)


def _code(text: str) -> str:
    return f":py:obj:`{text}`" if _NAME.fullmatch(text) else f"``{text}``"


def _prose(text: str) -> str:
    escaped = _SPECIAL.sub(lambda special: "\\" + special[0], text)
    return _ERROR.sub(lambda name: f":py:obj:`{name[0]}`", escaped)
