"""How a call looks to who asks for it, at a moment of its life."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from random import Random
from typing import Any

from .conversation import Conversation, Item, converse
from .document import packaged
from .exchange import Json
from .lifecycle import Course, call_cost, latency, stage, status, transfer_end, turns
from .store import Call

__all__ = ["FILES", "call_object", "conversation_of", "custom_analysis", "files", "listed_call", "transfer_number"]

FILES = "/sandbox/files"
"""Where the sandbox itself has what is kept of calls."""
_SOMEWHERE = "+12015550199"


def listed_call(call: Call, now: int, *, told: bool = False) -> Json:
    """A call as lists show it: without its words.

    :param told: for a webhook, which has the recording even when it is not stored.
    """
    order, course = call.order, call.course
    view: Json = {
        "call_id": call.id,
        "call_type": order.kind,
        "agent_id": order.agent_id,
        "agent_version": order.agent_version,
        "call_status": status(course, now),
    }
    if order.agent_name is not None:
        view["agent_name"] = order.agent_name
    if order.agent_tag is not None:
        view["agent_tag"] = order.agent_tag
    if order.kind == "phone_call":
        view |= {"from_number": order.from_number, "to_number": order.to_number, "direction": order.direction}
    else:
        view["access_token"] = order.access_token
    view |= order.echoed
    reached = stage(course, now)
    if reached == "registered":
        return view
    if course.start is not None:
        view["start_timestamp"] = course.start
        if order.kind == "phone_call":
            view["telephony_identifier"] = {"twilio_call_sid": f"CA{call.id[-32:]}"}
    if reached == "ongoing":
        return view
    view |= {
        "end_timestamp": course.end,
        "duration_ms": course.duration_ms,
        "disconnection_reason": course.reason,
        "collected_dynamic_variables": {} if call.live is None else call.live.collected,
        "call_cost": call_cost(course),
    }
    if course.start is not None:
        view["latency"] = latency(course)
        if order.outside is None or order.outside.llm_url is None:
            view["llm_token_usage"] = _token_usage(call)
    if course.reason == "call_transfer":
        view["transfer_destination"] = transfer_number(call)
        if now >= transfer_end(course):
            view["transfer_end_timestamp"] = transfer_end(course)
    view |= files(call, now, told=told)
    if reached == "analyzed":
        view["call_analysis"] = _analysis(call)
    return view


def files(call: Call, now: int, *, told: bool = False) -> dict[str, str]:
    """The addresses of what is kept of a call that was answered, once it has ended."""
    if call.course.start is None or now < call.course.end:
        return {}
    base = f"{call.home.url}{FILES}/{call.id}"
    found = {"public_log_url": f"{base}/public.log"}
    if told or call.order.echoed.get("data_storage_setting") != "basic_attributes_only":
        found |= {"recording_url": f"{base}/recording.wav", "recording_multi_channel_url": f"{base}/recording_multichannel.wav"}
    return found


def call_object(call: Call, now: int, *, told: bool = False) -> Json:
    """A call as it is answered by itself: with its words so far, if they are stored.

    :param told: for a webhook, which has the words even when they are not stored.
    """
    view = listed_call(call, now, told=told)
    kept = told or call.order.echoed.get("data_storage_setting") != "basic_attributes_only"
    if call.course.start is not None and now >= call.course.start and kept:
        conversation = conversation_of(call, now)
        view |= {
            "transcript": conversation.transcript(),
            "transcript_object": conversation.utterances,
            "transcript_with_tool_calls": conversation.with_tool_calls,
        }
    return view


def conversation_of(call: Call, now: int) -> Conversation:
    """What was said in a call so far, and what else happened in it."""
    live, start = call.live, call.course.start or 0
    items: list[Item] = [(at - start, {"role": "injected", "content": text, "time_sec": (at - start) / 1000}) for at, text in call.injected]
    tell = partial(converse, call.course, until=now, timed=packaged().carries("ToolCallInvocationUtterance", "time_sec"))
    if live is None:
        return tell(call.order.opening, items=items)
    items += live.items
    if live.spoken is not None:
        return tell(spoken=live.spoken, items=items)
    return tell(call.order.opening, pauses=live.pauses, added=live.added, items=items)


def transfer_number(call: Call) -> str:
    """Where a call is transferred to: the number that the agent's tool names, or one that belongs to nobody."""
    tool = {} if call.order.outside is None else call.order.outside.transfer or {}
    number: str = tool.get("transfer_destination", {}).get("number", _SOMEWHERE)
    return number


def _token_usage(call: Call) -> Json:
    values = [900 + 110 * number for number in range(turns(call.course.duration_ms))]
    return {"values": values, "average": round(sum(values) / len(values), 1), "num_requests": len(values)}


def summary(course: Course) -> str:
    """What came of a call, in a sentence."""
    if course.start is None:
        return "Nobody was reached."
    if course.in_voicemail:
        return "The call went to a mailbox, where a message was left."
    if course.successful:
        return "The agent spoke with the user about an appointment, and they agreed on a time."
    return "The agent spoke with the user, and no time was agreed on."


def _analysis(call: Call) -> Json:
    course = call.course
    return {
        "call_summary": summary(course),
        "in_voicemail": course.in_voicemail,
        "user_sentiment": course.sentiment,
        "call_successful": course.successful,
        "custom_analysis_data": custom_analysis(call.order.asked_analysis, course.seed) if course.start is not None else {},
    }


def custom_analysis(asked: Iterable[Json], seed: int) -> Json:
    """What an analysis finds out of the things that an agent's settings ask for, by their names."""
    rng = Random(seed + 3)
    return {item["name"]: _finding(rng, item) for item in asked if item["type"] != "system-presets"}


def _finding(rng: Random, asked: Json) -> Any:
    match asked["type"]:
        case "boolean":
            return rng.random() < 0.5
        case "number":
            return rng.randint(1, 10)
        case "enum":
            return rng.choice(asked["choices"]) if asked["choices"] else ""
        case _:
            return rng.choice(("Thursday at half past ten", "a check-up", "nothing in particular"))
