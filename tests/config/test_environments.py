"""A workspace that is known under one name is the same one under another: nothing in it is made or written a second time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from retell_async import AsyncRetell
from retell_async.config import Config
from retell_async.testing import LocalRetell

from .test_pull import agent, contents, write

pytestmark = pytest.mark.asyncio


async def unnamed(client: AsyncRetell, prompt: str, **more: Any) -> None:
    llm = (await client.llm.create(general_prompt=prompt)).llm_id
    await client.agent.create(voice_id="retell-Cimo", response_engine={"type": "retell-llm", "llm_id": llm}, **more)


@pytest.mark.parametrize("pull", [True, False])
@pytest.mark.parametrize("named", [{}, {"agent_name": "Same"}])
async def test_from_the_default_to_a_named_environment(tmp_path: Path, named: dict[str, str], pull: bool) -> None:
    local = LocalRetell()
    async with local.client() as client:
        for prompt in ("one", "two"):
            await unnamed(client, prompt, **named)
        await Config(tmp_path, client).pull()
        files = contents(tmp_path)
        write(tmp_path, {"environments/staging.yaml": "variables: {}\n"})
        staging = Config(tmp_path, client, "staging")
        told = (await staging.pull()).notes if pull else (await staging.plan()).warnings
        assert told[0].startswith("the environment staging is new, and its workspace is that of default")
        plan = await staging.plan()
        assert (plan.status, plan.conflicts) == (0, ())
        await staging.apply(plan)
        assert {**contents(tmp_path)} == {**files, "environments/staging.yaml": b"variables: {}\n"}
        assert (await staging.plan()).warnings == ()


async def test_what_was_being_created_under_another_name(tmp_path: Path) -> None:
    local = LocalRetell()
    async with local.client() as client:
        write(tmp_path, {"llms/a.yaml": "general_prompt: a\n", "environments/staging.yaml": "variables: {}\n"})
        config = Config(tmp_path, client)
        local.fault("timeout", operation="createRetellLLM", acted=True)
        with pytest.raises(Exception, match="may have been carried out"):
            await config.apply(await config.plan())
        local.clear_faults()
        assert not any("nothing was ever" in text for text in (await config.plan()).warnings)
        assert (await Config(tmp_path, client, "staging").plan()).status == 0


async def test_another_workspace_is_another_one(tmp_path: Path) -> None:
    from retell_async.sandbox import Settings

    local, other = LocalRetell(), LocalRetell(Settings(seed=2))
    async with local.client() as client, other.client() as target:
        for one in (client, target):
            await unnamed(one, "one")
        write(tmp_path, {"environments/prod.yaml": "variables: {}\n"})
        await Config(tmp_path, client).pull()
        plan = await Config(tmp_path, target, "prod").plan()
        assert [step.action for step in plan.steps] == ["create", "create"]
        assert plan.warnings[-1].startswith("nothing was ever pulled or applied as the environment prod")


async def test_ids_of_which_one_is_missing_may_be_those_of_another_workspace(tmp_path: Path) -> None:
    local, other = LocalRetell(), LocalRetell()  # the same seed: the same workspace, with the same ids
    async with local.client() as client, other.client() as target:
        for prompt in ("one", "two"):
            await unnamed(client, prompt)
        await unnamed(target, "other")
        write(tmp_path, {"environments/prod.yaml": "variables: {}\n"})
        await Config(tmp_path, client).pull()
        plan = await Config(tmp_path, target, "prod").plan()
        assert [step.action for step in plan.steps] == ["create"] * 4


async def test_what_is_in_doubt_is_not_written_as_new(tmp_path: Path) -> None:
    local = LocalRetell()
    async with local.client() as client:
        for prompt in ("one", "two"):
            await agent(client, "Same", prompt)
        config = Config(tmp_path, client)
        await config.pull()
        (tmp_path / "retell.state.json").unlink()
        files = contents(tmp_path)
        pulled = await config.pull()
        assert [conflict.partition(":")[0] for conflict in pulled.conflicts] == ["agents/same", "agents/same-2"]
        assert contents(tmp_path) == files
        ids = [one.agent_id async for one in client.agent.list(sort_order="ascending")]
        for name, id in zip(("agents/same", "agents/same-2"), ids, strict=True):
            await config.bind(name, id)
        assert (await config.pull()).conflicts == ()
        assert contents(tmp_path) == files
