"""A key that is another one in the environment than in the account is nobody's edit: it is said, and settled by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from retell_async import AsyncRetell
from retell_async.config import Config, report
from retell_async.sandbox import Settings
from retell_async.testing import LocalRetell

from .test_pull import write

pytestmark = pytest.mark.asyncio

OLD, NEW = "OldSecret99887766", "NewSecret11223344"
FILE = """\
general_prompt: p
general_tools:
  - type: custom
    name: t1
    description: d
    url: https://example.com/x
    headers:
      Authorization: Bearer ${{ env.CRM }}
"""
AGENT = "agent_name: A\nvoice_id: retell-Cimo\nresponse_engine: {type: retell-llm, llm_id: llms/a}\n"
WHERE = "llms/a: general_tools.t1.headers.Authorization: the key in the account is another one than CRM of the environment"


def body(key: str, **other: str) -> Any:
    tool = {
        "type": "custom",
        "name": "t1",
        "description": "d",
        "url": "https://example.com/x",
        "headers": {"Authorization": f"Bearer {key}"},
    }
    return {"general_prompt": "p", "general_tools": [tool | other]}


async def applied(root: Path, client: AsyncRetell) -> str:
    """An LLM and its agent, applied with the old key; the id of the LLM."""
    write(root, {"llms/a.yaml": FILE, "agents/a.yaml": AGENT})
    config = Config(root, client, variables={"CRM": OLD})
    await config.apply(await config.plan())
    return next(iter(await client.llm.list())).llm_id


async def key_of(client: AsyncRetell, id: str) -> str:
    tools = (await client.llm.retrieve(id)).to_dict()["general_tools"]
    return str(tools[0]["headers"]["Authorization"]).removeprefix("Bearer ")


async def test_a_key_rotated_in_the_environment_is_a_conflict_that_overwrite_settles(tmp_path: Path) -> None:
    local = LocalRetell()
    async with local.client() as client:
        llm = await applied(tmp_path, client)
        config = Config(tmp_path, client, variables={"CRM": NEW})
        plan = await config.plan()
        assert (plan.status, plan.kept, len(plan.conflicts)) == (1, {}, 1)
        assert plan.conflicts[0].startswith(WHERE)
        assert plan.drift == [*plan.conflicts]
        plan = await config.plan(overwrite=["llms/a"])
        assert plan.status == 2
        assert OLD not in report(plan)
        assert NEW not in report(plan)
        await config.apply(plan)
        assert await key_of(client, llm) == NEW
        assert (await config.plan()).status == 0
        assert NEW not in (tmp_path / "retell.state.json").read_text()


@pytest.mark.parametrize("theirs", ["d", "edited there"])
@pytest.mark.parametrize("ours", ["d", "edited here"])
async def test_a_key_rotated_in_the_account_stays_unsettled_whatever_is_pulled(tmp_path: Path, theirs: str, ours: str) -> None:
    local = LocalRetell()
    async with local.client() as client:
        llm = await applied(tmp_path, client)
        await client.llm.update(llm, **body(NEW, description=theirs))
        file = tmp_path / "llms/a.yaml"
        file.write_text(FILE.replace("description: d", f"description: {ours}"))
        config = Config(tmp_path, client, variables={"CRM": OLD})
        for overwrite in ((), ["llms/a"]):
            pulled = await config.pull(overwrite=overwrite)
            assert any(text.startswith(WHERE) for text in pulled.conflicts)
            assert pulled.secrets == {"CRM": NEW}
            assert "Authorization: Bearer ${{ env.CRM }}" in file.read_text()
        assert theirs in file.read_text()
        file.write_text(file.read_text().replace(f"description: {theirs}", "description: another"))
        plan = await config.plan()
        assert (plan.status, len(plan.conflicts)) == (1, 1)
        assert await key_of(client, llm) == NEW
        config = Config(tmp_path, client, variables={"CRM": NEW})
        await config.apply(await config.plan())
        assert await key_of(client, llm) == NEW
        assert (await config.plan()).status == 0


async def test_a_key_is_another_one_beside_one_that_is_not_here(tmp_path: Path) -> None:
    local = LocalRetell()
    async with local.client() as client:
        _ = await applied(tmp_path, client)
        write(
            tmp_path,
            {"agents/a.yaml": (tmp_path / "agents/a.yaml").read_text() + "webhook_url: https://${{ env.U }}:${{ env.P }}@h.example\n"},
        )
        config = Config(tmp_path, client, variables={"CRM": OLD, "U": "user", "P": "password1"})
        await config.apply(await config.plan())
        plan = await Config(tmp_path, client, variables={"CRM": OLD, "P": "password1"}).plan()
        assert (plan.status, plan.notes) == (0, ("the environment has no U: what the account has in its place was not compared",))
        plan = await Config(tmp_path, client, variables={"CRM": OLD, "P": "password2"}).plan()
        assert [text.partition(": the key")[0] for text in plan.conflicts] == ["agents/a: webhook_url"]
        assert "than U or P of" in plan.conflicts[0]


async def test_what_is_added_to_a_key_is_no_text_beside_it(tmp_path: Path) -> None:
    local = LocalRetell()
    async with local.client() as client:
        llm = await applied(tmp_path, client)
        await client.llm.update(llm, **body(f"{OLD}AndMore"))
        config = Config(tmp_path, client, variables={"CRM": OLD})
        pulled = await config.pull()
        assert (pulled.written, pulled.secrets) == ((), {"CRM": f"{OLD}AndMore"})


async def test_a_rotated_key_does_not_keep_anybody_from_going_back(tmp_path: Path) -> None:
    local = LocalRetell()
    async with local.client() as client:
        await applied(tmp_path, client)
        config = Config(tmp_path, client, variables={"CRM": OLD})
        await config.publish()
        write(tmp_path, {"agents/a.yaml": (tmp_path / "agents/a.yaml").read_text() + "volume: 1.5\n"})
        await config.apply(await config.plan())
        pulled = await Config(tmp_path, client, variables={"CRM": NEW}).restore_version("agents/a", 0)
        assert any(text.startswith(WHERE) for text in pulled.conflicts)
        assert "volume: 1.5" not in (tmp_path / "agents/a.yaml").read_text()


async def test_a_password_that_the_api_does_not_show_is_said_to_be_compared_by_nobody(tmp_path: Path) -> None:
    local = LocalRetell()
    async with local.client() as client:
        number = "+14155550111"
        await client.phone_number.import_(phone_number=number, termination_uri="sip.example.com")
        config = Config(tmp_path, client, variables={"SIP": OLD})
        await config.pull()
        file = next((tmp_path / "phone_numbers").glob("*.yaml"))
        name = f"phone_numbers/{file.stem}"
        file.write_text(file.read_text() + "auth_password: ${{ env.SIP }}\n")
        await config.apply(await config.plan())
        plan = await config.plan()
        assert (plan.status, [text for text in plan.notes if "auth_password" in text]) == (
            0,
            [f"{name}: the API does not show auth_password, and nobody can compare it: --overwrite {name} writes it again"],
        )
        assert [step.parts for step in (await config.plan(overwrite=[name])).steps] == [{"auth_password": "${{ env.SIP }}"}]


@pytest.mark.parametrize("theirs", ["d", "another description"])
async def test_a_key_of_the_other_account_is_a_conflict_of_a_promotion_too(tmp_path: Path, theirs: str) -> None:
    staging, prod = LocalRetell(), LocalRetell(Settings(seed=2))
    write(tmp_path, {"environments/staging.yaml": "profile: staging\n", "environments/prod.yaml": "profile: prod\n"})
    write(tmp_path, {"llms/a.yaml": FILE, "agents/a.yaml": AGENT})
    async with staging.client() as first, prod.client() as second:
        llm = (await second.llm.create(**body(NEW, description=theirs))).llm_id
        await second.agent.create(response_engine={"type": "retell-llm", "llm_id": llm}, voice_id="retell-Cimo", agent_name="A")
        one, other = (Config(tmp_path, client, name, variables={"CRM": OLD}) for client, name in ((first, "staging"), (second, "prod")))
        await one.apply(await one.plan())
        plan = await one.promote(other)
        assert [text.startswith(WHERE) and "promote --overwrite llms/a" in text for text in plan.conflicts] == [True]
        await other.apply(await one.promote(other, overwrite=["llms/a"]))
        assert await key_of(second, llm) == OLD


async def test_a_plan_says_when_nothing_was_ever_applied_as_this_environment(tmp_path: Path) -> None:
    local = LocalRetell()
    write(tmp_path, {"environments/staging.yaml": "profile: staging\n", "llms/a.yaml": FILE, "agents/a.yaml": AGENT})
    async with local.client() as client, LocalRetell(Settings(seed=2)).client() as second:
        config = Config(tmp_path, client, "staging", variables={"CRM": OLD})
        assert not any("nothing was ever" in text for text in (await config.plan()).warnings)
        await config.apply(await config.plan())
        (warning,) = (await Config(tmp_path, second, variables={"CRM": OLD}).plan()).warnings
        assert warning.startswith("nothing was ever pulled or applied as the environment default, but as staging: ")
        assert not any("nothing was ever" in text for text in (await config.plan()).warnings)


async def test_a_tree_that_has_more_references_than_a_pull_writes_now_stays_as_it_is(tmp_path: Path) -> None:
    local = LocalRetell()
    tool = {"type": "custom", "name": "crm", "description": "session=1", "url": "https://a.example/x?session=12"}
    async with local.client() as client:
        tools: Any = [{**tool, "headers": {"Cookie": "session={{sid}}", "Authorization": "GenieKey {{k}}"}}]
        llm = (await client.llm.create(general_prompt="p", general_tools=tools)).llm_id
        await client.agent.create(response_engine={"type": "retell-llm", "llm_id": llm}, voice_id="retell-Cimo", agent_name="A")
        config = Config(tmp_path, client, variables={"COOKIE": "session=", "AUTH": "GenieKey"})
        assert (await config.pull()).secrets == {}
        file = tmp_path / "llms/a.yaml"
        file.write_text(file.read_text().replace("session=", "${{ env.COOKIE }}").replace("GenieKey", "${{ env.AUTH }}"))
        before = file.read_bytes()
        plan = await config.plan()
        assert (plan.status, plan.notes, plan.warnings) == (0, (), ())
        assert ((await config.pull()).written, file.read_bytes()) == ((), before)
