"""The names of the official SDK in ours, as `python -m tests.peer official` finds them."""

from __future__ import annotations

from pathlib import Path

import pytest

from codegen import overlay
from codegen.document import load_file
from codegen.generate import ROOT, pinned
from codegen.revisions.diff import Revision
from tests.peer.__main__ import main
from tests.peer.official import Official, official

OPENAPI = ROOT / "openapi"
SURFACE = load_file(OPENAPI / "surface.yaml")

pytestmark = [pytest.mark.soak, pytest.mark.parallel]  # all of the document and of the official SDK is walked through


@pytest.fixture(scope="module")
def found() -> Official:
    return official(Revision.of(pinned(), SURFACE))


def test_what_is_pinned_is_what_is_found(found: Official) -> None:
    assert found.text == (OPENAPI / "official.json").read_text(encoding="utf-8")


def test_every_name_is_a_type_here(found: Official) -> None:
    assert found.unlike == []


def test_what_a_document_lacks_is_an_object() -> None:
    document = load_file(OPENAPI / "openapi.yaml")
    document["components"]["schemas"]["PIIConfig"] = {"type": "string"}
    found = official(Revision.of(overlay.apply(document, load_file(OPENAPI / "overlay.yaml")), SURFACE))
    assert "agent_create_params.PiiConfig" in found.unlike


def test_the_command_writes_the_file(
    found: Official, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tests.peer.__main__.OPENAPI", tmp_path)
    monkeypatch.setattr("tests.peer.__main__._revision", lambda: None)
    monkeypatch.setattr("tests.peer.official.official", lambda here: found)
    assert main(["official"]) == 0
    assert (tmp_path / "official.json").read_text(encoding="utf-8") == found.text
    assert capsys.readouterr().out.startswith(f"openapi/official.json has {found.names} names of what the official SDK's methods take")
