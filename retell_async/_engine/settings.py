"""What a client is told, checked before anything is sent."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Literal, cast
from urllib.parse import urlsplit

import attrs

from .._core.encode import check_text
from .._core.errors import ConfigurationError, WrongKindError
from .._core.masking import Hidden, mask_text
from .._core.operation import Omit, Operation
from .._http.hosts import is_host
from ..raw.server import URL
from .checks import is_number
from .limits import RateLimit
from .retry import RetryPolicy

if TYPE_CHECKING:
    import httpx

__all__ = [
    "DEFAULT_BASE_URL",
    "DEFAULT_MAX_CONNECTIONS",
    "DEFAULT_MAX_RETRIES",
    "TOKEN",
    "Settings",
    "check_base_url",
    "check_deadline",
    "check_extra_body",
    "check_headers",
    "check_key",
    "check_kinds",
    "check_query",
    "check_rate_limits",
    "check_retries",
    "check_since",
    "check_timeout",
    "headers_of_environment",
]

_OF_LENGTH = {"content-length", "transfer-encoding"}
_CLOCKS_DIFFER = 60.0  # seconds by which a moment may be in the future

TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
"""What HTTP takes for a name of a header or a method."""

DEFAULT_BASE_URL = URL
DEFAULT_MAX_RETRIES = 2
DEFAULT_MAX_CONNECTIONS = 100


@attrs.frozen
class Settings:
    """The settings of one view of a client; what views share is not in here."""

    api_key: str = attrs.field(repr=False)
    base_url: str
    timeout: float | httpx.Timeout | Omit | None
    max_retries: int
    retry: RetryPolicy
    default_headers: Mapping[str, str | Omit] = attrs.field(repr=False)
    default_query: Mapping[str, object] = attrs.field(repr=False)
    strict: bool | Literal["known"]
    """Whether answers are compared with the document: ``"known"`` for what it knows of them alone."""
    rate_limits: Mapping[str, RateLimit]
    """Limits of operations that are known, by the names of limits."""
    max_wait: float | None
    known: tuple[tuple[str, RateLimit], ...] = ()
    """The limits that this view and those it was made of know."""

    @property
    def account(self) -> tuple[str, str]:
        """What limits are counted by."""
        return self.base_url, self.api_key

    def max_wait_of(self, operation: Operation[Any]) -> float | None:
        """Seconds that a request to an operation waits for limits in all."""
        limit = self.rate_limits.get(operation.limit or operation.id)
        return self.max_wait if limit is None or isinstance(limit.max_wait, Omit) else limit.max_wait


def check_key(key: object, *, may_be_empty: bool = False) -> str:
    """An API key that can be sent in a header, or none where it may be empty."""
    if may_be_empty and key == "":
        return ""
    if not isinstance(key, str):
        problem = f"must be a str, not {type(key).__name__}"
    elif not key:
        problem = "is empty"
    elif not all(" " <= character <= "~" for character in key) or key != key.strip():
        problem = "begins or ends with white space, or holds a line break or a character that is not ASCII"
    else:
        return key
    del key  # it is no key, and may still hold one
    raise ConfigurationError(f"the API key {problem}")


def check_base_url(url: object) -> str:
    """The URL under which all paths are, without a slash at its end."""
    text = Hidden(str(url))  # it may hold a password, and is refused then
    del url
    if any(character <= " " or character == "\x7f" for character in text.value):
        raise ConfigurationError("the base URL holds white space or a control character")
    check_text(text.value, "the base URL", ConfigurationError)
    try:
        parts = Hidden(urlsplit(text.value))
        host, port = parts.value.hostname, parts.value.port
    except ValueError:
        # What is wrong with it may be in a password, which such an error repeats.
        raise ConfigurationError("the base URL is not a URL: its host or its port cannot be read") from None
    if parts.value.scheme not in {"http", "https"} or not host:
        raise ConfigurationError(f"the base URL must start with https:// or http:// and name a host: {DEFAULT_BASE_URL} is one")
    if parts.value.query or parts.value.fragment or "@" in parts.value.netloc:
        raise ConfigurationError("the base URL must have no user name, no query and no fragment")
    if not is_host(host):
        raise ConfigurationError(f"the base URL names {host[:80]!r}, and there can be no host of that name")
    if port == 0:
        raise ConfigurationError("the base URL has port 0, at which nobody can be reached")
    return text.value.rstrip("/")


def check_kinds(max_connections: object, retry: object, rate_limit: object, hooks: object) -> None:
    """Check the types of a client's settings, and that they can work."""
    if not isinstance(max_connections, int) or isinstance(max_connections, bool) or max_connections < 1:
        raise ConfigurationError(f"max_connections must be a whole number, 1 or more, not {max_connections!r}")
    if not (retry is None or isinstance(retry, RetryPolicy)):
        raise ConfigurationError(f"retry must be a RetryPolicy, not {type(retry).__name__}")
    if not (rate_limit is None or isinstance(rate_limit, RateLimit)):
        raise ConfigurationError(f"rate_limit must be a RateLimit, not {type(rate_limit).__name__}")
    if not isinstance(hooks, Iterable) or not all(map(callable, cast("Iterable[object]", hooks))):
        raise ConfigurationError("hooks must be functions in a list or a tuple: hooks=() for none")
    if any(map(iscoroutinefunction, cast("Iterable[object]", hooks))):
        raise ConfigurationError("hooks must be plain functions: nobody waits for one that is async def")


def check_timeout(timeout: object) -> float | httpx.Timeout | None:
    """Seconds, an `httpx.Timeout`, or ``None`` to wait for ever."""
    if timeout is None:
        return None
    if isinstance(timeout, (int, float)) and not isinstance(timeout, bool):
        if is_number(timeout, above=0, finite=False):
            return timeout
    else:
        import httpx

        if isinstance(timeout, tuple):
            timeout = _timeout_of(cast("tuple[object, ...]", timeout))
        if not isinstance(timeout, httpx.Timeout):
            kind = type(timeout)
            given = f"{kind.__module__}.{kind.__name__}".removeprefix("builtins.")  # `httpx2.Timeout` is another one
            raise ConfigurationError(f"a timeout must be a number of seconds, an httpx.Timeout or None, not {given}")
        if all(part is None or part >= 0 for part in timeout.as_dict().values()):
            return timeout
    raise ConfigurationError(f"a timeout must be a number of seconds above 0, not {timeout!r}")


def _timeout_of(parts: tuple[object, ...]) -> httpx.Timeout:
    """What httpx makes of seconds for connecting, reading, writing and waiting for a connection, of which the last two may be left out."""
    import httpx

    if not 2 <= len(parts) <= 4 or any(isinstance(part, bool) or not isinstance(part, (int, float, type(None))) for part in parts):
        raise ConfigurationError("a tuple as timeout is of the seconds for connect, read, write and pool, each a number or None")
    return httpx.Timeout(cast("Any", parts))


def check_retries(number: object) -> int:
    """How often a request may be tried again."""
    if number is None:
        raise WrongKindError("max_retries cannot be None: 0 is for no retries, and leaving it out for the usual 2")
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise ConfigurationError(f"max_retries must be a whole number, 0 or more, not {number!r}")
    return number


def check_deadline(deadline: object) -> float | None:
    """Seconds for a call with all its attempts and waits, or ``None`` for as long as it takes."""
    if deadline is None or is_number(deadline, above=0, finite=False):
        return deadline
    raise ConfigurationError(f"a deadline must be a number of seconds above 0 or None, not {deadline!r}")


def check_rate_limits(limits: object, operations: Mapping[str, str], shared: Mapping[str, str]) -> dict[str, RateLimit]:
    """Limits of operations by the names of limits; given by names of methods, such as ``call.create_phone_call``.

    :param operations: the operation of each method.
    :param shared: the limit of each operation that shares one with others.
    """
    checked: dict[str, RateLimit] = {}
    for method, limit in _mapping(limits, "rate_limits").items():
        if method not in operations:
            from difflib import get_close_matches

            near = get_close_matches(str(method), operations, n=1)
            hint = f", {near[0]!r} is one" if near else ", such as 'call.create_phone_call'"
            raise ConfigurationError(f"rate_limits: {mask_text(repr(method))} is no method of the client{hint}")
        if not isinstance(limit, RateLimit):
            raise ConfigurationError(f"rate_limits: {method} must be a RateLimit, not {type(limit).__name__}")
        name = shared.get(operations[method], operations[method])
        other = checked.get(name)
        checked[name] = limit if other is None or limit.rate <= other.rate else other
    return checked


def check_since(since: object) -> float | None:
    """When an idempotency key was sent first, as Unix time in seconds."""
    if since is None:
        return None
    seconds: object = since.timestamp() if isinstance(since, datetime) and since.tzinfo is not None else since
    if isinstance(seconds, (int, float)) and not isinstance(seconds, bool) and 0 < seconds <= time.time() + _CLOCKS_DIFFER:
        return seconds
    raise ConfigurationError(
        f"idempotency_key_since must be a datetime with a time zone, or Unix time in seconds, and not in the future: it is {since!r}"
    )


def check_query(query: object, name: str) -> dict[str, object]:
    """Query parameters that can be sent.

    :param name: the setting, for the error.
    """
    if query is None:
        return {}
    given = _mapping(query, name)
    for key in given:
        if not isinstance(key, str):
            raise ConfigurationError(f"{name} has a name that is no str: {mask_text(repr(key))}")
    return dict(given)


def check_extra_body(fields: object, body: object) -> None:
    """Check that there can be more fields in a body."""
    _mapping(fields, "extra_body")
    if not (body is None or isinstance(body, Mapping)):
        raise WrongKindError(f"extra_body has more fields for an object, and the body is of type {type(body).__name__}")


def _mapping(given: object, name: str) -> Mapping[Any, Any]:
    if not isinstance(given, Mapping):
        raise WrongKindError(f"{name} must be a mapping, not {type(given).__name__}")
    return cast("Mapping[Any, Any]", given)  # type: ignore[redundant-cast]


def headers_of_environment() -> dict[str, str | Omit]:
    """Headers in the lines of ``RETELL_CUSTOM_HEADERS``, each ``Name: value``, as the official SDK reads them, which passes others by."""
    lines = Hidden([line.partition(":") for line in os.environ.get("RETELL_CUSTOM_HEADERS", "").split("\n")])
    for number in (number for number, (name, colon, _) in enumerate(lines.value, 1) if name.strip() and not colon):
        raise ConfigurationError(f"RETELL_CUSTOM_HEADERS: line {number} is no header, it has no colon: X-Name: value is one")
    try:
        return check_headers({name.strip(): value.strip() for name, colon, value in lines.value if colon})
    except ConfigurationError as error:
        raise ConfigurationError(f"RETELL_CUSTOM_HEADERS: {error}") from None


def check_headers(headers: Mapping[Any, Any] | None, *, of_stream: bool = False) -> dict[str, str | Omit]:
    """Headers that HTTP can carry, or `omit` for one that is taken out; an error names the header and never shows its value.

    :param of_stream: whether they are those of a body that comes piece by piece, of which its sender alone may know how long it is.
    """
    try:
        given = dict(headers or {})
    except (TypeError, ValueError):
        raise ConfigurationError(f"headers must be a mapping of names to values, not {type(headers).__name__}") from None
    for name, value in given.items():
        problem = _problem(name, value, of_stream=of_stream)
        if problem is not None:
            del headers, given, value
            raise ConfigurationError(problem)
    return given


def _problem(name: object, value: object, *, of_stream: bool) -> str | None:
    if not isinstance(name, str) or not TOKEN.fullmatch(name):
        return f"{mask_text(repr(name))} is no name of a header"
    if isinstance(value, Omit):
        return None
    if not isinstance(value, str):
        return f"the header {name} must be a str, not {type(value).__name__}"
    if not all(" " <= character <= "~" or character == "\t" for character in value):
        return f"the header {name} holds a line break or a character that is not ASCII"
    if value != value.strip():
        return f"the header {name} begins or ends with white space"
    if name.lower() in _OF_LENGTH and not (of_stream and name.lower() == "content-length" and value.isdigit()):
        return f"the header {name} cannot be set: the client says how long a body is"
    return None
