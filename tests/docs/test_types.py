"""Every code block of README and guides is right to a type checker."""

from __future__ import annotations

import json
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


@pytest.mark.soak
def test_pyright(tmp_path: Path) -> None:
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
        (tmp_path / file).write_text(body)
        names[file] = block.name
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
