"""Names of the facade: which resource and method an operation is, and whether it may be repeated.

`openapi/surface.yaml` says it for the operations that it knows: by method and path, and where the document no longer has these, by the
operation's id, or as the same path of another version (`known`).

One that the surface does not know names itself (`codegen/README.md`).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import attrs
from jsonschema import Draft202012Validator

from . import marks
from .document import Json, Refused, by_key, load_file, operation_key, operations, pointer, resolved
from .operation import body, properties
from .passes.lift import pascal, singular
from .passes.names import module_name
from .reserved import KEYWORDS, METHODS, RESOURCES, aside, is_name, members

Repeat = Literal["safe", "idempotency_key", "unsafe"]
Effect = Literal["read", "write", "delete"]
Asks = Literal["money", "deletion"]

_HTTP = {"post": "create", "put": "update", "patch": "update", "delete": "delete"}
_KEYS = (f"ra-{'0' * 32}", f"ra-{'0' * 32}-{'0' * 50}")
"""Keys as `retell_async/_engine/idempotency.py` makes them: alone, and with the trace that a request belongs to."""
_VERBS = {kind: frozenset(words) for kind, words in load_file(Path(__file__).with_name("verbs.yaml")).items()}


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
    effect: Effect
    asks: Mapping[str, Asks]
    """What a human is asked about before: under ``""`` always, else where that argument is given."""
    open_world: bool = False
    """Whether it reaches people or the web, or gives back what these said."""
    renamed: Mapping[str, str] = attrs.field(factory=dict[str, str])
    """Keywords as they were called before, and as they are called now."""
    tool: str | None = None
    """What it is called as a tool for models; ``None`` where it is none."""


def known(document: Json, surface: Json) -> dict[str, tuple[str, str]]:
    """For each operation that the surface knows, the key under which it does, and ``""``, or ``_v1`` if a newer one has its names."""
    surface = _operations(surface)
    there = by_key(document)
    ids = {str(said["id"]): key for key, said in surface.items() if "id" in said and key not in there}
    shapes: dict[tuple[str, ...], str] = {_shape(key): key for key in sorted(surface, key=_version)}
    groups: dict[tuple[object, ...], list[tuple[str, str]]] = defaultdict(list)
    for key, operation in there.items():
        meant = key if key in surface else ids.get(str(operation.get("operationId"))) or shapes.get(_shape(key))
        if meant is not None:  # versions that the surface knows one by one are one operation if they have the same names there
            groups[_shape(meant), *surface[meant].get("methods", ())].append((key, meant))
    found: dict[str, tuple[str, str]] = {}
    for pairs in groups.values():
        newest = max(pairs, key=lambda pair: (_version(pair[0]), pair[0] == pair[1]))
        found |= {key: (meant, "" if (key, meant) == newest else _suffix(key)) for key, meant in pairs}
    return found


def adopted(document: Json, surface: Json) -> Json:
    """A copy of a document whose operations have the ids by which the surface knows them, and a mark that says as what it does."""
    meanings = known(document, surface)
    paths: Json = {path: dict(item) for path, item in document["paths"].items()}
    taken: set[str] = set()
    some = [(method, path, operation, operation_key(method, path)) for method, path, operation in operations(document)]
    for method, path, operation, key in sorted(some, key=lambda one: one[3] not in meanings):
        meant, version = meanings.get(key, (key, ""))
        said = surface.get(meant, {}).get("id")
        id = f"{said}{version[1:].upper()}" if said else operation.get("operationId")
        if not id or module_name(str(id)) in taken:  # as a copied one is
            id = method + pascal(path)
        taken.add(module_name(str(id)))
        paths[path][method] = {**operation, "operationId": id, marks.KNOWN_AS: meant}
    return {**document, "paths": paths}


def entries(document: Json, surface: Json) -> dict[str, Entry]:
    """An entry for every operation, by ``METHOD /path``."""
    by_hand = {resource: _by_hand(resource, name) for resource, name in surface.get("inherits", {}).items()}
    meanings, surface = known(document, surface), _operations(surface)
    found: dict[str, Entry] = {}
    taken = {Method(resource, name): "written by hand" for resource, names in by_hand.items() for name in names}
    there = by_key(document)
    for key in sorted(sorted(there), key=lambda key: (key in meanings, _version(key)), reverse=True):
        meant, version = meanings.get(key, (key, ""))
        operation = there[key]
        said: Json = surface.get(meant, {})
        methods = tuple(_said(meant, f"{name}{version}") for name in said.get("methods", ()))
        if not methods:
            names = _named_by_itself(key, operation, surface)  # one by one: a later one may be no name
            method = next(names)
            while method in taken and _shape(taken[method]) != _shape(key) and (other := next(names, None)):
                method = other
            if method in taken and _shape(taken[method]) == _shape(key):
                method = attrs.evolve(method, name=f"{method.name}{_suffix(key)}")
            methods = (method,)
        repeat: Repeat = said.get("repeat", _repeat(key, operation))
        if repeat == "idempotency_key" and not _takes_key(document, operation):
            repeat = "unsafe"
        elif repeat == "safe" and _shape(meant) != _shape(key):  # of another thing, or by another HTTP method: what it says of itself
            repeat = _repeat(key, operation)
        effect = _effect(key)
        asks: Any = said.get("asks", "deletion" if effect == "delete" else {})  # what deletes asks, whether or not anybody says so
        if not said and repeat != "safe" and effect != "delete":  # nobody has said that it only reads, or that it is free
            effect, asks = "write", "money"
        found[key] = Entry(
            methods,
            repeat,
            said.get("timeout"),
            said.get("limit"),
            named=key in surface,
            effect=effect,
            asks=asks if isinstance(asks, dict) else {"": asks},
            open_world=bool(said.get("open_world")),
            renamed=_renamed(meant, said),
            tool=None if version else said.get("tool"),
        )
        where = pointer("surface", key) if key in surface else pointer("paths", key.partition(" ")[2])
        for method in methods:
            free = Method(aside(method.resource, RESOURCES), aside(method.name, METHODS))
            if free != method:  # the client or its resources have that themselves: nobody could call it
                raise Refused(where, f"client.{method} is taken: name it in openapi/surface.yaml, such as {key}: {{methods: [{free}]}}")
            if method in taken:
                raise Refused(where, f"{method} is {taken[method]} already: name it in the surface")
            taken[method] = key
    return {key: found[key] for key in there}


def _by_hand(resource: str, name: str) -> set[str]:
    """The methods by hand of a resource, which an `AsyncRetell` and a `Retell` need alike."""
    files = (f"_helpers/{resource}.py", "_blocking/helpers.py")
    where = pointer("surface", "inherits", resource)
    needed = f"a class {name} is needed in retell_async/{' and in retell_async/'.join(files)}; see CONTRIBUTING.md"
    try:
        one, other = ({member for member in members(file, name) if not member.startswith("_")} for file in files)
    except (OSError, ValueError) as error:
        raise Refused(where, needed) from error
    if one != other:
        lacks = f"{name} of retell_async/{files[min(one ^ other) in one]} has no {min(one ^ other)}, and that of the other client has"
        raise Refused(where, f"{lacks}: write both that openapi/surface.yaml names")
    return one


def relied_on(surface: Json) -> set[str]:
    """What code by hand cannot do without: what the surface lists, and the arguments that it names, as ``call.retrieve(call_id)``."""
    found: set[str] = set(surface.get("relied_on", ()))
    for key, said in _operations(surface).items():
        asks: Any = said.get("asks")
        arguments = [*re.findall(r"{([^}]*)}", key), *(asks if isinstance(asks, dict) else ())]
        found |= {f"{method}({name})" for method in said.get("methods", ()) for name in arguments}
    return found


def _operations(surface: Json) -> Json:
    return {key: said for key, said in surface.items() if " " in key}


def _said(key: str, name: str) -> Method:
    """A method as the surface names it."""
    resource, _, method = name.partition(".")
    if any(not is_name(part) or part.startswith("_") for part in (resource, method)):
        raise Refused(pointer("surface", key), f"{name} is no name of a method: <resource>.<method> is needed")
    return Method(resource, method)


def _renamed(key: str, said: Json) -> dict[str, str]:
    """Old keywords and what stands for them, as the surface has them."""
    renamed: dict[str, str] = said.get("renamed") or {}
    for old in renamed:
        if not is_name(old) or old in KEYWORDS:
            raise Refused(pointer("surface", key), f"{old} cannot have been a keyword of {said.get('methods', [key])[0]}")
    return renamed


def _effect(key: str) -> Effect:
    method, _, segments = _parts(key)
    reads = method == "get" or segments[0].split("-")[0] in _VERBS["reading"]
    return "delete" if method == "delete" else "read" if reads else "write"


def _takes_key(document: Json, operation: Json) -> bool:
    """Whether the body of a request has a field for the keys that this package makes."""
    field, _ = properties(document, body(document, operation), sent=True).get("idempotency_key", ({}, False))
    said = resolved(document, field)
    try:
        return said.get("type") == "string" and "format" not in said and all(map(Draft202012Validator(said).is_valid, _KEYS))
    except re.error:
        return False


def _parts(key: str) -> tuple[str, tuple[int, ...], list[str]]:
    """HTTP method, version and segments of an operation's key."""
    method, _, path = key.partition(" ")
    match = re.match(r"/v(\d+(?:\.\d+)*)(?=/)", path)
    version = tuple(map(int, match[1].split("."))) if match else (1,)
    return method.lower(), version, path[match.end() if match else 0 :].strip("/").split("/")


def _version(key: str) -> tuple[int, ...]:
    return _parts(key)[1]


def _suffix(key: str) -> str:
    """What a version that is not the newest has behind its name."""
    return f"_v{'_'.join(map(str, _version(key)))}"


def _shape(key: str) -> tuple[str, ...]:
    """The same for all versions of an operation, and for a list that is asked for in another way."""
    method, _, segments = _parts(key)
    verb, *noun = segments[0].split("-")
    said = [re.sub(r"{[^}]*}", "{}", segment) for segment in segments[1:]]
    if verb in ("list", "get", "search") and noun and method in ("get", "post"):
        return ("", "-".join([verb, *_singular(noun)]), *said)
    return (method, segments[0], *said)


def _repeat(key: str, operation: Json) -> Repeat:
    """Only what reads may be repeated before somebody has looked: anything else may create, send, buy or end something.

    Any word of the path may say that it acts, or the first one of its id. A POST is believed to read only where its whole path says so.
    """
    method, _, segments = _parts(key)
    said = [_split(segment) for segment in segments if not segment.startswith("{")]
    words = [*chain(*said)]
    acts = {*words, *_split(str(operation.get("operationId")))[:1]} & (_VERBS["acting"] | _VERBS["done"])
    is_believed = len(said) == 1 and not _VERBS["only_reading"].isdisjoint(words[:1])
    return "safe" if not acts and (method in ("get", "head", "options") or (method == "post" and is_believed)) else "unsafe"


def _split(name: str) -> list[str]:
    """The words of ``start-campaign``, ``start_campaign`` or ``startCampaign``."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]


def _named_by_itself(key: str, operation: Json, surface: Json) -> Iterator[Method]:
    """Names for an operation, the best first."""
    path = key.partition(" ")[2]
    hinted, name = operation.get(marks.SDK_RESOURCE), operation.get(marks.SDK_METHOD)
    if isinstance(hinted, str) and isinstance(name, str):
        yield Method(_identifier(path, hinted), _identifier(path, name))
    places = [_place(key, surface, whole=whole) for whole in (False, True)]
    short = [(resource, ["retrieve" if verb == "get" and not rest else verb, *rest]) for verb, _, resource, rest in places]
    for resource, words in [*short, *((resource, [verb, *noun]) for verb, noun, resource, _ in places)]:
        yield Method(_identifier(path, resource), _identifier(path, "_".join(words)))


def _place(key: str, surface: Json, *, whole: bool) -> tuple[str, list[str], str, list[str]]:
    """Verb and noun of an operation, the resource where it belongs, and what is left of its noun there.

    :param whole: with what stands between the parameters of the path.
    """
    nouns, resources, verbs = _taught(surface)
    verb, noun = _words(key, nouns.keys() | resources, verbs, whole=whole)
    for length in range(len(noun), 0, -1):
        start = "_".join(_singular(noun[:length]))
        if start in nouns or start in resources:
            resource, spoken = nouns.get(start, (start, False))
            return verb, noun, resource, noun if spoken else noun[length:]
    ends = ["_".join(_singular(noun[length:])) for length in range(len(noun))]
    resource = next((end for end in ends if end in resources), ends[0])
    return verb, noun, resource, noun if resource != ends[0] else []


def _words(key: str, nouns: Container[str], verbs: Container[str], *, whole: bool) -> tuple[str, list[str]]:
    """Verb and noun of an operation; its one word is both if it has only one."""
    method, _, segments = _parts(key)
    said = [
        segment.split("-")
        for index, segment in enumerate(segments)
        if not segment.startswith("{") and (whole or index == 0 or not segments[index + 1 : index + 2])
    ] or [["root"]]
    (verb, *noun), *rest = said
    if verb in verbs or (method == "post" and not rest and singular(verb) not in nouns):
        return verb, [*(noun or [verb]), *chain(*rest)]
    if rest and method == "post":  # /campaigns/{id}/start
        return "_".join(rest[-1]), [*chain(*said[:-1])]
    words = [*chain(*said)]
    one = segments[-1].startswith("{") or singular(words[-1]) == words[-1]
    return _HTTP.get(method, "get" if one else "list"), words


def _singular(words: Sequence[str]) -> list[str]:
    return [*words[:-1], singular(words[-1])] if words else []


def _taught(surface: Json) -> tuple[dict[str, tuple[str, bool]], set[str], frozenset[str]]:
    """What the surface teaches: where a noun belongs, and whether methods there say it; all resources; all verbs.

    A noun is learned from ``list`` and ``get``, whose whole noun is one kind of thing, where its methods agree.
    """
    nouns: dict[str, set[tuple[str, bool]]] = {}
    resources: set[str] = set()
    verbs = _VERBS["reading"] | _VERBS["acting"]
    for key, said in ((key, said) for key, said in surface.items() if "methods" in said):
        verb, *noun = _parts(key)[2][0].split("-")
        method = Method(*str(said["methods"][0]).split("."))
        resources.add(method.resource)
        if method.name.split("_")[0] == verb:
            verbs |= {verb}
        if verb in ("list", "get", "create", "delete"):
            whole = "_".join(_singular(noun))
            spoken = any(method.name.endswith(end) for end in (f"_{whole}", f"_{whole}s"))
            if spoken or method.name in ("list", "get", "retrieve", "create", "delete"):
                nouns.setdefault(whole, set()).add((method.resource, spoken))
    return {noun: next(iter(places)) for noun, places in nouns.items() if len(places) == 1}, resources, verbs


def _identifier(path: str, wanted: str) -> str:
    name = aside(re.sub(r"[^A-Za-z0-9]+", "_", wanted).strip("_").lower(), frozenset())
    if not is_name(name):
        raise Refused(pointer("paths", path), f"{wanted!r} cannot be made a name in Python: name it in openapi/surface.yaml")
    return name
