"""Rows for other tools: JSON lines or CSV, streamed, without secrets; CSV cells cannot start a formula."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, TextIO

import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import (
    comparisons,
    corrections,
    drafts,
    messages,
    model_calls,
    moves,
    proposals,
    raw_messages,
    replies,
    reviews,
    second_reads,
    shadows,
    spend,
    tickets,
    triages,
    typed_texts,
    weekly_reports,
)
from pipeline.errors import InputError

FORMATS = ("jsonl", "csv")
CHUNK = 1000


@dataclass(frozen=True)
class What:
    """A table that can be exported: the time that `since` looks at, and the columns that stay here."""

    table: sa.Table
    since: sa.ColumnElement[datetime]
    kept_back: frozenset[str] = frozenset()

    @property
    def columns(self) -> list[sa.Column[Any]]:
        return [column for column in self.table.columns if column.name not in self.kept_back]


WHAT: dict[str, What] = {
    # who holds a ticket's reply token can write on it; leases are of no use to others
    "tickets": What(
        tickets,
        tickets.c.updated_at,
        frozenset({"reply_token", "lease_token", "lease_owner", "lease_until", "due_at", "attempts"}),
    ),
    "messages": What(messages, messages.c.received_at, frozenset({"html", "fingerprint", "body_hash"})),
    # without the bytes: what is in quarantine is nobody's to read elsewhere
    "raw": What(raw_messages, raw_messages.c.received_at, frozenset({"body", "sha256"})),
    "triages": What(triages, triages.c.created_at),
    "corrections": What(corrections, corrections.c.at),
    "shadows": What(shadows, shadows.c.created_at),
    "drafts": What(drafts, sa.func.coalesce(drafts.c.superseded_at, drafts.c.created_at)),
    # which of two drafts was preferred, blind: their texts and models are rows of "drafts"
    "comparisons": What(comparisons, sa.func.coalesce(comparisons.c.chosen_at, comparisons.c.created_at)),
    "reviews": What(reviews, sa.func.coalesce(reviews.c.decided_at, reviews.c.opened_at)),
    "second_reads": What(second_reads, sa.func.coalesce(second_reads.c.read_at, second_reads.c.asked_at)),
    # that something was typed and not sent, not what: it was meant for nobody yet
    "typed": What(typed_texts, typed_texts.c.saved_at, frozenset({"text"})),
    "replies": What(replies, sa.func.coalesce(replies.c.sent_at, replies.c.created_at)),
    "calls": What(model_calls, model_calls.c.started_at),
    "spend": What(spend, spend.c.updated_at),
    "proposals": What(proposals, sa.func.coalesce(proposals.c.decided_at, proposals.c.created_at)),
    "reports": What(weekly_reports, weekly_reports.c.made_at, frozenset({"document"})),
    "moves": What(moves, moves.c.at),
}


def export(
    store: Store,
    what: str,
    since: datetime | None,
    format: str,
    out: TextIO,
    *,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Write the rows to `out`, oldest first, and return how many. Raises `InputError` for an unknown name.

    Money is exact decimal text, times are ISO 8601 in UTC, lists and objects JSON (in a CSV cell too).
    `progress` is called with the rows written so far.
    """
    if what not in WHAT:
        raise InputError(f"{what!r} cannot be exported; there are {', '.join(WHAT)}")
    if format not in FORMATS:
        raise InputError(f"{format!r} is not a format of the export; there are {', '.join(FORMATS)}")
    names = [column.name for column in WHAT[what].columns]
    writer = csv.writer(out, lineterminator="\r\n")
    if format == "csv":
        writer.writerow(names)
    count = 0
    for row in rows(store, WHAT[what], since):
        values = [plain(value) for value in row]
        if format == "csv":
            writer.writerow([safe_cell(value) for value in values])
        else:
            out.write(json.dumps(dict(zip(names, values, strict=True)), ensure_ascii=False) + "\n")
        count += 1
        if progress is not None and count % CHUNK == 0:
            progress(count)
    return count


def rows(store: Store, what: What, since: datetime | None) -> Iterator[sa.Row[Any]]:
    """All rows in the order of their keys, a chunk at a time from the server."""
    query = sa.select(*what.columns).order_by(*what.table.primary_key.columns)
    if since is not None:
        query = query.where(what.since >= since)
    with store.read() as connection:
        yield from connection.execution_options(yield_per=CHUNK).execute(query)


def plain(value: Any) -> Any:
    """A column's value as JSON keeps it."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def safe_cell(value: Any) -> Any:
    """A CSV cell that a spreadsheet shows and does not run: text that could begin a formula gets a quote
    before it (OWASP, CSV injection). Numbers stay numbers."""
    if isinstance(value, dict | list):
        value = json.dumps(value, ensure_ascii=False)
    if isinstance(value, str):
        value = value.replace("\0", "")
        risky = value[:1] in ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
        return f"'{value}" if risky and not _number(value) else value
    return value


def _number(text: str) -> bool:
    return text.lstrip("-").replace(".", "", 1).isdecimal() and text.isascii()
