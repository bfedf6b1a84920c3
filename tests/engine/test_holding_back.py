"""What a limit holds back, what it does not, and for how long: the whole client in virtual time."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count, pairwise
from typing import Any, cast

import anyio
import httpx
import pytest
import trio

from retell_async import (
    APITimeoutError,
    AsyncRetell,
    CallSlots,
    ConfigurationError,
    DefaultAioHttpClient,
    DefaultAsyncHttpxClient,
    LimitEvent,
    OutcomeUnknownError,
    RateLimit,
    RateLimitError,
    RequestOptions,
    RetellError,
    RetryPolicy,
    WaitEvent,
)
from retell_async._engine import events

from ..needed import nothing_listed
from .example import KEY
from .virtual import NUMBERS, Server, fine, refusal, run

Answer = Callable[[httpx.Request, float], httpx.Response | Exception]
CREATE, READ, WEB, BATCH, STOP = "create-phone-call", "get-call", "create-web-call", "create-batch-call", "stop-call"


async def place(client: AsyncRetell) -> Any:
    return await client.call.create_phone_call(**NUMBERS)


def refusing(*paths: str, until: float = 60.0, retry_after: float | None = 10.0, message: str = "slow down") -> Answer:
    def answer(request: httpx.Request, now: float) -> httpx.Response:
        refused = now < until and any(path in request.url.path for path in paths)
        return refusal(retry_after, message) if refused else fine()

    return answer


def test_a_limit_on_calls_holds_back_what_places_calls_and_nothing_else() -> None:
    server = Server(refusing(CREATE))
    took: dict[str, float] = {}

    async def main() -> None:
        async with server.client(hooks=()) as client:
            others: dict[str, Callable[[], Any]] = {
                READ: lambda: client.call.retrieve("call_1"),
                STOP: lambda: client.call.stop("call_1"),
                WEB: lambda: client.call.create_web_call(agent_id="a"),
                BATCH: lambda: client.batch_call.create_batch_call(from_number="+14155550100", tasks=[]),
                CREATE: lambda: place(client),
            }

            async def timed(name: str) -> None:
                start = trio.current_time()
                await others[name]()
                took[name] = trio.current_time() - start

            async with trio.open_nursery() as tasks:
                tasks.start_soon(place, client)
                await trio.sleep(0.1)
                for name in others:
                    tasks.start_soon(timed, name)

    run(main)
    assert [name for name in took if took[name] > 1] == [BATCH, CREATE] or [name for name in took if took[name] > 1] == [CREATE, BATCH]
    assert took[READ] == took[STOP] == took[WEB] == 0


def test_when_different_kinds_are_refused_everything_is_held_back() -> None:
    server = Server(refusing(READ, "list-agents", "get-agent", until=5.0, retry_after=5.0))

    async def main() -> None:
        async with server.client(hooks=()) as client, trio.open_nursery() as tasks:
            tasks.start_soon(client.call.retrieve, "call_1")
            await trio.sleep(0.1)
            tasks.start_soon(client.agent.retrieve, "agent_1")
            await trio.sleep(0.1)
            start = trio.current_time()
            await client.llm.retrieve("llm_1")
            assert trio.current_time() - start > 4

    run(main)


def test_two_kinds_that_are_limited_hold_back_no_third_one_that_goes_on() -> None:
    server = Server(refusing(CREATE, WEB, retry_after=1.0), latency=0.01)
    waits: list[float] = []

    async def main() -> None:
        async with server.client(hooks=(), rate_limit=RateLimit(max_wait=None)) as client, trio.open_nursery() as tasks:

            async def reads() -> None:
                while trio.current_time() < end:
                    start = trio.current_time()
                    await client.call.retrieve("call_1")
                    waits.append(trio.current_time() - start)
                    await trio.sleep(0.05)

            end = trio.current_time() + 60
            tasks.start_soon(reads)
            await trio.sleep(2)
            tasks.start_soon(place, client)
            await trio.sleep(2)
            tasks.start_soon(lambda: client.call.create_web_call(agent_id="a"))

    run(main)
    assert max(waits) < 0.1


def test_what_reads_begins_at_once_while_phone_and_web_calls_are_both_limited() -> None:
    server = Server(refusing(CREATE, WEB, retry_after=1.0), latency=0.01)
    waits: list[float] = []

    async def main() -> None:
        async with server.client(hooks=(), rate_limit=RateLimit(max_wait=None)) as client, trio.open_nursery() as tasks:
            for _ in range(20):
                tasks.start_soon(place, client)
                tasks.start_soon(lambda: client.call.create_web_call(agent_id="a"))
            await trio.sleep(3)
            for _ in range(50):
                start = trio.current_time()
                await client.call.retrieve("call_1")
                await client.call.stop("call_1")
                waits.append(trio.current_time() - start)
                await trio.sleep(0.2)
            tasks.cancel_scope.cancel()

    run(main)
    assert max(waits) < 0.1


@pytest.mark.parametrize("retry_after", [None, 1.0])
def test_a_full_account_is_asked_gently_and_teaches_no_pace(retry_after: float | None) -> None:
    room = 1

    def answer(request: httpx.Request, now: float) -> httpx.Response:
        nonlocal room
        if now >= 60:
            room = 10**6
        if room:
            room -= 1
            return fine(201)
        return refusal(retry_after, "This account has reached its limit of concurrent calls")

    server = Server(answer, latency=0.05)
    events: list[Any] = []

    async def main() -> None:
        async with server.client(hooks=[events.append]) as client, trio.open_nursery() as tasks:
            for _ in range(50):
                tasks.start_soon(place, client)

    run(main)
    times = server.times()
    assert 5 <= sum(1 < moment < 60 for moment in times) <= 60
    assert max(times) < 60 + 16 + 1  # as soon as there is room, all of them leave
    assert all(event.rate is None for event in events if isinstance(event, LimitEvent))
    assert {event.limit for event in events} == {"phone_calls"}


def test_the_error_of_a_full_account_says_so() -> None:
    server = Server(refusing(CREATE, until=1e9, message="concurrency limit reached"))
    caught: list[Any] = []

    async def main() -> None:
        async with server.client(hooks=(), rate_limit=RateLimit(max_wait=8)) as client, trio.open_nursery() as tasks:

            async def one() -> None:
                with pytest.raises(RateLimitError, match="concurrency limit reached") as error:
                    await place(client)
                caught.append(error.value)

            for _ in range(3):
                tasks.start_soon(one)
                await trio.sleep(0.1)

    run(main)
    assert len(server.arrivals) == 1
    assert all(error.retry_after == 10 and error.body["message"] == "concurrency limit reached" for error in caught)
    assert [error.__cause__ is not None for error in caught].count(True) == 2  # those that did not get the 429 themselves


@pytest.mark.parametrize("known", [None, RateLimit(20, max_wait=0)])
def test_without_any_wait_each_429_is_told_at_once_and_ends_nothing(known: RateLimit | None) -> None:
    server = Server(lambda _, now: refusal(0.1) if now == 0 else fine())
    limit = known or RateLimit(max_wait=0)

    async def main() -> None:
        async with server.client(hooks=(), rate_limit=limit) as client:
            with pytest.raises(RateLimitError, match="slow down"):
                await client.call.retrieve("call_1")
            for _ in range(20):
                await trio.sleep(0.5)
                await client.call.retrieve("call_1")

    run(main)
    assert len(server.arrivals) == 21


def test_without_any_wait_a_known_limit_is_told_at_once_too() -> None:
    server = Server(lambda *_: fine())

    async def main() -> None:
        async with server.client(hooks=(), rate_limit=RateLimit(3, per=60, max_wait=0)) as client:
            for _ in range(3):
                await client.call.retrieve("call_1")
            with pytest.raises(RateLimitError, match="limit of account, 3 a 60 s"):
                await client.call.retrieve("call_1")
            await trio.sleep(61)
            await client.call.retrieve("call_1")

    run(main)


def many(
    server: Server, number: int, settings: dict[str, Any], send: Callable[[AsyncRetell], Any] = place
) -> tuple[list[float], list[Any]]:
    """Requests at once: how long each took that got through, and the errors of the others."""
    took: list[float] = []
    errors: list[Any] = []

    async def main() -> None:
        async with server.client(**{"hooks": (), **settings}) as client, trio.open_nursery() as tasks:

            async def one() -> None:
                start = trio.current_time()
                try:
                    await send(client)
                except (RateLimitError, APITimeoutError) as error:
                    errors.append(error)
                else:
                    took.append(trio.current_time() - start)

            for _ in range(number):
                tasks.start_soon(one)

    run(main)
    return took, errors


@pytest.mark.parametrize("connections", [1, 5, 100])
def test_max_wait_bounds_all_waiting(connections: int) -> None:
    server = Server(lambda *_: fine(), latency=0.01)
    took, errors = many(server, 60, {"rate_limit": RateLimit(10, max_wait=1.0), "max_connections": connections})
    assert 9 <= len(took) <= 12
    assert max(took) <= 1.1
    assert {type(error) for error in errors} == {RateLimitError}
    assert len(took) + len(errors) == 60


@pytest.mark.parametrize(
    ("settings", "kind", "message"),
    [
        ({"timeout": httpx.Timeout(60, pool=1.0), "max_connections": 1}, APITimeoutError, "no free connection within 1 s"),
        ({"retry": RetryPolicy(deadline=1.0), "max_connections": 1}, APITimeoutError, "no free connection within the deadline of 1 s"),
        ({"timeout": httpx.Timeout(60, pool=1.0), "rate_limit": RateLimit(1)}, RateLimitError, "no turn within 1 s"),
        ({"retry": RetryPolicy(deadline=1.0), "rate_limit": RateLimit(1)}, RateLimitError, "no turn within 1 s"),
    ],
)
def test_whatever_bounds_a_wait_says_what_was_waited_for(settings: dict[str, Any], kind: type[Exception], message: str) -> None:
    server = Server(lambda *_: fine(), latency=0.6)
    took, errors = many(server, 20, {"max_retries": 0, **settings}, lambda client: client.call.retrieve("call_1"))
    assert max(took) <= 1.7
    assert {type(error) for error in errors} <= {kind, APITimeoutError}
    assert all(str(error).startswith("Request timed out") for error in errors if isinstance(error, APITimeoutError))
    assert sum(message in str(error) for error in errors) >= len(errors) - 1  # one may be under way when the time is over


def test_a_wait_that_cannot_end_in_time_is_not_begun() -> None:
    server = Server(lambda _, now: refusal(30) if now < 30 else fine())

    async def main() -> None:
        async with server.client(hooks=(), rate_limit=RateLimit(max_wait=60)) as client, trio.open_nursery() as tasks:
            tasks.start_soon(client.call.retrieve, "call_1")
            await trio.sleep(1)
            bounds: list[RequestOptions] = [{"deadline": 3}, {"timeout": httpx.Timeout(60, pool=3)}]
            for options in bounds:
                start = trio.current_time()
                with pytest.raises(RateLimitError, match="slow down") as caught:
                    await client.call.retrieve("call_1", **options)
                assert trio.current_time() == start
                assert caught.value.retry_after == 30
                assert isinstance(caught.value.__cause__, RateLimitError)

    run(main)
    assert len(server.arrivals) == 2


def test_a_wish_of_the_server_that_is_longer_than_a_request_may_wait_ends_it_at_once() -> None:
    server = Server(lambda *_: refusal(301))
    took, errors = many(server, 1, {})
    assert not took
    assert (len(server.arrivals), errors[0].retry_after) == (1, 301)


def test_a_429_after_an_attempt_that_may_have_acted_leaves_it_unknown() -> None:
    server = Server(lambda *_: httpx.Response(503) if len(server.arrivals) == 1 else refusal(1000))

    async def main() -> None:
        async with server.client(hooks=()) as client:
            with pytest.raises(OutcomeUnknownError) as caught:
                await place(client)
        assert isinstance(caught.value.__cause__, RateLimitError)

    run(main)


def windows(times: list[float], span: float) -> int:
    """The most that any window of so many seconds holds."""
    return max(sum(start <= moment < start + span for moment in times) for start in times)


@pytest.mark.parametrize("given", ["client", "options", "account"])
def test_a_known_limit_holds_at_the_server_after_429s_an_outage_and_for_want_of_connections(given: str) -> None:
    def answer(_: httpx.Request, now: float) -> httpx.Response:
        return refusal(1) if now == 0.0 or 100 <= now < 200 else fine(201)

    server = Server(answer, latency=3.0)
    limit = RateLimit(10, per=60.0, max_wait=None)
    limits: dict[str, Any] = {"rate_limits": {"call.create_phone_call": limit}}
    settings: dict[str, Any] = {"account": {"rate_limit": limit}, "client": limits, "options": {}}[given]

    async def main() -> None:
        async with server.client(hooks=(), max_connections=2, **settings) as client, trio.open_nursery() as tasks:
            view = client.with_options(**limits, max_retries=1) if given == "options" else client
            for _ in range(60):
                tasks.start_soon(place, view)

    run(main)
    assert len(server.arrivals) > 60
    assert windows(server.times(), 60.0) <= 10


def test_a_known_limit_of_one_method_holds_for_the_account_and_the_stricter_one_counts() -> None:
    server = Server(lambda *_: fine(201))

    async def main() -> None:
        async with server.client(hooks=(), rate_limits={"call.create_phone_call": RateLimit(4)}) as client:
            strict = client.with_options(rate_limits={"call.create_phone_call": RateLimit(2)})
            loose = client.with_options(rate_limits={"call.create_phone_call": RateLimit(50)})
            other = client.with_options(api_key="key_of_another")
            await place(strict)
            async with trio.open_nursery() as tasks:
                for _ in range(8):
                    for view in (client, strict, loose):
                        tasks.start_soon(place, view)
                    tasks.start_soon(client.call.retrieve, "call_1")
                start = trio.current_time()
                await client.call.retrieve("call_1")
                await place(other)
                assert trio.current_time() == start

    run(main)
    assert windows(server.times(CREATE)[2:], 1.0) <= 2


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"call.create_phone_cal": RateLimit(1)}, "'call.create_phone_call' is one"),
        ({"createPhoneCall": RateLimit(1)}, "no method of the client"),
        ({"call": RateLimit(1)}, "no method"),
        ({1: RateLimit(1)}, "no method"),
        ({"call.create_phone_call": 1}, "must be a RateLimit"),
    ],
)
def test_limits_of_what_does_not_exist_are_refused_when_the_client_is_made(limits: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        AsyncRetell(KEY, rate_limits=limits)
    with pytest.raises(ConfigurationError, match=message):
        AsyncRetell(KEY).with_options(rate_limits=limits)


def test_how_long_a_method_waits_is_said_by_its_own_limit_or_else_by_that_of_the_client() -> None:
    server = Server(lambda *_: fine(201))
    settings = {"rate_limit": RateLimit(max_wait=5), "rate_limits": {"call.create_phone_call": RateLimit(1)}}
    assert len(many(server, 30, settings)[0]) in {5, 6}
    settings = {"rate_limit": RateLimit(max_wait=5), "rate_limits": {"call.create_phone_call": RateLimit(1, max_wait=20)}}
    assert len(many(server, 30, settings)[0]) in {20, 21}


def test_a_long_wait_is_a_warning_that_names_the_operation_and_the_limit(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG, "retell_async")
    monkeypatch.setattr(events, "_said", {})
    server = Server(lambda *_: fine(201))

    async def main() -> None:
        async with server.client(rate_limits={"call.create_phone_call": RateLimit(1, per=8)}) as client, trio.open_nursery() as tasks:
            for _ in range(5):
                tasks.start_soon(place, client)

    run(main)
    (warning,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [record.levelno for record in caplog.records if "waited" in record.getMessage()].count(logging.INFO) == 3
    assert "createPhoneCall: waited 8.0" in warning.getMessage()
    assert "for phone_calls" in warning.getMessage()


def test_a_long_wait_for_a_connection_is_told_too() -> None:
    server = Server(lambda *_: fine(201), latency=7.0)
    events: list[Any] = []
    many(server, 2, {"max_connections": 1, "hooks": [events.append]})
    (event,) = events
    assert (type(event), event.limit, round(event.seconds)) == (WaitEvent, "max_connections", 7)


def test_a_pause_keeps_nobody_waiting_for_a_connection() -> None:
    """What waits for its limit holds no connection, or 100 calls that wait would leave none for reads."""
    server = Server(refusing(CREATE, retry_after=30.0))

    async def main() -> None:
        async with server.client(hooks=(), max_connections=3) as client, trio.open_nursery() as tasks:
            for _ in range(50):
                tasks.start_soon(place, client)
            await trio.sleep(1)
            start = trio.current_time()
            for _ in range(20):
                await client.call.retrieve("call_1")
            assert trio.current_time() == start
            tasks.cancel_scope.cancel()

    run(main)


def test_whoever_leaves_while_waiting_takes_nobody_with_it() -> None:
    server = Server(lambda *_: fine(201))
    left = count()

    async def main() -> None:
        async with server.client(hooks=(), rate_limit=RateLimit(1)) as client, trio.open_nursery() as tasks:

            async def one(patience: float) -> None:
                with trio.move_on_after(patience):
                    await place(client)
                    next(left)

            for number in range(30):
                tasks.start_soon(one, 0.5 if number % 3 else 1000.0)

    run(main)
    times = server.times()
    assert next(left) == len(times)
    assert 10 <= len(times) <= 12
    assert all(1.0 <= b - a <= 1.1 for a, b in pairwise(times))


@pytest.mark.parametrize(
    "settings", [{"rate_limit": RateLimit(10, max_wait=2.0)}, {"rate_limits": {"call.retrieve": RateLimit(10, max_wait=2.0)}}]
)
def test_one_client_serves_one_run_of_trio_after_the_other(settings: dict[str, Any]) -> None:
    server = Server(lambda *_: fine())
    client = server.client(hooks=(), **settings)

    async def job() -> None:
        for _ in range(3):
            await client.call.retrieve("call_1")

    for _ in range(5):
        trio.run(job)
    assert len(server.arrivals) == 15


async def _answer(request: httpx.Request) -> httpx.Response:
    await anyio.sleep(0.05)
    return httpx.Response(200, json={"call_id": "c", "call_type": "web_call"})


def test_a_client_goes_on_in_another_loop_of_asyncio_and_not_under_trio() -> None:
    client = AsyncRetell(KEY, http_client=httpx.AsyncClient(transport=httpx.MockTransport(_answer)))
    for _ in range(2):
        asyncio.run(client.call.retrieve("c"))
    with pytest.raises(ConfigurationError, match="used under asyncio and cannot be used under trio"):
        trio.run(client.call.retrieve, "c")
    asyncio.run(client.call.retrieve("c"))


def test_two_threads_that_use_a_client_at_once_are_told_and_one_after_the_other_may() -> None:
    client = AsyncRetell(KEY, http_client=httpx.AsyncClient(transport=httpx.MockTransport(_answer)))
    outcomes: list[Any] = []

    def work() -> None:
        try:
            outcomes.append(asyncio.run(client.call.retrieve("c")).call_id)
        except ConfigurationError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("c") >= 1
    assert all(outcome == "c" or "in use in another event loop" in str(outcome) for outcome in outcomes)
    work()
    assert outcomes[-1] == "c"


@pytest.mark.parametrize("begin", [asyncio.run, lambda main: trio.run(lambda: main)])
def test_a_client_stays_with_an_event_loop_that_runs_in_another_thread(begin: Callable[[Any], Any]) -> None:
    client = AsyncRetell(KEY, http_client=httpx.AsyncClient(transport=httpx.MockTransport(_answer)))
    refused: list[str] = []

    def elsewhere() -> None:
        with pytest.raises(ConfigurationError, match="in use in another event loop, which still runs") as caught:
            begin(client.call.retrieve("c"))
        refused.append(str(caught.value))

    async def main() -> None:
        for _ in range(3):  # with nothing under way between them
            assert (await client.call.retrieve("c")).call_id == "c"
            await anyio.to_thread.run_sync(elsewhere)

    begin(main())
    assert len(refused) == 3
    assert begin(client.call.retrieve("c")).call_id == "c"


def test_an_event_loop_that_was_stopped_gives_way_and_may_come_back() -> None:
    client = AsyncRetell(KEY, http_client=httpx.AsyncClient(transport=httpx.MockTransport(_answer)))
    loop = asyncio.new_event_loop()
    for _ in range(2):
        assert loop.run_until_complete(client.call.retrieve("c")).call_id == "c"
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(asyncio.run, client.call.retrieve("c")).result().call_id == "c"
    loop.close()


def test_what_is_collected_after_its_loop_ends_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    complained: list[object] = []
    monkeypatch.setattr("sys.unraisablehook", lambda about: complained.append(about.exc_value))
    told: list[object] = []
    under_way: list[str] = []

    async def hang(request: httpx.Request) -> httpx.Response:
        under_way.append(request.method)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            with anyio.CancelScope(shield=True):  # as what closes a connection has it
                await anyio.sleep(0.001)
        raise AssertionError

    client = AsyncRetell(KEY, http_client=httpx.AsyncClient(transport=httpx.MockTransport(hang)), hooks=[told.append])

    async def leave() -> None:
        tasks = [asyncio.create_task(client.call.retrieve("c")), asyncio.create_task(client.call.create_web_call(agent_id="a"))]
        await asyncio.sleep(0.1)
        assert len(under_way) == len(tasks)

    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # which tells of tasks that are pending
    loop.run_until_complete(leave())
    loop.close()
    del loop
    gc.collect()
    assert sorted(under_way) == ["GET", "POST"]
    assert (complained, told) == ([], [])


def test_a_loop_that_ended_in_the_middle_of_a_request_holds_no_slot_and_no_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    # What such a request leaves behind complains when it is collected.
    monkeypatch.setattr("sys.unraisablehook", lambda _: None)

    async def hang(request: httpx.Request) -> httpx.Response:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    serve = hang

    async def answer(request: httpx.Request) -> httpx.Response:
        return await serve(request)

    own = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    client = AsyncRetell(KEY, http_client=own, max_connections=1, rate_limit=RateLimit(1, per=0.1))
    loop = asyncio.new_event_loop()
    task = loop.create_task(client.call.retrieve("c"))
    loop.run_until_complete(asyncio.sleep(0.01))
    loop.close()  # with the task in it, as a program that is interrupted leaves it
    serve = _answer
    asyncio.run(client.call.retrieve("c"))
    task._log_destroy_pending = False  # type: ignore[attr-defined]
    del task
    gc.collect()
    asyncio.run(client.call.retrieve("c"))


def test_accounts_that_are_not_used_any_more_are_forgotten_and_their_limits_are_not_before_they_end() -> None:
    server = Server(lambda request, _: refusal(20) if "1" in request.headers["authorization"] and len(server.arrivals) < 3 else fine())

    async def main() -> None:
        async with server.client(hooks=(), rate_limit=RateLimit(max_wait=5)) as client:
            kept = client._shared._accounts
            for number in range(300):
                await client.with_options(api_key=f"key_{'x' * number}").call.retrieve("c")
            assert len(kept) <= 1
            limited = client.with_options(api_key="key_1")
            with pytest.raises(RateLimitError):
                await limited.call.retrieve("c")
            sent = len(server.arrivals)
            with pytest.raises(RateLimitError):
                await client.with_options(api_key="key_1").call.retrieve("c")
            assert len(server.arrivals) == sent
            account = weakref.ref(kept["http://retell.test", "key_1"])
            await trio.sleep(1000)
            for number in range(100):
                view = client.with_options(api_key=f"key_{number}_1", rate_limits={"call.retrieve": RateLimit(1, per=100)})
                await view.call.retrieve("c")
            gc.collect()
            assert account() is None

    server.answer = lambda request, _: refusal(20) if request.headers["authorization"].endswith("key_1") else fine()
    run(main)


@pytest.mark.parametrize(
    ("status", "settings"),
    [
        (200, {"rate_limit": RateLimit(20)}),
        (200, {"rate_limits": {"voice.list": RateLimit(5)}}),
        (503, {}),
        (429, {"rate_limit": RateLimit(max_wait=3)}),
    ],
)
def test_keys_of_a_thousand_tenants_go_although_only_the_clients_own_is_used_afterwards(status: int, settings: dict[str, Any]) -> None:
    def answer(request: httpx.Request, now: float) -> httpx.Response:
        said = status if "tenant" in request.headers["authorization"] else 200
        return httpx.Response(said, json=nothing_listed("listVoices"), headers={"retry-after": "1"})

    async def main() -> None:
        async with Server(answer).client(hooks=(), max_retries=0, **settings) as client:

            async def one(number: int) -> None:
                with suppress(RetellError):
                    await client.with_options(api_key=f"key_of_tenant_{number}").voice.list()

            async with trio.open_nursery() as tasks:
                for number in range(1000):
                    tasks.start_soon(one, number)
            for _ in range(300):
                await trio.sleep(60)
                await client.voice.list()
            assert len(client._shared._accounts) == 1

    run(main)


@pytest.mark.parametrize(
    ("make", "number"),
    [
        (lambda: httpx.AsyncClient(limits=httpx.Limits(max_connections=3)), 3),
        (lambda: httpx.AsyncClient(limits=httpx.Limits(max_connections=3), http2=True), 100),
        (lambda: httpx.AsyncClient(limits=httpx.Limits(max_connections=None)), 100),
        (lambda: httpx.AsyncClient(transport=httpx.MockTransport(_answer)), 100),
        (lambda: DefaultAsyncHttpxClient(limits=httpx.Limits(max_connections=3)), 3),
        (lambda: DefaultAsyncHttpxClient(limits=httpx.Limits(max_connections=3), http2=True), 100),
        (lambda: DefaultAioHttpClient(limits=httpx.Limits(max_connections=3)), 3),
    ],
)
@pytest.mark.asyncio
async def test_no_more_requests_are_let_go_at_once_than_the_http_client_has_connections(make: Any, number: int) -> None:
    """A request that has taken its turn must leave, and not wait for a connection."""
    async with AsyncRetell(KEY, http_client=make()) as client:
        use = client._shared.enter(client._settings)
        assert use.slots._free == number
        client._shared.leave(use)


def test_the_time_out_for_a_pool_bounds_all_waits_together_and_is_not_tried_again() -> None:
    server = Server(lambda *_: refusal(2))
    start: list[float] = []

    async def main() -> None:
        async with server.client(hooks=()) as client:
            start.append(trio.current_time())
            with pytest.raises(RateLimitError):
                await client.call.retrieve("c", timeout=httpx.Timeout(60, pool=5))
            assert trio.current_time() - start[0] <= 5

    run(main)
    slow = Server(lambda *_: fine(), latency=100.0)
    took, errors = many(slow, 2, {"max_connections": 1, "timeout": httpx.Timeout(200, pool=1)}, lambda client: client.call.retrieve("c"))
    assert (len(took), len(errors)) == (1, 1)
    assert "no free connection within 1 s" in str(errors[0])


def test_a_place_in_the_queue_that_cannot_come_in_time_is_not_waited_for() -> None:
    server = Server(lambda *_: fine(201))
    refused: list[float] = []

    async def main() -> None:
        async with server.client(hooks=(), rate_limits={"call.create_phone_call": RateLimit(2, max_wait=5)}) as client:
            start = trio.current_time()

            async def one() -> None:
                try:
                    await place(client)
                except RateLimitError:
                    refused.append(trio.current_time() - start)

            async with trio.open_nursery() as tasks:
                for _ in range(40):
                    tasks.start_soon(one)

    run(main)
    assert 9 <= len(server.arrivals) <= 12
    assert sum(moment > 0.1 for moment in refused) <= 4  # of those whose place was almost early enough


def test_requests_without_a_method_of_their_own_are_limited_by_what_they_ask_for_and_not_by_each_id() -> None:
    server = Server(lambda *_: fine())

    async def main() -> None:
        async with server.client(hooks=()) as client:
            for number in range(50):
                await client.request("GET", f"/v9/get-thing/{number}")
                await client.request("GET", f"/list-things/{number}?a={number}")
            (account,) = client._shared._accounts.values()
            assert sorted(account._gates) == ["GET /list-things", "GET /v9/get-thing"]

    run(main)


def test_without_any_wait_for_limits_a_connection_is_waited_for_all_the_same() -> None:
    server = Server(lambda *_: fine(), latency=0.5)
    took, errors = many(
        server, 30, {"max_connections": 5, "rate_limit": RateLimit(1000, max_wait=0)}, lambda client: client.call.retrieve("c")
    )
    assert (len(took), errors) == (30, [])


def test_call_slots_serve_one_run_of_trio_after_the_other() -> None:
    account = {"current_concurrency": 0, "concurrency_limit": 1}
    client = Server(lambda *_: httpx.Response(200, json=account)).client()
    slots = CallSlots(client, every=1.0)

    async def one() -> None:
        with trio.fail_after(60):
            async with slots.one():
                pass

    trio.run(one)
    for _ in range(3):
        run(one)


@pytest.mark.parametrize("two", [RateLimit(59, per=60), RateLimit(60, per=60)])
def test_where_two_views_know_two_limits_both_hold(two: RateLimit) -> None:
    server = Server(lambda *_: fine(201))

    async def main() -> None:
        async with server.client(hooks=(), rate_limits={"call.create_phone_call": RateLimit(1, max_wait=None)}) as client:
            view = client.with_options(rate_limits={"call.create_phone_call": two})
            async with trio.open_nursery() as tasks:
                for _ in range(40):
                    tasks.start_soon(place, client)
                    tasks.start_soon(place, view)

    run(main)
    assert windows(server.times(), 1.0) == 1
    assert windows(server.times(), 60.0) <= 60


@pytest.mark.parametrize("retry_after", [None, 1.0])
def test_two_kinds_that_are_refused_from_the_beginning_keep_no_read_for_long(retry_after: float | None) -> None:
    server = Server(refusing(CREATE, WEB, until=1e9, retry_after=retry_after), latency=0.05)
    waits: list[float] = []

    async def main() -> None:
        async with server.client(hooks=(), rate_limit=RateLimit(max_wait=60)) as client, trio.open_nursery() as tasks:

            async def create(method: Callable[..., Any], **fields: Any) -> None:
                with pytest.raises(RateLimitError):
                    await method(**fields)

            async def read() -> None:
                start = trio.current_time()
                await client.call.retrieve("c")
                waits.append(trio.current_time() - start)

            for _ in range(10):
                tasks.start_soon(lambda: create(client.call.create_phone_call, **NUMBERS))
                tasks.start_soon(lambda: create(client.call.create_web_call, agent_id="a"))
            for _ in range(60):
                await trio.sleep(0.5)
                tasks.start_soon(read)

    run(main)
    assert max(waits) <= 5
    assert sorted(waits)[30] <= 0.1


@pytest.mark.parametrize(
    "settings",
    [
        {"rate_limit": 5},
        {"retry": {}},
        {"hooks": None},
        {"hooks": [5]},
        {"hooks": [anyio.sleep]},
        {"default_headers": 5},
        {"max_connections": 1.5},
        {"max_connections": True},
        {"max_connections": 0},
        {"default_query": 5},
        {"default_query": {5: 5}},
        {"rate_limits": 5},
        {"rate_limits": []},
    ],
)
def test_settings_of_a_wrong_kind_are_one_clear_error(settings: Any) -> None:
    with pytest.raises(ConfigurationError):
        AsyncRetell(KEY, **settings)


def test_max_wait_bounds_the_wait_for_a_connection_too() -> None:
    server = Server(lambda *_: fine(), latency=50)
    settings = {"max_connections": 1, "rate_limit": RateLimit(max_wait=5.0)}
    took, errors = many(server, 4, settings, lambda client: client.call.retrieve("call_1"))
    assert took == [50.0]
    assert [str(error).split(": ")[:2] for error in errors] == [["Request timed out", "no free connection within 5 s"]] * 3


@pytest.mark.parametrize("idle", [120.0, 600.0])
def test_time_in_which_nobody_wanted_anything_is_taken_for_no_pace(idle: float) -> None:
    server = Server(lambda *_: refusal(30) if len(server.arrivals) == 11 else fine(), latency=0.05)

    async def main() -> float:
        async with server.client(hooks=()) as client:
            for _ in range(10):
                await client.call.retrieve("call_1")
            with pytest.raises(RateLimitError):
                await client.call.retrieve("call_1", deadline=10)
            await trio.sleep(idle)
            start = trio.current_time()
            for _ in range(10):
                await client.call.retrieve("call_1")
            return trio.current_time() - start

    assert run(main) < 30  # ten passed in the half minute before, and so many do again


def test_what_was_refused_once_is_not_starved_by_others_at_the_limit_of_the_account() -> None:
    server = Server(
        lambda request, _: refusal(1) if CREATE in request.url.path and len(server.times(CREATE)) == 1 else fine(), latency=0.05
    )

    async def main() -> None:
        async with server.client(hooks=(), rate_limit=RateLimit(5, max_wait=60.0)) as client, trio.open_nursery() as tasks:

            async def reads(method: Callable[..., Any]) -> None:
                while trio.current_time() < end:
                    await method("id")

            end = trio.current_time() + 30
            for method in (client.call.retrieve, client.agent.retrieve):
                for _ in range(10):
                    tasks.start_soon(reads, method)
            await trio.sleep(1)
            start = trio.current_time()
            await place(client)
            assert trio.current_time() - start < 10

    run(main)


def test_a_view_keeps_to_the_limits_of_the_client_that_it_was_made_of() -> None:
    server = Server(lambda *_: fine(), latency=0.01)

    async def main() -> None:
        async with server.client(hooks=(), rate_limits={"call.create_phone_call": RateLimit(1)}) as client:
            view = client.with_options(rate_limits={"call.create_phone_call": RateLimit(5)})
            async with trio.open_nursery() as tasks:
                for _ in range(5):
                    tasks.start_soon(place, view)

    run(main)
    assert all(two - one >= 1 for one, two in pairwise(server.times(CREATE)))


def test_the_time_that_the_server_named_for_one_operation_is_kept_when_another_one_is_refused_too() -> None:
    until: dict[str, float] = {}

    def answer(request: httpx.Request, now: float) -> httpx.Response:
        wait = 60.0 if CREATE in request.url.path else 1.0
        return refusal(wait) if now < until.setdefault(request.url.path, now + wait) else fine()

    server = Server(answer, latency=0.05)

    async def main() -> None:
        async with server.client(hooks=()) as client, trio.open_nursery() as tasks:
            tasks.start_soon(place, client)
            await trio.sleep(0.2)
            tasks.start_soon(client.agent.retrieve, "agent_1")

    run(main)
    first, *others = server.times(CREATE)
    assert all(moment - first >= 60 for moment in others)


def test_a_redirected_read_takes_a_turn_at_each_hop() -> None:
    def answer(request: httpx.Request, _: float) -> httpx.Response:
        return fine() if "moved" in str(request.url) else httpx.Response(307, headers={"location": "/moved"})

    server = Server(answer, latency=0.01)
    took, errors = many(server, 20, {"rate_limit": RateLimit(5)}, lambda client: client.call.retrieve("call_1"))
    assert len(took) == 20
    assert not errors
    times = server.times()
    assert len(times) == 40
    assert all(later - one >= 1 for one, later in zip(times, times[5:], strict=False))


@pytest.mark.parametrize("status", [500, 503])
def test_an_outage_that_is_answered_with_failures_too_is_left_as_fast(status: int) -> None:
    passed: list[float] = []

    def answer(_: httpx.Request, now: float) -> httpx.Response:
        if 20 < now < 80:
            return httpx.Response(status) if len(server.arrivals) % 2 else refusal(None)
        if sum(moment > now - 1 for moment in passed) >= 20:
            return refusal(None)
        passed.append(now)
        return fine()

    server = Server(answer, latency=0.05)

    async def main() -> None:
        async with server.client(hooks=(), rate_limit=RateLimit(max_wait=None), max_retries=0) as client:

            async def reads() -> None:
                while True:
                    try:
                        await client.call.retrieve("call_1")
                    except RetellError:
                        await trio.sleep(0.2)

            with trio.move_on_after(110):
                async with trio.open_nursery() as tasks:
                    for _ in range(50):
                        tasks.start_soon(reads)

    run(main)
    before = sum(10 < moment <= 20 for moment in passed) / 10
    first = next(moment for moment in passed if moment >= 80)
    assert sum(first + 10 < moment <= first + 15 for moment in passed) / 5 >= before / 2


@pytest.mark.parametrize("how", ["time-out", "cancelled"])
def test_a_request_that_is_given_up_counts_until_it_can_have_arrived(how: str) -> None:
    """Half of the requests take 0.6 s to the server, and get there whether or not somebody still waits for the answer."""
    arrivals: list[float] = []

    class Far(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            way = 0.02 if len(arrivals) % 2 else 0.6
            arrivals.append(trio.current_time() + way)
            read = request.extensions["timeout"]["read"]
            if read is not None and read < way:
                await trio.sleep(read)
                raise httpx.ReadTimeout("no answer", request=request)
            await trio.sleep(way)
            return fine()

    async def main() -> None:
        http_client = httpx.AsyncClient(transport=Far())
        limits = {"call.retrieve": RateLimit(1)}
        async with AsyncRetell(KEY, http_client=http_client, hooks=(), max_retries=0, rate_limits=limits) as client:
            for _ in range(10):
                if how == "cancelled":
                    with trio.move_on_after(1.2 if arrivals else 0.1):
                        await client.call.retrieve("call_1")
                else:
                    with suppress(APITimeoutError):
                        await client.call.retrieve("call_1", timeout=0.1)

    run(main)
    assert len(arrivals) > 4
    assert all(later - one >= 1 for one, later in pairwise(sorted(arrivals)))


def test_what_counts_in_a_window_is_remembered_however_many_accounts_there_are() -> None:
    server = Server(lambda *_: fine())

    async def main() -> None:
        async with server.client(hooks=(), rate_limit=RateLimit(1, per=3600.0, max_wait=1.0)) as client:
            for number in range(200):
                await client.with_options(api_key=f"key_{number}_of_a_tenant").call.retrieve("call_1")
            await trio.sleep(900)
            for number in range(200, 400):
                await client.with_options(api_key=f"key_{number}_of_a_tenant").call.retrieve("call_1")
            with pytest.raises(RateLimitError, match="no turn"):
                await client.with_options(api_key="key_0_of_a_tenant").call.retrieve("call_1")

    run(main)


def test_who_waited_in_an_event_loop_that_is_gone_is_not_woken_when_the_client_is_closed() -> None:
    server = Server(lambda *_: refusal(60.0))
    client = server.client(hooks=())

    async def leave() -> None:
        async with trio.open_nursery() as tasks:
            tasks.start_soon(client.call.retrieve, "call_1")
            await trio.sleep(1)
            raise KeyboardInterrupt

    async def close() -> None:
        with suppress(RateLimitError):
            await client.call.retrieve("call_1", deadline=1.0)
        account = next(iter(client._shared._accounts.values()))
        assert not account._waiting
        await client.aclose()

    with pytest.raises(BaseExceptionGroup):
        run(leave)
    next(iter(client._shared._accounts.values()))._waiting.add(cast("Any", object()))  # as one that was never left
    run(close)


def test_slots_for_calls_outlast_an_answer_that_is_no_json() -> None:
    def answer(*_: object) -> httpx.Response:
        if len(server.arrivals) == 1:
            return httpx.Response(200, html="<h1>Maintenance</h1>")
        return httpx.Response(200, json={"current_concurrency": 0, "concurrency_limit": 20})

    server = Server(answer)

    async def main() -> None:
        async with server.client(hooks=()) as client, CallSlots(client).one():
            pass

    run(main)
    assert len(server.arrivals) == 2
