"""The simulator over real sockets: planted faults are found, what keeps the rules passes, and what the command says."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import logging
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, get_args
from xml.etree import ElementTree

import anyio
import pytest

from examples import custom_llm
from retell_async import llm
from retell_async.llm import simulate
from retell_async.llm.simulator.judge import RULES, Judge
from retell_async.llm.simulator.link import Result, Settings, play, play_all
from retell_async.llm.simulator.player import Sign
from retell_async.llm.simulator.results import as_json, as_junit, as_lines
from retell_async.llm.simulator.scenarios import Lines, Say, Scenario, Step, Wait, read_step, scenarios
from retell_async.llm.simulator.terminal import HELP, Screen, step_of, talk

from ..serving import SECRET, served
from .faulty import FAULTS, HARMLESS, faulty

pytestmark = pytest.mark.parallel

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
            played = [scenario for scenario in scenarios(tools=["book"]) if "end" not in fault.split() or scenario.name == "plain"]
            results = await play_all(url, played, CALM if "reads nothing" not in fault else None, concurrency=12)
        assert FAULTS[fault] in set().union(*broken(results).values())

    logging.getLogger("websockets.server").disabled = True
    asyncio.run(main())


@pytest.mark.soak
@pytest.mark.parametrize("server", HARMLESS)
def test_a_server_that_gives_one_answer_to_everything_is_named_without_a_fault(server: str) -> None:
    async def main() -> None:
        async with faulty(server) as url:
            results = await play_all(url, [each for each in scenarios() if each.name in {"plain", "first word", "silence"}], CALM)
        assert broken(results) == {}
        assert any("the same answer to whatever" in line for _, line in as_lines(results)) == HARMLESS[server]
        assert [call["answers_alike"] for call in json.loads(as_json(results))["calls"]] == [HARMLESS[server]] * 2 + [None]

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
            lines = Lines(tool="At ten.", correction="At ten, or at eleven.")
            results = await play_all(url, scenarios(lines, ["book"]), Settings(variables={"name": "Ann"}), concurrency=12)
        assert results[0].said[0].startswith("agent: Hello Ann, ")
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
    assert simulate.main(["ws://127.0.0.1:9/secret-of-the-url"]) == 2
    shown = capsys.readouterr().out
    assert "no connection" in shown
    assert "secret-of-the-url" not in shown
    assert shown.splitlines()[-1] == "1 call, and none could be played"  # and not one of each scenario


@pytest.mark.soak
def test_a_server_that_takes_only_its_own_calls_says_why_and_how_to_be_one(capsys: pytest.CaptureFixture[str]) -> None:
    app = llm.App(secret=SECRET, begin_message="Hello.", admit={"tenant": "acme"})

    @app.agent
    async def answer(turn: llm.Turn) -> AsyncGenerator[str]:
        yield "Yes."

    async def main() -> list[int]:
        async with served(app) as url:

            async def command(*arguments: str) -> int:
                return await anyio.to_thread.run_sync(simulate.main, [url, "--scenario", "plain", *arguments])

            return [await command(), await command("--metadata", '{"tenant": "acme"}')]

    assert asyncio.run(main()) == [1, 0]
    refused, taken = capsys.readouterr().out.split("1 call, ")[:2]
    assert "closed by the server with 1008 (not admitted): does the server take only calls of its own? --metadata" in refused
    assert "--metadata" not in taken


@asynccontextmanager
async def raw(answer: bytes, frame: bytes = b"") -> AsyncGenerator[str]:
    """A server that opens what is no WebSocket, or one on which it sends a frame and then does nothing."""
    handling: set[asyncio.Task[Any] | None] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handling.add(asyncio.current_task())
        request = await reader.readuntil(b"\r\n\r\n")
        key = next(line.split(b": ")[1] for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
        accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        writer.write(answer.replace(b"ACCEPT", accept) + b"\r\n\r\n" + frame)
        with suppress(ConnectionError):
            while frame and await reader.read(1000):
                pass
            writer.close()
            await writer.wait_closed()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/secret-of-the-url"
        await asyncio.gather(*filter(None, handling))


@pytest.mark.soak
@pytest.mark.parametrize(
    ("frame", "what"),
    [
        (b"\x81\x02\xff\xfe", "a frame that is no text in UTF-8"),
        (b"\x81\x7f" + (40 << 20).to_bytes(8, "big") + b" " * (40 << 20), "a frame of more than a mebibyte"),
        (b"\x8f\x00", "what is no frame of a WebSocket"),
    ],
)
def test_what_cannot_be_read_is_told_at_once_though_the_server_does_nothing_more(frame: bytes, what: str) -> None:
    upgrade = b"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ACCEPT"

    async def main() -> Result:
        async with raw(upgrade, frame) as url:
            return await play(url, scenarios()[0], Settings(answer_within=10))

    result = asyncio.run(main())
    found = {(finding.rule, finding.what) for verdict in result.report.verdicts for finding in verdict.findings}
    assert found == {("well-formed", what)}
    assert result.seconds < 9


@pytest.mark.soak
@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (b"HTTP/1.1 301 Moved\r\nLocation: ws://127.0.0.1:9/\r\nContent-Length: 0", "answered 301, a redirect, which is not followed"),
        (b"HTTP/1.1 403 No\r\nContent-Length: 0", "answered 403: is the secret right?"),
        (b"SSH-2.0", "what answers there opens no WebSocket"),
    ],
)
def test_what_answers_there_is_told(answer: bytes, what: str) -> None:
    async def main() -> Result:
        async with raw(answer) as url:
            return await play(url, scenarios()[0], Settings())

    result = asyncio.run(main())
    assert not result.connected
    assert what in result.ended


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


@pytest.mark.soak
@pytest.mark.needs("signals")
@pytest.mark.parametrize(("typed", "status"), [(b"hi\n", 0), (b"caf\xe9\nhi\n", 0), (None, 2)])
def test_a_standard_input_of_any_kind(typed: bytes | None, status: int) -> None:
    async def main() -> tuple[int | None, bytes, bytes]:
        async with faulty(None) as url:
            running = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "retell_async.llm.simulate", "-i", url),
                stdin=asyncio.subprocess.PIPE if typed else None,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={**os.environ, "PYTHONIOENCODING": "ascii" if typed == b"hi\n" else "utf-8"},
                preexec_fn=None if typed else lambda: os.close(0),
            )
            shown, problem = await asyncio.wait_for(running.communicate(typed), 20)
            return running.returncode, shown, problem

    returned, shown, problem = asyncio.run(main())
    assert returned == status, problem
    assert b"Traceback" not in problem
    assert (b"agent: Let me see." in shown) if typed else (b"needs a standard input" in problem)


@pytest.mark.soak
def test_a_server_that_speaks_no_tls() -> None:
    async def main() -> Result:
        async with faulty(None) as url:
            return await play(url.replace("ws://", "wss://"), scenarios()[0], Settings())

    result = asyncio.run(main())
    assert not result.connected
    assert result.ended.endswith(": is it ws://?")


@pytest.mark.soak
def test_a_person_who_asks_for_help_and_hangs_up_with_the_agent_in_mid_sentence() -> None:
    shown: list[str] = []
    lines, typing = os.pipe()

    async def main() -> None:
        async with faulty(None) as url:
            with os.fdopen(lines) as reader, os.fdopen(typing, "w", buffering=1) as writer:

                async def type_in() -> None:
                    writer.write("/help\n/dance\nBook me at ten\n")
                    await asyncio.sleep(0.5)
                    writer.write("Wait!\n")
                    await asyncio.sleep(1)
                    os.kill(os.getpid(), signal.SIGINT)

                result, _ = await asyncio.gather(talk(url, CALM, lines=reader, write=shown.append), type_in())
                writer.close()
        assert (result.ended, result.passed) == ("hung up by the caller", True)

    asyncio.run(main())
    written = "".join(shown)
    assert written.count(HELP) == 3
    assert "There is no /dance" in written
    assert " -- (cut off)\n" in written
    assert '[calls book {"slot": "ten"}]\n[result done]\n' in written


@pytest.mark.soak
@pytest.mark.needs("signals")
@pytest.mark.parametrize("arguments", [["--list"], ["ws://127.0.0.1:9/x", "--scenario", "plain", "--json", "-"]])
def test_nobody_reads_to_the_end(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "retell_async.llm.simulate", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        running.stdout.close()
        assert running.stderr is not None
        assert running.stderr.read() == b""
        assert running.wait() == (0 if arguments == ["--list"] else 2)


def test_lines_that_are_typed() -> None:
    typed = [type(step_of(line)).__name__ for line in ("\n", "/lose\n", "/bye\n", "Hello\n")]
    assert typed == ["Silence", "Lose", "HangUp", "Say"]
    assert step_of(" Hello \n") == Say("Hello")


class Speaking:
    """What the screen looks at of a player."""

    def __init__(self) -> None:
        self.saying = ""
        self.signs: list[Sign] = []


def test_words_are_shown_as_they_are_spoken() -> None:
    player: Any = Speaking()
    screen = Screen()
    assert screen.changes(player) == ""
    player.saying = "Hello"
    assert screen.changes(player) == "agent: Hello"
    player.saying = "Hello there"
    assert screen.changes(player) == " there"
    player.saying, player.signs = "", [Sign("said", "Hello there, Ann.")]
    assert screen.changes(player) == ", Ann.\n"
    player.saying = "\x1b[2J"
    assert screen.changes(player) == "agent: ?[2J"


def test_signs_of_what_is_not_said() -> None:
    player: Any = Speaking()
    screen = Screen()
    player.saying = "One"
    assert screen.changes(player) == "agent: One"
    player.signs = [Sign("tool", 'book {"to": "+14155550100"}')]
    shown = screen.changes(player)
    assert shown.startswith('\n[calls book {"to": "')
    assert "4155550100" not in shown
    player.saying = "One moment"
    assert screen.changes(player) == "agent: moment"
    assert screen.note("Type.") == "\nType.\n"
    player.signs = [*player.signs, Sign("cut off", "One moment please")]
    player.saying = ""
    assert screen.changes(player) == "agent: please -- (cut off)\n"
    player.signs = [*player.signs, Sign("said", "Bye."), Sign("hangs up")]
    assert screen.changes(player) == "agent: Bye.\n[hangs up]\n"


def judged(*, connected: bool = True, fault: str | None = None, named: bool = True) -> Result:
    judge = Judge(side_effects=frozenset({fault} if fault and named else ()))
    if connected:
        judge.opened(0)
        judge.received('{"response_type":"response","response_id":0,"content":"","content_complete":true}', 1)
    if fault is not None:
        for number in range(5):
            message = {"response_type": "tool_call_invocation", "tool_call_id": str(number), "name": fault}
            judge.received(json.dumps({**message, "arguments": f'{{"a":{number // 2}}}'}), 2)
    ended = "played" if connected else "no connection: ConnectionRefusedError"
    return Result(Scenario("a <scenario>", "", [Wait()]), judge.report(3), ended, 1.5, connected, ["agent: call +14155550100"])


def test_results_for_people() -> None:
    lines = [text for _, text in as_lines([judged(), judged(fault="call +14155550100\x1b[2J")])]
    assert lines[0].split() == ["ok", "a", "<scenario>", "1.5", "s", "played"]
    assert lines[1].startswith("FAIL")
    assert any("effects-once: a side effect" in line for line in lines)
    assert any("was called again" in line for line in lines)
    assert not any("4155550100" in line or "\x1b" in line for line in lines)
    assert lines[-1] == "2 calls, 1 with faults"
    assert any(line.startswith("never put to the test: ") for line in lines)
    assert [text for _, text in as_lines([judged(connected=False)])][-1] == "1 call, and none could be played"
    assert [text for _, text in as_lines([judged(), judged(connected=False)])][-1] == "2 calls, no fault, 1 not played"
    assert any(text.endswith("(--tool NAME): look") for _, text in as_lines([judged(fault="look", named=False)]))


def test_results_as_json_and_as_junit() -> None:
    results = [judged(), judged(fault="book"), judged(connected=False)]
    read = json.loads(as_json(results))
    assert read["passed"] is False
    assert [call["passed"] for call in read["calls"]] == [True, False, False]
    assert {rule["rule"]: rule["sentence"] for rule in read["calls"][0]["rules"]} == RULES
    assert read["calls"][0]["said"][0].startswith("agent: call ")
    assert "4155550100" not in str(read["calls"][0]["said"])
    assert read["latencies"]["first_frame"] == {"count": 0, "p50_ms": None, "p95_ms": None}
    suite = ElementTree.fromstring(as_junit(results))
    assert suite.attrib | {"time": ""} == {"name": "custom LLM", "tests": "3", "failures": "1", "errors": "1", "time": ""}
    good, failed, error = suite
    assert (good.attrib["name"], len(good)) == ("a <scenario>", 0)
    assert failed[0].tag == "failure"
    assert str(failed[0].text).startswith(f"effects-once: {RULES['effects-once']}\n  'book' was called again")
    assert error[0].tag == "error"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "the server's URL is missing"),
        (["ftp://h/x"], "must start with ws:// or wss://"),
        (["ws://h:port/x"], "ort"),
        (["ws://"], "the URL"),
        (["ws:///x"], "the URL"),
        ([f"ws://{'a' * 80}.example/x"], "no name of a host"),
        (["ws://exa mple/x"], "no name of a host"),
        (["ws://[::1"], "URL"),
        (["ws://h/x#secret-of-the-url"], "the URL cannot be used"),
        (["ws://h", "--json", "-", "--junit", "-"], "--json and --junit"),
        (["ws://h", "--scenario", "dance"], "there is no scenario 'dance'"),
        (["ws://h", "--line", "song=la"], "--line is to be one of first"),
        (["ws://h", "--script", "/nowhere.toml"], "nowhere"),
        (["ws://h", "--metadata", "{"], "--metadata is to be JSON"),
        (["ws://h", "--metadata", "NaN"], "--metadata is to be JSON: NaN is none of JSON's values"),
        (["ws://h", "--metadata", "[" * 10_000], "--metadata is to be JSON"),
        (["ws://h", "--variables", "[]"], "--variables is to be a JSON object"),
    ],
)
def test_what_cannot_be_played(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate.main(arguments) == 2
    shown = capsys.readouterr().err
    assert said in shown
    assert "secret-of-the-url" not in shown


@pytest.mark.parametrize("arguments", [("--json", "own.toml"), ("--junit", "./own.toml"), ("--json", "new", "--junit", "new")])
def test_the_results_do_not_overwrite_the_script_nor_each_other(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    written = '[[scenario]]\nname = "own"\nsteps = ["wait", "say At ten.", "wait"]\n'
    Path("own.toml").write_text(written)
    assert simulate.main(["ws://h", "--script", "own.toml", *arguments]) == 2
    assert "it would be overwritten" in capsys.readouterr().err
    assert Path("own.toml").read_text() == written


@pytest.mark.parametrize("written", [b"\xff\xfe", b"scenario = [1]", b"[[scenario"])
def test_a_script_that_cannot_be_read_is_named(written: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "own.toml"
    script.write_bytes(written)
    assert simulate.main(["ws://h", "--script", str(script)]) == 2
    assert "own.toml: " in capsys.readouterr().err
    assert simulate.main(["ws://h", "--script", str(tmp_path)]) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--calls", "0"], "'0' is no whole number of 1 or more"),
        (["--concurrency", "x"], "'x' is no whole number"),
        (["--slack", "-1"], "no number of seconds above 0"),
        (["--answer-within", "soon"], "'soon' is no number of seconds"),
    ],
)
def test_numbers_that_are_none(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        simulate.main(["ws://h", *arguments])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_the_scenarios_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert simulate.main(["--list"]) == 0
    shown = capsys.readouterr().out
    assert "the caller interrupts three answers" in shown
    assert "--line tool=        At ten, please." in shown


def test_without_the_extra_one_line_says_which(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delitem(sys.modules, "retell_async.llm.simulator.link")
    monkeypatch.setitem(sys.modules, "websockets.asyncio.client", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'retell-async\[llm\]'"):
        __import__("retell_async.llm.simulator.link")


GUIDE = (Path(__file__).parents[3] / "docs" / "guides" / "custom-llm.md").read_text(encoding="utf-8")


def test_the_guide_lists_the_rules_and_the_steps() -> None:
    rows = re.findall(r"^\| (`.+`) \| (.+) \|$", GUIDE, re.MULTILINE)
    assert {f"`{rule}`": sentence for rule, sentence in RULES.items()}.items() <= dict(rows).items()
    steps = [step for names, _ in rows for step in re.findall(r"`((?:say|wait|silence|pause|lose|hang|send)\b[^`]*)`", names)]
    filled = [step.replace("<words>", "a").replace("<seconds>", "1").replace("<frame>", "{}") for step in steps]
    assert len({type(read_step(step, "a step")) for step in filled}) == len(get_args(Step))


def test_lines_have_their_say() -> None:
    said = [step.text for scenario in scenarios(Lines(tool="Book me")) for step in scenario.steps if isinstance(step, Say)]
    assert "Book me" in said
