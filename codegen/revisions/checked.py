"""A document as it was fetched, checked to be one: JSON or YAML, valid OpenAPI 3, without what this generator could not even read."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import jsonschema_rs
from jsonschema.exceptions import ValidationError, best_match
from jsonschema.validators import validator_for
from openapi_spec_validator import OpenAPIV30SpecValidator, OpenAPIV31SpecValidator
from openapi_spec_validator.schemas import schema_v30, schema_v31
from openapi_spec_validator.validation.exceptions import DuplicateOperationIDError, UnresolvableParameterError

from ..canonical import PROSE
from ..document import IN_A_COPY, PATTERNS, VALUES, Json, Refused, at, followed, load, pointer, pruned, refuse_rings, roots, values

_PATH = re.compile(r"(?:/(?!/|(?:\.|%2[Ee]){1,2}(?:/|$))(?:[A-Za-z0-9._~!$&'()*+,;=:@%-]|{[\w.~$-]+})*)+")
"""What may stand in the path of a URL (RFC 3986), but for what leads elsewhere, and places for parameters."""
_DEEPEST = 100  # levels of a document: five times as many as the API's has
_MOST = 500_000  # values of a document: thirty times as many
_VERSIONS = {"3.0": (dict(schema_v30), OpenAPIV30SpecValidator), "3.1": (dict(schema_v31), OpenAPIV31SpecValidator)}
"""By version: the official schema, which knows the place of a fault best, and what checks the rules that no schema can say."""
_HARMLESS = (DuplicateOperationIDError, UnresolvableParameterError)
"""What one operation may have wrong without harm: it is named otherwise (`surface.adopted`), and its path says which parameters it has."""


def parse(fetched: bytes, name: str) -> Json:
    """A document, checked to be valid OpenAPI 3."""
    try:
        return _checked(fetched, name)
    except Refused as refused:
        raise Refused(refused.pointer, refused.reason, IN_A_COPY) from refused


def _checked(fetched: bytes, name: str) -> Json:
    read = load(fetched, name)
    version = str(read.get("openapi", ""))
    if (checks := _VERSIONS.get(version[:3])) is None:
        raise Refused("/openapi", f"an OpenAPI 3.0 or 3.1 document is needed, {name} says {version or 'nothing'}")
    _readable(read)
    document: Json = _listed(pruned(json.loads(json.dumps(read)), _says))  # with texts for keys: YAML reads ``200:`` as a number
    if not isinstance(document.get("paths"), dict):
        raise Refused("/paths", "is missing or no object")
    document["paths"] = {path: item for path, item in document["paths"].items() if not path.startswith("x-")}
    _findable(document)
    for path in document["paths"]:
        if not _PATH.fullmatch(path):
            holds = "what a URL has to escape, a parameter with an odd name, or what leads elsewhere"
            raise Refused(pointer("paths", path), f"is no path: it holds {holds}")
    schema, validator = checks
    checked = pruned(document, _in_both)
    if (wrong := best_match(validator_for(schema)(schema).iter_errors(checked))) is not None:
        while inner := [one for one in wrong.context or () if "'$ref' is a required" not in one.message]:
            wrong = best_match(inner)  # of a schema in place of which a reference could stand
        raise Refused(pointer(*wrong.absolute_path), f"{wrong.message:.300}")
    refuse_rings(document)
    for wrong in validator(checked).iter_errors():
        if not isinstance(wrong, _HARMLESS):
            raise Refused(_placed(document, wrong), f"{wrong.message:.300}")
    return document


def _says(key: str, value: Any) -> bool:
    """Not an example, which may look like anything, nor what says nothing."""
    return key not in ("example", "examples") and (key not in ("required", "parameters") or value != [])


def _listed(value: Any) -> Any:
    """What a union of nothing but values says (as 3.1 gives each a title) is said as an enum."""
    if isinstance(value, list):
        return [_listed(item) for item in value]
    if not isinstance(value, dict):
        return value
    said = {key: item if key in VALUES else _listed(item) for key, item in value.items()}
    for keyword in ("oneOf", "anyOf"):
        members = said.get(keyword)
        are_values = isinstance(members, list) and all(isinstance(one, dict) and isinstance(one.get("const"), str) for one in members)
        if members and are_values and "enum" not in said and set().union(*members) <= {"const", "type", "title", "deprecated", *PROSE}:
            said |= {"type": "string", "enum": [one["const"] for one in said.pop(keyword)]}
    return said


def _in_both(key: str, value: Any) -> bool:
    """Not what 3.0 says in one way and 3.1 in another or 3.0 does not say, and documents mix up: it is read in both."""
    if key == "type":
        return not isinstance(value, list) or not all(isinstance(one, str) for one in value)
    if key in ("exclusiveMinimum", "exclusiveMaximum"):
        return not isinstance(value, bool | int | float)
    return key != "const" and (key, value) != ("propertyNames", {"type": "string"})  # as all names are


def _placed(document: Json, wrong: ValidationError) -> str:
    """The place of what breaks a rule that no schema can say, which is told from a schema on, or not at all."""
    where, message = pointer(*wrong.absolute_path), wrong.message
    found = (start + where for start in ("", *(start for start, _, _ in roots(document))))
    if not where:
        found = (place for place, value in values(document) if place.endswith("/default") and value == wrong.instance)
        operations = [(path, method) for path, item in document["paths"].items() for method in item]
        named = {pointer("paths", path, method): (f"'{path}'", f"'{method}'") for path, method in operations}
        if some := [place for place, names in named.items() if all(name in message for name in names)]:
            return some[0]
    return next((place for place in found if pruned(at(document, place, ...), _in_both) == wrong.instance), where)


def _readable(document: Json) -> None:
    """Refuse what JSON has no word for (types of YAML, numbers without end, halves of characters), what is too deep or has no end."""
    for number, (where, value) in enumerate(values(document)):
        if number > _MOST:
            raise Refused(where, f"there are more than {_MOST} values up to here: aliases of YAML that hold aliases make them")
        if isinstance(value, dict) and len({*map(str, value)}) < len(value):
            raise Refused(where, "a key is there twice, as a text and as a number")
        for place, said in [(where + pointer(key), key) for key in value] if isinstance(value, dict) else [(where, value)]:
            is_text = isinstance(said, str) and (said.isascii() or not any("\ud800" <= char <= "\udfff" for char in said))
            is_number = isinstance(said, int | float) and abs(said) <= sys.float_info.max
            if not (is_text or is_number or isinstance(said, list | None)):
                raise Refused(place, f"{'a number too large' if isinstance(said, int) else repr(said)} is no value of JSON")
        if where.count("/") > _DEEPEST:
            raise Refused(where, "is nested too deep")


def _findable(document: Json) -> None:
    """Refuse references to what is not there, and patterns that are none."""
    refs: list[str] = []
    for where, value in values(pruned(document, lambda key, _: key not in VALUES and not key.startswith("x-"))):
        if where.endswith("/pattern") and isinstance(value, str):
            try:
                jsonschema_rs.validator_for({"pattern": value}, pattern_options=PATTERNS)
            except ValueError as error:
                raise Refused(where, f"{value} is no regular expression, or one that the sandbox cannot judge by") from error
        if where.endswith("/discriminator/mapping") and isinstance(value, dict):
            known = at(document, "/components/schemas", {})
            for name, target in ((name, str(said)) for name, said in value.items()):
                if at(document, target.removeprefix("#"), None) is None if target.startswith("#/") else target not in known:
                    raise Refused(where + pointer(name), f"{target} is not there")
        if where.endswith("/$ref") and not where.endswith("/properties/$ref"):
            is_own = isinstance(value, str) and value.startswith("#/")
            if not is_own or not isinstance(at(document, value[1:], None), dict | bool):
                raise Refused(where, f"{value} is not there{'' if is_own else ', and other documents are not read'}")
            refs.append(str(value))
    for ref in refs:
        followed(document, {"$ref": ref})
