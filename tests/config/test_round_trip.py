"""What an account holds becomes files, and the files the same account elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from retell_async.config import Config, report
from retell_async.config.kinds import FOLDERS
from retell_async.testing import LocalRetell

from .accounts import KEY, fill

pytestmark = pytest.mark.asyncio


def files(root: Path) -> Mapping[str, bytes]:
    """All files, the state aside."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.suffix != ".json"
    }


def stamps(root: Path) -> Mapping[Path, int]:
    return {path: path.stat().st_mtime_ns for path in root.rglob("*")}


async def move(local: LocalRetell, other: LocalRetell, root: Path, environment: str) -> None:
    """Bring what one account holds to another one, which has the voices and numbers."""
    async with local.client() as client:
        pulled = await Config(root, client, variables={}).pull()
        keys = dict(pulled.secrets)
        assert not pulled.conflicts
        assert (await Config(root, client, variables=keys).plan()).status == 0
    async with other.client() as client:
        config = Config(root, client, environment, variables=keys)
        plan = await config.plan()
        assert not plan.conflicts, report(plan)
        applied = await config.apply(plan)
        assert not applied.warnings
        await other.advance(10)
        again = await config.plan()
        assert again.status == 0, report(again)
        assert not again.kept


@pytest.mark.soak
@pytest.mark.parallel
async def test_everything_moves_to_an_empty_account_and_comes_back_the_same(tmp_path: Path) -> None:
    local, other, third = LocalRetell(), LocalRetell(), LocalRetell()
    await fill(local)
    for one in (other, third):
        async with one.client() as client:
            await client.voice.add_resource(provider_voice_id="elevenlabs_public_1", public_user_id="user_1", voice_name="Other")
            await client.voice.add_resource(provider_voice_id="elevenlabs_public_0", public_user_id="user_0", voice_name="Front desk")
            await client.phone_number.create(area_code=415, nickname="Main line")
    await move(local, other, tmp_path / "a", "other")
    await move(other, third, tmp_path / "b", "third")
    first, second = files(tmp_path / "a"), files(tmp_path / "b")
    assert {*FOLDERS, ".gitattributes", ".gitignore"} == {name.partition("/")[0] for name in first}
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []
    assert not any(KEY.encode() in content for content in first.values())


@pytest.mark.soak
@pytest.mark.parallel
async def test_a_second_pull_changes_nothing(tmp_path: Path) -> None:
    local = LocalRetell()
    await fill(local)
    async with local.client() as client:
        config = Config(tmp_path, client, variables={})
        await config.pull()
        state = (tmp_path / "retell.state.json").read_bytes()
        before = files(tmp_path)
        times = stamps(tmp_path)
        assert (await config.pull()).written == ()
        assert (files(tmp_path), (tmp_path / "retell.state.json").read_bytes()) == (before, state)
        assert stamps(tmp_path) == times
