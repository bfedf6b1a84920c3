"""How a call looks to who asks for it, at a moment of its life."""

from __future__ import annotations

from .conversation import converse
from .exchange import Json
from .lifecycle import call_cost, latency, stage, status, turns
from .store import Call

__all__ = ["call_object", "listed_call"]


def listed_call(call: Call, now: int) -> Json:
    """A call as lists show it: without its words."""
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
    if order.kind == "phone_call":
        view |= {"from_number": order.from_number, "to_number": order.to_number, "direction": "outbound"}
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
        "collected_dynamic_variables": {},
        "call_cost": call_cost(course),
    }
    if course.start is not None:
        view |= {"latency": latency(course), "llm_token_usage": _token_usage(call)}
    if reached == "analyzed":
        view["call_analysis"] = _analysis(call)
    return view


def call_object(call: Call, now: int) -> Json:
    """A call as it is answered by itself: with its words, once it has ended."""
    view = listed_call(call, now)
    if now >= call.course.end and call.course.start is not None:
        conversation = converse(call.course, call.order.opening)
        view |= {
            "transcript": conversation.transcript(),
            "transcript_object": conversation.utterances,
            "transcript_with_tool_calls": conversation.utterances + conversation.tool_calls,
        }
    return view


def _token_usage(call: Call) -> Json:
    values = [900 + 110 * number for number in range(turns(call.course))]
    return {"values": values, "average": round(sum(values) / len(values), 1), "num_requests": len(values)}


def _analysis(call: Call) -> Json:
    course = call.course
    if course.start is None:
        summary = "Nobody was reached."
    elif course.in_voicemail:
        summary = "The call went to a mailbox, where a message was left."
    elif course.successful:
        summary = "The agent spoke with the user about an appointment, and they agreed on a time."
    else:
        summary = "The agent spoke with the user, and no time was agreed on."
    return {
        "call_summary": summary,
        "in_voicemail": course.in_voicemail,
        "user_sentiment": course.sentiment,
        "call_successful": course.successful,
        "custom_analysis_data": {},
    }
