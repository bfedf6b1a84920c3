"""What the sides of a decoding benchmark share; standard library only, since it runs in every environment."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

_BATCH_SECONDS = 0.1


def batches(once: Callable[[], object]) -> Callable[[], float]:
    """A function that runs `once` for about a tenth of a second and gives back the seconds that one run took."""
    start = perf_counter()
    for _ in range(5):
        once()
    number = max(int(_BATCH_SECONDS / (perf_counter() - start) * 5), 1)

    def measure() -> float:
        start = perf_counter()
        for _ in range(number):
            once()
        return (perf_counter() - start) / number

    return measure


def _each_word(call: Any) -> None:
    """Something of each word of the transcript, so that a model that puts off its decoding has done it."""
    for utterance in call.transcript_object:
        for word in utterance.words:
            word.start  # noqa: B018


def _first_word(call: Any) -> None:
    call.transcript_object[0].words[0].word  # noqa: B018


def _three_fields(page: Any) -> None:
    for call in page.items:
        _ = call.call_id, call.call_status, call.duration_ms


READINGS: dict[str, Callable[[Any], None]] = {"each word": _each_word, "the first word": _first_word, "three fields of each": _three_fields}
"""What is read of an answer."""
