"""A folder of files and an account, brought together: pull, plan, apply, promote, publish, roll back, back up."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from .._client import AsyncRetell
from .._core.errors import ConfigurationError
from .account import Account
from .applying import Applied, OutOfDateError, Run, apply_plan
from .backups import back_up, files_at
from .bodies import SOURCES, TEXT, from_answer, parts_of, sent, source_of, strange_fields
from .document import faults_of
from .folder import Folder, read_folder
from .kinds import FOLDERS, VOICES, Json, Kind, kind_of, natural, references
from .merge import compared, settled
from .naming import Snapshot, match, named
from .plan import Found, Plan, make_plan
from .state import Bound, State, read_state, write_state
from .values import OTHER, Vault, concealed

__all__ = ["Config", "Pulled"]


@attrs.frozen
class Pulled:
    """What `Config.pull` did.

    :param written: the names of the objects whose files were changed.
    :param secrets: keys by the names that files refer to them by; they are in no file, and belong into the environment.
    :param conflicts: what was changed on both sides, and stays in the files as it is.
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
    doubts: list[str]
    vault: Vault


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

        What was changed in the files alone stays. What was changed on both sides stays too, and is a conflict.

        :param names: objects by their names or ids, with all that they refer to; everything unless given.
        :param overwrite: objects of which the account counts, whatever their files say.
        :raises ConfigurationError: the files cannot be read, or there is no such object.
        """
        read = await self._read(every=True)
        self._refuse_broken(read.folder)
        chosen = self._chosen(read, names)
        written: list[str] = []
        conflicts = [*read.doubts] if not names else []
        notes: list[str] = []
        for name in chosen:
            found, bound = read.account[name], read.state.objects.get(name)
            mine = bound.base if bound is not None and bound.id == found.id else None
            kind, is_new = kind_of(name), name not in read.folder.entries
            file, account = parts_of(kind, {} if is_new else read.folder.wanted[name]), parts_of(kind, found.fields)
            taken: Json = {}
            accepted: list[str] = []
            for part, side in compared(file, account, mine):
                theirs = is_new or name in overwrite or side.verdict == "account" or (mine is None and side.file is None)
                if side.verdict == "file" and mine is not None and name not in overwrite:
                    notes.append(f"{name}: {part} was edited in the file and is not applied: it stays")
                elif side.verdict in {"both", "file"} and not theirs:
                    conflicts.append(f"{name}: {part} is another in the file than in the account: it stays, unless with --overwrite {name}")
                follows = theirs and (side.verdict != "same" or side.file is None)
                taken[part] = _without_mark(side.account) if follows else side.file
                accepted += [part] if follows else []
            if is_new or mine is not None or name in overwrite or not any(conflict.startswith(f"{name}: ") for conflict in conflicts):
                if read.folder.write(name, fields_of(kind, taken, read.folder.wanted.get(name, {}))):
                    written.append(name)
                after = {part: value for part, value in taken.items() if value is not None}
                read.state.objects[name] = Bound(found.id, settled(after, account, mine, accepted))
                read.state.pending.pop(name, None)
            notes += [
                f"{name}: the document does not know {field}, which stays in the account as it is"
                for field in strange_fields(kind, read.snapshot.objects[kind.folder][found.id])
            ]
        self._save(read.state)
        return Pulled(tuple(written), dict(read.vault.found), tuple(conflicts), (*notes, *_about_keys(read.vault)))

    async def plan(self, names: Collection[str] = (), *, overwrite: Collection[str] = (), delete: Collection[str] = ()) -> Plan:
        """What `apply` would do.

        :param names: the objects that it is about, by their names; all unless given.
        :param overwrite: objects of which the files count, whatever was changed in the account.
        :param delete: objects without a file that are deleted. A source of a knowledge base is named ``knowledge_bases/faq: url: ...``.
        :raises ConfigurationError: a file is wrong; the error names each file, line and field.
        """
        return self._plan(await self._checked(), names, overwrite, delete)

    async def apply(self, plan: Plan | str) -> Applied:
        """Carry out a plan. What it writes are drafts: nothing is published.

        :param plan: the plan, or the `digest` of one that was made of the same files with no names given.
        :raises OutOfDateError: the files or the account are no longer what the plan was made of.
        :raises ConfigurationError: the plan has conflicts, or a key is missing in the environment.
        :raises APIError: the API refused a step, or nobody knows whether it was carried out. What was done is in the state, and the next
            plan goes on from there.
        """
        read = await self._checked()
        given = plan if isinstance(plan, Plan) else None
        now = self._plan(read, *((given.only, given.overwrite, given.delete) if given else ((), (), ())))
        if now.digest != (plan if isinstance(plan, str) else plan.digest):
            raise OutOfDateError("the plan is out of date: the files or the account were changed since. Plan again")
        if now.conflicts:
            raise ConfigurationError("\n".join(now.conflicts))
        if any(step.action == "delete" or None in step.parts.values() for step in now.steps):
            self.backup_of(read.snapshot)
        about = {step.name for step in now.steps}
        for name, found in read.account.items():
            if name in read.folder.entries and name not in about and (not now.only or name in now.only):
                kind, bound = kind_of(name), read.state.objects.get(name)
                file, account = parts_of(kind, read.folder.wanted[name]), parts_of(kind, found.fields)
                read.state.objects[name] = Bound(found.id, settled(file, account, bound.base if bound and bound.id == found.id else None))
                read.state.pending.pop(name, None)
        self._save(read.state)
        ids = read.ids | {f"{VOICES}/{name}": id for id, name in read.snapshot.voices.items()}
        run = Run(self._account, read.snapshot, read.folder.wanted, read.state, ids, read.vault, lambda: self._save(read.state), self.root)
        return await apply_plan(now, run)

    async def bind(self, name: str, id: str) -> None:
        """Say which object of the account a file is about, or is to be about once it is pulled.

        :raises ConfigurationError: the account has no such object, or another file is about it.
        """
        if name.partition("/")[0] not in FOLDERS:
            raise ConfigurationError(f"a name begins with {', '.join(f'{folder}/' for folder in FOLDERS)}: not {name!r}")
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
                kind = kind_of(name)
                file, account = parts_of(kind, read.folder.wanted[name]), parts_of(kind, found.fields)
                read.state.objects[name].base = settled(
                    file, account, None, missed=[part for part in file if file[part] != account.get(part)]
                )
            self._save(read.state)

    async def publish(self, names: Collection[str] = (), *, title: str | None = None) -> list[str]:
        """Publish drafts of agents, with their engines.

        :param names: the agents; all that have a draft unless given.
        :param title: what the versions are called.
        :raises ConfigurationError: the draft is not what the files say.
        :returns: what was published, with the versions.
        """
        read = await self._checked()
        plan = self._plan(read, (), (), ())
        agents = [name for name in sorted(read.account, key=natural) if kind_of(name).folder in {"agents", "chat_agents"}]
        self._refuse_unknown(names, agents)
        chosen = [name for name in agents if (not names or name in names) and not read.account[name].published]
        open = {step.name for step in plan.steps} | {*plan.kept} | {conflict.partition(":")[0] for conflict in plan.conflicts}
        for name in chosen:
            if unready := sorted({name, *_below(name, read.folder.wanted)} & open):
                raise ConfigurationError(
                    f"{name} is not published: {', '.join(unready)} is not in the account as the files say: plan and apply first"
                )
        done: list[str] = []
        for name in chosen:
            found = read.account[name]
            version = found.version or 0
            await self._account.publish(kind_of(name), found.id, version, title)
            done.append(f"{name}: version {version}")
        return done

    async def backup(self, path: Path | None = None) -> Path:
        """Write all that the account answers into one file, which only its owner may read: there are keys in it.

        :returns: where it is; unless a path is given, in `.backups`, which git ignores.
        """
        return self.backup_of(await self._account.snapshot(), path)

    def backup_of(self, snapshot: Snapshot, path: Path | None = None) -> Path:
        return back_up(self.root, self.environment, snapshot, path)

    async def promote(self, target: Config, *, names: Collection[str] = (), overwrite: Collection[str] = ()) -> Plan:
        """What brings the account of another environment to what this one has, by the same files. `target.apply` carries it out.

        :param target: the other environment of the same folder.
        :param names: the objects that it is about; all unless given.
        :param overwrite: objects of the other environment of which the files count, whatever was changed there.
        :raises ConfigurationError: this environment does not have what the files say: nobody tried what would be promoted.
        """
        if target.root.resolve() != self.root.resolve():
            raise ConfigurationError("environments are promoted within one folder")
        own = await self.plan(names)
        if open := sorted({step.name for step in own.steps} | {*own.kept} | {conflict.partition(":")[0] for conflict in own.conflicts}):
            raise ConfigurationError(f"{self.environment} is not what the files say: plan, pull or apply there first: {', '.join(open)}")
        return await target.plan(names, overwrite=overwrite)

    async def canary(self, share: float) -> list[str]:
        """Let drafts answer a share of the calls: numbers get the published version of an agent and its draft, by weight.

        The files stay as they are: `plan` shows the bindings as changed in the account. Applying with `overwrite` of the numbers ends it.

        :param share: of the calls, above 0 and below 1.
        :raises ConfigurationError: it is no such share, or no number has an agent with a draft after a published version.
        :returns: what was changed, by number.
        """
        if not 0 < share < 1:
            raise ConfigurationError(f"a share is above 0% and below 100%: not {share:.0%}")
        read = await self._checked()
        versions = {
            name: (found, published)
            for name, found in read.account.items()
            if kind_of(name).folder in {"agents", "chat_agents"} and not found.published and found.version
            if (published := await self._account.published(found.id)) is not None
        }
        done: list[str] = []
        ids = {name: found.id for name, found in read.account.items()}
        for name, found in read.account.items():
            if kind_of(name).folder == "phone_numbers":
                bindings = {
                    field: weighted
                    for field in ("inbound_agents", "outbound_agents", "inbound_sms_agents", "outbound_sms_agents")
                    if (weighted := split(found.fields.get(field) or [], versions, share)) != found.fields.get(field, [])
                }
                if bindings:
                    await self._account.update(kind_of(name), found.id, sent(bindings, lambda other: ids.get(other, other), {}))
                    done.append(f"{name}: {share:.0%} of {', '.join(bindings)}")
        if not done:
            raise ConfigurationError("no number has an agent with a draft after a published version: apply first, then try the draft")
        return done

    async def restore_version(self, name: str, version: int) -> Pulled:
        """Make a draft of an agent with the settings of an earlier version, and take it into the files.

        :raises ConfigurationError: there is no such agent.
        """
        read = await self._checked()
        self._refuse_unknown([name], [one for one in read.account if kind_of(one).folder in {"agents", "chat_agents"}])
        await self._account.draft(kind_of(name), read.account[name].id, version)
        engine = [other for other in _below(name, read.folder.wanted) if kind_of(other).folder in {"llms", "flows"}]
        return await self.pull([name], overwrite=[name, *engine])

    def restore_files(self, commit: str) -> list[str]:
        """Put back the files of a commit of git; the state stays. `plan` then says what that means for the account.

        :raises ConfigurationError: git does not know the commit, or there are changes that are in no commit.
        :returns: the paths that were changed.
        """
        return files_at(self.root, commit)

    # What both sides are, read once.

    async def _read(self, *, every: bool = False) -> _Read:
        folder, state = read_folder(self.root, self.environment, writing=every), read_state(self.root, self.environment)
        workspace = await self._account.workspace()
        if state.workspace is not None and workspace is not None and state.workspace != workspace:
            raise ConfigurationError(
                f"the environment {self.environment} is another workspace than that of this API key: {state.workspace}"
            )
        state.workspace = workspace or state.workspace
        snapshot = await self._account.snapshot()
        ids, doubts = match(folder.wanted, snapshot, state)
        known = {id: name for name, id in ids.items()}
        names = named(snapshot, known, folder.entries) if every else known
        read = _Read(folder, state, snapshot, ids, names, {}, doubts, Vault(self._variables))
        for id, name in sorted(names.items(), key=lambda one: (list(FOLDERS).index(one[1].partition("/")[0]), natural(one[1]))):
            if snapshot.get(name, id) is not None:
                read.account[name] = self._found(read, name, id)
        return read

    def _found(self, read: _Read, name: str, id: str) -> Found:
        kind = kind_of(name)
        answer = read.snapshot.objects[kind.folder][id]
        voices = {voice: f"{VOICES}/{known}" for voice, known in read.snapshot.voices.items()}
        fields = from_answer(kind, answer, lambda _, other: read.names.get(other) or voices.get(other) or other)
        return Found(
            id,
            concealed(fields, read.folder.wanted.get(name), read.vault, (name,)),
            bool(answer.get("is_published")),
            answer.get("version"),
        )

    async def _checked(self) -> _Read:
        read = await self._read()
        read.folder.check({name: _strange(kind_of(name), found.fields) for name, found in read.account.items()})
        return read

    def _plan(self, read: _Read, only: Collection[str], overwrite: Collection[str], delete: Collection[str]) -> Plan:
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
        )
        return attrs.evolve(plan, notes=(*plan.notes, *_about_keys(read.vault)))

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
            raise ConfigurationError(f"there is no {', '.join(unknown)}; there are {', '.join(known) or 'none'}")

    @staticmethod
    def _refuse_broken(folder: Folder) -> None:
        if folder.problems:
            raise ConfigurationError("\n".join(f"{problem}" for problem in folder.problems))

    def _save(self, state: State) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        write_state(self.root, self.environment, state)


def split(weighted: list[Json], versions: Mapping[str, tuple[Found, int]], share: float) -> list[Json]:
    """Agents of a number by weight, with a share of each for its draft. One that is split already is split anew.

    :param versions: by agent, the draft and the number of the published version.
    """
    found: list[Json] = []
    for agent in dict.fromkeys(item["agent_id"] for item in weighted):
        items = [item for item in weighted if item["agent_id"] == agent]
        if agent not in versions:
            found += items
            continue
        draft, published = versions[agent]
        whole = sum(item["weight"] for item in items)
        part = round(whole * share, 6)
        found += [
            {"agent_id": agent, "agent_version": published, "weight": round(whole - part, 6)},
            {"agent_id": agent, "agent_version": draft.version, "weight": part},
        ]
    return found


def fields_of(kind: Kind, parts: Json, before: Json) -> Json:
    """The settings of a file, from parts that were taken one by one."""
    fields = {part: value for part, value in parts.items() if value is not None and source_of(part) is None}
    if kind.folder == "knowledge_bases":
        for part, value in parts.items():
            found = source_of(part)
            if found is not None and value is not None:
                source, name = found
                item: Any = name if source != "text" else {"title": name} if value == TEXT else {"title": name, "text": value}
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


def _strange(kind: Kind, fields: Json) -> set[str]:
    """Fields that the document does not have, and the account does: the API is ahead of the document."""
    return {f"{fault.path[-1]}" for fault in faults_of(kind, fields) if fault.unknown}


def _without_mark(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_mark(item) for name, item in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list):
        return [_without_mark(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    return value.removesuffix(OTHER) if isinstance(value, str) else value


def _about_keys(vault: Vault) -> list[str]:
    notes = [f"the environment has no {name}: what the account has in its place was not compared" for name in sorted(vault.unknown)]
    return [*notes, *(f"{name} is another in the account than in the environment" for name in sorted(vault.others))]
