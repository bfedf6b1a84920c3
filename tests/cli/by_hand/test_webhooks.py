"""Events for a program that Retell does not reach: what they say, that they are signed, and that none comes twice."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx
import pytest

from retell_async import webhooks
from retell_async.cli.by_hand.events import SAMPLES, Seen, events_of, happened, sample
from retell_async.cli.by_hand.webhooks import _listen, _wanted
from retell_async.cli.profiles import Profile
from retell_async.webhooks.events import EVENT_NAMES

from ..account import Account

KEY = "key_of_the_test"
URL = "http://127.0.0.1:9/webhook"
CALL: dict[str, Any] = {
    "call_id": "call_1",
    "call_type": "phone_call",
    "call_status": "ended",
    "start_timestamp": 1_790_000_000_000,
    "end_timestamp": 1_790_000_060_000,
    "transcript": "Agent: Hi",
    "call_analysis": {"call_summary": "Short."},
}


class Handler:
    """Verifies what it gets; answers as it is told."""

    def __init__(self, patch: pytest.MonkeyPatch, key: str = KEY) -> None:
        self.key = key
        self.got: list[tuple[str, str | None]] = []
        self.answers: list[int] = []
        self.transport = transport = httpx.MockTransport(self.take)

        class Client(httpx.AsyncClient):
            def __init__(self, **options: Any) -> None:
                super().__init__(**{"transport": transport, **options})

        patch.setattr("retell_async.cli.by_hand.webhooks._PAUSE", 0.0)
        patch.setattr("httpx.AsyncClient", Client)

    def take(self, request: httpx.Request) -> httpx.Response:
        assert str(request.url) == URL
        event: Any = webhooks.unwrap(request.content, dict(request.headers), api_key=self.key)
        call = getattr(event, "call", None)
        self.got.append((event.event, None if call is None else call.call_id))
        return httpx.Response(self.answers.pop(0) if self.answers else 204)


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Account:
    monkeypatch.setattr("retell_async.cli.by_hand.calls._EVERY", 0.02)
    return Account(monkeypatch)


@pytest.fixture
def handler(account: Account, monkeypatch: pytest.MonkeyPatch) -> Handler:
    return Handler(monkeypatch)


def test_there_is_a_sample_of_every_event_and_each_is_one() -> None:
    assert {*SAMPLES} == {*EVENT_NAMES} - {"call_inbound", "chat_inbound"}
    for name in SAMPLES:
        event: Any = webhooks.parse_event(json.dumps(sample(name, 1_790_000_000_000).body))
        assert event.event == name
        assert not isinstance(event, webhooks.UnknownEvent)
        about = getattr(event, "call", None) or getattr(event, "chat", None)
        assert about is None or not list(about.problems() if hasattr(about, "problems") else ())
    assert "call_analysis" not in sample("call_ended").body["call"]
    assert "transcript" not in sample("call_started").body["call"]
    for name in SAMPLES:
        call = sample(name).body.get("call", {})
        if call.get("call_status") == "ongoing":
            assert not {"end_timestamp", "duration_ms", "disconnection_reason", "call_cost", "call_analysis"} & {*call}, name


def test_what_must_have_happened() -> None:
    assert happened("call", CALL) == ["call_started", "call_ended", "call_analyzed"]
    assert happened("call", {"call_status": "ongoing", "start_timestamp": 1}) == ["call_started"]
    assert happened("call", {"call_status": "not_connected"}) == ["call_ended"]  # nobody was connected, and nothing began
    assert happened("call", {"call_status": "registered"}) == []
    started, ended, analysed = events_of("call", CALL, happened("call", CALL))
    assert started.body["call"] == {
        "call_id": "call_1",
        "call_type": "phone_call",
        "call_status": "ongoing",
        "start_timestamp": 1_790_000_000_000,
    }
    assert ended.body["call"] == {name: value for name, value in CALL.items() if name != "call_analysis"}
    assert analysed.body["call"] == CALL
    assert (started.at_ms, ended.at_ms) == (CALL["start_timestamp"], CALL["end_timestamp"])


def test_none_comes_twice() -> None:
    seen = Seen("call")
    seen.take({"call_id": "call_1", "call_status": "ongoing", "start_timestamp": 1})
    assert seen.due(CALL) == ["call_ended", "call_analyzed"]
    seen.take({**CALL, "call_analysis": None})
    assert seen.due(CALL) == ["call_analyzed"]
    seen.take(CALL)
    assert seen.due(CALL) == []


def test_trigger_posts_a_signed_sample(account: Account, handler: Handler) -> None:
    for name in SAMPLES:
        done = account.run("webhooks", "trigger", name, "--forward-to", URL)
        assert done.exit_code == 0, done.output
    assert [name for name, _ in handler.got] == list(SAMPLES)
    assert json.loads(account.run("webhooks", "trigger", "call_ended").stdout)["event"] == "call_ended"


def test_trigger_of_a_call_of_the_account(account: Account, handler: Handler) -> None:
    call_id = json.loads(account.place("+14155550123", "--json").stdout)["call_id"]
    assert "has had no call_ended" in account.run("webhooks", "trigger", "call_analyzed", "--call", call_id).stderr.replace(
        "analyzed", "ended"
    )
    account.run("call", "follow", call_id, "--poll")
    done = account.run("webhooks", "trigger", "call_ended", "--call", call_id, "--forward-to", URL)
    assert done.exit_code == 0, done.output
    assert handler.got == [("call_ended", call_id)]
    assert "--call is for" in account.run("webhooks", "trigger", "chat_ended", "--call", call_id).stderr


def test_what_is_not_taken_is_tried_three_times_and_is_an_error(account: Account, handler: Handler) -> None:
    handler.answers = [500, 503, 204]
    assert account.run("webhooks", "trigger", "call_ended", "--forward-to", URL).exit_code == 0
    assert len(handler.got) == 3
    handler.answers = [500] * 3
    done = account.run("webhooks", "trigger", "call_ended", "--forward-to", URL)
    assert done.exit_code == 1
    assert "500" in done.stdout
    assert "1 event was not taken" in done.stderr


@pytest.mark.parametrize(
    "url", ["http://[::1", "http://127.0.0.1:99999/x", "http://xn--/", "http://", "http://h:x/", "ftp://h/", "localhost"]
)
def test_an_address_that_is_none_is_said(account: Account, handler: Handler, url: str) -> None:
    for command in (["trigger", "call_ended"], ["listen"], ["resend", "--since", "1h"]):
        done = account.run("webhooks", *command, "--forward-to", url)
        assert (done.exit_code, "takes a URL such as" in done.stderr) == (2, True), done.output
    assert handler.got == []


async def endless(_: httpx.Request) -> httpx.Response:
    async def body() -> AsyncIterator[bytes]:
        while True:
            yield b"x"
            await anyio.sleep(0.01)

    return httpx.Response(200, content=body())


async def silent(_: httpx.Request) -> httpx.Response:
    await anyio.sleep_forever()
    raise AssertionError


@pytest.mark.parametrize(("answer", "status", "said"), [(endless, 0, "200 in "), (silent, 1, "no answer within ")])
def test_an_answer_is_not_waited_for_for_ever(
    account: Account, handler: Handler, monkeypatch: pytest.MonkeyPatch, answer: Any, status: int, said: str
) -> None:
    monkeypatch.setattr("retell_async.cli.by_hand.webhooks._TIMEOUT", 0.05)
    monkeypatch.setattr(handler.transport, "handler", answer)
    done = account.run("webhooks", "trigger", "call_ended", "--forward-to", URL)
    assert (done.exit_code, said in done.stdout) == (status, True), done.output


def test_resend_rebuilds_what_was_missed(account: Account, handler: Handler) -> None:
    ids = [json.loads(account.place(f"+1415555014{digit}", "--json").stdout)["call_id"] for digit in range(4)]
    for call_id in ids:
        account.run("call", "follow", call_id, "--poll")
    done = account.run("webhooks", "resend", "--since", "1h", "--forward-to", URL, "--events", "call_ended", "--never-connected")
    assert done.exit_code == 0, done.output
    assert sorted(call_id or "" for _, call_id in handler.got) == sorted(ids)
    assert {name for name, _ in handler.got} == {"call_ended"}
    nothing = account.run("webhooks", "resend", "--since", "1s", "--events", "chat_ended")
    assert (nothing.exit_code, nothing.stdout, "No events" in nothing.stderr) == (0, "", True)
    assert "it begins" in account.run("webhooks", "resend", "--since", "1h", "--until", "2h").stderr
    assert "none that can be asked for" in account.run("webhooks", "resend", "--since", "1h", "--events", "call_begun").stderr
    assert "takes a URL" in account.run("webhooks", "resend", "--since", "1h", "--forward-to", "localhost").stderr


@pytest.mark.asyncio
async def test_listen_posts_what_happens_from_then_on(account: Account, handler: Handler) -> None:
    from retell_async.cli.by_hand.webhooks import _Delivery

    wanted: list[tuple[str, str]] = []
    async with account.local.client() as client:
        before = await client.call.create_phone_call(from_number=account.made.phone_number, to_number="+14155550150")
        await client.call.wait(before.call_id, until="analyzed", every=0.05)
        profile = Profile.named(None, {"RETELL_API_KEY": KEY})
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(
                _listen, profile, _Delivery.to(URL, profile), _wanted(None, ("call_started", "call_ended", "call_analyzed")), 0.05
            )
            await anyio.sleep(0.3)
            call = await client.call.create_phone_call(from_number=account.made.phone_number, to_number="+14155550151")
            ended = await client.call.wait(call.call_id, until="analyzed", every=0.05)
            wanted = [(name, call.call_id) for name in happened("call", ended.to_dict())]
            with anyio.fail_after(5):
                while len(handler.got) < len(wanted):  # noqa: ASYNC110 - a handler on the other side
                    await anyio.sleep(0.02)
            await anyio.sleep(0.2)
            tasks.cancel_scope.cancel()
    assert handler.got == wanted


def test_another_key_may_sign() -> None:
    profile = Profile.named("my-place", {"RETELL_API_KEY_MY_PLACE": "key_1", "RETELL_WEBHOOK_KEY_MY_PLACE": "key_2"})
    assert webhooks.verify(b"{}", "key_2", profile.sign(b"{}"))
    assert "key_2" not in repr(profile)
