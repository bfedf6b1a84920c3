"""The page of the guide that shows what `make bench` prints."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from benchmarks.__main__ import main, placed

PAGE = (Path(__file__).parents[2] / "docs" / "guides" / "speed.md").read_text("utf-8")
PAGE_OF_CONNECTIONS = (Path(__file__).parents[2] / "docs" / "guides" / "connections.md").read_text("utf-8")
NAMES = re.findall(r"^% make bench: (\w+)\n```text\n", PAGE, re.MULTILINE)


def test_a_table_takes_the_place_of_its_last_one_alone() -> None:
    page = "# A\n\n% make bench: one\n```text\n```\n\n% make bench: two\n```text\nold\n```\nend\n"
    once = placed(page, "one", r"\1 new")
    assert once == page.replace("one\n```text\n", "one\n```text\n\\1 new\n")
    twice = placed(placed(once, "one", "newer"), "two", "more")
    assert twice == page.replace("one\n```text\n", "one\n```text\nnewer\n").replace("old", "more")
    assert placed(page, "three", "new") == page


def test_a_name_that_no_benchmark_has_is_refused_with_those_that_there_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["benchmarks", "startup", "foo"])
    with pytest.raises(SystemExit):
        main()
    assert re.search(r"no benchmark is called foo: there are startup, .*, telemetry\n", capsys.readouterr().err)


@pytest.mark.parametrize("name", NAMES)
def test_each_table_of_the_guide_is_one_that_a_benchmark_writes(name: str) -> None:
    assert import_module(f"benchmarks.{name}").run
    table = PAGE.partition(f"% make bench: {name}\n```text\n")[2].partition("\n```")[0]
    assert re.search(r"^-{20,}$", table, re.MULTILINE)
    assert re.search(r"\nretell-async [\d.]+\S*, \w+ 3\.\d+\.\d+, \w+, \d+ processors, \d+ \w+ 20\d\d$", table)
    assert placed(PAGE, name, table) == PAGE


def columns(name: str) -> list[list[str]]:
    """The cells of a table, column by column under its name."""
    table = PAGE.partition(f"% make bench: {name}\n```text\n")[2].partition("\n```")[0]
    title, *rows = table.partition("\n\n")[2].rpartition("\n\n")[0].splitlines()
    ends = [found.end() for found in re.finditer(r"\S+(?: \S+)*", title)]
    if title.startswith(" "):
        ends.insert(0, max(len(re.split("  +", row)[0]) for row in rows[1:]))
    return [[line[begin:end].strip() for line in (title, *rows[1:])] for begin, end in zip([0, *ends], ends, strict=False)]


def test_what_targets_are_for_and_what_of_it_is() -> None:
    """As the text around the tables says."""
    assert "A `target` is what the ratio before it in its row is to come to" in PAGE
    assert "in the first table each of the three" in PAGE
    assert "`of it` is how much of bare aiohttp's figure `[aiohttp]` comes to" in PAGE
    found = {name: columns(name) for name in NAMES}
    targets = [(name, index) for name, table in found.items() for index, column in enumerate(table) if column[0] == "target"]
    assert {name for name, _ in targets} == {"cost", "throughput", "threads", "startup"}
    for name, index in targets:
        assert found[name][index - 1][0] == "ratio"
        assert all(re.fullmatch(r"(?:[<>]= [\d.]+)?", cell) for cell in found[name][index][1:])
    assert [column[0] for column in found["cost"]].count("ratio") == 3
    *_, aio, _, bare, part = found["throughput"]
    assert (aio[0], bare[0], part[0]) == ("[aiohttp]", "bare aiohttp", "of it")
    for of, all_, percent in zip(aio[1:], bare[1:], part[1:], strict=True):
        assert int(of.replace(",", "")) / int(all_.replace(",", "")) == pytest.approx(int(percent[:-1]) / 100, abs=0.006)


def test_what_a_thousand_requests_under_way_cost_beside_twenty() -> None:
    """As the guide to connections says."""
    assert "under asyncio less, under trio\nsomewhat more" in PAGE_OF_CONNECTIONS
    names, few, _, _, _, many, *_ = columns("cost")
    assert (few[0], many[0]) == ("20 at once", "1,000 at once")
    costs = {name: int(many[row]) / int(few[row]) for row, name in enumerate(names) if name.startswith("retell-async")}
    assert costs["retell-async"] < 1
    assert costs["retell-async, uvloop"] < 1
    assert 1 < costs["retell-async, trio"] < 1.5
