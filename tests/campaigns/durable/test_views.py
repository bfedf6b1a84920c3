"""What those are told who watch a campaign."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from retell_async.campaigns import Campaign, Number, Result, Retry, Rules, Settings
from retell_async.campaigns.durable.store import Intent, Turn
from retell_async.campaigns.durable.views import View

from .desk import NOW, Campaigns, contacts
from .test_postgres import address as address  # noqa: PLC0414 - a fixture

pytestmark = pytest.mark.parallel

RULES = Rules(numbers=[Number("+14155550100", per_second=100)], retries={"missed": Retry(60.0)})


@pytest.fixture
def make(tmp_path: Path) -> Campaigns:
    return Campaigns(tmp_path / "campaign.db")


def test_the_pace_is_that_of_the_last_minute(make: Campaigns) -> None:
    desk = make(contacts(9), Settings(rules=RULES))
    keys = [desk.begin() for _ in range(9)]
    for number, key in enumerate(keys):
        desk.at(NOW + 10 * number).send(key)  # to 80 s
    with desk.store.database.fast.connect() as connection:
        assert View(connection).pace(NOW + 85) == pytest.approx(6 / 55)  # those of 30 s and later
        assert View(connection).pace(NOW + 200) == 0.0
        assert View(connection).pace(NOW + 0.5) == pytest.approx(9 / 10)  # not as if the burst of a moment went on


def test_what_is_due_what_ended_last_and_how_long_it_takes(make: Campaigns) -> None:
    desk = make(contacts(4), Settings(rules=RULES))
    keys = [desk.begin() for _ in range(3)]
    for number, key in enumerate(keys):
        desk.at(NOW + number).send(key)
        desk.store.placed(key, f"call_{number}", NOW + number)
    desk.at(NOW + 30).settle(keys[0], "user_hangup", duration_ms=20_000.0, cents=3.0)
    desk.at(NOW + 41).settle(keys[1], "dial_no_answer")
    with desk.store.database.fast.connect() as connection:
        assert View(connection).next_due() == NOW  # the fourth waits for nothing
        ended = View(connection).last(5)
        assert [(record.key, record.result, record.cents) for record in ended] == [
            (keys[1], "dial_no_answer", None),
            (keys[0], "user_hangup", 3.0),
        ]
        assert (ended[0].number, ended[0].zones, ended[0].at) == ("+12125550001", ("America/New_York",), NOW + 1)
        assert len(View(connection).last(1)) == 1
        assert View(connection).course() == ((30 + 40) / 2, 0.5)
        assert sorted((contact.id, moment) for contact, moment in View(connection).waiting()) == [("1", NOW + 101), ("3", NOW)]
        assert sorted(record.key for record in View(connection).records()) == keys
        assert {record.result for record in View(connection).records()} == {"user_hangup", "dial_no_answer", None}
    desk.at(NOW + 6000).settle(keys[2], "user_hangup", duration_ms=20_000.0)  # which ended while no process ran
    with desk.store.database.fast.connect() as connection:
        assert View(connection).course()[0] == (30 + 40 + 80) / 3


def test_nothing_is_known_of_what_has_not_begun(make: Campaigns) -> None:
    desk = make([])
    with desk.store.database.fast.connect() as connection:
        assert View(connection).course() == (None, 0.0)
        assert (View(connection).pace(NOW), View(connection).next_due(), View(connection).last(5)) == (0.0, None, [])


def test_a_campaign_tells_of_its_progress_and_its_end(tmp_path: Path) -> None:
    path = tmp_path / "spring.db"
    Campaign.make(path, "spring", Settings(rules=RULES), contacts(240))
    campaign = Campaign(path)
    progress = campaign.progress()
    assert (progress.state.counts, progress.per_second, progress.last) == ({"waiting": 240}, 0.0, [])
    assert progress.next_at == pytest.approx(time.time(), abs=60)
    ends_at = campaign.ends_about(live=20)
    assert ends_at == pytest.approx(time.time() + 240 * 120 / 20 + 120, abs=60)  # a call is taken to last two minutes


def test_who_stops_gives_back_what_was_not_sent_and_nothing_else(make: Campaigns) -> None:
    desk = make(contacts(2), Settings(rules=RULES))
    sent, waits = desk.begin(), desk.begin()
    desk.send(sent)

    def stopping(key: str) -> Any:
        return desk.store.turn(key, desk.worker, lease=15.0, live=100, first=True, stops=True)

    assert isinstance(stopping(sent), Turn)  # its phone may be ringing
    assert stopping(waits) is None
    assert [attempt.key for attempt in desk.store.open_attempts()] == [sent]
    assert desk.store.counts() == {"live": 1, "waiting": 1}
    desk.store.settle(sent, Result("user_hangup", connected=True))
    assert desk.begin() != waits


@pytest.mark.soak
@pytest.mark.needs("signals")
@pytest.mark.filterwarnings("ignore:XDG_RUNTIME_DIR is not set")  # where the package that carries Postgres looks
def test_postgres_says_the_same(address: str) -> None:
    campaign = Campaign.make(address, "spring", Settings(rules=RULES), contacts(3))
    store = campaign._store
    store.set_status("running")
    worker, _ = store.enter(alone=False)
    intent = store.next_intent(3)
    assert isinstance(intent, Intent)
    assert isinstance(store.turn(intent.key, worker, lease=15.0, live=3, first=True), Turn)
    store.placed(intent.key, "call_1", store.now())
    store.settle(intent.key, Result("user_requested_dnc", connected=True), duration_ms=60_000.0, cents=12.5)
    campaign.do_not_call("+12125550111", "+12125550111")
    store.forbid(["+12125550112", "+12125550111"], told=True)
    progress = campaign.progress()
    assert progress.state.counts == {"do_not_call": 1, "waiting": 2}
    assert progress.per_second == pytest.approx(0.1, rel=0.5)
    assert progress.next_at == pytest.approx(time.time(), abs=60)
    assert [(record.key, record.result) for record in progress.last] == [(intent.key, "user_requested_dnc")]
    assert campaign.ends_about(live=20) == pytest.approx(time.time(), abs=60)
    assert "$0.12" in campaign.report()
    assert store.untold() == [progress.last[0].number, "+12125550111"]
    store.told("+12125550111")
    assert store.untold() == [progress.last[0].number]
