from __future__ import annotations

import os

import pytest
from hypothesis import settings

# Nothing that a developer has set changes what the tests see, and a run can be repeated.
for name in [name for name in os.environ if name.startswith("RETELL_")]:
    del os.environ[name]
settings.register_profile("repository", deadline=None, derandomize=True)
settings.load_profile("repository")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let no test open a socket unless it is marked `soak`: those may, on this machine's own addresses."""
    for item in items:
        if item.get_closest_marker("soak") is None:
            item.add_marker("disable_socket")
