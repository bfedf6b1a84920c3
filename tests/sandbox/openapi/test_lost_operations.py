"""Tests of operations that a later document has lost are left out; one that reaches such an operation in another way fails."""

from __future__ import annotations

import pytest

from .. import checked
from ..checked import Api, asks_for, lost

LOST = "POST /repair-agent/{agent_id}"


@pytest.mark.parametrize(
    ("source", "asks"),
    [
        ('api.post(f"/repair-agent/{agent_id}")', True),
        ("api.post(f\"/repair-agent/{agent['agent_id']}?version=1\")", True),
        ('api.post("/repair-agent/agent_1/again")', False),
        ('api.post("/repair-agent")', False),
        ('api.post(f"/v2/repair-agent/{agent_id}")', False),
    ],
)
def test_a_test_is_known_by_the_path_in_it(source: str, asks: bool) -> None:
    assert asks_for(LOST, source) is asks


def test_what_asks_for_a_lost_operation_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    assert LOST not in lost()
    monkeypatch.setattr(checked, "places", lambda: {LOST: ""})
    assert lost() == [LOST]
    with pytest.raises(AssertionError, match="the API no longer has POST /repair-agent"):
        Api().post("/repair-agent/agent_1")
