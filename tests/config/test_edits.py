"""Seeded edits of files and of the account: a plan says exactly what applying then does, and nothing else is touched."""

from __future__ import annotations

import os
from copy import deepcopy
from pathlib import Path
from random import Random
from typing import Any

import pytest
from ruamel.yaml import YAML

from retell_async import AsyncRetell
from retell_async._core.errors import ConfigurationError
from retell_async.config import Config, Plan, report
from retell_async.config.bodies import parts_of
from retell_async.config.kinds import kind_of
from retell_async.testing import LocalRetell

Json = dict[str, Any]
EDITS = int(os.environ.get("CONFIG_EDITS", "40"))
"""How many edits the soak makes. 200 take a minute and a half on two busy cores."""


def node(name: str, text: str, goes_to: str | None = None) -> Json:
    edges = [{"id": f"edge_{name}", "destination_node_id": goes_to, "transition_condition": {"type": "prompt", "prompt": "Done"}}]
    found: Json = {"id": name, "type": "conversation", "instruction": {"type": "prompt", "text": text}, "edges": edges if goes_to else []}
    return found


def tool(name: str, rng: Random) -> Json:
    return {"type": "custom", "name": name, "url": f"https://{name}.example", "headers": {"X-Id": f"{rng.random()}"}}


def state(name: str, rng: Random) -> Json:
    return {
        "name": name,
        "state_prompt": f"Prompt {rng.random()}",
        "tools": [{"type": "end_call", "name": "hang_up"}, tool("crm", rng)],
        "edges": [{"description": "on", "destination_state_name": name}],
    }


async def start(client: AsyncRetell) -> None:
    rng = Random(0)
    base = await client.knowledge_base.create(knowledge_base_name="prices", knowledge_base_urls=["https://prices.example"])
    for name in ("North", "South"):
        llm = await client.llm.create(
            general_prompt=f"{name}\n" * 9,
            general_tools=[tool("crm", rng), tool("mail", rng)],  # type: ignore[list-item]
            states=[state("one", rng), state("two", rng)],  # type: ignore[list-item]
            starting_state="one",
            knowledge_base_ids=[base.knowledge_base_id],
        )
        made = await client.agent.create(
            agent_name=name, voice_id="retell-Cimo", response_engine={"type": "retell-llm", "llm_id": llm.llm_id}
        )
        await client.phone_number.create(area_code=415, inbound_agents=[{"agent_id": made.agent_id, "weight": 1}])
    flow = await client.conversation_flow.create(
        start_speaker="agent",
        nodes=[node("a", "Hello", "b"), node("b", "And?", "c"), node("c", "Bye")],  # type: ignore[list-item]
        start_node_id="a",
    )
    engine: Any = {"type": "conversation-flow", "conversation_flow_id": flow.conversation_flow_id}
    await client.chat_agent.create(agent_name="Chat", response_engine=engine)
    await client.tests.create_test_case_definition(name="Case", metrics=["one"], user_prompt="Hi", response_engine=engine)


class Editor:
    """Edits at random, what people and dashboards edit."""

    def __init__(self, local: LocalRetell, client: AsyncRetell, root: Path, rng: Random) -> None:
        self.local, self.client, self.root, self.rng, self.count = local, client, root, rng, 0

    def load(self, path: Path) -> tuple[YAML, Any]:
        yaml = YAML()
        return yaml, yaml.load(path)

    def change(self, body: Any, kind: str) -> None:
        """Change some setting of an object, of a file or of the account alike."""
        rng = self.rng
        self.count += 1
        if kind in {"agents", "chat_agents"}:
            field = rng.choice(["webhook_url", "language", "timezone"] + ["voice_speed", "backchannel_words"] * (kind == "agents"))
            body[field] = {
                "webhook_url": f"https://hooks.example/{self.count}",
                "language": rng.choice(["en-GB", "de-DE", ["en-US", "fr-FR"]]),
                "voice_speed": rng.choice([0.75, 1, 1.25]),
                "timezone": rng.choice(["Europe/Berlin", "Asia/Tokyo"]),
                "backchannel_words": [f"aha {self.count}", "yes"],
            }[field]
            return
        if kind == "llms":
            match rng.randrange(6):
                case 0:
                    body["begin_message"] = f"Hello {self.count}: # - 'x'"
                case 1:
                    body["general_tools"] = [tool(f"tool_{self.count}", rng), *body["general_tools"]][:4]
                case 2 if len(body["general_tools"]) > 1:
                    del body["general_tools"][rng.randrange(len(body["general_tools"]))]
                case 3:
                    chosen = rng.choice(body["states"])
                    chosen["tools"] = [*chosen["tools"], tool(f"more_{self.count}", rng)][-4:]
                case 4:
                    body["states"] = [*body["states"], state(f"state_{self.count}", rng)][-4:]
                    body["starting_state"] = body["states"][0]["name"]
                case _:
                    body["model_temperature"] = rng.choice([0, 0.25, 0.5, 1])
            return
        if kind == "flows":
            nodes = body["nodes"]
            match rng.randrange(3):
                case 0:
                    nodes.append(node(f"node_{self.count}", f"Text {self.count}\n" * rng.choice([1, 9])))
                case 1 if len(nodes) > 2:
                    del nodes[-1]
                case _:
                    rng.choice(nodes)["instruction"]["text"] = f"Line {self.count}\nand more\n"
            return
        if kind == "phone_numbers":
            body["nickname"] = f"Number {self.count}"
            return
        body[rng.choice(["user_prompt", "name"])] = f"Ask {self.count}"

    def edit_file(self) -> str:
        kinds = ["agents", "chat_agents", "llms", "flows", "phone_numbers", "tests"]
        paths = [path for kind in kinds for path in sorted((self.root / kind).glob("*.yaml"))]
        path = self.rng.choice(paths)
        chance = self.rng.random()
        if chance < 0.06 and path.parent.name == "agents":
            self.count += 1
            new = path.with_name(f"new-{self.count}.yaml")
            new.write_text(path.read_text().replace("agent_name: ", f"agent_name: New {self.count} "))
            return f"new {new.name}"
        if chance < 0.1 and path.name.startswith("new-"):
            path.unlink()
            return f"no {path.name}"
        yaml, body = self.load(path)
        nullable = [field for field in ("webhook_url", "backchannel_words", "timezone", "begin_message") if field in body]
        if chance < 0.25 and nullable:
            del body[self.rng.choice(nullable)]
        elif chance < 0.35:
            path.write_text("# a word about it\n" + path.read_text())
            return f"comment {path.stem}"
        else:
            self.change(body, path.parent.name)
        yaml.dump(body, path)
        return f"edit {path.parent.name}/{path.stem}"

    async def edit_account(self) -> str:
        store = self.local.sandbox.store
        tables: list[tuple[str, Any]] = [
            ("llms", store.llms),
            ("flows", store.flows),
            ("agents", [one for one in store.agents if one.kind == "voice"]),
            ("chat_agents", [one for one in store.agents if one.kind == "chat"]),
            ("phone_numbers", store.numbers),
            ("tests", store.test_cases),
        ]
        kind, table = self.rng.choice(tables)
        one = self.rng.choice([*table])
        if kind in {"agents", "chat_agents"} and self.rng.random() < 0.4:
            await self.client.agent.publish(one.id, version=one.latest["version"])
            return f"publish {one.id}"
        body = deepcopy(one.latest)
        self.change(body, kind)
        one.write(body | {"last_modification_timestamp": store.now()})
        return f"account {kind} {one.id}"


def raw(local: LocalRetell) -> dict[str, Json]:
    """All that the account has, as it has it."""
    store = local.sandbox.store
    tables: list[Any] = [store.llms, store.flows, store.components, store.agents, store.numbers, store.test_cases]
    own = {"last_modification_timestamp", "user_modified_timestamp", "version", "base_version", "is_published", "response_engine"}
    return {one.id: {name: value for name, value in one.latest.items() if name not in own} for table in tables for one in table}


async def settings_of(config: Config) -> dict[str, Json]:
    return {name: parts_of(kind_of(name), found.fields) for name, found in (await config._read()).account.items()}


async def carried_out(local: LocalRetell, config: Config, plan: Plan) -> None:
    """Apply a plan, and compare what it said with what happened."""
    before, rows = await settings_of(config), raw(local)
    applied = await config.apply(plan)
    assert not applied.warnings
    after, now = await settings_of(config), raw(local)
    said: dict[str, Json] = {}
    for step in plan.steps:
        said.setdefault(step.name, {}).update(step.parts)
    for name in {*before, *after, *said}:
        old, new = before.get(name, {}), after.get(name, {})
        happened = {part: new.get(part) for part in {*old, *new} if old.get(part) != new.get(part)}
        assert happened == {part: value for part, value in said.get(name, {}).items() if part in happened}, name
        assert {part: new.get(part) for part in said.get(name, {})} == said.get(name, {}), name
    ids = {bound.id for name, bound in (await config._read()).state.objects.items() if name in said}
    assert [id for id in rows if id not in ids and now.get(id) != rows[id]] == []


async def edits(root: Path, seed: int, count: int) -> dict[str, int]:
    local, rng = LocalRetell(), Random(seed)
    seen = {"steps": 0, "kept": 0, "conflicts": 0, "plans": 0}
    async with local.client() as client:
        await start(client)
        await local.advance(10)
        config = Config(root, client, variables={})
        await config.pull()
        editor = Editor(local, client, root, rng)
        done = 0
        while done < count:
            told: list[str] = []
            for _ in range(rng.randint(1, 3)):
                told.append(editor.edit_file() if rng.random() < 0.6 else await editor.edit_account())
                done += 1
            plan = await config.plan()
            seen["plans"] += 1
            seen["steps"] += len(plan.steps)
            seen["kept"] += len(plan.kept)
            if plan.conflicts:
                seen["conflicts"] += 1
                rows = raw(local)
                with pytest.raises(ConfigurationError):
                    await config.apply(plan)
                assert raw(local) == rows
                both = sorted({text.partition(":")[0] for text in plan.conflicts})
                if rng.random() < 0.5:
                    pulled = await config.pull(both, overwrite=both)
                    assert not pulled.conflicts, (told, pulled)
                    plan = await config.plan()
                else:
                    plan = await config.plan(overwrite=both)
            assert not plan.conflicts, (told, plan.conflicts)
            await carried_out(local, config, plan)
            again = await config.plan()
            assert again.steps == (), (told, report(again))
            assert {**again.kept} == {**plan.kept}, told
            if plan.kept and rng.random() < 0.5:
                await config.pull()
                settled = await config.plan()
                assert (settled.steps, {**settled.kept}, settled.conflicts) == ((), {}, ()), (told, report(settled))
    return seen


@pytest.mark.asyncio
async def test_a_plan_says_what_applying_does(tmp_path: Path) -> None:
    seen = await edits(tmp_path, 1, 2)
    assert seen["steps"]


@pytest.mark.soak
@pytest.mark.parallel
@pytest.mark.asyncio
async def test_many_edits(tmp_path: Path) -> None:
    """``CONFIG_EDITS`` edits of files and of the account."""
    seen = await edits(tmp_path, 7, EDITS)
    print(seen)
    assert all(seen.values()), seen
