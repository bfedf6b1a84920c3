"""What a doctor finds, of values; and of a sandbox."""

from __future__ import annotations

from email.utils import formatdate
from typing import Any

import httpx
import pytest

from retell_async import APIConnectionError, AuthenticationError
from retell_async.cli.by_hand.doctor import clock, extras, limits, proxies, reached, unreached, versions

from ..account import Account

REQUEST = httpx.Request("GET", "https://api.retellai.com/get-api-key-info")


@pytest.mark.parametrize(
    ("off", "state", "said"),
    [(0, "ok", "as the server's"), (20, "ok", "20 s ahead of"), (-60, "look", "60 s behind"), (200, "wrong", "webhooks are refused")],
)
def test_clocks(off: float, state: str, said: str) -> None:
    now = 1_790_000_000
    found = clock(formatdate(now, usegmt=True), now + off)
    assert (found.state, said in found.text) == (state, True)
    assert clock(None, now).state == "look"


def test_proxies_without_their_secrets() -> None:
    assert proxies({"PATH": "/"}) == []
    (found,) = proxies({"HTTPS_PROXY": "http://me:hush@proxy:3128", "no_proxy": "localhost"})
    assert found.text == "HTTPS_PROXY=http://***@proxy:3128, no_proxy=localhost"


def test_the_rest() -> None:
    assert [limits(*given).state for given in ((0, 20), (16, 20), (None, None))] == ["ok", "look", "look"]
    assert [reached(seconds).state for seconds in (0.1, 5)] == ["ok", "look"]
    assert "Python" in versions().text
    response = httpx.Response(401, request=REQUEST)
    refused: Any = AuthenticationError("no", response=response, body=None)
    assert unreached(refused).what == "key"
    assert "retell-async sandbox" in unreached(APIConnectionError(message="refused", request=REQUEST), sandbox=True).text


def test_an_extra_is_named_if_all_of_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "retell_async.cli.by_hand.doctor.requires",
        lambda _: [
            "attrs>=25",
            "click>=8.2; extra == 'cli'",
            "rich[all]<15,>=14.3; extra == 'cli'",
            "click>=8.2; extra == 'other'",
            "not-there-at-all>=1; extra == 'other'",
            "not-there-at-all; (sys_platform == 'win32') and extra == 'cli'",
        ],
    )
    assert extras() == ["cli"]
    assert "extras: cli" in versions().text


def test_on_a_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    account = Account(monkeypatch, speed=1)
    done = account.run("doctor")
    assert done.exit_code == 0, done.output
    assert "limits" in done.stdout
    account.local.fault("error", status=401)
    wrong = account.run("doctor")
    assert wrong.exit_code == 1
    assert "does not let it in (401)" in wrong.stdout
    assert " is wrong" in wrong.stderr
