"""Apps: other services that agents and the CRM sync use."""

from __future__ import annotations

from collections.abc import Iterator

from ...common.messages import Incoming, Json, Refused
from ...state.assets import Asset
from ...state.listing import Entries
from ...state.store import Store
from ..agents import engines
from ..helpers import existing, listed

__all__ = ["create", "delete", "existing_app", "listing", "retrieve", "test_auth", "tool_schema", "update", "usages"]

_MOST_OF_A_PROVIDER = 20
_SECRETS = ("client_secret", "api_key", "password")
_FIXED = ("app_id", "org_id", "provider", "type", "created_timestamp", "user_modified_timestamp", "connection_status")


def create(store: Store, incoming: Incoming) -> Json:
    body = incoming.body
    if sum(app.latest["provider"] == body["provider"] for app in store.apps) >= _MOST_OF_A_PROVIDER:
        raise Refused(400, f"there are {_MOST_OF_A_PROVIDER} apps of this provider already")
    _check(body, body["type"])
    app_id, now = f"app_{store.new_id('app')}", store.now()
    kept = {name: body[name] for name in ("name", "tenant_id", "tenant_url", "crm_config", "provider", "type") if name in body}
    made = {"app_id": app_id, "org_id": store.organization, "created_timestamp": now, "user_modified_timestamp": now}
    return store.apps.add(app_id, kept | made | _sign_in(body)).latest


def retrieve(store: Store, incoming: Incoming) -> Json:
    return existing_app(store, incoming.path["app_id"]).latest


def listing(store: Store, incoming: Incoming) -> Json:
    """Every app has the standard scope."""
    scope = incoming.query.get("privacy_scope", "standard")
    return listed(store.apps.entries, incoming.query, lambda app: app.latest, lambda _: scope == "standard")


def update(store: Store, incoming: Incoming) -> Json:
    app = existing_app(store, incoming.path["app_id"])
    _check(incoming.body, app.latest["type"])
    changes = {name: value for name, value in incoming.body.items() if name not in _FIXED}
    signed_in = _sign_in(incoming.body) if "auth_config" in incoming.body else {}
    return app.write(app.latest | changes | signed_in | {"user_modified_timestamp": store.now()})


def delete(store: Store, incoming: Incoming) -> None:
    app = existing_app(store, incoming.path["app_id"])
    if not incoming.query.get("force_delete") and next(_usages(store, app), None) is not None:
        raise Refused(400, "an agent uses this app: change the agent first, or send force_delete")
    store.apps.remove(app.id)
    if store.crm.get("app_id") == app.id:
        store.crm = {name: value for name, value in store.crm.items() if name != "app_id"}


def usages(store: Store, incoming: Incoming) -> Json:
    used = sorted(
        _usages(store, existing_app(store, incoming.path["app_id"])), key=lambda usage: (usage["configured_timestamp"], usage["agent_id"])
    )
    entries: Entries[Json] = [((usage["configured_timestamp"], serial), usage) for serial, usage in enumerate(used)]
    return listed(entries, incoming.query, lambda usage: usage)


def test_auth(store: Store, incoming: Incoming) -> Json:
    app = existing_app(store, incoming.path["app_id"])
    accepted = "auth_config" in app.latest
    app.write(app.latest | {"connection_status": "connected" if accepted else "not_connected"})
    return {"success": accepted}


def tool_schema(store: Store, incoming: Incoming) -> Json:
    """A schema in two steps: first which list to write to, then what to write."""
    existing_app(store, incoming.path["app_id"])
    complete = bool(incoming.body.get("parameters"))
    asked = "content" if complete else "list_id"
    schema: Json = {
        "type": "object",
        "properties": {asked: {"type": "string", "default_input_mode": "description" if complete else "const"}},
        "required": [asked],
    }
    response: Json = {"type": "object", "properties": {"id": {"type": "string"}}}
    return {"complete": complete, "input_schema": schema} | ({"response_schema": response} if complete else {})


def existing_app(store: Store, app_id: str, status: int = 404) -> Asset:
    return existing(store.apps, app_id, "app_id", status)


def _check(body: Json, type: str) -> None:
    config: Json | None = body.get("crm_config")
    if config is not None and type != "crm":
        raise Refused(400, "crm_config is for apps of the type crm")
    mappings: list[Json] = [] if config is None else config.get("inbound_sync_mappings", [])
    if mappings and all(mapping["field_name"] != "phone_number" for mapping in mappings):
        raise Refused(400, "one of crm_config.inbound_sync_mappings must fill phone_number")


def _sign_in(body: Json) -> Json:
    """The app's authentication, without its secrets."""
    config: Json | None = body.get("auth_config")
    if config is None:
        return {"connection_status": "not_connected"}
    shown = {name: value for name, value in config.items() if name not in _SECRETS}
    return {"auth_config": shown, "connection_status": "connected"}


def _usages(store: Store, app: Asset) -> Iterator[Json]:
    for agent in store.agents:
        using = [body for body in agent.versions.values() if _uses(store, body, app.id)]
        if using:
            yield {
                "type": "agent",
                "agent_id": agent.id,
                "agent_name": agent.latest.get("agent_name") or "",
                "agent_versions": sorted((body["version"] for body in using), reverse=True),
                "configured_timestamp": max(body["last_modification_timestamp"] for body in using),
            }


def _uses(store: Store, agent: Json, app_id: str) -> bool:
    return any(tool.get("app_id") == app_id for tool in engines.tools(engines.settings(store, agent["response_engine"])))
