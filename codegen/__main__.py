"""``python -m codegen generate | check``"""

from __future__ import annotations

import argparse
import sys

from .document import Refused, load_file
from .generate import ROOT, differences, generate, pinned


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="codegen", description="Generate the package from the pinned document.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("generate", help="write retell_async/raw and retell_async/resources")
    commands.add_parser("check", help="fail if they are not what the document says")
    command = parser.parse_args(arguments).command
    try:
        return _generate() if command == "generate" else _check()
    except Refused as refused:
        print(f"refused: {refused}", file=sys.stderr)
        return 1


def _generate() -> int:
    report = generate(pinned(), load_file(ROOT / "openapi" / "surface.yaml"), ROOT / "retell_async")
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


if __name__ == "__main__":
    sys.exit(main())
