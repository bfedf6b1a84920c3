"""``retell-async mcp``: its flags, and the profiles that name workspaces."""

from __future__ import annotations

import socket
import subprocess
import sys
from typing import Any

import pytest
from click.testing import CliRunner, Result

from retell_async import ConfigurationError
from retell_async.cli.group import retell_async
from retell_async.cli.profiles import Profile
from retell_async.mcp import Policy

KEY = "key_0123456789abcdef"
TOKEN = "token-of-a-test-0123456789-abcdefghij"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What would be run."""
    found: list[Any] = []
    monkeypatch.setattr("retell_async.cli.mcp.anyio.run", lambda _, *arguments: found.extend(arguments))
    monkeypatch.setattr("retell_async.cli.mcp.listen", lambda *_: [])
    return found


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(retell_async, ["mcp", *arguments], env=environment)


def test_flags_become_a_policy(started: list[Any]) -> None:
    flags = ["--read-only", "--tools", "list_*, get_call", "--tools", "failed_calls", "--allow-to", "+1415*", "--max-calls", "3"]
    done = run(*flags, "--allow", "money", RETELL_API_KEY=KEY)
    assert done.exit_code == 0, done.output
    known, policy, _ = started
    assert known.name == "default"
    assert policy == Policy(
        read_only=True, tools=("list_*", "get_call", "failed_calls"), allow=frozenset({"money"}), allow_to=("+1415*",), max_calls=3
    )
    assert done.output == ""  # which is where the protocol is spoken


def test_without_flags_everything_asks(started: list[Any]) -> None:
    assert run(RETELL_API_KEY=KEY).exit_code == 0
    assert started[1] == Policy()


def test_one_server_a_workspace(started: list[Any]) -> None:
    environment = {"RETELL_API_KEY": KEY, "RETELL_API_KEY_STAGING": "key_of_staging", "RETELL_PROFILE": "staging"}
    assert run(**environment).exit_code == 0
    assert started[0].name == "staging"
    assert started[0].client().api_key == "key_of_staging"
    assert "key_of_staging" not in repr(started[0])


def test_the_sandbox_needs_no_key(started: list[Any]) -> None:
    assert run("--sandbox").exit_code == 0
    assert started[0] is None


def test_over_http_it_says_where_and_nothing_of_the_token(started: list[Any]) -> None:
    done = run("--sandbox", "--http", "--port", "8123", RETELL_MCP_TOKEN=TOKEN)
    assert done.exit_code == 0
    assert done.stderr == "Serving sandbox at http://127.0.0.1:8123/mcp\n"
    assert TOKEN not in repr(started)


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        ([], {}, "the profile default has no API key: set RETELL_API_KEY"),
        (["--profile", "my-place"], {"RETELL_API_KEY": KEY}, "set RETELL_API_KEY_MY_PLACE"),
        (["--profile", "../x"], {}, "a profile is named by letters"),
        (["--sandbox", "--http"], {}, "RETELL_MCP_TOKEN"),
        (["--sandbox", "--http"], {"RETELL_MCP_TOKEN": "short"}, "32 characters or more"),
        (["--sandbox", "--http", "--host", "0.0.0.0"], {"RETELL_MCP_TOKEN": TOKEN}, "--public-host"),
        (["--sandbox", "--origin", "https://x"], {}, "are for --http"),
        (["--sandbox", "--http", "--origin", "foo"], {"RETELL_MCP_TOKEN": TOKEN}, "'foo' is no origin: give the scheme and the host"),
        (["--sandbox", "--http", "--origin", "https://x.example/"], {"RETELL_MCP_TOKEN": TOKEN}, "'https://x.example/' is no origin"),
        (["--sandbox", "--http", "--public-host", "https://x"], {"RETELL_MCP_TOKEN": TOKEN}, "'https://x' is no host: give the name"),
        (["--sandbox", "--tools", "horses"], {}, "names no tool"),
        (["--sandbox", "--allow-to", "415"], {}, "E.164"),
        (["--sandbox", "--tools", ""], {}, "--tools '' names no tool"),
        (["--sandbox", "--tools", ","], {}, "--tools '' names no tool"),
        (["--sandbox", "--allow", "everything"], {}, "is not one of"),
        (["--sandbox", "--max-calls", "-1"], {}, "--max-calls"),
    ],
)
def test_what_cannot_work_is_said_at_once(started: list[Any], arguments: list[str], environment: dict[str, str], said: str) -> None:
    done = run(*arguments, **environment)
    assert done.exit_code != 0
    assert said in done.output
    assert started == []


@pytest.mark.soak
@pytest.mark.parallel
def test_a_port_that_is_in_use_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("--sandbox", "--http", "--port", str(port), RETELL_MCP_TOKEN=TOKEN)
    assert (done.exit_code, done.output) == (1, f"Error: port {port} of 127.0.0.1 is in use: --port names another one\n")


def test_a_profile_is_its_key_and_its_address() -> None:
    environment = {"RETELL_API_KEY": KEY, "RETELL_BASE_URL": "https://proxy.example.com", "RETELL_API_KEY_A_B": "key_of_a_b"}
    for name in (None, "default"):
        assert Profile.named(name, environment).client().api_key == KEY
    assert Profile.named("a-b", environment).client().api_key == "key_of_a_b"
    assert str(Profile.named("a-b", environment).client().base_url).startswith("https://proxy.example.com")
    own = environment | {"RETELL_BASE_URL_A_B": "https://staging.example.com"}
    assert str(Profile.named("a-b", own).client().base_url).startswith("https://staging.example.com")
    with pytest.raises(ConfigurationError, match="RETELL_API_KEY_A_B"):
        Profile.named("a-b", environment | {"RETELL_API_KEY_A_B": " "})


_PROGRAM = """
import sys
sys.modules[{missing!r}] = None
from retell_async.cli import main
sys.argv = ["retell-async", "mcp", "--help"]
main()
"""


@pytest.mark.soak
@pytest.mark.parametrize("missing", ["mcp", "mcp_types"])
def test_one_line_says_which_extra_to_install(missing: str) -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM.format(missing=missing)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].endswith("pip install 'retell-async[mcp]'`")
    assert "Traceback" not in done.stderr


@pytest.mark.soak
def test_other_commands_do_not_load_it() -> None:
    program = (
        "import sys; from retell_async.cli.group import retell_async; retell_async(['--help'], standalone_mode=False); "
        "assert not {'mcp', 'mcp_types', 'pydantic', 'starlette'} & {*sys.modules}"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "mcp" in done.stdout
