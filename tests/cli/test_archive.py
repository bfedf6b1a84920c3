from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import exc

from retell_async import ConfigurationError
from retell_async.archive import Archive, database
from retell_async.cli.group import retell_async
from retell_async.webhooks import parse_event


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(retell_async, ["archive", *arguments])
    return done.exit_code, done.output


@pytest.mark.soak
@pytest.mark.parallel
@pytest.mark.parametrize("missing", ["sqlalchemy", "aiosqlite"])
def test_one_line_says_which_extra_to_install(missing: str) -> None:
    program = (
        f"import sys; sys.modules[{missing!r}] = None; from retell_async.cli import main; sys.argv = ['', 'archive', '--help']; main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    said = f"Error: {missing} is missing: retell_async.archive needs `pip install 'retell-async[archive]'`\n"
    assert (done.returncode, done.stderr) == (1, said)


async def fill(path: Path) -> None:
    call = {
        "call_id": "call_1",
        "agent_id": "agent_1",
        "call_status": "ended",
        "to_number": "+14155550101",
        "start_timestamp": 1_790_000_000_000,
        "end_timestamp": 1_790_000_060_000,
        "transcript": "Agent: Half past four?\nUser: Good\x1b[2J.",
    }
    async with Archive(path) as archive:
        await archive.inbox.put(parse_event(json.dumps({"event": "call_ended", "call": call})))
        await archive.drain()


@pytest.mark.asyncio
async def test_the_command_shows_what_is_there(tmp_path: Path) -> None:
    from anyio import to_thread

    file = tmp_path / "calls.db"
    await fill(file)

    def commands() -> None:
        at = str(file)
        assert "agent_1,1,1.0,0.0,1" in run("query", at, "cost")[1]
        assert json.loads(run("query", at, "cost", "--json")[1])["conversations"] == 1
        assert run("query", at, "cost", "--until", "2020-01-01") == (0, "")
        assert "agent: Half past four?" in run("search", at, "half past")[1]
        assert "\x1b" not in run("search", at, "good")[1]
        assert run("export", at, "utterances")[1].count("\n") == 3
        assert json.loads(run("record", at, "call_1")[1])["status"] == "ended"
        assert run("status", at) == (0, "done 1\n")
        assert run("failed", at) == (0, "")
        assert run("retry", at) == (0, "0 events are handled again\n")
        assert run("erase", at, "+14155550101", "--yes")[1].endswith("call_1\n")
        assert run("record", at, "call_1") == (1, "Error: there is no call or chat call_1\n")
        whole = "Error: the number must be whole, with its country code: a plus and all of its digits\n"
        assert run("erase", at, "4155550101", "--yes") == (1, whole)
        for hours in ("nan", "2000", "-inf"):
            assert f"no clock is {hours} hours from UTC" in run("query", at, "cost", f"--utc-offset={hours}")[1]
        assert run("search", at, "half", "--limit", "-5") == (1, "Error: limit must be at least 1, not -5\n")
        assert run("search", at, "half", "--limit", "9" * 20)[0] == 0

    await to_thread.run_sync(commands)


@pytest.mark.asyncio
async def test_a_file_that_another_program_locks_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from anyio import to_thread

    file = tmp_path / "calls.db"
    await fill(file)
    monkeypatch.setattr(database, "_PATIENCE", 0.01)
    with closing(sqlite3.connect(file, isolation_level=None)) as viewer:
        viewer.execute("BEGIN IMMEDIATE")
        code, said = await to_thread.run_sync(run, "erase", str(file), "+14155550101", "--yes")
        assert (code, said.startswith(f"Error: {file}: another program keeps it locked"), said.count("\n")) == (1, True, 1)
        assert (await to_thread.run_sync(run, "status", str(file)))[0] == 0


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("query", "missing.db", "cost"), "there is no such file"),
        (("query", "mysql://host/x", "cost"), "SQLite or in Postgres"),
        (("status", "postgresql://[::1"), "the address of the database is none"),
    ],
)
def test_what_is_wrong_is_one_line(arguments: tuple[str, ...], error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, output = run(*arguments)
    assert code == 1
    assert error in output
    assert output.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.asyncio
@pytest.mark.parametrize("end", ["", "-wal"])
@pytest.mark.parametrize("format", ["csv", "parquet"])
async def test_an_archive_is_not_overwritten_by_what_it_exports(tmp_path: Path, end: str, format: str) -> None:
    from anyio import to_thread

    file = tmp_path / "calls.db"
    await fill(file)
    code, output = await to_thread.run_sync(lambda: run("export", str(file), "calls", "--format", format, "--out", f"{file}{end}"))
    assert (code, "it would be overwritten, and it is read here" in output) == (1, True)
    async with Archive(file) as archive:
        assert await archive.record("call_1") is not None


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


@pytest.mark.asyncio
async def test_an_export_stays_where_the_next_one_breaks_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, folder = tmp_path / "calls.db", tmp_path / "out"
    folder.mkdir()
    out = folder / "calls.csv"
    await fill(file)

    def breaks(rows: object, of: object) -> None:
        raise OSError("no space left")

    async with Archive(file) as archive:
        await archive.export("calls", out)
        before = out.read_text()
        monkeypatch.setattr("retell_async.archive.queries.export._Csv.write", breaks)
        with pytest.raises(OSError, match="no space left"):
            await archive.export("calls", out)
    assert out.read_text() == before
    assert names(folder) == ["calls.csv"]


def test_the_database_of_another_program_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "other.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE orders (id)")
    before = file.read_bytes()
    for arguments in (["status", str(file)], ["query", str(file), "cost"], ["sync", str(file), "--sandbox"]):
        said = f"Error: {file}: it is the database of another program, which has 'orders': name another file\n"
        assert run(*arguments) == (1, said)
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


def test_where_there_is_no_archive_none_is_made_to_be_read(tmp_path: Path) -> None:
    file = tmp_path / "empty.db"
    file.touch()
    said = f"Error: {file}: there is no archive in this database: `retell-async archive sync` makes one\n"
    for _ in range(2):
        assert run("status", str(file)) == (1, said)


def test_on_a_full_disk_the_next_step_is_said(tmp_path: Path) -> None:
    full = exc.OperationalError("INSERT", {}, sqlite3.OperationalError("database or disk is full"))
    with pytest.raises(ConfigurationError, match="full: make room, and run it again: what was written is kept"), database.clearly(tmp_path):
        raise full
