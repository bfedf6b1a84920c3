"""A campaign's settings, as a file of TOML has them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

import attrs

from .._core.errors import ConfigurationError
from .hours import ALWAYS, Hours, zone
from .numbers import Number
from .rules import Retry, Rules
from .zones import check_region, e164

__all__ = ["Settings", "moment", "read_settings", "seconds"]

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])")


def _absolute(path: str | Path | None) -> str | None:
    """A path that means the same wherever the campaign goes on."""
    return None if path is None else str(Path(path).absolute())


def _all_absolute(paths: Iterable[str | Path]) -> tuple[str, ...]:
    return tuple(str(Path(path).absolute()) for path in paths)


@attrs.frozen(kw_only=True)
class Settings:
    """What a campaign is, its contacts aside.

    :param rules: by what it calls.
    :param agent: the id of the agent that speaks; ``None`` for the outbound agent of each number.
    :param agent_version: its version, as `override_agent_version` takes it.
    :param live: so many of its calls go on at once at most; ``None`` for as many as the account may have.
    :param region: whose numbers have no country code in the table of contacts, as ``US``.
    :param required: variables that no contact may lack.
    :param do_not_call: paths of lists of numbers that are not called, which are read when the campaign is made.
    :param opt_outs: the path of a list of numbers that are not called, to which those who want no more calls are added. Campaigns that
        have one list do not call who opted out of another.
    :param honor_internal_dnc: leave it to the API too to refuse contacts of the account that are not to be called.
    """

    rules: Rules
    agent: str | None = None
    agent_version: str | int | None = None
    live: int | None = None
    region: str | None = None
    required: tuple[str, ...] = ()
    do_not_call: tuple[str, ...] = attrs.field(default=(), converter=_all_absolute)
    opt_outs: str | None = attrs.field(default=None, converter=_absolute)
    honor_internal_dnc: bool = True


def read_settings(path: Path | None, changes: Mapping[str, Any]) -> Settings:
    """The settings in a file, with changes that were said beside it.

    :param path: ``None`` for no file.
    :param changes: settings as the file would have them, over those that it has.
    :raises ConfigurationError: a setting is unknown, or cannot work; it is named.
    """
    given: dict[str, Any] = {}
    where = "settings"
    if path is not None:
        where = str(path)
        try:
            given = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        except OSError as error:
            raise ConfigurationError(f"{path}: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{path}: it is no TOML: {error}") from None
        folder = path.parent if path.is_file() else Path()  # a pipe is nowhere
        if isinstance(given.get("opt_outs"), str):
            given["opt_outs"] = str(folder / given["opt_outs"])
        lists = given.get("do_not_call")
        if isinstance(lists, (str, list)):
            texts = [lists] if isinstance(lists, str) else cast("list[object]", lists)
            given["do_not_call"] = [str(folder / each) if isinstance(each, str) else each for each in texts]
    try:
        return _settings({**given, **changes})
    except ConfigurationError as error:
        raise ConfigurationError(f"{where}: {error}") from None


def _settings(given: dict[str, Any]) -> Settings:
    read = _Reader(given)
    own_zone = read.get("zone", str, "UTC")
    region = read.get("region", str, None)
    check_region(region)
    rules: dict[str, Any] = {
        "numbers": [_number(number, region) for number in read.get("numbers", list, [])],
        "hours": ALWAYS if (hours := read.texts("hours")) is None else Hours.parse(*hours),
        "legal": read.get("legal", str, None),
        "attempts": read.get("attempts", int, 3),
        "per_day": read.get("per_day", int, 2),
        "retries": {name: _retry(name, said) for name, said in read.get("retries", dict, {}).items()},
        "callback": read.get("callback", str, None),
        "opt_out": read.get("opt_out", str, None),
        "zone": own_zone,
        "calls_per_day": read.get("calls_per_day", int, None),
        "until": None if (until := read.get("until", (datetime, date, str), None)) is None else moment(until, own_zone, "until"),
    }
    live = read.get("live", int, None)
    if live is not None and live < 1:
        raise ConfigurationError(f"live must be a whole number, 1 or more, not {live}")
    others: dict[str, Any] = {
        "agent": read.get("agent", str, None),
        "agent_version": read.get("agent_version", (str, int), None),
        "live": live,
        "region": region,
        "required": tuple(read.texts("required") or ()),
        "opt_outs": read.get("opt_outs", str, None),
        "do_not_call": tuple(read.texts("do_not_call") or ()),
        "honor_internal_dnc": read.get("honor_internal_dnc", bool, True),
    }
    read.refuse_others()  # first, since a name that is written wrong is why another is missing
    return Settings(rules=Rules(**rules), **others)


class _Reader:
    """Takes settings out of a table, each of its kind."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = given
        self._asked: list[str] = []

    def get(self, name: str, kind: type[Any] | tuple[type[Any], ...], usual: Any) -> Any:
        self._asked.append(name)
        value = self._given.get(name, usual)
        if isinstance(value, tuple):  # as the command line has lists
            value = list(cast("tuple[Any, ...]", value))  # type: ignore[redundant-cast]
        is_wrong = not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)
        if value is not None and is_wrong:
            kinds = kind if isinstance(kind, tuple) else (kind,)
            raise ConfigurationError(f"{name} must be {' or '.join(_KINDS[each] for each in kinds)}, not {value!r}")
        return value

    def texts(self, name: str) -> list[str] | None:
        found = self.get(name, (str, list), None)
        if found is None:
            return None
        texts = [found] if isinstance(found, str) else found
        for text in texts:
            if not isinstance(text, str):
                raise ConfigurationError(f"{name} must be a text, or a list of texts, not {text!r}")
        return cast("list[str]", texts)

    def refuse_others(self) -> None:
        for name in self._given.keys() - set(self._asked):
            close = get_close_matches(name, self._asked, 1)
            if name in {"per_second", "per_number"} and "numbers" in self._asked:
                meant = ': it is said of a number: numbers = [{ number = "+1415...", per_second = 2 }]'
            else:
                meant = f": did you mean {close[0]}?" if close else f": there are {', '.join(sorted(self._asked))}"
            raise ConfigurationError(f"there is no setting {name!r}{meant}")


_KINDS: Mapping[type[Any], str] = {
    str: "a text",
    int: "a whole number",
    bool: "true or false",
    list: "a list",
    dict: "a table",
    datetime: "a time",
    date: "a day",
}


def _number(said: object, region: str | None) -> Number:
    table: dict[str, Any] = {"number": said} if isinstance(said, str) else cast("dict[str, Any]", said) if isinstance(said, dict) else {}
    read = _Reader(table)
    try:
        text = read.get("number", str, "")
        per_second, per_day = read.get("per_second", (int, float), 1.0), read.get("per_day", int, None)
        read.refuse_others()
        return Number(e164(text, region), per_second=float(per_second), per_day=per_day)
    except ConfigurationError as error:
        raise ConfigurationError(f"numbers: {error}") from None


def _retry(name: str, said: object) -> Retry | None:
    try:
        if said is False or said == "none":
            return None
        if isinstance(said, dict):
            read = _Reader(cast("dict[str, Any]", said))
            retry = Retry(seconds(read.get("after", (str, int, float), "10m")), read.get("other_hour", bool, False))
            read.refuse_others()
            return retry
        return Retry(seconds(said))
    except ConfigurationError as error:
        raise ConfigurationError(f"retries.{name}: {error}") from None


def seconds(said: object) -> float:
    """A span of time as people write it, such as ``10m`` or ``2h``, in seconds.

    :raises ConfigurationError: it is none.
    """
    if isinstance(said, (int, float)) and not isinstance(said, bool):
        return float(said)
    found = _SPAN.fullmatch(said.strip()) if isinstance(said, str) else None
    if found is None:
        raise ConfigurationError(f"{said!r} is no span of time: 90s, 10m, 2h and 1d are")
    return float(found[1]) * _UNITS[found[2]]


def moment(said: object, name: str, what: str, *, begins: bool = False) -> float:
    """A time as people write it, as Unix time in seconds. Without an offset it is by the clock of a zone: the campaign's own.

    :param name: that of the zone.
    :param what: what the time is of, for the error.
    :param begins: a day without a time means its beginning, and else its end.
    :raises ConfigurationError: it is none.
    """
    if isinstance(said, str):
        try:
            said = datetime.fromisoformat(said) if len(said) > 10 else date.fromisoformat(said)
        except ValueError:
            raise ConfigurationError(f"{what} must be a time such as 2026-12-24T18:00, not {said!r}") from None
    if not isinstance(said, datetime):
        said = datetime.combine(cast("date", said), datetime.min.time()) + timedelta(days=0 if begins else 1)
    return (said if said.tzinfo is not None else said.replace(tzinfo=zone(name))).timestamp()
