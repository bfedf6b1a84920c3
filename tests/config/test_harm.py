"""What nobody named is not published, overwritten, deleted or sent to calls."""

from __future__ import annotations

import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from retell_async import AsyncRetell
from retell_async._core.errors import ConfigurationError
from retell_async.config import Config, report
from retell_async.config.bindings import Latest
from retell_async.config.config import split
from retell_async.testing import LocalRetell

from .test_pull import agent, contents, write

pytestmark = pytest.mark.asyncio


def _git(folder: Path, *words: str) -> None:
    subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b.example", *words], cwd=folder, check=True, capture_output=True)


async def bound(client: AsyncRetell, agent: str, **more: Any) -> str:
    """A number of an agent."""
    weighted: Any = [{"agent_id": agent, "weight": 1, **more}]
    return (await client.phone_number.create(area_code=415, inbound_agents=weighted)).phone_number


async def test_publishing_is_about_agents_that_have_files(tmp_path: Path) -> None:
    local = LocalRetell()
    async with local.client() as client:
        await agent(client, "Alpha")
        _, other = await agent(client, "Beta")
        config = Config(tmp_path, client)
        await config.pull()
        for name in ("agents/beta.yaml", "llms/beta.yaml"):
            (tmp_path / name).unlink()
        assert await config.publish() == ["agents/alpha: version 0"]
        with pytest.raises(ConfigurationError, match="there is no agents/beta"):
            await config.publish(["agents/beta"])
        assert not (await client.agent.retrieve(other)).is_published


async def test_a_canary_is_about_drafts_that_the_files_say(tmp_path: Path) -> None:
    local = LocalRetell()
    async with local.client() as client:
        _, made = await agent(client, "Alpha")
        for version in (0, 1):
            await client.agent.publish(made, version=version)
            await client.agent.create_version(made, base_version=version)
        number = await bound(client, made, agent_version=0)
        config = Config(tmp_path, client)
        await config.pull()
        await client.agent.update(made, voice_speed=2)
        with pytest.raises(ConfigurationError, match="agents/alpha is not tried"):
            await config.canary(0.1)
        await config.pull()
        before = (await client.phone_number.retrieve(number)).to_dict()["inbound_agents"]
        told = await config.canary(0.1, dry_run=True)
        assert (await client.phone_number.retrieve(number)).to_dict()["inbound_agents"] == before
        assert await config.canary(0.1) == told
        weights = [
            (one["agent_version"], one["weight"]) for one in (await client.phone_number.retrieve(number)).to_dict()["inbound_agents"]
        ]
        assert weights == [(0, 0.9), (2, 0.1)]
        file = tmp_path / "agents/alpha.yaml"
        file.write_text(file.read_text().replace("voice_speed: 2", "voice_speed: 1.5"))
        (warning,) = (await config.plan()).warnings  # web calls have the draft already
        assert warning == "agents/alpha: live at once: this draft answers calls of phone_numbers/number-0100"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([(None, 1)], [("latest_published", 0.9), (4, 0.1)]),
        ([("latest", 1)], [("latest_published", 0.9), (4, 0.1)]),
        ([("latest_published", 1)], [("latest_published", 0.9), (4, 0.1)]),
        ([("tried", 0.5), (1, 0.5)], [("tried", 0.45), (1, 0.45), (4, 0.1)]),
        ([("draft", 0.5), ("unassigned", 0.5)], [("latest_published", 0.9), (4, 0.1)]),
        ([("latest_published", 0.9), (3, 0.1)], [("latest_published", 0.9), (4, 0.1)]),
        ([(None, 0.5), (3, 0.25), (1, 0.25)], [("latest_published", 0.675), (1, 0.225), (4, 0.1)]),
        ([(3, 1)], [(3, 0.9), (4, 0.1)]),
        ([(1, 0.7), (4, 0.3)], [(1, 0.9), (4, 0.1)]),
        ([(4, 1)], [(4, 1)]),
    ],
)
async def test_a_number_keeps_the_versions_that_it_names(before: list[Any], after: list[Any]) -> None:
    def weighted(items: list[Any]) -> list[Any]:
        return [
            {"agent_id": "agents/a"} | ({} if version is None else {"agent_version": version}) | {"weight": one} for version, one in items
        ]

    assert split(weighted(before), {"agents/a": (Latest(4, False, {"tried": 2, "draft": 4}), 3)}, 0.1) == weighted(after)
    assert split(weighted(before), {}, 0.1) == weighted(before)


async def test_sources_of_one_name_are_left_alone(tmp_path: Path) -> None:
    local = LocalRetell()
    async with local.client() as client:
        texts = [{"title": "T", "text": text} for text in ("one", "two")]
        base = await client.knowledge_base.create(
            knowledge_base_name="FAQ",
            knowledge_base_texts=texts,  # type: ignore[arg-type]
        )
        await local.advance(100)
        config = Config(tmp_path, client)
        await config.pull()
        assert (await config.plan()).status == 0
        file = tmp_path / "knowledge_bases/faq.yaml"
        edits = ["- title: T\n    text: new\n  - title: T", "- title: T"]
        text = file.read_text()
        for edit in edits:
            file.write_text(text.replace("- title: T\n  - title: T", edit))
            plan = await config.plan(delete=["knowledge_bases/faq: text: T"])
            assert "more than one of its sources is 'text: T'" in plan.conflicts[0]
        write(tmp_path, {"knowledge_bases/new.yaml": text.replace("FAQ", "New").replace("title: T", "title: T\n    text: x")})
        assert any(conflict.startswith("knowledge_bases/new: more than one") for conflict in (await config.plan()).conflicts)
        assert len((await client.knowledge_base.retrieve(base.knowledge_base_id)).knowledge_base_sources or ()) == 2


async def test_a_test_case_keeps_a_key_that_is_not_here(tmp_path: Path) -> None:
    local = LocalRetell()
    async with local.client() as client:
        llm, _ = await agent(client, "Alpha")
        engine: Any = {"type": "retell-llm", "llm_id": llm}
        made = await client.tests.create_test_case_definition(
            name="T", response_engine=engine, user_prompt="up", metrics=["m"], dynamic_variables={"pin": "1234"}
        )
        await Config(tmp_path, client).pull()
        file = tmp_path / "tests/t.yaml"
        file.write_text(file.read_text().replace("'1234'", "${{ env.PIN }}"))
        config = Config(tmp_path, client, variables={"PIN": "1234"})
        await config.apply(await config.plan())
        file.write_text(file.read_text().replace("user_prompt: up", "user_prompt: upper"))
        config = Config(tmp_path, client, variables={})
        await config.apply(await config.plan())
        found = (await client.tests.get_test_case_definition(made.test_case_definition_id)).to_dict()
        assert (found["dynamic_variables"], found["user_prompt"]) == ({"pin": "1234"}, "upper")


async def test_a_key_of_an_environment_is_a_variable(tmp_path: Path) -> None:
    local = LocalRetell()
    async with local.client() as client:
        _, made = await agent(client, "Alpha")
        config = Config(tmp_path, client, variables={"CRM_PROD": "s3cr3t"})
        await config.pull()
        write(tmp_path, {"environments/default.yaml": "variables:\n  crm: ${{ env.CRM_PROD }}\n"})
        file = tmp_path / "agents/alpha.yaml"
        file.write_text(file.read_text() + "webhook_url: https://h.example/${{ vars.crm }}/e\n")
        await config.apply(await config.plan())
        assert (await client.agent.retrieve(made)).webhook_url == "https://h.example/s3cr3t/e"
        assert (await config.plan()).status == 0
        write(tmp_path, {"environments/default.yaml": "variables:\n  crm: ${{ vars.other }}\n"})
        with pytest.raises(ConfigurationError, match=r"environments/default.yaml:2: variables.crm: a variable refers to nothing but"):
            await config.plan()


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"llms/alpha.yaml": ""}, "llms/alpha.yaml:1: holds no settings"),
        ({"llms/alpha.yaml": "# all gone\n"}, "llms/alpha.yaml:1: holds no settings"),
        ({"llms/alpha/general_prompt.md": "<<<<<<< HEAD\nours\n=======\ntheirs\n>>>>>>> branch\n"}, "holds both sides of a merge"),
        ({"agents/alpha.yml": "agent_name: Other\n"}, "agents/alpha.yml:1: agents/alpha.yaml has the same name"),
        ({"agents/eu/berlin.yaml": "agent_name: Berlin\n"}, "agents/eu/berlin.yaml:1: is not read"),
    ],
)
async def test_what_is_no_wish_of_anybody_is_refused(tmp_path: Path, files: dict[str, str], said: str) -> None:
    local = LocalRetell()
    async with local.client() as client:
        await agent(client, "Alpha", begin_message="hi")
        config = Config(tmp_path, client)
        await config.pull()
        write(tmp_path, files)
        with pytest.raises(ConfigurationError, match=said):
            await config.plan()


async def test_what_the_state_does_not_know_is_written_over_by_name_alone(tmp_path: Path) -> None:
    local = LocalRetell()
    async with local.client() as client:
        theirs, _ = await agent(client, "Sales", "a week of a colleague's work")
        engine = "response_engine: {type: retell-llm, llm_id: llms/sales}\n"
        write(
            tmp_path,
            {"agents/sales.yaml": f"agent_name: Sales\nvoice_id: retell-Cimo\n{engine}", "llms/sales.yaml": "general_prompt: mine\n"},
        )
        config = Config(tmp_path, client)
        plan = await config.plan()
        assert f"llms/sales: the account has it already ({theirs})" in plan.conflicts[0]
        assert (await config.pull()).conflicts
        await config.apply(await config.plan(overwrite=["llms/sales"]))
        assert (await client.llm.retrieve(theirs)).general_prompt == "mine"
        (tmp_path / "retell.state.json").unlink()
        await client.llm.update(theirs, general_prompt="theirs again")
        assert (await config.plan()).status == 1


async def test_an_account_is_not_promoted_into_itself(tmp_path: Path) -> None:
    local = LocalRetell()
    async with local.client() as client:
        await agent(client, "Alpha")
        write(tmp_path, {f"environments/{name}.yaml": f"variables: {{host: {name}.example}}\n" for name in ("staging", "prod")})
        staging, prod = Config(tmp_path, client, "staging"), Config(tmp_path, client, "prod")
        await staging.pull()
        with pytest.raises(ConfigurationError, match="staging and prod are one account"):
            await staging.promote(prod)


async def test_numbers_of_versions_are_not_promoted(tmp_path: Path) -> None:
    local, other = LocalRetell(), LocalRetell()
    async with local.client() as client, other.client() as target:
        for one, versions in ((client, 1), (target, 3)):
            _, made = await agent(one, "Alpha")
            for version in range(versions):
                await one.agent.publish(made, version=version)
                await one.agent.create_version(made, base_version=version)
            await bound(one, made, agent_version=versions - 1)
        write(tmp_path, {f"environments/{name}.yaml": "variables: {}\n" for name in ("s", "p")})
        staging, prod = Config(tmp_path, client, "s"), Config(tmp_path, target, "p")
        await staging.pull()
        plan = await staging.promote(prod)
        assert "version 0 of agents/alpha is that of one account" in plan.conflicts[0]
        values = (
            "values:\n  phone_numbers/number-0100:\n    inbound_agents:\n      - {agent_id: agents/alpha, agent_version: 1, weight: 1}\n"
        )
        write(tmp_path, {"environments/p.yaml": values})
        plan = await staging.promote(prod)
        assert (plan.conflicts, [step.name for step in plan.steps]) == ((), ["phone_numbers/number-0100"])
        assert any("phone_numbers/number-0100 has no drafts" in warning for warning in plan.warnings)


async def test_what_a_deletion_means_for_calls_is_said(tmp_path: Path) -> None:
    local = LocalRetell()
    async with local.client() as client:
        base = await client.knowledge_base.create(knowledge_base_name="FAQ", knowledge_base_urls=["https://a.example"])
        await local.advance(100)
        _, made = await agent(client, "Alpha", knowledge_base_ids=[base.knowledge_base_id])
        await bound(client, made)
        config = Config(tmp_path, client)
        await config.pull()
        names = ["knowledge_bases/faq", "phone_numbers/number-0100"]
        for name in names:
            (tmp_path / f"{name}.yaml").unlink()
        (tmp_path / "llms/alpha.yaml").write_text("general_prompt: ${{ file alpha/general_prompt.md }}\n")
        warnings = "\n".join((await config.plan(delete=names)).warnings)
        assert "knowledge_bases/faq: published versions that have it lose it too" in warnings
        assert "phone_numbers/number-0100: the number itself is given back" in warnings


async def test_a_knowledge_base_that_is_being_read_holds_nothing_up(tmp_path: Path) -> None:
    local = LocalRetell()
    async with local.client() as client:
        await agent(client, "Alpha")
        base = await client.knowledge_base.create(knowledge_base_name="Slow", knowledge_base_urls=["https://slow.example"])
        config = Config(tmp_path, client)
        pulled = await config.pull()
        assert "knowledge_bases/slow is left out" in pulled.notes[0]
        assert not (tmp_path / "knowledge_bases/slow.yaml").exists()
        write(tmp_path, {"knowledge_bases/slow.yaml": "knowledge_base_name: Slow\n"})
        with pytest.raises(ConfigurationError, match="wait until they are"):
            await config.bind("knowledge_bases/slow", base.knowledge_base_id)
        assert "still being read" in (await config.plan()).conflicts[0]
        await local.advance(100)
        (tmp_path / "knowledge_bases/slow.yaml").unlink()
        await config.pull()
        assert (await config.plan()).status == 0


async def test_what_is_just_made_is_not_compared(tmp_path: Path) -> None:
    local = LocalRetell()
    async with local.client() as client:
        write(tmp_path, {"knowledge_bases/faq.yaml": "knowledge_base_name: FAQ\nknowledge_base_urls: [https://a.example]\n"})
        config = Config(tmp_path, client)
        await config.apply(await config.plan())
        plan = await config.plan()
        assert (plan.status, "was not compared" in plan.notes[0]) == (0, True)
        write(tmp_path, {"llms/a.yaml": "general_prompt: a\n"})
        plan = await config.plan()
        await local.advance(100)
        assert (await config.apply(plan)).done == ["created llms/a"]  # that it was read meanwhile is nobody's change
        plan = await config.plan()
        assert (plan.status, plan.notes) == (0, ())


async def test_an_engine_that_another_agent_published_is_a_conflict(tmp_path: Path) -> None:
    local = LocalRetell()
    async with local.client() as client:
        llm, _ = await agent(client, "Alpha")
        config = Config(tmp_path, client)
        await config.pull()
        engine: Any = {"type": "retell-llm", "llm_id": llm}
        other = await client.agent.create(agent_name="Other", voice_id="retell-Cimo", response_engine=engine)
        await client.agent.publish(other.agent_id, version=0)
        prompt = tmp_path / "llms/alpha/general_prompt.md"
        before = prompt.read_text()
        prompt.write_text("new\n")
        assert "publish agents/alpha" in (await config.plan()).conflicts[0]
        prompt.write_text(before)
        await config.publish(["agents/alpha"])
        prompt.write_text("new\n")
        await config.apply(await config.plan())
        assert (await config.plan()).status == 0


async def test_what_somebody_made_in_the_account_is_said(tmp_path: Path) -> None:
    local = LocalRetell()
    async with local.client() as client:
        await agent(client, "Alpha")
        config = Config(tmp_path, client)
        await config.pull()
        assert (await config.plan()).notes == ()
        await agent(client, "New")
        assert "no file is about, and no plan changes: 1 llms, 1 agents" in (await config.plan()).notes[0]


async def test_a_plan_of_some_refuses_what_needs_others(tmp_path: Path) -> None:
    local = LocalRetell()
    async with local.client() as client:
        engine = "response_engine: {type: retell-llm, llm_id: llms/a}\n"
        write(tmp_path, {"llms/a.yaml": "general_prompt: a\n", "agents/a.yaml": f"agent_name: A\nvoice_id: retell-Cimo\n{engine}"})
        config = Config(tmp_path, client)
        assert (await config.plan(["agents/a"])).conflicts == (
            "agents/a: llms/a is not in the account yet: name it too, or apply it first",
        )
        await config.apply(await config.plan(["agents/a", "llms/a"]))
        assert (await config.plan(["agents/a"])).status == 0


@pytest.mark.parametrize("name", ["a", "retell/agents/a.yaml", "agents/a.yaml", "agent/a"])
async def test_a_name_as_a_shell_completes_it(tmp_path: Path, name: str) -> None:
    local = LocalRetell()
    async with local.client() as client:
        write(
            tmp_path,
            {"agents/a.yaml": "agent_name: A\nvoice_id: retell-Cimo\nresponse_engine: {type: custom-llm, llm_websocket_url: wss://a}\n"},
        )
        assert (await Config(tmp_path, client).plan([name])).conflicts == (f"there is no {name}: is it agents/a?",)


async def test_a_version_that_does_not_name_its_engine_is_a_conflict(tmp_path: Path) -> None:
    local = LocalRetell()
    async with local.client() as client:
        engine = "response_engine: {type: retell-llm, llm_id: llms/a}\n"
        write(tmp_path, {"llms/a.yaml": "general_prompt: good\n", "agents/a.yaml": f"agent_name: A\nvoice_id: retell-Cimo\n{engine}"})
        config = Config(tmp_path, client)
        await config.apply(await config.plan())
        await config.publish()
        restored = await config.restore_version("agents/a", 0)
        assert restored.conflicts == ()
        assert "agents/a: version 1 is a draft with the settings of version 0: publish agents/a comes next" in restored.notes
        write(tmp_path, {"llms/a.yaml": "general_prompt: bad\n"})
        with pytest.raises(ConfigurationError, match="edits of llms/a would be lost"):
            await config.restore_version("agents/a", 0)
        assert (tmp_path / "llms/a.yaml").read_text() == "general_prompt: bad\n"
        await config.apply(await config.plan())
        await config.publish()
        (made,) = local.sandbox.store.agents
        del made.versions[0]["response_engine"]["version"]
        assert "llms/a is as it was: version 0 of agents/a" in (await config.restore_version("agents/a", 0)).conflicts[0]


@pytest.mark.needs("git")
@pytest.mark.needs("symlink")
async def test_a_commit_is_put_back_and_what_git_does_not_know_stays(tmp_path: Path) -> None:
    git = partial(_git, tmp_path)
    local = LocalRetell()
    async with local.client() as client:
        await agent(client, "Alpha")
        config = Config(tmp_path, client)
        await config.pull()
        text = {"prompts/shared.md": "v1\n", "README.md": "v1\n", "llms/gone.md": "v1\n"}
        write(
            tmp_path,
            {
                ".gitignore": "*.pdf\nenvironments/local.yaml\n",
                "llms/alpha.yaml": "general_prompt: ${{ file ../prompts/shared.md }}\n",
                **text,
            },
        )
        (tmp_path / "llms/link.md").symlink_to("../prompts/shared.md")
        git("init", "-q")
        git("add", "-A")
        git("commit", "-qm", "1")
        write(tmp_path, dict.fromkeys(text, "v2\n"))
        write(tmp_path, {"llms/new.md": "new\n"})
        git("add", "-A")
        git("commit", "-qm", "2")
        ignored = {"knowledge_bases/faq/handbook.pdf": "pdf", "environments/local.yaml": "variables: {}\n"}
        write(tmp_path, ignored)
        assert config.restore_files("HEAD~1") == ["llms/gone.md", "llms/new.md", "prompts/shared.md"]
        found = contents(tmp_path)
        assert {name: found[name].decode() for name in ignored} == ignored
        assert [found.get(name) for name in ("prompts/shared.md", "README.md", "llms/new.md")] == [b"v1\n", b"v2\n", None]
        assert (tmp_path / "llms/link.md").is_symlink()
        assert (await config.plan()).status == 2
        with pytest.raises(ConfigurationError, match="git knows no commit 'nope': `git log` lists them"):
            config.restore_files("nope")
        with pytest.raises(ConfigurationError, match="changes that are in no commit"):
            config.restore_files("HEAD")
        git("commit", "-qam", "3")
        git("rm", "-q", "--cached", "llms/gone.md")
        write(tmp_path, {".gitignore": "*.pdf\nenvironments/local.yaml\nllms/gone.md\n", "llms/gone.md": "mine\n"})
        git("commit", "-qam", "4")
        with pytest.raises(ConfigurationError, match=r"git ignores llms/gone\.md"):
            config.restore_files("HEAD~1")


async def test_a_backup_is_for_its_owner_and_outside_the_folder(tmp_path: Path) -> None:
    local = LocalRetell()
    async with local.client() as client:
        config = Config(tmp_path / "retell", client)
        await config.pull()
        write(tmp_path, {"there.json": ""})
        (tmp_path / "there.json").chmod(0o644)
        await config.backup(tmp_path / "there.json")
        assert (tmp_path / "there.json").stat().st_mode & 0o77 == 0
        with pytest.raises(ConfigurationError, match="belongs into git"):
            await config.backup(tmp_path / "retell/b.json")
        assert report(await config.plan()) == "default: nothing to do"


@pytest.mark.needs("git")
async def test_a_state_that_git_took_back_may_be_behind_a_change_in_the_account(tmp_path: Path) -> None:
    git = partial(_git, tmp_path)
    local = LocalRetell()
    async with local.client() as client:
        llm, _ = await agent(client, "Alpha", "Good.")
        config = Config(tmp_path, client)
        await config.pull()
        git("init", "-q")
        file = tmp_path / "llms/alpha.yaml"
        for number, prompt in enumerate(("Good.", "Bad.")):
            file.write_text(file.read_text(encoding="utf-8").replace("Good.", prompt), encoding="utf-8")
            await config.apply(await config.plan())
            git("add", "-A")
            git("commit", "-qm", f"{number}")
        await client.llm.update(llm, general_prompt="Good.")
        assert (await config.plan()).status == 0  # somebody put it back in the dashboard
        await client.llm.update(llm, general_prompt="Bad.")
        git("revert", "--no-edit", "HEAD")
        plan = await config.plan()
        assert (plan.status, plan.conflicts) == (0, ())
        (warning,) = plan.warnings
        assert warning.startswith("llms/alpha: general_prompt is in the account as it was applied from here, or pulled, before")
        (tmp_path / ".git/objects").rename(tmp_path / ".git/elsewhere")  # git says nothing: neither does the plan
        assert (await config.plan()).warnings == ()
        (tmp_path / ".git/elsewhere").rename(tmp_path / ".git/objects")
        with pytest.raises(ConfigurationError, match="llms/alpha is not in the account as the files say"):
            await config.publish()
        await config.apply(await config.plan(overwrite=["llms/alpha"]))
        assert (await client.llm.retrieve(llm)).general_prompt == "Good."
        assert (await config.plan()).status == 0
        await client.llm.update(llm, general_prompt="Other.")
        assert [*(await config.plan()).kept] == ["llms/alpha"]
        assert (await config.plan()).conflicts == ()
