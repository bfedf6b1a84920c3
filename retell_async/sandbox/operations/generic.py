"""Operations of a newer document that have no handler yet.

What is created can be read, listed, changed, acted upon and deleted, where the paths show that it is the same kind of thing. An id that
nobody created is refused, whatever the operation does with it. What else an answer needs is the smallest value that its schema allows, with
ids of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from ..common.messages import Incoming, Json, Refused
from ..openapi.document import Document, Route
from ..openapi.schema_values import minimal_value, properties
from ..state.assets import Asset, Assets
from ..state.store import Store
from .helpers import listed

__all__ = ["handler"]

Handler = Callable[[Store, Incoming], Any]

_VERBS = {
    **dict.fromkeys(("create", "add", "buy", "clone", "duplicate", "import", "register", "upload"), "create"),
    **dict.fromkeys(("list", "search"), "list"),
    **dict.fromkeys(("get", "describe", "retrieve"), "get"),
    **dict.fromkeys(("update", "set"), "update"),
    **dict.fromkeys(("delete", "remove"), "delete"),
}
_METHODS = {"POST": "create", "PUT": "update", "PATCH": "update", "DELETE": "delete"}
_NOT_FOUND = (404, 422, 400)


def handler(document: Document, route: Route, handlers: Mapping[str, Handler]) -> Handler:
    """A handler for an operation without one.

    :param handlers: those of the other operations, which know the things that they keep.
    """
    return _Generic(document, route, handlers)


def _singular(name: str) -> str:
    return f"{name[:-3]}y" if name.endswith("ies") else name.removesuffix("s")


class _Generic:
    def __init__(self, document: Document, route: Route, handlers: Mapping[str, Handler]) -> None:
        self._document = document
        self._route = route
        self._absent = next((status for status in _NOT_FOUND if status in route.statuses), 404)
        self._verb, self._name = self._shape()
        self._keepers = {
            other.names[0]: handlers[other.id]
            for other in document.routes.values()
            if other.method == "GET" and len(other.names) == 1 and other.path.endswith("}") and other.id in handlers
        }

    def _shape(self) -> tuple[str, str]:
        """What it does with what kind of thing: ``create``, ``list``, ``get``, ``update``, ``delete`` or ``act``."""
        segments = re.sub(r"^/v[0-9]+(?=/)", "", self._route.path).strip("/").split("/")
        word, _, noun = segments[0].partition("-")
        if noun and word in _VERBS:
            return _VERBS[word], _singular(noun)
        if noun and self._route.method == "POST" and (len(segments) == 1 or segments[-1].startswith("{")):
            return "act", _singular(noun)
        if len(segments) > 1 and not segments[-1].startswith("{"):
            return ("list" if self._route.method == "GET" and segments[-1].endswith("s") else "act"), _singular(segments[0])
        of_one = segments[-1].startswith("{")
        return _METHODS.get(self._route.method, "get" if of_one or not segments[0].endswith("s") else "list"), _singular(segments[0])

    def __call__(self, store: Store, incoming: Incoming) -> Any:
        table = store.others.setdefault(self._name, Assets())
        things = [self._thing(store, table, name, id) for name, id in incoming.path.items()]
        if self._verb == "create":
            return self._create(store, table, incoming)
        if self._verb == "list":
            return self._list(store, table, incoming)
        thing = things[-1] if things else None
        if isinstance(thing, Asset):
            if self._verb == "delete":
                table.remove(thing.id)
            elif self._verb == "update":
                thing.write(thing.latest | incoming.body)
            thing = thing.latest
        return self._shown(store, (thing or {}) | incoming.body | {**incoming.path})

    def _thing(self, store: Store, table: Assets, name: str, id: str) -> Asset | Json:
        """What has this id: one of those that were created here, or one that another operation can show.

        :raises Refused: there is none.
        """
        for some in (table, *store.others.values()):
            if (asset := some.get(id)) is not None:
                return asset if some is table else asset.latest
        if name in self._keepers:
            try:
                return cast("Json", self._keepers[name](store, Incoming({name: id}, {}, {})))
            except Refused:
                pass
        raise Refused(self._absent, f"{name} was not found")

    def _create(self, store: Store, table: Assets, incoming: Incoming) -> Any:
        id = self._new_id(store)
        now = {field: store.now() for field in self._fields() if field.endswith("_timestamp")}  # where the caller says no other
        ids: Json = dict.fromkeys(self._id_fields(), id)
        return self._shown(store, table.add(id, now | incoming.body | {**incoming.path} | ids).latest)

    def _list(self, store: Store, table: Assets, incoming: Incoming) -> Any:
        schema, fields = self._document.resolve(self._route.answer or {}), self._fields()
        array = schema if schema.get("type") == "array" else self._document.resolve(fields.get("items", {}))
        if array.get("type") != "array":
            return self._shown(store, {**incoming.path})
        item: Json = array["items"]
        asked = incoming.query | incoming.body
        names = properties(item, self._document.resolve).keys() & asked.keys()
        wanted = {name: asked[name] for name in names if isinstance(asked[name], str | int | float)}

        def of_these(asset: Asset) -> bool:
            shown: Json = self._filled(store, item, asset.latest) if wanted else {}
            in_path = all(asset.latest.get(name, id) == id for name, id in incoming.path.items())
            return in_path and all(shown.get(name) == value for name, value in wanted.items())

        if array is schema:
            return [self._filled(store, item, asset.latest) for asset in table if of_these(asset)]
        page = listed(table.entries, asked, lambda asset: self._filled(store, item, asset.latest), of_these, total="total" in fields)
        return self._filled(store, self._route.answer or {}, {}) | page

    def _new_id(self, store: Store) -> str:
        return f"{self._name.replace('-', '_')}_{store.new_id(self._name)}"

    def _id_fields(self) -> list[str]:
        wanted = f"{self._name.replace('-', '_')}_id"
        fields = self._fields()
        named = [field for field in (wanted, "id") if field in fields]
        return named[:1] or [field for field in fields if field.endswith("_id")][:1]

    def _fields(self) -> Json:
        return properties(self._route.answer or {}, self._document.resolve)

    def _shown(self, store: Store, body: Json) -> Any:
        return None if self._route.answer is None else self._filled(store, self._route.answer, body)

    def _filled(self, store: Store, schema: Json, body: Json) -> Any:
        """The smallest value that a schema allows, with the known fields filled in, and no id empty."""
        least = minimal_value(schema, self._document.resolve)
        if not isinstance(least, dict):
            return least
        fields = properties(schema, self._document.resolve)
        shown = cast("Json", least) | {name: value for name, value in body.items() if name in fields}
        for name, value in shown.items():
            if value == "" and (name == "id" or name.endswith("_id")):
                shown[name] = self._new_id(store)
        return shown
