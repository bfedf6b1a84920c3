"""Each component says whether requests hold it (``x-request``), answers (``x-response``), or both.

What neither does was only ever laid under other schemas, and is taken out.
"""

from __future__ import annotations

from ..document import Json
from .reachable import used


def run(document: Json) -> None:
    held, schemas = used(document), document["components"]["schemas"]
    for mark, names in held.items():
        for name in names:
            schemas[name][mark] = True
    document["components"]["schemas"] = {name: schema for name, schema in schemas.items() if held.keys() & schema.keys()}
