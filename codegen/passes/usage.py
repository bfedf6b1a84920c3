"""Each component says whether requests hold it (``x-request``), answers (``x-response``), or both."""

from __future__ import annotations

from ..document import Json
from .reachable import used


def run(document: Json) -> None:
    for mark, names in used(document).items():
        for name in names:
            document["components"]["schemas"][name][mark] = True
