"""The site has a place for every public name, and shows docstrings as they are meant."""

from __future__ import annotations

import ast
import re

import pytest

import retell_async
from docs.builder import markup, pages, sources
from retell_async import _official_names, campaigns, llm, mcp, sandbox, testing, types, webhooks
from retell_async.raw import models, params

from .blocks import ROOT

DIRECTIVE = re.compile(
    r"^\.\. (?:auto|py:)(?:class|exception|function|data|module|type):: (?:retell_async\.(?:[a-z.]+\.)?)?(\w+)", re.MULTILINE
)
REFERENCE = {name for path in (ROOT / "docs" / "reference").glob("*.rst") for name in DIRECTIVE.findall(path.read_text())}


@pytest.mark.parametrize("module", [retell_async, webhooks, llm, campaigns, mcp, sandbox, testing], ids=lambda module: module.__name__)
def test_the_reference_has_every_public_name(module: object) -> None:
    for_movers = {*_official_names.__all__, "types"}  # which the guide names
    public = {*module.__all__} - {"__version__"} - for_movers  # type: ignore[attr-defined]
    assert public - REFERENCE == set()


def test_every_type_has_a_page() -> None:
    assert sources.types().keys() == {*dir(models), *dir(params)}
    assert sources.types().keys() <= {*dir(types)}


def test_fields_of_a_model() -> None:
    found = sources.types()["CallResponse"]
    assert found.alias == "WebCallResponse | PhoneCallResponse | UnknownCallResponse"
    call_id = next(field for field in sources.types()["PhoneCallResponse"].fields if field.name == "call_id")
    assert call_id.type == "str"
    assert call_id.words


def test_a_dict_with_fields_that_are_no_names_has_an_entry() -> None:
    said = 'OneParam = TypedDict("OneParam", {"from": "Required[TwoParam]", "x-y": "Iterable[Three]"}, total=False)'
    (found,) = sources.declared_in(ast.parse(said))
    assert found.name == "OneParam"
    assert {*found.uses} == {"Required", "TwoParam", "Iterable", "Three"}
    shown = pages.entry(found)
    assert ".. py:attribute:: from\n      :type: Required[TwoParam]" in shown
    assert ".. describe:: 'x-y': Iterable[Three]" in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("`timeout` of `call.list`", ":py:obj:`timeout` of :py:obj:`call.list`"),
        ("``None`` and `POST /v2/{id}`", "``None`` and ``POST /v2/{id}``"),
        (":raises APIStatusError: NotFoundError", ":raises APIStatusError: :py:obj:`NotFoundError`"),
        ("2 * 3 | 4, name_ and \\d", "2 \\* 3 \\| 4, name\\_ and \\\\d"),
        ("`what replaces {{name}}`", "``what replaces {{name}}``"),
    ],
)
def test_docstrings(text: str, shown: str) -> None:
    assert markup.rest(text) == shown


def test_signatures() -> None:
    text = "(name: str | ~a_b.c.Omit = omit, ids: Strings | Omit = omit, hook: Hook = <function log at 0x7f00>, data: dict = NOTHING)"
    shown = "(name: str = omit, ids: Iterable[str] = omit, hook: Hook = log, data: dict = ...)"
    assert markup.signature(text) == shown


def test_dicts_of_requests_are_named_after_their_models() -> None:
    for path in (sources.PACKAGE / "raw" / "params").glob("[!_]*.py"):
        words = ast.get_docstring(ast.parse(path.read_text())) or ""
        (name,) = re.findall(r"^What a request takes for `(\w+)`: ", words)
        assert hasattr(types, name), path.name


def test_operations_of_methods() -> None:
    words = "List calls.\n\nCalls ``POST /v3/list-calls``.\n\n:param limit: how many"
    assert markup.with_operation(words, "listCalls") == (
        ".. index:: ! listCalls\n\nList calls.\n\nCalls ``POST /v3/list-calls``, the operation ``listCalls``.\n\n:param limit: how many"
    )
    with pytest.raises(ValueError, match="does not say once what it calls"):
        markup.with_operation("List calls.", "listCalls")
