"""OpenAPI Overlay 1.0: our corrections, laid over the document action by action."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from jsonpath import JSONPathEnvironment
from jsonpath.exceptions import JSONPathError

from .document import Json, Refused, pointer

_ENVIRONMENT = JSONPathEnvironment(strict=True)


def apply(document: Json, overlay: Json) -> Json:
    """A copy of the document with every action of the overlay carried out.

    An action does nothing where its target is not there, or a component that it refers to: revisions differ in what they have.
    """
    if not str(overlay.get("overlay", "")).startswith("1."):
        raise Refused("/overlay", "an Overlay 1.x document is needed")
    result = deepcopy(document)
    for index, action in enumerate(overlay.get("actions", ())):
        where = pointer("actions", index)
        if not _can_refer(result, action.get("update")):
            continue
        try:
            matches = list(_ENVIRONMENT.finditer(action["target"], result))
        except (KeyError, JSONPathError) as error:
            raise Refused(where, f"has no usable target: {error}") from error
        for match in reversed(matches):
            if action.get("remove"):
                holder: Any = match.parent.obj if match.parent else None
                if holder is None:
                    raise Refused(where, "the whole document cannot be removed")
                del holder[match.parts[-1]]
            elif isinstance(match.obj, dict):
                _merge(match.obj, deepcopy(action.get("update", {})))
            elif isinstance(match.obj, list):
                _extend(match.obj, deepcopy(action["update"]))
            else:
                raise Refused(where, "an update needs an object or an array as target")
    return result


def _can_refer(document: Json, update: Any) -> bool:
    """Whether all schemas that an update refers to are in the document, or come with it."""
    there: set[str] = {*document.get("components", {}).get("schemas", {}), *(update if isinstance(update, dict) else ())}
    return {ref.rpartition("/")[2] for ref in _refs(update)} <= there


def _refs(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(ref := value.get("$ref"), str):
            yield ref
        value = list(value.values())
    for item in value if isinstance(value, list) else ():
        yield from _refs(item)


def _merge(target: Json, update: Json) -> None:
    for key, value in update.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        elif isinstance(value, list) and isinstance(target.get(key), list):
            _extend(target[key], value)
        else:
            target[key] = value


def _extend(target: list[Any], update: Any) -> None:
    """Add an item, or the items of an array, that are not there yet: a document that has caught up with us is not said twice."""
    target.extend(item for item in (update if isinstance(update, list) else [update]) if item not in target)
