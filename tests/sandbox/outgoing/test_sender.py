"""What goes out: webhooks, custom functions and inbound requests, to endpoints in the same process."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import anyio
import pytest
from starlette.responses import JSONResponse, PlainTextResponse, Response

from retell_async.sandbox import Settings, SteppedClock
from retell_async.sandbox.outgoing.sender import Sender

from ..checked import Api, Json
from ..endpoints import KEY, Endpoints

pytestmark = [pytest.mark.anyio, pytest.mark.parallel]

HOOK = "http://user.example/hook"
TALKS = {"user_hangup": 1.0}
DEFAULT = ["call_started", "call_ended", "call_analyzed"]


def account(outcomes: dict[str, float] | None = None, **settings: Any) -> Api:
    return Api(Settings(outcomes=outcomes or TALKS, webhook_key=KEY, **settings))


def number(api: Api, llm: Json | None = None, **agent: Any) -> str:
    engine = {"type": "retell-llm", "llm_id": api.llm(**llm or {})}
    agent_id = api.agent(response_engine=engine, **agent)
    agents = [{"agent_id": agent_id, "weight": 1}]
    made = api.post("/create-phone-number", {"outbound_agents": agents, "inbound_agents": agents})
    return str(made["phone_number"])


async def test_a_call_tells_of_itself_in_order_and_once() -> None:
    api, user = account(), Endpoints()
    call_id = api.call(number(api, webhook_url=HOOK), metadata={"job": 7})["call_id"]
    outgoing = Sender(api.sandbox, user.transport)
    await outgoing.advance(0.1)
    assert user.events() == []
    await outgoing.advance(600)
    assert user.events(call_id) == DEFAULT
    started, ended, analyzed = (body["call"] for body in user.bodies)
    assert (started["call_status"], started["metadata"]) == ("ongoing", {"job": 7})
    assert "transcript" not in started
    assert "call_analysis" not in ended
    assert analyzed == api.get(f"/v2/get-call/{call_id}")
    assert ended == {name: value for name, value in analyzed.items() if name != "call_analysis"}
    await outgoing.advance(3_600)
    assert len(user.received) == 3
    assert (user.refused, api.sandbox.outbox.pending) == (0, 0)


async def test_a_call_that_reaches_nobody_was_never_started() -> None:
    api, user = account({"dial_busy": 1}), Endpoints()
    api.call(number(api, webhook_url=HOOK))
    await Sender(api.sandbox, user.transport).advance(600)
    assert user.events() == ["call_ended", "call_analyzed"]


async def test_an_endpoints_cookies_are_not_kept() -> None:
    api, user = account(), Endpoints(lambda *_: Response(status_code=204, headers={"set-cookie": "session=first; Path=/"}))
    own = number(api, webhook_url=HOOK)
    for caller in ("+12015550100", "+12015550101"):
        api.call(own, caller)
    await Sender(api.sandbox, user.transport).advance(600)
    assert len(user.received) == 6
    assert user.cookies == []


async def test_who_hears_of_what() -> None:
    api, user = account(webhook_url=f"{HOOK}/account?of={{{{customer}}}}"), Endpoints()
    api.call(number(api), retell_llm_dynamic_variables={"customer": "Ada"})
    api.call(number(api, webhook_url=f"{HOOK}/agent", webhook_events=["call_ended"]), "+12015550101")
    api.call(number(api, webhook_url=f"{HOOK}/agent", webhook_events=[]), "+12015550102")
    override = {"agent_override": {"agent": {"webhook_url": f"{HOOK}/call", "webhook_events": ["call_started"]}}}
    api.call(number(api), "+12015550103", **override)
    await Sender(api.sandbox, user.transport).advance(600)
    heard = sorted((path, (body or {})["event"]) for _, path, body, _ in user.received)
    account_events = [("/hook/account", event) for event in sorted(DEFAULT)]
    assert heard == [*account_events, ("/hook/agent", "call_ended"), ("/hook/call", "call_started")]
    assert {query["of"] for _, path, _, query in user.received if path == "/hook/account"} == {"Ada"}


async def test_what_fails_is_tried_again_and_holds_nothing_back() -> None:
    def answering(body: Json | None, _: int) -> Response:
        return Response(status_code=500 if body is not None and body["event"] == "call_started" else 204)

    api, user = account(), Endpoints(answering)
    api.call(number(api, webhook_url=HOOK))
    await Sender(api.sandbox, user.transport).advance(600)
    assert user.events() == ["call_started"] * 4 + ["call_ended", "call_analyzed"]
    failed, *others = api.sandbox.outbox.log
    assert (failed.name, failed.state, [attempt.result.status for attempt in failed.attempts]) == ("call_started", "failed", [500] * 4)
    moments = [attempt.at for attempt in failed.attempts]
    assert [after - before for before, after in pairwise(moments)] == [1_000, 2_000, 4_000]
    assert {delivery.state for delivery in others} == {"delivered"}


async def test_a_slow_endpoint_is_not_waited_for_beyond_the_agents_time_out() -> None:
    async def answer(seconds: float) -> Response:
        await anyio.sleep(seconds)
        return Response(status_code=204)

    api, user = account(), Endpoints(lambda body, before: answer(5 if before == 0 else 0))
    api.call(number(api, webhook_url=HOOK, webhook_timeout_ms=50))
    await Sender(api.sandbox, user.transport).advance(600)
    assert user.events() == ["call_started", "call_started", "call_ended", "call_analyzed"]
    assert api.sandbox.outbox.log[0].attempts[0].result.problem == "no answer within 0.05 s"


@pytest.mark.soak
async def test_nobody_listens_at_the_address() -> None:
    api = account()
    for url in ("http://127.0.0.1:9/hook", "no address", "http://[", f"http://{'a' * 70}.example", "http://127.0.0.1:99999"):
        api.call(number(api, webhook_url=url, webhook_events=["call_ended"]))
    await Sender(api.sandbox).advance(600)
    outbox = api.sandbox.outbox.log
    assert [(delivery.state, len(delivery.attempts)) for delivery in outbox] == [("failed", 4)] * 5
    assert {"ConnectError", "UnsupportedProtocol"} <= {attempt.result.problem for delivery in outbox for attempt in delivery.attempts}


async def test_transcripts_grow_and_the_last_one_is_whole() -> None:
    api, user = account(), Endpoints()
    call_id = api.call(number(api, webhook_url=HOOK, webhook_events=["transcript_updated"]))["call_id"]
    await Sender(api.sandbox, user.transport).advance(600)
    transcripts = [body["call"]["transcript"] for body in user.bodies]
    assert all(after.startswith(before) for before, after in pairwise(transcripts))
    call = api.get(f"/v2/get-call/{call_id}")
    assert transcripts[-1] == call["transcript"]
    assert len(transcripts) == len(call["transcript_object"]) + 1
    assert user.bodies[-1]["transcript_with_tool_calls"] == call["transcript_with_tool_calls"]


@pytest.mark.parametrize("also", [(), ("transcript_updated",)])
async def test_a_transfer(also: tuple[str, ...]) -> None:
    api, user = account({"call_transfer": 1}), Endpoints()
    tool = {
        "type": "transfer_call",
        "name": "to_reception",
        "transfer_destination": {"type": "predefined", "number": "+12015550150"},
        "transfer_option": {"type": "cold_transfer"},
    }
    events = ["transfer_started", "transfer_bridged", "transfer_cancelled", "transfer_ended", "call_ended", *also]
    call_id = api.call(number(api, {"general_tools": [tool]}, webhook_url=HOOK, webhook_events=events))["call_id"]
    await Sender(api.sandbox, user.transport).advance(900)
    told = [body for body in user.bodies if body["event"] not in also]
    assert [body["event"] for body in told] == ["transfer_started", "transfer_bridged", "call_ended", "transfer_ended"]
    assert told[0]["transfer_destination"] == {"number": "+12015550150"}
    call = api.get(f"/v2/get-call/{call_id}")
    assert call["transfer_destination"] == "+12015550150"
    assert call["transfer_end_timestamp"] > call["end_timestamp"]


async def test_a_stopped_call_ends_at_once() -> None:
    api, user = account(), Endpoints()
    call_id = api.call(number(api, webhook_url=HOOK))["call_id"]
    outgoing = Sender(api.sandbox, user.transport)
    while not user.received:
        await outgoing.advance(1)
    api.post(f"/v2/stop-call/{call_id}")
    await outgoing.settle()
    assert user.events() == ["call_started", "call_ended"]
    assert user.bodies[-1]["call"]["disconnection_reason"] == "manual_stopped"
    await outgoing.advance(600)
    assert user.events() == DEFAULT


async def test_nothing_is_told_of_a_call_that_was_deleted() -> None:
    api, user = account(), Endpoints()
    call_id = api.call(number(api, webhook_url=HOOK))["call_id"]
    api.delete(f"/v2/delete-call/{call_id}")
    await Sender(api.sandbox, user.transport).advance(600)
    assert user.received == []


async def test_a_chat_tells_of_itself() -> None:
    api, user = account(webhook_url=HOOK), Endpoints()
    engine = {"type": "retell-llm", "llm_id": api.llm(begin_message="Good day.")}
    events = ["chat_started", "transcript_updated", "chat_ended", "chat_analyzed"]
    agent_id = api.post("/create-chat-agent", {"response_engine": engine, "webhook_events": events})["agent_id"]
    chat_id = api.post("/create-chat", {"agent_id": agent_id})["chat_id"]
    outgoing = Sender(api.sandbox, user.transport)
    await outgoing.advance(1)
    assert user.events(chat_id) == ["chat_started", "transcript_updated"]
    api.post("/create-chat-completion", {"chat_id": chat_id, "content": "Are you open?"})
    await outgoing.advance(1)
    assert user.events()[2:] == ["transcript_updated", "transcript_updated"]
    api.patch(f"/end-chat/{chat_id}", None)
    await outgoing.advance(60)
    assert user.events()[4:] == ["chat_ended", "chat_analyzed"]
    assert user.bodies[-1]["chat"]["chat_analysis"]["user_sentiment"]
    assert "chat_analysis" not in user.bodies[-2]["chat"]


TOOL: Json = {
    "type": "custom",
    "name": "lookup_order",
    "url": "http://user.example/lookup/{{shop}}",
    "headers": {"x-extra": "{{ shop }}"},
    "query_params": {"of": "{{user_number}}"},
    "parameters": {
        "type": "object",
        "properties": {"order_id": {"type": "string", "description": "The order."}, "kind": {"type": "string", "const": "{{shop}}"}},
    },
    "response_variables": {"status": "orders[0].status", "absent": "orders[1].status"},
}
VARIABLES = {"shop": "north", "order_id": "A7"}


async def test_a_custom_function_in_the_middle_of_a_call() -> None:
    api, user = account(), Endpoints(lambda *_: JSONResponse({"orders": [{"status": "on its way"}]}))
    from_number = number(api, {"general_tools": [TOOL], "default_dynamic_variables": {"shop": "south"}})
    call_id = api.call(from_number, retell_llm_dynamic_variables=VARIABLES)["call_id"]
    await Sender(api.sandbox, user.transport).advance(600)
    ((method, path, body, query),) = user.received
    assert (method, path, query) == ("POST", "/lookup/north", {"of": "+12015550100", "x-extra": "north"})
    assert body is not None
    assert (body["name"], body["args"]) == ("lookup_order", {"order_id": "A7", "kind": "north"})
    assert body["call"]["call_status"] == "ongoing"
    assert body["call"]["transcript_with_tool_calls"][-1]["name"] == "lookup_order"

    call = api.get(f"/v2/get-call/{call_id}")
    place = [item["role"] for item in call["transcript_with_tool_calls"]].index("tool_call_invocation")
    said, invocation, result, answer = call["transcript_with_tool_calls"][place - 1 : place + 3]
    assert (said["role"], answer["role"]) == ("user", "agent")
    assert invocation["arguments"] == '{"order_id": "A7", "kind": "north"}'
    assert (result["tool_call_id"], result["successful"]) == (invocation["tool_call_id"], True)
    assert result["content"] == '{"orders":[{"status":"on its way"}]}'
    assert call["collected_dynamic_variables"] == {"status": "on its way"}


async def test_a_call_waits_for_a_slow_function_and_nothing_is_said_meanwhile() -> None:
    api, user = account(), Endpoints(lambda _, before: PlainTextResponse("busy", 503) if before < 2 else PlainTextResponse("done"))
    plain, slow = number(api), number(api, {"general_tools": [TOOL | {"max_retry": 2}]})
    outgoing = Sender(api.sandbox, user.transport)
    call_id = api.call(slow, retell_llm_dynamic_variables=VARIABLES)["call_id"]
    await outgoing.advance(600)
    call = api.get(f"/v2/get-call/{call_id}")
    twin = Api(Settings(outcomes=TALKS, webhook_key=KEY))
    quick = number(twin), number(twin, {"general_tools": []})
    assert quick == (plain, slow)
    other = twin.call(slow, retell_llm_dynamic_variables=VARIABLES)["call_id"]
    twin.clock.advance(600)
    assert call["duration_ms"] == twin.get(f"/v2/get-call/{other}")["duration_ms"] + 3_000
    assert len(user.received) == 3
    assert [item["content"] for item in call["transcript_with_tool_calls"] if item["role"] == "tool_call_result"] == ["done"]
    words = [word for utterance in call["transcript_object"] for word in utterance["words"]]
    assert max(after["start"] - before["end"] for before, after in pairwise(words)) > 3


@pytest.mark.parametrize(
    ("tool", "answer", "content"),
    [
        ({"method": "GET"}, PlainTextResponse("18 degrees"), "18 degrees"),
        ({"args_at_root": True}, PlainTextResponse("no such order", 404), "HTTP status 404: no such order"),
        ({}, PlainTextResponse("x" * 20_000), "x" * 15_000),
    ],
)
async def test_requests_and_results_of_functions(tool: Json, answer: Response, content: str) -> None:
    api, user = account(), Endpoints(lambda *_: answer)
    call_id = api.call(number(api, {"general_tools": [TOOL | tool]}), retell_llm_dynamic_variables=VARIABLES)["call_id"]
    await Sender(api.sandbox, user.transport).advance(600)
    ((method, _, body, _),) = user.received
    assert method == tool.get("method", "POST")
    if "args_at_root" in tool:
        assert body == {"order_id": "A7", "kind": "north"}
    results = [item for item in api.get(f"/v2/get-call/{call_id}")["transcript_with_tool_calls"] if item["role"] == "tool_call_result"]
    assert [(item["content"], item["successful"]) for item in results] == [(content, answer.status_code == 200)]


async def test_a_call_that_is_stopped_while_a_function_is_under_way() -> None:
    api, user = account(), Endpoints()
    call_id = api.call(number(api, {"general_tools": [TOOL]}, webhook_url=HOOK), retell_llm_dynamic_variables=VARIABLES)["call_id"]

    def answering(body: Json | None, _: int) -> Response:
        if body is not None and "args" in body:
            api.post(f"/v2/stop-call/{call_id}")
        return Response(status_code=204)

    user.answering = answering
    await Sender(api.sandbox, user.transport).advance(600)
    call = api.get(f"/v2/get-call/{call_id}")
    assert call["disconnection_reason"] == "manual_stopped"
    assert call["transcript_with_tool_calls"][-1]["role"] == "tool_call_invocation"
    assert user.events() == DEFAULT


async def test_a_call_is_taken_over_and_one_is_told_something() -> None:
    api, user = account(), Endpoints()
    call_id = api.call(number(api, webhook_url=HOOK))["call_id"]
    outgoing = Sender(api.sandbox, user.transport)
    while not user.received:
        await outgoing.advance(5)
    live = {"call_control": {"additional_context": "The place on Thursday is gone.", "trigger_response": True}}
    before = api.get(f"/v2/get-call/{call_id}")["transcript_object"]
    api.patch(f"/v2/update-live-call/{call_id}", live)
    await outgoing.advance(12)
    items = api.get(f"/v2/get-call/{call_id}")["transcript_with_tool_calls"]
    assert [item["content"] for item in items if item["role"] == "injected"] == ["The place on Thursday is gone."]
    prompted = [item for item in items if item["content"].startswith("Thank you for waiting.")]
    assert [item["role"] for item in prompted] == ["agent"]
    assert len(items) > len(before) + 1
    starts = [utterance["words"][0]["start"] for utterance in items if "words" in utterance]
    assert starts == sorted(starts)

    listener = api.post(f"/v2/listen-live-call/{call_id}")
    api.post(f"/v2/take-over-live-call/{call_id}", {"participant_id": listener["participant_id"]})
    await outgoing.advance(60)
    assert user.bodies[-1]["call"]["disconnection_reason"] == "call_take_over"
    assert user.events() == DEFAULT


CALLER = "+12015550177"


async def test_an_inbound_call_is_decided_by_the_numbers_webhook() -> None:
    answer = {"call_inbound": {"dynamic_variables": {"customer": "Ann"}, "metadata": {"crm": "77"}}}
    api, user = account(), Endpoints(lambda *_: JSONResponse(answer))
    called = number(api, {"begin_message": "Hello {{customer}}, account {{account}}."})
    api.patch(f"/update-phone-number/{called}", {"inbound_webhook_url": HOOK})
    contact = api.sandbox.ring(CALLER, called, {"X-Account": "42"})
    assert not contact.over
    await Sender(api.sandbox, user.transport).advance(600)
    (asked,) = user.bodies
    assert asked["event"] == "call_inbound"
    assert asked["call_inbound"]["custom_sip_headers"] == {"x-account": "42"}
    assert (asked["call_inbound"]["from_number"], asked["call_inbound"]["to_number"]) == (CALLER, called)
    assert asked["call_inbound"]["agent_id"].startswith("agent_")
    call = api.get(f"/v2/get-call/{contact.call_id}")
    assert (call["direction"], call["from_number"], call["metadata"]) == ("inbound", CALLER, {"crm": "77"})
    assert call["transcript"].startswith("Agent: Hello Ann, account 42.")
    assert call["disconnection_reason"] == "user_hangup"


@pytest.mark.parametrize(
    ("answer", "taken"),
    [
        (JSONResponse({"call_inbound": {"reject": True}}), False),
        (JSONResponse({"call_inbound": {"reject": "true"}}), True),
        (JSONResponse({"call_inbound": {"reject": True, "dynamic_variables": {"n": 1}}}), True),
        (JSONResponse({"call_inbound": {"override_agent_id": "agent_of_nobody"}}), False),
        (JSONResponse({}), True),
        (JSONResponse([]), True),
        (PlainTextResponse("yes"), True),
        (Response(status_code=500), True),
    ],
)
async def test_answers_to_an_inbound_call(answer: Response, taken: bool) -> None:
    api, user = account(), Endpoints(lambda *_: answer)
    called = number(api)
    api.patch(f"/update-phone-number/{called}", {"inbound_webhook_url": HOOK})
    contact = api.sandbox.ring(CALLER, called)
    await Sender(api.sandbox, user.transport).advance(30)
    assert contact.over
    assert (contact.call_id is not None) == taken
    assert len(user.received) == (4 if answer.status_code == 500 else 1)


async def test_an_inbound_call_without_a_webhook_or_an_agent() -> None:
    api = account()
    called = number(api)
    taken = api.sandbox.ring(CALLER, called)
    assert api.get(f"/v2/get-call/{taken.call_id}")["call_status"] == "registered"
    api.patch(f"/update-phone-number/{called}", {"inbound_agents": None})
    nobody = api.sandbox.ring(CALLER, called)
    assert (nobody.over, nobody.call_id) == (True, None)
    with pytest.raises(ValueError, match="none of the account's"):
        api.sandbox.ring(CALLER, "+12015559999")


@pytest.mark.parametrize("fallback", ["+12015550188", None])
async def test_a_caller_waits_for_a_slot_and_is_sent_away(fallback: str | None) -> None:
    api = account(concurrency_limit=1)
    called = number(api)
    api.patch(f"/update-phone-number/{called}", {"fallback_number": fallback})
    outgoing = Sender(api.sandbox)
    first = api.call(called)["call_id"]
    lucky, unlucky = api.sandbox.ring(CALLER, called), api.sandbox.ring("+12015550178", called)
    await outgoing.advance(20)
    assert not lucky.over
    assert not unlucky.over
    api.post(f"/v2/stop-call/{first}")
    await outgoing.advance(2)
    assert api.get(f"/v2/get-call/{lucky.call_id}")["call_status"] in {"registered", "ongoing"}
    assert not unlucky.over
    await outgoing.advance(20)
    reason = "concurrency_limit_reached" if fallback is None else "no_concurrency_fallback"
    call = api.get(f"/v2/get-call/{unlucky.call_id}")
    assert (call["call_status"], call["disconnection_reason"]) == ("error", reason)
    assert "start_timestamp" not in call


async def test_an_inbound_text_message() -> None:
    api, user = account(), Endpoints(lambda *_: JSONResponse({"chat_inbound": {"metadata": {"crm": "77"}}}))
    engine = {"type": "retell-llm", "llm_id": api.llm()}
    agents = [{"agent_id": api.post("/create-chat-agent", {"response_engine": engine})["agent_id"], "weight": 1}]
    written = number(api)
    api.patch(f"/update-phone-number/{written}", {"inbound_sms_agents": agents, "inbound_sms_webhook_url": HOOK})
    waiting = api.sandbox.write(CALLER, written, "Are you open?")
    await Sender(api.sandbox, user.transport).advance(1)
    assert user.bodies[0]["chat_inbound"]["from_number"] == CALLER
    chat = api.get(f"/get-chat/{waiting.chat_id}")
    assert (chat["chat_type"], chat["metadata"]) == ("sms_chat", {"crm": "77"})
    assert chat["message_with_tool_calls"][0]["content"] == "Are you open?"


@pytest.mark.soak
async def test_many_calls_at_once_on_a_clock_that_runs() -> None:
    from retell_async.sandbox import RunningClock, Sandbox

    api, user = account(), Endpoints()
    api.sandbox = Sandbox(Settings(seed=3, webhook_key=KEY), RunningClock(2_000))
    from_number = number(api, webhook_url=HOOK)
    calls = [api.call(from_number, f"+1201555{line:04}")["call_id"] for line in range(100, 300)]
    outgoing = Sender(api.sandbox, user.transport)
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(outgoing.run)
            await user.until(lambda: user.events().count("call_analyzed") == len(calls))
            tasks.cancel_scope.cancel()
    assert set(user.counts().values()) == {1}
    for call_id in calls:
        assert user.events(call_id) in (DEFAULT, DEFAULT[1:])


async def test_a_clock_that_runs_cannot_be_moved() -> None:
    from retell_async.sandbox import RunningClock, Sandbox

    with pytest.raises(TypeError, match="runs by itself"):
        await Sender(Sandbox(clock=RunningClock())).advance(1)


async def test_what_is_due_comes_first_when_time_is_moved_by_hand() -> None:
    api, user = account(), Endpoints()
    assert isinstance(api.clock, SteppedClock)
    api.call(number(api, webhook_url=HOOK))
    outgoing = Sender(api.sandbox, user.transport)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(outgoing.run)
        await anyio.wait_all_tasks_blocked()
        api.clock.advance(600)
        await outgoing.settle()
        tasks.cancel_scope.cancel()
    assert user.events() == DEFAULT
