"""Conversation flows and shared components."""

from __future__ import annotations

from collections.abc import Iterator

from ...common.messages import Incoming, Json, Refused
from ...openapi.document import packaged_document
from ...state.assets import Asset
from ...state.store import Store
from ..helpers import changed, draft_of, existing, listed, version_of
from .engines import refuse_if_used

__all__ = [
    "create",
    "create_component",
    "delete",
    "delete_component",
    "list_components",
    "listing",
    "retrieve",
    "retrieve_component",
    "update",
    "update_component",
]

_FIXED = ("conversation_flow_id", "version", "is_published")
_FIXED_OF_COMPONENTS = ("conversation_flow_component_id", "linked_conversation_flow_ids", "user_modified_timestamp")


def create(store: Store, incoming: Incoming) -> Json:
    _check(incoming.body)
    flow_id = f"conversation_flow_{store.new_id('flow')}"
    # An exported flow says where it came from; the flow that is created from it has no use for that.
    body = {name: value for name, value in incoming.body.items() if name not in _FIXED}
    body |= {"conversation_flow_id": flow_id, "version": 0, "last_modification_timestamp": store.now()}
    if packaged_document().carries("ConversationFlowResponse", "is_published"):
        body["is_published"] = False
    return store.flows.add(flow_id, body).latest


def retrieve(store: Store, incoming: Incoming) -> Json:
    return version_of(_flow(store, incoming, 404), incoming.query.get("version"), "the conversation flow", 404)


def listing(store: Store, incoming: Incoming) -> Json:
    return listed(store.flows.entries, incoming.query, lambda flow: flow.latest)


def update(store: Store, incoming: Incoming) -> Json:
    flow = _flow(store, incoming, 422)
    body = changed(draft_of(flow, incoming.query.get("version"), "the conversation flow"), incoming.body, _FIXED, store.now())
    _check(body)
    return flow.write(body)


def delete(store: Store, incoming: Incoming) -> None:
    flow_id = _flow(store, incoming, 404).id
    if not incoming.query.get("force_delete"):
        refuse_if_used(store, {"type": "conversation-flow", "conversation_flow_id": flow_id}, "conversation flow")
    store.flows.remove(flow_id)


def create_component(store: Store, incoming: Incoming) -> Json:
    _check_nodes(incoming.body)
    component_id = f"conversation_flow_component_{store.new_id('component')}"
    body = incoming.body | {"conversation_flow_component_id": component_id, "user_modified_timestamp": store.now()}
    return _component_view(store, store.components.add(component_id, body))


def retrieve_component(store: Store, incoming: Incoming) -> Json:
    return _component_view(store, _component(store, incoming))


def list_components(store: Store, incoming: Incoming) -> Json:
    return listed(store.components.entries, incoming.query, lambda component: _component_view(store, component))


def update_component(store: Store, incoming: Incoming) -> Json:
    component = _component(store, incoming)
    sent = {name: value for name, value in incoming.body.items() if name not in _FIXED_OF_COMPONENTS}
    body = component.latest | sent | {"user_modified_timestamp": store.now()}
    _check_nodes(body)
    component.write(body)
    return _component_view(store, component)


def delete_component(store: Store, incoming: Incoming) -> None:
    store.components.remove(_component(store, incoming).id)


def _flow(store: Store, incoming: Incoming, status: int) -> Asset:
    return existing(store.flows, incoming.path["conversation_flow_id"], "conversation_flow_id", status)


def _component(store: Store, incoming: Incoming) -> Asset:
    return existing(store.components, incoming.path["conversation_flow_component_id"], "conversation_flow_component_id", 404)


def _component_view(store: Store, component: Asset) -> Json:
    return component.latest | {"linked_conversation_flow_ids": [flow.id for flow in store.flows if component.id in _shared(flow.latest)]}


def _shared(flow: Json) -> Iterator[str]:
    """The components of the account that a flow uses."""
    for holder in (flow, *(flow.get("components") or ())):
        for node in holder.get("nodes") or ():
            if node["type"] == "component" and node["component_type"] == "shared":
                yield node["component_id"]


def _check(flow: Json) -> None:
    for holder in (flow, *(flow.get("components") or ())):
        _check_nodes(holder)


def _check_nodes(holder: Json) -> None:
    ids = [node["id"] for node in holder.get("nodes") or ()]
    if len(set(ids)) < len(ids):
        raise Refused(400, "the ids of nodes must differ")
    if holder.get("start_node_id") and holder["start_node_id"] not in ids:
        raise Refused(400, "start_node_id is the id of no node")
