"""The pinned form of a document: its facts, in a stable order, without its prose. `codegen/README.md` says what is kept."""

from __future__ import annotations

import re
from typing import Any

from . import marks
from .document import IN_A_COPY, METHODS, NAMED, Json, Refused, pointer

PROSE = frozenset({"description", "summary", "example", "examples", "externalDocs", "contact", "license", "termsOfService", "tags", "xml"})
KEPT_EXTENSIONS = frozenset({marks.REVISION, marks.SDK_RESOURCE, marks.SDK_METHOD, marks.JSON_TEXTS})

_WORD = re.compile(r"^[A-Za-z][A-Za-z0-9_]*$")
_TOP = ("openapi", "info", "servers", "security", "paths", "webhooks", "components")


def canonical(document: Json) -> Json:
    """The canonical form of a document; the same for a document that is in canonical form already."""
    kept = {name: _kept(document[name], name) for name in _TOP if name in document}
    kept["paths"] = {path: _path_item(path, item) for path, item in sorted(document["paths"].items())}
    return kept


def _path_item(path: str, item: Json) -> Json:
    order = {name: index for index, name in enumerate(re.findall(r"{([^}]*)}", path))}

    def place(parameter: Json) -> tuple[str, int, str]:
        if "$ref" in parameter:
            return ("query", 0, parameter["$ref"].rpartition("/")[2].removesuffix("Param").lower())
        return (parameter.get("in", ""), order.get(parameter.get("name", ""), 0), parameter.get("name", ""))

    if "$ref" in item:
        raise Refused(pointer("paths", path, "$ref"), "$ref of a whole path cannot be expressed", IN_A_COPY)
    shared = {"servers": item["servers"]} if "servers" in item else {}
    said = {name: shared | item[name] if name in METHODS else item[name] for name in ("parameters", *METHODS) if name in item}
    kept = {name: _kept(one, "operation") for name, one in said.items()}
    for said in (kept, *(kept[method] for method in METHODS if method in kept)):
        said.get("parameters", []).sort(key=place)
    return kept


def _kept(value: Any, name: str) -> Any:
    if isinstance(value, list):
        if name == "required" and all(isinstance(item, str) for item in value):
            return sorted(set(value))
        if name == "enum":
            return sorted(value, key=lambda item: (item is None, str(type(item)), item if isinstance(item, (int, float)) else str(item)))
        return [_kept(item, "") for item in value]
    if not isinstance(value, dict):
        return value
    said = {key: value[key] for key in sorted(value, key=str)}
    if name in NAMED:  # keys are names here, not keywords
        return {str(key): _kept(item, "status" if name == "responses" else "") for key, item in said.items()}
    kept = {}
    for key, item in said.items():
        is_prose = key in PROSE or (key.startswith("x-") and key not in KEPT_EXTENSIONS)
        is_sentence = key == "title" and not (isinstance(item, str) and _WORD.match(item)) and name != "info"
        if not is_prose and not is_sentence:
            kept[key] = item if key in ("default", "const") else _kept(item, key)
    if name == "status" and "$ref" not in kept:
        kept["description"] = ""
    return kept
