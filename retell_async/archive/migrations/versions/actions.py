"""What a turn is to do that asks for a side effect is kept with how that ended."""

import sqlalchemy as sa
from alembic import op

revision = "4"
down_revision = "3"


def upgrade() -> None:
    op.add_column("retell_llm_effect", sa.Column("action", sa.Text()))
    op.add_column("retell_llm_effect", sa.Column("says_goodbye", sa.Boolean(), nullable=False, server_default=sa.false()))
