"""What users' type checkers see of webhooks: right code passes, and wrong code is an error on the very line."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..typing.test_users import Checker, mypy, pyright

pytestmark = pytest.mark.parallel

SOURCE = """
from __future__ import annotations

from typing import Annotated, Literal, assert_type

from fastapi import Depends, FastAPI

from retell_async import webhooks
from retell_async.types import CallResponse, ChatResponse
from retell_async.webhooks.fastapi import verified_event

app = FastAPI()
verified = verified_event("key", max_bytes=1000)
WebhookEvent = Annotated[webhooks.Event, Depends(verified)]


@app.post("/events")
async def events(event: WebhookEvent) -> None:
    assert_type(event, webhooks.Event)
    match event:
        case webhooks.CallEnded(call=call):
            assert_type(call, CallResponse)
            call.call_idd  # E: no such field
        case webhooks.ChatEvent(chat=chat):
            assert_type(chat, ChatResponse)
        case webhooks.TransferStarted():
            assert_type(event.event, Literal["transfer_started"])
            event.chat  # E: a transfer has no chat
        case webhooks.UnknownEvent():
            assert_type(event.event, str)
        case _:
            event.call  # E: not every event has a call


async def by_hand(request: object) -> None:
    assert_type(webhooks.unwrap(b"", {"x-retell-signature": ""}, api_key=["a", "b"]), webhooks.Event)
    assert_type(webhooks.unwrap_inbound(b"", [("x", "y")], api_key="a"), webhooks.InboundCall | webhooks.InboundChat)
    assert_type(webhooks.unwrap_function("", [(b"x", b"y")], api_key="a", query={"id": "1"}), webhooks.FunctionCall)
    webhooks.unwrap({"event": "call_ended"}, {}, api_key="a")  # E: not the raw body
    webhooks.unwrap(b"", {}, api_key=None)  # E: no key
    assert_type(webhooks.verify(b"", "key", None, tolerance=10), Literal[True])
    webhooks.Router("key", acknowledge=True)  # E: no such setting


class Legacy:
    async def claim(self, key: str) -> bool:
        return True

    async def release(self, key: str) -> None: ...


class LegacyOverRedis:
    async def claim(self, key: str) -> bool | None:
        return None

    async def release(self, key: str) -> None: ...


class Minimal:
    async def claim(self, key: str) -> webhooks.Claim:
        return webhooks.Claim.MINE

    async def done(self, key: str) -> None: ...
    async def release(self, key: str) -> None: ...


class Leased(Minimal):
    lease = 30.0

    async def renew(self, key: str) -> bool:
        return True



class Wrong:
    async def claim(self, key: str) -> str:
        return "mine"

    async def release(self, key: str) -> None: ...


leased: webhooks.LeasedStore = Leased()
leased = webhooks.MemoryStore()
for store in (Legacy(), LegacyOverRedis(), Minimal(), Leased()):
    webhooks.Router("key", store=store)
webhooks.Router("key", store=Wrong())  # E: a claim is no text
webhooks.Router("key", max_waiting="many")  # E: not a number

router = webhooks.Router("key", store=webhooks.MemoryStore(100), senders=webhooks.Senders(proxies=1))
app.mount("/retell", router)


@router.on("call_ended")
async def on_ended(event: webhooks.CallEnded) -> None:
    assert_type(event.call, CallResponse)


@router.on("call_ended")
async def on_any_call(event: webhooks.CallEvent) -> None: ...


@router.on("call_ended", "call_started")
async def on_several(event: webhooks.Event) -> None: ...


@router.on()
async def on_all(event: webhooks.Event) -> None: ...


@router.on("not_known_yet")
async def on_new(event: webhooks.Event) -> None: ...


async def started(event: webhooks.CallStarted) -> None: ...


def not_async(event: webhooks.CallEnded) -> None: ...


router.on("call_started")(started)
router.on("call_ended")(started)  # E: of another event
router.on("call_ended")(not_async)  # E: not async
router.on()(started)  # E: not every event is this one


@router.inbound
async def who_answers(request: webhooks.InboundRequest) -> webhooks.InboundAnswer:
    if isinstance(request, webhooks.InboundCall):
        assert_type(request.call_id, str | None)
    request.accept(dynamic_variables={"age": 42})  # E: not a string
    request.accept(override_agent_version="1")  # E: not a number
    request.accept(agent_override={"agent": {"voice_speed": "fast"}})  # E: not a number
    request.accept(agent_override={"agents": {}})  # E: no such key
    request.accept(reject=True)  # E: no such keyword
    return request.accept(agent_override={"agent": {"voice_speed": 1.1}}, metadata={"tags": ["a"]})


async def answers_nothing(request: webhooks.InboundRequest) -> None: ...


router.inbound(answers_nothing)  # E: no answer


@router.function("lookup_order")
async def lookup_order(function: webhooks.FunctionCall) -> dict[str, object]:
    assert_type(function.call, CallResponse | None)
    return {"order": function.args["id"]}
"""


@pytest.mark.soak
@pytest.mark.parametrize("checker", [mypy, pyright])
def test_errors_are_on_the_marked_lines(checker: Checker, tmp_path: Path) -> None:
    source = tmp_path / "service.py"
    source.write_text(SOURCE.lstrip())
    marked = {number for number, line in enumerate(source.read_text().splitlines(), 1) if "# E:" in line}

    found = checker(source)

    assert {line: found.get(line) for line in marked - found.keys()} == {}, "marked, but right to the type checker"
    assert {line: message for line, message in found.items() if line not in marked} == {}, "wrong to the type checker, but not marked"
