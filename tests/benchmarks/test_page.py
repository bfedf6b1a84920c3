"""The page of the guide that shows what `make bench` prints."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from benchmarks.__main__ import placed

PAGE = (Path(__file__).parents[2] / "docs" / "guides" / "speed.md").read_text("utf-8")
NAMES = re.findall(r"^% make bench: (\w+)\n```text\n", PAGE, re.MULTILINE)


def test_a_table_takes_the_place_of_its_last_one_alone() -> None:
    page = "# A\n\n% make bench: one\n```text\n```\n\n% make bench: two\n```text\nold\n```\nend\n"
    once = placed(page, "one", r"\1 new")
    assert once == page.replace("one\n```text\n", "one\n```text\n\\1 new\n")
    twice = placed(placed(once, "one", "newer"), "two", "more")
    assert twice == page.replace("one\n```text\n", "one\n```text\nnewer\n").replace("old", "more")
    assert placed(page, "three", "new") == page


@pytest.mark.parametrize("name", NAMES)
def test_each_table_of_the_guide_is_one_that_a_benchmark_writes(name: str) -> None:
    assert import_module(f"benchmarks.{name}").run
    table = PAGE.partition(f"% make bench: {name}\n```text\n")[2].partition("\n```")[0]
    assert re.search(r"^-{20,}$", table, re.MULTILINE)
    assert re.search(r"\nretell-async [\d.]+\S*, \w+ 3\.\d+\.\d+, \w+, \d+ processors, \d+ \w+ 20\d\d$", table)
    assert placed(PAGE, name, table) == PAGE
