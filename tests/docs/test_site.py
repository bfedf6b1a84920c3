"""The site is built without a warning, and its pages are what they should be in HTML too."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sphinx.search.en import SearchEnglish

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


@pytest.mark.parametrize(
    ("typed", "page"),
    [
        ("upload", "tasks/knowledge-base"),
        ("backoff", "guides/reliability"),
        ("jitter", "guides/reliability"),
        ("throttle", "guides/reliability"),
        ("lifespan", "tasks/service"),
        ("rotate", "tasks/verify"),
        ("campaign", "tasks/batch"),
        ("download", "tasks/transcript"),
        ("debug", "guides/reliability"),
        ("flask", "tasks/webhooks"),
        ("django", "tasks/webhooks"),
        ("sync", "guides/sync"),
        ("migration", "guides/moving"),
        ("polling", "guides/waiting"),
        ("dynamic", "tasks/place-a-call"),
        ("mock", "tasks/pytest"),
        ("tenant", "tasks/tenants"),
        ("metadata", "tasks/job-ids"),
        ("exceptions", "reference/errors"),
    ],
)
def test_what_people_type_is_found(index: dict[str, Any], typed: str, page: str) -> None:
    stem = SearchEnglish({}).stem(typed)
    found = [index[terms].get(stem, []) for terms in ("terms", "titleterms")]
    pages = {index["docnames"][number] for numbers in found for number in ([numbers] if isinstance(numbers, int) else numbers)}
    assert page in pages
    titles = index["titleterms"].get(stem, [])
    is_titled = index["docnames"].index(page) in ([titles] if isinstance(titles, int) else titles)  # those stand first
    assert is_titled or len(pages) < 20, "the page is one of many"


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
