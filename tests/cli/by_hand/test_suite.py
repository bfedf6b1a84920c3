"""Test cases of agents: files, runs, reports, and what became worse."""

from __future__ import annotations

import errno
import json
import os
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from retell_async import ConfigurationError
from retell_async.cli.by_hand.cases import Case, Result, changes, compared, junit, read_cases, results
from retell_async.cli.operations.sending import UNTOLD

from ..account import Account

CASE: dict[str, Any] = {"name": "Books", "user_prompt": "You want Tuesday.", "metrics": ["It offers a time"]}
MOCK: dict[str, Any] = {"tool_name": "a", "input_match_rule": {"type": "any"}, "output": "{}", "result": None}
TOML = """
[[cases]]
name = "Refuses"
user_prompt = "What is my rash?"
metrics = ["No diagnosis"]
"""
YAML = """
- name: Is polite
  user_prompt: You are rude.
  metrics: [It stays polite]
  dynamic_variables: {name: Ann}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.json").write_text(json.dumps(CASE))
    (tmp_path / "b.toml").write_text(TOML)
    (tmp_path / "c.yaml").write_text(YAML)
    (tmp_path / "notes.txt").write_text("nothing")
    return tmp_path


def test_files_hold_cases(folder: Path) -> None:
    assert [case.name for case in read_cases([folder])] == ["Books", "Refuses", "Is polite"]
    assert [case.name for case in read_cases([folder / "c.yaml", folder / "a.json"])] == ["Is polite", "Books"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", r"x\.json: Expecting"),
        ("[]", "there is no test case"),
        ("[1]", "a test case is an object with"),
        (json.dumps({**CASE, "promt": "x"}), r"x\.json: Books: promt is no field of a test case"),
        (json.dumps({**CASE, "metrics": []}), r"x\.json: Books needs metrics"),
        (json.dumps([CASE, {**CASE, "name": "Two", "metrics": "c"}]), r"x\.json: Two: metrics must be a list"),
        (json.dumps({**CASE, "metrics": ["a", 1]}), r"x\.json: Books: metrics\[1\] must be a text"),
        (json.dumps({**CASE, "name": 3}), r"x\.json: 3: name must be a text"),
        (json.dumps({**CASE, "llm_model": "gpt"}), r"x\.json: Books: llm_model must be one of claude"),
        (json.dumps({**CASE, "dynamic_variables": {"a": 1}}), r"Books: dynamic_variables\.a must be a text"),
        (json.dumps({**CASE, "tool_mocks": [{"tool_name": "a"}]}), r"Books: tool_mocks\[0\] needs input_match_rule"),
        (json.dumps({**CASE, "tool_mocks": [MOCK | {"result": "no"}]}), r"Books: tool_mocks\[0\]\.result must be true or false or null"),
        (
            json.dumps({**CASE, "tool_mocks": [MOCK | {"input_match_rule": {"type": "some"}}]}),
            r"input_match_rule\.type must be one of any, partial_match",
        ),
        (json.dumps({**CASE, "tool_mocks": [MOCK | {"outptu": ""}]}), r"tool_mocks\[0\] has no field outptu: output"),
        (json.dumps([CASE, CASE]), "a test case 'Books' is in"),
    ],
)
def test_what_is_wrong_in_a_file_is_said_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ConfigurationError, match=said):
        read_cases([tmp_path / "x.json"])


def test_what_may_be_said_of_a_case_is_taken(tmp_path: Path) -> None:
    mocks = [MOCK, {**MOCK, "input_match_rule": {"type": "partial_match", "args": {"a": [1, {"b": None}]}}}]
    whole = {**CASE, "dynamic_variables": {"a": "b"}, "llm_model": "gpt-5", "tool_mocks": mocks}
    (tmp_path / "x.json").write_text(json.dumps(whole))
    assert read_cases([tmp_path / "x.json"])[0].fields == whole


def test_only_what_differs_is_written() -> None:
    case = Case("Books", CASE, Path("x.json"))
    assert changes(case, None) == CASE
    assert changes(case, {**CASE, "llm_model": "gpt-5"}) == {}
    assert changes(case, {**CASE, "user_prompt": "Old"}) == {"user_prompt": CASE["user_prompt"]}


def test_what_became_worse_and_better() -> None:
    before = [Result("1", "a", "pass"), Result("2", "b", "fail"), Result("3", "c", "pass"), Result("4", "d", "error")]
    now = [Result("1", "a", "error"), Result("2", "b", "pass"), Result("3", "c", "pass"), Result("5", "e", "fail")]
    found = compared(now, before)
    assert (found.worse, found.better, found.new) == (["a"], ["b"], ["e"])


def test_junit() -> None:
    runs = [
        {"test_case_definition_id": "1", "status": "pass", "test_case_definition_snapshot": {"name": "a"}},
        {
            "test_case_definition_id": "2",
            "status": "fail",
            "result_explanation": "No <time>\x00",
            "transcript_snapshot": {"transcript": "Agent: Hi"},
        },
        {"test_case_definition_id": "3", "status": "error", "transcript_snapshot": {"messages": [{"role": "user", "content": "Hi"}]}},
    ]
    root = ET.fromstring(junit("llm_1", results(runs), 1.5))
    assert (root.get("tests"), root.get("failures"), root.get("errors"), root.get("time")) == ("3", "1", "1", "1.500")
    cases = root.findall("testsuite/testcase")
    assert [case.get("name") for case in cases] == ["a", "2", "3"]
    failure = cases[1].find("failure")
    assert failure is not None
    assert failure.get("message") == "No <time>"
    assert cases[1].findtext("system-out") == "Agent: Hi"
    assert cases[2].findtext("system-out") == "user: Hi"


def test_the_results_do_not_overwrite_a_test_case(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    account = Account(monkeypatch)
    before = (folder / "a.json").read_text()
    done = account.run("test", "run", str(folder), "--agent", account.made.agent_id, "--yes", "--junit", str(folder / "a.json"))
    assert (done.exit_code, "it would be overwritten, and it is read here" in done.stderr) == (1, True)
    assert (folder / "a.json").read_text() == before


@pytest.mark.parametrize(("report", "status"), [("nowhere/a.xml", 1), ("full", 4)])
def test_where_the_report_cannot_go_nothing_is_paid_for_in_vain(
    folder: Path, report: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = Account(monkeypatch)

    def full(path: Path) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("retell_async.cli.files.replacing", full)
    done = account.run("test", "run", str(folder), "--agent", account.made.agent_id, "--yes", "--junit", str(folder / report))
    assert (done.exit_code, "of 3 passed" in done.stdout) == (status, status == 4)
    assert "Could not open file" in done.stderr


def test_a_run_writes_the_cases_and_says_what_came_of_them(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    account = Account(monkeypatch)
    report = folder / "report.xml"
    agent = ["--agent", account.made.agent_id]
    done = account.run("test", "run", str(folder), *agent, "--yes", "--junit", str(report))
    assert done.exit_code in (0, 1), done.output
    for name in ("Books", "Refuses", "Is polite"):
        assert f"created {name}" in done.stderr
        assert name in done.stdout
    root = ET.fromstring(report.read_text(encoding="utf-8"))
    passed = 3 - int(root.get("failures", "")) - int(root.get("errors", ""))
    assert f"{passed} of 3 passed" in done.stdout
    assert done.exit_code == (0 if passed == 3 else 1)

    (folder / "a.json").write_text(json.dumps({**CASE, "metrics": ["It offers two times"]}))
    again = account.run("test", "run", str(folder), *agent, "--yes", "--case", "Books", "--regressions")
    assert "changed Books: metrics" in again.stderr
    assert "created" not in again.stderr
    assert f"; {passed} of 3 before" in again.stdout
    there = account.run("tests", "list-test-case-definitions", "--type", "retell-llm", "--llm-id", account.made.llm_id, "--jsonl")
    assert len(there.stdout.splitlines()) == 3
    of_account = account.run("test", "run", "--llm", account.made.llm_id, "--yes")
    assert "of 3 passed" in of_account.stdout


def test_a_case_that_the_account_does_not_have_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    account = Account(monkeypatch)
    llm = ["--llm", account.made.llm_id]
    engine = json.dumps({"type": "retell-llm", "llm_id": account.made.llm_id})
    create = [
        "tests",
        "create-test-case-definition",
        "--user-prompt",
        "You want Tuesday.",
        "--metrics",
        "Offers",
        "--response-engine",
        engine,
    ]
    for name in ("B", "B", "A"):
        assert account.run(*create, "--name", name).exit_code == 0
    done = account.run("test", "run", *llm, "--yes", "--case", "A", "--case", "Tpyo")
    assert (done.exit_code, done.stderr) == (1, f"Error: {account.made.llm_id} has no test case 'Tpyo': A, B, B\n")
    assert not account.local.requests("createBatchTest")
    assert " of 3 passed" in account.run("test", "run", *llm, "--yes").stdout  # of two that have one name both run


def test_tests_that_run_and_are_not_waited_for_to_their_end_are_no_error_of_which_nothing_remains(monkeypatch: pytest.MonkeyPatch) -> None:
    account = Account(monkeypatch, speed=1)
    create = ["tests", "create-test-case-definition", "--name", "A", "--user-prompt", "You want Tuesday.", "--metrics", "Offers"]
    assert account.run(*create, "--response-engine.type", "retell-llm", "--response-engine.llm_id", account.made.llm_id).exit_code == 0
    done = account.run("test", "run", "--llm", account.made.llm_id, "--yes", "--within", "0.01")
    assert done.exit_code == UNTOLD, done.output
    assert re.search(r"The test cases run as test_batch_\w+\. But then: ", done.stderr)


@pytest.mark.parametrize("within", ["0", "-5", "nan", "soon"])
def test_no_tests_begin_that_nobody_would_wait_for(folder: Path, within: str, monkeypatch: pytest.MonkeyPatch) -> None:
    account = Account(monkeypatch)
    done = account.run("test", "run", str(folder), "--llm", account.made.llm_id, "--yes", "--within", within)
    assert (done.exit_code, "--within" in done.stderr) == (2, True), done.output
    assert not account.local.requests("createTestCaseDefinition")


def test_what_cannot_be_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    account = Account(monkeypatch)
    llm = ["--llm", account.made.llm_id]
    assert "one of --agent, --llm and --flow" in account.run("test", "run", str(folder)).stderr
    assert "is in none of the files" in account.run("test", "run", str(folder), *llm, "--case", "Nope").stderr
    assert "has no test cases" in account.run("test", "run", *llm, "--yes").stderr
    asked = account.run("test", "run", str(folder), *llm)
    assert (asked.exit_code, "--yes" in asked.stderr) == (1, True)
    assert not account.local.requests("createBatchTest")
    assert not account.local.requests("createTestCaseDefinition")


def test_a_version_that_is_not_there_is_told_before_anything_is_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    account = Account(monkeypatch)
    for what in (["--llm", account.made.llm_id], ["--agent", account.made.agent_id]):
        done = account.run("test", "run", str(folder), *what, "--engine-version", "9", "--yes")
        assert done.exit_code == 1
        assert "the LLM has no such version (422). It was not carried out. retell-async test run --help says" in done.stderr
    assert not account.local.requests("createTestCaseDefinition")


def test_a_case_that_cannot_be_written_is_told_in_words(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    account = Account(monkeypatch)
    account.local.fault("error", status=400, operation="createTestCaseDefinition")
    done = account.run("test", "run", str(folder), "--llm", account.made.llm_id, "--yes")
    assert done.exit_code == 1
    said = r"^Error: .*a\.json: Books: tests create-test-case-definition: .*\(400\)\. It was not carried out\. retell-async test run --help"
    assert re.search(said, done.stderr)
