"""What an archive on Postgres has to do itself, on a real one."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa

from retell_async import ConfigurationError, webhooks
from retell_async.archive import Archive
from retell_async.archive.migrations import VERSIONS

from ..campaigns.durable.test_postgres import address as address  # noqa: PLC0414 - a fixture

pytestmark = [
    pytest.mark.soak,
    pytest.mark.asyncio,
    pytest.mark.needs("signals"),
    pytest.mark.filterwarnings("ignore:XDG_RUNTIME_DIR is not set"),  # where the package that carries Postgres looks
]

SAID = "Mail Ann@example.com or call 415-555-0123 on 2026-11-27: A-1234 and/or covid-19 costs $1,249.99 and half/30"
ASKED = (
    *("ann@example.com", "415-555-0123", "555-0123", "2026-11-27", "A-1234", "and/or", "covid-19", "$1,249.99", "249.99"),
    *("ann", "example", "555", "1234", "30"),
)


async def test_what_was_said_is_found_as_it_was_said(address: str) -> None:
    call = {"call_id": "call_1", "call_status": "ended", "end_timestamp": 1, "transcript_object": [{"role": "user", "content": SAID}]}
    async with Archive(address) as archive:
        await archive.inbox.put(webhooks.parse_event(json.dumps({"event": "call_ended", "call": call})))
        await archive.drain()
        assert [asked for asked in ASKED if not await archive.search(asked)] == []
        async with archive.database.write() as connection:  # as the version before this one had it
            await connection.execute(sa.text("UPDATE retell_utterance SET words = to_tsvector('simple', lower(text))"))
            await connection.execute(sa.text("ALTER TABLE retell_session DROP COLUMN at_ms"))
            await connection.execute(sa.text("ALTER TABLE retell_llm_effect DROP COLUMN action, DROP COLUMN says_goodbye"))
            await connection.execute(sa.text(f"UPDATE {VERSIONS} SET version_num = '2'"))
        assert [asked for asked in ASKED if not await archive.search(asked)] != []
    async with Archive(address) as archive:
        assert [asked for asked in ASKED if not await archive.search(asked)] == []


async def test_ids_that_no_database_takes_are_those_of_nothing(address: str) -> None:
    async with Archive(address) as archive:
        for id in ("call\0", "call\ud800"):
            assert await archive.record(id) is None
            assert await archive.raw(id) is None
            await archive.link("order-1", id)
            assert await archive.sessions_of(id) == ["order-1"]
            assert await archive.view("cost", agent_id=id) == []
            assert await archive.search("hello", agent_id=id, role=id) == []
            assert await archive.retry(id) == 0


async def test_a_very_long_text_is_kept_and_its_beginning_is_searched(address: str) -> None:
    said = " ".join(chr(0x20000 + number % 40_000) + f"{number:x}" for number in range(300_000))  # four bytes each letter
    call = {"call_id": "call_1", "call_status": "ended", "end_timestamp": 1, "transcript_object": [{"role": "user", "content": said}]}
    async with Archive(address) as archive:
        await archive.inbox.put(webhooks.parse_event(json.dumps({"event": "call_ended", "call": call})))
        await archive.drain()
        assert (await archive.raw("call_1") or {})["transcript_object"][0]["content"] == said
        assert await archive.search(said.split()[100])


async def test_what_a_role_may_not_do_is_one_error(address: str) -> None:
    async with Archive(address) as archive, archive.database.write() as connection:
        await connection.execute(sa.text("CREATE ROLE low LOGIN PASSWORD 'x'"))
    low = address.replace("postgres:@", "low:x@")
    with pytest.raises(ConfigurationError, match=r"permission denied for table \w+: the role in the address lacks this privilege"):
        async with Archive(low):
            pass
