"""Custom functions: the requests that call them, and the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from retell_async._core.encode import json_bytes
from retell_async._core.masking import Hidden
from retell_async._core.model import Model, One, Spec, adopter, model

from .body import json_object
from .signature import TOLERANCE, Headers, header_value, verify

if TYPE_CHECKING:
    from retell_async.raw.models import CallResponse, ChatResponse

__all__ = ["FunctionAnswer", "FunctionCall", "function_answer", "parse_function", "unwrap_function"]


@model
class FunctionCall(Model):
    """A custom function that an agent calls, in either shape: wrapped with the conversation, or its arguments alone."""

    __nested__: ClassVar[Mapping[str, Spec]] = {"call": One("CallResponse"), "chat": One("ChatResponse")}

    args: dict[str, Any]
    """The arguments; empty if none were sent. Those of a GET or DELETE are the query's: strings, which the signature does not cover."""
    name: str | None = None
    """The function's name; not sent with arguments alone."""
    call: CallResponse | None = None
    """The call up to this moment, its transcript included; not sent with arguments alone."""
    chat: ChatResponse | None = None
    """The chat up to this moment, if it is one."""


@attrs.frozen
class FunctionAnswer:
    """A body to answer with, with a status of 2xx."""

    content: bytes
    content_type: str


def unwrap_function(
    body: bytes | str,
    headers: Headers,
    *,
    api_key: str | Sequence[str],
    query: Mapping[str, str] | None = None,
    tolerance: float = TOLERANCE,
) -> FunctionCall:
    """Verify a custom function's request and parse it; its other parameters are those of `unwrap`.

    :param query: the URL's parameters: the arguments of a GET or DELETE, whose body is empty.
    :raises WebhookVerificationError: it does not come from Retell, or is no call of a function; the `reason` says why.
    """
    raw, key = Hidden(body), Hidden(api_key)
    del body, api_key  # what is refused below shows them in no traceback
    verify(raw.value, key.value, header_value(headers), tolerance=tolerance)
    return parse_function(raw.value, query)


def parse_function(body: bytes | str, query: Mapping[str, str] | None = None) -> FunctionCall:
    """The function call in a body that is verified already, or in the query when the body is empty.

    :raises WebhookVerificationError: there is none.
    """
    data = json_object(body) if body else {"args": dict(query or {})}
    if not body or _is_wrapped(data):
        return adopter(FunctionCall)({**data, "args": data.get("args") or {}})
    return adopter(FunctionCall)({"args": data})


def function_answer(value: object) -> FunctionAnswer:
    """What a function gives back, as the agent's model is to read it: a text, or anything that JSON has.

    Only a JSON object can fill the function's response variables. ``None`` is an empty text.

    :raises TypeError: a value is of a kind that JSON does not have; the message says where it is.
    :raises ValueError: a number is not finite, a text is not Unicode, or a value holds itself.
    """
    if value is None or isinstance(value, str):
        return FunctionAnswer((value or "").encode(), "text/plain; charset=utf-8")
    return FunctionAnswer(json_bytes(value), "application/json")


def _is_wrapped(data: Mapping[str, Any]) -> bool:
    """Whether this is the wrapped shape: arguments alone could only look like it by having the same names and kinds."""
    args = data.get("args")
    if not isinstance(data.get("name"), str) or not (args is None or isinstance(args, dict)):
        return False
    return isinstance(data.get("call"), dict) or isinstance(data.get("chat"), dict) or (set(data) == {"name", "args"} and args is not None)
