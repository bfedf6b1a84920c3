"""What an update made comes into its place whole or not at all, whatever happens on the way."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from codegen.document import Refused
from codegen.generate import contents
from codegen.revisions.swap import REPLACED, recover, swap, workshop


@pytest.fixture
def root(tmp_path: Path) -> Path:
    filled(tmp_path, "old")
    return tmp_path


def filled(root: Path, text: str) -> Path:
    for name in REPLACED:
        path = root / name if "." in name else root / name / "a.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def texts(root: Path) -> set[str]:
    return {path.read_text() for name in REPLACED for path in (root / name, *(root / name).rglob("*.py")) if path.is_file()}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("after", [1, 2, 7])
def test_a_signal_waits_until_all_is_in_its_place(root: Path, number: int, after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    caught: list[int] = []
    former = signal.signal(number, lambda got, _: caught.append(got))
    rename, count = Path.rename, iter(range(1, 100))

    def disturbed(path: Path, target: Path) -> Path:
        if next(count) == after:
            os.kill(os.getpid(), number)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", disturbed)
    try:
        with workshop(root) as folder:
            swap(filled(folder / "new", "new"), root, folder / "old")
    finally:
        signal.signal(number, former)
    assert (caught, texts(root)) == ([number], {"new"})
    assert not [*root.glob(".spec-update-*")]


def killed(root: Path, moved: int) -> Path:
    """The folder of an update that ended after so many of its steps."""
    folder, rename, count = root / ".spec-update-x", Path.rename, iter(range(100))
    filled(folder / "new", "new")

    def dying(path: Path, target: Path) -> Path:
        if next(count) == moved:
            raise KeyboardInterrupt
        return rename(path, target)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Path, "rename", dying)
        with pytest.raises(KeyboardInterrupt):
            swap(folder / "new", root, folder / "old")
    return folder


@pytest.mark.parametrize("moved", [0, 1, 2, 5, len(REPLACED) * 2 - 1])
def test_what_a_killed_update_left_half_done_is_put_back(root: Path, moved: int) -> None:
    folder = killed(root, moved)
    assert "what was there before is back" in recover(root)[0]
    assert (texts(root), folder.exists()) == ({"old"}, False)
    assert recover(root) == []


@pytest.mark.parametrize("name", ["CHANGELOG.md", "retell_async/raw/a.py", "retell_async/raw/mine.py"])
@pytest.mark.parametrize("repaired", [False, True])
def test_what_was_worked_on_since_is_not_put_back(root: Path, name: str, repaired: bool) -> None:
    folder = killed(root, len(REPLACED) * 2 - 1)
    if repaired:
        filled(root, "old")
    (root / name).write_text("my own")
    before, kept = contents(root, REPLACED), contents(folder / "old", REPLACED)
    with pytest.raises(Refused) as refused:
        recover(root)
    assert f"{name.removesuffix('/a.py').removesuffix('/mine.py')} is neither" in str(refused.value)
    assert (contents(root, REPLACED), contents(folder / "old", REPLACED)) == (before, kept)


def test_a_tree_that_git_repaired_is_left_as_it_is(root: Path) -> None:
    folder = killed(root, 5)
    filled(root, "old")
    recover(root)
    assert (texts(root), folder.exists()) == ({"old"}, False)


def test_what_was_cut_off_before_is_told_and_what_is_done_is_cleaned_up(root: Path) -> None:
    begun, done = root / ".spec-update-a", root / ".spec-update-b"
    filled(begun / "new", "new")
    filled(done / "old", "older")
    assert [told.partition(" ")[0] for told in recover(root)] == [".spec-update-a"]
    assert (texts(root), begun.exists(), done.exists()) == ({"old"}, True, False)


def test_every_edit_is_seen(root: Path) -> None:
    before = contents(root, REPLACED)
    (root / "retell_async" / "raw" / "a.py").write_text("other")
    assert {name for name, _ in before.items() ^ contents(root, REPLACED).items()} == {str(Path("retell_async/raw/a.py"))}
