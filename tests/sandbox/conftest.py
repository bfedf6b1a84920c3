from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


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
