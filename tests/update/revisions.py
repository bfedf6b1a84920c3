"""Another revision of the pinned document, made from it with one change of each kind."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

from codegen.document import Json, dump, load_file
from codegen.generate import ROOT
from codegen.prepare import prepare

PINNED = load_file(ROOT / "openapi" / "openapi.yaml")
PUBLISHED = ROOT.parent / "shared" / "spec" / "upstream-2026-04.yaml"


def _part() -> Json:
    """The pinned document with a few of its operations, and what these need: quicker to load."""
    kept = ("/create-chat", "/create-agent", "/get-voice/{voice_id}", "/list-voices", "/get-concurrency", "/v2/list-agents")
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
    del document["components"]["schemas"]["VoiceResponse"]["properties"]["accent"]


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
    document["paths"]["/list-voices"]["get"]["deprecated"] = True


def removes_an_operation(document: Json) -> None:
    del document["paths"]["/get-concurrency"]


CRAFTED = changed(renames_an_operation, adds_an_enum_value, requires_a_property, removes_a_property, adds_a_paged_list, document=PINNED)


def written(document: Json, path: Path) -> str:
    path.write_text(dump(document), encoding="utf-8")
    return str(path)
