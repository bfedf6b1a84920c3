"""``retell-async sandbox``, ``retell-async llm simulate`` and ``retell-async completion``."""

from __future__ import annotations

from typing import Any

import click
from click.shell_completion import get_completion_class

__all__ = ["completion", "sandbox", "simulate"]

# Their options are their own: they are programs of Python modules too.
_OWN: dict[str, Any] = {"ignore_unknown_options": True, "help_option_names": []}


@click.command(context_settings=_OWN, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def sandbox(arguments: tuple[str, ...]) -> None:
    """Serve the Retell API on this machine: no account, no network, no cost."""
    from ..sandbox.__main__ import main

    raise SystemExit(main(list(arguments), program="retell-async sandbox"))


@click.command(context_settings=_OWN, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def simulate(arguments: tuple[str, ...]) -> None:
    """Play Retell's side against the WebSocket server of a custom LLM, with a verdict."""
    from ..llm.simulate import main

    raise SystemExit(main(list(arguments), program="retell-async llm simulate"))


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print what lets a shell complete commands, options and known values.

    \b
    bash  eval "$(retell-async completion bash)"  in ~/.bashrc
    zsh   eval "$(retell-async completion zsh)"   in ~/.zshrc
    fish  retell-async completion fish > ~/.config/fish/completions/retell-async.fish
    """  # noqa: D301 - to click, a backspace says that the lines stay as they are
    found = get_completion_class(shell)
    if found is None:
        raise click.ClickException(f"nothing is known of {shell}")
    click.echo(found(ctx.find_root().command, {}, "retell-async", "_RETELL_ASYNC_COMPLETE").source())
