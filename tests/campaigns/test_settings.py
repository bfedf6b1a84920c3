"""Settings as a file has them: what is said of a wrong one, and what the guide says of each."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import attrs
import pytest

from retell_async import ConfigurationError
from retell_async.campaigns import Number, Rules, Settings, read_settings
from retell_async.campaigns.hours import ALWAYS

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "campaigns.md"
NUMBERS = {"numbers": ["+14155550100"]}


def usual() -> dict[str, Any]:
    """Each setting with its default."""
    fields: list[Any] = [*attrs.fields(Rules), *(field for field in attrs.fields(Settings) if field.name != "rules")]
    return {field.name: field.default for field in fields}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"hour": "9-17"}, "'hour': did you mean hours?"),
        ({"max_attempts": 3}, "'max_attempts': did you mean attempts?"),
        ({"per_second": 2}, "'per_second': it is said of a number: numbers = "),
        ({"per_number": 2}, "'per_number': it is said of a number: numbers = "),
        ({"numbers": [{"number": "+14155550100", "per_secnd": 2}]}, "numbers: there is no setting 'per_secnd': did you mean per_second?"),
        ({"numbers": [{"number": "+14155550100", "colour": 2}]}, "'colour': there are number, per_day, per_second"),
    ],
)
def test_a_setting_that_is_none_gets_a_hint(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        read_settings(None, {**NUMBERS, **wrong})
    assert said in str(raised.value)


def test_the_hint_has_all_settings_and_comes_before_what_else_is_missing() -> None:
    with pytest.raises(ConfigurationError) as raised:
        read_settings(None, {"colour": "red"})
    listed = str(raised.value).partition("there are ")[2].split(", ")
    assert set(listed) == set(usual())


def test_the_guide_says_of_each_setting_what_it_is_by_default() -> None:
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| (.*) \|$", GUIDE.read_text(encoding="utf-8").partition("| Setting |")[2], re.MULTILINE)
    said = {name: text for names, text in rows for name in re.findall(r"`(\w+)`", names)}
    assert set(said) >= set(usual())
    for name, default in usual().items():
        if isinstance(default, bool):
            assert f"`{str(default).lower()}` by default" in said[name]
        elif isinstance(default, int):
            assert f"{default} by default" in said[name]
        elif isinstance(default, str):
            assert f'`"{default}"` by default' in said[name]
        elif name not in {"numbers", "hours", "legal", "retries"}:  # of which it says more
            assert "by default" in said[name], name
    read = read_settings(None, NUMBERS)
    assert read == Settings(rules=Rules(numbers=[Number("+14155550100")]))
    assert read.rules.hours == ALWAYS
