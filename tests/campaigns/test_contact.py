"""Whom a campaign may call: what is refused before anybody is."""

from __future__ import annotations

from typing import Any

import pytest

from retell_async import ConfigurationError
from retell_async.campaigns import Contact


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ({"zones": ()}, "time zone"),
        ({"zones": ("EST",)}, "'EST'"),
        ({"number": "+1 212 555 0111"}, "E.164"),
        ({"number": "+4402079460958"}, "E.164"),  # lists have it without the 0 in it
        ({"place": "FL"}, "'FL'"),
        ({"place": "US-XX"}, "'US-XX'"),
        ({"priority": 2**70}, "priority"),
    ],
)
def test_what_would_be_called_at_the_wrong_time_or_in_spite_of_a_list_is_refused(wrong: dict[str, Any], what: str) -> None:
    right: dict[str, Any] = {"id": "1", "number": "+12125550111", "zones": ("America/New_York",), "place": "US-FL"}
    Contact(**right)
    with pytest.raises(ConfigurationError, match=what) as caught:
        Contact(**{**right, **wrong})
    assert "212 555" not in str(caught.value)
