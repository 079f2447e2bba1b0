"""what is kept: indexes for retention, and the row that holds sending after a restore

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_KEPT = sa.text("body IS NOT NULL")
_UNTRIMMED = sa.text("trimmed_at IS NULL OR trimmed_at < updated_at")


def upgrade() -> None:
    op.create_table(
        "sending",
        sa.Column(
            "id", sa.Integer(), autoincrement=False, nullable=False, comment="always 1: there is one row"
        ),
        sa.Column(
            "store",
            sa.Text(),
            nullable=False,
            comment="this database and no other, through dumps and restores",
        ),
        sa.Column(
            "era", sa.BigInteger(), nullable=False, comment="when sending was last released, in microseconds"
        ),
        sa.Column("turn", sa.BigInteger(), nullable=False, comment="raised before each attempt to send"),
        sa.Column(
            "beat_at",
            sa.DateTime(timezone=True),
            nullable=False,
            comment="when somebody last worked on this database",
        ),
        sa.Column("held_at", sa.DateTime(timezone=True), nullable=True, comment="null: replies go out"),
        sa.Column("held_why", sa.Text(), nullable=True),
        sa.Column(
            "held_by", sa.Text(), nullable=True, comment="agent:EMAIL, or null where it came about by itself"
        ),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("released_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sending")),
    )
    op.add_column(
        "tickets",
        sa.Column(
            "trimmed_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when retention took out what machines had said of it",
        ),
    )
    op.create_index(
        "ix_tickets_untrimmed",
        "tickets",
        ["updated_at", "id"],
        sqlite_where=_UNTRIMMED,
        postgresql_where=_UNTRIMMED,
    )
    op.create_index(
        "ix_raw_messages_kept",
        "raw_messages",
        ["received_at", "id"],
        sqlite_where=_KEPT,
        postgresql_where=_KEPT,
    )
    op.create_index("ix_messages_raw_id", "messages", ["raw_id"])
    op.create_index("ix_attachments_sha256", "attachments", ["sha256"])
    op.create_index("ix_presences_seen_at", "presences", ["seen_at"])


def downgrade() -> None:
    op.drop_index("ix_presences_seen_at", table_name="presences")
    op.drop_index("ix_attachments_sha256", table_name="attachments")
    op.drop_index("ix_messages_raw_id", table_name="messages")
    op.drop_index("ix_raw_messages_kept", table_name="raw_messages")
    op.drop_index("ix_tickets_untrimmed", table_name="tickets")
    op.drop_column("tickets", "trimmed_at")
    op.drop_table("sending")
