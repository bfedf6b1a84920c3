"""The proxies that the environment names."""

from __future__ import annotations

from urllib.request import getproxies, proxy_bypass

__all__ = ["Proxies"]


class Proxies:
    """What ``HTTP_PROXY``, ``HTTPS_PROXY``, ``ALL_PROXY`` and ``NO_PROXY`` said when this was made."""

    def __init__(self) -> None:
        self._proxies = getproxies()

    def of(self, scheme: str, host: str) -> str | None:
        """The URL of the proxy on the way to a host; ``None`` when there is none."""
        proxy = self._proxies.get(scheme) or self._proxies.get("all")
        if proxy is None or proxy_bypass(host):
            return None
        return proxy if "://" in proxy else f"http://{proxy}"
