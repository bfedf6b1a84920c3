"""Our client without `await`, used from as many threads as there are requests at once. The argument is an order as that of `load_ours`."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from time import perf_counter, process_time
from typing import Any

from retell_async import Retell


def prepare(argument: str) -> Callable[[], Any]:
    order: dict[str, Any] = json.loads(argument)
    return lambda: _main(order)


def _main(order: dict[str, Any]) -> dict[str, float]:
    concurrency, number = order["throughput"], order["number"]
    with Retell(api_key="key", base_url=order["url"]) as client:
        start = perf_counter()
        _threads(client, concurrency, concurrency)
        opened, used = perf_counter(), process_time()
        _threads(client, concurrency, number)
        steady = number / (perf_counter() - opened)
        return {"new": concurrency / (opened - start), "steady": steady, "processor": (process_time() - used) / number * 1e6}


def _threads(client: Retell, concurrency: int, number: int) -> None:
    numbers = iter(range(number))

    def work() -> None:
        for _ in numbers:
            client.call.create_web_call(agent_id="agent_1")

    threads = [threading.Thread(target=work) for _ in range(concurrency)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
