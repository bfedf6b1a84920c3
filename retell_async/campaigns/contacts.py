"""Contacts read from a table: what is taken, and what is refused with its line and the reason."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

import attrs

from .._core.errors import ConfigurationError
from .contact import Contact
from .hours import next_open, zone
from .rules import Rules
from .zones import check_region, e164, zones_of

__all__ = ["Refused", "Table", "add_numbers", "numbers_of", "read_contacts", "read_numbers"]

_NAMES = {
    "number": {"number", "phone", "phone_number", "phonenumber", "to_number", "telephone", "mobile"},
    "id": {"id", "contact_id"},
    "zone": {"zone", "time_zone", "timezone", "tz"},
    "place": {"place"},
    "priority": {"priority"},
}
_OF_NUMBERS = re.compile(r"(?:.*_)?(?:phone|phone_number|phonenumber|telephone|mobile|cell|cellphone|landline)(?:_?number)?(?:_?\d+)?")
"""What columns are called that have numbers, in lists of address books."""
_E164 = re.compile(r"\+[1-9]\d{4,14}", re.ASCII)
_QUOTED = re.compile(r'"[^"]*"?')
_METADATA = "metadata."
_TOO_MANY = "\0"
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
    """The lines of a CSV file with a header, read as they are asked for; those of a pipe, which gives them once, are kept.

    :param text: what stands in it, if that was read already.
    :raises ConfigurationError: there is no such file, it is not UTF-8, or no column has numbers.
    """

    def __init__(self, path: Path, text: str | None = None) -> None:
        self.path = path
        self._text = _read(path) if text is None and path.exists() and not path.is_file() else text
        self.columns: list[str] = []
        self._delimiter = ","
        for _ in self._lines():
            break
        self._of = {what: next((name for name in self.columns if _plain(name) in names), None) for what, names in _NAMES.items()}
        if self._of["number"] is None:
            found = ", ".join(self.columns) or "none"
            if self.columns and self.columns[0].startswith("sep="):
                found = f"{self.columns[0]}{self._delimiter}, a line for Excel, which must go: the header is the first line"
            raise ConfigurationError(f"{path}: no column is named number, phone or to_number; there is {found}")
        self._numbers = [name for name in self.columns if _plain(name) in _NAMES["number"]]
        known = set(self._of.values())
        self.variables = [name for name in self.columns if name not in known and not _plain(name).startswith(_METADATA)]
        """The columns that become dynamic variables."""

    def rows(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Each row with the line on which it begins."""
        rows = self._lines()
        next(rows, None)
        for line, cells in rows:
            if any(cell.strip() for cell in cells):
                row = dict(zip(self.columns, [*cells, *[""] * len(self.columns)], strict=False))
                if any(cell.strip() for cell in cells[len(self.columns) :]):
                    row[_TOO_MANY] = "more cells than there are columns: a text with the delimiter in it must be in quotes"
                yield line, row

    def cell(self, row: Mapping[str, str], what: str) -> str:
        """What a row says of something that a campaign knows by itself, such as ``zone``.

        :raises ConfigurationError: it has more cells than there are columns, so that nobody knows which is which.
        """
        if _TOO_MANY in row:
            raise ConfigurationError(row[_TOO_MANY])
        name = self._of[what]
        return "" if name is None else row[name].strip()

    def check_one_number(self) -> None:
        """:raises ConfigurationError: it does not say which of its columns has the number of a contact."""
        if len(self._numbers) > 1:
            raise ConfigurationError(
                f"{self.path}: {' and '.join(map(repr, self._numbers))} are both columns of numbers, and a contact has one:"
                " leave out the others, or give them other names"
            )

    def numbers(self, row: Mapping[str, str]) -> list[str]:
        """What a row has in all columns of numbers, as lists of those who are not called have several; one empty text if it has none.

        :raises ConfigurationError: see `cell`.
        """
        first = self.cell(row, "number")
        others = [name for name in self.columns if name != self._of["number"] and _is_of_numbers(name)]
        found = [text for text in (first, *(row[name].strip() for name in others)) if text]
        return found or [first]

    def metadata(self, row: Mapping[str, str]) -> Mapping[str, Any]:
        """What is stored with the call: the columns ``metadata.NAME``."""
        found = {name[len(_METADATA) :]: row[name] for name in self.columns if _plain(name).startswith(_METADATA)}
        return found or _NOTHING

    def line(self, number: str) -> str:
        """A row that has a number and nothing else, as it stands in the file."""
        out = io.StringIO()
        csv.writer(out, delimiter=self._delimiter, lineterminator="").writerow(
            [number if name == self._of["number"] else "" for name in self.columns]
        )
        return out.getvalue()

    def _lines(self) -> Iterator[tuple[int, list[str]]]:
        line = 1
        is_header = True
        try:
            with self._opened() as file:
                first = next((text for text in file if text.strip()), "")
                file.seek(0)
                self._delimiter = max(",;\t", key=_QUOTED.sub("", first).count)
                reader = csv.reader(file, delimiter=self._delimiter, strict=True)
                for cells in reader:
                    if is_header and any(cell.strip() for cell in cells):
                        self.columns = [cell.strip() for cell in cells]
                        self._check_header()
                        is_header = False
                    if not is_header:
                        yield line, cells
                    line = reader.line_num + 1
        except OSError as error:
            raise ConfigurationError(f"{self.path}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ConfigurationError(f"{self.path}: it is not UTF-8; save it as CSV UTF-8") from None
        except csv.Error as error:
            quotes = "a quote that is opened there must be closed, and one within a text in quotes is written twice"
            if "field limit" in str(error):
                quotes = f"a cell has more than {csv.field_size_limit():,} characters, or {quotes}"
            raise ConfigurationError(f"{self.path}, line {line}: it cannot be read as CSV ({error}): {quotes}") from None

    def _opened(self) -> IO[str]:
        return self.path.open(encoding="utf-8-sig", newline="") if self._text is None else io.StringIO(self._text, newline="")

    def _check_header(self) -> None:
        twice = sorted({name for name in self.columns if name and self.columns.count(name) > 1})
        if twice:
            raise ConfigurationError(f"{self.path}: the column {twice[0]!r} is there twice")


def _is_of_numbers(name: str) -> bool:
    return _plain(name) in _NAMES["number"] or _OF_NUMBERS.fullmatch(_plain(name)) is not None


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
    check_region(region)
    table.check_one_number()
    for name in required:
        if name not in table.columns:
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
            text = f"there is no time at which it is {hours} in all of {_listed(contact.zones)}: give its zone"
            if not hours.windows:
                text = f"the hours ({rules.hours}) have nothing in common with the legal hours of its place"
            yield Refused(line, "hours", text)
            continue
        yield contact


def _contact(table: Table, line: int, row: Mapping[str, str], *, region: str | None, required: Sequence[str]) -> Contact | Refused:
    if _TOO_MANY in row:
        return Refused(line, "value", row[_TOO_MANY])
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
    try:
        return Contact(
            id=table.cell(row, "id") or number,
            number=number,
            zones=zones,
            place=table.cell(row, "place").upper() or None,
            priority=rank,
            variables={name: row[name] for name in table.variables if row[name]},
            metadata=table.metadata(row),
        )
    except ConfigurationError as error:
        return Refused(line, "value", str(error))


def _listed(zones: Sequence[str]) -> str:
    return ", ".join(zones) if len(zones) <= 3 else f"{len(zones)} time zones"


def numbers_of(path: Path, region: str | None = None) -> frozenset[str]:
    """The numbers in a file, for a list of those that are not called: one a line, or a table with columns of them.

    :raises ConfigurationError: a line has no number; it is named.
    """
    found, wrong = read_numbers(path, region)
    for line in wrong:
        # A number that is not understood is somebody who would be called in spite of the list.
        raise ConfigurationError(line)
    return found


def read_numbers(path: Path, region: str | None = None, *, quick: bool = False) -> tuple[frozenset[str], list[str]]:
    """The numbers in such a file, and what is wrong with lines that have none.

    :param quick: what is in E.164 form is taken as it is, without asking whether such a number can be in use.
    :raises ConfigurationError: it cannot be read.
    """
    found: set[str] = set()
    wrong: list[str] = []
    table, texts = _numbers(path, region)
    for line, text in texts:
        try:
            found.add(text.strip() if quick and _E164.fullmatch(text.strip()) else e164(text, region))
        except ConfigurationError as error:
            named = " (nor the name of a column of numbers: number, phone, to_number)" if table is None and line == 1 else ""
            wrong.append(f"{path}, line {line}: {error}{named}")
    return frozenset(found), wrong


def add_numbers(path: Path, numbers: Iterable[str], region: str | None = None) -> None:
    """Add numbers to such a file, in the form that it has, as far as they are not in it. It is made if it is not there.

    When this comes back, they are on the disk.

    :param numbers: in E.164 form.
    :raises ConfigurationError: it cannot be read or written.
    """
    table, known = None, frozenset[str]()
    if path.exists():
        table = _numbers(path, region)[0]
        known = read_numbers(path, region, quick=True)[0]
    new = [number for number in dict.fromkeys(numbers) if number not in known]
    lines = new if table is None else [table.line(number) for number in new]
    if not lines:
        return
    try:
        with path.open("a+b") as file:
            file.seek(0, os.SEEK_END)
            if file.tell():
                file.seek(-1, os.SEEK_END)
            is_begun = file.read(1) not in {b"", b"\n"}
            file.write(("\n" * is_begun + "".join(f"{line}\n" for line in lines)).encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from None


def _numbers(path: Path, region: str | None) -> tuple[Table | None, Iterable[tuple[int, str]]]:
    """The table that a file is, if it is one, and each text in it that should be a number, with its line."""
    read = _read(path)
    first = next((line.strip() for line in read.splitlines() if line.strip()), "")
    is_cell = not any(sign in first for sign in ",;\t") and _plain(first.strip('"')) not in _NAMES["number"]
    if is_cell or _E164.fullmatch(first) or _is_number(first, region):
        return None, ((line, text) for line, text in enumerate(read.splitlines(), 1) if text.strip())
    table = Table(path, read)
    return table, ((line, text) for line, row in table.rows() for text in table.numbers(row))


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path}: it is not UTF-8; save it as CSV UTF-8") from None


def _is_number(text: str, region: str | None) -> bool:
    try:
        e164(text, region)
    except ConfigurationError:
        return False
    return True
