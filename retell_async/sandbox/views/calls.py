"""Calls as answers and webhooks show them."""

from __future__ import annotations

from functools import partial

from ..common.messages import Json
from ..openapi.document import packaged_document
from ..simulation.analysis import custom_analysis, summary
from ..simulation.conversation import Conversation, Item, converse
from ..simulation.lifecycle import call_cost, latency, stage, status, transfer_end, turns
from ..state.calls import Call

__all__ = ["FILES", "call_object", "conversation_of", "files", "listed_call", "transfer_number"]

FILES = "/sandbox/files"
"""The path of recordings and logs of calls."""
_SOMEWHERE = "+12015550199"


def listed_call(call: Call, now: int, *, for_webhook: bool = False) -> Json:
    """A call as lists show it: without its transcripts.

    :param for_webhook: webhooks have the recording even when it is not stored.
    """
    params, plan = call.params, call.plan
    view: Json = {
        "call_id": call.id,
        "call_type": params.kind,
        "agent_id": params.agent_id,
        "agent_version": params.agent_version,
        "call_status": status(plan, now),
    }
    if params.agent_name is not None:
        view["agent_name"] = params.agent_name
    if params.agent_tag is not None:
        view["agent_tag"] = params.agent_tag
    if params.kind == "phone_call":
        view |= {"from_number": params.from_number, "to_number": params.to_number, "direction": params.direction}
    else:
        view["access_token"] = params.access_token
    view |= params.echoed
    reached = stage(plan, now)
    if reached == "registered":
        return view
    if plan.start is not None:
        view["start_timestamp"] = plan.start
        if params.kind == "phone_call":
            view["telephony_identifier"] = {"twilio_call_sid": f"CA{call.id[-32:]}"}
    if reached == "ongoing":
        return view
    view |= {
        "end_timestamp": plan.end,
        "duration_ms": plan.duration_ms,
        "disconnection_reason": plan.reason,
        "collected_dynamic_variables": {} if call.progress is None else call.progress.collected,
        "call_cost": call_cost(plan),
    }
    if plan.start is not None:
        view["latency"] = latency(plan)
        if params.endpoints is None or params.endpoints.llm_url is None:
            view["llm_token_usage"] = _token_usage(call)
    if plan.reason == "call_transfer":
        view["transfer_destination"] = transfer_number(call)
        if now >= transfer_end(plan):
            view["transfer_end_timestamp"] = transfer_end(plan)
    view |= files(call, now, for_webhook=for_webhook)
    if reached == "analyzed":
        view["call_analysis"] = _analysis(call)
    return view


def files(call: Call, now: int, *, for_webhook: bool = False) -> dict[str, str]:
    """The URLs of the recordings and the log of a call that was answered and has ended."""
    if call.plan.start is None or now < call.plan.end:
        return {}
    base = f"{call.origin.url}{FILES}/{call.id}"
    found = {"public_log_url": f"{base}/public.log"}
    if for_webhook or call.params.echoed.get("data_storage_setting") != "basic_attributes_only":
        found |= {"recording_url": f"{base}/recording.wav", "recording_multi_channel_url": f"{base}/recording_multichannel.wav"}
    return found


def call_object(call: Call, now: int, *, for_webhook: bool = False) -> Json:
    """A call in full: with its transcripts so far, if they are stored.

    :param for_webhook: webhooks have the transcripts even when they are not stored.
    """
    view = listed_call(call, now, for_webhook=for_webhook)
    kept = for_webhook or call.params.echoed.get("data_storage_setting") != "basic_attributes_only"
    if call.plan.start is not None and now >= call.plan.start and kept:
        conversation = conversation_of(call, now)
        view |= {
            "transcript": conversation.transcript(),
            "transcript_object": conversation.utterances,
            "transcript_with_tool_calls": conversation.with_tool_calls,
        }
    return view


def conversation_of(call: Call, now: int) -> Conversation:
    """The transcripts of a call so far."""
    progress, start = call.progress, call.plan.start or 0
    items: list[Item] = [(at - start, {"role": "injected", "content": text, "time_sec": (at - start) / 1000}) for at, text in call.injected]
    tell = partial(converse, call.plan, until=now, timed=packaged_document().carries("ToolCallInvocationUtterance", "time_sec"))
    if progress is None:
        return tell(call.params.opening, items=items)
    items += progress.items
    if progress.spoken is not None:
        return tell(spoken=progress.spoken, items=items)
    return tell(call.params.opening, pauses=progress.pauses, added=progress.added, items=items)


def transfer_number(call: Call) -> str:
    """Where a call is transferred to: the number of the agent's tool, or one that belongs to nobody."""
    tool = {} if call.params.endpoints is None else call.params.endpoints.transfer or {}
    number: str = tool.get("transfer_destination", {}).get("number", _SOMEWHERE)
    return number


def _token_usage(call: Call) -> Json:
    values = [900 + 110 * number for number in range(turns(call.plan.duration_ms))]
    return {"values": values, "average": round(sum(values) / len(values), 1), "num_requests": len(values)}


def _analysis(call: Call) -> Json:
    plan = call.plan
    return {
        "call_summary": summary(plan),
        "in_voicemail": plan.in_voicemail,
        "user_sentiment": plan.sentiment,
        "call_successful": plan.successful,
        "custom_analysis_data": custom_analysis(call.params.asked_analysis, plan.seed) if plan.start is not None else {},
    }
