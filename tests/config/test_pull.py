"""What pull writes means what the account has, and all else what it meant before; or it is a conflict, and nothing is written."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from retell_async import AsyncRetell
from retell_async._core.errors import ConfigurationError
from retell_async.config import Config, report
from retell_async.testing import LocalRetell

pytestmark = pytest.mark.asyncio
PROMPT = "P " + "line\n" * 10


async def agent(client: AsyncRetell, name: str, prompt: str = PROMPT, **llm: Any) -> tuple[str, str]:
    engine = (await client.llm.create(general_prompt=prompt, **llm)).llm_id
    made = await client.agent.create(agent_name=name, voice_id="retell-Cimo", response_engine={"type": "retell-llm", "llm_id": engine})
    return engine, made.agent_id


def write(root: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file() and path.suffix != ".json"}


def tools(text: str) -> list[Any]:
    return [{"type": "end_call", "name": "end", "description": text}]


ANCHORED = """\
general_prompt: ${{ file alpha/general_prompt.md }}
starting_state: a
states:
  - name: a
    state_prompt: x
    edges: []
    tools: &tools
      - {type: end_call, name: end, description: d}
  - name: b
    state_prompt: x
    edges: []
    tools: *tools
"""
STATES = [{"name": name, "state_prompt": "x", "edges": [], "tools": tools("d")} for name in ("a", "b")]
VARIABLES = "variables:\n  company: Staging Inc\n"


@pytest.mark.parametrize(
    ("files", "change", "said"),
    [
        (
            {
                "llms/s.md": PROMPT + "\n",
                "llms/alpha.yaml": "general_prompt: ${{ file s.md }}\n",
                "llms/beta.yaml": "general_prompt: ${{ file s.md }}\n",
            },
            {"general_prompt": "new\n" * 9},
            "llms/beta takes it from there too",
        ),
        (
            {"environments/default.yaml": VARIABLES, "llms/alpha/general_prompt.md": "For ${{ vars.company }}.\n"},
            {"general_prompt": "For Prod Inc."},
            "it refers to what was changed",
        ),
        (
            {
                "environments/default.yaml": VARIABLES,
                "llms/alpha.yaml": "begin_message: ${{ vars.company }}\ngeneral_prompt: ${{ file alpha/general_prompt.md }}\n",
            },
            {"begin_message": "Hi"},
            "it refers to what was changed",
        ),
        ({"llms/alpha.yaml": ANCHORED}, {"states": [STATES[0] | {"tools": tools("new")}, STATES[1]]}, "an anchor"),
        (
            {
                "llms/alpha.yaml": "begin_message: Hi\ngeneral_prompt: ${{ file alpha/general_prompt.md }}\n",
                "llms/beta.yaml": "extends: alpha\n",
            },
            {"begin_message": "Ho"},
            "llms/beta takes it from there too",
        ),
        (
            {"environments/prod.yaml": "values:\n  llms/beta:\n    general_prompt: ${{ file ../llms/alpha/general_prompt.md }}\n"},
            {"general_prompt": "new\n" * 9},
            "llms/beta takes it from there too",
        ),
    ],
)
async def test_what_cannot_be_written_alone_is_a_conflict(tmp_path: Path, files: dict[str, str], change: Any, said: str) -> None:
    local = LocalRetell()
    async with local.client() as client:
        llm, _ = await agent(client, "Alpha")
        await agent(client, "Beta")
        config = Config(tmp_path, client)
        await config.pull()
        write(tmp_path, files)
        await config.apply(await config.plan())
        await client.llm.update(llm, **change)
        before = contents(tmp_path)
        pulled = await config.pull()
        assert said in pulled.conflicts[0]
        assert "llms/alpha.yaml" not in pulled.conflicts[0]
        assert (pulled.written, contents(tmp_path)) == ((), before)
        plan = await config.plan()
        assert (plan.steps, [*plan.kept]) == ((), ["llms/alpha"])
        beta = (await config._read()).folder.wanted["llms/beta"]
        pulled = await config.pull(["llms/alpha"], overwrite=["llms/alpha"])
        plan = await config.plan()
        assert plan.steps == (), report(plan)
        assert (await config._read()).folder.wanted["llms/beta"] == beta
        if pulled.conflicts:  # another file of settings has it: there is no way but by hand
            assert "extends" in files.get("llms/beta.yaml", "")
        else:
            assert "is written in full now" in pulled.notes[0]
            assert not plan.kept


@pytest.mark.parametrize(
    ("files", "change", "then"),
    [
        (
            {"environments/default.yaml": VARIABLES, "llms/alpha/general_prompt.md": "For ${{ vars.company }}.\n" + PROMPT},
            {"general_prompt": "For Staging Inc.\n" + PROMPT + "One more."},
            {"llms/alpha/general_prompt.md": "For ${{ vars.company }}.\n" + PROMPT + "One more.\n"},
        ),
        (
            {
                "llms/common.md": "House rules.\n",
                "llms/own.md": "You are Alpha.\n",
                "llms/alpha.yaml": "general_prompt: |-\n  ${{ file common.md }}\n\n  ${{ file own.md }}\n",
            },
            {"general_prompt": "House rules.\n\nYou are Anna."},
            {"llms/common.md": "House rules.\n", "llms/own.md": "You are Anna.\n"},
        ),
        (
            {
                "llms/common.md": "House rules.\n",
                "llms/own.md": "You are Alpha.\n",
                "llms/alpha.yaml": "general_prompt: |-\n  ${{ file common.md }}\n\n  ${{ file own.md }}\n",
            },
            {"general_prompt": "House rules.\n\nYou are Alpha.\nBe brief."},
            {"llms/common.md": "House rules.\n", "llms/own.md": "You are Alpha.\n"},
        ),
        (
            {"environments/default.yaml": "values:\n  llms/alpha:\n    general_prompt: short\n"},
            {"general_prompt": "long\n" * 10},
            {"environments/default.yaml": "values:\n  llms/alpha:\n    general_prompt: ${{ file default/llms-alpha.general_prompt.md }}\n"},
        ),
        (
            {
                "environments/prompt.md": PROMPT + "\n",
                "environments/default.yaml": "values:\n  llms/alpha:\n    general_prompt: ${{ file prompt.md }}\n",
                "llms/prompt.md": PROMPT + "\n",
                "llms/beta.yaml": "general_prompt: ${{ file prompt.md }}\n",
            },
            {"general_prompt": "new\n" * 10},
            {"environments/prompt.md": "new\n" * 10 + "\n", "llms/prompt.md": PROMPT + "\n"},
        ),
        (
            {
                "llms/_family.yaml": "begin_message: Hi\n",
                "llms/alpha.yaml": "extends: _family\nbegin_message: Ho\ngeneral_prompt: ${{ file alpha/general_prompt.md }}\n",
            },
            {"begin_message": None},
            {"llms/alpha.yaml": "extends: _family\nbegin_message:\ngeneral_prompt: ${{ file alpha/general_prompt.md }}\n"},
        ),
        (
            {
                "environments/default.yaml": VARIABLES,
                "llms/_family.yaml": "begin_message: Hi from ${{ vars.company }}\n",
                "llms/alpha.yaml": "extends: _family\ngeneral_prompt: ${{ file alpha/general_prompt.md }}\n",
            },
            {"begin_message": "Ho from Staging Inc"},
            {
                "llms/alpha.yaml": "extends: _family\ngeneral_prompt: ${{ file alpha/general_prompt.md }}\n"
                "begin_message: Ho from ${{ vars.company }}\n"
            },
        ),
        (
            {"llms/alpha.yaml": "general_prompt: ${{ file alpha/general_prompt.md }}\ndefault_dynamic_variables:\n  1: one\n  2: two\n"},
            {"default_dynamic_variables": {"1": "uno"}},
            {"llms/alpha.yaml": "general_prompt: ${{ file alpha/general_prompt.md }}\ndefault_dynamic_variables:\n  1: uno\n"},
        ),
    ],
)
async def test_references_stay_where_they_stand(tmp_path: Path, files: dict[str, str], change: Any, then: dict[str, str]) -> None:
    local = LocalRetell()
    async with local.client() as client:
        llm, _ = await agent(client, "Alpha")
        await agent(client, "Beta")
        config = Config(tmp_path, client)
        await config.pull()
        write(tmp_path, files)
        await config.apply(await config.plan())
        await client.llm.update(llm, **change)
        pulled = await config.pull()
        assert (pulled.written, pulled.conflicts, pulled.notes) == (("llms/alpha",), (), ())
        assert {name: (tmp_path / name).read_text() for name in then} == then
        plan = await config.plan()
        assert (plan.status, plan.kept) == (0, {}), report(plan)


async def test_a_key_that_files_refer_to_is_kept_out_of_them_wherever_it_stands(tmp_path: Path) -> None:
    key = "S3cr3tPathOfTheHook"
    local = LocalRetell()
    async with local.client() as client:
        llm, made = await agent(client, "Alpha")
        config = Config(tmp_path, client, variables={"HOOK": key})
        await config.pull()
        file = tmp_path / "agents/alpha.yaml"
        file.write_text(file.read_text() + "webhook_url: https://hooks.example/${{ env.HOOK }}/events\n")
        await config.apply(await config.plan())
        for url in (f"https://hooks.example/{key}/events/v2", f"https://other.example/x/{key}"):
            await client.agent.update(made, webhook_url=url)
            await client.llm.update(llm, begin_message=f"Say {key}")
            assert key not in report(await config.plan())
            await config.pull()
            assert url.replace(key, "${{ env.HOOK }}") in file.read_text()
        assert key not in f"{contents(tmp_path)}"
        assert (await config.plan()).status == 0


async def test_keys_can_be_had_again(tmp_path: Path) -> None:
    key = "sk-0123456789abcdefghij"
    local = LocalRetell()
    async with local.client() as client:
        crm: Any = {"type": "custom", "name": "crm", "url": "https://x.example", "headers": {"Authorization": f"Bearer {key}"}}
        await agent(client, "Übersetzer", general_tools=[crm])
        for _ in range(2):
            assert (await Config(tmp_path, client, variables={}).pull()).secrets == {"UBERSETZER_CRM_AUTHORIZATION": key}
        assert (await Config(tmp_path, client, variables={"UBERSETZER_CRM_AUTHORIZATION": key}).pull()).secrets == {}


async def test_the_keys_of_one_are_not_those_of_others(tmp_path: Path) -> None:
    def crm(key: str) -> list[Any]:
        return [{"type": "custom", "name": "crm", "url": "https://x.example", "headers": {"Authorization": f"Bearer {key}"}}]

    local = LocalRetell()
    async with local.client() as client:
        await agent(client, "One", general_tools=crm("sk-0123456789abcdefghij"))
        await agent(client, "Two", general_tools=crm("sk-1123456789abcdefghij"))
        config = Config(tmp_path, client, variables={})
        await config.pull()
        for name, other in (("one", "TWO"), ("two", "ONE")):
            pulled = await config.pull([f"agents/{name}"])
            assert [*pulled.secrets] == [f"{name.upper()}_CRM_AUTHORIZATION"]
            assert not any(f"{other}_CRM" in note for note in pulled.notes)


async def test_a_key_that_is_found_stands_in_no_other_text(tmp_path: Path) -> None:
    key = "8f3cA91d77e04b2aB6c5"
    local = LocalRetell()
    async with local.client() as client:
        crm: Any = {"type": "custom", "name": "crm", "url": "https://x.example", "headers": {"X-Api-Key": key}}
        _, made = await agent(client, "Desk", f"If it fails, read https://x.example/{key}/slots.", general_tools=[crm])
        await client.agent.update(made, webhook_url=f"https://x.example/hook/{key}")
        assert (await Config(tmp_path, client, variables={}).pull()).secrets == {"DESK_CRM_X_API_KEY": key}
        assert key not in f"{contents(tmp_path)}"
        assert (await Config(tmp_path, client, variables={"DESK_CRM_X_API_KEY": key}).plan()).status == 0


async def test_a_disk_that_is_full_leaves_files_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    local = LocalRetell()
    async with local.client() as client:
        llm, _ = await agent(client, "Alpha")
        config = Config(tmp_path, client)
        await config.pull()
        before = contents(tmp_path)
        await client.llm.update(llm, begin_message="Hi")

        def full(_: int) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patched:
            patched.setattr("os.fsync", full)
            with pytest.raises(ConfigurationError, match=r"alpha\.yaml cannot be written: No space"):
                await config.pull()
        assert contents(tmp_path) == before
        assert (await config.pull()).written == ("llms/alpha",)


async def test_a_file_that_was_taken_away_comes_back_by_name_alone(tmp_path: Path) -> None:
    local = LocalRetell()
    async with local.client() as client:
        await agent(client, "Alpha")
        config = Config(tmp_path, client)
        await config.pull()
        (tmp_path / "agents/alpha.yaml").unlink()
        pulled = await config.pull()
        assert (pulled.written, "pull agents/alpha writes it again" in pulled.notes[0]) == ((), True)
        assert (await config.pull(["agents/alpha"])).written == ("agents/alpha",)


async def test_names_are_as_long_as_file_systems_take(tmp_path: Path) -> None:
    local = LocalRetell()
    async with local.client() as client:
        name = "予約" * 60
        await agent(client, name, states=[{"name": name, "state_prompt": "x\n" * 200, "edges": []}], starting_state=name)
        config = Config(tmp_path, client)
        await config.pull()
        assert (await config.plan()).status == 0
        assert max(len(os.fsencode(Path(name).name)) for name in contents(tmp_path)) < 250


async def test_nothing_is_written_outside_the_folder(tmp_path: Path) -> None:
    local = LocalRetell()
    root = tmp_path / "retell"
    async with local.client() as client:
        _, made = await agent(client, "Alpha")
        config = Config(root, client)
        for name in ("agents/../../evil", "agents//x", "agents/", "agents/a/b", "agents/_a"):
            with pytest.raises(ConfigurationError, match="a name begins with"):
                await config.bind(name, made)
        await config.pull()
        assert {name.partition("/")[0] for name in contents(tmp_path)} == {"retell"}


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "<<<<<<< HEAD",
        '{"version": 1, "environments": []}',
        '{"version": 1, "environments": {"default": {"objects": {"agents/a": {"fields": {}}}}}}',
        '{"version": 1, "environments": {"default": {"objects": {"agents/a": {"id": "x", "fields": {"f": {}}}}}}}',
        '{"version": 1, "environments": {"default": {"objects": {"nope/a": {"id": "x", "fields": {}}}}}}',
        '{"version": 1, "environments": {"default": {"objects": {"agents/../../a": {"id": "x", "fields": {}}}}}}',
    ],
)
async def test_a_damaged_state_is_said(tmp_path: Path, text: str) -> None:
    write(tmp_path, {"retell.state.json": text})
    async with LocalRetell().client() as client:
        with pytest.raises(ConfigurationError, match="put back the version that git has"):
            await Config(tmp_path, client).plan()


async def test_git_leaves_line_ends_as_they_are(tmp_path: Path) -> None:
    local = LocalRetell()
    async with local.client() as client:
        await agent(client, "Alpha")
        await Config(tmp_path, client).pull()
        assert "llms/** -text\n" in (tmp_path / ".gitattributes").read_text()
        write(tmp_path, {".gitattributes": "own\n"})
        await Config(tmp_path, client).pull()
        assert (tmp_path / ".gitattributes").read_text() == "own\n"
