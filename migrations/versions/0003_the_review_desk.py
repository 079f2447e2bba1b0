"""the review desk

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ways_out",
        sa.Column("inbox", sa.Text(), nullable=False),
        sa.Column(
            "disabled_at",
            sa.DateTime(timezone=True),
            nullable=True,
            comment="the receiver said 410: nothing is sent there any more",
        ),
        sa.Column("words", sa.Text(), nullable=True, comment="what the receiver last said"),
        sa.PrimaryKeyConstraint("inbox", name=op.f("pk_ways_out")),
    )
    op.create_table(
        "agent_inboxes",
        sa.Column("agent_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "inbox", sa.Text(), nullable=False, comment="an agent with any sees only these; with none, all"
        ),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_agent_inboxes_agent_id")),
        sa.PrimaryKeyConstraint("agent_id", "inbox", name=op.f("pk_agent_inboxes")),
    )
    op.create_table(
        "saved_views",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("agent_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("shared", sa.Boolean(), nullable=False, comment="everybody sees it"),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("query", sa.Text(), nullable=False, comment="the queue page's filters, as in its address"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_saved_views_agent_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saved_views")),
        sa.UniqueConstraint("agent_id", "name", name=op.f("uq_saved_views_agent_id_name")),
    )
    op.create_table(
        "mentions",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("ticket_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "agent_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            nullable=False,
            comment="who is called",
        ),
        sa.Column("by_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_mentions_agent_id")),
        sa.ForeignKeyConstraint(["by_id"], ["agents.id"], name=op.f("fk_mentions_by_id")),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"], name=op.f("fk_mentions_ticket_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mentions")),
    )
    op.create_index("ix_mentions_agent_id", "mentions", ["agent_id", "seen_at"], unique=False)

    op.create_table(
        "presences",
        sa.Column("ticket_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("agent_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "seen_at", sa.DateTime(timezone=True), nullable=False, comment="the last sign of an open page"
        ),
        sa.Column("typing", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_presences_agent_id")),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"], name=op.f("fk_presences_ticket_id")),
        sa.PrimaryKeyConstraint("ticket_id", "agent_id", name=op.f("pk_presences")),
    )
    op.create_table(
        "comparisons",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("ticket_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("left_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("right_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("asked_by", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "chosen_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            nullable=True,
            comment="null: neither, or not yet",
        ),
        sa.Column("chosen_by", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("chosen_at", sa.DateTime(timezone=True), nullable=True, comment="null: not yet decided"),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["asked_by"], ["agents.id"], name=op.f("fk_comparisons_asked_by")),
        sa.ForeignKeyConstraint(["chosen_by"], ["agents.id"], name=op.f("fk_comparisons_chosen_by")),
        sa.ForeignKeyConstraint(["chosen_id"], ["drafts.id"], name=op.f("fk_comparisons_chosen_id")),
        sa.ForeignKeyConstraint(["left_id"], ["drafts.id"], name=op.f("fk_comparisons_left_id")),
        sa.ForeignKeyConstraint(["right_id"], ["drafts.id"], name=op.f("fk_comparisons_right_id")),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"], name=op.f("fk_comparisons_ticket_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_comparisons")),
    )
    op.create_index("ix_comparisons_chosen_at", "comparisons", ["chosen_at"], unique=False)
    op.create_index("ix_comparisons_ticket_id", "comparisons", ["ticket_id"], unique=False)

    op.create_table(
        "typed_texts",
        sa.Column("review_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("agent_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column(
            "text",
            sa.Text(),
            nullable=False,
            comment="typed and not sent; a note once the review is superseded",
        ),
        sa.Column("saved_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_typed_texts_agent_id")),
        sa.ForeignKeyConstraint(["review_id"], ["reviews.id"], name=op.f("fk_typed_texts_review_id")),
        sa.PrimaryKeyConstraint("review_id", "agent_id", name=op.f("pk_typed_texts")),
    )
    op.add_column(
        "agents",
        sa.Column("zone", sa.Text(), nullable=True, comment="an IANA time zone; null: the installation's"),
    )
    op.add_column("agents", sa.Column("oidc_issuer", sa.Text(), nullable=True))
    op.add_column(
        "agents",
        sa.Column(
            "oidc_subject",
            sa.Text(),
            nullable=True,
            comment="with the issuer: who this is, whatever the address becomes",
        ),
    )
    op.add_column(
        "agents",
        sa.Column(
            "totp_secret",
            sa.Text(),
            nullable=True,
            comment="encrypted under TRIAGE_SECRET_KEY; null: no second factor",
        ),
    )
    op.add_column(
        "agents",
        sa.Column(
            "totp_confirmed_at", sa.DateTime(timezone=True), nullable=True, comment="null: not yet in force"
        ),
    )
    op.add_column(
        "agents", sa.Column("totp_last_step", sa.BigInteger(), nullable=True, comment="a code is good once")
    )
    op.create_index("uq_agents_oidc", "agents", ["oidc_issuer", "oidc_subject"], unique=True)

    op.add_column(
        "drafts",
        sa.Column(
            "asked_by",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            sa.ForeignKey("agents.id"),
            nullable=True,
            comment="null: the pipeline wrote it by itself",
        ),
        inline_references=True,
    )
    op.add_column(
        "drafts",
        sa.Column(
            "refines_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            sa.ForeignKey("drafts.id"),
            nullable=True,
            comment="the draft that this one polishes",
        ),
        inline_references=True,
    )

    op.add_column(
        "reviews",
        sa.Column(
            "urgency_order",
            sa.Integer(),
            server_default="2",
            nullable=False,
            comment="of the ticket, 0 critical .. 3 low: kept here for the queue's order",
        ),
    )
    op.add_column(
        "reviews",
        sa.Column(
            "snoozed_until", sa.DateTime(timezone=True), nullable=True, comment="out of the queue until then"
        ),
    )
    op.create_index("ix_reviews_queue", "reviews", ["state", "urgency_order", "opened_at", "id"])
    op.execute(
        "UPDATE reviews SET urgency_order = "
        "(SELECT 3 - tickets.urgency_rank FROM tickets WHERE tickets.id = reviews.ticket_id) "
        "WHERE state = 'open'"
    )


def downgrade() -> None:
    op.drop_index("ix_reviews_queue", table_name="reviews")
    op.drop_column("reviews", "snoozed_until")
    op.drop_column("reviews", "urgency_order")

    op.drop_column("drafts", "refines_id")
    op.drop_column("drafts", "asked_by")

    op.drop_index("uq_agents_oidc", table_name="agents")
    op.drop_column("agents", "totp_last_step")
    op.drop_column("agents", "totp_confirmed_at")
    op.drop_column("agents", "totp_secret")
    op.drop_column("agents", "oidc_subject")
    op.drop_column("agents", "oidc_issuer")
    op.drop_column("agents", "zone")

    op.drop_table("typed_texts")
    op.drop_index("ix_comparisons_ticket_id", table_name="comparisons")
    op.drop_index("ix_comparisons_chosen_at", table_name="comparisons")

    op.drop_table("comparisons")
    op.drop_table("presences")
    op.drop_index("ix_mentions_agent_id", table_name="mentions")

    op.drop_table("mentions")
    op.drop_table("saved_views")
    op.drop_table("agent_inboxes")
    op.drop_table("ways_out")
