"""Pages by the names that the official SDK has for them, of JSON and of keywords as there."""

from __future__ import annotations

from abc import ABCMeta
from typing import Any, cast

from ..pages import Page

__all__ = ["named_page"]


class _NamedPage(ABCMeta):
    """The class of a class under such a name: to `isinstance` every page is one, whose client made it a class of its own."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Page) if "__body__" in vars(cls) else super().__instancecheck__(instance)


def named_page(module: str, name: str, body: str) -> type[Page[Any]]:
    """The class of a page.

    :param body: the model of its JSON.
    """
    said = f"A page with the fields of `{body}`, and without a client."
    made: Any = _NamedPage(name, (Page,), {"__module__": module, "__qualname__": name, "__body__": body, "__doc__": said})
    return cast("type[Page[Any]]", made)
