"""Campaigns: many people, called by rules, each attempt once, over days. Needs the extra ``[campaigns]``."""

from .contact import Contact
from .contacts import Refused, numbers_of
from .forecast import Planned
from .hours import Hours, Window
from .legal import PRESETS, Preset
from .numbers import Number
from .plan import Estimate, Plan, estimate, plan
from .rules import REASONS, Retry, Rules
from .settings import Settings, read_settings

__all__ = [
    "PRESETS",
    "REASONS",
    "Contact",
    "Estimate",
    "Hours",
    "Number",
    "Plan",
    "Planned",
    "Preset",
    "Refused",
    "Retry",
    "Rules",
    "Settings",
    "Window",
    "estimate",
    "numbers_of",
    "plan",
    "read_settings",
]
