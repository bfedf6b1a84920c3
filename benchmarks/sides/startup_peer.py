"""Run with the URL of a server that answers a `get_call`."""

import sys
from time import perf_counter

_START = perf_counter()

from retell import AsyncRetell

_CLIENT = AsyncRetell(api_key="key", base_url=sys.argv[1])

_MADE = perf_counter() - _START

import resource

_PEAK = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform == "linux" else 1024 * 1024)


async def _first_answer() -> float:
    async with _CLIENT:
        await _CLIENT.call.retrieve("call_1")
        return perf_counter() - _START


import asyncio
import json

print(json.dumps({"made": _MADE * 1000, "peak": _PEAK, "answered": asyncio.run(_first_answer()) * 1000}))
