"""Tools that need a human's consent, each with arguments that need it."""

from __future__ import annotations

from typing import Any

from .workspace import PEOPLE, Workspace

__all__ = ["ASKING", "arguments_of"]

Json = dict[str, Any]

ASKING = [
    *("create_phone_call", "create_batch_call", "create_web_call", "create_phone_number", "import_phone_number", "create_knowledge_base"),
    *("add_knowledge_base_sources", "delete_agent", "delete_llm", "delete_conversation_flow", "delete_call", "delete_phone_number"),
    *("delete_knowledge_base_source", "delete_knowledge_base", "update_call", "update_agent"),
]


def arguments_of(work: Workspace) -> dict[str, Json]:
    """Arguments by the names of tools, some with what the workspace has."""
    fixtures = work.fixtures
    texts = [{"title": "Hours", "text": "9 to 5"}]
    return {
        "create_phone_call": {"from_number": fixtures.phone_number, "to_number": PEOPLE},
        "create_batch_call": {"from_number": fixtures.phone_number, "tasks": [{"to_number": PEOPLE}, {"to_number": "+14155550124"}]},
        "create_web_call": {"agent_id": fixtures.agent_id},
        "create_phone_number": {"area_code": 415},
        "import_phone_number": {
            "phone_number": "+14155550199",
            "termination_uri": "trunk.example.com",
            "sip_trunk_auth_password": "hunter22",
        },
        "create_knowledge_base": {"knowledge_base_name": "Hours", "knowledge_base_texts": texts},
        "add_knowledge_base_sources": {"knowledge_base_id": "knowledge_base_1", "knowledge_base_texts": texts},
        "delete_agent": {"agent_id": fixtures.agent_id},
        "delete_llm": {"llm_id": fixtures.llm_id},
        "delete_conversation_flow": {"conversation_flow_id": "conversation_flow_1"},
        "delete_call": {"call_id": "call_1"},
        "delete_phone_number": {"phone_number": fixtures.phone_number},
        "delete_knowledge_base_source": {"knowledge_base_id": "knowledge_base_1", "source_id": "source_1"},
        "delete_knowledge_base": {"knowledge_base_id": "knowledge_base_1"},
        "update_call": {"call_id": "call_1", "data_storage_setting": "basic_attributes_only"},
        "update_agent": {"agent_id": fixtures.agent_id, "data_storage_retention_days": 1},
    }
