"""Our notes beside the pinned document (`openapi/notes.yaml`) come to the schemas that they are about."""

from __future__ import annotations

from .. import marks
from ..document import Json, Refused, at


def lay(document: Json, notes: Json) -> None:
    """Put each note beside what its pointer points to; what is no longer there has no note."""
    for where, note in notes.items():
        try:
            schema = at(document, where)
        except Refused:
            continue
        if isinstance(schema, dict):
            schema[marks.NOTE] = note
