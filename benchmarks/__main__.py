"""`python -m benchmarks [NAME ...]` runs the benchmarks of these names, or all of them, and prints their tables."""

from __future__ import annotations

import argparse
from importlib import import_module

_ALL = ("startup", "decode", "webhooks", "throughput", "cost", "threads", "pages", "limits", "faults", "telemetry")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure against the official SDK.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one or more of {', '.join(_ALL)} (default: all)")
    names: list[str] = parser.parse_args().names
    if unknown := set(names) - set(_ALL):
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}")
    for name in names or _ALL:
        print(import_module(f"{__package__}.{name}").run(), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
