"""Operations as commands of click: their options, and their help."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar, cast

import click
from click.shell_completion import CompletionItem

from ..profiles import Profile
from . import table
from .arguments import choices, conditions, criteria, gathered, is_way, left_out, near, period, pulled, takes
from .table import Json, Operation, fields, flag, kinds, named, sentence, words

__all__ = ["HELP", "Command", "Group", "Resource", "command", "profile_options", "profile_of"]

F = TypeVar("F", bound=Callable[..., Any])


def _normal(name: str) -> str:
    return name.replace("_", "-")


HELP: dict[str, Any] = {"help_option_names": ["-h", "--help"]}
_NAMES: dict[str, Any] = {**HELP, "token_normalize_func": _normal}
"""Options with _ in their names are those with -."""
_WORDS_FOR = 13  # arguments of an operation of which all is said; of one that has more, the first sentence
_FIELDS_SHOWN = 5
_ENUM_SHOWN = 24
_METAVARS = {"string": "TEXT", "integer": "INTEGER", "number": "NUMBER", "boolean": "[true|false]", "object": "JSON", "array": "JSON"}


class _Text(click.ParamType[str]):
    """A text, completed to the values that are known; others pass as they are, since the API may know more."""

    name = "text"

    def __init__(self, values: list[str], *, files: bool = False) -> None:
        self.values = values
        self.files = files

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        if self.files or incomplete.startswith("@"):
            return [CompletionItem(incomplete.removeprefix("@"), type="file", prefix="@" if incomplete.startswith("@") else "")]
        return [CompletionItem(value) for value in self.values if value.startswith(incomplete)]


def profile_options(command: F) -> F:
    """The options that say whose workspace it is."""
    for option in (
        click.option("--sandbox", is_flag=True, help="The workspace that `retell-async sandbox` serves here."),
        click.option("--profile", envvar="RETELL_PROFILE", metavar="NAME", help="Another workspace: its key is RETELL_API_KEY_NAME."),
    ):
        command = option(command)
    return command


def profile_of(profile: str | None, sandbox: bool, *, dry: bool = False) -> Profile:
    """The workspace that was asked for; where nothing is sent to it, it needs no key."""
    if dry and not (sandbox or profile or os.environ.get("RETELL_API_KEY")):
        return Profile.named(None, {**os.environ, "RETELL_API_KEY": "key_that_goes_nowhere"})
    return Profile.sandbox() if sandbox else Profile.named(profile)


class Command(click.Command):
    """A command that takes none of its options for the value of another, whose value was forgotten."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        self.check(ctx, args)
        return super().parse_args(ctx, args)

    def check(self, ctx: click.Context, args: Sequence[str]) -> None:
        """:raises click.UsageError: an option stands where the value of another should."""
        normal = ctx.token_normalize_func or str
        options = {
            normal(name): isinstance(param, _Switch) or param.is_flag or param.count
            for param in self.get_params(ctx)
            if isinstance(param, click.Option)
            for name in (*param.opts, *param.secondary_opts)
        }

        def is_option(word: str) -> bool:
            return normal(word.partition("=")[0]) in options or self.has_fields(word)

        needs_value, before = False, ""
        for word in args:
            if needs_value and (word == "--" or is_option(word)):
                raise click.UsageError(f"{before} needs a value, and {word} is an option: {before}={word} takes it for the value", ctx)
            if word == "--" or not (needs_value or is_option(word) or ctx.allow_interspersed_args):
                break  # of a group what follows belongs to a command
            needs_value, before = not needs_value and is_option(word) and "=" not in word and not options.get(normal(word)), word

    def has_fields(self, word: str) -> bool:
        """Whether a word is the way to a field of an option, which needs a value too."""
        return False


class _Switch(click.Option):
    """An option that may have a value, and is true without one."""


class Group(Command, click.Group):
    """A group that says what else a wrong name may have meant."""

    command_class = Command
    group_class = type

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = get_close_matches(args[0], self.list_commands(ctx), 3)
            raise click.UsageError(f"{error.message} Is it {' or '.join(near)}?" if near else error.message, ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Say what each does in full, over as many lines as it takes: click would cut it."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, each.get_short_help_str(limit=10_000)) for name, each in found if each is not None])


class Resource(Group):
    """The methods of a resource, and commands by hand beside them."""

    def __init__(self, resource: str, by_hand: Mapping[str, tuple[Callable[[], click.Command], str]]) -> None:
        about = f"{table.about(resource).rstrip('.')}."
        super().__init__(table.group(resource), help=about, short_help=about, context_settings=HELP)
        self._resource = resource
        self._by_hand = by_hand

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*(table.command(self._resource, name) for name in table.methods()[self._resource]), *self._by_hand])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in self._by_hand:
            return self._by_hand[cmd_name][0]()
        some = table.methods()[self._resource]
        method = next((name for name in some if table.command(self._resource, name) == _normal(cmd_name)), None)
        return None if method is None else command(table.operation(self._resource, method))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        some = [table.operation(self._resource, name) for name in table.methods()[self._resource]]
        said = {table.command(self._resource, one.method): sentence(one.about) for one in some}
        said |= {name: about for name, (_, about) in self._by_hand.items()}
        with formatter.section("Commands"):
            formatter.write_dl(sorted(said.items()))


class _OperationCommand(Command):
    """An operation. Its options stand in groups, and ``--x.y value`` sets what is inside one."""

    def __init__(self, operation: Operation, groups: Mapping[str, list[click.Parameter]], **settings: Any) -> None:
        super().__init__(**settings)
        self.operation = operation
        self.groups = groups

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        self.check(ctx, args)
        if ctx.resilient_parsing and args and is_way(args[-1], self.operation.arguments):
            args = args[:-1]  # a shell completes what is still being written
        rest, ctx.meta["nested"] = pulled(args, self.operation.arguments)
        return click.Command.parse_args(self, ctx, rest)

    def has_fields(self, word: str) -> bool:
        return is_way(word, self.operation.arguments)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for name, params in self.groups.items():
            if records := [record for param in params if (record := _record(param, ctx)) is not None]:
                with formatter.section(name):
                    formatter.write_dl(records, col_max=26)


def _record(param: click.Parameter, ctx: click.Context) -> tuple[str, str] | None:
    if isinstance(param, click.Argument):
        return param.make_metavar(ctx).strip("[]."), param.about if isinstance(param, _Positional) else ""
    return param.get_help_record(ctx)


class _Positional(click.Argument):
    """An argument that is given by its place, with words."""

    def __init__(self, name: str, about: str, **settings: Any) -> None:
        super().__init__([name], **settings)
        self.about = about


def command(operation: Operation) -> click.Command:
    """The command of an operation."""
    short = len(operation.arguments) > _WORDS_FOR
    params: list[click.Parameter] = [
        _Positional(name, _spoken(words(operation.arguments[name]), operation), required=True, metavar=name.upper())
        for name in operation.positional
    ]
    options = {name: _option(operation, name, short=short) for name in operation.arguments if name not in operation.positional}
    filters = [_filter(name, schema) for name, schema in conditions(operation).items()]
    groups: dict[str, list[click.Parameter]] = {
        "Arguments": params,
        "Needed": [option for name, option in options.items() if name in operation.required],
        "Filters": [*_period(operation), *filters],
        "Options": [option for name, option in options.items() if name not in operation.required],
        "Output and workspace": _common(operation),
    }
    about = [_spoken(operation.about, operation)]
    if any("object" in kinds(schema) or "array" in kinds(schema) for schema in operation.arguments.values()):
        about.append("What is inside a JSON option is set by --option.field VALUE; --explain option shows its fields.")
    return _OperationCommand(
        operation,
        groups,
        name=table.command(operation.resource, operation.method),
        params=[param for some in groups.values() for param in some],
        callback=_run(operation),
        help="\n\n".join(about),
        short_help=sentence(operation.about),
        context_settings=_NAMES,
    )


def _option(operation: Operation, name: str, *, short: bool) -> click.Option:
    schema = operation.arguments[name]
    said = _spoken(words(schema), operation)
    if operation.lists and name in ("limit", "pagination_key"):
        said = {"limit": "Items on a page, at most.", "pagination_key": "Where to go on: what the page before said."}[name]
    elif short:
        said = sentence(said)
    there = fields(schema)
    if there and not operation.lists:
        some = ", ".join(list(there)[:_FIELDS_SHOWN])
        said = f"{said} Fields: {some}{', …' if len(there) > _FIELDS_SHOWN else ''}.".strip()
    files = name in operation.files
    switch = kinds(schema) == ["boolean"]
    alone: dict[str, Any] = {"is_flag": False, "flag_value": "true"} if switch else {}  # --include-total
    return (_Switch if switch else click.Option)(
        [flag(name), _slot(name)],
        multiple=True,
        type=_Text(["true", "false"] if switch else table.values(schema), files=files),
        metavar="FILE" if files else _metavar(schema),
        help=said,
        **alone,
    )


def _spoken(text: str, operation: Operation) -> str:
    """Words that speak of options where they spoke of arguments."""
    options = {name: f"`{flag(name)}`" for name in operation.arguments if name not in operation.positional}
    return re.sub(r"`(\w+)`", lambda match: options.get(match[1], match[0]), text)


def _slot(name: str) -> str:
    """Under which name click keeps it: apart from options of ours."""
    return f"api_{name}"


def _metavar(schema: Json) -> str:
    listed = "|".join(table.values(schema))
    if listed and len(listed) <= _ENUM_SHOWN:
        return f"[{listed}]"
    some = [kind for kind in kinds(schema) if kind != "null"]
    if some == ["array"] and "string" in kinds(table.within(schema, "0") or {}):
        return "TEXT"
    return _METAVARS.get(some[0], "VALUE") if len(some) == 1 else "VALUE"


def _filter(name: str, schema: Json) -> click.Option:
    known = [str(value) for value in choices(schema)]
    listed = "|".join(known)
    metavar = f"[{listed}]" if listed and len(listed) <= _ENUM_SHOWN else takes(schema)
    about = words(schema) + (" Compare with '>=60000', '<60000'." if metavar == "NUMBER" else "")
    return click.Option([flag(name), f"filter_{name}"], multiple=True, type=_Text(known), metavar=metavar, help=about)


def _period(operation: Operation) -> list[click.Parameter]:
    if period(operation) is None:
        return []
    since = "From then on: yesterday, 7d, 12h, 30m, 2026-11-26, 2026-11-26T09:00."
    return [
        click.Option(["--since"], metavar="TIME", help=since),
        click.Option(["--until"], metavar="TIME", help="Before then."),
    ]


def _common(operation: Operation) -> list[click.Parameter]:
    """The options that all operations have, as far as they mean something."""
    found = [
        click.Option(["--json", "whole"], is_flag=True, help="Print JSON."),
        click.Option(["--jsonl", "lines"], is_flag=True, help="Print JSON, one thing on each line."),
        click.Option(
            ["--fields", "only"], metavar="NAMES", help="Only these fields, with commas between: call_id,call_cost.combined_cost."
        ),
        click.Option(["--show-numbers"], is_flag=True, help="Do not mask phone numbers in tables."),
    ]
    if operation.lists == "pages":
        found.insert(0, click.Option(["--all", "everything"], is_flag=True, help="All pages."))
    if operation.effect != "read" or operation.arguments:
        found.append(click.Option(["--body"], metavar="JSON", help="All arguments as one JSON object; options go before it."))
    if operation.asks:
        found.append(click.Option(["--yes"], is_flag=True, help="Do not ask before what costs money or cannot be undone."))
    found.append(click.Option(["--dry-run", "dry"], is_flag=True, help="Print the request, and send nothing."))

    def explained(ctx: click.Context, _: click.Parameter, way: str | None) -> None:
        _explain(ctx, operation, way)

    about = "Say what is inside an option: response_engine."
    explain = click.Option(["--explain"], metavar="OPTION", is_eager=True, expose_value=False, help=about, callback=explained)
    found += [explain] if any(fields(schema) for schema in operation.arguments.values()) else []
    marked = profile_options(lambda: None)
    return [*found, *reversed(cast("list[click.Option]", marked.__click_params__))]  # type: ignore[attr-defined]


def _run(operation: Operation) -> Callable[..., None]:
    @click.pass_context
    def run(ctx: click.Context, /, **given: Any) -> None:
        texts: dict[str, Any] = {name: given[name] for name in operation.positional}
        filters = {name: given[f"filter_{name}"] for name in conditions(operation)}
        timed = given.get("since") is not None or given.get("until") is not None
        arguments = gathered(
            operation,
            {name: [texts[name]] if name in texts else given[_slot(name)] for name in operation.arguments},
            ctx.meta["nested"],
            given.get("body"),
            criteria(operation, filters, given.get("since"), given.get("until")),
        )
        if timed and (what := left_out(operation, filters)) is not None:
            click.echo(f"note: {what}", err=True)
        import anyio

        from . import sending as work
        from .output import Style, astray

        if given["whole"] and given["lines"]:
            raise click.UsageError("--json and --jsonl are two ways to print: give one")
        names = tuple(name.strip() for name in (given["only"] or "").split(",") if name.strip())
        for name in names:
            if there := astray(operation.answers, name):
                raise click.UsageError(f"--fields: what is answered has no field {name!r}{near(name.rpartition('.')[2], there)}")
        style = Style("json" if given["whole"] else "jsonl" if given["lines"] else "table", names, given["show_numbers"])
        profile = profile_of(given["profile"], given["sandbox"], dry=given["dry"])
        sending = work.Sending(operation, work.keyed(operation, arguments), profile, style, given.get("everything", False))
        if given["dry"]:
            anyio.run(work.dry_run, sending)
            return
        work.ask(operation.command, profile, operation.asked(arguments), arguments, yes=given.get("yes", False))
        work.run(operation, sending.arguments, work.carry_out, sending)

    return run


def _explain(ctx: click.Context, operation: Operation, way: str | None) -> None:
    """Print what is inside an option, level by level."""
    if way is None or ctx.resilient_parsing:
        return
    root, *steps = way.removeprefix("--").split(".")
    name = next((name for name in operation.arguments if named(root) in (named(name), flag(name)[2:])), None)
    if name is None:
        raise click.UsageError(f"{operation.command} has no --{named(root)}")
    schema: Json = operation.arguments[name]
    for step in steps:
        inner = fields(schema).get(step)
        if inner is None:
            raise click.UsageError(f"there is no field {step!r} in --{way}: {', '.join(fields(schema)) or 'anything goes'}")
        schema = inner
    formatter = ctx.make_formatter()
    formatter.write_text(words(schema) or f"--{way}")
    kinds_of = table.objects(schema)
    tag = table.tag(kinds_of)
    if tag is not None:
        for kind in kinds_of:
            with formatter.section(f"Fields where {tag} is {table.values(kind['properties'][tag])[0]}"):
                _write_fields(formatter, kind["properties"])
    elif there := fields(schema):
        with formatter.section("Fields"):
            _write_fields(formatter, there)
    elif values := table.values(schema):
        with formatter.section("Values"):
            formatter.write_text(", ".join(values))
    click.echo(formatter.getvalue().rstrip())
    ctx.exit()


def _write_fields(formatter: click.HelpFormatter, there: Mapping[str, Json]) -> None:
    formatter.write_dl([(f"{key} {_metavar(field)}", sentence(words(field))) for key, field in there.items()], col_max=26)
