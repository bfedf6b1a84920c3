"""``python -m retell_async.sandbox``: the sandbox on a port until it is stopped."""

from __future__ import annotations

import argparse
import contextlib
import errno
import sys
import time

from .common.messages import Refused
from .faults.fault import Fault
from .fixtures import create_fixtures
from .http.server import listen, run
from .service import Sandbox
from .state.clock import RunningClock, SteppedClock
from .state.journal import Journal
from .state.settings import Settings

_PROGRAM = "python -m retell_async.sandbox"


def main(arguments: list[str] | None = None, *, program: str = _PROGRAM) -> int:
    asked = _parser(program).parse_args(arguments)
    try:
        settings = Settings(
            seed=asked.seed,
            concurrency_limit=asked.concurrency_limit,
            api_key=asked.api_key,
            webhook_url=asked.webhook_url,
            webhook_key=asked.webhook_key,
        )
        journal = None if asked.file is None else Journal(asked.file, settings)
        last = 0 if journal is None else journal.last
        clock = SteppedClock(max(last, int(time.time() * 1000))) if asked.still else RunningClock(asked.speed, last)
        for name in asked.allow_host:
            if not name or name.count(":") == 1 or not {*name}.isdisjoint("/[] "):  # more colons: an address of version 6
                raise ValueError(f"--allow-host takes a name such as sandbox, without scheme, port and path, not {name!r}")
        sandbox = Sandbox(settings, clock, journal)
        for text in asked.fault:
            sandbox.set_fault(Fault.parse(text))
        made = create_fixtures(sandbox) if asked.examples and not last else None
        listener, url = listen(asked.host, asked.port)
        sandbox.store.origin.url = url
    except (ValueError, TypeError, OSError, OverflowError, Refused) as error:
        is_taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        why = f"port {asked.port} of {asked.host} is in use: --port names another one, 0 a free one" if is_taken else error
        print(f"The sandbox cannot start: {why}", file=sys.stderr)
        return 1
    key = "any API key" if asked.api_key is None else "the given API key"
    pace = "with a clock that stands still" if asked.still else f"at {asked.speed:g} times real time"
    lines = [f"Retell sandbox on {url} with {key}, {pace}, seed {asked.seed}. The page is there too. Ctrl+C stops it."]
    if made is not None:
        lines.append(f"Made for a start: {made.llm_id}, {made.agent_id}, and {made.phone_number} to call from.")
    lines += [f"Fault: {text}" for text in asked.fault]
    print("\n".join(lines), flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        run(sandbox, listener, [asked.host, *asked.allow_host])
    return 0


def _parser(program: str = _PROGRAM) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program,
        description="The Retell API on this machine, with its state in memory.",
        epilog="A fault is a kind, and after a colon its fields: rate_limit:requests=50,per=1,form=date or "
        "timeout:operation=create*,probability=0.05,seed=7,acted=true. The kinds and fields are those of retell_async.sandbox.Fault. "
        "While the sandbox runs, POST /sandbox/faults sets them too.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8888, help="port to listen on, 0 for a free one (default: %(default)s)")
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name by which browsers and the paths under /sandbox/ may know it, beside localhost and its addresses; may be repeated",
    )
    pace = parser.add_mutually_exclusive_group()
    pace.add_argument("--speed", type=float, default=1.0, help="how many times as fast as real time calls go (default: 1)")
    pace.add_argument("--still", action="store_true", help="let the clock stand still until the page or POST /sandbox/clock moves it")
    parser.add_argument("--seed", type=int, default=0, help="decides how calls go (default: %(default)s)")
    parser.add_argument(
        "--concurrency-limit", type=int, default=1_000, help="how many calls may be going on at a time (default: %(default)s)"
    )
    parser.add_argument("--api-key", help="the one key that is let in (default: any)")
    parser.add_argument("--webhook-url", help="the account's webhook, for agents that have none of their own")
    parser.add_argument("--webhook-key", help="the key that webhooks are signed with (default: the API key, or the first that is let in)")
    parser.add_argument("--file", help="keep the state in this SQLite file, and go on with what is in it")
    parser.add_argument("--examples", action="store_true", help="make an LLM, an agent and a phone number to begin with")
    parser.add_argument("--fault", action="append", default=[], metavar="KIND[:FIELD=VALUE,...]", help="set a fault; may be repeated")
    return parser


if __name__ == "__main__":
    sys.exit(main())
