"""``python -m retell_async.cli``."""

from . import main

main()
