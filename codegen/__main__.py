"""``python -m codegen generate | check | words``"""

from __future__ import annotations

import argparse
import sys

from . import words
from .document import Refused
from .generate import ROOT, differences, generate_pinned, pinned
from .prepare import prepare


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="codegen", description="Generate the package from the pinned document.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("generate", help="write retell_async/raw and retell_async/resources")
    commands.add_parser("check", help="fail if they are not what the document says")
    commands.add_parser("words", help="list what has no words in openapi/docs yet; fail if too much has none")
    command = parser.parse_args(arguments).command
    try:
        return {"generate": _generate, "check": _check, "words": _words}[command]()
    except Refused as refused:
        print(f"refused: {refused}", file=sys.stderr)
        return 1


def _generate() -> int:
    report = generate_pinned()
    print(f"{report.operations} operations as {report.methods} methods, {report.models} models")
    for key in report.named_themselves:
        print(f"note: {key} is not in openapi/surface.yaml and named itself")
    if report.unreachable:
        print(f"note: no operation needs {len(report.unreachable)} schemas, which have no model: {', '.join(report.unreachable)}")
    return 0


def _check() -> int:
    if stale := differences():
        print("generated code and document disagree; run `make generate`:", *stale[:20], sep="\n  ", file=sys.stderr)
        return 1
    print("generated code is up to date")
    return 0


def _words() -> int:
    missing = words.lay(prepare(pinned()), words.load(ROOT / "openapi" / "docs"))
    for title, names in (
        ("operations without words", missing.operations),
        ("request properties without words", missing.requests),
        ("answer properties without words", missing.responses),
        ("words for what is not there", missing.stale),
    ):
        print(f"{title}: {len(names)}", *names, sep="\n  ")
    return int(bool(missing.operations or missing.requests or missing.stale or len(missing.responses) > 0.05 * missing.response_properties))


if __name__ == "__main__":
    sys.exit(main())
