"""Every column that could hold somebody's words has a decision."""

from __future__ import annotations

import sqlalchemy as sa

from pipeline.db.tables import metadata
from pipeline.retention import columns


def test_every_text_column_is_erased_or_has_a_reason() -> None:
    assert columns.undecided() == []
    assert all(reason for free in columns.FREE.values() for reason in free.values())


def test_a_new_column_without_a_decision_is_found() -> None:
    table = metadata.tables["tickets"]
    new = sa.Column("mood_in_words", sa.Text)
    table.append_column(new)
    try:
        assert columns.undecided() == ["tickets.mood_in_words"]
    finally:
        table._columns.remove(new)  # the table has no other way to lose a column
    assert columns.undecided() == []
