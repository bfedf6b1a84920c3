"""Another revision of the pinned document, made from it with one change of each kind."""

from __future__ import annotations

import re
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

from codegen.document import Json, dump, load_file, ref_name
from codegen.generate import ROOT
from codegen.prepare import prepare

PINNED = load_file(ROOT / "openapi" / "openapi.yaml")
PUBLISHED = ROOT.parent / "shared" / "spec" / "upstream-2026-04.yaml"


def newest(name: str, document: Json = PINNED) -> str:
    """The path of an operation in the newest version that the document has."""
    versions: list[str] = [path for path in document["paths"] if re.fullmatch(rf"(/v\d+)?/{re.escape(name)}", path)]
    return max(versions, key=lambda path: (len(path), path))


def following(path: str) -> str:
    """The same path in the version after it."""
    version, _, name = path[1:].partition("/")
    return f"/v{int(version[1:]) + 1}/{name}" if re.fullmatch(r"v\d+", version) else f"/v2{path}"


VOICE = ref_name(PINNED["paths"]["/get-voice/{voice_id}"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]) or ""
"""What the class is called that the tests change."""


def _part() -> Json:
    """The pinned document with a few of its operations, and what these need: quicker to load."""
    kept = ("/create-chat", "/create-agent", "/get-voice/{voice_id}", newest("list-voices"), "/get-concurrency", newest("list-agents"))
    part = {**PINNED, "paths": {path: item for path, item in PINNED["paths"].items() if path in kept}}
    unused = prepare(part)["x-unreachable"]
    schemas = {name: schema for name, schema in PINNED["components"]["schemas"].items() if name not in unused}
    return {**part, "components": {**PINNED["components"], "schemas": schemas}}


PART = _part()


def changed(*changes: Callable[[Json], Any], document: Json = PART) -> Json:
    """A copy of a document with changes."""
    document = deepcopy(document)
    for change in changes:
        change(document)
    return document


def renames_an_operation(document: Json) -> None:
    item = document["paths"].pop("/get-voice/{voice_id}")
    item["get"]["operationId"] = "describeVoice"
    document["paths"]["/describe-voice/{voice_id}"] = item


def adds_an_enum_value(document: Json) -> None:
    document["components"]["schemas"]["AgentRequest"]["properties"]["voice_model"]["enum"].append("sonic-9")


def requires_a_property(document: Json) -> None:
    body = document["paths"]["/create-chat"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    body["required"] = [*body["required"], "agent_version"]


def removes_a_property(document: Json) -> None:
    del document["components"]["schemas"][VOICE]["properties"]["accent"]


def adds_a_paged_list(document: Json) -> None:
    page = {
        "type": "object",
        "properties": {
            "items": {
                "type": "array",
                "items": {"type": "object", "properties": {"widget_id": {"type": "string"}}, "required": ["widget_id"]},
            },
            "has_more": {"type": "boolean"},
            "pagination_key": {"type": "string"},
        },
        "required": ["items", "has_more"],
    }
    document["paths"]["/v2/list-widgets"] = {
        "get": {
            "operationId": "listWidgets",
            "parameters": [{"in": "query", "name": name, "schema": {"type": "string"}} for name in ("pagination_key", "colour")],
            "responses": {"200": {"description": "", "content": {"application/json": {"schema": page}}}},
        }
    }


def deprecates_an_operation(document: Json) -> None:
    document["paths"][newest("list-voices", document)]["get"]["deprecated"] = True


def removes_an_operation(document: Json) -> None:
    del document["paths"]["/get-concurrency"]


CRAFTED = changed(renames_an_operation, adds_an_enum_value, requires_a_property, removes_a_property, adds_a_paged_list, document=PINNED)


def written(document: Json, path: Path) -> str:
    path.write_text(dump(document), encoding="utf-8")
    return str(path)


def next_month(document: Json) -> None:
    """What a month brings: campaigns, a list's next version, a renaming, new values, a node, two deprecations, an end."""
    paths, schemas = document["paths"], document["components"]["schemas"]
    string: Json = {"type": "string"}

    def ref(name: str) -> Json:
        return {"$ref": f"#/components/schemas/{name}"}

    def operation(identifier: str, answer: Json | None, *names: str, body: Json | None = None, status: str = "200") -> Json:
        said: Json = {"operationId": identifier, "responses": {status: {"description": ""}}}
        if answer is not None:
            said["responses"][status]["content"] = {"application/json": {"schema": answer}}
        if names:
            said["parameters"] = [{"in": "path", "name": name, "required": True, "schema": string} for name in names]
        if body is not None:
            said["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
        return said

    schemas["CampaignRequest"] = {
        "type": "object",
        "properties": {"name": {**string, "maxLength": 100}, "from_number": string, "agent_id": string, "starts_at": {"type": "integer"}},
        "required": ["name", "from_number", "agent_id"],
    }
    own = {"campaign_id": string, "status": {**string, "enum": ["draft", "running", "paused", "done"]}}
    more = {"type": "object", "properties": own, "required": ["campaign_id", "status"]}
    schemas["CampaignResponse"] = {"allOf": [ref("CampaignRequest"), more]}
    asked = {"limit": {"type": "integer", "default": 50, "maximum": 1000}, "pagination_key": string}
    schemas["ListCampaignsRequest"] = {"type": "object", "properties": asked}
    items = {"type": "object", "properties": {"items": {"type": "array", "items": ref("CampaignResponse")}}, "required": ["items"]}
    one = ref("CampaignResponse")
    paths["/create-campaign"] = {"post": operation("createCampaign", one, body=ref("CampaignRequest"), status="201")}
    paths["/get-campaign/{campaign_id}"] = {"get": operation("getCampaign", one, "campaign_id")}
    for verb in ("start", "pause"):
        paths[f"/{verb}-campaign/{{campaign_id}}"] = {"post": operation(f"{verb}Campaign", one, "campaign_id")}
    paths["/update-campaign/{campaign_id}"] = {"patch": operation("updateCampaign", one, "campaign_id", body=ref("CampaignRequest"))}
    paths["/delete-campaign/{campaign_id}"] = {"delete": operation("deleteCampaign", None, "campaign_id", status="204")}
    page = {"allOf": [ref("PaginatedResponseBase"), items]}
    paths["/v2/list-campaigns"] = {"post": operation("listCampaigns", page, body=ref("ListCampaignsRequest"))}
    schemas["DisconnectionReason"]["enum"].append("error_campaign_paused")
    schemas["LLMModel"]["enum"].append("gpt-6")
    node = {"type": {**string, "enum": ["wait"]}, "wait_ms": {"type": "integer", "minimum": 0}}
    schemas["WaitNode"] = {"allOf": [ref("NodeBase"), {"type": "object", "properties": node, "required": ["type", "wait_ms"]}]}
    schemas["ConversationFlowNode"]["oneOf"].append(ref("WaitNode"))
    calls, live = newest("list-calls", document), newest("update-live-call/{call_id}", document)
    paths[following(calls)] = deepcopy(paths[calls])
    paths[following(calls)]["post"]["operationId"] = "listCallsAnew"
    paths[following(live)] = paths.pop(live)
    paths[newest("list-chats", document)]["post"]["deprecated"] = True
    paths[newest("list-voices", document)]["get"]["deprecated"] = True
    del paths[next(path for path in ("/repair-agent/{agent_id}", "/backfill-contact-analysis-data", "/create-app") if path in paths)]
