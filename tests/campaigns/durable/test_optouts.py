"""Who wants no more calls is written down, not called, and told to those who have to know."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest

from retell_async import AsyncRetell, ConfigurationError
from retell_async.campaigns import Campaign, Contact, Number, Rules, Settings
from retell_async.campaigns.durable.optouts import OptOuts
from retell_async.raw.models import PhoneCallResponse, WebCallResponse
from retell_async.sandbox import RunningClock, Sandbox, Settings as SandboxSettings, serve

from .desk import NOW, Campaigns, contacts

RULES = Rules(numbers=[Number("+14155550100", per_second=100)], opt_out="no_more_calls")
pytestmark = [pytest.mark.asyncio, pytest.mark.parallel]


@pytest.fixture
def make(tmp_path: Path) -> Campaigns:
    return Campaigns(tmp_path / "campaign.db")


class Router:
    """What gives events, as `webhooks.Router` does."""

    def __init__(self) -> None:
        self.handlers: list[tuple[str, Callable[[Any], Awaitable[object]]]] = []

    def on(self, event: Any, /) -> Callable[[Callable[[Any], Awaitable[object]]], None]:
        return lambda handler: self.handlers.append((event, handler))

    async def tell(self, name: str, call: PhoneCallResponse | WebCallResponse) -> None:
        for event, handler in self.handlers:
            if event == name:
                await handler(attrs.make_class("Event", {"call": attrs.field()})(call))


def phone_call(to_number: str, reason: str | None = "user_requested_dnc", **fields: Any) -> PhoneCallResponse:
    call = {"call_id": "c", "call_type": "phone_call", "direction": "outbound", "from_number": "+14155550100", "to_number": to_number}
    return PhoneCallResponse.from_dict({**call, "call_status": "ended", "disconnection_reason": reason, **fields})


async def test_contacts_with_the_number_of_who_opted_out_are_not_called(make: Campaigns) -> None:
    people = [Contact(id=name, number="+12125550111", zones=("America/New_York",)) for name in ("ann", "ann again")]
    desk = make([*people, *contacts(1)], Settings(rules=RULES))
    first, second = desk.begin(), desk.begin()
    desk.send(first)
    desk.settle(first, "user_requested_dnc")
    assert desk.turn(second) is None  # it was begun, and is taken back
    assert desk.store.counts() == {"do_not_call": 2, "waiting": 1}
    assert desk.store.untold() == ["+12125550111"]
    assert desk.store.retry(["do_not_call"]) == 2
    desk.send(desk.begin())
    assert desk.store.counts() == {"do_not_call": 2, "live": 1}


async def test_an_event_of_any_call_tells_of_it(make: Campaigns) -> None:
    desk = make(contacts(9), Settings(rules=RULES))
    router, heard = Router(), OptOuts(desk.store, Settings(rules=RULES), None)
    heard.listen(router)
    heard.listen(router)
    assert [name for name, _ in router.handlers] == ["call_ended", "call_analyzed"]
    await router.tell("call_ended", phone_call("+12125550111"))
    await router.tell("call_ended", phone_call("+12125550111"))
    called_in = phone_call("+14155550100", "user_hangup", direction="inbound", from_number="+12125550112")
    await router.tell("call_ended", called_in)
    said = {"call_analysis": {"custom_analysis_data": {"no_more_calls": True}}}
    await router.tell("call_analyzed", PhoneCallResponse.from_dict({**called_in.to_dict(), **said}))
    await router.tell("call_ended", phone_call("+12125550113", "user_hangup"))
    await router.tell("call_ended", phone_call("sip:ann@example.org"))
    web = {"call_id": "w", "call_type": "web_call", "call_status": "ended", "disconnection_reason": "user_requested_dnc"}
    await router.tell("call_ended", WebCallResponse.from_dict(web))
    assert sorted(desk.store.untold()) == ["+12125550111", "+12125550112"]
    del heard
    await router.tell("call_ended", phone_call("+12125550114"))  # the run is over
    assert len(desk.store.untold()) == 2


@pytest.mark.parametrize("error", [RuntimeError("no CRM today"), asyncio.CancelledError("no CRM today"), SystemExit("no CRM today")])
async def test_a_list_and_a_callback_are_told_once_it_is_written_down_and_again_if_that_fails(
    error: BaseException, make: Campaigns, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(rules=RULES, opt_outs=str(tmp_path / "list.txt"))
    desk = make(contacts(3), settings, ("+12125550009",))
    told: list[str] = []
    fails = [error]

    async def callback(number: str) -> None:
        told.append(number)
        if fails:
            raise fails.pop()

    desk.store.forbid(["+12125550111"])
    desk.at(NOW + 1).store.forbid(["+12125550112"])
    await OptOuts(desk.store, settings, None).tell()
    assert (tmp_path / "list.txt").read_text() == "+12125550111\n+12125550112\n"  # and not what the lists had
    assert desk.store.untold() == []
    desk.at(NOW + 2).store.forbid(["+12125550113", "+12125550111"])
    opt_outs = OptOuts(desk.store, settings, callback)
    with caplog.at_level(logging.ERROR):
        await opt_outs.tell()
    assert (told, desk.store.untold()) == (["+12125550113"], ["+12125550113"])
    assert "+121******13 opted out" in caplog.text
    assert "+12125550113" not in caplog.text.replace("no CRM today", "")
    await opt_outs.tell()
    await opt_outs.tell()
    assert (told, desk.store.untold()) == (["+12125550113"] * 2, [])
    assert (tmp_path / "list.txt").read_text().count("+12125550113") == 1


async def test_who_was_told_is_not_told_again_since_the_run_is_cancelled(make: Campaigns) -> None:
    desk = make(contacts(1), Settings(rules=RULES))
    desk.store.forbid(["+12125550111"])
    with anyio.CancelScope() as scope:

        async def callback(number: str) -> None:
            scope.cancel()

        await OptOuts(desk.store, Settings(rules=RULES), callback).tell()
    assert desk.store.untold() == []


async def test_nobody_to_tell_is_no_end_of_it(make: Campaigns) -> None:
    desk = make(contacts(1))
    desk.store.forbid(["+12125550111"])
    await OptOuts(desk.store, Settings(rules=RULES), None).tell()
    assert desk.store.untold() == ["+12125550111"]


async def test_what_others_write_into_the_list_holds_at_once(make: Campaigns, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "list.txt"
    settings = Settings(rules=RULES, opt_outs=str(path))
    desk = make(contacts(3), settings)
    opt_outs = OptOuts(desk.store, settings, None)
    await opt_outs.tell()
    key = desk.begin()
    path.write_text("+12125550000\nnonsense\n")
    await opt_outs.tell()
    await opt_outs.tell()
    assert caplog.text.count("line 2: no telephone number") == 1
    assert desk.turn(key) is None
    assert desk.store.untold() == []
    path.write_bytes(b"\xff")
    await opt_outs.tell()
    assert "is not UTF-8" in caplog.text


async def test_a_campaign_is_told_of_numbers_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "spring.db"
    campaign = Campaign.make(path, "spring", Settings(rules=RULES, region="US"), contacts(2))
    campaign.do_not_call("(212) 555-0111", "+12125550112")
    with pytest.raises(ConfigurationError, match=r"^number 2 of 3, '\(212\*+13': no telephone number.*; none of them was taken$"):
        campaign.do_not_call("+12125550114", "(212) 000-0113", "nobody")
    with pytest.raises(ConfigurationError, match=r"^number 1 of 1, '2125\*+12': no telephone number: it has no country code"):
        Campaign.make(tmp_path / "summer.db", "summer", Settings(rules=RULES), contacts(2), do_not_call=["2125550112"])
    with closing(sqlite3.connect(path)) as database, database:
        assert sorted(number for (number,) in database.execute("SELECT number FROM retell_do_not_call")) == ["+12125550111", "+12125550112"]


async def test_a_campaign_is_not_made_with_a_list_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="opt_outs: there is no folder"):
        Campaign.make(tmp_path / "a.db", "a", Settings(rules=RULES, opt_outs=str(tmp_path / "nowhere" / "list.txt")), contacts(1))
    (tmp_path / "list.txt").write_text("+12125550000\nnonsense\n")
    with pytest.raises(ConfigurationError, match="line 2"):
        Campaign.make(tmp_path / "b.db", "b", Settings(rules=RULES, opt_outs=str(tmp_path / "list.txt")), contacts(1))
    with pytest.raises(ConfigurationError, match="no telephone number"):
        Campaign.make(tmp_path / "c.db", "c", Settings(rules=RULES), contacts(1), do_not_call=["nonsense"])


@asynccontextmanager
async def account() -> AsyncGenerator[tuple[AsyncRetell, str]]:
    """An account whose every call ends with the wish for no more of them."""
    sandbox = Sandbox(SandboxSettings(outcomes={"user_requested_dnc": 1}), clock=RunningClock(speed=120))
    async with serve(sandbox) as served, AsyncRetell("key_1", base_url=served.url) as client:
        llm = await client.llm.create(general_prompt="You confirm appointments.")
        agent = await client.agent.create(response_engine={"type": "retell-llm", "llm_id": llm.llm_id}, voice_id="retell-Cimo")
        number = await client.phone_number.create(area_code=415, outbound_agents=[{"agent_id": agent.agent_id, "weight": 1}])
        yield client, number.phone_number


@pytest.mark.soak
async def test_the_end_of_a_run_waits_for_who_is_being_told(tmp_path: Path) -> None:
    told: list[str] = []

    async def callback(number: str) -> None:
        told.append(number)
        await anyio.sleep(10 if len(told) == 1 else 0)  # longer than the rest of the campaign takes

    async with account() as (client, number):
        settings = Settings(rules=Rules(numbers=[Number(number, per_second=20)]), live=1)
        state = await Campaign.make(tmp_path / "a.db", "a", settings, contacts(4)).run(client, on_opt_out=callback)
    assert (state.status, state.counts) == ("done", {"do_not_call": 4})
    assert sorted(told) == [contact.number for contact in contacts(4)]


@pytest.mark.soak
async def test_this_campaign_and_later_ones_of_the_list_do_not_call_them(tmp_path: Path) -> None:
    told: list[str] = []

    async def callback(number: str) -> None:
        told.append(number)

    async with account() as (client, number):
        rules = Rules(numbers=[Number(number, per_second=20)])
        settings = Settings(rules=rules, opt_outs=str(tmp_path / "list.txt"), live=1)
        twice = [attrs.evolve(contact, id=f"{contact.id}b") for contact in contacts(3)]
        state = await Campaign.make(tmp_path / "a.db", "a", settings, [*contacts(3), *twice]).run(client, on_opt_out=callback)
        assert (state.status, state.counts) == ("done", {"do_not_call": 6})
        numbers = [contact.number for contact in contacts(3)]
        assert sorted((tmp_path / "list.txt").read_text().split()) == sorted(told) == numbers
        state = await Campaign.make(tmp_path / "b.db", "b", settings, contacts(4)).run(client)
        assert state.counts == {"do_not_call": 4}
        assert len([call async for call in client.call.list(limit=100)]) == 4


async def test_what_gives_no_events_is_no_router(tmp_path: Path) -> None:
    campaign = Campaign.make(tmp_path / "campaign.db", "one", Settings(rules=RULES), ())
    wrong: Any = "router"
    with pytest.raises(ConfigurationError, match=r"router must be a webhooks\.Router, .*, not str"):
        await campaign.run(AsyncRetell("key"), router=wrong)
