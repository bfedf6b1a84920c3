"""How a call goes: its outcome, its times and its cost. Pure: the same seed gives the same call."""

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
"""From the start of a transfer until it is bridged or cancelled."""


@attrs.frozen
class CallProfile:
    """The settings of an agent that decide how its calls go."""

    ring_ms: int = 30_000
    max_duration_ms: int = 3_600_000
    detects_voicemail: bool = False


@attrs.frozen
class CallPlan:
    """How a call will go, decided when it is created. Times are milliseconds since the epoch."""

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
    """How long the two sides would talk if nothing came in between."""

    @property
    def duration_ms(self) -> int:
        return 0 if self.start is None else self.end - self.start


def plan_call(seed: int, kind: CallKind, created: int, outcomes: Outcomes, profile: CallProfile) -> CallPlan:
    """Decide how a call goes.

    :param created: when it is created, in milliseconds since the epoch.
    """
    rng = Random(seed)
    reason = outcomes.draw(rng)
    in_voicemail = reason == "voicemail_reached"
    wait, duration = _wait_ms(rng, reason, kind, profile), _duration_ms(rng, reason)
    if in_voicemail and not profile.detects_voicemail:
        reason = "user_hangup"  # the mailbox hangs up
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
    """The plan of a call that ends now instead, for this disconnection reason."""
    talked = reason in _CONVERSATIONS and not plan.in_voicemail
    return attrs.evolve(plan, reason=reason, end=now, analyzed=now + plan.analyzed - plan.end, successful=plan.successful and talked)


def turned_away(plan: CallPlan, now: int, reason: str) -> CallPlan:
    """The plan of a call that ends now without having been answered."""
    return attrs.evolve(ended(plan, now, reason), start=None, talk_ms=0, in_voicemail=False, successful=False, sentiment="Unknown")


def stopped(plan: CallPlan, now: int) -> CallPlan:
    """The plan of a call that is stopped over the API."""
    return ended(plan, now, "manual_stopped")


def lengthened(plan: CallPlan, milliseconds: int) -> CallPlan:
    """The plan of a call that takes so much longer; less long, if negative."""
    return attrs.evolve(plan, end=plan.end + milliseconds, analyzed=plan.analyzed + milliseconds)


def talks(plan: CallPlan) -> bool:
    """Whether a user and the agent talk until one of them ends the call."""
    return plan.reason in _CONVERSATIONS and not plan.in_voicemail


def transfer_end(plan: CallPlan) -> int:
    """When a transferred call ends for the two parties."""
    return plan.end + 20_000 + plan.seed % 90_000


def stage(plan: CallPlan, now: int) -> Stage:
    if now >= plan.end:
        return "analyzed" if now >= plan.analyzed else "ended"
    return "ongoing" if plan.start is not None and now >= plan.start else "registered"


def status(plan: CallPlan, now: int) -> str:
    """The ``call_status`` at a time."""
    return STATUSES[plan.reason] if now >= plan.end else stage(plan, now)


def turns(milliseconds: int) -> int:
    """How often the agent speaks in so long a talk."""
    return max(1, round(milliseconds / 1000 / _SECONDS_PER_TURN))


def call_cost(plan: CallPlan) -> Json:
    """The ``call_cost`` object of an ended call, in cents. A second that was begun is billed whole."""
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
    """How long a call rings: until it is answered, or ends unanswered."""
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
