"""What guides have as whole programs and sequences of commands does what they say, as it stands, against the sandbox."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .blocks import ROOT, blocks
from .test_tasks import KEY, Account, account, free_port

FOLDER = ROOT / "docs" / "guides"

pytestmark = [pytest.mark.soak, pytest.mark.parallel]


def of(guide: str, language: str) -> list[str]:
    return [block.source for block in blocks(language) if block.path == FOLDER / f"{guide}.md"]


def test_a_first_campaign(tmp_path: Path) -> None:
    contacts, shown = of("campaigns", "text")[:2]
    (tmp_path / "contacts.csv").write_text(contacts)
    (tmp_path / "rules.toml").write_text(of("campaigns", "toml")[0])
    export, *commands = of("campaigns", "sh")[0].splitlines()
    assert export.startswith("export RETELL_BASE_URL=http://127.0.0.1:8888 ")

    with account(tmp_path) as made:
        plan, run, report = (command(made, shlex.split(line)) for line in commands)

    assert undated(plan) == undated(shown)
    assert re.fullmatch(r"spring: done: \w+ \d(, \w+ \d)?", run.splitlines()[-1])
    assert report == ""
    assert "+12125550111" in (tmp_path / "report.csv").read_text()


def command(made: Account, arguments: list[str]) -> str:
    """What the command writes."""
    assert arguments[0] == "retell-async"
    env = made.environment("pip install '.[campaigns]'")
    run = [sys.executable, "-m", "retell_async.cli", *arguments[1:]]
    result = subprocess.run(run, cwd=made.folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert result.returncode == 0, result.stdout
    return result.stdout


def undated(plan: str) -> str:
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d (E[SD]T|P[SD]T|UTC)", "TIME", plan)


def test_an_archive_in_a_service(tmp_path: Path) -> None:
    text = (FOLDER / "archive.md").read_text()
    section = text.partition("## A service\n")[2].partition("\n## ")[0]
    (source,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    (tmp_path / "calls_service.py").write_text(source)
    assert "python -m uvicorn calls_service:app --port 8000" in section
    (installed,) = re.findall(r"`(pip install .*?)`", section)
    port = free_port()

    with account(tmp_path) as made, made.client as client:
        arguments = ["-m", "uvicorn", "calls_service:app", "--port", str(port)]
        with made.serve(arguments, installed, port) as log:
            client.agent.update(made.fixtures.agent_id, webhook_url=f"http://127.0.0.1:{port}/retell/events")
            placed = client.call.create_phone_call(from_number="+14155550100", to_number="+14155550108")
            client.call.wait(placed.call_id, until="analyzed")
            time.sleep(3)
    assert re.search(rf"^{placed.call_id} \w+ \w.*", log[0], re.MULTILINE), log[0]
    assert KEY not in log[0]
