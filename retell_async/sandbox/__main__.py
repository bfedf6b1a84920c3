"""``python -m retell_async.sandbox``: the sandbox on a port until it is stopped."""

from __future__ import annotations

import argparse
import contextlib
import sys

from .clock import RunningClock
from .server import listen, run
from .service import Sandbox
from .store import Settings


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m retell_async.sandbox", description="The Retell API on this machine, with its state in memory."
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8888, help="port to listen on, 0 for a free one (default: %(default)s)")
    parser.add_argument("--speed", type=float, default=1.0, help="how many times as fast as real time calls go (default: 1)")
    parser.add_argument("--seed", type=int, default=0, help="decides how calls go (default: %(default)s)")
    parser.add_argument("--concurrency", type=int, default=1_000, help="how many calls may be going on at a time (default: %(default)s)")
    parser.add_argument("--api-key", help="the one key that is let in (default: any)")
    asked = parser.parse_args(arguments)
    try:
        settings = Settings(seed=asked.seed, concurrency_limit=asked.concurrency, api_key=asked.api_key)
        sandbox = Sandbox(settings, RunningClock(asked.speed))
        listener, url = listen(asked.host, asked.port)
    except (ValueError, OSError, OverflowError) as error:
        print(f"The sandbox cannot start: {error}", file=sys.stderr)
        return 1
    key = "any API key" if asked.api_key is None else "the given API key"
    print(f"Retell sandbox on {url} with {key}, at {asked.speed:g} times real time, seed {asked.seed}. Ctrl+C stops it.", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        run(sandbox, listener)
    return 0


if __name__ == "__main__":
    sys.exit(main())
