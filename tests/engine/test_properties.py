"""What holds whatever happens, over hours of virtual time: machines that sleep, clocks that are set, outages, other clients."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Literal

import attrs
import httpx
import trio
from hypothesis import given, settings, strategies as st

from retell_async import APIError, AsyncRetell, OutcomeUnknownError, RateLimit, RateLimitError, RetryPolicy

from .clocks import Break, Clocks, run

HOUR = 3600.0
DAY = 24 * HOUR
STEP = 0.1  # seconds that a bound on waiting may be exceeded by

Answer = Literal[
    "fine", "slow", "lost", "lost after it", "reset", "reset after it", "500", "500 after it", "429", "429, in a minute", "429, now"
]
ANSWERS: Sequence[Answer] = (
    "fine",
    "slow",
    "lost",
    "lost after it",
    "reset",
    "reset after it",
    "500",
    "500 after it",
    "429",
    "429, in a minute",
    "429, now",
)
REFUSALS: Sequence[Answer] = ("429", "429, in a minute", "429, now")


@attrs.frozen
class Outage:
    """Everything is answered so for a while."""

    at: float
    seconds: float
    answer: Answer


@attrs.define
class Arrival:
    """A request that reached the server, and what it was answered; ``None`` while it is not."""

    at: float
    path: str
    key: str | None
    status: int | None = None


class Server(httpx.AsyncBaseTransport):
    """The API as far as it matters here: it places a call once for each key, which it forgets after an hour, and counts what arrives.

    :param plan: how the first requests are answered, in the order in which they arrive; all others are answered well.
    :param way: draws the seconds that a request takes to the server, and those that the server and the way back take.
    :param most: refuses what is more than so many requests in so many seconds, those of `others` included.
    """

    def __init__(
        self,
        clocks: Clocks,
        plan: Sequence[Answer] = (),
        outages: Sequence[Outage] = (),
        *,
        way: Callable[[], tuple[float, float]] = lambda: (0.0, 0.0),
        most: tuple[int, float] | None = None,
        others: Sequence[float] = (),
    ) -> None:
        self._clocks = clocks
        self._plan = list(reversed(plan))
        self._outages = outages
        self._way = way
        self._most = most
        self._others = sorted(others)
        self._let_in: list[float] = []
        self.arrivals: list[Arrival] = []
        self.placed: Counter[str] = Counter()
        self.inside: defaultdict[str, float] = defaultdict(float)  # seconds that requests to a path were under way
        self._known: dict[str, float] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        left = self._clocks.monotonic()
        try:
            return await self._handle(request)
        finally:
            self.inside[request.url.path] += self._clocks.monotonic() - left

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        content = await request.aread()
        body: dict[str, Any] = json.loads(content) if content else {}
        there, back = self._way()
        await trio.sleep(there)
        arrival = Arrival(self._clocks.server(), request.url.path, body.get("idempotency_key"))
        self.arrivals.append(arrival)
        answer = self._answer(arrival.at)
        acted = answer in {"fine", "slow"} or answer.endswith("after it")
        result = self._carry_out(body, arrival) if acted else {}
        patience = request.extensions["timeout"]["read"]
        if answer == "slow":
            back += 0.9 * patience
        if answer.startswith("lost") or back >= patience:
            await trio.sleep(patience)
            raise httpx.ReadTimeout("no answer in time", request=request)
        await trio.sleep(back)
        if answer.startswith("reset"):
            raise httpx.ReadError("the connection was reset", request=request)
        if answer.startswith("429"):
            arrival.status = 429
            asked = {"429, in a minute": {"retry-after": "60"}, "429, now": {"retry-after": "0"}}.get(answer)
            return httpx.Response(429, headers=asked, json={"status": "error", "message": f"refused at {arrival.at}"}, request=request)
        arrival.status = 500 if answer.startswith("500") else 200
        return httpx.Response(arrival.status, json=result, request=request)

    def _answer(self, now: float) -> Answer:
        for outage in self._outages:
            if outage.at <= now < outage.at + outage.seconds:
                return outage.answer
        if self._most is not None:
            number, per = self._most
            mine = sum(at > now - per for at in self._let_in[-number:])
            if mine + bisect_right(self._others, now) - bisect_right(self._others, now - per) >= number:
                return "429"
            self._let_in.append(now)
        return self._plan.pop() if self._plan else "fine"

    def _carry_out(self, body: dict[str, Any], arrival: Arrival) -> dict[str, Any]:
        to_number, key = body.get("to_number"), arrival.key
        if to_number is None:
            return {"call_id": arrival.path.rpartition("/")[2], "call_type": "web_call", "call_status": "ongoing"}
        if key is None or key not in self._known or arrival.at - self._known[key] > HOUR:
            self.placed[to_number] += 1
            if key is not None:
                self._known[key] = arrival.at
        return {"call_id": f"call_of_{to_number}", "call_type": "phone_call", "call_status": "registered"}


def client_of(server: Server, **options: Any) -> AsyncRetell:
    return AsyncRetell("key_of_the_properties", base_url="http://retell.test", http_client=httpx.AsyncClient(transport=server), **options)


def most_in_a_window(moments: Sequence[float], seconds: float) -> int:
    """How many of these, at most, lie in any window of so many seconds."""
    moments = sorted(moments)
    return max((number - bisect_right(moments, moment - seconds) + 1 for number, moment in enumerate(moments)), default=0)


answers = st.lists(st.sampled_from(ANSWERS), max_size=12)
outages = st.lists(st.builds(Outage, st.floats(0, 2 * HOUR), st.floats(1, 1.5 * HOUR), st.sampled_from(ANSWERS[2:])), max_size=2)
# A machine that sleeps and whose clock is set back by as much cannot know that it slept. So it is one or the other.
moments = st.floats(1, 2 * HOUR)
sleeps = st.lists(st.builds(Break, moments, st.just("asleep"), st.floats(1, 3 * HOUR)), max_size=3)
sets = st.lists(st.builds(Break, moments, st.just("set"), st.floats(-3 * HOUR, 3 * HOUR)), max_size=3)
breaks = sleeps | sets


@settings(max_examples=60)
@given(
    plan=answers,
    outages=outages,
    breaks=breaks,
    policy=st.builds(
        RetryPolicy,
        first_delay=st.sampled_from([0.5, 60.0, 900.0]),
        max_delay=st.sampled_from([8.0, 1800.0]),
        max_retry_after=st.sampled_from([60.0, 3000.0]),
    ),
    max_retries=st.integers(0, 8),
    timeout=st.sampled_from([10.0, 300.0, 2000.0]),
    limit=st.sampled_from([RateLimit(max_wait=None), RateLimit(), RateLimit(1, per=900.0, max_wait=None)]),
    max_connections=st.integers(1, 3),
    calls=st.integers(1, 4),
)
def test_no_key_is_sent_after_its_hour_and_nobody_is_called_twice(
    plan: list[Answer],
    outages: list[Outage],
    breaks: list[Break],
    policy: RetryPolicy,
    max_retries: int,
    timeout: float,
    limit: RateLimit,
    max_connections: int,
    calls: int,
) -> None:
    clocks = Clocks()
    server = Server(clocks, plan, outages)
    placed: set[str] = set()
    unknown: set[str] = set()
    numbers = [f"+1415555{number:04}" for number in range(calls)]

    async def call(client: AsyncRetell, number: str) -> None:
        try:
            await client.call.create_phone_call(from_number="+14155550100", to_number=number)
            placed.add(number)
        except OutcomeUnknownError:
            unknown.add(number)
        except APIError:
            pass

    async def main() -> None:
        options = {"retry": policy, "max_retries": max_retries, "timeout": timeout, "rate_limit": limit, "max_connections": max_connections}
        async with client_of(server, **options, hooks=()) as client, trio.open_nursery() as nursery:
            for number in numbers:
                nursery.start_soon(call, client, number)

    run(clocks, main, breaks=breaks, within=2 * DAY)
    for key in {arrival.key for arrival in server.arrivals}:
        moments = [arrival.at for arrival in server.arrivals if arrival.key == key]
        assert max(moments) - min(moments) <= HOUR
    for number in numbers:
        assert server.placed[number] <= 1
        assert number in unknown or server.placed[number] == (number in placed)


@settings(max_examples=40)
@given(
    plan=st.lists(st.sampled_from(ANSWERS[2:]), min_size=1, max_size=12),
    breaks=breaks,
    age=st.floats(0, 3000),
    max_retries=st.integers(0, 8),
    timeout=st.sampled_from([10.0, 300.0, 2000.0]),
)
def test_a_key_of_the_callers_is_as_old_as_the_caller_says(
    plan: list[Answer], breaks: list[Break], age: float, max_retries: int, timeout: float
) -> None:
    clocks = Clocks()
    server = Server(clocks, plan)

    async def main() -> None:
        policy = RetryPolicy(first_delay=60.0, max_delay=1800.0)
        options = {"retry": policy, "max_retries": max_retries, "timeout": timeout, "rate_limit": RateLimit(max_wait=None), "hooks": ()}
        async with client_of(server, **options) as client:
            with suppress(APIError):
                await client.call.create_phone_call(
                    from_number="+14155550100",
                    to_number="+14155550101",
                    idempotency_key="appointment_4711",
                    idempotency_key_since=clocks.wall() - age,
                )

    run(clocks, main, breaks=breaks, within=2 * DAY)
    assert server.arrivals
    assert all(arrival.at <= HOUR - age for arrival in server.arrivals)


@settings(max_examples=25)
@given(
    plan=st.lists(st.sampled_from(["fine", "fine", "slow", "500", "reset", *REFUSALS]), max_size=60),
    outages=st.lists(
        st.builds(Outage, st.floats(0, 600), st.floats(1, 600), st.sampled_from(["429", "429, now", "429, in a minute", "500"])), max_size=2
    ),
    sleeps=sleeps,
    number=st.integers(1, 30),
    per=st.sampled_from([0.5, 1.0, 10.0, 60.0]),
    requests=st.integers(1, 80),
    max_connections=st.sampled_from([1, 3, 100]),
    others=st.lists(st.floats(0, 600), max_size=100),
    seed=st.randoms(use_true_random=False),
    slowest=st.sampled_from([0.0, 0.3, 0.9]),
)
def test_a_known_limit_holds_at_the_server_in_every_window(
    plan: list[Answer],
    outages: list[Outage],
    sleeps: list[Break],
    number: int,
    per: float,
    requests: int,
    max_connections: int,
    others: list[float],
    seed: Any,
    slowest: float,
) -> None:
    clocks = Clocks()
    # The way there and back takes a second at most: a limit holds at the server for what is counted within it.
    server = Server(clocks, plan, outages, way=lambda: (seed.uniform(0, slowest), seed.uniform(0, 0.1)), most=(number, per), others=others)
    answered: list[str] = []
    errors: list[APIError] = []

    async def main() -> None:
        limit = RateLimit(number, per=per, max_wait=None)
        options = {"rate_limit": limit, "max_connections": max_connections, "timeout": 30.0, "hooks": ()}
        async with client_of(server, **options) as client, trio.open_nursery() as nursery:

            async def read(which: int) -> None:
                try:
                    answered.append((await client.call.retrieve(f"call_{which}")).call_id)
                except APIError as error:
                    errors.append(error)

            for which in range(requests):
                nursery.start_soon(read, which)
                if seed.random() < 0.1:
                    await trio.sleep(seed.uniform(0, 3 * per))

    run(clocks, main, breaks=sleeps, within=2 * DAY)
    assert most_in_a_window([arrival.at for arrival in server.arrivals], per) <= number
    assert len({*answered}) + len(errors) == requests
    assert not any(isinstance(error, RateLimitError) for error in errors)  # it waits as long as it takes


@settings(max_examples=30)
@given(
    plan=st.lists(st.sampled_from(["fine", "fine", "fine", *REFUSALS]), max_size=30),
    mine=st.integers(1, 5),
    account=st.integers(5, 20),
    calls=st.integers(1, 15),
    reads=st.integers(1, 60),
    max_connections=st.sampled_from([1, 100]),
)
def test_a_known_limit_of_one_operation_holds_beside_that_of_the_account(
    plan: list[Answer], mine: int, account: int, calls: int, reads: int, max_connections: int
) -> None:
    clocks = Clocks()
    server = Server(clocks, plan, way=lambda: (0.05, 0.05))

    async def main() -> None:
        options = {
            "rate_limit": RateLimit(account, max_wait=None),
            "rate_limits": {"call.create_phone_call": RateLimit(mine)},
            "max_connections": max_connections,
            "hooks": (),
        }
        async with client_of(server, **options) as client, trio.open_nursery() as nursery:

            async def call(to_number: str) -> None:
                await client.call.create_phone_call(from_number="+14155550100", to_number=to_number)

            for which in range(calls):
                nursery.start_soon(call, f"+1415555{which:04}")
            for which in range(reads):
                nursery.start_soon(client.call.retrieve, f"call_{which}")

    run(clocks, main, within=DAY)
    placing = [arrival.at for arrival in server.arrivals if arrival.key is not None]
    assert most_in_a_window([arrival.at for arrival in server.arrivals], 1.0) <= account
    assert most_in_a_window(placing, 1.0) <= mine
    assert len(server.placed) == calls


@settings(max_examples=50)
@given(
    plan=st.lists(st.sampled_from(["fine", "slow", *REFUSALS]), max_size=40),
    outages=st.lists(st.builds(Outage, st.floats(0, 60), st.floats(1, 600), st.sampled_from(REFUSALS)), max_size=2),
    requests=st.integers(1, 60),
    wait=st.tuples(st.just(0.0), st.just(100)) | st.tuples(st.sampled_from([0.5, 5.0, 90.0]), st.sampled_from([1, 5, 100])),
    known=st.sampled_from([None, 1.0, 10.0]),
    pool=st.sampled_from([None, 0.2, 2.0]),
)
def test_nobody_waits_longer_than_max_wait_or_the_pool_time_out(
    plan: list[Answer],
    outages: list[Outage],
    requests: int,
    wait: tuple[float, int],
    known: float | None,
    pool: float | None,
) -> None:
    clocks = Clocks()
    server = Server(clocks, plan, outages, way=lambda: (0.01, 0.01))
    max_wait, max_connections = wait
    bound = max_wait if pool is None else min(max_wait, pool)
    waited: dict[str, float] = {}
    errors: dict[str, APIError] = {}

    async def main() -> None:
        limit = RateLimit(known, max_wait=max_wait)
        timeout = httpx.Timeout(10.0, pool=pool)
        options = {"rate_limit": limit, "max_connections": max_connections, "timeout": timeout, "max_retries": 0, "hooks": ()}
        async with client_of(server, **options) as client, trio.open_nursery() as nursery:

            async def read(path: str) -> None:
                begun = clocks.monotonic()
                try:
                    await client.call.retrieve(path.rpartition("/")[2])
                except APIError as error:
                    errors[path] = error
                waited[path] = clocks.monotonic() - begun - server.inside[path]

            for which in range(requests):
                nursery.start_soon(read, f"/v2/get-call/call_{which}")

    run(clocks, main, within=HOUR)
    assert len(waited) == requests
    assert max(waited.values()) <= bound + STEP
    for path, error in errors.items():
        answered = [arrival for arrival in server.arrivals if arrival.path == path]
        if answered:  # the error of one that was refused is that of its last refusal
            assert isinstance(error, RateLimitError)
            assert error.body == {"status": "error", "message": f"refused at {answered[-1].at}"}


@settings(max_examples=50)
@given(
    plan=answers,
    outages=outages,
    requests=st.integers(1, 20),
    deadline=st.sampled_from([0.5, 5.0, 90.0, 1000.0]),
    known=st.sampled_from([None, 0.1, 1.0, 10.0]),
    max_connections=st.sampled_from([1, 5]),
)
def test_nothing_takes_longer_than_its_deadline(
    plan: list[Answer], outages: list[Outage], requests: int, deadline: float, known: float | None, max_connections: int
) -> None:
    clocks = Clocks()
    server = Server(clocks, plan, outages, way=lambda: (0.01, 0.01))
    took: list[float] = []
    errors: dict[str, APIError] = {}

    async def main() -> None:
        limit = RateLimit(known, max_wait=None)
        options = {"rate_limit": limit, "max_connections": max_connections, "timeout": 20.0, "max_retries": 5, "hooks": ()}
        async with client_of(server, **options) as client, trio.open_nursery() as nursery:

            async def read(path: str) -> None:
                begun = clocks.monotonic()
                try:
                    await client.call.retrieve(path.rpartition("/")[2], deadline=deadline)
                except APIError as error:
                    errors[path] = error
                took.append(clocks.monotonic() - begun)

            for which in range(requests):
                nursery.start_soon(read, f"/v2/get-call/call_{which}")

    run(clocks, main, within=HOUR)
    assert len(took) == requests
    assert max(took) <= deadline + STEP
    for path, error in errors.items():
        statuses = [arrival.status for arrival in server.arrivals if arrival.path == path]
        if statuses and set(statuses) == {429}:
            assert isinstance(error, RateLimitError)
