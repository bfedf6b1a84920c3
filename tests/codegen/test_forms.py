"""What people write in `openapi/` is held to its form, and what has none is refused with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from codegen.document import Json, Refused, load_file
from codegen.generate import ROOT


@pytest.mark.parametrize(
    ("file", "text", "where", "why"),
    [
        ("openapi/surface.yaml", "", "/surface", '"relied_on" is a required property'),
        ("openapi/surface.yaml", "GET /a: {tool: create agent!}", "/surface/GET ~1a/tool", '"create agent!" does not match'),
        ("openapi/surface.yaml", "GET /a: {methods: [Agent.create]}", "/surface/GET ~1a/methods/0", '"Agent.create" does not match'),
        ("openapi/surface.yaml", "GET /a: {methods: [agent.créate]}", "/surface/GET ~1a/methods/0", '"agent.créate" does not match'),
        ("openapi/surface.yaml", "GET /a: {limit: 'phone \"calls'}", "/surface/GET ~1a/limit", "does not match"),
        ("openapi/surface.yaml", "1: {}", "/surface", "openapi/surface.yaml cannot be read: Dict key must be str"),
        (
            "openapi/surface.yaml",
            "GET /a: {id: !!binary aGk=}",
            "/surface",
            "openapi/surface.yaml cannot be read: Unsupported type: 'bytes'",
        ),
        (
            "openapi/surface.yaml",
            "GET /a: [",
            "/surface",
            "openapi/surface.yaml is neither YAML nor JSON: while parsing a flow sequence in line 1,",
        ),
        (
            "openapi/surface.yaml",
            "GET /a: {}\nGET /a: {}",
            "/surface",
            'openapi/surface.yaml, line 2: found duplicate key "GET /a": correct',
        ),
        (
            "openapi/surface.yaml",
            "{GET /a: {}, GET /a: {}}",
            "/surface",
            'openapi/surface.yaml, line 1: found duplicate key "GET /a": correct',
        ),
        (
            "openapi/docs/calls.yaml",
            "a: '\udce9'",
            "/calls",
            "openapi/docs/calls.yaml is neither YAML nor JSON: unacceptable character #x00e9",
        ),
        (
            "openapi/surface.yaml",
            "GET /a: {repeat: maybe}",
            "/surface/GET ~1a/repeat",
            '"maybe" is not one of "safe", "idempotency_key" or',
        ),
        ("openapi/surface.yaml", "GET /a: {repeats: safe}", "/surface/GET ~1a", "('repeats' was unexpected)"),
        ("openapi/surface.yaml", "GET /a: {methods: call.list}", "/surface/GET ~1a/methods", '"call.list" is not of type "array"'),
        ("openapi/surface.yaml", "GET /a: {timeout: '9'}", "/surface/GET ~1a/timeout", '"9" is not of type "number"'),
        ("openapi/surface.yaml", "GET /a: {asks: time}", "/surface/GET ~1a/asks", '"time" is not one of "money" or "deletion"'),
        ("openapi/surface.yaml", "GET /a: {asks: {days: time}}", "/surface/GET ~1a/asks/days", '"time" is not one of "money" or'),
        ("openapi/surface.yaml", "GETT /a: {}", "/surface", "('GETT /a' was unexpected)"),
        (
            "openapi/surface.yaml",
            "relied_on: [{CallResponse.call_status: ended}]",
            "/surface/relied_on/0/CallResponse.call_status",
            "of type",
        ),
        ("openapi/surface.yaml", "relied_of: []", "/surface", "('relied_of' was unexpected)"),
        ("openapi/overlay.yaml", "", "/overlay", '"overlay" is a required property'),
        ("openapi/overlay.yaml", "overlay: 1.0.0", "/overlay", '"actions" is a required property'),
        ("openapi/overlay.yaml", "{overlay: 1.0.0, actions: []}", "/overlay/actions", "[] has less than 1 item"),
        ("openapi/overlay.yaml", "actions: [{target: $.a, update: {}}]", "/overlay", '"overlay" is a required property'),
        ("openapi/overlay.yaml", "{overlay: 2.0.0, actions: []}", "/overlay/overlay", '"2.0.0" does not match'),
        ("openapi/overlay.yaml", "{overlay: 1.0.0, actions: [{target: $.a}]}", "/overlay/actions/0", '"update" is a required property'),
        ("openapi/overlay.yaml", "{overlay: 1.0.0, actions: [{target: $.a, updates: {}}]}", "/overlay/actions/0", "('updates' was"),
        (
            "openapi/overlay.yaml",
            "{overlay: 1.0.0, actions: [{target: $.a, remove: true, update: {}}]}",
            "/overlay/actions/0",
            "('update' was",
        ),
        ("openapi/openapi.yaml", "", "/openapi", '"openapi" is a required property'),
        ("openapi/openapi.yaml", "{openapi: 3.0.3, info: {}}", "/openapi", '"paths" is a required property'),
        ("openapi/official.json", "{}", "/official", '"responses" is a required property'),
        ("openapi/names.yaml", "A.b: 12", "/names/A.b", "12 is not of types"),
        ("openapi/names.yaml", "a(): [1]", "/names/a()/0", '1 is not of type "string"'),
        ("openapi/released.yaml", "GET /a: null", "/released/GET ~1a", 'null is not of type "array"'),
        ("openapi/released.yaml", "GET /a: call.list", "/released/GET ~1a", '"call.list" is not of type "array"'),
        ("openapi/released.yaml", "GET /a: {x: {y: z}}", "/released/GET ~1a", 'is not of type "array"'),
        ("openapi/released.yaml", "GET /a: [../call.list]", "/released/GET ~1a/0", '"../call.list" does not match'),
        ("openapi/left_out.yaml", "GET /a: [why]", "/left_out/GET ~1a", 'is not of type "string"'),
        ("openapi/retired.yaml", "GET /a: {date: 2026-9-1}", "/retired/GET ~1a/date", '"2026-9-1" is not a "date"'),
        ("openapi/retired.yaml", "GET /a: {date: 2026-13-45}", "/retired/GET ~1a/date", '"2026-13-45" is not a "date"'),
        ("openapi/retired.yaml", "GET /a: {instaed: call.list}", "/retired/GET ~1a", "('instaed' was unexpected)"),
        ("openapi/drift.yaml", "{of: a, meant: [{finding: b}]}", "/drift/meant/0", '"why" is a required property'),
        ("openapi/left_out.yaml", "[GET /a]", "/left_out", "openapi/left_out.yaml holds an array, not an object"),
        ("openapi/docs/operations.yaml", "GET /a: {text: A., params: {}}", "/operations/GET ~1a", "('params' was unexpected)"),
        ("openapi/docs/operations.yaml", "GET /a: {text: A., unit: seconds}", "/operations/GET ~1a", "('unit' was unexpected)"),
        (
            "openapi/docs/operations.yaml",
            "GET /a: {text: A., parameters: {q: {max_length: 9}}}",
            "/operations/GET ~1a/parameters/q",
            "('max_length' was unexpected)",
        ),
        ("openapi/docs/calls.yaml", "CallFilter: {tag: [A tag.]}", "/calls/CallFilter/tag", '["A tag."] is not of types'),
        ("openapi/docs/calls.yaml", "CallFilter: {age: {text: A., unti: ms}}", "/calls/CallFilter/age", "('unti' was unexpected)"),
        ("openapi/docs/calls.yaml", "CallFilter: {age: {unit: 9}}", "/calls/CallFilter/age/unit", '9 is not of type "string"'),
        ("openapi/docs/calls.yaml", "CallFilter: {age: {range: [1]}}", "/calls/CallFilter/age/range", "[1] has less than 2 items"),
        (
            "openapi/docs/calls.yaml",
            "CallFilter: {age: {range: [1, 2, 3]}}",
            "/calls/CallFilter/age/range",
            "[1,2,3] has more than 2 items",
        ),
        (
            "openapi/docs/calls.yaml",
            "CallFilter: {age: {range: [null, null]}}",
            "/calls/CallFilter/age/range",
            "None of [null,null] are valid",
        ),
        (
            "openapi/docs/calls.yaml",
            "CallFilter: {age: {range: [1, b]}}",
            "/calls/CallFilter/age/range/1",
            '"b" is not of types',
        ),
        (
            "openapi/docs/calls.yaml",
            "CallFilter: {age: {range: {a: b}}}",
            "/calls/CallFilter/age/range",
            "is not of types",
        ),
        (
            "openapi/docs/calls.yaml",
            "CallFilter: {age: {max_items: -1}}",
            "/calls/CallFilter/age/max_items",
            "-1 is less than the minimum of 1",
        ),
    ],
)
def test_what_means_nothing_is_refused(tmp_path: Path, file: str, text: str, where: str, why: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    if "surface" in file and text and text[0] != "{":
        needed: Json = {"relied_on": [], "resources": {}, "inherits": {}}
        text = "\n".join([text, *(f"{name}: {empty}" for name, empty in needed.items() if f"{name}:" not in text)])
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(Refused) as caught:
        load_file(path)
    assert (caught.value.pointer, caught.value.remedy) == (where, "")
    assert why in caught.value.reason
    assert caught.value.reason.endswith((f": correct it in {file}", ": correct it there"))


SCHEMA = "$.components.schemas.A"


@pytest.mark.parametrize(
    ("target", "update", "where", "why"),
    [
        (SCHEMA, "{x-name: 5}", "/x-name", '5 is not of type "string"'),
        (SCHEMA, "{x-name: [A]}", "/x-name", 'is not of type "string"'),
        (SCHEMA, "{x-name: new one}", "/x-name", "does not match"),
        (SCHEMA, "{x-nmae: A}", "", '"x-nmae" is not one of "x-name", "x-tag"'),
        (SCHEMA, "{properties: {a: {items: {x-nmae: A}}}}", "/properties/a/items", '"x-nmae" is not one of'),
        (SCHEMA, "{allOf: [{x-name: 5}]}", "/allOf/0/x-name", '5 is not of type "string"'),
        (SCHEMA, "{properties: {new_one: string}}", "/properties/new_one", '"string" is not of types'),
        (SCHEMA, "{items: string}", "/items", '"string" is not of types'),
        (f"{SCHEMA}.properties", "{new_one: string}", "/new_one", '"string" is not of types'),
        (f"{SCHEMA}['properties']", "{x-age: {properties: {new_one: string}}}", "/x-age/properties/new_one", '"string" is not of types'),
        (f"{SCHEMA}.oneOf", "A", "", '"A" is not of types'),
        (f"{SCHEMA}.oneOf", "[A]", "/0", '"A" is not of type "object"'),
        ("$.components.schemas", "{A: string}", "/A", '"string" is not of types'),
        ("$.components", "{schemas: {A: {x-name: 5}}}", "/schemas/A/x-name", '5 is not of type "string"'),
        ("$.paths['/a'].get.parameters", "{name: a, in: query, schema: string}", "/schema", '"string" is not of types'),
        ("$.paths['/a']", "{get: {parameters: [{schema: {x-name: 5}}]}}", "/get/parameters/0/schema/x-name", '5 is not of type "string"'),
        ("$.paths['/a'].get", "{responses: {'200': {content: {a/b: {schema: A}}}}}", "/responses/200/content/a~1b/schema", '"A" is not of'),
        (f"{SCHEMA}.required", "null", "", "null is not of types"),
    ],
)
def test_what_means_nothing_anywhere_in_an_update_is_refused(tmp_path: Path, target: str, update: str, where: str, why: str) -> None:
    with pytest.raises(Refused) as caught:
        load_file(overlay(tmp_path, target, update))
    assert caught.value.pointer == f"/overlay/actions/0/update{where}"
    assert why in caught.value.reason


@pytest.mark.parametrize(
    ("target", "update"),
    [
        (SCHEMA, "{enum: [a, {x-nmae: A}], default: {properties: {a: b}}}"),
        (SCHEMA, "{discriminator: {propertyName: a, mapping: {x-a: b}}, properties: {x-a: {type: string}, items: true}}"),
        (f"{SCHEMA}.enum", "a"),
        (f"{SCHEMA}.properties", "{x-a: {type: string}, properties: {type: object}}"),
        (f"{SCHEMA}.properties.properties", "{type: object}"),
        (f"{SCHEMA}.properties.a.default", "{x-a: 1}"),
        ("$.paths['/a'].get", "{x-retell-sdk-resource: a, responses: {'200': {headers: {x-a: {schema: {type: string}}}}}}"),
    ],
)
def test_names_and_values_in_an_update_may_look_like_anything(tmp_path: Path, target: str, update: str) -> None:
    assert load_file(overlay(tmp_path, target, update))


def overlay(folder: Path, target: str, update: str) -> Path:
    path = folder / "openapi" / "overlay.yaml"
    path.parent.mkdir()
    path.write_text(f'{{overlay: 1.0.0, actions: [{{target: "{target}", update: {update}}}]}}', encoding="utf-8")
    return path


@pytest.mark.parametrize("text", ["", "# nothing is left out\n"])
def test_a_file_whose_last_entry_was_taken_out_says_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "openapi" / "left_out.yaml"
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    assert load_file(path) == {}


def test_every_file_by_hand_has_a_form(tmp_path: Path) -> None:
    for path in {*(ROOT / "openapi").glob("*.*"), ROOT / "openapi" / "docs" / "operations.yaml"}:
        wrong = tmp_path / path.parent.name / path.name
        wrong.parent.mkdir(exist_ok=True)
        wrong.write_text("a typo: [1]", encoding="utf-8")
        with pytest.raises(Refused, match="correct it"):
            load_file(wrong)
