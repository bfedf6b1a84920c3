"""By what a campaign calls: hours, attempts, caps, and what follows each end of a call."""

from __future__ import annotations

import math
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Literal

import attrs

from .._core.errors import ConfigurationError
from .hours import ALWAYS, Hours, zone
from .legal import PRESETS
from .numbers import Number

__all__ = ["REASONS", "Meaning", "Retry", "Rules"]

Meaning = Literal["reached", "voicemail", "missed", "failed", "dead", "opted_out", "account"]

REASONS: Mapping[str, Meaning] = {
    "user_hangup": "reached",
    "agent_hangup": "reached",
    "call_transfer": "reached",
    "transfer_bridged": "reached",
    "transfer_cancelled": "reached",
    "call_take_over": "reached",
    "manual_stopped": "reached",
    "inactivity": "reached",
    "max_duration_reached": "reached",
    "user_requested_callback": "reached",
    "user_requested_dnc": "opted_out",
    "voicemail_reached": "voicemail",
    "ivr_reached": "voicemail",
    "dial_busy": "missed",
    "dial_no_answer": "missed",
    "user_declined": "missed",
    "dial_failed": "failed",
    "telephony_provider_permission_denied": "failed",
    "telephony_provider_unavailable": "failed",
    "sip_routing_error": "failed",
    "network_blocked": "failed",
    "concurrency_limit_reached": "failed",
    "error_llm_websocket_open": "failed",
    "error_llm_websocket_lost_connection": "failed",
    "error_llm_websocket_runtime": "failed",
    "error_llm_websocket_corrupt_payload": "failed",
    "error_no_audio_received": "failed",
    "error_asr": "failed",
    "error_retell": "failed",
    "error_unknown": "failed",
    "invalid_destination": "dead",
    "marked_as_spam": "dead",
    "scam_detected": "account",
    "no_valid_payment": "account",
    "credit_exhausted": "account",
    "budget_reached": "account",
}
"""What the end of a call says, by its `disconnection_reason`: somebody was reached, or their voicemail; nobody answered (``missed``);
it went wrong and may go well later (``failed``); it will never go well (``dead``); the person wants no more calls; or the account cannot
go on. A reason that is not here means ``reached`` if the call connected, and ``missed`` if it did not."""


_YEAR = 366 * 86400.0


@attrs.frozen
class Retry:
    """When another attempt follows.

    :param after: seconds after the last one, at least.
    :param other_hour: at an hour of the day at which this person was not called yet, if there is one within a week.
    """

    after: float = 600.0
    other_hour: bool = False

    def __attrs_post_init__(self) -> None:
        if not 0 <= self.after <= _YEAR:
            raise ConfigurationError(f"after of a Retry must be 0 seconds or more, and a year at most, not {self.after!r}")


_RETRIES: Mapping[str, Retry | None] = {
    "dial_busy": Retry(600.0),
    "missed": Retry(2 * 3600.0, other_hour=True),
    "voicemail": Retry(4 * 3600.0, other_hour=True),
    "failed": Retry(1800.0),
    "concurrency_limit_reached": Retry(60.0),
    "unknown": None,
    "not_placed": Retry(300.0),
}


def _with_usual(own: Mapping[str, Retry | None]) -> Mapping[str, Retry | None]:
    return {**_RETRIES, **own}


@attrs.frozen(kw_only=True)
class Rules:
    """By what a campaign calls.

    :param numbers: the numbers that call.
    :param hours: when people may be called, by their own clocks.
    :param legal: the name of a preset of hours that hold too, such as ``us``; ``None`` for none. It is data with a date, and no advice.
    :param attempts: so many calls each contact gets at most, whatever became of them.
    :param per_day: so many of them on one day of the contact's at most.
    :param retries: what follows the end of a call, by its `disconnection_reason` or by what that means (see `REASONS`): a `Retry`, or
        ``None`` for the end. ``unknown`` stands for a call of which it is not known whether it was placed, ``not_placed`` for a request
        that was refused, which is no attempt and happens ten times at most.
    :param callback: the name of a field of the call's custom analysis, or of its collected variables, in which an agent leaves the time at
        which somebody wants to be called (ISO 8601, their own time if it has no offset).
    :param opt_out: the name of such a field in which an agent leaves that somebody wants no more calls: true, or a text that does not say
        no. They are not called any more, as after an end with ``user_requested_dnc``.
    :param zone: the time zone by whose days the campaign counts.
    :param calls_per_day: so many calls the campaign places on one of its days at most.
    :param until: Unix time in seconds after which nobody is called.
    :raises ConfigurationError: a value cannot work.
    """

    numbers: tuple[Number, ...] = attrs.field(converter=tuple[Number, ...])
    hours: Hours = ALWAYS
    legal: str | None = None
    attempts: int = 3
    per_day: int = 2
    retries: Mapping[str, Retry | None] = attrs.field(factory=dict[str, "Retry | None"], converter=_with_usual)
    callback: str | None = None
    opt_out: str | None = None
    zone: str = "UTC"
    calls_per_day: int | None = None
    until: float | None = None

    def __attrs_post_init__(self) -> None:
        if not self.numbers:
            raise ConfigurationError("a campaign needs a number that calls")
        if len({number.number for number in self.numbers}) < len(self.numbers):
            raise ConfigurationError("a number that calls is given twice")
        if not self.hours.windows:
            raise ConfigurationError("the hours have no window: nobody would ever be called")
        if self.legal is not None and self.legal not in PRESETS:
            raise ConfigurationError(f"there is no preset of legal hours {self.legal!r}: there is {', '.join(PRESETS)}")
        if self.legal is not None and not self.hours.within(legal := PRESETS[self.legal].hours).windows:
            raise ConfigurationError(
                f"the hours ({self.hours}) have nothing in common with the legal hours {self.legal!r} ({legal}): nobody would be called"
            )
        for name in ("attempts", "per_day", "calls_per_day"):
            value: object = getattr(self, name)
            if value is None and name == "calls_per_day":
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ConfigurationError(f"{name} of a campaign must be a whole number, 1 or more, not {value!r}")
        known = {*_RETRIES, *REASONS, *REASONS.values()}
        for name in self.retries:
            if name not in known:
                close = get_close_matches(name, known, 1)
                meant = f"did you mean {close[0]}?" if close else f"{', '.join(sorted(known))} are"
                raise ConfigurationError(f"retries: {name!r} is no end of a call: {meant}")
        if self.until is not None and not math.isfinite(self.until):
            raise ConfigurationError(f"until of a campaign must be Unix time in seconds, or None, not {self.until!r}")
        zone(self.zone)

    @property
    def at_any_hour(self) -> bool:
        """Whether nothing says when people may be called."""
        return self.hours == ALWAYS and self.legal is None

    def hours_of(self, number: str, place: str | None) -> Hours:
        """When somebody may be called, by the clock of where they are."""
        return self.hours if self.legal is None else self.hours.within(PRESETS[self.legal].hours_of(number, place))

    def retry_after(self, reason: str, meaning: str) -> Retry | None:
        """What follows the end of a call: what is said of the reason, or else of what it means."""
        return self.retries[reason] if reason in self.retries else self.retries.get(meaning)
