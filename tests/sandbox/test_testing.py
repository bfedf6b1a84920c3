"""The sandbox for a user's tests: in the same process, on a port, and as pytest fixtures."""

from __future__ import annotations

from pathlib import Path

import anyio
import httpx
import pytest

import retell_async
from retell_async import (
    APIResponseValidationError,
    AsyncRetell,
    BadRequestError,
    InternalServerError,
    OutcomeUnknownError,
    RateLimit,
    RateLimitError,
    RetryPolicy,
    webhooks,
)
from retell_async.sandbox import RunningClock, Settings
from retell_async.testing import LocalRetell, SandboxTransport

from ..needed import path_of

pytestmark = [pytest.mark.anyio, pytest.mark.parallel]

PERSON = "+12015550100"


@pytest.fixture
def local() -> LocalRetell:
    return LocalRetell()


@pytest.fixture
def number(local: LocalRetell) -> str:
    return local.create_fixtures().phone_number


async def test_a_call_lives_as_time_is_moved(local: LocalRetell, number: str) -> None:
    client = local.client(strict=True)
    placed = await client.call.create_phone_call(from_number=number, to_number=PERSON)
    assert placed.call_status == "registered"
    begun = local.now
    await local.advance(3600)
    assert local.now == begun + 3_600_000
    assert (await client.call.retrieve(placed.call_id)).call_analysis is not None
    local.assert_placed(PERSON)
    (received,) = local.assert_received("createPhoneCall", to_number=PERSON, times=1)
    assert received.body["idempotency_key"]
    assert PERSON not in repr(received)


async def test_two_share_nothing(local: LocalRetell, number: str) -> None:
    other = LocalRetell(Settings(api_key="key_only"))
    assert [item async for item in other.client().phone_number.list()] == []
    with pytest.raises(BadRequestError):
        await other.client().call.create_phone_call(from_number=number, to_number="nobody")
    assert local.requests() == []


@pytest.mark.parametrize("kind", ["timeout", "reset", "error", "truncated"])
async def test_what_was_carried_out_is_not_carried_out_again(local: LocalRetell, number: str, kind: str) -> None:
    fault = local.fault(kind, acted=True, times=1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await local.client().call.create_phone_call(from_number=number, to_number=PERSON)
    assert fault.count == 1
    local.assert_received("createPhoneCall", times=2)
    local.assert_none_placed_twice()
    agent_id = local.create_fixtures().agent_id
    local.fault(kind, operation="createWebCall", acted=True)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises((OutcomeUnknownError, APIResponseValidationError)):
        await local.client().call.create_web_call(agent_id=agent_id)
    local.assert_received("createWebCall", times=1)


async def test_latency_beyond_the_patience_of_a_client_takes_no_time(local: LocalRetell) -> None:
    local.fault("latency", seconds=60)
    with anyio.fail_after(1), pytest.raises(httpx.ReadTimeout):
        async with httpx.AsyncClient(transport=SandboxTransport(local.sandbox), timeout=5) as http:
            await http.get(f"http://any{path_of('listVoices')}")
    local.clear_faults()
    fault = local.fault("latency", seconds=0.02)
    await local.client().voice.list()
    assert fault.count == 1


async def test_faults_by_operation(local: LocalRetell, number: str) -> None:
    local.fault("error", operation="getConcurrency", status=503)
    client = local.client(max_retries=1)
    with pytest.raises(InternalServerError):
        await client.concurrency.retrieve()
    local.assert_received("getConcurrency", times=2)
    await client.call.create_phone_call(from_number=number, to_number=PERSON)
    with pytest.raises(ValueError, match="kind must be one of"):
        local.fault("crash")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def test_assertions_say_what_was_and_show_no_number(local: LocalRetell, number: str) -> None:
    client = local.client()
    with pytest.raises(AssertionError, match="at least once, and was 0 times; received: nothing"):
        local.assert_received("createPhoneCall")
    for _ in range(2):
        await client.call.create_phone_call(from_number=number, to_number=PERSON, metadata={"a": 1})
    assert len(local.requests("createPhoneCall", metadata={"a": 1})) == 2
    assert local.requests("createPhoneCall", metadata={"a": 2}) == []
    with pytest.raises(AssertionError, match="createPhoneCall 2") as failed:
        local.assert_received("createPhoneCall", to_number=PERSON, times=1)
    texts = [str(failed.value)]
    with pytest.raises(AssertionError, match="once") as failed:
        local.assert_none_placed_twice()
    texts.append(str(failed.value))
    with pytest.raises(AssertionError, match="1 times, and was 2 times") as failed:
        local.assert_placed(PERSON)
    texts.append(str(failed.value))
    assert not any(PERSON in text for text in texts)


async def test_the_clients_waits_are_not_the_sandboxs_time(local: LocalRetell) -> None:
    local.fault("rate_limit", operation="getCall", retry_after=30)
    async with local.client() as client, anyio.create_task_group() as tasks:
        tasks.start_soon(client.call.retrieve, "call_1")
        while not local.requests("getCall"):  # noqa: ASYNC110 - nobody tells
            await anyio.sleep(0.001)
        await local.advance(3600)
        await anyio.sleep(0.05)
        assert len(local.requests("getCall")) == 1, "it waits in real time"
        tasks.cancel_scope.cancel()
    for bounded in (local.client(rate_limit=RateLimit(max_wait=0)), local.client(retry=RetryPolicy(deadline=0.2))):
        with anyio.fail_after(1), pytest.raises(RateLimitError):
            await bounded.call.retrieve("call_1")


async def test_a_running_clock_is_not_moved() -> None:
    with pytest.raises(TypeError, match="runs by itself"):
        await LocalRetell(clock=RunningClock(10)).advance(1)


@pytest.mark.soak
async def test_on_a_port(local: LocalRetell) -> None:
    with local.serving() as url:
        async with AsyncRetell("key", base_url=url) as client:
            await client.llm.create()
            await local.advance(1)
    assert len(local.sandbox.store.llms.entries) == 1
    local.assert_received("createRetellLLM", times=1)


async def test_webhooks_arrive_in_the_same_process(local: LocalRetell) -> None:
    router = webhooks.Router(local.api_key)
    heard: list[str] = []

    @router.on()
    async def note(event: webhooks.Event) -> None:
        heard.append(event.event)

    local.send_to(router)
    number = local.create_fixtures(webhook_url="http://service/events").phone_number
    await local.client().call.create_phone_call(from_number=number, to_number=PERSON)
    await local.advance(3600)
    assert heard == ["call_started", "call_ended", "call_analyzed"]
    local.fault("webhook_duplicate", operation="call_started")
    local.fault("webhook_late", operation="call_started", seconds=7200)
    local.fault("webhook_lost", operation="call_ended")
    await local.client().call.create_phone_call(from_number=number, to_number=PERSON)
    await local.advance(3600)
    assert heard[3:] == ["call_analyzed"]
    await local.advance(7200)
    assert heard[3:] == ["call_analyzed", "call_started"]
    # A duplicate that comes while the first is being handled is sent again.
    assert router.stats.received == 5 + router.stats.duplicates
    assert router.stats.duplicates in {1, 2}


@pytest.mark.parametrize("agent", [{}, {"webhook_url": "http://service/events"}])
async def test_an_application_that_gets_nothing_for_want_of_a_webhook_is_told_of(
    local: LocalRetell, agent: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    local.send_to(webhooks.Router(local.api_key))
    number = local.create_fixtures(**agent).phone_number
    for _ in range(2):
        await local.client().call.create_phone_call(from_number=number, to_number=PERSON)
        await local.advance(3600)
    told = [record.getMessage() for record in caplog.records if "has a webhook" in record.getMessage()]
    assert len(told) == (not agent)


PROGRAM = """
import pytest

@pytest.mark.{mark}
@pytest.mark.retell_sandbox(outcomes={{"dial_busy": 1}}, seed=3)
async def test_busy(retell_sandbox, retell_client):
    number = retell_sandbox.furnish().phone_number
    placed = await retell_client.call.create_phone_call(from_number=number, to_number="+12015550100")
    await retell_sandbox.advance(60)
    call = await retell_client.call.retrieve(placed.call_id)
    assert call.disconnection_reason == "dial_busy"

@pytest.mark.{mark}
async def test_isolated(retell_sandbox, retell_client):
    assert [item async for item in retell_client.call.list()] == []
    assert retell_sandbox.placed == {{}}

@pytest.mark.retell_sandbox(speed=50)
def test_on_a_port(retell_sandbox, retell_sandbox_url):
    import httpx
    assert httpx.get(retell_sandbox_url + "/sandbox/clock").json()["speed"] == 50
"""


@pytest.mark.soak
@pytest.mark.parametrize("mark", ["anyio", "asyncio"])
def test_the_plugin(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, mark: str) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # the same whether the package is installed or not
    monkeypatch.setenv("PYTHONPATH", str(Path(retell_async.__file__).parents[1]))
    pytester.makepyfile(PROGRAM.format(mark=mark))
    plugins = [argument for name in ("anyio", "pytest_asyncio.plugin", "retell_async._pytest_plugin") for argument in ("-p", name)]
    options = ("-q", "-W", "error", "--strict-markers", "-o", "asyncio_default_fixture_loop_scope=function")
    result = pytester.runpytest_subprocess(*plugins, *options)
    result.assert_outcomes(passed=5 if mark == "anyio" else 3)


@pytest.mark.soak
def test_settings_without_a_name_or_with_a_wrong_one_are_refused(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(Path(retell_async.__file__).parents[1]))
    pytester.makepyfile("""
        import pytest

        @pytest.mark.retell_sandbox(7, outcomes={"dial_busy": 1})
        def test_a(retell_sandbox):
            pass

        @pytest.mark.retell_sandbox(concurrency=7)
        def test_b(retell_sandbox):
            pass
    """)
    result = pytester.runpytest_subprocess("-q", "-p", "retell_async._pytest_plugin")
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(
        [
            "*TypeError: the mark retell_sandbox takes settings by name, as retell_sandbox(seed=7); it has 1 without one",
            "*ValueError: the mark retell_sandbox takes no field 'concurrency': near it are concurrency_limit*",
        ]
    )


pytest_plugins = ["pytester"]
