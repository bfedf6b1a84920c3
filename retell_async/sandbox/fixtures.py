"""Fixtures: an LLM, an agent and a phone number, which an account needs before it can call."""

from __future__ import annotations

from typing import Any

import attrs

from .common.messages import Json
from .service import Sandbox

__all__ = ["Fixtures", "create_fixtures"]


@attrs.frozen
class Fixtures:
    llm_id: str
    agent_id: str
    phone_number: str


def create_fixtures(sandbox: Sandbox, **agent: Any) -> Fixtures:
    """Create an LLM, an agent, and a phone number that the agent calls from and answers.

    :param agent: fields of the agent, as ``webhook_url="http://127.0.0.1:8000/events"``.
    :raises ValueError: the API refuses such an agent.
    """
    llm = _create(
        sandbox,
        "llm.create",
        begin_message="Hello, this is the assistant of the dental practice. Do you have a moment?",
        general_prompt="You arrange appointments. Be brief and friendly.",
    )
    engine = {"type": "retell-llm", "llm_id": llm["llm_id"]}
    made = _create(sandbox, "agent.create", **{"agent_name": "Appointments", "voice_id": "retell-Cimo", "response_engine": engine} | agent)
    agents = [{"agent_id": made["agent_id"], "weight": 1}]
    number = _create(sandbox, "phone_number.create", area_code=415, outbound_agents=agents, inbound_agents=agents)
    return Fixtures(llm["llm_id"], made["agent_id"], number["phone_number"])


def _create(sandbox: Sandbox, operation: str, **fields: Any) -> Json:
    answer = sandbox.post(sandbox.path_of(operation), fields)
    body: Json = answer.body
    if answer.status >= 400:
        raise ValueError(body["message"])
    return body
