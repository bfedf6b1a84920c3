"""Whom a campaign may call: what is refused before anybody is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from retell_async import ConfigurationError
from retell_async.campaigns import Contact
from retell_async.campaigns.case import Case
from retell_async.campaigns.durable.format import case_from, case_text


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


RIGHT: dict[str, Any] = {"id": "ann +12125550111", "number": "+12125550111", "zones": ("America/New_York",)}


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ({"variables": {"visits": 5}}, "variables.visits must be a text, not int"),
        ({"variables": {"visits": None}}, "variables.visits must be a text, not NoneType"),
        ({"variables": {5: "visits"}}, "a name in variables must be a text, not int"),
        ({"variables": {"name": "\ud83d"}}, "variables.name: a text with half a surrogate pair cannot be sent"),
        ({"variables": ["visits"]}, "variables must be a mapping, not list"),
        ({"metadata": {"a": [Decimal(1)]}}, "metadata.a[0]: Decimal cannot be sent as JSON"),
        ({"metadata": {"a": float("nan")}}, "metadata.a: nan cannot be sent as JSON"),
        ({"metadata": {"a": "\ud83d"}}, "metadata.a: a text with half a surrogate pair cannot be sent"),
        ({"metadata": "ticket"}, "metadata must be a mapping, not str"),
        ({"metadata": None}, "metadata must be a mapping, not NoneType"),
    ],
)
def test_what_cannot_be_sent_names_the_contact_and_the_place(wrong: dict[str, Any], what: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Contact(**{**RIGHT, **wrong})
    assert str(caught.value) == f"contact 'ann +121******11': {what}"


@pytest.mark.parametrize("id", [7, "", None, "\ud83d"])
def test_an_id_is_a_text(id: Any) -> None:
    with pytest.raises(ConfigurationError, match="the id of a contact"):
        Contact(**{**RIGHT, "id": id})


@pytest.mark.parametrize("metadata", [{"due": date(2026, 1, 1), "of": (1, 2), 7: None}, {}])
def test_metadata_is_what_a_client_sends(metadata: Mapping[str, Any]) -> None:
    contact = Contact(**RIGHT, metadata=metadata)
    assert contact.metadata == ({"due": "2026-01-01", "of": [1, 2], 7: None} if metadata else {})
    assert case_from(case_text(Case(contact))).contact.metadata == ({"due": "2026-01-01", "of": [1, 2], "7": None} if metadata else {})


@pytest.mark.parametrize(("wrong", "what"), [({"priority": "5"}, "must be between .* not '5'"), ({"id": "a\0b"}, "without NUL")])
def test_priorities_are_numbers_and_ids_what_a_database_takes(wrong: dict[str, Any], what: str) -> None:
    with pytest.raises(ConfigurationError, match=what):
        Contact(**{**RIGHT, **wrong})
