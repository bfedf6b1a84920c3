"""How a call goes: what becomes of it, when, and what it costs. Pure: the same seed and the same call always go the same way."""

from __future__ import annotations

import math
from random import Random
from typing import Literal

import attrs

from ..common.messages import Json
from .outcomes import CONNECTED, STATUSES, Outcomes

__all__ = [
    "CallKind",
    "CallPlan",
    "CallProfile",
    "Sentiment",
    "Stage",
    "TRANSFER_MS",
    "call_cost",
    "ended",
    "latency",
    "lengthened",
    "plan_call",
    "stage",
    "status",
    "stopped",
    "talks",
    "transfer_end",
    "turned_away",
    "turns",
]


CallKind = Literal["phone_call", "web_call"]
Stage = Literal["registered", "ongoing", "ended", "analyzed"]
Sentiment = Literal["Negative", "Positive", "Neutral", "Unknown"]
_CONVERSATIONS = frozenset({"user_hangup", "agent_hangup", "call_transfer", "call_take_over"})

# Cents per second of a connected call.
_PRICES = {"elevenlabs_tts": 0.1167, "gpt_4_1": 0.075}
_TELEPHONY_PRICES = {"us_telephony": 0.025}

_SECONDS_PER_TURN = 9

TRANSFER_MS = 4_000
"""From the beginning of a transfer until the parties are connected, or it is given up."""


@attrs.frozen
class CallProfile:
    """What an agent's settings say of the calls it makes."""

    ring_ms: int = 30_000
    max_duration_ms: int = 3_600_000
    detects_voicemail: bool = False


@attrs.frozen
class CallPlan:
    """All that will have been, known from the start. Times in milliseconds since the epoch."""

    seed: int
    kind: CallKind
    reason: str
    """The disconnection reason."""
    start: int | None
    """When the other side answered; ``None`` if that never happens."""
    end: int
    analyzed: int
    in_voicemail: bool
    successful: bool
    sentiment: Sentiment
    latency_ms: int
    """Median time from the end of the user's words to the agent's answer."""
    talk_ms: int
    """How long the two sides mean to talk."""

    @property
    def duration_ms(self) -> int:
        return 0 if self.start is None else self.end - self.start


def plan_call(seed: int, kind: CallKind, created: int, outcomes: Outcomes, profile: CallProfile) -> CallPlan:
    """The course of a call that is created at a moment."""
    rng = Random(seed)
    reason = outcomes.draw(rng)
    in_voicemail = reason == "voicemail_reached"
    wait, duration = _wait_ms(rng, reason, kind, profile), _duration_ms(rng, reason)
    if in_voicemail and not profile.detects_voicemail:
        reason = "user_hangup"  # the mailbox is full, or has heard enough
    if reason in CONNECTED and duration >= profile.max_duration_ms:
        reason, duration = "max_duration_reached", profile.max_duration_ms
    talked = reason in _CONVERSATIONS and not in_voicemail
    successful = talked and rng.random() < 0.82
    start = created + wait if reason in CONNECTED else None
    end = created + wait + (0 if start is None else duration)
    return CallPlan(
        seed=seed,
        kind=kind,
        reason=reason,
        start=start,
        end=end,
        analyzed=end + rng.randint(1_500, 6_000),
        in_voicemail=in_voicemail,
        successful=successful,
        sentiment=_sentiment(rng, talked, successful),
        latency_ms=round(rng.triangular(600, 1_600, 850)),
        talk_ms=0 if start is None else duration,
    )


def ended(plan: CallPlan, now: int, reason: str) -> CallPlan:
    """The course of an ongoing call that ends now, for a reason of its own."""
    talked = reason in _CONVERSATIONS and not plan.in_voicemail
    return attrs.evolve(plan, reason=reason, end=now, analyzed=now + plan.analyzed - plan.end, successful=plan.successful and talked)


def turned_away(plan: CallPlan, now: int, reason: str) -> CallPlan:
    """The course of a call that nobody answers, until it is ended."""
    return attrs.evolve(ended(plan, now, reason), start=None, talk_ms=0, in_voicemail=False, successful=False, sentiment="Unknown")


def stopped(plan: CallPlan, now: int) -> CallPlan:
    """The course of an ongoing call that is ended by command."""
    return ended(plan, now, "manual_stopped")


def lengthened(plan: CallPlan, milliseconds: int) -> CallPlan:
    """The course of an ongoing call that takes so much longer, or less long when it is negative."""
    return attrs.evolve(plan, end=plan.end + milliseconds, analyzed=plan.analyzed + milliseconds)


def talks(plan: CallPlan) -> bool:
    """Whether the call is one in which a user and an agent speak with each other until one of them ends it."""
    return plan.reason in _CONVERSATIONS and not plan.in_voicemail


def transfer_end(plan: CallPlan) -> int:
    """When the parties that a call was transferred to each other have done."""
    return plan.end + 20_000 + plan.seed % 90_000


def stage(plan: CallPlan, now: int) -> Stage:
    if now >= plan.end:
        return "analyzed" if now >= plan.analyzed else "ended"
    return "ongoing" if plan.start is not None and now >= plan.start else "registered"


def status(plan: CallPlan, now: int) -> str:
    """The ``call_status`` of that moment."""
    return STATUSES[plan.reason] if now >= plan.end else stage(plan, now)


def turns(milliseconds: int) -> int:
    """How often the agent speaks in that time."""
    return max(1, round(milliseconds / 1000 / _SECONDS_PER_TURN))


def call_cost(plan: CallPlan) -> Json:
    """The ``call_cost`` object of an ended call, in cents; started seconds are whole seconds."""
    seconds = math.ceil(plan.duration_ms / 1000)
    prices = (_PRICES | _TELEPHONY_PRICES if plan.kind == "phone_call" else _PRICES) if seconds else {}
    return {
        "product_costs": [{"product": name, "unit_price": price, "cost": round(price * seconds, 4)} for name, price in prices.items()],
        "total_duration_seconds": seconds,
        "total_duration_unit_price": round(sum(prices.values()), 4),
        "combined_cost": round(sum(prices.values()) * seconds, 4),
    }


def latency(plan: CallPlan) -> Json:
    """The ``latency`` object of a connected call that has ended, in milliseconds."""
    rng = Random(plan.seed + 1)
    count = turns(plan.duration_ms)
    spread = [rng.uniform(0.62, 1.0) for _ in range((count - 1) // 2)] + [1.0] + [rng.uniform(1.0, 2.2) for _ in range(count // 2)]
    rng.shuffle(spread)
    shares = {"e2e": 1.0, "llm": 0.55, "tts": 0.27, "asr": 0.12}
    return {name: _summary([round(plan.latency_ms * share * factor) for factor in spread]) for name, share in shares.items()}


def _summary(values: list[int]) -> Json:
    ordered = sorted(values)
    ranks = {
        name: ordered[math.ceil(share * len(ordered)) - 1] for name, share in (("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99))
    }
    return {**ranks, "max": ordered[-1], "min": ordered[0], "num": len(ordered), "values": values}


def _wait_ms(rng: Random, reason: str, kind: CallKind, profile: CallProfile) -> int:
    """From the creation of a call to its answer, or to its end when nobody answers."""
    if reason == "dial_no_answer":
        return profile.ring_ms
    if reason == "error_user_not_joined":
        return 30_000
    if reason == "registered_call_timeout":
        return 300_000
    if kind == "web_call" or reason not in CONNECTED:
        return rng.randint(800, 3_000)
    return rng.randint(2_500, max(2_500, min(18_000, profile.ring_ms)))


def _duration_ms(rng: Random, reason: str) -> int:
    """From answer to end."""
    if reason in {"voicemail_reached", "ivr_reached"}:
        return rng.randint(12_000, 28_000)
    if reason in _CONVERSATIONS:
        return round(min(max(rng.lognormvariate(4.0, 0.5), 10), 240) * 1000)
    return rng.randint(6_000, 60_000)


def _sentiment(rng: Random, talked: bool, successful: bool) -> Sentiment:
    if not talked:
        return "Unknown"
    choices: tuple[Sentiment, ...] = ("Positive", "Positive", "Neutral") if successful else ("Neutral", "Negative")
    return rng.choice(choices)
