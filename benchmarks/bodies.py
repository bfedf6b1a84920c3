"""Bodies to measure with: made from a seed, of the size and shape of real answers, valid for the pinned document."""

from __future__ import annotations

import json
from random import Random
from typing import Any

__all__ = ["call_body", "page_body"]

_VOCABULARY = (  # noqa: SIM905
    "yes no thanks okay sure hello please well actually maybe right today tomorrow morning afternoon order delivery address appointment "
    "account number name street office doctor table reservation invoice payment card email message question moment minute week Monday "
    "Thursday the a an my your our this that it we you I they is are was can could would will do have had need want like know think check "
    "confirm change cancel move book send call speak and but or so because with for at on in to from about before after again still just"
).split()


def call_body(*, utterances: int = 40, seed: int = 3) -> bytes:
    """The answer to a `get_call`: an ended and analyzed phone call of this many utterances, each word with its times, as compact JSON.

    With 40 utterances it is about 68 KB long.
    """
    return json.dumps(_call(utterances, Random(seed)), ensure_ascii=False, separators=(",", ":")).encode()


def page_body(calls: int, *, utterances: int = 10, seed: int = 3) -> bytes:
    """The answer to a `list_calls`: a page of so many calls."""
    random = Random(seed)
    page = {"items": [_call(utterances, random) for _ in range(calls)], "has_more": True, "pagination_key": "next"}
    return json.dumps(page, ensure_ascii=False, separators=(",", ":")).encode()


def _call(utterances: int, random: Random) -> dict[str, Any]:
    spoken, end = _conversation(utterances, random)
    with_tools = _with_tool_calls(spoken, random)
    started = 1_790_000_000_000
    seconds = round(end) + 1
    call_id = f"call_{random.randbytes(14).hex()}"
    files = f"https://files.example.com/{call_id}"
    return {
        "call_id": call_id,
        "call_type": "phone_call",
        "agent_id": f"agent_{random.randbytes(13).hex()}",
        "agent_version": 7,
        "agent_name": "Front desk",
        "call_status": "ended",
        "from_number": "+14155550100",
        "to_number": "+14155550101",
        "direction": "outbound",
        "telephony_identifier": {"twilio_call_sid": f"CA{random.randbytes(16).hex()}"},
        "metadata": {"campaign": "spring", "customer": 48213},
        "retell_llm_dynamic_variables": {"customer_name": "Robin", "order_number": "A-20931"},
        "collected_dynamic_variables": {"previous_node": "booking", "current_node": "goodbye"},
        "data_storage_setting": "everything",
        "opt_in_signed_url": False,
        "start_timestamp": started,
        "end_timestamp": started + seconds * 1000,
        "duration_ms": seconds * 1000,
        "transcript": "".join(f"{item['role'].capitalize()}: {item['content']}\n" for item in spoken),
        "transcript_object": spoken,
        "transcript_with_tool_calls": with_tools,
        "recording_url": f"{files}/recording.wav",
        "recording_multi_channel_url": f"{files}/recording_multichannel.wav",
        "public_log_url": f"{files}/public.log",
        "latency": {
            name: _latency(middle, utterances // 2, random) for name, middle in (("e2e", 900), ("llm", 450), ("tts", 260), ("asr", 90))
        },
        "disconnection_reason": "agent_hangup",
        "call_analysis": {
            "call_summary": "The caller moved an appointment to Thursday afternoon and confirmed the address.",
            "in_voicemail": False,
            "user_sentiment": "Positive",
            "call_successful": True,
            "custom_analysis_data": {"appointment_moved": True, "wishes": ["afternoon", "same doctor"]},
        },
        "call_cost": {
            "product_costs": [
                {"product": "elevenlabs_tts", "unit_price": 0.1166667, "cost": round(seconds * 0.1166667, 3)},
                {"product": "gpt_4_1", "unit_price": 0.075, "cost": round(seconds * 0.075, 3)},
                {"product": "us_telephony", "unit_price": 0.025, "cost": round(seconds * 0.025, 3), "is_transfer_leg_cost": False},
            ],
            "total_duration_seconds": seconds,
            "total_duration_unit_price": 0.2166667,
            "combined_cost": round(seconds * 0.2166667, 3),
        },
        "llm_token_usage": {
            "values": [random.randint(1800, 4200) for _ in range(utterances // 2)],
            "average": 2913.5,
            "num_requests": utterances // 2,
        },
    }


def _conversation(utterances: int, random: Random) -> tuple[list[dict[str, Any]], float]:
    spoken: list[dict[str, Any]] = []
    clock = 0.6
    for index in range(utterances):
        words: list[dict[str, Any]] = []
        for _ in range(random.randint(8, 21)):
            length = random.uniform(0.12, 0.45)
            words.append({"word": random.choice(_VOCABULARY), "start": round(clock, 3), "end": round(clock + length, 3)})
            clock += length + random.uniform(0.01, 0.09)
        content = " ".join(entry["word"] for entry in words)
        spoken.append({"role": ("agent", "user")[index % 2], "content": f"{content}.", "words": words})
        clock += random.uniform(0.3, 1.1)
    return spoken, clock


def _with_tool_calls(spoken: list[dict[str, Any]], random: Random) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    for index, utterance in enumerate(spoken):
        items.append(utterance)
        if index % 8 == 5:
            tool_call_id = f"tool_call_{random.randbytes(6).hex()}"
            arguments = json.dumps({"order_number": "A-20931", "day": "Thursday", "attempt": index})
            items += [
                {"role": "tool_call_invocation", "tool_call_id": tool_call_id, "name": "find_free_slots", "arguments": arguments},
                {"role": "tool_call_result", "tool_call_id": tool_call_id, "content": '{"slots": ["14:00", "15:30"]}', "successful": True},
            ]
        if index % 16 == 9:
            items.append(
                {
                    "role": "node_transition",
                    "former_node_id": "node_1",
                    "former_node_name": "greeting",
                    "new_node_id": "node_2",
                    "new_node_name": "booking",
                    "transition_type": "normal",
                }
            )
    return items


def _latency(middle: int, turns: int, random: Random) -> dict[str, Any]:
    values = [round(random.gauss(middle, middle / 6)) for _ in range(turns)]
    ranked = sorted(values)
    return {
        **{f"p{share}": ranked[min(len(ranked) * share // 100, len(ranked) - 1)] for share in (50, 90, 95, 99)},
        "min": ranked[0],
        "max": ranked[-1],
        "num": turns,
        "values": values,
    }
