"""Every code block of the guides is run, against the sandbox. Those of README, the first page and the tasks have tests of their own."""

from __future__ import annotations

import ast
import builtins
import inspect
import re
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from types import CodeType

import anyio.to_thread
import pytest
import structlog
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor

from retell_async import telemetry

from .blocks import PAGES, ROOT, Block, blocks
from .prelude import prelude

pytestmark = pytest.mark.parallel

OTHERS = {"README.md", "getting-started.md", *(page.name for page in PAGES if page.parent.name == "tasks")}
PYTHON = [block for block in blocks("python") if block.path.name not in OTHERS]


@pytest.mark.soak
@pytest.mark.asyncio
@pytest.mark.parametrize("block", [block for block in PYTHON if not block.is_test], ids=lambda block: block.name)
async def test_python(block: Block, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    async with prelude(monkeypatch) as (names, ids):
        code = compiled(block, ids)
        if block.raises is None:
            await run(code, names)
            return
        with pytest.raises(Exception) as caught:
            await run(code, names)
        assert block.raises in {kind.__name__ for kind in type(caught.value).__mro__}


@pytest.mark.parametrize("page", sorted({block.path for block in PYTHON}), ids=lambda page: page.name)
def test_a_guide_says_what_its_blocks_find(page: Path) -> None:
    """Names that a block uses and no block of the page defines before it."""
    known, found = {*vars(builtins)}, set[str]()
    for block in (block for block in PYTHON if block.path == page and not block.is_test):
        names = [node for node in ast.walk(ast.parse(block.source)) if isinstance(node, ast.Name)]
        mine = known | imported(block.source) | {node.id for node in names if isinstance(node.ctx, ast.Store)}
        found |= {node.id for node in names} & {"client", "api_key", "body", "headers"} - mine
    text = page.read_text()
    introduction = re.search(r"^Blocks of this page use (.*?)\.$", text, re.MULTILINE | re.DOTALL)
    said = set(re.findall(r"`(\w+)`", introduction[1])) if introduction else set()
    assert found <= said
    assert introduction is None or text.index("```python") > introduction.start()


@pytest.mark.soak
@pytest.mark.parametrize("block", [block for block in PYTHON if block.is_test], ids=lambda block: block.name)
def test_files_for_pytest(block: Block, tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_block.py").write_text(block.source)
    tests = len(re.findall(r"^(?:async )?def test_", block.source, re.MULTILINE))

    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], cwd=tmp_path, stdout=subprocess.PIPE, text=True, check=False
    )

    assert f"{tests} passed" in result.stdout, result.stdout


def test_commands_name_targets_that_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {target for path in PAGES for target in re.findall(r"(?:^|`)make ([a-z-]+)", path.read_text(), re.MULTILINE)}
    assert named <= targets


def compiled(block: Block, ids: dict[str, str]) -> CodeType:
    """The block as code whose lines are those of the page."""
    source = block.source
    for example, real in ids.items():
        source = source.replace(f'"{example}"', f'"{real}"')
    code: CodeType = compile("\n" * (block.line - 1) + source, Path(block.path), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    return code


@pytest.fixture(autouse=True)
def as_it_was() -> Generator[None]:
    """What a block does to httpx, to structlog and to all clients ends with it, and it leaves no file in the project."""
    before = set(ROOT.iterdir())
    yield
    telemetry.uninstrument()
    structlog.reset_defaults()
    assert {path.name for path in set(ROOT.iterdir()) - before if not path.name.startswith(".")} == set()
    instrumentor = HTTPXClientInstrumentor()
    if instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.uninstrument()


def imported(source: str) -> set[str]:
    nodes = ast.walk(ast.parse(source))
    aliases = [alias for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom)) for alias in node.names]
    arguments = [node.arg for node in ast.walk(ast.parse(source)) if isinstance(node, ast.arg)]
    return {*(alias.asname or alias.name for alias in aliases), *arguments}


async def run(code: CodeType, names: dict[str, object]) -> None:
    """Run what awaits here, and a whole program, which has an event loop of its own, in a thread."""
    if code.co_flags & inspect.CO_COROUTINE:
        await eval(code, names)
    else:
        await anyio.to_thread.run_sync(exec, code, names)
