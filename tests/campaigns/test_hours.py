"""Hours of people's own days, across zones and changes of clocks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings, strategies as st

from retell_async import ConfigurationError
from retell_async.campaigns.hours import ALWAYS, Hours, Window, day_in, is_open, next_day, next_open, zone

ZONES = [
    *("America/New_York", "America/Los_Angeles", "America/St_Johns", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe"),
    *("Europe/Berlin", "Pacific/Auckland", "Pacific/Chatham", "America/Havana", "Asia/Beirut", "Africa/Casablanca", "UTC", "Asia/Tokyo"),
]
BEGIN = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
moments = st.floats(BEGIN, BEGIN + 2 * 366 * 86400, allow_nan=False).map(lambda moment: float(int(moment)))
windows = st.builds(
    lambda days, start, length: Window(frozenset(days), start, min(start + length, 1440)),
    st.sets(st.integers(0, 6), min_size=1),
    st.integers(0, 1439),
    st.integers(1, 1440),
)
hours = st.lists(windows, min_size=1, max_size=3).map(lambda found: Hours(tuple(found)))
zones = st.lists(st.sampled_from(ZONES), min_size=1, max_size=4, unique=True).map(tuple)


def at(text: str, name: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(name)).timestamp()


def wall(moment: float, name: str) -> datetime:
    return datetime.fromtimestamp(moment, ZoneInfo(name))


def open_by_the_clock_on_the_wall(hours: Hours, name: str, moment: float) -> bool:
    shown = wall(moment, name)
    passed = timedelta(hours=shown.hour, minutes=shown.minute, seconds=shown.second)
    return any(
        shown.weekday() in window.days and timedelta(minutes=window.start) <= passed < timedelta(minutes=window.end)
        for window in hours.windows
    )


@given(hours, zones, moments)
@settings(max_examples=300, deadline=None)
def test_what_is_found_is_open_everywhere_and_nothing_before_it_is(hours: Hours, zones: tuple[str, ...], moment: float) -> None:
    found = next_open(hours, zones, moment)
    assert is_open(hours, zones, moment) == all(open_by_the_clock_on_the_wall(hours, name, moment) for name in zones)
    if found is not None:
        assert found >= moment
        assert all(open_by_the_clock_on_the_wall(hours, name, found) for name in zones)
    # Every quarter of an hour before it is closed somewhere. (A window that begins in an hour that clocks leave out may be found later.)
    step = moment
    end = moment + 8 * 86400 if found is None else found
    while step < end - 3600:
        if is_open(hours, zones, step):
            assert any(wall(step, name).utcoffset() != wall(step - 10800, name).utcoffset() for name in zones)
        step += 900


@given(st.sampled_from(ZONES), moments)
@settings(max_examples=200, deadline=None)
def test_the_next_day_is_the_next_one(name: str, moment: float) -> None:
    begins = next_day(name, moment)
    assert moment < begins <= moment + 25 * 3600
    assert day_in(name, begins) > day_in(name, moment)
    assert day_in(name, begins - 1) == day_in(name, moment)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("mon-fri 9:00-17:30", "mon,tue,wed,thu,fri 9:00-17:30"),
        ("8-21", "8:00-21:00"),
        ("sat,sun 10-14", "sat,sun 10:00-14:00"),
        ("Fri-Mon 0-24", "mon,fri,sat,sun 0:00-24:00"),
        ("monday - tuesday 9-10", "mon,tue 9:00-10:00"),
    ],
)
def test_windows_are_read_as_people_write_them(text: str, shown: str) -> None:
    assert str(Hours.parse(text)) == shown


@pytest.mark.parametrize("text", ["", "9", "mon", "17-9", "9-25", "9:70-10", "xyz 9-10", "mo 9-10", "mon- 9-10", "9-9"])
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError):
        Hours.parse(text)


def test_hours_within_others() -> None:
    assert str(Hours.parse("mon-fri 9-19", "sat 7-12").within(Hours.parse("8-18"))) == "mon,tue,wed,thu,fri 9:00-18:00; sat 8:00-12:00"
    assert Hours.parse("mon 8-9").within(Hours.parse("tue 8-9")).windows == ()
    assert ALWAYS.within(Hours.parse("8-9")) == Hours.parse("8-9")


def test_a_number_of_several_zones_is_called_when_it_is_open_in_all() -> None:
    found = next_open(Hours.parse("9-17"), ("America/New_York", "America/Los_Angeles", "Pacific/Honolulu"), at("2026-11-26T00:00"))
    assert found is not None
    assert wall(found, "Pacific/Honolulu").hour == 9
    assert next_open(Hours.parse("9-17"), ("America/New_York", "Asia/Tokyo"), at("2026-11-26T00:00")) is None


def test_clocks_that_change() -> None:
    early = Hours.parse("2:30-3:30")
    spring = next_open(early, ("America/New_York",), at("2026-03-08T00:00", "America/New_York"))
    assert spring is not None
    assert wall(spring, "America/New_York").isoformat() == "2026-03-08T03:00:00-04:00"  # between 2 and 3 there is no time on that day
    skipped = next_open(Hours.parse("2:10-3"), ("America/New_York",), at("2026-03-08T00:00", "America/New_York"))
    assert skipped is not None
    assert wall(skipped, "America/New_York").isoformat() == "2026-03-09T02:10:00-04:00"
    twice = Hours.parse("1-1:30")
    first = next_open(twice, ("America/New_York",), at("2026-11-01T00:00", "America/New_York"))
    assert first is not None
    assert first == at("2026-11-01T01:00", "America/New_York")
    assert next_open(twice, ("America/New_York",), first + 2000) == first + 3600
    over = at("2026-11-01T01:20", "America/New_York")  # and what was over comes again, from where clocks go back to
    assert next_open(Hours.parse("0:30-1:15"), ("America/New_York",), over) == first + 3600


@pytest.mark.parametrize("name", ["America/New_York", "Europe/London", "Australia/Lord_Howe", "America/Santiago", "Africa/Cairo"])
@pytest.mark.parametrize("text", ["0-24", "1:40-4", "2:15-3:15", "0:30-1:15", "23-24", "0-0:30", "1:45-2:10"])
def test_the_first_open_moment_is_found_around_every_change_of_clocks(name: str, text: str) -> None:
    hours = Hours.parse(text)
    changes = [
        moment for moment in range(1_780_000_000 // 900 * 900, 1_812_000_000, 900) if _offset(name, moment) != _offset(name, moment - 900)
    ]
    assert len(changes) == 2
    for change in changes:
        for moment in range(change - 8 * 3600, change + 5 * 3600, 2700):
            found = next_open(hours, (name,), moment)
            assert found == next(later for later in range(moment, moment + 3 * 86400, 300) if is_open(hours, (name,), later))


def _offset(name: str, moment: float) -> object:
    return wall(moment, name).utcoffset()


def test_half_hours_count() -> None:
    found = next_open(Hours.parse("9-10"), ("Asia/Kathmandu",), at("2026-11-26T00:00"))
    assert found == at("2026-11-26T03:15")


def test_a_zone_that_is_none_is_refused() -> None:
    for name in ("Mars/Olympus", "", "../etc/passwd", "EST", "HST", "localtime", "posixrules", "right/Europe/London"):
        with pytest.raises(ConfigurationError, match="time zone"):
            zone(name)
