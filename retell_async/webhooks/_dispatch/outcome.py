"""What came of a delivery."""

from __future__ import annotations

import attrs

from retell_async._core.attempt import Failed
from retell_async._instrumentation import DeliveryOutcome

__all__ = ["Ended"]


@attrs.frozen
class Ended:
    """What came of a delivery."""

    how: DeliveryOutcome
    failed: Failed | None = None
    """The first handler that failed."""
