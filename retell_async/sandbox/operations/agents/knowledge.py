"""Knowledge bases. Reading their sources takes a while."""

from __future__ import annotations

from collections.abc import Iterator

from ...common.messages import Incoming, Json, Refused
from ...openapi.multipart import Upload
from ...state.records import KnowledgeBase
from ...state.store import Store
from ..helpers import existing

__all__ = ["add_sources", "create", "delete", "delete_source", "listing", "retrieve"]

_FILES = "https://files.sandbox.example"
_READING_MS = 4_000
_MIN_CHUNK, _MAX_CHUNK = 400, 2_000
_LIMITS = {"url": 500, "text": 50, "document": 25}
_LARGEST_FILE = 50_000_000


def create(store: Store, incoming: Incoming) -> Json:
    body = incoming.body
    if not 0 < len(body["knowledge_base_name"]) < 40:
        raise Refused(400, "body.knowledge_base_name must be under 40 characters")
    settings: Json = {
        "knowledge_base_name": body["knowledge_base_name"],
        "enable_auto_refresh": body.get("enable_auto_refresh", False),
        "max_chunk_size": body.get("max_chunk_size", _MAX_CHUNK),
        "min_chunk_size": body.get("min_chunk_size", _MIN_CHUNK),
    }
    if settings["min_chunk_size"] >= settings["max_chunk_size"]:
        raise Refused(400, "body.min_chunk_size must be below max_chunk_size")
    id = f"knowledge_base_{store.new_id('knowledge_base')}"
    base = KnowledgeBase(id=id, settings=settings, sources=_with(store, [], body), ready=store.now() + _READING_MS)
    return _view(store, store.knowledge_bases.put(id, base))


def retrieve(store: Store, incoming: Incoming) -> Json:
    return _view(store, _base(store, incoming))


def listing(store: Store, _: Incoming) -> list[Json]:
    return [_view(store, base) for base in store.knowledge_bases]


def add_sources(store: Store, incoming: Incoming) -> Json:
    base = existing(store.knowledge_bases, incoming.path["knowledge_base_id"], "knowledge_base_id", 400)
    sources = _with(store, base.sources, incoming.body)
    if len(sources) == len(base.sources):
        raise Refused(400, "the body has no source")
    base.sources, base.ready = sources, store.now() + _READING_MS
    return _view(store, base)


def delete_source(store: Store, incoming: Incoming) -> Json:
    base = _base(store, incoming)
    left = [source for source in base.sources if source["source_id"] != incoming.path["source_id"]]
    if len(left) == len(base.sources):
        raise Refused(422, "source_id was not found")
    base.sources = left
    return _view(store, base)


def delete(store: Store, incoming: Incoming) -> None:
    store.knowledge_bases.remove(_base(store, incoming).id)


def _base(store: Store, incoming: Incoming) -> KnowledgeBase:
    return existing(store.knowledge_bases, incoming.path["knowledge_base_id"], "knowledge_base_id")


def _view(store: Store, base: KnowledgeBase) -> Json:
    now = store.now()
    view = {"knowledge_base_id": base.id, **base.settings, "status": base.status(now)}
    if view["status"] == "complete":
        view["knowledge_base_sources"] = base.sources
        if base.settings["enable_auto_refresh"]:
            view["last_refreshed_timestamp"] = base.ready
    return view


def _with(store: Store, before: list[Json], body: Json) -> list[Json]:
    """The sources of a knowledge base and those of a form."""
    sources = [*before, *_sources(store, body)]
    for kind, most in _LIMITS.items():
        if sum(source["type"] == kind for source in sources) > most:
            raise Refused(400, f"a knowledge base has at most {most} sources of the type {kind}")
    return sources


def _sources(store: Store, body: Json) -> Iterator[Json]:
    for text in body.get("knowledge_base_texts", ()):
        id = _source_id(store)
        yield {"type": "text", "source_id": id, "title": text["title"], "content_url": f"{_FILES}/{id}.txt"}
    for url in body.get("knowledge_base_urls", ()):
        yield {"type": "url", "source_id": _source_id(store), "url": url}
    files: list[Upload] = body.get("knowledge_base_files", [])
    for file in files:
        if len(file.content) > _LARGEST_FILE:
            raise Refused(400, "body.knowledge_base_files: a file has at most 50 MB")
        id = _source_id(store)
        url = f"{_FILES}/{id}"
        yield {"type": "document", "source_id": id, "filename": file.filename, "file_url": url, "file_size": len(file.content)}


def _source_id(store: Store) -> str:
    return f"source_{store.new_id('source')}"
