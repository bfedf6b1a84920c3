"""A program that serves by `llm.serve`, for tests that tell it to end."""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from starlette.applications import Starlette
from starlette.routing import Mount

from retell_async import llm

app = llm.App(secret="s3cret-of-the-tests", begin_message="Hello.", finish_within=1.0)
booking = llm.App(secret="another-of-the-tests", begin_message="Booking.", finish_within=5.0)


@app.agent
async def answer(turn: llm.Turn) -> AsyncIterator[str]:
    yield "One. "
    await anyio.sleep(0.5)
    yield "Two."


@booking.agent
class Booking(llm.Agent):
    async def on_turn(self, turn: llm.Turn) -> AsyncIterator[str]:
        yield "One moment. "

        async def book() -> str:
            print("begun", flush=True)
            await anyio.sleep(2)
            print("booked", flush=True)
            return "Booked."

        yield await turn.once("book", book)

    async def on_leave(self, session: llm.Session) -> None:
        print(f"left: {session.ended}", flush=True)


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    yield
    print("the service is over", flush=True)


service = Starlette(routes=[Mount("/first", app), Mount("/second", booking)], lifespan=lifespan)

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    port, drain_within = int(sys.argv[1]), float(sys.argv[2])
    if "both" in sys.argv:
        llm.serve(app, booking, asgi=service, port=port, drain_within=drain_within, log_config=None)
    else:
        llm.serve(app, port=port, drain_within=drain_within, log_config=None)
    print("drained")
