# pyright: reportDeprecated=false
"""``retell-async test run``."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import click

from ..._client import AsyncRetell
from ..._core.errors import ConfigurationError
from ..._files import check_apart
from ..files import WRITTEN, check_place, written
from ..operations import sending as work, table
from ..operations.command import Group, profile_of, profile_options
from ..operations.output import print_table
from ..operations.sending import Failed, ask
from ..operations.table import Json
from ..times import Seconds, plain
from .cases import Case, Result, changes, compared, junit, read_cases, results

if TYPE_CHECKING:
    from ..profiles import Profile

__all__ = ["test"]

_NAMES = {"retell-llm": "llm_id", "conversation-flow": "conversation_flow_id"}
_MARKS = {"pass": "ok", "fail": "FAIL", "error": "ERROR"}
_PAGE = 1000


@click.group(cls=Group)
def test() -> None:
    """Run an agent's test cases: conversations with a user who is played by a model, and judged."""


@test.command()
@click.argument("files", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--agent", "agent_id", metavar="ID", help="Test what answers for this agent.")
@click.option("--llm", "llm_id", metavar="ID", help="Or this Retell LLM.")
@click.option("--flow", "flow_id", metavar="ID", help="Or this conversation flow.")
@click.option("--engine-version", type=int, metavar="N", help="In this version; by default the agent's, or the latest.")
@click.option("--case", "only", multiple=True, metavar="NAME", help="Only this test case; may be repeated.")
@click.option("--junit", "report", type=WRITTEN, help="Write the results as JUnit XML.")
@click.option("--regressions", is_flag=True, help="Fail only for what passed in the batch before, or is new.")
@click.option(
    "--within", default=1800.0, show_default=True, type=Seconds(min=0, min_open=True), metavar="SECONDS", help="Wait so long at most."
)
@click.option("--yes", is_flag=True, help="Do not ask: runs cost what their models cost.")
@profile_options
def run(
    files: tuple[Path, ...],
    agent_id: str | None,
    llm_id: str | None,
    flow_id: str | None,
    engine_version: int | None,
    only: tuple[str, ...],
    report: Path | None,
    regressions: bool,
    within: float,
    yes: bool,
    profile: str | None,
    sandbox: bool,
) -> None:
    """Run test cases, wait, and say what came of them: of FILES, or else all that the account has for this engine.

    FILES and folders hold test cases as JSON, TOML or YAML: name, user_prompt and metrics, and what else
    `tests create-test-case-definition` takes. Those that the account lacks are created, those that differ are changed, by their name; none
    is deleted.

    The results are compared with the last batch of an earlier version, or the last one at all. The exit status is 1 if a case does not
    pass.
    """
    if sum(given is not None for given in (agent_id, llm_id, flow_id)) != 1:
        raise click.UsageError("one of --agent, --llm and --flow says what is tested")
    known = profile_of(profile, sandbox)
    cases = read_cases(files) if files else []
    if report is not None:
        check_apart(report, [case.file for case in cases])
        check_place(report)
    if files and (unknown := [name for name in only if name not in {case.name for case in cases}]):
        raise click.UsageError(f"--case {unknown[0]!r} is in none of the files")
    given = {"agent_id": agent_id, "llm_id": llm_id, "conversation_flow_id": flow_id, "version": engine_version}
    begun = time.monotonic()
    wanted, engine, there, before = anyio.run(_found, known, given, cases, only)
    about = table.operation("tests", "create_batch_test")
    ask("test run", known, about.asked({}), {**engine, "test_cases": [name for name, _ in wanted]}, yes=yes)
    found = work.run(about, {}, _run, known, about, engine, [case for _, case in wanted], there, within)
    took = time.monotonic() - begun
    _print(found, before)
    if report is not None:
        try:
            with written(report) as file:
                file.write(junit(engine[_NAMES[engine["type"]]], found, took))
        except click.FileError as error:
            raise Failed(f"The test cases ran. {error.format_message()}", work.UNTOLD) from None
    worse = {*compared(found, before).worse, *compared(found, before).new}
    if wrong := [one for one in found if one.verdict != "pass" and (not regressions or not before or one.name in worse)]:
        raise Failed(f"{len(wrong)} of {len(found)} test cases did not pass")


async def _found(
    profile: Profile, given: Mapping[str, Any], cases: Sequence[Case], only: Sequence[str]
) -> tuple[list[tuple[str, Case | str]], dict[str, Any], dict[str, Json], list[Result]]:
    """The test cases that are to run by their names, what is tested, the test cases that it has, and the results of the batch before."""
    async with profile.client() as client:
        engine = await _engine(client, given, profile)
        name = _NAMES[engine["type"]]
        where: Any = {"type": engine["type"], name: engine[name]}
        there = [case.to_dict() async for case in client.tests.list_test_case_definitions(**where, limit=_PAGE)]
        known: list[tuple[str, Case | str]] = [(case["name"], case["test_case_definition_id"]) for case in there]
        if cases:
            known = [(case.name, case) for case in cases]
        names = [name for name, _ in known]
        if unknown := [one for one in only if one not in names]:
            raise ConfigurationError(f"{engine[name]} has no test case {unknown[0]!r}: {', '.join(map(plain, names)) or 'FILES name some'}")
        if not known:
            raise ConfigurationError(f"{engine[name]} has no test cases: FILES name some")
        wanted = [one for one in known if not only or one[0] in only]
        return wanted, engine, {case["name"]: case for case in there}, await _before(client, where, engine.get("version"))


async def _run(
    profile: Profile,
    about: table.Operation,
    engine: Mapping[str, Any],
    cases: Sequence[Case | str],
    there: Mapping[str, Json],
    within: float,
) -> list[Result]:
    """The results of test cases: those of files, or the ids of those that the account has."""
    async with profile.client() as client:
        ids: list[str] = []
        for case in cases:
            try:
                ids.append(case if isinstance(case, str) else await _written(client, profile, case, there.get(case.name), engine))
            except Failed as error:
                raise error if isinstance(case, str) else Failed(f"{case.where}: {error.message}", error.exit_code) from None
        made = await work.called(client, about, profile, response_engine=engine, test_case_definition_ids=ids)
        id = str(made["test_case_batch_job_id"])
        work.carried_out(f"The test cases run as {id}.")
        click.echo(f"{len(ids):,} test cases run as {id}", err=True)
        await client.tests.wait(id, within=within)
        return await _results(client, id)


async def _engine(client: AsyncRetell, given: Mapping[str, Any], profile: Profile) -> dict[str, Any]:
    """What is tested, as the API names it, once it was seen to be there.

    :raises Failed: there is no such agent, LLM or flow, or no such version of it.
    """
    version = {} if given["version"] is None else {"version": given["version"]}
    named: list[Json] = [{"type": kind, name: given[name]} for kind, name in _NAMES.items() if given[name] is not None]
    engine = named[0] if named else (await work.retrieved(client, "agent", given["agent_id"], profile))["response_engine"]
    engine = {name: value for name, value in {**engine, **version}.items() if value is not None}
    name = _NAMES.get(engine["type"])
    if name is None:
        raise ConfigurationError(f"{given['agent_id']} answers by a custom LLM, which cannot be tested so: llm simulate can")
    await work.retrieved(client, name.removesuffix("_id"), engine[name], profile, **version)
    return engine


async def _written(client: AsyncRetell, profile: Profile, case: Case, known: Mapping[str, Any] | None, engine: Mapping[str, Any]) -> str:
    """The id of a test case that is as its file has it."""
    fields = changes(case, known)
    if known is None:
        under_test = {name: engine[name] for name in ("type", _NAMES[engine["type"]])}
        about = table.operation("tests", "create_test_case_definition")
        made = await work.called(client, about, profile, **fields, response_engine=under_test)
        click.echo(f"created {plain(case.name)}", err=True)
        return str(made["test_case_definition_id"])
    id = str(known["test_case_definition_id"])
    if fields:
        await work.called(client, table.operation("tests", "update_test_case_definition"), profile, id, **fields)
        click.echo(f"changed {plain(case.name)}: {', '.join(fields)}", err=True)
    return id


async def _before(client: AsyncRetell, where: Mapping[str, Any], version: int | None) -> list[Result]:
    """The results of the last batch that is complete: of an earlier version, if there is one, or else at all."""
    page = await client.tests.list_batch_tests(**where, limit=_PAGE)
    done = sorted((batch.to_dict() for batch in page.items if batch.status == "complete"), key=lambda batch: -batch["creation_timestamp"])
    earlier = [batch for batch in done if version is not None and (batch["response_engine"].get("version") or 0) < version]
    last = (earlier or done)[:1]
    return await _results(client, last[0]["test_case_batch_job_id"]) if last else []


async def _results(client: AsyncRetell, batch: str) -> list[Result]:
    return results([run.to_dict() async for run in client.tests.list_test_runs(batch, limit=_PAGE)])


def _print(found: Sequence[Result], before: Sequence[Result]) -> None:
    print_table(
        ["", "test case", "why"], [[_MARKS.get(one.verdict, one.verdict), plain(one.name), plain(one.why)] for one in found], whole=True
    )
    changed = compared(found, before)
    if before:
        for what, names in (("worse than before", changed.worse), ("better than before", changed.better), ("not run before", changed.new)):
            if names:
                click.echo(f"{what}: {', '.join(map(plain, names))}")
    passed = sum(one.verdict == "pass" for one in found)
    click.echo(
        f"{passed:,} of {len(found):,} passed"
        + (f"; {sum(one.verdict == 'pass' for one in before):,} of {len(before):,} before" if before else "")
    )
