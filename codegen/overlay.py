"""OpenAPI Overlay 1.0: our corrections, laid over the document action by action.

An action adds what the document lacks. Where the document has caught up, it is believed, whether it says the same or not: the action does
nothing there, and `apply` tells so. One that is to replace what the document says has ``x-replaces: true``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import attrs
from jsonpath import JSONPathEnvironment
from jsonpath.exceptions import JSONPathError

from . import marks
from .document import Json, Refused, followed, pointer, values

_ENVIRONMENT = JSONPathEnvironment(strict=True)
_HOLDERS = frozenset({"properties", "schemas", "components", "paths", "responses", "parameters", "info"})
"""Here names stand for things: what an action says of one that is there already is no news."""


def apply(document: Json, overlay: Json, moved: Mapping[str, str] | None = None, told: list[str] | None = None) -> Json:
    """A copy of the document with every action of the overlay carried out.

    An action does nothing where its target is not there, or a component that it refers to: revisions differ in what they have.

    :param moved: where targets lead that begin so, since the document has these operations elsewhere.
    :param told: gets a sentence for each action that has done nothing, or less than it says.
    """
    result = deepcopy(document)
    for index, action in enumerate(overlay.get("actions", ())):
        where = pointer("actions", index)
        if (why := _carry_out(result, action, where, moved or {})) and told is not None:
            told.append(f"openapi/overlay.yaml{where} ({action['target']}): {why}")
    return result


def _carry_out(document: Json, action: Json, where: str, moved: Mapping[str, str]) -> str:
    """Why it has done nothing, or less than it says, if so."""
    update = action.get("update")
    there = {*document.get("components", {}).get("schemas", {}), *(update if isinstance(update, dict) else ())}  # or comes with it
    if missing := sorted({str(ref).rpartition("/")[2] for place, ref in values(update) if place.endswith("/$ref")} - there):
        return f"the document has no {', '.join(missing)} to refer to"
    target = str(action.get("target", "") or "(none)")
    for old, new in moved.items():
        target = new + target.removeprefix(old) if target.startswith(old) and not target[len(old) :][:1].isalnum() else target
    try:
        matches = list(_ENVIRONMENT.finditer(target, document))
    except JSONPathError as error:
        raise Refused(where, f"has no usable target: {' '.join(str(error).split())}") from error
    if not matches and re.search(r"\.(one|any)Of\b", target):  # which mean the same here
        other = re.sub(r"\.(one|any)Of\b", lambda said: ".anyOf" if said[1] == "one" else ".oneOf", target)
        matches = list(_ENVIRONMENT.finditer(other, document))
    if not matches:
        return "what it removes is gone, or has another name now" if action.get("remove") else "nothing is at its target"
    merge = _Merge(document, replaces=bool(action.get(marks.REPLACES)))
    for match in reversed(matches):
        if action.get("remove"):
            holder: Any = match.parent.obj if match.parent else None
            if holder is None:
                raise Refused(where, "the whole document cannot be removed")
            del holder[match.parts[-1]]
            merge.done = True
        elif isinstance(match.obj, dict) and isinstance(update, dict):
            merge.objects(match.obj, deepcopy(update), str(match.parts[-1]) if match.parts else "")
        elif isinstance(match.obj, list):
            merge.items(match.obj, deepcopy(update))
        else:
            raise Refused(where, "an object or an array is needed as target, and an object as update of an object")
    left = ", ".join(f"the document says {name} otherwise and is believed" for name in dict.fromkeys(merge.left))
    return left or ("" if merge.done else "the document says it itself")


@attrs.define
class _Merge:
    """Lays updates over what is there, and notes whether that changed anything, and what was left as it is."""

    document: Json
    replaces: bool
    done: bool = False
    left: list[str] = attrs.field(factory=list)

    def objects(self, target: Json, update: Json, name: str) -> None:
        for key, value in update.items():
            there = target.get(key)
            if there == value:
                continue
            if isinstance(there, list) and isinstance(value, list):
                self.items(there, value)
            elif isinstance(there, dict) and isinstance(value, dict) and (self.replaces or name not in _HOLDERS):
                self.objects(there, value, key)
            elif key in target and not self.replaces and not key.startswith("x-"):
                self.left.append(key)
            else:
                target[key] = value
                self.done = True

    def items(self, target: list[Any], update: Any) -> None:
        """Add an item, or the items of an array, that are not there yet, under whatever name."""
        for item in update if isinstance(update, list) else [update]:
            if item in target:
                continue
            if any(self._signs(item) & self._signs(other) for other in target):
                self.left.append(str(item.get("$ref", item.get("name"))).rpartition("/")[2])
            else:
                target.append(item)
                self.done = True

    def _signs(self, item: Any) -> set[str]:
        """By what a parameter is known again, its place and name, or a member of a union: a tag of the same value."""
        if not isinstance(item, dict):
            return set()
        if "in" in item:
            return {f"{item['in']} {item.get('name')}"}
        member = followed(self.document, item)
        fields = member.get("properties", {}).items()
        found = {f"{name}: {field['enum'][0]}" for name, field in fields if isinstance(field, dict) and len(field.get("enum", ())) == 1}
        return found.union(*(self._signs(part) for part in member.get("allOf", ())))
