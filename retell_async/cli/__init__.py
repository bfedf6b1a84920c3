"""The command ``retell-async``. Needs the extra ``[cli]``."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command."""
    try:
        from .group import retell_async
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        sys.exit("click is missing: retell-async needs `pip install 'retell-async[cli]'`")
    from .streams import Unwritten, guard

    guard()
    try:
        retell_async(prog_name="retell-async")
    except Unwritten as error:
        sys.exit(1 if error.is_left else f"Error: {error}")
