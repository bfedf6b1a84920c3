"""A plan says which calls get a draft before anybody publishes it, and a canary is no more than its share."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from retell_async import AsyncRetell
from retell_async._core.errors import ConfigurationError
from retell_async.config import Config
from retell_async.config.bindings import Calls, Latest
from retell_async.config.difference import told
from retell_async.sandbox import Settings
from retell_async.testing import LocalRetell

from .test_pull import agent

pytestmark = pytest.mark.asyncio
DRAFT = "agents/alpha: live at once: this draft, with llms/alpha, answers calls of "
NUMBER = "phone_numbers/number-0100"


def edited(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def live(warnings: Iterable[str]) -> list[str]:
    return [warning for warning in warnings if "live at once" in warning]


async def bind(client: AsyncRetell, number: str, agent: str, **more: Any) -> None:
    weighted: Any = [{"agent_id": agent, "weight": 1, **more}]
    await client.phone_number.update(number, outbound_agents=weighted)


async def answered(client: AsyncRetell, number: str) -> int:
    """The version of the agent that a call gets."""
    return (await client.call.create_phone_call(from_number=number, to_number="+14155550108")).agent_version


async def published(local: LocalRetell, client: AsyncRetell) -> tuple[str, str]:
    """An agent that is published, and a number of it."""
    _, made = await agent(client, "Alpha", "I am tried.")
    await client.agent.publish(made, version=0)
    found = local.sandbox.store.agents.get(made)
    assert found is not None
    found.tags["tried"] = 0
    number = (await client.phone_number.create(area_code=415)).phone_number
    await bind(client, number, made)
    return made, number


@pytest.mark.parametrize(
    ("named", "draft"), [(None, True), ("latest", True), ("of_none", True), ("latest_published", False), (0, False), ("tried", False)]
)
async def test_a_draft_that_the_plan_makes_itself(tmp_path: Path, named: Any, draft: bool) -> None:
    """After the first publishing too. A tag that stands on no version is the latest."""
    local = LocalRetell()
    async with local.client() as client:
        made, number = await published(local, client)
        await bind(client, number, made, **({} if named is None else {"agent_version": named}))
        config = Config(tmp_path, client)
        await config.pull()
        edited(tmp_path / "llms/alpha.yaml", "tried", "untried")
        plan = await config.plan()
        assert live(plan.warnings) == ([f"{DRAFT}{NUMBER}"] if draft else [])
        assert any("web calls, chats" in warning for warning in plan.warnings)
        await config.apply(plan)
        assert await answered(client, number) == int(draft)
        edited(tmp_path / "llms/alpha.yaml", "untried", "not tried either")
        assert live((await config.plan()).warnings) == ([f"{DRAFT}{NUMBER}"] if draft else [])


async def test_a_number_that_is_given_to_a_draft(tmp_path: Path) -> None:
    """So does `apply --overwrite` that ends a canary, when the file names no version."""
    local = LocalRetell()
    async with local.client() as client:
        _, number = await published(local, client)
        config = Config(tmp_path, client)
        await config.pull()
        edited(tmp_path / "llms/alpha.yaml", "tried", "untried")
        await config.apply(await config.plan())
        await config.canary(0.1)
        plan = await config.plan(overwrite=[NUMBER])
        assert live(plan.warnings) == [f"{NUMBER}: live at once: its calls get the draft of agents/alpha"]
        edited(tmp_path / f"{NUMBER}.yaml", "weight: 1", "weight: 1\n    agent_version: latest_published")
        plan = await config.plan(overwrite=[NUMBER])
        assert live(plan.warnings) == []
        await config.apply(plan)
        assert await answered(client, number) == 0


async def test_a_number_that_leaves_a_draft_is_written_first(tmp_path: Path) -> None:
    local = LocalRetell()
    async with local.client() as client:
        _, number = await published(local, client)
        config = Config(tmp_path, client)
        await config.pull()
        edited(tmp_path / "llms/alpha.yaml", "tried", "untried")
        edited(tmp_path / f"{NUMBER}.yaml", "weight: 1", "weight: 1\n    agent_version: latest_published")
        plan = await config.plan()
        assert [step.name for step in plan.steps] == [NUMBER, "llms/alpha"]
        assert live(plan.warnings) == []
        await config.apply(plan)
        assert await answered(client, number) == 0
        edited(tmp_path / "llms/alpha.yaml", "untried", "other")
        edited(tmp_path / f"{NUMBER}.yaml", "latest_published", "latest")
        plan = await config.plan()
        assert [step.name for step in plan.steps] == ["llms/alpha", NUMBER]
        assert live(plan.warnings) == [f"{NUMBER}: live at once: its calls get the draft of agents/alpha", f"{DRAFT}{NUMBER}"]


async def test_who_hands_over_and_who_has_no_file(tmp_path: Path) -> None:
    local = LocalRetell()
    async with local.client() as client:
        llm, made = await agent(client, "Alpha", "I am tried.")
        await client.agent.publish(made, version=0)
        swap: Any = {"type": "agent_swap", "name": "over", "agent_id": made, "post_call_analysis_setting": "both_agents"}
        await agent(client, "Beta", general_tools=[swap])
        await client.phone_number.create(area_code=415, inbound_agents=[{"agent_id": made, "weight": 1}])
        config = Config(tmp_path, client)
        await config.pull([made])
        assert not (tmp_path / "phone_numbers").exists()
        edited(tmp_path / "llms/alpha.yaml", "tried", "untried")
        (warning,) = live((await config.plan()).warnings)
        assert warning.startswith(f"{DRAFT}number-0100, ")
        await config.pull()
        (warning,) = live((await config.plan()).warnings)
        assert warning == f"{DRAFT}{NUMBER}, llms/beta"
        assert llm not in warning


async def test_an_earlier_version_as_a_draft(tmp_path: Path) -> None:
    local = LocalRetell()
    async with local.client() as client:
        made, number = await published(local, client)
        config = Config(tmp_path, client)
        await config.pull()
        note = f"agents/alpha: live at once: this draft answers calls of {NUMBER}"
        assert note in (await config.restore_version("agents/alpha", 0)).notes
        await bind(client, number, made, agent_version=1)
        await config.pull()
        assert live((await config.restore_version("agents/alpha", 0)).notes) == []


async def test_a_canary_whose_draft_would_have_all_calls_is_refused(tmp_path: Path) -> None:
    staging, prod = LocalRetell(), LocalRetell(Settings(seed=2))
    (tmp_path / "environments").mkdir()
    for name in ("staging", "prod"):
        (tmp_path / f"environments/{name}.yaml").write_text(f"profile: {name}\n", encoding="utf-8")
    async with staging.client() as first, prod.client() as second:
        await published(staging, first)
        _, number = await published(prod, second)
        one, other = Config(tmp_path, first, "staging"), Config(tmp_path, second, "prod")
        await one.pull()
        await other.apply(await one.promote(other))
        edited(tmp_path / "llms/alpha.yaml", "tried", "untried")
        await one.apply(await one.plan())
        with pytest.raises(
            ConfigurationError, match=f"agents/alpha would have all calls of the agent by {NUMBER} as soon as .* latest_published"
        ):
            await one.promote(other, canary=True)
        edited(tmp_path / f"{NUMBER}.yaml", "weight: 1", "weight: 1\n    agent_version: latest_published")
        await one.apply(await one.plan())
        await other.apply(await one.promote(other, canary=True))
        assert await answered(second, number) == 0
        await other.canary(0.25)
        weights = [(one.agent_version, one.weight) for one in (await second.phone_number.retrieve(number)).outbound_agents or ()]
        assert weights == [("latest_published", 0.75), (1, 0.25)]
        for share in (0.25, 0.5):  # a fix goes to the draft with the share that it has
            edited(tmp_path / "llms/alpha.yaml", "untried", f"untried, fixed for {share},")
            await one.apply(await one.plan())
            await other.apply(await one.promote(other, canary=True))
            assert await other.canary(share) == [f"{NUMBER}: {share:.0%} of outbound_agents"]
            weights = [(one.agent_version, one.weight) for one in (await second.phone_number.retrieve(number)).outbound_agents or ()]
            assert weights == [("latest_published", 1 - share), (1, share)]
            edited(tmp_path / "llms/alpha.yaml", f"untried, fixed for {share},", "untried")
            await one.apply(await one.plan())
        await other.apply(await other.plan(overwrite=[NUMBER]))
        assert await answered(second, number) == 0


@pytest.mark.parametrize(
    ("field", "named", "more"),
    [
        ("inbound_agents", ["latest_published", 3], False),
        ("inbound_agents", [2, 3], False),
        ("inbound_agents", ["latest_published", 3, None], True),
        ("inbound_agents", [3], True),
        ("general_tools", ["latest_published", 3], True),
    ],
)
async def test_what_a_canary_shares_already(field: str, named: list[Any], more: bool) -> None:
    bound = {"one": tuple((field, "agents/a", version) for version in named)}
    assert Calls({"agents/a": Latest(3, False)}, bound=bound).takes_more("one", "agents/a") is more


async def test_a_published_version_keeps_its_engine(tmp_path: Path) -> None:
    """Also one whose agent named no version of the engine when it was made."""
    local = LocalRetell()
    async with local.client() as client:
        made, _ = await published(local, client)
        config = Config(tmp_path, client)
        await config.pull()
        edited(tmp_path / "llms/alpha.yaml", "tried", "untried")
        await config.apply(await config.plan())
        engine: Any = (await client.agent.retrieve(made, version=0)).response_engine
        assert (await client.llm.retrieve(engine.llm_id, version=engine.version)).general_prompt == "I am tried."


async def test_what_is_published_hands_over_until_its_draft_is(tmp_path: Path) -> None:
    local = LocalRetell()
    async with local.client() as client:
        _, made = await agent(client, "Alpha", "I am tried.")
        swap: Any = {"type": "agent_swap", "name": "over", "agent_id": made, "post_call_analysis_setting": "both_agents"}
        _, other = await agent(client, "Beta", general_tools=[swap])
        for one in (made, other):
            await client.agent.publish(one, version=0)
        config = Config(tmp_path, client)
        await config.pull()
        edited(tmp_path / "llms/beta.yaml", "agent_id: agents/alpha", "agent_id: agents/alpha\n    agent_version: latest_published")
        await config.apply(await config.plan())
        edited(tmp_path / "llms/alpha.yaml", "tried", "untried")
        assert live((await config.plan()).warnings) == [f"{DRAFT}llms/beta"]
        await client.agent.publish(other, version=1)
        assert live((await config.plan()).warnings) == []


async def test_a_warning_for_an_agent_and_one_for_a_number(tmp_path: Path) -> None:
    local = LocalRetell()
    async with local.client() as client:
        made, number = await published(local, client)
        await bind(client, number, made)
        config = Config(tmp_path, client)
        await config.pull()
        edited(tmp_path / "llms/alpha.yaml", "tried", "untried")
        edited(tmp_path / "agents/alpha.yaml", "agent_name: Alpha", "agent_name: Alpha\nvoice_speed: 1.5")
        edited(tmp_path / f"{NUMBER}.yaml", "weight: 1", "weight: 1\n    agent_version: latest")
        plan = await config.plan()
        assert plan.warnings == (
            f"{NUMBER}: live at once: its calls get the draft of agents/alpha",
            f"{DRAFT}{NUMBER}",
            "web calls, chats and calls that are begun for agents/alpha without a version get the draft from now on",
        )


async def test_a_canary_leaves_nothing_on_an_earlier_version(tmp_path: Path) -> None:
    local = LocalRetell()
    async with local.client() as client:
        made, number = await published(local, client)
        (tmp_path / "environments").mkdir()
        (tmp_path / "environments/prod.yaml").write_text("variables: {}\n", encoding="utf-8")
        config = Config(tmp_path, client, "prod")
        await config.pull()
        edited(tmp_path / f"{NUMBER}.yaml", "weight: 1", "weight: 1\n    agent_version: latest_published")
        await config.apply(await config.plan())

        async def release(speed: float, share: float) -> list[tuple[Any, float]]:
            file = tmp_path / "agents/alpha.yaml"
            file.write_text(
                f"{file.read_text(encoding='utf-8')}voice_speed: {speed}\n".replace("voice_speed: 1.1\nv", "v"), encoding="utf-8"
            )
            await config.apply(await config.plan())
            await config.canary(share)
            weights = (await client.phone_number.retrieve(number)).outbound_agents or ()
            return [(one.agent_version, one.weight) for one in weights]

        assert await release(1.1, 0.1) == [("latest_published", 0.9), (1, 0.1)]
        assert await config.publish() == ["agents/alpha: version 1"]
        assert await release(1.2, 0.2) == [("latest_published", 0.8), (2, 0.2)]
        file = (tmp_path / f"{NUMBER}.yaml").read_text(encoding="utf-8")
        pulled = await config.pull()
        assert (tmp_path / f"{NUMBER}.yaml").read_text(encoding="utf-8") == file
        (conflict,) = pulled.conflicts
        assert conflict.startswith(f"{NUMBER}: outbound_agents: version 2 of agents/alpha is that of one account")
        assert conflict.endswith(f"apply --overwrite {NUMBER} gives the account what it says")
        assert [line for change in (await config.plan()).kept[NUMBER] for line in told(change)] == [
            "~ outbound_agents.agents/alpha latest_published.weight: 1 -> 0.8",
            "+ outbound_agents.agents/alpha 2: 0.2",
        ]
        await bind(client, number, made, agent_version=1)
        assert await config.publish() == [f"agents/alpha: version 2; {NUMBER} keeps version 1 of it, which it names by its number"]
