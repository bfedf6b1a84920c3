"""On Postgres, what is searched of what was said are its words alone, as they are asked for; links to sessions have their time."""

import time

import sqlalchemy as sa
from alembic import op

from retell_async.archive.queries.words import worded

revision = "3"
down_revision = "2"

_AT_A_TIME = 1000


def upgrade() -> None:
    connection = op.get_bind()
    op.add_column("retell_session", sa.Column("at_ms", sa.BigInteger()))
    connection.execute(sa.text("UPDATE retell_session SET at_ms = :now"), {"now": int(time.time() * 1000)})
    if connection.dialect.name != "postgresql":
        return
    rows = sa.text("SELECT id, text FROM retell_utterance WHERE id > :after ORDER BY id LIMIT :most")
    change = sa.text("UPDATE retell_utterance SET words = to_tsvector('simple', :worded) WHERE id = :id")
    after = -1
    while found := connection.execute(rows, {"after": after, "most": _AT_A_TIME}).all():
        connection.execute(change, [{"id": row.id, "worded": worded(row.text)} for row in found])
        after = found[-1].id
