"""A human's consent: what is asked, what counts as a yes, and the sealed state by which a yes belongs to one question and serves once.

What a human reads is made of the tool and its arguments alone. Nothing that came back from the API is in it: an agent's name or a
transcript cannot speak there. Values stand as JSON on one line each, so that none of them can pretend to be the question.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from typing import Any, Protocol, cast

import attrs

from .._core.masking import masked
from .catalog import Asks, Json, Tool

__all__ = ["FIELD", "FORM", "Consents", "Seal", "StateRefused", "agreed", "digest", "question", "visible"]

FIELD = "confirm"
FORM: Json = {
    "type": "object",
    "properties": {FIELD: {"type": "boolean", "title": "Yes, do this", "default": False}},
    "required": [FIELD],
}
"""What a human fills in. A form that is sent off as it came says no."""

_HEADS: Mapping[Asks, str] = {
    "money": "This may cost money or reach people.",
    "deletion": "This deletes for good.",
}
_LONGEST = 300
_SOME = 10
_SECRET = ("password", "token", "secret")
_OPEN_AT_MOST = 1000
# Unicode's Default_Ignorable_Code_Point as far as it counts as printable (joiners, fillers, variation selectors), the blank of Braille and
# the musical symbol that is none.
_UNSEEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U0001d159\U000e0100-\U000e01ef]")


def question(tool: Tool, arguments: Mapping[str, Any], asks: frozenset[Asks], *, workspace: str, note: str = "") -> str:
    """What a human is asked.

    :param workspace: what the human calls the account.
    :param note: what else there is to know, such as that the same was asked for before.
    """
    heads = " ".join(text for what, text in _HEADS.items() if what in asks)
    lines = [f"{tool.name} in the workspace {visible(json.dumps(workspace, ensure_ascii=False))}? {heads}"]
    lines += [note] if note else []
    if isinstance(tasks := arguments.get("tasks"), list):
        lines.append(_batch(cast("list[object]", tasks)))
    lines += [f"  {visible(name)}: {_value(name, value)}" for name, value in sorted(arguments.items())]
    return "\n".join(lines)


def _batch(tasks: list[object]) -> str:
    """How many a batch calls, and the first of them."""
    numbers = [cast("Mapping[str, object]", task).get("to_number") if isinstance(task, Mapping) else None for task in tasks]
    shown = ", ".join(visible(json.dumps(number, ensure_ascii=False)) for number in numbers[:_SOME])
    return f"It places {len(numbers):,} calls, to {shown}{f' and {len(numbers) - _SOME:,} more' if len(numbers) > _SOME else ''}."


def _value(name: str, value: object) -> str:
    """A value on one line, cut where it is long, and said to be cut; numbers as they are, secrets not at all."""
    if any(word in name.lower() for word in _SECRET):
        return "***"
    text = visible(json.dumps(_without_secrets(value), ensure_ascii=False))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ... and {len(text) - _LONGEST:,} characters more"


def _without_secrets(value: object) -> object:
    if isinstance(value, dict):
        entries = cast("dict[str, object]", value).items()
        return {
            name: masked(entry, name) if any(word in name.lower() for word in _SECRET) else _without_secrets(entry)
            for name, entry in entries
        }
    return [_without_secrets(item) for item in cast("list[object]", value)] if isinstance(value, list) else value


def visible(text: str) -> str:
    """A text in which nothing hides: what turns the direction of writing, breaks a line or cannot be seen is escaped."""
    return "".join(one if one.isprintable() and not _UNSEEN.match(one) else _escaped(one) for one in text)


def _escaped(one: str) -> str:
    return f"\\u{ord(one):04x}" if ord(one) <= 0xFFFF else json.dumps(one)[1:-1]


def agreed(action: object, content: object) -> bool:
    """Whether an answer is a yes: accepted, with the box ticked. All else is a no."""
    return action == "accept" and isinstance(content, Mapping) and cast("Mapping[str, object]", content).get(FIELD) is True


def digest(value: object) -> str:
    """The same for the same JSON, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


class Seal(Protocol):
    """What makes a text that nobody else can make, read or change: as `mcp.server.request_state.RequestStateCodec`."""

    def seal(self, payload: bytes) -> str: ...

    def unseal(self, token: str) -> bytes: ...


class StateRefused(Exception):
    """A state that does not stand for a question that is open; the message says why, and holds nothing of it."""


@attrs.define
class Consents:
    """The questions that are open. What is not among them was never asked, was answered, or is too old.

    :param seal: makes states, and opens them.
    :param lifetime: seconds in which an answer has to come.
    """

    seal: Seal
    lifetime: float = 600.0
    _open: dict[str, float] = attrs.field(factory=dict[str, float], init=False)

    def ask(self, tool: str, arguments: Mapping[str, Any], doubt: float | None, *, client: str | None, now: float) -> str:
        """The state that goes with a question: it names the tool, the arguments, whose question it is, and its end.

        :param doubt: when the same was sent before that the human is told of; of this the words tell, and no other words change.
        """
        for old in [nonce for nonce, until in self._open.items() if until <= now]:
            del self._open[old]
        while len(self._open) >= _OPEN_AT_MOST:
            del self._open[next(iter(self._open))]
        nonce, until = secrets.token_hex(16), now + self.lifetime
        self._open[nonce] = until
        named = {"nonce": nonce, "until": until, "doubt": doubt, **_named(tool, arguments, client)}
        return self.seal.seal(json.dumps(named).encode())

    def take(self, state: str, tool: str, arguments: Mapping[str, Any], *, client: str | None, now: float) -> float | None:
        """Use up the state of a question, whatever its answer.

        :return: what the human was told of, as `ask` was given it.
        :raises StateRefused: it is not the state of this question, or was used before, or is too old.
        """
        try:
            named: object = json.loads(self.seal.unseal(state))
        except Exception:  # noqa: BLE001 - whatever a seal raises, it was not opened
            raise StateRefused("it was not made by this server") from None
        if not isinstance(named, dict):
            raise StateRefused("it was not made by this server")
        known = cast("dict[str, Any]", named)
        until = self._open.pop(str(known.get("nonce")), None)
        if until is None:
            raise StateRefused("it was used before, or is too old")
        if until <= now:
            raise StateRefused("it is too old")
        if any(known.get(key) != value for key, value in _named(tool, arguments, client).items()):
            raise StateRefused("it belongs to another question")
        told: float | None = known.get("doubt")
        return told


def _named(tool: str, arguments: Mapping[str, Any], client: str | None) -> Json:
    return {"tool": tool, "arguments": digest(arguments), "client": client}
