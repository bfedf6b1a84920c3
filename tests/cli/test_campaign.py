"""``retell-async campaign plan``, as people type it."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from retell_async import AsyncRetell, __version__
from retell_async.campaigns import Campaign, Contact, read_settings
from retell_async.campaigns.durable.database import Database
from retell_async.campaigns.durable.store import Intent, Store
from retell_async.cli import campaign as module
from retell_async.cli.group import retell_async
from retell_async.cli.profiles import Profile

from ..engine.example import BASE_URL, KEY

pytestmark = pytest.mark.parallel

CONTACTS = "number,first_name,zone\n+12125550111,Ann,\n+1415555,Bob,\n+14155550112,Cy,\n+12125550111,Ann again,\n"
RULES = 'numbers = ["+14155550100"]\nhours = "mon-fri 9-17"\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("RETELL_API_KEY", raising=False)
    monkeypatch.chdir(tmp_path)
    Path("contacts.csv").write_text(CONTACTS)
    Path("rules.toml").write_text(RULES)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(retell_async, list(arguments), catch_exceptions=False)


def plan(*arguments: str) -> Result:
    return run("campaign", "plan", "contacts.csv", "--rules", "rules.toml", "--at", "2026-11-23T00:00+00:00", *arguments)


def test_it_says_who_is_called_when_and_who_is_not(folder: Path) -> None:
    done = plan()
    assert done.exit_code == 0
    assert done.output.splitlines() == [
        "2026-11-23 09:00 EST             +121******11  from +141******00",
        "2026-11-23 09:00 PST             +141******12  from +141******00",
        "",
        "Refused:",
        "  line 3: no telephone number that can be in use",
        "  line 5: the number is on line 2 too",
        "",
        "2 of 4 contacts would be called",
        "  1 refused: number",
        "  1 refused: duplicate",
        "First calls over: 2026-11-23 17:02 UTC, with calls of 120 s, which is a guess",
        "Cost: unknown (RETELL_API_KEY is not set)",
    ]


def test_what_is_said_beside_the_rules_goes_before_them(folder: Path) -> None:
    Path("list.txt").write_text("+14155550112\n")
    done = plan("--hours", "12-13", "--from", "+14155550101", "--do-not-call", "list.txt", "--show", "1", "--until", "2026-11-30")
    assert "2026-11-23 12:00 EST             +121******11  from +141******01" in done.output
    assert "1 refused: do_not_call" in done.output
    assert "... and 2 more" in done.output


def test_those_who_opted_out_of_the_list_are_refused(folder: Path) -> None:
    assert "2 of 4 contacts would be called" in plan("--opt-outs", "list.txt").output  # it is not there yet
    Path("list.txt").write_text("+14155550112\n")
    assert "1 refused: do_not_call" in plan("--opt-outs", "list.txt").output
    Path("rules.toml").write_text(f'opt_outs = "list.txt"\n{RULES}')
    assert "1 refused: do_not_call" in plan().output


def test_the_whole_plan_is_written_as_a_table(folder: Path) -> None:
    done = plan("--out", "plan.csv", "--until", "2026-11-23T10:00")
    assert "Every contact: plan.csv" in done.output
    rows = list(csv.DictReader(Path("plan.csv").read_text().splitlines()))
    assert [(row["number"], row["line"], row["refused"]) for row in rows] == [
        ("+12125550111", "", "late"),
        ("+14155550112", "", "late"),
        ("", "3", "number"),
        ("", "5", "duplicate"),
    ]
    assert "2 would have to wait until after the end of the campaign" in done.output


def test_programs_read_json(folder: Path) -> None:
    found = json.loads(plan("--json").output)
    assert (found["calls"], found["refused"], found["reasons"]) == (2, 2, {"number": 1, "duplicate": 1})
    assert found["refused_lines"][0] == {"line": 3, "reason": "number", "text": "no telephone number that can be in use"}


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--attempts", "0"], "rules.toml: attempts"),
        (["--at", "soon"], "--at"),
        (["--require", "colour"], "contacts.csv: there is no column 'colour'"),
        (["--hours", "17-9"], "17-9"),
    ],
)
def test_what_cannot_work_is_one_line(folder: Path, arguments: list[str], error: str) -> None:
    done = plan(*arguments)
    assert done.exit_code == 1
    assert done.output.startswith("Error: ")
    assert error in done.output
    assert len(done.output.splitlines()) == 1


def served(request: httpx.Request) -> httpx.Response:
    if "get-concurrency" in request.url.path:
        return httpx.Response(200, json={"current_concurrency": 0, "concurrency_limit": 1})
    if "get-phone-number" in request.url.path:
        agents = [{"agent_id": "agent_1", "weight": 1}] if request.url.path.endswith("00") else None
        return httpx.Response(200, json={"phone_number": "+14155550100", "outbound_agents": agents, "last_modification_timestamp": 1})
    if "get-agent" in request.url.path:
        return httpx.Response(200, json={"agent_id": "agent_1"})
    assert json.loads(request.content)["filter_criteria"] == {
        "agent": [{"agent_id": "agent_1"}],
        "direction": {"type": "enum", "op": "in", "value": ["outbound"]},
    }
    cost = {"product_costs": [], "total_duration_seconds": 1, "total_duration_unit_price": 1}
    calls = [
        {"call_id": str(number), "call_type": "web_call", "duration_ms": 90_000, "call_cost": {**cost, "combined_cost": number}}
        for number in (10, 20, 30, 40, 50)
    ]
    return httpx.Response(200, json={"items": calls, "has_more": False})


@pytest.fixture
def account(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def use(serve: Any) -> None:
        def client(_: Profile) -> AsyncRetell:
            return AsyncRetell(KEY, base_url=BASE_URL, max_retries=0, http_client=httpx.AsyncClient(transport=httpx.MockTransport(serve)))

        monkeypatch.setenv("RETELL_API_KEY", KEY)
        monkeypatch.setattr(Profile, "client", client)

    return use


@pytest.mark.parametrize("agent", [["--agent", "agent_1"], []])
def test_the_account_says_what_calls_cost_and_how_many_there_may_be(account: Any, agent: list[str]) -> None:
    account(served)
    done = plan(*agent, "--hours", "0-24")
    assert "Cost of one call each: about $0.60 ($0.30 to $0.90), by the last 5 calls of the agent that connected" in done.output
    assert "with calls of 90 s" in done.output
    assert "First calls over: 2026-11-23 00:03 UTC" in done.output  # one after the other


@pytest.mark.parametrize(
    ("serve", "arguments", "why"),
    [
        (served, ["--from", "+14155550101"], "neither the rules nor their numbers have an agent"),
        (lambda _: httpx.Response(401, json={"message": "Invalid API key"}), ["--agent", "agent_1"], "the API did not say: "),
        (
            lambda request: httpx.Response(200, json={"items": [], "has_more": False, "concurrency_limit": 3}),
            ["--agent", "agent_1"],
            "the agent has had too few calls",
        ),
    ],
)
def test_a_cost_that_is_not_known_is_called_unknown(account: Any, serve: Any, arguments: list[str], why: str) -> None:
    account(serve)
    done = plan(*arguments)
    assert done.exit_code == 0
    assert f"Cost: unknown ({why}" in done.output


@pytest.mark.parametrize("status", [404, 422])
def test_a_plan_warns_of_an_agent_and_a_number_that_are_not_there(account: Any, status: int) -> None:
    def serve(request: httpx.Request) -> httpx.Response:
        if "get-agent" in request.url.path or "get-phone-number" in request.url.path:
            return httpx.Response(status, json={"status": "error", "message": "Cannot find it"})
        return httpx.Response(200, json={"items": [], "has_more": False, "concurrency_limit": 3})

    account(serve)
    done = plan("--agent", "agent_nope")
    warnings = [line for line in done.output.splitlines() if line.startswith("Warning: ")]
    assert [warning.partition(": Error code")[0] for warning in warnings] == [
        "Warning: the account has no number +141******00",
        "Warning: the account has no agent agent_nope",
    ]
    assert [f"Warning: {warning}" for warning in json.loads(plan("--agent", "agent_nope", "--json").output)["warnings"]] == warnings


def test_help_and_version() -> None:
    assert "Plan calls to many people by rules" in run("--help").output
    assert __version__ in run("--version").output
    assert run("nonsense").exit_code == 2
    assert "Nobody is called" in run("campaign", "plan", "-h").output


_ARGUMENTS = ["retell-async", "campaign", "plan", "-h"]
_PROGRAM = """
import sys
from importlib.abc import MetaPathFinder

class Missing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {missing!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
sys.argv = ['retell-async', 'campaign', 'plan', '-h']
from retell_async.cli import main
main()
"""


@pytest.mark.soak
@pytest.mark.parametrize(("missing", "extra"), [("click", "cli"), ("phonenumbers", "campaigns")])
def test_one_line_says_which_extra_to_install(missing: str, extra: str) -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM.format(missing=missing)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].endswith(f"pip install 'retell-async[{extra}]'`")
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.soak
@pytest.mark.parametrize("missing", ["dbos", "sqlalchemy"])
def test_a_plan_needs_no_database_and_a_run_says_what_it_lacks(folder: Path, missing: str) -> None:
    program = _PROGRAM.format(missing=missing)
    arguments = ["retell-async", "campaign", "plan", "contacts.csv", "--rules", "rules.toml"]
    done = subprocess.run(
        [sys.executable, "-c", program.replace(repr(_ARGUMENTS), repr(arguments))], capture_output=True, text=True, check=False
    )
    assert (done.returncode, "2 of 4 contacts would be called" in done.stdout) == (0, True), done.stderr
    arguments = ["retell-async", "campaign", "run", "spring.db", "contacts.csv", "--rules", "rules.toml"]
    program = "import os; os.environ['RETELL_API_KEY'] = 'key_1'\n" + program.replace(repr(_ARGUMENTS), repr(arguments))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert (
        done.stderr.strip()
        .splitlines()[-1]
        .endswith(f"{missing} is missing: retell_async.campaigns needs `pip install 'retell-async[campaigns]'`")
    )
    assert "Traceback" not in done.stderr


@pytest.mark.soak
def test_help_loads_no_part() -> None:
    program = "import sys; sys.argv = ['retell-async', '-h']; from retell_async.cli import main\ntry: main()\nexcept SystemExit: pass\n"
    program += "sys.exit(' '.join(name for name in sys.modules if 'campaign' in name or name == 'phonenumbers'))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


def test_rules_that_let_people_be_called_at_night_say_so(folder: Path) -> None:
    Path("rules.toml").write_text('numbers = ["+14155550100"]\n')
    said = "People are called at any hour, of their night too, unless --hours or --legal say less."
    assert said in plan().output
    assert said in plan("--hours", "mon-sun 0-24").output
    assert json.loads(plan("--json").output)["at_any_hour"]
    assert said not in plan("--legal", "us").output
    assert said not in plan("--hours", "9-17").output


def test_a_campaign_is_not_made_without_a_key(folder: Path) -> None:
    done = run("campaign", "run", "spring.db", "contacts.csv", "--rules", "rules.toml")
    assert (done.exit_code, Path("spring.db").exists()) == (1, False)
    assert "RETELL_API_KEY" in done.output


def test_rules_may_begin_with_a_byte_order_mark(folder: Path) -> None:
    Path("rules.toml").write_text(RULES, encoding="utf-8-sig")
    assert plan().exit_code == 0


@pytest.mark.needs("signals")
@pytest.mark.parametrize("machine", ["UTC", "Asia/Tokyo"])
def test_times_are_by_the_campaigns_clock_and_not_by_the_machines(folder: Path, monkeypatch: pytest.MonkeyPatch, machine: str) -> None:
    monkeypatch.setenv("TZ", machine)
    time.tzset()
    try:
        Path("rules.toml").write_text(f'zone = "America/New_York"\n{RULES}')
        done = plan("--at", "2026-11-23T09:30", "--until", "2026-11-23T10:00", "--json")
        assert json.loads(done.output)["ends_at"] == "2026-11-23T14:32:00+00:00"
        assert json.loads(done.output)["late"] == 1
        assert "2026-11-23 09:00 EST" in plan("--at", "2026-11-23").output  # a day begins with its beginning
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_plan_says_which_caps_hold_calls_back(folder: Path) -> None:
    Path("rules.toml").write_text(f"calls_per_day = 1\n{RULES}")
    done = plan()
    assert done.output.splitlines()[-1] == "Held back by calls_per_day: 1 calls, which are reached on 2 days"
    Path("rules.toml").write_text('numbers = [{number = "+14155550100", per_day = 1}]\nhours = "mon-fri 9-17"\n')
    assert "Held back by per_day of +141******00: 1 calls" in plan().output
    assert json.loads(plan("--json").output)["caps"]


@pytest.mark.parametrize(("file", "name"), [("ümlaut.db", "umlaut"), ("my spring.db", "my-spring"), ("春.db", "campaign")])
def test_a_campaign_is_called_as_its_file_in_letters_of_a_key(file: str, name: str) -> None:
    assert module._name_of(Path(file)) == name


@pytest.mark.parametrize("note", ["", "+141******00 places no more calls, since the API refuses all of them: agent not found"])
def test_a_run_that_paused_by_itself_has_an_exit_status_of_its_own(folder: Path, monkeypatch: pytest.MonkeyPatch, note: str) -> None:
    async def ran(campaign: Any, client: AsyncRetell) -> None:
        store = Store(Database("spring.db"))
        store.set_status("paused", note)

    monkeypatch.setenv("RETELL_API_KEY", KEY)
    monkeypatch.setattr(module, "_run", ran)
    Path("never.txt").write_text("+12125550111\n")
    done = run("campaign", "run", "spring.db", "contacts.csv", "--rules", "rules.toml", *(["--do-not-call", "never.txt"] if note else []))
    lines = done.output.splitlines()
    assert done.exit_code == (3 if note else 0)
    assert ("It paused by itself. Mend what is said above, then go on with: " if note else "Go on with: ") in lines[-1]
    listed = "1 number is on lists and not called" if note else "no list of numbers that are not called was named"
    assert any(line.endswith(f"lines were refused; {listed}") for line in lines)


@pytest.mark.parametrize("reason", ["", "a call ended with error_no_audio_received"])
def test_a_run_of_what_somebody_paused_says_how_it_is_resumed(folder: Path, monkeypatch: pytest.MonkeyPatch, reason: str) -> None:
    async def ran(campaign: Any, client: AsyncRetell) -> None:
        if reason:
            Store(Database("spring.db")).set_status("paused", reason)
        Campaign("spring.db").pause()

    monkeypatch.setenv("RETELL_API_KEY", KEY)
    monkeypatch.setattr(module, "_run", ran)
    done = run("campaign", "run", "spring.db", "contacts.csv", "--rules", "rules.toml")
    assert done.exit_code == 0
    assert done.output.splitlines()[-1] == "Go on with: retell-async campaign run --resume spring.db"
    assert f"spring: paused ({reason + '; ' if reason else ''}until it is resumed): " in done.output


def test_status_says_which_caps_hold_calls_back(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Campaign.make("spring.db", "spring", read_settings(None, {"numbers": ["+14155550100"], "calls_per_day": 1}), _people())
    store = Store(Database("spring.db"))
    store.set_status("running")
    worker, _ = store.enter(alone=True)
    intent = store.next_intent(1)
    assert isinstance(intent, Intent)
    store.turn(intent.key, worker, lease=15.0, live=1, first=True)
    done = run("campaign", "status", "spring.db").output.splitlines()
    assert done == [
        "spring: running: live 1, waiting 1",
        "Held back by calls_per_day: the campaign has placed its 1 calls of the day",
    ]
    assert json.loads(run("campaign", "status", "spring.db", "--json").output)["caps"]


def _people() -> list[Contact]:
    return [Contact(id=str(person), number=f"+1212555{person:04}", zones=("America/New_York",)) for person in range(2)]


@pytest.mark.parametrize("name", ["contacts.csv", "rules.toml", "never.txt", "opted-out.txt"])
def test_what_a_plan_is_made_of_is_not_overwritten(folder: Path, name: str) -> None:
    Path("rules.toml").write_text(f'{RULES}opt_outs = "opted-out.txt"\n')
    for each in ("never.txt", "opted-out.txt"):
        Path(each).write_text("+12125550199\n")
    before = Path(name).read_text()
    done = plan("--do-not-call", "never.txt", "--out", name)
    assert (done.exit_code, done.output.startswith(f"Error: {name}: it would be overwritten, and it is read here")) == (1, True)
    assert Path(name).read_text() == before
