"""Bringing a database to the tables of this version, by Alembic."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from ..._core.errors import ConfigurationError

__all__ = ["HEAD", "VERSIONS", "migrate", "version_of"]

HEAD = "4"
"""The version of the tables that this package has."""
VERSIONS = "retell_archive_version"
_LOCK = 0x7265_7465_6C6C


async def version_of(connection: AsyncConnection) -> str | None:
    """The version of the tables in a database; ``None`` if there are none yet."""
    if not await connection.run_sync(lambda sync: sa.inspect(sync).has_table(VERSIONS)):
        return None
    found: str | None = await connection.scalar(sa.text(f"SELECT version_num FROM {VERSIONS}"))  # noqa: S608 - a name of ours
    return found


async def migrate(connection: AsyncConnection) -> None:
    """Bring the tables to this version, in the transaction that goes on. Of several processes one does it.

    :raises ConfigurationError: they are of a newer version of this package.
    """
    if connection.dialect.name == "postgresql":
        await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
    found = await version_of(connection)
    if found == HEAD:
        return
    if found is not None and int(found) > int(HEAD):
        raise ConfigurationError(f"the archive is of a newer version of retell-async (its tables have version {found}, here it is {HEAD})")
    await connection.run_sync(_upgrade)


def _upgrade(connection: sa.Connection) -> None:
    try:
        from alembic.config import Config
        from alembic.runtime.environment import EnvironmentContext
        from alembic.script import ScriptDirectory
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{error.name} is missing: retell_async.archive needs `pip install 'retell-async[archive]'`", name=error.name
        ) from None
    config = Config()
    config.set_main_option("script_location", "retell_async.archive:migrations")
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)

    def steps(revision: Any, _: object) -> Any:
        return script._upgrade_revs(HEAD, revision)  # pyright: ignore[reportPrivateUsage] (as its own command does it)

    with EnvironmentContext(config, script, fn=steps, destination_rev=HEAD) as environment:
        environment.configure(connection=connection, version_table=VERSIONS, transactional_ddl=False)
        environment.run_migrations()
