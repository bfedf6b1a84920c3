"""Output that cannot be written: what was carried out is never taken for what was not."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from io import BufferedWriter, BytesIO, RawIOBase, TextIOWrapper
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from retell_async.campaigns import Campaign, Contact, read_settings
from retell_async.cli import main
from retell_async.cli.operations.sending import UNTOLD

from .account import Account

NUMBER = "+14155550123"
Run = Callable[..., tuple[int, str]]


class Broken(RawIOBase):
    """Takes nothing."""

    def __init__(self, number: int) -> None:
        self.number = number

    def writable(self) -> bool:
        return True

    def write(self, _: object) -> int:
        raise OSError(self.number, os.strerror(self.number))


def stream(number: int | None = None) -> TextIOWrapper:
    return TextIOWrapper(BytesIO() if number is None else BufferedWriter(Broken(number)), encoding="utf-8")


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Account:
    monkeypatch.setenv("RETELL_API_KEY", "key_of_the_test")
    monkeypatch.setattr("retell_async.cli.by_hand.calls._EVERY", 0.02)
    return Account(monkeypatch)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command with an output that breaks so; its status, and what it says."""

    def run(number: int, *arguments: str, err: int | None = None) -> tuple[int, str]:
        shown = stream(err)
        for name, made in (("stdout", stream(number)), ("stderr", shown)):
            monkeypatch.setattr(sys, name, made)
        monkeypatch.setattr(sys, "argv", ["retell-async", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        sys.stdout.flush()  # as the interpreter does at its end
        sys.stderr.flush()
        said = ended.value.code
        told = shown.buffer.getvalue().decode() if isinstance(shown.buffer, BytesIO) else ""
        return (1, told + said) if isinstance(said, str) else (int(said or 0), told)

    return run


PLACE = [
    ["call", "create-phone-call", "--from-number", "FROM", "--to-number", NUMBER],
    ["call", "create-phone-call", "--from-number", "FROM", "--to-number", NUMBER, "--json"],
    ["call", "place", NUMBER],
    ["call", "place", NUMBER, "--follow"],
]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EPIPE, errno.EIO])
@pytest.mark.parametrize("words", PLACE, ids=" ".join)
def test_a_call_that_was_placed_is_no_failure(account: Account, run: Run, words: list[str], number: int) -> None:
    code, said = run(number, *(account.made.phone_number if word == "FROM" else word for word in words), "--yes")
    account.local.assert_placed(NUMBER)
    assert code == UNTOLD, said
    assert "call_id call_" in said
    assert os.strerror(number) in said
    assert "Traceback" not in said


def test_what_was_made_or_changed_is_named(account: Account, run: Run) -> None:
    code, said = run(errno.ENOSPC, "llm", "create", "--general-prompt", "Hi")
    assert (code, "llm create was carried out: llm_id llm_" in said) == (UNTOLD, True)
    code, said = run(errno.ENOSPC, "phone-number", "create", "--area-code", "415", "--yes")
    assert (code, "phone-number create was carried out: phone_number +141***" in said) == (UNTOLD, True), said
    code, said = run(errno.ENOSPC, "voice", "list")
    assert (code, said) == (1, "Error: the output cannot be written: No space left on device")
    assert run(errno.EPIPE, "voice", "list", "--json") == (1, "")  # as of `head`
    assert run(errno.ENOSPC, "--help")[0] == 1


def test_a_call_that_cannot_be_followed_was_placed(account: Account) -> None:
    account.local.fault("error", operation="getCall", status=404)
    done = account.run("call", "place", NUMBER, "--yes", "--follow")
    account.local.assert_placed(NUMBER)
    assert done.exit_code == UNTOLD
    assert done.stdout.strip() in done.stderr


def test_messages_that_cannot_be_written_change_nothing(account: Account, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(errno.ENOSPC, "call", "place", NUMBER, "--yes", err=errno.ENOSPC)[0] == UNTOLD
    monkeypatch.setattr(sys, "stdout", stream())
    monkeypatch.setattr(sys, "stderr", stream(errno.ENOSPC))
    monkeypatch.setattr(sys, "argv", ["retell-async", "agent", "delete", account.made.agent_id, "--yes"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0


def test_closed_streams(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["retell-async", "call", "place", NUMBER])
    for name in ("stdin", "stderr"):
        monkeypatch.setattr(sys, name, None)
    monkeypatch.setattr(sys, "stdout", stream())
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1  # there is nobody to ask
    made: Any = sys.stderr
    made.buffer.raw._whole.close()
    sys.stdin.close()
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "argv", ["retell-async", "call", "place", NUMBER, "--yes"])
    with pytest.raises(SystemExit, match="is closed, so nothing was done"):
        main()
    assert not account.local.placed


def test_a_pipe_that_does_not_wait_loses_nothing(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    got: list[bytes] = []

    def read() -> None:
        while piece := os.read(reading, 1000):
            got.append(piece)

    reader = Thread(target=read)
    with os.fdopen(writing, "w", encoding="utf-8") as piped:
        monkeypatch.setattr(sys, "stdout", piped)
        account.local.create_fixtures(agent_name="A" * 300_000)
        monkeypatch.setattr(sys, "argv", ["retell-async", "agent", "list", "--json"])
        reader.start()
        with pytest.raises(SystemExit) as ended:
            main()
    reader.join()
    os.close(reading)
    assert ended.value.code == 0
    assert b"".join(got).endswith(b"]\n")
    assert len(b"".join(got)) > 300_000


def test_a_campaign_that_was_changed_says_so(run: Run, tmp_path: Path) -> None:
    file = str(tmp_path / "spring.db")
    people = [Contact(id="1", number="+12125550111", zones=("America/New_York",))]
    Campaign.make(file, "spring", read_settings(None, {"numbers": ["+14155550100"]}), people)
    for command, status in (("pause", UNTOLD), ("status", 1), ("resume", UNTOLD), ("report", 1), ("retry", UNTOLD), ("cancel", UNTOLD)):
        code, said = run(errno.ENOSPC, "campaign", command, file)
        assert (code, "No space left on device" in said) == (status, True), (command, said)


def test_whom_an_archive_has_erased_is_said(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "calls.db"

    async def fill() -> None:
        from retell_async.archive import Archive
        from retell_async.webhooks import parse_event

        call = '{"call_id": "call_1", "call_status": "ended", "to_number": "+14155550101", "start_timestamp": 1, "end_timestamp": 2}'
        async with Archive(file) as archive:
            await archive.inbox.put(parse_event(f'{{"event": "call_ended", "call": {call}}}'))
            await archive.drain()

    import anyio

    anyio.run(fill)
    for arguments, status in (
        (["export", str(file), "calls"], 1),
        (["erase", str(file), "+14155550101", "--yes"], UNTOLD),
        (["forget", str(file), "1d", "--yes"], UNTOLD),
    ):
        code, said = run(errno.ENOSPC, "archive", *arguments)
        assert (code, "No space left on device" in said) == (status, True), (arguments, said)
        assert ("The API has these still: call_1." in said) == (arguments[0] == "erase")
