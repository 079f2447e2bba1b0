"""The fields of a mail, found by cue patterns; only the matched spans are parsed further."""

from __future__ import annotations

from datetime import datetime

from pipeline.models.providers.local.fields.amounts import amounts
from pipeline.models.providers.local.fields.contacts import phones
from pipeline.models.providers.local.fields.dates import dates
from pipeline.models.providers.local.fields.emails import emails
from pipeline.models.providers.local.fields.identifiers import (
    account_ids,
    invoice_numbers,
    order_numbers,
    tracking_numbers,
)
from pipeline.models.providers.local.fields.names import names
from pipeline.models.providers.local.fields.spans import Found, as_rows, without_overlaps
from pipeline.models.providers.local.fields.text import text_of

__all__ = ["KINDS", "MAX_CHARS", "extract"]

KINDS = (
    "order_numbers",
    "account_ids",
    "emails",
    "phones",
    "amounts",
    "dates",
    "names",
    "invoice_numbers",
)
# Long enough for any mail that a person wrote, short enough to stay within a few milliseconds.
MAX_CHARS = 12_000


def extract(
    subject: str | None, body: str, *, region: str | None = None, received: datetime | None = None
) -> dict[str, list[dict[str, str]]]:
    """Per kind at most 20 rows `{"value", "normalised"?}`; each value stands verbatim in subject or body.

    `region` (ISO 3166) settles phone numbers without a country and the order of day and month; `received`
    settles dates without a year and words such as "yesterday".
    """
    found: dict[str, list[Found]] = {kind: [] for kind in KINDS}
    for text in ((subject or "")[:1_000], body[:MAX_CHARS]):
        for kind, spans in _one(text, region, received).items():
            found[kind].extend(spans)
    return {kind: as_rows(found[kind]) for kind in KINDS}


def _one(raw: str, region: str | None, received: datetime | None) -> dict[str, list[Found]]:
    """The spans of one text. Surer kinds claim their characters first."""
    text = text_of(raw)
    mail = without_overlaps(emails(text))
    # A parcel's number is no field, yet no order and no phone number either.
    parcels = without_overlaps(tracking_numbers(text), mail)
    invoices = without_overlaps(invoice_numbers(text), [*mail, *parcels])
    orders = without_overlaps(order_numbers(text), [*mail, *parcels, *invoices])
    accounts = without_overlaps(account_ids(text), [*mail, *parcels, *invoices, *orders])
    taken = [*mail, *parcels, *invoices, *orders, *accounts]
    days = without_overlaps(dates(text, received, region), taken)
    money = without_overlaps(amounts(text), [*taken, *days])
    taken += [*days, *money]
    return {
        "order_numbers": orders,
        "account_ids": accounts,
        "emails": mail,
        "phones": without_overlaps(phones(text, region, taken, mail), taken),
        "amounts": money,
        "dates": days,
        "names": without_overlaps(names(raw), mail),
        "invoice_numbers": invoices,
    }
