"""What the site adds to Sphinx: pages for generated code, docstrings as the package writes them, links from bare names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

from retell_async.resources._operations import METHODS

from . import links, markup, pages, search
from .domain import Domain

if TYPE_CHECKING:
    from sphinx.application import Sphinx

__all__ = ["setup"]


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("builder-inited", lambda app: pages.write(Path(app.srcdir) / "reference"))
    app.connect("autodoc-process-docstring", _docstring)
    app.connect("autodoc-process-signature", _signature)
    app.add_domain(Domain, override=True)
    app.connect("missing-reference", links.resolve)
    app.connect("doctree-read", search.add_phrases)
    app.add_search_language(search.Language)
    phrases = crc32(repr(search.PHRASES).encode())  # pages that were read with others are read again
    return {"parallel_read_safe": True, "parallel_write_safe": True, "env_version": phrases}


def _docstring(_app: Sphinx, _what: str, name: str, _obj: object, _options: object, lines: list[str]) -> None:
    words = markup.rest("\n".join(lines))
    operation = METHODS.get(_method(name))
    if operation is not None:
        words = markup.with_operation(words, operation)
    lines[:] = words.splitlines()


def _method(name: str) -> str:
    """``call.list`` for ``retell_async.resources.call.CallResource.list``."""
    parts = name.split(".")
    return f"{parts[2]}.{parts[4]}" if len(parts) == 5 and parts[1] == "resources" else ""


def _signature(
    _app: Sphinx, _what: str, _name: str, _obj: object, _options: object, signature: str | None, returned: str | None
) -> tuple[str | None, str | None]:
    return (None if signature is None else markup.signature(signature)), returned
