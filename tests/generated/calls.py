"""What every operation takes, from the document alone, and what it should look like on the wire."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Mapping
from random import Random
from typing import Any
from urllib.parse import quote

import attrs

from codegen.document import Json, load_file
from codegen.generate import ROOT
from codegen.surface import entries
from retell_async import RequestOptions

from .instances import DOCUMENT, OPERATIONS, Maker, answer, body

BASE_URL = "http://retell.test/base"
METHODS = [
    (key, str(name)) for key, said in entries(DOCUMENT, load_file(ROOT / "openapi" / "surface.yaml")).items() for name in said.methods
]
FILES = [("one.pdf", b"%PDF \r\n--", "application/pdf"), ("two.txt", b"\x00\xff")]
_VALID = {"idempotency_key": "key_0123-4567"}
"""Where the facade itself looks at a value."""


@attrs.frozen
class Given:
    """Every parameter of an operation with a value."""

    path: dict[str, str]
    query: dict[str, Any]
    body: Json | None
    kind: str | None

    def keywords(self, method: Callable[..., Any]) -> dict[str, Any]:
        """The same as keywords of a method, whose names may differ from the document's where Python or another parameter demands it."""
        names = [name for name in inspect.signature(method).parameters if name not in RequestOptions.__annotations__]

        def called(wire: str, place: str) -> str:
            (found,) = {f"{place}_{wire}", wire, f"{wire}_"} & set(names) if place != "path" else {wire}
            return found

        fields = {"path": self.path, "query": self.query, "body": self.body or {}}
        return {called(wire, place): value for place, some in fields.items() for wire, value in some.items()}

    def target(self, path: str) -> str:
        """The path and the query as they are sent."""
        filled = re.sub(r"{([^}]*)}", lambda match: quote(self.path[match[1]], safe="!$&'()*+,;=:@"), path)
        pairs = [(name, item) for name, value in self.query.items() for item in (value if isinstance(value, list) else [value])]
        query = "&".join(f"{quote(name, safe='')}={quote(_text(value), safe='')}" for name, value in pairs if value is not None)
        return f"/base{filled}{'?' if query else ''}{query}"

    def content(self) -> bytes:
        return b"" if self.body is None else json.dumps(self.body, ensure_ascii=False, separators=(",", ":")).encode()


def everything(key: str, random: Random) -> Given:
    """A value for each parameter, except for those that exclude one that is there."""
    maker = Maker(random, full=True)
    _, _, path = key.partition(" ")
    query = {
        parameter["name"]: maker.value(parameter["schema"]) for parameter in OPERATIONS[key]["parameters"] if parameter["in"] == "query"
    }
    kind, fields = None, None
    if (said := body(key)) is not None:
        kind, schema = said
        dropped = {names[-1] for names in schema.get("x-exclusive", ())}
        fields = {
            name: _VALID.get(name) or _files(field) or maker.value(field)
            for name, field in schema["properties"].items()
            if name not in dropped and not field.get("readOnly")
        }
    return Given({name: maker.random.choice(["id_1", "a/b?c#d", "+1 é%"]) for name in re.findall(r"{([^}]*)}", path)}, query, fields, kind)


def _files(field: Json) -> Any:
    if field.get("format") == "binary":
        return FILES[0]
    return FILES if field.get("items", {}).get("format") == "binary" else None


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)


def answered(key: str, random: Random) -> Any:
    """A valid answer to an operation; None if it has no body. A page is the last one."""
    schema = answer(key)
    if schema is None:
        return None
    made = Maker(random).value(schema)
    if isinstance(made, Mapping) and "has_more" in made:
        return {**made, "has_more": False}
    return made
