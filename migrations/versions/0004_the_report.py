"""the report

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "weekly_reports",
        sa.Column("week", sa.Text(), nullable=False, comment="2026-W47"),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "outcomes",
            sa.JSON().with_variant(postgresql.JSONB(), "postgresql"),
            nullable=False,
            comment="drafts by outcome, for the line of weeks",
        ),
        sa.Column(
            "document",
            sa.JSON().with_variant(postgresql.JSONB(), "postgresql"),
            nullable=False,
            comment="the report as in its JSON form, thresholds included",
        ),
        sa.PrimaryKeyConstraint("week", name=op.f("pk_weekly_reports")),
    )
    op.create_table(
        "proposals",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("key", sa.Text(), nullable=False, comment="what it is about: proposed once"),
        sa.Column("kind", sa.Text(), nullable=False, comment="fact, phrase, threshold or case"),
        sa.Column("title", sa.Text(), nullable=False, comment="one plain sentence"),
        sa.Column(
            "file", sa.Text(), nullable=False, comment="policy.md, routes.toml, prompts/draft/cases.jsonl ..."
        ),
        sa.Column(
            "content",
            sa.JSON().with_variant(postgresql.JSONB(), "postgresql"),
            nullable=False,
            comment="what would stand in the file",
        ),
        sa.Column(
            "evidence",
            sa.JSON().with_variant(postgresql.JSONB(), "postgresql"),
            nullable=False,
            comment="ids of the reviews that show it",
        ),
        sa.Column(
            "effect",
            sa.JSON().with_variant(postgresql.JSONB(), "postgresql"),
            nullable=False,
            comment="figures of the replay",
        ),
        sa.Column("week", sa.Text(), nullable=False, comment="whose edits it came out of"),
        sa.Column("state", sa.Text(), nullable=False, comment="open, approved or dismissed"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decided_by", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.ForeignKeyConstraint(["decided_by"], ["agents.id"], name=op.f("fk_proposals_decided_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_proposals")),
        sa.UniqueConstraint("key", name=op.f("uq_proposals_key")),
    )
    op.create_index("ix_proposals_state", "proposals", ["state", "id"], unique=False)

    op.create_table(
        "report_letters",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("week", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False, comment="fixed before the first attempt"),
        sa.Column("state", sa.Text(), nullable=False, comment="waiting, sending, sent, failed, uncertain"),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column(
            "due_at", sa.DateTime(timezone=True), nullable=True, comment="of the next attempt; null: none"
        ),
        sa.Column(
            "sending_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when the attempt under way began",
        ),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("server_words", sa.Text(), nullable=True, comment="what the mail server last said"),
        sa.ForeignKeyConstraint(["week"], ["weekly_reports.week"], name=op.f("fk_report_letters_week")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_report_letters")),
        sa.UniqueConstraint("message_id", name=op.f("uq_report_letters_message_id")),
        sa.UniqueConstraint("week", "address", name=op.f("uq_report_letters_week_address")),
    )
    op.create_index("ix_report_letters_state", "report_letters", ["state", "due_at"], unique=False)

    op.create_table(
        "second_reads",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("review_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("ticket_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "first_by",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            nullable=False,
            comment="never the second reader",
        ),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("read_by", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True, comment="null: not yet read"),
        sa.Column(
            "verdict",
            sa.Text(),
            nullable=True,
            comment="as_is, light, rewritten or rejected: what the second reader would do",
        ),
        sa.Column("note", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["first_by"], ["agents.id"], name=op.f("fk_second_reads_first_by")),
        sa.ForeignKeyConstraint(["read_by"], ["agents.id"], name=op.f("fk_second_reads_read_by")),
        sa.ForeignKeyConstraint(["review_id"], ["reviews.id"], name=op.f("fk_second_reads_review_id")),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"], name=op.f("fk_second_reads_ticket_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_second_reads")),
        sa.UniqueConstraint("review_id", name=op.f("uq_second_reads_review_id")),
    )
    op.create_index("ix_second_reads_asked_at", "second_reads", ["asked_at"], unique=False)
    op.create_index("ix_second_reads_read_at", "second_reads", ["read_at"], unique=False)

    op.create_index("ix_corrections_triage_id", "corrections", ["triage_id"], unique=False)

    op.add_column(
        "reviews",
        sa.Column(
            "escalated_for_nothing", sa.Boolean(), nullable=True, comment="the agent's mark on a strong draft"
        ),
    )

    if op.get_bind().dialect.name == "postgresql":  # SQLite keeps no comments
        op.execute(
            "COMMENT ON COLUMN reviews.action IS "
            "'approve, edit, reject, replace, close, spam, confirm, resend, sent'"
        )


def downgrade() -> None:
    op.drop_column("reviews", "escalated_for_nothing")

    op.drop_index("ix_corrections_triage_id", table_name="corrections")

    op.drop_index("ix_second_reads_read_at", table_name="second_reads")
    op.drop_index("ix_second_reads_asked_at", table_name="second_reads")

    op.drop_table("second_reads")
    op.drop_index("ix_report_letters_state", table_name="report_letters")

    op.drop_table("report_letters")
    op.drop_index("ix_proposals_state", table_name="proposals")

    op.drop_table("proposals")
    op.drop_table("weekly_reports")
