"""The disconnection reasons: the status of a call that ends for each, and how often each is drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import accumulate
from random import Random

import attrs

__all__ = ["CONNECTED", "DEFAULT_OUTCOMES", "STATUSES", "Outcomes", "connects"]

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

STATUSES: Mapping[str, str] = {
    **dict.fromkeys(_TALKED.split(), "ended"),
    **dict.fromkeys(_NEVER_REACHED.split(), "not_connected"),
    **dict.fromkeys(_NEVER_DIALLED.split(), "error"),
    **dict.fromkeys(_BROKE_OFF.split(), "error"),
}
"""The ``call_status`` of a call that ended for each disconnection reason."""
CONNECTED = frozenset((_TALKED + " " + _BROKE_OFF).split())
"""The disconnection reasons of calls that were answered."""
_PHONE_ONLY = frozenset([*_NEVER_REACHED.split(), "voicemail_reached", "ivr_reached", "call_transfer", "registered_call_timeout"])

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
"""How many of 100 calls end for each disconnection reason."""


@attrs.frozen
class Outcomes:
    """Disconnection reasons with weights, to draw from.

    :raises ValueError: a reason is unknown, a weight is negative, or none is above zero.
    """

    reasons: tuple[str, ...]
    cumulated: tuple[float, ...]

    @classmethod
    def of(cls, weights: Mapping[str, float]) -> Outcomes:
        for reason, weight in weights.items():
            if reason not in STATUSES:
                raise ValueError(f"{reason!r} is no disconnection reason")
            if not (math.isfinite(weight) and weight >= 0):
                raise ValueError(f"the weight of {reason} is {weight}: it must be 0 or more")
        if not any(weights.values()):
            raise ValueError("at least one disconnection reason needs a weight above zero")
        return cls(tuple(weights), tuple(accumulate(weights.values())))

    @classmethod
    def of_inbound_calls(cls, weights: Mapping[str, float]) -> Outcomes:
        """The same without what happens only to outbound calls."""
        apart = {*_NEVER_REACHED.split(), "voicemail_reached", "ivr_reached", "registered_call_timeout"}
        return cls.of({reason: weight for reason, weight in weights.items() if reason not in apart and weight} or {"user_hangup": 1})

    @classmethod
    def of_web_calls(cls, weights: Mapping[str, float]) -> Outcomes:
        """The same without what happens only to phone calls."""
        return cls.of({reason: weight for reason, weight in weights.items() if reason not in _PHONE_ONLY and weight} or {"user_hangup": 1})

    def draw(self, rng: Random) -> str:
        return rng.choices(self.reasons, cum_weights=self.cumulated)[0]


def connects(reason: str) -> bool:
    """Whether a call with this disconnection reason was answered."""
    return reason in CONNECTED
