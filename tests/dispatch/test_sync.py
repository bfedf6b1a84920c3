"""Dispatching calls without `await`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest

from retell_async import ConfigurationError, Progress, Retell, RetellError
from retell_async._blocking.loop import Use

from ..engine.example import BASE_URL, KEY
from ..sync.example import loops
from .account import request


def served(sent: httpx.Request) -> httpx.Response:
    if "get-concurrency" in sent.url.path:
        return httpx.Response(200, json={"current_concurrency": 0, "concurrency_limit": 100})
    call = {"call_id": "call_1", "call_type": "phone_call", "call_status": "ended", "agent_id": "a", "transcript": "hello"}
    return httpx.Response(201, json=call)


@pytest.fixture
def client() -> Iterator[Retell]:
    with Retell(KEY, base_url=BASE_URL, http_client=httpx.AsyncClient(transport=httpx.MockTransport(served))) as client:
        yield client
    assert not loops()


@pytest.mark.parametrize("until", ["placed", "ended"])
def test_each_request_has_one_outcome_and_is_taken_in_the_thread_that_reads(client: Retell, until: Any) -> None:
    told: list[Progress] = []

    def requests() -> Iterator[dict[str, Any]]:
        for number in range(50):
            assert threading.current_thread() is threading.main_thread()
            yield request(number)

    with client.dispatch(requests(), until=until, on_progress=told.append) as outcomes:
        found = list(outcomes)
        assert outcomes.progress == told[-1] == Progress(taken=50, placed=50, done=50)
        assert list(outcomes) == []
    assert sorted(outcome.index for outcome in found) == list(range(50))
    assert {outcome.status for outcome in found} == {until}


def test_its_hook_may_stop_it(client: Retell) -> None:
    def stop(progress: Progress) -> None:
        if progress.placed >= 3:
            outcomes.stop()

    with client.dispatch([request(number) for number in range(200)], live=2, on_progress=stop) as outcomes:
        found = list(outcomes)
    assert 3 <= sum(outcome.status != "not_placed" for outcome in found) < 20


def test_stopped_it_takes_no_more(client: Retell) -> None:
    def requests() -> Iterator[dict[str, Any]]:
        while True:
            yield request()

    with client.dispatch(requests()) as outcomes:
        next(outcomes)
        outcomes.stop()
        rest = list(outcomes)
    assert len(rest) < 40


def test_left_early_it_ends_and_changes_no_error(client: Retell) -> None:
    with client.dispatch([request()] * 100) as outcomes:
        next(outcomes)
    with pytest.raises(KeyError, match="mine"), client.dispatch([request()] * 100):
        raise KeyError("mine")
    with client.dispatch([request()] * 100):
        pass


def test_an_error_of_the_requests_comes_after_the_last_outcome(client: Retell) -> None:
    def requests() -> Iterator[dict[str, Any]]:
        yield request()
        yield request()
        raise KeyError("row 3")

    with client.dispatch(requests()) as outcomes:
        assert [next(outcomes).status for _ in range(2)] == ["ended"] * 2
        with pytest.raises(KeyError, match="row 3"):
            next(outcomes)


def test_requests_may_use_the_client_themselves(client: Retell) -> None:
    def requests() -> Iterator[dict[str, Any]]:
        for _ in range(5):
            assert client.concurrency.retrieve().concurrency_limit == 100
            yield request()

    with client.dispatch(requests()) as outcomes:
        assert len(list(outcomes)) == 5


def test_what_cannot_work_is_refused(client: Retell) -> None:
    for requests in (request(), "abc", 5):
        with pytest.raises(ConfigurationError, match="requests"):
            client.dispatch(requests)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="live"):
        client.dispatch([], live=0)
    with pytest.raises(RetellError, match="with client"):
        next(client.dispatch([]))
    with client.dispatch([]) as outcomes:
        assert list(outcomes) == []
        with pytest.raises(RetellError, match="once"):
            outcomes.__enter__()


def test_a_closed_client_ends_it() -> None:
    client = Retell(KEY, base_url=BASE_URL, http_client=httpx.AsyncClient(transport=httpx.MockTransport(served)))
    dispatch = client.dispatch([request()])
    client.close()
    with pytest.raises(RetellError, match="closed"), dispatch:
        pass


def test_who_is_interrupted_while_an_outcome_comes_gets_it_the_next_time(client: Retell, monkeypatch: pytest.MonkeyPatch) -> None:
    run, interrupted = Use.run, 0

    def interrupts(use: Use, function: Any, *arguments: Any) -> Any:
        nonlocal interrupted
        said = run(use, function, *arguments)
        interrupted += 1
        if interrupted % 3 == 0:
            raise KeyboardInterrupt  # it was done in the loop already
        return said

    found: list[int] = []
    with client.dispatch((request(number) for number in range(20)), until="placed") as outcomes:
        monkeypatch.setattr(Use, "run", interrupts)
        while len(found) < 20:
            with suppress(KeyboardInterrupt):
                found.append(next(outcomes).index)
        monkeypatch.undo()
        assert list(outcomes) == []
    assert sorted(found) == list(range(20))
    assert interrupted > 20
