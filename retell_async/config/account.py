# pyright: reportDeprecated=false
"""The account behind a client: reads what it holds, and writes one object. All that speaks with the API is here."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from functools import partial
from typing import Any, cast

import anyio

from .._client import AsyncRetell
from .._core.errors import APIStatusError
from .bodies import SOURCES, source_of
from .kinds import FOLDERS, KINDS, Json, Kind
from .naming import Snapshot, engine_of, voices_of

__all__ = ["READING", "Account", "source_fields"]

_AT_ONCE = 8
_ENGINES = {"llms": ("retell-llm", "llm_id"), "flows": ("conversation-flow", "conversation_flow_id")}
READING = ("in_progress", "refreshing_in_progress")
"""The states of a knowledge base that does not show its sources yet."""


class Account:
    """What is in an account.

    :param client: a client of it.
    """

    def __init__(self, client: AsyncRetell) -> None:
        self._client = client

    async def workspace(self) -> str | None:
        """The id of the workspace; ``None`` where the key may not ask."""
        try:
            found = (await self._client.identity.retrieve()).to_dict()
        except APIStatusError:
            return None
        return cast("str | None", found.get("org_id"))

    async def snapshot(self) -> Snapshot:
        """All that it holds. Of what has versions, the latest. What is still being read is not waited for."""
        objects: dict[str, dict[str, Json]] = {kind.folder: {} for kind in KINDS}
        listed: dict[str, list[Json]] = {}
        tags: dict[str, dict[str, int]] = {}
        published: dict[str, Json] = {}
        limit = anyio.CapacityLimiter(_AT_ONCE)

        async def read(kind: Kind, id: str) -> None:
            async with limit:
                answer = objects[kind.folder][id] = await self.retrieve(kind, id)
                while kind.folder in _ENGINES and not answer.get("is_published") and answer.get("version"):
                    answer = await self.retrieve(kind, id, answer["version"] - 1)
                if answer is not objects[kind.folder][id] and answer.get("is_published"):
                    published[id] = answer

        async def test_cases(kind: Kind, query: Json) -> None:
            async with limit:
                listed[f"{query}"] = await self._list(kind, **query)

        reads: list[Callable[[], Coroutine[Any, Any, None]]] = []
        for kind in KINDS:
            if kind.folder != "tests":
                for answer in await self._list(kind):
                    id: str = answer[kind.id]
                    objects[kind.folder][id] = answer
                    known: Json = answer.get("tags") or {}
                    tags[id] = {name: tag["version"] for name, tag in known.items() if "version" in tag}
                    if kind.drafts:
                        reads.append(partial(read, kind, id))
        queries: list[Json] = [{"type": type, name: id} for folder, (type, name) in _ENGINES.items() for id in objects[folder]]
        await _all([*reads, *(partial(test_cases, FOLDERS["tests"], query) for query in queries)])
        cases = [answer for query in queries for answer in listed[f"{query}"]]
        objects["tests"] = {one["test_case_definition_id"]: one for one in sorted(cases, key=lambda one: one["creation_timestamp"])}
        earlier = await self._earlier(objects, published, limit)
        voices = voices_of([one.to_dict() async for one in self._client.voice.list()])
        return Snapshot(objects, voices, tags, published, earlier)

    async def _earlier(
        self, objects: Mapping[str, Mapping[str, Json]], published: Mapping[str, Json], limit: anyio.CapacityLimiter
    ) -> dict[str, Json]:
        """By agent that has another version of its engine than the latest one, that version. One that several have is read once."""
        had: dict[str, tuple[str, str, int]] = {}
        for agent, answer in (*objects["agents"].items(), *objects["chat_agents"].items()):
            folder, id = engine_of(answer) or ("", "")
            latest = objects.get(folder, {}).get(id)
            version = cast("Json", answer.get("response_engine") or {}).get("version")
            if latest is not None and version not in {None, latest.get("version")}:
                had[agent] = folder, id, cast("int", version)
        read = {
            (folder, id, version): published[id] for folder, id, version in had.values() if version == published.get(id, {}).get("version")
        }

        async def retrieve(folder: str, id: str, version: int) -> None:
            async with limit:
                read[folder, id, version] = await self.retrieve(FOLDERS[folder], id, version)

        await _all([partial(retrieve, *one) for one in {*had.values()} - read.keys()])
        return {agent: read[one] for agent, one in had.items()}

    async def _list(self, kind: Kind, **query: Any) -> list[Json]:
        method = self._method(kind, "list")
        if kind.folder == "knowledge_bases":
            return [one.to_dict() async for one in method()]
        if kind.folder in {"agents", "chat_agents"}:
            query["filter_criteria"] = {"channel": {"type": "string", "op": "eq", "value": "voice" if kind.folder == "agents" else "chat"}}
        if kind.folder != "tests":
            query["sort_order"] = "ascending"
        found = [one.to_dict() async for one in method(limit=100, **query)]
        return found if kind.folder != "tests" else found[::-1]

    async def ids(self, kind: Kind) -> list[str]:
        """The ids of all of a kind."""
        if kind.folder == "tests":
            queries = [{"type": type, name: id} for folder, (type, name) in _ENGINES.items() for id in await self.ids(FOLDERS[folder])]
            return [answer[kind.id] for query in queries for answer in await self._list(kind, **query)]
        return [answer[kind.id] for answer in await self._list(kind)]

    async def retrieve(self, kind: Kind, id: str, version: int | None = None) -> Json:
        """What the API answers about one. A knowledge base shows its sources once they are read, which is waited for."""
        if kind.folder == "knowledge_bases":
            return (await self._client.knowledge_base.wait(id)).to_dict()
        query = {} if version is None else {"version": version}
        return cast("Json", (await self._method(kind, "retrieve")(id, **query)).to_dict())

    async def create(self, kind: Kind, fields: Json) -> Json:
        return cast("Json", (await self._method(kind, "create")(**fields)).to_dict())

    async def update(self, kind: Kind, id: str, fields: Json, version: int | None = None) -> Json:
        query = {} if version is None else {"version": version}
        return cast("Json", (await self._method(kind, "update")(id, **query, **fields)).to_dict())

    async def delete(self, kind: Kind, id: str) -> None:
        await self._method(kind, "delete")(id)

    async def draft(self, kind: Kind, id: str, base: int) -> Json:
        """A new draft of an agent, with the settings of another version. Its engine gets one too if it is published."""
        return cast("Json", (await self._method(kind, "create_version")(id, base_version=base)).to_dict())

    async def publish(self, kind: Kind, id: str, version: int, title: str | None) -> None:
        await self._method(kind, "publish")(id, version=version, **({} if title is None else {"version_title": title}))

    async def published(self, id: str) -> int | None:
        """The number of the latest published version of an agent."""
        versions = [one.to_dict() async for one in self._client.agent.list_versions(id)]
        return max((one["version"] for one in versions if one["is_published"]), default=None)

    async def change_sources(self, id: str, parts: Mapping[str, Any], read: Callable[[str], bytes]) -> None:
        """Add sources to a knowledge base, and take away those that are ``None``. One of the same name goes once the new one is there.

        :param read: gives the content of an uploaded file.
        """
        before = (await self.retrieve(FOLDERS["knowledge_bases"], id)).get("knowledge_base_sources", [])
        added = {name: value for name, value in parts.items() if value is not None}
        if added:
            await self._client.knowledge_base.add_sources(id, **source_fields(added, read))
        for source in cast("list[Json]", before):
            shown = {"text": source.get("title"), "url": source.get("url"), "document": source.get("filename")}[source["type"]]
            if f"{source['type']}: {shown}" in parts:  # one alone: a plan refuses names that two have
                await self._client.knowledge_base.delete_source(source["source_id"], knowledge_base_id=id)

    def _method(self, kind: Kind, verb: str) -> Any:
        resource, _, name = kind.method(verb).partition(".")
        return getattr(getattr(self._client, resource), name)


async def _all(tasks: Iterable[Callable[[], Coroutine[Any, Any, None]]]) -> None:
    """Do all at once. The first that goes wrong ends the others, and is what is raised."""
    try:
        async with anyio.create_task_group() as group:
            for task in tasks:
                group.start_soon(task)
    except ExceptionGroup as errors:
        raise _only(errors) from None


def _only(error: Exception) -> Exception:
    return _only(cast("ExceptionGroup[Exception]", error).exceptions[0]) if isinstance(error, ExceptionGroup) else error


def source_fields(parts: Mapping[str, Any], read: Callable[[str], bytes]) -> Json:
    """Sources as the API takes them."""
    fields: Json = {}
    for part, value in parts.items():
        found = source_of(part)
        if found is not None:
            source, name = found
            item = {"title": name, "text": value} if source == "text" else name if source == "url" else (name, read(name))
            fields.setdefault(SOURCES[source], []).append(item)
    return fields
