"""Hours within which the law of some places lets people be called: data with a date, and no promise that it is right or enough."""

from __future__ import annotations

import attrs

from .hours import Hours

__all__ = ["PRESETS", "Preset"]


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
