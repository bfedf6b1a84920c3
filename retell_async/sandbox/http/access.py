"""Who may use the sandbox from a browser. Pure.

A page from anywhere can make a browser send requests to this machine, and by a name of its own that it lets lead here (DNS rebinding) it
can read the answers. Programs do not say what a browser says of where it comes from, and are let through.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from ..common.messages import Refused

__all__ = ["check_api", "check_control"]

_READS = frozenset({"GET", "HEAD"})
_EVERY_ADDRESS = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - what is compared with, not what is listened on


def check_control(method: str, headers: Mapping[str, str], server: str, hosts: Collection[str]) -> None:
    """Let a request to the page or to the sandbox's own interface through, or not: neither of them asks for a key.

    :param headers: by their names in lower case.
    :param server: the address that the request arrived at; in one process, the host of its URL.
    :param hosts: the names by which the sandbox is known beside those of this machine.
    :raises Refused: it came by a name that is not the sandbox's, or would change something and comes from another site's page.
    """
    host = headers.get("host", "")
    if host and not _is_local(_name(host), server, hosts):
        raise Refused(
            403, "the sandbox is not known by this host: use localhost or an address, or start it with --allow-host and the host's name"
        )
    if method in _READS:
        return
    origin = headers.get("origin")
    same = origin is None or origin.lower() in {f"http://{host.lower()}", f"https://{host.lower()}"}
    if not same or headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
        raise Refused(403, "a page of another origin may not change anything here")


def check_api(method: str, headers: Mapping[str, str], server: str, hosts: Collection[str]) -> None:
    """Let a request to the API through, or not. It has a key; but where any key is let in, a page from elsewhere could make one up.

    The parameters are those of `check_control`. Whoever says no origin is no page.

    :raises Refused: it would change something and comes from a page that is not this machine's.
    """
    origin = headers.get("origin")
    if origin is not None and method not in _READS and not _is_local(_name(origin.partition("://")[2]), server, hosts):
        raise Refused(403, "a page from elsewhere may not change anything here: start the sandbox with --allow-host and the page's host")


def _is_local(name: str, server: str, hosts: Collection[str]) -> bool:
    """Whether a host, without its port, is one of this machine's own, the address that was reached, or one of those that were named.

    Where the sandbox was told to listen on all addresses, every address is: what nobody can let lead elsewhere is a name.
    """
    named = {host.lower() for host in hosts}
    if name == "localhost" or name.endswith(".localhost") or name in named or name == server.lower():
        return name != ""
    try:
        address = ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or not named.isdisjoint(_EVERY_ADDRESS)


def _name(authority: str) -> str:
    """The host of ``host:port``, in lower case; empty when it is no host."""
    try:
        return (urlsplit(f"//{authority}").hostname or "").rstrip(".")
    except ValueError:
        return ""
