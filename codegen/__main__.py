"""``python -m codegen generate | check | words | update | diff | released``"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from . import words
from .canonical import canonical
from .document import Refused, dump, load_file
from .generate import ROOT, Report, differences, generate_pinned, pinned
from .prepare import prepare
from .revisions import pin, report
from .revisions.diff import Revision, difference
from .revisions.sources import fetch
from .revisions.swap import recover

OPENAPI = ROOT / "openapi"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="codegen", description="Generate the package from the pinned document, and keep up with the API.")
    commands = parser.add_subparsers(required=True)

    def command(run: Callable[..., int], about: str) -> argparse.ArgumentParser:
        """A command is called like its function, which takes its arguments."""
        added = commands.add_parser(run.__name__.strip("_"), help=about)
        added.set_defaults(run=run)
        return added

    command(_generate, "write retell_async/raw and retell_async/resources")
    command(_check, "fail if they are not what the document says")
    command(_words, "list what has no words in openapi/docs yet; fail if too much has none")
    updating = command(_update, "pin another revision of the document and generate from it")
    updating.add_argument("spec", nargs="?", help="path or URL; without it the source named in openapi/pin.toml")
    updating.add_argument("--dry-run", action="store_true", help="change nothing; exit with 4 if something breaks, 3 if something comes")
    updating.add_argument("--markdown", type=_writable, metavar="FILE", help="write the difference to a file too")
    comparing = command(_diff, "compare two documents; exit with 4 if something breaks, 3 if something came")
    comparing.add_argument("old", type=Path)
    comparing.add_argument("new", type=Path, nargs="?", help="without it the pinned document")
    comparing.add_argument("--format", choices=("table", "markdown", "json"), default="table")
    command(_released, "remember operations and names with a release (openapi/released.yaml)")
    for told in recover(ROOT):
        print(f"note: {told}", file=sys.stderr)
    return run(parser, arguments)


def _writable(name: str) -> Path:
    """A file that can be written, which is tried before anything changes."""
    try:
        Path(name).open("a").close()
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{name} cannot be written: {error.strerror}") from error
    return Path(name)


def run(parser: argparse.ArgumentParser, arguments: list[str] | None) -> int:
    """Run the command that is asked for, with what is said beside it; what is refused is told."""
    said = vars(parser.parse_args(arguments))
    try:
        code: int = said.pop("run")(**said)
    except Refused as refused:
        print(f"refused: {refused}{refused.remedy and f'; {refused.remedy}'}", file=sys.stderr)
        return 1
    return code


def _generate() -> int:
    made = generate_pinned()
    (OPENAPI / "names.yaml").write_text(dump(made.names), encoding="utf-8")
    _tell(made)
    return 0


def _tell(made: Report) -> None:
    print(f"{made.operations} operations as {made.methods} methods, {made.models} models")
    for key, decided in made.named_themselves.items():
        print(f"note: {key} is not in openapi/surface.yaml: {decided}")
    for note in made.notes:
        print(f"note: {note}")
    if made.unreachable:
        print(f"note: no operation needs {len(made.unreachable)} schemas, which have no model: {', '.join(made.unreachable)}")


def _check() -> int:
    if stale := differences():
        print("generated code and document disagree; run `make generate`:", *stale[:20], sep="\n  ", file=sys.stderr)
        return 1
    print("generated code is up to date")
    return 0


def _words() -> int:
    missing = words.lay(prepare(pinned()), words.load(OPENAPI / "docs"))
    for title, names in (
        ("operations without words", missing.operations),
        ("request properties without words", missing.requests),
        ("answer properties without words", missing.responses),
        ("words for what is not there", missing.stale),
    ):
        print(f"{title}: {len(names)}", *names, sep="\n  ")
    return int(bool(missing.operations or missing.requests or missing.stale or len(missing.responses) > 0.05 * missing.response_properties))


def _update(spec: str | None, markdown: Path | None, *, dry_run: bool) -> int:
    from .revisions.update import update

    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # so that what was begun is cleaned up
    done = update(spec, write=not dry_run)
    for told in done.told:
        print(f"note: {told}")
    if done.report is None:
        print(f"{done.revision} is pinned already")
        return 0
    report.table(done.changes, Console(), done.left_out)
    _tell(done.report)
    print(f"{done.revision} {'would take' if dry_run else 'has taken'} the place of {done.before}")
    for key, why in done.left_out.items():
        print(f"left out: {key}, since it cannot be expressed: {why}")
    if markdown is not None:
        title = f"API revision `{done.revision}` in place of `{done.before}`: {report.summary(done.changes, done.left_out)}."
        markdown.write_text(f"{title}\n\n{report.markdown(done.changes, done.left_out)}\n", encoding="utf-8")
    return report.LEFT_OUT if done.left_out else report.status(done.changes) if dry_run else 0


def _diff(old: Path, new: Path | None, format: str) -> int:
    changes = difference(_revision(old), _revision(new))
    if format == "table":
        report.table(changes, Console())
    else:
        print(report.as_json(changes) if format == "json" else report.markdown(changes))
    return report.status(changes)


def _revision(path: Path | None = None) -> Revision:
    """Of a document, or of what is pinned, as our files beside it have it."""
    from .revisions.checked import parse

    facts = canonical(parse(fetch(str(path)), str(path))) if path else None
    return Revision.of(pinned(OPENAPI, facts), load_file(OPENAPI / "surface.yaml"))


def _released() -> int:
    here = _revision()
    names = {key: [str(method) for method in here.entries[key].methods] for key in sorted(here.entries)}
    (OPENAPI / "released.yaml").write_text(dump(names), encoding="utf-8")
    pins = pin.load(OPENAPI / "pin.toml")
    (OPENAPI / "pin.toml").write_text(pin.dump(pin.Pins(pins.now, (), pins.sdk)), encoding="utf-8")
    print(f"{len(here.entries)} operations of revision {pins.now.revision} are remembered as released")
    return 0


if __name__ == "__main__":
    sys.exit(main())
