"""Names of the facade: which resource and method an operation is, and whether it may be repeated.

`openapi/surface.yaml` says it for the operations it knows. One that it does not know names itself: by the document's own hints
(``x-retell-sdk-resource`` and ``-method``), else by its path: ``/v2/list-phone-numbers`` is verb and noun, the noun starts with a
resource, what is left of it goes behind the verb. Where two would have one name, the one of the older path gets ``_v1``, ``_v2``, ...
"""

from __future__ import annotations

import keyword
import re
from typing import Literal

import attrs

from .document import Json, Refused, operations, pointer
from .passes.lift import singular

Repeat = Literal["safe", "idempotency_key", "unsafe"]

_VERBS = {"get": "retrieve"}
_READING = re.compile(r"^/(v\d+/)?(list|get|search)-")


@attrs.frozen
class Method:
    """Where users find an operation: ``client.<resource>.<name>``."""

    resource: str
    name: str


@attrs.frozen
class Entry:
    """What the facade knows of an operation."""

    methods: tuple[Method, ...]
    repeat: Repeat
    timeout: float | None
    """Seconds, where an operation needs longer than others."""
    named: bool
    """Whether the surface names it, or it named itself."""


def entries(document: Json, surface: Json) -> dict[str, Entry]:
    """An entry for every operation, by ``METHOD /path``."""
    found: dict[str, Entry] = {}
    taken: dict[Method, str] = {}
    keys = [(f"{method.upper()} {path}", path, operation) for method, path, operation in operations(document)]
    known = {str(name).partition(".")[0] for said in surface.values() for name in said["methods"]}
    for key, path, _ in keys:
        if (said := surface.get(key)) is not None:
            methods = tuple(Method(*str(name).split(".")) for name in said["methods"])
            found[key] = Entry(methods, said.get("repeat", _repeat(key, path)), said.get("timeout"), named=True)
            for method in methods:
                if method in taken:
                    raise Refused(pointer("surface", key), f"{method.resource}.{method.name} is {taken[method]} already")
                taken[method] = key
    for key, path, operation in sorted(keys, key=lambda item: (-_version(item[1]), item[0])):
        if key in found:
            continue
        method = _named_by_itself(path, operation, known)
        if method in taken:
            method = attrs.evolve(method, name=f"{method.name}_v{_version(path)}")
        if method in taken:
            name = f"{method.resource}.{method.name}"
            raise Refused(pointer("paths", path), f"names itself {name}, as {taken[method]} does: name it in the surface")
        taken[method] = key
        found[key] = Entry((method,), _repeat(key, path), None, named=False)
    return {key: found[key] for key, _, _ in keys}


def _version(path: str) -> int:
    match = re.match(r"/v(\d+)/", path)
    return int(match.group(1)) if match else 1


def _repeat(key: str, path: str) -> Repeat:
    """Only what reads, replaces or removes may be repeated; anything else that posts may create something."""
    if not key.startswith("POST ") or _READING.match(path):
        return "safe"
    return "unsafe"


def _named_by_itself(path: str, operation: Json, known: set[str]) -> Method:
    resource, name = operation.get("x-retell-sdk-resource"), operation.get("x-retell-sdk-method")
    if isinstance(resource, str) and isinstance(name, str):
        return Method(_identifier(resource), _identifier(name))
    words = re.sub(r"^/v\d+/", "/", path).split("/")[1].split("-")
    verb, noun = words[0], [*words[1:-1], singular(words[-1])] if len(words) > 1 else [words[0]]
    for length in range(len(noun), 0, -1):
        resource = "_".join(noun[:length])
        if resource in known:
            break
    else:
        resource = "_".join(noun)
    rest = "_".join(noun).removeprefix(resource).strip("_")
    verb = verb if rest else _VERBS.get(verb, verb)
    return Method(_identifier(resource), _identifier(f"{verb}_{rest}" if rest else verb))


def _identifier(name: str) -> str:
    name = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_").lower()
    return f"{name}_" if keyword.iskeyword(name) or not name.isidentifier() else name
