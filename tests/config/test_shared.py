"""Agents that share an LLM or a flow: none is left on an earlier version of it than the files say without a word."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from retell_async import AsyncRetell
from retell_async._core.errors import ConfigurationError
from retell_async.config import Config, report
from retell_async.testing import LocalRetell

from .test_pull import write

pytestmark = pytest.mark.asyncio
FILE = "llms/shared.yaml"


def files(*names: str) -> Mapping[str, str]:
    engine = "response_engine: {type: retell-llm, llm_id: llms/shared}\n"
    return {f"agents/{name}.yaml": f"agent_name: {name}\nvoice_id: retell-Cimo\n{engine}" for name in names}


async def applied(config: Config, prompt: str, **more: str) -> None:
    write(config.root, {FILE: "".join(f"{field}: {value}\n" for field, value in {"general_prompt": prompt, **more}.items())})
    await config.apply(await config.plan())


async def published(root: Path, client: AsyncRetell, prompt: str = "First.") -> Config:
    """Two agents of one LLM."""
    write(root, files("one", "two"))
    config = Config(root, client, variables={})
    await applied(config, prompt)
    await config.publish()
    return config


async def said(client: AsyncRetell, local: LocalRetell, name: str) -> str | None:
    """The prompt of the latest version of an agent."""
    (id,) = (one.id for one in local.sandbox.store.agents if one.latest["agent_name"] == name)
    engine: Any = (await client.agent.retrieve(id)).response_engine
    return (await client.llm.retrieve(engine.llm_id, version=engine.version)).general_prompt


async def drafted_in_the_dashboard(client: AsyncRetell, local: LocalRetell, name: str, **llm: Any) -> None:
    (agent,) = (one for one in local.sandbox.store.agents if one.latest["agent_name"] == name)
    await client.agent.create_version(agent.id, base_version=agent.latest["version"])
    await client.llm.update(agent.latest["response_engine"]["llm_id"], **llm)


async def test_a_rollback_of_one_leaves_no_draft_of_another_behind_unsaid(tmp_path: Path) -> None:
    local = LocalRetell()
    async with local.client() as client:
        config = await published(tmp_path, client)
        await applied(config, "Bad.")
        told = (await config.restore_version("agents/one", 0, dry_run=True)).notes
        assert [note.partition(":")[0] for note in told] == ["agents/two"]
        assert told[0] in (await config.restore_version("agents/one", 0)).notes
        plan = await config.plan()
        assert [(step.action, step.name, step.parts) for step in plan.steps] == [("update", "agents/two", {})]
        assert (
            "~ update agents/two\n    it has version 2 of llms/shared, which is not what the file says, and gets the latest:\n"
            '        ~ general_prompt: "Bad." -> "First."\n'
        ) in report(plan)
        assert plan.drift == ["agents/two has version 2 of llms/shared, which is not what the file says"]
        with pytest.raises(ConfigurationError, match="agents/two is not published"):
            await config.publish()
        assert (await config.apply(plan)).done == ["updated agents/two: the latest version of llms/shared"]
        plan = await config.plan()
        assert (plan.status, plan.drift) == (0, [])
        assert await config.publish() == ["agents/one: version 2", "agents/two: version 1"]
        assert [await said(client, local, name) for name in ("one", "two")] == ["First.", "First."]
        assert (await config.plan()).status == 0


@pytest.mark.parametrize("version", [-1, 9, 10**20])
async def test_a_version_that_is_not_there(tmp_path: Path, version: int) -> None:
    local = LocalRetell()
    async with local.client() as client:
        config = await published(tmp_path, client)
        with pytest.raises(ConfigurationError, match=f"^there is no version {version} of agents/one: its latest is 0$"):
            await config.restore_version("agents/one", version)


async def test_all_are_rolled_back_one_by_one(tmp_path: Path) -> None:
    local = LocalRetell()
    async with local.client() as client:
        config = await published(tmp_path, client)
        await applied(config, "Bad.")
        for name in ("agents/one", "agents/two"):
            await config.restore_version(name, 0)
        plan = await config.plan()
        assert (plan.status, plan.drift) == (0, [])
        assert [await said(client, local, name) for name in ("one", "two")] == ["First.", "First."]


async def test_what_is_published_follows_what_was_pulled(tmp_path: Path) -> None:
    """Its draft begins with the earlier version of the LLM, which nobody wants back."""
    local = LocalRetell()
    async with local.client() as client:
        config = await published(tmp_path, client)
        await drafted_in_the_dashboard(client, local, "one", general_prompt="Dash.", begin_message="Hello.")
        plan = await config.plan()  # agents/two is what the file says
        assert (plan.status, [*plan.kept]) == (0, ["llms/shared"])
        assert len(plan.drift) == 3
        await config.pull()
        plan = await config.plan()
        assert [(step.name, step.behind and step.behind.version) for step in plan.steps] == [("agents/two", 0)]
        assert any("web calls" in warning for warning in plan.warnings)
        await config.apply(plan)
        assert [await said(client, local, name) for name in ("one", "two")] == ["Dash.", "Dash."]
        (llm,) = local.sandbox.store.llms
        assert llm.latest["begin_message"] == "Hello."
        plan = await config.plan()
        assert (plan.status, plan.drift) == (0, [])
        assert await config.publish() == ["agents/one: version 1", "agents/two: version 1"]
        assert (await config.plan()).status == 0


async def test_an_edit_goes_to_who_has_an_earlier_version_too(tmp_path: Path) -> None:
    """And what was changed in the account meanwhile stays in it."""
    local = LocalRetell()
    async with local.client() as client:
        config = await published(tmp_path, client)
        await drafted_in_the_dashboard(client, local, "one", begin_message="Hello.")
        write(tmp_path, {FILE: "general_prompt: Second.\n"})
        await config.apply(await config.plan())
        assert [await said(client, local, name) for name in ("one", "two")] == ["Second.", "Second."]
        plan = await config.plan()
        assert (plan.status, [*plan.kept]) == (0, ["llms/shared"])
        await config.pull()
        assert "begin_message: Hello." in (tmp_path / FILE).read_text()
        assert (await config.plan()).status == 0


async def test_an_agent_that_is_edited_itself_takes_nothing_back(tmp_path: Path) -> None:
    local = LocalRetell()
    async with local.client() as client:
        config = await published(tmp_path, client)
        await drafted_in_the_dashboard(client, local, "one", begin_message="Hello.")
        file = tmp_path / "agents/two.yaml"
        file.write_text(f"{file.read_text()}voice_speed: 1.5\n")
        plan = await config.plan()
        assert [[*step.parts] for step in plan.steps] == [["voice_speed"]]
        await config.apply(plan)
        assert [*(await config.plan()).kept] == ["llms/shared"]


async def test_a_version_that_says_the_same_is_quiet_and_read_once(tmp_path: Path) -> None:
    local = LocalRetell()
    async with local.client() as client:
        write(tmp_path, files("three"))
        config = await published(tmp_path, client)

        async def reads() -> int:
            before = len(local.requests("llm.retrieve"))
            plan = await config.plan()
            assert (plan.status, plan.drift) == (0, [])
            return len(local.requests("llm.retrieve")) - before

        assert await reads() == 1
        (agent,) = (one for one in local.sandbox.store.agents if one.latest["agent_name"] == "one")
        await client.agent.create_version(agent.id, base_version=0)
        await config.publish(["agents/one"])
        assert await reads() == 2  # the latest, and that of the two others


async def test_chat_agents_of_one_flow(tmp_path: Path) -> None:
    local = LocalRetell()
    async with local.client() as client:
        nodes: Any = [{"type": "end", "id": "n", "instruction": {"type": "prompt", "text": "Bye"}}]
        flow = (await client.conversation_flow.create(nodes=nodes, start_speaker="agent", start_node_id="n")).conversation_flow_id
        engine: Any = {"type": "conversation-flow", "conversation_flow_id": flow}
        for name in ("One", "Two"):
            await client.chat_agent.create(agent_name=name, response_engine=engine)
        config = Config(tmp_path, client, variables={})
        await config.pull()
        await config.publish()
        one, two = local.sandbox.store.agents
        await client.agent.create_version(one.id, base_version=0)
        nodes[0]["instruction"]["text"] = "Good day"
        await client.conversation_flow.update(flow, nodes=nodes)
        await config.pull()
        plan = await config.plan()
        assert [(step.name, step.behind and step.behind.engine) for step in plan.steps] == [("chat_agents/two", "flows/one")]
        await config.apply(plan)
        (found,) = local.sandbox.store.flows
        version = two.latest["response_engine"]["version"]
        assert found.versions[version]["nodes"][0]["instruction"]["text"] == "Good day"
        assert (await config.plan()).status == 0
