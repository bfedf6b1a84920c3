"""How long a server asks to wait."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC

__all__ = ["retry_after_seconds"]

_LONGEST = 366 * 86400.0  # what is longer is no wait that anybody means, and no clock takes it


def retry_after_seconds(headers: Mapping[str, str], *, now: float) -> float | None:
    """Seconds from `now` (Unix time) that the headers of an answer ask to wait; ``None`` when they do not say, or say nonsense.

    `headers` is looked up in lower case. ``retry-after-ms`` goes before ``retry-after``, which holds seconds, whole or not, or an HTTP
    date; a date is taken relative to the answer's own ``date`` when there is one, so that a wrong clock on this side does no harm.
    A moment that has passed gives 0.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    text = headers.get("retry-after")
    seconds = _number(text)
    if seconds is not None or text is None:
        return seconds
    until = _unix_time(text)
    if until is None:
        return None
    sent = _unix_time(headers.get("date"))
    return max(until - (now if sent is None else sent), 0.0)


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 <= value <= _LONGEST else None


def _unix_time(text: str | None) -> float | None:
    from email.utils import parsedate_to_datetime

    try:
        moment = parsedate_to_datetime(text or "")
        # The dates of HTTP are in UTC. Two forms do not say so: asctime's, and the zone -0000.
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
