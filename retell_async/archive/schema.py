"""The tables of an archive. A change here needs a migration: `tests/archive/test_migrations.py` compares both."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import TSVECTOR

__all__ = [
    "conversations",
    "costs",
    "deliveries",
    "effects",
    "erased",
    "inbox",
    "latencies",
    "metadata",
    "raw",
    "searched",
    "sessions",
    "settings",
    "states",
    "syncs",
    "tool_calls",
    "utterances",
]

metadata = sa.MetaData()

conversations = sa.Table(  # calls and chats
    "retell_conversation",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),  # call, chat
    sa.Column("channel", sa.Text),  # phone_call, web_call, api_chat, sms_chat
    sa.Column("direction", sa.Text),
    sa.Column("agent_id", sa.Text),
    sa.Column("agent_version", sa.BigInteger),
    sa.Column("agent_name", sa.Text),
    sa.Column("from_number", sa.Text),
    sa.Column("to_number", sa.Text),
    sa.Column("status", sa.Text),
    sa.Column("reason", sa.Text),  # why it was disconnected
    sa.Column("error_code", sa.Text),  # the reason, if it is an error
    sa.Column("at_ms", sa.BigInteger),  # its start, or else the first moment that is known of it
    sa.Column("started_ms", sa.BigInteger),
    sa.Column("ended_ms", sa.BigInteger),
    sa.Column("duration_ms", sa.BigInteger),
    sa.Column("storage", sa.Text, nullable=False),  # what of it may be kept
    sa.Column("successful", sa.Boolean),
    sa.Column("sentiment", sa.Text),
    sa.Column("in_voicemail", sa.Boolean),
    sa.Column("summary", sa.Text),
    sa.Column("custom_analysis", sa.Text),  # JSON
    sa.Column("cost_cents", sa.Float(53)),
    sa.Column("metadata", sa.Text),  # JSON
    sa.Column("stage", sa.Integer, nullable=False),  # how far it had come when it was seen: 0 registered, 1 ongoing, 2 over, 3 analysed
    sa.Column("seen_ms", sa.BigInteger, nullable=False),  # when that was
    sa.Column("source", sa.Text, nullable=False),  # event, list, read
    sa.Column("whole", sa.Boolean, nullable=False),  # whether it has, over, all that was said
    sa.Column("recheck_ms", sa.BigInteger),  # when the API is to be asked for its analysis again
    sa.Index(  # all that views need, so that they read nothing of the texts
        "retell_conversation_asked",
        *("at_ms", "kind", "stage", "direction", "agent_id", "reason", "error_code"),
        *("started_ms", "in_voicemail", "duration_ms", "cost_cents"),
    ),
    sa.Index("retell_conversation_ended", "ended_ms"),
    sa.Index("retell_conversation_recheck", "kind", "recheck_ms"),
    sa.Index("retell_conversation_from", "from_number"),
    sa.Index("retell_conversation_to", "to_number"),
)
raw = sa.Table(  # what the API said, as it said it: JSON
    "retell_raw",
    metadata,
    sa.Column("conversation_id", sa.Text, primary_key=True),
    sa.Column("data", sa.Text, nullable=False),
)
utterances = sa.Table(
    "retell_utterance",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("conversation_id", sa.Text, nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("second", sa.Float(53)),  # of the conversation, in which it began
    sa.Index("retell_utterance_place", "conversation_id", "position", unique=True),
)
searched = sa.table(
    utterances.name,
    *(sa.column(column.name, column.type) for column in utterances.columns),
    sa.column("words", TSVECTOR),
)
"""`utterances` on Postgres, which has what is searched in one more column; SQLite has a table of its own for it."""

tool_calls = sa.Table(
    "retell_tool_call",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("conversation_id", sa.Text),  # null where a function got its arguments alone
    sa.Column("tool_call_id", sa.Text),
    sa.Column("source", sa.Text, nullable=False),  # transcript, function, once
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),  # begun, done, failed
    sa.Column("arguments", sa.Text),  # JSON
    sa.Column("result", sa.Text),
    sa.Column("error", sa.Text),
    sa.Column("at_ms", sa.BigInteger),
    sa.Column("second", sa.Float(53)),
    sa.Column("duration_ms", sa.Float(53)),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Index("retell_tool_call_of", "conversation_id", "tool_call_id"),
    sa.Index("retell_tool_call_asked", "name", "state", "duration_ms", "conversation_id"),
)
costs = sa.Table(
    "retell_cost",
    metadata,
    sa.Column("conversation_id", sa.Text, primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("product", sa.Text, nullable=False),
    sa.Column("cents", sa.Float(53), nullable=False),
    sa.Column("unit_price", sa.Float(53)),
    sa.Column("transfer_leg", sa.Boolean, nullable=False),
)
latencies = sa.Table(  # in milliseconds
    "retell_latency",
    metadata,
    sa.Column("conversation_id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),  # e2e, llm, tts, ...
    *(sa.Column(name, sa.Float(53)) for name in ("p50", "p90", "p95", "p99", "min", "max", "num")),
    sa.Column("agent_id", sa.Text),
    sa.Column("bucket", sa.Integer),  # of the median, in steps of one percent
    sa.Index("retell_latency_bucket", "agent_id", "kind", "bucket", "p50", "max"),
)
sessions = sa.Table(  # the user's own ids
    "retell_session",
    metadata,
    sa.Column("session_id", sa.Text, primary_key=True),
    sa.Column("conversation_id", sa.Text, primary_key=True),
    sa.Column("at_ms", sa.BigInteger),  # when it was linked first
    sa.Index("retell_session_of", "conversation_id"),
)
inbox = sa.Table(
    "retell_inbox",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("conversation_id", sa.Text),
    sa.Column("received_at", sa.Float(53), nullable=False),
    sa.Column("body", sa.Text),  # JSON; null once it was handled
    sa.Column("state", sa.Text, nullable=False),  # waiting, running, done, failed
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("due_at", sa.Float(53)),  # when it may be taken: the lease, while it is running; null when it is done or failed
    sa.Column("holder", sa.Text),
    sa.Column("handled_at", sa.Float(53)),
    sa.Column("error", sa.Text),
    sa.Index("retell_inbox_due", "due_at"),
    sa.Index("retell_inbox_of", "conversation_id"),
    sa.Index("retell_inbox_state", "state"),
)
deliveries = sa.Table(  # claims of webhooks' routers
    "retell_delivery",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("holder", sa.Text),  # null when it is done
    sa.Column("until", sa.Float(53), nullable=False),
    sa.Index("retell_delivery_until", "until"),
)
states = sa.Table(  # of calls of a custom LLM
    "retell_llm_state",
    metadata,
    sa.Column("call_id", sa.Text, primary_key=True),
    sa.Column("claim", sa.Integer, nullable=False),
    sa.Column("record", sa.Text),
    sa.Column("changed_at", sa.Float(53), nullable=False),
)
effects = sa.Table(  # side effects of calls of a custom LLM
    "retell_llm_effect",
    metadata,
    sa.Column("call_id", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("result", sa.Text),
    sa.Column("error", sa.Text, nullable=False),
    sa.Column("action", sa.Text),
    sa.Column("says_goodbye", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("changed_at", sa.Float(53), nullable=False),
)
syncs = sa.Table(
    "retell_sync",
    metadata,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("since_ms", sa.BigInteger),  # what ended before that is known; null before the first pass is through
    sa.Column("began_ms", sa.BigInteger),  # when the pass that goes on was begun
    sa.Column("is_full", sa.Boolean, nullable=False, server_default=sa.false()),  # whether that pass looks at everything again
    sa.Column("from_ms", sa.BigInteger),  # what ended before that is not in that pass; null if everything is
    sa.Column("part", sa.Integer, nullable=False),  # of that pass
    sa.Column("cursor", sa.Text),  # the page to go on with
    sa.Column("holder", sa.Text),
    sa.Column("lease_until", sa.Float(53)),
)
erased = sa.Table(  # what must not come back
    "retell_erased",
    metadata,
    sa.Column("conversation_id", sa.Text, primary_key=True),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
)
settings = sa.Table(
    "retell_archive",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)
