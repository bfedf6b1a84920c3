"""Files that took each other's names are about the objects that they were about; or it is a conflict, and nothing is applied."""

from __future__ import annotations

from pathlib import Path

import pytest

from retell_async import AsyncRetell
from retell_async.config import Config
from retell_async.testing import LocalRetell

from .test_pull import agent, write

pytestmark = pytest.mark.asyncio


async def two(root: Path, client: AsyncRetell) -> tuple[Config, str, str]:
    """Two agents, the first of which a number has."""
    (_, first), (_, second) = [await agent(client, name, f"I am {name}.") for name in ("Alpha", "Beta")]
    await client.phone_number.create(area_code=415, inbound_agents=[{"agent_id": first, "weight": 1}])
    config = Config(root, client)
    await config.pull()
    return config, first, second


def rename(root: Path, *names: tuple[str, str]) -> None:
    """Files of agents and LLMs, all at once, with the references to them."""
    paths = [root / folder / f"{name}.yaml" for folder in ("agents", "llms") for name, _ in names]
    texts = [path.read_text(encoding="utf-8") for path in paths]
    for path in paths:
        path.unlink()
    for path, text in zip(paths, texts, strict=True):
        new = dict(names)[path.stem]
        write(root, {f"{path.parent.name}/{new}.yaml": text.replace(f"llms/{path.stem}", f"llms/{new}")})
    (number,) = (root / "phone_numbers").iterdir()
    text = number.read_text(encoding="utf-8")
    old = next(name for name, _ in names if f"agents/{name}" in text)
    number.write_text(text.replace(f"agents/{old}", f"agents/{dict(names)[old]}"), encoding="utf-8")


@pytest.mark.parametrize("names", [(("alpha", "old"), ("beta", "alpha")), (("alpha", "beta"), ("beta", "alpha"))])
async def test_a_name_is_handed_over(tmp_path: Path, names: tuple[tuple[str, str], ...]) -> None:
    local = LocalRetell()
    async with local.client() as client:
        config, first, second = await two(tmp_path, client)
        rename(tmp_path, *names)
        plan = await config.plan()
        assert (plan.status, plan.notes) == (0, ())
        assert (await config.pull()).written == ()
        write(tmp_path, {"llms/alpha.yaml": "general_prompt: I am Beta, and better.\n"})
        plan = await config.plan()
        assert [(step.action, step.name) for step in plan.steps] == [("update", "llms/alpha")]
        await config.apply(plan)
        assert [(await client.agent.retrieve(id)).agent_name for id in (first, second)] == ["Alpha", "Beta"]
        assert (await config.plan()).status == 0


async def test_a_name_that_is_handed_over_with_another_edit_is_a_conflict(tmp_path: Path) -> None:
    local = LocalRetell()
    async with local.client() as client:
        config, *_ = await two(tmp_path, client)
        rename(tmp_path, ("alpha", "old"), ("beta", "alpha"))
        write(tmp_path, {"llms/alpha.yaml": "general_prompt: I am Beta, and better.\n"})
        (conflict,) = (await config.plan()).conflicts
        assert conflict.startswith(
            "llms/alpha: what llms/beta was is called so in the account, and general_prompt is not what llms/beta had"
        )


async def test_names_in_the_dashboard_that_are_swapped_are_a_conflict(tmp_path: Path) -> None:
    """They cannot be told from files that took each other's names and were edited; one after the other is what it looks like."""
    local = LocalRetell()
    async with local.client() as client:
        config, first, second = await two(tmp_path, client)
        files = [tmp_path / f"agents/{name}.yaml" for name in ("alpha", "beta")]
        texts = [file.read_text(encoding="utf-8") for file in files]
        swapped = [texts[0].replace("name: Alpha", "name: Beta"), texts[1].replace("name: Beta", "name: Alpha")]
        for file, text in zip(files, swapped, strict=True):
            file.write_text(text, encoding="utf-8")
        assert (await config.plan()).status == 1
        for file, text in zip(files, (swapped[0], texts[1]), strict=True):
            file.write_text(text, encoding="utf-8")
        await config.apply(await config.plan())
        files[1].write_text(swapped[1], encoding="utf-8")
        await config.apply(await config.plan())
        assert [(await client.agent.retrieve(id)).agent_name for id in (first, second)] == ["Beta", "Alpha"]
        assert (await config.plan()).status == 0


async def test_an_agent_that_takes_the_name_of_one_that_goes(tmp_path: Path) -> None:
    local = LocalRetell()
    async with local.client() as client:
        config, *_ = await two(tmp_path, client)
        for folder in ("agents", "llms"):
            (tmp_path / folder / "beta.yaml").unlink()
        file = tmp_path / "agents/alpha.yaml"
        file.write_text(file.read_text(encoding="utf-8").replace("name: Alpha", "name: Beta"), encoding="utf-8")
        plan = await config.plan(delete=["agents/beta", "llms/beta"])
        assert plan.conflicts == ()
        assert [(step.action, step.name) for step in plan.steps] == [
            ("update", "agents/alpha"), ("delete", "agents/beta"), ("delete", "llms/beta")
        ]  # fmt: skip
