"""The simulator over real sockets: planted faults are found, what keeps the rules passes, and what the command says."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import anyio
import pytest

from examples import custom_llm
from retell_async.llm import simulate
from retell_async.llm.simulator.judge import Judge
from retell_async.llm.simulator.link import Result, Settings, play_all
from retell_async.llm.simulator.results import as_json, as_junit, as_lines
from retell_async.llm.simulator.scenarios import Lines, Say, Scenario, Wait, scenarios
from retell_async.llm.simulator.terminal import Screen, step_of, talk

from ..serving import SECRET, served
from .faulty import FAULTS, faulty

CALM = Settings(answer_within=2.0)


def broken(results: list[Result]) -> dict[str, set[str]]:
    return {
        result.scenario.name: {verdict.rule for verdict in result.report.verdicts if verdict.broken}
        for result in results
        if not result.passed
    }


@pytest.mark.soak
@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault: str) -> None:
    async def main() -> None:
        async with faulty(fault) as url:
            results = await play_all(url, scenarios(tools=["book"]), CALM if "reads nothing" not in fault else None, concurrency=12)
        assert FAULTS[fault] in set().union(*broken(results).values())

    logging.getLogger("websockets.server").disabled = True
    asyncio.run(main())


@pytest.mark.soak
def test_a_server_without_fault_passes_beside_them() -> None:
    async def main() -> None:
        async with faulty(None) as url:
            results = await play_all(url, scenarios(tools=["book"]), CALM, concurrency=12)
        assert broken(results) == {}
        assert all(result.ended == "played" for result in results)

    asyncio.run(main())


@pytest.mark.soak
def test_the_example_is_found_without_fault() -> None:
    async def main() -> None:
        async with served(custom_llm.create_app({}, SECRET)) as url:
            results = await play_all(url, scenarios(), concurrency=12)
        assert broken(results) == {}
        ends = {result.scenario.name: result.ended for result in results}
        assert ends.pop("goodbye") == "hung up by the agent"
        assert set(ends.values()) == {"played"}
        assert len(results[0].report.first_frame.values) == 3

    asyncio.run(main())


@pytest.mark.soak
def test_the_command_from_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    json_file, junit_file = tmp_path / "r.json", tmp_path / "r.xml"
    script = tmp_path / "s.toml"
    script.write_text('[[scenario]]\nname = "own"\nsteps = ["wait", "say At ten.", "wait"]\ntools = ["book"]\n')

    async def main() -> list[int]:
        async with faulty(None) as good, faulty("completes twice") as bad:

            async def command(*arguments: str) -> int:
                return await anyio.to_thread.run_sync(simulate.main, list(arguments))

            return [
                await command(good, "--script", str(script), "--json", str(json_file), "--junit", str(junit_file)),
                await command(bad, "--scenario", "plain", "--json", "-"),
                await command(good, "--scenario", "tool", "--tool", "book", "--line", "tool=At ten now", "--calls", "2"),
            ]

    assert asyncio.run(main()) == [0, 1, 0]
    assert json.loads(json_file.read_text())["passed"] is True
    assert ElementTree.parse(junit_file).getroot().attrib["failures"] == "0"
    shown = capsys.readouterr().out
    assert "1 call, no fault" in shown
    assert '"rule": "complete-once"' in shown
    assert "2 calls, no fault" in shown


@pytest.mark.soak
def test_nothing_listens_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate.main(["ws://127.0.0.1:9/secret-of-the-url", "--scenario", "plain"]) == 2
    shown = capsys.readouterr().out
    assert "no connection" in shown
    assert "secret-of-the-url" not in shown


@pytest.mark.soak
def test_a_person_at_a_terminal() -> None:
    shown: list[str] = []

    async def main() -> None:
        async with faulty(None) as url:
            result = await talk(url, CALM, lines=io.StringIO("Are you there?\n"), write=shown.append)
        assert result.passed
        assert result.ended == "hung up by the caller"

    asyncio.run(main())
    assert "agent: Let me see. This takes a while.\n" in "".join(shown)


def test_lines_that_are_typed() -> None:
    typed = [type(step_of(line)).__name__ for line in ("\n", "/lose\n", "/bye\n", "Hello\n")]
    assert typed == ["Silence", "Lose", "HangUp", "Say"]
    assert step_of(" Hello \n") == Say("Hello")


def test_words_are_shown_as_they_are_spoken() -> None:
    class Player:
        spoken: list[dict[str, Any]] = []  # noqa: RUF012 - it is replaced, never changed
        saying = ""

    player: Any = Player()
    screen = Screen()
    assert screen.changes(player) == ""
    player.saying = "Hello"
    assert screen.changes(player) == "agent: Hello"
    player.saying = "Hello there"
    assert screen.changes(player) == " there"
    player.saying, player.spoken = "", [{"role": "agent", "content": "Hello there, Ann."}, {"role": "user", "content": "a"}]
    assert screen.changes(player) == ", Ann.\n"
    player.saying = "\x1b[2J"
    assert screen.changes(player) == "agent: ?[2J"


def judged(*, connected: bool = True, fault: str | None = None) -> Result:
    judge = Judge()
    if connected:
        judge.opened(0)
        judge.received('{"response_type":"response","response_id":0,"content":"","content_complete":true}', 1)
    if fault is not None:
        for number in range(5):
            message = {"response_type": "tool_call_invocation", "tool_call_id": str(number), "name": fault}
            judge.received(json.dumps({**message, "arguments": f'{{"a":{number // 2}}}'}), 2)
    ended = "played" if connected else "no connection: ConnectionRefusedError"
    return Result(Scenario("a <scenario>", "", [Wait()]), judge.report(3), ended, 1.5, connected)


def test_results_for_people() -> None:
    lines = [text for _, text in as_lines([judged(), judged(fault="call +14155550100\x1b[2J")])]
    assert lines[0].split() == ["ok", "a", "<scenario>", "1.5", "s", "played"]
    assert lines[1].startswith("FAIL")
    assert any("effects-once: no tool" in line for line in lines)
    assert any("was called again" in line for line in lines)
    assert not any("4155550100" in line or "\x1b" in line for line in lines)
    assert lines[-1] == "2 calls, 1 with faults"
    assert any(line.startswith("never put to the test: ") for line in lines)
    assert [text for _, text in as_lines([judged(connected=False)])][-1] == "1 call, 1 with faults"


def test_results_as_json_and_as_junit() -> None:
    results = [judged(), judged(fault="book"), judged(connected=False)]
    read = json.loads(as_json(results))
    assert read["passed"] is False
    assert [call["passed"] for call in read["calls"]] == [True, False, False]
    assert read["latencies"]["first_frame"] == {"count": 0, "p50_ms": None, "p95_ms": None}
    suite = ElementTree.fromstring(as_junit(results))
    assert suite.attrib | {"time": ""} == {"name": "custom LLM", "tests": "3", "failures": "1", "errors": "1", "time": ""}
    good, failed, error = suite
    assert (good.attrib["name"], len(good)) == ("a <scenario>", 0)
    assert failed[0].tag == "failure"
    assert "effects-once: 'book' was called again" in str(failed[0].text)
    assert error[0].tag == "error"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "the server's URL is missing"),
        (["ftp://h/x"], "must start with ws:// or wss://"),
        (["ws://h:port/x"], "ort"),
        (["ws://h", "--scenario", "dance"], "there is no scenario 'dance'"),
        (["ws://h", "--line", "song=la"], "--line is to be one of first"),
        (["ws://h", "--script", "/nowhere.toml"], "nowhere"),
        (["ws://h", "--metadata", "{"], "Nothing can be played"),
    ],
)
def test_what_cannot_be_played(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate.main(arguments) == 2
    assert said in capsys.readouterr().err


def test_the_scenarios_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate.main(["--list"]) == 0
    assert "the caller interrupts three answers" in capsys.readouterr().out


def test_without_the_extra_one_line_says_which(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delitem(sys.modules, "retell_async.llm.simulator.link")
    monkeypatch.setitem(sys.modules, "websockets.asyncio.client", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'retell-async\[llm\]'"):
        __import__("retell_async.llm.simulator.link")


def test_lines_have_their_say() -> None:
    said = [step.text for scenario in scenarios(Lines(tool="Book me")) for step in scenario.steps if isinstance(step, Say)]
    assert "Book me" in said
