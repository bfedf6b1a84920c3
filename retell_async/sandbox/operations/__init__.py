"""The operations of the API. A handler gets the store and a checked request, and gives the body of the answer or raises `Refused`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from ..common.messages import Incoming
from ..openapi.document import Document, Route
from ..state.store import Store
from . import generic, lists
from .account import account, apps, contacts, crm, files, numbers
from .agents import agent_tests, agents, flows, knowledge, llms, playground, voices
from .agents.agents import CHAT, VOICE
from .calls import batches, calls, chats

__all__ = ["HANDLERS", "Handler", "handler_of"]

Handler = Callable[[Store, Incoming], Any]

HANDLERS: Mapping[str, Handler] = {
    "createAgent": VOICE.create,
    "getAgent": VOICE.retrieve,
    "updateAgent": VOICE.update,
    "deleteAgent": VOICE.delete,
    "createChatAgent": CHAT.create,
    "getChatAgent": CHAT.retrieve,
    "updateChatAgent": CHAT.update,
    "deleteChatAgent": CHAT.delete,
    "listAgents": agents.listing,
    "createAgentVersion": agents.create_version,
    "listAgentVersions": agents.versions,
    "publishAgentVersion": agents.publish,
    "deleteAgentVersion": agents.delete_version,
    "repairAgent": agents.repair,
    "getMCPTools": agents.mcp_tools,
    "createRetellLLM": llms.create,
    "getRetellLLM": llms.retrieve,
    "listRetellLLM": llms.listing,
    "updateRetellLLM": llms.update,
    "deleteRetellLLM": llms.delete,
    "createConversationFlow": flows.create,
    "getConversationFlow": flows.retrieve,
    "listConversationFlows": flows.listing,
    "updateConversationFlow": flows.update,
    "deleteConversationFlow": flows.delete,
    "createConversationFlowComponent": flows.create_component,
    "getConversationFlowComponent": flows.retrieve_component,
    "listConversationFlowComponents": flows.list_components,
    "updateConversationFlowComponent": flows.update_component,
    "deleteConversationFlowComponent": flows.delete_component,
    "createPhoneNumber": numbers.create,
    "importPhoneNumber": numbers.import_,
    "getPhoneNumber": numbers.retrieve,
    "listPhoneNumbers": numbers.listing,
    "updatePhoneNumber": numbers.update,
    "deletePhoneNumber": numbers.delete,
    "createPhoneCall": calls.create_phone_call,
    "createWebCall": calls.create_web_call,
    "registerPhoneCall": calls.register_phone_call,
    "getCall": calls.retrieve,
    "listCalls": calls.listing,
    "updateCallMetadata": calls.update,
    "deleteCall": calls.delete,
    "rerunCallAnalysis": calls.rerun_analysis,
    "stopCall": calls.stop,
    "updateLiveCall": calls.update_live,
    "listenLiveCall": calls.listen,
    "takeOverLiveCall": calls.take_over,
    "createChat": chats.create,
    "createSmsChat": chats.create_sms,
    "createChatCompletion": chats.complete,
    "getChat": chats.retrieve,
    "listChats": chats.listing,
    "updateChatMetadata": chats.update,
    "endChat": chats.end,
    "deleteChat": chats.delete,
    "rerunChatAnalysis": chats.rerun_analysis,
    "createContact": contacts.create,
    "getContact": contacts.retrieve,
    "getContactByPhone": contacts.retrieve_by_phone,
    "listContacts": contacts.listing,
    "updateContact": contacts.update,
    "deleteContact": contacts.delete,
    "listContactConversations": contacts.conversations,
    "uploadContactImportFile": contacts.upload,
    "createContactImport": contacts.create_import,
    "getContactImport": contacts.import_status,
    "backfillContactAnalysisData": contacts.backfill,
    "getBackfillContactJobStatus": contacts.backfill_status,
    "createBatchCall": batches.create,
    "agentPlaygroundCompletion": playground.complete,
    "getCrmConfig": crm.config,
    "updateCrmConfig": crm.update_config,
    "getCrmSchema": crm.schema,
    "runSyncJob": crm.run_sync,
    "getSyncJobStatus": crm.sync_status,
    "createApp": apps.create,
    "getApp": apps.retrieve,
    "listApps": apps.listing,
    "updateApp": apps.update,
    "deleteApp": apps.delete,
    "listAppUsages": apps.usages,
    "testAppAuth": apps.test_auth,
    "getAppToolSchema": apps.tool_schema,
    "createKnowledgeBase": knowledge.create,
    "getKnowledgeBase": knowledge.retrieve,
    "listKnowledgeBases": knowledge.listing,
    "addKnowledgeBaseSources": knowledge.add_sources,
    "deleteKnowledgeBaseSource": knowledge.delete_source,
    "deleteKnowledgeBase": knowledge.delete,
    "createTestCaseDefinition": agent_tests.create_case,
    "getTestCaseDefinition": agent_tests.retrieve_case,
    "listTestCaseDefinitions": agent_tests.list_cases,
    "updateTestCaseDefinition": agent_tests.update_case,
    "deleteTestCaseDefinition": agent_tests.delete_case,
    "createBatchTest": agent_tests.create_batch,
    "getBatchTest": agent_tests.retrieve_batch,
    "listBatchTests": agent_tests.list_batches,
    "listTestRuns": agent_tests.list_runs,
    "getTestRun": agent_tests.retrieve_run,
    "createAsset": files.create,
    "listVoices": voices.listing,
    "getVoice": voices.retrieve,
    "cloneVoice": voices.clone,
    "searchCommunityVoice": voices.search,
    "addCommunityVoice": voices.add_community,
    "getConcurrency": account.concurrency,
    "getApiKeyInfo": account.key_info,
    "listExportRequests": account.list_exports,
}
"""Handlers by the operation's id, which is that of `openapi/surface.yaml` whatever the document calls it."""


def handler_of(document: Document, route: Route) -> Handler:
    """The handler of an operation, of which there may be several versions, each with an answer of its own shape."""
    known = HANDLERS.get(route.id) or HANDLERS.get(re.sub(r"V\d+$", "", route.id))
    return generic.handler(document, route, HANDLERS) if known is None else lists.shaped(document, route, known)
