"""Messages for requests that do not match their schema. Of alternatives (``oneOf``), only the one that was meant is spoken of."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from typing import Any, cast

import jsonschema_rs

from retell_async._core.masking import mask_text

__all__ = ["describe_error"]

Errors = list[jsonschema_rs.ValidationError]
_LONGEST = 40


def describe_error(check: jsonschema_rs.Draft4Validator, value: Any) -> str:
    """Where the first error is (``.field.0.name``) and what is wrong there. Of what was sent, only the values of tags are shown."""
    path, message = _describe(list(check.iter_errors(value)), check, value)
    return f"{''.join(f'.{part}' for part in path)}: {message}"


def _describe(errors: Errors, check: jsonschema_rs.Draft4Validator, value: Any) -> tuple[list[str | int], str]:
    error = errors[0]
    here = list(error.instance_path)
    if error.kind.name == "required":
        names = sorted(_missing(errors, here))
        return here, error.message if len(names) == 1 else f"{', '.join(names)} are required properties"
    branches = _branches(error)
    if not branches:
        return here, error.message
    # An alternative of another JSON type was not meant: null, or a string in place of an object.
    candidates = [branch for branch in branches if not _is_of_another_type(branch, here)]
    if not candidates:
        return here, f"the value is not of the type {' or '.join(sorted({_types(branch, here) for branch in branches}))}"
    likely = candidates if len(candidates) == 1 else _tagged(candidates, here)
    if len(likely) == 1:
        return _describe(likely[0], check, value)
    tag = _tag(candidates, here)
    if tag is None:
        # Nothing says which was meant: take the one with the fewest errors.
        return _describe(min(candidates, key=len), check, value)
    sent = cast("dict[str, object]", _at(value, here))
    if tag not in sent:
        # The allowed tags are in the errors once there is a tag, so supply one.
        supplied = deepcopy(value)
        _at(supplied, here)[tag] = None
        _, message = _describe(list(check.iter_errors(supplied)), check, supplied)
        return [*here, tag], f"the field is missing: it must be {message.removeprefix('None is not ')}"
    options = ", ".join(dict.fromkeys(str(option) for branch in candidates for option in _options(branch, here).get(tag, ())))
    shown = mask_text(repr(sent[tag]))
    return [*here, tag], f"{shown if len(shown) <= _LONGEST else 'the value'} is not one of {options}"


def _branches(error: jsonschema_rs.ValidationError) -> list[Errors]:
    """The errors of each alternative. Alternatives of alternatives are made one list."""
    context: Iterable[Errors] = getattr(error.kind, "context", ())
    found: list[Errors] = []
    for branch in map(list[jsonschema_rs.ValidationError], context):
        inner = _branches(branch[0]) if len(branch) == 1 and branch[0].instance_path == error.instance_path else []
        found += inner or [branch]
    return found


def _is_of_another_type(branch: Errors, here: list[str | int]) -> bool:
    return any(error.kind.name == "type" and list(error.instance_path) == here for error in branch)


def _types(branch: Errors, here: list[str | int]) -> str:
    types = (error.kind.as_dict().get("types") for error in branch if error.kind.name == "type" and list(error.instance_path) == here)
    return " or ".join(str(name) for names in types for name in names or ())


def _options(branch: Errors, here: list[str | int]) -> dict[str, list[object]]:
    """The allowed values of the fields at this place, by their names."""
    found: dict[str, list[object]] = {}
    for error in branch:
        path = list(error.instance_path)
        if error.kind.name == "enum" and len(path) == len(here) + 1 and path[: len(here)] == here:
            found.setdefault(str(path[-1]), []).extend(error.kind.as_dict()["options"])
    return found


def _tag(branches: list[Errors], here: list[str | int]) -> str | None:
    """The field that tells the alternatives apart (the discriminator): its value, or its absence, rules out each of them."""
    ruled_out = [set(_options(branch, here)) | _missing(branch, here) for branch in branches]
    common = set[str].intersection(*ruled_out)
    return min(common, key=lambda name: (name != "type", name), default=None)


def _missing(branch: Errors, here: list[str | int]) -> set[str]:
    return {
        str(error.kind.as_dict()["property"]) for error in branch if error.kind.name == "required" and list(error.instance_path) == here
    }


def _tagged(branches: list[Errors], here: list[str | int]) -> list[Errors]:
    """The alternatives that the tag does not rule out."""
    ruled_out = [set(_options(branch, here)) for branch in branches]
    tags = {name for names in ruled_out for name in names}
    for name in sorted(tags, key=lambda name: (name != "type", -sum(name in names for names in ruled_out), name)):
        if all(name in names for names in ruled_out):
            return branches
        left = [branch for branch, names in zip(branches, ruled_out, strict=True) if name not in names]
        if len(left) == 1:
            return left
    return branches


def _at(value: Any, path: list[str | int]) -> Any:
    for part in path:
        value = value[part]
    return value
