"""What the generated code declares, read without importing it."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import attrs

from .markup import private

__all__ = ["PACKAGE", "Field", "Method", "Type", "class_name", "declared_in", "methods", "types"]

PACKAGE = Path(__file__).parents[2] / "retell_async"


@attrs.frozen
class Method:
    """A method of a resource."""

    name: str
    repeat: str
    """Whether its request may be sent again: ``safe``, ``idempotency_key`` or ``unsafe``."""
    uses: frozenset[str]
    """Every name that its signature mentions."""


@attrs.frozen
class Field:
    """A field of a model or of a dict: its type is as it stands in the source."""

    name: str
    type: str
    words: str


@attrs.frozen
class Type:
    """A model or a dict with its fields, or a name for several of them or for values."""

    name: str
    words: str
    fields: list[Field]
    alias: str | None
    """What it is another name for; ``None`` for a model or a dict."""
    uses: frozenset[str]
    """Every name that its fields or its alias mention."""
    bases: tuple[str, ...] = ()


def types() -> dict[str, Type]:
    """All of `retell_async.types`, by name; a type has the fields of the classes beside it that it is made from."""
    found: dict[str, Type] = {}
    inherited = {
        declared.name: declared
        for path in (PACKAGE / "raw" / "models").glob("_[!_]*.py")
        for declared in declared_in(ast.parse(path.read_text()))
    }
    for folder in ("models", "params"):
        for path in sorted((PACKAGE / "raw" / folder).glob("[!_]*.py")):
            for declared in declared_in(ast.parse(path.read_text())):
                bases = [inherited[base] for base in declared.bases if base in inherited]
                fields = [*(field for base in bases for field in base.fields), *declared.fields]
                found[declared.name] = attrs.evolve(declared, fields=fields, uses=declared.uses.union(*(base.uses for base in bases)))
    return found


def methods(resource: Path) -> list[Method]:
    """The methods of a resource."""
    return [
        Method(method.name, _repeat(method), _signature_names(method))
        for method in _class_of(resource).body
        if isinstance(method, (ast.FunctionDef, ast.AsyncFunctionDef))
        and method.name not in {"with_raw_response", "with_streaming_response"}
        and "overload" not in map(ast.unparse, method.decorator_list)
    ]


@cache
def class_name(resource: str) -> str:
    """The name of the class of a resource, by that of its module."""
    return _class_of(PACKAGE / "resources" / f"{resource}.py").name


def _class_of(resource: Path) -> ast.ClassDef:
    return next(statement for statement in ast.parse(resource.read_text()).body if isinstance(statement, ast.ClassDef))


def _signature_names(method: ast.FunctionDef | ast.AsyncFunctionDef) -> frozenset[str]:
    return _names(method.args) | (_names(method.returns) if method.returns is not None else frozenset())


def _repeat(method: ast.AST) -> str:
    (operation,) = {
        node.value.id
        for node in ast.walk(method)
        if isinstance(node, ast.Attribute) and node.attr == "OPERATION" and isinstance(node.value, ast.Name)
    }
    (module,) = (PACKAGE / "raw" / "api").glob(f"*/{operation}.py")
    (repeat,) = {
        node.value.value
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.keyword) and node.arg == "repeat" and isinstance(node.value, ast.Constant)
    }
    return str(repeat)


def declared_in(module: ast.Module) -> Iterator[Type]:
    """What a module declares, a dict with a key that is no name in Python too, which is written as a call."""
    for statement in module.body:
        match statement:
            case ast.ClassDef(name=name):
                fields = list(_fields(statement))
                uses = frozenset[str]().union(*(_names(node.annotation) for node in statement.body if isinstance(node, ast.AnnAssign)))
                bases = tuple(base.id for base in statement.bases if isinstance(base, ast.Name))
                yield Type(name, ast.get_docstring(statement) or "", fields, None, uses, bases)
            case ast.AnnAssign(target=ast.Name(id=name), annotation=ast.Name(id="TypeAlias"), value=ast.expr() as value):
                yield Type(name, "", [], _source(value), _names(value))
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=ast.Name(id="TypedDict"), args=[_, ast.Dict() as said])):
                pairs = [(ast.literal_eval(key), value) for key, value in zip(said.keys, said.values, strict=True) if key is not None]
                uses = frozenset[str]().union(*(_names(value) for _, value in pairs))
                yield Type(name, "", [Field(key, _source(value), "") for key, value in pairs], None, uses)
            case _:
                pass


def _fields(declared: ast.ClassDef) -> Iterator[Field]:
    for number, node in enumerate(declared.body):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and not node.target.id.startswith("__"):
            following = declared.body[number + 1 : number + 2]
            words = ""
            match following:
                case [ast.Expr(value=ast.Constant(value=str(text)))]:
                    words = inspect.cleandoc(text)
                case _:
                    pass
            yield Field(node.target.id, _source(node.annotation), words)


class _Flat(ast.NodeTransformer):
    """Unions with bars, and names that are not in quotes."""

    def visit_Subscript(self, node: ast.Subscript) -> ast.expr:
        if isinstance(node.value, ast.Name) and node.value.id == "Literal":
            return node
        self.generic_visit(node)
        if isinstance(node.value, ast.Name) and node.value.id == "Union" and isinstance(node.slice, ast.Tuple):
            union, *others = node.slice.elts
            for other in others:
                union = ast.BinOp(union, ast.BitOr(), other)
            return union
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        return ast.parse(node.value, mode="eval").body if isinstance(node.value, str) else node


def _flat(node: ast.AST) -> ast.AST:
    flat: ast.AST = _Flat().visit(node)
    return flat


def _source(node: ast.expr) -> str:
    return private(ast.unparse(_flat(node)))


def _names(node: ast.AST) -> frozenset[str]:
    return frozenset(name.id for name in ast.walk(_flat(node)) if isinstance(name, ast.Name))
