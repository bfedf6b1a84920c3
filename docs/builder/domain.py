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

_FIELDS = "retell_async.types."
_UNSEARCHED = -1


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
        """A field is found by the text of its page, which is one result, and not once for each of hundreds of types that have it."""
        for name, shown, kind, page, anchor, priority in super().get_objects():
            field = kind == "attribute" and name.startswith(_FIELDS)
            yield name, shown, kind, page, anchor, _UNSEARCHED if field else priority
