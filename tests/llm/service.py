"""A program that serves by `llm.serve`, for tests that kill it."""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator

import anyio

from retell_async import llm

app = llm.App(secret="s3cret-of-the-tests", begin_message="Hello.", finish_within=1.0)


@app.agent
async def answer(turn: llm.Turn) -> AsyncIterator[str]:
    yield "One. "
    await anyio.sleep(0.5)
    yield "Two."


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    llm.serve(app, port=int(sys.argv[1]), drain_within=float(sys.argv[2]), log_config=None)
    print("drained")
