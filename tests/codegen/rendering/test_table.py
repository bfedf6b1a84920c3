"""The table of operations: arguments as plain JSON Schema, nested ones by name, with our words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from codegen.canonical import canonical
from codegen.document import Json
from codegen.generate import generate

from ..small import INTEGER, STRING, array, content, document, enum, object_, operation, ref

SCHEMAS: Json = {
    "Colour": enum("red", "blue"),
    "Engine": {"oneOf": [ref("Petrol"), ref("Electric")]},
    "Petrol": object_("type", type=enum("petrol"), litres=INTEGER),
    "Electric": object_("type", type=enum("electric"), spare={**ref("Engine")}),
    "Car": object_("engine", engine=ref("Engine"), colour={"allOf": [ref("Colour")], "nullable": True}, doors={**INTEGER, "minimum": 2}),
    "Form": object_("car_file", car_file={"type": "string", "format": "binary"}, notes=array(STRING)),
}
FORM = {"content": {"multipart/form-data": {"schema": ref("Form"), "x-json-texts": True}}}
PATHS: Json = {
    "/create-car": {"post": operation("createCar", answer=object_(car_id=STRING), requestBody=content(ref("Car")))},
    "/list-cars": {"get": operation("listCars", answer=array(object_(car_id=STRING)))},
    "/upload-car": {"post": operation("uploadCar", answer=object_(car_id=STRING), requestBody=FORM)},
    "/get-secret": {"get": operation("getSecret", answer=object_(secret=STRING))},
}
SURFACE: Json = {
    "resources": {"car": "Cars"},
    "POST /create-car": {"methods": ["car.create"], "tool": "create_car", "asks": "money", "repeat": "unsafe"},
    "GET /list-cars": {"methods": ["car.list"], "tool": "list_cars"},
    "POST /upload-car": {"methods": ["car.upload"], "tool": "upload_car"},
    "GET /get-secret": {"methods": ["secret.retrieve"]},
}
WORDS: Json = {
    "POST /create-car": {"": {"text": "Make a car. See it with `car.list`, or `secret.retrieve`."}},
    "Car": {"doors": {"text": "As many as there are in `car.list`."}},
    "Petrol": {"": {"text": "Burns."}},
}


def table(folder: Path) -> Any:
    generate(canonical(document(PATHS, SCHEMAS)), SURFACE, WORDS, folder)
    return json.loads((folder / "raw" / "operations.json").read_text(encoding="utf-8"))


def test_the_table(tmp_path: Path) -> None:
    found = table(tmp_path)
    assert found["resources"] == {"car": "Cars"}
    operations = found["operations"]
    assert [*operations] == ["car.create", "car.list", "car.upload", "secret.retrieve"]
    assert {name: one["tool"] for name, one in operations.items() if one["tool"]} == {
        "car.create": "create_car",
        "car.list": "list_cars",
        "car.upload": "upload_car",
    }
    made = operations["car.create"]
    assert made["about"] == "Make a car. See it with `car.list`, or `secret.retrieve`."
    assert (made["methods"], made["effect"], made["repeat"], made["asks"]) == (["car.create"], "write", "unsafe", {"": "money"})
    assert made["required"] == ["engine"]
    assert made["arguments"] == {
        "engine": {"$ref": "#/schemas/Engine"},
        "colour": {"type": ["string", "null"], "enum": ["blue", "red", None]},
        "doors": {"type": "integer", "minimum": 2, "description": "As many as there are in `car.list`. At least 2."},
    }
    assert operations["car.list"]["lists"] == "array"
    assert operations["car.upload"]["arguments"].keys() == {"car_file", "notes"}
    assert operations["car.upload"]["files"] == operations["car.upload"]["required"] == ["car_file"]

    assert found["schemas"].keys() == {"Engine", "Petrol", "Electric"}
    assert found["schemas"]["Engine"]["discriminator"] == {"propertyName": "type", "mapping": {"petrol": "Petrol", "electric": "Electric"}}
    assert found["schemas"]["Petrol"]["description"] == "Burns."
    assert found["schemas"]["Electric"]["properties"]["spare"] == {"$ref": "#/schemas/Engine"}


def test_nothing_in_it_but_data(tmp_path: Path) -> None:
    assert "x-" not in json.dumps(table(tmp_path))
