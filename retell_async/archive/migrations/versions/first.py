"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "1"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "retell_archive",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "retell_conversation",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text()),
        sa.Column("direction", sa.Text()),
        sa.Column("agent_id", sa.Text()),
        sa.Column("agent_version", sa.BigInteger()),
        sa.Column("agent_name", sa.Text()),
        sa.Column("from_number", sa.Text()),
        sa.Column("to_number", sa.Text()),
        sa.Column("status", sa.Text()),
        sa.Column("reason", sa.Text()),
        sa.Column("error_code", sa.Text()),
        sa.Column("at_ms", sa.BigInteger()),
        sa.Column("started_ms", sa.BigInteger()),
        sa.Column("ended_ms", sa.BigInteger()),
        sa.Column("duration_ms", sa.BigInteger()),
        sa.Column("storage", sa.Text(), nullable=False),
        sa.Column("successful", sa.Boolean()),
        sa.Column("sentiment", sa.Text()),
        sa.Column("in_voicemail", sa.Boolean()),
        sa.Column("summary", sa.Text()),
        sa.Column("custom_analysis", sa.Text()),
        sa.Column("cost_cents", sa.Float(precision=53)),
        sa.Column("metadata", sa.Text()),
        sa.Column("stage", sa.Integer(), nullable=False),
        sa.Column("seen_ms", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("whole", sa.Boolean(), nullable=False),
        sa.Column("recheck_ms", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "retell_conversation_asked",
        "retell_conversation",
        [
            "at_ms",
            "kind",
            "stage",
            "direction",
            "agent_id",
            "reason",
            "error_code",
            "started_ms",
            "in_voicemail",
            "duration_ms",
            "cost_cents",
        ],
    )
    op.create_index("retell_conversation_ended", "retell_conversation", ["ended_ms"])
    op.create_index("retell_conversation_from", "retell_conversation", ["from_number"])
    op.create_index("retell_conversation_recheck", "retell_conversation", ["kind", "recheck_ms"])
    op.create_index("retell_conversation_to", "retell_conversation", ["to_number"])
    op.create_table(
        "retell_cost",
        sa.Column("conversation_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("product", sa.Text(), nullable=False),
        sa.Column("cents", sa.Float(precision=53), nullable=False),
        sa.Column("unit_price", sa.Float(precision=53)),
        sa.Column("transfer_leg", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("conversation_id", "position"),
    )
    op.create_table(
        "retell_delivery",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text()),
        sa.Column("until", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("retell_delivery_until", "retell_delivery", ["until"])
    op.create_table(
        "retell_erased",
        sa.Column("conversation_id", sa.Text(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("conversation_id"),
    )
    op.create_table(
        "retell_inbox",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("conversation_id", sa.Text()),
        sa.Column("received_at", sa.Float(precision=53), nullable=False),
        sa.Column("body", sa.Text()),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.Float(precision=53)),
        sa.Column("holder", sa.Text()),
        sa.Column("handled_at", sa.Float(precision=53)),
        sa.Column("error", sa.Text()),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("retell_inbox_due", "retell_inbox", ["due_at"])
    op.create_index("retell_inbox_of", "retell_inbox", ["conversation_id"])
    op.create_index("retell_inbox_state", "retell_inbox", ["state"])
    op.create_table(
        "retell_latency",
        sa.Column("conversation_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("p50", sa.Float(precision=53)),
        sa.Column("p90", sa.Float(precision=53)),
        sa.Column("p95", sa.Float(precision=53)),
        sa.Column("p99", sa.Float(precision=53)),
        sa.Column("min", sa.Float(precision=53)),
        sa.Column("max", sa.Float(precision=53)),
        sa.Column("num", sa.Float(precision=53)),
        sa.Column("agent_id", sa.Text()),
        sa.Column("bucket", sa.Integer()),
        sa.PrimaryKeyConstraint("conversation_id", "kind"),
    )
    op.create_index("retell_latency_bucket", "retell_latency", ["agent_id", "kind", "bucket", "p50", "max"])
    op.create_table(
        "retell_llm_effect",
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("result", sa.Text()),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("call_id", "key"),
    )
    op.create_table(
        "retell_llm_state",
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("claim", sa.Integer(), nullable=False),
        sa.Column("record", sa.Text()),
        sa.Column("changed_at", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("call_id"),
    )
    op.create_table(
        "retell_raw",
        sa.Column("conversation_id", sa.Text(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("conversation_id"),
    )
    op.create_table(
        "retell_session",
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("conversation_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("session_id", "conversation_id"),
    )
    op.create_index("retell_session_of", "retell_session", ["conversation_id"])
    op.create_table(
        "retell_sync",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("since_ms", sa.BigInteger()),
        sa.Column("began_ms", sa.BigInteger()),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("cursor", sa.Text()),
        sa.Column("holder", sa.Text()),
        sa.Column("lease_until", sa.Float(precision=53)),
        sa.PrimaryKeyConstraint("kind"),
    )
    op.create_table(
        "retell_tool_call",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("conversation_id", sa.Text()),
        sa.Column("tool_call_id", sa.Text()),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("arguments", sa.Text()),
        sa.Column("result", sa.Text()),
        sa.Column("error", sa.Text()),
        sa.Column("at_ms", sa.BigInteger()),
        sa.Column("second", sa.Float(precision=53)),
        sa.Column("duration_ms", sa.Float(precision=53)),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("retell_tool_call_asked", "retell_tool_call", ["name", "state", "duration_ms", "conversation_id"])
    op.create_index("retell_tool_call_of", "retell_tool_call", ["conversation_id", "tool_call_id"])
    op.create_table(
        "retell_utterance",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("conversation_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("second", sa.Float(precision=53)),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("retell_utterance_place", "retell_utterance", ["conversation_id", "position"], unique=True)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE retell_utterance ADD COLUMN words tsvector")
        op.execute("CREATE INDEX retell_utterance_words ON retell_utterance USING gin (words)")
        return
    # What is searched: the words alone, since the texts are in the table.
    op.execute(
        "CREATE VIRTUAL TABLE retell_utterance_words USING fts5"
        "(text, content='retell_utterance', content_rowid='id', tokenize=\"unicode61 remove_diacritics 2\")"
    )
    remove = "INSERT INTO retell_utterance_words (retell_utterance_words, rowid, text) VALUES ('delete', old.id, old.text);"
    add = "INSERT INTO retell_utterance_words (rowid, text) VALUES (new.id, new.text);"
    for name, when, what in (
        ("said", "INSERT", add),
        ("unsaid", "DELETE", remove),
        ("changed", "UPDATE OF text", remove + add),
    ):
        op.execute(f"CREATE TRIGGER retell_utterance_{name} AFTER {when} ON retell_utterance BEGIN {what} END")
