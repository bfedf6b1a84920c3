"""Voices: the built-in ones, clones, and those of providers' libraries."""

from __future__ import annotations

from collections.abc import Iterator

from ...common.messages import Incoming, Json, Refused
from ...state.store import Store

__all__ = ["add_community", "clone", "listing", "retrieve", "search"]

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
_LIBRARY = (
    ("Warm Receptionist", "female", "A friendly voice for the front desk."),
    ("Calm Narrator", "male", "An even voice that takes its time."),
    ("Bright Guide", "female", "A lively voice for tours and help lines."),
    ("Steady Adviser", "male", "A deep voice that explains."),
)
_DEFAULT_PROVIDER = "elevenlabs"
_MOST_FILES = {"cartesia": 1, "minimax": 1, "inworld": 3}


def listing(store: Store, _: Incoming) -> list[Json]:
    return [*(_voice(*voice) for voice in _VOICES), *(voice.latest for voice in store.voices)]


def retrieve(store: Store, incoming: Incoming) -> Json:
    for voice in listing(store, incoming):
        if voice["voice_id"] == incoming.path["voice_id"]:
            return voice
    raise Refused(422, "voice_id was not found")


def clone(store: Store, incoming: Incoming) -> Json:
    body = incoming.body
    provider: str = body["voice_provider"]
    if not 1 <= len(body["files"]) <= _MOST_FILES.get(provider, 25):
        raise Refused(400, f"body.files: {provider} takes {_MOST_FILES.get(provider, 25)} at most, and one at least")
    return _add(store, provider, body["voice_name"], "female")


def search(_: Store, incoming: Incoming) -> Json:
    provider = incoming.body.get("voice_provider", _DEFAULT_PROVIDER)
    wanted = incoming.body["search_query"].casefold().split()
    found = [voice for voice in _library(provider) if any(word in f"{voice['name']} {voice['description']}".casefold() for word in wanted)]
    return {"voices": found}


def add_community(store: Store, incoming: Incoming) -> Json:
    body = incoming.body
    provider = body.get("voice_provider", _DEFAULT_PROVIDER)
    if provider == "elevenlabs" and not body.get("public_user_id"):
        raise Refused(400, "body.public_user_id is needed for elevenlabs")
    known = {voice["provider_voice_id"]: gender for voice, (_, gender, _) in zip(_library(provider), _LIBRARY, strict=True)}
    if body["provider_voice_id"] not in known:
        raise Refused(400, "body.provider_voice_id was not found")
    return _add(store, provider, body["voice_name"], known[body["provider_voice_id"]])


def _library(provider: str) -> Iterator[Json]:
    for number, (name, _, description) in enumerate(_LIBRARY):
        voice = {"provider_voice_id": f"{provider}_public_{number}", "name": name, "description": description}
        yield voice | {"public_user_id": f"user_{number}"} if provider == "elevenlabs" else voice


def _add(store: Store, provider: str, name: str, gender: str) -> Json:
    voice_id = f"custom_voice_{store.new_id('voice')}"
    return store.voices.add(voice_id, {"voice_id": voice_id, "voice_name": name, "provider": provider, "gender": gender}).latest


def _voice(id: str, provider: str, gender: str, accent: str, age: str) -> Json:
    return {"voice_id": id, "voice_name": id.partition("-")[2], "provider": provider, "gender": gender, "accent": accent, "age": age}
