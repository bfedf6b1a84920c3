"""Between what the API answers and takes, and what a file holds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self, cast

from .document import known_fields
from .kinds import Json, Kind, is_own, mapped
from .values import Token, expand, unmarked

__all__ = ["SOURCES", "TEXT", "UNSEEN", "Upload", "from_answer", "parts_of", "sent", "source_of", "strange_fields", "upload_path"]

SOURCES: Mapping[str, str] = {"text": "knowledge_base_texts", "url": "knowledge_base_urls", "document": "knowledge_base_files"}
"""The kinds of sources of a knowledge base, and the fields that they are created by."""
TEXT = "(what it says does not come back from the API)"
UNSEEN = ("auth_password",)
"""What the API takes and does not show."""
_TRUNK = "sip_outbound_trunk_config"


class Upload(str):
    """The name of a file of a knowledge base that stands in the folder, and is uploaded from there.

    :param content: what tells what is in it from anything else; the API does not show that.
    """

    __slots__ = ("content",)

    def __new__(cls, name: str, path: Path) -> Self:
        made = super().__new__(cls, name)
        made.content = f"({hashlib.sha256(path.read_bytes()).hexdigest()[:16]})"
        return made

    content: str


def upload_path(root: Path, name: str, file: str) -> Path | None:
    """Where a file is uploaded from: the folder of the object's name; ``None`` where it is not there."""
    folder = (root / name).resolve()
    path = (folder / file).resolve()
    return path if path.is_relative_to(folder) and path.is_file() else None


def from_answer(kind: Kind, answer: Json, name_of: Callable[[str, str], str]) -> Json:
    """The settings in an answer, as a file has them.

    :param name_of: gives the name of the object that a field and its id refer to.
    """
    fields: Json = {name: value for name, value in answer.items() if value is not None and not is_own(kind, name)}
    if kind.folder == "knowledge_bases":
        for source in cast("list[Json]", fields.pop("knowledge_base_sources", [])):
            shown = {"text": {"title": source.get("title")}, "url": source.get("url"), "document": source.get("filename")}[source["type"]]
            fields.setdefault(SOURCES[source["type"]], []).append(shown)
    if kind.folder == "phone_numbers":
        trunk: Json = fields.pop(_TRUNK, None) or {}
        fields |= {name: value for name, value in trunk.items() if value is not None}
    engine = fields.get("response_engine")
    if engine is not None:
        fields["response_engine"] = {name: value for name, value in engine.items() if name != "version"}
    if isinstance(fields.get("components"), list):  # when one was changed is no setting of a flow
        fields["components"] = [
            {name: value for name, value in part.items() if name != "user_modified_timestamp"} for part in fields["components"]
        ]
    known = [name for name in dict.fromkeys((kind.named or "", kind.id, *known_fields(kind))) if name in fields]
    return cast("Json", mapped({name: fields[name] for name in known}, name_of))


def strange_fields(kind: Kind, answer: Json) -> list[str]:
    """Fields of an answer that the document does not have: they are left alone."""
    known = {*known_fields(kind), "knowledge_base_sources", _TRUNK, "opt_out_sensitive_data_storage", kind.id, "is_transfer_agent"}
    return [name for name in answer if name not in known and not is_own(kind, name)]


def sent(fields: Json, id_of: Callable[[str], str], environment: Mapping[str, str]) -> Json:
    """Settings as the API takes them: ids in place of names, and keys from the environment.

    :param id_of: gives the id of an object by its name.
    :raises LookupError: the environment lacks a key.
    """

    def key(token: Token) -> str | None:
        if token.kind == "env" and token.name not in environment:
            raise LookupError(f"the environment has no {token.name}, which ${{{{ env.{token.name} }}}} stands for")
        return environment[token.name] if token.kind == "env" else None

    def filled(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: filled(item) for name, item in cast("Json", value).items()}
        if isinstance(value, list):
            return [filled(item) for item in cast("list[object]", value)]
        # A key may have any characters: what it puts into a text is not looked at again.
        return "${{".join(f"{expand(part, key)}" for part in value.split("$${{")) if isinstance(value, str) else value

    return cast("Json", filled(mapped(fields, lambda _, name: id_of(name))))


def parts_of(kind: Kind, fields: Json) -> Json:
    """The settings as what is compared and changed one by one: of a knowledge base, each source."""
    found = {name: value for name, value in fields.items() if value is not None}
    if kind.folder == "knowledge_bases":
        for field in SOURCES.values():
            found.pop(field, None)
        found |= dict(_sources(fields))
    return found


def _sources(fields: Json) -> Iterator[tuple[str, Any]]:
    for source, field in SOURCES.items():
        named: dict[str, list[Any]] = {}
        for item in cast("list[Any]", fields.get(field) or ()):
            if source == "text":
                name, value = item["title"], item.get("text", TEXT)
            else:
                name, value = item, item.content if isinstance(item, Upload) else True
            named.setdefault(f"{source}: {unmarked(name)}", []).append(value)
        for name, values in named.items():  # several of one name are one setting, which nobody can change one of
            yield name, values if len(values) > 1 else values[0]


def source_of(part: str) -> tuple[str, str] | None:
    """The kind of a source and what it is known by; ``None`` for a part that is none."""
    kind, colon, name = part.partition(": ")
    return (kind, name) if colon and kind in SOURCES else None
