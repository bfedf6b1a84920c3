"""Runs in the environment of one side: `worker.py MODULE ARGUMENT` prepares the module, then measures once for each line it reads."""

from __future__ import annotations

import json
import sys
from importlib import import_module


def main(module: str, argument: str) -> None:
    measure = import_module(f"sides.{module}").prepare(argument)
    for _ in sys.stdin:
        print(json.dumps(measure()), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
