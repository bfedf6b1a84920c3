"""What an account holds that is kept as files: which kinds there are, and how each is called."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias, cast

import attrs

__all__ = [
    "BINDINGS",
    "FOLDERS",
    "KINDS",
    "VOICES",
    "Json",
    "Kind",
    "is_own",
    "is_name",
    "kind_of",
    "key_of",
    "mapped",
    "natural",
    "references",
    "slug",
]

Json: TypeAlias = dict[str, Any]

VOICES = "voices"
"""What stands before the name of a voice of one's own; those that Retell brings along have the same id everywhere."""

_IDS = ("agent_id", "llm_id", "conversation_flow_id", "component_id", "knowledge_base_ids", "voice_id", "fallback_voice_ids")
"""Fields that hold ids of other objects, wherever they stand."""
BINDINGS = ("inbound_agents", "outbound_agents", "inbound_sms_agents", "outbound_sms_agents")
"""The fields of a number that hold agents by weight."""
_KEYS = ("id", "tool_id", "conversation_flow_component_id", "name", "title", "word", "key", "agent_id")
_NAME = re.compile(r"\w[\w.-]*")


@attrs.frozen
class Kind:
    """One kind of objects.

    :param folder: where their files are, and what their names begin with.
    :param resource: the resource of the client.
    :param id: the field of the API that tells one from another.
    :param named: the field that people know one by; ``None`` for engines, which are named after their agents.
    :param drafts: whether it has versions, of which published ones cannot be changed.
    :param suffix: how the methods of the resource end.
    :param own: fields of answers that are no settings, or of one version only.
    """

    folder: str
    resource: str
    id: str
    named: str | None = None
    drafts: bool = False
    suffix: str = ""
    own: tuple[str, ...] = ()

    def method(self, verb: str) -> str:
        """The method that creates, updates, lists, ... such objects: ``llm.create``."""
        if self.suffix:
            return f"{self.resource}.{'get' if verb == 'retrieve' else verb}{self.suffix}{'s' if verb == 'list' else ''}"
        return f"{self.resource}.{verb}"

    @property
    def created(self) -> bool:
        """Whether applying makes new ones. A number is bought or ported by people."""
        return self.folder != "phone_numbers"


_VERSION = ("version", "is_published", "base_version", "assigned_tags", "channel", "last_modification_timestamp", "user_modified_timestamp")
_TITLES = ("version_title", "version_description")

KINDS = (
    Kind("knowledge_bases", "knowledge_base", "knowledge_base_id", "knowledge_base_name", own=("status", "last_refreshed_timestamp")),
    Kind("components", "conversation_flow_component", "conversation_flow_component_id", "name", own=("linked_conversation_flow_ids",)),
    Kind("llms", "llm", "llm_id", drafts=True),
    Kind("flows", "conversation_flow", "conversation_flow_id", drafts=True),
    Kind("agents", "agent", "agent_id", "agent_name", drafts=True, own=_TITLES),
    Kind("chat_agents", "chat_agent", "agent_id", "agent_name", drafts=True, own=_TITLES),
    Kind("phone_numbers", "phone_number", "phone_number", "nickname", own=("phone_number_pretty", "phone_number_type", "area_code")),
    Kind("tests", "tests", "test_case_definition_id", "name", suffix="_test_case_definition", own=("type", "creation_timestamp")),
)
"""In the order in which they are written: what others refer to comes first."""

FOLDERS: Mapping[str, Kind] = {kind.folder: kind for kind in KINDS}


def kind_of(name: str) -> Kind:
    """The kind of an object, by its name: ``agents/receptionist``."""
    return FOLDERS[name.partition("/")[0]]


def is_name(name: str) -> bool:
    """Whether this may name an object: ``agents/receptionist``. Nothing outside the folder of its kind is named so."""
    folder, _, own = name.partition("/")
    return folder in FOLDERS and _NAME.fullmatch(own) is not None


def is_own(kind: Kind, field: str) -> bool:
    """Whether a field of an answer is no setting that a file could hold."""
    return field in _VERSION or field in kind.own or (field == kind.id and kind.created)


def natural(name: str) -> tuple[Any, ...]:
    """What names are sorted by: ``agent-2`` before ``agent-10``."""
    return tuple((part.isdecimal(), int(part) if part.isdecimal() else part) for part in re.split(r"(\d+)", name))


def slug(text: str) -> str:
    """A name for a file, from a name for people."""
    return re.sub(r"[^\w.]+", "-", text.casefold()).strip("-._")[:60].strip("-._") or "unnamed"


def key_of(item: object) -> str | None:
    """What tells an item of a list from the others, where something does."""
    if isinstance(item, dict):
        found = cast("Json", item)
        return next((f"{found[name]}" for name in _KEYS if isinstance(found.get(name), str)), None)
    return None


def mapped(value: Any, change: Callable[[str, str], str], field: str = "") -> Any:
    """A value with other ids.

    :param change: gives the one for a field and its id.
    """
    if isinstance(value, dict):
        return {name: mapped(item, change, name) for name, item in cast("Json", value).items()}
    if isinstance(value, list):
        return [mapped(item, change, field) for item in cast("list[object]", value)]
    return change(field, value) if field in _IDS and isinstance(value, str) and value else value


def references(value: Any) -> Iterable[str]:
    """The names of the objects that a value refers to."""
    found: list[str] = []

    def note(_: str, text: str) -> str:
        if text.partition("/")[0] in {*FOLDERS, VOICES} and "/" in text:
            found.append(text)
        return text

    mapped(value, note)
    return dict.fromkeys(found)
