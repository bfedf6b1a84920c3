from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from benchmarks.bodies import call_body

DOCUMENT = Path(__file__).parents[2] / "openapi" / "openapi.yaml"


def test_the_call_is_valid_for_the_pinned_document() -> None:
    components: Any = YAML(typ="safe", pure=True).load(DOCUMENT)["components"]
    schema = {"$ref": "#/components/schemas/V2CallResponse", "components": components}

    assert [error.message for error in Draft202012Validator(schema).iter_errors(json.loads(call_body()))] == []


def test_the_call_is_as_large_as_the_benchmarks_say() -> None:
    body = call_body()
    call = json.loads(body)

    assert 66_000 < len(body) < 70_000
    assert len(call["transcript_object"]) == 40
    assert all(utterance["words"] for utterance in call["transcript_object"])


def test_the_same_seed_gives_the_same_bytes() -> None:
    assert call_body(seed=5) == call_body(seed=5) != call_body(seed=6)
