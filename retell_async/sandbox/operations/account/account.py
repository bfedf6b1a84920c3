"""The account: its concurrency, its key, its exports."""

from __future__ import annotations

from typing import Literal

from ...common.messages import Incoming, Json
from ...state.records import Export
from ...state.store import Store
from ..helpers import listed

__all__ = ["concurrency", "key_info", "list_exports", "order_export"]

_FREE_SLOTS = 20
_WEEK_MS = 7 * 86_400_000


def concurrency(store: Store, _: Incoming) -> Json:
    settings = store.settings
    purchased = max(0, settings.concurrency_limit - _FREE_SLOTS)
    return {
        "current_concurrency": len(store.calls.active(store.now())),
        "concurrency_limit": settings.concurrency_limit,
        "base_concurrency": settings.concurrency_limit - purchased,
        "purchased_concurrency": purchased,
        "concurrency_purchase_limit": purchased,
        "remaining_purchase_limit": 0,
        "reserved_inbound_concurrency": settings.reserved_inbound_concurrency,
        "concurrency_burst_enabled": settings.concurrency_burst,
        "concurrency_burst_limit": settings.burst_limit,
    }


def key_info(store: Store, _: Incoming) -> Json:
    return {"org_id": store.organization, "org_name": "Sandbox", "api_key_name": None}


def list_exports(store: Store, incoming: Incoming) -> Json:
    """Exports are listed for a week."""
    now = store.now()
    return listed(store.exports.entries, incoming.query, lambda export: export.view(now), lambda export: now - export.created < _WEEK_MS)


def order_export(store: Store, channel: Literal["call", "chat"] = "call", timezone: str = "America/Los_Angeles") -> Export:
    """Order an export, as people do in the dashboard."""
    id = f"export_request_{store.new_id('export')}"
    return store.exports.put(id, Export(id=id, channel=channel, created=store.now(), timezone=timezone))
