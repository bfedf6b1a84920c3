"""The jobs of the guide, as a runner of CI has them: a repository, an account for each environment, and the shell."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest

from retell_async import Retell
from retell_async.sandbox import Settings, SteppedClock
from retell_async.testing import LocalRetell

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "guides" / "config.md").read_text(encoding="utf-8").partition("## In CI")[2].partition("\n## ")[0]
PROPOSED, MERGED, RELEASE, NIGHTLY = re.findall(r"^```sh\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
PROMPT = "Be brief, and name no prices.\n"

pytestmark = [pytest.mark.soak, pytest.mark.parallel]


@attrs.frozen
class Company:
    """A repository that others push to, and the accounts."""

    folder: Path
    variables: dict[str, str]
    accounts: dict[str, Retell]

    def run(self, text: str, where: str = "work") -> tuple[int, str]:
        done = subprocess.run(
            ["sh", "-c", text], cwd=self.folder / where, env=self.variables, capture_output=True, text=True, timeout=120, check=False
        )
        return done.returncode, done.stdout + done.stderr

    def job(self, name: str, text: str) -> tuple[int, str]:
        """Run what is to be run in a fresh clone."""
        assert self.run(f"git clone -q origin.git {name}", ".")[0] == 0
        return self.run(text, name)

    def edit(self, text: str) -> None:
        prompt = self.folder / "work" / "retell" / "llms" / "desk.yaml"
        prompt.write_text(re.sub("^general_prompt: .*", f"general_prompt: {text}", prompt.read_text("utf-8"), flags=re.MULTILINE), "utf-8")
        assert self.run("git pull -q && git commit -qam 'Another prompt' && git push -q")[0] == 0

    def prompt(self, account: str) -> str | None:
        (llm,) = self.accounts[account].llm.list()
        return llm.general_prompt


@contextmanager
def company(folder: Path) -> Generator[Company]:
    bin = folder / "bin"
    bin.mkdir()
    command = bin / "retell-async"
    command.write_text(f"#!/bin/sh\nexec {sys.executable} -c 'from retell_async.cli import main; main()' \"$@\"\n", encoding="utf-8")
    command.chmod(0o755)
    staging, prod = (LocalRetell(Settings(seed=seed), SteppedClock()) for seed in (1, 2))
    with staging.serving() as first, prod.serving() as second:
        variables = {
            "PATH": f"{bin}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "HOME": str(folder),
            **{f"GIT_{who}_{what}": "ci@example.test" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
            "RETELL_API_KEY_STAGING": "key_1",
            "RETELL_BASE_URL_STAGING": first,
            "RETELL_API_KEY_PROD": "key_2",
            "RETELL_BASE_URL_PROD": second,
        }
        with Retell("key_1", base_url=first) as one, Retell("key_2", base_url=second) as other:
            made = Company(folder, variables, {"staging": one, "prod": other})
            assert made.run("git init -q --bare -b main origin.git && git clone -q origin.git work", ".")[0] == 0
            files = {
                "environments/staging.yaml": "profile: staging\n",
                "environments/prod.yaml": "profile: prod\n",
                "llms/desk.yaml": "general_prompt: Be brief.\nstart_speaker: agent\n",
                "agents/desk.yaml": "agent_name: Desk\nvoice_id: 11labs-Adrian\nresponse_engine: {type: retell-llm, llm_id: llms/desk}\n",
            }
            for name, text in files.items():
                path = folder / "work" / "retell" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            assert made.run("git add . && git commit -qm 'Files' && git push -q -u origin HEAD:main")[0] == 0
            yield made


@pytest.mark.needs("git")
def test_jobs_bring_an_account_to_what_git_says_and_the_state_back(tmp_path: Path) -> None:
    with company(tmp_path) as made:
        assert made.job("pr1", PROPOSED)[0] == 0
        status, text = made.job("main1", MERGED)
        assert status == 0, text
        assert made.prompt("staging") == "Be brief."
        release = MERGED.replace("retell-async config --env staging apply --yes || status=$?\n", RELEASE)
        assert release != MERGED
        status, text = made.job("release1", release)
        assert status == 0, text
        assert made.prompt("prod") == "Be brief."

        made.edit("Be brief, and kind.")
        status, text = made.job("pr2", PROPOSED)
        assert status == 0, text
        assert "Be brief, and kind." in text
        assert made.prompt("staging") == "Be brief."
        status, text = made.job("main2", MERGED)
        assert status == 0, text
        assert made.prompt("staging") == "Be brief, and kind."
        assert made.job("night1", NIGHTLY)[0] == 0

        (llm,) = made.accounts["staging"].llm.list()
        made.accounts["staging"].llm.update(llm.llm_id, general_prompt="Changed by hand.")
        status, text = made.job("night2", NIGHTLY.replace("prod", "staging"))
        assert status == 2
        assert "Changed by hand." in text

        made.edit("Be brief.\nno_such_field: 1")
        status, text = made.job("pr3", PROPOSED)
        assert status == 1
        assert "no_such_field" in text
