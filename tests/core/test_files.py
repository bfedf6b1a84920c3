"""Files that are written whole or not at all, and none that is read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from retell_async._core.errors import ConfigurationError
from retell_async._files import check_apart, of_database, replacing


@pytest.mark.needs("symlink")
def test_a_file_stays_until_the_other_one_is_whole(tmp_path: Path) -> None:
    path, link = tmp_path / "report.csv", tmp_path / "link.csv"
    path.write_text("old")
    path.chmod(0o640)
    link.symlink_to(path)

    def breaks_off() -> None:
        with replacing(link) as beside:
            beside.write_text("half")
            assert path.read_text() == "old"
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        breaks_off()
    assert path.read_text() == "old"
    with replacing(link) as beside:
        beside.write_text("new")
    assert (path.read_text(), link.is_symlink(), path.stat().st_mode & 0o777) == ("new", True, 0o640)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["link.csv", "report.csv"]


def test_a_pipe_is_written_itself(tmp_path: Path) -> None:
    reads, writes = os.pipe()
    with replacing(Path(f"/dev/fd/{writes}")) as place:
        place.write_text("said")
    assert os.read(reads, 10) == b"said"
    os.close(reads)
    os.close(writes)


@pytest.mark.parametrize("name", ["spring.db", "link.db", "hard.db", "./spring.db-wal", "spring.db-shm", "spring.db-run"])
@pytest.mark.needs("symlink")
def test_what_is_read_is_not_written(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("spring.db")
    path.write_text("")
    Path("link.db").symlink_to(path)
    Path("hard.db").hardlink_to(path)
    with pytest.raises(ConfigurationError, match=r"it would be overwritten, and it is read here \(.*\): write to another file"):
        check_apart(Path(name), of_database(path))
    check_apart(Path("spring.csv"), of_database(path))
    check_apart(Path(os.devnull), [Path(os.devnull)])
