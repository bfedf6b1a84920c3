from __future__ import annotations

import json
from typing import Any

import anyio
import httpx
import pytest

from retell_async._call_slots import CallSlots, Occupancy, Slot, most
from retell_async._client import AsyncRetell
from retell_async._core.errors import (
    APIConnectionError,
    APIResponseValidationError,
    ConfigurationError,
    InternalServerError,
    PaymentRequiredError,
)
from retell_async.raw.models.get_concurrency_response import GetConcurrencyResponse

from .example import KEY

ACCOUNT: dict[str, Any] = {"current_concurrency": 3, "concurrency_limit": 20}


@pytest.mark.parametrize(
    ("account", "burst", "calls"),
    [
        (ACCOUNT, False, 20),
        ({**ACCOUNT, "reserved_inbound_concurrency": 5}, False, 15),
        ({**ACCOUNT, "concurrency_burst_enabled": True, "concurrency_burst_limit": 60}, False, 20),
        ({**ACCOUNT, "concurrency_burst_enabled": True, "concurrency_burst_limit": 60}, True, 60),
        ({**ACCOUNT, "concurrency_burst_enabled": False, "concurrency_burst_limit": 0}, True, 20),
    ],
)
def test_calls_that_an_account_may_have(account: dict[str, Any], burst: bool, calls: int) -> None:
    assert most(GetConcurrencyResponse.from_dict(account), burst=burst) == calls


def test_calls_count_until_the_account_knows_of_them() -> None:
    known = Occupancy()
    assert known.free == 0
    known.answered(known.asking(), 3)
    for _ in range(3):
        known.take()
    assert known.free == 0
    known.created()
    known.failed()
    assert known.free == 1
    question = known.asking()
    known.created()  # while the question is on its way: its answer may not have this one
    known.answered(question, 2)
    assert known.free == 1
    known.answered(known.asking(), 1)
    assert known.free == 1


def test_a_call_that_is_told_to_be_over_leaves_its_slot_to_another() -> None:
    known = Occupancy()
    slots = [Slot(CallSlots(AsyncRetell(KEY))) for _ in range(4)]
    known.answered(known.asking(), 4, 0)
    for slot in slots:
        known.take()
        known.created(slot)
    assert known.free == 0
    known.ended(slots.pop())  # the account does not know that it was there
    assert known.free == 1
    known.answered(known.asking(), 1, 3)
    known.ended(slots.pop())  # the account counts it among the three
    assert known.free == 2
    known.answered(known.asking(), 3, 1)  # one of the two is over, and that is told later
    known.ended(slots.pop())
    assert known.free == 3
    known.ended(slots.pop())
    assert known.free == 4


def test_an_account_that_is_over_its_limit_has_no_room_when_one_call_ends() -> None:
    known = Occupancy()
    slot = Slot(CallSlots(AsyncRetell(KEY)))
    known.answered(known.asking(), 1)
    known.take()
    known.created(slot)
    known.answered(known.asking(), -3, 23)
    known.ended(slot)
    assert known.free == -2


class Account:
    """An account whose calls end when they are told to."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.calls = 0
        self.most = 0
        self.questions = 0
        self.status = 201

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/get-concurrency":
            self.questions += 1
            return httpx.Response(200, json={"current_concurrency": self.calls, "concurrency_limit": self.limit})
        if self.status == 201:
            self.calls += 1
            self.most = max(self.most, self.calls)
        return httpx.Response(self.status, content=json.dumps({"call_id": str(self.calls)}))

    def client(self) -> AsyncRetell:
        return AsyncRetell(KEY, max_retries=0, http_client=httpx.AsyncClient(transport=httpx.MockTransport(self)))


@pytest.mark.anyio
async def test_no_more_calls_are_created_than_there_is_room_for() -> None:
    account = Account(5)
    async with account.client() as client:
        slots = CallSlots(client, keep_free=1, every=0.005)
        placed, full = 0, anyio.Event()

        async def place() -> None:
            nonlocal placed
            async with slots.one():
                await client.call.create_phone_call(from_number="+14155550100", to_number="+14155550101")
            placed += 1
            if account.calls == 4:
                full.set()
            await full.wait()
            account.calls -= 1

        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                for _ in range(20):
                    tasks.start_soon(place)
    assert placed == 20
    assert account.most == 4


@pytest.mark.anyio
async def test_that_there_can_be_no_call_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    account = Account(5)
    async with account.client() as client:
        for take in (CallSlots(client, keep_free=5).one(), CallSlots(client, keep_free=6).hold()):
            with anyio.fail_after(10), pytest.raises(ConfigurationError, match=r"leaves no slot: the account has 5 .* a lower value"):
                async with take:
                    pass
        assert not caplog.records
        account.calls = 5
        slots = CallSlots(client, keep_free=1, every=0.005)
        assert await slots.limit() == 4
        for limit in (1, 0, 5):  # as an account may have fewer for a while
            account.limit = limit
            account.calls = 0 if limit == 5 else 5
            with anyio.move_on_after(0.1):
                async with slots.one():
                    break
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        f"keep_free=1 leaves no slot: the account has {limit} for outbound and web calls, and no call is placed until it has more"
        for limit in (1, 0)
    ]


@pytest.mark.anyio
async def test_who_tells_the_ends_of_calls_asks_the_account_once() -> None:
    account = Account(5)
    async with account.client() as client:
        slots = CallSlots(client, keep_free=1)
        assert await slots.limit() == 4
        full = anyio.Event()

        async def place() -> None:
            async with slots.hold() as slot:
                await client.call.create_phone_call(from_number="+14155550100", to_number="+14155550101")
            if account.calls == 4:
                full.set()
            await full.wait()
            account.calls -= 1
            slot.ended()
            slot.ended()

        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                for _ in range(50):
                    tasks.start_soon(place)
    assert account.most == 4
    assert account.questions == 1


@pytest.mark.anyio
async def test_a_request_that_did_not_leave_takes_no_slot() -> None:
    account = Account(1)
    async with account.client() as client:
        slots = CallSlots(client)
        unreached = APIConnectionError(request=httpx.Request("POST", "http://retell.test"), message="no route", sent=False)
        for _ in range(3):
            with pytest.raises(APIConnectionError):
                async with slots.one():
                    raise unreached
    assert account.questions == 1


@pytest.mark.anyio
async def test_a_refused_call_takes_no_slot_and_a_doubtful_one_does() -> None:
    account = Account(1)
    async with account.client() as client:
        slots = CallSlots(client, every=0.005)
        for status, error in ((402, PaymentRequiredError), (422, Exception)):
            account.status = status
            with pytest.raises(error):
                async with slots.one():
                    await client.call.create_web_call(agent_id="a")
        assert account.questions == 1
        with pytest.raises(KeyError):
            async with slots.one():
                raise KeyError
        async with slots.one():
            pass
        assert account.questions == 2


@pytest.mark.anyio
async def test_an_account_that_does_not_answer_is_an_error() -> None:
    for answer, error in ((httpx.Response(200, json={}), APIResponseValidationError), (httpx.Response(500), InternalServerError)):
        own = httpx.AsyncClient(transport=httpx.MockTransport(lambda _, answer=answer: answer))
        async with AsyncRetell(KEY, max_retries=0, http_client=own) as client:
            with pytest.raises(error):
                async with CallSlots(client).one():
                    raise AssertionError


@pytest.mark.parametrize("settings", [{"keep_free": -1}, {"every": 0}])
def test_what_cannot_work_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(settings))):
        CallSlots(AsyncRetell(KEY), **settings)
