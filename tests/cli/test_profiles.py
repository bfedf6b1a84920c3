"""Whose workspace it is: the same for all commands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from retell_async.cli.group import retell_async

ROOT = Path(__file__).parents[2]

ASKING = [
    "agent list",
    "archive sync calls.db",
    "call follow call_1",
    "call place +14155550123 --yes",
    "campaign plan contacts.csv --from +14155550100",
    "campaign run spring.db contacts.csv --from +14155550100",
    "doctor",
    "logs",
    "mcp",
    "test run --llm llm_1",
    "webhooks listen",
    "webhooks resend --since 1h",
    "webhooks trigger call_ended",
]


@pytest.mark.parametrize("way", ["option", "environment"])
@pytest.mark.parametrize("command", ASKING)
def test_a_profile_without_a_key_is_never_another_one(command: str, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("contacts.csv").write_text("number\n+14155550123\n")
    env = {"RETELL_API_KEY": "key_of_another", "RETELL_BASE_URL": "http://127.0.0.1:9"}
    words = command.split()
    if way == "option":
        words += ["--profile", "staging"]
    else:
        env["RETELL_PROFILE"] = "staging"
    done = CliRunner().invoke(retell_async, words, env=env)
    assert (done.exit_code, "RETELL_API_KEY_STAGING" in done.output) == (1, True), done.output
    assert [file.name for file in tmp_path.iterdir()] == ["contacts.csv"]


@pytest.mark.parametrize("command", ["agent delete agent_1 --yes", "config pull", "mcp", "doctor"])
def test_an_empty_profile_is_not_the_default_one(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = command.split()
    words[1 if words[0] == "config" else len(words) : 0] = ["--profile", ""]
    env = {"RETELL_API_KEY": "key_of_another", "RETELL_PROFILE": "staging", "RETELL_BASE_URL": "http://127.0.0.1:9"}
    done = CliRunner().invoke(retell_async, words, env=env)
    assert (done.exit_code, "a profile is named by letters" in done.output) == (1, True), done.output


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("profile: 3\n", "environments/prod.yaml:1: profile: is no text"),
        ("variables: {}\nprofile:\n", "environments/prod.yaml:2: profile: is no text"),
        ("- profile: prod\n", "environments/prod.yaml:1: holds no settings"),
        ("profile: [\n", "environments/prod.yaml:2: "),
    ],
)
@pytest.mark.parametrize("command", ["pull", "plan", "backup"])
def test_an_environment_that_cannot_be_read_is_not_the_default_one(
    said: str, error: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "retell/environments/prod.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(said)
    done = CliRunner().invoke(
        retell_async, ["config", "--env", "prod", command], env={"RETELL_API_KEY": "key", "RETELL_BASE_URL": "http://127.0.0.1:9"}
    )
    assert (done.exit_code, error in done.output) == (1, True), done.output


def test_clients_are_made_in_one_place() -> None:
    files = (ROOT / "retell_async" / "cli").rglob("*.py")
    assert [file.name for file in files if re.search(r"\bAsyncRetell\(", file.read_text(encoding="utf-8"))] == ["profiles.py"]


def test_a_plan_needs_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("contacts.csv").write_text("number\n+14155550123\n")
    done = CliRunner().invoke(retell_async, ["campaign", "plan", "contacts.csv", "--from", "+14155550100"])
    assert (done.exit_code, "RETELL_API_KEY is not set" in done.output) == (0, True), done.output
