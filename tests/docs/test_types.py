"""Every code block of README and guides is right to type checkers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import indent

import attrs
import pytest

from .blocks import ROOT, Block, blocks
from .prelude import TYPES

pytestmark = pytest.mark.parallel

HEAD = "from __future__ import annotations\nfrom retell_async import AsyncRetell\n"


def written(folder: Path) -> dict[str, str]:
    """Write each block, or page whose blocks go on where the last ended, as a module into a folder.

    :return: the names of the blocks, by the names of the modules.
    """
    names: dict[str, str] = {}
    found = list(blocks("python"))
    pages: dict[Path, list[Block]] = {}
    for block in found:
        if block.is_continued:
            pages.setdefault(block.path, []).append(block)
    wholes = [attrs.evolve(first, source="\n".join(block.source for block in (first, *rest))) for first, *rest in pages.values()]
    for number, block in enumerate([*(block for block in found if not block.is_continued), *wholes]):
        # A client made in the block has the same name as the one that most blocks find.
        own = "import Retell\n" in block.source or block.is_continued
        parameters = TYPES.removeprefix("client: AsyncRetell, ") if own else TYPES
        body = block.source if block.is_program else f"{HEAD}async def example({parameters}) -> None:\n{indent(block.source, '    ')}"
        file = block.file or f"block_{number}.py"
        (folder / file).write_text(body)
        names[file] = block.name
    return names


@pytest.mark.soak
def test_pyright(tmp_path: Path) -> None:
    names = written(tmp_path)
    (tmp_path / "pyrightconfig.json").write_text(
        json.dumps({"typeCheckingMode": "standard", "reportUnusedExpression": False, "extraPaths": [str(ROOT)]})
    )

    result = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )

    said = json.loads(result.stdout)
    assert said["summary"]["filesAnalyzed"] == len(names)
    assert [f"{names[Path(each['file']).name]}: {each['message']}" for each in said["generalDiagnostics"]] == []


@pytest.mark.soak
def test_mypy(tmp_path: Path) -> None:
    modules = tmp_path / "modules"
    modules.mkdir()
    names = written(modules)

    result = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-error-summary", "--cache-dir", str(tmp_path / "cache"), "."],
        cwd=modules,
        env={**os.environ, "MYPYPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )

    said = [line.partition(":") for line in result.stdout.splitlines()]
    assert [f"{names.get(file, file)}:{text}" for file, _, text in said] == []
    assert result.returncode == 0
