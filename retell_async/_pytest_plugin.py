"""The pytest plugin: fixtures for a sandbox and a client of it, new for each test."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ._client import AsyncRetell
    from .testing import LocalRetell

__all__ = ["pytest_configure", "retell_client", "retell_sandbox", "retell_sandbox_url"]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "retell_sandbox(speed=None, **settings): what the test's sandbox is like: fields of retell_async.sandbox.Settings, "
        "and a speed for a clock that runs by itself",
    )


@pytest.fixture
def retell_sandbox(request: pytest.FixtureRequest) -> LocalRetell:
    """A sandbox for this test alone. Its time stands still until it is moved."""
    from .sandbox import RunningClock, Settings
    from .sandbox.openapi.names import check_field
    from .testing import LocalRetell

    marker = request.node.get_closest_marker("retell_sandbox")
    if marker is not None and marker.args:
        raise TypeError(f"the mark retell_sandbox takes settings by name, as retell_sandbox(seed=7); it has {len(marker.args)} without one")
    settings = {} if marker is None else dict(marker.kwargs)
    for name in settings:
        check_field(name, ("speed", *inspect.signature(Settings).parameters), "the mark retell_sandbox")
    speed = settings.pop("speed", None)
    return LocalRetell(Settings(**settings), None if speed is None else RunningClock(speed))


@pytest.fixture
def retell_client(retell_sandbox: LocalRetell) -> AsyncRetell:
    """A client of ``retell_sandbox``, in the same process, under asyncio and trio."""
    return retell_sandbox.client()


@pytest.fixture
def retell_sandbox_url(retell_sandbox: LocalRetell) -> Iterator[str]:
    """The URL of ``retell_sandbox``, which listens on a free port while the test lasts."""
    with retell_sandbox.serving() as url:
        yield url
