"""What is done beside the official SDK: ``python -m tests.peer tests | drift | official``"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from codegen.__main__ import run
from codegen.canonical import canonical
from codegen.document import Json, load, load_file
from codegen.generate import ROOT, pinned
from codegen.revisions import pin
from codegen.revisions.diff import Revision
from codegen.revisions.sources import of_sdk
from tests.peer import drift, official, suites

OPENAPI = ROOT / "openapi"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tests.peer", description="Compare with the official SDK that is installed.")
    commands = parser.add_subparsers(required=True)
    testing = commands.add_parser("tests", help="run its own tests against this package, and against itself")
    testing.add_argument("sdist", type=Path, nargs="?", help="without it the pinned version comes from the index")
    testing.set_defaults(run=suites.run)
    drifting = commands.add_parser("drift", help="compare the two; fail if it has what is missing here")
    drifting.add_argument("--like", action="store_true", help="not what is pinned, but the document that the official SDK was made from")
    drifting.set_defaults(run=_drift)
    commands.add_parser("official", help="say its names in ours (openapi/official.json)").set_defaults(run=_official)
    return run(parser, arguments)


def _revision(facts: Json | None = None) -> Revision:
    """Of what is pinned, or of other facts, as our files beside it have it."""
    return Revision.of(pinned(facts=facts), load_file(OPENAPI / "surface.yaml"))


def _drift(*, like: bool) -> int:
    facts = canonical(load(of_sdk(pin.load(OPENAPI / "pin.toml").sdk).decode("utf-8"), "the SDK's document")) if like else None
    found = drift.compare(_revision(facts), {entry["finding"]: entry["why"] for entry in load_file(OPENAPI / "drift.yaml")["meant"]})
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


if __name__ == "__main__":
    sys.exit(main())
