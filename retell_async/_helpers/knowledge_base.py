# pyright: reportDeprecated=false
"""`client.knowledge_base`: waiting until one can be used."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, cast

from .._core.resource import Resource
from .watch import EVERY, Client, Watch, one_by_one

if TYPE_CHECKING:
    from .._core.pages import AsyncPaginator
    from ..raw.models import KnowledgeBaseResponse

__all__ = ["KnowledgeBaseHelper"]

_WITHIN = 1800.0
_IN_PROGRESS = ("in_progress", "refreshing_in_progress")


class _KnowledgeBases(Protocol):
    """What the generated resource has."""

    def list(self) -> AsyncPaginator[KnowledgeBaseResponse]: ...
    def retrieve(self, knowledge_base_id: str) -> Awaitable[KnowledgeBaseResponse]: ...


class KnowledgeBaseHelper(Resource):
    """Methods of `client.knowledge_base` beside those of the API."""

    @property
    def _bases(self) -> _KnowledgeBases:
        return cast("_KnowledgeBases", self)

    @cached_property
    def _watch(self) -> Watch[KnowledgeBaseResponse]:
        async def fetch_many(ids: Sequence[str], _: bool) -> Mapping[str, KnowledgeBaseResponse]:
            if len(ids) == 1:
                return await one_by_one(self._bases.retrieve, ids)
            return {one.knowledge_base_id: one async for one in self._bases.list()}

        return Watch(fetch_many, self._bases.retrieve, cast("Client", self._sender).waiting)

    async def wait(self, knowledge_base_id: str, *, within: float | None = _WITHIN, every: float = EVERY) -> KnowledgeBaseResponse:
        """Wait until the sources of a knowledge base are read, and return it: its status is then ``complete`` or ``error``.

        :param knowledge_base_id: the id that `create` gave.
        :param within: seconds to wait at most, by default half an hour; ``None`` for as long as it takes.
        :param every: seconds from one question to the next.
        :raises WaitTimeoutError: they were not read in time. The reading goes on.
        :raises APIStatusError: there is no such knowledge base, or the key may not see it.
        """
        return await self._watch.wait(knowledge_base_id, _is_read, within=within, every=every)


def _is_read(knowledge_base: Any) -> bool:
    return knowledge_base.status not in _IN_PROGRESS
