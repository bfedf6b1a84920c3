"""Cases and settings as JSON, as the database keeps them, and how what former versions wrote is brought up to date.

A change of what is written here, or of the tables, is another `FORMAT` and a `Step` in `STEPS`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from typing import Any

import attrs

from ..._core.errors import ConfigurationError
from ..case import Attempt, Case
from ..contact import Contact
from ..hours import Hours, Window
from ..numbers import Number
from ..rules import Retry, Rules
from ..settings import Settings

__all__ = ["FORMAT", "RANKS", "STEPS", "Step", "case_from", "case_text", "settings_from", "settings_text", "steps_from"]

Json = dict[str, Any]


def _same(said: Json) -> Json:
    return said


@attrs.frozen(kw_only=True)
class Step:
    """How what one format says is said by the next."""

    settings: Callable[[Json], Json] = _same
    case: Callable[[Json], Json] = _same
    tables: tuple[str, ...] = ()
    """Statements of SQL that change the tables, for SQLite and Postgres alike."""


RANKS = 4
"""By so much the priority of a contact is multiplied in its row, which has an order of its own for those of the same priority."""

FORMAT = 3
STEPS: dict[int, Step] = {
    1: Step(
        tables=(
            "ALTER TABLE retell_attempt ADD COLUMN ended_at DOUBLE PRECISION",
            "ALTER TABLE retell_attempt ADD COLUMN text VARCHAR",
        )
    ),
    2: Step(
        tables=(
            "UPDATE retell_contact SET priority = priority * 4",
            "UPDATE retell_contact SET priority = priority + 1 WHERE id IN (SELECT contact_id FROM retell_attempt)",
        )
    ),
}
"""The step from each former format to the next one."""


def steps_from(format: int) -> Iterator[Step]:
    """The steps from a format to that of this version.

    :raises ConfigurationError: a later version wrote it.
    """
    if format > FORMAT:
        raise ConfigurationError(f"this campaign was written by a later version of retell-async (format {format}, here {FORMAT}): upgrade")
    return (STEPS[each] for each in range(format, FORMAT))


def case_text(case: Case) -> str:
    """A case as text."""
    return json.dumps(
        {
            "contact": {
                **attrs.asdict(case.contact, recurse=False),
                "variables": dict(case.contact.variables),
                "metadata": dict(case.contact.metadata),
            },
            "attempts": [attrs.asdict(attempt) for attempt in case.attempts],
            "not_before": None if math.isinf(case.not_before) else case.not_before,
            "end": case.end,
            "earlier": case.earlier,
            "promised": case.promised,
        }
    )


def case_from(text: str) -> Case:
    """The case that was written in the format of this version."""
    said: Json = json.loads(text)
    contact: Json = {**said["contact"], "zones": tuple(said["contact"]["zones"])}
    attempts: list[Json] = said["attempts"]
    return Case(
        Contact(**contact),
        tuple(Attempt(**attempt) for attempt in attempts),
        math.inf if said["not_before"] is None else said["not_before"],
        said["end"],
        tuple(said.get("earlier", ())),  # which the first format had not
        said.get("promised", False),  # which the second one had not
    )


def settings_text(settings: Settings) -> str:
    """Settings as text."""
    rules = settings.rules
    return json.dumps(
        {
            **{field.name: getattr(settings, field.name) for field in attrs.fields(Settings) if field.name != "rules"},
            "rules": {
                **{field.name: getattr(rules, field.name) for field in attrs.fields(Rules)},
                "numbers": [attrs.asdict(number) for number in rules.numbers],
                "hours": [[sorted(window.days), window.start, window.end] for window in rules.hours.windows],
                "retries": {name: None if retry is None else attrs.asdict(retry) for name, retry in rules.retries.items()},
            },
        }
    )


def settings_from(text: str, format: int) -> Settings:
    """The settings that were written in a format.

    :raises ConfigurationError: a later version wrote them.
    """
    said: Json = json.loads(text)
    for step in steps_from(format):
        said = step.settings(said)
    rules: Json = said["rules"]
    rules["numbers"] = [Number(**number) for number in rules["numbers"]]
    rules["hours"] = Hours(tuple(Window(frozenset(days), start, end) for days, start, end in rules["hours"]))
    rules["retries"] = {name: None if retry is None else Retry(**retry) for name, retry in rules["retries"].items()}
    said |= {"required": tuple(said["required"]), "rules": Rules(**rules)}
    return Settings(**said)
