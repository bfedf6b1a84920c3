"""Carrying out an operation through the client's own method: what is asked before, and what to do when it goes wrong."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar, cast
from uuid import uuid4

import anyio
import attrs
import click

from ..._client import AsyncRetell
from ..._core.errors import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    AuthenticationError,
    OutcomeUnknownError,
    PaymentRequiredError,
    PermissionDeniedError,
    RateLimitError,
    RetellError,
)
from ..._core.masking import mask_keys, mask_text
from ..._core.model import Model
from ..profiles import SANDBOX, Profile
from ..times import plain
from . import table
from .output import Style, print_items, print_one, without_secrets
from .table import Json, Operation, group, methods, named

__all__ = [
    "UNKNOWN",
    "UNTOLD",
    "Failed",
    "Sending",
    "ask",
    "carried_out",
    "called",
    "carry_out",
    "confirm",
    "dry_run",
    "done",
    "fail",
    "interruptible",
    "keyed",
    "look",
    "retrieved",
    "run",
]

T = TypeVar("T")

UNKNOWN = 3
"""The exit status where nobody knows whether it was carried out."""
UNTOLD = 4
"""The exit status where it was carried out, and what comes after it went wrong, such as printing the answer."""

_HEADS: Mapping[str, str] = {"money": "This may cost money or reach people.", "deletion": "This cannot be undone."}
_LONGEST = 300
_TIMED_OUT = 408
_DONE = "retell_async.done"
_IS_ID = re.compile("_id$|^phone_number$")
_NOT_FOUND = re.compile(r"(?:(?P<number>\w+_number)|(?P<kind>\w*?)(?:_ids?)?)\s*(?:was |were )?not found", re.IGNORECASE)
_SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Failed(click.ClickException):
    """It was not carried out (exit status 1), it is not known whether it was (3), or it was, and that could not be told (4)."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue] - click reads it of the error


@attrs.frozen
class Sending:
    """One operation as it is to be carried out."""

    operation: Operation
    arguments: Json = attrs.field(repr=False)
    profile: Profile
    style: Style
    everything: bool = False
    """Whether all pages of a list are wanted."""


def ask(what: str, profile: Profile, asks: frozenset[str], arguments: Mapping[str, Any], *, yes: bool) -> None:
    """Ask before money is spent or something is gone.

    :raises Failed: nobody can be asked, and ``--yes`` was not given.
    :raises click.Abort: the answer is no.
    """
    if not asks or yes:
        return
    heads = " ".join(text for kind, text in _HEADS.items() if kind in asks)
    if not sys.stdin or not sys.stdin.isatty():
        raise Failed(f"{what}: {heads} There is nobody to ask here: --yes does it without asking. Nothing was sent.")
    click.echo(f"{what} in the workspace {profile.name}.\n{heads}", err=True)
    for name, value in arguments.items():
        click.echo(f"  {named(name)}: {_said(value, name)}", err=True)
    click.confirm("Do it?", abort=True, err=True)


def confirm(question: str) -> None:
    """Ask a question whose answer may come through a pipe.

    :raises Failed: there is no answer.
    :raises click.Abort: the answer is no.
    """
    try:
        agreed = click.confirm(question)
    except click.Abort:
        if sys.stdin and sys.stdin.isatty():
            raise
        raise Failed("there is nobody to ask here: --yes does it without asking. Nothing was changed.") from None
    if not agreed:
        raise click.Abort


def _said(value: Any, name: str) -> str:
    text = plain(json.dumps(without_secrets(value, name), ensure_ascii=False, default=str))
    count = f"{len(cast('Sequence[Any]', value)):,}: " if isinstance(value, list) else ""
    return count + (text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text):,} characters)")


async def carry_out(sending: Sending) -> None:
    """Call the method, and print what it answers.

    :raises Failed: it went wrong; the message says what to do.
    """
    operation, style = sending.operation, sending.style
    try:
        async with sending.profile.client() as client:
            if operation.lists is not None:
                await _list(client, sending)
                return
            answered = await _method(client, operation)(**sending.arguments)
            found: Any = answered.to_dict() if isinstance(answered, Model) else answered
            if operation.effect != "read":
                carried_out(f"{operation.command} was carried out{_id(operation, found)}.")
    except (RetellError, ValueError, TypeError) as error:
        fail(operation, error, sending.profile)
    if answered is None or isinstance(answered, Model):
        _print(found, style)
    else:
        print_plain(answered)


def _id(operation: Operation, found: Any) -> str:
    """By what it is found that an operation has made or changed."""
    fields = cast("Json", found) if isinstance(found, dict) else {}
    name = next((name for name in (f"{operation.resource}_id", "phone_number", *fields) if name in fields and _IS_ID.search(name)), None)
    return "" if name is None else f": {name} {plain(mask_text(str(fields[name])))}"


def carried_out(what: str) -> None:
    """Note, before anything is printed, that something was carried out: whatever goes wrong from now on, the exit status is not 1.

    :param what: says it in a sentence, with the id by which it is found again.
    """
    if (ctx := click.get_current_context(silent=True)) is not None:
        ctx.meta[_DONE] = what


def done() -> str | None:
    """What was carried out, if something was."""
    ctx = click.get_current_context(silent=True)
    return None if ctx is None else ctx.meta.get(_DONE)


def run(operation: Operation, arguments: Mapping[str, Any], function: Callable[..., Awaitable[T]], *given: Any) -> T:
    """Run what carries out an operation. SIGTERM and SIGHUP end it as Ctrl-C does.

    :raises Failed: one of these came while it was on its way, and it may have been carried out, or after it was.
    """
    try:
        return anyio.run(interruptible, function, *given)
    except KeyboardInterrupt:
        if (what := done()) is not None:
            raise Failed(f"{what} It was given up before all of it was printed.", UNTOLD) from None
        if operation.repeat == "safe":
            raise
        raise Failed(
            f"{operation.command} was given up on its way.\n{look(operation, arguments.get('idempotency_key'))}", UNKNOWN
        ) from None


async def interruptible(function: Callable[..., Awaitable[T]], *given: Any) -> T:
    """Run what SIGTERM and SIGHUP end as Ctrl-C does."""
    with anyio.CancelScope() as scope:
        for number in _SIGNALS:
            if signal.getsignal(number) is signal.SIG_DFL:  # under nohup SIGHUP is to be ignored
                with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):  # on Windows, or not in the main thread
                    asyncio.get_running_loop().add_signal_handler(number, scope.cancel)
        return await function(*given)
    raise KeyboardInterrupt


def keyed(operation: Operation, arguments: Json) -> Json:
    """The arguments with a key by which the API knows a repeat, where it can, so that it can be named whatever happens."""
    return arguments if operation.repeat != "idempotency_key" else {"idempotency_key": f"ra-{uuid4().hex}", **arguments}


def print_plain(answered: Any) -> None:
    """Print what is no object: bytes as they are, and else JSON."""
    if isinstance(answered, bytes):
        sys.stdout.buffer.write(answered)
    else:
        click.echo(answered if isinstance(answered, str) else json.dumps(answered, ensure_ascii=False, indent=2, default=str))


def _print(found: Json | None, style: Style) -> None:
    if found is not None:
        print_one(found, style)
    elif style.kind == "table":
        click.echo("Done.", err=True)


def _method(client: AsyncRetell, operation: Operation) -> Any:
    return getattr(getattr(client, operation.resource), operation.method)


async def _list(client: AsyncRetell, sending: Sending) -> None:
    operation, style = sending.operation, sending.style
    asked = _method(client, operation)(**sending.arguments)
    if sending.everything and operation.lists == "pages":
        items: list[Json] = []
        async for item in asked:
            items.append(_dict(item))
            if style.kind == "jsonl":
                print_items([items.pop()], operation.resource, style)
        if style.kind != "jsonl":
            print_items(items, operation.resource, style)
        return
    page = await asked
    found = [_dict(item) for item in (page.items if operation.lists == "pages" else page)]
    print_items(found, operation.resource, style)
    if operation.lists == "pages" and page.total is not None:
        click.echo(f"{page.total:,} in all.", err=True)
    if operation.lists == "pages" and page.has_more and page.pagination_key:
        click.echo(f"There is more: --all, or --pagination-key {page.pagination_key}", err=True)
    elif not found and style.kind == "table":
        click.echo("Nothing.", err=True)


def _dict(item: Any) -> Json:
    found: Json = item.to_dict() if isinstance(item, Model) else {"value": item}
    return found


def fail(operation: Operation, error: Exception, profile: Profile) -> NoReturn:
    """Say what went wrong, and what to do.

    :raises Failed: always.
    """
    text = f"{operation.command}: {plain(mask_text(_message(error)))}"
    if isinstance(error, OutcomeUnknownError):
        raise Failed(f"{text.rstrip('.')}.\n{look(operation, error.idempotency_key, error.token)}", UNKNOWN) from None
    if isinstance(error, APIResponseValidationError) and operation.repeat != "safe":  # it says success, whoever has said it
        raise Failed(f"{text.rstrip('.')}.\n{look(operation, error.idempotency_key)}", UNKNOWN) from None
    text = f"{text.rstrip('.')}. {_advice(operation, error, profile)}".rstrip()
    if (what := done()) is not None:
        raise Failed(f"{what} But then: {text}", UNTOLD) from None
    raise Failed(text) from None


async def called(client: AsyncRetell, operation: Operation, profile: Profile, *given: Any, **arguments: Any) -> Json:
    """What an operation answers that is one step of a command by hand.

    :raises Failed: it went wrong; the message says what to do.
    """
    try:
        return _dict(await _method(client, operation)(*given, **arguments))
    except (RetellError, ValueError, TypeError) as error:
        fail(operation, error, profile)


async def retrieved(client: AsyncRetell, resource: str, id: str, profile: Profile, **arguments: Any) -> Json:
    """What is under an id that somebody gave.

    :raises Failed: it cannot be had; the message says what to do.
    """
    return await called(client, table.operation(resource, "retrieve"), profile, id, **arguments)


def _message(error: Exception) -> str:
    """What an error says; of one that the API sent, the API's own words."""
    body: Any = error.body if isinstance(error, APIStatusError) and not isinstance(error, OutcomeUnknownError) else None
    if isinstance(body, Mapping):
        fields = cast("Json", body)
        if isinstance(said := fields.get("message") or fields.get("error_message"), str):
            return f"{said} ({cast('APIStatusError', error).status_code})"
    return str(error)


def look(operation: Operation, key: str | None, token: str | None = None) -> str:
    """How to find out what came of it.

    :param key: under which it was sent, where the API knows repeats by one.
    :param token: what was put into its metadata.
    """
    steps = "The outcome is unknown: it may have been carried out. Do not repeat it before you know."
    if key is not None:
        return f"{steps}\nThe same command with --idempotency-key {key} places no second call within an hour of the first."
    if token is not None:
        command = f"retell-async {group(operation.resource)} list --since 1h --metadata retell_async_token={token}"
        return f"{steps}\nIf it is there, its metadata has the token: {command}"
    if "list" in methods()[operation.resource]:
        return f"{steps}\nLook whether it is there: retell-async {group(operation.resource)} list"
    return f"{steps}\nLook for calls and chats of these minutes: retell-async call list --since 10m"


def _advice(operation: Operation, error: Exception, profile: Profile) -> str:
    ctx = click.get_current_context(silent=True)
    usage = f"{ctx.command_path if ctx else f'retell-async {operation.command}'} --help says what it takes."
    match error:
        case AuthenticationError() | PermissionDeniedError():
            return f"The key of the profile {profile.name} is not let in: retell-async doctor looks at it."
        case PaymentRequiredError():
            return "The account has to be paid for first, in the dashboard."
        case RateLimitError():
            return "It was not carried out: the account is at its limit. Wait a little and try again."
        case APIStatusError(status_code=400 | 404 | 422) if (kind := _missed(operation, error)) is not None:
            return f"What there is: retell-async {group(kind)} list"
        case APIStatusError(status_code=412):
            drafted = operation.resource if "create_version" in methods()[operation.resource] else "agent"
            return f"It was not carried out. retell-async {group(drafted)} create-version makes a draft of an agent, with its engine."
        case APIStatusError(status_code=status) if status < 500 and status != _TIMED_OUT:
            return f"It was not carried out. {usage}"
        case APIConnectionError() if profile.base_url == SANDBOX:
            return "Is it running? retell-async sandbox starts it."
        case APIConnectionError() | APIStatusError():
            changed = "" if operation.effect == "read" else "A repeat changes nothing more. " if operation.repeat == "safe" else ""
            return f"{changed}Try again; retell-async doctor looks at the connection."
        case APIError():
            return ""
        case _:
            return usage


def _missed(operation: Operation, error: APIStatusError) -> str | None:
    """The resource whose list has what the API did not find: an argument of an operation may name another one than its own."""
    said = _NOT_FOUND.search(_message(error))
    if said is None:
        return None
    named = "phone_number" if said["number"] else said["kind"].lower()
    return next((kind for kind in (named, operation.resource) if "list" in methods().get(kind, ())), None)


class _Seen(BaseException):
    """The request that would have been sent. No error: nothing on the way may take it for one."""

    def __init__(self, request: Any) -> None:
        self.request = request


async def dry_run(sending: Sending) -> None:
    """Print the request that would be sent, without secrets, and send nothing."""
    import httpx

    class Stand(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            with contextlib.suppress(httpx.StreamError):
                await request.aread()
            raise _Seen(request)

    try:
        async with httpx.AsyncClient(transport=Stand()) as http, sending.profile.client(http_client=http) as client:
            await _method(client, sending.operation)(**sending.arguments)
    except _Seen as seen:
        _print_request(seen.request, sending.arguments)
    except (RetellError, ValueError, TypeError) as error:
        fail(sending.operation, error, sending.profile)


def _print_request(request: Any, arguments: Json) -> None:
    click.echo(f"{request.method} {mask_keys(str(request.url))}")
    content = request.content
    if not content:
        return
    kind = request.headers.get("content-type", "")
    if kind.startswith("application/json"):
        click.echo(json.dumps(without_secrets(json.loads(content)), ensure_ascii=False, indent=2))
    else:
        click.echo(f"{kind.partition(';')[0]}, {len(content):,} bytes")
        for name, value in arguments.items():
            click.echo(f"  {named(name)}: {value if isinstance(value, Path) else _said(value, name)}")
