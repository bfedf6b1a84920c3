"""An account on a sandbox in this process, for commands as people type them."""

from __future__ import annotations

from typing import Any

import httpx
from click.testing import CliRunner, Result

from retell_async.cli.group import retell_async
from retell_async.cli.profiles import Profile
from retell_async.sandbox import RunningClock
from retell_async.testing import LocalRetell

__all__ = ["Account"]


class Account:
    """Runs commands on a sandbox whose time runs a thousand times as fast."""

    def __init__(self, patch: Any, speed: float = 1000) -> None:
        self.local = LocalRetell(clock=RunningClock(speed))
        self.made = self.local.create_fixtures()

        def client(_: Profile, **options: Any) -> Any:
            return self.local.client(**options)

        patch.setattr(Profile, "client", client)

    def run(self, *arguments: str, stdin: str | None = None) -> Result:
        """Run a command, of the profile of RETELL_API_KEY."""
        return CliRunner().invoke(retell_async, arguments, input=stdin, env={"RETELL_API_KEY": "key_of_the_test", "COLUMNS": "80"})

    def place(self, number: str = "+14155550123", *more: str) -> Result:
        """Call somebody."""
        return self.run("call", "create-phone-call", "--from-number", self.made.phone_number, "--to-number", number, "--yes", *more)


def lost(*_: object) -> httpx.Response:
    """An answer that does not come."""
    raise httpx.ReadTimeout("no answer")
