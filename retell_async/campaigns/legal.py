"""Hours within which the law of some places lets people be called: data with a date, and no promise that it is right or enough."""

from __future__ import annotations

import re

import attrs

from .._core.errors import ConfigurationError
from .hours import Hours

__all__ = ["PRESETS", "Preset", "check_place"]


@attrs.frozen
class Preset:
    """Hours of a place.

    :param as_of: the day on which this was looked up.
    :param source: where it stands.
    :param places: codes of areas whose hours are narrower, and those hours: of the place itself (ISO 3166-2), and of its numbers.
    """

    name: str
    hours: Hours
    as_of: str
    source: str
    narrower: tuple[Narrower, ...] = ()

    def hours_of(self, number: str, place: str | None) -> Hours:
        """The hours for a number.

        :param place: where its owner is, as ``US-FL``, if that is known: it counts more than the number's area code.
        """
        for narrower in self.narrower:
            is_there = place == narrower.place if place is not None else number.startswith(narrower.prefixes)
            if is_there:
                return self.hours.within(narrower.hours)
        return self.hours


@attrs.frozen
class Narrower:
    """A place within that of a preset."""

    place: str
    hours: Hours
    prefixes: tuple[str, ...]
    source: str


_STATES = (
    "AL AK AZ AR CA CO CT DE FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ NM NY NC ND OH OK OR PA RI SC SD TN TX "
    "UT VT VA WA WV WI WY DC AS GU MP PR UM VI"
)
_PLACE = re.compile(r"(?P<country>[A-Z]{2})-(?P<part>[A-Z0-9]{1,3})", re.ASCII)


def check_place(place: str) -> None:
    """:raises ConfigurationError: it names no place whose hours could be looked up, so that nobody may take it for one without any."""
    found = _PLACE.fullmatch(place)
    if found is None or (found["country"] == "US" and found["part"] not in _STATES.split()):
        raise ConfigurationError(f"{place[:40]!r} is no place: it is a country and a part of it as ISO 3166-2 has them, such as US-FL")


_FLORIDA = (
    *("239", "305", "321", "324", "352", "386", "407", "448", "561", "645", "656", "689"),
    *("727", "728", "754", "772", "786", "813", "850", "863", "904", "941", "954"),
)

PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            "us",
            Hours.parse("8-21"),
            as_of="2026-11-26",
            source="47 CFR 64.1200(c)(1): 8 to 21 h at the called party's location",
            narrower=(
                Narrower(
                    "US-FL",
                    Hours.parse("8-20"),
                    tuple(f"+1{code}" for code in _FLORIDA),
                    source="Florida Statutes 501.616(6): 8 to 20 h",
                ),
            ),
        ),
    )
}
"""The presets, by name."""
