"""Every component is called what its class is called: by ``x-name`` of the overlay, else by the generator's own rule for class names."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from .. import marks
from ..document import Json, Refused, all_schemas, by_key, pointer, ref_name, to_ref
from ..operation import body, properties
from ..parser import class_name, identifier
from ..reserved import CLASSES, FIELDS, MODULES, aside, is_name


def run(document: Json) -> None:
    schemas: Json = document["components"]["schemas"]
    new: dict[str, str] = {name: schema.pop(marks.NAME, None) or class_name(name) for name, schema in schemas.items()}
    by_module: dict[str, str] = {}
    for name, target in new.items():
        where = pointer("components", "schemas", name)
        if target in CLASSES or class_name(target) != target or not is_name(target):
            raise Refused(where, f"{target} cannot be the name of its class: name another in the overlay")
        if (other := by_module.setdefault(module_name(target), name)) != name:
            raise Refused(where, f"would be the class {target}, too like {new[other]} for {other}: name one in the overlay")
        if f"{target}Param" in new.values():
            raise Refused(where, f"{target}Param is a class too, which would be the name of the dict for it: name one in the overlay")
    for _, schema in [*all_schemas(document), ("", document[marks.ERROR_BODY] or {})]:
        if (referred := ref_name(schema)) is not None:
            schema.update(to_ref(new[referred]))
    document["components"]["schemas"] = {new[name]: schema for name, schema in sorted(schemas.items(), key=lambda item: new[item[0]])}


def keywords(document: Json) -> None:
    """Of several things of one name that an operation takes, what is in its path has it, then what had it, then what is in the body.

    What had it is remembered (`openapi/names.yaml`), as ``operationId()``, but for what comes before anything else in any case.
    """
    known: Json = document.get(marks.NAMES) or {}
    names = {place: name for place, name in known.items() if not place.endswith("()")}
    for operation in by_key(document).values():
        memory = f"{operation.get('operationId')}()"
        some = [[parameter["in"], parameter["name"]] for parameter in operation["parameters"]]
        some += [["body", name] for name in properties(document, body(document, operation), sent=True)]
        own: dict[str, list[str]] = {}
        for one in sorted(some, key=lambda one: (one[0] != "path", " ".join(one) not in known.get(memory, ()), *_late(*one))):
            own.setdefault(python_name(one[1]), one)
        operation[marks.ASIDE] = [one for one in some if one not in own.values()]
        if kept := sorted(" ".join(one) for one in own.values() if one[0] != "path" and any(_late(*one))):
            names[memory] = kept
    document[marks.NAMES] = names


def _late(place: str, name: str) -> tuple[bool, bool]:
    """What is in the body has a name before other things, and `agent_name` before `agentName`."""
    return place != "body", python_name(name) != name


@cache
def module_name(class_name: str) -> str:
    """The module that a class is in, or an operation."""
    return aside(identifier(class_name), MODULES)


def python_name(wire: str) -> str:
    """A field's name in Python: its own where that is one, else what the generator makes of it."""
    name = wire if re.fullmatch(r"(?!__)[a-z_][a-z0-9_]*", wire) else identifier(wire, "field_")
    return aside(unicodedata.normalize("NFKC", name), FIELDS)
