"""A line of the log that cannot be written loses nothing but itself."""

from __future__ import annotations

import logging
import re
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx
import pytest

import retell_async
from retell_async import AsyncRetell, OutcomeUnknownError, RetryPolicy
from retell_async._logs import Log, show
from retell_async.webhooks import Router

from ...webhooks.exchanges import Handled, deliver
from ...webhooks.sending import KEY as WEBHOOKS_KEY, event_body
from ..example import KEY
from ..virtual import NUMBERS, Server, fine, run


class Failing(logging.Filter):
    """A filter that needs what is not there, such as the id of a request outside of one."""

    def filter(self, record: logging.LogRecord) -> bool:
        raise LookupError(f"no request id for +14155550123 in {record.name}")


@pytest.fixture
def failing(lost_lines: list[Exception]) -> Generator[list[Exception]]:
    """No line can be written: gives why."""
    handler = logging.StreamHandler()
    handler.addFilter(Failing())
    logger = logging.getLogger("retell_async")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield lost_lines
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)
    lost_lines.clear()


def outcome(server: Server, retry: RetryPolicy | None = None, **settings: Any) -> Any:
    async def main() -> Any:
        own = httpx.AsyncClient(transport=server)
        async with AsyncRetell(KEY, base_url="http://retell.test", http_client=own, retry=retry, **settings) as client:
            return await client.call.create_phone_call(**NUMBERS)

    return run(main)


def test_a_call_is_not_lost(failing: list[Exception]) -> None:
    assert outcome(Server(lambda *_: fine(201))).call_id == "call_1"
    assert len(failing) == 1


def test_an_outcome_that_is_unknown_is_told(failing: list[Exception]) -> None:
    server = Server(lambda request, _: httpx.Response(503 if "create" in request.url.path else 500))
    with pytest.raises(OutcomeUnknownError):
        outcome(server, RetryPolicy(on_unknown_outcome="reconcile", reconcile_within=5))
    assert len(failing) > 3  # answers, retries, and that nothing could be looked up


def test_a_hook_that_fails_ends_nothing(failing: list[Exception]) -> None:
    def hook(_: object) -> None:
        raise ValueError

    answers = [httpx.Response(503), fine(201)]
    assert outcome(Server(lambda *_: answers.pop(0)), hooks=[hook]).call_id == "call_1"
    assert failing


@pytest.mark.anyio
async def test_a_handler_that_fails_ends_no_other(failing: list[Exception]) -> None:
    router = Router(WEBHOOKS_KEY)

    async def fail(_: object) -> None:
        raise ValueError("the database is away")

    handled = Handled()
    router.on("call_started")(fail)
    router.on("call_ended")(handled)
    async with router:
        assert (await deliver(router, event_body("call_started"))).status == 204
        assert (await deliver(router, event_body("call_ended"))).status == 204
    assert len(handled) == 1
    assert len(failing) == 1


def test_it_is_shown_and_masked(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, failing: list[Exception]) -> None:
    Log("retell_async").warning("a line")
    show(failing[0])
    shown = capsys.readouterr().err
    assert "LookupError: no request id for +141******23 in retell_async" in shown
    monkeypatch.setattr(logging, "raiseExceptions", False)
    show(failing[0])
    assert not capsys.readouterr().err
    monkeypatch.setattr(logging, "raiseExceptions", True)
    monkeypatch.setattr("sys.stderr", None)
    show(failing[0])


def test_a_line_says_who_wrote_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "retell_async")
    log = Log("retell_async.somewhere")
    log.info("%s of %d", "one", 2, extra={"retell": 1})
    log.log(logging.DEBUG, "two")
    try:
        raise ValueError
    except ValueError:
        log.exception("three")
    assert [record.getMessage() for record in caplog.records] == ["one of 2", "two", "three"]
    assert {record.funcName for record in caplog.records} == {"test_a_line_says_who_wrote_it"}
    assert {record.name for record in caplog.records} == {"retell_async.somewhere"}
    first, _, last = caplog.records
    assert vars(first)["retell"] == 1
    assert last.exc_info is not None
    assert log.logger is logging.getLogger("retell_async.somewhere")


def test_the_whole_package_logs_by_such() -> None:
    home = Path(retell_async.__file__).parent
    found = [path for path in home.rglob("*.py") if re.search(r'getLogger\("retell_async', path.read_text(encoding="utf-8"))]
    assert found == []
