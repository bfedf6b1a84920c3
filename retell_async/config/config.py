"""A folder of files and an account, brought together: pull, plan, apply, promote, publish, roll back, back up."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

import attrs

from .._client import AsyncRetell
from .._core.errors import BadRequestError, ConfigurationError, NotFoundError, UnprocessableEntityError
from .account import READING, Account
from .applying import Applied, OutOfDateError, Run, apply_plan
from .backups import BACKUPS, back_up, files_at, states_before, tell_git
from .bindings import Calls, Latest, bindings
from .bodies import SOURCES, TEXT, from_answer, parts_of, sent, source_of, strange_fields
from .document import faults_of
from .folder import ENVIRONMENTS, Folder, read_folder
from .kinds import BINDINGS, FOLDERS, VOICES, Json, Kind, is_name, kind_of, natural, references
from .merge import compared, settled
from .naming import Snapshot, engine_of, match, named
from .plan import Behind, Found, Plan, keys_apart, make_plan, pinned
from .state import Bound, State, digest, environments_of, read_state, states_in, write_state
from .values import Vault, concealed, pieces, unmarked

__all__ = ["Config", "Pulled", "check_share"]

_TOLD = 5
_LEAST_SHARE = 0.0001
_DIGITS = 9
"""Of a weight: as many that none of such a share becomes 0, which the API refuses."""


@attrs.frozen
class Pulled:
    """What `Config.pull` did.

    :param written: the names of the objects whose files were changed.
    :param secrets: keys of these objects by the names that files refer to them by; they are in no file, and belong into the environment.
    :param conflicts: what was changed on both sides, and stays in the files as it is; keys that are others than in the environment.
    :param notes: what was left alone.
    """

    written: tuple[str, ...]
    secrets: Mapping[str, str] = attrs.field(repr=False)
    conflicts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@attrs.define
class _Read:
    """What was read of both sides."""

    folder: Folder
    state: State
    snapshot: Snapshot
    ids: dict[str, str]
    names: dict[str, str]
    account: dict[str, Found]
    doubts: Mapping[str, Collection[str]]
    """What matching them left open, with the ids that it is about."""
    vault: Vault
    warnings: list[str]

    def name_of(self, _: str, id: str) -> str:
        """The name of what an id in an answer refers to."""
        voice = self.snapshot.voices.get(id)
        return self.names.get(id) or (id if voice is None else f"{VOICES}/{voice}")


class Config:
    """The files of a folder as the wanted state of an account.

    :param root: the folder.
    :param client: a client of the account.
    :param environment: which of `environments/*.yaml` holds, and under which name the state is kept.
    :param variables: the environment that ``${{ env.NAME }}`` is taken from.
    """

    def __init__(
        self, root: str | Path, client: AsyncRetell, environment: str = "default", *, variables: Mapping[str, str] | None = None
    ) -> None:
        self.root = Path(root)
        self.environment = environment
        self._account = Account(client)
        self._variables = os.environ if variables is None else variables

    async def pull(self, names: Collection[str] = (), *, overwrite: Collection[str] = ()) -> Pulled:
        """Write what the account has into the files. What is the same already is left as it stands there, comments and all.

        What was changed in the files alone stays. What was changed on both sides stays too, and is a conflict; so is what cannot be written
        without a reference being lost or another object being changed. What has no file any more gets one when it is named. A key that is
        another one in the account than in the environment is a conflict until they are the same: it stands in no file that could settle it.

        :param names: objects by their names or ids, with all that they refer to; everything unless given.
        :param overwrite: objects of which the account counts, whatever their files say.
        :raises ConfigurationError: the files cannot be read, or there is no such object.
        """
        read = await self._read(every=True)
        self._refuse_broken(read.folder)
        chosen = self._chosen(read, names)
        ids = {read.account[name].id for name in chosen}
        if doubts := [text for text, about in read.doubts.items() if ids.intersection(about)]:
            return Pulled((), {}, (*doubts,), ("nothing is written before that is said: it would be second files of the same objects",))
        tell_git(self.root)
        written: list[str] = []
        conflicts = [*read.doubts] if not names else []
        notes = [*read.warnings]
        for name in chosen:
            found, bound = read.account[name], read.state.objects.get(name)
            mine = bound.base if bound is not None and bound.id == found.id else None
            kind, is_new = kind_of(name), name not in read.folder.entries
            if found.reading:
                notes.append(f"{name} is left out: its sources are still being read")
                continue
            if is_new and mine and not names:
                notes.append(f"{name} has no file any more, and stays in the account: pull {name} writes it again")
                continue
            file, account = parts_of(kind, {} if is_new else read.folder.wanted[name]), parts_of(kind, found.fields)
            taken: Json = {}
            accepted: list[str] = []
            stays: list[str] = []
            for part, side in compared(file, account, mine):
                theirs = is_new or name in overwrite or side.verdict == "account" or (mine is None and side.file is None)
                if side.verdict == "file" and mine is not None and not theirs:
                    notes.append(f"{name}: {part} was edited in the file and is not applied: it stays")
                elif side.verdict in {"both", "file"} and not theirs:
                    stays.append(f"{name}: {part} is another in the file than in the account: it stays, unless with --overwrite {name}")
                follows = theirs and (side.verdict != "same" or side.file is None)
                if follows and not is_new and name not in overwrite:
                    kept = [*_of_one_account(read.folder, name, {part: side.account})]
                    follows = not kept
                    stays += [
                        f"{text}. The file stays as it is, and apply --overwrite {name} gives the account what it says" for text in kept
                    ]
                unseen = side.file is not None and (side.account == TEXT or (part.startswith("document: ") and side.account is not None))
                if follows and unseen and side.file != side.account:
                    notes.append(
                        f"{name}: {part} stays as it is in the folder, and is taken for what the account has, which does not show it"
                    )
                taken[part] = side.account if follows and not unseen else side.file
                accepted += [part] if follows else []
            conflicts += [*stays, *keys_apart(name, found.fields)]
            if is_new or mine is not None or name in overwrite or not stays:
                did = read.folder.write(name, fields_of(kind, taken, read.folder.wanted.get(name, {})), whole=is_new or name in overwrite)
                written += [name] if did.changed else []
                conflicts += [_refused(name, field, why, whole=name in overwrite) for field, why in did.refused.items()]
                notes += [f"{name}: {field} is written in full now, without what it referred to" for field in did.plain]
                refused = {part for part in {*taken, *file} if field_of(part) in did.refused}
                after = {part: value for part, value in taken.items() if value is not None and part not in refused}
                after |= {part: file[part] for part in refused if part in file}
                read.state.objects[name] = Bound(
                    found.id, settled(after, account, mine, [part for part in accepted if part not in refused])
                )
                read.state.pending.pop(name, None)
            notes += [
                f"{name}: the document does not know {field}, which stays in the account as it is"
                for field in strange_fields(kind, read.snapshot.objects[kind.folder][found.id])
            ]
        self._save(read.state)
        vault, referred = read.vault, {*_keys_of([read.account[name].fields for name in chosen])}
        secrets = {name: key for name, key in {**vault.others, **vault.held, **vault.found}.items() if name in referred}
        return Pulled(tuple(written), secrets, tuple(conflicts), (*notes, *_about_keys(vault.unknown & referred)))

    async def plan(self, names: Collection[str] = (), *, overwrite: Collection[str] = (), delete: Collection[str] = ()) -> Plan:
        """What `apply` would do.

        :param names: the objects that it is about, by their names; all unless given.
        :param overwrite: objects of which the files count, whatever was changed in the account.
        :param delete: objects without a file that are deleted. A source of a knowledge base is named ``knowledge_bases/faq: url: ...``.
        :raises ConfigurationError: a file is wrong; the error names each file, line and field.
        """
        return self._plan(await self._checked(), names, overwrite, delete)

    async def apply(self, plan: Plan | str, *, told: Callable[[str], None] = lambda _: None) -> Applied:
        """Carry out a plan. Agents, LLMs and flows get drafts, and nothing is published; what has no drafts is changed for calls at once.

        :param plan: the plan, or the `digest` of one that was made of the same files with no names given.
        :param told: called with a line for each step, once it is carried out.
        :raises OutOfDateError: the files or the account are no longer what the plan was made of.
        :raises ConfigurationError: the plan has conflicts, or a key is missing in the environment.
        :raises APIError: the API refused a step, or nobody knows whether it was carried out. What was done is in the state, and the next
            plan goes on from there.
        """
        read = await self._checked(adopt=isinstance(plan, Plan) and plan.adopt)
        if isinstance(plan, Plan):
            now = self._plan(read, plan.only, plan.overwrite, plan.delete, plan.adopt)
        else:
            now = self._plan(read, (), (), ())
        if now.digest != (plan if isinstance(plan, str) else plan.digest):
            raise OutOfDateError("the plan is out of date: the files or the account were changed since. Plan again")
        if now.conflicts:
            raise ConfigurationError("\n".join(now.conflicts))
        if any(step.action == "delete" or None in step.parts.values() for step in now.steps):
            back_up(self.root, self.environment, read.snapshot)
        about = {step.name for step in now.steps}
        for name, found in read.account.items():
            if name in read.folder.entries and name not in about and not found.reading and (not now.only or name in now.only):
                kind, bound = kind_of(name), read.state.objects.get(name)
                file, account = parts_of(kind, read.folder.wanted[name]), parts_of(kind, found.fields)
                read.state.objects[name] = Bound(found.id, settled(file, account, bound.base if bound and bound.id == found.id else None))
                read.state.pending.pop(name, None)
        self._save(read.state)
        ids = read.ids | {f"{VOICES}/{name}": id for id, name in read.snapshot.voices.items()}
        run = Run(
            self._account, read.snapshot, read.folder.wanted, read.state, ids, read.vault, lambda: self._save(read.state), self.root, told
        )
        return await apply_plan(now, run)

    async def bind(self, name: str, id: str) -> None:
        """Say which object of the account a file is about, or is to be about once it is pulled.

        :raises ConfigurationError: the account has no such object, or another file is about it.
        """
        if not is_name(name) or "/_" in name:
            raise ConfigurationError(
                f"a name begins with {', '.join(f'{folder}/' for folder in FOLDERS)}, "
                f"and goes on with letters, digits, -, . and _: not {name!r}"
            )
        read = await self._read(every=True)
        if id not in read.snapshot.objects[kind_of(name).folder]:
            raise ConfigurationError(f"the account has no {id} among its {kind_of(name).folder}")
        known = read.state.name_of(id)
        if known is not None and known != name:
            raise ConfigurationError(f"{id} is {known} already")
        if name in read.state.objects and read.state.objects[name].id != id:
            raise ConfigurationError(f"{name} is {read.state.objects[name].id} already")
        if known is None:
            read.state.objects[name] = Bound(id, {})
            if name in read.folder.entries:
                found = self._found(read, name, id)
                if found.reading:
                    raise ConfigurationError(f"the sources of {id} are still being read: wait until they are")
                kind = kind_of(name)
                file, account = parts_of(kind, read.folder.wanted[name]), parts_of(kind, found.fields)
                read.state.objects[name].base = settled(
                    file, account, None, missed=[part for part in file if file[part] != account.get(part)]
                )
            self._save(read.state)

    async def publish(
        self, names: Collection[str] = (), *, title: str | None = None, dry_run: bool = False, told: Callable[[str], None] = lambda _: None
    ) -> list[str]:
        """Publish drafts of agents, with their engines.

        :param names: the agents; all that have a file and a draft unless given.
        :param title: what the versions are called.
        :param dry_run: whether nothing is published, and only told.
        :param told: called with what is returned of each, once it is published.
        :raises ConfigurationError: the draft is not what the files say.
        :returns: what was published, with the versions, and which numbers name another one by its number.
        """
        read = await self._checked()
        agents = self._agents(read)
        self._refuse_unknown(names, agents)
        chosen = [name for name in agents if (not names or name in names) and not read.account[name].published]
        self._refuse_open(read, chosen, "published")
        done: list[str] = []
        for name in chosen:
            found = read.account[name]
            version = found.version or 0
            if not dry_run:
                await self._account.publish(kind_of(name), found.id, version, title)
            done.append(f"{name}: version {version}{_still_bound(read, name, version)}")
            told(done[-1])
        return done

    async def backup(self, path: Path | None = None) -> Path:
        """Write all that the account answers into one file, which only its owner may read: there are keys in it.

        :raises ConfigurationError: the path is in the folder of the files.
        :returns: where it is; unless a path is given, in `.backups`, which git ignores.
        """
        self._refuse_inside(path)
        return back_up(self.root, self.environment, await self._account.snapshot(), path)

    def _refuse_inside(self, path: Path | None) -> None:
        inside = path is not None and path.resolve().is_relative_to(self.root.resolve())
        if inside and path is not None and not path.resolve().is_relative_to((self.root / BACKUPS).resolve()):
            raise ConfigurationError(
                f"{path} is in the folder of the files, which belongs into git, and keys are in it: name another place"
            )

    async def promote(self, target: Config, *, names: Collection[str] = (), overwrite: Collection[str] = (), canary: bool = False) -> Plan:
        """What brings the account of another environment to what this one has, by the same files. `target.apply` carries it out.

        :param target: the other environment of the same folder.
        :param names: the objects that it is about; all unless given.
        :param overwrite: objects of the other environment of which the files count, whatever was changed there.
        :param canary: whether `canary` is to follow.
        :raises ConfigurationError: this environment does not have what the files say: nobody tried what would be promoted. Or a canary is
            to follow, and the drafts would have all calls until then.
        """
        if target.root.resolve() != self.root.resolve():
            raise ConfigurationError("environments are promoted within one folder")
        read, other = await self._checked(), await target._checked(adopt=True)
        if read.state.workspace == other.state.workspace and read.snapshot == other.snapshot:
            raise ConfigurationError(
                f"{self.environment} and {target.environment} are one account: "
                f"say in {ENVIRONMENTS}/{target.environment}.yaml which profile, whose key, is another"
            )
        if open := sorted(_open(self._plan(read, names, (), ()))):
            raise ConfigurationError(f"{self.environment} is not what the files say: plan, pull or apply there first: {', '.join(open)}")
        plan = target._plan(other, names, overwrite, (), adopt=True)
        if canary:
            _refuse_all_calls(plan, _calls(other))
        return plan

    async def canary(self, share: float, *, dry_run: bool = False) -> list[str]:
        """Let drafts answer a share of the calls: numbers get the draft of an agent beside what they have, by weight.

        Drafts that are not what the files say are refused. A number that names a version keeps it for the other calls; one that takes the
        latest gets `latest_published` for them, and what an earlier canary gave to the version that is published by now goes there too.
        The files stay as they are: `plan` shows the bindings as changed in the account. Applying with `overwrite` of the numbers ends it.

        :param share: of the calls, from 0.0001 to 0.9999.
        :param dry_run: whether nothing is changed, and only told.
        :raises ConfigurationError: it is no such share, a draft is not what the files say, or no number has an agent with a draft after a
            published version.
        :returns: what was changed, by number.
        """
        check_share(share)
        read = await self._checked()
        calls = _calls(read)
        versions = {
            name: (latest, published)
            for name in self._agents(read)
            if not (latest := calls.agents[name]).published and latest.version
            if (published := await self._account.published(read.account[name].id)) is not None
        }
        done: list[str] = []
        writes: list[tuple[str, str, Json]] = []
        tried: set[str] = set()
        for name, found in read.account.items():
            if kind_of(name).folder == "phone_numbers":
                bindings: Json = {}
                for field in BINDINGS:
                    weighted = split(found.fields.get(field) or [], versions, share)
                    if drafts := {name for name, (draft, _) in versions.items() if {draft.version} < _versions(weighted, name)}:
                        bindings[field] = weighted
                        tried |= drafts
                if bindings:
                    writes.append((name, found.id, bindings))
                    done.append(f"{name}: {share * 100:g}% of {', '.join(bindings)}")
        if not done:
            raise ConfigurationError(
                f"no calls are shared: no number has an agent of which there is a draft after a published version ({', '.join(versions)}): "
                "publish gives the drafts to calls"
                if versions
                else "no calls are shared: no agent has a draft after a published version: publish the first one, and apply a change of it"
            )
        self._refuse_open(read, sorted(tried, key=natural), "tried")
        ids = {name: found.id for name, found in read.account.items()}
        for name, id, bindings in [] if dry_run else writes:
            await self._account.update(kind_of(name), id, sent(bindings, lambda other: ids.get(other, other), {}))
        return done

    async def restore_version(self, name: str, version: int, *, dry_run: bool = False) -> Pulled:
        """Make a draft of an agent with the settings of an earlier version, and take it into the files.

        Of a version that does not say which version of its engine it had, the engine stays as it is, which is one of the conflicts.

        :param dry_run: whether nothing is changed, and only told which calls the draft answers at once, and which agents share its engine.
        :raises ConfigurationError: there is no such agent or version, or what its files say is not applied.
        """
        read = await self._checked()
        self._refuse_unknown([name], self._agents(read))
        engine = [other for other in _below(name, read.folder.wanted) if kind_of(other).folder in {"llms", "flows"}]
        plan = self._plan(read, [name, *engine], (), ())
        plan = attrs.evolve(plan, conflicts=tuple(text for text in plan.conflicts if text not in plan.keys))  # those are in no file
        plan = attrs.evolve(plan, steps=tuple(step for step in plan.steps if step.parts))  # an earlier version of an engine is no edit
        if edited := sorted(_open(plan) - {*plan.kept}):
            raise ConfigurationError(f"edits of {', '.join(edited)} would be lost, which are not applied: apply them, or take them back")
        found = read.account[name]
        try:
            then = await self._account.retrieve(kind_of(name), found.id, version)
        except (BadRequestError, NotFoundError, UnprocessableEntityError):
            raise ConfigurationError(f"there is no version {version} of {name}: its latest is {found.version}") from None
        calls = _calls(read)
        newer = attrs.evolve(calls.agents[name], published=True)  # the draft that is made comes after whatever is the latest
        takers = attrs.evolve(calls, agents={**calls.agents, name: newer}).takers(name)
        told = [f"{name}: live at once: this draft answers calls of {', '.join(takers)}"] if takers else []
        if others := _sharing(read, found.id, then):
            told.append(
                f"{', '.join(others)}: of the same LLM or flow, whose files go back for all: they keep the version that they have, "
                "until apply makes drafts of them too"
            )
        if dry_run:
            return Pulled((), {}, notes=(*told,))
        draft = await self._account.draft(kind_of(name), found.id, version)
        told.insert(0, f"{name}: version {draft['version']} is a draft with the settings of version {version}: publish {name} comes next")
        pulled = await self.pull([name], overwrite=[name, *engine])
        pulled = attrs.evolve(pulled, notes=(*pulled.notes, *told))
        own: Json = then.get("response_engine") or {}
        first = all(read.account[other].published and not read.account[other].version for other in engine)
        if engine_of(then) is None or isinstance(own.get("version"), int) or (engine and first):
            return pulled
        lost = f"{', '.join(engine) or 'its engine'} is as it was: version {version} of {name} does not say which version of it it had"
        return attrs.evolve(pulled, conflicts=(*pulled.conflicts, f"{lost}: put its texts back by hand, from git or a backup"))

    def restore_files(self, commit: str) -> list[str]:
        """Put back the files of a commit of git; the state stays. `plan` then says what that means for the account.

        :raises ConfigurationError: git does not know the commit, or there are changes that are in no commit.
        :returns: the paths that were changed.
        """
        return files_at(self.root, commit)

    # What both sides are, read once.

    async def _read(self, *, every: bool = False, adopt: bool = False) -> _Read:
        state = read_state(self.root, self.environment)
        workspace = await self._account.workspace()
        if state.workspace is not None and workspace is not None and state.workspace != workspace:
            raise ConfigurationError(
                f"the environment {self.environment} is another workspace than that of this API key: {state.workspace}"
            )
        state.workspace = workspace or state.workspace
        snapshot = await self._account.snapshot()
        folder = read_folder(self.root, self.environment, writing=every)  # last: people save files while the account is read
        warnings = [] if adopt else [*self._take_along(state, snapshot)]
        ids, doubts = match(folder.wanted, snapshot, state)
        known = {id: name for name, id in ids.items()}
        names = named(snapshot, known, folder.entries) if every else known
        vault = Vault(self._variables, frozenset(_keys_of([*folder.wanted.values()])))
        read = _Read(folder, state, snapshot, ids, names, {}, doubts, vault, warnings)
        ordered = sorted(names.items(), key=lambda one: (list(FOLDERS).index(one[1].partition("/")[0]), natural(one[1])))
        for _ in range(2):
            for id, name in ordered:
                if snapshot.get(name, id) is not None:
                    read.account[name] = self._found(read, name, id)
            if not vault.found:
                break  # else once more: keys that were found may stand in texts that were read before
        return read

    def _found(self, read: _Read, name: str, id: str) -> Found:
        kind = kind_of(name)
        answer = read.snapshot.objects[kind.folder][id]
        fields = from_answer(kind, answer, read.name_of)
        return Found(
            id,
            concealed(fields, read.folder.wanted.get(name), read.vault, (name,)),
            bool(answer.get("is_published")),
            answer.get("version"),
            answer.get("status") in READING,
            self._behind(read, id, answer),
        )

    def _behind(self, read: _Read, id: str, answer: Json) -> Behind | None:
        engine, earlier = engine_of(answer), read.snapshot.earlier.get(id)
        name = "" if engine is None else read.names.get(engine[1], "")
        if earlier is None or name not in read.account:
            return None
        kind = kind_of(name)
        fields = from_answer(kind, earlier, read.name_of)
        vault = attrs.evolve(read.vault, found={**read.vault.found}, held={**read.vault.held}, others={**read.vault.others}, unknown=set())
        parts = parts_of(kind, concealed(fields, read.folder.wanted.get(name), vault, (name,)))
        return Behind(name, earlier["version"], parts, parts_of(kind, read.account[name].fields))

    def _agents(self, read: _Read) -> list[str]:
        """The agents of the account that files are about."""
        names = (name for name in read.account if kind_of(name).folder in {"agents", "chat_agents"} and name in read.folder.entries)
        return sorted(names, key=natural)

    def _refuse_open(self, read: _Read, agents: Iterable[str], what: str) -> None:
        open = _open(self._plan(read, (), (), ()))
        for name in agents:
            if unready := sorted({name, *_below(name, read.folder.wanted)} & open):
                raise ConfigurationError(
                    f"{name} is not {what}: {', '.join(unready)} is not in the account as the files say: plan and apply first"
                )

    async def _checked(self, *, adopt: bool = False) -> _Read:
        if not self.root.is_dir():
            raise ConfigurationError(f"{self.root}: there is no such folder: pull makes it")
        read = await self._read(adopt=adopt)
        read.folder.check({name: _strange(kind_of(name), found.fields) for name, found in read.account.items()})
        return read

    def _plan(self, read: _Read, only: Collection[str], overwrite: Collection[str], delete: Collection[str], adopt: bool = False) -> Plan:
        plan = make_plan(
            self.environment,
            read.folder.wanted,
            read.account,
            read.state,
            only=only,
            overwrite=overwrite,
            delete=delete,
            doubts=read.doubts,
            voices=read.snapshot.voices.values(),
            calls=_calls(read),
            adopt=adopt,
        )
        return attrs.evolve(
            plan,
            conflicts=(
                *plan.conflicts,
                *(text for step in plan.steps for text in _of_one_account(read.folder, step.name, step.parts)),
                *_missing_keys(plan, read.vault.environment),
            ),
            warnings=(
                *plan.warnings,
                *self._taken_back(read, plan),
                *([] if adopt else (*read.warnings, *self._about_environment(read.state))),
            ),
            notes=(*plan.notes, *([] if only else (*_without_files(read), *_unread(read.folder))), *_about_keys(read.vault.unknown)),
        )

    def _take_along(self, state: State, snapshot: Snapshot) -> Iterator[str]:
        """Go on from what is known of the same workspace under other names: what has no name there would be made anew."""
        ids = {id for there in snapshot.objects.values() for id in there}
        for name in environments_of(self.root):
            other = read_state(self.root, name)
            shared = name != self.environment and other.workspace is not None and other.workspace == state.workspace
            if shared and state.take_along(other, ids):
                yield (
                    f"the environment {self.environment} is new, and its workspace is that of {name}: it goes on from there. "
                    "Is this the account that you mean? --env says which"
                )

    def _taken_back(self, read: _Read, plan: Plan) -> Iterator[str]:
        """That what seems to be somebody's change in the account may be one of these files, since git has taken the state back."""
        before = [state for content in states_before(self.root) for state in states_in(self.root, content)] if plan.kept else []
        for name, changed in plan.kept.items():
            parts = parts_of(kind_of(name), read.account[name].fields)
            there = {part: digest(unmarked(parts.get(part))) for part in dict.fromkeys(f"{change.place[0]}" for change in changed)}
            known = [bound.base for state in before for bound in state.objects.values() if bound.id == read.account[name].id]
            if back := [part for part, value in there.items() if any(part in base and base[part][1] == value for base in known)]:
                yield (
                    f"{name}: {', '.join(back)} is in the account as it was applied from here, or pulled, before: if git took the state "
                    f"back, as revert does, apply --overwrite {name} gives the account what the file says"
                )

    def _about_environment(self, state: State) -> Iterable[str]:
        """That this may be another account than the one that is meant."""
        if not state.objects and not state.pending and (others := environments_of(self.root)):
            yield (
                f"nothing was ever pulled or applied as the environment {self.environment}, but as {', '.join(others)}: "
                "is this the account that you mean? --env says which"
            )

    def _chosen(self, read: _Read, names: Collection[str]) -> list[str]:
        if not names:
            return [*read.account]
        wanted = [read.names.get(name, name) for name in names]
        self._refuse_unknown(wanted, read.account)
        fields = {name: found.fields for name, found in read.account.items()}
        chosen = {*wanted, *(below for name in wanted for below in _below(name, fields))}
        return [name for name in read.account if name in chosen]

    @staticmethod
    def _refuse_unknown(names: Iterable[str], known: Collection[str]) -> None:
        if unknown := [name for name in names if name not in known]:
            near = [*dict.fromkeys(other for name in unknown for other in get_close_matches(name, known, _TOLD))]
            some = (near or [*known])[:_TOLD]
            more = f" and {len(known) - len(some):,} more" if len(known) > len(some) else ""
            raise ConfigurationError(f"there is no {', '.join(unknown)}; there are {', '.join(some) or 'none'}{more}")

    @staticmethod
    def _refuse_broken(folder: Folder) -> None:
        if folder.problems:
            raise ConfigurationError("\n".join(f"{problem}" for problem in folder.problems))

    def _save(self, state: State) -> None:
        tell_git(self.root)
        write_state(self.root, self.environment, state)


def check_share(share: float) -> None:
    """:raises ConfigurationError: it is no share of calls that the API takes as a weight, whatever it is a share of."""
    if not _LEAST_SHARE <= share <= 1 - _LEAST_SHARE:
        raise ConfigurationError(f"a canary is from {_LEAST_SHARE:.2%} to {1 - _LEAST_SHARE:.2%} of the calls: not {share * 100:g}%")


def split(weighted: list[Json], versions: Mapping[str, tuple[Latest, int]], share: float) -> list[Json]:
    """Agents of a number by weight, with a share of each for its draft. One that is split already is split anew.

    :param versions: by agent, the draft and the number of the published version.
    """
    found: list[Json] = []
    for agent in dict.fromkeys(item["agent_id"] for item in weighted):
        items = [item for item in weighted if item["agent_id"] == agent]
        draft, published = versions.get(agent, (None, 0))
        others = [item for item in items if draft is None or item.get("agent_version") != draft.version]
        if draft is None or not others:
            found += items
            continue
        weights: dict[Any, float] = {}
        for item in others:
            version = item.get("agent_version")
            version = version if draft.is_passed_by(version) else "latest_published"
            weights[version] = weights.get(version, 0) + item["weight"]
        if "latest_published" in weights:
            weights["latest_published"] += weights.pop(published, 0)
        whole, rest = sum(item["weight"] for item in items), sum(weights.values())
        weights = {version: whole * (1 - share) * weight / rest for version, weight in weights.items()} | {draft.version: whole * share}
        found += [{"agent_id": agent, "agent_version": version, "weight": round(weight, _DIGITS)} for version, weight in weights.items()]
    return found


def _versions(weighted: list[Json], agent: str) -> set[Any]:
    """The versions of an agent that a number has."""
    return {item.get("agent_version") for item in weighted if item["agent_id"] == agent}


def fields_of(kind: Kind, parts: Json, before: Json) -> Json:
    """The settings of a file, from parts that were taken one by one."""
    fields = {part: value for part, value in parts.items() if value is not None and source_of(part) is None}
    if kind.folder == "knowledge_bases":
        for part, value in parts.items():
            found = source_of(part)
            if found is not None and value is not None:
                source, name = found
                for text in cast("list[object]", value) if isinstance(value, list) else [value]:
                    item: Any = name if source != "text" else {"title": name} if text == TEXT else {"title": name, "text": text}
                    fields.setdefault(SOURCES[source], []).append(item)
    return {name: fields[name] for name in [*before, *(name for name in fields if name not in before)] if name in fields}


def _below(name: str, files: Mapping[str, Json]) -> list[str]:
    """All that an object refers to, and that this refers to."""
    found: list[str] = []
    waiting = [name]
    while waiting:
        for other in references(files.get(waiting.pop(), {})):
            if other in files and other not in found:
                found.append(other)
                waiting.append(other)
    return found


def field_of(part: str) -> str:
    """The field of a file in which a setting stands that is compared by itself."""
    found = source_of(part)
    return part if found is None else SOURCES[found[0]]


def _refused(name: str, field: str, why: str, *, whole: bool) -> str:
    remedy = "write it there by hand" if whole else f"write it there by hand, or pull {name} --overwrite {name} to have it in full"
    return f"{name}: {field} was changed in the account, and stays as it is in the file, for {why}: {remedy}"


def _open(plan: Plan) -> set[str]:
    """The objects that are not in the account as the files say."""
    return {step.name for step in plan.steps} | {*plan.kept} | {conflict.partition(":")[0] for conflict in plan.conflicts}


def _calls(read: _Read) -> Calls:
    """What the account's calls are bound to."""
    objects = read.snapshot.objects
    names = {id: id for found in objects.values() for id in found} | {id: f"number-{id[-4:]}" for id in objects["phone_numbers"]}
    names |= {id: name for name, id in read.ids.items()}
    agents = {names[id]: (id, answer) for folder in ("agents", "chat_agents") for id, answer in objects[folder].items()}
    leading = {
        names[id]: [answer, read.snapshot.published.get(id)]  # what is published hands over until the draft is
        for folder in ("phone_numbers", "llms", "flows", "components")
        for id, answer in objects[folder].items()
    }
    return Calls(
        {
            name: Latest(answer.get("version"), bool(answer.get("is_published")), read.snapshot.tags.get(id, {}))
            for name, (id, answer) in agents.items()
        },
        {name: names.get(engine[1], "") for name, (_, answer) in agents.items() if (engine := engine_of(answer)) is not None},
        {
            name: tuple((field, names.get(agent, agent), version) for field, agent, version in bindings(answers))
            for name, answers in leading.items()
        },
    )


def _sharing(read: _Read, agent: str, answer: Json) -> list[str]:
    """The other agents that have the engine of a version of an agent, by name; by id where no file is about them."""
    engine = engine_of(answer)
    agents = {**read.snapshot.objects["agents"], **read.snapshot.objects["chat_agents"]}
    others = [id for id, other in agents.items() if id != agent and engine is not None and engine_of(other) == engine]
    return sorted((read.names.get(id, id) for id in others), key=natural)


def _refuse_all_calls(plan: Plan, calls: Calls) -> None:
    """:raises ConfigurationError: a draft would have all calls that are to be shared, from when it is made or changed until they are."""
    for agent, takers in plan.live.items():
        if takers and agent in calls.agents and calls.agents[agent].is_passed_by("latest_published"):
            raise ConfigurationError(
                f"no canary: the draft of {agent} would have all calls of the agent by {', '.join(takers)} as soon as it is applied. "
                "Write agent_version: latest_published there, apply that alone, and promote again"
            )


def _of_one_account(folder: Folder, name: str, parts: Json) -> Iterable[str]:
    """Where settings have numbers of versions, which are those of another account where environments share a file."""
    for field, agent, version in pinned(parts) if folder.over is not None else ():
        if folder.entries[name].origin.get(field) is not folder.over:
            yield (
                f"{name}: {field}: version {version} of {agent} is that of one account: write latest_published, a tag, "
                f"or values of {name} in {ENVIRONMENTS}/{folder.environment.name}.yaml"
            )


def _still_bound(read: _Read, agent: str, version: int) -> str:
    """The numbers whose calls do not follow an agent to a version that is published, since they name another one by its number."""
    found = {
        (number, named)
        for number, bound in _calls(read).bound.items()
        for _, other, named in bound
        if number.startswith("phone_numbers/") and other == agent and isinstance(named, int) and named != version
    }
    return "".join(f"; {number} keeps version {named} of it, which it names by its number" for number, named in sorted(found))


def _missing_keys(plan: Plan, environment: Mapping[str, str]) -> Iterable[str]:
    """What a plan would write, and cannot without keys that are not here."""
    for step in plan.steps:
        try:
            sent({part: value for part, value in step.parts.items() if value is not None}, lambda name: name, environment)
        except LookupError as error:
            yield f"{step.name}: {error.args[0]}"


def _without_files(read: _Read) -> Iterable[str]:
    """What the account has and no file is about."""
    known = {*read.ids.values()}
    count = {folder: len({*there} - known) for folder, there in read.snapshot.objects.items()}
    if any(count.values()):
        told = ", ".join(f"{number} {folder}" for folder, number in count.items() if number)
        yield f"the account has what no file is about, and no plan changes: {told}; pull writes files of them"


def _unread(folder: Folder) -> Iterable[str]:
    """What stands in the folder and is no part of it."""
    if some := folder.unread:
        more = f" and {len(some) - _TOLD} more" if len(some) > _TOLD else ""
        yield f"not read: {', '.join(some[:_TOLD])}{more}: settings stand in {', '.join(FOLDERS)}, one file an object"


def _keys_of(value: Any) -> Iterable[str]:
    """The names of the environment that a value refers to."""
    if isinstance(value, str):
        return [one.name for _, _, one in pieces(value, lambda _: None) if one and one.kind == "env"]
    if isinstance(value, dict):
        return _keys_of([*cast("Json", value).values()])
    return [name for item in cast("list[object]", value) for name in _keys_of(item)] if isinstance(value, list) else []


def _strange(kind: Kind, fields: Json) -> set[str]:
    """Fields that the document does not have, and the account does: the API is ahead of the document."""
    return {f"{fault.path[-1]}" for fault in faults_of(kind, fields) if fault.unknown}


def _about_keys(unknown: Collection[str]) -> list[str]:
    return [f"the environment has no {name}: what the account has in its place was not compared" for name in sorted(unknown)]
