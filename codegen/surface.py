"""Names of the facade: which resource and method an operation is, and whether it may be repeated.

`openapi/surface.yaml` says it for the operations that it knows: by method and path, and where the document no longer has these, by the
operation's id, or as the same path of another version (`known`).

One that the surface does not know names itself (`codegen/README.md`).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from copy import deepcopy
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import attrs
from jsonschema_rs import Draft4Validator

from . import marks
from .document import PATTERNS, Json, Refused, by_key, load_file, pointer, resolved
from .operation import answer, body, keywords, properties
from .passes.lift import pascal, singular
from .passes.names import module_name, python_name
from .reserved import KEYWORDS, METHODS, RESOURCES, aside, is_name, members

Repeat = Literal["safe", "idempotency_key", "unsafe"]
Effect = Literal["read", "write", "delete"]
Asks = Literal["money", "deletion"]

_HTTP = {"post": "create", "put": "update", "patch": "update", **{verb: verb for verb in ("delete", "head", "options", "trace")}}
_KEYS = (f"ra-{'0' * 32}", f"ra-{'0' * 32}-{'0' * 50}")
"""Keys as `retell_async/_engine/idempotency.py` makes them: alone, and with the trace that a request belongs to."""
_VERBS = {kind: frozenset(words) for kind, words in load_file(Path(__file__).with_name("verbs.yaml")).items()}
_STEMS = {stem for verb in _VERBS["acting"] for stem in (verb, verb.removesuffix("e"), verb + verb[-1], re.sub("y$", "i", verb))}
_ACTS = frozenset(stem + end for stem in _STEMS for end in ("", "s", "es", "ed", "ing"))
"""Verbs that act, as participles and in the plural too."""


@attrs.frozen
class Entry:
    """What the facade knows of an operation."""

    methods: tuple[str, ...]
    """Where users find it below ``client``: ``<resource>.<name>``."""
    repeat: Repeat
    named: bool
    """Whether the surface names it, or it named itself."""
    effect: Effect
    asks: Mapping[str, Asks]
    """What a human is asked about before: under ``""`` always, else where that argument is given."""
    renamed: Mapping[str, str]
    """Keywords as they were called before, and as they are called now."""
    timeout: float | None = None
    """Seconds, where an operation needs longer than others."""
    limit: str | None = None
    """The name of the limit that it shares with other operations; ``None`` where it has one of its own."""
    open_world: bool = False
    """Whether it reaches people or the web, or gives back what these said."""
    tool: str | None = None
    """What it is called as a tool for models; ``None`` where it is none."""


def known(document: Json, surface: Json) -> dict[str, tuple[str, str]]:
    """For each operation that the surface knows, the key under which it does, and ``""``, or ``_v1`` if a newer one has its names."""
    surface = _operations(surface)
    there = by_key(document)
    ids = {str(said["id"]): key for key, said in surface.items() if "id" in said and key not in there}
    shapes: dict[tuple[str, ...], str] = {shape(key): key for key in sorted(surface, key=_version)}
    groups: dict[tuple[object, ...], list[tuple[str, str]]] = defaultdict(list)
    for key, operation in there.items():
        meant = key if key in surface else ids.get(str(operation.get("operationId"))) or shapes.get(shape(key))
        if meant is not None:  # versions that the surface knows one by one are one operation if they have the same names there
            groups[shape(meant), *surface[meant].get("methods", ())].append((key, meant))
    found: dict[str, tuple[str, str]] = {}
    for pairs in groups.values():
        newest = max(pairs, key=lambda pair: (_version(pair[0]), pair[0] == pair[1]))
        found |= {key: (meant, "" if (key, meant) == newest else _suffix(key)) for key, meant in pairs}
    return found


def adopted(document: Json, surface: Json) -> Json:
    """A copy of a document whose operations have the ids by which the surface knows them, and a mark that says as what it does."""
    meanings, adopting = known(document, surface), deepcopy(document)
    taken: set[str] = set()
    for key, operation in sorted(by_key(adopting).items(), key=lambda one: one[0] not in meanings):
        meant, version = meanings.get(key, (key, ""))
        said = surface.get(meant, {}).get("id")
        id = f"{said}{version[1:].upper()}" if said else operation.get("operationId")
        if said and module_name(str(id)) in taken:
            raise Refused(pointer("surface", meant, "id"), f"{id} is the id of another operation too")
        if not id or module_name(str(id)) in taken:  # as a copied one is
            method, _, path = key.partition(" ")
            id = method.lower() + pascal(path)
        taken.add(module_name(str(id)))
        operation |= {"operationId": id, marks.KNOWN_AS: meant}
    return adopting


def entries(document: Json, surface: Json) -> dict[str, Entry]:
    """An entry for every operation, by ``METHOD /path``."""
    by_hand = {resource: _by_hand(resource, name) for resource, name in surface.get("inherits", {}).items()}
    meanings, surface = known(document, surface), _operations(surface)
    found: dict[str, Entry] = {}
    taken = {f"{resource}.{name}": "written by hand" for resource, names in by_hand.items() for name in names}
    there, tools = by_key(document), dict[str, str]()
    for key, operation in sorted(sorted(there.items()), key=lambda one: (one[0] in meanings, _version(one[0])), reverse=True):
        meant, version = meanings.get(key, (key, ""))
        said: Json = surface.get(meant, {})
        methods = tuple(f"{name}{version}" for name in said.get("methods", ()))
        if not methods:
            for name in _named_by_itself(key, operation, surface):  # one by one: a later one may be no name
                is_version = name in taken and shape(taken[name]) == shape(key)
                methods = (f"{name}{_suffix(key)}" if is_version else name,)
                if is_version or name not in taken:
                    break
        of_another = is_another(meant, key)  # of which nobody has said that it only reads, or that it is free
        is_said = "repeat" in said and not (of_another and said["repeat"] == "safe")
        repeat: Repeat = said["repeat"] if is_said else _repeat(document, key, operation, surface)
        if repeat == "idempotency_key" and not _takes_key(document, operation):
            repeat = "unsafe"
        effect: Effect = "delete" if _effect(meant) == "delete" else _effect(key)  # by whatever method it deletes from now on
        asks: Any = said.get("asks", "deletion" if effect == "delete" else {})  # what deletes asks, whether or not anybody says so
        asked = asks if isinstance(asks, dict) else {"": asks}
        names = set[str]() if "methods" in said else asked.keys() - {""}  # of those that have some it is looked at as what is relied on
        if names and (lost := names - {aside(python_name(name), KEYWORDS) for name in keywords(document, operation)}):
            raise Refused(pointer("surface", meant, "asks"), f"{methods[0]} takes no {min(lost)}")
        if is_new := (of_another or not said) and repeat != "safe" and effect != "delete":
            effect, asked = "write", {**asked, "": "money"}
        own = {name: said[name] for name in ("timeout", "limit", "open_world", *(() if version or is_new else ("tool",))) if name in said}
        found[key] = Entry(methods, repeat, key in surface, effect, asked, said.get("renamed") or {}, **own)
        if (tool := found[key].tool) and tools.setdefault(tool, meant) != meant:
            raise Refused(pointer("surface", meant, "tool"), f"{tool} is what {tools[tool]} is called as a tool")
        for old in found[key].renamed:
            if not is_name(old) or old in KEYWORDS:
                raise Refused(pointer("surface", meant), f"{old} cannot have been a keyword of {methods[0]}")
        where = pointer("surface", key) if key in surface else pointer("paths", key.partition(" ")[2])
        for method in methods:
            if any(not is_name(part) or part.startswith("_") for part in method.partition(".")[::2]):
                raise Refused(pointer("surface", meant), f"{method} is no name of a method: <resource>.<method> is needed")
            free = ".".join(map(aside, method.split("."), (RESOURCES, METHODS)))
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
    """What code by hand cannot do without: what the surface says so of, as lists where they are, and what paths and ``asks`` there name."""
    found: set[str] = set()
    for said in surface.get("relied_on", ()):
        for name, held in said.items() if isinstance(said, dict) else [(said, ())]:
            found |= {name, f"{name} as a list", *(f"{name}: {one}" for one in held)}
    for key, said in _operations(surface).items():
        asks: Any = said.get("asks")
        arguments = [*re.findall(r"{([^}]*)}", key), *(asks if isinstance(asks, dict) else ())]
        found |= {f"{method}({name})" for method in said.get("methods", ()) for name in arguments}
    return found


def _operations(surface: Json) -> Json:
    return {key: said for key, said in surface.items() if " " in key}


def _effect(key: str) -> Effect:
    method, _, segments = _parts(key)
    reads = method == "get" or segments[0].split("-")[0] in _VERBS["reading"]
    return "delete" if method == "delete" else "read" if reads else "write"


def _takes_key(document: Json, operation: Json) -> bool:
    """Whether the body of a request has a field for the keys that this package makes."""
    field, _ = properties(document, body(document, operation), sent=True).get("idempotency_key", ({}, False))
    said = resolved(document, field)
    try:  # by another engine than Python's, which a pattern can keep busy for ever
        fits = Draft4Validator(said, pattern_options=PATTERNS).is_valid
        return said.get("type") == "string" and "format" not in said and all(map(fits, _KEYS))
    except ValueError:
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


def shape(key: str) -> tuple[str, ...]:
    """The same for all versions of an operation, and for a list that is asked for in another way."""
    method, _, segments = _parts(key)
    verb, *noun = segments[0].split("-")
    said = [re.sub(r"{[^}]*}", "{}", segment) for segment in segments[1:]]
    if verb in ("list", "get", "search") and noun and method in ("get", "post"):
        return ("", "-".join([verb, *_singular(noun)]), *said)
    return (method, segments[0], *said)


def is_another(key: str, other: str) -> bool:
    """Whether what is true of one operation need not be so of the other: it is of another thing, or has another HTTP method."""
    return (shape(key), _parts(key)[0]) != (shape(other), _parts(other)[0])


def _repeat(document: Json, key: str, operation: Json, surface: Json) -> Repeat:
    """Only what is known to read may be repeated before somebody has looked: anything else may create, send, buy or end something.

    That is a GET whose path says that it reads, or names nothing but things in the plural, and a POST that lists things; both answer with
    something, and the id does not say otherwise.
    """
    method, _, segments = _parts(key)
    first, *rest = said = [_split(part) or [""] for part in _spoken(segments)] or [[""]]
    words, by_id = {*chain(*said)}, [word for word in _split(str(operation.get("operationId", ""))) if len(word) > 1]
    nouns, resources, _ = _taught(surface)
    known, given = nouns.keys() | resources, answer(operation)

    def are_things(words: list[str]) -> bool:
        return singular(words[-1]) != words[-1] and (len(words) == 1 or "_".join(_singular(words)) in known)

    things = {word for name in known for word in name.split("_")}  # a call is one, though to call somebody is not
    ends = {one[-1] for one in said if (one[1:] or one is not first) and not (one[0] == "list" and are_things(one[-1:]))}
    # `get-sms-send` acts, and `get-sync-status` does not, nor does `list-agent-exports`.
    acts = {end for end in ends & _ACTS if not {end, singular(end)} & things}
    if given is None or acts or _VERBS["more"] & {*words, *by_id} or not (_VERBS["reading"] & {*by_id[:1]} or words.issuperset(by_id)):
        reads = False
    elif method == "get":
        reads = (first[0] in _VERBS["reading"] or are_things(first)) and all(map(are_things, rest))
    else:
        fields = [given, *(field for field, _ in properties(document, given, sent=False).values())]
        lists = first[0] in ("list", "search") and "array" in {resolved(document, one).get("type") for one in fields}
        reads = method == "post" and lists and not rest and not words & _VERBS["acting"] and (are_things(first[-1:]) or first[-1] in known)
    return "safe" if reads else "unsafe"


def _spoken(segments: Sequence[str]) -> list[str]:
    """What segments of a path say: all but their parameters. What stands beside one, or behind a colon, is apart."""
    return [part for segment in segments for part in re.split(r"[^\w{]*{[^}]*}[^\w{]*|:", segment) if part]


def _split(name: str) -> list[str]:
    """The words of ``start-campaign``, ``start_campaign`` or ``startCampaign``."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]


def _named_by_itself(key: str, operation: Json, surface: Json) -> Iterator[str]:
    """Names for an operation, the best first."""
    path = key.partition(" ")[2]
    hinted, name = operation.get(marks.SDK_RESOURCE), operation.get(marks.SDK_METHOD)
    if isinstance(hinted, str) and isinstance(name, str):
        yield f"{_identifier(path, hinted)}.{_identifier(path, name)}"
    places = [_place(key, surface, whole=whole) for whole in (False, True)]
    short = [(resource, ["retrieve" if verb == "get" and not rest else verb, *rest]) for verb, _, resource, rest in places]
    for resource, words in [*short, *((resource, [verb, *noun]) for verb, noun, resource, _ in places)]:
        yield f"{_identifier(path, resource)}.{_identifier(path, '_'.join(words))}"


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
    telling = segments if whole else [*segments[:1], *segments[1:][-1:]]
    said = [part.split("-") for part in _spoken(telling)] or [["root"]]
    (verb, *noun), *rest = said
    is_things = not noun and singular(verb) != verb  # `POST /widgets` makes one
    if verb in verbs or (method == "post" and not rest and singular(verb) not in nouns and not is_things):
        return verb, [*(noun or [verb]), *chain(*rest)]
    if rest and method == "post":  # /campaigns/{id}/start
        return "_".join(rest[-1]), [*chain(*said[:-1])]
    words = [*chain(*said)]
    one = segments[-1].endswith("}") or singular(words[-1]) == words[-1]
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
        resource, _, name = str(said["methods"][0]).partition(".")
        resources.add(resource)
        if name.split("_")[0] == verb:
            verbs |= {verb}
        if verb in ("list", "get", "create", "delete"):
            whole = "_".join(_singular(noun))
            spoken = name.endswith((f"_{whole}", f"_{whole}s"))
            if spoken or name in ("list", "get", "retrieve", "create", "delete"):
                nouns.setdefault(whole, set()).add((resource, spoken))
    return {noun: next(iter(places)) for noun, places in nouns.items() if len(places) == 1}, resources, verbs


def _identifier(path: str, wanted: str) -> str:
    name = aside(re.sub(r"[^A-Za-z0-9]+", "_", wanted).strip("_").lower(), frozenset())
    if not is_name(name):
        raise Refused(pointer("paths", path), f"{wanted!r} cannot be made a name in Python: name it in openapi/surface.yaml")
    return name
