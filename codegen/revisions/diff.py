"""What one revision of the document changes for a user of this SDK, against another.

Both sides are taken as they are generated: prepared, with the overlay and the names of the facade. They are gone through side by side from
each operation, what is sent and what is answered apart, so that a change is counted where a user meets it and a class that only has another
name is no change of its fields. Where several places change in the same way, they are one change with several Python names.

How a change is classed, `docs/guides/regenerating.md` says.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Set as AbstractSet
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import attrs

from .. import marks
from ..document import SCALARS, TIGHTER, Json, by_key, is_object, load_file, ref_name, resolved, to_ref
from ..operation import Fields, answer, body, called, keywords, listing, properties
from ..passes.names import python_name
from ..prepare import prepare
from ..reserved import KEYWORDS, aside
from ..surface import Entry, entries, is_another

SENTENCES = load_file(Path(__file__).with_name("sentences.yaml"))
"""By what a change is about, in the order of the account, and by what happened to it: what release notes say."""

_HOLDERS = {"list": "array", "dict": "map"}
_KINDS = {"array": "array", "object": "map", **SCALARS}

Action = Literal["removed", "renamed", "moved", "required", "changed", "optional", "deprecated", "kept", "added"]


class Impact(StrEnum):
    """What a change means for code that uses this SDK, the worst first."""

    BREAKING = "breaking"
    ADDITIVE = "additive"
    INTERNAL = "internal"


@attrs.frozen
class Change:
    """One change, wherever it shows."""

    impact: Impact
    subject: str
    action: Action
    what: str
    """What changed, as the API calls it, and how."""
    names: tuple[str, ...]
    """Where it shows in Python."""
    resources: tuple[str, ...] = ()
    """The resources of the client that it is about."""


@attrs.frozen
class Revision:
    """One side: a prepared document, what the facade knows of its operations, these by key, and the names of its classes."""

    prepared: Json
    entries: dict[str, Entry]
    operations: dict[str, Json]
    classes: set[str]

    @classmethod
    def of(cls, document: Json, surface: Json) -> Revision:
        """From a document with its overlay."""
        prepared = prepare(document)
        return cls(prepared, entries(prepared, surface), by_key(prepared), {*prepared["components"]["schemas"]})

    @cached_property
    def offers(self) -> dict[str, str]:
        """All that code by hand can rely on, and with what each goes: methods, what lists, classes, arguments, fields, what these hold."""
        found = dict.fromkeys(self.classes, "")
        having: list[tuple[str, str, Json]] = []
        for key, operation in self.operations.items():
            lists = listing(self.prepared, answer(operation) or {})[0] != "one object"
            for method in self.entries[key].methods:
                found |= {method: "", **({f"{method} as a list": method} if lists else {})}
                having += [(method, f"{method}({name})", schema) for name, (schema, _) in keywords(self.prepared, operation).items()]
        for name in self.classes:
            for _, choice in choices(self.prepared, to_ref(name)):
                fields = properties(self.prepared, choice, sent=False)
                having += [(name, f"{name}.{field}", schema) for field, (schema, _) in fields.items()]
        for owner, name, schema in having:
            found |= {name: owner, **{f"{name}: {held}": name for held in _holdings(self.prepared, schema)}}
        return found

    def lost(self, new: Revision, relied_on: AbstractSet[str]) -> list[str]:
        """Of what code by hand relies on, what there is no longer; not what goes with its method or its class."""
        return sorted(one for one in relied_on & (self.offers.keys() - new.offers.keys()) if self.offers[one] in {"", *new.offers})

    def names(self, key: str) -> list[str]:
        """Where an operation is found: ``client.<resource>.<method>``."""
        return [f"client.{method}" for method in self.entries[key].methods]

    def signs(self, key: str) -> tuple[str, str, str]:
        """By what an operation is known again elsewhere, the surest first: its id, its names, what it takes and the class of its answer."""
        operation = self.operations[key]
        answered = ref_name(answer(operation) or {}) or key  # none is like one that answers with nothing that has a name
        form = [key.partition(" ")[0], answered, *sorted(keywords(self.prepared, operation))]
        return operation["operationId"], " ".join(self.names(key)), " ".join(form)


def difference(old: Revision, new: Revision) -> list[Change]:
    """All changes from one revision to another, the worst first."""
    found = _Difference(old, new)
    found.run()
    merged = [Change(*key, tuple(sorted(names)), tuple(sorted(about))) for key, (names, about) in found.changes.items()]
    impacts, subjects = list(Impact), list(SENTENCES)
    return sorted(merged, key=lambda one: (impacts.index(one.impact), subjects.index(one.subject), one.action, one.what))


def renamed(old: Revision, new: Revision) -> dict[str, str]:
    """Operations that go on under another path, old key to new key: by their id, their name in the facade, or else by what they say."""
    names = {method: key for key, entry in new.entries.items() for method in entry.methods}
    took = {key: names.get(entry.methods[0], key) for key, entry in old.entries.items() if key in new.entries}
    found = {key: other for key, other in took.items() if key != other and other not in old.entries}  # though it is still there
    for sign in range(3):
        olds = _alone(sign, old, new.operations.keys() | found.keys())
        news = _alone(sign, new, old.operations.keys() | {*found.values()})
        found |= {olds[said]: news[said] for said in olds.keys() & news.keys()}
    return found


def _alone(sign: int, revision: Revision, without: AbstractSet[str]) -> dict[str, str]:
    """Operations by one of their signs, where one alone has it."""
    signs = {key: revision.signs(key)[sign] for key in revision.operations.keys() - without}
    often = Counter(signs.values())
    return {said: key for key, said in signs.items() if often[said] == 1}


@attrs.define
class _Difference:
    old: Revision
    new: Revision
    changes: dict[tuple[Impact, str, Action, str], tuple[set[str], set[str]]] = attrs.field(factory=dict)
    _methods: tuple[str, ...] = ()
    _seen: set[tuple[str, str, bool]] = attrs.field(factory=set)
    _called: dict[str, str] = attrs.field(factory=dict)
    """Classes as they were called, and as they are called where they were met first."""

    def run(self) -> None:
        olds, news = self.old.operations, self.new.operations
        moved = renamed(self.old, self.new)
        gone = olds.keys() - news.keys() - moved.keys()
        others = {name: key for key in news for name in self.new.names(key)}
        for key in gone:
            self._methods = self.old.entries[key].methods
            for name in self.old.names(key):
                if name in others:
                    self._add("operation", "moved", f"{key} → {others[name]}", [name], breaks=True)
                else:
                    self._add("operation", "removed", key, [name], breaks=True)
        for key in news.keys() - {moved.get(key, key) for key in olds}:
            self._methods = self.new.entries[key].methods
            self._add("operation", "added", key, self.new.names(key))
            self._deprecation("operation", key, ({}, news[key]), self.new.names(key))
        for key in sorted(olds.keys() - gone):
            self._operation(key, moved.get(key, key))
        self._methods = ()
        self._class_names()
        was, now = self.old.prepared, self.new.prepared
        self._changed("server", "", (was[marks.SERVER], now[marks.SERVER]), ["base_url"], breaks=True)
        self._changed("document", "servers: ", [len(one.get("servers", ())) or "none" for one in (was, now)], shows=False)
        self._changed("authentication", "", map(_authentication, (was, now)), ["api_key"], breaks=True)
        called, calls = _webhooks(was), _webhooks(now)
        if changed := sorted(name for name in called.keys() | calls.keys() if called.get(name) != calls.get(name)):
            self._add("document", "changed", f"webhooks, which are not generated: {', '.join(changed)}")
        for name in sorted({*was["info"], *now["info"]} - {"title"}):
            self._changed("document", f"info.{name}: ", (was["info"].get(name), now["info"].get(name)), shows=False)
        if unused := set(was[marks.UNREACHABLE]) ^ set(now[marks.UNREACHABLE]):
            self._add("document", "changed", f"schemas that no operation needs: {', '.join(sorted(unused))}", shows=False)

    def _changed(self, subject: str, what: str, sides: Iterable[object], names: Iterable[str] = (), **how: bool) -> None:
        before, after = sides
        if before != after:
            self._add(subject, "changed", f"{what}{before} → {after}", names, **how)

    def _add(self, subject: str, action: Action, what: str, names: Iterable[str] = (), *, breaks: bool = False, shows: bool = True) -> None:
        """:param shows: whether users can notice it."""
        impact = Impact.INTERNAL if not shows else Impact.BREAKING if breaks else Impact.ADDITIVE
        places, about = self.changes.setdefault((impact, subject, action, what), (set(), set()))
        places.update(names)
        about.update(method.partition(".")[0] for method in self._methods)

    def _deprecation(self, subject: str, what: str, sides: tuple[Json, Json], names: Iterable[str]) -> None:
        before, after = (bool(side.get("deprecated")) for side in sides)
        if before != after:
            self._add(subject, "deprecated" if after else "kept", what, names)

    def _operation(self, key: str, other: str) -> None:
        was, now = self.old.operations[key], self.new.operations[other]
        had, has = self.old.names(key), self.new.names(other)
        calls = [f"{name}()" for name in has]
        both = self.old.entries[key], self.new.entries[other]
        self._methods = both[1].methods
        moved = key if key == other else f"{key} → {other}"
        lost, more = ([name for name in some if name not in others] for some, others in ((had, has), (has, had)))
        if lost:
            self._add("operation", "renamed", moved, [f"{name} → {', '.join(more or has)}" for name in lost], breaks=True)
        elif is_another(key, other) and {entry.repeat for entry in both} != {"safe"}:
            self._add("operation", "moved", moved, has, breaks=True)
        elif more:
            self._add("operation", "added", moved, more)
        elif moved != key:
            self._add("operation", "renamed", moved, has, shows=key in self.new.operations)  # as what it was goes on under another name
        for rule in ("repeat", "timeout", "limit"):
            rules = [_said(getattr(entry, rule)) for entry in both]
            self._changed("repeat", f"{other}: {rule} ", rules, has, breaks=True)
        asks = ([f"{what} where {name} is given" if name else what for name, what in sorted(entry.asks.items())] for entry in both)
        self._changed("question", f"{other}: asks about ", (" and ".join(some) or "nothing" for some in asks), has, breaks=True)
        self._changed("type", "the answer: ", [operation.get(marks.MEDIA) or "json" for operation in (was, now)], calls, breaks=True)
        bodies = [held for operation in (was, now) for held in operation.get("requestBody", {}).get("content", {}).items()]
        if len(bodies) == 2:
            self._called.setdefault(*(str(ref_name(content["schema"])) for _, content in bodies))
            self._changed("operation", f"{other}: takes ", [kind for kind, _ in bodies], has, breaks=True)
        self._changed("operation", f"{other}: id ", (was["operationId"], now["operationId"]), has, shows=False)
        errors = [", ".join(map(str, operation[marks.ERRORS])) or "none" for operation in (was, now)]
        self._changed("operation", f"{other}: statuses of errors ", errors, has, shows=False)
        self._deprecation("operation", other, (was, now), has)
        olds, news = keywords(self.old.prepared, was), keywords(self.new.prepared, now)
        sides = [{aside(python_name(name), KEYWORDS): name for name in some} for some in (olds, news)]
        for name, instead in both[1].renamed.items():
            if name in sides[0] and name not in sides[1] and instead in sides[1]:
                olds.setdefault(sides[1][instead], olds.pop(sides[0][name]))
                self._add("keyword", "renamed", instead, [f"{one}({name}=...)" for one in has])
        for name in sides[0].keys() & sides[1].keys():  # one keyword, whatever it is called where it is sent
            olds[sides[1][name]] = olds.pop(sides[0][name])
        self._fields(olds, news, lambda name: [f"{one}({aside(python_name(name), KEYWORDS)}=...)" for one in has], "keyword", sent=True)
        given, gives = body(self.old.prepared, was), body(self.new.prepared, now)
        self._limits(given, gives, has, sent=True)
        self._bounds(given, gives, has, "the body", sent=True)
        lasts = [re.findall(r"{([^}]*)}", one)[-1:] for one in (key, other)]
        if {*lasts[0]} <= news.keys():
            self._changed("keyword", "given by place: ", lasts, has, breaks=True)
        places = [_places(was, given), _places(now, gives)]
        for name in places[0].keys() & places[1].keys():
            self._changed("keyword", f"{name}: sent in the ", [sent[name] for sent in places], has, shows=False)
        before, after = ({"null"} if operation.get(marks.NULLABLE) else set[str]() for operation in (was, now))
        self._kinds(before, after, calls, "the answer", sent=False, optional=False)
        self._answers(answer(was), answer(now), calls)

    def _limits(self, was: Json, now: Json, names: Iterable[str], *, sent: bool) -> None:
        """What an object says of several of its fields at once."""
        olds, news = _limits(was), _limits(now)
        for limit in olds ^ news:
            came = limit in news
            self._add("keyword", "changed", limit if came else f"{limit} no longer", names, breaks=came, shows=sent)

    def _answers(self, old: Json | None, new: Json | None, names: list[str]) -> None:
        if old is None or new is None:
            if old is not new:
                self._add("type", "changed", f"the answer: {'nothing' if old is None else 'a body'} before", names, breaks=new is None)
            return
        (before, one), (after, other) = listing(self.old.prepared, old), listing(self.new.prepared, new)
        self._changed("list", "answers with ", (before, after), names, breaks=True)
        self._schemas(*((old, new) if before == after else (one, other)), names, "the answer", sent=False)

    def _fields(self, olds: Fields, news: Fields, names: Callable[[str], list[str]], subject: str, *, sent: bool) -> None:
        for name in olds.keys() - news.keys():
            self._add(subject, "removed", name, names(name), breaks=True)
        for name in news.keys() - olds.keys():
            required = sent and news[name][1]
            self._add(subject, "added", f"{name}{', required' if required else ''}", names(name), breaks=required)
        for name in olds.keys() & news.keys():
            (old, was_required), (new, is_required) = olds[name], news[name]
            if was_required != is_required:
                self._add(subject, "required" if is_required else "optional", name, names(name), breaks=is_required == sent)
            self._deprecation(subject, name, (old, new), names(name))
            self._schemas(old, new, names(name), name, sent=sent, optional=not was_required)

    def _schemas(self, old: Json, new: Json, names: Iterable[str], what: str, *, sent: bool, optional: bool = False) -> None:
        was, now = resolved(self.old.prepared, old), resolved(self.new.prepared, new)
        before, after = kinds(self.old.prepared, old), kinds(self.new.prepared, new)
        self._kinds(before, after, names, what, sent=sent, optional=optional)
        self._values(_values(self.old.prepared, was), _values(self.new.prepared, now), names, what, sent=sent)
        before_one, after_one = _by_type(self.old.prepared, old), _by_type(self.new.prepared, new)
        for member in sorted(before_one.keys() & after_one.keys()):
            self._bounds(before_one[member], after_one[member], names, what, sent=sent)
        olds = [choice for choice, meant in choices(self.old.prepared, old) if is_object(meant)]
        news = [choice for choice, meant in choices(self.new.prepared, new) if is_object(meant)]
        tags = [one.get(marks.TAG) for one in (was, now)]
        if len(olds) > 1 < len(news):
            self._changed("type", f"{what}: told apart by ", (tag or "what is there" for tag in tags), names, breaks=True)
        self._members(olds, news, names, what, sent=sent, told=tags[0] == tags[1])
        inner, outer = inside(self.old.prepared, was), inside(self.new.prepared, now)
        for kind in sorted({"array", "map"} & before & after):
            self._schemas(inner.get(kind, {}), outer.get(kind, {}), names, f"{what}[]", sent=sent)

    def _kinds(self, was: set[str], now: set[str], names: Iterable[str], what: str, *, sent: bool, optional: bool) -> None:
        more, less = now - was, was - now
        if "float" in more:  # takes ints too
            less -= {"int"}
        if "float" in less:
            more -= {"int"}
        if more and less:
            self._changed("type", f"{what}: ", (" | ".join(sorted(some)) for some in (was, now)), names, breaks=True)
            return
        for kind in more | less:
            comes, shows = kind in more, sent or kind != "null" or not optional
            self._add("type", "added" if comes else "removed", f"{what}: {kind}", names, breaks=comes != sent, shows=shows)

    def _values(self, was: frozenset[str], now: frozenset[str], names: Iterable[str], what: str, *, sent: bool) -> None:
        if was and now:
            if more := now - was:
                self._add("value", "added", f"{what}: {', '.join(sorted(more))}", names)
            if less := was - now:
                self._add("value" if sent else "answer", "removed", f"{what}: {', '.join(sorted(less))}", names, breaks=True)
        elif was != now:
            self._add("type", "changed", f"{what}: {'only certain' if now else 'any'} values", names, breaks=bool(now), shows=sent)

    def _bounds(self, was: Json, now: Json, names: Iterable[str], what: str, *, sent: bool) -> None:
        for keyword in (*TIGHTER, "multipleOf", "pattern", "format", "default"):
            before, after = was.get(keyword), now.get(keyword)
            if before == after or "binary" in (before, after):  # a file instead of a text, or the other way round, is another kind
                continue
            narrower = after is not None and (keyword not in TIGHTER or before is None or TIGHTER[keyword](before, after) == after)
            narrower &= keyword != "default" or before is not None  # nothing tells that it was another
            subject, shows = "default" if keyword == "default" else "bound", sent and keyword != "format"
            self._changed(subject, f"{what}: {keyword} ", map(_said, (before, after)), names, breaks=narrower, shows=shows)

    def _members(self, olds: list[Json], news: list[Json], names: Iterable[str], what: str, *, sent: bool, told: bool) -> None:
        """:param told: whether they are told apart by what they were."""
        left, matches = list(news), [self._match(old, news, alone=len(olds) == len(news) == 1) for old in olds]
        if olds and news and not sent and (not any(matches) or len(olds) == 1 < len(news)):
            self._changed("type", f"{what}: ", (" | ".join(sorted(map(_told, some))) for some in (olds, news)), names, breaks=True)
            left = []
        for old, match in zip(olds, matches, strict=True):
            if match is None:
                if news:
                    self._add("member", "removed", f"{what}: {_told(old)}", names, breaks=True, shows=sent)
                continue
            left = [one for one in left if one is not match]
            said: list[list[Any]] = [one.get(marks.VALUES, []) for one in (old, match)]
            if told and any(value not in said[1] for value in said[0]):
                self._changed("type", f"{what}: {ref_name(match)} is ", said, names, breaks=True)
            before, after = str(ref_name(old)), str(ref_name(match))
            if before == after or not (before in self.new.classes or after in self.old.classes):
                self._objects(old, match, sent=sent)
            else:  # not one with a new name, but another of those that there are
                self._changed("type", f"{what}: ", (before, after), names, breaks=True)
        for new in left if olds else ():
            self._add("member", "added", f"{what}: {_told(new)}", names)

    def _match(self, old: Json, news: list[Json], *, alone: bool) -> Json | None:
        values = set(old.get(marks.VALUES, ()))
        same = (new for new in news if alone or ref_name(new) == ref_name(old))
        return next(same, None) or next((new for new in news if values & set(new.get(marks.VALUES, ()))), None)

    def _objects(self, old: Json, new: Json, *, sent: bool) -> None:
        before, after = ref_name(old) or "", ref_name(new) or ""
        if (before, after, sent) in self._seen:
            return
        self._seen.add((before, after, sent))
        self._called.setdefault(before, after)
        was, now = properties(self.old.prepared, old, sent=sent), properties(self.new.prepared, new, sent=sent)
        self._fields(was, now, lambda name: [f'{after}Param["{name}"]' if sent else f"{after}.{python_name(name)}"], "field", sent=sent)
        whole, other = resolved(self.old.prepared, old), resolved(self.new.prepared, new)
        more, less = (held if isinstance(held := one.get("additionalProperties"), dict) else {} for one in (whole, other))
        owner = [f"{after}Param" if sent else after]
        self._schemas(more, less, owner, "other fields", sent=sent)
        self._limits(whole, other, owner, sent=sent)

    def _class_names(self) -> None:
        come = self.new.classes - self.old.classes
        for name in sorted(self.old.classes - self.new.classes):
            if (now := self._called.get(name, "")) in come:
                self._add("class", "renamed", f"{name} → {now}", (f"types.{name} → types.{now}",), breaks=True)
                come.discard(now)
            else:
                self._add("class", "removed", name, (f"types.{name}",), breaks=True)
        for name in come:
            self._add("class", "added", name, (f"types.{name}",))


def choices(document: Json, schema: Json) -> list[tuple[Json, Json]]:
    """(schema, what it means) of a schema, or of each member of a union."""
    meant = resolved(document, schema)
    return [one for member in meant["oneOf"] for one in choices(document, member)] if "oneOf" in meant else [(schema, meant)]


def kinds(document: Json, schema: Json) -> set[str]:
    """Of what kinds a value may be."""
    found = {"null"} if resolved(document, schema).get("nullable") else set[str]()
    for _, choice in choices(document, schema):
        if is_object(choice):
            found.add("object")
        elif choice.get("type") == "object" and choice.get("additionalProperties") is False:
            found.add("empty object")
        elif "enum" in choice:
            found |= {_HOLDERS.get(name := type(value).__name__, name) for value in choice["enum"]}
        else:
            found.add("file" if choice.get("format") == "binary" else _KINDS.get(str(choice.get("type")), "any"))
    return found


def _values(document: Json, schema: Json) -> frozenset[str]:
    """The values that are listed, as JSON; none where any will do."""
    some = [choice for _, choice in choices(document, schema)]
    free = {SCALARS.get(str(choice.get("type"))) for choice in some if "enum" not in choice}
    free |= {"int"} if "float" in free else set()
    return frozenset(_said(value) for choice in some for value in choice.get("enum", ()) if type(value).__name__ not in free)


def _by_type(document: Json, schema: Json) -> dict[tuple[str, int], Json]:
    """What a value may be, each with the default of all, by its type and its place among those of that type."""
    default = {key: said for key, said in resolved(document, schema).items() if key == "default"}
    some = [choice | default for _, choice in choices(document, schema)]
    types = [str(choice.get("type")) for choice in some]
    return {(kind, types[:index].count(kind)): some[index] for index, kind in enumerate(types)}


def _places(operation: Json, sent: Json) -> dict[str, str]:
    """By keyword where it is sent, and as what if that is not its name in Python, and in which style if that is said."""
    some = [("body", name, "") for name in sent.get("properties", ())]
    some += [(one["in"], one["name"], one.get(marks.STYLE, "")) for one in operation["parameters"]]
    found: dict[str, str] = {}
    for place, name, style in some:
        own = aside(python_name(called(operation, place, name)), KEYWORDS)
        found[own] = f"{place}{f' {name}' if python_name(name) != name else ''}{f' as {style}' if style else ''}"
    return found


def _holdings(document: Json, schema: Json) -> set[str]:
    """What a value may be, in a word each: kinds, and classes and values, those that an array or a map holds among them."""
    held = [schema, *inside(document, schema).values()]
    classes = {name for one in held for choice, _ in choices(document, one) if (name := ref_name(choice))}
    found = kinds(document, schema)
    found |= {"int"} if "float" in found else set()  # which does for both
    return found | classes | {value.strip('"') for one in held for value in _values(document, one)}


def inside(document: Json, schema: Json) -> Json:
    """What arrays and maps in it hold, by kind."""
    held = {"array": "items", "map": "additionalProperties"}
    some = [choice for _, choice in choices(document, schema) if not is_object(choice)]
    return {kind: found for kind, keyword in held.items() for choice in some if isinstance(found := choice.get(keyword), dict)}


def _authentication(document: Json) -> str:
    """What the document wants to be sent as proof of who calls."""
    schemes = document["components"].get("securitySchemes", {}).items()
    told: dict[str, str] = {}
    for name, said in schemes:
        known = said | ({"scheme": said["scheme"].lower()} if "scheme" in said else {})  # `Bearer` is `bearer`
        told[name] = " ".join(str(known[key]) for key in ("type", "scheme", "in", "name") if key in known)
    return " or ".join(sorted(" and ".join(sorted(told[name] for name in way)) or "nothing" for way in document["security"] or [{}]))


def _webhooks(document: Json) -> Json:
    """The requests that the API makes itself, by name."""
    called = {key: operation.get("callbacks", {}) for key, operation in by_key(document).items()}
    return {**document.get("webhooks", {}), **{f"{key} {name}": said for key, some in called.items() for name, said in some.items()}}


def _limits(schema: Json) -> set[str]:
    """What an object says of several of its fields at once."""
    exclude = {f"{' and '.join(some)} exclude each other" for some in schema.get(marks.EXCLUSIVE, ())}
    needed = " or ".join(" and ".join(some) for some in schema.get(marks.NEEDED, ()))
    closed = is_object(schema) and schema.get("additionalProperties") is False
    return exclude | ({f"{needed} has to be there"} if needed else set()) | ({"no field but these may be there"} if closed else set())


def _told(member: Json) -> str:
    """The class of a member of a union, and what its tag says."""
    return f"{ref_name(member)}{''.join(f' ({value!r})' for value in member.get(marks.VALUES, ())[:1])}"


def _said(value: Any) -> str:
    return "none" if value is None else json.dumps(value, ensure_ascii=False)
