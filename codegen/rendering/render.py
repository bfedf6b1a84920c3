"""From a prepared document to files: parsed and written by openapi-python-client with the templates beside this module.

The generator is given what it expresses well: a model an object, an endpoint an operation, with the names and the order of their parts.
Types, unions and requests are decided before (`views`), since its own would drop or flatten them.

The document is input: no text of it reaches a template's output as it is. What a template writes is a name, or has been made code by a
filter: `literal` for values, `docstring` for words, `code` and `quoted` for types and tables, which must be nothing else.
"""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup
from openapi_python_client import Project
from openapi_python_client.config import Config, ConfigFile, MetaType
from openapi_python_client.parser import GeneratorData
from openapi_python_client.parser.errors import GeneratorError
from openapi_python_client.parser.openapi import Endpoint

from ..document import Json, Refused, is_object, operations, visible
from ..reserved import TEMPLATES, is_name
from .official import Types, official
from .types import is_code, literal, quoted
from .views import Operation, Views

_OPERATION = "operation_"
RULES = Path(__file__).parent / "generated.ruff.toml"


def render(prepared: Json, views: Views, package: Path, names: Json | None = None) -> None:
    """Write ``raw``, ``resources`` and ``types`` below an empty folder.

    :param names: the official SDK's names for types.

    :raises Refused: the generator warns of anything, or leaves anything out.
    """
    raw = package / "raw"
    config = Config.from_sources(
        ConfigFile(post_hooks=[]), MetaType.NONE, document_source=raw, file_encoding="utf-8", overwrite=True, output_path=raw
    )
    data = GeneratorData.from_dict(lowered(prepared, views), config=config)
    if isinstance(data, GeneratorError):
        raise Refused("", f"{data.header} {data.detail or ''}")
    project = _Package(data, config, views, official(names or {}, views))
    if errors := project.write():
        raise Refused("", "; ".join(f"{error.header} {error.detail or ''}".strip() for error in errors))
    _complete(data, views)
    for command in (["check", "--fix", "--quiet", "--output-format=concise"], ["format", "--quiet"]):
        ruff = [
            sys.executable,
            "-m",
            "ruff",
            *command,
            "--no-cache",
            "--config",
            str(RULES),
            str(raw),
            str(package / "resources"),
            str(package / "types"),
        ]
        done = subprocess.run(ruff, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Refused("", f"what is generated from it is no Python: {(done.stdout or done.stderr).partition(chr(10))[0]}")


def lowered(prepared: Json, views: Views) -> Json:
    """The document in the generator's words: objects without types, operations tagged with their resource, all under our names."""
    places = {(view.method.lower(), view.path): index for index, view in enumerate(views.operations)}
    models = {view.name: view for view in views.models}
    schemas = {
        name: {
            "type": "object",
            "properties": {field.name: {} for field in models[name].fields},
            "required": [field.name for field in models[name].fields if field.required],
        }
        for name, schema in prepared["components"]["schemas"].items()
        if is_object(schema)
    }
    paths: dict[str, Json] = {}
    for method, path, _ in operations(prepared):
        index = places[method, path]
        view = views.operations[index]
        named = path
        for field in view.path_fields:
            named = named.replace(f"{{{field.wire}}}", f"{{{field.name}}}")
        paths.setdefault(named, {})[method] = {
            "operationId": f"{_OPERATION}{index}",
            "tags": [view.group],
            "parameters": [
                {"name": field.name, "in": place, "required": field.required, "schema": {"type": "string"}}
                for place, fields in (("path", view.path_fields), ("query", view.query_fields))
                for field in fields
            ],
            "responses": {},
        }
    return {"openapi": "3.0.3", "info": {"title": "API", "version": "1"}, "paths": paths, "components": {"schemas": schemas}}


def _complete(data: GeneratorData, views: Views) -> None:
    models = {str(model.class_info.name) for model in data.models}
    endpoints = [endpoint for collection in data.endpoint_collections_by_tag.values() for endpoint in collection.endpoints]
    if lost := {view.name for view in views.models} - models:
        raise Refused("/components/schemas", f"the generator left out {', '.join(sorted(lost))}")
    if len(endpoints) != len(views.operations):
        raise Refused("/paths", f"the generator kept {len(endpoints)} of {len(views.operations)} operations")


def only_code(value: object) -> object:
    """What a template may write: what a filter has made code of, and names; no other text, whoever wrote it.

    :raises Refused: it is neither.
    """
    if isinstance(value, Markup) or (isinstance(value, str) and all(part == "" or is_name(part) for part in value.split("."))):
        return value
    raise Refused("", f"{value!r} is no name, and no filter has made code of it")


def code(text: str) -> Markup:
    """A type or the table of a union, as `Types` writes them.

    :raises Refused: it is neither.
    """
    if not is_code(text):
        raise Refused("", f"{text!r} is no type and no table")
    return Markup(text)


def docstring(text: str, indent: int = 0) -> Markup:
    """A text as a docstring, wrapped, at an indentation; its paragraphs are kept apart, and what hangs under one."""
    space = " " * indent
    lines: list[str] = []
    for line in text.split("\n"):
        hang = "    " if line.startswith(":") else ""
        safe = re.sub(r'\\|"(?="|$)', lambda special: "\\" + special[0], visible(line))
        lines.extend(textwrap.wrap(safe, 118 - indent, subsequent_indent=hang, break_long_words=False, break_on_hyphens=False) or [""])
    if len(lines) == 1:
        return Markup(f'{space}"""{lines[0]}"""')
    return Markup("\n".join([f'{space}"""{lines[0]}', *(f"{space}{line}".rstrip() for line in lines[1:]), f'{space}"""']))


class _Package(Project):
    """The generator's project, writing our kinds of files as well."""

    def __init__(self, data: GeneratorData, config: Config, views: Views, types: Types) -> None:
        super().__init__(openapi=data, config=config, custom_template_path=TEMPLATES)
        self.views = views
        self.types = types
        self._models = {view.name: view for view in views.models}
        self.env.autoescape, self.env.finalize = True, only_code
        self.env.filters.update(code=code, docstring=docstring, literal=lambda value: Markup(literal(value)))
        self.env.filters.update(quoted=lambda text: Markup(quoted(str(code(text)))))
        self.env.globals.update(view_of_endpoint=self._view_of_endpoint)

    def write(self) -> Sequence[GeneratorError]:
        """As the generator's `build`, without its printing and its hooks."""
        self._create_package()
        self._build_models()
        self._build_api()
        self._build_types()
        return self._get_errors()

    def _view_of_endpoint(self, endpoint: Endpoint) -> Operation:
        return self.views.operations[int(endpoint.name.removeprefix(_OPERATION))]

    def _write(self, template: str, path: Path, **context: Any) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.env.get_template(template).render(**context), encoding="utf-8")

    def _create_package(self) -> None:
        self._write("package_init.py.jinja", self.package_dir / "__init__.py", title="Operations and models as the document has them.")
        self._write("raw_limits.py.jinja", self.package_dir / "limits.py", operations=self.views.operations)
        self._write("raw_server.py.jinja", self.package_dir / "server.py", url=self.views.server)

    def _build_models(self) -> None:
        models, params = self.package_dir / "models", self.package_dir / "params"
        for view in [
            *(self._models[str(model.class_info.name)] for model in self.openapi.models),
            *self.views.unknowns,
            *self.views.commons,
        ]:
            self._write("model.py.jinja", models / f"{view.module}.py", view=view)
        for union in self.views.unions:
            self._write("union.py.jinja", models / f"{union.module}.py", view=union)
        for enum in self.views.enums:
            self._write("enum.py.jinja", models / f"{enum.module}.py", view=enum)
        for param in self.views.params:
            self._write("param.py.jinja", params / f"{param.module}.py", view=param)
        for union in self.views.param_unions:
            self._write("param_union.py.jinja", params / f"{union.module}.py", view=union)
        self._write(
            "names_init.py.jinja",
            models / "__init__.py",
            kind="models",
            names=self.views.model_names,
            title="What the API answers with; each model loads when it is first used.",
        )
        self._write(
            "names_init.py.jinja",
            params / "__init__.py",
            kind="params",
            names=self.views.param_names,
            title="Dicts that requests take, as type checkers see them; each loads when it is first used.",
        )

    def _build_api(self) -> None:
        api = self.package_dir / "api"
        self._write("package_init.py.jinja", api / "__init__.py", title="One module an operation, by resource.")
        for collection in self.openapi.endpoint_collections_by_tag.values():
            for endpoint in collection.endpoints:
                view = self._view_of_endpoint(endpoint)
                self._write("package_init.py.jinja", api / view.group / "__init__.py", title=f"Operations of `{view.group}`.")
                self._write("endpoint_module.py.jinja", api / view.group / f"{view.module}.py", endpoint=endpoint)
        resources = self.package_dir.parent / "resources"
        self._write("resources_operations.py.jinja", resources / "_operations.py", views=self.views.resources)
        for folder, sync in ((resources, False), (resources / "_sync", True)):
            self._write("resources_init.py.jinja", folder / "__init__.py", views=self.views.resources, sync=sync)
            for resource in self.views.resources:
                self._write("resource.py.jinja", folder / f"{resource.name}.py", view=resource, sync=sync)

    def _build_types(self) -> None:
        folder = self.package_dir.parent / "types"
        self._write("types_init.py.jinja", folder / "__init__.py", view=self.types)
        for params in self.types.modules:
            self._write("types_params.py.jinja", folder / f"{params.module}.py", view=params)
