"""What every operation takes, from the document alone, and what it should look like on the wire."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Any
from urllib.parse import quote

import attrs

from codegen import marks
from codegen.document import Json, load_file, resolved
from codegen.generate import ROOT
from codegen.passes.names import python_name
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
    header: dict[str, Any] = attrs.field(factory=dict[str, Any])
    styles: dict[str, str] = attrs.field(factory=dict[str, str])
    """How arrays and objects in the query are written, where the document says so."""
    is_one_text: bool = False
    """Whether what is an array or an object in a form is one JSON text, whatever it holds."""

    def keywords(self, function: Callable[..., Any], *, whole: bool = False) -> dict[str, Any]:
        """The same as keywords, whose names may differ from the document's where Python or another parameter demands it.

        :param whole: leave out the path, and give the body as one thing, as raw modules take it.
        """
        names = [name for name in inspect.signature(function).parameters if name not in RequestOptions.__annotations__]

        def called(wire: str, place: str) -> str:
            (found,) = {f"{place}_{wire}", wire, f"{wire}_", python_name(wire)} & set(names) if place != "path" else {wire}
            return found

        fields = {"query": self.query, "header": self.header}
        if not whole:
            fields = {"path": self.path, **fields, "body": self.body or {}}
        found = {called(wire, place): value for place, some in fields.items() for wire, value in some.items()}
        return found | ({"body": self.body} if whole and self.body is not None else {})

    def target(self, path: str) -> str:
        """The path and the query as they are sent."""
        filled = re.sub(r"{([^}]*)}", lambda match: quote(self.path[match[1]], safe="!$&'()*+,;=:@"), path)
        pairs = [pair for name, value in self.query.items() for pair in _pairs(name, value, self.styles.get(name))]
        query = "&".join(f"{quote(name, safe='')}={quote(text, safe='')}" for name, text in pairs)
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
    places = {name: maker.random.choice(["id_1", "a/b?c#d", "+1 é%"]) for name in re.findall(r"{([^}]*)}", path)}
    parameters: list[Json] = OPERATIONS[key]["parameters"]
    header = {one["name"]: _in_header(maker, one["schema"]) for one in parameters if one["in"] == "header"}
    styles = {one["name"]: one[marks.STYLE] for one in parameters if marks.STYLE in one}
    content = OPERATIONS[key].get("requestBody", {}).get("content", {})
    return Given(places, query, fields, kind, header, styles, marks.JSON_TEXTS in content.get(kind, {}))


def _in_header(maker: Maker, schema: Json) -> Any:
    """A value that a header can carry, which not every text is."""
    meant = resolved(DOCUMENT, schema)
    if meant.get("type") == "array":
        return [_in_header(maker, meant["items"])] * 2
    return "word-1" if meant.get("type") == "string" and "enum" not in meant else maker.value(schema)


def _files(field: Json) -> Any:
    if field.get("format") == "binary":
        return FILES[0]
    return FILES if field.get("items", {}).get("format") == "binary" else None


def _pairs(name: str, value: Any, style: str | None = None) -> Iterator[tuple[str, str]]:
    """What stands in a query for a value, as the document says of the parameter, else as the official SDK writes it."""
    between = {"comma": ",", "space": " ", "pipe": "|"}.get(style or "")
    if value is None:
        return
    if style == "fields" and isinstance(value, dict):
        for key, item in value.items():
            yield from _pairs(key, item)
    elif between is not None and isinstance(value, (dict, list)):
        parts = value if isinstance(value, list) else [part for pair in value.items() for part in pair]
        yield from [(name, between.join(map(text, parts)))] if parts else []
    elif isinstance(value, (dict, list)):
        items = value.items() if isinstance(value, dict) else [("", item) for item in value]
        for key, item in items:
            yield from _pairs(name if style == "repeat" else f"{name}[{key}]", item)
    else:
        yield name, text(value)


def text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)


def answered(key: str, random: Random) -> Any:
    """A valid answer to an operation; None if it has no body. A page is the last one."""
    schema = answer(key)
    if schema is None:
        return None
    if OPERATIONS[key].get(marks.MEDIA) == "bytes":
        return b"%PDF \x00"
    made = Maker(random).value(schema)
    if isinstance(made, Mapping) and "has_more" in made:
        return {**made, "has_more": False}
    return made


def written(key: str, said: Any) -> bytes:
    """An answer to an operation as it comes over the wire: JSON, or a text or bytes as they are."""
    if said is None:
        return b""
    if OPERATIONS[key].get(marks.MEDIA) is None:
        return json.dumps(said).encode()
    return said if isinstance(said, bytes) else str(said).encode()
