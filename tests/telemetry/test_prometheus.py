"""The metrics of Prometheus: by the hook of its own, and by OpenTelemetry's exporter, under the same names."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import httpx
import pytest
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest

from retell_async import ConfigurationError, telemetry
from retell_async.telemetry.figures import METRICS
from retell_async.webhooks import Router

from ..engine.example import client_of
from ..webhooks.exchanges import deliver
from ..webhooks.sending import KEY, body_of
from .test_requests import FAST, NUMBERS, PLACED, serving
from .test_webhooks import ANALYZED, fine

pytestmark = pytest.mark.anyio

_SAMPLE = re.compile(r"^(retell_\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)


async def happen() -> None:
    """Something of each kind."""
    router = Router(KEY)
    router.on("call_analyzed")(fine)
    for _ in range(2):
        await deliver(router, body_of({"event": "call_analyzed", "call": ANALYZED}))
    said = {"current_concurrency": 7, "concurrency_limit": 20}
    slow = httpx.Response(429, json={"message": "slow"}, headers={"retry-after-ms": "20"})
    async with client_of(serving(httpx.Response(503), slow, PLACED), max_retries=1, retry=FAST) as client:
        await client.call.create_phone_call(**NUMBERS)
    async with client_of(serving(httpx.Response(200, json=said))) as client:
        await client.concurrency.retrieve()


def samples(text: str) -> dict[tuple[str, frozenset[str]], float]:
    """Samples but for the times that things took, which are never the same."""
    found = {
        (name, frozenset(part for part in re.findall(r'(\w+="[^"]*")', labels or "") if not part.startswith("otel_"))): float(value)
        for name, labels, value in _SAMPLE.findall(text)
    }
    return {key: value for key, value in found.items() if not key[0].endswith(("_created", "_sum", "_bucket"))}


async def test_both_ways_give_the_same_metrics() -> None:
    mine, theirs = CollectorRegistry(), PrometheusMetricReader()
    REGISTRY.unregister(theirs._collector)
    other = CollectorRegistry()
    other.register(theirs._collector)
    meters = MeterProvider([theirs], shutdown_on_exit=False)
    with telemetry.instrumented(telemetry.PrometheusHook(mine), telemetry.OpenTelemetryHook(meter_provider=meters)):
        await happen()
    ours = {key: value for key, value in samples(generate_latest(mine).decode()).items() if value or key[1]}
    assert ours == samples(generate_latest(other).decode())
    whose = frozenset({'agent="agent_1"', 'direction="outbound"'})
    assert ours["retell_call_success_total", whose] == 1
    assert ours["retell_call_duration_seconds_count", whose] == 1
    assert ours["retell_call_e2e_latency_seconds_count", whose] == 2
    assert ours["retell_webhook_retries_total", frozenset({'reason="duplicate"'})] == 1
    assert ours["retell_concurrency_current", frozenset()] == 7


def test_names_that_the_guide_promises() -> None:
    names = {metric.prometheus + ("_total" if metric.kind == "counter" else "") for metric in METRICS}
    guide = Path(__file__).parents[2].joinpath("docs", "guides", "telemetry.md").read_text()
    assert set(re.findall(r"^\| `(retell_\w+)`", guide, re.MULTILINE)) == names
    assert all(set(metric.labels) <= {"agent", "direction", "reason"} for metric in METRICS)


def test_a_registry_takes_one_hook() -> None:
    registry = CollectorRegistry()
    telemetry.PrometheusHook(registry)
    with pytest.raises(ConfigurationError, match="make one PrometheusHook"):
        telemetry.PrometheusHook(registry)


def test_without_prometheus_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'retell-async\[telemetry\]'"):
        telemetry.PrometheusHook()
