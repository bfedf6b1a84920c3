"""What of a conversation may be kept: functions from what the API says to what is stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, get_args

__all__ = ["Storage", "storable", "storable_event", "storage_of", "strictest"]

Storage: TypeAlias = Literal["everything", "everything_except_pii", "basic_attributes_only"]
"""As the API has it in `data_storage_setting`, from the loosest to the strictest."""

_LEVELS: tuple[Storage, ...] = get_args(Storage)
_JUDGED = frozenset({"in_voicemail", "user_sentiment", "call_successful", "chat_successful"})
"""What an analysis says that nobody can be known by."""
_BASIC = frozenset(
    {
        "call_id",
        "chat_id",
        "call_type",
        "chat_type",
        "agent_id",
        "agent_name",
        "agent_version",
        "agent_tag",
        "version",
        "call_status",
        "chat_status",
        "direction",
        "from_number",
        "to_number",
        "telephony_identifier",
        "start_timestamp",
        "end_timestamp",
        "transfer_end_timestamp",
        "duration_ms",
        "disconnection_reason",
        "latency",
        "call_cost",
        "chat_cost",
        "llm_token_usage",
        "metadata",
        "data_storage_setting",
        "opt_out_sensitive_data_storage",
        "opt_in_signed_url",
    }
)


def storage_of(data: Mapping[str, Any]) -> Storage:
    """What of a call or chat may be kept, by what it says itself. What this version does not know is the strictest."""
    said = data.get("data_storage_setting")
    if said is None:
        return "basic_attributes_only" if data.get("opt_out_sensitive_data_storage") else "everything"
    return said if said in _LEVELS else "basic_attributes_only"


def strictest(*settings: Storage) -> Storage:
    """The strictest of some settings; a call or chat can only be made stricter."""
    return max(settings, key=_LEVELS.index)


def storable(data: Mapping[str, Any], storage: Storage) -> dict[str, Any]:
    """What of a call or chat is stored.

    With ``basic_attributes_only`` that is who called whom, when, how it ended, what it cost, how fast it was, and the metadata, which hold
    ids of the user's own. With ``everything_except_pii`` it is also what the API has scrubbed (its fields `scrubbed_...`), and of the
    analysis what it judges. What this version does not know is kept with ``everything`` alone.
    """
    if storage == "everything":
        return dict(data)
    if storage == "basic_attributes_only":
        return {name: value for name, value in data.items() if name in _BASIC}
    kept = {name: value for name, value in data.items() if name in _BASIC or name.startswith("scrubbed_")}
    for name in ("call_analysis", "chat_analysis"):
        if isinstance(data.get(name), dict):
            kept[name] = {key: value for key, value in data[name].items() if key in _JUDGED}
    if "scrubbed_metadata" in kept:
        kept.pop("metadata", None)
    return kept


def storable_event(data: Mapping[str, Any], storage: Storage) -> dict[str, Any]:
    """What of an event is stored: with anything but ``everything`` its name, its time and what may be kept of its call or chat."""
    if storage == "everything":
        return dict(data)
    kept: dict[str, Any] = {name: data[name] for name in ("event", "event_timestamp", "alert") if name in data}
    for name in ("call", "chat"):
        if isinstance(data.get(name), dict):
            kept[name] = storable(data[name], storage)
    return kept
