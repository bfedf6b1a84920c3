"""Carries out a plan, step by step. After each step the state is written, so that a run that ends anywhere goes on where it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs

from .._core.errors import APIStatusError, OutcomeUnknownError, RetellError
from .account import Account, source_fields
from .bodies import TEXT, UNSEEN, from_answer, parts_of, sent, source_of, upload_path
from .difference import changes
from .kinds import FOLDERS, Json, Kind, kind_of
from .merge import settled
from .naming import Snapshot, engine_of, outline
from .plan import Plan, Step
from .state import Bound, Pending, State, digest
from .values import Vault, concealed

__all__ = ["Applied", "OutOfDateError", "apply_plan"]


class OutOfDateError(RetellError):
    """The account or the files are no longer what the plan was made of. Nothing was written that it does not name."""


@attrs.define
class Applied:
    """What was done.

    :param done: a line for each step.
    :param warnings: what the API did otherwise than it was told to.
    """

    done: list[str] = attrs.field(factory=list[str])
    warnings: list[str] = attrs.field(factory=list[str])


@attrs.define
class Run:
    """What the steps of one run share.

    :param snapshot: what the plan was made of.
    :param ids: ids by the names of objects, and of voices.
    :param save: writes the state.
    """

    account: Account
    snapshot: Snapshot
    files: Mapping[str, Json]
    state: State
    ids: dict[str, str]
    vault: Vault
    save: Callable[[], None]
    root: Path
    told: Callable[[str], None] = attrs.field(default=lambda _: None)
    """Called with a line for each step."""
    applied: Applied = attrs.field(factory=Applied)
    made: set[str] = attrs.field(factory=set[str])
    """Ids of what this run created."""
    written: dict[str, dict[str, str | None]] = attrs.field(factory=dict[str, "dict[str, str | None]"])
    """What objects have since this run wrote them, as digests."""

    def did(self, what: str) -> None:
        """Say that a step was carried out, whatever goes wrong from then on."""
        self.applied.done.append(what)
        self.told(what)

    def parts(self, name: str, answer: Json) -> Json:
        """The settings in an answer."""
        names = {one: known for known, one in self.ids.items()}
        fields = from_answer(kind_of(name), answer, lambda _, other: names.get(other, other))
        return parts_of(kind_of(name), concealed(fields, self.files.get(name), self.vault, (name,)))

    def body(self, name: str, parts: Json) -> Json:
        """Settings as the API takes them.

        :raises RetellError: a key is missing in the environment, or what is referred to is not there.
        """

        def id_of(reference: str) -> str:
            known = self.ids.get(reference)
            if known is None and reference in self.files:
                raise LookupError(f"{reference} is not in the account yet: apply it first")
            return known or reference

        try:
            return sent({part: value for part, value in parts.items() if source_of(part) is None}, id_of, self.vault.environment)
        except LookupError as error:
            raise RetellError(f"{name}: {error.args[0]}") from None


async def apply_plan(plan: Plan, run: Run) -> Applied:
    """Carry out a plan.

    :raises OutOfDateError: an object was changed since the plan was made; the steps before it are done, and it is untouched.
    :raises APIError: the API refused a step, or nobody knows whether it was carried out; the steps before it are done.
    """
    for step in plan.steps:
        if step.action == "create":
            await _create(step, run)
        elif step.action == "update":
            await _update(step, plan, run)
        else:
            await _delete(step, plan, run)
    return run.applied


async def _create(step: Step, run: Run) -> None:
    kind, name = kind_of(step.name), step.name
    there = {*await run.account.ids(kind)}
    if appeared := there - {*run.snapshot.objects[kind.folder]} - run.made:
        raise OutOfDateError(f"{name}: somebody created others of its kind since this was planned ({len(appeared)}): plan again")
    bound = {one.id for one in run.state.objects.values()}
    body = run.body(name, step.parts)
    if kind.folder == "knowledge_bases":
        body |= source_fields({part: _literal(run, name, value) for part, value in step.parts.items()}, _reader(run, name))
    run.state.pending[name] = Pending(_outline(kind, step.parts), sorted(there - bound))
    run.save()
    try:
        answer = await run.account.create(kind, body)
    except OutcomeUnknownError:
        raise  # what was begun stays noted: the next run finds it if it is there
    except (APIStatusError, ValueError, TypeError):
        del run.state.pending[name]
        run.save()
        raise
    id: str = answer[kind.id]
    run.did(f"created {name}")
    run.ids[name] = id
    run.made.add(id)
    account = _with_sources(kind, run.parts(name, answer), step.parts)
    run.state.objects[name] = Bound(id, settled(parts_of(kind, run.files[name]), account, None, {*step.parts, *account}))
    del run.state.pending[name]
    run.save()
    run.written[name] = {part: digest(value) for part, value in account.items()}


def _outline(kind: Kind, parts: Json) -> dict[str, str | None]:
    return outline({kind.named: parts.get(kind.named)} if kind.folder == "knowledge_bases" and kind.named else parts)


def _with_sources(kind: Kind, account: Json, parts: Json) -> Json:
    """The settings of a knowledge base with the sources that it was given, which it shows once they are read."""
    if kind.folder != "knowledge_bases":
        return account
    shown = {part: TEXT if part.startswith("text: ") else True for part, value in parts.items() if source_of(part) and value is not None}
    gone = {part for part, value in parts.items() if value is None}
    return {part: value for part, value in account.items() if part not in gone} | shown


async def _update(step: Step, plan: Plan, run: Run) -> None:
    kind, name, id = kind_of(step.name), step.name, run.ids[step.name]
    before = await _unchanged(step, plan, run)
    there = run.parts(name, before)
    body = run.body(name, step.parts)
    if kind.folder == "knowledge_bases":
        parts = {part: None if value is None else _literal(run, name, value) for part, value in step.parts.items()}
        await run.account.change_sources(id, parts, _reader(run, name))
        after = _with_sources(kind, there, step.parts)
    elif kind.folder in {"llms", "flows"}:
        after = run.parts(name, await _update_engine(step, plan, run, body))
    else:
        version = before.get("version") if kind.drafts else None
        if before.get("is_published"):
            version = (await _draft(run, name, before))["version"]
        if step.behind is not None:
            latest = await run.account.retrieve(kind_of(step.behind.engine), run.ids[step.behind.engine])
            body = {"response_engine": before["response_engine"] | {"version": latest["version"]}} | body
        whole = body if kind.folder != "tests" else from_answer(kind, before, lambda _, other: other) | body  # all of it is put
        after = run.parts(name, await run.account.update(kind, id, whole, version))
    engine = () if step.behind is None else (f"the latest version of {step.behind.engine}",)
    run.did(f"updated {name}: {', '.join((*engine, *step.parts))}")
    missed = [
        part
        for part, value in step.parts.items()
        if part not in UNSEEN and source_of(part) is None and digest(after.get(part)) == digest(there.get(part)) != digest(value)
    ]
    for part in missed:
        run.applied.warnings.append(f"{name}: the API took {part} and did not change it")
    bound = run.state.objects.get(name)
    file = parts_of(kind, run.files[name])
    run.state.objects[name] = Bound(id, settled(file, after, None if bound is None else bound.base, {*step.parts}, missed))
    run.state.pending.pop(name, None)
    run.save()
    run.written[name] = {part: digest(value) for part, value in after.items()}


async def _draft(run: Run, name: str, published: Json) -> Json:
    """A new draft of an agent. If that makes a draft of an earlier version of its engine, this gets the settings of the latest one."""
    if run.ids[name] not in run.snapshot.earlier:
        return await run.account.draft(kind_of(name), run.ids[name], published["version"])
    folder, id = engine_of(published) or ("", "")
    kind = FOLDERS[folder]
    latest = await run.account.retrieve(kind, id)
    draft = await run.account.draft(kind_of(name), run.ids[name], published["version"])
    made = await run.account.retrieve(kind, id)
    then, now = (from_answer(kind, answer, lambda _, other: other) for answer in (latest, made))
    if lost := {field: then.get(field) for field in {**then, **now} if then.get(field) != now.get(field)}:
        await run.account.update(kind, id, lost, made["version"])
    return draft


async def _update_engine(step: Step, plan: Plan, run: Run, body: Json) -> Json:
    """Change the draft of an engine. The published one is left as it is: the agents that have it get drafts, and these the same engine."""
    kind, id = kind_of(step.name), run.ids[step.name]
    for agent in step.drafts:
        found = await run.account.retrieve(kind_of(agent), run.ids[agent])
        if found.get("is_published"):
            await _draft(run, agent, found)
    draft = await _unchanged(step, plan, run)
    after = await run.account.update(kind, id, body, draft.get("version"))
    for agent in step.drafts:
        found = await run.account.retrieve(kind_of(agent), run.ids[agent])
        engine: Json = found.get("response_engine") or {}
        if engine.get(kind.id) == id and engine.get("version") not in {None, after.get("version")} and not found.get("is_published"):
            await run.account.update(
                kind_of(agent), run.ids[agent], {"response_engine": engine | {"version": after["version"]}}, found.get("version")
            )
    return after


async def _delete(step: Step, plan: Plan, run: Run) -> None:
    await _unchanged(step, plan, run)
    await run.account.delete(kind_of(step.name), run.ids[step.name])
    run.did(f"deleted {step.name}")
    run.state.objects.pop(step.name, None)
    run.save()


async def _unchanged(step: Step, plan: Plan, run: Run) -> Json:
    """What the account has now.

    :raises OutOfDateError: it is not what the plan was made of.
    """
    name = step.name
    try:
        answer = await run.account.retrieve(kind_of(name), run.ids[name])
    except APIStatusError as error:
        if error.status_code in {404, 422}:
            raise OutOfDateError(f"{name} was deleted since this was planned: plan again") from None
        raise
    planned = run.written.get(name, plan.account.get(name, {}))
    found = run.parts(name, answer)
    other = [part for part in {**planned, **found} if digest(found.get(part)) != planned.get(part)]
    if other:
        what = [".".join(change.place) for part in other for change in changes({part: step.before.get(part)}, {part: found.get(part)})]
        raise OutOfDateError(f"{name} was changed since this was planned ({', '.join(what[:5]) or ', '.join(other)}): plan again")
    return answer


def _literal(run: Run, name: str, value: Any) -> Any:
    return run.body(name, {"": value})[""] if isinstance(value, str) else value


def _reader(run: Run, name: str) -> Callable[[str], bytes]:
    """Reads files to be uploaded: they are in the folder of the object's name."""

    def read(file: str) -> bytes:
        path = upload_path(run.root, name, file)
        if path is None:
            raise OutOfDateError(f"{name}/{file} is no longer there, and was when this was planned: plan again")
        return path.read_bytes()

    return read
