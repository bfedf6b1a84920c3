"""A run that is told to stop: alone it follows its calls to their end, beside others it leaves them to these."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from retell_async import AsyncRetell
from retell_async.campaigns import Campaign, Number, Rules, Settings, State
from retell_async.sandbox import RunningClock, Sandbox, Settings as SandboxSettings, serve

from .desk import contacts
from .test_postgres import address as address  # noqa: PLC0414 - a fixture

pytestmark = [pytest.mark.soak, pytest.mark.asyncio, pytest.mark.parallel]


@asynccontextmanager
async def account(speed: float) -> AsyncGenerator[tuple[AsyncRetell, Settings]]:
    """An account, and a campaign of it whose calls are answered."""
    sandbox = Sandbox(SandboxSettings(outcomes={"user_hangup": 1}), clock=RunningClock(speed=speed))
    async with serve(sandbox) as served, AsyncRetell("key_1", base_url=served.url) as client:
        llm = await client.llm.create(general_prompt="You confirm appointments.")
        agent = await client.agent.create(response_engine={"type": "retell-llm", "llm_id": llm.llm_id}, voice_id="retell-Cimo")
        number = await client.phone_number.create(area_code=415, outbound_agents=[{"agent_id": agent.agent_id, "weight": 1}])
        yield client, Settings(rules=Rules(numbers=[Number(number.phone_number, per_second=20)]), live=3)


async def stopped_after_calls(campaign: Campaign, client: AsyncRetell, count: int) -> State:
    """Run it, and tell it to stop once so many calls are there."""
    stop = anyio.Event()
    states: list[State] = []

    async def run() -> None:
        states.append(await campaign.run(client, stop=stop))

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            while len([call async for call in client.call.list(limit=100)]) < count:  # noqa: ASYNC110 - the sandbox tells nobody
                await anyio.sleep(0.1)
            stop.set()
    return states[0]


async def test_alone_it_follows_its_calls_to_their_end(tmp_path: Path) -> None:
    async with account(speed=60) as (client, settings):
        campaign = Campaign.make(tmp_path / "spring.db", "spring", settings, contacts(40))
        state = await stopped_after_calls(campaign, client, 3)
        placed = len([call async for call in client.call.list(limit=100)])
        assert 3 <= placed < 40
        assert (state.status, state.counts) == ("running", {"reached": placed, "waiting": 40 - placed})
        state = await campaign.run(client)
        assert (state.status, state.counts) == ("done", {"reached": 40})
        assert len([call async for call in client.call.list(limit=100)]) == 40


@pytest.mark.needs("signals")
@pytest.mark.filterwarnings("ignore:XDG_RUNTIME_DIR is not set")  # where the package that carries Postgres looks
async def test_beside_others_it_comes_back_at_once(address: str) -> None:
    async with account(speed=1) as (client, settings):  # calls that go on for long
        campaign = Campaign.make(address, "spring", settings, contacts(3))
        state = await stopped_after_calls(campaign, client, 3)
        assert (state.status, state.counts) == ("running", {"live": 3})
