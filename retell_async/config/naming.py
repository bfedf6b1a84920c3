"""Which object of the account a file is about, and what files of new ones are called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, cast

import attrs

from .bodies import from_answer, parts_of
from .kinds import KINDS, Json, Kind, key_of, kind_of, mapped, natural, references, slug
from .state import Bound, Pending, State, digest

__all__ = ["Snapshot", "engine_of", "match", "named", "outline", "voices_of"]

_ENGINES = {"retell-llm": ("llms", "llm_id"), "conversation-flow": ("flows", "conversation_flow_id")}


@attrs.frozen
class Snapshot:
    """What an account holds: by kind and id, oldest first, what the API answers about each; and the names of its own voices by id.

    :param tags: by agent, the numbers of the versions that its tags stand on.
    :param published: by LLM and flow that has a draft, what the API answers about the version that was published last.
    :param earlier: by agent that has another version of its LLM or flow than the latest one, what the API answers about that version.
    """

    objects: Mapping[str, Mapping[str, Json]]
    voices: Mapping[str, str] = attrs.field(factory=dict[str, str])
    tags: Mapping[str, Mapping[str, int]] = attrs.field(factory=dict[str, "Mapping[str, int]"])
    published: Mapping[str, Json] = attrs.field(factory=dict[str, "Json"])
    earlier: Mapping[str, Json] = attrs.field(factory=dict[str, "Json"])

    def get(self, name: str, id: str | None) -> Json | None:
        return None if id is None else self.objects[kind_of(name).folder].get(id)


def engine_of(answer: Json) -> tuple[str, str] | None:
    """The folder and id of the engine that an agent or a test case is about; ``None`` for a custom LLM."""
    engine: Json = answer.get("response_engine") or {}
    found = _ENGINES.get(engine.get("type", ""))
    return None if found is None else (found[0], engine[found[1]])


def match(files: Mapping[str, Json], snapshot: Snapshot, state: State) -> tuple[dict[str, str], dict[str, list[str]]]:
    """The ids of the objects that files are about, by name, and what is in doubt, with the ids that it may be.

    They are those of the state. What the state does not know is found by the name that people know it by, engines by the agents that have
    them, and what was being created when an earlier run ended by what was sent. Where it was found under a name that has no file any more,
    the file was renamed, and the state is too. So it is where files took each other's names.
    """
    doubts: dict[str, list[str]] = {text: [] for text in _follow(files, snapshot, state)}
    ids = {
        name: bound.id
        for name, bound in state.objects.items()
        if snapshot.get(name, bound.id) is not None and _is_about(name, bound, files)
    }
    for kind in sorted(KINDS, key=lambda kind: kind.folder in {"llms", "flows", "tests"}):
        wanted = [name for name in files if kind_of(name) is kind and name not in ids]
        taken = {id for name, id in ids.items() if name in files}
        free = {id: answer for id, answer in snapshot.objects[kind.folder].items() if id not in taken}
        for name in sorted(wanted, key=natural):
            found = list(_found(kind, name, files, free, ids, snapshot, state.pending.get(name)))
            rivals = [other for other in wanted if kind.named and files[other].get(kind.named) == files[name].get(kind.named)]
            if len(found) > 1 or (found and len(rivals) > 1 and name not in state.pending):
                several = f"{name}: the account has {len(found)} that it may be"
                doubts[f"{several}: say which with `import {name} ID`, of {', '.join(found)}"] = found
            elif found:
                for before in [other for other, id in ids.items() if id == found[0]]:
                    state.objects[name] = state.objects.pop(before)
                    del ids[before]
                ids[name] = found[0]
                del free[found[0]]
    return ids, doubts


def _follow(files: Mapping[str, Json], snapshot: Snapshot, state: State) -> list[str]:
    """Let the state follow files that took the names of others which it knows.

    :returns: which files may have, and do not say what the others said: either what people call the objects was changed, or more was too.
    """
    former = _former(files, state)
    moved = {name: before for name, before in former.items() if name in state.objects or before in files}
    for name, before in [*moved.items()]:
        engine = next(iter(references(files[name].get("response_engine"))), None)
        theirs = engine_of(snapshot.get(before, state.objects[before].id) or {})
        of = None if theirs is None else state.name_of(theirs[1])
        if engine is not None and of is not None and engine != of and engine not in former and of not in former.values():
            former[engine] = of
            if engine in state.objects or of in files:
                moved[engine] = of
    other = {name: parts for name, before in moved.items() if (parts := _differing(name, state.objects[before], files, former))}
    if not other:
        state.objects = {
            **{name: bound for name, bound in state.objects.items() if name not in {*moved, *moved.values()}},
            **{name: state.objects[before] for name, before in moved.items()},
        }
        return []
    return [
        f"{name}: what {before} was is called so in the account, and {', '.join(parts)} is not what {before} had: "
        "apply renamed files before other edits of them, or, where the files stand for what they did, change one such name after the other"
        for name, parts in other.items()
        if (before := moved[name]) in files or name in moved.values()
    ]


def _former(files: Mapping[str, Json], state: State) -> dict[str, str]:
    """The names that files had before, as far as what people call the objects tells."""

    def called(name: str) -> str | None:
        return digest(files.get(name, {}).get(kind_of(name).named or ""))

    was = {
        name: bound.base[kind.named][0]
        for name, bound in state.objects.items()
        if (kind := kind_of(name)).created and kind.named is not None and kind.named in bound.base
    }
    left = {name for name, before in was.items() if called(name) != before}
    found: dict[str, str] = {}
    for name in [name for name in files if called(name) is not None and (name in left or name not in was)]:
        of = [other for other in left if kind_of(other) is kind_of(name) and was[other] == called(name)]
        if len(of) == 1 and of[0] not in found.values():
            found[name] = of[0]
    return found


def _differing(name: str, before: Bound, files: Mapping[str, Json], former: Mapping[str, str]) -> list[str]:
    """The settings of a file that are not what another one said when it was last brought together with the account."""
    parts = parts_of(kind_of(name), mapped(files[name], lambda _, other: former.get(other, other)))
    said = {part: pair[0] for part, pair in before.base.items() if pair[0] is not None}
    return [part for part in {**parts, **said} if digest(parts.get(part)) != said.get(part)]


def _is_about(name: str, bound: Bound, files: Mapping[str, Json]) -> bool:
    """Whether the state still says which object a file is about: a number stands in the file itself."""
    return kind_of(name).created or name not in files or files[name].get("phone_number") == bound.id


def _found(
    kind: Kind,
    name: str,
    files: Mapping[str, Json],
    free: Mapping[str, Json],
    ids: Mapping[str, str],
    snapshot: Snapshot,
    begun: Pending | None,
) -> Iterable[str]:
    """Those of the account that a file without a state may be about."""
    fields = files[name]
    if begun is not None:
        back = {id: known for known, id in ids.items()} | {id: f"voices/{voice}" for id, voice in snapshot.voices.items()}
        for id, answer in free.items():
            if id not in begun.before:
                made = outline(from_answer(kind, answer, lambda _, other: back.get(other, other)))
                if all(made.get(field) == said for field, said in begun.sent.items()):
                    return [id]
        return []
    if kind.folder == "phone_numbers":
        return [id for id in free if id == fields.get("phone_number")]
    if kind.named is not None and fields.get(kind.named):
        same_name = [id for id, answer in free.items() if answer.get(kind.named) == fields[kind.named]]
        if kind.folder != "tests":
            return same_name
        tested = next((ids.get(value) for field, value in fields.get("response_engine", {}).items() if field != "type"), None)
        return [id for id in same_name if (engine_of(free[id]) or ("", None))[1] == tested]
    if kind.folder in {"llms", "flows"}:
        users = [
            other for other, body in files.items() if name in body.get("response_engine", {}).values() and not other.startswith("tests/")
        ]
        agents = [agent for other in users if (agent := snapshot.get(other, ids.get(other))) is not None]
        engines = dict.fromkeys(engine for agent in agents if (engine := engine_of(agent)) is not None)
        return [id for folder, id in engines if folder == kind.folder and id in free]
    return []


def named(snapshot: Snapshot, known: Mapping[str, str], taken: Iterable[str] = ()) -> dict[str, str]:
    """Names for all objects of an account, by id: those that are known, and new ones made of what people call them.

    :param known: names by id.
    :param taken: names that files have already.
    """
    names, used = dict(known), {*known.values(), *taken}
    for kind in sorted(KINDS, key=lambda kind: kind.folder in {"llms", "flows"}):
        for id, answer in snapshot.objects[kind.folder].items():
            if id not in names:
                names[id] = _free(f"{kind.folder}/{_slug(kind, id, answer, snapshot)}", used)
                used.add(names[id])
    return names


def _slug(kind: Kind, id: str, answer: Json, snapshot: Snapshot) -> str:
    if kind.folder == "phone_numbers" and not answer.get("nickname"):
        return f"number-{id[-4:]}"
    if kind.named is not None:
        return slug(answer.get(kind.named) or "unnamed")
    agents = (agent for folder in ("agents", "chat_agents") for agent in snapshot.objects[folder].values())
    return next((slug(agent.get("agent_name") or "unnamed") for agent in agents if engine_of(agent) == (kind.folder, id)), "unused")


def _free(name: str, used: Iterable[str]) -> str:
    found, count = name, 1
    while found in used:
        count += 1
        found = f"{name}-{count}"
    return found


def outline(fields: Json) -> dict[str, str | None]:
    """What tells settings from others, though the server fills in what was left out: digests of their texts, and of the keys in lists."""

    def drawn(value: Any) -> Any:
        if isinstance(value, list):
            return [key_of(item) or drawn(item) for item in cast("list[object]", value)]
        return value if isinstance(value, str) and "${{" not in value else None

    return {field: digest(drawn(value)) for field, value in fields.items() if drawn(value)}


def voices_of(answers: Iterable[Json]) -> dict[str, str]:
    """The names of the voices that a workspace made itself, by id. Two of one name have none, and are known by their ids."""
    own = [(one["voice_id"], one["voice_name"]) for one in answers if not f"{one['voice_id']}".endswith(f"-{one['voice_name']}")]
    count = Counter(name for _, name in own)
    return {id: name for id, name in own if count[name] == 1}
