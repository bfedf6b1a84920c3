"""Numbers as people write them, and the zones that they may be in."""

from __future__ import annotations

import pytest

from retell_async import ConfigurationError
from retell_async.campaigns.hours import zone
from retell_async.campaigns.zones import e164, is_e164, zones_of


@pytest.mark.parametrize(
    ("text", "region", "number"),
    [
        ("+14155550100", None, "+14155550100"),
        ("+1 (415) 555-0100", None, "+14155550100"),
        ("(415) 555-0100", "US", "+14155550100"),
        ("0151 23456789", "DE", "+4915123456789"),
        ("+44 7911 123456", "US", "+447911123456"),
    ],
)
def test_numbers_are_read_as_people_write_them(text: str, region: str | None, number: str) -> None:
    assert e164(text, region) == number


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("4155550100", "no country code"),
        ("", "no telephone number"),
        ("hello", "no telephone number"),
        ("+1415555", "in use"),
        ("+999123456789", "no telephone number"),
        ("+14155550100 ext. 5", "extension"),
        ("4930123456.0", "spreadsheet"),  # would be +49 3012 34560
        ("2.1255501e9", "spreadsheet"),
        ("+4,915E+12", "spreadsheet"),
        ("call +12125550111", "letters"),
        ("+1 800 FLOWERS", "letters"),
    ],
)
def test_what_cannot_be_called_is_refused(text: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why) as caught:
        e164(text)
    assert "415555" not in str(caught.value)


@pytest.mark.parametrize(("region", "meant"), [("us", "US"), ("USA", "US"), ("UK", "GB"), ("Germany", "such as US or GB")])
def test_a_region_that_is_none_is_refused(region: str, meant: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{region}.*{meant}"):
        e164("4155550100", region)


def test_a_number_has_one_form_in_which_it_is_looked_for() -> None:
    assert is_e164("+442079460958")
    assert not any(map(is_e164, ("+4402079460958", "+44 20 7946 0958", "442079460958", "")))


def test_zones_of_numbers() -> None:
    assert zones_of("+14155550100") == ("America/Los_Angeles",)
    assert {"America/New_York", "Pacific/Honolulu"} <= set(zones_of("+18005550100"))
    assert len(zones_of("+447911123456")) == 4
    assert zones_of("+88312345678") == ()
    for number in ("+18005550100", "+61491570156", "+79161234567", "+5511961234567"):
        assert all(zone(name) for name in zones_of(number))
