"""The sender's address, with and without proxies, and with senders that lie about it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from retell_async.webhooks import RETELL_ADDRESSES, Senders

RETELL = RETELL_ADDRESSES[0]
OTHER = "203.0.113.9"
PROXY = "10.0.0.1"


@pytest.mark.parametrize(
    ("peer", "allowed"),
    [
        (RETELL, True),
        (f"::ffff:{RETELL}", True),
        (OTHER, False),
        ("2001:db8::1", False),
        (None, False),
        ("", False),
        ("testclient", False),
        ("/run/socket", False),
    ],
)
@pytest.mark.parametrize("forwarded_for", [None, RETELL, f"{OTHER}, {RETELL}"])
def test_without_proxies_only_the_peer_counts(peer: str | None, allowed: bool, forwarded_for: str | None) -> None:
    assert Senders().allow(peer, forwarded_for) is allowed


@pytest.mark.parametrize("proxies", [["10.0.0.0/8"], [PROXY, "10.0.0.2"]])
@pytest.mark.parametrize(
    ("peer", "forwarded_for", "allowed"),
    [
        (PROXY, RETELL, True),
        (PROXY, f" {RETELL} ", True),
        (PROXY, f"{RETELL}:443", True),
        (PROXY, f"{OTHER}, {RETELL}", True),
        (PROXY, f"{RETELL}, 10.0.0.2", True),
        (PROXY, f"::ffff:{RETELL}, [::ffff:10.0.0.2]:80", True),
        (PROXY, f"{RETELL}, {OTHER}", False),
        (PROXY, f"{RETELL}, {OTHER}, 10.0.0.2", False),
        (PROXY, f"{RETELL}, unknown, 10.0.0.2", False),
        (PROXY, f"{RETELL},", False),
        (PROXY, "10.0.0.2", False),
        (PROXY, "", False),
        (PROXY, None, False),
        (RETELL, None, True),
        (RETELL, OTHER, True),
        (OTHER, RETELL, False),
        (None, RETELL, False),
    ],
)
def test_proxies_by_address(proxies: Sequence[str], peer: str | None, forwarded_for: str | None, allowed: bool) -> None:
    assert Senders(proxies=proxies).allow(peer, forwarded_for) is allowed


@pytest.mark.parametrize(
    ("proxies", "peer", "forwarded_for", "allowed"),
    [
        (1, PROXY, RETELL, True),
        (1, None, RETELL, True),
        (1, PROXY, f"{OTHER}, {RETELL}", True),
        (1, PROXY, f"{RETELL}, {OTHER}", False),
        (1, RETELL, None, False),
        (2, PROXY, f"{RETELL}, {OTHER}", True),
        (2, PROXY, RETELL, False),
        (0, RETELL, OTHER, True),
        (0, OTHER, RETELL, False),
    ],
)
def test_proxies_by_number(proxies: int, peer: str | None, forwarded_for: str | None, allowed: bool) -> None:
    assert Senders(proxies=proxies).allow(peer, forwarded_for) is allowed


def test_other_addresses_may_be_allowed() -> None:
    senders = Senders([*RETELL_ADDRESSES, "127.0.0.0/8", "2001:db8::/32"])
    assert senders.allow("127.0.0.1", None)
    assert senders.allow("2001:db8::7", None)
    assert senders.allow(RETELL, None)
    assert not senders.allow(OTHER, None)


@pytest.mark.parametrize("wrong", ["retellai.com", "100.20.5.228/8", "", "1.2.3"])
def test_what_is_no_address_is_refused_at_once(wrong: str) -> None:
    with pytest.raises(ValueError, match="is no address and no network"):
        Senders([wrong])
    with pytest.raises(ValueError, match="is no address and no network"):
        Senders(proxies=[wrong])


def test_a_negative_number_of_proxies_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="proxies"):
        Senders(proxies=-1)
