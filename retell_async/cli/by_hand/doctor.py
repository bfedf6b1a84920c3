# pyright: reportDeprecated=false
"""``retell-async doctor``."""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, requires, version
from typing import TYPE_CHECKING, Any, Literal

import anyio
import attrs
import click

from ..._core.errors import APIConnectionError, APIStatusError, ConfigurationError, RetellError
from ..._core.masking import mask_text
from ..._version import __version__
from ..operations.command import Command, profile_of, profile_options
from ..operations.output import print_table
from ..operations.sending import Failed
from ..profiles import SANDBOX
from ..times import plain

if TYPE_CHECKING:
    from ..._client import AsyncRetell

__all__ = ["doctor"]

_TOLERANCE = 300.0  # seconds by which a webhook's signature may be off
_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")
_OF_EXTRA = re.compile(r"""(?P<package>[\w.-]+)[^;]*; *extra *== *["'](?P<extra>[\w-]+)["']""")
"""A requirement of an extra; those that hold for some platforms alone are not looked at."""
_SLOW = 2.0
_FULL = 0.8

State = Literal["ok", "look", "wrong"]


@attrs.frozen
class Finding:
    """What was found about one thing."""

    state: State
    what: str
    text: str


@click.command(cls=Command)
@profile_options
def doctor(profile: str | None, sandbox: bool) -> None:
    """Look whether everything is as it has to be: versions, key, proxy, connection, clock, limits.

    Nothing is changed, and nothing costs anything. The exit status is 1 if something is wrong.
    """
    found = [versions(), *proxies(os.environ)]
    try:
        known = profile_of(profile, sandbox)
    except ConfigurationError as error:
        found.append(Finding("wrong", "key", str(error)))
    else:
        found.append(Finding("ok", "key", f"of the profile {known.name}, for {known.base_url or 'https://api.retellai.com'}"))
        found += anyio.run(_asked, known.client, known.base_url == SANDBOX)
    print_table(["", "", ""], [[one.state, one.what, plain(one.text)] for one in found], whole=True)
    if wrong := sum(one.state == "wrong" for one in found):
        raise Failed(f"{wrong} of {len(found)} {'is' if wrong == 1 else 'are'} wrong")


async def _asked(made: Any, sandbox: bool) -> list[Finding]:
    """What the API says."""
    client: AsyncRetell
    async with made(max_retries=0, timeout=15.0) as client:
        begun = time.monotonic()
        try:
            answer = await client.identity.with_raw_response.retrieve()
        except RetellError as error:
            return [unreached(error, sandbox=sandbox)]
        found = [reached(time.monotonic() - begun), clock(answer.headers.get("date"), time.time())]
        name = getattr(answer.parse(), "org_name", None)
        found += [Finding("ok", "workspace", str(name))] if name else []
        try:
            room = await client.concurrency.retrieve()
        except RetellError as error:
            return [*found, Finding("look", "limits", f"the API does not say: {mask_text(str(error))}")]
        return [*found, limits(room.current_concurrency, room.concurrency_limit)]


def versions() -> Finding:
    """What is installed."""
    known = f"retell-async {__version__}, Python {platform.python_version()}"
    return Finding("ok", "versions", f"{known}, extras: {', '.join(extras()) or 'none'}")


def extras() -> list[str]:
    """The extras of which all is there."""
    try:
        needed = [found for said in requires("retell-async") or () if (found := _OF_EXTRA.fullmatch(said)) is not None]
    except PackageNotFoundError:
        return []
    lacking = {one["extra"] for one in needed if not _is_there(one["package"])}
    return sorted({one["extra"] for one in needed} - lacking)


def _is_there(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


def proxies(environment: Mapping[str, str]) -> list[Finding]:
    """Through which proxies requests go."""
    names = [name for name in _PROXIES for name in (name, name.lower()) if environment.get(name)]
    if not names:
        return []
    return [Finding("ok", "proxy", ", ".join(f"{name}={mask_text(environment[name])}" for name in names))]


def unreached(error: RetellError, *, sandbox: bool = False) -> Finding:
    """Why the first request came to nothing, and what to do."""
    text = mask_text(str(error))
    if isinstance(error, APIStatusError) and error.status_code in (401, 403):
        return Finding("wrong", "key", f"the API does not let it in ({error.status_code}): take another from the dashboard, API Keys")
    if isinstance(error, APIConnectionError):
        advice = "is it running? retell-async sandbox" if sandbox else "is there a way out, a proxy, a firewall?"
        return Finding("wrong", "connection", f"{text}: {advice}")
    return Finding("wrong", "connection", text)


def reached(seconds: float) -> Finding:
    """How long the first answer took."""
    return Finding("look" if seconds > _SLOW else "ok", "connection", f"the first answer came after {seconds * 1000:,.0f} ms")


def clock(date: str | None, now: float) -> Finding:
    """How far this machine's clock is off, which signatures of webhooks and times of campaigns depend on."""
    try:
        off = now - parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        return Finding("look", "clock", "the server does not say what time it is")
    if abs(off) <= 2:  # a date has whole seconds
        return Finding("ok", "clock", "as the server's")
    ahead = f"{abs(off):,.0f} s {'ahead of' if off > 0 else 'behind'} the server's"
    if abs(off) > _TOLERANCE / 2:
        return Finding("wrong", "clock", f"{ahead}: webhooks are refused beyond {_TOLERANCE:.0f} s. Let the system set it by NTP")
    return Finding("look" if abs(off) > _TOLERANCE / 10 else "ok", "clock", ahead)


def limits(current: int | None, limit: int | None) -> Finding:
    """How many calls go on, of those that may."""
    if limit is None:
        return Finding("look", "limits", "the API does not say how many calls may go on")
    state: State = "look" if limit and (current or 0) >= _FULL * limit else "ok"
    return Finding(state, "limits", f"{current or 0:,} of {limit:,} calls at once")
