"""Settings for contacts, and their sync with a CRM."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial

from ...common.messages import Incoming, Json, Refused
from ...state.assets import Asset
from ...state.store import Store
from .apps import existing_app
from .contacts import job_status, start_job

__all__ = ["config", "run_sync", "schema", "sync_status", "update_config"]

_PROMPT = "Bring what is remembered of the contact up to date with what was said in the conversation."
_FIELD_NAME = re.compile(r"(?!contact|external)[a-z][a-z0-9_]*")
_BUILT_IN = frozenset({"phone_number", "first_name", "last_name", "do_not_call", "org_id"})
_SCHEMA: tuple[Json, ...] = (
    {"name": "phone", "label": "Phone", "type": "string", "description": "The number of the record."},
    {"name": "firstname", "label": "First name", "type": "string"},
    {"name": "lastname", "label": "Last name", "type": "string"},
    {"name": "lifecycle_stage", "label": "Stage", "type": "enum", "options": ["lead", "customer"]},
    {"name": "opted_out", "label": "Opted out", "type": "boolean"},
)


def config(store: Store, _: Incoming) -> Json:
    return _view(store)


def update_config(store: Store, incoming: Incoming) -> Json:
    body = incoming.body
    if body.get("app_id") is not None and existing_app(store, body["app_id"]).latest["type"] != "crm":
        raise Refused(400, "body.app_id is no app of the type crm")
    _refuse_repeats("contact_tags", (tag["id"] for tag in body.get("contact_tags") or ()))
    fields: list[Json] = body.get("custom_fields", [])
    names = [field["name"] for field in fields]
    _refuse_repeats("custom_fields", names)
    for field in fields:
        if field["name"] in _BUILT_IN or _FIELD_NAME.fullmatch(field["name"]) is None:
            raise Refused(400, "body.custom_fields: a name is taken, or not in snake_case")
        if field["type"] == "enum" and not field.get("options"):
            raise Refused(400, "body.custom_fields: a field of the type enum needs options")
    defined = {*(names if "custom_fields" in body else (field["name"] for field in store.crm.get("custom_fields", ())))}
    for mapping in body.get("crm_analysis_data_mappings", ()):
        if mapping["field_name"] == "phone_number" or mapping["field_name"] not in _BUILT_IN | defined | {"contact_memory"}:
            raise Refused(400, "body.crm_analysis_data_mappings: field_name is no contact field that can be filled")
    store.crm = {name: value for name, value in (store.crm | body).items() if value is not None}
    return _view(store)


def schema(store: Store, incoming: Incoming) -> Json:
    app_id = incoming.query.get("app_id", store.crm.get("app_id"))
    if app_id is None:
        raise Refused(404, "no CRM is linked")
    app = existing_app(store, app_id).latest
    if app["type"] != "crm":
        raise Refused(400, "app_id is no app of the type crm")
    return {"provider": app["provider"], "fields": list(_SCHEMA)}


def run_sync(store: Store, _: Incoming) -> Json:
    """Link every contact with a record of the CRM."""
    app_id = store.crm.get("app_id")
    if app_id is None:
        raise Refused(400, "no CRM is linked")
    job = start_job(store, "sync", [partial(_link, store, contact) for contact in store.contacts], busy=400)
    store.crm = store.crm | {"last_sync_timestamp": store.now()}
    return job


def sync_status(store: Store, _: Incoming) -> Json:
    return job_status(store, "sync")


def _link(store: Store, contact: Asset) -> bool:
    if contact.id not in store.contacts:
        return False
    contact.write(contact.latest | {"external_id": contact.latest.get("external_id") or f"record_{contact.id.removeprefix('contact_')}"})
    return True


def _refuse_repeats(what: str, values: Iterable[str]) -> None:
    listed = list(values)
    if len(set(listed)) < len(listed):
        raise Refused(400, f"body.{what} has one twice")


def _view(store: Store) -> Json:
    prompts = {"contact_memory_update_prompt": None, "default_contact_memory_update_prompt": _PROMPT}
    return {"org_id": store.organization, **prompts, "contact_tags": [], "custom_fields": [], "crm_analysis_data_mappings": [], **store.crm}
