"""``python -m codegen generate | check | words | update | diff | released``"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from . import marks, words
from .canonical import canonical
from .document import Json, Refused, dump, load_file, visible
from .generate import ROOT, differences, generate_pinned, pinned
from .prepare import prepare
from .rendering.views import Views
from .revisions import pin, report, update as updating
from .revisions.checked import parse
from .revisions.diff import Revision, difference
from .revisions.sources import fetch
from .revisions.swap import recover
from .surface import relied_on

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
    comparing.add_argument("--format", choices=("all", "markdown"), default="all", help="without what is internal: markdown")
    command(_released, "remember operations and names with a release (openapi/released.yaml)")
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # so that what was begun is cleaned up
    return run(parser, arguments, ROOT)


def _writable(name: str) -> Path:
    """A file that can be written, which is looked at before anything changes."""
    path = Path(name)
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise argparse.ArgumentTypeError(f"{name} cannot be written")
    return path


def run(parser: argparse.ArgumentParser, arguments: list[str] | None, recovered: Path | None = None) -> int:
    """Run the command that is asked for, with what is said beside it; what is refused is told.

    :param recovered: where an update may have been cut off.
    """
    said = vars(parser.parse_args(arguments))
    try:
        for told in [] if recovered is None else recover(recovered):
            print(f"note: {told}", file=sys.stderr)
        return int(said.pop("run")(**said))
    except Refused as refused:
        print(f"refused: {refused}{refused.remedy and f'; {refused.remedy}'}", file=sys.stderr)
        return 1
    except OSError as error:
        why = error.args[0][0][-1] if type(error) is shutil.Error else error  # of many files that of the first
        print(f"refused: a file cannot be read or written: {why!s:.300}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _held(document: Json) -> None:
    """Refuse to lose what code by hand relies on, as an update does."""
    surface = load_file(OPENAPI / "surface.yaml")
    offers = Revision.of(document, surface).offers
    lost = [name for name in relied_on(surface) - offers.keys() if not name.endswith(" as a list")]
    if lost := sorted(name for name in lost if "(" not in name or name.partition("(")[0] in offers):
        raise Refused("/surface", f"{', '.join(lost)} is not there, and relied on by code by hand, or what somebody is asked about")


def _generate() -> int:
    told: list[str] = []
    document = pinned(told=told)
    _held(document)
    made = generate_pinned(document=document)
    (OPENAPI / "names.yaml").write_text(dump(made.prepared[marks.NAMES]), encoding="utf-8")
    print(_made(made), *_to_look_at(made, told), sep="\n")
    return 0


def _made(made: Views) -> str:
    methods = sum(len(resource.methods) for resource in made.resources)
    models = sum(view.kind == "model" and view.of_api for view in made.classes)
    return f"{len(made.operations)} operations as {methods} methods, {models} models"


def _to_look_at(made: Views | None, told: list[str]) -> list[str]:
    """What somebody should judge, of what was made and of what an update tells."""
    notes = [f"note: {visible(said)}" for said in (*told, *(made.notes if made else ()))]
    unnamed = [(f"{one.method} {one.path}", one.entry) for one in (made.operations if made else ()) if not one.entry.named]
    where = "is not in openapi/surface.yaml"
    return [*notes, *(f"look at it: {key} {where}: client.{entry.methods[0]}, repeat: {entry.repeat}" for key, entry in unnamed)]


def _check() -> int:
    if stale := differences():
        print("generated code and document disagree; run `make generate`:", *stale[:20], sep="\n  ", file=sys.stderr)
        return 1
    print("generated code is up to date")
    return 0


def _words() -> int:
    prepared = prepare(pinned())
    missing = words.lay(prepared, words.load(OPENAPI / "docs"))
    for title, names in missing.items():
        print(f"{title}: {len(names)}", *names, sep="\n  ")
    answers = [schema.get("properties", ()) for schema in prepared["components"]["schemas"].values() if marks.RESPONSE in schema]
    too_many = len(missing.pop(words.ANSWERS)) > 0.05 * sum(map(len, answers))
    return int(too_many or any(missing.values()))


def _update(spec: str | None, markdown: Path | None, *, dry_run: bool) -> int:
    done = updating.update(spec, write=not dry_run)
    left, look, summary = done.left_out, _to_look_at(done.made, done.told), report.summary(done.changes, done.left_out)
    if done.made is None:
        print(*look, f"{done.revision} is pinned already", sep="\n")
    else:
        place = f"{done.revision} {'would take' if dry_run else 'has taken'} the place of {done.before}"
        print(summary, report.markdown(done.changes, left, internal=True), *look, _made(done.made), place, sep="\n")
        if markdown is not None:
            title = f"API revision `{done.revision}` in place of `{done.before}`: {summary}."
            parts = [title, report.markdown(done.changes, left), report.to_look_at(look)]
            markdown.write_text("\n\n".join(filter(None, parts)) + "\n", encoding="utf-8")
    for key, why in left.items():
        print(f"left out: {key}, since it cannot be expressed: {why}")
    return report.LEFT_OUT if left else report.status(done.changes) if dry_run else 0


def _diff(old: Path, new: Path | None, format: str) -> int:
    surface = load_file(OPENAPI / "surface.yaml")
    before, after = (canonical(parse(fetch(str(path)), str(path))) if path else None for path in (old, new))
    whole = pinned(OPENAPI, before)
    left = {} if after is None else updating.left_out(after, whole, OPENAPI, surface)  # as an update does
    changes = difference(Revision.of(whole, surface), Revision.of(pinned(OPENAPI, after, left=left or None), surface))
    print(report.markdown(changes, left, internal=format == "all"))
    return report.LEFT_OUT if left else report.status(changes)


def _released() -> int:
    here = Revision.of(pinned(OPENAPI), load_file(OPENAPI / "surface.yaml"))
    names = {key: [*here.entries[key].methods] for key in sorted(here.entries)}
    (OPENAPI / "released.yaml").write_text(dump(names), encoding="utf-8")
    pins = pin.load(OPENAPI / "pin.toml")
    (OPENAPI / "pin.toml").write_text(pin.dump(pin.Pins(pins.now, (), pins.sdk)), encoding="utf-8")
    print(f"{len(here.entries)} operations of revision {pins.now.revision} are remembered as released")
    return 0


if __name__ == "__main__":
    sys.exit(main())
