"""Code that is right: no type checker may find anything in it."""

from __future__ import annotations

from collections import deque
from typing import Any, assert_type

import attrs
import httpx

from retell_async import APIConnectionError, APIStatusError, AsyncRetell, RateLimitError, Retell, UnknownObject, omit
from retell_async.resources import AsyncCallResource, CallResource, CallResourceWithRawResponse
from retell_async.types import (
    AgentListItemResponse,
    AgentResponse,
    EndCallToolParam,
    PhoneCallResponse,
    ToolParameterParam,
    UnknownCallResponse,
    VoiceResponse,
    WebCallResponse,
)


async def main() -> None:
    async with AsyncRetell(api_key="key", timeout=30.0, max_retries=3, default_headers={"X-Team": "voice"}) as client:
        agent = await client.agent.create(
            response_engine={"type": "retell-llm", "llm_id": "llm_1"},
            voice_id="retell-Cimo",
            language="en-US",
        )
        call = await client.call.create_phone_call(
            from_number="+14155550100",
            to_number="+14155550101",
            override_agent_id=agent.agent_id,
            metadata={"customer": 1, "tags": ["a"]},
            retell_llm_dynamic_variables={"name": "Robin"},
            timeout=httpx.Timeout(10.0),
            extra_headers={"X-Trace": "1"},
            max_retries=0,
        )
        assert_type(call.call_id, str)

        for utterance in call.transcript_object or []:
            assert_type(utterance.content, str)
            assert_type([word.start for word in utterance.words], list[float | None])

        found = await client.call.retrieve(call.call_id)
        name: str = found.call_id
        if "agent_name" in found:
            name = found["agent_name"]

        async for item in client.call.list(filter_criteria={"call_status": {"type": "enum", "op": "in", "value": ["ended"]}}, limit=100):
            name += item.call_id
        async for page in client.call.list(sort_order="descending").pages():
            assert_type(page.has_more, bool)
        voices = await client.voice.list()
        assert_type([voice.voice_id for voice in voices], list[str])
        kept: list[VoiceResponse] = voices
        kept.extend((await client.voice.with_raw_response.list()).parse())

        raw = await client.call.with_raw_response.retrieve("call_1")
        assert_type(raw.status_code, int)
        name += raw.parse().call_id

        await client.with_options(timeout=None).call.stop("call_1")
        await client.request("POST", "/not-in-the-document-yet", json={"a": 1})


async def unions(client: AsyncRetell) -> str:
    call = await client.call.retrieve("call_1")
    assert_type(call.call_id, str)
    assert_type(call.duration_ms, int | None)
    kind: str | None = call.call_type
    match call:
        case WebCallResponse():
            assert_type(call.access_token, str | None)
        case PhoneCallResponse():
            assert_type(call.from_number, str)
        case UnknownCallResponse():
            assert_type(call, UnknownCallResponse)
            kind = call.call_type or call.brand_new
    if isinstance(call, UnknownObject):
        assert_type(call.call_id, str)
    flow = await client.conversation_flow.retrieve("flow_1")
    for node in flow.nodes or []:
        assert_type(node.id, str)
    return kind or ""


async def as_with_the_official_sdk(client: AsyncRetell) -> dict[str, Any]:
    tools: list[EndCallToolParam] = [{"type": "end_call", "name": "end"}]
    llm = await client.llm.create(
        general_tools=(tool for tool in tools),
        knowledge_base_ids={"kb_1"},
        extra_headers={"X-Team": omit},
    )
    assert_type(llm.api_model_temperature, float | None)
    llm.api_model_temperature = 0.5
    await client.llm.update("llm_1", knowledge_base_ids=(f"kb_{number}" for number in range(2)))
    await client.llm.update("llm_1", knowledge_base_ids=deque(["kb_1"]))
    await client.llm.update("llm_1", knowledge_base_ids={"kb_1": 1}.keys())
    await client.knowledge_base.create(
        knowledge_base_name="n", knowledge_base_files=(file for file in [("a.txt", "text", "text/plain", {"X-Part": "1"})])
    )
    schema: ToolParameterParam = {"type": "object", "properties": {}, "additional_properties": False}
    call = PhoneCallResponse.model_validate({"parameters": schema})
    assert_type(call.model_copy(update={"call_id": "c"}), PhoneCallResponse)
    assert_type(call.model_dump_json(indent=2, exclude_none=True), str)
    assert_type(call.to_json(), str)
    page = await client.call.list()
    return call.model_dump(mode="json", by_alias=True) | page.model_dump(exclude_unset=True)


def changed(agent: AgentResponse) -> AgentResponse:
    return attrs.evolve(agent, voice_id="retell-Cimo")


async def handled(client: AsyncRetell) -> float | None:
    try:
        await client.agent.delete("agent_1")
    except RateLimitError as error:
        return error.retry_after
    except APIStatusError as error:
        assert_type(error.status_code, int)
    except APIConnectionError as error:
        assert_type(error.request, httpx.Request)
    return None


def without_await() -> None:
    with Retell(api_key="key", timeout=30.0, default_headers={"X-Team": "voice"}) as client:
        call = client.call.create_phone_call(from_number="+14155550100", to_number="+14155550101", metadata={"a": 1}, timeout=10.0)
        assert_type(call, PhoneCallResponse)
        assert_type(client.call.stop("call_1"), None)
        for item in client.call.list(limit=100):
            assert_type(item.call_id, str)
        page = client.agent.list()
        assert_type(page.items[0], AgentListItemResponse)
        following = page.next_page()
        assert_type(following is not None and following.has_more, bool)
        for each in page.pages():
            assert_type(list(each), list[AgentListItemResponse])
        raw = client.call.with_raw_response.retrieve("call_1")
        assert_type(raw.parse().call_id, str)
        assert_type(client.call.with_raw_response.list().parse().has_more, bool)
        with client.call.with_streaming_response.retrieve("call_1") as response:
            assert_type(list(response.iter_bytes()), list[bytes])
            assert_type(response.parse().call_id, str)
        assert_type(client.with_options(timeout=None).call.retrieve("call_1").call_id, str)
        client.request("POST", "/not-in-the-document-yet", json={"a": 1})


async def with_resources(calls: AsyncCallResource, raw: CallResourceWithRawResponse, sync: CallResource) -> None:
    assert_type((await calls.retrieve("call_1")).call_id, str)
    assert_type(raw.retrieve("call_1").status_code, int)
    assert_type(sync.retrieve("call_1").call_id, str)
