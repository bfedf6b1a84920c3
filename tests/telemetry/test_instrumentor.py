"""The instrumentor: by hand, and as `opentelemetry-instrument` finds it."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Generator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from retell_async import telemetry
from retell_async.telemetry.instrumentor import RetellInstrumentor

from ..engine.example import client_of
from .seeing import Seen
from .test_propagation import Bodies
from .test_requests import NUMBERS, PLACED

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
GROUP = "opentelemetry_instrumentor"


@pytest.fixture
def instrumentor() -> Generator[Any]:
    before = telemetry.active_hooks()
    instrumentor: Any = RetellInstrumentor()
    yield instrumentor
    if instrumentor.is_instrumented_by_opentelemetry:
        instrumentor.uninstrument()
    assert telemetry.active_hooks() == before


def entry_point() -> EntryPoint:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    ((name, value),) = project["entry-points"][GROUP].items()
    return EntryPoint(name, value, GROUP)


async def test_it_adds_a_hook_and_takes_it_out_again(instrumentor: Any) -> None:
    seen, own, server = Seen(), list[object](), Bodies(PLACED)
    with telemetry.instrumented(own.append):
        instrumentor.instrument(tracer_provider=seen.tracers, meter_provider=seen.meters, propagate=True)
        async with client_of(server) as client:
            await client.call.create_phone_call(**NUMBERS)
            assert len(own) == 2
            instrumentor.uninstrument()
            await client.call.create_phone_call(**NUMBERS)
        assert len(telemetry.active_hooks()) == 1
    assert len(seen.named("call.create_phone_call")) == 1
    assert ["metadata" in body for body in server.sent] == [True, False]


@pytest.mark.parametrize(("said", "propagate"), [("", False), ("true", True), ("1", True), ("false", False)])
def test_the_environment_may_say_that_traces_are_propagated(
    instrumentor: Any, monkeypatch: pytest.MonkeyPatch, said: str, propagate: bool
) -> None:
    monkeypatch.setenv("RETELL_TELEMETRY_PROPAGATE", said)
    instrumentor.instrument()
    assert instrumentor._hook.propagate is propagate


def test_the_entry_point_is_the_instrumentor() -> None:
    assert entry_point().load() is RetellInstrumentor
    assert entry_point().name == "retell_async"


def test_what_is_chosen_by_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    with telemetry.instrumented():
        assert [type(hook).__name__ for hook in telemetry.active_hooks()] == ["OpenTelemetryHook"]
    monkeypatch.setattr(telemetry, "find_spec", lambda _: None)
    monkeypatch.setattr(telemetry, "PrometheusHook", lambda: print)
    with telemetry.instrumented():
        assert telemetry.active_hooks() == (print,)
    assert telemetry.active_hooks() == ()


PROGRAM = """
import anyio, httpx
from opentelemetry import trace
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace import TracerProvider
exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)

from retell_async import AsyncRetell

async def main():
    http = httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(404)))
    async with AsyncRetell("key_0123456789", http_client=http) as client:
        try:
            await client.call.retrieve("call_1")
        except Exception as error:
            print(type(error).__name__)

anyio.run(main)
print(sorted(span.name for span in exporter.get_finished_spans()))
"""


@pytest.mark.soak
def test_a_program_that_opentelemetry_instrument_starts(tmp_path: Path) -> None:
    """What an installed package has beside it, made by hand: the environment of the tests need not be of this tree."""
    found = entry_point()
    beside = tmp_path / "instrumented_here-1.0.dist-info"
    beside.mkdir()
    (beside / "METADATA").write_text("Metadata-Version: 2.1\nName: instrumented-here\nVersion: 1.0\n")
    (beside / "entry_points.txt").write_text(f"[{GROUP}]\nthis_tree = {found.value}\n")
    (tmp_path / "program.py").write_text(PROGRAM)
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}",
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "retell_async,httpx",
    }
    environment |= {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}
    starter = "from opentelemetry.instrumentation.auto_instrumentation import run; run()"

    ended = subprocess.run(
        [sys.executable, "-c", starter, sys.executable, str(tmp_path / "program.py")],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )

    assert ended.stdout.splitlines() == ["NotFoundError", "['GET /v2/get-call/{call_id}', 'call.retrieve']"]


@pytest.mark.soak
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("telemetry.OpenTelemetryHook()", "needs `pip install 'retell-async[telemetry]'`"),
        ("import retell_async.telemetry.instrumentor", "needs `pip install 'retell-async[telemetry]'`"),
        ("telemetry.LoggingHook()", ""),
    ],
)
def test_without_opentelemetry_one_line_says_what_to_install_and_the_rest_works(line: str, said: str) -> None:
    program = f"import sys; sys.modules['opentelemetry'] = None\nfrom retell_async import telemetry\n{line}"
    ended = subprocess.run([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True, check=False, cwd=ROOT)
    assert (said in ended.stderr) if said else not ended.stderr
