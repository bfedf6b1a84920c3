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


def touch(call: Any) -> None:
    """Read something of each word of the transcript, so that a model that puts off its decoding has done it."""
    for utterance in call.transcript_object:
        for word in utterance.words:
            word.start  # noqa: B018
