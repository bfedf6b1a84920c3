"""From a table of contacts and rules to a plan."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest

from retell_async import ConfigurationError
from retell_async.campaigns import Hours, Number, Plan, Planned, Retry, Rules, estimate, numbers_of, plan, read_settings
from retell_async.raw.models import V3WebCallResponse

from .test_hours import wall

MONDAY = datetime(2026, 11, 23, 5, tzinfo=UTC).timestamp()  # midnight in New York
RULES = Rules(numbers=[Number("+14155550100")], hours=Hours.parse("mon-fri 9-17"))
Write = Callable[[str], Path]


@pytest.fixture
def table(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        path = tmp_path / "contacts.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def planned(path: Path, rules: Rules = RULES, **settings: Any) -> Plan:
    return plan(path, rules, MONDAY, **{"live": 20, **settings})


def test_each_line_is_called_or_refused_with_its_reason(table: Write) -> None:
    path = table(
        "Phone,First Name,time zone,Priority,metadata.ticket,id\n"  # 1
        "+12125550111,Ann,,,17,a\n"
        "212-555-0112,Bob,,2,,b\n"
        "+1415555,Cy,,,,\n"  # 4
        '"+12125550113",,,,,\n'
        '+12125550114,"Di\nana",,,,\n'  # 6 and 7
        "+12125550111,Ed,,,,\n"  # 8
        "+12125550115,Fay,,,,a\n"
        "+18005550100,Gil,,,,\n"  # 10
        "+12125550116,Hal,Mars/Base,,,\n"
        "+12125550117,Ida,,high,,\n"
        "+12125550118,Jo,,,,\n"
        ",,,,,\n"
        "+8835100000001,Ky,,,,\n"  # 15
        "+442071234567,Lee,Europe/London,,,\n"
    )
    found = planned(path, region="US", required=["First Name"], do_not_call={"+12125550118"})
    assert [(one.line, one.reason) for one in found.refused] == [
        (4, "number"),
        (5, "variable"),
        (8, "duplicate"),
        (9, "duplicate"),
        (10, "hours"),
        (11, "zone"),
        (12, "value"),
        (13, "do_not_call"),
        (15, found.refused[-1].reason),
    ]
    assert found.refused[-1].reason in {"number", "zone"}
    assert [call.contact.id for call in found.calls] == ["+442071234567", "b", "a", "+12125550114"]
    ann = next(call.contact for call in found.calls if call.contact.id == "a")
    assert (ann.variables, ann.metadata) == ({"First Name": "Ann"}, {"ticket": "17"})
    assert not any("212555" in one.text for one in found.refused)


def test_what_is_not_understood_is_refused(table: Write) -> None:
    path = table(
        "number,place,zone,priority,name\n"  # 1
        "+13055550111,us-fl,,,Ann\n"
        "+13055550112,Florida,,,Bob\n"
        "+13055550113,US,,,Cy\n"
        "+12125550114,,EST,,Di\n"  # 5
        "+12125550115,,,99999999999999999999,Ed\n"
        "+12125550116,,,,Smith, Fay\n"
        "+12125550117,,,,Gil,,\n"
    )
    found = planned(path)
    assert [(one.line, one.reason) for one in found.refused] == [(3, "value"), (4, "value"), (5, "zone"), (6, "value"), (7, "value")]
    assert {call.contact.place for call in found.calls} == {"US-FL", None}


def test_who_may_never_be_called_where_they_are_is_refused_with_the_reason(table: Write) -> None:
    rules = Rules(numbers=[Number("+14155550100")], hours=Hours.parse("20-21"), legal="us")
    found = planned(table("number\n+12125550111\n+13055550112\n"), rules)
    assert [(one.line, one.reason) for one in found.refused] == [(3, "hours")]
    assert found.refused[0].text == "the hours (20:00-21:00) have nothing in common with the legal hours of its place"


@pytest.mark.parametrize("name", ["zone", "id", "metadata.ticket"])
def test_a_column_that_the_campaign_knows_may_be_required_too(table: Write, name: str) -> None:
    path = table("number,zone,id,metadata.ticket\n+12125550111,America/New_York,a,1\n+12125550112,,,\n")
    found = planned(path, required=[name])
    assert [(one.line, one.text) for one in found.refused] == [(3, f"{name} is empty")]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "no column is named number"),
        ("name,zone\nAnn,\n", "no column is named number"),
        ("number,a,a\n", "'a' is there twice"),
        ('number,first_name\n"+12125550111', "contacts.csv, line 2: it cannot be read as CSV"),
        (
            f"number,first_name\n+12125550111,{'x' * 200_000}\n",
            "line 2: .*: a cell has more than 131,072 characters, or a quote that is opened",
        ),
        ('number,first_name\n+12125550111,Ann\n+12125550112,"Bo\n+12125550113,Cy\n', "line 3: it cannot be read as CSV"),
        ('number,first_name\n+12125550111,"A\nnn"\n+12125550112,"Bob" Lee\n', "line 4: it cannot be read as CSV"),
        ("sep=;\nnumber;first_name\n+12125550111;Ann\n", "there is sep=;, a line for Excel, which must go"),
        ("number\n+12125550111\n", "no column 'first_name'"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused(table: Write, text: str, what: str) -> None:
    with pytest.raises(ConfigurationError, match=what):
        planned(table(text), required=["first_name"])


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        planned(tmp_path / "missing.csv")
    (tmp_path / "latin.csv").write_bytes("number,name\n+12125550111,Jürgen\n".encode("latin-1"))
    with pytest.raises(ConfigurationError, match="UTF-8"):
        planned(tmp_path / "latin.csv")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_tables_as_programs_write_them(tmp_path: Path, delimiter: str) -> None:
    path = tmp_path / "contacts.csv"
    path.write_bytes(f"\ufeffnumber{delimiter}name\r\n+12125550111{delimiter}Ann\r\n\r\n+12125550112\r\n".encode())
    assert [call.contact.variables for call in planned(path).calls] == [{"name": "Ann"}, {}]


def test_a_list_of_numbers_that_are_not_called(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("+12125550111\n\n212-555-0112\n")
    assert numbers_of(path, "US") == {"+12125550111", "+12125550112"}
    path.write_text("name,phone\nAnn,+12125550111\n")
    assert numbers_of(path) == {"+12125550111"}
    path.write_text("+12125550111\nnonsense\n")
    with pytest.raises(ConfigurationError, match=r"list\.txt, line 2"):
        numbers_of(path)


def test_calls_are_planned_by_hours_pace_priority_and_room(table: Write) -> None:
    lines = [f"+1{code}555{number:04},{number % 2}" for code in (212, 415) for number in range(100, 160)]
    path = table("number,priority\n" + "\n".join(lines) + "\n")
    rules = Rules(numbers=[Number("+14155550100", per_second=0.1, per_day=50)], hours=Hours.parse("mon-fri 9-17"))
    found = planned(path, rules, live=5)
    assert len(found.calls) == 120
    moments = [call.at for call in found.calls]
    assert all(later - sooner >= 10 for sooner, later in pairwise(moments))
    for call in found.calls:
        shown = wall(call.at, call.contact.zones[0])
        assert shown.weekday() < 5
        assert 9 <= shown.hour < 17
    days = Counter(datetime.fromtimestamp(moment, UTC).date() for moment in moments)
    assert list(days.values()) == [50, 50, 20]
    assert all(sum(later - 120 < call.at <= later for call in found.calls) <= 5 for later in moments)
    east = [call.contact.priority for call in found.calls if call.contact.zones == ("America/New_York",)]
    assert east == sorted(east, reverse=True)
    assert found.ends_at == moments[-1] + 120


def test_caps_of_the_campaign_and_its_end(table: Write) -> None:
    path = table("number\n" + "\n".join(f"+1212555{number:04}" for number in range(100, 130)) + "\n")
    rules = Rules(numbers=RULES.numbers, hours=RULES.hours, zone="America/New_York", calls_per_day=10, until=MONDAY + 86400 * 2)
    found = planned(path, rules)
    assert (len(found.calls), len(found.late)) == (20, 10)
    assert Counter(wall(call.at, "America/New_York").day for call in found.calls) == {23: 10, 24: 10}
    assert planned(path, Rules(numbers=RULES.numbers, until=MONDAY - 1)).ends_at is None


def call(cents: float, milliseconds: int) -> V3WebCallResponse:
    costs = {"product_costs": [], "total_duration_seconds": 1, "total_duration_unit_price": 1, "combined_cost": cents}
    return V3WebCallResponse.from_dict({"call_id": "1", "call_type": "web_call", "call_cost": costs, "duration_ms": milliseconds})


def test_the_cost_is_drawn_from_the_last_calls(table: Write) -> None:
    path = table("number\n+12125550111\n+12125550112\n")
    found = planned(path, estimate=estimate([call(cents, cents * 1000) for cents in (10, 20, 30, 40, 50)]))
    assert found.cents == (30.0, 60.0, 90.0)
    assert found.duration == 30.0
    assert estimate([call(10, 1000)] * 4) is None
    assert planned(path).cents is None


SETTINGS = """
numbers = ["+14155550100", {number = "+14155550101", per_second = 2, per_day = 100}]
agent = "agent_1"
agent_version = 3
hours = ["mon-fri 9:00-17:30", "sat 10-12"]
legal = "us"
attempts = 4
per_day = 1
zone = "America/New_York"
calls_per_day = 500
callback = "callback_at"
until = 2026-12-24
live = 10
region = "US"
required = "first_name"
honor_internal_dnc = false
[retries]
voicemail = "none"
dial_busy = "15m"
missed = {after = "3h", other_hour = true}
"""


def test_rules_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "campaign.toml"
    path.write_text(SETTINGS)
    settings = read_settings(path, {"attempts": 2, "until": "2026-12-20T18:00"})
    rules = settings.rules
    assert [(number.number, number.per_second, number.per_day) for number in rules.numbers] == [
        ("+14155550100", 1.0, None),
        ("+14155550101", 2.0, 100),
    ]
    assert str(rules.hours) == "mon,tue,wed,thu,fri 9:00-17:30; sat 10:00-12:00"
    assert (rules.attempts, rules.per_day, rules.calls_per_day, rules.legal, rules.callback) == (2, 1, 500, "us", "callback_at")
    assert rules.until == datetime(2026, 12, 20, 23, tzinfo=UTC).timestamp()
    assert rules.retries["voicemail"] is None
    assert (rules.retries["dial_busy"], rules.retries["missed"]) == (Retry(900.0), Retry(10800.0, other_hour=True))
    assert (settings.agent, settings.agent_version, settings.live, settings.region) == ("agent_1", 3, 10, "US")
    assert (settings.required, settings.honor_internal_dnc) == (("first_name",), False)
    assert read_settings(path, {}).rules.until == datetime(2026, 12, 25, 5, tzinfo=UTC).timestamp()


def test_the_rules_of_the_guide_are_read(tmp_path: Path) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "guides" / "campaigns.md").read_text(encoding="utf-8")
    path = tmp_path / "rules.toml"
    (tmp_path / "contacts.csv").write_text(guide.partition("```text\n")[2].partition("```")[0])
    per_day: list[list[int | None]] = []
    for rules in re.findall(r"```toml\n(.*?)```", guide, re.DOTALL):
        path.write_text(rules)
        settings = read_settings(path, {})
        per_day.append([number.per_day for number in settings.rules.numbers])
        assert len(planned(tmp_path / "contacts.csv", settings.rules).calls) == 2
    assert per_day == [[None], [None, 200]]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("numbers = [", "no TOML"),
        ("", "needs a number"),
        ('numbers = "+14155550100"', "numbers must be a list"),
        ("numbers = [5]", "numbers: no telephone number"),
        ('numbers = [{number = "+14155550100", speed = 3}]', "no setting 'speed'"),
        ('numbers = ["+14155550100"]\natempts = 3', "did you mean attempts"),
        ('numbers = ["+14155550100"]\nattempts = "3"', "attempts must be a whole number"),
        ('numbers = ["+14155550100"]\nattempts = true', "attempts must be a whole number"),
        ('numbers = ["+14155550100"]\nlive = 0', "live"),
        ('numbers = ["+14155550100"]\nhours = [9]', "hours"),
        ('numbers = ["+14155550100"]\nuntil = "soon"', "until"),
        ('numbers = ["+14155550100"]\n[retries]\nmissed = "soon"', "retries.missed: 'soon' is no span of time"),
        ('numbers = ["+14155550100"]\n[retries]\nmised = "5m"', "mised"),
        ('numbers = ["+14155550100"]\n[retries]\nmissed = {later = 3}', "retries.missed: there is no setting 'later'"),
    ],
)
def test_rules_that_cannot_work_name_the_place(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "campaign.toml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=what) as caught:
        read_settings(path, {})
    assert str(path) in str(caught.value)


_BIG = """
import resource, sys, time
from pathlib import Path
from retell_async.campaigns import Hours, Number, Rules, plan
begun = time.process_time()
rules = Rules(numbers=[Number("+14155550100", per_second=5)], hours=Hours.parse("mon-fri 9-17", "sat 10-12"), legal="us")
found = plan(Path(sys.argv[1]), rules, float(sys.argv[2]), live=100)
print(len(found.calls), time.process_time() - begun, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


@pytest.mark.soak
@pytest.mark.needs("rlimit")
def test_a_hundred_thousand_contacts_are_planned_within_a_minute_and_300_mib(tmp_path: Path) -> None:
    random = Random(1)
    path = tmp_path / "contacts.csv"
    with path.open("w") as file:
        file.write("number,first_name,last_name,day,priority\n")
        for number in range(100_000):
            code = random.choice((212, 415, 305, 312, 602, 808, 907, 702, 813, 504))
            file.write(f"+1{code}{200 + number // 10000 * 7:03}{number % 10000:04},First{number},Last{number},2026-12-24,{number % 3}\n")
    done = subprocess.run([sys.executable, "-c", _BIG, path, str(MONDAY)], capture_output=True, text=True, check=True)
    calls, seconds, mebibytes = map(float, done.stdout.split())
    print(f"{calls:.0f} calls planned in {seconds:.1f} s of one core, {mebibytes:.0f} MiB")
    assert calls == 100_000
    assert seconds < 60
    assert mebibytes < 300


def test_a_plan_shows_no_number(table: Write) -> None:
    found = planned(table("number\n+12125550111\n"))
    assert "2125550111" not in repr(found)
    assert isinstance(found.calls[0], Planned)


@pytest.mark.parametrize(
    "header", ['"number";"name, first, or last";id', "\n \nnumber;name;id", ";;\nnumber;name;id", '"number";"name,\nfirst, or last";id']
)
def test_a_header_is_the_first_line_that_is_not_empty(table: Write, header: str) -> None:
    found = planned(table(f"{header}\n+12125550111;Ann;a\nnone;Bob;b\n"))
    assert [(call.contact.id, *call.contact.variables.values()) for call in found.calls] == [("a", "Ann")]
    assert [one.line for one in found.refused] == [header.count("\n") + 3]


def test_a_list_of_numbers_may_begin_with_empty_lines(table: Write) -> None:
    assert numbers_of(table("\n\nphone,name\n+12125550111,Ann\n")) == {"+12125550111"}
    with pytest.raises(ConfigurationError, match="line 3"):
        numbers_of(table("\n+12125550111\nnone\n"))
