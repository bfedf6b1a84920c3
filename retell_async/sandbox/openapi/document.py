"""The pinned OpenAPI document: finds the operation of a request, and checks the request against it."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from functools import cached_property, lru_cache
from importlib import resources
from typing import Any, cast
from urllib.parse import unquote

import jsonschema_rs

from retell_async._core.json import well_formed

from ..common.messages import Incoming, Json, Refused
from ..common.untrusted import parse_json
from .known_fields import KnownFields
from .multipart import Upload, read_form
from .query import QueryReader
from .schema_values import minimal_value, properties, required
from .validation_errors import describe_error

__all__ = ["Document", "Route", "packaged_document"]

_REFUSALS = (422, 404, 400, 409, 412)
"""Statuses of refusals. Where an operation does not document a status, the first of these that it does document takes its place."""
_OVERRIDES = {"RetellLlmOverride": "RetellLlmRequest", "ConversationFlowOverride": "ConversationFlow"}
"""Settings of one call, and those that they are laid over. What else of these they have must be valid there."""
_ANY = " "  # a key of the tree of routes; with its space it is no segment of a path


class Document:
    """The operations of an OpenAPI 3.0 document, found by method and path."""

    def __init__(self, data: Json) -> None:
        schemas: Json = _as_json_schema(data["components"]["schemas"], names=True)
        self._components: Json = {"schemas": schemas}
        for override, settings in _OVERRIDES.items():
            if override in schemas and settings in schemas:
                schemas[override]["properties"] = properties(schemas[settings], self.resolve) | schemas[override]["properties"]
        self._known_fields = KnownFields([data["paths"], schemas], self.resolve, self._matches)
        self._checks: dict[int, jsonschema_rs.Draft4Validator] = {}  # by the identity of their schemas, which are the document's
        self._least: dict[int, tuple[Json, Json]] = {}  # so too: the fields of an object, and the least of those that it must have
        self._parameters: Json = data["components"].get("parameters", {})
        self._tree: Json = {}
        self.routes: dict[str, Route] = {}
        for path, item in data["paths"].items():
            for method, operation in item.items():
                self._add(method.upper(), path, operation)

    @cached_property
    def events(self) -> frozenset[str]:
        """The names of webhook events that an agent can subscribe to."""
        fields = (schema.get("properties", {}).get("webhook_events") for schema in self._components["schemas"].values())
        return frozenset(name for field in fields if field is not None for name in field["items"]["enum"])

    @lru_cache  # noqa: B019 - one document has few of them
    def carries(self, schema: str, field: str) -> bool:
        """Whether a schema of this name has the field."""
        found = self._components["schemas"].get(schema)
        return found is not None and field in properties(found, self.resolve)

    def fields(self, id: str | None) -> frozenset[str]:
        """The fields that the JSON body of an operation may have; without an id, those of all operations."""
        routes = self.routes.values() if id is None else [self.routes[id]]
        schemas = [route.json_schema for route in routes if route.json_schema is not None]
        return frozenset(name for schema in schemas for name in properties(schema, self.resolve))

    def resolve(self, schema: Json) -> Json:
        """The schema that a ``$ref`` leads to, or the schema itself."""
        while "$ref" in schema:
            schema = self._components["schemas"][schema["$ref"].rpartition("/")[2]]
        return schema

    def completed(self, schema: Json, value: Any) -> Any:
        """An answer, with what its schema requires and no handler knows, for itself and for each thing that it lists: the least of each."""
        if isinstance(value, list):
            item = self.resolve(schema).get("items")
            return [one if item is None else self.completed(item, one) for one in cast("list[object]", value)]
        if not isinstance(value, dict):
            return value
        known, least = self._least.get(id(schema)) or self._least.setdefault(id(schema), self._least_of(schema))
        whole = cast("Json", value)
        if "items" in known and isinstance(whole.get("items"), list):
            whole = whole | {"items": self.completed(known["items"], whole["items"])}
        return whole if least.keys() <= whole.keys() else deepcopy(least) | whole

    def _least_of(self, schema: Json) -> tuple[Json, Json]:
        known = properties(schema, self.resolve)
        names = sorted(required(schema, self.resolve) & known.keys())
        return known, {name: minimal_value(known[name], self.resolve) for name in names}

    def _matches(self, schema: Json, value: Any) -> bool:
        check = self._checks.get(id(schema))
        if check is None:
            check = self._checks[id(schema)] = _validator(schema, self._components)
        return _is_valid(check, value)

    def match(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """The operation of a request and the parameters in its path, or ``None``. The path is as it was sent, still percent-encoded."""
        node, values = self._tree, list[str]()
        for segment in path.removeprefix("/").split("/"):
            below = node.get(segment)
            if below is None and segment:
                below = node.get(_ANY)
                values.append(unquote(segment))
            if below is None:
                return None
            node = below
        route = node.get(f" {method}")
        return None if route is None else (route, dict(zip(route.names, values, strict=True)))

    def _add(self, method: str, path: str, operation: Json) -> None:
        node, names = self._tree, list[str]()
        for segment in path.removeprefix("/").split("/"):
            name = segment[1:-1] if segment.startswith("{") else None
            if name is not None:
                names.append(name)
            node = node.setdefault(segment if name is None else _ANY, {})
        described = (self._parameters[p["$ref"].rpartition("/")[2]] if "$ref" in p else p for p in operation.get("parameters", ()))
        query = [parameter for parameter in described if parameter["in"] == "query"]
        route = Route(method, path, operation, tuple(names), query, self._components, self._known_fields, self.resolve)
        node[f" {method}"] = self.routes[route.id] = route


class Route:
    """One operation of the document."""

    def __init__(
        self,
        method: str,
        path: str,
        operation: Json,
        names: tuple[str, ...],
        query: list[Json],
        components: Json,
        known_fields: KnownFields,
        resolve: Callable[[Json], Json],
    ) -> None:
        self.id: str = operation["operationId"]
        self.method = method
        self.path = path
        self.changes = method != "GET" and not self.id.startswith("list")
        """Whether a request may change something."""
        self.names = names
        self.statuses = frozenset(int(status) for status in operation["responses"] if status.isdecimal())
        self.status = min(status for status in self.statuses if status < 300)
        self.answer: Json | None = operation["responses"][str(self.status)].get("content", {}).get("application/json", {}).get("schema")
        """The schema of a successful answer; ``None`` when it has no body."""
        self._query = query
        self._body: Json = operation.get("requestBody", {})
        self._components = components
        self._known_fields = known_fields
        self._resolve = resolve

    @cached_property
    def json_schema(self) -> Json | None:
        """The schema of the JSON body; ``None`` when the operation takes none."""
        bodies = self._body.get("content", {}).items()
        return next((said["schema"] for media, said in bodies if media.partition(";")[0].strip().lower() == "application/json"), None)

    @property
    def _json(self) -> Json:
        return cast("Json", self.json_schema)

    def read(self, path: dict[str, str], query: str, content: bytes, content_type: str) -> Incoming:
        """Check a request against the document.

        :raises Refused: it does not match.
        """
        try:
            return Incoming(path, self.read_query(query), self.read_body(content, content_type))
        except Refused as refused:
            raise self.as_documented(refused) from None

    @cached_property
    def refuses(self) -> bool:
        """Whether the operation documents a status for refusals."""
        return not self.statuses.isdisjoint(_REFUSALS)

    def as_documented(self, refused: Refused) -> Refused:
        """The same refusal with a status that the operation documents."""
        if refused.status not in _REFUSALS or refused.status in self.statuses or not self.refuses:
            return refused
        return Refused(next(status for status in _REFUSALS if status in self.statuses), refused.message)

    def read_query(self, text: str) -> Json:
        """The query parameters that the document knows, converted to their types.

        :raises Refused: one is missing or of a wrong type. Where the operation does not document 400, a wrong one is left out.
        """
        return self._query_reader.read(text, strict=400 in self.statuses)

    def read_body(self, content: bytes, content_type: str) -> Json:
        """The checked body; an empty object for an operation without one. Files are `Upload`s.

        Fields that the document does not know where they are, but elsewhere, are left out.

        :raises Refused: it is missing, of a wrong content type, malformed, or does not match its schema.
        """
        if not self._body:
            return {}
        if "multipart/form-data" in self._body["content"]:
            form = read_form(content, content_type, self._form_properties)
            self._check(self._form_check, _without_files(form), "body")
            return cast("Json", self._known_fields.only(form, self._form_schema))
        if not content:
            if self._body.get("required"):
                raise Refused(400, "a JSON body is needed")
            return {}
        if content_type.partition(";")[0].strip().lower() != "application/json":
            raise Refused(400, "the content type must be application/json")
        body = _parse(content)
        self._check(self._body_check, body, "body")
        return cast("Json", self._known_fields.only(body, self._json))

    def read_field(self, name: str, value: Any) -> Any:
        """The checked value of a field of the JSON body, without what the document does not know there.

        :raises ValueError: the body has no such field, or the field may not have this value.
        """
        schema = self._json["properties"].get(name)
        if schema is None or not _is_valid(self._field_check(name), value):
            raise ValueError(name)
        return self._known_fields.only(value, schema)

    @lru_cache  # noqa: B019 - as many as there are fields, for as long as there are documents
    def _field_check(self, name: str) -> jsonschema_rs.Draft4Validator:
        return self._validator(self._json["properties"][name])

    def _check(self, check: jsonschema_rs.Draft4Validator, value: Any, where: str) -> None:
        if not _is_valid(check, value):
            raise Refused(400, f"{where}{describe_error(check, well_formed(value))}")

    @cached_property
    def parameters(self) -> frozenset[str]:
        """The names of what it takes in its query and its body."""
        body = properties(self.json_schema, self._resolve) if self.json_schema is not None else {}
        return frozenset([*(parameter["name"] for parameter in self._query), *body])

    @cached_property
    def _query_reader(self) -> QueryReader:
        return QueryReader(self._query, self._resolve, self._validator)

    @cached_property
    def _body_check(self) -> jsonschema_rs.Draft4Validator:
        return self._validator(self._json)

    @cached_property
    def _form_schema(self) -> Json:
        schema: Json = self._body["content"]["multipart/form-data"]["schema"]
        return self._components["schemas"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema

    @cached_property
    def _form_properties(self) -> Json:
        return cast("Json", self._form_schema.get("properties", {}))

    @cached_property
    def _form_check(self) -> jsonschema_rs.Draft4Validator:
        return self._validator(self._form_schema)

    def _validator(self, schema: Json) -> jsonschema_rs.Draft4Validator:
        return _validator(schema, self._components)


@lru_cache(maxsize=1)
def packaged_document() -> Document:
    """The document that this package was generated from."""
    return Document(json.loads(resources.files("retell_async.raw").joinpath("openapi.json").read_bytes()))


_PATTERNS = jsonschema_rs.FancyRegexOptions(size_limit=2**30)  # some repeat a class of characters thousands of times


def _validator(schema: Json, components: Json) -> jsonschema_rs.Draft4Validator:
    # Messages are masked: what was sent may be a phone number.
    whole = {"allOf": [_as_json_schema(schema)], "components": components}
    return jsonschema_rs.Draft4Validator(whole, mask="the value", pattern_options=_PATTERNS)


def _is_valid(check: jsonschema_rs.Draft4Validator, value: Any) -> bool:
    try:
        return check.is_valid(value)
    except UnicodeEncodeError:
        return check.is_valid(well_formed(value))


def _without_files(value: Any) -> Any:
    """A form with names in place of files: the document types files as strings."""
    if isinstance(value, Upload):
        return value.filename
    if isinstance(value, list):
        return [_without_files(item) for item in cast("list[object]", value)]
    return {name: _without_files(item) for name, item in cast("Json", value).items()} if isinstance(value, dict) else value


def _parse(content: bytes) -> Any:
    try:
        return parse_json(content)
    except ValueError:
        raise Refused(400, "the body is not valid JSON") from None


def _as_json_schema(value: Any, *, names: bool = False) -> Any:
    """An OpenAPI 3.0 schema as JSON Schema draft 4, which has no ``nullable``.

    :param names: whether the keys are names of properties, not keywords.
    """
    if isinstance(value, list):
        return [_as_json_schema(item) for item in cast("list[object]", value)]
    if not isinstance(value, dict):
        return value
    schema = {key: _as_json_schema(item, names=not names and key == "properties") for key, item in cast("Json", value).items()}
    if names or not schema.pop("nullable", False):
        return schema
    if set(schema) & {"$ref", "allOf", "anyOf", "oneOf"} or "type" not in schema:
        return {"anyOf": [{"type": "null"}, schema]}
    # Means the same, and gives a better message when the value is neither.
    enum = {"enum": [*schema["enum"], None]} if None not in schema.get("enum", [None]) else {}
    return schema | {"type": [schema["type"], "null"]} | enum
