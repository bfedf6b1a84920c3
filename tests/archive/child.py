"""A process of a service, to be killed: it receives webhooks into an archive, and handles them; or it syncs.

``python child.py serve postgresql://... PORT BEGUN SPEED`` and ``python child.py sync postgresql://... URL BEGUN SPEED``
"""

from __future__ import annotations

import asyncio
import sys
import time

import sqlalchemy as sa
import uvicorn
from sqlalchemy.ext.asyncio import AsyncConnection

from retell_async import AsyncRetell, webhooks
from retell_async.archive import Archive

ATTEMPTS = 4


def archive_of(address: str, begun: str, speed: str) -> Archive:
    def clock() -> float:  # that of the sandbox
        return float(begun) + (time.time() - float(begun)) * float(speed)

    return Archive(address, attempts=ATTEMPTS, lease=3.0, clock=clock)


async def serve(archive: Archive, port: int) -> None:
    async with archive:
        router = webhooks.Router("key_1", acknowledge_after=5, store=archive.deliveries)
        archive.receive(router)

        @archive.on("call_ended", "call_analyzed")
        async def check(event: webhooks.CallEnded | webhooks.CallAnalyzed) -> None:
            if (event.call.metadata or {}).get("poison"):
                raise ValueError("this one never works")

        @archive.in_transaction()
        async def count(event: webhooks.CallEvent, connection: AsyncConnection) -> None:
            key = f"{event.to_dict()['event']}:{event.call.call_id}"
            await connection.execute(sa.text("INSERT INTO handled (key) VALUES (:key)"), {"key": key})

        server = uvicorn.Server(uvicorn.Config(router, port=port, log_config=None, access_log=False))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(archive.work())
            tasks.create_task(server.serve())
            print("ready", flush=True)


async def sync(archive: Archive, url: str) -> None:
    async with archive, AsyncRetell("key_1", base_url=url, max_retries=5) as client:
        print("ready", flush=True)
        print(await archive.sync(client, kinds=["call"], events=True), flush=True)


if __name__ == "__main__":
    what, address, where, begun, speed = sys.argv[1:]
    archive = archive_of(address, begun, speed)
    asyncio.run(serve(archive, int(where)) if what == "serve" else sync(archive, where))
