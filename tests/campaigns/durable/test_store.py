"""What a campaign writes down, and what is placed again after a kill: the database, and a client whose server is a function."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from typing import Any

import anyio
import attrs
import httpx
import pytest
import sqlalchemy as sa

from retell_async import APIConnectionError, ConfigurationError, NotFoundError
from retell_async.campaigns import Case, Hours, Number, Result, Retry, Rules, Settings, dialled
from retell_async.campaigns.durable import campaign as campaigns, database as databases, format as formats, store as stores
from retell_async.campaigns.durable.campaign import Campaign
from retell_async.campaigns.durable.database import Database
from retell_async.campaigns.durable.format import FORMAT, case_from, case_text, settings_from, settings_text
from retell_async.campaigns.durable.store import Intent, LeaseLost, Nothing, Store, Superseded, Turn, Wait
from retell_async.campaigns.durable.views import View

from .desk import NOW, RULES, SETTINGS, Campaigns, Desk, contacts

pytestmark = pytest.mark.parallel


@pytest.fixture
def make(tmp_path: Path) -> Campaigns:
    return Campaigns(tmp_path / "campaign.db")


def test_an_attempt_is_written_before_it_is_placed_and_after(make: Campaigns) -> None:
    desk = make(contacts(1))
    store = desk.store
    key = desk.begin()
    assert [attempt.key for attempt in store.open_attempts()] == [key]
    assert desk.idle() is None
    turn = desk.at(NOW + 1).send(key)
    assert turn.age is None
    request = turn.request
    assert (request["to_number"], request["idempotency_key"], request["metadata"]) == ("+12125550000", key, {"retell_async_token": key})
    again = Turn(request, 1.0, may_dial=True, worker=desk.worker, tried_at=NOW + 2)
    assert desk.at(NOW + 2).send(key) == again  # whoever goes on after a kill sends the same
    store.placed(key, "call_1", make.now)
    assert desk.turn(key) is None  # it is placed, and to be followed
    desk.at(NOW + 60).settle(key, "dial_no_answer", duration_ms=1000.0, cents=2.0)
    desk.at(NOW + 90).settle(key, "user_hangup")  # said again
    assert store.open_attempts() == []
    assert store.counts() == {"waiting": 1}
    assert desk.at(NOW + 61).idle() == 59
    assert not desk.store.finish()  # somebody waits
    second = desk.at(NOW + 120).begin()
    assert second != key
    assert not desk.store.finish()  # somebody is being called
    desk.send(second)
    desk.at(NOW + 180).settle(second, "user_hangup")
    assert store.counts() == {"reached": 1}
    assert store.finish()
    assert store.campaign()[2] == "done"
    assert [(row["key"], row["result"], row["call_id"], row["cents"]) for row in store.attempts()] == [
        (key, "dial_no_answer", "call_1", 2.0),
        (second, "user_hangup", None, None),
    ]


def _close(desk: Desk) -> None:
    with desk.store._writing() as (connection, _):
        closed = settings_text(Settings(rules=attrs.evolve(RULES, hours=Hours.parse("3:00-3:01"))))
        connection.execute(sa.text("UPDATE retell_campaign SET settings = :text"), {"text": closed})


def test_the_window_is_asked_for_when_the_call_is_about_to_be_placed(make: Campaigns) -> None:
    desk = make(contacts(1), Settings(rules=attrs.evolve(RULES, hours=Hours.parse("0-24"))))
    key = desk.begin()
    _close(desk)
    assert desk.turn(key) is None
    assert desk.store.open_attempts() == []
    assert desk.store.counts() == {"waiting": 1}
    later = desk.idle()
    assert later is not None
    assert later > 60
    assert desk.at(NOW + later).begin() != key


@pytest.mark.parametrize("status", ["paused", "cancelled"])
def test_what_is_paused_places_nothing(make: Campaigns, status: Any) -> None:
    desk = make(contacts(2))
    key = desk.begin()
    desk.store.set_status(status)
    assert desk.idle() is not None
    assert desk.turn(key) is None
    assert desk.store.counts() == {"waiting": 2}


@pytest.mark.parametrize("stop", [_close, lambda desk: desk.store.set_status("paused")], ids=["hours", "pause"])
def test_what_was_sent_before_is_looked_for_and_not_sent_once_nobody_may_be_called(make: Campaigns, stop: Callable[[Desk], object]) -> None:
    desk = make(contacts(1))
    key = desk.begin()
    desk.send(key)
    stop(desk)
    turn = desk.send(key)  # after a kill
    assert (turn.age, turn.may_dial) == (0.0, False)


def test_those_who_are_not_to_be_called_are_not(make: Campaigns) -> None:
    desk = make(contacts(3), do_not_call=("+12125550000",))
    first = desk.begin()
    desk.send(first)
    desk.at(NOW + 30).settle(first, "user_requested_dnc")
    second = desk.begin()
    with desk.store._writing() as (connection, _):
        connection.execute(sa.text("INSERT INTO retell_do_not_call (number) VALUES ('+12125550002')"))
    assert desk.turn(second) is None
    assert desk.idle() is None
    assert desk.store.counts() == {"do_not_call": 3}


def test_priority_and_calls_a_day(make: Campaigns) -> None:
    people = contacts(3)
    people[2] = attrs.evolve(people[2], priority=5)
    desk = make(people, Settings(rules=Rules(numbers=[Number("+14155550100")], calls_per_day=2)))
    desk.send(desk.begin())
    assert [row["contact_id"] for row in desk.store.attempts()] == ["2"]
    desk.at(NOW + 10).begin()
    tomorrow = desk.at(NOW + 30).idle()
    assert tomorrow is not None
    assert (NOW + 30 + tomorrow) % 86400 == 0


def test_calls_wait_in_the_queue_for_their_number_and_no_longer(make: Campaigns) -> None:
    desk = make(contacts(9), Settings(rules=Rules(numbers=[Number("+14155550100", per_second=1.0)])))
    for _ in range(3):
        desk.begin()
    assert desk.idle() == 3.0
    assert desk.idle(most=3) is not None  # so many are begun already
    assert desk.at(NOW + 10).idle() == 3.0  # they wait still, and the next one would too


def test_those_who_wait_for_a_slow_number_take_no_place_of_a_fast_one(make: Campaigns) -> None:
    slow, fast = "+14155550100", "+14155550101"
    desk = make(contacts(170), Settings(rules=Rules(numbers=[Number(slow, per_second=0.05), Number(fast, per_second=10)])))
    sent: list[tuple[float, str]] = []
    for tick in range(42):
        moment = NOW + tick / 2
        while isinstance(desk.at(moment).store.next_intent(4), Intent):
            pass
        for row in desk.store.attempts():
            if row["result"] is None and isinstance(desk.turn(row["key"]), Turn):
                sent.append((tick / 2, row["from_number"]))
                desk.store.placed(row["key"], "call_1", moment)
                desk.settle(row["key"], "user_hangup")
        assert sum(row["result"] is None and row["from_number"] == slow for row in desk.store.attempts()) <= 1
    assert [at for at, number in sent if number == slow] == [0.0, 20.0]
    assert len(sent) > 150


def test_who_asked_for_a_call_goes_first_and_then_who_was_called_before(make: Campaigns) -> None:
    people = contacts(6)
    people[5] = attrs.evolve(people[5], priority=1)
    desk = make(people)
    for end in ("", "dial_no_answer", "dial_no_answer"):  # "5" is called first, and then "0" and "1"
        key = desk.begin()
        desk.send(key)
        desk.store.settle(key, Result(end or "user_hangup", connected=not end, callback=None if end else NOW + 30))
    key = desk.begin()
    desk.send(key)
    desk.store.settle(key, Result("user_hangup", connected=True, callback=NOW + 100))
    desk.at(NOW + 200)
    for _ in range(5):
        desk.begin()
    order = [row["contact_id"] for row in sorted(desk.store.attempts(), key=lambda row: int(row["key"].split("-")[2]))]
    assert order == ["5", "0", "1", "2", "5", "2", "0", "1", "3"]


def test_a_callback_that_is_taken_back_or_refused_is_one_still(make: Campaigns) -> None:
    desk = make(contacts(2))
    key = desk.begin()
    desk.send(key)
    desk.store.settle(key, Result("user_hangup", connected=True, callback=NOW + 100))
    for _ in range(2):
        desk.at(NOW + 200)
        key = desk.begin()
        assert desk.store.turn(key, desk.worker, lease=1e9, live=9, first=True, stops=True) is None
    key = desk.begin()
    turn = desk.send(key)
    desk.store.settle(key, Result("not_placed"), turn=turn)
    key = desk.at(NOW + 900).begin()
    assert [row["contact_id"] for row in desk.store.attempts() if row["key"] == key] == ["0"]


def test_a_clock_that_was_ahead_holds_nobody_up_when_it_is_put_right(make: Campaigns) -> None:
    desk = make(contacts(3), Settings(rules=Rules(numbers=[Number("+14155550100")])))
    first, second = desk.begin(), desk.begin()
    desk.at(NOW + 3600).send(first)
    desk.store.placed(first, "call_1", make.now)
    dead, _ = desk.store.enter(alone=False)
    desk.at(NOW).store.beat(desk.worker, 15.0)
    wait = desk.turn(second)
    assert isinstance(wait, Wait)
    assert wait.seconds <= 1
    desk.at(NOW + 1.1).send(second)
    desk.at(NOW + 20).store.beat(desk.worker, 1e9)
    assert dead not in desk.store.alive(15.0)  # which was written down as alive for an hour


def test_what_stops_is_taken_back_whatever_it_waits_for(make: Campaigns) -> None:
    desk = make(contacts(2))
    first, second = desk.begin(), desk.begin()
    desk.send(first)
    assert isinstance(desk.turn(second, live=1), Wait)
    assert desk.store.turn(second, desk.worker, lease=15.0, live=1, first=True, stops=True) is None
    assert [attempt.key for attempt in desk.store.open_attempts()] == [first]


def test_a_pause_that_somebody_asked_for_stays_until_it_is_resumed(make: Campaigns) -> None:
    store = make(contacts(1)).store
    store.pause("the account cannot pay")
    store.go_on()
    assert store.campaign()[2] == "running"
    store.pause("the account cannot pay")
    for _ in range(2):
        store.hold()
    store.go_on()
    assert store.campaign()[2:] == ("held", "the account cannot pay")
    assert not store.set_status("running", only_from=("paused",))
    assert store.set_status("running", only_from=("paused", "held"))
    assert store.campaign()[2:] == ("running", "")
    store.hold()
    assert store.campaign()[2:] == ("held", "")
    store.set_status("cancelled")
    store.go_on()
    store.hold()
    assert store.campaign()[2] == "cancelled"


def test_contacts_of_the_second_format_keep_their_order(make: Campaigns) -> None:
    people = contacts(3)
    people[2] = attrs.evolve(people[2], priority=-3)
    desk = make(people)
    key = desk.begin()
    desk.send(key)
    desk.settle(key, "dial_no_answer")
    with closing(sqlite3.connect(make.path)) as former, former:
        former.execute("UPDATE retell_campaign SET format = 2, settings = json_remove(settings, '$.do_not_call')")
        former.execute(
            'UPDATE retell_contact SET priority = CASE id WHEN 2 THEN -3 ELSE 0 END, "case" = json_remove("case", \'$.promised\')'
        )
    desk = Desk(Store(desk.store.database, clock=lambda: make.now), make).at(NOW + 100)
    keys = [desk.begin() for _ in range(3)]
    assert [{row["key"]: row["contact_id"] for row in desk.store.attempts()}[key] for key in keys] == ["0", "1", "2"]
    assert desk.store.campaign()[1] == SETTINGS


def test_a_number_places_no_more_in_a_second_than_it_may_as_the_server_counts(make: Campaigns) -> None:
    desk = make(contacts(9), Settings(rules=Rules(numbers=[Number("+14155550100", per_second=2.5)])))
    first, second, third = (desk.begin() for _ in range(3))
    desk.send(first)
    desk.at(NOW + 0.1).send(second)
    assert isinstance(desk.at(NOW + 5).turn(third), Wait)  # the server may count those that are not answered at any moment
    desk.store.placed(first, "call_1", make.now)
    wait = desk.at(NOW + 5.2).turn(third)
    assert isinstance(wait, Wait)
    assert wait.seconds == pytest.approx(0.6)  # two in 0.8 s
    desk.at(NOW + 5.81).send(third)


def test_there_are_no_more_calls_at_once_than_there_may_be(make: Campaigns) -> None:
    desk = make(contacts(9))
    first, second, third = (desk.begin() for _ in range(3))
    for key in (first, second):
        desk.send(key)
        desk.store.placed(key, f"call_{key}", make.now)
    assert isinstance(desk.turn(third, live=2), Wait)
    desk.settle(first, "user_hangup")
    assert isinstance(desk.turn(third, live=2), Turn)


def test_what_the_server_refuses_for_being_too_much_is_sent_later_if_it_may_be(make: Campaigns) -> None:
    desk = make(contacts(1))
    key = desk.begin()
    desk.store.refused(key, desk.send(key), make.now)
    turn = desk.at(NOW + 2).send(key)
    assert turn.age is None
    desk.store.refused(key, turn, make.now)
    desk.store.set_status("paused")
    assert desk.turn(key) is None
    assert desk.store.counts() == {"waiting": 1}


def test_a_worker_that_was_not_heard_of_sends_nothing(make: Campaigns) -> None:
    desk = make(contacts(3))
    sent, waiting, other = (desk.begin() for _ in range(3))
    desk.send(sent)
    desk.send(waiting)
    desk.at(NOW + 16)
    second = Desk(desk.store, make)
    for key in (sent, waiting, other):  # nobody has taken it over yet
        with pytest.raises(LeaseLost):
            desk.store.turn(key, desk.worker, lease=15.0, live=9, first=True)
    desk.store.beat(second.worker, 15.0)
    assert desk.store.alive(15.0) == [second.worker]
    assert second.send(sent).age == 16
    with pytest.raises(LeaseLost):
        desk.store.beat(desk.worker, 15.0)
    # Alive or not, it has no turn any more with what another one has.
    third = Desk(desk.store, make)
    assert third.store.turn(sent, third.worker, lease=15.0, live=9, first=False) is None
    desk.store.placed(sent, "call_1", make.now)  # what it knows is of use all the same
    assert [row["call_id"] for row in desk.store.attempts() if row["key"] == sent] == ["call_1"]
    desk.store.leave(third.worker)
    desk.store.beat(second.worker, 15.0)
    assert desk.store.alive(15.0) == [second.worker]


@pytest.mark.parametrize("same", [True, False], ids=["the same worker", "another worker"])
def test_what_came_of_a_turn_is_not_written_over_a_later_one(make: Campaigns, same: bool) -> None:
    desk = make(contacts(1))
    key = desk.begin()
    former = desk.send(key)
    desk.at(NOW + 16)
    later = desk if same else Desk(desk.store, make)
    turn = later.send(key)
    assert turn.age == 16
    # Its phone may be ringing now: what the former one was told, before it stood still, is not true any more.
    desk.store.refused(key, former, make.now)
    desk.store.settle(key, Result("not_placed"), turn=former)
    desk.store.settle(key, Result("unknown"), turn=former)
    assert [(row["sent_at"], row["result"]) for row in desk.store.attempts()] == [(NOW, None)]
    assert desk.store.counts() == {"live": 1}
    desk.store.placed(key, "call_1", make.now)
    desk.store.settle(key, Result("unknown"), turn=turn)  # there is a call
    assert desk.store.counts() == {"live": 1}
    desk.settle(key, "user_hangup")
    assert desk.store.counts() == {"reached": 1}


def test_a_worker_of_a_former_version_sends_nothing(make: Campaigns, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = make(contacts(1))
    key = desk.begin()
    monkeypatch.setattr(formats, "FORMAT", FORMAT + 1)
    renamed = formats.Step(
        settings=lambda said: {**said, "live": 7},
        case=lambda said: {**said, "contact": {**said["contact"], "place": "US-NY"}},
        tables=("ALTER TABLE retell_contact ADD COLUMN remark VARCHAR",),
    )
    monkeypatch.setitem(formats.STEPS, FORMAT, renamed)
    assert Store(desk.store.database).campaign()[1].live == 7  # read as it will be
    assert Desk(desk.store, make).worker == 2
    assert desk.store.campaign()[1].live == 7
    assert desk.store.contact_of(key).place == "US-NY"
    with desk.store._reading() as connection:
        assert connection.execute(sa.text("SELECT format, remark FROM retell_campaign, retell_contact")).one() == (FORMAT + 1, None)
    monkeypatch.setattr(formats, "FORMAT", FORMAT)
    steps: list[Callable[[], object]] = [
        lambda: desk.turn(key),
        lambda: desk.settle(key, "user_hangup"),
        lambda: desk.store.next_intent(9),
        lambda: desk.store.beat(desk.worker, 15.0),
    ]
    for step in steps:
        with pytest.raises(Superseded, match=f"format {FORMAT + 1}, here {FORMAT}"):
            step()
    with pytest.raises(ConfigurationError, match="upgrade"):
        Campaign(make.path)


def test_a_contact_that_a_later_version_rewrote_meanwhile_is_not_read(make: Campaigns, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Postgres what one question sees the next one may see changed."""
    store = make(contacts(1)).store
    settings = store._settings

    def meanwhile(row: object) -> Settings:
        with closing(sqlite3.connect(make.path)) as later, later:
            later.execute(f"UPDATE retell_campaign SET format = {FORMAT + 1}")
            later.execute("UPDATE retell_contact SET \"case\" = '{}'")
        return settings(row)

    monkeypatch.setattr(store, "_settings", meanwhile)
    with pytest.raises(Superseded, match=f"format {FORMAT + 1}, here {FORMAT}"):
        store.next_intent(100)


def test_contacts_that_were_not_reached_begin_anew(make: Campaigns) -> None:
    desk = make(contacts(2), Settings(rules=attrs.evolve(RULES, attempts=1)))
    for reason in ("dial_no_answer", "user_hangup"):
        key = desk.begin()
        desk.send(key)
        desk.settle(key, reason)
    assert desk.store.counts() == {"exhausted": 1, "reached": 1}
    assert desk.store.retry(["exhausted"]) == 1
    assert desk.store.counts() == {"waiting": 1, "reached": 1}
    assert len({row["key"] for row in desk.store.attempts()} | {desk.begin()}) == 3


def test_what_is_written_is_read_back() -> None:
    settings = Settings(
        rules=Rules(
            numbers=[Number("+14155550100", per_second=2.0, per_day=5)],
            hours=Hours.parse("mon-fri 9-17", "sat 10-12"),
            legal="us",
            retries={"dial_busy": None},
            callback="callback_at",
            until=NOW,
        ),
        agent="agent_1",
        agent_version=3,
        required=("name",),
    )
    assert settings_from(settings_text(settings), FORMAT) == settings
    with pytest.raises(ConfigurationError, match="later version"):
        settings_from(settings_text(settings), FORMAT + 1)
    odd = attrs.evolve(contacts(1)[0], metadata=MappingProxyType({}), variables=MappingProxyType({"name": "Ann"}))
    for case in (
        Case(odd),
        Case(contacts(1)[0], not_before=NOW),
        dialled(Case(contacts(1)[0]), NOW, "+1"),
        Case(contacts(1)[0], end="reached", not_before=float("inf")),
    ):
        assert case_from(case_text(case)) == case


def test_files_that_are_no_campaign_are_refused(tmp_path: Path, make: Campaigns) -> None:
    with pytest.raises(ConfigurationError, match="no such file"):
        Campaign(tmp_path / "missing.db")
    (tmp_path / "text.db").write_text("hello, this is text")
    with pytest.raises(ConfigurationError, match="no database"):
        Campaign(tmp_path / "text.db")
    sqlite3.connect(tmp_path / "empty.db").close()
    (tmp_path / "empty.db").touch()
    with pytest.raises(ConfigurationError, match="no campaign"):
        Campaign(tmp_path / "empty.db")
    for name in ("", "a b", "x" * 61):
        with pytest.raises(ConfigurationError, match="name"):
            Campaign.make(tmp_path / "new.db", name, SETTINGS, [])
    make(contacts(1))
    with pytest.raises(ConfigurationError, match="already"):
        Campaign.make(tmp_path / "campaign.db", "again", SETTINGS, [])
    with pytest.raises(ConfigurationError, match="two contacts have one id") as raised:
        Campaign.make(tmp_path / "twice.db", "twice", SETTINGS, contacts(1) * 2)
    assert "5550000" not in str(raised.value)
    with pytest.raises(ConfigurationError, match="not in mysql"):
        Campaign("mysql://root:secret@localhost/calls")
    with pytest.raises(ConfigurationError, match="address of the database"):
        Campaign("://")


def test_a_campaign_is_steered_from_any_process(tmp_path: Path) -> None:
    campaign = Campaign.make(tmp_path / "campaign.db", "spring", SETTINGS, contacts(2), do_not_call=["+12125550001"])
    other = Campaign(tmp_path / "campaign.db")
    assert (other.state().status, other.state().contacts) == ("paused", 2)
    campaign.resume()
    assert other.state().status == "running"
    other.pause()
    assert campaign.state().status == "paused"
    campaign.cancel()
    other.resume()
    assert campaign.state().status == "cancelled"
    with pytest.raises(ConfigurationError, match="no end"):
        campaign.retry(["nonsense"])  # type: ignore[list-item]


def test_what_was_cancelled_keeps_how_its_contacts_ended(make: Campaigns, tmp_path: Path) -> None:
    desk = make(contacts(1))
    key = desk.begin()
    desk.send(key)
    desk.settle(key, "user_hangup")
    desk.store.set_status("cancelled")
    with pytest.raises(ConfigurationError, match="was cancelled: its contacts stay as they ended"):
        desk.store.retry(["reached"])
    assert desk.store.counts() == {"reached": 1}


class _Account:
    """One that does not say at first how many calls it may have."""

    def __init__(self, *answers: Exception | int) -> None:
        self.answers = list(answers)

    async def limit(self) -> int:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.mark.asyncio
async def test_an_account_is_asked_until_it_says_how_many_calls_it_may_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(campaigns, "_ASKED_AGAIN", 0.0)
    campaign = Campaign.make(tmp_path / "a.db", "a", SETTINGS, contacts(1))
    away = APIConnectionError(request=httpx.Request("GET", "https://api.test/get-concurrency"))
    account: Any = _Account(away, away, 20)
    assert await campaign._limit(account, anyio.Event()) == 20
    assert caplog.text.count("the account does not say how many calls it may have") == 1
    stop = anyio.Event()
    stop.set()
    assert await campaign._limit(account, stop) == 1
    refused: Any = _Account(NotFoundError("no such path", response=httpx.Response(404, request=away.request), body=None))
    with pytest.raises(NotFoundError):
        await campaign._limit(refused, anyio.Event())


@pytest.mark.soak
def test_one_process_runs_it_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "campaign.db"
    program = f"from retell_async.campaigns.durable.database import Database\nwith Database({str(path)!r}, make=True).alone(): pass"
    database = Database(path, make=True)
    with database.alone():
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert "another process runs this campaign" in done.stderr
    with database.alone():
        pass


def test_a_call_that_is_over_leaves_its_room_to_others_before_it_is_settled(make: Campaigns) -> None:
    desk = make(contacts(3))
    first = desk.begin(most=1)
    desk.send(first)
    desk.store.placed(first, "call_1", make.now)
    assert desk.idle(most=1) is not None
    desk.store.ended(first)
    second = desk.begin(most=1)
    assert isinstance(desk.turn(second, live=1), Turn)
    desk.settle(first, "user_hangup")
    assert desk.store.counts() == {"reached": 1, "live": 1, "waiting": 1}


def test_a_request_without_an_answer_counts_for_a_second_after_it_left(make: Campaigns) -> None:
    desk = make(contacts(2), Settings(rules=Rules(numbers=[Number("+14155550100")])))
    first, second = desk.begin(), desk.begin()
    turn = desk.send(first)
    assert isinstance(desk.at(NOW + 5).turn(second), Wait)  # it may not have left
    desk.store.arrived(first, turn, NOW + 5)
    assert isinstance(desk.at(NOW + 5.5).turn(second), Wait)
    assert isinstance(desk.at(NOW + 6.1).turn(second), Turn)


def test_caps_a_day_are_those_of_the_day_of_the_dial(make: Campaigns) -> None:
    number = Number("+14155550100", per_second=100, per_day=2)
    desk = make(contacts(4), Settings(rules=Rules(numbers=[number], per_day=1, attempts=3, retries={"dial_busy": Retry(1.0)})))
    planned = [desk.begin(), desk.begin()]
    assert desk.idle() is not None  # those that are planned count too
    tomorrow = NOW + 86400
    for key in planned:
        desk.at(tomorrow).send(key)
        desk.settle(key, "dial_busy")
    assert desk.at(tomorrow + 60).idle() is not None
    assert desk.at(tomorrow + 86400).begin()


def test_a_campaign_counts_what_was_sent_and_neither_what_was_taken_back_nor_refused(make: Campaigns) -> None:
    desk = make(contacts(6), Settings(rules=Rules(numbers=[Number("+14155550100", per_second=100)], calls_per_day=2)))
    taken_back = [desk.begin(), desk.begin()]
    assert desk.idle() is not None
    desk.store.set_status("paused")
    assert [desk.turn(key) for key in taken_back] == [None, None]
    desk.store.set_status("running")
    refused, later = desk.begin(), desk.begin()
    desk.store.refused(refused, desk.send(refused), make.now)
    desk.send(later)
    desk.store.settle(later, Result("not_placed", for_good=True, text="no"))
    desk.send(refused)
    desk.send(desk.begin())
    assert desk.idle() is not None  # two were sent


def test_a_new_budget_does_not_forget_the_day(make: Campaigns) -> None:
    desk = make(contacts(1), Settings(rules=attrs.evolve(RULES, attempts=1, per_day=1)))
    key = desk.begin()
    desk.send(key)
    desk.settle(key, "dial_no_answer")
    assert desk.store.retry(["exhausted"]) == 1
    wait = desk.idle()
    assert wait is not None
    assert wait > 3600
    assert desk.at(NOW + wait).begin()


def test_a_number_that_is_refused_alike_is_set_aside_and_loses_nobody(make: Campaigns) -> None:
    numbers = [Number("+14155550100", per_second=100), Number("+14155550101", per_second=100)]
    desk = make(contacts(9), Settings(rules=Rules(numbers=numbers)))

    def refuse(key: str, text: str = "the phone number was not found") -> None:
        desk.send(key)
        desk.store.settle(key, Result("not_placed", for_good=True, text=text))

    keys = [desk.begin() for _ in range(8)]
    wrong = [row["key"] for row in desk.store.attempts() if row["from_number"] == numbers[1].number]
    assert len(wrong) == 4
    refuse(wrong[0])
    refuse(wrong[1])
    assert desk.store.counts()["refused"] == 2
    refuse(wrong[2])
    assert "refused" not in desk.store.counts()
    _, _, status, note = desk.store.campaign()
    assert (status, "was not found" in note, "4155550101" in note) == ("running", True, False)
    assert desk.turn(wrong[3]) is None  # another number calls them
    for key in set(keys) - set(wrong):
        desk.send(key)
        desk.settle(key, "user_hangup")
    for _ in range(5):
        key = desk.at(make.now + 1).begin()
        assert next(row for row in desk.store.attempts() if row["key"] == key)["from_number"] == numbers[0].number
        desk.send(key)
        desk.settle(key, "user_hangup")
    assert desk.store.counts() == {"reached": 9}
    assert {row["text"] for row in desk.store.attempts() if row["result"] == "not_placed"} == {"the phone number was not found"}


def test_where_all_numbers_are_refused_the_campaign_pauses_and_goes_on_when_that_is_mended(make: Campaigns) -> None:
    desk = make(contacts(3))
    for key in [desk.begin() for _ in range(3)]:
        desk.send(key)
        desk.store.settle(key, Result("not_placed", for_good=True, text="agent not found"))
    assert desk.store.counts() == {"waiting": 3}
    assert desk.store.campaign()[2] == "paused"
    desk.store.set_status("running", only_from=("paused",))
    for _ in range(3):
        key = desk.begin()
        desk.send(key)
        desk.settle(key, "user_hangup")
    assert desk.store.counts() == {"reached": 3}


def test_contacts_that_are_refused_one_by_one_are_at_fault_themselves(make: Campaigns) -> None:
    desk = make(contacts(4))
    first = desk.begin()
    desk.send(first)
    desk.store.placed(first, "call_1", make.now)
    for key in [desk.begin() for _ in range(3)]:
        desk.at(make.now + 1).send(key)
        desk.store.settle(key, Result("not_placed", for_good=True, text="cannot call that number"))
    assert desk.store.counts() == {"live": 1, "refused": 3}
    assert desk.store.campaign()[2] == "running"


def test_a_campaign_of_the_first_format_goes_on(make: Campaigns) -> None:
    store = make(contacts(1)).store
    with closing(sqlite3.connect(make.path)) as former, former:
        former.execute("ALTER TABLE retell_attempt DROP COLUMN ended_at")
        former.execute("ALTER TABLE retell_attempt DROP COLUMN text")
        former.execute("UPDATE retell_campaign SET format = 1")
        former.execute("UPDATE retell_contact SET priority = 0")
        former.execute('UPDATE retell_contact SET "case" = json_remove("case", \'$.earlier\')')
    assert Campaign(make.path).attempts() == []
    desk = Desk(Store(store.database, clock=lambda: make.now), make)
    key = desk.begin()
    desk.send(key)
    desk.settle(key, "user_hangup")
    assert desk.store.counts() == {"reached": 1}


def test_live_is_who_is_on_the_line(make: Campaigns) -> None:
    desk = make(contacts(5))
    keys = [desk.begin() for _ in range(4)]  # all of them are begun, and what is not sent is no call
    assert desk.store.counts() == {"waiting": 5}
    for key in keys[:3]:
        desk.send(key)
    assert desk.store.counts() == {"live": 3, "waiting": 2}
    desk.store.placed(keys[0], "call_1", make.now)
    desk.store.ended(keys[0])
    assert desk.store.counts() == {"live": 2, "analyzing": 1, "waiting": 2}
    desk.settle(keys[0], "user_hangup")
    assert desk.store.counts() == {"live": 2, "waiting": 2, "reached": 1}


def test_a_pause_names_all_numbers_that_are_at_fault(make: Campaigns) -> None:
    numbers = [Number("+14155550100", per_second=100), Number("+14155550199", per_second=100)]
    desk = make(contacts(6), Settings(rules=Rules(numbers=numbers)))
    for _ in range(12):
        if desk.store.campaign()[2] != "running":
            break
        key = desk.at(make.now + 1).begin()
        desk.send(key)
        desk.store.settle(key, Result("not_placed", for_good=True, text="agent not found"))
    _, _, status, note = desk.store.campaign()
    assert status == "paused"
    assert "+141******00 places no more calls" in note
    assert "+141******99 places no more calls" in note
    desk.store.note("something else")  # stands in no other's place
    assert desk.store.campaign()[3] == note
    desk.store.set_status("running")
    desk.store.note("something else")
    desk.store.hold()  # as somebody does it: it is not said to pause by itself
    desk.store.note("", over="something else")  # which comes too late, and changes nothing
    assert desk.store.campaign()[2:] == ("held", "")


def test_lists_of_the_settings_are_read_when_it_is_made_and_kept(tmp_path: Path) -> None:
    (tmp_path / "never.txt").write_text("+12125550001\n")
    settings = Settings(rules=RULES, do_not_call=(str(tmp_path / "never.txt"),))
    Campaign.make(tmp_path / "spring.db", "spring", settings, contacts(2))
    (tmp_path / "never.txt").unlink()  # whoever goes on needs it no more
    store = Store(Database(tmp_path / "spring.db"))
    assert store.campaign()[1].do_not_call == (str(tmp_path / "never.txt"),)
    store.set_status("running")
    store.enter(alone=True)
    store.next_intent(10)
    store.next_intent(10)
    assert [row["number"] for row in store.attempts()] == ["+12125550000"]


def test_it_is_said_which_caps_keep_somebody_waiting(make: Campaigns) -> None:
    number = Number("+14155550100", per_second=100, per_day=3)
    rules = Rules(numbers=[number], per_day=1, calls_per_day=3, retries={"missed": Retry(60.0)})
    desk = make(contacts(4), Settings(rules=rules))

    def caps() -> list[str]:
        with desk.store.database.fast.connect() as connection:
            return View(connection).caps(rules, make.now)

    assert caps() == []
    for reason in ("dial_no_answer", "user_hangup"):
        key = desk.begin()
        desk.send(key)
        desk.settle(key, reason)
    assert caps() == ["per_day: 1 of those that wait have had the one call that a contact gets on one day"]
    desk.send(desk.begin())
    assert caps()[:2] == [
        "calls_per_day: the campaign has placed its 3 calls of the day",
        "per_day of a number: +141******00 has placed its 3 calls of the day",
    ]
    desk.at(make.now + 86400.0)
    assert caps() == []


@pytest.mark.needs("proc")
def test_whoever_opens_a_file_again_takes_no_locks_from_the_process(make: Campaigns, locks: Callable[[Path], list[str]]) -> None:
    desk = make(contacts(2))
    desk.begin()
    before = locks(make.path)
    assert before  # without them another process takes itself for the only one, and removes the log in which this one writes
    other = Campaign(make.path)
    other.do_not_call("+12125550001")
    del other
    with pytest.raises(ConfigurationError, match="already"):
        Campaign.make(make.path, "again", SETTINGS, [])
    assert locks(make.path) == before


def test_a_file_has_one_name_and_one_process_that_runs_it(make: Campaigns, tmp_path: Path) -> None:
    make(contacts(1))
    with Database(make.path).alone(), pytest.raises(ConfigurationError, match="another process runs"), Database(make.path).alone():
        pass
    (tmp_path / "campaign.db-run").unlink()
    (tmp_path / "campaign.db-run").mkdir()
    with pytest.raises(ConfigurationError, match=r"campaign\.db-run: unable to open"), Database(make.path).alone():
        pass
    os.link(make.path, tmp_path / "second.db")
    for name in ("campaign.db", "second.db"):
        with pytest.raises(ConfigurationError, match="several names"):
            Campaign(tmp_path / name)
    (tmp_path / "second.db").unlink()
    assert Campaign(make.path).state().counts == {"waiting": 1}


@pytest.mark.needs("symlink")
def test_a_link_to_a_file_is_the_same_file(make: Campaigns, tmp_path: Path) -> None:
    make(contacts(1))
    (tmp_path / "today.db").symlink_to("campaign.db")
    today = Database(tmp_path / "today.db")
    with Database(make.path).alone(), pytest.raises(ConfigurationError, match="another process runs"), today.alone():
        pass


def test_a_file_that_another_program_locks_is_one_clear_error(make: Campaigns, monkeypatch: pytest.MonkeyPatch) -> None:
    make(contacts(1))
    monkeypatch.setattr(databases, "_PATIENCE", 0.01)
    campaign = Campaign(make.path)
    with closing(sqlite3.connect(make.path, isolation_level=None)) as viewer:
        viewer.execute("BEGIN IMMEDIATE")
        for act in (campaign.pause, campaign.resume, campaign.cancel, campaign.retry, lambda: campaign.do_not_call("+12125550000")):
            with pytest.raises(ConfigurationError, match=r"campaign\.db: another program keeps it locked"):
                act()
        assert campaign.state().counts == {"waiting": 1}
        assert campaign.progress().next_at == NOW
    campaign.cancel()
    assert campaign.state().status == "cancelled"


def test_an_attempt_has_a_key_that_no_other_ever_had(make: Campaigns, tmp_path: Path) -> None:
    desk = make(contacts(2))
    with closing(sqlite3.connect(make.path)) as file, closing(sqlite3.connect(tmp_path / "backup.db")) as backup:
        file.backup(backup)
        first = desk.begin()
        desk.store.forbid(["+12125550000"])
        backup.backup(file)  # somebody puts it back
    assert desk.store.attempts() == []
    desk.store.forbid(["+12125550000"])
    key = desk.begin()
    assert desk.store.contact_of(key).id == "1"
    assert key != first
    assert key.rpartition("-")[0] == first.rpartition("-")[0]


def test_contacts_whose_hours_close_are_moved_by_and_by(make: Campaigns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "_MOVED", 10)
    closed = [attrs.evolve(person, zones=("Asia/Tokyo",), priority=1) for person in contacts(35)]
    opened = [attrs.evolve(person, id="open") for person in contacts(1)]
    rules = attrs.evolve(RULES, hours=Hours.parse("9-17"))
    moment = 1_796_137_200.0  # 10:00 in New York, midnight in Tokyo
    make.now = moment - 10 * 3600.0
    desk = make(closed + opened, Settings(rules=rules)).at(moment)
    other = Store(Database(make.path))
    for person in range(3):
        assert desk.store.next_intent(100) == Nothing(0, 0.0)
        other.forbid([f"+121299900{person:02}"])  # who is elsewhere gets in between
        with closing(sqlite3.connect(make.path)) as file, file:
            ((moved,),) = file.execute("SELECT count(*) FROM retell_contact WHERE waits_until > ?", (moment,))
        assert moved >= 10 * (person + 1)
        assert moved < 35
    assert desk.store.contact_of(desk.begin()).id == "open"
    assert desk.idle() == 9 * 3600.0


def test_many_begin_anew_each_once(make: Campaigns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "_MOVED", 10)
    desk = make(contacts(35), Settings(rules=attrs.evolve(RULES, until=NOW + 10)))
    desk.at(NOW + 20)
    while (found := desk.store.next_intent(100)) == Nothing(0, 0.0):
        pass
    assert found == Nothing(0, None)
    assert desk.store.finish()
    assert desk.store.retry(["expired"]) == 35  # and are over at once
    assert desk.store.campaign()[2] == "paused"
    assert desk.store.counts() == {"expired": 35}
    desk.at(NOW)
    assert desk.store.retry(["expired"]) == 35
    assert desk.store.counts() == {"waiting": 35}
    assert desk.store.retry(["expired"]) == 0
