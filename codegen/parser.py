"""openapi-python-client, all that is used of it: its names for classes and fields, its parser, and its environment for templates.

Little of what is imported here is promised to stay, so nothing else in `codegen` imports from it. `codegen/README.md` says what its parser
does and what goes around it.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import attrs
from jinja2 import Environment
from openapi_python_client import Project
from openapi_python_client.config import Config, ConfigFile, MetaType
from openapi_python_client.parser import GeneratorData
from openapi_python_client.parser.bodies import BodyType
from openapi_python_client.parser.errors import GeneratorError
from openapi_python_client.parser.openapi import Endpoint
from openapi_python_client.parser.properties import LiteralEnumProperty, ModelProperty
from openapi_python_client.parser.properties.file import FileProperty
from openapi_python_client.parser.properties.list_property import ListProperty
from openapi_python_client.parser.properties.protocol import PropertyProtocol as Property
from openapi_python_client.parser.properties.union import UnionProperty
from openapi_python_client.strings import ClassName, PythonIdentifier

from . import marks
from .document import Json, Refused, operation_key, pointer

__all__ = ["BodyType", "FileProperty", "ListProperty", "LiteralEnumProperty", "ModelProperty", "Property", "UnionProperty"]

NAMELESS = "Nameless"
"""How the parser's class ends, before a number, of what has no name: a map, or an enum that is written out where it stands."""

_FILE = ConfigFile(literal_enums=True, use_path_prefixes_for_title_model_names=False, post_hooks=[])
_CONFIG = Config.from_sources(_FILE, MetaType.NONE, document_source="", file_encoding="utf-8", overwrite=True, output_path=None)


@cache
def class_name(name: str) -> str:
    """The generator's own name for the class of a schema; of such a name it makes the same again."""
    return str(ClassName(ClassName(name, "field_"), "field_"))


def identifier(name: str, prefix: str = "", *, plain: bool = False) -> str:
    """The generator's own name for a module or a field; the prefix is for what would be none, `plain` its second choice."""
    return str(PythonIdentifier(name, prefix, plain))


@attrs.frozen
class Parsed:
    """What the parser found in a document."""

    data: GeneratorData
    models: dict[str, ModelProperty]
    """By the names of components; a union is a model with the one field that `passes.parsable` gave it."""
    enums: dict[str, LiteralEnumProperty]
    endpoints: dict[str, Endpoint]
    """By ``METHOD /path``."""

    def model(self, name: str) -> ModelProperty:
        """:raises Refused: the parser left it out."""
        return self.models.get(name) or self._left_out(pointer("components", "schemas", name))

    def endpoint(self, method: str, path: str) -> Endpoint:
        """:raises Refused: the parser left it out, or something of it."""
        found = self.endpoints.get(operation_key(method, path))
        return found if found and not found.errors else self._left_out(pointer("paths", path, method))

    def environment(self, templates: Path) -> Environment:
        """The generator's environment for templates, which are looked for in a folder first."""
        return Project(openapi=self.data, config=_CONFIG, custom_template_path=templates).env

    def _left_out(self, where: str) -> NoReturn:
        some = [*self.data.errors, *(error for tag in self.data.endpoint_collections_by_tag.values() for error in tag.parse_errors)]
        said = "; ".join(" ".join(f"{error.header} {error.detail or ''}".split()) for error in some)
        said = re.sub(r"<\S+ object at \w+>", "(a name)", said)  # it hides names, and no two runs have the same addresses
        raise Refused(where, f"the generator left it out: {said}")


def parse(document: Json) -> Parsed:
    """Everything that the parser finds in a document as `passes.parsable` leaves it."""
    data = GeneratorData.from_dict(document, config=_CONFIG)
    if isinstance(data, GeneratorError):
        raise Refused("", f"{data.header} {' '.join((data.detail or '').split())}")
    endpoints = [endpoint for tag in data.endpoint_collections_by_tag.values() for endpoint in tag.endpoints]
    models = {str(model.class_info.name): model for model in data.models}
    enums = {str(enum.class_info.name): enum for enum in data.enums if isinstance(enum, LiteralEnumProperty)}
    return Parsed(data, models, enums, {endpoint.summary.get_untrusted_value(): endpoint for endpoint in endpoints})


def wire(prop: Property) -> str:
    """What the document calls it."""
    return prop.name.get_untrusted_value()


def fields(model: ModelProperty) -> list[Property]:
    """What a model has, what is required first."""
    return [*(model.required_properties or ()), *(model.optional_properties or ())]


def map_values(model: ModelProperty) -> Property | None:
    """What the values of an object without fields of its own are; ``None`` of one with such."""
    return model.additional_properties if model.data.properties is None else None


def mark(model: ModelProperty, name: str) -> Any:
    """A mark on its schema; ``None`` where there is none."""
    return (model.data.model_extra or {}).get(name)


def words(model: ModelProperty, prop: Property | None = None) -> str:
    """What is said of a model, or of something that it has."""
    schema = model.data if prop is None else (model.data.properties or {})[prop.name]
    return str((schema.model_extra or {}).get(marks.ABOUT, ""))


def nameless(enum: LiteralEnumProperty) -> str:
    """Whether an enum is written out where it stands, and as what: ``Tag`` of a union, ``Open`` in requests too, or ``Enum``."""
    found = re.search(rf"{NAMELESS}(Enum|Tag|Open)\d+$", enum.class_info.name)
    return found[1] if found else ""
