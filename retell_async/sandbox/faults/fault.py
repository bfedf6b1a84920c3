"""What a fault is: its kind, how often it strikes, and where."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

import attrs

__all__ = ["Fault", "FaultKind", "RetryAfterForm"]

FaultKind = Literal[
    "rate_limit",
    "latency",
    "timeout",
    "reset",
    "error",
    "malformed",
    "truncated",
    "unknown_value",
    "unknown_field",
    "webhook_duplicate",
    "webhook_late",
    "webhook_lost",
]
RetryAfterForm = Literal["seconds", "fraction", "date", "milliseconds"]

_KINDS: tuple[FaultKind, ...] = get_args(FaultKind)
_FORMS: tuple[RetryAfterForm, ...] = get_args(RetryAfterForm)
_MOST = 1e9
_SECONDS: Mapping[str, float] = {"latency": 1.0, "timeout": 300.0, "webhook_late": 30.0}


def _must_be(what: str, is_valid: Callable[[Any], bool]) -> Callable[[Any, attrs.Attribute[Any], Any], None]:
    def check(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not is_valid(value):
            raise ValueError(f"{attribute.name} must be {what}")

    return check


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -_MOST < value < _MOST


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _about(hint: str | None, *kinds: FaultKind) -> dict[str, Any]:
    """For the form on the page: a hint, and the kinds that the field is for; without kinds it is for all."""
    return {"hint": hint, "kinds": kinds or None}


_SECONDS_OR_NONE = _must_be("a number of seconds, 0 or more", lambda value: value is None or (_is_number(value) and value >= 0))
_COUNT_OR_NONE = _must_be("a whole number, 1 or more", lambda value: value is None or (_is_whole(value) and value >= 1))


@attrs.frozen(kw_only=True)
class Fault:
    """Something that goes wrong, how often, and where.

    ==================  ===============================================================================================================
    ``rate_limit``      429, and nothing is carried out: each time, or above ``requests`` in ``per`` seconds. ``retry_after`` seconds are
                        asked for in one of the forms ``seconds``, ``fraction``, ``date`` and ``milliseconds`` (``retry-after-ms``)
    ``latency``         the request is carried out after ``seconds``, whether the caller still waits or not
    ``timeout``         no answer, for ``seconds`` or until the caller gives up
    ``reset``           the connection is reset without an answer
    ``error``           an answer of ``status``
    ``malformed``       the request is carried out, and half of its answer is sent, with a ``content-length`` to match
    ``truncated``       the same, with the ``content-length`` of the whole: the connection is closed too early
    ``unknown_value``   an enum in the answer has a value that the document does not know
    ``unknown_field``   objects in the answer have a field that the document does not know
    ``webhook_...``     a webhook is sent twice (``duplicate``), ``seconds`` later than it would be (``late``), or never (``lost``)
    ==================  ===============================================================================================================

    With ``acted``, a request under ``timeout``, ``reset`` or ``error`` is carried out before it fails.

    Whether a fault strikes is decided by its seed, by the request, and by how often the same request came before: not by the order in which
    different requests arrive. (A limit on ``requests`` is decided by time.) Fields that clients make up (``idempotency_key``, ``metadata``,
    ``pagination_key``) decide nothing. Faults are tried in the order in which they were set; after a ``rate_limit`` that strikes, no other
    is tried.

    :raises ValueError: a field has a wrong value.
    """

    kind: FaultKind = attrs.field(validator=_must_be(f"one of {', '.join(_KINDS)}", _KINDS.__contains__))
    operation: str = attrs.field(
        default="*",
        validator=_must_be("a text", lambda value: isinstance(value, str)),
        metadata=_about("of the API, or an event for webhook_…; * stands for any characters"),
    )
    """Operations, by their ids in the document (``createPhoneCall``) or by the client's names (``call.create_phone_call``). For faults of
    webhooks: events. ``*`` and ``?`` stand for any characters."""
    probability: float = attrs.field(
        default=1.0,
        validator=_must_be("a number, 0 to 1", lambda value: _is_number(value) and 0 <= value <= 1),
        metadata=_about("0 to 1"),
    )
    seed: int = attrs.field(
        default=0, validator=_must_be("a whole number", _is_whole), metadata=_about("the same seed strikes the same requests")
    )
    times: int | None = attrs.field(default=None, validator=_COUNT_OR_NONE, metadata=_about("at most; empty: without end"))
    """It strikes at most so often."""
    acted: bool = attrs.field(
        default=False,
        validator=_must_be("true or false", lambda value: isinstance(value, bool)),
        metadata=_about("carried out first", "timeout", "reset", "error"),
    )
    status: int = attrs.field(
        default=500,
        validator=_must_be("a whole number, 400 to 599", lambda value: _is_whole(value) and 400 <= value <= 599),
        metadata=_about("400 to 599", "error"),
    )
    seconds: float | None = attrs.field(
        default=None, validator=_SECONDS_OR_NONE, metadata=_about("empty: what is usual for the kind", "latency", "timeout", "webhook_late")
    )
    """By default 1 for `latency`, 300 for `timeout`, 30 for `webhook_late`. Webhooks go by the sandbox's time, all else by the caller's."""
    retry_after: float | None = attrs.field(
        default=1.0, validator=_SECONDS_OR_NONE, metadata=_about("seconds; empty: not said", "rate_limit")
    )
    """Seconds; ``None`` leaves the header out."""
    form: RetryAfterForm = attrs.field(
        default="seconds", validator=_must_be(f"one of {', '.join(_FORMS)}", _FORMS.__contains__), metadata=_about(None, "rate_limit")
    )
    requests: int | None = attrs.field(
        default=None, validator=_COUNT_OR_NONE, metadata=_about("so many are let in; empty: none", "rate_limit")
    )
    per: float = attrs.field(
        default=1.0,
        validator=_must_be("a number of seconds above 0", lambda value: _is_number(value) and value > 0),
        metadata=_about("seconds, in which so many are let in", "rate_limit"),
    )

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Fault:
        """The fault that a JSON object describes.

        :raises ValueError: it does not describe a fault.
        """
        unknown = sorted(fields.keys() - {field.name for field in attrs.fields(cls)})
        if unknown:
            raise ValueError(f"a fault has no {', '.join(unknown)}")
        if "kind" not in fields:
            raise ValueError(f"kind is missing: the kinds are {', '.join(_KINDS)}")
        return cls(**fields)

    @classmethod
    def parse(cls, text: str) -> Fault:
        """The fault that a command line describes: its kind, and after a colon its fields, as in ``error:status=503,probability=0.05``.

        :raises ValueError: it does not describe a fault.
        """
        kind, _, rest = text.partition(":")
        fields: dict[str, Any] = {"kind": kind}
        for item in filter(None, rest.split(",")):
            name, equals, value = item.partition("=")
            if not equals:
                raise ValueError(f"{item!r} is not of the form name=value")
            fields[name] = value if name in {"operation", "form"} else _parsed(name, value)
        return cls.from_dict(fields)

    def to_dict(self) -> dict[str, Any]:
        """The kind, and all fields that are not at their defaults."""
        return {field.name: value for field in attrs.fields(type(self)) if (value := getattr(self, field.name)) != field.default}

    @property
    def is_of_webhooks(self) -> bool:
        return self.kind.startswith("webhook_")

    @property
    def time(self) -> float:
        """``seconds``, or the default of the kind."""
        return _SECONDS.get(self.kind, 0.0) if self.seconds is None else self.seconds


def _parsed(name: str, value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError(f"{name} is not a number, true, false or null") from None
