"""The site is built without a warning, and its pages are what they should be in HTML too."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from .blocks import ROOT

pytestmark = pytest.mark.soak


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
