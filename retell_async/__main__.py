"""``python -m retell_async``: the command ``retell-async``."""

from .cli import main

main()
