"""What ends: methods of deprecated operations warn, and names that the last release had and that are gone give a helpful error.

A name that vanishes is explained until the release after the one that lost it, and nothing has to be remembered between two updates.
"""

from __future__ import annotations

from . import marks
from .document import Json, by_key
from .surface import Entry, shape


def retired(document: Json, entries: dict[str, Entry], past: Json) -> dict[str, str]:
    """What to say, by ``resource.method``: of names that are there, why they end, and of all others what became of them.

    :param past: ``retired`` and ``released``, what the files in `openapi/` say that are called so, each by operation.
    """
    there = {method for entry in entries.values() for method in entry.methods}
    said: Json = past.get("retired", {})
    known: dict[str, list[str]] = past.get("released", {}) | {key: entry["methods"] for key, entry in said.items() if "methods" in entry}

    operations = by_key(document)
    meanings = {key: shape(operation.get(marks.KNOWN_AS, key)) for key, operation in operations.items()}
    heirs = {meanings[key]: entries[key].methods[0] for key, operation in operations.items() if not operation.get("deprecated")}

    def instead(key: str, name: str) -> str:
        other = said.get(key, {}).get("instead", heirs.get(meanings.get(key, shape(key))))
        return f" Use client.{other} instead." if other in there and other != name else ""

    found: dict[str, str] = {}
    for key, operation in operations.items():
        date = said.get(key, {}).get("date")
        ends = f"ends {key} on {date}" if date else f"will end {key}"
        for name in entries[key].methods if operation.get("deprecated") else ():
            found[name] = f"client.{name} is deprecated: the API {ends}.{instead(key, name)}"
    for key, names in known.items():
        found |= {name: f"client.{name} is gone: the API no longer has {key}.{instead(key, name)}" for name in names if name not in there}
    return found
