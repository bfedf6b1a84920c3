from __future__ import annotations

import pytest

from codegen import overlay
from codegen.document import load_file
from codegen.generate import ROOT, pinned
from codegen.reserved import OPTIONS
from codegen.revisions.diff import Revision
from tests.codegen.revisions import LOOKED_THROUGH
from tests.needed import path_of
from tests.peer.__main__ import main
from tests.peer.drift import Drift, Finding, Side, compare, drift
from tests.update.revisions import VOICE

OPENAPI = ROOT / "openapi"
OVERLAY = load_file(OPENAPI / "overlay.yaml")
SURFACE = load_file(OPENAPI / "surface.yaml")
MEANT = load_file(OPENAPI / "drift.yaml")


@pytest.fixture(scope="module")
def result() -> Drift:
    return compare(Revision.of(pinned(), SURFACE), {entry["finding"]: entry["why"] for entry in MEANT["meant"]})


def test_nothing_that_the_official_sdk_has_is_missing_here(result: Drift) -> None:
    """In the document with which `openapi/drift.yaml` was written; a later one may have lost what the official SDK still has."""
    assert result.settled or result.open
    if not LOOKED_THROUGH:
        return
    assert [str(finding) for finding in result.open if finding.side is Side.PEER] == []
    assert result.stale == []
    assert {finding.what for finding, _ in result.settled} <= {"member", "optional", "value"}


def test_what_is_missing_is_found() -> None:
    """What the overlay brings in, where it is left out; a method, and a value of another kind, where the document lacks them."""
    document = load_file(OPENAPI / "openapi.yaml")
    del document["paths"][path_of("listVoices")]
    document["components"]["schemas"][VOICE]["properties"]["voice_name"] = {"type": "integer"}
    alone = {**OVERLAY, "actions": [action for action in OVERLAY["actions"] if "x-from" not in action]}
    findings = drift(Revision.of(overlay.apply(document, alone), SURFACE))
    assert {str(finding) for finding in findings if finding.side is Side.PEER} >= {
        "method: client voice.list",
        f"kind: {VOICE}.voice_name str",
        "keyword: client.app.list() privacy_scope",
        "keyword: client.agent.create() is_transfer_agent",
        "keyword: client.phone_number.import_() codecs",
        f"field: {VOICE} avatar_url",
        "field: ToolParameter additionalProperties",
        f"value: {VOICE}.provider xai",
        "member: GlobalNodeSetting.condition type=equation_prompt",
        "optional: client.conversation_flow.create() model_choice",
    }


def test_every_addition_says_where_it_comes_from_and_finds_its_place() -> None:
    """An action that does nothing would be one of a target or a schema that is misspelt, or a later document has caught up."""
    document = load_file(OPENAPI / "openapi.yaml")
    for action in OVERLAY["actions"]:
        changed = overlay.apply(document, {**OVERLAY, "actions": [action]})
        needs_more = "$ref" in str(action.get("update", ""))
        assert changed != document or needs_more or not LOOKED_THROUGH, action["target"]
        assert "x-name" in action.get("update", {}) or action["x-from"].startswith(
            ("retell-sdk 6.2.13", "captured", "exported", "reported", "as above")
        )


def test_a_parameter_that_is_called_like_an_option_of_one_side_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """What all methods of the official SDK take are its options; ours has more of them, and the API may use their names."""
    document = load_file(OPENAPI / "openapi.yaml")
    document["paths"]["/v2/create-phone-call"]["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]["deadline"] = {
        "type": "number"
    }
    findings = {str(finding) for finding in drift(Revision.of(overlay.apply(document, OVERLAY), SURFACE))}
    assert "keyword: client.call.create_phone_call() deadline" in findings
    assert not [finding for finding in findings if finding.rpartition(" ")[2] in OPTIONS - {"deadline"}]


def test_what_is_here_alone_is_told_and_no_fault(
    result: Drift, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tests.peer.drift.compare", lambda here, reasons: result)
    assert main(["drift"]) == int(bool(result.stale) or any(finding.side is Side.PEER for finding in result.open))
    shown = capsys.readouterr().out
    assert shown.startswith("the official SDK has, and is missing here: ")
    assert "\nis here, and the official SDK lacks: " in shown
    assert "value: AgentRequest.language multi" in shown


def test_a_finding_reads_as_one_line() -> None:
    assert str(Finding(Side.PEER, "keyword", "client.app.list()", "privacy_scope")) == "keyword: client.app.list() privacy_scope"
