"""What becomes of a call through the whole client, over a server that is a function."""

from __future__ import annotations

import copy
import io
import json
import logging
import pickle
import time
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest

from retell_async._client import AsyncRetell
from retell_async._core import errors
from retell_async._engine.events import Event, LimitEvent, RetryEvent, WaitEvent
from retell_async._engine.limits import RateLimit
from retell_async._engine.retry import RetryPolicy
from retell_async._http.slots import Slots

from ..needed import body_of
from .example import CREATE, KEY, NO_OPTIONS, UPLOAD, client_of, get

pytestmark = pytest.mark.anyio

FAST = RetryPolicy(first_delay=0.0)
SLOW_DOWN = httpx.Response(429, json={"message": "slow"}, headers={"retry-after-ms": "200"})  # longer than a busy machine stalls
NUMBERS: dict[str, Any] = {"from_number": "+14155550100", "to_number": "+14155550101"}
Step = httpx.Response | Exception


class Script:
    """A server that takes one step a request; the last step is taken for ever."""

    def __init__(self, *steps: Step) -> None:
        self.steps = list(steps)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        if isinstance(step, Exception):
            raise step
        return httpx.Response(step.status_code, headers=step.headers, content=step.content)

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(request.content) for request in self.requests]

    def client(self, **settings: Any) -> AsyncRetell:
        return client_of(self, **{"max_retries": 2, "retry": FAST, **settings})


def fine(**body: Any) -> httpx.Response:
    return httpx.Response(201, json={"thing_id": "1", **body})


def failed(status: int = 500, **more: Any) -> httpx.Response:
    return httpx.Response(status, json={"status": "error", "message": f"said {status}"}, **more)


@pytest.mark.parametrize("fault", [failed(), failed(408), failed(503), httpx.ReadTimeout(""), httpx.ConnectError(""), httpx.ReadError("")])
async def test_a_read_is_sent_again_as_it_was(fault: Step) -> None:
    script = Script(fault, fault, fine())
    async with script.client(default_headers={"x": "y"}) as client:
        assert (await client.send(get(), {})).thing_id == "1"
    first, *others = script.requests
    assert len(others) == 2
    assert [request.headers.pop("x-stainless-retry-count") for request in script.requests] == ["0", "1", "2"]
    assert all((other.url, other.headers, other.content) == (first.url, first.headers, first.content) for other in others)


async def test_a_failure_that_stays_is_raised_as_it_is() -> None:
    script = Script(failed())
    async with script.client() as client:
        with pytest.raises(errors.InternalServerError, match="said 500"):
            await client.send(get(), {})
        assert len(script.requests) == 3
        with pytest.raises(errors.InternalServerError):
            await client.send(get(), {"max_retries": 0})
        assert len(script.requests) == 4
        with pytest.raises(errors.InternalServerError):
            await client.with_options(max_retries=1).send(get(), {})
        assert len(script.requests) == 6


async def test_a_refusal_is_not_repeated() -> None:
    script = Script(failed(422))
    async with script.client() as client:
        with pytest.raises(errors.UnprocessableEntityError):
            await client.send(get(), {})
    assert len(script.requests) == 1


@pytest.mark.parametrize("answer", [failed(409, headers={"retry-after": "0"}), httpx.Response(409, json={"message": "agent is locked"})])
async def test_a_lock_is_waited_for_and_another_conflict_is_not(answer: httpx.Response) -> None:
    script = Script(answer, fine())
    async with script.client() as client:
        assert (await client.send(CREATE.request(body={}), {})).thing_id == "1"
    script = Script(failed(409), fine())
    async with script.client() as client:
        with pytest.raises(errors.ConflictError):
            await client.send(get(), {})


@pytest.mark.parametrize(
    "fault", [failed(), failed(502), failed(408), httpx.ReadTimeout(""), httpx.ReadError("broke"), httpx.WriteError("")]
)
async def test_a_creation_that_may_have_been_carried_out_is_not_repeated(fault: Step) -> None:
    script = Script(fault, fine())
    async with script.client() as client:
        before = time.time()
        with pytest.raises(errors.OutcomeUnknownError, match="createThing may have been carried out or not") as caught:
            await client.send(CREATE.request(body={"number": "+14155550100"}), {})
    error = caught.value
    assert len(script.requests) == 1
    assert (error.operation, error.attempts, error.idempotency_key, error.token) == ("createThing", 1, None, None)
    assert error.since is not None
    assert before - 1 < error.since < time.time() + 1
    assert json.loads(error.request.content) == {"number": "+14155550100"}
    assert error.status_code == (fault.status_code if isinstance(fault, httpx.Response) else None)
    assert error.__cause__ is not None
    assert "4155550100" not in str(error) + repr(error)


async def test_a_creation_that_never_left_is_repeated() -> None:
    script = Script(httpx.ConnectError(""), httpx.ConnectTimeout(""), fine())
    async with script.client() as client:
        assert (await client.send(CREATE.request(body={}), {})).thing_id == "1"
    script = Script(httpx.ConnectError(""))
    async with script.client() as client:
        with pytest.raises(errors.APIConnectionError) as caught:
            await client.send(CREATE.request(body={}), {})
    assert type(caught.value) is errors.APIConnectionError
    assert caught.value.sent is False


async def test_a_phone_call_keeps_one_key_over_all_attempts() -> None:
    script = Script(httpx.ReadTimeout(""), failed(503), fine(call_id="call_1"))
    async with script.client() as client:
        raw = await client.call.with_raw_response.create_phone_call(**NUMBERS)
        assert raw.parse().call_id == "call_1"
        keys = {body["idempotency_key"] for body in script.bodies}
        assert len(script.bodies) == 3
        assert keys == {raw.idempotency_key}
        assert raw.retries_taken == 2
        call = raw.parse()
        assert call.idempotency_key == raw.idempotency_key
        assert call.to_dict() == {"thing_id": "1", "call_id": "call_1"}
        assert "idempotency_key" not in call
        assert (copy.copy(call).idempotency_key, pickle.loads(pickle.dumps(call)).idempotency_key) == (raw.idempotency_key,) * 2
        await client.call.create_phone_call(**NUMBERS)
        await client.call.create_phone_call(**NUMBERS)
        assert len({body["idempotency_key"] for body in script.bodies}) == 3


async def test_an_answer_of_success_that_cannot_be_read_is_a_failure_like_one_that_broke_off() -> None:
    page = httpx.Response(200, content=b"<html>", headers={"content-type": "text/html"})
    script = Script(page, fine(call_id="call_1"))
    async with script.client() as client:
        assert (await client.call.create_phone_call(**NUMBERS)).call_id == "call_1"
        assert len({body["idempotency_key"] for body in script.bodies}) == 1
        script.steps[:] = [page, fine()]
        assert (await client.send(get(), {})).thing_id == "1"
        script.steps[:] = [page]
        with pytest.raises(errors.OutcomeUnknownError, match="not JSON") as unknown:
            await client.call.create_web_call(agent_id="agent_1")
        assert (unknown.value.status_code, unknown.value.attempts, unknown.value.body) == (200, 1, "<html>")
        with pytest.raises(errors.APIResponseValidationError):
            await client.send(get(), {})
        assert (await client.send_raw(get(), {})).text() == "<html>"


async def test_what_was_not_created_under_a_key_shows_none() -> None:
    async with Script(fine(call_id="call_1")).client() as client:
        assert (await client.call.register_phone_call(agent_id="agent_1")).idempotency_key is None


@pytest.mark.parametrize("options", [{"idempotency_key": "order-77"}, {"extra_body": {"idempotency_key": "order-77"}}])
async def test_a_key_of_the_callers_own_is_kept(options: dict[str, Any]) -> None:
    script = Script(failed(), fine(call_id="call_1"))
    async with script.client() as client:
        await client.call.create_phone_call(**NUMBERS, **options)
    assert [body["idempotency_key"] for body in script.bodies] == ["order-77"] * 2


@pytest.mark.parametrize("key", ["", "abcd", "a" * 256, "with space", "ümlaut", "a\nbcde", 12345])
async def test_a_key_that_the_server_refuses_is_refused_before_anything_is_sent(key: Any) -> None:
    script = Script(fine())
    async with script.client() as client:
        with pytest.raises(ValueError, match="idempotency_key"):
            await client.call.create_phone_call(**NUMBERS, idempotency_key=key)
    assert not script.requests


async def test_a_phone_call_whose_outcome_stays_unknown_says_so_with_its_key() -> None:
    script = Script(httpx.ReadTimeout(""), httpx.ConnectError(""), failed(402))
    async with script.client() as client:
        with pytest.raises(errors.OutcomeUnknownError) as caught:
            await client.call.create_phone_call(**NUMBERS)
    assert caught.value.idempotency_key == script.bodies[0]["idempotency_key"]
    assert (caught.value.attempts, caught.value.status_code) == (3, 402)
    script = Script(failed(402))
    async with script.client() as client:
        with pytest.raises(errors.PaymentRequiredError) as refused:
            await client.call.create_phone_call(**NUMBERS, idempotency_key="order-77")
    assert refused.value.idempotency_key == "order-77"


class Calls:
    """A server that creates calls and loses its answers, and lists calls by their metadata."""

    def __init__(self, *, appears_at_look: int = 1, fails: Callable[[], httpx.Response] = failed) -> None:
        self.made: list[Any] = []
        self.looks = 0
        self.appears_at_look = appears_at_look
        self.fails = fails

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        if not request.url.path.endswith("/list-calls"):
            self.made.append(body)
            return self.fails()
        self.looks += 1
        if self.looks < self.appears_at_look:
            return httpx.Response(200, json={"items": [], "has_more": False})
        (criterion,) = body["filter_criteria"]["metadata"]
        assert (criterion["type"], criterion["op"]) == ("string", "eq")
        found = [
            {"call_type": "web_call", "call_id": f"call_{number}", "access_token": "t", "metadata": made["metadata"]}
            for number, made in enumerate(self.made)
            if made["metadata"].get(criterion["key"]) == criterion["value"]
        ]
        return httpx.Response(200, json={"items": found, "has_more": False})


async def test_a_call_that_was_created_after_all_is_found() -> None:
    server = Calls(appears_at_look=2)
    async with client_of(server, retry=RetryPolicy(first_delay=0, on_unknown_outcome="reconcile")) as client:
        raw = await client.call.with_raw_response.create_web_call(agent_id="a", metadata={"order": 7})
        call = raw.parse()
        assert type(call).__name__ == "CreateWebCallResponse"
        assert (call.call_id, call.access_token) == ("call_0", "t")
        (made,) = server.made
        assert made["metadata"]["order"] == 7
        assert (await client.call.create_web_call(agent_id="a")).call_id == "call_1"
        assert (await client.call.create_web_call(agent_id="a", extra_body={"metadata": {"order": 8}})).call_id == "call_2"
        assert server.made[2]["metadata"]["order"] == 8
    assert len({made["metadata"]["retell_async_token"] for made in server.made}) == 3


@pytest.mark.parametrize("settings", [{"reconcile_within": 0.1}, {"deadline": 0.1}])
async def test_a_call_that_does_not_appear_in_time_stays_unknown(settings: dict[str, Any]) -> None:
    server = Calls(appears_at_look=1000)
    async with client_of(server, retry=RetryPolicy(on_unknown_outcome="reconcile", **settings)) as client:
        with pytest.raises(errors.OutcomeUnknownError) as caught:
            await client.call.create_web_call(agent_id="a")
    assert caught.value.token == server.made[0]["metadata"]["retell_async_token"]
    assert len(server.made) == 1


async def test_only_what_can_be_looked_for_is_marked_and_only_if_asked() -> None:
    server = Calls()
    async with client_of(server, retry=RetryPolicy(on_unknown_outcome="reconcile")) as client:
        with pytest.raises(errors.OutcomeUnknownError):
            await client.chat.create_sms_chat(**body_of("createSmsChat", **NUMBERS))
    async with client_of(server) as client:
        with pytest.raises(errors.OutcomeUnknownError):
            await client.call.create_web_call(agent_id="a")
    assert all("metadata" not in made for made in server.made)
    assert server.looks == 0


async def test_a_429_is_waited_for_and_takes_no_retry() -> None:
    script = Script(SLOW_DOWN, SLOW_DOWN, fine())
    events: list[Event] = []
    async with script.client(max_retries=1, hooks=[events.append]) as client:
        raw = await client.send_raw(CREATE.request(body={}), {})
    assert (raw.parse().thing_id, raw.retries_taken) == ("1", 0)
    assert [type(event) for event in events] == [LimitEvent, WaitEvent] * 2
    assert all(event.operation == "createThing" for event in events)


@pytest.mark.parametrize("max_retries", [0, 1])
async def test_waiting_for_a_limit_is_no_retry(max_retries: int) -> None:
    script = Script(SLOW_DOWN, SLOW_DOWN, fine())
    async with script.client(max_retries=max_retries) as client:
        raw = await client.call.with_raw_response.create_phone_call(**NUMBERS)
        assert raw.retries_taken == 0
        script.steps[:] = [SLOW_DOWN, fine()]
        await client.send(get(), {"max_retries": 0})
    assert len(script.requests) == 5


async def test_a_429_is_raised_where_the_wait_is_too_long() -> None:
    script = Script(httpx.Response(429, json={"message": "slow"}, headers={"retry-after": "30"}))
    for most in (10, 0):
        async with script.client(rate_limit=RateLimit(max_wait=most)) as client:
            with pytest.raises(errors.RateLimitError, match=r"429 - .*slow") as caught:
                await client.send(get(), {})
        assert caught.value.retry_after == 30
    assert len(script.requests) == 2


async def test_whoever_waits_in_vain_for_a_turn_is_told_so() -> None:
    script = Script(fine())
    async with script.client(rate_limit=RateLimit(1, per=60, max_wait=0.05)) as client:
        await client.send(get(), {})
        with pytest.raises(errors.RateLimitError, match=r"no turn within 0\.05 s"):
            await client.send(get(), {})
    assert len(script.requests) == 1


async def test_one_429_holds_all_requests_of_the_account_back_and_no_others() -> None:
    script = Script(httpx.Response(429, headers={"retry-after": "30"}), fine())
    async with script.client(rate_limit=RateLimit(max_wait=0.05)) as client:
        with pytest.raises(errors.RateLimitError):
            await client.send(get(), {})
        with pytest.raises(errors.RateLimitError):
            await client.with_options(timeout=5).send(get(), {})
        assert len(script.requests) == 1
        assert (await client.with_options(api_key="key_of_another").send(get(), {})).thing_id == "1"


async def test_a_retry_goes_before_requests_that_wait_for_a_connection() -> None:
    order: list[str] = []
    all_wait = anyio.Event()

    async def serve(request: httpx.Request) -> httpx.Response:
        order.append(request.url.path[-1])
        await all_wait.wait()
        await anyio.sleep(0.01)  # longer than the retry waits before it queues
        return httpx.Response(500 if order == ["0"] else 200, json={"thing_id": "1"})

    own = httpx.AsyncClient(transport=httpx.MockTransport(serve))
    async with AsyncRetell(KEY, http_client=own, max_connections=1, retry=FAST) as client, anyio.create_task_group() as tasks:
        for number in range(6):
            tasks.start_soon(client.send, get(str(number)), NO_OPTIONS)
            await anyio.wait_all_tasks_blocked()
        all_wait.set()
    # The connection went to the one that waited longest when the first attempt failed.
    assert order == ["0", "1", "0", "2", "3", "4", "5"]


async def test_a_slot_goes_to_those_who_are_first_and_none_is_lost_to_one_who_leaves() -> None:
    slots = Slots(1)
    order: list[str] = []

    async def take(name: str, *, first: bool = False) -> None:
        await slots.take(first=first)
        order.append(name)
        slots.give()

    await slots.take()
    assert not slots.take_free()
    async with anyio.create_task_group() as tasks:
        leaving = anyio.CancelScope()

        async def leave() -> None:
            with leaving:
                await take("left")

        tasks.start_soon(leave)
        for name in ("a", "b"):
            tasks.start_soon(take, name)
            await anyio.wait_all_tasks_blocked()
        tasks.start_soon(lambda: take("first", first=True))
        await anyio.wait_all_tasks_blocked()
        leaving.cancel()
        slots.give()
    assert order == ["first", "a", "b"]
    assert slots.take_free()


async def test_an_account_that_waits_for_its_limit_holds_up_no_other() -> None:
    def serve(request: httpx.Request) -> httpx.Response:
        busy = request.headers["authorization"] == f"Bearer {KEY}"
        return httpx.Response(429, headers={"retry-after": "30"}) if busy else httpx.Response(200, json={"thing_id": "1"})

    async with client_of(serve, max_retries=2, max_connections=2) as client, anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(client.send, get(), NO_OPTIONS)
        await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(5):
            assert (await client.with_options(api_key="key_of_another").send(get(), {})).thing_id == "1"
        tasks.cancel_scope.cancel()


async def test_requests_leave_in_the_order_in_which_they_came() -> None:
    script = Script(fine())
    async with script.client(rate_limit=RateLimit(200)) as client, anyio.create_task_group() as tasks:
        for number in range(30):
            tasks.start_soon(client.send, get(f"{number:02}"), NO_OPTIONS)
            await anyio.lowlevel.checkpoint()
    order = [request.url.path for request in script.requests]
    assert order == sorted(order)


@pytest.mark.parametrize(
    ("request_", "kind"), [(get("slow"), errors.APITimeoutError), (CREATE.request(body={}), errors.OutcomeUnknownError)]
)
async def test_a_deadline_ends_an_attempt(request_: Any, kind: type[Exception]) -> None:
    async def serve(_: httpx.Request) -> httpx.Response:
        await anyio.sleep_forever()
        raise AssertionError

    async with AsyncRetell(KEY, http_client=httpx.AsyncClient(transport=httpx.MockTransport(serve))) as client:
        with pytest.raises(kind, match=r"deadline of 0\.02 s"):
            await client.send(request_, {"deadline": 0.02})
        with pytest.raises(kind):
            await client.with_options(retry=RetryPolicy(deadline=0.02)).send(request_, {})
        with pytest.raises(errors.ConfigurationError, match="deadline"):
            await client.send(request_, {"deadline": 0})
        with pytest.raises(errors.ConfigurationError, match="deadline"):
            await client.send(request_, {"deadline": 10**400})


async def test_a_deadline_ends_a_wait_before_anything_is_sent() -> None:
    script = Script(httpx.Response(429, headers={"retry-after": "30"}, json={"message": "slow down"}))
    async with script.client() as client:
        with pytest.raises(errors.RateLimitError, match="slow down") as caught:
            await client.send(CREATE.request(body={}), {"deadline": 0.05})
    assert caught.value.retry_after == 30
    assert len(script.requests) == 1


async def test_retries_are_told_and_logged_without_secrets(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    script = Script(httpx.Response(500, json={"message": f"no +14155550100 for {KEY}"}), SLOW_DOWN, fine())
    async with script.client() as client:
        await client.send(get("+14155550101"), {})
    records = [record for record in caplog.records if record.name == "retell_async"]
    events = [record.__dict__["retell"] for record in records if "retell" in record.__dict__]
    assert [record.getMessage().split(" in ")[0] for record in records if "retell" not in record.__dict__] == [
        "GET /prefix/get-thing/+141******01: 500",
        "GET /prefix/get-thing/+141******01: 429",
        "GET /prefix/get-thing/+141******01: 201",
    ]
    assert [type(event) for event in events] == [RetryEvent, LimitEvent, WaitEvent]
    assert (events[0].operation, events[0].attempt, events[0].delay) == ("getThing", 1, 0.0)
    assert isinstance(events[0].error, errors.InternalServerError)
    text = " ".join(record.getMessage() for record in records)
    assert KEY not in text
    assert "41555501" not in text


async def test_a_hook_that_fails_takes_no_request_with_it(caplog: pytest.LogCaptureFixture) -> None:
    events: list[Event] = []

    def fail(_: Event) -> None:
        raise KeyError("metrics")

    script = Script(SLOW_DOWN, failed(), fine())
    async with script.client(hooks=[fail, events.append]) as client:
        assert (await client.send(get(), {})).thing_id == "1"
    assert [type(event) for event in events][:3] == [LimitEvent, WaitEvent, RetryEvent]
    assert [record.getMessage() for record in caplog.records if record.exc_info] == ["a hook failed"] * len(events)


async def test_a_file_is_sent_again_from_its_start_and_a_stream_is_not() -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    script = Script(SLOW_DOWN, fine())
    async with script.client() as client:
        await client.send(UPLOAD.request(body={"knowledge_base_files": [io.BytesIO(b"whole")]}), {})
        assert [request.content.count(b"whole") for request in script.requests] == [1, 1]
        script.steps.insert(0, SLOW_DOWN)
        with pytest.raises(errors.RateLimitError):
            await client.send(UPLOAD.request(body={"knowledge_base_files": [Pipe(b"once")]}), {})
    assert len(script.requests) == 3


async def test_an_operation_has_a_timeout_of_its_own_where_nobody_sets_one() -> None:
    script = Script(fine(call_id="call_1"))
    async with script.client() as client:
        await client.call.create_phone_call(**NUMBERS)
        await client.call.create_phone_call(**NUMBERS, timeout=7)
        await client.with_options(timeout=8).call.create_phone_call(**NUMBERS)
    own = httpx.AsyncClient(transport=httpx.MockTransport(script), timeout=9)
    async with AsyncRetell(KEY, http_client=own) as client:
        await client.call.create_phone_call(**NUMBERS)
    timeouts = [request.extensions["timeout"] for request in script.requests]
    assert [timeout["read"] for timeout in timeouts] == [120, 7, 8, 9]
    assert (timeouts[0]["connect"], timeouts[0]["pool"]) == (5, 300)


async def test_no_more_requests_are_under_way_than_there_are_connections() -> None:
    now, most = 0, 0

    async def serve(_: httpx.Request) -> httpx.Response:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await anyio.sleep(0.001)
        now -= 1
        return httpx.Response(200, json={})

    own = httpx.AsyncClient(transport=httpx.MockTransport(serve))
    async with AsyncRetell(KEY, http_client=own, max_connections=3) as client, anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(client.send, get(), NO_OPTIONS)
    assert most == 3
