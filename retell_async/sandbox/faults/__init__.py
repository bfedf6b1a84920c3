"""Faults on command. `fault` says what a fault is, `kinds` what each kind does, `active` which fault strikes which request."""

from __future__ import annotations

from .active import ActiveFault, Faults
from .fault import Fault, FaultKind, RetryAfterForm

__all__ = ["ActiveFault", "Fault", "FaultKind", "Faults", "RetryAfterForm", "Struck"]

Struck = ActiveFault
"""The older name, for one release."""
