"""What a search in the queue finds: tickets by number, order number, subject, customer and text.

PostgreSQL looks words up in full-text indexes: whole words, the last one by its beginning, whatever stands
between them. SQLite, made for small stores, reads the texts and finds any piece of them.
"""

from __future__ import annotations

import re
from typing import Any

import sqlalchemy as sa

from pipeline.db.tables import FIELD_WORDS, MESSAGE_WORDS, TICKET_WORDS, messages, reviews, tickets, triages

_WORD = re.compile(r"[^\W_]+")
_LENGTH = 200


def matches(dialect: str, search: str) -> sa.ColumnElement[bool]:
    """The condition on a row of `reviews`; a search without any letter or digit finds nothing."""
    search = " ".join(search.split())[:_LENGTH]
    if not _WORD.search(search):
        return sa.false()
    bare = search.removeprefix("#")
    whole = search != bare  # a number with its sign is meant as it stands, not as a part of others
    if dialect == "postgresql":
        found: sa.ColumnElement[bool] = reviews.c.ticket_id.in_(_by_words(bare, whole))
    else:
        found = _by_pieces(search, bare)
    if whole and re.fullmatch(r"[0-9]{1,18}", bare):
        return sa.or_(reviews.c.ticket_id == int(bare), found)
    return found


def _by_words(search: str, whole: bool) -> sa.CompoundSelect[Any]:
    """The ids of the tickets; each part is one look-up in an index."""
    # all words, the last one perhaps typed half
    asked = sa.func.to_tsquery(
        sa.literal_column("'simple'::regconfig"), " & ".join(_WORD.findall(search)) + ("" if whole else ":*")
    )
    places = (
        (tickets.c.id, TICKET_WORDS),
        (messages.c.ticket_id, MESSAGE_WORDS),
        (triages.c.ticket_id, FIELD_WORDS),
    )
    return sa.union(
        *(sa.select(ticket_id).where(sa.literal_column(words).op("@@")(asked)) for ticket_id, words in places)
    )


def _by_pieces(search: str, bare: str) -> sa.ColumnElement[bool]:
    pattern = "%" + search.lower().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"

    def has(column: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
        return sa.func.lower(column).like(pattern, escape="\\")

    part = sa.func.json_tree(triages.c.fields).table_valued("key", "atom", name="part")
    of_ticket = sa.or_(has(tickets.c.subject), has(tickets.c.customer_name), has(tickets.c.customer_address))
    return sa.or_(
        sa.exists().where(tickets.c.id == reviews.c.ticket_id, of_ticket),
        sa.exists().where(messages.c.ticket_id == reviews.c.ticket_id, has(messages.c.text)),
        sa.exists()
        .select_from(triages.join(part, sa.true()))
        .where(
            triages.c.ticket_id == reviews.c.ticket_id,
            part.c.key.in_(("value", "normalised")),
            sa.or_(has(part.c.atom), sa.func.lower(part.c.atom) == bare.lower()),
        ),
    )
