"""Which faults strike, decided without I/O."""

from __future__ import annotations

import json
from collections import Counter
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, get_args

import pytest

from retell_async._core.retry_after import retry_after_seconds
from retell_async.sandbox import Fault, Faults
from retell_async.sandbox.common.messages import Answer
from retell_async.sandbox.faults import FaultKind
from retell_async.sandbox.faults.active import RequestEffect
from retell_async.sandbox.faults.fingerprint import fingerprint
from retell_async.sandbox.faults.kinds import KINDS, ChangesDelivery
from retell_async.sandbox.faults.replies import Reply
from retell_async.sandbox.faults.unknown_values import FIELD, VALUE, with_unknown_field, with_unknown_value

NOW = 1_760_000_000.25


@pytest.mark.parametrize("kind", get_args(FaultKind))
def test_each_kind_does_something_and_is_in_the_reference(kind: FaultKind) -> None:
    assert isinstance(KINDS[kind], ChangesDelivery) is Fault(kind=kind).is_of_webhooks
    assert f"``{kind.removeprefix('webhook_')}``" in (Fault.__doc__ or "")


def test_no_kind_does_something_that_nobody_can_set() -> None:
    assert KINDS.keys() == {*get_args(FaultKind)}


def mark(number: int, **fields: object) -> bytes:
    body = {"to_number": f"+120155{number:05}", **fields}
    return fingerprint("POST", "/v2/create-phone-call", "", "application/json", json.dumps(body).encode())


def active(faults: Faults, numbers: list[int], **fields: object) -> set[int]:
    return {number for number in numbers if faults.effect_on_request("createPhoneCall", partial(mark, number, **fields), 0.0).end}


def some(**fields: Any) -> Faults:
    faults = Faults()
    faults.add(Fault(**fields))
    return faults


def test_the_same_requests_are_struck_in_every_run_whatever_their_order() -> None:
    numbers = list(range(2000))
    first = active(some(kind="error", probability=0.05, seed=1), numbers)
    assert 60 < len(first) < 140
    assert active(some(kind="error", probability=0.05, seed=1), numbers[::-1], idempotency_key="other", metadata={"t": 1}) == first
    assert active(some(kind="error", probability=0.05, seed=2), numbers) != first
    assert active(some(kind="reset", probability=0.05, seed=1), numbers) != first


def test_each_repeat_is_decided_anew() -> None:
    faults = some(kind="error", probability=0.5)
    fates = [faults.effect_on_request("createPhoneCall", lambda: mark(1), 0.0).end is None for _ in range(200)]
    assert 60 < sum(fates) < 140
    again = some(kind="error", probability=0.5)
    assert [again.effect_on_request("createPhoneCall", lambda: mark(1), 0.0).end is None for _ in range(200)] == fates


def test_nothing_is_looked_at_that_decides_nothing() -> None:
    def never() -> bytes:
        raise AssertionError

    assert Faults().effect_on_request("getCall", never, 0.0) == RequestEffect()
    faults = some(kind="error", operation="create*", times=2)
    assert [faults.effect_on_request(name, never, 0.0).names for name in ("getCall", "createAgent", "createWebCall", "createAgent")] == [
        (),
        ("error",),
        ("error",),
        (),
    ]
    (only,) = faults
    assert (only.count, only.is_over) == (2, True)


def test_what_of_a_request_decides() -> None:
    def of(query: str = "", content: bytes = b'{"a": 1}', kind: str = "application/json; charset=utf-8") -> bytes:
        return fingerprint("POST", "/x", query, kind, content)

    assert of("b=2&a=1&pagination_key=k") == of("a=1&b=2")
    assert of("a=1") != of("a=2")
    assert of(content=b'{"a":1, "idempotency_key": "x"}') == of()
    assert of(content=b"[1") != of(content=b"[2")
    assert of(kind="multipart/form-data; boundary=1", content=b"--1") == of(kind="multipart/form-data; boundary=2", content=b"--2")


def test_the_first_that_ends_a_request_does_and_the_rest_add_up() -> None:
    faults = Faults()
    for text in ("latency:seconds=2.0", "latency", "unknown_field", "reset", "error"):
        faults.add(Fault.parse(text))
    effect = faults.effect_on_request("getCall", lambda: b"", 0.0)
    assert (effect.delay, effect.names) == (3.0, ("latency", "latency", "unknown_field", "reset"))
    assert effect.end is not None
    assert effect.end.kind == "reset"
    assert [active.count for active in faults] == [1, 1, 1, 1, 0]
    faults.remove(4)
    assert faults.effect_on_request("getCall", lambda: b"", 0.0).names[-1] == "error"
    faults.clear()
    assert len(faults) == 0


@pytest.mark.parametrize(
    ("fields", "acted"),
    [
        ({"kind": "timeout"}, False),
        ({"kind": "timeout", "acted": True}, True),
        ({"kind": "error"}, False),
        ({"kind": "error", "acted": True}, True),
        ({"kind": "rate_limit", "acted": True}, False),
        ({"kind": "malformed"}, True),
        ({"kind": "truncated"}, True),
        ({"kind": "latency"}, True),
    ],
)
def test_what_is_carried_out(fields: dict[str, Any], acted: bool) -> None:
    assert some(**fields).effect_on_request("getCall", lambda: b"", 0.0).acted is acted


def test_a_rate_limit_lets_so_many_in_and_counts_no_refusal() -> None:
    faults = some(kind="rate_limit", requests=3, per=2.0)
    ends = [faults.effect_on_request("getCall", lambda: b"", now).end is None for now in (0.0, 0.1, 0.2, 0.3, 1.9, 2.0, 2.05, 2.1, 2.15)]
    assert ends == [True, True, True, False, False, True, False, True, False]


@pytest.mark.parametrize(
    ("fields", "waited"),
    [
        ({"retry_after": 1.5}, 2.0),
        ({"retry_after": 1.5, "form": "fraction"}, 1.5),
        ({"retry_after": 1.5, "form": "milliseconds"}, 1.5),
        ({"retry_after": 1.5, "form": "date"}, 1.75),
        ({"retry_after": None}, None),
    ],
)
def test_retry_after_in_every_form(fields: dict[str, Any], waited: float | None) -> None:
    reply = RequestEffect(end=Fault(kind="rate_limit", **fields)).reply_to(None, NOW)
    assert reply.status == 429
    assert json.loads(reply.content)["status"] == "error"
    assert retry_after_seconds(reply.headers, now=NOW) == waited
    if fields.get("form") == "date":
        assert parsedate_to_datetime(reply.headers["retry-after"]).timestamp() == 1_760_000_002


def test_how_answers_go_out() -> None:
    answer = Answer(201, {"call_id": "call_1", "call_status": "ongoing"})
    whole = RequestEffect().reply_to(answer, NOW)
    assert whole == Reply(201, b'{"call_id":"call_1","call_status":"ongoing"}', {"content-type": "application/json"})

    def under(kind: Any, answer: Answer | None = answer, **fields: Any) -> Reply:
        return RequestEffect(end=Fault(kind=kind, **fields)).reply_to(answer, NOW)

    assert under("timeout", None) == Reply(None, ending="silence", seconds=300.0)
    assert under("timeout", seconds=2.0).seconds == 2.0
    assert under("reset") == Reply(None, ending="reset")
    assert under("error", None, status=503).status == 503
    truncated, malformed = under("truncated"), under("malformed")
    assert (truncated.content, truncated.ending) == (whole.content, "truncated")
    assert (malformed.status, malformed.content, malformed.ending) == (201, whole.content[:22], "whole")
    for kind in ("truncated", "malformed"):
        assert under(kind, Answer(204)) == Reply(204)
    with pytest.raises(ValueError, match="not carried out"):
        RequestEffect().reply_to(None, NOW)


def test_unknown_values_and_fields_leave_the_store_as_it_is() -> None:
    body = {"items": [{"call_status": "ended", "call_type": "web_call", "metadata": {"call_type": "web_call"}, "call_id": "ended"}], "n": 1}
    before = json.dumps(body)
    changed = [with_unknown_value(body, number)["items"][0] for number in range(50)]
    assert Counter((item["call_status"], item["call_type"]) for item in changed).keys() == {(VALUE, "web_call"), ("ended", VALUE)}
    assert all(item["metadata"] == {"call_type": "web_call"} and item["call_id"] == "ended" for item in changed)
    grown = with_unknown_field(body)
    assert FIELD in grown
    assert FIELD in grown["items"][0]
    assert FIELD not in grown["items"][0]["metadata"]
    assert json.dumps(body) == before
    assert with_unknown_value({"metadata": {"call_type": "web_call"}}, 1) == {"metadata": {"call_type": "web_call"}}
    assert (with_unknown_field(None), with_unknown_field(["a"])) == (None, ["a"])


def test_faults_of_webhooks_go_by_event() -> None:
    faults = Faults()
    assert faults.effect_on_delivery("call_ended", "call_1").copies == 1
    faults.add(Fault(kind="webhook_duplicate", operation="call_*"))
    faults.add(Fault(kind="webhook_late", operation="call_ended"))
    assert faults.effect_on_request("createPhoneCall", lambda: b"", 0.0) == RequestEffect()
    assert (faults.effect_on_delivery("call_ended", "call_1").copies, faults.effect_on_delivery("call_ended", "call_1").delay) == (2, 30.0)
    assert (faults.effect_on_delivery("chat_ended", "chat_1").copies, faults.effect_on_delivery("call_started", "call_1").delay) == (1, 0.0)
    faults.add(Fault(kind="webhook_lost", probability=0.5))
    lost = [faults.effect_on_delivery("call_ended", f"call_{number}").copies == 0 for number in range(100)]
    assert 25 < sum(lost) < 75


def test_faults_from_a_command_line_and_from_json() -> None:
    fault = Fault.parse("rate_limit:operation=create*,probability=0.05,seed=7,form=date,requests=50,retry_after=null,acted=true")
    assert fault == Fault(
        kind="rate_limit", operation="create*", probability=0.05, seed=7, form="date", requests=50, retry_after=None, acted=True
    )
    assert Fault.from_dict(fault.to_dict()) == fault
    assert Fault.parse("reset").to_dict() == {"kind": "reset"}


@pytest.mark.parametrize(
    "text",
    [
        "", "crash", "error:status=200", "error:status=true", "error:probability=1.1", "error:probability=-1", "error:probability=NaN",
        "error:probability=often", "error:color=red", "error:status", "latency:seconds=-1", "latency:seconds=1e400", "error:times=0",
        "error:seed=0.5", "rate_limit:form=weeks", "rate_limit:requests=0", "rate_limit:per=0", "timeout:acted=1",
    ],
)  # fmt: skip
def test_faults_that_make_no_sense(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be|no |not |kind"):
        Fault.parse(text)
    with pytest.raises(ValueError, match="operation must be a text"):
        Fault.from_dict({"kind": "reset", "operation": 1})
