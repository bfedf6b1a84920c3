"""Python's names on this site: those of Python itself are looked for nowhere, and fields of types do not crowd the search."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sphinx.domains.python import PythonDomain

from .links import ELSEWHERE

if TYPE_CHECKING:
    from sphinx.domains.python import ObjectEntry
    from sphinx.environment import BuildEnvironment

__all__ = ["Domain"]

_TYPES = "retell_async.types."
_UNSEARCHED, _LAST = -1, 2


class Domain(PythonDomain):
    def find_obj(
        self,
        env: BuildEnvironment,
        modname: str,
        classname: str,
        name: str,
        type: str | None,
        searchmode: int = 0,
    ) -> list[tuple[str, ObjectEntry]]:
        """In an annotation ``type`` is Python's, whatever fields there are of that name."""
        if searchmode == 1 and name in ELSEWHERE:
            return []
        return super().find_obj(env, modname, classname, name, type, searchmode)

    def get_objects(self) -> Iterator[tuple[str, str, str, str, str, int]]:
        """What the search finds by name, and in which order: types have pages of their own names, and are found by these.

        Their fields are found by the text of these pages, since hundreds of types have a field of one name.
        """
        for name, shown, kind, page, anchor, priority in super().get_objects():
            field = kind in {"attribute", "property"}
            if name.startswith(_TYPES):
                yield name, shown, kind, page, anchor, _UNSEARCHED if field else _LAST
            else:
                yield name, shown, kind, page, anchor, _LAST if field else priority
