"""What the analysis of a call or chat finds. Pure: the same seed gives the same findings."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Any

from ..common.messages import Json
from .lifecycle import CallPlan

__all__ = ["custom_analysis", "summary"]


def summary(plan: CallPlan) -> str:
    """The outcome of a call, in a sentence."""
    if plan.start is None:
        return "Nobody was reached."
    if plan.in_voicemail:
        return "The call went to a mailbox, where a message was left."
    if plan.successful:
        return "The agent spoke with the user about an appointment, and they agreed on a time."
    return "The agent spoke with the user, and no time was agreed on."


def custom_analysis(asked: Iterable[Json], seed: int) -> Json:
    """Findings for what the agent's ``post_call_analysis_data`` asks for, by name."""
    rng = Random(seed + 3)
    return {item["name"]: _finding(rng, item) for item in asked if item["type"] != "system-presets"}


def _finding(rng: Random, asked: Json) -> Any:
    match asked["type"]:
        case "boolean":
            return rng.random() < 0.5
        case "number":
            return rng.randint(1, 10)
        case "enum":
            return rng.choice(asked["choices"]) if asked["choices"] else ""
        case _:
            return rng.choice(("Thursday at half past ten", "a check-up", "nothing in particular"))
