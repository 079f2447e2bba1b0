"""a queue of a million: a row's team beside it, indexes that hold every filter, attempts by address

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_FILTERS = ("inbox", "topic", "language", "route", "reason", "team")
_ORDER = ("urgency_order", "opened_at", "id")


def upgrade() -> None:
    for name in ("queue", *(f"open_{name}" for name in (*_FILTERS[:-1], "assignee_id")), "decided_at"):
        op.drop_index(f"ix_reviews_{name}", table_name="reviews")
    op.add_column("reviews", sa.Column("team", sa.Text(), nullable=True))
    op.execute(
        "UPDATE reviews SET team = (SELECT tickets.team FROM tickets WHERE tickets.id = reviews.ticket_id) "
        "WHERE ticket_id IN (SELECT id FROM tickets WHERE team IS NOT NULL)"
    )
    for first in ((), *((name,) for name in _FILTERS)):
        carried = [*(name for name in _FILTERS if name not in first), "snoozed_until"]
        _index_open(*first, *_ORDER, carried=carried)
    _index_open("assignee_id", *_ORDER)
    decided = sa.text("decided_at IS NOT NULL")
    op.create_index(
        "ix_reviews_decided_at",
        "reviews",
        ["decided_at", "id"],
        sqlite_where=decided,
        postgresql_where=decided,
        postgresql_include=["state", "urgency_order", *_FILTERS],
    )
    op.create_index("ix_login_attempts_address", "login_attempts", ["address", "at"])
    op.create_index("ix_login_attempts_at", "login_attempts", ["at"])


def downgrade() -> None:
    op.drop_index("ix_login_attempts_at", table_name="login_attempts")
    op.drop_index("ix_login_attempts_address", table_name="login_attempts")
    for name in (
        "open_urgency_order",
        *(f"open_{name}" for name in (*_FILTERS, "assignee_id")),
        "decided_at",
    ):
        op.drop_index(f"ix_reviews_{name}", table_name="reviews")
    op.drop_column("reviews", "team")
    op.create_index("ix_reviews_queue", "reviews", ["state", *_ORDER])
    for name in _FILTERS[:-1]:
        _index_open(name, *_ORDER)
    _index_open("assignee_id")
    op.create_index("ix_reviews_decided_at", "reviews", ["decided_at"])


def _index_open(*columns: str, carried: list[str] | None = None) -> None:
    where = sa.text("state = 'open'")
    op.create_index(
        f"ix_reviews_open_{columns[0]}",
        "reviews",
        columns,
        sqlite_where=where,
        postgresql_where=where,
        postgresql_include=carried or [],
    )
