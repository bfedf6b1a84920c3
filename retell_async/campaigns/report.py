"""How a campaign went, as one page of HTML: a function from records to text, which needs no network and runs no script."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from statistics import quantiles
from xml.etree import ElementTree as ET

import attrs

from .._core.masking import mask, mask_text
from .._version import __version__
from .case import NOBODY, Result
from .hours import day_in, hour_in

__all__ = ["GOING_ON", "Record", "page", "plain"]


def _masked(number: str) -> str:
    return repr(mask(number))


@attrs.frozen(kw_only=True)
class Record:
    """An attempt, as a report needs it."""

    key: str
    """Its idempotency key, which stands in the call's metadata too."""
    number: str = attrs.field(repr=_masked)
    """Who was called, in E.164 form."""
    zones: tuple[str, ...]
    """The time zones in which they may be."""
    from_number: str = attrs.field(repr=_masked)
    """The number that called."""
    at: float
    """When it was sent, as Unix time in seconds."""
    result: str | None = None
    """The reason of its end, ``unknown`` or ``not_placed``; ``None`` as long as it goes on."""
    duration_ms: float | None = None
    """How long it was, in milliseconds; ``None`` if nobody answered, or that is not known."""
    cents: float | None = None
    """What it cost, in US cents, as far as the API said."""


_WORDS: Mapping[str, str] = {
    "reached": "reached",
    "voicemail": "voicemail",
    "exhausted": "not reached, all attempts used",
    "do_not_call": "wants no calls",
    "dead": "no such number",
    "refused": "refused by the API",
    "unknown": "unknown: may have been called",
    "expired": "no time left",
    "live": "being called",
    "analyzing": "called, the analysis is waited for",
    "waiting": "waiting",
}
"""What becomes of contacts, in the order in which it is shown."""

GOING_ON = ("waiting", "live", "analyzing")
"""What contacts are that have not come to an end."""
_TONES: Mapping[str, str] = {"reached": "good", "unknown": "odd", **dict.fromkeys(GOING_ON, "rest")}
_ANSWERED = frozenset(("reached", "opted_out"))
_FEW = 10  # calls that say little of how often people answer at an hour
_MOST_BARS = 10
_MOST_ROWS = 20
_MOST_COLUMNS = 31
_LEAST_COLUMNS = 12  # so that one day is no wall
_LONGEST_LABEL = 30  # that stands beside a figure on a phone


@attrs.define
class _Group:
    """Calls of which the end is known."""

    calls: int = 0
    answered: int = 0
    cents: float = 0.0

    def add(self, answered: bool, cents: float) -> None:
        self.calls += 1
        self.answered += answered
        self.cents += cents


@attrs.define
class _Tally:
    """What is counted of the attempts, in one pass over them."""

    zone: str
    results: Counter[str] = attrs.field(factory=Counter[str])
    all: _Group = attrs.field(factory=_Group)
    hours: list[_Group] = attrs.field(factory=lambda: [_Group() for _ in range(24)])
    days: dict[str, _Group] = attrs.field(factory=dict[str, _Group])
    numbers: dict[str, _Group] = attrs.field(factory=dict[str, _Group])
    costs: array[float] = attrs.field(factory=lambda: array("d"))
    seconds: float = 0.0
    free: int = 0
    """Calls whose cost is not known."""
    guessed: int = 0
    """Calls to numbers that may be in several zones."""
    unknown: list[Record] = attrs.field(factory=list[Record])

    def add(self, record: Record) -> None:
        self.results[mask_text(record.result or "live")] += 1
        if record.result is None:
            return
        if record.result == "unknown":
            if len(self.unknown) < _MOST_ROWS:
                self.unknown.append(record)
            return
        if record.result in NOBODY:
            return
        answered = Result(record.result, connected=bool(record.duration_ms)).meaning in _ANSWERED
        cents = record.cents or 0.0
        if record.cents is None:
            self.free += 1
        else:
            self.costs.append(record.cents)
        self.seconds += (record.duration_ms or 0.0) / 1000
        self.guessed += len(record.zones) > 1
        day = day_in(self.zone, record.at)
        # Whichever of several zones it is: an hour of theirs is as good a guess as the next.
        hour = self.hours[hour_in(record.zones[0], record.at)]
        for group in (self.all, hour, self.days.setdefault(day, _Group()), self.numbers.setdefault(record.from_number, _Group())):
            group.add(answered, cents)


def page(name: str, status: str, counts: Mapping[str, int], records: Iterable[Record], now: float, *, zone: str = "UTC") -> str:
    """A report as one page of HTML, complete in itself. Numbers of people are masked in it.

    :param status: how the campaign stands, in words.
    :param counts: how many contacts ended how, are ``waiting``, ``live`` or ``analyzing``.
    :param records: the attempts that were sent; 100,000 are read one by one.
    :param now: when the report is made, as Unix time in seconds.
    :param zone: the time zone by whose days costs are counted.
    """
    tally = _Tally(zone)
    for record in records:
        tally.add(record)
    made = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d %H:%M UTC")
    head = _el(
        "head",
        _el("meta", charset="utf-8"),
        _el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        _el("meta", http_equiv="Content-Security-Policy", content="default-src 'none'; style-src 'unsafe-inline'"),
        _el("meta", name="color-scheme", content="light dark"),
        _el("meta", name="robots", content="noindex"),
        _el("title", f"{mask_text(name)}: report of a campaign"),
        _el("style", _STYLE),
    )
    body = _el(
        "body",
        _el("header", _el("h1", mask_text(name)), _el("p", mask_text(status), ", as of ", _el("time", made))),
        _figures(counts, tally),
        _el("main", *_sections(counts, tally)),
        _el("footer", f"retell-async {__version__}. Numbers are masked; all attempts are in the report as CSV."),
    )
    return "<!DOCTYPE html>\n" + ET.tostring(_el("html", head, body, lang="en"), encoding="unicode", method="html") + "\n"


def _figures(counts: Mapping[str, int], tally: _Tally) -> ET.Element:
    contacts = sum(counts.values())
    done = contacts - sum(counts.get(what, 0) for what in GOING_ON)
    reached = counts.get("reached", 0)
    group = tally.all
    some = "at least " if tally.free else ""
    figures = [
        ("contacts", f"{contacts:,}", f"{_share(done, contacts)} done" if contacts else ""),
        ("reached", f"{reached:,}", f"{_share(reached, done)} of those done" if done else ""),
        ("calls", f"{group.calls:,}", f"{_share(group.answered, group.calls)} answered" if group.calls else ""),
        ("talk time", _span(tally.seconds), f"{_span(tally.seconds / group.calls)} a call" if group.calls else ""),
        (
            "cost",
            some + _money(group.cents) if tally.costs else "unknown",
            f"{_money(group.cents / reached)} a contact reached" if reached and tally.costs else "",
        ),
    ]
    return _el("dl", *(_el("div", _el("dt", what), _el("dd", figure), _el("dd", more, class_="more")) for what, figure, more in figures))


def _sections(counts: Mapping[str, int], tally: _Tally) -> list[ET.Element]:
    shown = [
        (_WORDS.get(end, mask_text(end)), counts[end], _TONES.get(end, "bar"))
        for end in (*_WORDS, *sorted(counts.keys() - _WORDS))
        if counts.get(end)
    ]
    sections = [_section("What became of the contacts", _bars(shown) if shown else _el("p", "There are no contacts."))]
    if not tally.results:
        return [*sections, _section("Calls", _el("p", "Nobody was called yet."))]
    ends = [(reason, count, _TONES.get(reason, "bar")) for reason, count in tally.results.most_common(_MOST_BARS)]
    rest = sum(tally.results.values()) - sum(count for _, count, _ in ends)
    if rest:
        ends.append((f"{len(tally.results) - len(ends)} others", rest, "rest"))
    sections.append(
        _section("How attempts ended", _bars([(_WORDS["live"] if end == "live" else end, count, tone) for end, count, tone in ends]))
    )
    if tally.all.calls:
        sections += [_answers(tally), _costs(tally), _numbers(tally)]
    if tally.unknown:
        sections.append(_unknown(tally))
    return sections


def _answers(tally: _Tally) -> ET.Element:
    columns = [
        (
            f"{hour:02}",
            group.answered / group.calls if group.calls else None,
            "few" if group.calls < _FEW else "bar",
            _told(f"{hour:02} h", group),
        )
        for hour, group in enumerate(tally.hours)
    ]
    notes = ["By the clock of whoever was called."]
    if any(0 < group.calls < _FEW for group in tally.hours):
        notes.append(f"Pale: fewer than {_FEW} calls.")
    if tally.guessed:
        notes.append(f"{_counted(tally.guessed)} went to numbers that may be in several time zones: the first counts.")
    rows = [(f"{hour:02} to {hour + 1:02} h", group) for hour, group in enumerate(tally.hours) if group.calls]
    labels = {hour: f"{hour:02}" for hour in range(0, 24, 3)}
    return _section("Answer rate by hour", _columns(columns, labels, _percent, 24), _note(*notes), _details("hour", rows))


def _costs(tally: _Tally) -> ET.Element:
    if not tally.costs:
        return _section("Cost", _el("p", "The API did not say what these calls cost."))
    width, groups = _spans(tally.days)
    columns = [(day, group.cents, "bar", _told(day, group)) for day, group in groups]
    last = len(groups) - 1
    labels = {place: groups[place][0] for place in ({0, last // 2, last} if last >= 6 and len(groups) >= _LEAST_COLUMNS else {0})}
    if len(groups) < _LEAST_COLUMNS and last >= 5:
        labels[last] = groups[last][0]
    notes = [f"By {'day' if width == 1 else f'{width} days'}, {tally.zone}."]
    if len(tally.costs) > 1:
        low, middle, high = quantiles(tally.costs, n=4, method="inclusive")
        notes.append(f"The middle call cost {_money(middle)}, half of them between {_money(low)} and {_money(high)}.")
    if tally.free:
        notes.append(f"The cost of {_counted(tally.free)} is not known.")
    rows = [(day, group) for day, group in groups if group.calls]
    return _section(
        "Cost",
        _columns(columns, labels, _dollars, max(len(groups), _LEAST_COLUMNS)),
        _note(*notes),
        _details("from" if width > 1 else "day", rows),
    )


def _spans(days: Mapping[str, _Group]) -> tuple[int, list[tuple[str, _Group]]]:
    """The days from the first to the last, so many taken together that they can be shown; how many, and the first of each."""
    first, last = date.fromisoformat(min(days)), date.fromisoformat(max(days))
    count = (last - first).days + 1
    width = 1 if count <= _MOST_COLUMNS else 7 if count <= 7 * _MOST_COLUMNS else math.ceil(count / _MOST_COLUMNS)
    groups = [_Group() for _ in range(math.ceil(count / width))]
    for day, had in days.items():
        group = groups[(date.fromisoformat(day) - first).days // width]
        group.calls += had.calls
        group.answered += had.answered
        group.cents += had.cents
    return width, [((first + timedelta(days=place * width)).isoformat(), group) for place, group in enumerate(groups)]


def _numbers(tally: _Tally) -> ET.Element:
    by_calls = sorted(tally.numbers.items(), key=lambda item: -item[1].calls)
    rows = [(mask(number), group) for number, group in by_calls[:_MOST_ROWS]]
    more = [_note(f"And {len(by_calls) - _MOST_ROWS:,} more.")] if len(by_calls) > _MOST_ROWS else []
    return _section("Numbers that called", _table("number", rows), *more)


def _unknown(tally: _Tally) -> ET.Element:
    rows = [
        _el(
            "tr",
            _el("td", datetime.fromtimestamp(record.at, UTC).strftime("%Y-%m-%d %H:%M")),
            _el("td", mask(record.number)),
            _el("td", mask_text(record.key)),
        )
        for record in tally.unknown
    ]
    head = _el("tr", *(_el("th", what) for what in ("sent, UTC", "number", "key")))
    count = tally.results["unknown"]
    more = [_note(f"And {count - len(rows):,} more.")] if count > len(rows) else []
    note = _note(
        "Nobody knows whether these were placed. The key is the idempotency key of the request, and stands in the call's metadata."
    )
    return _section("Unknown", note, _el("div", _el("table", _el("thead", head), _el("tbody", *rows)), class_="wide"), *more)


# Pieces of a page


def _el(tag: str, *children: ET.Element | str, **attributes: object) -> ET.Element:
    """An element; all text in it is escaped when it is written."""
    element = ET.Element(tag, {name.rstrip("_").replace("_", "-"): plain(str(value)) for name, value in attributes.items()})
    last: ET.Element | None = None
    for child in children:
        if isinstance(child, ET.Element):
            element.append(child)
            last = child
        elif last is None:
            element.text = (element.text or "") + (child if tag == "style" else plain(child))
        else:
            last.tail = (last.tail or "") + plain(child)
    return element


def plain(text: str) -> str:
    """A text without what a file cannot hold, moves a cursor or turns a text around."""
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in text)


def _section(title: str, *parts: ET.Element) -> ET.Element:
    return _el("section", _el("h2", title), *parts)


def _note(*sentences: str) -> ET.Element:
    return _el("p", " ".join(sentences), class_="note")


def _details(what: str, rows: Sequence[tuple[str, _Group]]) -> ET.Element:
    return _el("details", _el("summary", "Figures"), _table(what, rows))


def _table(what: str, rows: Sequence[tuple[str, _Group]]) -> ET.Element:
    head = _el("tr", *(_el("th", title) for title in (what, "calls", "answered", "cost")))
    cells = [
        _el("tr", *(_el("td", text) for text in (label, f"{group.calls:,}", _share(group.answered, group.calls), _money(group.cents))))
        for label, group in rows
    ]
    return _el("div", _el("table", _el("thead", head), _el("tbody", *cells), class_="figures"), class_="wide")


def _told(when: str, group: _Group) -> str:
    return (
        f"{when}: {_counted(group.calls)}, {_share(group.answered, group.calls)} answered, {_money(group.cents)}"
        if group.calls
        else f"{when}: no calls"
    )


# Charts: places across are shares of the width, so that they fit a phone and a page, and text keeps its size


def _bars(rows: Sequence[tuple[str, int, str]]) -> ET.Element:
    """Rows with a label, a count and a tone, as bars from the left."""
    total = sum(count for _, count, _ in rows)
    parts: list[ET.Element] = []
    for place, (label, count, tone) in enumerate(rows):
        top = place * 38
        short = label if len(label) <= _LONGEST_LABEL else label[: _LONGEST_LABEL - 1] + "…"
        figure = f"{count:,} ({_share(count, total)})"
        parts += [
            _el("text", short, x=0, y=top + 14),
            _el("text", figure, x="100%", y=top + 14, class_="end"),
            _el("rect", x=0, y=top + 20, width="100%", height=8, rx=2, class_="ground"),
            _el("rect", _el("title", f"{label}: {figure}"), x=0, y=top + 20, width=_across(count / total), height=8, rx=2, class_=tone),
        ]
    told = ", ".join(f"{label} {count:,}" for label, count, _ in rows)
    return _el("svg", *parts, width="100%", height=len(rows) * 38 - 6, role="img", aria_label=told)


def _columns(
    columns: Sequence[tuple[str, float | None, str, str]], labels: Mapping[int, str], shown: Callable[[float], str], slots: int
) -> ET.Element:
    """Columns with a label, a value (``None`` for none), a tone and what is told of each, over an axis from 0."""
    step, count = _steps(max((value or 0.0 for _, value, _, _ in columns), default=0.0))
    top, height = step * count, 160
    marks: list[ET.Element] = []
    parts: list[ET.Element] = []
    for place in range(count + 1):
        y = 10 + height - height * place / count
        marks.append(_el("text", shown(step * place), x="100%", y=f"{y + 4:g}", class_="end"))
        parts.append(_el("line", x1=0, x2="100%", y1=f"{y:g}", y2=f"{y:g}"))
    for place, (_, value, tone, told) in enumerate(columns):
        if value is None:
            continue
        # What is there is seen, be it as little as nothing.
        tall = max(height * value / top, 1.5)
        bar = {
            "x": _across((place + 0.14) / slots),
            "width": _across(0.72 / slots),
            "y": f"{10 + height - tall:.1f}",
            "height": f"{tall:.1f}",
        }
        parts.append(_el("rect", _el("title", told), **bar, class_=tone))
    for place, label in labels.items():
        middle = (place + 0.5) / slots
        if len(label) <= 2:
            parts.append(_el("text", label, x=_across(middle), y=height + 28, class_="middle"))
        elif place < slots / 3:
            parts.append(_el("text", label, x=_across(place / slots), y=height + 28))
        elif place > slots * 2 / 3:
            parts.append(_el("text", label, x=_across((place + 1) / slots), y=height + 28, class_="end"))
        else:
            parts.append(_el("text", label, x=_across(middle), y=height + 28, class_="middle"))
    told = ", ".join(f"{label} {shown(value)}" for label, value, _, _ in columns if value is not None)
    axis = _el("svg", *marks, width=9 * max(len(mark.text or "") for mark in marks), height=height + 36, aria_hidden="true")
    return _el("div", axis, _el("svg", *parts, width="100%", height=height + 36, role="img", aria_label=told), class_="plot")


def _steps(most: float) -> tuple[float, int]:
    """The step of an axis up to a value, 1, 2 or 5 of a power of ten, and how many there are."""
    if most <= 0:
        return 1.0, 1
    power = 10.0 ** math.floor(math.log10(most / 4))
    step = next(step for step in (power, 2 * power, 5 * power, 10 * power) if most / step <= 4.0000001)
    return step, max(math.ceil(most / step - 1e-7), 1)


def _across(share: float) -> str:
    return f"{share * 100:.3f}%"


def _percent(share: float) -> str:
    return f"{share * 100:.3g}%"


def _share(part: int, whole: int) -> str:
    return _percent(part / whole) if whole else "none"


def _counted(calls: int) -> str:
    return f"{calls:,} call{'' if calls == 1 else 's'}"


def _money(cents: float) -> str:
    return f"${cents / 100:,.2f}" if cents >= 1 or not cents else f"${cents / 100:.2g}"


def _dollars(cents: float) -> str:
    """Money on an axis, whose steps are round."""
    return _money(cents).removesuffix(".00")


def _span(seconds: float) -> str:
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min" if hours else f"{minutes} min {left} s" if minutes else f"{left} s"


_STYLE = """
:root { color-scheme: light dark; --ground: #fff; --ink: #1c2024; --soft: #60646c; --line: #d9d9e0; --faint: #f0f0f3;
  --bar: #3e63dd; --few: #b3c3f5; --good: #1f8a5b; --odd: #d9730d; --rest: #a3a7b0; }
@media (prefers-color-scheme: dark) { :root { --ground: #111315; --ink: #edeef0; --soft: #b0b4ba; --line: #363a3f; --faint: #212427;
  --bar: #6e8bf0; --few: #3a4a85; --good: #3dbb83; --odd: #f0924a; --rest: #696e77; } }
@media print { :root { color-scheme: light; --ground: #fff; --ink: #000; --soft: #444; --line: #bbb; --faint: #eee;
  --bar: #3e63dd; --few: #b3c3f5; --good: #1f8a5b; --odd: #d9730d; --rest: #a3a7b0; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 1.5rem 1rem; background: var(--ground); color: var(--ink);
  font: 1rem/1.45 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { margin: 0; font-size: 1.6rem; line-height: 1.2; }
h2 { margin: 0 0 .8rem; font-size: 1.05rem; }
header p, .note, .more, footer { color: var(--soft); }
header p { margin: .3rem 0 0; }
.note { margin: .6rem 0 0; font-size: .875rem; }
dl { display: flex; flex-wrap: wrap; margin: 1.5rem 0; padding: 0 1px 1px 0; }
dl div { flex: 1 1 9.5rem; margin: 0 -1px -1px 0; padding: .7rem .9rem; border: 1px solid var(--line); }
dt { font-size: .875rem; color: var(--soft); }
dd { margin: 0; font-size: 1.35rem; font-variant-numeric: tabular-nums; }
dd.more { font-size: .875rem; }
main { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 2.2rem 2.5rem; align-items: start; }
section { min-width: 0; break-inside: avoid; }
svg { display: block; overflow: visible; }
svg text { fill: var(--ink); font-size: 13px; font-variant-numeric: tabular-nums; }
svg line { stroke: var(--line); }
.end { text-anchor: end; }
.middle { text-anchor: middle; }
.plot { display: flex; gap: 8px; }
.plot svg:first-child { flex: none; }
.plot svg:last-child { flex: 1; min-width: 0; }
.plot text { fill: var(--soft); }
.ground { fill: var(--faint); }
.bar { fill: var(--bar); } .few { fill: var(--few); } .good { fill: var(--good); } .odd { fill: var(--odd); } .rest { fill: var(--rest); }
details { margin-top: .6rem; font-size: .875rem; }
summary { cursor: pointer; color: var(--soft); }
.wide { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem .3rem 0; text-align: left; white-space: nowrap; border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--soft); }
table.figures :is(th, td):not(:first-child) { padding-right: 0; text-align: right; }
footer { margin-top: 2.5rem; font-size: .875rem; }
@media print { body { max-width: none; padding: 0; font-size: 10pt; } dl div { flex-basis: 6rem; } dd { font-size: 1.2rem; }
  main { grid-template-columns: 1fr 1fr; } details:not([open]) { display: none; } }
"""
