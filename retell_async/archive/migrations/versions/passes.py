"""What a pass of a sync looks at is kept with how far it has come."""

import sqlalchemy as sa
from alembic import op

revision = "2"
down_revision = "1"


def upgrade() -> None:
    op.add_column("retell_sync", sa.Column("is_full", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("retell_sync", sa.Column("from_ms", sa.BigInteger()))
    op.execute("UPDATE retell_sync SET began_ms = NULL, part = 0, cursor = NULL")  # of one that was cut off nobody knows what it looks at
