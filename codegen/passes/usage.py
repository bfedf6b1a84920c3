"""Each component says whether requests hold it (``x-request``), answers (``x-response``), or both."""

from __future__ import annotations

from .. import marks
from ..document import Json, by_key, operation_roots
from .reachable import follow, refs


def run(document: Json) -> None:
    held: dict[str, set[str]] = {marks.REQUEST: set(), marks.RESPONSE: set()}
    roots = [(where, holder[key]) for said in by_key(document).values() for where, holder, key in operation_roots(said, "")]
    for where, schema in [*roots, ("/responses", document[marks.ERROR_BODY] or {})]:
        for name in refs(schema):
            follow(document, name, held[marks.RESPONSE if where.startswith("/responses") else marks.REQUEST])
    for mark, names in held.items():
        for name in names:
            document["components"]["schemas"][name][mark] = True
