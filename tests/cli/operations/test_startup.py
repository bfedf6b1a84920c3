"""A help is there at once: it loads nothing that speaks to anybody."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.soak, pytest.mark.parallel]

_PROGRAM = """
import sys
from retell_async.cli import main
try:
    main()
except SystemExit as ended:
    assert ended.code == 0, ended
heavy = ("httpx.", "httpcore.", "h11.", "rich.", "retell_async.resources.", "retell_async.raw.api.", "retell_async.raw.models.")
print("LOADED", sorted(name for name in sys.modules if f"{name}.".startswith(heavy) and name != "retell_async.resources"))
"""


def loaded(*arguments: str) -> str:
    program = f"import sys; sys.argv = ['retell-async', *{list(arguments)!r}]\n{_PROGRAM}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "80"})
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("arguments", ["", "call", "call list", "call create-phone-call", "agent create"])
def test_help_loads_neither_httpx_nor_rich_nor_resources(arguments: str) -> None:
    assert loaded(*arguments.split(), "--help") == "LOADED []"
