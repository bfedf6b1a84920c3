"""Campaigns: many people, called by rules, each attempt once, over days. Needs the extra ``[campaigns]``."""

from .calls import request_of, result_of
from .case import Attempt, Case, Result, begin, dialled, due, objection, settled
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
    "Attempt",
    "Case",
    "Contact",
    "Estimate",
    "Hours",
    "Number",
    "Plan",
    "Planned",
    "Preset",
    "Refused",
    "Result",
    "Retry",
    "Rules",
    "Settings",
    "Window",
    "begin",
    "dialled",
    "due",
    "estimate",
    "numbers_of",
    "objection",
    "plan",
    "read_settings",
    "request_of",
    "result_of",
    "settled",
]
