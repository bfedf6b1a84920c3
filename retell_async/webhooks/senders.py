"""The address of a request's sender, also behind proxies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from retell_async._core.errors import ConfigurationError

__all__ = ["RETELL_ADDRESSES", "Senders"]

RETELL_ADDRESSES = ("100.20.5.228",)
"""The addresses from which Retell sends, as it publishes them."""

Address = IPv4Address | IPv6Address


class Senders:
    """Who may send: a check of the address beside that of the signature.

    :param addresses: addresses or networks that may send.
    :param proxies: the proxies in front of this service that write ``X-Forwarded-For``: their addresses or networks, or their number
        when the addresses are not known. Only what these proxies wrote is believed, so a sender cannot claim another address. Without
        proxies the header is ignored.
    """

    def __init__(self, addresses: Iterable[str] = RETELL_ADDRESSES, *, proxies: Sequence[str] | int = ()) -> None:
        if isinstance(proxies, int) and proxies < 0:
            raise ConfigurationError("the number of proxies must be 0 or more")
        self._addresses = [_network(text) for text in addresses]
        self._hops = proxies if isinstance(proxies, int) else None
        self._proxies = [] if isinstance(proxies, int) else [_network(text) for text in proxies]

    def allow(self, peer: str | None, forwarded_for: str | None) -> bool:
        """Whether a request may come in.

        :param peer: the address of the other end of the connection, if it has one.
        :param forwarded_for: the value of ``X-Forwarded-For``, several joined with commas.
        """
        sender = self.sender(peer, forwarded_for)
        return sender is not None and _in(sender, self._addresses)

    def sender(self, peer: str | None, forwarded_for: str | None) -> Address | None:
        """The address of the first machine that is none of the proxies; ``None`` when it cannot be told."""
        chain = [*(forwarded_for.split(",") if forwarded_for else ()), peer or ""]
        if self._hops is not None:
            return _address(chain[-1 - self._hops]) if self._hops < len(chain) else None
        for text in reversed(chain):
            address = _address(text)
            if address is None or not _in(address, self._proxies):
                return address
        return None


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise ConfigurationError(f"{text!r} is no address and no network: {error}") from error


def _in(address: Address, networks: Iterable[IPv4Network | IPv6Network]) -> bool:
    return any(address in network for network in networks)


def _address(text: str) -> Address | None:
    """An address as proxies write it: with a port or without, in brackets, or IPv4 inside IPv6."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
