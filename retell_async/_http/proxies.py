"""The proxies on the way to a host: those that the environment names, or one that is given."""

from __future__ import annotations

import re
from importlib.util import find_spec
from ipaddress import ip_address
from typing import Any
from urllib.request import getproxies, getproxies_environment, proxy_bypass

import attrs
import httpx

from .._core.errors import ConfigurationError
from .._core.masking import Hidden
from .hosts import is_host

__all__ = ["Proxies", "proxy_of"]

_PORTS = {"http": 80, "https": 443}
_ENTRY = re.compile(
    r"(?:(?P<scheme>[a-z][a-z0-9+.-]*)://)?(?P<wild>\**\.?)(?:\[(?P<six>[^\]]+)\]|(?P<host>[^:/\[\]]*))(?::(?P<port>\d{1,5}))?(?:/.*)?",
    re.IGNORECASE | re.DOTALL,
)


@attrs.frozen
class _Direct:
    """One entry of ``NO_PROXY``: where to go straight."""

    scheme: str
    """Empty for any, as is `host`."""
    host: str
    port: int | None
    itself: bool
    below: bool
    """Whether it is for the hosts below this one too."""

    def holds(self, scheme: str, host: str, port: int) -> bool:
        if (self.scheme and self.scheme != scheme) or (self.port is not None and self.port != port):
            return False
        return not self.host or (self.itself and host == self.host) or (self.below and host.endswith(f".{self.host}"))


class Proxies:
    """What ``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY`` and ``NO_PROXY`` said when this was made, read as httpx reads them."""

    def __init__(self) -> None:
        found = getproxies()
        entries = [entry.strip() for entry in found.get("no", "").split(",")]
        self._direct = [made for entry in entries if (made := _direct(entry)) is not None]
        self._urls = {scheme: Hidden(found[scheme]) for scheme in ("http", "https", "all") if found.get(scheme) and "*" not in entries}
        # Without such variables, Windows and macOS have settings of their own.
        self._of_system = not getproxies_environment()

    def of(self, scheme: str, host: str, port: int | None = None) -> httpx.Proxy | None:
        """The proxy on the way to a host; ``None`` when there is none.

        :param host: its name in ASCII.
        :param port: if it is not the scheme's own.
        :raises ConfigurationError: what the environment names cannot be a proxy.
        """
        source = scheme if scheme in self._urls else "all"
        if source not in self._urls or any(entry.holds(scheme, host, port or _PORTS.get(scheme, 0)) for entry in self._direct):
            return None
        if self._of_system and proxy_bypass(host):
            return None
        return proxy_of(self._urls[source], f"the proxy of the environment ({source.upper()}_PROXY)")


def _direct(entry: str) -> _Direct | None:
    """An entry: ``.name`` is for what is below a name, ``name`` for itself too; an address and ``localhost`` for itself alone."""
    if entry.count(":") > 1 and "[" not in entry and "://" not in entry:
        entry = f"[{entry.partition('/')[0]}]"
    match = _ENTRY.fullmatch(entry)
    if match is None:
        return None
    scheme, wild, six, host, port = match.groups()
    host = (six or host).lower()
    if host:
        if not is_host(host):
            return None
        if six is None:
            host = httpx.URL(f"http://{host}").raw_host.decode("ascii")
    elif scheme is None:
        return None
    return _Direct(
        scheme="" if scheme in {None, "all"} else scheme.lower(),
        host=host,
        port=None if port is None else int(port),
        itself="." not in wild,
        below=bool(wild) or not (scheme or host == "localhost" or _is_address(host)),
    )


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def proxy_of(given: Hidden[Any], name: str) -> httpx.Proxy:
    """The proxy that is given, by its URL or as httpx has it.

    :param name: what it is called in an error. Of the URL nothing is, since what cannot be read cannot be masked.
    :raises ConfigurationError: it cannot be one, or what it speaks is not installed.
    """
    proxy = _read(given)
    if proxy is None:
        raise ConfigurationError(f"{name} cannot be one: http://, https:// or socks5:// is wanted, then a host and a port")
    if proxy.url.scheme.startswith("socks") and find_spec("socksio") is None:
        raise ConfigurationError(f"{name} speaks SOCKS, which needs socksio: pip install 'httpx[socks]'")
    return proxy


def _read(given: Hidden[Any]) -> httpx.Proxy | None:
    proxy = given.value
    if not isinstance(proxy, httpx.Proxy):
        if not isinstance(proxy, (str, httpx.URL)):
            return None
        if isinstance(proxy, str) and "://" not in proxy:
            proxy = f"http://{proxy}"
        try:
            proxy = httpx.Proxy(proxy)
        except (ValueError, httpx.InvalidURL):
            return None
    url = proxy.url
    return proxy if is_host(url.raw_host.decode("ascii")) and (url.port is None or 0 < url.port < 65536) else None
