"""The Retell API on this machine: an embedded server with its state in memory, for demos, tests and work without a network.

```python
from retell_async import AsyncRetell
from retell_async.sandbox import serve

async with serve() as sandbox, AsyncRetell("any key", base_url=sandbox.url) as client:
    ...
```

Calls live by themselves: they ring, are answered or not, end and are analysed, as a seed decides. `Settings` says how the account is,
`RunningClock(speed=60)` makes an hour a minute, and `SteppedClock` stands still until it is moved.
"""

from __future__ import annotations

try:
    from .app import create_app
    from .clock import Clock, RunningClock, SteppedClock
    from .server import Served, serve
    from .service import Sandbox
    from .store import Settings
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        f"{error.name} is missing: the sandbox needs `pip install 'retell-async[sandbox]'`", name=error.name
    ) from error

__all__ = ["serve", "Served", "Sandbox", "Settings", "Clock", "RunningClock", "SteppedClock", "create_app"]
