"""What an application can be told about how its calls are led."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import attrs

from retell_async import ConfigurationError

from .functions import gives_late

if TYPE_CHECKING:
    from retell_async.types import CallResponse

    from .session import Session
    from .turn import Turn

__all__ = ["FAILURE", "Limits", "Settings", "SilentPickup"]


FAILURE = "Sorry, something went wrong on my side. Could you say that again?"


def _above_zero(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        raise ConfigurationError(f"{attribute.name} must be a number above 0, and is {value!r}")


def _finite(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    _above_zero(_, attribute, value)
    if not math.isfinite(value):
        raise ConfigurationError(f"{attribute.name} must be finite, and is {value!r}")


def _true_or_false(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, bool):
        raise ConfigurationError(f"{attribute.name} must be True or False, and is {value!r}")


@attrs.frozen(kw_only=True)
class Limits:
    """How much one application takes.

    :raises ConfigurationError: a limit is not above 0.
    """

    calls: float = attrs.field(default=1_000, validator=_above_zero)
    """Calls at a time. Those beyond are answered with 503, and Retell tries again twice."""
    call_seconds: float = attrs.field(default=3 * 3600.0, validator=_above_zero)
    """Seconds that a call may last. It is hung up then."""
    message_bytes: float = attrs.field(default=8 * 1024 * 1024, validator=_finite)
    """How long a frame may be. A longer one is ignored."""
    messages_per_second: float = attrs.field(default=100.0, validator=_above_zero)
    """How many frames a connection may send, over ten seconds. It is closed with 1008 beyond."""


@attrs.frozen
class SilentPickup:
    """The agent waits for the user to speak first, and speaks itself when the user waits too.

    :raises ConfigurationError: the time is not above 0, or there is nothing to say.
    """

    after: float = attrs.field(validator=_above_zero)
    """Seconds of silence."""
    message: str = "Hello?"

    def __attrs_post_init__(self) -> None:
        message: Any = self.message
        if not isinstance(message, str) or not message.strip():
            raise ConfigurationError("a silent pickup needs a message to say")


def _pattern(value: Any) -> re.Pattern[str] | None:
    try:
        pattern: Any = re.compile(value, re.IGNORECASE) if isinstance(value, str) else value
    except re.error as error:
        raise ConfigurationError(f"goodbye_pattern is no regular expression: {error}") from None
    if pattern is not None and not (pattern.__class__ is re.Pattern and isinstance(pattern.pattern, str)):
        raise ConfigurationError(f"goodbye_pattern must be a regular expression for texts, and is {value!r}")
    return cast("re.Pattern[str] | None", pattern)


def _fillers(value: str | Sequence[str] | None) -> tuple[str, ...]:
    given: Any = () if value is None else (value,) if isinstance(value, str) else value
    texts: tuple[Any, ...] = tuple(given) if hasattr(given, "__iter__") else (given,)
    if any(not isinstance(text, str) or not text.strip() for text in texts):
        raise ConfigurationError("a filler must be a text, and not an empty one")
    return texts


@attrs.frozen(kw_only=True)
class Settings:
    """How calls are led. `App` documents each."""

    begin_message: str | Callable[[Session], str] | None
    failure_message: str | Callable[[Turn], str]
    timeout: float = attrs.field(validator=_above_zero)
    filler: tuple[str, ...] = attrs.field(converter=_fillers)
    filler_after: float = attrs.field(validator=_above_zero)
    silent_pickup: SilentPickup | None
    goodbye_pattern: re.Pattern[str] | None = attrs.field(converter=_pattern)
    goodbye_after: float = attrs.field(validator=_finite)
    reminder_trigger_ms: float = attrs.field(validator=_finite)
    reminder_max_count: int
    auto_reconnect: bool = attrs.field(validator=_true_or_false)
    call_details: bool = attrs.field(validator=_true_or_false)
    transcript_with_tool_calls: bool = attrs.field(validator=_true_or_false)
    details_within: float = attrs.field(validator=_above_zero)
    reconnect_within: float = attrs.field(validator=_above_zero)
    finish_within: float = attrs.field(validator=_finite)
    admit: Mapping[str, Any] | Callable[[CallResponse], bool] | None
    limits: Limits

    def __attrs_post_init__(self) -> None:
        begin, pickup, admit, limits = cast("tuple[Any, ...]", (self.begin_message, self.silent_pickup, self.admit, self.limits))
        if not (begin is None or isinstance(begin, str) or callable(begin)):
            raise ConfigurationError(f"begin_message must be a text, or a function of the session that makes one, and is {begin!r}")
        if not (pickup is None or isinstance(pickup, SilentPickup)):
            raise ConfigurationError(f"silent_pickup must be an llm.SilentPickup, and is {pickup!r}")
        if pickup is not None and isinstance(begin, str) and begin.strip():
            raise ConfigurationError(
                "silent_pickup is for an agent that waits for the user, and this one has a begin_message: one of them must go"
            )
        if not (admit is None or isinstance(admit, Mapping) or callable(admit)):
            raise ConfigurationError(f"admit must be the metadata that calls must have, or a function of the call, and is {admit!r}")
        if not isinstance(limits, Limits):
            raise ConfigurationError(f"limits must be an llm.Limits, and is {limits!r}")
        message: Any = self.failure_message
        if not isinstance(message, str) and (not callable(message) or gives_late(message)):
            raise ConfigurationError("failure_message must be a text, or a function that makes one without waiting and without yield")
        if callable(self.admit) and gives_late(self.admit):
            raise ConfigurationError(
                "admit must be a function that decides without waiting and without yield, and is an async one or a generator"
            )
        if self.admit is not None and not self.call_details:
            raise ConfigurationError("admit looks at the call's details, which call_details=False does not ask for")
        most: Any = self.reminder_max_count
        if not isinstance(most, int) or isinstance(most, bool) or most < 0:
            raise ConfigurationError(f"reminder_max_count must be a whole number of 0 or more, and is {most!r}")

    def admits(self, call: CallResponse) -> bool:
        """Whether a call is one of the application's own."""
        if self.admit is None:
            return True
        if callable(self.admit):
            admitted: Any = self.admit(call)
            if not isinstance(admitted, bool):
                raise TypeError(f"admit must give True or False, and gave {type(admitted).__name__}")
            return admitted
        metadata: Any = call.metadata
        return isinstance(metadata, dict) and self.admit.items() <= cast("dict[str, Any]", metadata).items()
