"""One person's data as JSON lines, to be handed over or kept before it is erased."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from decimal import Decimal
from typing import Any, TextIO

import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import attachments, blobs, messages, raw_messages, tickets
from pipeline.retention import erasing
from pipeline.retention.forgetting import Whole

_KEPT_BACK = frozenset({"reply_token", "lease_token", "lease_owner", "lease_until"})


def write_out(store: Store, whole: Whole, out: TextIO) -> int:
    """Write every row of the person's as {"table": ..., column: ...}, attached files with their bytes, and return
    how many. Bytes are base64."""
    number = 0
    with store.read() as connection:
        parts: list[tuple[sa.Table, Any]] = []
        for ticket in whole.tickets:
            parts += [(tickets, tickets.c.id == ticket), *erasing.of_ticket(ticket)]
        for message in whole.messages:
            parts += [(messages, messages.c.id == message), *erasing.of_message(message)]
        parts += [(raw_messages, raw_messages.c.id == raw) for raw in whole.raws]
        seen: set[tuple[Any, ...]] = set()
        for table, where in parts:
            query = sa.select(table).where(where).order_by(*table.primary_key.columns)
            for row in connection.execute(query).mappings().all():
                key = (table.name, *(row[column.name] for column in table.primary_key.columns))
                if key in seen:
                    continue
                seen.add(key)
                values = {name: _plain(value) for name, value in row.items() if name not in _KEPT_BACK}
                if table is attachments:
                    data = connection.execute(
                        sa.select(blobs.c.data).where(blobs.c.sha256 == row["sha256"])
                    ).scalar_one_or_none()
                    values["data"] = _plain(data)
                out.write(json.dumps({"table": table.name, **values}, ensure_ascii=False) + "\n")
                number += 1
    return number


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    return base64.b64encode(value).decode("ascii") if isinstance(value, bytes | memoryview) else value
