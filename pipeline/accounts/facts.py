"""What a connector knows of a customer: frozen facts, each with its source and the time it was read."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

SINGLE = ("plan", "status", "payment_status", "last_login")
"""The facts of which there is one; every other column of an account row is kept under `more`."""

MAX_TEXT = 500


@dataclass(frozen=True)
class Source:
    """`name` is connector.query, e.g. shop.payments; `fetched_at` when it was read."""

    name: str
    fetched_at: datetime

    def as_json(self) -> dict[str, Any]:
        return {"source": self.name, "fetched_at": self.fetched_at.isoformat()}


@dataclass(frozen=True)
class Fact:
    """One value: text, a number, a truth, or a time as ISO 8601 text."""

    value: str | int | bool | None
    source: Source

    def as_json(self) -> dict[str, Any]:
        return {"value": self.value, **self.source.as_json()}


@dataclass(frozen=True)
class Row:
    """A payment, an invoice or an order. `amount` is in units of the currency, not in cents.

    `refunded` is True when the whole amount went back. `more` holds the row's further columns.
    """

    id: str | None
    at: datetime | None
    amount: Decimal | None
    currency: str | None
    description: str
    status: str | None
    refunded: bool
    source: Source
    more: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "at": self.at.isoformat() if self.at else None,
            "amount": str(self.amount) if self.amount is not None else None,
            "currency": self.currency,
            "description": self.description,
            "status": self.status,
            "refunded": self.refunded,
            **({"more": dict(self.more)} if self.more else {}),
            **self.source.as_json(),
        }

    def in_words(self) -> str:
        parts = [
            self.id,
            f"{self.amount} {self.currency or ''}".strip() if self.amount is not None else None,
            self.description or None,
            self.status,
            "refunded" if self.refunded else None,
            f"{self.at:%Y-%m-%d %H:%M} UTC" if self.at else None,
            *(f"{key} {value}" for key, value in self.more.items() if value not in (None, "")),
        ]
        return ", ".join(str(part) for part in parts if part)


@dataclass(frozen=True)
class OpenTicket:
    """Another ticket of the same customer that is not done."""

    id: int
    subject: str
    status: str
    created_at: datetime
    source: Source

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "subject": self.subject,
            "status": self.status,
            "created_at": self.created_at.isoformat(),
            **self.source.as_json(),
        }


@dataclass(frozen=True)
class Flag:
    """Something an agent should look at, with the rows that show it."""

    kind: str
    text: str
    rows: tuple[Row, ...]

    def as_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "text": self.text, "rows": [row.as_json() for row in self.rows]}


@dataclass(frozen=True)
class AccountFacts:
    """All that is known of one customer; None and empty where a connector does not say."""

    plan: Fact | None = None
    status: Fact | None = None
    payment_status: Fact | None = None
    last_login: Fact | None = None
    payments: tuple[Row, ...] = ()
    invoices: tuple[Row, ...] = ()
    orders: tuple[Row, ...] = ()
    open_tickets: tuple[OpenTicket, ...] = ()
    flags: tuple[Flag, ...] = ()
    more: Mapping[str, Fact] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether anything is known at all."""
        singles = any(getattr(self, name) for name in SINGLE)
        return singles or bool(
            self.payments or self.invoices or self.orders or self.open_tickets or self.more
        )

    def as_json(self) -> dict[str, Any]:
        """For `account_facts.facts`: every fact carries `source` and `fetched_at`."""
        singles = {name: getattr(self, name) for name in SINGLE}
        return {
            **{name: fact.as_json() if fact else None for name, fact in singles.items()},
            "payments": [row.as_json() for row in self.payments],
            "invoices": [row.as_json() for row in self.invoices],
            "orders": [row.as_json() for row in self.orders],
            "open_tickets": [ticket.as_json() for ticket in self.open_tickets],
            "flags": [flag.as_json() for flag in self.flags],
            "more": {name: fact.as_json() for name, fact in self.more.items()},
        }

    def lines(self) -> list[str]:
        """One plain line per fact with its source, for a page or a prompt."""
        found = [f"- {flag.text}" for flag in self.flags]
        facts = {name: getattr(self, name) for name in SINGLE} | dict(self.more)
        found += [
            f"- {name.replace('_', ' ')}: {fact.value} ({fact.source.name})"
            for name, fact in facts.items()
            if fact is not None and fact.value is not None
        ]
        for name in ("payments", "invoices", "orders"):
            found += [f"- {name[:-1]}: {row.in_words()} ({row.source.name})" for row in getattr(self, name)]
        found += [f"- other open ticket {t.id}: {t.subject} ({t.status})" for t in self.open_tickets]
        return found


def merge(many: Iterable[AccountFacts]) -> AccountFacts:
    """The facts of several connectors as one; where two name the same single fact, the first wins."""
    from pipeline.accounts.charges import double_charges

    parts = list(many)
    more: dict[str, Fact] = {}
    for part in reversed(parts):
        more.update(part.more)
    payments = tuple(row for part in parts for row in part.payments)
    kept = tuple(f for part in parts for f in part.flags if f.kind != "double_charge")
    return AccountFacts(
        **{name: next((f for p in parts if (f := getattr(p, name))), None) for name in SINGLE},
        payments=payments,
        invoices=tuple(row for part in parts for row in part.invoices),
        orders=tuple(row for part in parts for row in part.orders),
        open_tickets=tuple(ticket for part in parts for ticket in part.open_tickets),
        flags=double_charges(payments) + kept,
        more=more,
    )


def from_rows(
    rows: Mapping[str, list[Mapping[str, Any]]], sources: Mapping[str, Source], *, minor_units: bool = False
) -> AccountFacts:
    """Facts out of a connector's answers: `rows` by query name (account, payments, invoices, orders).

    Column names are plan, status, payment_status, last_login for the account; id, at, amount, currency,
    description, status, refunded for the lists, with the usual other names of each understood (see
    `_NAMES`). With `minor_units`, amounts are whole cents.
    """
    from pipeline.accounts.charges import double_charges

    single: dict[str, Fact] = {}
    more: dict[str, Fact] = {}
    for row in rows.get("account", [])[:1]:
        for name, value in row.items():
            fact = Fact(_plain(value, time=name == "last_login"), sources["account"])
            if name in SINGLE:
                single[name] = fact
            elif fact.value is not None:
                more[str(name)] = fact
    lists = {
        name: tuple(_row(row, sources[name], minor_units) for row in rows.get(name, []))
        for name in ("payments", "invoices", "orders")
    }
    return AccountFacts(
        plan=single.get("plan"),
        status=single.get("status"),
        payment_status=single.get("payment_status"),
        last_login=single.get("last_login"),
        payments=lists["payments"],
        invoices=lists["invoices"],
        orders=lists["orders"],
        flags=double_charges(lists["payments"]),
        more=more,
    )


_NAMES: dict[str, tuple[str, ...]] = {
    "id": ("id", "number", "payment_id", "invoice_number", "order_number", "reference"),
    "at": (
        "at",
        "date",
        "created_at",
        "created",
        "paid_at",
        "charged_at",
        "ordered_at",
        "issued_at",
        "placed_at",
    ),
    "amount": ("amount", "total"),
    "currency": ("currency",),
    "description": ("description", "item", "items", "product", "memo"),
    "status": ("status", "state"),
    "refunded": ("refunded", "refunded_at", "is_refunded"),
}
_GONE_BACK = ("refunded", "reversed", "voided", "void", "chargeback", "charged_back")


def _row(row: Mapping[str, Any], source: Source, minor_units: bool) -> Row:
    taken: dict[str, Any] = {}
    left = {str(key): value for key, value in row.items()}
    for name, spellings in _NAMES.items():
        for spelling in spellings:
            if spelling in left:
                taken[name] = left.pop(spelling)
                break
    status = _plain(taken.get("status"))
    amount = _amount(taken.get("amount"))
    if amount is not None and minor_units:
        amount = amount / 100
    currency = _plain(taken.get("currency"))
    return Row(
        id=_text(taken.get("id")),
        at=as_time(taken.get("at")),
        amount=amount,
        currency=str(currency).upper() if currency else None,
        description=_text(taken.get("description")) or "",
        status=str(status) if status is not None else None,
        refunded=_truth(taken.get("refunded")) or str(status).casefold() in _GONE_BACK,
        source=source,
        more={key: _plain(value) for key, value in left.items() if value is not None},
    )


def as_time(value: Any) -> datetime | None:
    """An aware time in UTC out of a datetime, a date, ISO 8601 text or seconds since 1970; else None.

    What carries no zone is taken as UTC.
    """
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    with contextlib.suppress(ValueError, OverflowError, OSError):
        if isinstance(value, int | float | Decimal):
            return datetime.fromtimestamp(float(value), UTC)
        return as_time(datetime.fromisoformat(str(value).strip()))
    return None


def _plain(value: Any, time: bool = False) -> str | int | bool | None:
    """A value that JSON keeps exactly: a Decimal or float becomes text, a time ISO 8601 in UTC."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, date) or time:
        at = as_time(value)
        if at is not None:
            return at.isoformat()
    return _text(value)


def _text(value: Any) -> str | None:
    if value is None:
        return None
    text = "".join(c if c.isprintable() else " " for c in str(value)).strip()
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def _amount(value: Any) -> Decimal | None:
    if value is None or isinstance(value, bool):
        return None
    try:
        amount = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None


def _truth(value: Any) -> bool:
    """A flag however a database or an API writes it; a time (refunded_at) is a yes."""
    if isinstance(value, str):
        return value.strip().casefold() not in ("", "0", "f", "false", "n", "no", "none", "null")
    return bool(value)
