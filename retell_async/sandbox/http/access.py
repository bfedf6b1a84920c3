"""Protection against pages of other sites. Pure.

Any page can make a browser send requests to this machine. Under a host name of its own that resolves to this machine (DNS rebinding),
it can read the answers too. Programs send no ``Origin``, and are let through.
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
    """Check a request to the page or the control interface, which ask for no key.

    :param headers: with names in lower case.
    :param server: the address that the request arrived at; within one process, the host of its URL.
    :param hosts: names of the sandbox beside those of this machine.
    :raises Refused: its host is not a name of the sandbox, or it would change something and comes from another site's page.
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
    """Check a request to the API. Where any key is let in, another site's page could make one up.

    The parameters are those of `check_control`.

    :raises Refused: it would change something and comes from another site's page.
    """
    origin = headers.get("origin")
    if origin is not None and method not in _READS and not _is_local(_name(origin.partition("://")[2]), server, hosts):
        raise Refused(403, "a page from elsewhere may not change anything here: start the sandbox with --allow-host and the page's host")


def _is_local(name: str, server: str, hosts: Collection[str]) -> bool:
    """Whether a host (without its port) is this machine, the address that was reached, or one of the given names.

    Where the sandbox listens on all addresses, every address counts: DNS rebinding needs a name.
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
    """The host of ``host:port``, in lower case; empty when there is none."""
    try:
        return (urlsplit(f"//{authority}").hostname or "").rstrip(".")
    except ValueError:
        return ""
