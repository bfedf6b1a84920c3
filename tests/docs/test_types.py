"""Every code block of README and guides is right to a type checker."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from textwrap import indent

import pytest

from .blocks import ROOT, blocks
from .prelude import TYPES

HEAD = "from __future__ import annotations\nfrom retell_async import AsyncRetell\n"


@pytest.mark.soak
def test_pyright(tmp_path: Path) -> None:
    names: dict[str, str] = {}
    for number, block in enumerate(blocks("python")):
        # A client without `await` has the same name as the one that most blocks find.
        parameters = TYPES if "import Retell\n" not in block.source else TYPES.removeprefix("client: AsyncRetell, ")
        body = block.source if block.is_test else f"{HEAD}async def example({parameters}) -> None:\n{indent(block.source, '    ')}"
        (tmp_path / f"block_{number}.py").write_text(body)
        names[f"block_{number}.py"] = block.name
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

    found = json.loads(result.stdout)
    assert found["summary"]["filesAnalyzed"] == len(names)
    assert [f"{names[Path(each['file']).name]}: {each['message']}" for each in found["generalDiagnostics"]] == []
