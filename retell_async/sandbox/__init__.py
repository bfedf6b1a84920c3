"""The Retell API on this machine: an embedded server with its state in memory, for demos, tests and work without a network.

```python
from retell_async import AsyncRetell
from retell_async.sandbox import serve

async with serve() as sandbox, AsyncRetell("key_sandbox", base_url=sandbox.url) as client:
    ...
```

Calls go on by themselves: they ring, are answered or not, end and are analysed, as a seed decides. `Settings` are those of the account,
`RunningClock(speed=60)` makes an hour a minute, and `SteppedClock` stands still until it is moved. Faults are set with `Sandbox.set_fault`
or over ``/sandbox/faults``: `Fault` lists the kinds, `retell_async.sandbox.http.control` all paths under ``/sandbox/``. The page at ``/``
shows what goes on. `retell_async.testing` is the same for tests.
"""

from __future__ import annotations

try:
    from .faults.active import Faults
    from .faults.fault import Fault
    from .fixtures import Fixtures, create_fixtures
    from .http.app import create_app
    from .http.server import Served, serve
    from .outgoing.sender import Sender
    from .service import Sandbox
    from .state.clock import Clock, RunningClock, SteppedClock
    from .state.journal import Journal
    from .state.settings import Settings
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"{error.name} is missing: the sandbox needs `pip install 'retell-async[sandbox]'`", name=error.name
    ) from error

__all__ = [
    "serve",
    "Served",
    "Sandbox",
    "Settings",
    "Clock",
    "RunningClock",
    "SteppedClock",
    "Fault",
    "Faults",
    "Fixtures",
    "create_fixtures",
    "Journal",
    "Sender",
    "create_app",
]

# Older names, for one release.
Furniture = Fixtures
furnish = create_fixtures
Outgoing = Sender
