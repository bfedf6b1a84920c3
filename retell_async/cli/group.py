"""The command and its parts, of which each is loaded when it is used."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, cast

import click

from .._core.errors import RetellError
from .._core.masking import mask_text
from .._version import __version__

__all__ = ["Lazy", "retell_async"]

_PARTS = {
    "archive": ("retell_async.cli.archive", "Keep calls and chats in a database of your own, and ask it."),
    "campaign": ("retell_async.cli.campaign", "Plan calls to many people by rules."),
    "config": ("retell_async.cli.config", "Keep agents, prompts, flows and tools as files in git."),
    "mcp": ("retell_async.cli.mcp", "Serve a workspace to models, as tools and resources."),
}
"""The parts: the module in which each is, under its own name, and what it does."""


@contextmanager
def _one_line() -> Generator[None]:
    try:
        yield
    except RetellError as error:
        raise click.ClickException(mask_text(str(error))) from None
    except ModuleNotFoundError as error:
        if "pip install" not in str(error):
            raise
        raise click.ClickException(str(error)) from None


class Lazy(click.Group):
    """A group whose parts are named here, and loaded when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_PARTS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _PARTS:
            return None
        with _one_line():
            return cast("click.Command", getattr(import_module(_PARTS[cmd_name][0]), cmd_name))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in sorted(_PARTS.items())])

    def invoke(self, ctx: click.Context) -> Any:
        """Run it. What this package says went wrong is one line, with no traceback."""
        with _one_line():
            return super().invoke(ctx)


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="retell-async")
def retell_async() -> None:
    """Tools for the Retell AI voice-agent API.

    The API key is read from RETELL_API_KEY, the address of the API from RETELL_BASE_URL.
    """
