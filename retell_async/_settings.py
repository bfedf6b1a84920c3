"""What a client is told, checked before anything is sent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import attrs

from ._encode import check_text
from ._errors import ConfigurationError
from ._hosts import is_host
from ._operation import Omit
from ._retry import RetryPolicy

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
    "check_headers",
    "check_key",
    "check_retries",
    "check_timeout",
]

TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
"""What HTTP takes for a name of a header or a method."""

DEFAULT_BASE_URL = "https://api.retellai.com"
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
    default_headers: Mapping[str, str] = attrs.field(repr=False)
    default_query: Mapping[str, object] = attrs.field(repr=False)
    strict: bool


def check_key(key: object) -> str:
    """An API key that can be sent in a header."""
    if not isinstance(key, str):
        raise ConfigurationError(f"the API key must be a str, not {type(key).__name__}")
    if not key:
        raise ConfigurationError("the API key is empty")
    if not all("!" <= character <= "~" for character in key):
        raise ConfigurationError("the API key holds white space, a line break or a character that is not ASCII")
    return key


def check_base_url(url: object) -> str:
    """The URL under which all paths are, without a slash at its end."""
    text = str(url)
    if any(character <= " " or character == "\x7f" for character in text):
        raise ConfigurationError("the base URL holds white space or a control character")
    check_text(text, "the base URL", ConfigurationError)
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        # What is wrong with it may be in a password, which such an error repeats.
        raise ConfigurationError("the base URL is not a URL: its host or its port cannot be read") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise ConfigurationError(f"the base URL must start with https:// or http:// and name a host: {DEFAULT_BASE_URL} is one")
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise ConfigurationError("the base URL must have no user name, no query and no fragment")
    if not is_host(host):
        raise ConfigurationError(f"the base URL names {host[:80]!r}, and there can be no host of that name")
    return text.rstrip("/")


def check_timeout(timeout: object) -> float | httpx.Timeout | None:
    """Seconds, an `httpx.Timeout`, or ``None`` to wait for ever."""
    if timeout is None:
        return None
    if isinstance(timeout, (int, float)) and not isinstance(timeout, bool):
        if timeout > 0:
            return timeout
    else:
        import httpx

        if not isinstance(timeout, httpx.Timeout):
            raise ConfigurationError(f"a timeout must be a number of seconds, an httpx.Timeout or None, not {type(timeout).__name__}")
        if all(part is None or part > 0 for part in timeout.as_dict().values()):
            return timeout
    raise ConfigurationError(f"a timeout must be above 0 seconds, not {timeout!r}")


def check_retries(number: object) -> int:
    """How often a request may be tried again."""
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise ConfigurationError(f"max_retries must be a whole number, 0 or more, not {number!r}")
    return number


def check_deadline(deadline: object) -> float | None:
    """Seconds for a call with all its attempts and waits, or ``None`` for as long as it takes."""
    if deadline is None or (isinstance(deadline, (int, float)) and not isinstance(deadline, bool) and deadline > 0):
        return deadline
    raise ConfigurationError(f"a deadline must be a number of seconds above 0 or None, not {deadline!r}")


def check_headers(headers: Mapping[Any, Any] | None) -> dict[str, str]:
    """Headers that HTTP can carry; an error names the header and never shows its value."""
    checked: dict[str, str] = {}
    for name, value in (headers or {}).items():
        if not isinstance(name, str) or not TOKEN.fullmatch(name):
            raise ConfigurationError(f"{name!r} is no name of a header")
        if not isinstance(value, str):
            raise ConfigurationError(f"the header {name} must be a str, not {type(value).__name__}")
        if not all(" " <= character <= "~" or character == "\t" for character in value):
            raise ConfigurationError(f"the header {name} holds a line break or a character that is not ASCII")
        if value != value.strip():
            raise ConfigurationError(f"the header {name} begins or ends with white space")
        checked[name] = value
    return checked
