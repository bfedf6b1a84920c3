"""Lists as bare arrays and in pages: an operation answers in the shape that it has itself, whichever its handler was written for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

from ..common.messages import Incoming, Json
from ..openapi.document import Document, Route
from ..openapi.schema_values import properties
from ..state.listing import Entries
from ..state.store import Store
from .helpers import listed

__all__ = ["shaped"]

Handler = Callable[[Store, Incoming], Any]


def shaped(document: Document, route: Route, handler: Handler) -> Handler:
    """A handler whose lists have the shape of this operation's answer."""
    answer = document.resolve(route.answer or {})
    fields = properties(answer, document.resolve)
    is_array, is_page = answer.get("type") == "array", "items" in fields and "has_more" in fields

    def handle(store: Store, incoming: Incoming) -> Any:
        body = handler(store, incoming)
        if is_page and isinstance(body, list):
            return _page(cast("list[Json]", body), incoming.query | incoming.body, total="total" in fields)
        if is_array and isinstance(body, dict) and "items" in body:
            first = cast("Json", body)
            pages = [first] if "limit" in route.parameters else _pages(store, incoming, first, handler)
            return [item for page in pages for item in page["items"]]
        return cast("object", body)

    return handle if is_array or is_page else handler


def _page(items: list[Json], asked: Json, *, total: bool) -> Json:
    """One page of a list that has an order of its own, which is turned round where the request says so."""
    entries: Entries[Json] = [((number, 0), item) for number, item in enumerate(items)]
    order = {"sort_order": "descending" if asked.get("sort_order") in {"descending", "desc"} else "ascending"}
    return listed(entries, asked | order, lambda item: item, total=total)


def _pages(store: Store, incoming: Incoming, first: Json, handler: Handler) -> Iterator[Json]:
    """All pages of a list, for what cannot ask for the next one. A handler looks for the key where its own operation has it."""
    page = first
    yield page
    while key := page.get("pagination_key"):
        further = {"pagination_key": key}
        page = handler(store, Incoming(incoming.path, incoming.query | further, incoming.body | further))
        yield page
