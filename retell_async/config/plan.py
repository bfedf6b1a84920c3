"""What applying would do: a function of files, account and state."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, Literal, TypeAlias, cast

import attrs

from .bindings import Calls, bindings
from .bodies import SOURCES, TEXT, UNSEEN, parts_of, source_of
from .difference import Change, changes, told
from .document import is_nullable, known_fields
from .kinds import KINDS, VOICES, Json, Kind, kind_of, natural, references
from .merge import Side, compared
from .state import Bound, State, digest
from .values import OTHER, apart, unmarked

__all__ = ["Action", "Behind", "Found", "Plan", "Step", "keys_apart", "make_plan", "pinned", "report"]

Action: TypeAlias = Literal["create", "update", "delete"]

_SIGNS = {"create": "+", "update": "~", "delete": "-"}
_FREE_TOKENS = 4_000
_MOST_TOKENS = 32_768
_CHARACTERS = 4
"""Of a token, about, in English."""
_PRICED = (
    "model",
    "s2s_model",
    "model_choice",
    "model_high_priority",
    "voice_id",
    "voice_model",
    "post_call_analysis_model",
    "denoising_mode",
)
_PLACEHOLDERS: Mapping[str, Any] = {"nodes": []}
"""What a creation needs, in place of what refers to an object that is not there yet."""


@attrs.frozen
class Behind:
    """The version of its LLM or flow that an agent has, where it is not the latest one.

    :param engine: the name of the LLM or flow.
    :param parts: its settings in this version, as a file would have them.
    :param latest: those of the latest one.
    """

    engine: str
    version: int
    parts: Json
    latest: Json

    def changes(self) -> list[Change]:
        """What the agent gets with the latest version."""
        return list(changes(unmarked(self.parts), unmarked(self.latest)))

    def __str__(self) -> str:
        return f"version {self.version} of {self.engine}, which is not what the file says"


@attrs.frozen
class Found:
    """An object of the account, as a file would have it.

    :param fields: its settings; of a flow with other names in place of ids.
    :param published: whether this version can no longer be changed.
    """

    id: str
    fields: Json
    published: bool = False
    version: int | None = None
    reading: bool = False
    """Whether its sources are still being read, and are not among the settings."""
    behind: Behind | None = None


@attrs.frozen
class Step:
    """One object that is created, updated or deleted.

    :param parts: the settings that are written, as the file has them; ``None`` for one that is taken away.
    :param before: the same as the account has them.
    :param drafts: agents that get a draft before, since their engine is published with them.
    :param behind: the version of its engine that an agent has, and that its draft gets the latest one in place of.
    """

    action: Action
    name: str
    parts: Json
    before: Json = attrs.field(factory=dict[str, Any])
    drafts: tuple[str, ...] = ()
    behind: Behind | None = None

    def changes(self) -> list[Change]:
        """What it changes, place by place."""
        shown = {name: value for name, value in self.before.items() if value is not None}
        after = {name: value for name, value in self.parts.items() if value is not None}
        return list(changes(shown, after))


@attrs.frozen
class Plan:
    """What applying would do.

    :param steps: in the order in which they are carried out.
    :param kept: settings that were changed in the account since, by the names of objects; they stay as they are there.
    :param conflicts: what was changed on both sides, or cannot be done: nothing is applied while there is any.
    :param warnings: what costs more than it may seem.
    :param notes: what is left alone.
    :param account: by name, a digest of what the account has: what this plan is about.
    """

    environment: str
    steps: tuple[Step, ...]
    kept: Mapping[str, tuple[Change, ...]]
    conflicts: tuple[str, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    account: Mapping[str, Mapping[str, str | None]] = attrs.field(repr=False)
    clashes: tuple[str, ...] = ()
    """Of the conflicts, those that somebody made in the account, or may have made."""
    keys: tuple[str, ...] = ()
    """Of these, keys that are others than in the environment."""
    only: frozenset[str] = frozenset()
    overwrite: frozenset[str] = frozenset()
    delete: frozenset[str] = frozenset()
    adopt: bool = False
    """Whether the files count for objects that were only found by their names."""
    live: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict[str, "tuple[str, ...]"])
    """By agent whose draft is made or changed, what leads calls to that draft at once, and more than the share that a canary gave it."""

    @property
    def status(self) -> int:
        """The exit status: 0 for nothing to do, 2 for changes, 1 for what cannot be applied."""
        return 1 if self.conflicts else 2 if self.steps else 0

    @property
    def drift(self) -> list[str]:
        """What was changed in the account since files and account were last brought together, as lines."""
        kept = [
            line for name, changed in self.kept.items() for line in (f"{name}:", *(text for one in changed for text in told(one, "    ")))
        ]
        behind = [f"{step.name} has {step.behind}" for step in self.steps if step.behind is not None]
        return [*kept, *behind, *self.clashes]

    @property
    def digest(self) -> str:
        """What tells this plan from any other: it holds no settings, and may be kept anywhere."""
        steps = [
            [step.action, step.name, {name: digest(value) for name, value in step.parts.items()}, step.drafts, f"{step.behind or ''}"]
            for step in self.steps
        ]
        account = {  # without sources, which show once the API has read them
            name: {part: value for part, value in parts.items() if source_of(part) is None} for name, parts in self.account.items()
        }
        text = json.dumps([self.environment, steps, account], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def make_plan(
    environment: str,
    files: Mapping[str, Json],
    account: Mapping[str, Found],
    state: State,
    *,
    only: Collection[str] = (),
    overwrite: Collection[str] = (),
    delete: Collection[str] = (),
    doubts: Iterable[str] = (),
    voices: Collection[str] = (),
    calls: Calls | None = None,
    adopt: bool = False,
) -> Plan:
    """Plan what brings an account to what the files say.

    :param account: by name, the objects that files and the state are about.
    :param only: the names of the objects that it is about; all unless given.
    :param overwrite: objects of which the file counts, whatever was changed in the account.
    :param delete: objects without a file that are deleted, and sources of knowledge bases: ``knowledge_bases/faq: url: https://...``.
    :param doubts: what matching them left open.
    :param voices: the names of the voices that the account has of its own.
    :param calls: what the account's calls are bound to.
    :param adopt: whether the files count for objects that were found by their names, and that the state knows nothing of.
    """
    making = _Making(files, account, state, {*overwrite}, {*delete}, {*voices}, calls or Calls(), adopt)
    making.conflicts += doubts
    names = [name for name in sorted({*files, *state.objects}, key=_order) if not only or name in only]
    for name in names:
        making.look_at(name)
    making.check_named([*only, *overwrite])
    making.look_at_calls()
    if only:
        making.check_missing(only)
    steps = [*making.ordered(), *making.deletions]
    shown = {
        name: {part: digest(value) for part, value in parts_of(kind_of(name), account[name].fields).items()}
        for name in names
        if name in account
    }
    return Plan(
        environment,
        tuple(steps),
        making.kept,
        tuple(making.conflicts),
        tuple(making.warnings),
        tuple(making.notes),
        shown,
        tuple(making.clashes),
        tuple(making.keys),
        frozenset(only),
        frozenset(overwrite),
        frozenset(delete),
        adopt,
        making.live,
    )


def _order(name: str) -> tuple[Any, ...]:
    return KINDS.index(kind_of(name)), natural(name)


@attrs.define
class _Making:
    files: Mapping[str, Json]
    account: Mapping[str, Found]
    state: State
    overwrite: set[str]
    delete: set[str]
    voices: set[str]
    calls: Calls
    adopt: bool
    live: dict[str, tuple[str, ...]] = attrs.field(factory=dict[str, "tuple[str, ...]"])
    safe: set[str] = attrs.field(factory=set[str])
    """Numbers that take no draft once they are written. They are written first, so that no draft has their calls until then."""
    kept: dict[str, tuple[Change, ...]] = attrs.field(factory=dict[str, "tuple[Change, ...]"])
    conflicts: list[str] = attrs.field(factory=list[str])
    clashes: list[str] = attrs.field(factory=list[str])
    keys: list[str] = attrs.field(factory=list[str])
    warnings: list[str] = attrs.field(factory=list[str])
    notes: list[str] = attrs.field(factory=list[str])
    wanted: dict[str, Step] = attrs.field(factory=dict[str, Step])
    deletions: list[Step] = attrs.field(factory=list[Step])

    def look_at(self, name: str) -> None:
        kind, found, bound = kind_of(name), self.account.get(name), self.state.objects.get(name)
        if name not in self.files:
            self._without_file(name, found)
        elif found is None:
            if bound is not None and kind.created and name not in self.overwrite:
                self._clash(f"{name} was deleted in the account: take its file away, or create it again with --overwrite {name}")
            elif not kind.created:
                self.notes.append(f"{name} is left out: the account has no such number, and numbers are bought or imported by people")
            else:
                self._create(name, kind)
        elif found.reading:
            self._wait(name, kind, bound)
        else:
            self._compare(name, kind, found)
        if name in self.files:
            self._check_references(name)

    def _wait(self, name: str, kind: Kind, bound: Bound | None) -> None:
        parts = parts_of(kind, self.files[name])
        base = {} if bound is None else {part: pair[0] for part, pair in bound.base.items() if pair[0] is not None}
        if {part: digest(value) for part, value in parts.items()} == base:
            self.notes.append(f"{name} was not compared: its sources are still being read")
        else:
            self.conflicts.append(f"{name}: its sources are still being read: plan again once they are")

    def look_at_calls(self) -> None:
        """Say which calls get what is changed here without anything being published."""
        drafted = {name: self._drafted(step) for name, step in self.wanted.items()}
        drafts = {agent for agents in drafted.values() for agent in agents}
        drafts |= {agent for agent, latest in self.calls.agents.items() if not latest.published}
        bound = dict(self.calls.bound)
        for name, step in self.wanted.items():
            if step.action == "update" and kind_of(name).folder in {"phone_numbers", "components"}:
                after = tuple(bindings(self.account[name].fields | step.parts))
                waits = any(self.wanted[other].action == "create" for other in references(step.parts) if other in self.wanted)
                if name.startswith("phone_numbers/") and not waits and not drafts.intersection(self.calls.drafts_of(after)):
                    self.safe.add(name)
                    del bound[name]
                bound[name] = (*bound.get(name, ()), *after)
                taken = [agent for agent in self.calls.drafts_of(bindings(step.parts)) if agent in drafts]
                draft = f"live at once: its calls get the draft of {', '.join(taken)}"
                self.warnings.append(f"{name}: {draft}" if taken else f"{name} has no drafts: it is changed for calls at once")
        calls = attrs.evolve(self.calls, bound=bound)
        updated = {name: agents for name, agents in drafted.items() if self.wanted[name].action == "update"}
        agents = sorted({agent for found in updated.values() for agent in found}, key=natural)
        for agent in agents:
            if takers := calls.takers(agent):
                self.live[agent] = tuple(name for name in takers if calls.takes_more(name, agent))
                engines = "".join(f", with {name}," for name, found in updated.items() if agent in found and name != agent)
                self.warnings.append(f"{agent}: live at once: this draft{engines} answers calls of {', '.join(takers)}")
        if begun := [agent for agent in agents if agent in calls.agents and calls.agents[agent].published]:
            self.warnings.append(
                f"web calls, chats and calls that are begun for {', '.join(begun)} without a version get the draft from now on"
            )

    def _drafted(self, step: Step) -> list[str]:
        """The agents whose drafts a step makes or changes."""
        folder = kind_of(step.name).folder
        if folder in {"agents", "chat_agents"}:
            return [step.name]
        return [*dict.fromkeys((*step.drafts, *self.calls.drafted_with(step.name)))] if folder in {"llms", "flows"} else []

    def check_missing(self, only: Collection[str]) -> None:
        """Refuse what needs something that is not in the account, and that this plan is not about."""
        for name, step in self.wanted.items():
            if missing := [one for one in references(step.parts) if one in self.files and one not in self.account and one not in only]:
                self.conflicts.append(f"{name}: {', '.join(missing)} is not in the account yet: name it too, or apply it first")

    def check_named(self, names: Iterable[str]) -> None:
        known = [*dict.fromkeys((*self.files, *self.state.objects))]
        for name in [name for name in names if name not in known]:
            near = ", ".join(one for one in known if one.endswith(f"/{PurePosixPath(name).stem}"))
            self.conflicts.append(f"there is no {name}{near and f': is it {near}?'}")
        for name in self.delete:
            if ": " in name:
                owner, _, part = name.partition(": ")
                step = self.wanted.get(owner)
                if step is None or step.parts.get(part, ()) is not None:
                    self.conflicts.append(f"--delete {name!r}: the account has no such source, or its file still has it")
            elif name in self.files:
                self.conflicts.append(f"--delete {name}: its file is still there")
            elif not any(step.name == name for step in self.deletions) and not (name in self.account and self.account[name].reading):
                self.conflicts.append(f"--delete {name}: no file was about it, and it is left alone")

    def _clash(self, text: str) -> None:
        self.conflicts.append(text)
        self.clashes.append(text)

    def _without_file(self, name: str, found: Found | None) -> None:
        if found is None:
            return
        if name in self.delete and found.reading:
            self.conflicts.append(f"{name}: its sources are still being read: plan its deletion again once they are")
        elif name in self.delete:
            if name.startswith("phone_numbers/"):
                self.warnings.append(f"{name}: the number itself is given back, and may go to somebody else")
            elif kind_of(name).folder in {"knowledge_bases", "components"}:
                self.warnings.append(f"{name}: published versions that have it lose it too, at once")
            self.deletions.insert(0, Step("delete", name, {}, parts_of(kind_of(name), found.fields)))
        else:
            self.notes.append(f"{name} has no file any more, and stays in the account: --delete {name} deletes it")

    def _create(self, name: str, kind: Kind) -> None:
        parts = parts_of(kind, self.files[name])
        for part, value in parts.items():
            if source_of(part) is not None and value == TEXT:
                self.conflicts.append(f"{name}: nobody knows what its source {part!r} says: write it into the file, as text")
            elif _is_missing(part, value):
                self.conflicts.append(_missing(name, part))
            elif source_of(part) is not None and isinstance(value, list):
                self.conflicts.append(_ambiguous(name, part))
        if kind.folder == "knowledge_bases":
            self.warnings.append(f"{name}: knowledge bases cost money each month, and sources take a while to be read")
        self.wanted[name] = Step("create", name, parts)
        self._warn(name, {}, parts)

    def _compare(self, name: str, kind: Kind, found: Found) -> None:
        bound = self.state.objects.get(name)
        base = None if bound is None or (bound.id != found.id) else bound.base
        file, account = parts_of(kind, self.files[name]), parts_of(kind, found.fields)
        write: Json = {}
        kept: list[Change] = []
        strange: list[str] = []
        counts = name in self.overwrite
        keys = {field for field, value in found.fields.items() if any(apart(value))}
        self._others(name, {field: found.fields[field] for field in keys if not (counts and field in account)})
        for part, side in compared(file, account, base):
            if part in UNSEEN and side.verdict == "same" and not counts:
                self.notes.append(f"{name}: the API does not show {part}, and nobody can compare it: --overwrite {name} writes it again")
            if part == kind.id or (side.verdict == "same" and not (counts and part in {*keys, *UNSEEN})):
                continue
            if side.verdict != "file" and name not in self.overwrite:
                if side.verdict == "account":
                    kept += changes(
                        {part: side.file} if side.file is not None else {}, {part: side.account} if side.account is not None else {}
                    )
                else:
                    self._clash(
                        f"{name}: {part} is another in the file and the account since: pull {name}, or --overwrite {name} with the file's"
                    )
            elif self._may(name, kind, part, side):
                write[part] = side.file
                strange += [part] if base is None and side.account is not None else []
        if strange and not self.adopt and name not in self.overwrite and name not in self.state.pending:
            self.conflicts.append(
                f"{name}: the account has it already ({found.id}), the state knows nothing of that, and {', '.join(strange)} "
                f"would be written over: --overwrite {name} does it, pull {name} --overwrite {name} takes the account's"
            )
        if kept:
            self.kept[name] = tuple(kept)
        behind = self._behind(name, found)
        if write or behind is not None:
            before = {part: account.get(part) for part in write}
            self.wanted[name] = Step("update", name, write, before, self._drafts(name, kind, found), behind)
            self._warn(name, account, write)
            if kind.folder == "knowledge_bases":
                self.warnings.append(f"{name} has no drafts: it is changed for calls at once")

    def _others(self, name: str, fields: Json) -> None:
        """Keys of which nobody can tell on which side they were changed."""
        for text in keys_apart(name, fields, "promote" if self.adopt else "apply"):
            self.keys.append(text)
            self._clash(text)

    def _may(self, name: str, kind: Kind, part: str, side: Side) -> bool:
        """Whether the API can write a setting of an object that is there."""
        if source_of(part) is not None:
            if isinstance(side.file, list) or isinstance(side.account, list):
                self.conflicts.append(_ambiguous(name, part))
                return False
            if side.file is None and f"{name}: {part}" not in self.delete:
                self.notes.append(f"{name}: its source {part!r} is in no file any more, and stays: --delete '{name}: {part}' deletes it")
                return False
            if _is_missing(part, side.file):
                if side.account is None:
                    self.conflicts.append(_missing(name, part))
                return False
            return bool(side.file != TEXT)
        field: Mapping[str, Json] = {} if kind.folder == "knowledge_bases" else known_fields(kind, "update")
        if part not in field:
            self.conflicts.append(f"{name}: the API cannot change {part} of what is there already: create another one in its place")
            return False
        if side.file is None and not is_nullable(field[part]):
            self.notes.append(
                f"{name}: {part} is in no file any more, and the API cannot take it away: it stays {json.dumps(side.account)[:60]}"
            )
            return False
        return True

    def _drafts(self, name: str, kind: Kind, found: Found) -> tuple[str, ...]:
        if kind.folder not in {"llms", "flows"}:
            return ()
        users = [other for other, body in self.files.items() if name in body.get("response_engine", {}).values() and other in self.account]
        users = [other for other in users if not other.startswith("tests/")]
        if found.published and not users:
            self.conflicts.append(f"{name} is published, and no agent of these files has it that a draft could be made of")
        elif found.published and not any(self.account[other].published for other in users):
            self.conflicts.append(
                f"{name} is published by an agent that no file is about, and {', '.join(users)} has a draft that keeps that version: "
                f"publish {users[0]}, and the next plan makes drafts of both"
            )
        return tuple(sorted(users, key=natural))

    def _behind(self, name: str, found: Found) -> Behind | None:
        """The version of its engine that an agent has, where the latest one is what the file says and this is not."""
        behind = found.behind
        if behind is None or behind.engine not in {*self.files[name].get("response_engine", {}).values()} & {*self.files}:
            return None
        if behind.engine in self.wanted:  # whose draft this agent gets
            return None
        bound = self.state.objects.get(behind.engine)
        sides = compared(parts_of(kind_of(behind.engine), self.files[behind.engine]), behind.latest, None if bound is None else bound.base)
        settled = {part: side.file for part, side in sides if side.verdict == "same"}
        had = {part: digest(behind.parts.get(part)) for part in settled}
        other = any(had[part] not in {digest(said), digest(behind.latest.get(part))} for part, said in settled.items())
        return behind if other else None

    def _check_references(self, name: str) -> None:
        for reference in references(self.files[name]):
            folder, _, other = reference.partition("/")
            if folder == VOICES and other not in self.voices:
                self.conflicts.append(f"{name}: the account has no voice of its own that is named {other!r}: add it there, or name another")
        for field, agent, version in pinned(self.files[name]):
            found = self.account.get(agent)
            if found is None or (found.version is not None and version > found.version):
                self.conflicts.append(
                    f"{name}: {field}: this account has no version {version} of {agent}: write latest_published, or a tag"
                )

    def _warn(self, name: str, before: Json, parts: Json) -> None:
        tokens = {part: count for part, value in parts.items() if (count := _longest(value) // _CHARACTERS) > _FREE_TOKENS}
        for part, count in tokens.items():
            limit = " and more than an LLM takes" if count > _MOST_TOKENS else ""
            self.warnings.append(f"{name}: {part} has about {count:,} tokens{limit}: calls are billed longer from {_FREE_TOKENS:,} on")
        priced = [part for part in parts if part in _PRICED and before and part in before]
        if priced:
            self.warnings.append(f"{name}: {', '.join(priced)} may change what a minute costs")

    def ordered(self) -> Iterator[Step]:
        """The steps, in the order of the kinds, after the numbers that leave drafts.

        Settings that refer to what is not there yet are written when it is.
        """
        waiting = {name for name, step in self.wanted.items() if step.action == "create"}
        later: list[Step] = []
        for name, step in sorted(self.wanted.items(), key=lambda one: (one[0] not in self.safe, _order(one[0]))):
            postponed = {part: value for part, value in step.parts.items() if waiting.intersection(references({part: value}))}
            if "nodes" in postponed and "start_node_id" in step.parts:
                postponed["start_node_id"] = step.parts["start_node_id"]
            first = {part: _PLACEHOLDERS.get(part) if part in postponed else value for part, value in step.parts.items()}
            first = {
                part: value for part, value in first.items() if part not in postponed or (part in _PLACEHOLDERS and step.action == "create")
            }
            if first or step.behind is not None:
                yield attrs.evolve(step, parts=first)
            waiting.discard(name)
            if postponed:
                before = first if step.action == "create" else step.before
                before = {part: before.get(part) for part in postponed}
                later.append(attrs.evolve(step, action="update", parts=postponed, before=before, behind=None))
        yield from later


def keys_apart(name: str, fields: Json, command: str = "apply") -> Iterator[str]:
    """A line for each key of an object that is another one in the account than in the environment, with how either is taken.

    :param command: what writes the file's.
    """
    for place, names in apart(fields):
        which = " or ".join(names)
        source = kind_of(name).folder == "knowledge_bases" and place[0] in SOURCES.values()
        write = "a source that is taken away, applied and added again" if source else f"{command} --overwrite {name}"
        yield (
            f"{name}: {'.'.join(place)}: the key in the account is another one than {which} of the environment: "
            f"{write} writes the environment's; pull --keys with a new file writes the account's into that, to be set as {which}"
        )


def _ambiguous(name: str, part: str) -> str:
    return f"{name}: more than one of its sources is {part!r}, which the API does not tell apart: leave one, or give them other names"


def _is_missing(part: str, value: Any) -> bool:
    """Whether a source is a file to be uploaded that is not in the folder."""
    return part.startswith("document: ") and value is True


def _missing(name: str, part: str) -> str:
    file = f"{name}/{part.removeprefix('document: ')}"
    return f"{name}: {part!r} is uploaded from {file}, which is not there: files do not come back from the API"


def pinned(value: Any) -> Iterator[tuple[str, str, int]]:
    """The versions of agents that are named by numbers, with the agents."""
    return (found for found in bindings(value) if isinstance(found[2], int) and "/" in found[1])


def _longest(value: Any) -> int:
    """The characters of the longest text in a value."""
    if isinstance(value, dict):
        return max(map(_longest, cast("Json", value).values()), default=0)
    if isinstance(value, list):
        return max(map(_longest, cast("list[object]", value)), default=0)
    return len(value.replace(OTHER, "")) if isinstance(value, str) else 0


def report(plan: Plan) -> str:
    """What a plan would do: what is created, changed and deleted, setting by setting, and what it leaves alone."""
    return "\n".join(_lines(plan))


def _lines(plan: Plan) -> Iterator[str]:
    for step in plan.steps:
        yield f"{_SIGNS[step.action]} {step.action} {step.name}"
        if step.drafts:
            yield f"    in the drafts of {', '.join(step.drafts)}"
        if step.behind is not None:
            yield f"    it has {step.behind}, and gets the latest:"
            for change in step.behind.changes():
                yield from told(change, "        ")
        if step.action != "delete":
            for change in step.changes():
                yield from told(change, "    ")
    for name, changed in plan.kept.items():
        yield f"! {name} was changed in the account, and stays as it is there: pull {name}, or --overwrite {name}"
        for change in changed:
            yield from told(change, "    ")
    for text in plan.conflicts:
        yield f"conflict: {text}"
    for text in plan.warnings:
        yield f"warning: {text}"
    for text in plan.notes:
        yield f"note: {text}"
    counts = [f"{count} to {action}" for action in _SIGNS if (count := sum(step.action == action for step in plan.steps))]
    yield f"{plan.environment}: {', '.join(counts) or 'nothing to do'}{f', {len(plan.conflicts)} conflicts' if plan.conflicts else ''}"
