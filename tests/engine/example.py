"""A few operations of the shapes that generated code has, and a client whose server is a function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import httpx

from retell_async._client import AsyncRetell
from retell_async._core.model import Many, One, UnknownObject
from retell_async._core.operation import Multipart, Operation, Paging, Request, RequestOptions
from retell_async._core.pages import AsyncPaginator
from retell_async._core.resource import RawSender, Resource, raw, raw_pages
from retell_async._engine.limits import RateLimit

KEY = "key_0123456789abcdef"
BASE_URL = "http://retell.test/prefix"

GET: Operation[UnknownObject] = Operation(
    id="getThing", method="GET", path="/get-thing/{thing_id}", repeat="safe", response=One("UnknownObject")
)
CREATE: Operation[UnknownObject] = Operation(
    id="createThing", method="POST", path="/create-thing", repeat="unsafe", response=One("UnknownObject")
)
DELETE: Operation[None] = Operation(id="deleteThing", method="DELETE", path="/delete-thing/{thing_id}", repeat="unsafe", empty=True)
LIST: Operation[Any] = Operation(
    id="listThings", method="GET", path="/v2/list-things", repeat="safe", response=One("UnknownObject"), paging=Paging("query")
)
LIST_BY_POST: Operation[Any] = Operation(
    id="listCalls", method="POST", path="/v3/list-calls", repeat="safe", response=One("UnknownObject"), paging=Paging("body")
)
LIST_WHOLE: Operation[Any] = Operation(
    id="listVoices", method="GET", path="/list-voices", repeat="safe", response=Many(One("UnknownObject"))
)
UPLOAD: Operation[UnknownObject] = Operation(
    id="createKnowledgeBase",
    method="POST",
    path="/create-knowledge-base",
    repeat="unsafe",
    response=One("UnknownObject"),
    multipart=Multipart(files=("knowledge_base_files",), json=("knowledge_base_texts", "knowledge_base_urls")),
)


class ThingResource(Resource):
    async def retrieve(self, thing_id: str) -> UnknownObject:
        return await self._sender.send(GET.request(path={"thing_id": thing_id}), {})

    def list(self, **options: Any) -> AsyncPaginator[Any]:
        return self._sender.paginate(LIST.request(query=options), {})

    @property
    def with_raw_response(self) -> ThingResourceWithRawResponse:
        return ThingResourceWithRawResponse(ThingResource(RawSender(self._sender)))


class ThingResourceWithRawResponse:
    def __init__(self, thing: ThingResource) -> None:
        self.retrieve = raw(thing.retrieve)
        self.list = raw_pages(thing.list)


def get(thing_id: str = "thing_1") -> Request[UnknownObject]:
    return GET.request(path={"thing_id": thing_id})


NO_OPTIONS: RequestOptions = {}
MADE = {
    f"{made}_id": f"{made}_1"
    for made in (
        "agent",
        "batch_call",
        "call",
        "chat",
        "conversation_flow",
        "conversation_flow_component",
        "knowledge_base",
        "llm",
        "test_case_definition",
    )
}
"""An answer to whatever creates something."""


def client_of(serve: Callable[[httpx.Request], httpx.Response], **settings: Any) -> AsyncRetell:
    """A client of a server that is a function. Each request is sent once unless `max_retries` is given."""
    settings = {"api_key": KEY, "base_url": BASE_URL, "max_retries": 0, **settings}
    return AsyncRetell(http_client=httpx.AsyncClient(transport=httpx.MockTransport(serve)), **settings)


def answering(
    status: int = 200, *, headers: Mapping[str, str] | None = None, rate_limit: RateLimit | None = None, **body: Any
) -> AsyncRetell:
    """A client of a server that gives one answer, whatever it is asked."""
    return client_of(lambda _: httpx.Response(status, headers=headers, **body), rate_limit=rate_limit)
