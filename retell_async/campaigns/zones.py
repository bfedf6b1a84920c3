"""Numbers in the form that the API wants, and the time zones that they may be in."""

from __future__ import annotations

import re
from collections.abc import Collection

from .._core.errors import ConfigurationError
from .._core.masking import mask_text

try:
    import phonenumbers
    from phonenumbers import timezone
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"{error.name} is missing: retell_async.campaigns needs `pip install 'retell-async[campaigns]'`", name=error.name
    ) from None

__all__ = ["all_e164", "check_region", "e164", "is_e164", "zones_of"]

_UNKNOWN = "Etc/Unknown"
_FLOAT = re.compile(r"\+?(\d{5,}[.,]\d{1,2}|\d+([.,]\d+)?e\+?\d+)", re.IGNORECASE)
_LETTER = re.compile(r"[^\W\d_]")


def e164(text: str, region: str | None = None) -> str:
    """A number as people write it, in E.164 form.

    :param region: whose numbers have no country code, as ``US``; without it each must have one.
    :raises ConfigurationError: it is no number that can be called, or there is no such region.
    """
    check_region(region)
    if _FLOAT.fullmatch(text.strip()):  # whose last digits would be taken for digits of the number
        raise ConfigurationError("no telephone number: a spreadsheet has taken it for a quantity; give that column the format text")
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        known = "" if region is not None or text.strip().startswith("+") else ": it has no country code, and no region is given"
        raise ConfigurationError(f"no telephone number{known}") from None
    if number.extension:
        raise ConfigurationError("a number with an extension cannot be called")
    if _LETTER.search(text.strip().removeprefix("tel:")):
        raise ConfigurationError("no telephone number: there are letters in it")
    if not phonenumbers.is_valid_number(number):
        raise ConfigurationError("no telephone number that can be in use")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def all_e164(numbers: Collection[str], region: str | None = None) -> list[str]:
    """Several of them.

    :raises ConfigurationError: see `e164`; it names the first which is none.
    """
    found: list[str] = []
    for place, number in enumerate(numbers, 1):
        try:
            found.append(e164(str(number), region))
        except ConfigurationError as error:
            raise ConfigurationError(
                f"number {place} of {len(numbers)}, {mask_text(str(number))!r}: {error}; none of them was taken"
            ) from None
    return found


def is_e164(number: str) -> bool:
    """Whether a number is in the one form in which lists have it: ``+``, its country code and what follows."""
    try:
        return phonenumbers.format_number(phonenumbers.parse(number), phonenumbers.PhoneNumberFormat.E164) == number
    except phonenumbers.NumberParseException:
        return False


def check_region(region: str | None) -> None:
    """:raises ConfigurationError: it is no country with numbers of its own."""
    if region is not None and region not in phonenumbers.SUPPORTED_REGIONS:
        meant = {"UK": "GB", "USA": "US"}.get(region.upper(), region.upper())
        hint = f": did you mean {meant}?" if meant in phonenumbers.SUPPORTED_REGIONS else ", such as US or GB"
        raise ConfigurationError(f"{region!r} is no region, which is the code of a country in two capital letters{hint}")


def zones_of(number: str) -> tuple[str, ...]:
    """The zones in which a number in E.164 form may be; none if that is not known."""
    return tuple(name for name in timezone.time_zones_for_number(phonenumbers.parse(number)) if name != _UNKNOWN)
