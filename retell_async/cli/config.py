"""``retell-async config``."""

from __future__ import annotations

import re
import sys
from collections.abc import Awaitable, Callable, Collection, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import anyio
import click

from .._core.errors import ConfigurationError
from .._files import check_apart
from ..config import Config, Plan, Pulled, report
from ..config.backups import files_at, is_taken_along
from ..config.config import check_share
from ..config.folder import ENVIRONMENTS, read_folder
from ..config.kinds import FOLDERS
from ..config.state import FILE, replace_file
from .files import WRITTEN, written
from .operations.command import Group
from .operations.sending import UNKNOWN, Failed, carried_out, confirm, interruptible
from .profiles import DEFAULT, Profile
from .times import counted, plain

__all__ = ["config"]

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

_CHANGES = 2
_BEGUN = "retell_async.config.begun"
_GOES_ON = "run it again, it goes on from there"
_NAMES = click.argument("names", nargs=-1, metavar="[NAME]...")


@contextmanager
def _one() -> Generator[None]:
    try:
        yield
    except click.UsageError as error:
        raise click.ClickException(f"{error.format_message()} (--help says more)") from None


class _Strict(Group):
    """Answers whatever goes wrong with 1: 2 is for changes."""

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        with _one():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: click.Context) -> Any:
        with _one():
            return super().invoke(ctx)


@click.group(cls=_Strict)
@click.option(
    "--folder", type=click.Path(file_okay=False, path_type=Path), default=Path("retell"), show_default=True, help="Where the files are."
)
@click.option("--env", "environment", default=DEFAULT, show_default=True, metavar="NAME", help="The environment: environments/NAME.yaml.")
@click.option(
    "--profile",
    metavar="NAME",
    envvar="RETELL_PROFILE",
    help="Whose key, where the environment names no profile: RETELL_API_KEY_NAME.",
)
@click.pass_context
def config(ctx: click.Context, folder: Path, environment: str, profile: str | None) -> None:
    """Keep agents, prompts, flows and tools as files in git.

    `pull` writes what an account has into files, `plan` shows what would change it to what they say, and `apply` does that,
    in drafts where the API has them. Names are paths without their ending: agents/receptionist.
    """
    ctx.obj = (folder, environment, profile)


def _run(ctx: click.Context, use: Callable[[Config], Awaitable[T]], environment: str | None = None) -> T:
    folder, named, profile = ctx.obj

    async def run() -> T:
        async with _opened(folder, named if environment is None else environment, profile) as opened:
            return await use(opened)

    try:
        return anyio.run(interruptible, run)
    except KeyboardInterrupt:
        if (begun := ctx.meta.get(_BEGUN)) is None:
            raise
        raise Failed(
            f"{ctx.command_path} was given up on its way. What it said above is done, and what comes next may be: {begun}", UNKNOWN
        ) from None


@contextmanager
def _changing(then: str) -> Generator[None]:
    """The account is changed from here on.

    :param then: what to do where that is given up on its way.
    """
    click.get_current_context().meta[_BEGUN] = then
    yield
    del click.get_current_context().meta[_BEGUN]


class _Done:
    """Says each step once it is carried out. That it cannot be said stops none of those that follow, and is raised after them."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._unsaid: OSError | None = None

    def __call__(self, line: str) -> None:
        self._lines.append(line)
        try:
            _say([line])
            sys.stdout.flush()
        except OSError as error:
            self._unsaid = self._unsaid or error

    def end(self, what: str) -> None:
        if self._lines:
            carried_out(f"{what}: {'; '.join(self._lines)}.")
        if self._unsaid is not None:
            raise self._unsaid


class _opened:  # noqa: N801 - used like a function
    def __init__(self, folder: Path, environment: str, profile: str | None) -> None:
        read = read_folder(folder, environment)
        if wrong := [f"{one}" for one in read.problems if one.file == f"{ENVIRONMENTS}/{environment}.yaml"]:
            raise ConfigurationError("\n".join(wrong))  # before anything is sent: the file says whose account it is
        if read.over is None and environment != DEFAULT:
            raise ConfigurationError(f"there is no environment {environment}: write {folder}/environments/{environment}.yaml")
        said = read.environment.profile
        self._client = Profile.named(profile if said is None else said).client()
        self._config = Config(folder, self._client, environment)

    async def __aenter__(self) -> Config:
        await self._client.__aenter__()
        return self._config

    async def __aexit__(self, *error: object) -> None:
        await self._client.close()


def _overwrite(text: str) -> Callable[[F], F]:
    return click.option("--overwrite", multiple=True, metavar="NAME", help=text)


_delete = click.option(
    "--delete",
    multiple=True,
    metavar="NAME",
    help="Delete what has no file any more, after a backup; of a knowledge base a source: 'NAME: url: ...'.",
)
_yes = click.option("--yes", is_flag=True, help="Do not ask.")


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(plain(line))


def _show(plan: Plan) -> None:
    colours = {"+": "green", "-": "red", "~": "yellow", "!": "magenta"}
    for line in report(plan).splitlines():
        text = plain(line)
        click.secho(text, fg="red" if text.startswith("conflict") else colours.get(text.lstrip()[:1]))


@config.command()
@_NAMES
@_overwrite("Take the account's, whatever the file says.")
@click.option("--keys", type=WRITTEN, help="Add the keys that were found there to a file, for `set -a; . FILE`.")
@click.pass_context
def pull(ctx: click.Context, names: Sequence[str], overwrite: Collection[str], keys: Path | None) -> None:
    """Write what the account has into the files: all, or objects by name or id.

    In place of what is recognised as a key a file refers to the environment: fields, headers and parameters whose name says so, keys
    of known shapes, and what texts assign to such names. Look through the files before they go into git.
    """
    folder: Path = ctx.obj[0]
    if keys is not None and keys.resolve().is_relative_to(folder.resolve()):
        raise ConfigurationError(f"--keys {keys} is in the folder of the files, which belongs into git: name another place")
    pulled = _run(ctx, lambda opened: opened.pull(names, overwrite=overwrite))
    _told(pulled, keys)
    ctx.exit(1 if pulled.conflicts else 0)


def _told(pulled: Pulled, keys: Path | None) -> None:
    _say(f"wrote {name}" for name in pulled.written)
    _say(f"conflict: {text}" for text in pulled.conflicts)
    _say(f"note: {text}" for text in pulled.notes)
    if keys is not None:
        _write_keys(keys, pulled.secrets)
    elif pulled.secrets:
        _say([f"set in the environment: {', '.join(pulled.secrets)} (their values: pull with --keys FILE)"])
    _say([counted(len(pulled.written), "file written", "files written")])


def _write_keys(path: Path, secrets: Mapping[str, str]) -> None:
    """Add keys to a file, which is from then on readable for its owner alone. What stands in it stays."""
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    there = {found[1]: found[0].strip() for found in re.finditer(r"^\s*(?:export\s+)?(\w+)=.*", before, re.MULTILINE)}
    added: list[str] = []
    for name, value in secrets.items():
        quoted = value.replace("'", "'\\''")
        line = f"{name}='{quoted}'"
        if not name.isascii():
            _say([f"note: a shell takes no {name}: give it another name in the files"])
        elif name not in there:
            added.append(line)
        elif there[name].removeprefix("export ").strip() != line:
            _say([f"note: {path} has another {name} than the account, which stays: name a new file to have the account's"])
    if added:
        kept = before if not before or before.endswith("\n") else f"{before}\n"
        replace_file(path, f"{kept}{chr(10).join(added)}\n".encode(), 0o600)
    if path.exists() and is_taken_along(path):
        _say([f"warning: {path} has keys, and git does not ignore it: name it in .gitignore, or keep it outside the repository"])


@config.command()
@_NAMES
@_overwrite("The file counts, whatever was changed in the account.")
@_delete
@click.option("--out", type=WRITTEN, help="Write the plan's digest, for `apply --plan FILE`.")
@click.pass_context
def plan(ctx: click.Context, names: Sequence[str], overwrite: Collection[str], delete: Collection[str], out: Path | None) -> None:
    """Show what `apply` would change. Exit status 0: nothing, 2: something, 1: it cannot be applied."""
    if out is not None:
        folder: Path = ctx.obj[0]
        read = (path for name in (*FOLDERS, ENVIRONMENTS) for path in (folder / name).rglob("*"))
        check_apart(out, [folder / FILE, *read])
    made = _run(ctx, lambda opened: opened.plan(names, overwrite=overwrite, delete=delete))
    _show(made)
    if out is not None:
        with written(out) as file:
            file.write(f"{made.digest}\n")
    ctx.exit(made.status)


@config.command()
@_NAMES
@_overwrite("The file counts, whatever was changed in the account.")
@_delete
@click.option("--plan", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Only what this plan was made of.")
@_yes
@click.pass_context
def apply(
    ctx: click.Context, names: Sequence[str], overwrite: Collection[str], delete: Collection[str], file: Path | None, yes: bool
) -> None:
    """Change the account to what the files say. Agents, LLMs and flows get drafts; what has none is changed for calls at once.

    Nothing is published.
    """
    wanted = None if file is None else file.read_text(encoding="utf-8").strip()

    async def run(opened: Config) -> None:
        made = await opened.plan(names, overwrite=overwrite, delete=delete)
        if wanted not in {None, made.digest}:
            raise ConfigurationError(f"the plan {file} is out of date: plan again")
        await _carried_out(opened, made, yes or wanted is not None)

    _run(ctx, run)


async def _carried_out(opened: Config, made: Plan, yes: bool) -> None:
    _show(made)
    if made.status == 1:
        raise ConfigurationError("nothing was applied: there are conflicts")
    if made.steps and not yes:
        confirm("Apply this?")
    with _changing(_GOES_ON):
        applied = await opened.apply(made, told=(done := _Done()))
    done.end("Applied")
    _say(f"warning: {text}" for text in applied.warnings)


@config.command()
@click.argument("source")
@click.argument("target")
@_overwrite("The file counts, whatever was changed in the target.")
@click.option("--canary", metavar="PERCENT", help="Afterwards let the drafts answer this share of the numbers' calls: 10%.")
@_yes
@click.pass_context
def promote(ctx: click.Context, source: str, target: str, overwrite: Collection[str], canary: str | None, yes: bool) -> None:
    """Bring what was tried in one environment to another: `promote staging prod`. Ids are mapped by names."""
    share = None if canary is None else _share(canary)

    async def run(opened: Config) -> None:
        folder, _, profile = ctx.obj
        async with _opened(folder, target, profile) as other:
            await _carried_out(other, await opened.promote(other, overwrite=overwrite, canary=share is not None), yes)
            if share is not None:
                _say(await other.canary(share, dry_run=True))
                if not yes:
                    confirm("Let drafts answer these calls?")
                with _changing("plan shows which numbers share their calls"):
                    shared = await other.canary(share)
                numbers = [line.partition(":")[0] for line in shared]
                ended = "".join(f" --overwrite {number}" for number in numbers)
                _say([f"drafts answer these calls now: --env {target} publish gives them the others too"])
                _say([f"it ends without that by --env {target} apply {' '.join(numbers)}{ended}"])

    _run(ctx, run, source)


def _share(text: str) -> float:
    try:
        share = float(text.removesuffix("%")) / 100
    except ValueError:
        raise ConfigurationError(f"--canary {text!r} is no share: write 10%") from None
    check_share(share)
    return share


@config.command()
@click.argument("names", nargs=-1, metavar="[AGENT]...")
@click.option("--title", help="What the versions are called.")
@_yes
@click.pass_context
def publish(ctx: click.Context, names: Sequence[str], title: str | None, yes: bool) -> None:
    """Publish the drafts of agents, with their engines: calls get them from then on."""

    async def run(opened: Config) -> list[str]:
        if not yes:
            wanted = await opened.publish(names, title=title, dry_run=True)
            if not wanted:
                return []
            _say(wanted)
            confirm("Publish this?")
        with _changing(_GOES_ON):
            published = await opened.publish(names, title=title, told=(done := _Done()))
        done.end("Published")
        return published

    if not _run(ctx, run):
        _say(["nothing to publish"])


@config.command()
@click.argument("name", required=False, metavar="[AGENT]")
@click.option("--version", type=click.IntRange(min=0), metavar="N", help="Make a draft of AGENT with the settings of this version.")
@click.option("--commit", metavar="COMMIT", help="Put back the files that this commit of git has. It needs no key.")
@_yes
@click.pass_context
def rollback(ctx: click.Context, name: str | None, version: int | None, commit: str | None, yes: bool) -> None:
    """Go back to a version of an agent, or to a commit. Nothing is published. It asks first where calls or other agents are concerned."""
    if (commit is None) == (name is None) or (version is None) == (name is not None):
        raise click.UsageError("say either AGENT and --version N, or --commit COMMIT")
    if commit is not None:
        folder, _, _ = ctx.obj
        _say(f"put back {path}" for path in files_at(folder, commit))
        _say(["look at `plan`, then `apply`"])
    elif name is not None and version is not None:
        restored = _run(ctx, lambda opened: _restored(opened, name, version, yes))
        _told(restored, None)
        ctx.exit(1 if restored.conflicts else 0)


async def _restored(opened: Config, name: str, version: int, yes: bool) -> Pulled:
    if not yes and (live := (await opened.restore_version(name, version, dry_run=True)).notes):
        _say(live)
        confirm(f"Make a draft of version {version}?")
    with _changing(f"plan shows whether {name} has the draft; pull --overwrite {name} takes it into the files"):
        return await opened.restore_version(name, version)


@config.command()
@click.option("--out", type=WRITTEN, help="Where to; in .backups unless given.")
@click.pass_context
def backup(ctx: click.Context, out: Path | None) -> None:
    """Write all that the account has into one file. There are keys in it: only you may read it."""
    _say([f"wrote {_run(ctx, lambda opened: opened.backup(out))}"])


@config.command()
@_NAMES
@click.pass_context
def drift(ctx: click.Context, names: Sequence[str]) -> None:
    """Show what was changed in the account since it was last applied or pulled. Exit status 0: nothing, 2: something, 1: error."""
    made = _run(ctx, lambda opened: opened.plan(names))
    drifted = made.drift
    _say(drifted)
    _say(f"note: {text}" for text in made.notes)
    ctx.exit(_CHANGES if drifted else 0)


@config.command("import")
@click.argument("name")
@click.argument("id")
@click.pass_context
def import_(ctx: click.Context, name: str, id: str) -> None:
    """Say that a file is about an object that is there already: `import agents/receptionist agent_1f0`. Then pull or plan."""
    _run(ctx, lambda opened: opened.bind(name, id))
    _say([f"{name} is {id}"])
