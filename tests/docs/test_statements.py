"""Figures and rules that the guides state, where no test of the thing itself has the very number."""

from __future__ import annotations

import re
from typing import Any

import anyio
import httpx
import pytest

import retell_async
from retell_async import ConfigurationError, NotFoundError, RateLimit, RetellError, UnprocessableEntityError
from retell_async._core.errors import status_error
from retell_async.testing import LocalRetell

from ..engine.virtual import Server, run
from .blocks import ROOT

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("latency", "pace"), [(0.0, 5.0), (0.5, 3.3), (1.0, 2.5), (3.0, 2.5)])
def test_a_known_limit_and_the_pace_that_it_gives(latency: float, pace: float) -> None:
    async def main() -> float:
        call = {"call_type": "web_call", "call_id": "call_1", "agent_id": "agent_1", "agent_version": 1, "call_status": "ended"}
        server = Server(lambda *_: httpx.Response(200, json=call), latency=latency)
        async with server.client(rate_limit=RateLimit(5)) as client, anyio.create_task_group() as tasks:
            for _ in range(61):
                tasks.start_soon(client.call.retrieve, "call_1")
        return 60 / max(server.times())

    assert run(main) == pytest.approx(pace, rel=0.05)


async def test_what_is_deleted_twice() -> None:
    local = LocalRetell()
    async with local.client() as client:
        llm = await client.llm.create(general_prompt="You confirm appointments.")
        await client.llm.delete(llm.llm_id)
        with pytest.raises(UnprocessableEntityError, match="llm_id was not found"):
            await client.llm.delete(llm.llm_id)
        flow = await client.conversation_flow.create(
            start_speaker="agent", model_choice={"type": "cascading", "model": "gpt-5-mini"}, nodes=[]
        )
        await client.conversation_flow.delete(flow.conversation_flow_id)
        with pytest.raises(NotFoundError):
            await client.conversation_flow.delete(flow.conversation_flow_id)


async def test_one_key_and_another_number() -> None:
    local = LocalRetell()
    number = local.create_fixtures().phone_number
    async with local.client() as client:
        first, second = [
            await client.call.create_phone_call(from_number=number, to_number=to_number, idempotency_key="appointment-4711")
            for to_number in ("+14155550101", "+14155550102")
        ]
    assert (second.call_id, second.to_number) == (first.call_id, "+14155550101")
    local.assert_placed("+14155550102", times=0)


@pytest.mark.parametrize("key", ["abcd", "a" * 256, "appointment 4711", "größe"])
async def test_a_key_that_cannot_be_is_a_wrong_argument(key: str) -> None:
    local = LocalRetell()
    async with local.client() as client:
        with pytest.raises(ValueError, match="5 to 255 letters, digits, '_' and '-'"):
            await client.call.create_phone_call(from_number="+14155550100", to_number="+14155550101", idempotency_key=key)


async def test_which_errors_are_of_which_kind() -> None:
    assert issubclass(ConfigurationError, RetellError)
    assert issubclass(ConfigurationError, ValueError)
    local = LocalRetell()
    async with local.client() as client:
        with pytest.raises(ValueError, match="Expected a non-empty value for `call_id`"):
            await client.call.retrieve("")
        with pytest.raises(TypeError, match="from_number"):
            await client.call.create_phone_call(to_number="+14155550101")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    local.assert_received("call.create_phone_call", times=0)


WRONG: dict[str, Any] = {
    "timeout": -1.0,
    "deadline": 0.0,
    "max_retries": -1,
    "extra_headers": {"a b": "c"},
    "extra_query": 5,
    "idempotency_key": "a b",
}


async def test_options_that_cannot_be_are_errors_of_the_package() -> None:
    section = (ROOT / "docs" / "guides" / "reliability.md").read_text().partition("## Which errors there are\n")[2].partition("\n## ")[0]
    named = re.findall(r"`(\w+)`", section.partition("one of a request")[2].partition(".")[0])
    assert set(named) == set(WRONG)
    short = (ROOT / "README.md").read_text().partition("where they are options, such as ")[2].partition("it is a `ConfigurationError`")[0]
    assert set(re.findall(r"`(\w+)`", short)) == {"timeout", "idempotency_key"}
    local = LocalRetell()
    async with local.client() as client:
        for name in named:
            options: dict[str, Any] = {name: WRONG[name]}
            with pytest.raises(ConfigurationError):
                await client.call.create_phone_call(from_number="+14155550100", to_number="+14155550101", **options)
    local.assert_received("call.create_phone_call", times=0)


def test_the_tree_of_errors() -> None:
    tree, _, _ = (ROOT / "docs" / "reference" / "errors.rst").read_text().partition(".. autoexception")
    lines = re.findall(r"^   ([ │├└─]*)(\w+Error)\b *(\d[\dx]*)?", tree, re.MULTILINE)
    above: list[str] = []
    for branches, name, status in lines:
        depth = len(branches) // 4
        kind = getattr(retell_async, name)
        public = [base.__name__ for base in kind.__mro__[1:] if base.__name__ in retell_async.__all__]
        assert public[:1] == above[depth - 1 : depth], name
        above[depth:] = [name]
        if status:
            assert (
                type(status_error(httpx.Response(int(status.replace("x", "0")), request=httpx.Request("GET", "http://retell.test"))))
                is kind
            )
    assert len(lines) > 15
