"""Which names a host can have, before anybody is asked for its address."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address

__all__ = ["is_host"]

_LABEL = re.compile(r"[A-Za-z0-9_-]{1,63}")
_IPV4 = re.compile(r"\d+(?:\.\d+){3}")
_LONGEST = 253


def is_host(host: str) -> bool:
    """Whether this can be the name or the address of a host, as it is in a URL and without brackets."""
    try:
        if ":" in host:
            IPv6Address(host)
            return True
        if _IPV4.fullmatch(host):
            IPv4Address(host)
            return True
        if not host.isascii() or host.startswith("xn--"):
            import idna

            host = idna.encode(host.lower()).decode("ascii")
            idna.decode(host)
    except ValueError:  # an address, or a name in other letters, that there cannot be
        return False
    name = host.removesuffix(".")
    return len(name) <= _LONGEST and all(_LABEL.fullmatch(label) for label in name.split("."))
