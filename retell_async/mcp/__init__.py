"""A Retell workspace as tools and resources for models, over the Model Context Protocol: ``retell-async mcp``.

```python
from retell_async import AsyncRetell
from retell_async.mcp import Policy, RetellServer, run_stdio

async with AsyncRetell() as client:
    await run_stdio(RetellServer(client, Policy(read_only=True)))
```

What costs money, reaches people or deletes asks a human in the client first.
"""

from __future__ import annotations

try:
    from .policy import Policy
    from .server import RetellServer
    from .serving import Tokens, create_app, run_http, run_stdio
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in {"mcp", "mcp_types", "uvicorn", "starlette", "pydantic", "httpx2"}:
        raise
    raise ModuleNotFoundError(
        f"{error.name} is missing: the MCP server needs `pip install 'retell-async[mcp]'`", name=error.name
    ) from error

__all__ = ["Policy", "RetellServer", "Tokens", "create_app", "run_http", "run_stdio"]
