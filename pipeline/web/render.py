"""Templates and what they show values with: times, ages, money, marked text. Everything is escaped."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse

from pipeline.db import sending
from pipeline.db.reviews import REASONS
from pipeline.db.types import now
from pipeline.lifecycle import MEANING, Status
from pipeline.review import marks, notes, second_reads, sight
from pipeline.review.desk import REJECT_REASONS
from pipeline.review.queue import CLARITIES, EMOTIONS, URGENCIES
from pipeline.review.sessions import Session

HERE = Path(__file__).parent
STATIC = HERE / "static"
HTMX = "vendor/htmx-4.0.1/htmx.min.js"
ASSETS = hashlib.sha256(
    b"".join(path.read_bytes() for path in sorted([*STATIC.glob("*.css"), *STATIC.glob("*.js")]))
).hexdigest()[:12]
"""Stands in the files' addresses, so that a browser takes new ones at once."""

_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff]"
)

REASON_LABELS = {
    "draft": "draft",
    "template": "template draft",
    "failed_triage": "could not be read",
    "failed_draft": "no draft",
    "budget": "over budget",
    "gave_up": "gave up",
    "send_failed": "sending failed",
    "send_uncertain": "sent or not?",
    "bounce": "bounced",
    "loop_cap": "loop?",
    "human_route": "for a person",
}
OUTCOME_LABELS = {"as_is": "as it was", "light": "light edit", "heavy": "heavy edit"}
LANGUAGES = {
    "en": "English",
    "de": "German",
    "fr": "French",
    "es": "Spanish",
    "it": "Italian",
    "nl": "Dutch",
    "pt": "Portuguese",
    "pl": "Polish",
    "ja": "Japanese",
    "zh": "Chinese",
    "tr": "Turkish",
    "sv": "Swedish",
    "da": "Danish",
}


def page(
    request: Request,
    template: str,
    session: Session | None = None,
    *,
    status: int = 200,
    **values: Any,
) -> HTMLResponse:
    """A rendered page; `session` is who looks at it."""
    parts = request.app.state.parts
    text = _environment.get_template(template).render(
        nonce=request.state.nonce,
        session=session,
        csrf=session.csrf_token if session else "",
        me=session.agent if session else None,
        zone=(session.agent.zone if session else None) or parts.zone,
        called=lambda: notes.waiting(parts.store, session.agent) if session else 0,
        to_read=lambda: second_reads.count(parts.store, session.agent) if session else 0,
        has_report=parts.report is not None,
        sees_all=lambda: session is not None and sight.sees_every_inbox(parts.store, session.agent),
        held=lambda: sending.held(parts.store) if session else None,
        path=request.url.path,
        **values,
    )
    # half a surrogate pair, as foreign JSON may bring, must not cost the page
    return HTMLResponse(text.encode("utf-8", "replace"), status)


def words(value: object) -> str:
    """A code of ours as people read it: `order_shipping` is order shipping."""
    return str(value).replace("_", " ")


def clean(text: object) -> str:
    """A customer's text without characters that hide or turn round what is read."""
    return _UNSEEN.sub("", str(text or ""))


@pass_context
def when(context: Context, at: datetime | None) -> Markup:
    """A time in the reader's zone. For somebody who chose none it is the installation's, which the page's
    script turns into their computer's; the hint is UTC."""
    if at is None:
        return Markup("")
    me = context.get("me")
    zone = ZoneInfo(str(context.get("zone") or "UTC"))
    local, utc = _moved(at, zone), _moved(at, UTC)
    return Markup('<time datetime="{}" title="{}"{}>{}</time>').format(
        utc.isoformat(timespec="seconds"),
        utc.strftime("%d %b %Y, %H:%M UTC"),
        "" if me is not None and me.zone else Markup(" data-local"),
        local.strftime("%d %b %Y, %H:%M %Z"),
    )


def _moved(at: datetime, zone: tzinfo) -> datetime:
    """The time in that zone. The calendar's first and last day, which a Date header and a contract without
    an end may name, have no other zone and stay as they are."""
    try:
        return at.astimezone(zone)
    except OverflowError:
        return at


_NOTED = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d) UTC(?=, )", re.MULTILINE)


@pass_context
def noted(context: Context, note: object) -> Markup:
    """Notes as they are kept, each beginning with its time in UTC: here in the reader's zone."""
    parts: list[Markup] = []
    last = 0
    text = clean(note)
    for hit in _NOTED.finditer(text):
        parts.append(escape(text[last : hit.start()]))
        try:
            parts.append(when(context, datetime.fromisoformat(hit[1]).replace(tzinfo=UTC)))
        except ValueError:
            parts.append(escape(hit[0]))
        last = hit.end()
    parts.append(escape(text[last:]))
    return Markup("").join(parts)


def ago(at: datetime | None) -> Markup:
    """How long ago, in the largest fitting unit, with the moment itself as a hint."""
    if at is None:
        return Markup("")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        at.isoformat(timespec="seconds"),
        at.strftime("%d %b %Y, %H:%M UTC"),
        span((now() - at).total_seconds()),
    )


def span(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return "now"


def until(at: datetime | None) -> str:
    """How much longer, in whole minutes."""
    return f"{max(1, round((at - now()).total_seconds() / 60))} min" if at else ""


def usd(amount: Decimal | None) -> str:
    """Dollars with as many digits as a small amount needs."""
    if amount is None:
        return "–"
    if amount == 0:
        return "$0"
    return f"${amount:.2f}" if abs(amount) >= 1 else f"${amount.quantize(Decimal('0.0001')).normalize():f}"


def latency(ms: int | None) -> str:
    if ms is None:
        return "–"
    return f"{ms} ms" if ms < 1000 else f"{ms / 1000:.1f} s"


def size(n: int) -> str:
    for unit in ("B", "kB", "MB"):
        if n < 1000 or unit == "MB":
            return f"{n:.0f} {unit}" if unit == "B" else f"{n:.1f} {unit}"
        n = n / 1000  # type: ignore[assignment]  # shown only
    return str(n)


def percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"


def without_route(sentence: object, route: str | None) -> str:
    """A decision without its route's name in front, for where the route stands beside it."""
    text = str(sentence or "")
    return text.removeprefix(f"{route}: ") if route else text


@pass_context
def fact(context: Context, value: object) -> object:
    """A value of an account look-up; ISO times are shown as times."""
    if isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d", value):
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            return value
        return when(context, at) if at.tzinfo else value
    return "yes" if value is True else "no" if value is False else value


def marked(
    text: object, wanted: Iterable[tuple[str, str]], kind: str = "field", placed: list[str] | None = None
) -> Markup:
    """The text with each wanted (value, what it is) marked and labelled where it stands.

    `placed` collects the values that were found; the first place of each has the id `at-` and its index
    there.
    """
    text = clean(text)
    parts: list[Markup] = []
    last = 0
    for mark in marks.find(text, [(clean(value), what) for value, what in wanted]):
        parts.append(escape(text[last : mark.start]))
        anchor = Markup("")
        if placed is not None and mark.value not in placed:
            anchor = Markup(' id="at-{}"').format(len(placed))
            placed.append(mark.value)
        parts.append(
            Markup('<mark class="{}" data-kind="{}"{}>{}</mark>').format(
                kind, mark.kind, anchor, text[mark.start : mark.end]
            )
        )
        last = mark.end
    parts.append(escape(text[last:]))
    return Markup("").join(parts)


def place_of(value: object, placed: list[str]) -> int | None:
    """The index of a value among those that `marked` found; None where it stands nowhere word for word."""
    flat = " ".join(clean(value).split())
    return placed.index(flat) if flat in placed else None


def field_values(fields: dict[str, Any] | None) -> dict[str, list[dict[str, str]]]:
    """The extracted fields that are not empty: {name: [{"value", "normalised"}]}."""
    found: dict[str, list[dict[str, str]]] = {}
    for name, values in (fields or {}).items():
        rows = [value if isinstance(value, dict) else {"value": str(value)} for value in values or []]
        if rows:
            found[name] = [
                {"value": str(row.get("value", "")), "normalised": str(row.get("normalised") or "")}
                for row in rows
            ]
    return found


_ROW = dict.fromkeys(("id", "at", "amount", "currency", "description", "status", "refunded", "source"))
_SINGLES = ("plan", "status", "payment_status", "last_login")


def account(facts: Any) -> dict[str, Any]:
    """A look-up's facts for the page: `singles` [(name, value, source)], `lists`, `flags`, `open_tickets`.

    What an older look-up or another connector left out, or wrote in another shape, is left out here too,
    never an error.
    """
    known = facts if isinstance(facts, dict) else {}
    more = known.get("more")
    named = [(name, known.get(name)) for name in _SINGLES]
    named += more.items() if isinstance(more, dict) else ()
    lists = {name: _rows(known.get(name)) for name in ("payments", "invoices", "orders")}
    return {
        "singles": [
            (name, fact["value"], fact.get("source") or "")
            for name, fact in named
            if isinstance(fact, dict) and fact.get("value") is not None
        ],
        "lists": {name: rows for name, rows in lists.items() if rows},
        "flags": [
            {"text": str(flag.get("text") or ""), "rows": _rows(flag.get("rows"))}
            for flag in _tables(known.get("flags"))
        ],
        "open_tickets": [
            {"id": other["id"], "subject": other.get("subject")}
            for other in _tables(known.get("open_tickets"))
            if isinstance(other.get("id"), int)
        ],
    }


def _rows(value: object) -> list[dict[str, Any]]:
    return [_ROW | row for row in _tables(value)]


def _tables(value: object) -> list[dict[str, Any]]:
    """What is an object in a list; whatever else stands there is left out."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


_environment = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters.update(
    words=words,
    clean=clean,
    when=when,
    noted=noted,
    ago=ago,
    until=until,
    usd=usd,
    latency=latency,
    size=size,
    percent=percent,
    marked=marked,
    fact=fact,
    without_route=without_route,
)
_environment.globals.update(
    REASONS=REASONS,
    REASON_LABELS=REASON_LABELS,
    OUTCOME_LABELS=OUTCOME_LABELS,
    REJECT_REASONS=REJECT_REASONS,
    LANGUAGES=LANGUAGES,
    MEANING={status.value: sentence for status, sentence in MEANING.items()},
    STATUSES=[status.value for status in Status],
    URGENCIES=URGENCIES,
    EMOTIONS=EMOTIONS,
    CLARITIES=CLARITIES,
    HTMX=HTMX,
    ASSETS=ASSETS,
    field_values=field_values,
    field_kinds=marks.field_kinds,
    place_of=place_of,
    account=account,
)
