"""What an update remembers: in `pin.toml` and in the changelog."""

from __future__ import annotations

import hashlib
from datetime import date
from pathlib import Path

import pytest

from codegen.document import Refused
from codegen.generate import ROOT
from codegen.revisions import changelog, pin
from codegen.revisions.pin import Pin, Pins

A, B, C = (Pin("https://source.test", name, f"fetched-{name}", f"pinned-{name}") for name in "abc")


def test_the_file_is_read_and_written_as_it_is() -> None:
    path = ROOT / "openapi" / "pin.toml"
    assert pin.dump(pin.load(path)) == path.read_text(encoding="utf-8")


def test_what_was_pinned_before_survives_the_file(tmp_path: Path) -> None:
    pins = Pins(C, (B, A))
    path = tmp_path / "pin.toml"
    path.write_text(pin.dump(pins), encoding="utf-8")
    assert pin.load(path) == pins


@pytest.mark.parametrize(
    ("said", "where", "why"),
    [
        (b"", "/pin", '"source" is a required property'),
        (b'source = "s"\nrevision = "r"\nfetched = "f"\n', "/pin", '"pinned" is a required property'),
        (b'SOURCE\n[before]\nsource = "s"', "/pin/before", 'is not of type "array"'),
        (b'SOURCE\n[[before]]\nsource = "s"', "/pin/before/0", '"revision" is a required property'),
        (b"SOURCE\nsourec = 9", "/pin", "('sourec' was unexpected)"),
        (b"SOURCE\nsdk = 9", "/pin/sdk", '9 is not of type "string"'),
        (b"SOURCE\nsdk = 2026-01-01", "/pin", "openapi/pin.toml cannot be read: Unsupported type: 'date'"),
        (b"source =", "/pin", "openapi/pin.toml cannot be read: Invalid value"),
        (b"sdk = '\xe9'", "/pin", "openapi/pin.toml cannot be read: 'utf-8' codec can't decode byte 0xe9"),
    ],
)
def test_a_pin_that_is_none_is_refused(tmp_path: Path, said: bytes, where: str, why: str) -> None:
    path = tmp_path / "openapi" / "pin.toml"
    path.parent.mkdir()
    path.write_bytes(said.replace(b"SOURCE", pin.dump(Pins(A)).encode()))
    with pytest.raises(Refused) as caught:
        pin.load(path)
    assert (caught.value.pointer, caught.value.remedy) == (where, "")
    assert why in caught.value.reason
    assert caught.value.reason.endswith((": correct it in openapi/pin.toml", ": correct it there"))


def test_going_back_forgets_what_came_after() -> None:
    pins, undone = Pins(A).moved(B)
    assert (pins, undone) == (Pins(B, (A,)), ())
    pins, undone = pins.moved(C)
    assert pins == Pins(C, (B, A))
    assert pins.moved(A) == (Pins(A), ("c", "b"))
    assert pins.moved(Pin("elsewhere", "b", "otherwise", "pinned-b")) == (Pins(B, (A,)), ("c",))


def test_the_same_facts_published_anew_are_no_other_revision() -> None:
    again = Pin("https://source.test", "a", "other prose", "pinned-a")
    assert Pins(A, (B,)).moved(again) == (Pins(again, (B,)), ())


def test_other_facts_under_the_same_name_get_another() -> None:
    pins, _ = Pins(A).moved(Pin("https://source.test", "a", "f", "0123456789"))
    assert (pins.now.revision, pins.before) == ("a.0123456", (A,))


def test_a_revision_is_called_what_the_document_says_or_by_day_and_content() -> None:
    said = {"info": {"x-retell-spec-revision": "2026-03-04-abc"}}
    assert Pin.of(said, "s", b"x", "y", date(2027, 1, 1)).revision == "2026-03-04-abc"
    unsaid = Pin.of({"info": {}}, "s", b"x", "y", date(2027, 1, 1))
    assert unsaid.revision == f"2027-01-01-{hashlib.sha256(b'x').hexdigest()[:7]}"
    assert Pin.of({"info": {"x-retell-spec-revision": 'odd "one"\n'}}, "s", b"x", "y", date(2027, 1, 1)).revision == unsaid.revision


LOGS = [
    "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- Something.\n\n## [1.0.0]\n\n- Old.\n",
    "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- Something.\n",
    "# Changelog\n\n## [Unreleased]\n",
    "# Changelog\n\n## [Unreleased]\n\n## [1.0.0]\n\n### API\n\n- Revision `b` of the API, before `0`: released.\n",
    "# Changelog\n\n## [Unreleased]\n\n- A.\n\n[Unreleased]: https://link.test\n",
]


@pytest.mark.parametrize("log", LOGS)
def test_entries_are_taken_back_as_they_were_written(log: str) -> None:
    once = changelog.written(log, "b", "a", "1 breaking", "- Breaking (1):\n  - x")
    assert "### API\n\n- Revision `b` of the API, before `a`: 1 breaking.\n  - Breaking (1):\n    - x\n" in once
    twice = changelog.written(once, "c", "b", "none", "")
    assert twice.index("Revision `c`") < twice.index("Revision `b` of the API, before `a`")
    assert changelog.undone(twice, ["c"]) == once
    assert changelog.undone(twice, ["c", "b"]) == log
    assert changelog.undone(once, ["x"]) == once


def test_a_changelog_without_a_place_for_it_is_refused() -> None:
    with pytest.raises(Refused, match="Unreleased"):
        changelog.written("# Changelog\n", "b", "a", "", "")
