"""How a call goes: what becomes of it, when, and what it costs. Pure: the same seed and the same call always go the same way."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import accumulate
from random import Random
from typing import Literal

import attrs

from .exchange import Json

__all__ = [
    "DEFAULT_OUTCOMES",
    "Course",
    "Habits",
    "Kind",
    "Outcomes",
    "Stage",
    "TRANSFER_MS",
    "call_cost",
    "connects",
    "ended",
    "latency",
    "lengthened",
    "plan",
    "stage",
    "status",
    "stopped",
    "talks",
    "transfer_end",
    "turned_away",
    "turns",
]

Kind = Literal["phone_call", "web_call"]
Stage = Literal["registered", "ongoing", "ended", "analyzed"]
Sentiment = Literal["Negative", "Positive", "Neutral", "Unknown"]

_TALKED = (
    "user_hangup agent_hangup user_requested_dnc user_requested_callback call_transfer voicemail_reached ivr_reached inactivity "
    "max_duration_reached transfer_bridged transfer_cancelled manual_stopped call_take_over"
)
_NEVER_REACHED = (
    "dial_busy dial_failed dial_no_answer invalid_destination telephony_provider_permission_denied telephony_provider_unavailable "
    "sip_routing_error marked_as_spam network_blocked user_declined"
)
_NEVER_DIALLED = (
    "concurrency_limit_reached no_concurrency_fallback no_valid_payment credit_exhausted budget_reached scam_detected "
    "error_user_not_joined registered_call_timeout error_llm_websocket_open"
)
_BROKE_OFF = (
    "error_llm_websocket_lost_connection error_llm_websocket_runtime error_llm_websocket_corrupt_payload error_no_audio_received "
    "error_asr error_retell error_unknown"
)

_STATUS: Mapping[str, str] = {
    **dict.fromkeys(_TALKED.split(), "ended"),
    **dict.fromkeys(_NEVER_REACHED.split(), "not_connected"),
    **dict.fromkeys(_NEVER_DIALLED.split(), "error"),
    **dict.fromkeys(_BROKE_OFF.split(), "error"),
}
_CONNECTS = frozenset((_TALKED + " " + _BROKE_OFF).split())
_PHONE_ONLY = frozenset([*_NEVER_REACHED.split(), "voicemail_reached", "ivr_reached", "call_transfer", "registered_call_timeout"])
_CONVERSATIONS = frozenset({"user_hangup", "agent_hangup", "call_transfer", "call_take_over"})

DEFAULT_OUTCOMES: Mapping[str, float] = {
    "user_hangup": 45,
    "agent_hangup": 27,
    "voicemail_reached": 12,
    "dial_no_answer": 8,
    "dial_busy": 4,
    "user_declined": 1,
    "dial_failed": 1,
    "inactivity": 1,
    "error_no_audio_received": 1,
}
"""Of 100 calls, how many end for which disconnection reason."""

# Cents per second of a connected call.
_PRICES = {"elevenlabs_tts": 0.1167, "gpt_4_1": 0.075}
_TELEPHONY_PRICES = {"us_telephony": 0.025}

_SECONDS_PER_TURN = 9

TRANSFER_MS = 4_000
"""From the beginning of a transfer until the parties are connected, or it is given up."""


@attrs.frozen
class Outcomes:
    """Weights of disconnection reasons, ready to be drawn from.

    :raises ValueError: a reason is unknown, a weight is negative, or none is above zero.
    """

    reasons: tuple[str, ...]
    cumulated: tuple[float, ...]

    @classmethod
    def of(cls, weights: Mapping[str, float]) -> Outcomes:
        for reason, weight in weights.items():
            if reason not in _STATUS:
                raise ValueError(f"{reason!r} is no disconnection reason")
            if not (math.isfinite(weight) and weight >= 0):
                raise ValueError(f"the weight of {reason} is {weight}: it must be 0 or more")
        if not any(weights.values()):
            raise ValueError("at least one disconnection reason needs a weight above zero")
        return cls(tuple(weights), tuple(accumulate(weights.values())))

    @classmethod
    def of_inbound_calls(cls, weights: Mapping[str, float]) -> Outcomes:
        """The same without what happens only to who dials."""
        apart = {*_NEVER_REACHED.split(), "voicemail_reached", "ivr_reached", "registered_call_timeout"}
        return cls.of({reason: weight for reason, weight in weights.items() if reason not in apart and weight} or {"user_hangup": 1})

    @classmethod
    def of_web_calls(cls, weights: Mapping[str, float]) -> Outcomes:
        """The same without what happens on the telephone only."""
        return cls.of({reason: weight for reason, weight in weights.items() if reason not in _PHONE_ONLY and weight} or {"user_hangup": 1})

    def draw(self, rng: Random) -> str:
        return rng.choices(self.reasons, cum_weights=self.cumulated)[0]


@attrs.frozen
class Habits:
    """What an agent's settings say of the calls it makes."""

    ring_ms: int = 30_000
    max_duration_ms: int = 3_600_000
    detects_voicemail: bool = False


@attrs.frozen
class Course:
    """All that will have been, known from the start. Times in milliseconds since the epoch."""

    seed: int
    kind: Kind
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


def plan(seed: int, kind: Kind, created: int, outcomes: Outcomes, habits: Habits) -> Course:
    """The course of a call that is created at a moment."""
    rng = Random(seed)
    reason = outcomes.draw(rng)
    in_voicemail = reason == "voicemail_reached"
    wait, duration = _wait_ms(rng, reason, kind, habits), _duration_ms(rng, reason)
    if in_voicemail and not habits.detects_voicemail:
        reason = "user_hangup"  # the mailbox is full, or has heard enough
    if reason in _CONNECTS and duration >= habits.max_duration_ms:
        reason, duration = "max_duration_reached", habits.max_duration_ms
    talked = reason in _CONVERSATIONS and not in_voicemail
    successful = talked and rng.random() < 0.82
    start = created + wait if reason in _CONNECTS else None
    end = created + wait + (0 if start is None else duration)
    return Course(
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


def ended(course: Course, now: int, reason: str) -> Course:
    """The course of an ongoing call that ends now, for a reason of its own."""
    talked = reason in _CONVERSATIONS and not course.in_voicemail
    return attrs.evolve(
        course, reason=reason, end=now, analyzed=now + course.analyzed - course.end, successful=course.successful and talked
    )


def turned_away(course: Course, now: int, reason: str) -> Course:
    """The course of a call that nobody answers, until it is ended."""
    return attrs.evolve(ended(course, now, reason), start=None, talk_ms=0, in_voicemail=False, successful=False, sentiment="Unknown")


def stopped(course: Course, now: int) -> Course:
    """The course of an ongoing call that is ended by command."""
    return ended(course, now, "manual_stopped")


def lengthened(course: Course, milliseconds: int) -> Course:
    """The course of an ongoing call that takes so much longer, or less long when it is negative."""
    return attrs.evolve(course, end=course.end + milliseconds, analyzed=course.analyzed + milliseconds)


def connects(reason: str) -> bool:
    """Whether a call with this disconnection reason was answered."""
    return reason in _CONNECTS


def talks(course: Course) -> bool:
    """Whether the call is one in which a user and an agent speak with each other until one of them ends it."""
    return course.reason in _CONVERSATIONS and not course.in_voicemail


def transfer_end(course: Course) -> int:
    """When the parties that a call was transferred to each other have done."""
    return course.end + 20_000 + course.seed % 90_000


def stage(course: Course, now: int) -> Stage:
    if now >= course.end:
        return "analyzed" if now >= course.analyzed else "ended"
    return "ongoing" if course.start is not None and now >= course.start else "registered"


def status(course: Course, now: int) -> str:
    """The ``call_status`` of that moment."""
    return _STATUS[course.reason] if now >= course.end else stage(course, now)


def turns(milliseconds: int) -> int:
    """How often the agent speaks in that time."""
    return max(1, round(milliseconds / 1000 / _SECONDS_PER_TURN))


def call_cost(course: Course) -> Json:
    """The ``call_cost`` object of an ended call, in cents; started seconds are whole seconds."""
    seconds = math.ceil(course.duration_ms / 1000)
    prices = (_PRICES | _TELEPHONY_PRICES if course.kind == "phone_call" else _PRICES) if seconds else {}
    return {
        "product_costs": [{"product": name, "unit_price": price, "cost": round(price * seconds, 4)} for name, price in prices.items()],
        "total_duration_seconds": seconds,
        "total_duration_unit_price": round(sum(prices.values()), 4),
        "combined_cost": round(sum(prices.values()) * seconds, 4),
    }


def latency(course: Course) -> Json:
    """The ``latency`` object of a connected call that has ended, in milliseconds."""
    rng = Random(course.seed + 1)
    count = turns(course.duration_ms)
    spread = [rng.uniform(0.62, 1.0) for _ in range((count - 1) // 2)] + [1.0] + [rng.uniform(1.0, 2.2) for _ in range(count // 2)]
    rng.shuffle(spread)
    shares = {"e2e": 1.0, "llm": 0.55, "tts": 0.27, "asr": 0.12}
    return {name: _summary([round(course.latency_ms * share * factor) for factor in spread]) for name, share in shares.items()}


def _summary(values: list[int]) -> Json:
    ordered = sorted(values)
    ranks = {
        name: ordered[math.ceil(share * len(ordered)) - 1] for name, share in (("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99))
    }
    return {**ranks, "max": ordered[-1], "min": ordered[0], "num": len(ordered), "values": values}


def _wait_ms(rng: Random, reason: str, kind: Kind, habits: Habits) -> int:
    """From the creation of a call to its answer, or to its end when nobody answers."""
    if reason == "dial_no_answer":
        return habits.ring_ms
    if reason == "error_user_not_joined":
        return 30_000
    if reason == "registered_call_timeout":
        return 300_000
    if kind == "web_call" or reason not in _CONNECTS:
        return rng.randint(800, 3_000)
    return rng.randint(2_500, max(2_500, min(18_000, habits.ring_ms)))


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
