"""The pages for generated code: one for each resource, and one for each model with the dict that a request takes for it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from textwrap import indent

from codegen.document import load_file

from .markup import rest
from .sources import PACKAGE, Field, Method, Type, class_name, methods, types

__all__ = ["entry", "write"]

Resources = Mapping[str, list[Method]]

_PARAM = "Param"
_LEFT_OUT = PACKAGE.parent / "openapi" / "left_out.yaml"
_RESOURCES = "The methods of the API, by what they are about. Each takes the :doc:`options of a request </reference/options>` as well."
_REPEATS = {
    "idempotency_key": "Under an idempotency key, by which the API knows a repeat: {}.",
    "unsafe": "Only when the first cannot have been carried out: {}.",
    "safe": "After any transient failure, since a repeat changes nothing more: {}.",
}
_TYPES = """\
``retell_async.types`` has a name for everything that requests take and answers hold, for annotations: models, names for several of them
(``CallResponse`` is a phone call or a web call), and the dicts that requests take (``...Param``), which are on the page of their model. A
type is imported when it is used."""


def write(reference: Path) -> None:
    """Write all pages below this folder; those that are right stay as they are, those of nothing go."""
    resources = {path.stem: methods(path) for path in sorted((PACKAGE / "resources").glob("[!_]*.py"))}
    wanted = dict(_resource_pages(reference / "resources", resources)) | dict(_type_pages(reference / "types", types(), resources))
    for folder in ("resources", "types"):
        (reference / folder).mkdir(exist_ok=True)
        for path in (reference / folder).iterdir():
            if path not in wanted:
                path.unlink()
    for path, text in wanted.items():
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def _resource_pages(folder: Path, resources: Resources) -> Iterator[tuple[Path, str]]:
    entries = [
        _block(f":doc:`client.{name} <{name}>`", [", ".join(f":py:obj:`{method.name} <{name}.{method.name}>`" for method in found)], "\n")
        for name, found in resources.items()
    ]
    tree = _block(".. toctree::\n   :hidden:", ["\n".join(f"client.{name} <{name}>" for name in resources)])
    yield folder / "index.rst", _page("Resources", _RESOURCES, *entries, tree, *_repeats(resources), *left_out(load_file(_LEFT_OUT)))
    for name in resources:
        options = (
            ":members:\n:inherited-members: Resource\n:exclude-members: with_raw_response, with_streaming_response\n:no-show-inheritance:"
        )
        yield (
            folder / f"{name}.rst",
            _page(f"client.{name}", _block(f".. autoclass:: retell_async.resources.{name}.{class_name(name)}()", [options], "\n")),
        )


def left_out(said: Mapping[str, str]) -> Iterator[str]:
    """What the API has and no method is for, by operation, and why."""
    if said:
        title = "What has no method"
        yield f"{title}\n{'-' * len(title)}"
        yield (
            "These operations cannot be expressed as methods. :py:meth:`retell_async.AsyncRetell.request` sends those that speak JSON, "
            ":py:meth:`retell_async.AsyncRetell.post` and the like, with ``content=`` and ``cast_to=httpx.Response``, all others."
        )
        yield "\n".join(f"- {rest(key)}: {rest(why)}" for key, why in said.items())


def _repeats(resources: Resources) -> Iterator[str]:
    title = "What is sent again"
    yield f"{title}\n{'-' * len(title)}"
    yield "Why, and after which failures, is said in :doc:`Reliability </guides/reliability>`."
    for repeat, words in _REPEATS.items():
        names = [
            f":py:obj:`{resource}.{method.name}`" for resource, found in resources.items() for method in found if method.repeat == repeat
        ]
        yield words.format(", ".join(names))


def _type_pages(folder: Path, declared: Mapping[str, Type], resources: Resources) -> Iterator[tuple[Path, str]]:
    used_by: dict[str, list[str]] = defaultdict(list)
    for resource, found in resources.items():
        for method in found:
            for name in method.uses & declared.keys():
                used_by[name].append(f"{resource}.{method.name}")
    for user in declared.values():
        for name in user.uses - {user.name}:
            used_by[name].append(user.name)

    titles = sorted({_title(name, declared) for name in declared}, key=str.lower)
    for title in titles:
        pair = [name for name in (title, title + _PARAM) if name in declared]
        users = {user for name in pair for user in used_by[name]} - {*pair}
        parts = [":doc:`All types <index>`", *(entry(declared[name]) for name in pair)]
        if users:
            parts.append("Used by " + ", ".join(f":py:obj:`{user}`" for user in sorted(users, key=_methods_first)))
        yield folder / f"{title}.rst", _page(title, *parts, before=":orphan:\n\n.. py:currentmodule:: retell_async.types")
    letters = [
        f".. rubric:: {letter}\n\n.. rst-class:: columns\n\n" + "\n".join(f"* :doc:`{title}`" for title in group)
        for letter, group in groupby(titles, lambda title: title[0].upper())
    ]
    yield folder / "index.rst", _page("Types", ".. py:module:: retell_async.types", _TYPES, *letters)


def _title(name: str, declared: Mapping[str, Type]) -> str:
    """The page that a type is on."""
    model = name.removesuffix(_PARAM)
    return model if model in declared else name


def _methods_first(name: str) -> tuple[bool, str]:
    return "." not in name, name


def entry(declared: Type) -> str:
    if declared.alias is not None:
        return f".. py:type:: {declared.name}\n   :canonical: {declared.alias}"
    words = [rest(declared.words)] if declared.words else []
    return _block(f".. py:class:: {declared.name}", [*words, *map(_field, declared.fields)])


def _field(field: Field) -> str:
    """A field; one that is no name in Python is no attribute: it stands there as a text, which links to nothing and means nothing."""
    attribute = f".. py:attribute:: {field.name}\n   :type: {field.type}"
    head = attribute if field.name.isidentifier() else f".. describe:: {field.name!r}: {field.type}"
    return _block(head, [rest(field.words)] if field.words else [])


def _block(head: str, bodies: Iterable[str], separator: str = "\n\n") -> str:
    return separator.join([head, *(indent(body, "   ") for body in bodies)])


def _page(title: str, *parts: str, before: str = "") -> str:
    return "\n\n".join([*([before] if before else []), f"{title}\n{'=' * len(title)}", *parts]) + "\n"
