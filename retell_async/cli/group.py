"""The command and its parts, of which each is loaded when it is used."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import Any, cast

import click

from .._core.errors import OutcomeUnknownError, RetellError
from .._core.masking import mask_text
from .._version import __version__
from .operations import table
from .operations.command import HELP, Group, Resource
from .parts import BY_HAND, PARTS
from .streams import Unwritten

__all__ = ["Lazy", "retell_async"]


@contextmanager
def _one_line() -> Generator[None]:
    try:
        yield
    except (click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except Exception as error:
        from .operations.sending import UNKNOWN, UNTOLD, Failed, done

        text = mask_text(str(error))
        if isinstance(error, OutcomeUnknownError):
            raise Failed(text, UNKNOWN) from None
        if (what := done()) is not None:
            is_clear = isinstance(error, (RetellError, Unwritten))
            raise Failed(f"{what} But then: {text if is_clear else mask_text(repr(error))}", UNTOLD) from None
        if isinstance(error, RetellError) or (isinstance(error, ModuleNotFoundError) and "pip install" in text):
            raise click.ClickException(text) from None
        raise


def _loaded(module: str, name: str) -> click.Command:
    with _one_line():
        return cast("click.Command", getattr(import_module(f"retell_async.cli.{module}"), name))


class Lazy(Group):
    """A group whose parts are named here, and loaded when they are used; the resources of the API are among them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*PARTS, *map(table.group, table.methods())])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in PARTS:
            return _loaded(PARTS[cmd_name][0], cmd_name)
        resource = next((name for name in table.methods() if table.group(name) == table.named(cmd_name)), None)
        if resource is None:
            return None
        by_hand: dict[str, tuple[Callable[[], click.Command], str]] = {
            name: (partial(_loaded, module, name), about) for name, (module, about) in BY_HAND.get(resource, {}).items()
        }
        return Resource(resource, by_hand)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in sorted(PARTS.items())])
        with formatter.section("What the API has"):
            formatter.write_dl([(table.group(resource), f"{table.about(resource).rstrip('.')}.") for resource in table.methods()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run it. What this package says went wrong is one line, with no traceback."""
        with _one_line():
            try:
                return super().invoke(ctx)
            finally:
                sys.stdout.flush()  # while it can be said that it did not work


@click.group(cls=Lazy, context_settings=HELP)
@click.version_option(__version__, prog_name="retell-async")
def retell_async() -> None:
    """Tools for the Retell AI voice-agent API.

    The API key is read from RETELL_API_KEY, the address of the API from RETELL_BASE_URL.

    The exit status is 0 if it was done, 1 if not, 2 if the command line is wrong, 3 if nobody knows whether it was done, and 4 if it was,
    and what comes after it went wrong, such as printing the answer.
    """
