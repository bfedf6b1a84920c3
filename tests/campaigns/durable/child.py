"""A process that runs a campaign, to be killed: ``python child.py campaign.db http://127.0.0.1:1234 15``."""

from __future__ import annotations

import asyncio
import sys

from retell_async import AsyncRetell
from retell_async.campaigns import Campaign


async def main(address: str, url: str, lease: float) -> None:
    async with AsyncRetell("key_1", base_url=url, timeout=2.0, max_retries=3, hooks=()) as client:
        print("running", flush=True)
        state = await Campaign(address).run(client, lease=lease)
        print(state.status, flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
