"""The recordings and the log of a call, made when they are asked for."""

from __future__ import annotations

import struct
from typing import Literal

from ..common.messages import Json
from ..state.calls import Call
from .calls import call_object, files

__all__ = ["content"]

_RATE = 8_000
_SILENCE = b"\x80"


def content(call: Call, name: str, now: int) -> tuple[bytes, str] | None:
    """A file of a call and its content type; ``None`` when the call does not have it (yet) or does not store it."""
    kinds = {url.rpartition("/")[2]: field for field, url in files(call, now).items()}
    match kinds.get(name):
        case "recording_url":
            return _silence(call, 1), "audio/wav"
        case "recording_multi_channel_url":
            return _silence(call, 2), "audio/wav"
        case "public_log_url":
            return _log(call_object(call, now)).encode(errors="backslashreplace"), "text/plain; charset=utf-8"
        case _:
            return None


def _silence(call: Call, channels: Literal[1, 2]) -> bytes:
    """A WAV file of silence, as long as the call."""
    length = call.plan.duration_ms * _RATE // 1000 * channels
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, _RATE, _RATE * channels, channels, 8)
    return (
        struct.pack("<4sI4s", b"RIFF", 4 + len(form) + 8 + length, b"WAVE")
        + form
        + struct.pack("<4sI", b"data", length)
        + _SILENCE * length
    )


def _log(call: Json) -> str:
    """The log of a call: a line for each thing that happened, with the seconds from its start."""
    start = call["start_timestamp"]
    lines = [(0.0, "the call was answered")]
    at = 0.0
    for item in call.get("transcript_with_tool_calls", ()):
        words = item.get("words")
        at = words[0]["start"] if words else item.get("time_sec", at)
        said = item.get("content") or item.get("digit") or item.get("arguments") or ""
        lines.append((at, " ".join(filter(None, (item["role"], item.get("name"), said)))))
    lines.append(((call["end_timestamp"] - start) / 1000, f"the call ended: {call['disconnection_reason']}"))
    return "".join(f"{seconds:10.3f} {' '.join(text.split())}\n" for seconds, text in lines)
