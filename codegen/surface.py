"""Names of the facade: which resource and method an operation is, and whether it may be repeated.

`openapi/surface.yaml` says it for the operations it knows. One that it does not know names itself, in the order of choice:

- by the document's own hints (``x-retell-sdk-resource`` and ``-method``);
- as a known operation whose path is the same but for its version: ``/v4/list-calls`` as ``/v3/list-calls``;
- by verb and noun of its path: ``/v2/list-phone-numbers``. The noun starts with one that known paths have, and belongs where these belong
  (``retell-llm`` to ``llm``; ``test-run`` to ``tests``, whose methods go on to say it), or else with a resource, and what is left of it
  goes behind the verb; or it ends with a resource, and goes behind the verb whole: ``call.create_web_call``. Any other noun is a resource
  of its own.

Where two would have one name, the one of the older path gets ``_v1``, ``_v2``, ... A name that the client or its resources have
themselves (``client.copy``, ``with_raw_response``) is refused, and the surface has to say another: ``client.copy_``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import attrs

from . import marks
from .document import Json, Refused, operation_key, operations, pointer
from .passes.lift import singular
from .reserved import METHODS, RESOURCES, aside, is_name, members

Repeat = Literal["safe", "idempotency_key", "unsafe"]

_INHERITS = "inherits"
_VERBS = {"get": "retrieve"}
_READING = re.compile(r"^/(v\d+/)?(list|get|search)-")


@attrs.frozen
class Method:
    """Where users find an operation: ``client.<resource>.<name>``."""

    resource: str
    name: str

    def __str__(self) -> str:
        return f"{self.resource}.{self.name}"


@attrs.frozen
class Entry:
    """What the facade knows of an operation."""

    methods: tuple[Method, ...]
    repeat: Repeat
    timeout: float | None
    """Seconds, where an operation needs longer than others."""
    limit: str | None
    """The name of the limit that it shares with other operations; ``None`` where it has one of its own."""
    named: bool
    """Whether the surface names it, or it named itself."""


def helpers(surface: Json) -> dict[str, str]:
    """The classes in ``retell_async/_helpers`` that the classes of resources inherit, by resource; each is in the file of that name."""
    return dict(surface.get(_INHERITS) or {})


def entries(document: Json, surface: Json) -> dict[str, Entry]:
    """An entry for every operation, by ``METHOD /path``."""
    by_hand = {resource: members(f"_helpers/{resource}.py", name) for resource, name in helpers(surface).items()}
    surface = {key: said for key, said in surface.items() if key != _INHERITS}
    found: dict[str, Entry] = {}
    taken: dict[Method, str] = {}
    keys = [(operation_key(method, path), path, operation) for method, path, operation in operations(document)]
    for key, path, _ in keys:
        if (said := surface.get(key)) is not None:
            methods = tuple(_said(key, str(name)) for name in said["methods"])
            found[key] = Entry(methods, said.get("repeat", _repeat(key, path)), said.get("timeout"), said.get("limit"), named=True)
            for method in methods:
                if method in taken:
                    raise Refused(pointer("surface", key), f"{method} is {taken[method]} already")
                taken[method] = key
    for key, path, operation in sorted(keys, key=lambda item: (-_version(item[1]), item[0])):
        if key in found:
            continue
        method = _reachable(_named_by_itself(path, operation, surface), pointer("paths", path), key)
        if method in taken:
            method = attrs.evolve(method, name=f"{method.name}_v{_version(path)}")
        if method in taken:
            raise Refused(pointer("paths", path), f"names itself {method}, as {taken[method]} does: name it in the surface")
        taken[method] = key
        found[key] = Entry((method,), _repeat(key, path), None, None, named=False)
    for method, key in taken.items():
        if method.name in by_hand.get(method.resource, ()):
            raise Refused(pointer("surface", key), f"client.{method} is written by hand in retell_async/_helpers: give one another name")
    return {key: found[key] for key, _, _ in keys}


def _said(key: str, name: str) -> Method:
    """A method as the surface names it."""
    method = Method(*name.partition(".")[::2])
    if any(not is_name(part) or part.startswith("_") for part in (method.resource, method.name)):
        raise Refused(pointer("surface", key), f"{name} is no name of a method: <resource>.<method> is needed")
    return _reachable(method, pointer("surface", key), key)


def _reachable(method: Method, where: str, key: str) -> Method:
    """Refuse a name that the client or its resources have themselves."""
    free = Method(aside(method.resource, RESOURCES), aside(method.name, METHODS))
    if free != method:
        raise Refused(where, f"client.{method} is taken: name it in openapi/surface.yaml, such as {key}: {{methods: [{free}]}}")
    return method


def _version(path: str) -> int:
    match = re.match(r"/v(\d+)/", path)
    return int(match.group(1)) if match else 1


def _repeat(key: str, path: str) -> Repeat:
    """Only what reads, replaces or removes may be repeated; anything else that posts may create something."""
    if not key.startswith("POST ") or _READING.match(path):
        return "safe"
    return "unsafe"


def _named_by_itself(path: str, operation: Json, surface: Json) -> Method:
    resource, name = operation.get(marks.SDK_RESOURCE), operation.get(marks.SDK_METHOD)
    if isinstance(resource, str) and isinstance(name, str):
        return Method(_identifier(path, resource), _identifier(path, name))
    verb, *noun = _words(path)
    said = {
        tuple(_singular(_words(str(key).partition(" ")[2]))): Method(*str(known["methods"][0]).split(".")) for key, known in surface.items()
    }
    if (twin := said.get((verb, *_singular(noun)))) is not None:
        return twin
    nouns, resources = _known(said)
    for length in range(len(noun), 0, -1):
        start = "_".join(_singular(noun[:length]))
        if start in nouns or start in resources:
            resource, spoken = nouns.get(start, (start, False))
            rest = noun if spoken else noun[length:]
            break
    else:
        ends = ["_".join(_singular(noun[length:])) for length in range(len(noun))]
        resource = next((end for end in ends if end in resources), ends[0])
        rest = noun if resource != ends[0] else []
    verb = verb if rest else _VERBS.get(verb, verb)
    return Method(_identifier(path, resource), _identifier(path, "_".join([verb, *rest])))


def _words(path: str) -> list[str]:
    """Verb and noun of a path; its first word is both if it has only one."""
    words = re.sub(r"^/v\d+/", "/", path).split("/")[1].split("-")
    return words if len(words) > 1 else words * 2


def _singular(words: Sequence[str]) -> list[str]:
    return [*words[:-1], singular(words[-1])]


def _known(said: dict[tuple[str, ...], Method]) -> tuple[dict[str, tuple[str, bool]], set[str]]:
    """What the surface teaches: where a noun belongs, and whether methods there say it; and all resources.

    A noun is learned from ``list`` and ``get``, whose whole noun is one kind of thing, where its methods agree.
    """
    resources = {method.resource for method in said.values()}
    nouns: dict[str, set[tuple[str, bool]]] = {}
    for (verb, *noun), method in said.items():
        if verb in ("list", "get", "create", "delete"):
            whole = "_".join(noun)
            spoken = any(method.name.endswith(end) for end in (f"_{whole}", f"_{whole}s"))
            if spoken or method.name in ("list", "get", "retrieve", "create", "delete"):
                nouns.setdefault(whole, set()).add((method.resource, spoken))
    return {noun: next(iter(places)) for noun, places in nouns.items() if len(places) == 1}, resources


def _identifier(path: str, wanted: str) -> str:
    name = aside(re.sub(r"[^A-Za-z0-9]+", "_", wanted).strip("_").lower(), frozenset())
    if not is_name(name):
        raise Refused(pointer("paths", path), f"{wanted!r} cannot be made a name in Python: name it in openapi/surface.yaml")
    return name
