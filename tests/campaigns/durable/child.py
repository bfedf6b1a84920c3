"""A process that runs a campaign, to be killed: ``python child.py campaign.db http://127.0.0.1:1234``."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from retell_async import AsyncRetell
from retell_async.campaigns.durable.campaign import Campaign


async def main(path: Path, url: str) -> None:
    async with AsyncRetell("key_1", base_url=url, timeout=2.0, max_retries=3, hooks=()) as client:
        print("running", flush=True)
        state = await Campaign(path).run(client)
        print(state.status, flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
