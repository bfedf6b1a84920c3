"""A document as plain dicts: reading, writing, pointers, references, and where the schemas are."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import lru_cache
from graphlib import CycleError, TopologicalSorter
from io import StringIO
from pathlib import Path
from typing import Any

import jsonschema_rs
from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError, SafeConstructor
from ruamel.yaml.error import YAMLError

Json = dict[str, Any]

SCALARS = {"string": "str", "integer": "int", "number": "float", "boolean": "bool"}
"""Types of values that hold no others, and what they are in Python."""
TIGHTER: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(("minimum", "minLength", "minItems", "minProperties"), max),
    **dict.fromkeys(("exclusiveMinimum", "exclusiveMaximum", "uniqueItems"), max),  # true or false
    **dict.fromkeys(("maximum", "maxLength", "maxItems", "maxProperties"), min),
}
"""Bounds, and which of two is the tighter one."""
NAMED = frozenset(
    {"properties", "patternProperties", "dependentSchemas", "dependentRequired", "$defs", "mapping", "schemas", "parameters", "responses"}
    | {"requestBodies", "headers", "securitySchemes", "callbacks", "links", "pathItems", "encoding", "variables", "scopes"}
)
"""What holds names, each with what is meant by it."""
VALUES = ("default", "const", "enum")
"""What holds values, which may look like anything."""
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


class Refused(Exception):
    """The document cannot be expressed, or is none: says where, and why, and what to do about it."""

    def __init__(self, pointer: str, reason: str, otherwise: str = "lay an action over it in openapi/overlay.yaml") -> None:
        super().__init__(visible(f"{pointer or '(document)'}: {reason}"))
        self.pointer = pointer
        self.reason = reason
        is_said = not otherwise or any(word in reason for word in ("overlay", "surface", "SPEC="))
        if ours := {"/surface": "surface", "/actions": "overlay"}.get(pointer[:8]):
            otherwise = f"correct it in openapi/{ours}.yaml"
        elif pointer:
            otherwise = f"have it corrected in the document, or {otherwise}"
        self.remedy = "" if is_said else otherwise if pointer else "give another document"
        """What to do, where the reason does not say it."""


IN_A_COPY = "correct a copy and give that, SPEC=<path>"
"""What else to do about what is not even a document that something could be laid over."""


class _Constructor(SafeConstructor):
    """As JSON has no dates, what looks like one is a string; two escapes for the halves of a character are that character."""

    def construct_yaml_str(self, node: Any) -> str:
        return str(super().construct_yaml_str(node)).encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


for _tag in ("str", "timestamp"):
    _Constructor.add_constructor(f"tag:yaml.org,2002:{_tag}", _Constructor.construct_yaml_str)


def load(text: str | bytes, name: str, empty: Json | None = None) -> Json:
    """Parse YAML 1.2 or JSON; the name stands in the error. A text without anything is refused, or what is given for it."""
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = _Constructor
    try:
        try:  # JSON is read much faster than YAML
            data = json.loads(text, object_pairs_hook=_once)
        except ValueError:
            data = yaml.load(text)
    except DuplicateKeyError as error:
        raise Refused("", f"{name}, line {error.problem_mark.line + 1}: {error.problem.partition(' with value')[0]}") from error
    except (YAMLError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        why = " ".join(str(error).split()).replace('"<byte string>", ', "")
        raise Refused("", f"{name} is neither YAML nor JSON: {why}") from error
    except RecursionError:
        raise Refused("", f"{name} is nested too deep") from None
    if not isinstance(data := empty if data is None else data, dict):
        what = {"str": "a text", "list": "an array", "NoneType": "nothing"}.get(type(data).__name__, "a value")
        raise Refused("", f"{name} holds {what}, not an object")
    return data


def _once(pairs: list[tuple[str, Any]]) -> Json:
    if len(found := dict(pairs)) < len(pairs):  # as it is one in YAML
        raise ValueError("a key is there twice")
    return found


def load_file(path: Path, *, there: bool = True) -> Json:
    """:param there: whether the file has to be there; else what is not there is empty."""
    return deepcopy(_loaded(path.read_bytes(), path.name, path.parent.name)) if there or path.exists() else {}


@lru_cache(maxsize=64)  # files are read again and again within one update
def _loaded(text: bytes, name: str, folder: str) -> Json:
    file, stem = f"{'openapi/' if folder == 'docs' else ''}{folder}/{name}", name.rpartition(".")[0]
    form = _FORMS.get(file) or _FORMS.get(f"{file.removesuffix(name)}*")
    try:
        said = tomllib.loads(text.decode()) if name.endswith(".toml") else load(text, file, {})
        wrong = next(form.iter_errors(said), None) if form else None
    except (Refused, ValueError) as error:  # of TOML, or of what JSON has no word for
        why = error.reason if isinstance(error, Refused) else f"{file} cannot be read: {error}"
        raise Refused(pointer(stem), f"{why}: correct it there", "") from error
    if wrong:
        raise Refused(pointer(stem, *wrong.instance_path), f"{wrong.message}: correct it in {file}", "")
    return said


PATTERNS = jsonschema_rs.FancyRegexOptions(size_limit=2**30)
"""How patterns are read, as the sandbox does: some repeat a class of characters thousands of times."""

_FORMS = {
    name: jsonschema_rs.validator_for(form, validate_formats=True)
    for name, form in load(Path(__file__).with_name("forms.yaml").read_bytes(), "forms.yaml").items()
}


def dump(data: Any) -> str:
    """YAML in the one form in which this project writes it: block style, keys in the order given."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.allow_unicode = True
    yaml.width = 140
    out = StringIO()
    yaml.dump(data, out)
    return out.getvalue()


def pointer(*parts: str | int) -> str:
    """A JSON pointer (RFC 6901), without the leading ``#``."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in parts)


def parts(path: str) -> list[str]:
    """What a JSON pointer is made of."""
    return [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]


def visible(text: str) -> str:
    """A text on one line, with an escape in place of what cannot be seen."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def values(value: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """(pointer, value) of a value and of all inside it, outermost first."""
    yield where, value
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from values(item, where + pointer(key))


def at(document: Json, path: str, *default: Any) -> Any:
    """What a JSON pointer points to; what else to give, if anything, where it points to nothing."""
    found: Any = document
    for name in parts(path):
        try:
            found = found[int(name)] if isinstance(found, list) else found[name]
        except (KeyError, IndexError, ValueError, TypeError):
            if default:
                return default[0]
            raise Refused(path, "nothing is there") from None
    return found


def ref_name(schema: Json) -> str | None:
    """The name of the component that a schema refers to: to nothing else, as `reachable` sees to."""
    return str(schema["$ref"]).removeprefix("#/components/schemas/") if "$ref" in schema else None


def component(document: Json, name: str) -> Json:
    """The schema of this name."""
    schemas: dict[str, Json] = document.get("components", {}).get("schemas", {})
    if name not in schemas:
        raise Refused(pointer("components", "schemas", name), "is referred to and missing")
    return schemas[name]


def followed(document: Json, holder: Any) -> Any:
    """An answer, a parameter or a body, in whose place may stand a reference to one."""
    seen: set[str] = set()
    while isinstance(holder, dict) and "$ref" in holder:  # a schema may be true, or false
        where = str(holder["$ref"]).removeprefix("#")
        if where in seen:
            raise Refused(where, "refers to itself")
        seen.add(where)
        holder = at(document, where)
    return holder


def unversioned(name: str) -> str:
    """The same for a class or an operation and another version of it: ``ListCalls`` of ``V3ListCalls``, ``GET /a`` of ``GET /v2/a``."""
    return re.sub(r"V\d+(?=[A-Z]|$)|(?<= )/v[\d.]+(?=/)", "", name)


def to_ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def resolved(document: Json, schema: Json) -> Json:
    """Follow references, which make no ring (`refuse_rings`), to a schema; what stands beside ``$ref`` is laid over it."""
    beside: Json = {}
    while (name := ref_name(schema)) is not None:
        beside = {key: value for key, value in schema.items() if key != "$ref"} | beside
        schema = component(document, name)
    return {**schema, **beside} if beside else schema


def is_object(schema: Json) -> bool:
    """Whether a schema is of an object with fields of its own."""
    return "properties" in schema


def operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    """(method, path, operation) of every operation, in the document's order."""
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield method, path, item[method]


def operation_key(method: str, path: str) -> str:
    """What files of ours call an operation: ``METHOD /path``."""
    return f"{method.upper()} {path}"


def by_key(document: Json) -> dict[str, Json]:
    """Every operation by its key, in the document's order."""
    return {operation_key(method, path): operation for method, path, operation in operations(document)}


def children(schema: Json) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """(way from here, holder) of the schemas directly inside a schema: ``holder[way[-1]]`` is the schema."""
    for name in schema.get("properties", ()):
        yield ("properties", name), schema["properties"]
    for keyword in ("items", "additionalProperties", "not"):
        if isinstance(schema.get(keyword), dict):
            yield (keyword,), schema
    for keyword in ("allOf", "oneOf", "anyOf"):
        for index in range(len(schema.get(keyword, ()))):
            yield (keyword, index), schema[keyword]


def rewrite(schema: Json, change: Callable[[tuple[str | int, ...], Json], Json]) -> None:
    """Put what is made of it in the place of each schema directly inside a schema; `change` takes the way there, and what is there."""
    for way, holder in list(children(schema)):
        holder[way[-1]] = change(way, holder[way[-1]])


def roots(holder: Json, where: str = "") -> Iterator[tuple[str, Json, str]]:
    """(pointer, holder, key) of every place in a document, or in a part of one, that holds a schema and is not inside another one.

    ``holder[key]`` is the schema.
    """
    for name in holder.get("schemas", ()):
        yield where + pointer("schemas", name), holder["schemas"], name
    if "schema" in holder:
        yield f"{where}/schema", holder, "schema"
    for key in ("components", "requestBody", *METHODS):
        if key in holder:
            yield from roots(holder[key], f"{where}/{key}")
    for key in ("parameters", "responses", "requestBodies", "content", "paths"):
        some = holder.get(key, {})
        for name, one in enumerate(some) if isinstance(some, list) else some.items():
            yield from roots(one, where + pointer(key, name))


def walk(schema: Json, where: str = "") -> Iterator[tuple[str, Json]]:
    """(pointer, schema) of a schema and of all inside it, outermost first."""
    yield where, schema
    for way, holder in children(schema):
        yield from walk(holder[way[-1]], where + pointer(*way))


def all_schemas(document: Json) -> Iterator[tuple[str, Json]]:
    """(pointer, schema) of every schema in the document."""
    for where, holder, key in roots(document):
        yield from walk(holder[key], where)


def refuse_rings(document: Json) -> None:
    """Refuse schemas that are made of themselves: by references, ``allOf`` and unions, not by what is in a field or an array."""
    part, schemas = re.compile(r"(/(allOf|oneOf|anyOf)/\d+)*/\$ref"), at(document, "/components/schemas", {})
    made_of = {name: [ref_name({"$ref": ref}) for where, ref in values(said) if part.fullmatch(where)] for name, said in schemas.items()}
    try:
        TopologicalSorter(made_of).prepare()
    except CycleError as error:
        ring = error.args[1][::-1]
        raise Refused(pointer("components", "schemas", ring[0]), f"is made of itself: {' in '.join(ring)}") from None


def fingerprint(schema: Any) -> str:
    """Equal for two schemas that say the same, whatever order they say it in."""
    return json.dumps(schema, sort_keys=True)


def pruned(value: Any, keep: Callable[[str, Any], bool], name: str = "") -> Any:
    """A copy of what a document says, of each object in it only the keywords to keep; names and values are no keywords."""
    if isinstance(value, dict) and name not in VALUES:
        some = value.items() if name in NAMED else [(key, item) for key, item in value.items() if keep(key, item)]
        return {key: pruned(item, keep, "" if name in NAMED else key) for key, item in some}
    return [pruned(item, keep) for item in value] if isinstance(value, list) and name not in VALUES else value
