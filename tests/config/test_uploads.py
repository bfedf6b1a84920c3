"""A file of a knowledge base that was changed is uploaded again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from retell_async import AsyncRetell
from retell_async.config import Config, report
from retell_async.config.applying import OutOfDateError
from retell_async.testing import LocalRetell

from .test_pull import write

pytestmark = pytest.mark.asyncio
NAME = "knowledge_bases/faq"
PART = "document: prices.txt"


async def applied(local: LocalRetell, config: Config, text: str, **named: Any) -> list[str]:
    write(config.root, {f"{NAME}/prices.txt": text})
    done = (await config.apply(await config.plan(**named))).done
    await local.advance(100)
    return done


async def sizes(client: AsyncRetell) -> list[int]:
    (base,) = await client.knowledge_base.list()
    sources: list[Any] = [one.to_dict() for one in base.knowledge_base_sources or ()]
    return [one["file_size"] for one in sources]


async def test_a_file_that_was_changed(tmp_path: Path) -> None:
    local = LocalRetell()
    async with local.client() as client:
        write(tmp_path, {f"{NAME}.yaml": "knowledge_base_name: FAQ\nknowledge_base_files: [prices.txt]\n"})
        config = Config(tmp_path, client)
        assert (await config.plan()).conflicts == (
            f"{NAME}: '{PART}' is uploaded from {NAME}/prices.txt, which is not there: files do not come back from the API",
        )
        await applied(local, config, "10")
        assert (report(await config.plan()), await sizes(client)) == ("default: nothing to do", [2])
        write(tmp_path, {f"{NAME}/prices.txt": "2000"})
        assert f"    ~ {PART}: true -> " in report(await config.plan())
        assert await applied(local, config, "2000") == [f"updated {NAME}: {PART}"]
        assert (report(await config.plan()), await sizes(client)) == ("default: nothing to do", [4])
        assert (await config.pull()).written == ()
        (tmp_path / NAME / "prices.txt").unlink()
        assert (await config.plan()).status == 0  # as after a pull: what is there stays


async def test_a_file_that_goes_between_plan_and_apply(tmp_path: Path) -> None:
    local = LocalRetell()
    async with local.client() as client:
        write(tmp_path, {f"{NAME}.yaml": "knowledge_base_name: FAQ\nknowledge_base_files: [prices.txt]\n", f"{NAME}/prices.txt": "10"})
        config = Config(tmp_path, client)
        plan = await config.plan()
        (tmp_path / NAME / "prices.txt").unlink()
        with pytest.raises(OutOfDateError):
            await config.apply(plan)


async def test_a_file_of_which_the_account_counts(tmp_path: Path) -> None:
    local = LocalRetell()
    async with local.client() as client:
        write(tmp_path, {f"{NAME}.yaml": "knowledge_base_name: FAQ\nknowledge_base_files: [prices.txt]\n"})
        config = Config(tmp_path, client)
        await applied(local, config, "10")
        write(tmp_path, {f"{NAME}/prices.txt": "2000"})
        assert (await config.pull()).notes == (f"{NAME}: {PART} was edited in the file and is not applied: it stays",)
        assert (await config.plan()).status == 2
        pulled = await config.pull(overwrite=[NAME])
        assert [PART in note for note in pulled.notes] == [True]
        assert (await config.plan()).status == 0


async def test_a_text_that_somebody_wrote_into_the_file_moves_on_to_another_account(tmp_path: Path) -> None:
    local, other = LocalRetell(), LocalRetell()
    async with local.client() as client, other.client() as target:
        await client.knowledge_base.create(
            knowledge_base_name="FAQ",
            knowledge_base_texts=[{"title": "Prices", "text": "It costs 5."}],
            knowledge_base_files=[("prices.txt", b"10")],
        )
        await local.advance(100)
        write(tmp_path, {"environments/new.yaml": "variables: {}\n"})
        one, new = Config(tmp_path, client), Config(tmp_path, target, "new")
        await one.pull()
        file = tmp_path / f"{NAME}.yaml"
        file.write_text(file.read_text(encoding="utf-8").replace("title: Prices", "title: Prices\n    text: It costs 5."), encoding="utf-8")
        write(tmp_path, {f"{NAME}/prices.txt": "10"})
        assert (await one.plan()).status == 2
        pulled = await one.pull(overwrite=[NAME])
        assert sum("which does not show it" in note for note in pulled.notes) == 2
        assert "text: It costs 5." in file.read_text(encoding="utf-8")
        assert (await one.plan()).status == 0
        await new.apply(await one.promote(new))
        await other.advance(100)
        assert (await new.plan()).status == 0
        sources = [one.to_dict() for base in await target.knowledge_base.list() for one in base.knowledge_base_sources or ()]
        assert sorted(one["type"] for one in sources) == ["document", "text"]
