"""Whom a campaign calls."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import attrs

from .._core.errors import ConfigurationError
from .._core.masking import mask, mask_text

__all__ = ["Contact"]

_E164 = re.compile(r"\+[1-9]\d{4,14}", re.ASCII)


def _masked(number: str) -> str:
    return repr(mask(number))


def _hidden(name: str) -> str:
    return repr(mask_text(name))


def _count(values: Mapping[str, Any]) -> str:
    return f"<{len(values)}>"


def _check(_: object, __: object, number: str) -> None:
    if not _E164.fullmatch(str(number)):
        raise ConfigurationError(f"the number of a contact must be in E.164 form, such as +14155550100, not {mask(str(number))}")


@attrs.frozen(kw_only=True)
class Contact:
    """Somebody to call."""

    id: str = attrs.field(repr=_hidden)
    """What names the contact in the campaign: by default the number."""
    number: str = attrs.field(repr=_masked, validator=_check)
    """In E.164 form: ``+`` and digits, so that it is found in lists of those that are not called."""
    zones: tuple[str, ...]
    """The time zones in which the contact may be, of which all count."""
    place: str | None = None
    """Where the contact is, as ``US-FL``, if that is known."""
    priority: int = 0
    """Those with a higher one are called before others."""
    variables: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=_count)
    """The dynamic variables of the call."""
    metadata: Mapping[str, Any] = attrs.field(factory=dict[str, Any], repr=_count)
    """What is stored with the call."""
