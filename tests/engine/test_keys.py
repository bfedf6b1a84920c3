"""Nobody is called twice and no outcome is hidden: the age of keys, reconciling, and what else may go wrong after an attempt."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import anyio
import httpx
import pytest
import trio

from retell_async import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    AsyncRetell,
    ConfigurationError,
    InternalServerError,
    NotFoundError,
    OutcomeUnknownError,
    RateLimit,
    RateLimitError,
    RetellError,
    RetryEvent,
    RetryPolicy,
    omit,
)
from retell_async._engine.idempotency import is_to_another

from .example import KEY
from .virtual import NUMBERS, Server, fine, refusal, run

HOUR = 3600.0
RECONCILE = RetryPolicy(on_unknown_outcome="reconcile", reconcile_within=20.0)


class WallClock:
    """`time.time`, which a test can move: what a process sees that was asleep, or whose clock was set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.real = time.time
        self.shift = 0.0
        monkeypatch.setattr(time, "time", lambda: self.real() + self.shift)


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> WallClock:
    return WallClock(monkeypatch)


async def dial(server: Server, settings: dict[str, Any] | None = None, **options: Any) -> Any:
    async with server.client(hooks=(), **(settings or {})) as client:
        try:
            return await client.call.create_phone_call(**NUMBERS, **options)
        except RetellError as error:
            return error


def silence(request: httpx.Request) -> httpx.ReadTimeout:
    return httpx.ReadTimeout("no answer", request=request)


@pytest.mark.parametrize("key", [None, "order-4711"])
@pytest.mark.parametrize("first", ["silence", "failure", "refusal"])
@pytest.mark.parametrize("minutes", [40, 54, 56, 61, 70, 300])
def test_a_key_is_not_sent_again_after_its_hour_however_long_a_limit_lasts(minutes: int, first: str, key: str | None) -> None:
    def answer(request: httpx.Request, now: float) -> httpx.Response | Exception:
        if now == 0:
            answers: dict[str, httpx.Response | Exception] = {"silence": silence(request), "failure": httpx.Response(503)}
            return answers.get(first) or refusal(60)
        return refusal(60) if now < minutes * 60 else fine(201)

    server = Server(answer)
    given = {} if key is None else {"idempotency_key": key}
    outcome = run(lambda: dial(server, {"rate_limit": RateLimit(max_wait=None), "max_retries": 5}, **given))
    times: dict[str, list[float]] = {}
    for (now, _), body in zip(server.arrivals, server.bodies, strict=True):
        times.setdefault(body["idempotency_key"], []).append(now)
    assert all(sent[-1] - sent[0] <= HOUR for sent in times.values())
    assert outcome.idempotency_key == server.bodies[-1]["idempotency_key"]
    # Where nothing but refusals came, nothing was done under the key, and one that was made for the request makes way for another.
    assert (len(times) > 1) is (minutes > 54 and first == "refusal" and key is None)
    if minutes <= 54 or len(times) > 1:
        assert outcome.call_id == "call_1"
    else:
        assert isinstance(outcome, RateLimitError if first == "refusal" else OutcomeUnknownError)


@pytest.mark.parametrize("asleep", [2 * HOUR, -2 * HOUR])
def test_a_key_ages_while_the_machine_sleeps_and_when_its_clock_is_set(wall: WallClock, asleep: float) -> None:
    def answer(request: httpx.Request, now: float) -> httpx.Response | Exception:
        if len(server.arrivals) == 1:
            wall.shift += asleep
            return silence(request)
        return fine(201)

    server = Server(answer)
    began = time.time()
    outcome = run(lambda: dial(server))
    if asleep > 0:
        assert isinstance(outcome, OutcomeUnknownError)
        assert outcome.since == pytest.approx(began, abs=5)
        assert len(server.arrivals) == 1
    else:  # the other clock knows better
        assert outcome.call_id == "call_1"


def test_the_time_since_which_an_outcome_is_unknown_is_that_of_the_first_attempt(wall: WallClock) -> None:
    def answer(request: httpx.Request, now: float) -> Exception:
        wall.shift += 600
        return silence(request)

    server = Server(answer)
    began = time.time()
    outcome = run(lambda: dial(server))
    assert isinstance(outcome, OutcomeUnknownError)
    assert outcome.attempts == 3
    assert outcome.since == pytest.approx(began, abs=5)


def test_an_attempt_that_did_not_leave_does_not_age_the_key() -> None:
    def answer(request: httpx.Request, now: float) -> httpx.Response | Exception:
        return httpx.ConnectError("no way", request=request) if now < 2 * HOUR else fine(201)

    server = Server(answer)
    policy = RetryPolicy(first_delay=600, max_delay=1200, budget=None)
    assert run(lambda: dial(server, {"retry": policy, "max_retries": 99})).call_id == "call_1"


def test_a_key_of_the_callers_own_that_is_too_old_is_not_sent_at_all() -> None:
    server = Server(lambda *_: fine(201))
    since = time.time() - 2 * HOUR
    for given in (since, datetime.fromtimestamp(since, UTC)):
        outcome = run(lambda given=given: dial(server, idempotency_key="job-4711", idempotency_key_since=given))  # type: ignore[misc]
        assert isinstance(outcome, OutcomeUnknownError)
        assert (outcome.attempts, outcome.idempotency_key) == (0, "job-4711")
        assert outcome.since == pytest.approx(since)
        assert "too old" in str(outcome)
    assert server.arrivals == []
    outcome = run(lambda: dial(server, idempotency_key="job-4711", idempotency_key_since=time.time() - 1800))
    assert outcome.call_id == "call_1"


def test_what_was_sent_before_under_a_key_stays_unknown_when_it_is_refused_now() -> None:
    server = Server(lambda *_: httpx.Response(400, json={"message": "no"}))
    outcome = run(lambda: dial(server, idempotency_key="job-4711", idempotency_key_since=time.time() - 1800))
    assert isinstance(outcome, OutcomeUnknownError)
    assert type(outcome.__cause__).__name__ == "BadRequestError"


@pytest.mark.parametrize("since", [0, -1, 1e11, 1.8e12, True, "yesterday", datetime(2026, 1, 1)])  # noqa: DTZ001
def test_a_moment_that_cannot_be_is_refused(since: Any) -> None:
    server = Server(lambda *_: fine(201))
    outcome = run(lambda: dial(server, idempotency_key="job-4711", idempotency_key_since=since))
    assert isinstance(outcome, ConfigurationError)
    assert "idempotency_key_since must be a datetime with a time zone, or Unix time in seconds" in str(outcome)
    assert server.arrivals == []


def test_a_moment_without_a_key_is_refused() -> None:
    server = Server(lambda *_: fine(201))

    async def main() -> None:
        with pytest.raises(ConfigurationError, match="of your own"):
            async with server.client() as client:
                await client.call.create_phone_call(**NUMBERS, idempotency_key_since=time.time())
        with pytest.raises(ConfigurationError, match="of your own"):
            async with server.client() as client:
                await client.call.create_web_call(agent_id="a", idempotency_key_since=time.time())

    run(main)
    assert server.arrivals == []


@pytest.mark.parametrize("repeatable", [True, False])
def test_a_client_that_is_closed_meanwhile_does_not_hide_that_an_outcome_is_unknown(repeatable: bool) -> None:
    server = Server(lambda request, _: silence(request))
    outcomes: list[Any] = []

    async def main() -> None:
        client = server.client(retry=RetryPolicy(first_delay=60) if repeatable else RECONCILE, hooks=())

        async def place() -> None:
            try:
                await (client.call.create_phone_call(**NUMBERS) if repeatable else client.call.create_web_call(agent_id="a"))
            except RetellError as error:
                outcomes.append(error)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(place)
            await trio.sleep(0.1)
            await client.aclose()

    run(main)
    (outcome,) = outcomes
    assert isinstance(outcome, OutcomeUnknownError)
    assert outcome.since is not None
    assert (outcome.idempotency_key if repeatable else outcome.token) is not None


LISTS: dict[str, Callable[[], httpx.Response]] = {
    "html": lambda: httpx.Response(200, html="<h1>Maintenance</h1>"),
    "empty": lambda: httpx.Response(200, content=b""),
    "list": lambda: httpx.Response(200, json=[]),
    "null": lambda: httpx.Response(200, json={"items": None}),
    "text": lambda: httpx.Response(200, json={"items": "no"}),
    "numbers": lambda: httpx.Response(200, json={"items": [1, None, {}, {"metadata": 3}]}),
    "forbidden": lambda: httpx.Response(403, json={"message": "no"}),
    "missing": lambda: httpx.Response(404),
    "failure": lambda: httpx.Response(500),
}


@pytest.mark.parametrize("listed", LISTS.values(), ids=LISTS.keys())
def test_whatever_goes_wrong_while_a_call_is_looked_for_its_outcome_is_unknown(listed: Callable[[], httpx.Response]) -> None:
    server = Server(lambda request, _: listed() if "list" in request.url.path else silence(request))
    outcome = run(lambda: dial(server, {"retry": RECONCILE, "max_retries": 0}))
    assert isinstance(outcome, OutcomeUnknownError)
    assert server.times("list")


def listing(*items: dict[str, Any]) -> Server:
    """A server that never answers a creation, and lists these whatever it is asked for; ``"token"`` stands for the token that was sent."""

    def answer(request: httpx.Request, _: float) -> httpx.Response | Exception:
        if "list" not in request.url.path:
            return silence(request)
        token = server.bodies[0]["metadata"]["retell_async_token"]
        entries = [
            {**item, "metadata": {"retell_async_token": token if item["metadata"] == "token" else item["metadata"]}} for item in items
        ]
        return httpx.Response(200, json={"items": entries, "has_more": False})

    server = Server(answer)
    return server


def test_a_call_of_yesterday_under_the_same_key_is_not_taken_for_the_one_that_was_asked_for() -> None:
    server = listing({"call_id": "yesterday", "call_type": "phone_call", "metadata": "job-4711"})
    outcome = run(lambda: dial(server, {"retry": RECONCILE, "max_retries": 0}, idempotency_key="job-4711"))
    assert isinstance(outcome, OutcomeUnknownError)
    assert outcome.token not in {None, "job-4711"}


def test_a_call_that_began_before_it_was_asked_for_is_not_the_one() -> None:
    old = {"call_id": "old", "call_type": "phone_call", "start_timestamp": (time.time() - HOUR) * 1000, "metadata": "token"}
    new = {"call_id": "new", "call_type": "phone_call", "start_timestamp": time.time() * 1000, "metadata": "token"}
    assert isinstance(run(lambda: dial(listing(old), {"retry": RECONCILE, "max_retries": 0})), OutcomeUnknownError)
    assert run(lambda: dial(listing(old, new), {"retry": RECONCILE, "max_retries": 0})).call_id == "new"


@pytest.mark.parametrize("call_id", [{}, {"call_id": None}, {"call_id": 5}, {"call_id": ""}], ids=str)
def test_an_entry_without_an_id_is_no_call(call_id: dict[str, Any]) -> None:
    server = listing({**call_id, "call_type": "phone_call", "metadata": "token"})
    assert isinstance(run(lambda: dial(server, {"retry": RECONCILE, "max_retries": 0})), OutcomeUnknownError)


def test_a_call_is_found_whatever_the_list_leaves_out_also_with_strict() -> None:
    server = listing({"call_id": "new", "call_type": ["x"], "metadata": "token"})
    assert run(lambda: dial(server, {"retry": RECONCILE, "max_retries": 0, "strict": True})).call_id == "new"


def test_an_entry_that_is_no_object_hides_no_call_behind_it() -> None:
    def answer(request: httpx.Request, _: float) -> httpx.Response | Exception:
        if "list" not in request.url.path:
            return silence(request)
        return httpx.Response(
            200, json={"items": [None, 5, {"call_id": "new", "metadata": server.bodies[0]["metadata"]}], "has_more": False}
        )

    server = Server(answer)
    assert run(lambda: dial(server, {"retry": RECONCILE, "max_retries": 0})).call_id == "new"


@pytest.mark.parametrize("within", [3.0, 5.0, 10.0, 30.0])
def test_a_call_that_is_listed_late_is_found_to_the_end(within: float) -> None:
    def answer(request: httpx.Request, now: float) -> httpx.Response | Exception:
        if "list" not in request.url.path:
            return silence(request)
        items = [{"call_id": "new", "metadata": server.bodies[0]["metadata"]}] if now > within - 0.3 else []
        return httpx.Response(200, json={"items": items, "has_more": False})

    server = Server(answer)
    retry = RetryPolicy(on_unknown_outcome="reconcile", reconcile_within=within)
    assert run(lambda: dial(server, {"retry": retry, "max_retries": 0})).call_id == "new"
    assert len(server.times("list")) < 20


@pytest.mark.parametrize("age", [600.0, 2 * HOUR])
def test_a_call_that_is_resumed_is_looked_for_by_the_token_of_its_first_request(age: float) -> None:
    given = {"retell_async_token": "the-first-one", "job": 7}

    def answer(request: httpx.Request, _: float) -> httpx.Response | Exception:
        if "list" not in request.url.path:
            return silence(request)
        criteria = json.loads(request.content)["filter_criteria"]["metadata"]
        assert criteria[0]["value"] == "the-first-one"
        return httpx.Response(200, json={"items": [{"call_id": "first", "metadata": given}], "has_more": False})

    server = Server(answer)
    resumed: dict[str, Any] = {"idempotency_key": "job-4711", "metadata": given, "idempotency_key_since": time.time() - age}
    assert run(lambda: dial(server, {"retry": RECONCILE, "max_retries": 0}, **resumed)).call_id == "first"
    assert all(body["metadata"] == given for body in server.bodies if "filter_criteria" not in body)


@pytest.mark.parametrize("metadata", ['{"job": 7}', [{"job": 7}], "", 7])
def test_metadata_that_can_hold_no_token_is_refused_and_nobody_is_called(metadata: Any) -> None:
    server = Server(lambda *_: fine(201))

    async def main() -> None:
        async with server.client(hooks=(), retry=RECONCILE) as client:
            with pytest.raises(TypeError, match="metadata must be an object"):
                await client.call.create_phone_call(**NUMBERS, metadata=metadata)
            with pytest.raises(TypeError, match="metadata must be an object"):
                await client.call.create_phone_call(**NUMBERS, extra_body={"metadata": metadata})
            await client.call.create_phone_call(**NUMBERS, extra_body={"metadata": omit})

    run(main)
    assert [[*body["metadata"]] for body in server.bodies] == [["retell_async_token"]]


def test_metadata_that_was_copied_from_another_call_brings_no_token_of_it() -> None:
    old = {"retell_async_token": "of-the-first-call", "job": 7}

    def answer(request: httpx.Request, _: float) -> httpx.Response | Exception:
        if "list" not in request.url.path:
            return silence(request)
        return httpx.Response(
            200, json={"items": [{"call_id": "first", "call_status": "not_connected", "metadata": old}], "has_more": False}
        )

    server = Server(answer)
    outcome = run(lambda: dial(server, {"retry": RECONCILE, "max_retries": 0}, metadata=old))
    assert isinstance(outcome, OutcomeUnknownError)
    assert outcome.token not in {None, "of-the-first-call"}
    assert server.bodies[0]["metadata"] == {"retell_async_token": outcome.token, "job": 7}


@pytest.mark.parametrize("later", [404, 409, 503, "error"])
def test_what_was_done_and_sent_elsewhere_for_its_result_is_never_sent_again(later: int | str) -> None:
    def answer(request: httpx.Request, _: float) -> httpx.Response | Exception:
        if request.method == "POST":
            return httpx.Response(303, headers={"location": "/result"})
        return httpx.ConnectError("refused") if later == "error" else httpx.Response(int(later), json={"message": "locked, try again"})

    server = Server(answer)

    async def main() -> None:
        async with server.client(hooks=(), retry=RetryPolicy(first_delay=0)) as client:
            with pytest.raises(OutcomeUnknownError):
                await client.post("/v2/create-phone-call", cast_to=object, body=NUMBERS)

    run(main)
    assert len(server.times("create-phone-call")) == 1


def test_a_body_that_can_be_sent_once_follows_no_redirect() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"all of it"

    server = Server(
        lambda request, _: (
            httpx.Response(200, json={}) if "there" in request.url.path else httpx.Response(307, headers={"location": "/there"})
        )
    )

    class Plain(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await request.aread()
            server.arrivals.append((0.0, request.url.path))
            return server.answer(request, 0.0)  # type: ignore[return-value]

    async def main() -> None:
        own = httpx.AsyncClient(transport=Plain())
        async with AsyncRetell(KEY, base_url="http://retell.test", http_client=own, hooks=()) as client:
            with pytest.raises(APIStatusError, match="only once"):
                await client.post("/upload", cast_to=object, content=body())
            assert await client.post("/upload", cast_to=object, content=b"all of it") == {}

    run(main)


def test_a_url_in_a_query_is_no_other_place() -> None:
    server = Server(lambda *_: httpx.Response(200, json={}))

    async def main() -> None:
        async with server.client() as client:
            await client.request("GET", "/v2/list?callback=http://a.test/x")
            await client.get("/v2/list?callback=http://a.test/x", cast_to=object)

    run(main)
    assert [path for _, path in server.arrivals] == ["/v2/list", "/v2/list"]


@pytest.mark.parametrize("how", ["verb", "request", "method"])
def test_a_limit_that_is_known_holds_however_an_operation_is_asked_for(how: str) -> None:
    server = Server(lambda *_: fine(201))

    async def main() -> None:
        async with server.client(hooks=(), rate_limits={"call.create_phone_call": RateLimit(1)}) as client:
            ways: dict[str, Callable[[], Any]] = {
                "verb": lambda: client.post("/v2/create-phone-call", cast_to=object, body=NUMBERS),
                "request": lambda: client.request("POST", "/v2/create-phone-call", json=NUMBERS),
                "method": lambda: client.call.create_phone_call(**NUMBERS),
            }
            async with trio.open_nursery() as tasks:
                for _ in range(2):
                    tasks.start_soon(ways[how])
                    tasks.start_soon(ways["method"])

    run(main)
    assert all(two - one >= 1 for one, two in pairwise(server.times("create-phone-call")))


def test_a_client_that_is_closed_after_something_was_done_leaves_it_unknown() -> None:
    server = Server(lambda request, _: httpx.Response(303, headers={"location": "/result"}) if request.method == "POST" else refusal(60))

    async def main() -> None:
        client = server.client(hooks=())
        async with trio.open_nursery() as tasks:

            async def post() -> None:
                with pytest.raises(OutcomeUnknownError):
                    await client.post("/create-thing", cast_to=object, body={})

            tasks.start_soon(post)
            await trio.sleep(5)
            await client.aclose()

    run(main)


def test_requests_by_verb_share_the_limit_of_what_they_ask_for() -> None:
    server = Server(lambda _, now: refusal(10) if now < 1 else fine())

    async def main() -> None:
        async with server.client(hooks=()) as client:
            async with trio.open_nursery() as tasks:
                for number in range(20):
                    tasks.start_soon(lambda number=number: client.get(f"/v2/get-call/{number}", cast_to=object))  # type: ignore[misc]
            assert len(next(iter(client._shared._accounts.values()))._gates) == 1

    run(main)


def test_a_request_that_is_sent_again_by_its_key_is_the_request_that_it_was() -> None:
    server = Server(lambda request, _: silence(request))
    resumed: dict[str, Any] = {"idempotency_key": "job-4711", "idempotency_key_since": time.time() - 60, "metadata": {"job": 7}}
    outcome = run(lambda: dial(server, {"retry": RECONCILE, "max_retries": 0}, **resumed))
    assert isinstance(outcome, OutcomeUnknownError)
    assert outcome.token is None
    assert [body["metadata"] for body in server.bodies] == [{"job": 7}]


def test_a_client_that_is_closed_looks_no_further() -> None:
    server = Server(lambda request, _: httpx.Response(503) if "list" in request.url.path else silence(request))

    async def main() -> float:
        client = server.client(hooks=(), retry=RetryPolicy(on_unknown_outcome="reconcile", reconcile_within=300), max_retries=0)
        start = trio.current_time()

        async def close() -> None:
            await trio.sleep(70)
            await client.aclose()

        async with trio.open_nursery() as tasks:
            tasks.start_soon(close)
            with pytest.raises(OutcomeUnknownError):
                await client.call.create_web_call(agent_id="a")
        return trio.current_time() - start

    assert run(main) == 70
    assert server.times("list")


@pytest.mark.parametrize("number", [13, 1, 2], ids=["permission", "not permitted", "missing"])
def test_an_os_error_of_a_users_hook_does_not_hide_that_something_was_sent(number: int) -> None:
    server = Server(lambda *_: fine(201))

    async def audit(_: httpx.Response) -> None:
        raise OSError(number, "no", "audit.log")

    async def main() -> None:
        own = httpx.AsyncClient(transport=server, event_hooks={"response": [audit]})
        async with AsyncRetell(KEY, base_url="http://retell.test", http_client=own, max_retries=0, hooks=()) as client:
            with pytest.raises(OutcomeUnknownError):
                await client.call.create_web_call(agent_id="a")

    run(main)


def test_a_transport_that_fails_as_it_should_not_leaves_the_outcome_unknown() -> None:
    server = Server(lambda *_: RuntimeError("what is this"))

    async def main() -> None:
        async with server.client(hooks=(), retry=RetryPolicy(first_delay=0)) as client:
            with pytest.raises(OutcomeUnknownError, match="what is this"):
                await client.call.create_web_call(agent_id="a")
            with pytest.raises(APIConnectionError, match="what is this"):
                await client.agent.retrieve("agent_1")

    run(main)
    assert len(server.arrivals) == 1 + 3


def test_what_was_not_found_the_second_time_shows_what_became_of_the_first() -> None:
    server = Server(lambda *_: httpx.Response(503) if len(server.arrivals) == 1 else httpx.Response(404, json={"message": "no such call"}))

    async def main() -> None:
        async with server.client(hooks=()) as client:
            with pytest.raises(NotFoundError, match="no such call") as caught:
                await client.call.delete("call_1")
        assert isinstance(caught.value.__cause__, InternalServerError)

    run(main)


@pytest.mark.parametrize("answer", [httpx.Response(204), httpx.Response(200)])
def test_an_empty_answer_is_a_success_where_the_caller_knows_what_it_would_say(answer: httpx.Response) -> None:
    server = Server(lambda *_: httpx.Response(answer.status_code))

    async def main() -> None:
        async with server.client(hooks=()) as client:
            updated = await client.agent.update("agent_1", agent_name="A")
            assert updated.to_dict() == {}
            assert "agent_id" not in updated
            await client.call.update_live("call_1", fields_to_override={"metadata": {"a": 1}})
            await client.call.delete("call_1")
            with pytest.raises(OutcomeUnknownError):
                await client.call.create_web_call(agent_id="agent_1")

    run(main)
    assert len(server.arrivals) == 4


def test_a_page_that_is_no_json_is_asked_for_again_like_any_other_read() -> None:
    def answer(*_: Any) -> httpx.Response:
        return httpx.Response(200, content=b'{"items": [') if len(server.arrivals) == 1 else httpx.Response(200, json=page)

    page = {"items": [{"call_id": "c", "call_type": "web_call"}], "has_more": False}
    server = Server(answer)

    async def main() -> None:
        async with server.client(hooks=()) as client:
            assert [call.call_id async for call in client.call.list()] == ["c"]
            server.answer = lambda *_: httpx.Response(200, content=b"<html>")
            with pytest.raises(APIResponseValidationError):
                await client.call.list()

    run(main)


def test_a_deadline_says_what_the_attempts_before_it_were_answered() -> None:
    async def main() -> None:
        async def serve(request: httpx.Request) -> httpx.Response:
            if not asked:
                asked.append(request)
                return httpx.Response(503, json={"message": "down for now"})
            await trio.sleep_forever()
            raise AssertionError

        asked: list[httpx.Request] = []
        own = httpx.AsyncClient(transport=httpx.MockTransport(serve))
        async with AsyncRetell(KEY, http_client=own, hooks=()) as client:
            with pytest.raises(
                APIConnectionError, match=r"attempt 2 had no answer within the deadline of 5 s; .*503 - .*down for now"
            ) as caught:
                await client.agent.retrieve("agent_1", deadline=5)
        assert isinstance(caught.value.__cause__, InternalServerError)

    run(main)


def test_retries_are_told_with_the_operation() -> None:
    events: list[Any] = []
    server = Server(lambda request, _: silence(request) if len(server.arrivals) == 1 else fine(201))

    async def main() -> None:
        async with server.client(hooks=[events.append]) as client:
            await client.call.create_phone_call(**NUMBERS)

    run(main)
    assert [(type(event), event.operation) for event in events] == [(RetryEvent, "createPhoneCall")]


@pytest.mark.parametrize("body", [b"1", b"null", b"[]", b'"accepted"', b"<html>", b"{"])
@pytest.mark.parametrize("charset", ["utf-8", "utf-16", "quopri", "idna", "base64", "undefined", "no-such-thing"])
def test_an_answer_of_success_that_is_no_call_leaves_it_unknown_whether_there_is_one(body: bytes, charset: str) -> None:
    answer: dict[str, Any] = {"content": body, "headers": {"content-type": f"text/html; charset={charset}"}}
    server = Server(lambda *_: httpx.Response(201, **answer))
    outcome = run(lambda: dial(server, {"max_retries": 1}))
    assert isinstance(outcome, OutcomeUnknownError)
    assert outcome.idempotency_key is not None
    assert outcome.idempotency_key in str(outcome)
    assert len(server.arrivals) == 2


NAMELESS: list[Any] = [
    {},
    {"message": "accepted"},
    {"error": "later"},
    {"call_id": None},
    {"call_id": ""},
    {"call_id": 7},
    {"call_id": ["c"]},
]


@pytest.mark.parametrize("body", NAMELESS)
def test_an_answer_of_success_that_names_no_call_leaves_it_unknown_whether_there_is_one(body: Any) -> None:
    server = Server(lambda *_: httpx.Response(201, json={"agent_id": "a", "call_type": "phone_call", **body}))
    outcome = run(lambda: dial(server, {"max_retries": 1}))
    assert isinstance(outcome, OutcomeUnknownError)
    assert isinstance(outcome, APIResponseValidationError)
    assert "the answer has no call_id" in str(outcome)
    assert len({body["idempotency_key"] for body in server.bodies}) == 1
    assert len(server.arrivals) == 2


def test_what_names_no_call_at_first_and_does_under_the_key_is_that_call() -> None:
    server = Server(lambda *_: fine(201) if len(server.arrivals) == 2 else httpx.Response(200, json={"message": "accepted"}))

    async def main() -> str:
        async with server.client() as client:
            return (await client.call.create_phone_call(**NUMBERS)).call_id

    assert run(main) == "call_1"
    assert len(server.arrivals) == 2


CREATES: list[tuple[Callable[[AsyncRetell], Awaitable[Any]], str]] = [
    (lambda client: client.call.create_web_call(agent_id="a"), "call_id"),
    (lambda client: client.call.register_phone_call(agent_id="a"), "call_id"),
    (lambda client: client.batch_call.create_batch_call(from_number="+14155550100", tasks=[]), "batch_call_id"),
    (lambda client: client.chat.create(agent_id="a"), "chat_id"),
    (lambda client: client.agent.create(response_engine={"type": "retell-llm", "llm_id": "l"}, voice_id="v"), "agent_id"),
    (lambda client: client.llm.create(), "llm_id"),
]


@pytest.mark.parametrize(("create", "name"), CREATES, ids=[name for _, name in CREATES])
def test_each_answer_to_a_create_names_what_was_made(create: Callable[[AsyncRetell], Awaitable[Any]], name: str) -> None:
    others = {"agent_id": "a", "voice_id": "v", "call_type": "web_call"}
    others.pop(name, None)
    named = Server(lambda *_: httpx.Response(201, json={**others, name: "made_1"}))
    nameless = Server(lambda *_: httpx.Response(201, json=others) if "list" not in nameless.arrivals[-1][1] else fine(items=[]))

    async def main() -> None:
        async with named.client() as client:
            assert getattr(await create(client), name) == "made_1"
        async with nameless.client() as client:
            with pytest.raises(OutcomeUnknownError, match=f"the answer has no {name}"):
                await create(client)

    run(main)
    assert sum("list" not in path for _, path in nameless.arrivals) == 1


def test_a_raw_answer_that_names_no_call_is_refused_when_it_is_parsed() -> None:
    server = Server(lambda *_: httpx.Response(201, json={"message": "accepted"}))

    async def main() -> None:
        async with server.client() as client:
            raw = await client.call.with_raw_response.create_phone_call(**NUMBERS)
            with pytest.raises(APIResponseValidationError, match="the answer has no call_id"):
                raw.parse()

    run(main)


@pytest.mark.parametrize("charset", ["utf-16", "quopri", "hex", "undefined"])
def test_a_refusal_in_an_odd_charset_is_that_refusal(charset: str) -> None:
    server = Server(lambda *_: httpx.Response(401, content=b"no", headers={"content-type": f"text/plain; charset={charset}"}))
    assert type(run(lambda: dial(server))).__name__ == "AuthenticationError"


@pytest.mark.parametrize("status", [400, 402, 404, 429, 500])
@pytest.mark.parametrize("reads", [True, False])
def test_a_hook_that_raises_for_the_status_does_not_hide_the_answer(status: int, reads: bool) -> None:
    async def check(response: httpx.Response) -> None:
        if reads:
            await response.aread()
        response.raise_for_status()

    server = Server(lambda *_: httpx.Response(status, json={"message": "this is why"}, headers={"retry-after": "1000"}))

    async def main() -> None:
        own = httpx.AsyncClient(transport=server, event_hooks={"response": [check]})
        async with AsyncRetell(KEY, http_client=own, hooks=(), max_retries=0) as client:
            with pytest.raises(APIError, match="this is why" if reads else None) as caught:
                await client.call.create_web_call(agent_id="a")
        assert caught.value.status_code == status
        assert isinstance(caught.value, OutcomeUnknownError) is (status == 500)

    run(main)


def test_the_error_of_a_raw_answer_has_the_key() -> None:
    server = Server(lambda *_: httpx.Response(201, content=b"<html>"))

    async def main() -> None:
        async with server.client(hooks=()) as client:
            raw = await client.call.with_raw_response.create_phone_call(**NUMBERS)
            with pytest.raises(APIResponseValidationError) as caught:
                raw.parse()
        assert caught.value.idempotency_key == server.bodies[0]["idempotency_key"]

    run(main)


def test_a_key_that_a_server_repeats_is_masked_whatever_it_looks_like() -> None:
    for key in ("sk-live-51Hsecret", "key_abcdef-REST_secret"):
        server = Server(lambda *_, key=key: httpx.Response(401, json={"message": f"Invalid API key: {key}"}))

        async def main(server: Server = server, key: str = key) -> None:
            async with server.client(hooks=()) as client:
                with pytest.raises(APIError) as caught:
                    await client.with_options(api_key=key).call.retrieve("c")
            assert "secret" not in str(caught.value)

        run(main)


def test_a_key_that_an_error_of_httpx_repeats_stands_in_no_cause_of_the_error() -> None:
    key = "9f8e7d6c5b4a39281706aa55"
    server = Server(lambda *_: httpx.RemoteProtocolError(f"illegal status line: b'no\\n{key}'"))

    async def main() -> None:
        async with server.client(hooks=(), max_retries=1, retry=RetryPolicy(first_delay=0)) as client:
            with pytest.raises(APIConnectionError) as caught:
                await client.with_options(api_key=key).call.retrieve("c")
        shown = "".join(traceback.format_exception(caught.value))
        assert "illegal status line" in shown
        assert key not in shown

    run(main)


@pytest.mark.parametrize(
    ("asked", "answered", "is_another"),
    [
        ("+14155550101", "+14155550101", False),
        ("+14155550101", "+14155550102", True),
        ("+1 (415) 555-0101", "+14155550101", False),
        ("4155550101", "+14155550101", False),
        ("020 7946 0000", "+442079460000", False),
        ("+44 (0)20 7946 0000", "+442079460000", False),
        ("102", "101", True),
        ("+14155550101", None, False),
        ("sip:alice@example.com", "sip:alice@example.com", False),
    ],
)
def test_a_call_to_another_number_is_known(asked: str, answered: str | None, is_another: bool) -> None:
    assert is_to_another(asked, answered) is is_another
