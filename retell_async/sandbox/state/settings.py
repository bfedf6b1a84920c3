"""The settings of an account."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Literal
from urllib.parse import urlsplit

import attrs

from retell_async._core.errors import ConfigurationError
from retell_async._engine.settings import check_key

from ..simulation.outcomes import DEFAULT_OUTCOMES, Outcomes

__all__ = ["Settings"]


def _weights(value: Mapping[str, float]) -> Mapping[str, float]:
    Outcomes.of(value)
    return dict(value)


def _key_or_none(_: Settings, attribute: attrs.Attribute[str | None], value: object) -> None:
    if value is not None:
        try:
            check_key(value)
        except ConfigurationError as error:
            raise ValueError(f"{attribute.name}: {error}") from None


def _url_or_none(_: Settings, attribute: attrs.Attribute[str | None], value: object) -> None:
    if value is None:
        return
    import httpx  # which takes its time, and most accounts have no webhook of their own

    try:
        url = httpx.URL(value if isinstance(value, str) else "")
        urlsplit(str(url)).port  # noqa: B018 - httpx takes ports that do not exist, and this raises
    except (ValueError, httpx.InvalidURL):
        url = httpx.URL()
    if url.scheme not in {"http", "https"} or not url.host:  # the text may be a key that was mixed up with it, and is not shown
        raise ValueError(f"{attribute.name} must be a URL such as http://127.0.0.1:8000/retell/events")


@attrs.frozen(kw_only=True)
class Settings:
    """The settings of an account.

    :raises ValueError: a header cannot hold a key, the webhook is no URL, a limit is below one, or a weight of `outcomes` is wrong.
    """

    seed: int = 0
    """Decides how calls go. The n-th call to a number goes the same way in every sandbox of the same seed."""
    api_key: str | None = attrs.field(default=None, repr=False, validator=_key_or_none)
    """The one key that is let in; ``None`` lets any key in."""
    concurrency_limit: int = attrs.field(default=1_000, validator=attrs.validators.ge(1))
    """How many calls there may be at a time."""
    outcomes: Mapping[str, float] = attrs.field(default=DEFAULT_OUTCOMES, converter=_weights)
    """Disconnection reasons and their weights: ``{"dial_busy": 1}`` makes every call meet a busy line."""
    webhook_url: str | None = attrs.field(default=None, validator=_url_or_none)
    """The account's webhook, for agents that have none of their own."""
    webhook_key: str | None = attrs.field(default=None, repr=False, validator=_key_or_none)
    """Signs webhooks and the like; by default the `api_key`, or the first key that was let in."""
    reserved_inbound_concurrency: int = attrs.field(default=0, validator=attrs.validators.ge(0))
    """How many of these calls are reserved for inbound calls."""
    concurrency_burst: bool = False
    """Whether there may be more calls than the limit, up to `burst_limit`."""
    trial_over: bool = False
    """Whether operations that cost money are answered with 402."""
    custom_attributes: Collection[str] = frozenset[str]()
    """Ids of the account's custom attributes for calls and chats."""

    def __attrs_post_init__(self) -> None:
        if self.reserved_inbound_concurrency >= self.concurrency_limit:
            raise ValueError("reserved_inbound_concurrency must be below concurrency_limit")

    @property
    def burst_limit(self) -> int:
        """How many calls there may be at a time with bursting; 0 without."""
        return min(3 * self.concurrency_limit, self.concurrency_limit + 300) if self.concurrency_burst else 0

    def room(self, direction: Literal["inbound", "outbound"]) -> int:
        """How many calls there may be at a time, for calls of a direction."""
        kept = self.reserved_inbound_concurrency if direction == "outbound" else 0
        return (self.burst_limit or self.concurrency_limit) - kept
