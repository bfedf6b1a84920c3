"""Names that generated code and the classes around it have themselves: what the document calls the same steps aside.

The way out is a trailing underscore; the name on the wire stays. The names are read from the source of the package and from the templates,
so that none has to be remembered here; read, since the package cannot be imported before it is generated.
"""

from __future__ import annotations

import ast
import keyword
import re
import unicodedata
from collections.abc import Set as AbstractSet
from pathlib import Path
from symtable import symtable

PACKAGE = Path(__file__).parent.parent / "retell_async"
_LONGEST = 200  # bytes: with what is put around it, file systems take so many
TEMPLATES = Path(__file__).parent / "rendering" / "templates"


def is_name(text: str) -> bool:
    """Whether Python reads a text as one name, and as this one, and a file may be called so."""
    is_one = text.isidentifier() and not keyword.iskeyword(text)
    return is_one and unicodedata.is_normalized("NFKC", text) and len(text.encode()) <= _LONGEST


def aside(name: str, taken: AbstractSet[str]) -> str:
    """The name, or the one that stands in where it is taken."""
    return f"{name}_" if name in taken or keyword.iskeyword(name) else name


def members(module: str, name: str) -> frozenset[str]:
    """What a class of the package has: attributes of the class, and of its instances."""
    source = (PACKAGE / module).read_text(encoding="utf-8")
    (found,) = (node for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name == name)
    (scope,) = (scope for scope in symtable(source, module, "exec").get_children() if scope.get_name() == name)
    stored = (node for node in ast.walk(found) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store))
    own = (node.attr for node in stored if ast.unparse(node.value) == "self")
    return frozenset([*(symbol.get_name() for symbol in scope.get_symbols() if symbol.is_assigned()), *own])


def _of_templates(*names: str) -> frozenset[str]:
    """What modules import, define and decorate with, whatever document they are generated from."""
    found: set[str] = set()
    for path in (path for name in names for path in TEMPLATES.glob(f"{name}.*")):
        text = re.sub(r"{{.*?}}", "", path.read_text(encoding="utf-8"))
        for imported in re.findall(r"^\s*from (?!__future__)[\w.]+ import (.+)$", text, re.MULTILINE):
            found.update(re.findall(r"\w+", imported))
        found.update(re.findall(r"^\s*(?:(?:async )?def |class |@)(\w+)", text, re.MULTILINE))
        found.update(re.findall(r"^(\w+)(?:: .*)? = ", text, re.MULTILINE))
    return frozenset(name for name in found if is_name(name))


_TYPES = frozenset({"bool", "dict", "float", "int", "list", "object", "str"})
"""Built-in types that annotations of generated code use: a member of a class hides them from those beside it."""

OPTIONS = members("_core/operation.py", "RequestOptions")
"""What every method takes beside the operation's own parameters."""
CLASSES = _of_templates("*")
MODULES = _of_templates("resource", "names_init", "macros")
_OFFICIAL = members("_official_client.py", "OfficialSettings") | members("_official_client.py", "OfficialVerbs")
RESOURCES = members("_client.py", "_AsyncRetell") | members("_sync.py", "_Retell") | _OFFICIAL | _of_templates("resources_init")
METHODS = members("_core/resource.py", "Resource") | _of_templates("resource", "macros") | _TYPES - {"list"}  # `list` is what users know
FIELDS = members("_core/model.py", "Model") | members("_core/interop/methods.py", "PydanticMethods") | _TYPES | {"self", "options"}
KEYED_FIELDS = members("_core/model.py", "KeyedModel")
KEYWORDS = OPTIONS | {"self", "options"}
RAW_KEYWORDS = KEYWORDS | _of_templates("endpoint_module") | {"body", "client"}
"""Of a path or a query: the functions of raw modules take these beside what is theirs."""
