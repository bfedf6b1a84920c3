from __future__ import annotations

import os

from hypothesis import settings

# Nothing that a developer has set changes what the tests see, and a run can be repeated.
for name in [name for name in os.environ if name.startswith("RETELL_")]:
    del os.environ[name]
settings.register_profile("repository", deadline=None, derandomize=True)
settings.load_profile("repository")
