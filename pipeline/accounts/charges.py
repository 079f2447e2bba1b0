"""Probable double charges: like payments close together, with the rows that show it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal

from pipeline.accounts.facts import Flag, Row

CLOSE = timedelta(hours=72)
"""A second charge within it is probably a mistake; a weekly or monthly one is not."""

_PAID = frozenset(
    [
        "succeeded",
        "success",
        "successful",
        "paid",
        "complete",
        "completed",
        "captured",
        "settled",
        "charged",
        "ok",
        "approved",
    ]
)
_BACK = frozenset(["refund", "reversal", "chargeback", "refunded", "reversed"])


def double_charges(payments: Iterable[Row]) -> tuple[Flag, ...]:
    """One flag per run of like charges: same amount, currency and description, paid, not refunded, each
    within 72 hours of the one before. A refund booked as a row of its own takes one charge away. A row
    without a status counts as paid: the query then selects paid ones only."""
    rows = [row for row in payments if row.amount is not None and row.at is not None]
    refunds = [row for row in rows if _is_refund(row)]
    like: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in _without_refunded([row for row in rows if _is_charge(row)], refunds):
        like[(str(abs(_amount(row)).normalize()), row.currency or "", likeness(row.description))].append(row)
    flags = []
    for group in like.values():
        for run in _runs(sorted(group, key=_time)):
            flags.append(_flag(run))
    return tuple(sorted(flags, key=lambda flag: _time(flag.rows[0]), reverse=True))


def likeness(description: str) -> str:
    """What two descriptions of the same thing have in common: words and plain numbers, without case,
    punctuation, and the long mixed references that payment providers add to each charge."""
    words = re.findall(r"\w+", description.casefold().replace("_", " _ "))
    return " ".join(w for w in words if not _is_reference(w) and w != "_")


def _is_reference(word: str) -> bool:
    return len(word) >= 8 and any(c.isdigit() for c in word) and any(c.isalpha() for c in word)


def _is_refund(row: Row) -> bool:
    said = [row.status, row.more.get("type"), row.more.get("kind")]
    words = set(re.findall(r"\w+", " ".join(str(word) for word in said if word).casefold()))
    return _amount(row) < 0 or (not row.refunded and bool(words & _BACK))


def _is_charge(row: Row) -> bool:
    paid = row.status is None or row.status.casefold() in _PAID
    return paid and _amount(row) > 0 and not row.refunded and not _is_refund(row)


def _without_refunded(charges: list[Row], refunds: list[Row]) -> list[Row]:
    """Each refund row takes the nearest earlier charge of its amount and currency with it."""
    left = sorted(charges, key=_time)
    for refund in sorted(refunds, key=_time):
        for charge in reversed(left):
            same = abs(_amount(charge)) == abs(_amount(refund)) and charge.currency == refund.currency
            if same and _time(charge) <= _time(refund):
                left.remove(charge)
                break
    return left


def _runs(rows: list[Row]) -> list[tuple[Row, ...]]:
    runs: list[list[Row]] = []
    for row in rows:
        if runs and _time(row) - _time(runs[-1][-1]) <= CLOSE:
            runs[-1].append(row)
        else:
            runs.append([row])
    return [tuple(run) for run in runs if len(run) > 1]


def _flag(run: tuple[Row, ...]) -> Flag:
    first, last = run[0], run[-1]
    money = f"{first.amount} {first.currency or ''}".strip()
    ids = ", ".join(row.id for row in run if row.id)
    times = f"{_time(first):%Y-%m-%d %H:%M} and {_time(last):%Y-%m-%d %H:%M} UTC"
    what = f" for {first.description}" if first.description else ""
    count = "twice" if len(run) == 2 else f"{len(run)} times"
    text = f"probable double charge: {money}{what} was taken {count} between {times}"
    return Flag("double_charge", text + (f" ({ids})" if ids else ""), run)


def _amount(row: Row) -> Decimal:
    assert row.amount is not None
    return row.amount


def _time(row: Row) -> datetime:
    assert row.at is not None
    return row.at
