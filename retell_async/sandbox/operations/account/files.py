"""Uploaded images and sounds."""

from __future__ import annotations

from pathlib import PurePosixPath

from ...common.messages import Incoming, Json, Refused
from ...openapi.multipart import Upload
from ...state.store import Store

__all__ = ["create"]

_LARGEST = 10_000_000
_IMAGES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif", ".webp": "image/webp"}
_IMAGES[".svg"] = "image/svg+xml"
_SOUNDS = (".mp3", ".wav", ".webm", ".ogg", ".m4a", ".aac", ".flac")


def create(store: Store, incoming: Incoming) -> Json:
    """The file's extension, or else its content type, decides what it is."""
    file: Upload = incoming.body["file"]
    if not 0 < len(file.content) <= _LARGEST:
        raise Refused(400, "body.file has at most 10 MB, and is not empty")
    name = PurePosixPath(file.filename.replace("\\", "/")).name or "file"
    ending = PurePosixPath(name).suffix.lower()
    if ending in _SOUNDS or file.content_type.startswith("audio/"):
        name, kind = f"{PurePosixPath(name).stem}.pcm", "audio/pcm"
    elif ending in _IMAGES or file.content_type in _IMAGES.values():
        kind = _IMAGES.get(ending, file.content_type)
    else:
        raise Refused(400, "body.file is neither an image nor a sound of a known type")
    asset_id = f"asset_{store.new_id('asset')}"
    return {
        "asset_id": asset_id,
        "file_name": name,
        "file_size": len(file.content),
        "content_type": kind,
        "created_timestamp": store.now(),
        "url": f"https://files.sandbox.example/{asset_id}/{ending.removeprefix('.') or 'file'}",
    }
