"""From what openapi-python-client's parser found in a document to files, in its environment, with the templates beside this module.

The document is input: no text of it reaches a template's output as it is. What a template writes is a name, or has been made code by a
filter: `literal` for values, `docstring` for words, `code` and `quoted` for types and tables, which must be nothing else.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

from markupsafe import Markup

from .. import marks
from ..document import Json, Refused, visible
from ..reserved import TEMPLATES, is_name
from .official import official
from .types import literal, quoted
from .views import Views

_CODE = (
    *(ast.Name, ast.Load, ast.Subscript, ast.Tuple, ast.BinOp, ast.BitOr, ast.Constant, ast.UnaryOp, ast.USub),
    *(ast.Dict, ast.keyword),
)
_TABLES = frozenset({"Keyed", "Many", "Mapped", "One", "Tagged"})
_RULES = Path(__file__).parent / "generated.ruff.toml"


def render(views: Views, package: Path, names: Json | None = None) -> None:
    """Write ``raw``, ``resources`` and ``types`` below an empty folder.

    :param names: the official SDK's names for types.
    """
    env = views.parsed.environment(TEMPLATES)
    env.autoescape, env.finalize = True, only_code
    env.filters.update(code=code, docstring=docstring, literal=lambda value: Markup(literal(value)))
    env.filters.update(quoted=lambda text: Markup(quoted(str(code(text)))))
    env.globals.update(views=views)

    def write(template: str, path: str, **context: Any) -> None:
        file = package / f"{path}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(env.get_template(f"{template}.py.jinja").render(**context), encoding="utf-8")

    write("package_init", "raw/__init__", title="Operations and models as the document has them.")
    write("raw_limits", "raw/limits")
    write("raw_server", "raw/server", url=views.prepared[marks.SERVER])
    for view in views.classes:
        write(view.kind, f"raw/{view.folder}/{view.module}", view=view)
    for kind, modules in views.modules.items():
        write("names_init", f"raw/{kind}/__init__", kind=kind, names=modules)
    write("package_init", "raw/api/__init__", title="One module an operation, by resource.")
    for operation in views.operations:
        write("package_init", f"raw/api/{operation.group}/__init__", title=f"Operations of `{operation.group}`.")
        write("endpoint_module", f"raw/api/{operation.group}/{operation.module}", view=operation)
    write("resources_operations", "resources/_operations")
    for folder, sync in (("resources", False), ("resources/_sync", True)):
        write("resources_init", f"{folder}/__init__", sync=sync)
        for resource in views.resources:
            write("resource", f"{folder}/{resource.name}", view=resource, sync=sync)
    for template, module, said in official(names or {}, views):
        write(template, f"types/{module}", view=said)
    _tidy(package)


def _tidy(package: Path) -> None:
    for command in (["check", "--fix", "--quiet", "--output-format=concise"], ["format", "--quiet"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--no-cache", "--config", str(_RULES)]
        done = subprocess.run([*ruff, str(package)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise Refused("", f"what is generated from it is no Python: {(done.stdout or done.stderr).partition(chr(10))[0]}")


def only_code(value: object) -> object:
    """What a template may write: what a filter has made code of, and names; no other text, whoever wrote it."""
    if isinstance(value, Markup) or (isinstance(value, str) and all(part == "" or is_name(part) for part in value.split("."))):
        return value
    raise Refused("", f"{value!r} is no name, and no filter has made code of it")


def code(text: str) -> Markup:
    """A type or the table of a union, as `types` writes them, and nothing that could do anything."""
    try:
        body = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError):
        raise Refused("", f"{text!r} is no type and no table") from None
    calls = [node for node in ast.walk(body) if not isinstance(node, _CODE)]
    tables = all(isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _TABLES for node in calls)
    if not tables or not text.isprintable() or (body.col_offset, body.end_col_offset) != (0, len(text.encode())):
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
