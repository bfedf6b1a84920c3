"""Whom a campaign calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from .._core.masking import mask, mask_text

__all__ = ["Contact"]


def _masked(number: str) -> str:
    return repr(mask(number))


def _hidden(name: str) -> str:
    return repr(mask_text(name))


def _count(values: Mapping[str, Any]) -> str:
    return f"<{len(values)}>"


@attrs.frozen(kw_only=True)
class Contact:
    """Somebody to call."""

    id: str = attrs.field(repr=_hidden)
    """What names the contact in the campaign: by default the number."""
    number: str = attrs.field(repr=_masked)
    """In E.164 form."""
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
