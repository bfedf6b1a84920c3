"""What the site adds to Sphinx: pages for generated code, docstrings as the package writes them, links from bare names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import links, markup, pages
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
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _docstring(_app: Sphinx, _what: str, _name: str, _obj: object, _options: object, lines: list[str]) -> None:
    lines[:] = markup.rest("\n".join(lines)).splitlines()


def _signature(
    _app: Sphinx, _what: str, _name: str, _obj: object, _options: object, signature: str | None, returned: str | None
) -> tuple[str | None, str | None]:
    return (None if signature is None else markup.signature(signature)), returned
