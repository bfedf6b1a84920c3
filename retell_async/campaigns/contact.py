"""Whom a campaign calls."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

import attrs

from .._core.encode import check_text
from .._core.errors import ConfigurationError
from .._core.interop.values import fields, settled
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


def _named(id: object) -> str:
    return f"contact {mask_text(str(id))!r}"


def _check_id(_: object, __: object, id: Any) -> None:
    if not isinstance(id, str) or not id:
        raise ConfigurationError(f"the id of a contact must be a text that is not empty, not {mask_text(repr(id))}")
    if "\0" in id:
        raise ConfigurationError("the id of a contact must be a text without NUL, which no database takes")
    check_text(id, "the id of a contact", ConfigurationError)


def _check_variables(contact: Contact, _: object, variables: object) -> None:
    if not isinstance(variables, Mapping):
        raise ConfigurationError(f"{_named(contact.id)}: variables must be a mapping, not {type(variables).__name__}")
    for name, value in cast("Mapping[object, object]", variables).items():
        for what, text in (("a name in variables", name), (f"variables.{name}", value)):
            if not isinstance(text, str):  # the API refuses all else, one call at a time
                raise ConfigurationError(f"{_named(contact.id)}: {what} must be a text, not {type(text).__name__}")
            check_text(text, f"{_named(contact.id)}: {what}", ConfigurationError)


def _check_number(_: object, __: object, number: str) -> None:
    if not _E164.fullmatch(str(number)) or not is_e164(number):
        raise ConfigurationError(f"the number of a contact must be in E.164 form, a plus and all of its digits, not {mask(str(number))}")


def _check_zones(_: object, __: object, zones: tuple[str, ...]) -> None:
    if not zones:
        raise ConfigurationError("a contact needs a time zone: without one nobody knows when it may be called")
    for name in zones:
        zone(name)


def _check_place(_: object, __: object, place: str | None) -> None:
    if place is not None:
        check_place(place)


def _check_priority(_: object, __: object, priority: Any) -> None:
    if not isinstance(priority, int) or abs(priority) > _MOST:
        raise ConfigurationError(f"the priority of a contact must be between {-_MOST} and {_MOST}, not {priority!r}")


@attrs.frozen(kw_only=True)
class Contact:
    """Somebody to call."""

    id: str = attrs.field(repr=_hidden, validator=_check_id)
    """What names the contact in the campaign: by default the number."""
    number: str = attrs.field(repr=_masked, validator=_check_number)
    """In E.164 form: ``+`` and digits, so that it is found in lists of those that are not called."""
    zones: tuple[str, ...] = attrs.field(validator=_check_zones)
    """The time zones in which the contact may be, of which all count: one at least."""
    place: str | None = attrs.field(default=None, validator=_check_place)
    """Where the contact is, as ``US-FL`` (ISO 3166-2), if that is known."""
    priority: int = attrs.field(default=0, validator=_check_priority)
    """Those with a higher one are called before others."""
    variables: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=_count, validator=_check_variables)
    """The dynamic variables of the call, which are texts."""
    metadata: Mapping[str, Any] = attrs.field(factory=dict[str, Any], repr=_count)
    """What is stored with the call: whatever a client sends as JSON, such as a date, which is its text there."""

    def __attrs_post_init__(self) -> None:
        given: Any = self.metadata
        try:
            if given is None or fields(given) is None:
                raise TypeError(f"metadata must be a mapping, not {type(given).__name__}")
            object.__setattr__(self, "metadata", settled(given, "metadata"))  # what is sent is what the database keeps
        except (TypeError, ValueError) as error:
            raise ConfigurationError(f"{_named(self.id)}: {error}") from None
