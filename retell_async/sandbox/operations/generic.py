"""Operations of a newer document that have no handler yet.

What is created can be read, listed, changed and deleted, where the paths show that it is the same resource. Everything else is
answered with the smallest value that the schema of the answer allows.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, cast

from ..common.messages import Incoming, Json
from ..openapi.document import Document, Route
from ..openapi.schema_values import minimal_value, properties
from ..state.assets import Assets
from ..state.store import Store
from .helpers import existing, listed

__all__ = ["handler"]

Handler = Callable[[Store, Incoming], Any]

_SHAPE = re.compile(r"/(?:v[0-9]+/)?(?P<verb>create|get|list|update|delete)-(?P<name>[a-z-]+?)(?:/{[^/]+})?")
_NOT_FOUND = (404, 422, 400)


def handler(document: Document, route: Route) -> Handler:
    """A handler for an operation without one."""
    return _Generic(document, route)


class _Generic:
    def __init__(self, document: Document, route: Route) -> None:
        self._document = document
        self._route = route
        shape = _SHAPE.fullmatch(route.path)
        self._verb = None if shape is None else shape["verb"]
        self._name = "" if shape is None else shape["name"]
        self._absent = next((status for status in _NOT_FOUND if status in route.statuses), 404)

    def __call__(self, store: Store, incoming: Incoming) -> Any:
        name = self._name.removesuffix("s") if self._verb == "list" else self._name
        table = store.others.setdefault(name, Assets())
        id = next(iter(incoming.path.values()), None)
        if self._verb == "create" and id is None:
            return self._create(store, table, name, incoming)
        if self._verb == "list" and id is None:
            return self._list(table, incoming)
        if self._verb in {"get", "update", "delete"} and len(incoming.path) == 1 and id is not None:
            asset = existing(table, id, next(iter(incoming.path)), self._absent)
            if self._verb == "delete":
                table.remove(id)
                return self._least()
            if self._verb == "update":
                asset.write(asset.latest | incoming.body)
            return self._shown(asset.latest)
        return self._least()

    def _create(self, store: Store, table: Assets, name: str, incoming: Incoming) -> Any:
        id = f"{name.replace('-', '_')}_{store.new_id(name)}"
        made: Json = dict.fromkeys(self._id_fields(name), id)
        made |= {field: store.now() for field in self._fields() if field.endswith("_timestamp")}
        return self._shown(table.add(id, incoming.body | made).latest)

    def _list(self, table: Assets, incoming: Incoming) -> Any:
        schema = self._document.resolve(self._route.answer or {})
        if schema.get("type") == "array":
            return [self._filled(schema["items"], asset.latest) for asset in table]
        fields = self._fields()
        if "items" not in fields or self._document.resolve(fields["items"]).get("type") != "array":
            return self._least()
        item = self._document.resolve(fields["items"])["items"]
        asked = incoming.query | incoming.body
        return self._least() | listed(table.entries, asked, lambda asset: self._filled(item, asset.latest))

    def _id_fields(self, name: str) -> list[str]:
        wanted = f"{name.replace('-', '_')}_id"
        fields = self._fields()
        named = [field for field in (wanted, "id") if field in fields]
        return named[:1] or [field for field in fields if field.endswith("_id")][:1]

    def _fields(self) -> Json:
        return properties(self._route.answer or {}, self._document.resolve)

    def _least(self) -> Any:
        return None if self._route.answer is None else minimal_value(self._route.answer, self._document.resolve)

    def _shown(self, body: Json) -> Any:
        if self._route.answer is None:
            return None
        return self._filled(self._route.answer, body)

    def _filled(self, schema: Json, body: Json) -> Any:
        """The smallest value that a schema allows, with the known fields filled in."""
        least = minimal_value(schema, self._document.resolve)
        if not isinstance(least, dict):
            return least
        fields = properties(schema, self._document.resolve)
        return cast("Json", least) | {name: value for name, value in body.items() if name in fields}
