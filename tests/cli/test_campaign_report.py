"""``retell-async campaign report`` and ``do-not-call``, as people type them."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result as Done

from retell_async import ConfigurationError
from retell_async.campaigns import Campaign, Contact, Number, Result, Rules, Settings
from retell_async.campaigns.durable.database import Database
from retell_async.campaigns.durable.store import Intent, Store
from retell_async.campaigns.durable.tables import attempts, workers
from retell_async.cli.display import refusals
from retell_async.cli.group import retell_async

NOW = 1_796_061_600.0


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a campaign of three contacts: one was reached, one is being called, and of the third the request is not sent yet."""
    monkeypatch.chdir(tmp_path)
    settings = Settings(rules=Rules(numbers=[Number("+14155550100", per_second=100)], zone="America/New_York"))
    people = [Contact(id=str(person), number=f"+1212555{person:04}", zones=("America/New_York",)) for person in range(3)]
    Campaign.make("spring.db", "spring", settings, people)
    now = NOW
    store = Store(Database("spring.db"), clock=lambda: now)
    store.set_status("running")
    worker, _ = store.enter(alone=True)
    keys: list[str] = []
    for _ in people:
        intent = store.next_intent(len(people))
        assert isinstance(intent, Intent)
        keys.append(intent.key)
    for key in keys[:2]:
        store.turn(key, worker, lease=15.0, live=3, first=True)
    now += 60
    store.settle(keys[0], Result("user_hangup", connected=True), duration_ms=60_000.0, cents=12.5)
    return tmp_path


def report(*arguments: str) -> Done:
    return CliRunner().invoke(retell_async, ["campaign", "report", "spring.db", *arguments], catch_exceptions=False)


def test_a_page_for_people_is_written(folder: Path) -> None:
    done = report("--html", "spring.html")
    assert (done.exit_code, done.output) == (0, "")
    text = Path("spring.html").read_text(encoding="utf-8")
    for figure in ("<h1>spring</h1>", "running, as of", "33.3% done", "$0.12 a contact reached", "13 to 14 h", "+141******00"):
        assert figure in text
    assert "+12125550000" not in text


def test_a_page_and_the_attempts_in_one_go(folder: Path) -> None:
    assert report("--html", "spring.html", "--out", "spring.csv").output == ""
    assert Path("spring.html").is_file()
    assert [row["result"] for row in csv.DictReader(Path("spring.csv").read_text().splitlines())] == ["user_hangup", "", ""]
    rows = json.loads(report("--format", "json").output)
    assert [row["contact_end"] for row in rows] == ["reached", None, None]  # that of the contact, and `result` that of the attempt
    assert [row["sent_at"] is not None for row in rows] == [True, True, False]
    assert all(row["planned_at"] for row in rows)
    assert all("text" in row for row in rows)


def test_a_number_is_not_called_any_more(folder: Path) -> None:
    def forbid(*numbers: str) -> Done:
        return CliRunner().invoke(retell_async, ["campaign", "do-not-call", "spring.db", *numbers], catch_exceptions=False)

    assert forbid("+12125550002", "+1 212 555 0111").exit_code == 0
    assert sorted(Store(Database("spring.db")).untold()) == ["+12125550002", "+12125550111"]
    assert forbid("2125550002").output.startswith("Error: number 1 of 1, '2125****02': no telephone number: it has no country code")


@pytest.mark.parametrize("option", ["--html", "--out"])
def test_a_file_that_cannot_be_written_is_one_line(folder: Path, option: str) -> None:
    done = report(option, "nowhere/spring")
    assert (done.exit_code, done.output) == (1, "Error: Could not open file 'nowhere/spring': No such file or directory\n")


@pytest.mark.parametrize("name", ["spring.db", "spring.db-wal", "spring.db-run", "link.db"])
@pytest.mark.parametrize("option", ["--html", "--out"])
@pytest.mark.needs("symlink")
def test_the_campaign_is_not_overwritten_by_its_report(folder: Path, option: str, name: str) -> None:
    Path("link.db").symlink_to("spring.db")
    before = Path("spring.db").read_bytes()
    done = report(option, name)
    assert (done.exit_code, done.output.startswith(f"Error: {name}: it would be overwritten, and it is read here (spring.db")) == (1, True)
    assert Path("spring.db").read_bytes() == before
    assert len(Campaign("spring.db").attempts()) == 3


def test_a_page_and_the_attempts_are_two_files(folder: Path) -> None:
    assert report("--html", "spring.out", "--out", "spring.out").exit_code == 1
    assert not Path("spring.out").exists()


def test_a_page_stays_where_the_next_one_cannot_be_made(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("spring.html").write_text("yesterday's")

    def fails(campaign: Campaign) -> str:
        raise ConfigurationError("the database did not do it")

    monkeypatch.setattr(Campaign, "report", fails)
    assert report("--html", "spring.html").exit_code == 1
    assert Path("spring.html").read_text() == "yesterday's"


def campaign(*arguments: str) -> Done:
    return CliRunner().invoke(retell_async, ["campaign", *arguments], catch_exceptions=False)


def stored(store: Store, *, refused: Sequence[str] = ()) -> None:
    """Have the API refuse the calls that are begun, with these words, one after the other."""
    for begun, text in zip([each for each in store.open_attempts() if each.sent_at is None], refused, strict=True):
        store.settle(begun.key, Result("not_placed", text=text, for_good=True))


def test_what_the_api_said_of_those_it_refused_stands_below_the_status(folder: Path) -> None:
    stored(Store(Database("spring.db"), clock=lambda: NOW), refused=["no agent agent_nope for +12125550002\x1b[2J"])
    lines = campaign("status", "spring.db").output.splitlines()
    assert lines[0] == "spring: running: live 1, reached 1, refused 1"
    assert lines[1].startswith("Refused 1: no agent agent_nope for +121******02")
    assert "\x1b" not in lines[1]
    found = json.loads(campaign("status", "spring.db", "--json").output)
    assert [one["contacts"] for one in found["refusals"]] == [1]


def test_what_was_refused_with_many_words_is_told_in_short() -> None:
    found = [("one", 7), ("two", 5), ("three", 2), ("four", 1), ("five", 1)]
    assert refusals(found) == ["Refused 7: one", "Refused 5: two", "Refused 2: three", "Refused 2 with other words, which the report has"]


def test_a_campaign_that_no_process_runs_says_so_and_how_to_go_on(folder: Path) -> None:
    with Database("spring.db").durable.begin() as connection:
        connection.execute(sa.update(workers).values(beat_at=time.time()))
    assert "No process" not in campaign("status", "spring.db").output
    assert json.loads(campaign("status", "spring.db", "--json").output)["is_run"]
    with Database("spring.db").durable.begin() as connection:
        connection.execute(sa.update(workers).values(beat_at=time.time() - 600))
    again = "Go on with: retell-async campaign run spring.db"
    assert (
        campaign("status", "spring.db").output.splitlines()[-1] == f"No process runs it, and the last one was heard of 10 min ago. {again}"
    )
    assert not json.loads(campaign("status", "spring.db", "--json").output)["is_run"]
    store = Store(Database("spring.db"))
    store.leave(1)
    assert campaign("status", "spring.db").output.splitlines()[-1] == f"No process runs it. {again}"
    campaign("pause", "spring.db")
    paused = f"No process runs it. {again.replace('run', 'run --resume')}"
    assert campaign("status", "spring.db").output.splitlines()[-1] == paused
    assert campaign("resume", "spring.db").output.splitlines()[-1] == f"No process runs it. {again}"
    followed = "No process runs it. Follow 1 call to the end with: retell-async campaign run spring.db"
    assert campaign("cancel", "spring.db").output.splitlines()[-1] == followed
    for begun in store.open_attempts():
        store.settle(begun.key, Result("reached"))
    assert "No process" not in campaign("status", "spring.db").output


def test_a_campaign_that_is_done_is_not_cancelled(folder: Path) -> None:
    Store(Database("spring.db")).set_status("done")
    done = campaign("cancel", "spring.db")
    assert (done.exit_code, done.output) == (1, "Error: the campaign spring is done: it calls nobody, and there is nothing to cancel\n")
    assert Campaign("spring.db").state().status == "done"


def test_a_program_reads_what_is_stored(folder: Path) -> None:
    with Database("spring.db").durable.begin() as connection:
        connection.execute(sa.update(attempts).where(attempts.c.contact_id == "0").values(text="\x1b[2J"))
    assert "\x1b" in report().output  # as a program reads it


def test_who_is_called_no_more_does_not_wait(folder: Path) -> None:
    def run(*arguments: str) -> str:
        return CliRunner().invoke(retell_async, ["campaign", *arguments], catch_exceptions=False).output

    assert "waiting 1" in run("status", "spring.db")
    run("cancel", "spring.db")
    assert "spring: cancelled: live 1, reached 1, given up 1" in run("status", "spring.db")
    assert json.loads(run("status", "spring.db", "--json"))["counts"]["waiting"] == 1
