"""What is kept of a call beside its data, and where it is."""

from __future__ import annotations

import io
import wave
from typing import Any

import httpx
import pytest
from starlette.responses import JSONResponse

from retell_async.sandbox import Settings, serve
from retell_async.sandbox.outgoing.sender import Sender
from retell_async.testing import LocalRetell, SandboxTransport

from ..checked import Api
from ..endpoints import KEY, Endpoints
from ..outgoing.test_sender import CALLER, HOOK, account, number

pytestmark = [pytest.mark.anyio, pytest.mark.parallel]

RECORDINGS = {"recording_url", "recording_multi_channel_url"}
FILES = RECORDINGS | {"public_log_url"}
CONNECTED = ("user_hangup", "agent_hangup", "call_transfer", "voicemail_reached", "inactivity", "error_asr")


@pytest.mark.parametrize("reason", CONNECTED)
async def test_every_call_that_was_answered_has_a_recording_and_a_log(reason: str) -> None:
    local = LocalRetell(Settings(outcomes={reason: 1}))
    numbers = local.create_fixtures()
    async with local.client(strict=True) as client:
        phone = (await client.call.create_phone_call(from_number=numbers.phone_number, to_number=CALLER)).call_id
        web = (await client.call.create_web_call(agent_id=numbers.agent_id)).call_id
        for call_id in (phone, web):
            assert not FILES & (await client.call.retrieve(call_id)).to_dict().keys()
        await local.advance(7_200)
        for call_id in (phone, web):
            call = (await client.call.retrieve(call_id)).to_dict()
            assert FILES & call.keys() == (FILES if "start_timestamp" in call else set())
            assert call.get("public_log_url", call_id).count(call_id) == 1
        assert "start_timestamp" in (await client.call.retrieve(phone)).to_dict()


async def test_a_call_that_nobody_answered_has_none() -> None:
    api = Api(Settings(outcomes={"dial_busy": 1}))
    call_id = api.call(api.number())["call_id"]
    api.clock.advance(600)
    assert not FILES & api.get(f"/v2/get-call/{call_id}").keys()


async def test_what_is_not_to_be_stored_is_only_told_of() -> None:
    api, user = account(), Endpoints()
    call_id = api.call(number(api, webhook_url=HOOK, data_storage_setting="basic_attributes_only"))["call_id"]
    await Sender(api.sandbox, user.transport).advance(600)
    assert api.get(f"/v2/get-call/{call_id}").keys() & FILES == {"public_log_url"}
    (ended,) = [body["call"] for body in user.bodies if body["event"] == "call_ended"]
    assert ended.keys() >= FILES


@pytest.mark.soak
async def test_they_can_be_fetched() -> None:
    api = Api(Settings(outcomes={"user_hangup": 1}))
    async with serve(api.sandbox) as served, httpx.AsyncClient() as http:
        call_id = api.call(api.number())["call_id"]
        api.clock.advance(600)
        call = api.get(f"/v2/get-call/{call_id}")
        for field, channels in (("recording_url", 1), ("recording_multi_channel_url", 2)):
            answer = await http.get(call[field])
            assert (answer.status_code, answer.headers["content-type"]) == (200, "audio/wav")
            with wave.open(io.BytesIO(answer.content)) as sound:
                assert sound.getnchannels() == channels
                assert sound.getnframes() / sound.getframerate() == pytest.approx(call["duration_ms"] / 1000, abs=0.001)
                assert set(sound.readframes(1_000)) == {0x80}
        answer = await http.get(call["public_log_url"])
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        lines = answer.text.splitlines()
        assert (lines[0].split(maxsplit=1)[1], lines[-1].split(maxsplit=1)[1]) == ("the call was answered", "the call ended: user_hangup")
        assert [float(line.split()[0]) for line in lines] == sorted(float(line.split()[0]) for line in lines)
        assert len(lines) == len(call["transcript_object"]) + 2
        for other in ("recording.mp3", "", "..%2Fpage.js"):
            assert (await http.get(f"{served.url}/sandbox/files/{call_id}/{other}")).status_code == 404
        api.delete(f"/v2/delete-call/{call_id}")
        assert (await http.get(call["recording_url"])).status_code == 404


async def test_a_client_in_the_same_process_can_fetch_them_too() -> None:
    local = LocalRetell(Settings(outcomes={"user_hangup": 1}))
    number = local.create_fixtures().phone_number
    async with local.client() as client:
        call_id = (await client.call.create_phone_call(from_number=number, to_number=CALLER)).call_id
        await local.advance(600)
        url = str((await client.call.retrieve(call_id)).to_dict()["public_log_url"])
    async with httpx.AsyncClient(transport=SandboxTransport(local.sandbox)) as http:
        assert (await http.get(url)).text.startswith("     0.000 the call was answered\n")


async def test_sip_headers_of_a_call_that_comes_in() -> None:
    answer = {"call_inbound": {"dynamic_variables": {"tier": "from the webhook"}}}
    api, user = account(), Endpoints(lambda *_: JSONResponse(answer))
    called = number(api)
    api.patch(f"/update-phone-number/{called}", {"inbound_webhook_url": HOOK})
    sent = {"X-Twilio-CallSid": "CA12", "x-tier": "from the header", "User-To-User": "00;encoding=hex"}
    came = {name.lower(): value for name, value in sent.items()}
    contact = api.sandbox.ring("anonymous", called, sent)
    await Sender(api.sandbox, user.transport).advance(600)
    assert user.refused == 0
    assert user.bodies[0]["call_inbound"]["custom_sip_headers"] == came
    call = api.get(f"/v2/get-call/{contact.call_id}")
    assert call["custom_sip_headers"] == came
    assert call["retell_llm_dynamic_variables"] == {
        "twilio-callsid": "CA12",
        "tier": "from the webhook",
        "user-to-user": "00;encoding=hex",
    }
    assert call["from_number"] == "anonymous"


@pytest.mark.parametrize(
    "override",
    [
        None,
        [],
        {"agent": None},
        {"agent": {"voice_id": 5}},
        {"agent": {"max_call_duration_ms": "long"}},
        {"retell_llm": {"start_speaker": "x"}},
    ],
)
async def test_an_override_that_is_none_makes_the_answer_a_bad_one(override: Any) -> None:
    answer = {"call_inbound": {"agent_override": override, "metadata": {"crm": 7}, "override_agent_id": "agent_of_nobody"}}
    api = Api(Settings(outcomes={"user_hangup": 1}, webhook_key=KEY))
    user = Endpoints(lambda *_: JSONResponse(answer))
    called = number(api)
    api.patch(f"/update-phone-number/{called}", {"inbound_webhook_url": HOOK})
    contact = api.sandbox.ring(CALLER, called)
    await Sender(api.sandbox, user.transport).advance(1)
    call = api.get(f"/v2/get-call/{contact.call_id}")
    assert "metadata" not in call
