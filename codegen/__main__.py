"""``python -m codegen generate | check | words | update | diff | drift | official | released``"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from . import retired, words
from .canonical import canonical
from .document import Json, Refused, dump, load, load_file
from .generate import ROOT, Report, differences, generate_pinned, pinned
from .prepare import prepare
from .revisions import drift, official, pin, report
from .revisions.diff import Change, Revision, difference

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
    updating.add_argument("--markdown", type=Path, metavar="FILE", help="write the difference to a file too")
    comparing = command(_diff, "compare two documents; exit with 4 if something breaks, 3 if something came")
    comparing.add_argument("old", type=Path)
    comparing.add_argument("new", type=Path, nargs="?", help="without it the pinned document")
    comparing.add_argument("--format", choices=("table", "markdown", "json"), default="table")
    drifting = command(_drift, "compare with the official SDK that is installed; fail if it has what is missing here")
    drifting.add_argument("--like", action="store_true", help="not what is pinned, but the document that the official SDK was made from")
    command(_official, "say the names of the official SDK that is installed in ours (openapi/official.json)")
    command(_released, "remember operations and names with a release (openapi/released.yaml)")
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
    for note in [*made.aside, *made.unused]:
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

    done = update(spec, write=not dry_run)
    for told in done.told:
        print(f"note: {told}")
    if done.report is None:
        print(f"{done.revision} is pinned already")
        return 0
    report.table(done.changes, Console())
    if markdown is not None:
        title = f"API revision `{done.revision}` in place of `{done.before}`: {report.summary(done.changes)}."
        markdown.write_text(f"{title}\n\n{report.markdown(done.changes, done.left_out)}\n", encoding="utf-8")
    _tell(done.report)
    print(f"{done.revision} {'would take' if dry_run else 'has taken'} the place of {done.before}")
    for key, why in done.left_out.items():
        print(f"left out: {key}, since it cannot be expressed: {why}")
    return report.LEFT_OUT if done.left_out else report.status(done.changes) if dry_run else 0


def _diff(old: Path, new: Path | None, format: str) -> int:
    changes: list[Change] = difference(_revision(old), _revision(new))
    if format == "table":
        report.table(changes, Console())
    else:
        print(report.as_json(changes) if format == "json" else report.markdown(changes))
    return report.status(changes)


def _revision(path: Path | None = None, facts: Json | None = None) -> Revision:
    """Of a document, or of what is pinned, as our files beside it have it."""
    try:
        facts = canonical(load_file(path)) if path else facts
    except OSError as error:
        raise Refused("", f"{path} cannot be read: {error.strerror}") from error
    return Revision.of(pinned(OPENAPI, facts), load_file(OPENAPI / "surface.yaml"))


def _drift(*, like: bool) -> int:
    from .revisions.sources import of_sdk

    facts = canonical(load(of_sdk(pin.load(OPENAPI / "pin.toml").sdk).decode("utf-8"), "the SDK's document")) if like else None
    reasons = {entry["finding"]: entry["why"] for entry in load_file(OPENAPI / "drift.yaml")["meant"]}
    found = drift.compare(_revision(facts=facts), reasons)
    titles = {drift.Side.PEER: "the official SDK has, and is missing here", drift.Side.OURS: "is here, and the official SDK lacks"}
    for side, title in titles.items():
        some = [finding for finding in found.open if finding.side is side]
        print(f"{title}: {len(some)}", *some, sep="\n  ")
    print(f"known, and meant to be so: {len(found.settled)}", *(f"{finding}: {why}" for finding, why in found.settled), sep="\n  ")
    print(f"meant to be so, and no longer there: {len(found.stale)}", *found.stale, sep="\n  ")
    return int(bool(found.stale) or any(finding.side is drift.Side.PEER for finding in found.open))


def _official() -> int:
    found = official.official(_revision())
    (OPENAPI / "official.json").write_text(found.text, encoding="utf-8")
    print(f"openapi/official.json has {found.names} names of what the official SDK's methods take; `make generate` writes them out")
    for name in found.unlike:
        print(f"note: {name} is no type here")
    return 0


def _released() -> int:
    here = _revision()
    (OPENAPI / "released.yaml").write_text(dump(retired.released(here.prepared, here.entries)), encoding="utf-8")
    pins = pin.load(OPENAPI / "pin.toml")
    (OPENAPI / "pin.toml").write_text(pin.dump(pin.Pins(pins.now, (), pins.sdk)), encoding="utf-8")
    print(f"{len(here.entries)} operations of revision {pins.now.revision} are remembered as released")
    return 0


if __name__ == "__main__":
    sys.exit(main())
