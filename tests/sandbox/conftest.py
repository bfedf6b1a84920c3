from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from .checked import asks_for, lost

HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the tests of operations that the document no longer has: nobody is there to take them out when it moves by itself."""
    gone = lost()
    idle = [
        item
        for item in items
        if isinstance(item, pytest.Function)
        and item.path.is_relative_to(HERE)
        and any(asks_for(operation, inspect.getsource(item.function)) for operation in gone)
    ]
    if idle:
        config.hook.pytest_deselected(items=idle)
        items[:] = [item for item in items if item not in idle]


@pytest.fixture(autouse=True)
def problems() -> Iterator[list[str]]:
    """What the sandbox wrote down that it survived. A test that brings something up on purpose empties the list; in others it fails."""
    found: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record.getMessage())

    collector = Collector(logging.ERROR)
    logger = logging.getLogger("retell_async.sandbox")
    logger.addHandler(collector)
    yield found
    logger.removeHandler(collector)
    assert not found, "\n".join(found)
