"""Lists of numbers that are not called: read, and added to."""

from __future__ import annotations

from pathlib import Path

import pytest

from retell_async import ConfigurationError
from retell_async.campaigns import Contact, Number, Rules, Settings, plan, read_settings
from retell_async.campaigns.contacts import add_numbers, numbers_of, read_numbers

ANN, BOB = "+12125550111", "+14155550112"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, f"{ANN}\n{BOB}\n"),
        ("", f"{ANN}\n{BOB}\n"),
        ("+14155550100\n", f"+14155550100\n{ANN}\n{BOB}\n"),
        ("+14155550100", f"+14155550100\n{ANN}\n{BOB}\n"),  # the last line is not over
        ("(212) 555-0111\r\n", f"(212) 555-0111\r\n{BOB}\n"),  # is there, as people write it
        (f"{ANN}\n{BOB}\n", f"{ANN}\n{BOB}\n"),
        ("\ufeffid;number;note\n1;+14155550100;x\n", f"\ufeffid;number;note\n1;+14155550100;x\n;{ANN};\n;{BOB};\n"),
        ("number\n", f"number\n{ANN}\n{BOB}\n"),
        ("+14155550100\nnonsense\n", f"+14155550100\nnonsense\n{ANN}\n{BOB}\n"),  # what is wrong with it keeps nobody off it
    ],
)
def test_numbers_are_added_in_the_form_that_the_list_has(tmp_path: Path, before: str | None, after: str) -> None:
    path = tmp_path / "list.txt"
    if before is not None:
        path.write_bytes(before.encode())
    add_numbers(path, [ANN, BOB, ANN], "US")
    assert path.read_bytes().decode() == after
    add_numbers(path, [ANN, BOB], "US")
    assert path.read_bytes().decode() == after
    assert {ANN, BOB} <= read_numbers(path, "US")[0]


def test_a_list_that_cannot_be_read_or_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="UTF-8"):
        add_numbers(tmp_path / "list.txt", [ANN])
    with pytest.raises(ConfigurationError, match=r"nowhere.*No such file"):
        add_numbers(tmp_path / "nowhere" / "list.txt", [ANN])


def test_a_long_list_is_read_quickly_where_it_is_read_again_and_again(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("".join(f"+1{number}\n" for number in range(2_000_000_000, 2_000_020_000)) + "(212) 555-0111\n")
    assert len(read_numbers(path, "US", quick=True)[0]) == 20_001
    add_numbers(path, [ANN, BOB], "US")
    assert path.read_text().endswith(f"(212) 555-0111\n{BOB}\n")
    assert len(read_numbers(path, "US")[1]) == 20_000  # no such number can be in use


def test_what_is_wrong_with_a_list_is_named(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text(f"{ANN}\nnonsense\n{BOB}\n")
    assert read_numbers(path) == (
        frozenset((ANN, BOB)),
        [f"{path}, line 2: no telephone number: it has no country code, and no region is given"],
    )
    with pytest.raises(ConfigurationError, match="line 2"):
        numbers_of(path)


def test_the_list_of_a_file_of_rules_is_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rules").mkdir()
    path = tmp_path / "rules" / "rules.toml"
    path.write_text('numbers = ["+14155550100"]\nopt_outs = "list.txt"\nopt_out = "no_more_calls"\n')
    monkeypatch.chdir(tmp_path)
    settings = read_settings(path, {})
    assert settings.opt_outs == str(tmp_path / "rules" / "list.txt")
    assert settings.rules.opt_out == "no_more_calls"
    assert read_settings(path, {"opt_outs": "own.txt"}).opt_outs == str(tmp_path / "own.txt")  # as it is said at a terminal
    assert Settings(rules=Rules(numbers=[Number("+14155550100")])).opt_outs is None


@pytest.mark.parametrize("number", ["", "12125550111", "+1 212 555 0111", "+1212555011x", "+0212555", "+12125550111\n"])
def test_a_contact_has_a_number_that_lists_know(number: str) -> None:
    with pytest.raises(ConfigurationError, match=r"E\.164") as raised:
        Contact(id="ann", number=number, zones=("America/New_York",))
    assert "555011" not in str(raised.value)


def test_all_columns_of_numbers_of_a_list_are_read(tmp_path: Path) -> None:
    path = tmp_path / "numbers.csv"
    path.write_text(
        "name,phone,Mobile,Home Phone,phone_type,cell 2\nAnn,+12125550111,+12125550122,,mobile,+12125550144\nBob,,+12125550133,,,\n"
    )
    assert numbers_of(path) == {"+12125550111", "+12125550122", "+12125550133", "+12125550144"}
    path.write_text("name,phone,mobile\nAnn,+12125550111,soon\n")
    with pytest.raises(ConfigurationError, match="line 2"):
        numbers_of(path)
    path.write_text("name,phone,mobile\nAnn,,\n")
    with pytest.raises(ConfigurationError, match="line 2"):
        numbers_of(path)


def test_contacts_have_one_column_of_numbers(tmp_path: Path) -> None:
    path = tmp_path / "contacts.csv"
    path.write_text("name,phone,mobile\nAnn,+12125550111,+12125550122\n")
    with pytest.raises(ConfigurationError, match="'phone' and 'mobile' are both columns of numbers"):
        plan(path, Rules(numbers=[Number("+14155550100")]), 1.8e9, live=1)
