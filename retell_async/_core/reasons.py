"""Why a server refused: its reason, found in a body of any shape."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import cast

__all__ = ["stated_reason"]

_LONGEST = 500
_MOST_TEXT = 8_000
_MOST_PAGE = 32_000  # styles and scripts come before what a page says
_SOME = 10  # a text of which more than one in so many characters cannot be read is none
_MOST_PARTS = 10
_MOST_LOOKED_AT = 1_000
_MOST_OF_ONE = 100  # items of a list, or fields of an object
_DEEPEST = 8

_REASONS = (
    *("message", "error_message", "errormessage", "msg", "error_description", "detail", "details", "title", "reason", "description"),
    *("error", "errors", "fault", "faultstring"),
)
"""Names of fields that hold a reason, in the order in which reasons are told."""
_PLACES = ("loc", "field", "param", "path", "pointer", "property", "instancepath", "source")
"""Under these names, beside a reason, stands what it is about. (A `path` that is a text is that of the request.)"""
_SILENT = frozenset(
    ("status", "statuscode", "status_code", "timestamp", "type", "path", "url", "instance", "trace", "stack", "input", "ctx")
)
_CODES = frozenset(("code", "error_code", "errorcode", "error_type", "errortype", "type"))
"""Names of what stands for a reason in programs."""
_LONGEST_CODE = 80
_SECRET = re.compile(r"key|token|secret|password|auth|credential|cookie|session", re.IGNORECASE)

_ESCAPES = re.compile(r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b[ -/]*[0-~]")
_UNSEEN = re.compile(r"<!--.*?(?:-->|\Z)|<(script|style)\b.*?(?:</\1\s*>|\Z)", re.IGNORECASE | re.DOTALL)
_HEADINGS = re.compile(r"<(title|h1|message|faultstring|reason|detail)\b[^>]*>(.*?)</\1\s*>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^>]*>")


def stated_reason(body: object) -> str:
    """The reason in a parsed body or a text, on one line and short, and the codes that go with it; empty if there is none.

    Nothing in it can move a cursor, colour a terminal or begin a line of a log. Numbers and keys are in it as they came.
    """
    parts = _parts(_markup(body) if isinstance(body, str) else body, "", 0, iter(range(_MOST_LOOKED_AT)))
    text = "; ".join(dict.fromkeys(islice(parts, _MOST_PARTS)))
    codes = [one for one in islice(_codes(body, 0, iter(range(_MOST_LOOKED_AT))), _MOST_PARTS) if text and one not in text]
    text = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1].rstrip()}…"
    return f"{text} [{', '.join(dict.fromkeys(codes))}]" if codes else text


def _codes(value: object, depth: int, left: Iterator[object]) -> Iterator[str]:
    """The codes in an object and in objects in it. Those of lists belong to single reasons."""
    if not isinstance(value, dict) or depth >= _DEEPEST:
        return
    for name, item in islice(cast("dict[str, object]", value).items(), _MOST_OF_ONE):
        if next(left, None) is None:
            return
        if isinstance(item, dict):
            if name.lower() not in _SILENT and not _SECRET.search(name):
                yield from _codes(cast("object", item), depth + 1, left)
        elif name.lower() in _CODES and isinstance(item, (str, int)) and not isinstance(item, bool):
            text = _folded(str(item))
            if 0 < len(text) <= _LONGEST_CODE:
                yield text


def _parts(value: object, place: str, depth: int, left: Iterator[object]) -> Iterator[str]:
    """What a value says.

    :param left: gives something for each value that may still be looked at.
    """
    if next(left, None) is None:
        return
    if isinstance(value, str) or (isinstance(value, (int, float)) and not isinstance(value, bool)):
        if text := _folded(str(value)):
            yield f"{place}: {text}" if place else text
    elif depth >= _DEEPEST:
        return
    elif isinstance(value, list):
        for item in cast("list[object]", value[:_MOST_OF_ONE]):
            yield from _parts(item, place, depth + 1, left)
    elif isinstance(value, dict):
        fields = islice(cast("dict[str, object]", value).items(), _MOST_OF_ONE)
        yield from _stated({name[:_LONGEST]: item for name, item in fields}, place, depth, left)


def _stated(value: dict[str, object], place: str, depth: int, left: Iterator[object]) -> Iterator[str]:
    named = {name.lower(): item for name, item in value.items()}
    places = (named.get(name) for name in _PLACES if name != "path" or not isinstance(named.get(name), str))
    about = next((text for said in places if (text := _path(said))), place)
    found = (part for name in _REASONS if name in named for part in _parts(named[name], about, depth + 1, left))
    first = next(found, None)
    if first is not None:
        yield first
        yield from found
        return
    for name, item in value.items():
        if name.lower() not in _SILENT and not _SECRET.search(name):
            yield from _parts(item, f"{place}.{_folded(name)}" if place else _folded(name), depth + 1, left)


def _path(value: object) -> str:
    """What a reason is about, from its name, the steps to it, or an object that holds one of these."""
    if isinstance(value, dict):
        value = next(iter(cast("dict[str, object]", value).values()), None)
    if isinstance(value, list):
        return ".".join(_folded(str(step)) for step in cast("list[object]", value[:_MOST_PARTS]) if isinstance(step, (str, int, float)))
    return _folded(value) if isinstance(value, str) else ""


def _markup(text: str) -> str | list[str]:
    """The headings of an HTML page or an XML document, or all its text without any; other text as it is; nothing of binary data."""
    if "\0" in text or text.count("\ufffd") > len(text) / _SOME:
        return ""
    if not text.lstrip("\ufeff \t\r\n").startswith("<"):
        return text[:_MOST_TEXT]
    from html import unescape

    text = _UNSEEN.sub(" ", text[:_MOST_PAGE])[:_MOST_TEXT]
    headings = [unescape(_TAG.sub(" ", match[2])) for match in _HEADINGS.finditer(text)]
    return [heading for heading in headings if heading.strip()] or unescape(_TAG.sub(" ", text))


def _folded(text: str) -> str:
    """On one line, with nothing in it that does more than be read."""
    text = _ESCAPES.sub("", text[:_MOST_TEXT])
    return " ".join("".join(one if one.isprintable() or one in "\u200c\u200d" else " " for one in text).split())
