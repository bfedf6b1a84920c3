"""The official SDK as a client of the sandbox: every method, with every parameter, every answer checked strictly."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from retell import AsyncRetell

from codegen.document import load_file
from retell_async import RequestOptions
from retell_async.sandbox import Sandbox, Settings, SteppedClock, serve
from retell_async.sandbox.operations.account.account import order_export
from retell_async.sandbox.operations.agents.agents import tag

from .checked import DOCUMENT, Json
from .samples import properties, resolve, whole

pytestmark = [pytest.mark.asyncio, pytest.mark.soak, pytest.mark.parallel]

SURFACE = load_file(Path(__file__).parents[2] / "openapi" / "surface.yaml")
OPERATIONS = {name: key.split(" ") for key, said in SURFACE.items() if " " in key for name in said["methods"]}
PICTURE = ("logo.png", b"\x89PNG", "image/png")
TAG = {"id": "0123456789abcdef" * 2, "label": "VIP"}
STRING = {"type": "string", "op": "co", "value": "a"}
NUMBER = {"type": "range", "op": "bt", "value": [0, 10]}
BOOLEAN = {"type": "boolean", "op": "eq", "value": True}
ENUMS = {
    "call_status": "ended",
    "chat_status": "ended",
    "call_type": "phone_call",
    "chat_type": "sms_chat",
    "data_storage_setting": "everything",
    "direction": "outbound",
    "disconnection_reason": "user_hangup",
    "user_sentiment": "Positive",
    "agent_tag": "production",
}
BY_HAND: Mapping[str, Any] = {
    "agent": [{"agent_id": "agent_1", "version": [0]}],
    "call_id": {"type": "enum", "op": "in", "value": ["call_1"]},
    "tool_calls": [{"name": "end_call", "type": "end_call", "latency_ms": NUMBER, "success": BOOLEAN}],
    "contact_tag_ids": {"type": "enum", "op": "in", "value": [TAG["id"]]},
    "external_id": {"type": "present", "op": "np"},
}


class Peer:
    """The official SDK, and a note of what was done with it."""

    def __init__(self, client: AsyncRetell) -> None:
        self.client = client
        self.seen: dict[str, set[str]] = {}

    def method(self, name: str) -> Any:
        resource, _, method = name.partition(".")
        return getattr(getattr(self.client, resource), method)

    async def whole(self, name: str, /, **given: Any) -> Any:
        """Call a method with all of its parameters; those not given have whatever the document allows."""
        wanted = parameters(self.method(name))
        return await self.call(
            name, **{field: value for field, value in (samples(name) | given).items() if field in wanted or field in given}
        )

    async def call(self, name: str, /, *path: str, **given: Any) -> Any:
        method = self.method(name)
        bound = inspect.signature(method).bind(*path, **given)
        self.seen.setdefault(name, set()).update(bound.arguments)
        return await method(*path, **given)


def methods(client: AsyncRetell) -> set[str]:
    """The names of all methods that the SDK has for the API."""
    resources = [name for name in dir(type(client)) if not name.startswith(("_", "with_"))]
    return {
        f"{name}.{method}"
        for name in resources
        if type(resource := getattr(client, name)).__module__.startswith("retell.resources.")
        for method, _ in inspect.getmembers(resource, inspect.ismethod)
        if not method.startswith("_")
    }


def parameters(method: Any) -> set[str]:
    return set(inspect.signature(method).parameters) - RequestOptions.__annotations__.keys()


def samples(name: str) -> Json:
    """A value for each parameter of a method that the document knows."""
    method, path = OPERATIONS[name]
    operation = DOCUMENT["paths"][path][method.lower()]
    found: Json = {}
    for parameter in operation.get("parameters", ()):
        described = DOCUMENT["components"]["parameters"][parameter["$ref"].rpartition("/")[2]] if "$ref" in parameter else parameter
        if described["in"] == "query":
            found[described["name"]] = whole(described["schema"])
    for content in operation.get("requestBody", {}).get("content", {}).values():
        found |= whole(content["schema"])
    return found


def criteria(schema: str) -> Json:
    """A filter on each field that can be filtered."""
    known = dict(properties({"$ref": f"#/components/schemas/{schema}"}))
    return {name: _criterion(name, resolve(part)) for name, part in known.items()}


def _criterion(name: str, schema: Json) -> Any:
    if name in BY_HAND:
        return BY_HAND[name]
    if name in ENUMS:
        return {"type": "enum", "op": "in", "value": [ENUMS[name]]}
    if schema.get("type") == "array":
        kinds = (STRING, NUMBER, BOOLEAN, {"type": "present", "op": "pr"}, {"type": "enum", "op": "in", "value": ["a"]})
        return [{"key": "name", **STRING}] if name == "dynamic_variables" else [{"key": "name", **kind} for kind in kinds]
    text = str(schema)
    return BOOLEAN if "BooleanFilter" in text or "boolean" in text else NUMBER if "NumberFilter" in text else STRING


async def _voices(peer: Peer) -> None:
    await peer.whole("voice.clone", files=[PICTURE], voice_provider="elevenlabs")
    found = await peer.whole("voice.search", search_query="friendly deep", voice_provider="elevenlabs")
    voice = found.voices[0]
    assert voice.provider_voice_id
    added = await peer.whole("voice.add_resource", provider_voice_id=voice.provider_voice_id, voice_provider="elevenlabs")
    assert (await peer.call("voice.retrieve", added.voice_id)).voice_id == added.voice_id
    assert len(await peer.call("voice.list")) > 5


async def _knowledge(peer: Peer, clock: SteppedClock) -> None:
    files = [("notes.txt", b"notes", "text/plain"), ("more.txt", b"more", "text/plain")]
    texts = [{"title": "One", "text": "1"}, {"title": "Two", "text": "2"}]
    made = await peer.whole(
        "knowledge_base.create",
        knowledge_base_files=files,
        knowledge_base_texts=texts,
        knowledge_base_urls=["https://example.com"],
        min_chunk_size=300,
        max_chunk_size=900,
    )
    assert (made.status, made.min_chunk_size, made.enable_auto_refresh) == ("in_progress", 300, True)
    clock.advance(60)
    found = await peer.call("knowledge_base.retrieve", made.knowledge_base_id)
    assert (found.status, len(found.knowledge_base_sources or ())) == ("complete", 5)
    more = {"knowledge_base_files": files, "knowledge_base_texts": texts, "knowledge_base_urls": ["https://example.com/2"]}
    await peer.whole("knowledge_base.add_sources", knowledge_base_id=made.knowledge_base_id, **more)
    clock.advance(60)
    base = (await peer.call("knowledge_base.list"))[0]
    assert len(base.knowledge_base_sources or ()) == 10
    source = (base.knowledge_base_sources or [])[0]
    after = await peer.call("knowledge_base.delete_source", knowledge_base_id=made.knowledge_base_id, source_id=source.source_id)
    assert len(after.knowledge_base_sources or ()) == 9
    await peer.call("knowledge_base.delete", made.knowledge_base_id)


def _flow_nodes(sample: Json) -> Json:
    """The nodes of a sample, each with an id of its own."""
    nodes = [node | {"id": f"node_{number}"} for number, node in enumerate(sample["nodes"])]
    components = [component | _flow_nodes(component) for component in sample.get("components", ())]
    return {"nodes": nodes, "start_node_id": "node_0"} | ({"components": components} if components else {})


async def _flows(peer: Peer) -> str:
    component = "conversation_flow_component"
    made = await peer.whole(f"{component}.create", **_flow_nodes(samples(f"{component}.create")))
    id = made.conversation_flow_component_id
    await peer.call(f"{component}.retrieve", id)
    await peer.whole(f"{component}.update", conversation_flow_component_id=id, **_flow_nodes(samples(f"{component}.update")))
    assert (await peer.whole(f"{component}.list", pagination_key="9.0", sort_order="descending")).items

    flow = await peer.whole("conversation_flow.create", **_flow_nodes(samples("conversation_flow.create")))
    flow_id: str = flow.conversation_flow_id
    assert len(flow.nodes) == 15
    changes = _flow_nodes(samples("conversation_flow.update"))
    await peer.whole("conversation_flow.update", conversation_flow_id=flow_id, version=0, **changes)
    await peer.whole("conversation_flow.retrieve", conversation_flow_id=flow_id, version=0)
    assert (await peer.whole("conversation_flow.list", pagination_key="2.0", sort_order="descending")).items
    return flow_id


async def _llms(peer: Peer) -> str:
    llm = await peer.whole("llm.create")
    llm_id: str = llm.llm_id
    assert len(llm.general_tools) > 10
    await peer.whole("llm.update", llm_id=llm_id, version=0)
    await peer.whole("llm.retrieve", llm_id=llm_id, version=0)
    assert (await peer.whole("llm.list", pagination_key="2.0", sort_order="descending")).items
    return llm_id


async def _agents(peer: Peer, sandbox: Sandbox, engine: Json) -> tuple[str, str]:
    ids: list[str] = []
    for kind in ("agent", "chat_agent"):
        given = {"response_engine": engine} | ({"end_chat_after_silence_ms": 7_200_000} if kind == "chat_agent" else {})
        made = await peer.whole(f"{kind}.create", **given)
        agent_id = made.agent_id
        await peer.whole(f"{kind}.update", agent_id=agent_id, version="latest", **given)
        await peer.whole(f"{kind}.publish", agent_id=agent_id, version=0)
        draft = await peer.whole(f"{kind}.create_version", agent_id=agent_id, base_version=0)
        assert (draft.version, draft.base_version, draft.is_published) == (1, 0, False)
        tag(sandbox.store, agent_id, "production", 0)
        assert (await peer.whole(f"{kind}.retrieve", agent_id=agent_id, version="production")).assigned_tags == ["production"]
        if kind == "agent":
            listed = await peer.whole("agent.list_versions", agent_id=agent_id, pagination_key="9.0", sort_order="descending")
            assert [item.version for item in listed.items] == [1, 0]
            await peer.whole("agent.repair", agent_id=agent_id, version=1)
        await peer.whole(f"{kind}.delete_version", agent_id=agent_id, version=1)
        channel = {"channel": {"type": "string", "op": "eq", "value": "voice" if kind == "agent" else "chat"}}
        everything = {**channel, "query": "", "is_transfer_agent": BOOLEAN | {"value": kind == "agent"}}
        listed = await peer.whole(f"{kind}.list", pagination_key="9.0", sort_order="descending", filter_criteria=everything)
        assert kind == "chat_agent" or [item.agent_id for item in listed.items] == [agent_id]
        ids.append(agent_id)
    server = samples("llm.create")["mcps"][0]["name"]
    await peer.call("mcp_tool.get_mcp_tools", ids[0], mcp_id=server, version=0)
    component_id = next(iter(sandbox.store.components)).id
    assert await peer.call("mcp_tool.get_mcp_tools", ids[0], mcp_id=server, component_id=component_id)
    mocks = samples("playground.completion")
    answered = await peer.whole("playground.completion", agent_id=ids[0], version=0, messages=mocks["messages"])
    assert answered.messages
    return ids[0], ids[1]


async def _numbers(peer: Peer, agent_id: str, chat_agent_id: str) -> str:
    voice, chat = [{"agent_id": agent_id, "weight": 1, "agent_version": "latest"}], [{"agent_id": chat_agent_id, "weight": 1}]
    bound = {"inbound_agents": voice, "outbound_agents": voice}
    await peer.whole("phone_number.create", phone_number="+14155550100", area_code=415, fallback_number=None, **bound)
    await peer.whole("phone_number.import_", phone_number="+4930555100", **bound)
    sms = {"inbound_sms_agents": chat, "outbound_sms_agents": chat}
    changed = await peer.whole("phone_number.update", phone_number="+14155550100", fallback_number="+4930555100", **bound, **sms)
    assert changed.fallback_number == "+4930555100"
    await peer.call("phone_number.retrieve", "+14155550100")
    assert (await peer.whole("phone_number.list", pagination_key="9.0", sort_order="descending")).items
    return "+14155550100"


async def _calls(peer: Peer, clock: SteppedClock, agent_id: str, number: str) -> None:
    whose = {"from_number": number, "to_number": "+12015550123"}
    override = samples("call.create_phone_call")["agent_override"]
    override["agent"]["data_storage_setting"] = "everything"
    version = {"override_agent_id": agent_id, "override_agent_version": "production"}
    del override["agent"]["response_engine"]
    placed = await peer.whole("call.create_phone_call", **whose, **version, agent_override=override)
    assert placed.agent_tag == "production"
    web = await peer.whole("call.create_web_call", agent_id=agent_id, agent_version=0, agent_override=override)
    await peer.whole("call.register_phone_call", **whose, agent_id=agent_id, agent_version=0, agent_override=override)
    tasks = [
        {**samples("batch_call.create_batch_call")["tasks"][0], "to_number": f"+1201555{n}", **version, "agent_override": override}
        for n in (1001, 1002)
    ]
    hours = {"windows": [{"start": 0, "end": 1440}], "timezone": "Europe/Berlin", "day": ["Monday", "Tuesday", "Wednesday", "Thursday"]}
    trigger = clock.now() + 1_000
    batch = await peer.whole(
        "batch_call.create_batch_call",
        from_number=number,
        tasks=tasks,
        call_time_window=hours,
        trigger_timestamp=trigger,
        reserved_concurrency=1,
    )
    while (await peer.call("call.retrieve", placed.call_id)).call_status != "ongoing":
        clock.advance(0.5)
    listening = await peer.call("call.listen_live", placed.call_id)
    fields = samples("call.update_live")["fields_to_override"] | {"data_storage_setting": "everything"}
    await peer.whole("call.update_live", call_id=placed.call_id, fields_to_override=fields)
    await peer.whole("call.take_over_live", call_id=placed.call_id, participant_id=listening.participant_id)
    while (await peer.call("call.retrieve", web.call_id)).call_status != "ongoing":
        clock.advance(0.5)
    await peer.call("call.stop", web.call_id)
    clock.advance(4_000)
    for call_id in (placed.call_id, web.call_id):
        call = await peer.call("call.retrieve", call_id)
        assert call.call_analysis.custom_analysis_data
    await peer.whole("call.update", call_id=placed.call_id, data_storage_setting="basic_attributes_only")
    await peer.call("call.rerun_analysis", placed.call_id)
    of_batch = {"batch_call_id": {"type": "string", "op": "eq", "value": batch.batch_call_id}}
    assert len((await peer.call("call.list", filter_criteria=of_batch)).items) == 2
    shared = {"include_total": True, "limit": 3, "sort_order": "ascending"}
    first = await peer.call("call.list", **shared, skip=1)
    assert first.total == 5
    second = await peer.call("call.list", **shared, pagination_key=first.pagination_key)
    assert len(second.items) == 1
    await peer.call("call.list", filter_criteria=criteria("CallFilter"))
    await peer.call("call.delete", web.call_id)


async def _chats(peer: Peer, clock: SteppedClock, agent_id: str, number: str) -> None:
    chat = await peer.whole("chat.create", agent_id=agent_id, agent_version=0)
    answered = await peer.whole("chat.create_chat_completion", chat_id=chat.chat_id, content="Hello")
    assert answered.messages[0].role == "agent"
    whose = {"from_number": number, "to_number": "+12015550123", "override_agent_id": agent_id, "override_agent_version": 0}
    sms = await peer.whole("chat.create_sms_chat", **whose, honor_internal_dnc=True)
    clock.advance(600)
    await peer.call("chat.create_chat_completion", chat_id=chat.chat_id, content="Thank you, bye")
    await peer.call("chat.end", sms.chat_id)
    clock.advance(10)
    found = await peer.call("chat.retrieve", sms.chat_id)
    assert (found.chat_status, found.chat_analysis is None) == ("ended", False)
    await peer.whole("chat.update", chat_id=chat.chat_id, data_storage_setting="basic_attributes_only")
    await peer.call("chat.rerun_analysis", chat.chat_id)
    first = await peer.call("chat.list", include_total=True, limit=1, skip=0, sort_order="descending")
    assert (first.total, first.has_more) == (2, True)
    await peer.call("chat.list", pagination_key=first.pagination_key, filter_criteria=criteria("ChatFilter"))
    await peer.call("chat.delete", sms.chat_id)


async def _contacts(peer: Peer, clock: SteppedClock) -> str:
    app = await peer.whole("app.create", type="crm", crm_config={**samples("app.create")["crm_config"], "inbound_sync_mappings": []})
    app_id: str = app.app_id
    fields = [
        {"name": "text", "type": "enum", "options": ["a", "b"], "label": "Text", "description": "A text"},
        {"name": "age", "type": "number"},
    ]
    mappings = [{"analysis_data_name": "text", "field_name": "text", "update_mode": "merge"}]
    settings = {"contact_tags": [TAG], "custom_fields": fields, "crm_analysis_data_mappings": mappings}
    await peer.whole("crm.update_config", app_id=app_id, **settings)
    assert (await peer.call("crm.get_config")).app_id == app_id
    await peer.whole("crm.get_schema", app_id=app_id)
    theirs = {"contact_tag_ids": [TAG["id"]], "custom_fields": {"text": "a", "age": 3}}
    made = await peer.whole("contact.create", phone_number="+12015550123", do_not_call=False, **theirs)
    assert made.conversation_count > 0
    await peer.whole("contact.update", contact_id=made.contact_id, do_not_call=False, **theirs)
    await peer.call("contact.get", made.contact_id)
    assert (await peer.call("contact.get_by_phone", "+12015550123")).contact_id == made.contact_id
    assert (await peer.whole("contact.list_conversations", contact_id=made.contact_id, pagination_key="ffffffffffff.0")).items
    everything = {"filter_criteria": criteria("ContactFilter"), "search_query": "text", "excluded_contact_ids": ["contact_2"]}
    await peer.call("contact.list", **everything, limit=10, skip=0, sort_order="asc")
    assert (await peer.call("contact.list", pagination_key="9.0")).total == 1
    rows = b"Phone,First\n201 555 0101,Ada\nnobody,Eve\n"
    uploaded = await peer.whole("contact.upload_import_file", file=("contacts.csv", rows, "text/csv"))
    columns = [{"field_name": "phone_number", "external_field_name": "Phone"}, {"field_name": "first_name", "external_field_name": "First"}]
    started = await peer.whole("contact.create_import", upload_id=uploaded.upload_id, column_mapping=columns)
    assert started.status == "queued"
    clock.advance(10)
    done = await peer.call("contact.get_import")
    assert (done.status, done.succeeded, done.failed) == ("idle", 1, 1)
    only = {"start_timestamp": NUMBER, "agent": BY_HAND["agent"]}
    await peer.whole("contact.backfill_analysis_data", backfill_attributes=["text", "contact_memory"], backfill_call_filter=only)
    await peer.call("contact.get_backfill_job_status")
    await peer.call("crm.run_sync_job")
    clock.advance(10)
    assert (await peer.call("crm.get_sync_job_status")).succeeded == 2
    await peer.call("contact.delete", made.contact_id)
    return app_id


async def _apps(peer: Peer, app_id: str) -> None:
    await peer.whole("app.update", app_id=app_id, crm_config={"sync_new_contacts": True})
    await peer.call("app.get", app_id)
    assert (await peer.whole("app.list", pagination_key="9.0", sort_order="descending", privacy_scope="standard")).items
    await peer.whole("app.list_usages", app_id=app_id, pagination_key="9.0")
    assert (await peer.call("app.test_auth", app_id)).success
    await peer.whole("app.get_tool_schema", app_id=app_id)
    await peer.call("app.get_tool_schema", app_id, app_tool_template_name="add_row", parameters=[])
    await peer.whole("app.delete", app_id=app_id, force_delete=True)


async def _tests(peer: Peer, clock: SteppedClock, llm_id: str, flow_id: str) -> None:
    engine = {"type": "retell-llm", "llm_id": llm_id}
    case = await peer.whole("tests.create_test_case_definition", response_engine=engine)
    case_id = case.test_case_definition_id
    await peer.whole("tests.update_test_case_definition", test_case_definition_id=case_id, response_engine=engine)
    await peer.call("tests.get_test_case_definition", case_id)
    both = {"llm_id": llm_id, "conversation_flow_id": flow_id, "type": "retell-llm", "pagination_key": "9.0", "limit": 2}
    assert (await peer.call("tests.list_test_case_definitions", **both)).items
    batch = await peer.whole("tests.create_batch_test", response_engine=engine, test_case_definition_ids=[case_id] * 3)
    assert batch.status == "in_progress"
    clock.advance(60)
    assert (await peer.call("tests.get_batch_test", batch.test_case_batch_job_id)).status == "complete"
    await peer.call("tests.list_batch_tests", **both, version=0)
    runs = await peer.whole("tests.list_test_runs", test_case_batch_job_id=batch.test_case_batch_job_id, pagination_key="9.0")
    assert (await peer.call("tests.get_test_run", runs.items[0].test_case_job_id)).result_explanation
    await peer.call("tests.delete_test_case_definition", case_id)


async def test_every_method_with_every_parameter() -> None:
    clock = SteppedClock()
    sandbox = Sandbox(Settings(outcomes={"user_hangup": 1}, custom_attributes=frozenset({"name"})), clock)
    async with (
        serve(sandbox) as served,
        AsyncRetell(api_key="key", base_url=served.url, _strict_response_validation=True, max_retries=0) as client,
    ):
        peer = Peer(client)
        await _voices(peer)
        await _knowledge(peer, clock)
        await peer.whole("asset.create", file=PICTURE)
        flow_id, llm_id = await _flows(peer), await _llms(peer)
        agent_id, chat_agent_id = await _agents(peer, sandbox, {"type": "retell-llm", "llm_id": llm_id, "version": 0})
        number = await _numbers(peer, agent_id, chat_agent_id)
        await _calls(peer, clock, agent_id, number)
        await _chats(peer, clock, chat_agent_id, number)
        await _apps(peer, await _contacts(peer, clock))
        await _tests(peer, clock, llm_id, flow_id)
        await peer.call("concurrency.retrieve")
        await peer.call("identity.retrieve")
        order_export(sandbox.store)
        clock.advance(60)
        assert (await peer.whole("export_request.list", pagination_key="9.0", sort_order="descending")).items[0].url
        components = (await peer.call("conversation_flow_component.list")).items
        await peer.call("conversation_flow_component.delete", components[0].conversation_flow_component_id)
        await peer.call("phone_number.delete", number)
        await peer.call("agent.delete", agent_id)
        await peer.call("chat_agent.delete", chat_agent_id)
        await peer.whole("llm.delete", llm_id=llm_id, force_delete=True)
        await peer.whole("conversation_flow.delete", conversation_flow_id=flow_id, force_delete=True)

        assert peer.seen.keys() == methods(client)
        unused = {name: left for name, used in peer.seen.items() if (left := parameters(peer.method(name)) - used)}
        assert unused == {}
