"""What a campaign writes down, and what is placed again after a kill: the database, and a client whose server is a function."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs
import httpx
import pytest
import sqlalchemy as sa

from retell_async import AsyncRetell, BadRequestError, ConfigurationError, OutcomeUnknownError
from retell_async.campaigns import Case, Contact, Hours, Number, Result, Retry, Rules, Settings, dialled
from retell_async.campaigns.durable.campaign import Campaign
from retell_async.campaigns.durable.database import alone, open_database
from retell_async.campaigns.durable.format import FORMAT, case_from, case_text, settings_from, settings_text
from retell_async.campaigns.durable.placing import place
from retell_async.campaigns.durable.store import Intent, Store

from ...engine.example import BASE_URL, KEY

NOW = 1_796_000_000.0
RULES = Rules(numbers=[Number("+14155550100", per_second=100)], retries={"missed": Retry(60.0)})
SETTINGS = Settings(rules=RULES)


def contacts(count: int, **more: Any) -> list[Contact]:
    return [Contact(id=str(person), number=f"+1212555{person:04}", zones=("America/New_York",), **more) for person in range(count)]


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Store]:
    def made(people: list[Contact], settings: Settings = SETTINGS, do_not_call: tuple[str, ...] = ()) -> Store:
        store = Store(open_database(tmp_path / "campaign.db", make=True))
        store.make("spring", settings, people, do_not_call, NOW)
        store.set_status("running")
        return store

    return made


def begun(store: Store, now: float = NOW) -> str:
    found = store.next_intent(now)
    assert isinstance(found, Intent)
    return found.key


def test_an_attempt_is_written_before_it_is_placed_and_after(make: Callable[..., Store]) -> None:
    store = make(contacts(1))
    key = begun(store)
    assert store.open_attempts() == [key]
    assert store.next_intent(NOW) is None
    sent = store.send(key, NOW + 1)
    assert sent is not None
    request, before = sent
    assert before is None
    assert (request["to_number"], request["idempotency_key"], request["metadata"]) == ("+12125550000", key, {"retell_async_token": key})
    assert store.send(key, NOW + 2) == (request, NOW + 1)  # whoever goes on after a kill sends the same, and knows since when
    store.placed(key, "call_1")
    store.settle(key, Result("dial_no_answer"), NOW + 60, duration_ms=1000.0, cents=2.0)
    store.settle(key, Result("user_hangup", connected=True), NOW + 90)  # said again
    assert store.open_attempts() == []
    assert store.counts() == {"waiting": 1}
    assert store.next_intent(NOW + 61) == NOW + 120
    second = begun(store, NOW + 120)
    assert second != key
    store.send(second, NOW + 120)
    store.settle(second, Result("user_hangup", connected=True), NOW + 180)
    assert store.counts() == {"reached": 1}
    assert [(row["key"], row["result"], row["call_id"], row["cents"]) for row in store.attempts()] == [
        (key, "dial_no_answer", "call_1", 2.0),
        (second, "user_hangup", None, None),
    ]


def test_the_window_is_asked_for_when_the_call_is_about_to_be_placed(make: Callable[..., Store]) -> None:
    open_now = Settings(rules=attrs.evolve(RULES, hours=Hours.parse("0-24")))
    store = make(contacts(1), open_now)
    key = begun(store)
    with store._writing() as connection:
        closed = settings_text(Settings(rules=attrs.evolve(RULES, hours=Hours.parse("3:00-3:01"))))
        connection.execute(sa.text("UPDATE retell_campaign SET settings = :text"), {"text": closed})
    assert store.send(key, NOW) is None
    assert store.open_attempts() == []
    assert store.counts() == {"waiting": 1}
    later = store.next_intent(NOW)
    assert isinstance(later, float)
    assert later > NOW + 60
    assert begun(store, later) != key


@pytest.mark.parametrize("status", ["paused", "cancelled"])
def test_what_is_paused_places_nothing(make: Callable[..., Store], status: Any) -> None:
    store = make(contacts(2))
    key = begun(store)
    store.set_status(status)
    assert store.next_intent(NOW) is None
    assert store.send(key, NOW) is None
    assert store.counts() == {"waiting": 2}


def test_those_who_are_not_to_be_called_are_not(make: Callable[..., Store]) -> None:
    store = make(contacts(3), do_not_call=("+12125550000",))
    first = begun(store)
    store.send(first, NOW)
    store.settle(first, Result("user_requested_dnc", connected=True), NOW + 30)
    second = begun(store, NOW)
    with store._writing() as connection:
        connection.execute(sa.text("INSERT INTO retell_do_not_call VALUES ('+12125550002')"))
    assert store.send(second, NOW) is None
    assert store.next_intent(NOW) is None
    assert store.counts() == {"do_not_call": 3}


def test_priority_caps_and_pace(make: Callable[..., Store]) -> None:
    people = contacts(3)
    people[2] = attrs.evolve(people[2], priority=5)
    rules = Rules(numbers=[Number("+14155550100", per_second=0.1)], calls_per_day=2)
    store = make(people, Settings(rules=rules))
    assert store.send(begun(store), NOW) is not None
    assert [row["contact_id"] for row in store.attempts()] == ["2"]
    assert store.next_intent(NOW) == NOW + 10
    begun(store, NOW + 10)
    tomorrow = store.next_intent(NOW + 30)
    assert isinstance(tomorrow, float)
    assert tomorrow % 86400 == 0
    assert tomorrow > NOW


def test_contacts_that_were_not_reached_begin_anew(make: Callable[..., Store]) -> None:
    store = make(contacts(2), Settings(rules=attrs.evolve(RULES, attempts=1)))
    for reason in ("dial_no_answer", "user_hangup"):
        key = begun(store)
        store.send(key, NOW)
        store.settle(key, Result(reason, connected=reason == "user_hangup"), NOW + 30)
    assert store.counts() == {"exhausted": 1, "reached": 1}
    assert store.retry(["exhausted"], NOW) == 1
    assert store.counts() == {"waiting": 1, "reached": 1}
    assert len({row["key"] for row in store.attempts()} | {begun(store, NOW)}) == 3


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


def test_files_that_are_no_campaign_are_refused(tmp_path: Path, make: Callable[..., Store]) -> None:
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


@pytest.mark.soak
def test_one_process_runs_it_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "campaign.db"
    program = f"from retell_async.campaigns.durable.database import alone\nfrom pathlib import Path\nwith alone(Path({str(path)!r})): pass"
    with alone(path):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert "another process runs this campaign" in done.stderr
    with alone(path):
        pass


class Server:
    """Places calls, by key, and loses answers."""

    def __init__(self) -> None:
        self.calls: dict[str, dict[str, Any]] = {}
        self.sent: list[bytes] = []
        self.lose: list[int] = []
        self.acts = True

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        if "list-calls" in request.url.path:
            token = body["filter_criteria"]["metadata"][0]["value"]
            found = [call for call in self.calls.values() if call["metadata"]["retell_async_token"] == token]
            return httpx.Response(200, json={"items": found, "has_more": False})
        self.sent.append(request.content)
        if self.acts:
            call = {"call_id": f"call_{len(self.calls)}", "call_type": "phone_call", "call_status": "registered", "agent_id": "a"}
            self.calls.setdefault(body["idempotency_key"], {**call, "metadata": body["metadata"]})
        if self.lose:
            return httpx.Response(self.lose.pop(0), json={"message": "no"})
        return httpx.Response(201, json=self.calls[body["idempotency_key"]])

    def client(self) -> AsyncRetell:
        return AsyncRetell(KEY, base_url=BASE_URL, max_retries=0, http_client=httpx.AsyncClient(transport=httpx.MockTransport(self)))


REQUEST = {
    "from_number": "+14155550100",
    "to_number": "+12125550000",
    "idempotency_key": "spring-1",
    "metadata": {"retell_async_token": "spring-1"},
}


@pytest.mark.anyio
async def test_a_call_is_placed_once_whoever_places_it() -> None:
    server, now = Server(), time.time()
    async with server.client() as client:
        first = await place(client, REQUEST, None, now)
        again = await place(client, REQUEST, now - 600, now)  # a process that was killed had sent it ten minutes ago
        assert first.call_id == again.call_id
        assert server.sent[0] == server.sent[1]
        late = await place(client, REQUEST, now - 4000, now)  # after the hour of the key it is looked for, and not sent
        assert late.call_id == first.call_id
        assert len(server.sent) == 2
        server.lose = [503]
        other = {**REQUEST, "idempotency_key": "spring-2", "metadata": {"retell_async_token": "spring-2"}}
        assert (await place(client, other, None, now)).call_id == "call_1"
        assert len(server.calls) == 2


@pytest.mark.anyio
async def test_what_nobody_can_know_is_unknown_and_what_was_refused_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retell_async.campaigns.durable.placing._LOOK", 0.3)
    server, now = Server(), time.time()
    server.acts = False
    async with server.client() as client:
        with pytest.raises(OutcomeUnknownError):
            await place(client, REQUEST, now - 4000, now)
        assert server.sent == []
        server.lose = [503, 503]
        with pytest.raises(OutcomeUnknownError):
            await place(client, REQUEST, None, now)
        server.lose = [400]
        with pytest.raises(BadRequestError):
            await place(client, REQUEST, None, now)
