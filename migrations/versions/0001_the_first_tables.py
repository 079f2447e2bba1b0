"""the first tables

Revision ID: 0001
Revises:
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "agents",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("email", sa.Text(), nullable=False, comment="lower-cased"),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False, comment="agent, lead or admin"),
        sa.Column("password_hash", sa.Text(), nullable=True, comment="argon2id; null: cannot log in yet"),
        sa.Column("api_token_hash", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agents")),
        sa.UniqueConstraint("api_token_hash", name=op.f("uq_agents_api_token_hash")),
        sa.UniqueConstraint("email", name=op.f("uq_agents_email")),
    )
    op.create_table(
        "blobs",
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_blobs")),
    )
    op.create_table(
        "imap_folders",
        sa.Column("inbox", sa.Text(), nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("uidvalidity", sa.BigInteger(), nullable=False),
        sa.Column(
            "watermark", sa.BigInteger(), nullable=False, comment="every UID up to it is taken or gone"
        ),
        sa.Column("last_ok_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("last_error_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("inbox", "folder", name=op.f("pk_imap_folders")),
    )
    op.create_table(
        "login_attempts",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ok", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_login_attempts")),
    )
    with op.batch_alter_table("login_attempts", schema=None) as batch_op:
        batch_op.create_index("ix_login_attempts_email", ["email", "at"], unique=False)

    op.create_table(
        "oauth_tokens",
        sa.Column("inbox", sa.Text(), nullable=False),
        sa.Column(
            "ciphertext",
            sa.Text(),
            nullable=False,
            comment="under TRIAGE_SECRET_KEY: see pipeline.db.oauth_tokens",
        ),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("inbox", name=op.f("pk_oauth_tokens")),
    )
    op.create_table(
        "raw_messages",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("inbox", sa.Text(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False, comment="rfc822, or the webhook adapter's name"),
        sa.Column("sha256", sa.Text(), nullable=False, comment="of body; the same bytes twice are one row"),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column(
            "body", sa.LargeBinary(), nullable=True, comment="as received; null once retention removed it"
        ),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.Text(), nullable=False, comment="stored, parsed, duplicate, quarantined"),
        sa.Column("reason", sa.Text(), nullable=True, comment="why it is quarantined or a duplicate"),
        sa.Column("verified", sa.Boolean(), nullable=False, comment="a webhook whose signature held"),
        sa.Column("attempts", sa.Integer(), nullable=False, comment="how often parsing was begun"),
        sa.Column("times_seen", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_raw_messages")),
        sa.UniqueConstraint("sha256", name=op.f("uq_raw_messages_sha256")),
    )
    with op.batch_alter_table("raw_messages", schema=None) as batch_op:
        batch_op.create_index("ix_raw_messages_state", ["state", "received_at"], unique=False)

    op.create_table(
        "spend",
        sa.Column(
            "scope",
            sa.Text(),
            nullable=False,
            comment="e.g. day:2026-11-23, task:draft:2026-11-23, ticket:12",
        ),
        sa.Column("spent_usd", sa.BigInteger(), nullable=False, comment="settled"),
        sa.Column(
            "reserved_usd", sa.BigInteger(), nullable=False, comment="calls under way, at their worst price"
        ),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("scope", name=op.f("pk_spend")),
    )
    op.create_table(
        "agent_sessions",
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("csrf_token", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_agent_sessions_agent_id")),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_agent_sessions")),
    )
    op.create_table(
        "imap_uids",
        sa.Column("inbox", sa.Text(), nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("uidvalidity", sa.BigInteger(), nullable=False),
        sa.Column("uid", sa.BigInteger(), nullable=False),
        sa.Column(
            "raw_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            nullable=True,
            comment="null: gone before it was fetched",
        ),
        sa.Column("taken_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["raw_id"], ["raw_messages.id"], name=op.f("fk_imap_uids_raw_id")),
        sa.PrimaryKeyConstraint("inbox", "folder", "uidvalidity", "uid", name=op.f("pk_imap_uids")),
    )
    op.create_table(
        "login_links",
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("agent_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False, comment="invite, reset or demo"),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_login_links_agent_id")),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_login_links")),
    )
    op.create_table(
        "tickets",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("inbox", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("customer_address", sa.Text(), nullable=True, comment="domain part lower-cased"),
        sa.Column("customer_name", sa.Text(), nullable=True),
        sa.Column("customer_verified", sa.Boolean(), nullable=False, comment="the inbox vouches for it"),
        sa.Column("reply_token", sa.Text(), nullable=False, comment="128 random bits, in our Reply-To"),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False, comment="raised by every change"),
        sa.Column("route", sa.Text(), nullable=True, comment="cheap, strong or human: the last decision"),
        sa.Column("decision", sa.Text(), nullable=True, comment="one sentence: why this route"),
        sa.Column("topic", sa.Text(), nullable=True),
        sa.Column("language", sa.Text(), nullable=True),
        sa.Column("urgency", sa.Text(), nullable=True),
        sa.Column("urgency_rank", sa.Integer(), nullable=False, comment="0 low .. 3 critical, for sorting"),
        sa.Column("emotion", sa.Text(), nullable=True),
        sa.Column("team", sa.Text(), nullable=True),
        sa.Column("assignee_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_message_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True, comment="null: at rest"),
        sa.Column("attempts", sa.Integer(), nullable=False, comment="starts of the present step"),
        sa.Column("lease_token", sa.Integer(), nullable=False, comment="the fence: raised by every claim"),
        sa.Column("lease_owner", sa.Text(), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "hinted_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when the sweeper last announced it",
        ),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["assignee_id"], ["agents.id"], name=op.f("fk_tickets_assignee_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tickets")),
        sa.UniqueConstraint("reply_token", name=op.f("uq_tickets_reply_token")),
    )
    with op.batch_alter_table("tickets", schema=None) as batch_op:
        batch_op.create_index("ix_tickets_created_at", ["created_at"], unique=False)
        batch_op.create_index("ix_tickets_customer_address", ["customer_address"], unique=False)
        batch_op.create_index("ix_tickets_due_at", ["due_at", "id"], unique=False)
        batch_op.create_index(
            "ix_tickets_lease_owner",
            ["lease_owner"],
            unique=False,
            sqlite_where=sa.text("lease_owner IS NOT NULL"),
            postgresql_where=sa.text("lease_owner IS NOT NULL"),
        )
        batch_op.create_index("ix_tickets_status", ["status", "urgency_rank", "id"], unique=False)

    op.create_table(
        "webhook_events",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("body_sha256", sa.Text(), nullable=False),
        sa.Column("raw_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("conflicts", sa.Integer(), nullable=False, comment="the same id with another body"),
        sa.ForeignKeyConstraint(["raw_id"], ["raw_messages.id"], name=op.f("fk_webhook_events_raw_id")),
        sa.PrimaryKeyConstraint("source", "event_id", name=op.f("pk_webhook_events")),
    )
    op.create_table(
        "account_facts",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("ticket_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("connector", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("fetched_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "facts",
            sa.JSON().with_variant(postgresql.JSONB(), "postgresql"),
            nullable=True,
            comment="see pipeline.accounts; null where the look-up failed",
        ),
        sa.Column("error", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"], name=op.f("fk_account_facts_ticket_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account_facts")),
    )
    with op.batch_alter_table("account_facts", schema=None) as batch_op:
        batch_op.create_index("ix_account_facts_ticket_id", ["ticket_id", "id"], unique=False)

    op.create_table(
        "messages",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("ticket_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("raw_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("inbox", sa.Text(), nullable=False),
        sa.Column("direction", sa.Text(), nullable=False, comment="inbound or outbound"),
        sa.Column(
            "kind", sa.Text(), nullable=False, comment="person, auto_reply, bounce, bulk; reply when outbound"
        ),
        sa.Column("kind_reason", sa.Text(), nullable=False),
        sa.Column(
            "message_id", sa.Text(), nullable=True, comment="without angle brackets; null if it had none"
        ),
        sa.Column("in_reply_to", sa.Text(), nullable=True),
        sa.Column("references", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("from_name", sa.Text(), nullable=True),
        sa.Column("from_address", sa.Text(), nullable=True),
        sa.Column("reply_to", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("to", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("cc", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True, comment="its own Date"),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("new_text", sa.Text(), nullable=False),
        sa.Column("html", sa.Text(), nullable=True, comment="sanitised"),
        sa.Column("verified", sa.Boolean(), nullable=False, comment="the inbox vouches for the sender"),
        sa.Column("verified_why", sa.Text(), nullable=False),
        sa.Column("body_hash", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False, comment="hash of Message-ID, From, body hash"),
        sa.Column("bounce", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=True),
        sa.Column("defects", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column(
            "flags",
            sa.JSON().with_variant(postgresql.JSONB(), "postgresql"),
            nullable=False,
            comment="e.g. subject_changed, unverified_token",
        ),
        sa.Column(
            "triaged_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="null: a person's inbound message that waits",
        ),
        sa.Column(
            "agent_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            nullable=True,
            comment="who approved an outbound one",
        ),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_messages_agent_id")),
        sa.ForeignKeyConstraint(["raw_id"], ["raw_messages.id"], name=op.f("fk_messages_raw_id")),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"], name=op.f("fk_messages_ticket_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_messages")),
        sa.UniqueConstraint("fingerprint", name=op.f("uq_messages_fingerprint")),
    )
    with op.batch_alter_table("messages", schema=None) as batch_op:
        batch_op.create_index("ix_messages_from_address", ["from_address", "received_at"], unique=False)
        batch_op.create_index("ix_messages_message_id", ["message_id"], unique=False)
        batch_op.create_index("ix_messages_received_at", ["received_at"], unique=False)
        batch_op.create_index("ix_messages_ticket_id", ["ticket_id", "id"], unique=False)

    op.create_table(
        "moves",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("ticket_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("from_status", sa.Text(), nullable=True),
        sa.Column("to_status", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False, comment="of the ticket after the move"),
        sa.Column("who", sa.Text(), nullable=False, comment="agent:EMAIL, or the step that did it"),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"], name=op.f("fk_moves_ticket_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_moves")),
    )
    with op.batch_alter_table("moves", schema=None) as batch_op:
        batch_op.create_index("ix_moves_at", ["at"], unique=False)
        batch_op.create_index("ix_moves_ticket_id", ["ticket_id", "id"], unique=False)

    op.create_table(
        "attachments",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("message_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("inline", sa.Boolean(), nullable=False),
        sa.Column("content_id", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name=op.f("fk_attachments_message_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attachments")),
    )
    with op.batch_alter_table("attachments", schema=None) as batch_op:
        batch_op.create_index("ix_attachments_message_id", ["message_id"], unique=False)

    op.create_table(
        "model_calls",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("ticket_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("message_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("route", sa.Text(), nullable=False, comment="cheap or strong"),
        sa.Column("attempt", sa.Integer(), nullable=False, comment="1, 2, ... within one answer wanted"),
        sa.Column("role", sa.Text(), nullable=False, comment="model, retry, repair, backup, safe_default"),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False, comment="its key in routes.toml"),
        sa.Column(
            "answered_by", sa.Text(), nullable=True, comment="the model name that the provider reported"
        ),
        sa.Column("tier", sa.Text(), nullable=False, comment="local, cheap, strong, template"),
        sa.Column("prompt", sa.Text(), nullable=False, comment="digest of the prompt file"),
        sa.Column("prompt_name", sa.Text(), nullable=False, comment="e.g. triage/cheap"),
        sa.Column(
            "agent_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            nullable=True,
            comment="who asked for it by hand",
        ),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("latency_ms", sa.Integer(), nullable=True),
        sa.Column("input_tokens", sa.Integer(), nullable=True),
        sa.Column("cached_input_tokens", sa.Integer(), nullable=True),
        sa.Column("cache_write_tokens", sa.Integer(), nullable=True),
        sa.Column("output_tokens", sa.Integer(), nullable=True),
        sa.Column("reserved_usd", sa.BigInteger(), nullable=False),
        sa.Column(
            "cost_usd",
            sa.BigInteger(),
            nullable=True,
            comment="null while under way; the worst price where usage is unknown",
        ),
        sa.Column("state", sa.Text(), nullable=False, comment="reserved, ok, failed, unknown, not_called"),
        sa.Column("error_kind", sa.Text(), nullable=True, comment="ModelError.kind, or budget"),
        sa.Column("error", sa.Text(), nullable=True, comment="no customer text"),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column(
            "scopes",
            sa.JSON().with_variant(postgresql.JSONB(), "postgresql"),
            nullable=False,
            comment="the caps that it was reserved in",
        ),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_model_calls_agent_id")),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name=op.f("fk_model_calls_message_id")),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"], name=op.f("fk_model_calls_ticket_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_calls")),
    )
    with op.batch_alter_table("model_calls", schema=None) as batch_op:
        batch_op.create_index("ix_model_calls_started_at", ["started_at"], unique=False)
        batch_op.create_index("ix_model_calls_state", ["state", "started_at"], unique=False)
        batch_op.create_index("ix_model_calls_ticket_id", ["ticket_id", "id"], unique=False)

    op.create_table(
        "drafts",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("ticket_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "message_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            nullable=False,
            comment="the one it answers",
        ),
        sa.Column("call_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("route", sa.Text(), nullable=False, comment="cheap or strong"),
        sa.Column("task", sa.Text(), nullable=False, comment="routine or draft"),
        sa.Column("source", sa.Text(), nullable=False, comment="model or template"),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("asks", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("claims", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column(
            "blocked",
            sa.JSON().with_variant(postgresql.JSONB(), "postgresql"),
            nullable=False,
            comment="why it may not be approved as it stands",
        ),
        sa.Column("cost_usd", sa.BigInteger(), nullable=False),
        sa.Column("latency_ms", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "superseded_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="a newer message made it stale",
        ),
        sa.ForeignKeyConstraint(["call_id"], ["model_calls.id"], name=op.f("fk_drafts_call_id")),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name=op.f("fk_drafts_message_id")),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"], name=op.f("fk_drafts_ticket_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drafts")),
    )
    with op.batch_alter_table("drafts", schema=None) as batch_op:
        batch_op.create_index("ix_drafts_created_at", ["created_at"], unique=False)
        batch_op.create_index("ix_drafts_superseded_at", ["superseded_at"], unique=False)
        batch_op.create_index("ix_drafts_ticket_id", ["ticket_id", "id"], unique=False)

    op.create_table(
        "triages",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("ticket_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("message_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("call_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("other_topics", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("urgency", sa.Text(), nullable=False),
        sa.Column("emotion", sa.Text(), nullable=False),
        sa.Column("clarity", sa.Text(), nullable=False),
        sa.Column("fields", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("checked", sa.Boolean(), nullable=False, comment="false: it failed its check twice"),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column(
            "reasons",
            sa.JSON().with_variant(postgresql.JSONB(), "postgresql"),
            nullable=False,
            comment="plain sentences",
        ),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["call_id"], ["model_calls.id"], name=op.f("fk_triages_call_id")),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], name=op.f("fk_triages_message_id")),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"], name=op.f("fk_triages_ticket_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_triages")),
        sa.UniqueConstraint("message_id", name=op.f("uq_triages_message_id")),
    )
    with op.batch_alter_table("triages", schema=None) as batch_op:
        batch_op.create_index("ix_triages_created_at", ["created_at"], unique=False)
        batch_op.create_index("ix_triages_ticket_id", ["ticket_id", "id"], unique=False)

    op.create_table(
        "corrections",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("ticket_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("triage_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "field", sa.Text(), nullable=False, comment="topic, language, urgency, emotion, clarity, fields"
        ),
        sa.Column("old", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=True),
        sa.Column("new", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=True),
        sa.Column("by_kind", sa.Text(), nullable=False, comment="agent, model or check"),
        sa.Column("by_name", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"], name=op.f("fk_corrections_ticket_id")),
        sa.ForeignKeyConstraint(["triage_id"], ["triages.id"], name=op.f("fk_corrections_triage_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_corrections")),
    )
    with op.batch_alter_table("corrections", schema=None) as batch_op:
        batch_op.create_index("ix_corrections_at", ["at"], unique=False)
        batch_op.create_index("ix_corrections_ticket_id", ["ticket_id"], unique=False)

    op.create_table(
        "reviews",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("ticket_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "draft_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            nullable=True,
            comment="null: a failure to handle",
        ),
        sa.Column(
            "reason",
            sa.Text(),
            nullable=False,
            comment="draft, or what failed: see pipeline.db.reviews.REASONS",
        ),
        sa.Column("detail", sa.Text(), nullable=False, comment="one plain sentence"),
        sa.Column("state", sa.Text(), nullable=False, comment="open, decided or superseded"),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("first_viewed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("claimed_by", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("claimed_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_by", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column(
            "action", sa.Text(), nullable=True, comment="approve, edit, reject, replace, close, resend, sent"
        ),
        sa.Column("reject_reason", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("sent_text", sa.Text(), nullable=True, comment="the body that was approved"),
        sa.Column(
            "outcome", sa.Text(), nullable=True, comment="as_is .. unscorable: see pipeline.review.outcomes"
        ),
        sa.Column("outcome_why", sa.Text(), nullable=True, comment="for unscorable"),
        sa.Column(
            "edit_share", sa.Float(), nullable=True, comment="0..1; null where nothing could be compared"
        ),
        sa.Column("hter", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["claimed_by"], ["agents.id"], name=op.f("fk_reviews_claimed_by")),
        sa.ForeignKeyConstraint(["decided_by"], ["agents.id"], name=op.f("fk_reviews_decided_by")),
        sa.ForeignKeyConstraint(["draft_id"], ["drafts.id"], name=op.f("fk_reviews_draft_id")),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"], name=op.f("fk_reviews_ticket_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reviews")),
        sa.UniqueConstraint("draft_id", name=op.f("uq_reviews_draft_id")),
    )
    with op.batch_alter_table("reviews", schema=None) as batch_op:
        batch_op.create_index("ix_reviews_decided_at", ["decided_at"], unique=False)
        batch_op.create_index("ix_reviews_opened_at", ["opened_at"], unique=False)
        batch_op.create_index("ix_reviews_state", ["state", "opened_at", "id"], unique=False)
        batch_op.create_index("ix_reviews_ticket_id", ["ticket_id", "id"], unique=False)
        batch_op.create_index(
            "uq_reviews_open",
            ["ticket_id"],
            unique=True,
            sqlite_where=sa.text("state = 'open'"),
            postgresql_where=sa.text("state = 'open'"),
        )

    op.create_table(
        "replies",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("ticket_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("review_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "answers_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            nullable=False,
            comment="the customer's message",
        ),
        sa.Column("agent_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False, comment="fixed at approval, before any attempt"),
        sa.Column("to_address", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("in_reply_to", sa.Text(), nullable=True),
        sa.Column("references", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column(
            "state", sa.Text(), nullable=False, comment="waiting, sending, sent, failed, uncertain, withdrawn"
        ),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "sending_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when the attempt under way began",
        ),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("server_words", sa.Text(), nullable=True, comment="what the mail server last said"),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_replies_agent_id")),
        sa.ForeignKeyConstraint(["answers_id"], ["messages.id"], name=op.f("fk_replies_answers_id")),
        sa.ForeignKeyConstraint(["review_id"], ["reviews.id"], name=op.f("fk_replies_review_id")),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"], name=op.f("fk_replies_ticket_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_replies")),
        sa.UniqueConstraint("message_id", name=op.f("uq_replies_message_id")),
        sa.UniqueConstraint("review_id", name=op.f("uq_replies_review_id")),
    )
    with op.batch_alter_table("replies", schema=None) as batch_op:
        batch_op.create_index("ix_replies_state", ["state", "sent_at"], unique=False)
        batch_op.create_index("ix_replies_ticket_id", ["ticket_id", "id"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("replies", schema=None) as batch_op:
        batch_op.drop_index("ix_replies_ticket_id")
        batch_op.drop_index("ix_replies_state")

    op.drop_table("replies")
    with op.batch_alter_table("reviews", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_reviews_open",
            sqlite_where=sa.text("state = 'open'"),
            postgresql_where=sa.text("state = 'open'"),
        )
        batch_op.drop_index("ix_reviews_ticket_id")
        batch_op.drop_index("ix_reviews_state")
        batch_op.drop_index("ix_reviews_opened_at")
        batch_op.drop_index("ix_reviews_decided_at")

    op.drop_table("reviews")
    with op.batch_alter_table("corrections", schema=None) as batch_op:
        batch_op.drop_index("ix_corrections_ticket_id")
        batch_op.drop_index("ix_corrections_at")

    op.drop_table("corrections")
    with op.batch_alter_table("triages", schema=None) as batch_op:
        batch_op.drop_index("ix_triages_ticket_id")
        batch_op.drop_index("ix_triages_created_at")

    op.drop_table("triages")
    with op.batch_alter_table("drafts", schema=None) as batch_op:
        batch_op.drop_index("ix_drafts_ticket_id")
        batch_op.drop_index("ix_drafts_superseded_at")
        batch_op.drop_index("ix_drafts_created_at")

    op.drop_table("drafts")
    with op.batch_alter_table("model_calls", schema=None) as batch_op:
        batch_op.drop_index("ix_model_calls_ticket_id")
        batch_op.drop_index("ix_model_calls_state")
        batch_op.drop_index("ix_model_calls_started_at")

    op.drop_table("model_calls")
    with op.batch_alter_table("attachments", schema=None) as batch_op:
        batch_op.drop_index("ix_attachments_message_id")

    op.drop_table("attachments")
    with op.batch_alter_table("moves", schema=None) as batch_op:
        batch_op.drop_index("ix_moves_ticket_id")
        batch_op.drop_index("ix_moves_at")

    op.drop_table("moves")
    with op.batch_alter_table("messages", schema=None) as batch_op:
        batch_op.drop_index("ix_messages_ticket_id")
        batch_op.drop_index("ix_messages_received_at")
        batch_op.drop_index("ix_messages_message_id")
        batch_op.drop_index("ix_messages_from_address")

    op.drop_table("messages")
    with op.batch_alter_table("account_facts", schema=None) as batch_op:
        batch_op.drop_index("ix_account_facts_ticket_id")

    op.drop_table("account_facts")
    op.drop_table("webhook_events")
    with op.batch_alter_table("tickets", schema=None) as batch_op:
        batch_op.drop_index("ix_tickets_status")
        batch_op.drop_index(
            "ix_tickets_lease_owner",
            sqlite_where=sa.text("lease_owner IS NOT NULL"),
            postgresql_where=sa.text("lease_owner IS NOT NULL"),
        )
        batch_op.drop_index("ix_tickets_due_at")
        batch_op.drop_index("ix_tickets_customer_address")
        batch_op.drop_index("ix_tickets_created_at")

    op.drop_table("tickets")
    op.drop_table("login_links")
    op.drop_table("imap_uids")
    op.drop_table("agent_sessions")
    op.drop_table("spend")
    with op.batch_alter_table("raw_messages", schema=None) as batch_op:
        batch_op.drop_index("ix_raw_messages_state")

    op.drop_table("raw_messages")
    op.drop_table("oauth_tokens")
    with op.batch_alter_table("login_attempts", schema=None) as batch_op:
        batch_op.drop_index("ix_login_attempts_email")

    op.drop_table("login_attempts")
    op.drop_table("imap_folders")
    op.drop_table("blobs")
    op.drop_table("agents")
