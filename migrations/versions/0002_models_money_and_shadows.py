"""models money and shadows

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


# Plain ADD COLUMN throughout: SQLite's way round it, a copy of the table, would drop a table that others
# refer to. What is new is nullable or has a default, so that workers of the release before go on.


def upgrade() -> None:
    op.create_table(
        "model_states",
        sa.Column(
            "model", sa.Text(), nullable=False, comment="provider and key of routes.toml: openai/gpt-6-luna"
        ),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False, comment="outages in a row"),
        sa.Column("opened", sa.Integer(), server_default="0", nullable=False, comment="openings in a row"),
        sa.Column(
            "open_until",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="no call before then; after it one probe",
        ),
        sa.Column(
            "probe_until",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="somebody probes; nobody else calls before then",
        ),
        sa.Column("last_kind", sa.Text(), nullable=True, comment="what opened it: ModelError.kind"),
        sa.Column(
            "next_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when the next call may begin under the rate limit",
        ),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("model", name=op.f("pk_model_states")),
    )
    op.create_table(
        "shadows",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("ticket_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("triage_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("call_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("topic", sa.Text(), nullable=False, comment="as the strong model read it"),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column(
            "route", sa.Text(), nullable=False, comment="what the rule makes of the strong model's reading"
        ),
        sa.Column("reasons", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("missed", sa.Boolean(), nullable=False, comment="it should have been escalated"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["call_id"], ["model_calls.id"], name=op.f("fk_shadows_call_id")),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"], name=op.f("fk_shadows_ticket_id")),
        sa.ForeignKeyConstraint(["triage_id"], ["triages.id"], name=op.f("fk_shadows_triage_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shadows")),
        sa.UniqueConstraint("triage_id", name=op.f("uq_shadows_triage_id")),
    )
    op.create_index("ix_shadows_created_at", "shadows", ["created_at"], unique=False)

    op.add_column(
        "drafts",
        sa.Column(
            "summarised",
            sa.Boolean(),
            server_default=sa.false(),
            nullable=False,
            comment="the model saw the older messages as a summary",
        ),
    )

    op.add_column(
        "spend",
        sa.Column(
            "limit_usd", sa.BigInteger(), nullable=True, comment="the cap as it stood at the last reservation"
        ),
    )
    op.add_column("spend", sa.Column("label", sa.Text(), nullable=True, comment="the cap in words"))
    op.add_column(
        "spend",
        sa.Column(
            "alarmed_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="when the share for an alarm was passed",
        ),
    )

    op.add_column(
        "tickets",
        sa.Column(
            "confirmed_by",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            sa.ForeignKey("agents.id"),
            nullable=True,
            comment="agreed that the next step may pass a cap",
        ),
        inline_references=True,
    )

    op.add_column(
        "triages",
        sa.Column(
            "stated", sa.Float(), nullable=True, comment="the model's own confidence, before calibration"
        ),
    )
    op.add_column(
        "triages",
        sa.Column(
            "certainty", sa.Float(), nullable=True, comment="of the label's tokens, where the API tells it"
        ),
    )
    op.add_column(
        "triages",
        sa.Column(
            "agreed", sa.Boolean(), nullable=True, comment="with the second reader; null: there was none"
        ),
    )
    op.add_column("triages", sa.Column("calibrated", sa.Boolean(), server_default=sa.false(), nullable=False))


def downgrade() -> None:
    op.drop_column("triages", "calibrated")
    op.drop_column("triages", "agreed")
    op.drop_column("triages", "certainty")
    op.drop_column("triages", "stated")

    op.drop_column("tickets", "confirmed_by")

    op.drop_column("spend", "alarmed_at")
    op.drop_column("spend", "label")
    op.drop_column("spend", "limit_usd")

    op.drop_column("drafts", "summarised")

    op.drop_index("ix_shadows_created_at", table_name="shadows")

    op.drop_table("shadows")
    op.drop_table("model_states")
