"""Faults on command: which of them strikes which request, and which delivery. Pure: the same requests are struck in every run."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Mapping
from hashlib import blake2b
from typing import Any, Literal, cast, get_args
from urllib.parse import parse_qsl, urlencode

import attrs

from . import names
from .errands import Delivery

__all__ = ["Fault", "Faults", "FaultKind", "RetryAfterForm", "Strike", "Struck", "fingerprint"]

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
_ANSWERED_FIRST = frozenset({"malformed", "truncated"})
_CHANGES = frozenset({"unknown_value", "unknown_field"})
# What differs between two runs of the same program, so that it must not decide about a fault.
_INCIDENTAL = frozenset({"idempotency_key", "metadata", "pagination_key"})


def _must_be(what: str, meant: Callable[[Any], bool]) -> Callable[[Any, attrs.Attribute[Any], Any], None]:
    def check(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not meant(value):
            raise ValueError(f"{attribute.name} must be {what}")

    return check


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -_MOST < value < _MOST


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_SECONDS_OR_NONE = _must_be("a number of seconds, 0 or more", lambda value: value is None or (_is_number(value) and value >= 0))
_COUNT_OR_NONE = _must_be("a whole number, 1 or more", lambda value: value is None or (_is_whole(value) and value >= 1))


@attrs.frozen(kw_only=True)
class Fault:
    """Something that goes wrong, how often, and where.

    ==================  ===============================================================================================================
    ``rate_limit``      429, and nothing is carried out: each time, or above ``requests`` in ``per`` seconds. ``retry_after`` seconds are
                        asked for in one of the forms ``seconds``, ``fraction``, ``date`` and ``milliseconds`` (``retry-after-ms``)
    ``latency``         the request is taken up after ``seconds``, whether the caller still waits or not
    ``timeout``         no answer, for ``seconds`` or until the caller gives up
    ``reset``           the connection is reset without an answer
    ``error``           an answer of ``status``
    ``malformed``       the request is carried out, and the body of its answer ends in the middle, with a length that agrees
    ``truncated``       the same, with a length that does not agree: the connection is closed too early
    ``unknown_value``   an enum in the answer has a value that the document does not know
    ``unknown_field``   objects in the answer have a field that the document does not know
    ``webhook_...``     a webhook is sent twice (``duplicate``), ``seconds`` later than it would be (``late``), or never (``lost``)
    ==================  ===============================================================================================================

    Of `timeout`, `reset` and `error` there are two sorts: with ``acted`` the action is carried out first.

    Whether a fault strikes, a limit on ``requests`` aside, is decided by its seed, by what is asked for, and by how often that was asked
    for before: not by the order in which different requests arrive. Fields that a client makes up (``idempotency_key``, ``metadata``,
    ``pagination_key``) decide nothing. Faults are asked in the order in which they were set, and after a ``rate_limit`` that strikes no
    other is.

    :raises ValueError: a field makes no sense.
    """

    kind: FaultKind = attrs.field(validator=_must_be(f"one of {', '.join(_KINDS)}", _KINDS.__contains__))
    operation: str = attrs.field(default="*", validator=_must_be("a text", lambda value: isinstance(value, str)))
    """Operations, by the ids that the document gives them (``createPhoneCall``) or by the client's names (``call.create_phone_call``), or
    events for faults of webhooks; ``*`` and ``?`` stand for any characters."""
    probability: float = attrs.field(
        default=1.0, validator=_must_be("a number, 0 to 1", lambda value: _is_number(value) and 0 <= value <= 1)
    )
    seed: int = attrs.field(default=0, validator=_must_be("a whole number", _is_whole))
    times: int | None = attrs.field(default=None, validator=_COUNT_OR_NONE)
    """How often it strikes at most."""
    acted: bool = attrs.field(default=False, validator=_must_be("true or false", lambda value: isinstance(value, bool)))
    status: int = attrs.field(
        default=500, validator=_must_be("a whole number, 400 to 599", lambda value: _is_whole(value) and 400 <= value <= 599)
    )
    seconds: float | None = attrs.field(default=None, validator=_SECONDS_OR_NONE)
    """By default 1 for `latency`, 300 for `timeout`, 30 for `webhook_late`. Webhooks go by the sandbox's time, all else by the caller's."""
    retry_after: float | None = attrs.field(default=1.0, validator=_SECONDS_OR_NONE)
    """Seconds; ``None`` leaves the header out."""
    form: RetryAfterForm = attrs.field(default="seconds", validator=_must_be(f"one of {', '.join(_FORMS)}", _FORMS.__contains__))
    requests: int | None = attrs.field(default=None, validator=_COUNT_OR_NONE)
    per: float = attrs.field(default=1.0, validator=_must_be("a number of seconds above 0", lambda value: _is_number(value) and value > 0))

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Fault:
        """The fault that a JSON object describes.

        :raises ValueError: it describes none.
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

        :raises ValueError: it describes none.
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
        """The kind, and all fields that are not as they usually are."""
        return {field.name: value for field in attrs.fields(type(self)) if (value := getattr(self, field.name)) != field.default}

    @property
    def is_of_webhooks(self) -> bool:
        return self.kind.startswith("webhook_")

    @property
    def time(self) -> float:
        """The seconds that it takes."""
        return _SECONDS.get(self.kind, 0.0) if self.seconds is None else self.seconds


def _parsed(name: str, value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError(f"{name} is not a number, true, false or null") from None


@attrs.frozen
class Strike:
    """What goes wrong with one request."""

    delay: float = 0.0
    """Seconds until it is taken up."""
    end: Fault | None = None
    """What it ends in instead of its answer; ``None`` for the answer."""
    changes: tuple[tuple[Fault, int], ...] = ()
    """What is changed in the answer, each with a number that decides where."""
    names: tuple[str, ...] = ()
    """The kinds of all that struck."""

    @property
    def acted(self) -> bool:
        """Whether the request is carried out."""
        end = self.end
        return end is None or end.kind in _ANSWERED_FIRST or (end.acted and end.kind != "rate_limit")


@attrs.define(eq=False)
class Struck:
    """A fault that is set, and what it has done."""

    id: int
    fault: Fault
    count: int = 0
    """How often it struck."""
    _seen: Counter[bytes] = attrs.field(factory=Counter[bytes], repr=False)
    _passed: deque[float] = attrs.field(factory=deque[float], repr=False)

    @property
    def is_over(self) -> bool:
        return self.fault.times is not None and self.count >= self.fault.times

    def draw(self, what: str, mark: Callable[[], bytes]) -> int | None:
        """A random number if it strikes now, else ``None``."""
        fault = self.fault
        if self.is_over:
            return None
        digest = b""
        if fault.probability < 1 or fault.kind in _CHANGES:
            digest = mark()
            self._seen[digest] += 1
        text = f"{fault.seed}\0{fault.kind}\0{what}\0{self._seen[digest] if digest else 0}\0".encode()
        number = int.from_bytes(blake2b(text + digest, digest_size=8).digest())
        if fault.probability < 1 and number / 2**64 >= fault.probability:
            return None
        self.count += 1
        return number

    def is_full(self, now: float) -> bool:
        """Whether so many requests as are let in have passed in the last `per` seconds."""
        most = self.fault.requests
        if most is None:
            return True
        while self._passed and self._passed[0] <= now - self.fault.per:
            self._passed.popleft()
        return len(self._passed) >= most

    def passed(self, now: float) -> None:
        """Take note of a request that was let in."""
        if self.fault.requests is not None:
            self._passed.append(now)


class Faults:
    """The faults that are set, in the order in which they were: of those that end a request, the first that strikes does.

    :param operations: the ids of those that there are; ``None`` where nobody knows.
    :param events: the names of those that webhooks tell of.
    """

    def __init__(self, operations: Collection[str] | None = None, events: Collection[str] | None = None) -> None:
        self._operations = operations
        self._events = events
        self._set: dict[int, Struck] = {}
        self._last = 0

    def __iter__(self) -> Iterator[Struck]:
        return iter(self._set.values())

    def __len__(self) -> int:
        return len(self._set)

    def check(self, fault: Fault) -> None:
        """:raises ValueError: the fault is for an operation, or an event, that does not exist, so that it would never strike."""
        known, what = (self._events, "event") if fault.is_of_webhooks else (self._operations, "operation")
        if known is not None:
            names.check(fault.operation, known, what)

    def add(self, fault: Fault) -> Struck:
        """:raises ValueError: there is no such operation, or no such event."""
        self.check(fault)
        self._last += 1
        struck = self._set[self._last] = Struck(self._last, fault)
        return struck

    def remove(self, id: int) -> None:
        """:raises KeyError: no such fault is set."""
        del self._set[id]

    def clear(self) -> None:
        self._set.clear()

    def strike(self, operation: str, mark: Callable[[], bytes], now: float) -> Strike:
        """What goes wrong with a request.

        :param mark: what is the same in the same request of another run; asked for only when it decides something.
        :param now: seconds, by any clock that does not go back.
        """
        if not self._set:
            return _FINE
        known: list[bytes] = []

        def once() -> bytes:
            if not known:
                known.append(mark())
            return known[0]

        delay, end, changes, kinds, let_in = 0.0, None, list[tuple[Fault, int]](), list[str](), list[Struck]()
        for struck in self._set.values():
            fault = struck.fault
            if fault.is_of_webhooks or not names.matches(operation, fault.operation):
                continue
            ends = fault.kind != "latency" and fault.kind not in _CHANGES
            if ends and end is not None:
                continue
            if fault.kind == "rate_limit" and not struck.is_full(now):
                let_in.append(struck)
                continue
            number = struck.draw(operation, once)
            if number is None:
                let_in.append(struck)
                continue
            kinds.append(fault.kind)
            if fault.kind == "latency":
                delay += fault.time
            elif fault.kind in _CHANGES:
                changes.append((fault, number))
            else:
                end = fault
                if fault.kind == "rate_limit":
                    break  # time decides about it, and must not decide what is drawn for others
        if end is None or end.kind != "rate_limit":
            for struck in let_in:
                struck.passed(now)
        return Strike(delay, end, tuple(changes), tuple(kinds))

    def deliver(self, event: str, id: str) -> Delivery:
        """What goes wrong with the first attempt to deliver an event.

        :param id: what the event is about: the id of a call or chat.
        """
        copies, delay = 1, 0.0
        for struck in self._set.values():
            fault = struck.fault
            if not fault.is_of_webhooks or not names.matches(event, fault.operation) or struck.draw(event, id.encode) is None:
                continue
            match fault.kind:
                case "webhook_duplicate":
                    copies += 1 if copies else 0
                case "webhook_late":
                    delay += fault.time
                case _:
                    copies = 0
        return Delivery(copies, delay)


_FINE = Strike()


def fingerprint(method: str, path: str, query: str, content_type: str, content: bytes) -> bytes:
    """What a request has in common with the same request in another run."""
    asked = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name not in _INCIDENTAL]
    digest = blake2b(f"{method} {path}?{urlencode(sorted(asked))}\n".encode(), digest_size=8)
    if content_type.startswith("application/json"):
        digest.update(_lasting(content))
    return digest.digest()


def _lasting(content: bytes) -> bytes:
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return content
    if isinstance(body, dict):
        body = {name: value for name, value in cast("dict[str, Any]", body).items() if name not in _INCIDENTAL}
    return json.dumps(body, sort_keys=True).encode()
