"""Multipart forms: fields with the types of the document, and files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, cast

import attrs
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import FormParser, parse_options_header

from ..common.messages import Json, Refused
from ..common.untrusted import parse_json

__all__ = ["Upload", "read_form"]

_NAME = re.compile(r"(?P<name>[^\[\]]+)(?P<list>\[[0-9]*\])?(?:\[(?P<key>[^\[\]]+)\])?")


@attrs.frozen
class Upload:
    """A file of a multipart body."""

    filename: str
    content_type: str
    content: bytes = attrs.field(repr=False)


def read_form(content: bytes, content_type: str, properties: Mapping[str, Json]) -> Json:
    """The body that a form stands for.

    An object is sent as JSON, a list too, or as one field for each item. Objects of a list may be sent by members: ``name[][member]``.

    :param properties: the schemas of the fields, by their names.
    :raises Refused: it is not a valid form.
    """
    fields = _fields(content, content_type)
    body: Json = {}
    for name, value in fields:
        found = _NAME.fullmatch(name)
        schema = None if found is None else properties.get(found["name"])
        if found is None or schema is None:
            continue
        is_file = schema.get("items", schema).get("format") == "binary"
        if isinstance(value, Upload) is not is_file:
            raise Refused(400, f"body.{found['name']} must be {'a file' if is_file else 'no file'}")
        if schema.get("type") != "array":
            body[found["name"]] = _scalar(value, schema)
        elif (key := found["key"]) is not None:
            _put_member(cast("list[Any]", body.setdefault(found["name"], [])), key, value)
        else:
            body.setdefault(found["name"], []).extend(_items(value, schema["items"]))
    return body


def _put_member(items: list[Any], key: str, value: str | Upload) -> None:
    """Put a member into the last object of a list; when that object has it already, a new one begins."""
    if not items or not isinstance(items[-1], dict) or key in items[-1]:
        items.append({})
    items[-1][key] = value


def _items(value: str | Upload, schema: Json) -> list[Any]:
    if isinstance(value, Upload):
        return [value]
    sent = _scalar(value, {"type": "array"} if value[:1] == "[" else schema)
    return cast("list[object]", sent) if isinstance(sent, list) else [sent]


def _scalar(value: str | Upload, schema: Json) -> Any:
    if isinstance(value, Upload):
        return value
    if schema.get("type", "object" if value[:1] in {"[", "{"} else "string") != "string":  # a schema may be said by reference
        with suppress(ValueError):
            return parse_json(value)
    return value


def _fields(content: bytes, content_type: str) -> list[tuple[str, str | Upload]]:
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise Refused(400, "the content type must be multipart/form-data with a boundary")
    fields: list[tuple[str, str | Upload]] = []

    def on_field(field: Any) -> None:
        fields.append(((field.field_name or b"").decode(), (field.value or b"").decode()))

    def on_file(file: Any) -> None:
        file.file_object.seek(0)
        upload = Upload((file.file_name or b"").decode(), file.content_type or "application/octet-stream", file.file_object.read())
        fields.append(((file.field_name or b"").decode(), upload))
        file.close()

    try:
        parser = FormParser("multipart/form-data", on_field, on_file, boundary=boundary, config={"MAX_MEMORY_FILE_SIZE": 1 << 30})
        parser.write(content)
        parser.finalize()
    except (FormParserError, UnicodeDecodeError):
        raise Refused(400, "the body is not a valid form") from None
    return fields
