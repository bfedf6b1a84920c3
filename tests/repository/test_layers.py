"""An import that runs up is found."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("copy")
    shutil.copy(ROOT / "pyproject.toml", root)
    for name in ("codegen", "retell_async"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    return root


def lint(root: Path) -> tuple[int, str]:
    program = "import sys; from importlinter.cli import lint_imports_command; sys.path.insert(0, ''); lint_imports_command()"
    command = [sys.executable, "-B", "-P", "-c", program, "--no-cache"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    return done.returncode, " ".join(done.stdout.split()) + done.stderr


@pytest.mark.soak
@pytest.mark.parallel
def test_as_it_is_all_contracts_are_kept(copy: Path) -> None:
    status, told = lint(copy)
    assert status == 0, told
    assert "0 broken" in told


@pytest.mark.soak
@pytest.mark.parallel
@pytest.mark.parametrize(
    ("file", "line", "path"),
    [
        ("codegen/document.py", "from .surface import entries", "codegen.document -> codegen.surface"),
        ("codegen/passes/names.py", "def late(): from ..rendering import views", "codegen.passes.names -> codegen.rendering"),
        ("codegen/rendering/types.py", "from .views import Views", "codegen.rendering.types -> codegen.rendering.views"),
        ("codegen/revisions/pin.py", "from . import update", "codegen.revisions.pin -> codegen.revisions.update"),
        ("retell_async/_core/json.py", "def late(): from .. import AsyncRetell", "retell_async._core.json"),
        ("retell_async/_core/errors.py", "from . import pages", "_core.errors -> retell_async._core.pages"),
        ("retell_async/_core/encode.py", "def late(): from . import prefetch, resource", "_core.encode -> retell_async._core.resource"),
        ("retell_async/_engine/retry.py", "from .calls import Calls", "_engine.retry -> retell_async._engine.calls"),
        (
            "retell_async/_http/wire/streams.py",
            "def late(): from ..transport import Transport",
            "_http.wire.streams -> retell_async._http.transport",
        ),
        ("retell_async/_helpers/watch.py", "from . import call", "No cycles are allowed in retell_async._helpers"),
        ("retell_async/telemetry/figures.py", "from . import otel", "telemetry.figures -> retell_async.telemetry.otel"),
        ("retell_async/sandbox/faults/fault.py", "from . import active", "No cycles are allowed in retell_async.sandbox.faults"),
        (
            "retell_async/cli/operations/sending.py",
            "def late(): from .. import by_hand",
            "cli.operations.sending -> retell_async.cli.by_hand",
        ),
        ("codegen/document.py", "from tests.conftest import NEEDS", "codegen.document -> tests"),
        ("retell_async/_core/encode.py", "from .._engine import retry", "retell_async._core.encode -> retell_async._engine"),
        (
            "retell_async/sandbox/state/store.py",
            "def late(): from ..outgoing import outbox",
            "sandbox.state.store -> retell_async.sandbox.outgoing",
        ),
        ("retell_async/sandbox/operations/agents/llms.py", "from ..calls import calls", "operations.agents.llms -> retell_async.sandbox"),
        ("retell_async/_client.py", "import codegen.document", "retell_async._client -> codegen.document"),
    ],
)
def test_an_import_that_runs_up_breaks_one(copy: Path, file: str, line: str, path: str) -> None:
    changed = copy / file
    before = changed.read_text(encoding="utf-8")
    changed.write_text(f"{before}\n{line}\n", encoding="utf-8")
    try:
        status, told = lint(copy)
    finally:
        changed.write_text(before, encoding="utf-8")
    assert status == 1
    assert path in re.sub(r" \(l\.\d+\)", "", told)


@pytest.mark.soak
@pytest.mark.parallel
def test_a_module_that_no_layer_names_is_found(copy: Path) -> None:
    new = copy / "codegen" / "new.py"
    new.write_text('"""New."""\n', encoding="utf-8")
    try:
        status, told = lint(copy)
    finally:
        new.unlink()
    assert status == 1
    assert "codegen.new" in told


def test_what_may_be_reached_upwards_is_loaded_when_it_is_used() -> None:
    """The contracts cannot say that these imports are late: this does."""
    program = (
        "import sys; from retell_async import AsyncRetell, Retell; from retell_async.types import PhoneCallResponse; "
        "AsyncRetell(api_key='key_0').call.monitor; Retell(api_key='key_0').call.monitor; "
        "print(*[name for name in sys.modules if name.startswith(('retell_async.llm', 'retell_async._core.interop.'))])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {name.rpartition(".")[2] for name in done.stdout.split()}
    assert loaded == {"awaited", "kept", "methods", "signature"}  # the bases of models, answers and bound methods, and what classes keep
