"""What people write in `openapi/` is held to its form, and what has none is refused with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from codegen.document import Refused, load_file
from codegen.generate import ROOT

BY_MACHINE = {"openapi.yaml", "names.yaml", "released.yaml"}


@pytest.mark.parametrize(
    ("file", "text", "where", "why"),
    [
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
        ("openapi/overlay.yaml", "actions: []", "/overlay", '"overlay" is a required property'),
        ("openapi/overlay.yaml", "{overlay: 2.0.0, actions: []}", "/overlay/overlay", '"2.0.0" does not match'),
        ("openapi/overlay.yaml", "{overlay: 1.0.0, actions: [{target: $.a}]}", "/overlay/actions/0", '"update" is a required property'),
        ("openapi/overlay.yaml", "{overlay: 1.0.0, actions: [{target: $.a, updates: {}}]}", "/overlay/actions/0", "('updates' was"),
        ("openapi/retired.yaml", "GET /a: {date: 2026-9-1}", "/retired/GET ~1a/date", '"2026-9-1" does not match'),
        ("openapi/retired.yaml", "GET /a: {instaed: call.list}", "/retired/GET ~1a", "('instaed' was unexpected)"),
        ("openapi/drift.yaml", "{of: a, meant: [{finding: b}]}", "/drift/meant/0", '"why" is a required property'),
        ("openapi/left_out.yaml", "[GET /a]", "", "holds list, not an object"),
        ("docs/operations.yaml", "GET /a: {text: A., params: {}}", "/operations/GET ~1a", "('params' was unexpected)"),
        ("docs/operations.yaml", "GET /a: {text: A., unit: seconds}", "/operations/GET ~1a", "('unit' was unexpected)"),
        (
            "docs/operations.yaml",
            "GET /a: {text: A., parameters: {q: {max_length: 9}}}",
            "/operations/GET ~1a/parameters/q",
            "('max_length' was unexpected)",
        ),
        ("docs/calls.yaml", "CallFilter: {tag: [A tag.]}", "/calls/CallFilter/tag", '["A tag."] is not of types'),
        ("docs/calls.yaml", "CallFilter: {age: {text: A., unti: ms}}", "/calls/CallFilter/age", "('unti' was unexpected)"),
        ("docs/calls.yaml", "CallFilter: {age: {unit: 9}}", "/calls/CallFilter/age/unit", '9 is not of type "string"'),
    ],
)
def test_what_means_nothing_is_refused(tmp_path: Path, file: str, text: str, where: str, why: str) -> None:
    path = tmp_path / file
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    with pytest.raises(Refused) as caught:
        load_file(path)
    assert caught.value.pointer == where
    assert why in caught.value.reason
    assert not where or caught.value.reason.endswith(f": correct it in {file}")


@pytest.mark.parametrize("text", ["", "# nothing is left out\n"])
def test_a_file_whose_last_entry_was_taken_out_says_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "openapi" / "left_out.yaml"
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    assert load_file(path) == {}


def test_every_file_by_hand_has_a_form(tmp_path: Path) -> None:
    for path in {*(ROOT / "openapi").glob("*.yaml"), ROOT / "openapi" / "docs" / "operations.yaml"}:
        wrong = tmp_path / path.parent.name / path.name
        wrong.parent.mkdir(exist_ok=True)
        wrong.write_text("a typo: [1]", encoding="utf-8")
        if path.name not in BY_MACHINE:
            with pytest.raises(Refused, match="correct it in"):
                load_file(wrong)
