"""What the account as a whole is like: its concurrency and its voices."""

from __future__ import annotations

from ..exchange import Incoming, Json, Refused
from ..store import Store

__all__ = ["concurrency", "list_voices", "retrieve_voice"]

_FREE_SLOTS = 20

_VOICES: tuple[tuple[str, str, str, str, str], ...] = (
    ("retell-Cimo", "platform", "female", "American", "Young"),
    ("11labs-Adrian", "elevenlabs", "male", "American", "Young"),
    ("11labs-Myra", "elevenlabs", "female", "American", "Young"),
    ("11labs-Anthony", "elevenlabs", "male", "British", "Middle Aged"),
    ("openai-Alloy", "openai", "female", "American", "Young"),
    ("openai-Echo", "openai", "male", "American", "Middle Aged"),
    ("cartesia-Sofia", "cartesia", "female", "Spanish", "Young"),
    ("minimax-Leo", "minimax", "male", "American", "Old"),
)


def concurrency(store: Store, _: Incoming) -> Json:
    limit = store.settings.concurrency_limit
    purchased = max(0, limit - _FREE_SLOTS)
    return {
        "current_concurrency": len(store.calls.active(store.now())),
        "concurrency_limit": limit,
        "base_concurrency": limit - purchased,
        "purchased_concurrency": purchased,
        "concurrency_purchase_limit": purchased,
        "remaining_purchase_limit": 0,
        "reserved_inbound_concurrency": 0,
        "concurrency_burst_enabled": False,
        "concurrency_burst_limit": 0,
    }


def list_voices(_: Store, __: Incoming) -> list[Json]:
    return [_voice(*voice) for voice in _VOICES]


def retrieve_voice(_: Store, incoming: Incoming) -> Json:
    for voice in _VOICES:
        if voice[0] == incoming.path["voice_id"]:
            return _voice(*voice)
    raise Refused(422, "voice_id was not found")


def _voice(id: str, provider: str, gender: str, accent: str, age: str) -> Json:
    return {"voice_id": id, "voice_name": id.partition("-")[2], "provider": provider, "gender": gender, "accent": accent, "age": age}
