"""Many requests at once with asyncio."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from retell import APITimeoutError, AsyncRetell, DefaultAioHttpClient, Retell
from retell.types import CallResponse, PhoneCallResponse

client = AsyncRetell(api_key=os.environ.get("RETELL_API_KEY"))


@asynccontextmanager
async def numbered() -> AsyncIterator[str]:
    llm = await client.llm.create(general_prompt="You call.")
    agent = await client.agent.create(response_engine={"type": "retell-llm", "llm_id": llm.llm_id}, voice_id="retell-Cimo")
    number = await client.phone_number.import_(
        phone_number="+14155550100", termination_uri="a.pstn.twilio.com", outbound_agents=[{"agent_id": agent.agent_id, "weight": 1}]
    )
    yield number.phone_number
    await client.phone_number.delete(number.phone_number)


async def program_gather_with_a_semaphore() -> None:
    slots = asyncio.Semaphore(5)

    async def place(number: str, to_number: str) -> PhoneCallResponse:
        async with slots:
            return await client.call.create_phone_call(from_number=number, to_number=to_number)

    async with numbered() as number:
        placed = await asyncio.gather(*(place(number, f"+141555501{n:02}") for n in range(1, 13)))
        assert len({call.call_id for call in placed}) == 12
        found: list[CallResponse] = list(await asyncio.gather(*(client.call.retrieve(call.call_id) for call in placed)))
        assert [call.call_id for call in found] == [call.call_id for call in placed]
        results = await asyncio.gather(client.call.retrieve("call_unknown"), client.agent.list(), return_exceptions=True)
        assert [isinstance(result, Exception) for result in results] == [True, False]
    await client.close()


async def program_tasks_and_time_limits() -> None:
    async with AsyncRetell(timeout=20.0) as own:
        listing = asyncio.create_task(own.agent.list(limit=10))
        calls = asyncio.create_task(own.call.list(limit=10))
        async with asyncio.TaskGroup() as group:
            numbers = group.create_task(own.phone_number.list())
            limit = group.create_task(own.concurrency.retrieve())
        assert (await listing).items == []
        assert (await calls).items == []
        assert numbers.result().items == []
        assert limit.result().current_concurrency == 0
        page = await asyncio.wait_for(own.call.list(), timeout=10)
        assert page.has_more is False
        async with asyncio.timeout(10):
            await own.voice.list()
        for done in asyncio.as_completed([own.llm.list(limit=1), own.llm.list(limit=2)]):
            await done


async def program_the_blocking_client_in_threads() -> None:
    blocking = Retell()
    llm = await asyncio.to_thread(blocking.llm.create, general_prompt="In a thread.")
    loop = asyncio.get_running_loop()
    found = await loop.run_in_executor(None, lambda: blocking.llm.retrieve(llm.llm_id))
    assert found.general_prompt == "In a thread."
    same = blocking.llm.retrieve(llm.llm_id)  # which holds the loop up, and works
    assert same == found
    blocking.close()


def program_one_run_after_another() -> None:
    async def names() -> list[str | None]:
        async with AsyncRetell() as own:
            page = await own.agent.list()
            return [agent.agent_name for agent in page.items or []]

    assert asyncio.run(names()) == []
    assert asyncio.run(names()) == []


async def program_over_aiohttp() -> None:
    async with AsyncRetell(http_client=DefaultAioHttpClient()) as own:
        assert (await own.agent.list()).items == []
        quick = own.with_options(timeout=0.000001, max_retries=0)
        try:
            await quick.agent.list()
        except APITimeoutError as error:
            assert "timed out" in str(error).lower()
