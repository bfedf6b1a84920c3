"""What users do with the files of an account, and what goes wrong when they do."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from retell_async import AsyncRetell
from retell_async._core.errors import ConfigurationError, RetellError
from retell_async.config import Config, report
from retell_async.testing import LocalRetell

pytestmark = pytest.mark.asyncio
KEY = "sk-0123456789abcdefghij"


async def account(client: AsyncRetell, name: str = "Front") -> tuple[str, str]:
    """An agent with states, tools and edges, which is published, and a number."""
    hidden: Any = {"type": "custom", "name": "crm", "url": "https://crm.example", "headers": {"Authorization": f"Bearer {KEY}"}}
    states: Any = [
        {"name": "one", "state_prompt": "First.", "tools": [hidden], "edges": [{"description": "on", "destination_state_name": "two"}]},
        {"name": "two", "state_prompt": "Then.", "tools": [{"type": "end_call", "name": "end"}]},
    ]
    llm = (await client.llm.create(general_prompt="Be brief.\n" * 8, states=states, starting_state="one")).llm_id
    engine: Any = {"type": "retell-llm", "llm_id": llm, "version": 0}
    agent = (await client.agent.create(agent_name=name, voice_id="retell-Cimo", response_engine=engine)).agent_id
    await client.phone_number.create(area_code=415, nickname="Main", inbound_agents=[{"agent_id": agent, "weight": 1}])
    return agent, llm


def edited(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def all_text(root: Path) -> str:
    return "".join(path.read_text() for path in root.rglob("*") if path.is_file())


async def test_a_state_that_lost_its_tools_is_seen_in_the_plan(tmp_path: Path) -> None:
    """In the API an update of states takes the place of all of them: tools and edges that it leaves out are gone."""
    local = LocalRetell()
    async with local.client() as client:
        _, llm = await account(client)
        config = Config(tmp_path, client, variables={"FRONT_ONE_CRM_AUTHORIZATION": KEY})
        await config.pull()
        assert "FRONT_ONE_CRM_AUTHORIZATION" in (tmp_path / "llms/front.yaml").read_text()
        edited(tmp_path / "llms/front.yaml", "First.", "First of all.")
        plan = await config.plan()
        assert [change.place for step in plan.steps for change in step.changes()] == [("states", "one", "state_prompt")]
        await config.apply(plan)
        states = (await client.llm.retrieve(llm)).to_dict()["states"]
        assert states[0]["tools"][0]["headers"] == {"Authorization": f"Bearer {KEY}"}
        assert states[0]["edges"] == [{"description": "on", "destination_state_name": "two"}]
        lines = (tmp_path / "llms/front.yaml").read_text().split("    tools:")
        (tmp_path / "llms/front.yaml").write_text(
            lines[0] + "  - name: two" + lines[1].partition("  - name: two")[2] + "    tools:" + lines[2]
        )
        told = report(await config.plan())
        assert "- states.one.tools: 1: crm" in told
        assert "- states.one.edges" in told


async def test_a_key_that_is_missing_is_said_before_anything_is_sent(tmp_path: Path) -> None:
    local = LocalRetell()
    async with local.client() as client:
        await account(client)
        config = Config(tmp_path, client, variables={})
        await config.pull()
        assert KEY not in all_text(tmp_path)
        edited(tmp_path / "llms/front.yaml", "First.", "First of all.")
        edited(tmp_path / "agents/front.yaml", "voice_id: retell-Cimo", "voice_id: openai-Echo")
        plan = await config.plan()
        assert "FRONT_ONE_CRM_AUTHORIZATION" in plan.notes[0]
        with pytest.raises(RetellError, match="llms/front: the environment has no FRONT_ONE_CRM_AUTHORIZATION"):
            await config.apply(plan)
        assert local.requests("agent.update") == local.requests("llm.update") == []


async def test_published_versions_stay_as_they_are(tmp_path: Path) -> None:
    local = LocalRetell()
    async with local.client() as client:
        agent, llm = await account(client)
        second: Any = {"type": "retell-llm", "llm_id": llm, "version": 0}
        other = (await client.agent.create(agent_name="Back", voice_id="retell-Cimo", response_engine=second)).agent_id
        for one in (agent, other):
            await client.agent.publish(one, version=0)
        config = Config(tmp_path, client, variables={})
        await config.pull()
        prompt = tmp_path / "llms/front/general_prompt.md"
        edited(prompt, "Be brief.", "Be kind.")
        plan = await config.plan()
        assert plan.steps[0].drafts == ("agents/back", "agents/front")
        await config.apply(plan)
        live = (await client.llm.retrieve(llm, version=0)).to_dict()
        assert (live["general_prompt"], live["is_published"]) == ("Be brief.\n" * 8, True)
        versions = [(await client.agent.retrieve(one)).to_dict() for one in (agent, other)]
        assert [one["is_published"] for one in versions] == [False, False]
        engine = {one["response_engine"]["version"] for one in versions}
        assert len(engine) == 1
        assert (await client.llm.retrieve(llm, version=engine.pop())).to_dict()["general_prompt"] == "Be kind.\n" * 8
        assert await config.publish(["agents/front"], title="Kinder") == ["agents/front: version 1"]
        assert (await config.publish()) == ["agents/back: version 1"]
        assert (await config.publish()) == []
        edited(prompt, "Be kind.", "Be quick.")
        await config.apply(await config.plan())
        edited(prompt, "Be quick.", "Be slow.")
        with pytest.raises(ConfigurationError, match="llms/front is not in the account as the files say"):
            await config.publish()


async def test_only_what_is_named_is_deleted_and_there_is_a_copy(tmp_path: Path) -> None:
    local = LocalRetell()
    async with local.client() as client:
        await account(client)
        await client.knowledge_base.create(knowledge_base_name="faq", knowledge_base_urls=["https://a.example", "https://b.example"])
        await local.advance(10)
        config = Config(tmp_path, client, variables={})
        await config.pull()
        for name in ("agents/front", "llms/front", "phone_numbers/main"):
            (tmp_path / f"{name}.yaml").unlink()
        edited(tmp_path / "knowledge_bases/faq.yaml", "  - https://a.example\n", "")
        plan = await config.plan()
        assert plan.steps == ()
        assert len(plan.notes) == 4
        source = "knowledge_bases/faq: url: https://a.example"
        for wrong in (["agents/nobody"], ["knowledge_bases/faq"], ["knowledge_bases/faq: url: https://b.example"]):
            assert (await config.plan(delete=wrong)).conflicts
        plan = await config.plan(delete=["agents/front", "llms/front", source])
        assert [(step.action, step.name) for step in plan.steps] == [
            ("update", "knowledge_bases/faq"),
            ("delete", "agents/front"),
            ("delete", "llms/front"),
        ]
        await config.apply(plan)
        await local.advance(10)
        assert [one.to_dict()["url"] for one in (await client.knowledge_base.list())[0].knowledge_base_sources or ()] == [
            "https://b.example"
        ]
        assert not local.sandbox.store.agents
        assert len(local.sandbox.store.numbers) == 1
        copies = [*(tmp_path / ".backups").glob("*.json")]
        assert len(copies) == 1
        assert copies[0].stat().st_mode & 0o77 == 0
        assert [one["agent_name"] for one in json.loads(copies[0].read_text())["objects"]["agents"].values()] == ["Front"]
        assert (tmp_path / ".backups/.gitignore").read_text() == "*\n"


async def test_what_was_deleted_in_the_account_is_not_made_again_unasked(tmp_path: Path) -> None:
    local = LocalRetell()
    async with local.client() as client:
        agent, _ = await account(client)
        config = Config(tmp_path, client, variables={})
        await config.pull()
        await client.agent.delete(agent)
        plan = await config.plan()
        assert plan.status == 1
        assert "agents/front was deleted in the account" in plan.drift[-1]
        again = await config.plan(overwrite=["agents/front", "phone_numbers/main"])
        assert [(step.action, step.name) for step in again.steps] == [("create", "agents/front"), ("update", "phone_numbers/main")]
        await config.apply(again)
        assert (await config.plan()).status == 0


STAGING = "variables: {host: staging.example}\n"
PROD = "variables: {host: prod.example}\nvalues:\n  agents/front:\n    voice_speed: 1.25\n"


async def test_promotion_and_canary(tmp_path: Path) -> None:
    staging, prod = LocalRetell(), LocalRetell()
    (tmp_path / "environments").mkdir()
    (tmp_path / "environments/staging.yaml").write_text(STAGING)
    (tmp_path / "environments/prod.yaml").write_text(PROD)
    keys = {"FRONT_ONE_CRM_AUTHORIZATION": KEY}
    async with staging.client() as first, prod.client() as second:
        await account(first)
        there, _ = await account(second)
        await second.agent.publish(there, version=0)
        one, other = Config(tmp_path, first, "staging", variables=keys), Config(tmp_path, second, "prod", variables=keys)
        await one.pull()
        edited(tmp_path / "llms/front/general_prompt.md", "Be brief.", "Greet from ${{ vars.host }}.")
        with pytest.raises(ConfigurationError, match=r"staging is not what the files say: .*llms/front"):
            await one.promote(other)
        await one.apply(await one.plan())
        plan = await one.promote(other)
        assert {step.name: [*step.parts] for step in plan.steps} == {"llms/front": ["general_prompt"], "agents/front": ["voice_speed"]}
        await other.apply(plan)
        body = (await second.agent.retrieve(there)).to_dict()
        assert (body["version"], body["voice_speed"]) == (1, 1.25)
        llm = (await second.llm.retrieve(body["response_engine"]["llm_id"])).to_dict()
        assert llm["general_prompt"] == "Greet from prod.example.\n" * 8
        assert (await one.plan()).status == (await other.plan()).status == 0

        (number,) = prod.sandbox.store.numbers
        for share in (0.1, 0.3):
            assert await other.canary(share) == [f"phone_numbers/main: {share:.0%} of inbound_agents"]
            assert number.latest["inbound_agents"] == [
                {"agent_id": there, "agent_version": "latest_published", "weight": 1 - share},
                {"agent_id": there, "agent_version": 1, "weight": share},
            ]
        plan = await other.plan()
        assert (plan.status, [*plan.kept]) == (0, ["phone_numbers/main"])
        await other.publish()
        await other.apply(await other.plan(overwrite=["phone_numbers/main"]))
        assert number.latest["inbound_agents"] == [{"agent_id": there, "weight": 1}]
        with pytest.raises(ConfigurationError, match="no calls are shared: no agent has a draft"):
            await other.canary(0.1)


async def test_an_environment_is_one_workspace(tmp_path: Path) -> None:
    local = LocalRetell()
    async with local.client() as client:
        await account(client)
        config = Config(tmp_path, client, variables={})
        await config.pull()
        edited(tmp_path / "retell.state.json", '"workspace": "', '"workspace": "other_')
        with pytest.raises(ConfigurationError, match="is another workspace than that of this API key"):
            await config.plan()


async def test_an_object_is_pulled_with_what_it_refers_to(tmp_path: Path) -> None:
    local = LocalRetell()
    async with local.client() as client:
        agent, _ = await account(client)
        await account(client, "Back")
        config = Config(tmp_path, client, variables={})
        assert (await config.pull([agent])).written == ("llms/front", "agents/front")
        back = next(one.id for one in local.sandbox.store.agents if one.latest["agent_name"] == "Back")
        await config.bind("agents/desk", back)
        assert "agents/desk" in (await config.pull()).written
        with pytest.raises(ConfigurationError, match="is agents/desk already"):
            await config.bind("agents/other", back)
        with pytest.raises(ConfigurationError, match="there is no agents/nobody"):
            await config.pull(["agents/nobody"])
        assert (await config.plan()).status == 0


async def test_of_many_names_those_that_are_near_are_said(tmp_path: Path) -> None:
    local = LocalRetell()
    async with local.client() as client:
        for number in range(12):
            engine: Any = {"type": "custom-llm", "llm_websocket_url": "wss://llm.example/ws"}
            await client.agent.create(response_engine=engine, voice_id="retell-Cimo", agent_name=f"Front desk {number}")
        with pytest.raises(ConfigurationError) as refused:
            await Config(tmp_path, client).pull(["agents/front-dsk-11"])
        said = str(refused.value)
        assert said.startswith("there is no agents/front-dsk-11; there are agents/front-desk-11, ")
        assert (said.count("agents/front-desk-"), said.endswith(" and 7 more")) == (5, True)


async def test_what_the_document_does_not_know_is_not_lost_and_not_sent_by_accident(tmp_path: Path) -> None:
    """The API is ahead of the document: what it answers and the document lacks stays in lists that are sent whole."""
    local = LocalRetell()
    async with local.client() as client:
        _, llm = await account(client)
        asset = local.sandbox.store.llms.get(llm)
        assert asset is not None
        asset.latest["states"][0]["brand_new"] = True
        asset.write(asset.latest | {"newer_still": 1})
        config = Config(tmp_path, client, variables={"FRONT_ONE_CRM_AUTHORIZATION": KEY})
        assert any("newer_still" in note for note in (await config.pull()).notes)
        edited(tmp_path / "llms/front.yaml", "First.", "First of all.")
        await config.apply(await config.plan())
        assert asset.latest["states"][0]["brand_new"] is True
        assert asset.latest["newer_still"] == 1
        edited(tmp_path / "llms/front.yaml", "brand_new: true", "brand_old: true")
        with pytest.raises(ConfigurationError, match=r"llms/front.yaml:\d+: states\[0\].brand_old"):
            await config.plan()


async def test_what_the_api_does_not_take_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from retell_async.config import account as accounts

    local = LocalRetell()
    async with local.client() as client:
        await account(client)
        config = Config(tmp_path, client, variables={})
        await config.pull()
        update = accounts.Account.update

        async def half(self: Any, kind: Any, id: str, fields: Any, *version: Any) -> Any:
            return await update(self, kind, id, {name: value for name, value in fields.items() if name != "volume"}, *version)

        monkeypatch.setattr(accounts.Account, "update", half)
        path = tmp_path / "agents/front.yaml"
        path.write_text(path.read_text() + "volume: 0.5\nvoice_speed: 1.5\n")
        applied = await config.apply(await config.plan())
        assert applied.warnings == ["agents/front: the API took volume and did not change it"]
        assert [[*step.parts] for step in (await config.plan()).steps] == [["volume"]]


async def test_back_to_a_version_and_to_a_commit(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@b.example", *arguments], cwd=tmp_path, check=True, capture_output=True
        )

    local = LocalRetell()
    async with local.client() as client:
        await account(client)
        root = tmp_path / "retell"
        config = Config(root, client, variables={})
        await config.pull()
        git("init", "-q")
        git("add", "-A")
        git("commit", "-qm", "first")
        await config.publish()
        edited(root / "llms/front/general_prompt.md", "Be brief.", "Be kind.")
        (root / "agents/new.yaml").write_text((root / "agents/front.yaml").read_text().replace("Front", "New"))
        await config.apply(await config.plan())
        with pytest.raises(ConfigurationError, match="changes that are in no commit"):
            config.restore_files("HEAD")
        git("add", "-A")
        git("commit", "-qm", "second")
        with pytest.raises(ConfigurationError, match="git rev-parse"):
            config.restore_files("nowhere")
        assert config.restore_files("HEAD~1") == ["agents/new.yaml", "llms/front/general_prompt.md"]
        plan = await config.plan()
        assert [step.name for step in plan.steps] == ["llms/front"]
        await config.apply(plan)
        git("add", "-A")
        git("commit", "-qm", "third")
        assert config.restore_files("HEAD~1") == ["agents/new.yaml", "llms/front/general_prompt.md"]
        await config.apply(await config.plan())
        pulled = await config.restore_version("agents/front", 0)
        assert pulled.written == ("llms/front",)
        assert (root / "llms/front/general_prompt.md").read_text() == "Be brief.\n" * 8 + "\n"
        assert (await config.plan()).status == 0


async def test_a_test_case_that_is_put_keeps_what_was_changed_in_the_account(tmp_path: Path) -> None:
    local = LocalRetell()
    async with local.client() as client:
        _, llm = await account(client)
        engine: Any = {"type": "retell-llm", "llm_id": llm}
        await client.tests.create_test_case_definition(name="Case", metrics=["one"], user_prompt="Hi", response_engine=engine)
        config = Config(tmp_path, client, variables={})
        await config.pull()
        (case,) = local.sandbox.store.test_cases
        case.write(case.latest | {"user_prompt": "Good day"})
        edited(tmp_path / "tests/case.yaml", "- one", "- two")
        await config.apply(await config.plan())
        assert (case.latest["user_prompt"], case.latest["metrics"]) == ("Good day", ["two"])
        assert "user_prompt" in local.requests("tests.update_test_case_definition")[0].body


async def test_a_file_that_was_renamed_is_about_the_same_object(tmp_path: Path) -> None:
    local = LocalRetell()
    async with local.client() as client:
        agent, llm = await account(client)
        config = Config(tmp_path, client, variables={"FRONT_ONE_CRM_AUTHORIZATION": KEY})
        await config.pull()
        for folder, old, new in (("agents", "front", "desk"), ("llms", "front", "words")):
            (tmp_path / folder / f"{old}.yaml").rename(tmp_path / folder / f"{new}.yaml")
        edited(tmp_path / "agents/desk.yaml", "llms/front", "llms/words")
        edited(tmp_path / "phone_numbers/main.yaml", "agents/front", "agents/desk")
        assert (await config.plan()).status == 0
        edited(tmp_path / "llms/words.yaml", "First.", "First of all.")
        plan = await config.plan()
        assert [(step.action, step.name, [*step.parts]) for step in plan.steps] == [("update", "llms/words", ["states"])]
        await config.apply(plan)
        assert {name: bound["id"] for name, bound in states(tmp_path).items()}.items() >= {("agents/desk", agent), ("llms/words", llm)}
        assert not {"agents/front", "llms/front"} & states(tmp_path).keys()


def states(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((root / "retell.state.json").read_text())["environments"]["default"]["objects"]
    return found


async def test_a_file_may_be_about_another_number(tmp_path: Path) -> None:
    local = LocalRetell()
    async with local.client() as client:
        await account(client)
        other = (await client.phone_number.create(area_code=212)).phone_number
        config = Config(tmp_path, client, variables={})
        await config.pull(["phone_numbers/main"])
        edited(tmp_path / "phone_numbers/main.yaml", "+14155550100", other)
        plan = await config.plan()
        assert [(step.name, [*step.parts]) for step in plan.steps] == [("phone_numbers/main", ["nickname", "inbound_agents"])]
        await config.apply(plan)
        assert (await client.phone_number.retrieve(other)).to_dict()["nickname"] == "Main"
        edited(tmp_path / "phone_numbers/main.yaml", other, "+19995550100")
        plan = await config.plan()
        assert (plan.steps, plan.conflicts) == ((), ())
        assert "phone_numbers/main is left out" in plan.notes[0]


async def test_a_circle_of_agents_with_flows_is_made(tmp_path: Path) -> None:
    """Flows need nodes to be created, and nodes may refer to agents that are yet to be created."""
    source, local = LocalRetell(), LocalRetell()
    async with source.client() as client:
        swap: Any = {"type": "agent_swap", "id": "n", "agent_id": "x", "post_call_analysis_setting": "both_agents"}
        edge = {"id": "e", "destination_node_id": "n", "transition_condition": {"type": "prompt", "prompt": "Transfer failed"}}
        made = []
        for name in ("One", "Two"):
            plain: Any = [{"type": "end", "id": "n", "instruction": {"type": "prompt", "text": "Bye"}}]
            flow = (await client.conversation_flow.create(nodes=plain, start_speaker="agent", start_node_id="n")).conversation_flow_id
            engine: Any = {"type": "conversation-flow", "conversation_flow_id": flow}
            made.append((flow, (await client.agent.create(agent_name=name, voice_id="retell-Cimo", response_engine=engine)).agent_id))
        for (flow, _), (_, other) in zip(made, made[::-1], strict=True):
            await client.conversation_flow.update(flow, nodes=[swap | {"agent_id": other, "edge": edge}])
        await Config(tmp_path, client, "source").pull()
    async with local.client() as client:
        config = Config(tmp_path, client)
        await config.apply(await config.plan())
        assert (await config.plan()).status == 0
        assert {one.latest["nodes"][0]["agent_id"] for one in local.sandbox.store.flows} == {one.id for one in local.sandbox.store.agents}
        assert all(one.latest["start_node_id"] == "n" for one in local.sandbox.store.flows)
