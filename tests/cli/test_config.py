"""``retell-async config``, as people type it."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from retell_async.cli import profiles
from retell_async.cli.group import retell_async
from retell_async.sandbox import Settings
from retell_async.testing import LocalRetell

COMMANDS = ("apply", "backup", "drift", "import", "plan", "promote", "publish", "pull", "rollback")
KEY = "sk-0123456789abcdefghij"


def run(*arguments: str, text: str | None = None, **environment: str) -> tuple[int, str]:
    done = CliRunner().invoke(retell_async, ["config", *arguments], input=text, env={"RETELL_API_KEY": "key", **environment})
    return done.exit_code, done.output


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> LocalRetell:
    """A sandbox with an agent that has a key in a tool, which the commands speak with."""
    found = LocalRetell()
    fixtures = found.create_fixtures()
    llm = found.sandbox.store.llms.get(fixtures.llm_id)
    assert llm is not None
    hidden: Any = {"type": "custom", "name": "crm", "url": "https://crm.example", "headers": {"Authorization": f"Bearer {KEY}"}}
    llm.write(llm.latest | {"general_tools": [hidden]})
    monkeypatch.setattr(profiles.Profile, "client", lambda _: found.client())
    monkeypatch.chdir(tmp_path)
    return found


def test_from_pull_to_publish(local: LocalRetell, tmp_path: Path) -> None:
    code, output = run("pull", "--keys", str(tmp_path / "keys"))
    assert (code, output.splitlines()[-1]) == (0, "3 files written")
    assert KEY not in output
    assert (tmp_path / "keys").read_text() == f"APPOINTMENTS_CRM_AUTHORIZATION='{KEY}'\n"
    assert (tmp_path / "keys").stat().st_mode & 0o77 == 0
    assert run("plan")[0] == 0
    file = tmp_path / "retell/agents/appointments.yaml"
    file.write_text(file.read_text() + "voice_speed: 1.25\n")
    code, output = run("plan", "--out", "p")
    assert code == 2
    assert "\x1b" not in output
    assert "~ update agents/appointments\n    + voice_speed: 1.25\n" in output
    assert max(map(len, output.splitlines())) <= 120
    assert run("drift", APPOINTMENTS_CRM_AUTHORIZATION=KEY) == (0, "")
    assert run("apply", text="n\n")[0] == 1
    file.write_text(file.read_text().replace("1.25", "1.5"))
    assert run("apply", "--plan", "p") == (1, "Error: the plan p is out of date: plan again\n")
    file.write_text(file.read_text().replace("1.5", "1.25"))
    code, output = run("apply", "--plan", "p")
    assert (code, output.splitlines()[-1]) == (0, "updated agents/appointments: voice_speed")
    assert run("publish", "--yes", "--title", "Quicker") == (0, "agents/appointments: version 0\n")
    assert run("publish", "--yes") == (0, "nothing to publish\n")
    code, output = run("rollback", "agents/appointments", "--version", "0", "--yes")
    assert (code, output.splitlines()[-1]) == (0, "0 files written")
    agent = next(iter(local.sandbox.store.agents))
    agent.write(agent.latest | {"volume": 0.5})
    assert run("drift", APPOINTMENTS_CRM_AUTHORIZATION=KEY) == (2, "agents/appointments:\n    + volume: 0.5\n")
    assert run("backup", "--out", "b.json") == (0, "wrote b.json\n")
    assert (tmp_path / "b.json").stat().st_mode & 0o77 == 0


def test_keys_are_added_to_a_file(local: LocalRetell, tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("DATABASE_URL=postgres://prod")
    file.chmod(0o644)
    for _ in range(2):
        assert run("pull", "--keys", ".env")[0] == 0
        assert file.read_text() == f"DATABASE_URL=postgres://prod\nAPPOINTMENTS_CRM_AUTHORIZATION='{KEY}'\n"
        assert file.stat().st_mode & 0o77 == 0
    file.write_text("export APPOINTMENTS_CRM_AUTHORIZATION=mine\n")
    code, output = run("pull", "--keys", ".env")
    assert (code, file.read_text()) == (0, "export APPOINTMENTS_CRM_AUTHORIZATION=mine\n")
    assert "another APPOINTMENTS_CRM_AUTHORIZATION than the account" in output
    assert KEY not in output
    assert run("backup", "--out", "retell/b.json")[0] == 1


@pytest.mark.needs("git")
def test_a_file_of_keys_that_git_would_take_along_is_said(local: LocalRetell, tmp_path: Path) -> None:
    assert "git does not ignore" not in run("pull", "--keys", "keys.env")[1]
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    assert "warning: keys.env has keys, and git does not ignore it" in run("pull", "--keys", "keys.env")[1]
    (tmp_path / ".gitignore").write_text("*.env\n", encoding="utf-8")
    assert "git does not ignore" not in run("pull", "--keys", "keys.env")[1]


def test_commands_are_said_in_full() -> None:
    output = CliRunner().invoke(retell_async, ["config", "--help"]).output
    assert "..." not in output.partition("Commands:")[2]
    assert "`promote staging prod`" in " ".join(output.split())


def test_the_profile_of_the_environment_is_used() -> None:
    code, output = run("plan", RETELL_PROFILE="staging")
    assert (code, output) == (1, "Error: the profile staging has no API key: set RETELL_API_KEY_STAGING\n")


def test_promote(local: LocalRetell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "retell/environments").mkdir(parents=True)
    for name in ("staging", "prod"):
        (tmp_path / f"retell/environments/{name}.yaml").write_text(f"profile: {name}\n")
    keys = {"RETELL_API_KEY_STAGING": "s", "RETELL_API_KEY_PROD": "p", "APPOINTMENTS_CRM_AUTHORIZATION": KEY}
    assert run("--env", "staging", "pull", **keys)[0] == 0
    assert "staging and prod are one account" in run("promote", "staging", "prod", "--yes", **keys)[1]
    other = LocalRetell(Settings(seed=2))
    made = other.create_fixtures()
    monkeypatch.setattr(profiles.Profile, "client", lambda self: (other if self.name == "prod" else local).client())
    assert run("promote", "staging", "prod", "--yes", **keys)[0] == 0
    code, output = run("promote", "staging", "prod", "--yes", **keys)
    assert (code, output.splitlines()[-1]) == (0, "prod: nothing to do")
    assert run("promote", "staging", "prod", "--yes", "--canary", "some", **keys)[1] == "Error: --canary 'some' is no share: write 10%\n"
    assert "no calls are shared" in run("promote", "staging", "prod", "--yes", "--canary", "10%", **keys)[1]
    agent = next(iter(other.sandbox.store.agents))
    agent.published.add(0)
    agent.write(agent.latest | {"is_published": True})
    agent.draft(agent.latest, is_published=False)
    before = deepcopy(next(iter(other.sandbox.store.numbers)).latest)
    code, output = run("promote", "staging", "prod", "--canary", "10%", text="n\n", **keys)
    assert code == 1
    assert "Let drafts answer these calls?" in output
    assert next(iter(other.sandbox.store.numbers)).latest == before
    code, output = run("promote", "staging", "prod", "--canary", "10%", text="y\n", **keys)
    assert (code, output.splitlines()[-2]) == (0, "drafts answer these calls now: --env prod publish gives them the others too")
    weights = [(one["agent_version"], one["weight"]) for one in next(iter(other.sandbox.store.numbers)).latest["inbound_agents"]]
    assert (made.agent_id, weights) == (agent.id, [("latest_published", 0.9), (1, 0.1)])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("pull", "agents/nobody"), "there is no agents/nobody"),
        (("pull", "--keys", "retell/keys"), "belongs into git"),
        (("import", "agent/x", "agent_1"), "a name begins with knowledge_bases/"),
        (("import", "agents/x", "agent_1"), "the account has no agent_1 among its agents"),
        (("plan", "--delete", "agents/x"), "conflict: --delete agents/x"),
        (("--env", "prod", "plan"), "there is no environment prod: write retell/environments/prod.yaml"),
        (("rollback",), "either AGENT and --version N, or --commit COMMIT"),
        (("plan", "--wrong"), "No such option"),
        (("--folder", __file__, "plan"), "is a file"),
    ],
)
def test_what_is_wrong_is_said_with_status_one(local: LocalRetell, arguments: tuple[str, ...], said: str) -> None:
    Path("retell").mkdir(exist_ok=True)
    code, output = run(*arguments)
    assert code == 1
    assert said in output


@pytest.mark.parametrize("command", ["plan", "drift", "publish --yes"])
def test_a_folder_that_is_not_there_is_an_error(local: LocalRetell, command: str) -> None:
    code, output = run("--folder", "retel", *command.split())
    assert (code, "there is no such folder" in output) == (1, True)


def test_a_misspelt_folder_is_said(local: LocalRetell) -> None:
    path = Path("retell/agent/x.yaml")
    path.parent.mkdir(parents=True)
    path.write_text("agent_name: X\n", encoding="utf-8")
    code, output = run("plan")
    assert (code, "is its folder agents?" in output) == (1, True)


def test_a_plan_says_which_key_is_missing(local: LocalRetell) -> None:
    path = Path("retell/agents/x.yaml")
    path.parent.mkdir(parents=True)
    engine = "{type: custom-llm, llm_websocket_url: 'wss://llm.example/${{ env.NOWHERE_SET }}'}"
    path.write_text(f"agent_name: X\nvoice_id: retell-Cimo\nresponse_engine: {engine}\n", encoding="utf-8")
    code, output = run("plan")
    assert (code, "conflict: agents/x: the environment has no NOWHERE_SET" in output) == (1, True), output


def test_a_share_is_refused_before_anything_is_changed(local: LocalRetell) -> None:
    for text in ("0%", "0.0001%", "99.999%", "100%", "110%", "nan", "much"):
        code, output = run("promote", "a", "b", "--yes", "--canary", text)
        assert (code, "canary" in output) == (1, True)


def test_without_a_key_nothing_is_asked() -> None:
    code, output = run("plan", RETELL_API_KEY="")
    assert (code, output) == (1, "Error: the profile default has no API key: set RETELL_API_KEY\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_what_it_does(command: str) -> None:
    code, output = run(command, "--help")
    assert code == 0
    assert max(map(len, output.splitlines())) <= 80
    assert len(output.splitlines()) > 4


_PROGRAM = """
import sys
sys.modules[{missing!r}] = None
from retell_async.cli import main
sys.argv = ["retell-async", "config", "--help"]
main()
"""


@pytest.mark.soak
@pytest.mark.parametrize("missing", ["ruamel.yaml", "jsonschema_rs"])
def test_one_line_says_which_extra_to_install(missing: str) -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM.format(missing=missing)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].endswith("pip install 'retell-async[config]'`")
    assert "Traceback" not in done.stderr


@pytest.mark.soak
def test_other_commands_do_not_load_it() -> None:
    program = (
        "import sys; from retell_async.cli.group import retell_async; retell_async(['--help'], standalone_mode=False); "
        "assert not {'ruamel', 'jsonschema_rs', 'retell_async.config'} & {*sys.modules}"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "config" in done.stdout


def test_nobody_to_ask_is_told_what_does_it_without(local: LocalRetell) -> None:
    before = len(list(local.sandbox.store.llms))
    path = Path("retell/llms/x.yaml")
    path.parent.mkdir(parents=True)
    path.write_text("general_prompt: Be brief.\nstart_speaker: agent\n", encoding="utf-8")
    code, output = run("apply")
    assert (code, "--yes does it without asking" in output) == (1, True), output
    code, output = run("apply", text="n\n")
    assert (code, "Aborted!" in output) == (1, True)
    assert len(list(local.sandbox.store.llms)) == before


def test_publish_says_what_it_would_publish_before_it_asks(local: LocalRetell) -> None:
    assert run("pull", "--keys", "keys")[0] == 0
    agent = next(iter(local.sandbox.store.agents))
    for name in ("agents/nope", "llms/appointments"):
        code, output = run("publish", name)
        assert (code, output) == (1, f"Error: there is no {name}; there are agents/appointments\n")
    code, output = run("publish", text="n\n")
    assert (code, output.splitlines()[:2]) == (1, ["agents/appointments: version 0", "Publish this? [y/N]: n"])
    code, output = run("publish")
    assert (code, "--yes does it without asking" in output) == (1, True)
    assert not agent.published
    assert run("publish", text="y\n")[0] == 0
    assert agent.published == {0}
    assert run("publish") == (0, "nothing to publish\n")


def test_a_rollback_that_calls_get_at_once_asks_before(local: LocalRetell) -> None:
    assert run("pull", "--keys", "keys")[0] == 0
    assert run("publish", "--yes")[0] == 0
    agent = next(iter(local.sandbox.store.agents))
    back = ("rollback", "agents/appointments", "--version")
    assert run(*back, "77") == (1, "Error: there is no version 77 of agents/appointments: its latest is 0\n")
    code, output = run(*back, "0")
    assert (code, "live at once: this draft answers calls of phone_numbers/" in output) == (1, True)
    assert "--yes does it without asking" in output
    assert run(*back, "0", text="n\n")[0] == 1
    assert agent.latest["version"] == 0
    assert run(*back, "0", text="y\n")[0] == 0
    assert agent.latest["version"] == 1
    number = next(iter(local.sandbox.store.numbers))
    bound = [{"agent_id": agent.id, "agent_version": "latest_published", "weight": 1}]
    number.write(number.latest | {"inbound_agents": bound, "outbound_agents": bound})
    assert run("pull")[0] == 0
    code, output = run(*back, "0")
    assert (code, "live at once" in output) == (0, False), output


@pytest.mark.needs("git")
def test_files_are_put_back_without_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@example.com"]
    file = tmp_path / "retell/agents/a.yaml"
    file.parent.mkdir(parents=True)
    subprocess.run([*git, "init", "-q"], check=True)
    for text in ("agent_name: A\n", "agent_name: B\n"):
        file.write_text(text, encoding="utf-8")
        subprocess.run([*git, "add", "."], check=True)
        subprocess.run([*git, "commit", "-qm", "x"], check=True)
    done = CliRunner().invoke(retell_async, ["config", "--env", "prod", "rollback", "--commit", "HEAD~1"], env={"RETELL_API_KEY": ""})
    assert (done.exit_code, done.output) == (0, "put back agents/a.yaml\nlook at `plan`, then `apply`\n")
    assert file.read_text(encoding="utf-8") == "agent_name: A\n"


def test_a_version_below_0_is_refused_before_anything_is_sent(local: LocalRetell) -> None:
    code, output = run("rollback", "agents/appointments", "--version", "-1")
    assert (code, "'--version': -1 is not in the range x>=0" in output) == (1, True)
    assert not local.requests()


@pytest.mark.parametrize("name", ["retell/agents/appointments.yaml", "retell/retell.state.json"])
def test_a_plan_does_not_overwrite_what_it_is_made_of(local: LocalRetell, name: str) -> None:
    run("pull")
    before = Path(name).read_text()
    code, output = run("plan", "--out", name)
    assert (code, output.startswith(f"Error: {name}: it would be overwritten, and it is read here")) == (1, True)
    assert Path(name).read_text() == before
    assert [run("plan", "--out", "retell/plan")[0] for _ in range(2)] == [0, 0]


@pytest.mark.soak
@pytest.mark.parallel
@pytest.mark.needs("signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_given_up_says_what_it_did(tmp_path: Path, number: signal.Signals) -> None:
    found = LocalRetell()
    for name in ("a", "b"):
        (tmp_path / "retell/llms").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"retell/llms/{name}.yaml").write_text(f"general_prompt: {name}\n", encoding="utf-8")
    with found.serving() as url:
        heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # which a job in the background has ignored
        program = f"{heard}import runpy; runpy.run_module('retell_async.cli', run_name='__main__', alter_sys=True)"
        command = [sys.executable, "-c", program, "config", "apply", "--yes"]
        environment = {**os.environ, "RETELL_API_KEY": "key", "RETELL_BASE_URL": url}
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout is not None
        found.fault("latency", operation="createRetellLLM", seconds=1)
        while process.stdout.readline() != "created llms/a\n":
            assert process.poll() is None
        process.send_signal(number)
        _, said = process.communicate(timeout=20)
    assert (process.returncode, "What it said above is done" in said) == (3, True), said
    assert "run it again, it goes on from there" in said


def test_what_was_applied_is_told_though_the_state_cannot_be_written(
    local: LocalRetell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "retell/llms").mkdir(parents=True)
    for name in ("a", "b"):
        (tmp_path / f"retell/llms/{name}.yaml").write_text(f"general_prompt: {name} is new\n", encoding="utf-8")
    sync, writes = os.fsync, [0]

    def full(descriptor: int) -> None:
        writes[0] += 1
        if writes[0] == 3:  # the first says what is begun
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    monkeypatch.setattr("os.fsync", full)
    code, output = run("apply", "--yes")
    assert (code, "created llms/a\n" in output, "Traceback" in output) == (1, True, False)
    assert "retell.state.json cannot be written: No space left on device" in output
    monkeypatch.undo()
    monkeypatch.setattr(profiles.Profile, "client", lambda _: local.client())
    monkeypatch.chdir(tmp_path)
    code, output = run("apply", "--yes")
    assert (code, "created llms/b\n" in output, "created llms/a" in output) == (0, True, False)
