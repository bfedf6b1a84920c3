"""Numbers in the form that the API wants, and the time zones that they may be in."""

from __future__ import annotations

from .._core.errors import ConfigurationError

try:
    import phonenumbers
    from phonenumbers import timezone
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"{error.name} is missing: retell_async.campaigns needs `pip install 'retell-async[campaigns]'`", name=error.name
    ) from None

__all__ = ["e164", "zones_of"]

_UNKNOWN = "Etc/Unknown"


def e164(text: str, region: str | None = None) -> str:
    """A number as people write it, in E.164 form.

    :param region: whose numbers have no country code, as ``US``; without it each must have one.
    :raises ConfigurationError: it is no number that can be called.
    """
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        known = "" if region is not None or text.strip().startswith("+") else ": it has no country code, and no region is given"
        raise ConfigurationError(f"no telephone number{known}") from None
    if number.extension:
        raise ConfigurationError("a number with an extension cannot be called")
    if not phonenumbers.is_valid_number(number):
        raise ConfigurationError("no telephone number that can be in use")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def zones_of(number: str) -> tuple[str, ...]:
    """The zones in which a number in E.164 form may be; none if that is not known."""
    return tuple(name for name in timezone.time_zones_for_number(phonenumbers.parse(number)) if name != _UNKNOWN)
