"""The errors that the task pages name are those that come, against the sandbox."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from retell_async import (
    APIConnectionError,
    AsyncRetell,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    OutcomeUnknownError,
    PaymentRequiredError,
    PreconditionFailedError,
    RateLimit,
    RateLimitError,
    UnprocessableEntityError,
    WaitTimeoutError,
)
from retell_async.sandbox import Fixtures, Settings
from retell_async.testing import LocalRetell

from .blocks import ROOT

Act = Callable[[AsyncRetell, Fixtures], Awaitable[Any]]

pytestmark = pytest.mark.anyio


def call(client: AsyncRetell, from_number: str = "+14155550100", to_number: str = "+14155550108", **more: Any) -> Awaitable[Any]:
    return client.call.create_phone_call(from_number=from_number, to_number=to_number, **more)


async def from_a_number_without_agents(client: AsyncRetell, _: Fixtures) -> None:
    number = await client.phone_number.create(area_code=415)
    await call(client, number.phone_number)


async def listed(calls: Any) -> None:
    async for _ in calls:
        pass


async def published_twice(client: AsyncRetell, made: Fixtures) -> None:
    await client.agent.publish(made.agent_id, version=0)
    await client.agent.update(made.agent_id, version=0, voice_speed=1.1)


SOURCES: dict[str, Any] = {"knowledge_base_texts": [{"title": "Hours", "text": "At nine."}]}
UNKNOWN: Any = {"call_status": {"type": "enum", "op": "in", "value": ["of another kind"]}}

CASES: list[tuple[str, type[Exception], Act]] = [
    ("place-a-call", BadRequestError, lambda client, _: call(client, to_number="0176")),
    ("place-a-call", BadRequestError, lambda client, _: call(client, retell_llm_dynamic_variables={"a": 1})),
    ("place-a-call", UnprocessableEntityError, lambda client, _: call(client, "+14155550199")),
    ("place-a-call", BadRequestError, from_a_number_without_agents),
    ("list-calls", BadRequestError, lambda client, _: listed(client.call.list(filter_criteria=UNKNOWN))),
    ("transcript", UnprocessableEntityError, lambda client, _: client.call.retrieve("call_1")),
    ("knowledge-base", BadRequestError, lambda client, _: client.knowledge_base.create(knowledge_base_name="a" * 40, **SOURCES)),
    (
        "knowledge-base",
        FileNotFoundError,
        lambda client, _: client.knowledge_base.create(knowledge_base_name="a", knowledge_base_files=[Path("nowhere.txt")]),
    ),
    (
        "batch",
        BadRequestError,
        lambda client, _: client.batch_call.create_batch_call(from_number="+14155550100", tasks=[{"to_number": "0176"}]),
    ),
    (
        "batch",
        UnprocessableEntityError,
        lambda client, _: client.batch_call.create_batch_call(from_number="+14155550199", tasks=[{"to_number": "+14155550108"}]),
    ),
    ("agents", PreconditionFailedError, published_twice),
    ("agents", UnprocessableEntityError, lambda client, _: client.agent.update("agent_1", voice_speed=1.1)),
    ("lost-webhooks", ConfigurationError, lambda client, _: listed(client.call.ended_since(datetime(2026, 1, 1)))),  # noqa: DTZ001
    ("engines", ValueError, lambda client, _: call(client, idempotency_key="a b")),
    ("engines", BadRequestError, lambda client, _: call(client, to_number="0176")),
    ("engines", UnprocessableEntityError, lambda client, _: call(client, "+14155550199")),
    ("job-ids", ValueError, lambda client, _: call(client, idempotency_key="a b")),
]


def said(page: str, error: type[Exception]) -> bool:
    text = (ROOT / "docs" / "tasks" / f"{page}.md").read_text()
    return f"`{error.__name__}`" in text.partition("## Errors")[2]


@pytest.mark.parametrize(("page", "error", "act"), CASES)
async def test_errors_of_arguments(page: str, error: type[Exception], act: Act) -> None:
    assert said(page, error)
    local = LocalRetell()
    made = local.create_fixtures()
    async with local.client() as client:
        with pytest.raises(error):
            await act(client, made)
    local.assert_placed("+14155550108", times=0)


@pytest.mark.parametrize("page", ["place-a-call", "knowledge-base"])
async def test_when_the_trial_is_over(page: str) -> None:
    assert said(page, PaymentRequiredError)
    local = LocalRetell(Settings(trial_over=True))
    async with local.client() as client:
        with pytest.raises(PaymentRequiredError):
            await (call(client) if page == "place-a-call" else client.knowledge_base.create(knowledge_base_name="a", **SOURCES))


@pytest.mark.parametrize("page", ["list-calls", "tenants"])
async def test_a_wrong_key(page: str) -> None:
    assert said(page, AuthenticationError)
    local = LocalRetell(Settings(api_key="key_1"))
    async with local.client() as client:
        with pytest.raises(AuthenticationError):
            await client.with_options(api_key="key_2").call.list()


@pytest.mark.parametrize(
    ("page", "operation", "act"),
    [
        ("place-a-call", "call.create_phone_call", lambda client, _: call(client)),
        ("unknown-outcomes", "call.create_phone_call", lambda client, _: call(client)),
        ("engines", "call.create_phone_call", lambda client, _: call(client, idempotency_key="appointment-4711")),
        ("job-ids", "call.create_phone_call", lambda client, _: call(client, idempotency_key="appointment-4711")),
        ("knowledge-base", "knowledge_base.create", lambda client, _: client.knowledge_base.create(knowledge_base_name="a", **SOURCES)),
        ("agents", "agent.create_version", lambda client, made: client.agent.create_version(made.agent_id, base_version=0)),
        (
            "batch",
            "batch_call.create_batch_call",
            lambda client, _: client.batch_call.create_batch_call(from_number="+14155550100", tasks=[{"to_number": "+14155550108"}]),
        ),
    ],
)
async def test_when_nobody_knows(page: str, operation: str, act: Act) -> None:
    assert said(page, OutcomeUnknownError)
    local = LocalRetell()
    made = local.create_fixtures()
    local.fault("timeout", operation=operation, acted=True)
    async with local.client() as client:
        with pytest.raises(OutcomeUnknownError):
            await act(client, made)


async def test_limits_and_waits_that_take_too_long() -> None:
    assert said("place-a-call", RateLimitError)
    assert said("transcript", WaitTimeoutError)
    assert said("place-a-call", APIConnectionError)
    local = LocalRetell()
    local.create_fixtures()
    async with local.client(rate_limit=RateLimit(max_wait=0)) as client:
        placed = await call(client)
        with pytest.raises(WaitTimeoutError):
            await client.call.wait(placed.call_id, within=0.05, every=0.01)
        local.fault("rate_limit", operation="call.create_phone_call")
        with pytest.raises(RateLimitError):
            await call(client)
