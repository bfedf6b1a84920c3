"""Every operation of the document is a command, sends what it is given, and says in our words what it takes."""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import cache
from random import Random
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from codegen.document import Json, load_file
from codegen.generate import ROOT
from retell_async import AsyncRetell
from retell_async.cli import group, parts
from retell_async.cli.group import retell_async
from retell_async.cli.operations import table
from retell_async.cli.operations.output import without_secrets

from ...codegen.revisions import LOOKED_THROUGH
from ...generated.calls import BASE_URL, METHODS, everything
from ...generated.instances import DOCUMENT, OPERATIONS

WIDTH = 80
NAMED = {name for key, said in load_file(ROOT / "openapi" / "surface.yaml").items() if " " in key for name in said["methods"]}
"""The methods that the surface names."""


def run(*arguments: str) -> Result:
    return CliRunner().invoke(retell_async, arguments, env={"RETELL_API_KEY": "key_of_the_test", "RETELL_BASE_URL": BASE_URL})


def test_all_operations_of_the_document_are_commands() -> None:
    methods = [f"{resource}.{method}" for resource, some in table.methods().items() for method in some]
    assert Counter(methods) == Counter(method for _, method in METHODS)
    assert {key for key, _ in METHODS} == {*OPERATIONS}
    assert len(OPERATIONS) == sum(
        len([name for name in path if name in ("get", "post", "put", "patch", "delete")]) for path in DOCUMENT["paths"].values()
    )


@pytest.mark.parametrize(("key", "method"), METHODS, ids=[method for _, method in METHODS])
def test_a_command_sends_what_it_is_given(key: str, method: str) -> None:
    resource, _, name = method.partition(".")
    operation = table.operation(resource, name)
    given = everything(key, Random(key))
    keywords = given.keywords(getattr(getattr(AsyncRetell(api_key="key_1"), resource), name))
    keywords = {
        argument: value for argument, value in keywords.items() if argument not in operation.files or argument in operation.required
    }
    arguments = [keywords.pop(argument) for argument in operation.positional]
    options = [option for argument, value in keywords.items() for option in as_options(operation, argument, value)]
    done = run(table.group(resource), table.command(resource, name), *options, "--dry-run", "--", *arguments)
    assert done.exit_code == 0, done.output
    first, _, rest = done.stdout.partition("\n")
    http, _, url = first.partition(" ")
    wanted, _, path = key.partition(" ")
    assert http == wanted
    assert url == f"http://retell.test{given.target(path)}"
    if given.kind == "application/json":
        assert json.loads(rest) == without_secrets(given.body)
    elif given.kind is not None:
        assert rest.startswith("multipart/form-data, ")


def test_a_resource_and_a_method_of_the_names_of_ours_stand_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(parts.PARTS, "voice", ("programs", "A part of ours."))
    monkeypatch.setitem(parts.BY_HAND, "agent", {"list": ("programs", "A command of ours.")})
    assert {"voice", "api-voice"} <= {*group.retell_async.list_commands(click.Context(group.retell_async))}
    assert "GET http" in run("api-voice", "list", "--dry-run").stdout
    assert "  api-list " in run("agent", "--help").stdout
    assert "http" in run("agent", "api-list", "--dry-run").stdout
    assert table.operation("voice", "list").command == "api-voice list"


def as_options(operation: table.Operation, name: str, value: Any) -> list[str]:
    option = table.flag(name)
    if name in operation.files:
        return [f"{option}={__file__}"]
    schema = operation.arguments[name]
    if isinstance(value, list) and "array" in table.kinds(schema) and value and all(isinstance(item, str) for item in value):
        return [f"{option}={as_text(item)}" for item in value]
    return [f"{option}={as_text(value)}"]


def as_text(value: Any) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    return f"@{value}" if value.startswith("@") else value


@cache
def shown(*command: str) -> str:
    done = run(*command, "--help")
    assert done.exit_code == 0, done.output
    assert max(map(len, done.output.splitlines())) <= WIDTH
    assert "\x1b" not in done.output
    return done.output


@pytest.mark.parametrize("resource", table.methods())
def test_help_is_in_words_of_ours_and_fits(resource: str) -> None:
    assert table.about(resource) in " ".join(shown().split())
    group = shown(table.group(resource))
    for method in table.methods()[resource]:
        assert re.search(rf"^  {table.command(resource, method)}(?: |$)", group, re.MULTILINE)
        operation, said = table.operation(resource, method), shown(table.group(resource), table.command(resource, method))
        is_new = f"{resource}.{method}" not in NAMED or not LOOKED_THROUGH  # so that nobody has found words for it, or for all of it
        assert operation.about or is_new
        assert not any(f"`{name}`" in said for _, name in METHODS)
        assert not re.search(r"\bclient\.|\bawait\b|\bNone\b", said)
        for name in operation.arguments:
            assert table.words(operation.arguments[name]) or is_new, (resource, method, name)
            assert (name.upper() if name in operation.positional else f"{table.flag(name)} ") in said


def test_a_resource_that_nobody_described_says_what_can_be_done(monkeypatch: pytest.MonkeyPatch) -> None:
    found: Json = {**table._table(), "resources": {}}
    monkeypatch.setattr(table, "_table", lambda: found)
    assert table.about("concurrency") == "retrieve"
