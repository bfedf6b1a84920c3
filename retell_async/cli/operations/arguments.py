"""From the texts of a command line to the arguments of a method: functions over values, other than reading files that are named."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from math import isfinite
from pathlib import Path
from typing import Any, cast

import click

from ..times import moment
from .table import Json, Operation, fields, flag, kinds, members, named, resolved, values, within

__all__ = ["Inputs", "choices", "conditions", "criteria", "faults", "gathered", "is_way", "left_out", "near", "period", "pulled", "takes"]

_FILTER = "filter_criteria"
_TIMES = ("start_timestamp", "last_conversation_timestamp")
"""What `--since` and `--until` filter by, where a list has it."""
_NEVER_CONNECTED = frozenset(
    [
        "not_connected",
        "dial_busy",
        "dial_failed",
        "dial_no_answer",
        "invalid_destination",
        "telephony_provider_permission_denied",
        "telephony_provider_unavailable",
        "sip_routing_error",
        "marked_as_spam",
        "network_blocked",
        "user_declined",
    ]
)
"""The status of calls that nobody took, and the reasons why: such a call has no start."""
_PYTHON: Mapping[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "array": list,
    "object": dict,
    "null": type(None),
}
_SIGNS = {">=": "ge", "<=": "le", ">": "gt", "<": "lt"}


def pulled(arguments: Sequence[str], names: Iterable[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """Take ``--x.y value`` out of a command line: what is left of it, and ways with their texts.

    :param names: what has fields.
    """
    known = [*names]
    rest: list[str] = []
    found: list[tuple[str, str]] = []
    left = iter(arguments)
    for word in left:
        option, equals, text = word.partition("=")
        if word == "--":
            return [*rest, word, *left], found
        if not is_way(word, known):
            rest.append(word)
            continue
        if not equals and (following := next(left, None)) is not None:
            equals, text = "=", following
        if not equals:
            raise click.UsageError(f"{option} needs a value")
        found.append((option[2:], text))
    return rest, found


def is_way(word: str, names: Iterable[str]) -> bool:
    """Whether a word is ``--x.y``, or ``--x.y=value``, and x has one of these names."""
    root, dot, _ = word.partition("=")[0].partition(".")
    return bool(dot) and root.startswith("--") and f"--{named(root[2:])}" in map(flag, names)


class Inputs:
    """What texts stand for: ``@file`` for what is in a file, ``-`` for the standard input, ``@@text`` for ``@text``.

    What comes from there and is one line, such as an id, loses its end.
    """

    def __init__(self) -> None:
        self._read = False

    def text(self, text: str) -> str:
        """What a text stands for."""
        if text == "-":
            if self._read:
                raise click.UsageError("- stands for the standard input, which can be read once")
            self._read = True
            return _line(sys.stdin.read())
        if text.startswith("@@"):
            return text[1:]
        if text.startswith("@"):
            try:
                return _line(Path(text[1:]).read_text(encoding="utf-8"))
            except (OSError, UnicodeDecodeError) as error:
                raise click.UsageError(f"{text[1:]} cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}") from None
        return text


def _line(text: str) -> str:
    line, _, more = text.partition("\n")
    return text if more else line


def gathered(
    operation: Operation,
    given: Mapping[str, Sequence[str]],
    nested: Sequence[tuple[str, str]],
    body: str | None,
    criteria: Mapping[str, Any],
    inputs: Inputs | None = None,
) -> Json:
    """The arguments of a method. What is said by itself goes before what stands in ``--body``.

    :param given: texts by the names of arguments.
    :param nested: texts by ways into arguments.
    :param criteria: conditions of a list.
    """
    inputs = inputs or Inputs()
    found: Json = {}
    if body is not None:
        read = _json(inputs.text(body), "--body")
        if not isinstance(read, dict):
            raise click.UsageError("--body must be a JSON object")
        found |= cast("Json", read)
        for name in found:
            if name not in operation.arguments:
                raise click.UsageError(f"--body: {operation.command} takes no {name!r}{near(name, operation.arguments)}")
    for name, texts in given.items():
        if not texts:
            continue
        option = flag(name)
        if name in operation.files:
            paths = [Path(text.removeprefix("@")) for text in texts]
            for path in paths:
                if not path.is_file():
                    raise click.UsageError(f"{option}: there is no file {path}")
            found[name] = paths if "array" in kinds(operation.arguments[name]) else paths[-1]
        else:
            found[name] = _several(operation.arguments[name], texts, option, inputs)
    for index, (way, text) in enumerate(nested):
        if undone := next((before for before, _ in nested[:index] if f"{before}.".startswith(f"{way}.")), None):
            raise click.UsageError(f"--{way} would undo --{undone}, which is given before it: give it first, or say it once")
        _put(found, operation, way, text, inputs)
    if criteria:
        found[_FILTER] = {**found.get(_FILTER, {}), **criteria}
    if missing := [name for name in operation.required if name not in found]:
        raise click.UsageError(f"{operation.command} needs {' and '.join(map(_option(operation), missing))}")
    return found


def _option(operation: Operation) -> Callable[[str], str]:
    return lambda name: name.upper() if name in operation.positional else flag(name)


def _several(schema: Json, texts: Sequence[str], option: str, inputs: Inputs) -> Any:
    """The value of an option, which is given several times for a list."""
    there = kinds(schema)
    alone = len(texts) == 1 and ("string" in there or ("null" in there and texts[0] == "null"))
    if "array" in there and not alone:
        items: list[Any] = []
        for text in map(inputs.text, texts):
            if text.lstrip().startswith("["):
                items += cast("list[Any]", _json(text, option))
            else:
                items.append(value(within(schema, "0") or {}, text, option))
        return items
    if len(texts) > 1:
        raise click.UsageError(f"{option} is given {len(texts)} times")
    return value(schema, inputs.text(texts[0]), option)


def value(schema: Json, text: str, option: str) -> Any:
    """What a text is where a schema stands; anything where the schema says nothing."""
    wanted = kinds(schema)
    if "string" not in wanted or text.strip() == "null" or not wanted:
        read = _read(text)
        if read is not _NOTHING and (not wanted or _is(read, wanted)):
            return read
        if not wanted:
            return text
    if "string" in wanted:
        read = _read(text) if {"integer", "number", "object", "array"} & {*wanted} else _NOTHING
        return read if read is not _NOTHING and not isinstance(read, str) and _is(read, wanted) else text
    raise click.UsageError(f"{option} must be {' or '.join(_SAID.get(kind, kind) for kind in wanted)}, not {_short(text)}")


_SAID = {
    "boolean": "true or false",
    "array": "a list in JSON",
    "object": "an object in JSON",
    "integer": "a whole number",
    "number": "a number",
}
_IN_FILES = {**_SAID, "string": "a text", "array": "a list", "object": "a mapping"}
_NOTHING = object()


def _read(text: str) -> Any:
    try:
        return _parsed(text)
    except ValueError:
        return _NOTHING


def _parsed(text: str) -> Any:
    """:raises ValueError: it is no JSON; ``NaN`` is none, and neither is a number that is too large for any."""

    def finite(said: str) -> float:
        if not isfinite(number := float(said)):
            raise ValueError(f"{said} is no number that JSON has")
        return number

    return json.loads(text, parse_float=finite, parse_constant=finite)


def faults(schema: Json, value: object, place: str) -> Iterator[str]:
    """Where a value of a file has another type than the document says, another text than it knows there, or other fields.

    :param place: what the value is called.
    """
    there = [one for one in members(schema) if not kinds(one) or _is(value, kinds(one))]
    if not there:
        yield f"{place} must be {' or '.join(_IN_FILES.get(kind, kind) for kind in kinds(schema))}"
    elif isinstance(value, str) and all("enum" in one and value not in one["enum"] for one in there):
        yield f"{place} must be one of {', '.join(values(schema))}"
    elif isinstance(value, list):
        for index, item in enumerate(cast("list[object]", value)):
            yield from faults(within({"oneOf": there}, "0") or {}, item, f"{place}[{index}]")
    elif isinstance(value, dict):
        said = cast("Json", value)
        tagged = [one for one in there if all(said.get(name, known[0]) in known for name, known in _alone(one))]
        meant: Json = {"oneOf": tagged or there}
        for name in dict.fromkeys(name for one in (tagged if len(tagged) == 1 else ()) for name in one.get("required", ())):
            if name not in said:
                yield f"{place} needs {name}"
        for name, item in said.items():
            inner = fields(meant).get(name) or within(meant, name)
            if inner is None:
                yield f"{place} has no field {name}{near(name, fields(meant))}"
            else:
                yield from faults(inner, item, f"{place}.{name}")


def _alone(schema: Json) -> Iterator[tuple[str, list[object]]]:
    """The fields of an object that have one value alone, with that."""
    for name, field in schema.get("properties", {}).items():
        if len(known := resolved(field).get("enum", ())) == 1:
            yield name, known


def _is(read: object, wanted: Sequence[str]) -> bool:
    return any(isinstance(read, _PYTHON[kind]) and (kind == "boolean" or not isinstance(read, bool)) for kind in wanted)


def _json(text: str, option: str) -> object:
    try:
        return _parsed(text)
    except ValueError as error:
        raise click.UsageError(f"{option}: this is no JSON: {error}") from None


def _put(found: Json, operation: Operation, way: str, text: str, inputs: Inputs) -> None:
    """Set a field inside an argument; a number on the way is a place in a list."""
    root, *steps = way.split(".")
    root = next(name for name in operation.arguments if flag(name) == f"--{named(root)}")
    schema = operation.arguments[root]
    here: Any = found
    for step, following in zip([root, *steps], [*steps, None], strict=True):
        if here is not found:
            inner = within(schema, step)
            if inner is None:
                raise click.UsageError(f"--{way}: there is no field {step!r}{near(step, fields(schema))}")
            schema = inner
        made: Any
        if following is None:
            option = f"--{way}"
            made = _several(schema, [text], option, inputs) if "array" in kinds(schema) else value(schema, inputs.text(text), option)
        else:
            made = [] if following.isdecimal() and "array" in (kinds(schema) or ["array"]) else {}
        here = _step(here, step, made, f"--{way}", last=following is None)


def _step(here: Any, step: str, made: Any, option: str, *, last: bool) -> Any:
    """Go one step on, and make what is not there yet."""
    if isinstance(here, list):
        return _step_in_list(here, step, made, option, last=last)  # pyright: ignore[reportUnknownArgumentType]
    if not isinstance(here, dict):
        raise click.UsageError(f"{option}: what is given before has no fields")
    if last:
        here[step] = made
    return cast("Json", here).setdefault(step, made)


def _step_in_list(here: list[Any], step: str, made: Any, option: str, *, last: bool) -> Any:
    if not step.isdecimal() or int(step) > len(here):
        raise click.UsageError(f"{option}: places in a list are 0 to {len(here)}, not {step}")
    if int(step) == len(here):
        here.append(made)
    elif last:
        here[int(step)] = made
    return here[int(step)]


def near(name: str, there: Iterable[str]) -> str:
    some = sorted(there)
    return f": {', '.join(get_close_matches(name, some, 3) or some[:12])}" if some else ""


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:39]}…")


def conditions(operation: Operation) -> dict[str, Json]:
    """What a list can be filtered by with an option each: fields of its filter that hold one condition."""
    if _FILTER not in operation.arguments:
        return {}
    there = fields(operation.arguments[_FILTER])
    taken = {*operation.arguments, period(operation)}
    return {name: schema for name, schema in there.items() if name not in taken and _sort(schema) is not None}


def period(operation: Operation) -> str | None:
    """The time by which a list can be filtered: when something began, and else when something was last."""
    there = fields(operation.arguments[_FILTER]) if _FILTER in operation.arguments else {}
    return next((name for name in _TIMES if name in there), None)


def _sort(schema: Json) -> str | None:
    """How a condition is said with one text: by its value, or with a key before it, or as the field of an object that must be there."""
    if "array" in kinds(schema):
        one = members(within(schema, "0") or {})[0]
        required = one.get("required", [])
        return "key" if {"key", "op", "type"} <= {*required} else "object" if len(required) == 1 else None
    tags = _tags(schema)
    return "value" if tags else "plain" if {*kinds(schema)} <= {"string", "boolean", "integer", "number"} and kinds(schema) else None


def _tags(schema: Json) -> dict[str, Json]:
    """The kinds of condition by their tag: ``string``, ``enum``, ``number``, ``range``, ``boolean``."""
    found: dict[str, Json] = {}
    for member in members(schema):
        if {"op", "type"} <= {*member.get("required", ())}:
            found |= dict.fromkeys(resolved(member["properties"]["type"]).get("enum", ()), member)
    return found


def choices(schema: Json) -> list[str]:
    """The values of a condition, where they are known."""
    found: list[str] = []
    for member in _tags(schema).values():
        said = member["properties"].get("value", {})
        found += resolved(said.get("items", said)).get("enum", ())
    return found


def takes(schema: Json) -> str:
    """What a condition is given as."""
    sort, tags = _sort(schema), _tags(schema)
    if sort == "key":
        return "KEY=VALUE"
    return "ID" if sort == "object" else "[true|false]" if "boolean" in tags else "NUMBER" if "number" in tags else "TEXT"


def condition(schema: Json, name: str, texts: Sequence[str]) -> Any:
    """A condition as the API has it."""
    option = flag(name)
    match _sort(schema):
        case "plain":
            return value(schema, texts[-1], option)
        case "object":
            (field,) = members(within(schema, "0") or {})[0]["required"]
            return [{field: text} for text in texts]
        case "key":
            return [_with_key(within(schema, "0") or {}, text, option) for text in texts]
        case _:
            return _one_condition(_tags(schema), texts, option)


def _with_key(schema: Json, text: str, option: str) -> Json:
    key, equals, wanted = text.partition("=")
    if not equals:
        raise click.UsageError(f"{option} takes KEY=VALUE, not {_short(text)}")
    read, sign = _read(wanted), next((sign for sign in _SIGNS if wanted.startswith(sign)), "")
    tag = "boolean" if isinstance(read, bool) else "number" if sign or isinstance(read, int | float) else "string"
    return {"key": key, **_one_condition({tag: _tags(schema)[tag]}, [read if isinstance(read, str) else wanted], option)}


def _one_condition(tags: Mapping[str, Json], texts: Sequence[str], option: str) -> Json:
    if "enum" in tags and ("string" not in tags or len(texts) > 1):
        return {"type": "enum", "op": "in", "value": [one for text in texts for one in text.split(",")]}
    if len(texts) > 1:
        raise click.UsageError(f"{option} is given {len(texts)} times")
    (text,) = texts
    if "boolean" in tags:
        return {"type": "boolean", "op": "eq", "value": value({"type": "boolean"}, text, option)}
    if "number" in tags:
        sign = next((sign for sign in _SIGNS if text.startswith(sign)), "")
        return {"type": "number", "op": _SIGNS.get(sign, "eq"), "value": value({"type": "number"}, text[len(sign) :].strip(), option)}
    return {"type": "string", "op": "eq", "value": text}


def left_out(operation: Operation, given: Mapping[str, Sequence[str]]) -> str | None:
    """What a list that is filtered by time is asked for and cannot give, if there is such a thing."""
    asked = {text.strip() for name in ("call_status", "disconnection_reason") for one in given.get(name) or () for text in one.split(",")}
    never = ", ".join(sorted(asked & _NEVER_CONNECTED))
    if not never or period(operation) != "start_timestamp":
        return None
    return (
        f"a call that never connected ({never}) has no start, and --since and --until leave it out: "
        "list without them, or see `retell-async logs --since 7d --failed`"
    )


def criteria(operation: Operation, given: Mapping[str, Sequence[str]], since: str | None, until: str | None) -> Json:
    """The conditions of a list, by its options."""
    there = conditions(operation)
    found = {name: condition(there[name], name, texts) for name, texts in given.items() if texts}
    if since is None and until is None:
        return found
    first, last = (None if text is None else int(moment(text).timestamp() * 1000) for text in (since, until))
    both = first is not None and last is not None
    said: Json = {"type": "range", "op": "bt", "value": [first, last]} if both else {"type": "number", "op": "ge", "value": first}
    found[cast("str", period(operation))] = said if first is not None else {"type": "number", "op": "le", "value": last}
    return found
