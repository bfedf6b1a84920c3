"""Inbound requests: the handler is asked once for each, and answers in time."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from retell_async.webhooks import InboundAnswer, InboundCall, InboundChat, InboundRequest, Router

from ..exchanges import Exchange, deliver
from ..sending import KEY, body_of, inbound_body

pytestmark = pytest.mark.anyio


async def fail() -> None:
    raise LookupError("no customer has the number +14155550100")


async def test_an_inbound_call_is_answered() -> None:
    router = Router(KEY)

    @router.inbound
    async def route(request: InboundRequest) -> InboundAnswer:  # pyright: ignore[reportUnusedFunction]
        if isinstance(request, InboundChat):
            return request.reject()
        return request.accept(override_agent_id="agent_2", dynamic_variables={"caller": request.from_number})

    exchange = await deliver(router, inbound_body(), path="/inbound")
    assert (exchange.status, exchange.headers["content-type"]) == (200, "application/json")
    assert json.loads(exchange.body) == {
        "call_inbound": {"override_agent_id": "agent_2", "dynamic_variables": {"caller": "+14155550100"}},
    }
    exchange = await deliver(router, inbound_body("chat_inbound"), path="/inbound")
    assert json.loads(exchange.body) == {"chat_inbound": {"reject": True}}


async def test_without_a_handler_the_numbers_own_agent_takes_it(caplog: pytest.LogCaptureFixture) -> None:
    exchange = await deliver(Router(KEY), inbound_body())
    assert (exchange.status, exchange.body) == (200, b'{"call_inbound":{}}')
    assert "no handler is registered" in caplog.text


class Asked(list[str | None]):
    """A handler of inbound requests that notes them, and then does what it is told."""

    def __init__(self, then: Callable[[], Awaitable[object]] | None = None) -> None:
        super().__init__()
        self.then = then

    async def __call__(self, request: InboundCall | InboundChat) -> InboundAnswer:
        self.append(request.call_id if isinstance(request, InboundCall) else request.chat_id)
        if self.then is not None:
            await self.then()
        return request.accept(metadata={"asked": len(self)})


async def test_a_repeated_request_gets_the_same_answer() -> None:
    router = Router(KEY)
    asked = Asked()
    router.inbound(asked)
    answers = [(await deliver(router, inbound_body(call_id=call_id))).body for call_id in ("c1", "c1", "c2", "c1")]
    assert asked == ["c1", "c2"]
    assert answers[0] == answers[1] == answers[3] != answers[2]
    assert router.stats.duplicates == 2


async def test_requests_without_an_id_are_told_apart_by_their_time() -> None:
    router = Router(KEY)
    asked = Asked()
    router.inbound(asked)
    timed = inbound_body()
    untimed = body_of({"event": "call_inbound", "call_inbound": {"from_number": "+14155550100", "to_number": "+14155550101"}})
    for body in (timed, timed, untimed, untimed):
        assert (await deliver(router, body)).status == 200
    assert len(asked) == 3


async def test_a_late_handler_answers_the_repeated_request() -> None:
    router = Router(KEY, deadline=0.05)
    go_on = anyio.Event()
    asked = Asked(go_on.wait)
    router.inbound(asked)
    first, second = Exchange(), Exchange()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first.run, router, inbound_body(call_id="c1"))
        await first.answered.wait()
        assert first.status == 503
        tasks.start_soon(second.run, router, inbound_body(call_id="c1"))
        await anyio.wait_all_tasks_blocked()
        go_on.set()
    assert second.status == 200
    assert asked == ["c1"]
    assert router.stats.late == 1


async def test_a_handler_that_raises_is_asked_again() -> None:
    router = Router(KEY)
    asked = Asked(fail)
    router.inbound(asked)
    exchange = await deliver(router, inbound_body(call_id="c1"))
    assert exchange.status == 500
    assert b"4155550100" not in exchange.body
    asked.then = None
    assert (await deliver(router, inbound_body(call_id="c1"))).status == 200
    assert asked == ["c1", "c1"]
    assert router.stats.failed == 1


async def test_a_handler_that_is_cancelled_is_asked_again() -> None:
    router = Router(KEY)
    asked = Asked(anyio.sleep_forever)
    router.inbound(asked)
    with anyio.move_on_after(0.02):
        await deliver(router, inbound_body(call_id="c1"))
    asked.then = None
    assert (await deliver(router, inbound_body(call_id="c1"))).status == 200


@pytest.mark.parametrize(
    "given",
    [None, {"call_inbound": {}}, True, InboundChat(from_number="1", to_number="2").reject()],
    ids=["nothing", "dict", "boolean", "of a chat"],
)
async def test_an_answer_of_the_wrong_kind_is_a_failure(given: Any, caplog: pytest.LogCaptureFixture) -> None:
    router = Router(KEY)

    @router.inbound
    async def route(request: InboundRequest) -> InboundAnswer:  # pyright: ignore[reportUnusedFunction]
        answer: InboundAnswer = given
        return answer

    assert (await deliver(router, inbound_body())).status == 500
    assert "must return accept() or reject()" in caplog.text


async def test_requests_that_wait_displace_no_answer_and_not_each_other() -> None:
    router = Router(KEY)
    asked = Asked()
    router.inbound(asked)
    await deliver(router, inbound_body(call_id="answered"))
    go_on = anyio.Event()
    asked.then = go_on.wait
    async with anyio.create_task_group() as tasks:
        for number in range(1_001):
            tasks.start_soon(deliver, router, inbound_body(call_id=f"c{number}"))
        await anyio.wait_all_tasks_blocked()
        assert (await deliver(router, inbound_body(call_id="answered"))).status == 200
        tasks.start_soon(deliver, router, inbound_body(call_id="c0"))
        await anyio.wait_all_tasks_blocked()
        go_on.set()
    assert len(asked) == 1_002


async def test_remembered_answers_are_bounded() -> None:
    router = Router(KEY)
    asked = Asked()
    router.inbound(asked)
    for number in range(1_001):
        await deliver(router, inbound_body(call_id=f"c{number}"))
    await deliver(router, inbound_body(call_id="c1000"))
    await deliver(router, inbound_body(call_id="c0"))
    assert len(asked) == 1_002
