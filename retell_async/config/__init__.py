"""Agents as files in git: a folder says what an account is to have, and `Config` pulls, plans and applies.

```python
config = Config("retell", client, environment="staging")
await config.pull()
plan = await config.plan()
await config.apply(plan)
```
"""

from .applying import Applied, OutOfDateError
from .config import Config, Pulled
from .difference import Change
from .plan import Plan, Step, report

__all__ = ["Applied", "Change", "Config", "OutOfDateError", "Plan", "Pulled", "Step", "report"]
