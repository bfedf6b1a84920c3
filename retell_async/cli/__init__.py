"""The command ``retell-async``. Needs the extra ``[cli]``."""

from __future__ import annotations

import sys
from io import TextIOWrapper

__all__ = ["main"]


def main() -> None:
    """Run the command."""
    try:
        from .group import retell_async
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        sys.exit("click is missing: retell-async needs `pip install 'retell-async[cli]'`")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # whatever was said in a call
    retell_async(prog_name="retell-async")
