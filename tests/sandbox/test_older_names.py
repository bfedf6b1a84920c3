"""Names that were public before they changed, for one release more."""

from __future__ import annotations

import importlib

import pytest

from retell_async import sandbox
from retell_async.sandbox import Fixtures, Sandbox, Sender, create_fixtures, serve
from retell_async.sandbox.faults import ActiveFault
from retell_async.sandbox.http.server import Served, in_thread
from retell_async.sandbox.state.journal import Journal
from retell_async.sandbox.state.request_log import LoggedRequest, RequestLog
from retell_async.testing import LocalRetell


@pytest.mark.parametrize(
    ("module", "name", "now"),
    [
        ("", "Furniture", Fixtures),
        ("", "furnish", create_fixtures),
        ("", "Outgoing", Sender),
        (".outgoing", "Outgoing", Sender),
        (".faults", "Struck", ActiveFault),
        (".log", "Log", RequestLog),
        (".log", "Received", LoggedRequest),
        (".persistence", "Journal", Journal),
        (".server", "in_thread", in_thread),
        (".server", "serve", serve),
    ],
)
def test_older_names_lead_to_the_same(module: str, name: str, now: object) -> None:
    assert getattr(importlib.import_module(f"retell_async.sandbox{module}"), name) is now


def test_older_members_lead_to_the_same() -> None:
    local = LocalRetell()
    assert local.furnish().phone_number in local.sandbox.store.numbers
    served = Served(Sandbox(), "http://127.0.0.1:1", Sender(Sandbox()))
    assert served.outgoing is served.sender


def test_what_is_public_is_there() -> None:
    assert all(hasattr(sandbox, name) for name in sandbox.__all__)
