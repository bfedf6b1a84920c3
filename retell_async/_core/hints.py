"""Annotations whose names are imported for type checkers alone, and looked up when somebody asks for them at run time.

`typing.get_type_hints`, `inspect.signature(..., eval_str=True)`, attrs, pydantic and injectors of dependencies read `__annotations__`. What
they find there is resolved as they read it, so that a program which never asks imports nothing for it.
"""

from __future__ import annotations

import sys
from collections.abc import ItemsView, Iterator, Mapping, ValuesView
from functools import cache
from importlib import import_module
from types import FunctionType, ModuleType, SimpleNamespace
from typing import Any, ForwardRef, Literal, cast, get_type_hints

__all__ = ["Hints", "generated", "names_for_type_checkers", "readable", "register"]

_generated: list[str] = []
_HERE = __name__.partition(".")[0]


def register(package: str) -> None:
    """Name the generated package that has models and params. It is imported with the first of them."""
    _generated[:] = [package]


def generated(part: Literal["models", "params"]) -> ModuleType:
    """The modules of the generated package that have all names of that kind."""
    return import_module(f"{_generated[0]}.{part}")


class Hints(dict[str, Any]):
    """The annotations of a class or a function of this package: what is written as text is read as what it means.

    Without the source of its module, an annotation with an unknown name stays text.
    """

    def __init__(self, written: Mapping[str, Any], module: str) -> None:
        super().__init__(written)
        self._module = module

    def written(self, name: str) -> Any:
        """An annotation as it is written."""
        return super().__getitem__(name)

    def __getitem__(self, name: str) -> Any:
        written = self.written(name)
        if not isinstance(written, (str, ForwardRef)):
            return written
        said = ForwardRef(written, is_argument=False, is_class=True) if isinstance(written, str) else written
        module = said.__forward_module__ or self._module
        try:
            return get_type_hints(
                SimpleNamespace(__annotations__={name: said}),
                vars(sys.modules[module]),
                names_for_type_checkers(module),
                include_extras=True,
            )[name]
        except NameError:
            return written

    def get(self, name: str, default: Any = None) -> Any:
        return self[name] if name in self else default  # noqa: SIM401  # which is what this method is

    def __iter__(self) -> Iterator[str]:  # with a way of its own to be gone through, `dict(hints)` asks for each value too
        return super().__iter__()

    def items(self) -> ItemsView[str, Any]:  # type: ignore[override]
        return {name: self[name] for name in self}.items()

    def values(self) -> ValuesView[Any]:  # type: ignore[override]
        return {name: self[name] for name in self}.values()


def readable(thing: Any) -> None:
    """Make annotations `Hints`: those of a function, or of a class with its methods and its bases in this package."""
    if isinstance(thing, type):
        for base in thing.__bases__:
            if base.__module__.partition(".")[0] == _HERE and not isinstance(base.__annotations__, Hints):
                readable(base)
        for member in cast("dict[str, object]", vars(thing)).values():
            function = _function(member)
            if isinstance(function, FunctionType):
                readable(function)
    if isinstance(thing, (type, FunctionType)) and not isinstance(thing.__annotations__, Hints):
        written = thing.__annotations__
        thing.__annotations__ = Hints(written, thing.__module__)
        if isinstance(thing, FunctionType) and written.get("options") == "Unpack[RequestOptions]":
            from .interop.signature import spell_out  # which needs a module that needs this one

            spell_out(thing)


def _function(member: object) -> object:
    """The function behind a method (static and class methods too) or a property, cached or not."""
    for name in ("__func__", "fget", "func"):
        member = getattr(member, name, member)
    return member


class _NotInstalled:
    """A package that is optional and not there.

    Its names are classes of which there is nothing, so that the other members of a union that names one are found.
    """

    def __init__(self, module: str) -> None:
        self._module = module

    def __getattr__(self, name: str) -> type:
        made = type(name, (), {"__module__": self._module})
        setattr(self, name, made)
        return made


class _Names(dict[str, Any]):
    """The names that a module has for type checkers alone (its imports and its aliases); then all models and params."""

    def __init__(self, module: str, places: Mapping[str, tuple[str, str | None]], aliases: Mapping[str, str]) -> None:
        super().__init__()
        self._module = module
        self._places = places
        self._aliases = aliases

    def __missing__(self, name: str) -> Any:
        found = self[name] = self._find(name)
        return found

    def _find(self, name: str) -> Any:
        if name in self._places:
            module, attribute = self._places[name]
            try:
                found: Any = import_module(module)
                if attribute is not None and not hasattr(found, attribute):
                    return import_module(f"{module}.{attribute}")
            except ImportError:
                found = _NotInstalled(module)
            return found if attribute is None else getattr(found, attribute)
        if name in self._aliases:
            said = ForwardRef(self._aliases[name], is_argument=False, is_class=True)
            return get_type_hints(SimpleNamespace(__annotations__={name: said}), vars(sys.modules[self._module]), self)[name]
        for names in (generated("models"), generated("params")) if _generated else ():
            if name in dir(names):
                return getattr(names, name)
        raise KeyError(name)


@cache
def names_for_type_checkers(module: str) -> dict[str, Any]:
    """What is known of a module beside the names that it has at run time."""
    import ast
    import inspect
    from importlib.util import resolve_name

    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except (OSError, TypeError, KeyError):  # no file, as of what is typed at a prompt, or not even a module that is imported
        return _Names(module, {}, {})
    package = cast("str", sys.modules[module].__package__)
    places: dict[str, tuple[str, str | None]] = {}
    aliases: dict[str, str] = {}
    for block in tree.body:
        if isinstance(block, ast.If) and isinstance(block.test, ast.Name) and block.test.id == "TYPE_CHECKING":
            for statement in block.body:
                if isinstance(statement, ast.ImportFrom):
                    source = resolve_name("." * statement.level + (statement.module or ""), package)
                    places.update({alias.asname or alias.name: (source, alias.name) for alias in statement.names})
                elif isinstance(statement, ast.Import):
                    places.update({alias.asname or alias.name: (alias.name, None) for alias in statement.names if "." not in alias.name})
                elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value is not None:
                    aliases[statement.target.id] = ast.unparse(statement.value)
    return _Names(module, places, aliases)
