"""Random changes of a document, each told by its seed: what upstream may do to it, and what it should not."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

from codegen.document import METHODS, Json

STRING: Json = {"type": "string"}
ODD = (
    "class",
    "x-y",
    "größe",
    "1a",
    'q"',
    "",
    "__init__",
    "self",
    "model_config",
    "from",
    "options",
    "a b",
    "deadline",
    "to_dict",
    "\u2028",
)

Change = Callable[[random.Random, Json], Any]
CHANGES: list[Change] = []


def change(function: Change) -> Change:
    CHANGES.append(function)
    return function


def mutated(document: Json, seed: int) -> str:
    """Change a document in place, and say how."""
    chance = random.Random(seed)
    made = CHANGES[seed % len(CHANGES)]
    made(chance, document)
    return f"{seed}: {made.__name__}"


def _objects(document: Json) -> list[Json]:
    return [schema for schema in document["components"]["schemas"].values() if schema.get("properties")]


def _fields(document: Json) -> list[tuple[Json, str]]:
    return [(schema["properties"], name) for schema in _objects(document) for name in schema["properties"]]


def _operations(document: Json) -> list[tuple[str, str, Json]]:
    return [(path, method, item[method]) for path, item in document["paths"].items() for method in METHODS if method in item]


def _schema(chance: random.Random, depth: int = 0) -> Json:
    """A schema of any kind."""
    kinds: list[Callable[[], Json]] = [
        lambda: STRING | {},
        lambda: {"type": "integer", "minimum": chance.randint(-5, 5), "multipleOf": 5},
        lambda: {"type": "number", "maximum": 1.5, "exclusiveMaximum": True},
        lambda: {"type": "boolean", "default": True},
        lambda: {**STRING, "enum": chance.sample(["a", "b", "c d", 'e"', "f'", "{{ g }}", "\\", "h"], chance.randint(1, 6))},
        lambda: {"type": "number", "enum": [0.5, 1, 1.5]},
        lambda: {**STRING, "nullable": True, "pattern": "^a\"'+$", "maxLength": 9},
        dict,
        lambda: {"type": "object"},
        lambda: {"type": "object", "additionalProperties": STRING | {}},
    ]
    if depth < 3:
        kinds += [
            lambda: {"type": "array", "items": _schema(chance, depth + 1)},
            lambda: {"type": "object", "additionalProperties": _schema(chance, depth + 1)},
            lambda: {"type": "object", "properties": {f"p{i}": _schema(chance, depth + 1) for i in range(2)}, "required": ["p0"]},
            lambda: {"oneOf": [_schema(chance, depth + 1), _schema(chance, depth + 1)]},
            lambda: {"anyOf": [STRING | {}, {"type": "array", "items": STRING | {}}]},
            lambda: {"allOf": [_schema(chance, depth + 1)]},
        ]
    return chance.choice(kinds)()


def _content(schema: Json, media: str = "application/json") -> Json:
    return {"content": {media: {"schema": schema}}}


def _operation(document: Json, method: str, path: str, **more: Any) -> Json:
    said: Json = {
        "operationId": f"{method}{''.join(filter(str.isalnum, path))}",
        "responses": {"200": {"description": "", **_content(STRING | {})}},
    }
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    if names:
        said["parameters"] = [{"in": "path", "name": name, "required": True, "schema": STRING | {}} for name in names]
    said |= more
    document["paths"].setdefault(path, {})[method] = said
    return said


@change
def a_field_comes(chance: random.Random, document: Json) -> None:
    chance.choice(_objects(document))["properties"][f"new_{chance.randint(0, 9)}"] = _schema(chance)


@change
def a_field_goes(chance: random.Random, document: Json) -> None:
    fields, name = chance.choice(_fields(document))
    del fields[name]


@change
def a_field_is_of_another_kind(chance: random.Random, document: Json) -> None:
    fields, name = chance.choice(_fields(document))
    fields[name] = _schema(chance)


@change
def a_field_is_required(chance: random.Random, document: Json) -> None:
    schema = chance.choice(_objects(document))
    schema["required"] = [chance.choice(list(schema["properties"]))]


@change
def a_field_has_an_odd_name(chance: random.Random, document: Json) -> None:
    chance.choice(_objects(document))["properties"][chance.choice(ODD)] = _schema(chance)


@change
def a_value_comes_or_goes(chance: random.Random, document: Json) -> None:
    schemas: list[Json] = [*document["components"]["schemas"].values(), *(fields[name] for fields, name in _fields(document))]
    enums = [schema for schema in schemas if "enum" in schema]
    values = chance.choice(enums)["enum"]
    values.append(chance.choice(ODD)) if chance.random() < 0.5 else values.pop()


@change
def an_operation_comes(chance: random.Random, document: Json) -> None:
    path = chance.choice(
        ("/create-gadget", "/gadgets", "/gadgets/{id}", "/v2/list-gadgets", "/send-gadget/{gadget-id}", "/get-gadget/{class}")
    )
    body = {"requestBody": _content({"type": "object", "properties": {"a": _schema(chance)}})} if chance.random() < 0.5 else {}
    answer = {"200": {"description": "", **_content({"type": "object", "properties": {"b": _schema(chance)}})}}
    _operation(document, chance.choice(("get", "post", "put", "delete")) if not body else "post", path, responses=answer, **body)


@change
def an_operation_goes(chance: random.Random, document: Json) -> None:
    path, method, _ = chance.choice(_operations(document))
    del document["paths"][path][method]


@change
def an_operation_moves(chance: random.Random, document: Json) -> None:
    path = chance.choice(list(document["paths"]))
    document["paths"][f"/v7{path.removeprefix('/v2')}"] = document["paths"].pop(path)


@change
def an_operation_has_another_id(chance: random.Random, document: Json) -> None:
    _, _, said = chance.choice(_operations(document))
    said["operationId"] = chance.choice(("somethingElse", "with space", "class", "x.y"))
    if chance.random() < 0.3:
        del said["operationId"]


@change
def an_operation_has_a_next_version(chance: random.Random, document: Json) -> None:
    path, method, said = chance.choice(_operations(document))
    document["paths"][f"/v9{path.removeprefix('/v2')}"] = {method: {**said, "operationId": f"{said['operationId']}Next"}}


@change
def something_is_deprecated(chance: random.Random, document: Json) -> None:
    _, _, said = chance.choice(_operations(document))
    fields, name = chance.choice(_fields(document))
    chance.choice((said, fields[name]))["deprecated"] = True


@change
def a_parameter_comes(chance: random.Random, document: Json) -> None:
    _, _, said = chance.choice(_operations(document))
    style = chance.choice(
        ({}, {"style": "form"}, {"explode": False}, {"style": "deepObject"}, {"style": "pipeDelimited", "explode": False})
    )
    place = chance.choice(("query", "query", "query", "header", "cookie"))
    parameter = {"in": place, "name": chance.choice(("filter", "X-Thing", *ODD[:6])) or "p", "schema": _schema(chance, 2)}
    said.setdefault("parameters", []).append(parameter | (style if place == "query" else {}))


@change
def answers_are_several(chance: random.Random, document: Json) -> None:
    kinds = [{"description": ""}, {"description": "", **_content({"type": "object", "properties": {"job_id": STRING}})}]
    kinds.append({"description": "", **_content(STRING | {}, chance.choice(("text/csv", "audio/wav", "text/event-stream")))})
    _, _, said = chance.choice(_operations(document))
    said["responses"][chance.choice(("202", "204", "2XX", "default"))] = chance.choice(kinds)


@change
def an_answer_is_no_json(chance: random.Random, document: Json) -> None:
    media = chance.choice(
        ("text/csv", "audio/wav", "application/pdf", "text/event-stream", "application/vnd.x+json", "text/html; charset=utf-8")
    )
    _operation(document, "get", "/export-gadgets", responses={"200": {"description": "", **_content(STRING | {}, media)}})


@change
def a_body_is_of_another_kind(chance: random.Random, document: Json) -> None:
    bodies = [said["requestBody"] for _, _, said in _operations(document) if "requestBody" in said]
    body = chance.choice(bodies)
    (content,) = body["content"].values()
    media = chance.choice(("multipart/form-data", "application/json; charset=utf-8", "application/x-www-form-urlencoded", "text/plain"))
    body["content"] = {media: content} if chance.random() < 0.7 else {media: content, "application/json": content}


@change
def a_union_comes(chance: random.Random, document: Json) -> None:
    members: Json = {}
    for name in ("Cat", "Dog", "Owl"):
        members[name] = {"type": "object", "properties": {"kind": STRING | {}, name.lower(): _schema(chance, 2)}, "required": ["kind"]}
        if chance.random() < 0.5:
            members[name]["properties"]["kind"] = {**STRING, "enum": [name.lower()]}
        if chance.random() < 0.3:
            members[name]["required"].append(name.lower())
    document["components"]["schemas"] |= members
    refs = [{"$ref": f"#/components/schemas/{name}"} for name in members]
    union: Json = {"oneOf": refs}
    if chance.random() < 0.5:
        told: Json = {"propertyName": "kind"}
        if chance.random() < 0.5:
            told["mapping"] = {name.lower(): ref["$ref"] for name, ref in zip(members, refs, strict=True)}
        union["discriminator"] = told
    chance.choice(_objects(document))["properties"]["pet"] = union


@change
def a_schema_holds_itself(chance: random.Random, document: Json) -> None:
    schemas = document["components"]["schemas"]
    name = chance.choice([name for name, schema in schemas.items() if schema.get("properties")])
    ref = {"$ref": f"#/components/schemas/{name}"}
    ways: list[Callable[[], Any]] = [
        lambda: schemas[name]["properties"].update(again=ref),
        lambda: schemas[name]["properties"].update(again={"type": "array", "items": ref}),
        lambda: schemas.update({name: {"allOf": [ref, {"type": "object", "properties": {"x": STRING}}]}}),
        lambda: schemas.update({name: {**schemas[name], "oneOf": [{"$ref": "#/components/schemas/Kid"}]}, "Kid": {"allOf": [ref]}}),
        lambda: schemas.update({name: {"oneOf": [ref, STRING | {}]}}),
        lambda: schemas.update({name: ref}),
        lambda: schemas.update({name: {"type": "array", "items": ref}}),
    ]
    chance.choice(ways)()


@change
def a_schema_says_the_same_otherwise(chance: random.Random, document: Json) -> None:
    fields, name = chance.choice(_fields(document))
    fields[name] = {"allOf": [fields[name]]} if chance.random() < 0.5 else {"oneOf": [fields[name]], "nullable": True}


@change
def the_dialect_is_newer(chance: random.Random, document: Json) -> None:
    document["openapi"] = "3.1.0"
    document["components"] = _newer(document["components"])
    new = ({"type": ["string", "null"]}, True, False, {"const": "a"}, {"type": "integer", "exclusiveMinimum": 0}, {"prefixItems": [STRING]})
    chance.choice(_objects(document))["properties"]["newer"] = chance.choice(new)


def _newer(value: Any) -> Any:
    """As 3.1 says what 3.0 says."""
    if isinstance(value, list):
        return [_newer(item) for item in value]
    if not isinstance(value, dict):
        return value
    made = {key: _newer(item) for key, item in value.items()}
    for bound, strict in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if made.get(strict) is True:
            made[strict] = made.pop(bound)
        elif made.get(strict) is False:
            del made[strict]
    if made.get("nullable") is True and "$ref" in made:
        return {"oneOf": [{"$ref": made["$ref"]}, {"type": "null"}]}
    if made.get("nullable") is True and isinstance(made.get("type"), str):
        del made["nullable"]
        made["type"] = [made["type"], "null"]
        if "enum" in made:
            made["enum"] = [*made["enum"], *([] if None in made["enum"] else [None])]
    return made


@change
def a_keyword_is_not_for_us(chance: random.Random, document: Json) -> None:
    new = (
        {"not": STRING},
        {"not": {"required": ["a", "b"]}, "type": "object", "properties": {"a": STRING, "b": STRING}},
        {"type": "object", "patternProperties": {"^x": STRING}},
        {"$ref": "#/components/schemas/Nowhere"},
        {"$ref": "#/paths"},
        {"type": "text"},
        {"allOf": [STRING, {"type": "integer"}]},
        {"enum": ["a", 1, None, True]},
        {"type": "object", "properties": {"a": STRING}, "additionalProperties": {"type": "integer"}},
        {**STRING, "default": {"a": [1, None]}},
    )
    chance.choice(_objects(document))["properties"]["odd"] = chance.choice(new)


@change
def a_name_is_taken(chance: random.Random, document: Json) -> None:
    name = chance.choice(("Model", "Any", "list", "VoiceResponseParam", "voice_response", "VoiceResource", "ErrorResponse", "UnknownTool"))
    document["components"]["schemas"][name] = {"type": "object", "properties": {"x": STRING | {}}}
    ref = {"$ref": f"#/components/schemas/{name}"}
    if chance.random() < 0.5:
        _operation(document, "get", "/get-gadget", responses={"200": {"description": "", **_content(ref)}})
    else:
        chance.choice(_objects(document))["properties"]["taken"] = ref


@change
def an_operation_goes_elsewhere(chance: random.Random, document: Json) -> None:
    said: list[Json] = [{"servers": [{"url": "https://files.example.com"}]}, {"security": []}, {"callbacks": {}}]
    if chance.random() < 0.5:
        _operation(document, "get", "/get-gadget", **chance.choice(said))
    else:
        chance.choice(_operations(document))[2].update(chance.choice(said))


@change
def an_error_says_more(chance: random.Random, document: Json) -> None:
    for answer in document["components"].get("responses", {}).values():
        for content in answer.get("content", {}).values():
            content["schema"].setdefault("properties", {})[chance.choice(("code", "details", "status"))] = _schema(chance, 2)


def walked(value: Any) -> Iterator[Json]:
    """All objects in a document."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    for item in value if isinstance(value, list) else ():
        yield from walked(item)
