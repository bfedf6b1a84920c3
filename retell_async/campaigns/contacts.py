"""Contacts read from a table: what is taken, and what is refused with its line and the reason."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs

from .._core.errors import ConfigurationError
from .contact import Contact
from .hours import next_open, zone
from .rules import Rules
from .zones import e164, zones_of

__all__ = ["Refused", "Table", "numbers_of", "read_contacts"]

_NAMES = {
    "number": {"number", "phone", "phone_number", "phonenumber", "to_number", "telephone", "mobile"},
    "id": {"id", "contact_id"},
    "zone": {"zone", "time_zone", "timezone", "tz"},
    "place": {"place"},
    "priority": {"priority"},
}
_METADATA = "metadata."
_NOTHING: Mapping[str, Any] = MappingProxyType({})


@attrs.frozen
class Refused:
    """A line of a table that will not be called."""

    line: int
    """The line on which it begins, from 1."""
    reason: str
    """``number``, ``variable``, ``duplicate``, ``zone``, ``hours``, ``do_not_call`` or ``value``."""
    text: str
    """What is wrong, in words."""


class Table:
    """The lines of a CSV file with a header, read as they are asked for.

    :raises ConfigurationError: there is no such file, it is not UTF-8, or no column has numbers.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.columns: list[str] = []
        for _ in self._lines():
            break
        self._of = {what: next((name for name in self.columns if _plain(name) in names), None) for what, names in _NAMES.items()}
        if self._of["number"] is None:
            found = ", ".join(self.columns) or "none"
            raise ConfigurationError(f"{path}: no column is named number, phone or to_number; there is {found}")
        known = set(self._of.values())
        self.variables = [name for name in self.columns if name not in known and not _plain(name).startswith(_METADATA)]
        """The columns that become dynamic variables."""

    def rows(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Each row with the line on which it begins."""
        rows = self._lines()
        next(rows, None)
        for line, cells in rows:
            if any(cell.strip() for cell in cells):
                yield line, dict(zip(self.columns, [*cells, *[""] * len(self.columns)], strict=False))

    def cell(self, row: Mapping[str, str], what: str) -> str:
        """What a row says of something that a campaign knows by itself, such as ``zone``."""
        name = self._of[what]
        return "" if name is None else row[name].strip()

    def metadata(self, row: Mapping[str, str]) -> Mapping[str, Any]:
        """What is stored with the call: the columns ``metadata.NAME``."""
        found = {name[len(_METADATA) :]: row[name] for name in self.columns if _plain(name).startswith(_METADATA)}
        return found or _NOTHING

    def _lines(self) -> Iterator[tuple[int, list[str]]]:
        try:
            with self.path.open(encoding="utf-8-sig", newline="") as file:
                first = file.readline()
                file.seek(0)
                reader = csv.reader(file, delimiter=max(",;\t", key=first.count), strict=True)
                line = 1
                for cells in reader:
                    if line == 1:
                        self.columns = [cell.strip() for cell in cells]
                        self._check_header()
                    yield line, cells
                    line = reader.line_num + 1
        except OSError as error:
            raise ConfigurationError(f"{self.path}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ConfigurationError(f"{self.path}: it is not UTF-8; save it as CSV UTF-8") from None
        except csv.Error as error:
            raise ConfigurationError(f"{self.path}: it cannot be read as CSV: {error}") from None

    def _check_header(self) -> None:
        twice = sorted({name for name in self.columns if name and self.columns.count(name) > 1})
        if twice:
            raise ConfigurationError(f"{self.path}: the column {twice[0]!r} is there twice")


def _plain(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")


def read_contacts(
    table: Table,
    rules: Rules,
    now: float,
    *,
    region: str | None = None,
    required: Sequence[str] = (),
    do_not_call: Collection[str] = (),
) -> Iterator[Contact | Refused]:
    """Each row of a table as a contact, or refused.

    :param region: whose numbers have no country code, as ``US``.
    :param required: variables that must not be empty.
    :param do_not_call: numbers in E.164 form that are not called.
    :raises ConfigurationError: a variable that is required has no column.
    """
    for name in required:
        if name not in table.variables:
            raise ConfigurationError(f"{table.path}: there is no column {name!r}, which is required; there is {', '.join(table.columns)}")
    seen: dict[str, int] = {}
    ids: dict[str, int] = {}
    never: dict[tuple[Any, ...], bool] = {}
    names: dict[tuple[str, ...], tuple[str, ...]] = {}  # so that contacts share what is the same
    for line, row in table.rows():
        contact = _contact(table, line, row, region=region, required=required)
        if isinstance(contact, Refused):
            yield contact
            continue
        contact = attrs.evolve(contact, zones=names.setdefault(contact.zones, contact.zones))
        if contact.number in do_not_call:
            yield Refused(line, "do_not_call", "the number is on the list of those that are not called")
            continue
        if (first := seen.setdefault(contact.number, line)) != line:
            yield Refused(line, "duplicate", f"the number is on line {first} too")
            continue
        if (first := ids.setdefault(contact.id, line)) != line:
            yield Refused(line, "duplicate", f"the id is on line {first} too")
            continue
        hours = rules.hours_of(contact.number, contact.place)
        key = (hours, contact.zones)
        if key not in never:
            never[key] = next_open(hours, contact.zones, now) is None
        if never[key]:
            yield Refused(line, "hours", f"there is no time at which it is {hours} in all of {_listed(contact.zones)}: give its zone")
            continue
        yield contact


def _contact(table: Table, line: int, row: Mapping[str, str], *, region: str | None, required: Sequence[str]) -> Contact | Refused:
    try:
        number = e164(table.cell(row, "number"), region)
    except ConfigurationError as error:
        return Refused(line, "number", str(error))
    missing = [name for name in required if not row[name].strip()]
    if missing:
        return Refused(line, "variable", f"{', '.join(missing)} is empty")
    own = table.cell(row, "zone")
    try:
        zones = (own,) if own else zones_of(number)
        for name in zones:
            zone(name)
    except ConfigurationError as error:
        return Refused(line, "zone", str(error))
    if not zones:
        return Refused(line, "zone", "the number does not say in which time zone it is: give it in a column named zone")
    priority = table.cell(row, "priority")
    try:
        rank = int(priority or 0)
    except ValueError:
        return Refused(line, "value", f"the priority must be a whole number, not {priority[:40]!r}")
    return Contact(
        id=table.cell(row, "id") or number,
        number=number,
        zones=zones,
        place=table.cell(row, "place") or None,
        priority=rank,
        variables={name: row[name] for name in table.variables if row[name]},
        metadata=table.metadata(row),
    )


def _listed(zones: Sequence[str]) -> str:
    return ", ".join(zones) if len(zones) <= 3 else f"{len(zones)} time zones"


def numbers_of(path: Path, region: str | None = None) -> frozenset[str]:
    """The numbers in a file, for a list of those that are not called: one a line, or a table with a column of them.

    :raises ConfigurationError: a line has no number; it is named.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path}: it is not UTF-8") from None
    is_list = all(_is_number(line, region) for line in lines[:1] if line.strip())
    given: Iterable[tuple[int, str]]
    if is_list:
        given = ((line, text) for line, text in enumerate(lines, 1) if text.strip())
    else:
        table = Table(path)
        given = ((line, table.cell(row, "number")) for line, row in table.rows())
    found: set[str] = set()
    for line, text in given:
        try:
            found.add(e164(text, region))
        except ConfigurationError as error:
            # A number that is not understood is somebody who would be called in spite of the list.
            raise ConfigurationError(f"{path}, line {line}: {error}") from None
    return frozenset(found)


def _is_number(text: str, region: str | None) -> bool:
    try:
        e164(text, region)
    except ConfigurationError:
        return False
    return True
