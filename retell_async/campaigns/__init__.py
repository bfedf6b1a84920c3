"""Campaigns: many people, called by rules, each attempt once, over days. Needs the extra ``[campaigns]``."""

from typing import TYPE_CHECKING, Any

from .calls import opted_out, request_of, result_of
from .case import Attempt, Case, Result, begin, dialled, due, objection, settled
from .contact import Contact
from .contacts import Refused, numbers_of
from .forecast import Planned
from .hours import Hours, Window
from .legal import PRESETS, Preset
from .numbers import Number
from .plan import Estimate, Plan, estimate, plan
from .report import Record
from .rules import REASONS, Retry, Rules
from .settings import Settings, read_settings

if TYPE_CHECKING:
    from .durable.campaign import Campaign, Progress, State

__all__ = [
    "PRESETS",
    "REASONS",
    "Attempt",
    "Campaign",
    "Case",
    "Contact",
    "Estimate",
    "Hours",
    "Number",
    "Plan",
    "Planned",
    "Preset",
    "Progress",
    "Record",
    "Refused",
    "Result",
    "Retry",
    "Rules",
    "Settings",
    "State",
    "Window",
    "begin",
    "dialled",
    "due",
    "estimate",
    "numbers_of",
    "objection",
    "opted_out",
    "plan",
    "read_settings",
    "request_of",
    "result_of",
    "settled",
]


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """What needs a database, which a plan does not, found when it is asked for."""
        if name not in {"Campaign", "Progress", "State"}:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from .durable import campaign

        return getattr(campaign, name)
