"""What comes from outside may be anything: the sandbox takes it for what it is and goes on."""

from __future__ import annotations

import json
from functools import cache, partial
from importlib import resources
from typing import Any

import anyio
import httpx
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from retell_async.sandbox import Settings
from retell_async.sandbox.common.untrusted import parse_json
from retell_async.sandbox.outgoing.llm_session import Session
from retell_async.sandbox.outgoing.outbox import AttemptResult
from retell_async.sandbox.outgoing.sender import Sender
from retell_async.sandbox.simulation.lifecycle import CallProfile, plan_call
from retell_async.sandbox.simulation.outcomes import Outcomes

from ...needed import path_of
from ..checked import Api, Json
from ..endpoints import KEY

HOOK = "http://user.example/hook"
CALLER = "+12015550177"
TOOL: Json = {
    "type": "custom",
    "name": "look_up",
    "url": "http://user.example/tool",
    "response_variables": {"first": "orders[0].status", "all": "orders", "other": "a.b[3].c"},
}
FUZZ = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])

TEXTS = st.one_of(st.text(), st.sampled_from(["\ud83d", "{{call_id}}", "{{", "http://[", "\x00", "+12015550100", "é" * 300]))
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.sampled_from([-1, 0, 10**30, 1e308, -0.0, 2**63]), st.floats(), TEXTS)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)), max_leaves=12
)
ODD = st.sampled_from(
    [
        b"",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
        b"NaN",
        b'{"call_inbound": {"metadata": {"a": NaN}}}',
        b"1" * 9_000,
    ]
)


@cache
def schema(name: str) -> Json:
    schemas: Json = json.loads(resources.files("retell_async.raw").joinpath("openapi.json").read_bytes())["components"]["schemas"]
    return dict(schemas[name])


@st.composite
def shaped(draw: st.DrawFn, fields: Json, least: int = 0) -> Json:
    """Objects with some of these fields, and anything in them; mostly what may stand there."""
    names = draw(st.lists(st.sampled_from(sorted(fields)), unique=True, min_size=least, max_size=5)) if fields else []
    return {name: draw(meant(fields[name]) if draw(st.integers(0, 9)) else VALUES) for name in names}


@st.composite
def meant(draw: st.DrawFn, field: Json) -> Any:
    while "$ref" in field:
        field = schema(field["$ref"].rpartition("/")[2])
    alternatives = [*field.get("oneOf", ()), *field.get("anyOf", ())]
    if field.get("nullable") and draw(st.booleans()):
        return None
    if "enum" in field:
        return draw(st.sampled_from(field["enum"]))
    if alternatives:
        return draw(meant(draw(st.sampled_from(alternatives))))
    match field.get("type"):
        case "object":
            given = draw(shaped(field.get("properties", {})))
            return given | {name: draw(meant(field["properties"][name])) for name in field.get("required", ()) if name not in given}
        case "array":
            return [draw(meant(field["items"])) for _ in range(draw(st.integers(0, 2)))]
        case "boolean":
            return draw(st.booleans())
        case "integer" | "number":
            return draw(st.one_of(st.integers(field.get("minimum", -5), 10**9), st.just(field.get("maximum", 10**40))))
        case "string":
            return draw(TEXTS)
        case _:
            return draw(VALUES)


@cache
def account() -> tuple[Api, str, str]:
    """An account that is asked again and again, with a number, and one that asks the user's endpoint."""
    api = Api(Settings(outcomes={"user_hangup": 1}, webhook_key=KEY, concurrency_limit=100_000))
    engine = {"type": "retell-llm", "llm_id": api.llm(general_tools=[TOOL])}
    agents = [{"agent_id": api.agent(response_engine=engine), "weight": 1}]
    fields = {"inbound_agents": agents, "outbound_agents": agents, "inbound_sms_agents": [{"agent_id": chat_agent(api), "weight": 1}]}
    plain = api.post("/create-phone-number", fields)["phone_number"]
    asking = api.post("/create-phone-number", {"inbound_webhook_url": HOOK, "inbound_sms_webhook_url": HOOK, **fields})["phone_number"]
    return api, plain, asking


def chat_agent(api: Api) -> str:
    return str(api.post("/create-chat-agent", {"response_engine": {"type": "retell-llm", "llm_id": api.llm()}})["agent_id"])


def answered(api: Api, content: bytes, status: int = 200) -> None:
    """Give an answer to all that waits for one."""
    for delivery in list(api.sandbox.outbox.waiting.values()):
        delivery.make_request()
        api.sandbox.attempted(delivery.id, AttemptResult(status, content if delivery.reads_content else b""))


def lives(api: Api, id: str | None) -> None:
    """All that can be seen of a call or chat can be sent, now and when it is over."""
    ask = partial(api.sandbox.answer, authorization="Bearer key", content_type="application/json")
    for _ in range(2):
        for method, path in (
            ("GET", f"/v2/get-call/{id}"),
            ("GET", f"/get-chat/{id}"),
            ("POST", "/v3/list-calls"),
            ("POST", "/v3/list-chats"),
        ):
            answer = ask(method, path, content=b'{"limit": 2}')
            assert answer.status < 500
            json.dumps(answer.body, allow_nan=False)
        api.clock.advance(7_200)
        for _ in range(6):
            answered(api, b"{}")


INBOUND = st.one_of(
    shaped(
        {
            "override_agent_id": {"type": "string"},
            "override_agent_version": {"type": "integer"},
            "dynamic_variables": {"type": "object"},
            "metadata": {"type": "object"},
            "reject": {"enum": [False, "true", 1, None]},
            "agent_override": schema("AgentOverrideRequest"),
        }
    ),
    VALUES,
)


@FUZZ
@given(INBOUND, st.booleans())
def test_any_answer_about_a_call_that_comes_in(answer: Any, sms: bool) -> None:
    api, _, number = account()
    waiting = api.sandbox.write(CALLER, number, "hello") if sms else api.sandbox.ring(CALLER, number, {"X-Account": "\udc00"})
    kind = "chat_inbound" if sms else "call_inbound"
    answered(api, json.dumps({kind: answer}).encode())
    assert waiting.over
    lives(api, waiting.call_id or waiting.chat_id)


@FUZZ
@given(
    st.one_of(ODD, VALUES.map(lambda value: json.dumps(value).encode()), st.binary()), st.sampled_from([200, 204, 299, 302, 404, 500, 599])
)
def test_any_answer_of_a_function(content: bytes, status: int) -> None:
    api, number, _ = account()
    call_id = api.sandbox.store.calls.get(place(api, number)["call_id"])
    assert call_id is not None
    for _ in range(4):
        api.clock.advance(60)
        api.get("/get-concurrency")
        answered(api, content, status)
    lives(api, call_id.id)


def place(api: Api, number: str, **fields: Any) -> Json:
    return api.call(number, "+12015550100", **fields)


@FUZZ
@given(ODD)
def test_what_is_no_json_that_could_be_meant(content: bytes) -> None:
    with pytest.raises(ValueError):
        parse_json(content)
    api, _, number = account()
    status = api.sandbox.answer(
        "POST", "/create-retell-llm", authorization="Bearer k", content_type="application/json", content=content
    ).status
    assert status in {201, 400}
    waiting = api.sandbox.ring(CALLER, number)
    answered(api, content)
    assert waiting.call_id is not None


FRAMES = st.one_of(
    shaped(
        {
            "response_type": {"enum": ["response", "config", "ping_pong", "update_agent", "agent_interrupt", "tool_call_invocation"]},
            "response_id": {"type": "integer"},
            "interrupt_id": {"type": "integer"},
            "content": {"type": "string"},
            "content_complete": {"type": "boolean"},
            "end_call": {"type": "boolean"},
            "transfer_number": {"type": "string"},
            "digit_to_press": {"type": "string"},
            "config": {"type": "object", "properties": {"auto_reconnect": {"type": "boolean"}, "call_details": {"type": "boolean"}}},
            "agent_config": {
                "type": "object",
                "properties": {"reminder_trigger_ms": {"type": "number"}, "reminder_max_count": {"type": "number"}},
            },
            "timestamp": {"type": "integer"},
            "tool_call_id": {"type": "string"},
            "name": {"type": "string"},
            "arguments": {"type": "string"},
        },
        3,
    ).map(json.dumps),
    VALUES.map(json.dumps),
    ODD.map(lambda content: content.decode("latin-1")),
    st.text(),
    st.just(None),
)


@FUZZ
@given(st.lists(FRAMES, max_size=40), st.sampled_from(["user_hangup", "inactivity", "agent_hangup"]), st.integers(0, 5))
def test_any_conversation_of_a_custom_llm(frames: list[str | None], reason: str, seed: int) -> None:
    plan = plan_call(seed, "phone_call", 1_760_000_000_000, Outcomes.of({reason: 1}), CallProfile())
    ended: list[str] = []
    assert plan.start is not None
    now = plan.start
    session = Session(url="ws://llm", plan=plan, speed=lambda: 1.0, details=lambda: {"call_id": "call_1"}, finished=ended.append)
    session.opened(now)
    for frame in frames:
        if frame is not None:
            session.received(frame, now)
        elif session.deadline is not None:
            now = max(now, session.deadline)
            session.time_passed(now)
        while session.frames:
            json.loads(session.frames.popleft())
    session.closed(1006, now)
    assert len(ended) <= 1
    json.dumps(session.spoken + [item for _, item in session.items], allow_nan=False)


def test_a_custom_llm_that_sends_without_end() -> None:
    plan = plan_call(1, "phone_call", 1_760_000_000_000, Outcomes.of({"user_hangup": 1}), CallProfile())
    ended: list[str] = []
    assert plan.start is not None
    asks = json.dumps({"response_type": "config", "config": {"call_details": True}})
    says = json.dumps({"response_id": 0, "content": "word " * 10_000, "content_complete": False})
    for frame in (asks, says):
        session = Session(url="ws://llm", plan=plan, speed=lambda: 1.0, details=lambda: {"call_id": "call_1"}, finished=ended.append)
        session.opened(plan.start)
        for _ in range(3_000):
            session.received(frame, plan.start)
        assert session.closing == 1009
        assert len(session.frames) < 3_000
    assert ended == ["error_llm_websocket_corrupt_payload"] * 2


@pytest.mark.parametrize("name", ["createAgent", "createRetellLLM"])
def test_every_field_that_may_be_null(name: str) -> None:
    api = Api(Settings(outcomes={"user_hangup": 1}))
    fields: Json = {}
    for field, described in (schema("AgentRequest") if name == "createAgent" else schema("RetellLlmOverride"))["properties"].items():
        if described.get("nullable") and "$ref" not in described and field not in {"response_engine", "voice_id"}:
            fields[field] = None
    assert fields
    agent = fields if name == "createAgent" else {"response_engine": {"type": "retell-llm", "llm_id": api.llm(**fields)}}
    agents = [{"agent_id": api.agent(**agent), "weight": 1}]
    number = str(api.post("/create-phone-number", {"outbound_agents": agents, "inbound_agents": agents})["phone_number"])
    call_id = place(api, number, agent_override={"agent": fields} if name == "createAgent" else {"retell_llm": fields})["call_id"]
    api.clock.advance(3_600)
    assert api.get(f"/v2/get-call/{call_id}")["call_status"] == "ended"


def test_a_failure_of_what_is_due_is_nobody_elses(problems: list[str]) -> None:
    api = Api()

    def fail() -> None:
        raise RuntimeError("with a number: +12015550100")

    api.sandbox.store.scheduler.add(api.clock.now() + 1, fail)
    api.clock.advance(1)
    assert api.get(path_of("listVoices"))
    (problem,) = problems
    assert "RuntimeError" in problem
    assert "+12015550100" not in problem
    problems.clear()


@pytest.mark.parametrize("key", [" a", "b ", "", "line\nbreak", "é"])
@pytest.mark.parametrize("name", ["api_key", "webhook_key"])
def test_keys_that_no_header_can_hold(name: str, key: str) -> None:
    with pytest.raises(ValueError, match=name):
        Settings(**{name: key})  # type: ignore[arg-type]


@pytest.mark.anyio
async def test_an_application_in_the_same_process_that_raises(problems: list[str]) -> None:
    async def broken(*_: object) -> None:
        raise KeyError("+12015550100")

    api = Api(Settings(outcomes={"user_hangup": 1}, webhook_url=HOOK))
    call_id = api.call(api.number())["call_id"]
    await Sender(api.sandbox, httpx.ASGITransport(broken)).advance(600)
    assert {attempt.result.problem for delivery in api.sandbox.outbox.log for attempt in delivery.attempts} == {"KeyError"}
    assert api.get(f"/v2/get-call/{call_id}")["call_status"] == "ended"
    assert len(problems) == 12
    assert all("event call_" in problem and "+12015550100" not in problem for problem in problems)
    problems.clear()


@pytest.mark.anyio
async def test_a_transport_that_has_its_answers_in_memory() -> None:
    api = Api(Settings(outcomes={"user_hangup": 1}, webhook_url=HOOK))
    api.call(api.number())
    await Sender(api.sandbox, httpx.MockTransport(lambda _: httpx.Response(200, json={}))).advance(600)
    assert {delivery.state for delivery in api.sandbox.outbox.log} == {"delivered"}


@pytest.mark.anyio
async def test_cancellation_is_no_failure() -> None:
    async def patient(*_: object) -> None:
        await anyio.sleep_forever()

    api = Api(Settings(outcomes={"user_hangup": 1}, webhook_url=HOOK))
    api.call(api.number())
    with anyio.move_on_after(0.2) as scope:
        await Sender(api.sandbox, httpx.ASGITransport(patient)).advance(600)
    assert scope.cancelled_caught
    assert all(not delivery.attempts for delivery in api.sandbox.outbox.log)


def test_requests_of_a_client_with_halves_of_emojis() -> None:
    api = Api(Settings(outcomes={"user_hangup": 1}))
    call = api.call(api.number(), metadata={"\ud83d": ["\udc00"]}, retell_llm_dynamic_variables={"a": "\ud83d"})
    api.clock.advance(600)
    shown = api.sandbox.answer("GET", f"/v2/get-call/{call['call_id']}", authorization="Bearer key").body
    assert shown["metadata"] == {"\ud83d": ["\udc00"]}
    assert api.refusal("POST", "/create-retell-llm", {"general_prompt": "\ud83d", "start_speaker": "\ud83d"})[0] == 400
    with pytest.raises(ValueError, match="from_number"):
        api.sandbox.ring("\ud83d", api.number())
