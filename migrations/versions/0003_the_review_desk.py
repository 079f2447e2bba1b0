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
        "audit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "who", sa.Text(), nullable=False, comment="agent:EMAIL, operator (the command line), link, sso"
        ),
        sa.Column("what", sa.Text(), nullable=False, comment="see pipeline.review.audit"),
        sa.Column("about", sa.Text(), nullable=False, comment="the account's address"),
        sa.Column("detail", sa.Text(), nullable=False, comment="one plain line, no secret"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_index("ix_audit_about", "audit", ["about", "id"], unique=False)
    _only_append()
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
        sa.Column("instead", sa.Boolean(), nullable=False, comment="an answer without the draft"),
        sa.Column(
            "text",
            sa.Text(),
            nullable=False,
            comment="typed and not sent; a note once the review is superseded",
        ),
        sa.Column("saved_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["agent_id"], ["agents.id"], name=op.f("fk_typed_texts_agent_id")),
        sa.ForeignKeyConstraint(["review_id"], ["reviews.id"], name=op.f("fk_typed_texts_review_id")),
        sa.PrimaryKeyConstraint("review_id", "agent_id", "instead", name=op.f("pk_typed_texts")),
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
    for name in ("inbox", "topic", "language", "route"):
        op.add_column("reviews", sa.Column(name, sa.Text(), nullable=True))
    op.add_column(
        "reviews",
        sa.Column(
            "assignee_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            sa.ForeignKey("agents.id"),
            nullable=True,
        ),
        inline_references=True,
    )
    op.execute(
        "UPDATE reviews SET (urgency_order, inbox, topic, language, route, assignee_id) = "
        "(SELECT 3 - urgency_rank, tickets.inbox, tickets.topic, tickets.language, tickets.route, "
        "tickets.assignee_id FROM tickets WHERE tickets.id = reviews.ticket_id)"
    )
    op.create_index("ix_reviews_queue", "reviews", ["state", "urgency_order", "opened_at", "id"])
    for name in _FILTERS:
        _index_open(name, "urgency_order", "opened_at", "id")
    for name in _MARKS:
        _index_open(name)
    if op.get_bind().dialect.name == "postgresql":
        op.create_index("ix_tickets_words", "tickets", [sa.text(TICKET_WORDS)], postgresql_using="gin")
        op.create_index("ix_messages_words", "messages", [sa.text(MESSAGE_WORDS)], postgresql_using="gin")
        op.create_index("ix_triages_words", "triages", [sa.text(FIELD_WORDS)], postgresql_using="gin")


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.drop_index("ix_triages_words", table_name="triages")
        op.drop_index("ix_messages_words", table_name="messages")
        op.drop_index("ix_tickets_words", table_name="tickets")
    for name in (*_FILTERS, *_MARKS):
        op.drop_index(f"ix_reviews_open_{name}", table_name="reviews")
    op.drop_index("ix_reviews_queue", table_name="reviews")
    for name in ("inbox", "topic", "language", "route", "assignee_id"):
        op.drop_column("reviews", name)
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
    op.drop_index("ix_audit_about", table_name="audit")
    op.drop_table("audit")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION audit_is_append_only()")
    op.drop_table("agent_inboxes")
    op.drop_table("ways_out")


_JOINED = "@._-/+#:~=&<>?"
_WORDS = "to_tsvector('simple'::regconfig, translate(\"left\"({}, 20000), '{}', '{}'))"
TICKET_WORDS = _WORDS.format(
    "(((subject || ' ') || COALESCE(customer_name, '')) || ' ') || COALESCE(customer_address, '')",
    _JOINED,
    " " * len(_JOINED),
)
MESSAGE_WORDS = _WORDS.format("text", _JOINED, " " * len(_JOINED))
FIELD_WORDS = _WORDS.format(
    "jsonb_path_query_array(fields, '$.*[*].*'::jsonpath)::text", _JOINED, " " * len(_JOINED)
)
_FILTERS = ("inbox", "topic", "language", "route", "reason")
_MARKS = ("assignee_id", "claimed_by", "snoozed_until")


def _index_open(*columns: str) -> None:
    where = sa.text("state = 'open'")
    op.create_index(
        f"ix_reviews_open_{columns[0]}", "reviews", columns, sqlite_where=where, postgresql_where=where
    )


def _only_append() -> None:
    """The database itself refuses to change or delete an audit row."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'audit rows are append-only'; END $$"
        )
        op.execute(
            "CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
            "FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()"
        )
        return
    for change in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER audit_no_{change.lower()} BEFORE {change} ON audit "
            "BEGIN SELECT RAISE(ABORT, 'audit rows are append-only'); END"
        )
