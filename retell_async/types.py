"""Names for annotations: every model, union and enum of the API, and the dicts that requests take (`...Param`), loaded when used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .raw import models, params

if TYPE_CHECKING:
    from .raw.models import *  # noqa: F403
    from .raw.params import *  # noqa: F403


def __getattr__(name: str) -> Any:
    for names in (models, params):
        if name in dir(names):
            return getattr(names, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*dir(models), *dir(params)])
