"""From a contact to a request, and from what came of it to what is next."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

import attrs
import httpx
import pytest

from retell_async import AsyncRetell, Outcome, RateLimit
from retell_async.campaigns import Contact, Number, Rules, Settings, begin, dialled, settled
from retell_async.campaigns.calls import opted_out, request_of, result_of
from retell_async.campaigns.case import Result
from retell_async.raw.models import PhoneCallResponse

from ..engine.example import KEY

RULES = Rules(numbers=[Number("+14155550100")], callback="callback_at")
ANN = Contact(id="ann", number="+12125550111", zones=("America/New_York",), variables={"name": "Ann"}, metadata={"ticket": "17"})
MOMENT = datetime(2026, 11, 27, 20, tzinfo=UTC).timestamp()


def test_a_request_has_all_that_the_campaign_says() -> None:
    settings = Settings(rules=RULES, agent="agent_1", agent_version="latest")
    assert request_of(ANN, settings, "+14155550100", "spring-ann-1") == {
        "from_number": "+14155550100",
        "to_number": "+12125550111",
        "idempotency_key": "spring-ann-1",
        "metadata": {"ticket": "17", "retell_async_token": "spring-ann-1"},
        "honor_internal_dnc": True,
        "retell_llm_dynamic_variables": {"name": "Ann"},
        "override_agent_id": "agent_1",
        "override_agent_version": "latest",
    }
    bare = Contact(id="b", number="+12125550111", zones=("America/New_York",))
    assert request_of(bare, Settings(rules=RULES, honor_internal_dnc=False), "+14155550100", "spring-b-1").keys() == {
        "from_number",
        "to_number",
        "idempotency_key",
        "metadata",
    }


def ended(reason: str | None = "user_hangup", zones: tuple[str, ...] = ANN.zones, **fields: Any) -> Result | None:
    call = {
        "call_id": "call_1",
        "call_type": "phone_call",
        "call_status": "ended",
        "disconnection_reason": reason,
        "start_timestamp": 1,
        **fields,
    }
    outcome = Outcome(index=0, request={}, status="analyzed", call=PhoneCallResponse.from_dict(call))
    return result_of(outcome, RULES, Contact(id="a", number=ANN.number, zones=zones))


def test_the_end_of_a_call() -> None:
    assert ended() == Result("user_hangup", connected=True)
    assert ended("dial_busy", call_status="not_connected", start_timestamp=None) == Result("dial_busy")
    assert ended(None, call_status="error") == Result("error", connected=True)


@pytest.mark.parametrize(
    "fields",
    [
        {"call_analysis": {"custom_analysis_data": {"callback_at": "2026-11-27T15:00:00-05:00"}}},
        {"call_analysis": {"custom_analysis_data": {"callback_at": " 2026-11-27T15:00 "}}},
        {
            "call_analysis": {"custom_analysis_data": {"callback_at": None}},
            "collected_dynamic_variables": {"callback_at": "2026-11-27 15:00"},
        },
    ],
)
def test_a_call_may_ask_for_another(fields: dict[str, Any]) -> None:
    found = ended(**fields)
    assert found is not None
    assert found.callback == MOMENT


def test_a_time_of_nobody_knows_which_zone_has_come_in_all() -> None:
    found = ended(zones=("America/New_York", "America/Chicago"), collected_dynamic_variables={"callback_at": "2026-11-27T15:00"})
    assert found is not None
    assert found.callback == MOMENT + 3600


def test_a_time_that_is_none_calls_nobody_back(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "retell_async"):
        found = ended(collected_dynamic_variables={"callback_at": "tomorrow at three"})
    assert found == Result("user_hangup", connected=True)
    assert "call_1: callback_at is no time" in caplog.text
    assert ended(collected_dynamic_variables={"callback_at": ""}) == ended(collected_dynamic_variables={"callback_at": 5}) == found


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("status", "message", "result"),
    [
        (201, "", None),
        (400, "bad number", Result("not_placed", for_good=True, text="Error code: 400 - {'message': 'bad number'}")),
        (400, "Contact is marked do_not_call", Result("not_placed", opted_out=True)),
        (422, "no such agent", Result("not_placed", for_good=True, text="Error code: 422 - {'message': 'no such agent'}")),
        (501, "not here", Result("not_placed", text="Error code: 501 - {'message': 'not here'}")),
        (429, "slow down", Result("unavailable")),
        (503, "down", Result("unknown")),
    ],
)
async def test_what_the_api_answers(status: int, message: str, result: Result | None) -> None:
    answer = {"call_id": "call_1", "call_type": "phone_call", "call_status": "registered"} if status == 201 else {"message": message}
    transport = httpx.MockTransport(lambda _: httpx.Response(status, json=answer))
    request = request_of(ANN, Settings(rules=RULES), "+14155550100", "spring-ann-1")
    async with (
        AsyncRetell(
            KEY,
            max_retries=0,
            rate_limit=RateLimit(max_wait=0),
            http_client=httpx.AsyncClient(transport=transport),
            rate_limits={"call.create_phone_call": RateLimit(max_wait=0)},
        ) as client,
        client.dispatch([request, {**request, "to_number": object()}], until="placed", live=1, keep_free=None) as outcomes,
    ):
        found = {outcome.index: result_of(outcome, RULES, ANN) async for outcome in outcomes}
    assert found == {0: result, 1: Result("not_placed", for_good=True, text="to_number: object cannot be sent as JSON")}


def told(field: str = "no_more_calls", *, within: str = "call_analysis", value: Any = None, reason: str = "user_hangup") -> bool:
    given = {field: value}
    fields = {"call_analysis": {"custom_analysis_data": given}} if within == "call_analysis" else {within: given}
    call = {"call_id": "c", "call_type": "phone_call", "call_status": "ended", "disconnection_reason": reason, **fields}
    return opted_out(PhoneCallResponse.from_dict(call), attrs.evolve(RULES, opt_out="no_more_calls"))


@pytest.mark.parametrize("value", [True, "true", "Yes", "asked not to be called again", 1])
@pytest.mark.parametrize("within", ["call_analysis", "collected_dynamic_variables"])
def test_an_agent_leaves_that_somebody_wants_no_more_calls(value: Any, within: str) -> None:
    assert told(value=value, within=within)


@pytest.mark.parametrize("value", [None, False, "", " ", "false", "No", "N/A", "none", 0])
def test_an_agent_leaves_that_nobody_said_so(value: Any) -> None:
    assert not told(value=value)
    assert told(value=value, reason="user_requested_dnc")  # whatever the agent left


def test_another_field_says_nothing_and_without_its_name_none_does() -> None:
    assert not told("something_else", value=True)
    call = {
        "call_id": "c",
        "call_type": "phone_call",
        "call_status": "ended",
        "call_analysis": {"custom_analysis_data": {"no_more_calls": True}},
    }
    assert not opted_out(PhoneCallResponse.from_dict(call), RULES)


def test_who_opted_out_is_not_called_again() -> None:
    rules = attrs.evolve(RULES, opt_out="no_more_calls")
    call = PhoneCallResponse.from_dict(
        {
            "call_id": "call_1",
            "call_type": "phone_call",
            "call_status": "ended",
            "disconnection_reason": "user_hangup",
            "start_timestamp": 1,
            "call_analysis": {"custom_analysis_data": {"no_more_calls": True, "callback_at": "2026-11-27T15:00"}},
        }
    )
    result = result_of(Outcome(index=0, request={}, status="analyzed", call=call), rules, ANN)
    assert result is not None
    assert result.opted_out
    case = settled(dialled(begin(ANN, rules, MOMENT), MOMENT, "+14155550100"), rules, result, MOMENT + 60)
    assert case.end == "do_not_call"  # whatever else it says


@pytest.mark.parametrize("said", ["9999-12-31T23:59:59", "0001-01-01T00:00", "1970-01-01", "1969-12-31T23:00+00:00", "never"])
def test_a_callback_that_is_no_time_or_over_is_none(said: str) -> None:
    found = ended(end_timestamp=1_796_000_000_000, call_analysis={"custom_analysis_data": {"callback_at": said}})
    assert found is not None
    assert found.callback is None or found.callback > MOMENT


@pytest.mark.parametrize(
    "fields",
    [
        {"call_analysis": {"custom_analysis_data": ["x"]}},
        {"call_analysis": "x"},
        {"collected_dynamic_variables": "callback_at"},
        {"duration_ms": {}},
    ],
)
def test_what_an_agent_left_may_be_anything(fields: Any) -> None:
    assert ended(**fields) == Result("user_hangup", connected=True)


def test_a_reason_that_is_no_text_says_nothing() -> None:
    assert ended(reason=["x"]) == Result("ended", connected=True)  # type: ignore[arg-type]
