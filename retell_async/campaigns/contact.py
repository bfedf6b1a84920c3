"""Whom a campaign calls."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import attrs

from .._core.errors import ConfigurationError
from .._core.masking import mask, mask_text
from .hours import zone
from .legal import check_place
from .zones import is_e164

__all__ = ["Contact"]

_MOST = 2**29 - 1
_E164 = re.compile(r"\+[1-9]\d{4,14}", re.ASCII)


def _masked(number: str) -> str:
    return repr(mask(number))


def _hidden(name: str) -> str:
    return repr(mask_text(name))


def _count(values: Mapping[str, Any]) -> str:
    return f"<{len(values)}>"


def _check_number(_: object, __: object, number: str) -> None:
    if not _E164.fullmatch(str(number)) or not is_e164(number):
        raise ConfigurationError(f"the number of a contact must be in E.164 form, such as +14155550100, not {mask(str(number))}")


def _check_zones(_: object, __: object, zones: tuple[str, ...]) -> None:
    if not zones:
        raise ConfigurationError("a contact needs a time zone: without one nobody knows when it may be called")
    for name in zones:
        zone(name)


def _check_place(_: object, __: object, place: str | None) -> None:
    if place is not None:
        check_place(place)


def _check_priority(_: object, __: object, priority: int) -> None:
    if abs(priority) > _MOST:
        raise ConfigurationError(f"the priority of a contact must be between {-_MOST} and {_MOST}, not {priority}")


@attrs.frozen(kw_only=True)
class Contact:
    """Somebody to call."""

    id: str = attrs.field(repr=_hidden)
    """What names the contact in the campaign: by default the number."""
    number: str = attrs.field(repr=_masked, validator=_check_number)
    """In E.164 form: ``+`` and digits, so that it is found in lists of those that are not called."""
    zones: tuple[str, ...] = attrs.field(validator=_check_zones)
    """The time zones in which the contact may be, of which all count: one at least."""
    place: str | None = attrs.field(default=None, validator=_check_place)
    """Where the contact is, as ``US-FL`` (ISO 3166-2), if that is known."""
    priority: int = attrs.field(default=0, validator=_check_priority)
    """Those with a higher one are called before others."""
    variables: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=_count)
    """The dynamic variables of the call."""
    metadata: Mapping[str, Any] = attrs.field(factory=dict[str, Any], repr=_count)
    """What is stored with the call."""
