"""Plausible tickets in every state that the pages show, written straight into a store."""

from __future__ import annotations

import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import sqlalchemy as sa

from pipeline.db.moves import move, open_ticket
from pipeline.db.reviews import open_review
from pipeline.db.store import Store
from pipeline.db.tables import (
    account_facts,
    agents,
    attachments,
    blobs,
    drafts,
    messages,
    model_calls,
    replies,
    reviews,
    spend,
    tickets,
    triages,
)
from pipeline.lifecycle import Status
from pipeline.review.agents import Agent, add, set_password

PASSWORD = "correct horse battery"
RANKS = {"low": 0, "normal": 1, "high": 2, "critical": 3}


def people(store: Store) -> dict[str, Agent]:
    """An agent, a second agent, a lead and an admin, all with the same password."""
    found = {}
    for email, name, role in (
        ("anna@shop.example", "Anna Weiss", "agent"),
        ("ben@shop.example", "", "agent"),
        ("lea@shop.example", "Lea Rossi", "lead"),
        ("ada@shop.example", "Ada Lind", "admin"),
    ):
        found[email.split("@")[0]] = add(store, email, role, name)
    set_password(store, found["anna"].id, PASSWORD)
    with store.write() as c:  # hashing is slow on purpose; once is enough here
        hashed = c.execute(
            sa.select(agents.c.password_hash).where(agents.c.id == found["anna"].id)
        ).scalar_one()
        c.execute(agents.update().values(password_hash=hashed))
    return found


def ticket(
    store: Store,
    *,
    subject: str = "Where is my order 4711?",
    text: str = "Hello,\n\nwhere is my order 4711? It was due on Monday.\n\nThanks\nMia",
    quoted: str = "",
    name: str = "Mia Jones",
    address: str = "mia@example.net",
    topic: str = "order_shipping",
    language: str = "en",
    urgency: str = "normal",
    emotion: str = "calm",
    clarity: str = "clear",
    route: str = "cheap",
    confidence: float = 0.93,
    reasons: tuple[str, ...] = ("cheap: clear, calm and harmless",),
    fields: dict[str, list[dict[str, str]]] | None = None,
    summary: str = "Asks where the order is",
    reply_to: tuple[dict[str, str], ...] = (),
    draft: str | None = (
        "Hi Mia,\n\nThanks for writing. Your order 4711 left our warehouse on Monday and should reach you by "
        "Friday. I have attached the tracking number to your account.\n\nBest regards,\nThe Shop team"
    ),
    blocked: tuple[str, ...] = (),
    claims: tuple[dict[str, Any], ...] = (),
    source: str = "model",
    model: str = "gpt-6-luna",
    tier: str = "cheap",
    reason: str | None = None,
    detail: str = "The draft waits for a person.",
    facts: dict[str, Any] | None = None,
    files: tuple[tuple[str, str, bytes], ...] = (),
    waited: timedelta = timedelta(minutes=20),
    inbox: str = "support",
) -> int:
    """A ticket that waits for a person, with its draft unless `draft` is None; returns its id."""
    at = datetime.now(UTC) - waited
    team = {"billing": "billing", "refund": "billing", "order_shipping": "orders"}.get(topic, "support")
    with store.write() as c:
        ticket_id = open_ticket(
            c, Status.RECEIVED, who="intake", why=f"a message from {address}", inbox=inbox, subject=subject,
            customer_address=address, customer_name=name, reply_token=secrets.token_hex(16),
            last_message_at=at,
        )  # fmt: skip
        message_id = _message(c, ticket_id, at, subject, text, quoted, name, address, reply_to, inbox)
        for filename, kind, data in files:
            sha = hashlib.sha256(data).hexdigest()
            if not c.execute(sa.select(blobs.c.sha256).where(blobs.c.sha256 == sha)).first():
                c.execute(blobs.insert().values(sha256=sha, data=data))
            c.execute(
                attachments.insert().values(
                    message_id=message_id, filename=filename, content_type=kind, size=len(data), sha256=sha,
                    inline=False,
                )
            )  # fmt: skip
        call = _call(c, ticket_id, message_id, at, "triage", "cheap", "gpt-6-luna", "cheap", "0.000312", 812)
        if reason != "failed_triage":
            c.execute(
                triages.insert().values(
                    ticket_id=ticket_id, message_id=message_id, call_id=call, topic=topic, other_topics=[],
                    confidence=confidence, language=language, urgency=urgency, emotion=emotion,
                    clarity=clarity, fields=fields or {"order_numbers": [{"value": "4711"}]}, summary=summary,
                    route=route, reasons=list(reasons), model="gpt-6-luna", prompt="9f2c11d07a3e",
                    created_at=at,
                )
            )  # fmt: skip
        columns = {
            "topic": topic, "language": language, "urgency": urgency, "urgency_rank": RANKS[urgency],
            "emotion": emotion, "route": route, "decision": reasons[0], "team": team,
        }  # fmt: skip
        next_status = Status.ESCALATED if route == "strong" else Status.ROUTINE
        move(c, ticket_id, next_status, who="triage", why=reasons[0], **columns)
        if facts is not None:
            c.execute(
                account_facts.insert().values(
                    ticket_id=ticket_id, connector="shop", address=address, fetched_at=at, facts=facts
                )
            )
        draft_id = None
        if draft is not None:
            cost = {"strong": "0.0184", "cheap": "0.00061"}.get(tier, "0")
            call = _call(c, ticket_id, message_id, at, "draft", route, model, tier, cost, 4210)
            draft_id = c.execute(
                drafts.insert()
                .values(
                    ticket_id=ticket_id, message_id=message_id, call_id=call, route=route,
                    task="draft" if route == "strong" else "routine", source=source, provider="openai",
                    model=model, tier=tier, prompt="41bb07cfe2aa", text=draft, language=language,
                    asks=[], why="It answers what was asked, from the facts of the account.", claims=list(claims),
                    blocked=list(blocked), cost_usd=Decimal(cost), latency_ms=4210, created_at=at,
                )
                .returning(drafts.c.id)
            ).scalar_one()  # fmt: skip
        move(c, ticket_id, Status.IN_REVIEW, who="draft", why=detail)
        review_id = open_review(c, ticket_id, reason or "draft", detail, draft_id)
        c.execute(reviews.update().where(reviews.c.id == review_id).values(opened_at=at))
    return ticket_id


def uncertain(store: Store, agent: Agent) -> int:
    """A ticket whose approved reply may or may not have gone out."""
    ticket_id = ticket(store, subject="Invoice for March", topic="billing", waited=timedelta(hours=3))
    with store.write() as c:
        review = c.execute(sa.select(reviews).where(reviews.c.ticket_id == ticket_id)).one()
        message = c.execute(sa.select(messages).where(messages.c.ticket_id == ticket_id)).one()
        c.execute(
            reviews.update()
            .where(reviews.c.id == review.id)
            .values(state="decided", action="approve", decided_by=agent.id, decided_at=datetime.now(UTC))
        )
        c.execute(
            replies.insert().values(
                ticket_id=ticket_id, review_id=review.id, answers_id=message.id, agent_id=agent.id,
                message_id=f"{secrets.token_hex(8)}@shop.example", to_address="mia@example.net",
                subject="Re: Invoice for March", in_reply_to=message.message_id, references=[],
                text="Hi Mia,\n\nhere is your invoice.", state="uncertain", attempts=1,
                created_at=datetime.now(UTC), sending_at=datetime.now(UTC),
            )
        )  # fmt: skip
        move(c, ticket_id, Status.APPROVED, who=agent.who, why="approved the draft as it is")
        why = "the connection was lost after the whole reply was handed over, before the server answered"
        open_review(c, ticket_id, "send_uncertain", why)
        move(c, ticket_id, Status.SEND_UNCERTAIN, who="send", why=why)
    return ticket_id


def _message(
    c: sa.Connection, ticket_id: int, at: datetime, subject: str, text: str, quoted: str, name: str,
    address: str, reply_to: tuple[dict[str, str], ...], inbox: str,
) -> int:  # fmt: skip
    unique = secrets.token_hex(12)
    return int(
        c.execute(
            messages.insert()
            .values(
                ticket_id=ticket_id, inbox=inbox, direction="inbound", kind="person",
                message_id=f"{unique}@mail.example.net", references=["first@mail.example.net"],
                from_name=name, from_address=address, reply_to=list(reply_to),
                to=[{"name": "", "address": "help@shop.example"}], subject=subject, sent_at=at,
                received_at=at, text=text + (f"\n\n{quoted}" if quoted else ""), new_text=text,
                verified=True, verified_why="DMARC passed", body_hash=unique, fingerprint=unique,
                triaged_at=at,
            )
            .returning(messages.c.id)
        ).scalar_one()
    )  # fmt: skip


def _call(
    c: sa.Connection, ticket_id: int, message_id: int, at: datetime, task: str, route: str, model: str,
    tier: str, cost: str, latency_ms: int, state: str = "ok", error_kind: str | None = None,
) -> int:  # fmt: skip
    return int(
        c.execute(
            model_calls.insert()
            .values(
                ticket_id=ticket_id, message_id=message_id, task=task, route=route, attempt=1, role="model",
                provider="openai", model=model, answered_by=model, tier=tier, prompt="9f2c11d07a3e",
                prompt_name=f"{task}/{route}", started_at=at, latency_ms=latency_ms, input_tokens=1204,
                output_tokens=211, reserved_usd=Decimal(cost), cost_usd=Decimal(cost), state=state,
                error_kind=error_kind, scopes=[],
            )
            .returning(model_calls.c.id)
        ).scalar_one()
    )  # fmt: skip


def _payment(number: str, at: str, source: str = "shop.payments") -> dict[str, Any]:
    return {
        "id": number, "at": at, "amount": "49.00", "currency": "EUR", "description": "Pro plan, monthly",
        "status": "paid", "refunded": False, "source": source, "fetched_at": "2026-11-20T09:00:00+00:00",
    }  # fmt: skip


def double_charge_facts() -> dict[str, Any]:
    rows = [
        _payment("PAY-8812", "2026-11-19T08:00:12+00:00"),
        _payment("PAY-8813", "2026-11-19T08:01:40+00:00"),
    ]
    single = {"source": "shop.account", "fetched_at": "2026-11-20T09:00:00+00:00"}
    return {
        "plan": {"value": "Pro", **single}, "status": {"value": "active", **single},
        "payment_status": {"value": "paid", **single},
        "last_login": {"value": "2026-11-20T07:12:00+00:00", **single},
        "payments": rows, "invoices": [], "orders": [], "open_tickets": [],
        "flags": [{
            "kind": "double_charge", "rows": rows,
            "text": "probable double charge: 49.00 EUR for Pro plan, monthly was taken twice within 2 minutes",
        }],
        "more": {},
    }  # fmt: skip


def inbox_of_a_day(store: Store) -> dict[str, int]:
    """A morning's queue: routine and strong drafts, a template, failures, an uncertain reply. Ids by name."""
    who = people(store)
    found: dict[str, int] = {}
    found["double"] = ticket(
        store, subject="Charged twice!! I want my money back NOW", name="Jonas Berg",
        address="jonas.berg@example.org", topic="billing", urgency="critical", emotion="angry", route="strong",
        confidence=0.88, model="claude-sonnet-5-5", tier="strong", facts=double_charge_facts(),
        reasons=(
            "strong: the customer is angry", "the urgency is critical",
            "billing: two like charges close together",
        ),
        text="You have charged my card TWICE for invoice INV-20931, 49.00 EUR each time, on November 19.\n\n"
        "This is the second time this year. I want one of them back today or I will have my bank reverse it.\n\n"
        "Jonas Berg",
        quoted="On 19 Nov 2026 at 08:02, Shop Billing wrote:\n> Thank you for your payment of 49.00 EUR.\n"
        "> Your invoice INV-20931 is attached.",
        fields={
            "invoice_numbers": [{"value": "INV-20931"}],
            "amounts": [{"value": "49.00 EUR", "normalised": "49.00 EUR"}],
            "dates": [{"value": "November 19", "normalised": "2026-11-19"}], "names": [{"value": "Jonas Berg"}],
        },
        summary="Charged twice for INV-20931 and wants one payment back",
        draft="Hello Jonas,\n\nI am sorry: your card was charged twice for invoice INV-20931, at 08:00 and at "
        "08:01 on November 19. We have refunded the second payment of 49.00 EUR (PAY-8813); it will be on your "
        "account within 2 days.\n\nThis should not have happened twice in a year, and we are looking into why "
        "it did.\n\nBest regards,\nThe Shop team",
        blocked=("it says that a refund was made, which nothing shows",),
        claims=(
            {"text": "your card was charged twice for invoice INV-20931", "supported_by": "account"},
            {"text": "We have refunded the second payment of 49.00 EUR", "supported_by": "nothing"},
            {"text": "within 2 days", "supported_by": "nothing"},
        ),
        files=(("statement 11-2026.pdf", "application/pdf", b"%PDF-1.4 statement"),), waited=timedelta(minutes=4),
    )  # fmt: skip
    found["order"] = ticket(store, urgency="high", waited=timedelta(hours=2))
    found["german"] = ticket(
        store, subject="Passwort zurücksetzen klappt nicht", name="Sabine Köhler", address="s.koehler@example.de",
        topic="account_access", language="de", emotion="frustrated", summary="Kein Link zum Zurücksetzen",
        text="Guten Tag,\n\nich bekomme den Link zum Zurücksetzen nicht. Konto K-20417.\n\nViele Grüße\nS. Köhler",
        fields={"account_ids": [{"value": "K-20417"}]},
        draft="Guten Tag Frau Köhler,\n\nbitte schauen Sie auch im Spam-Ordner nach. Ich habe den Link soeben noch "
        "einmal an Ihre Adresse geschickt.\n\nViele Grüße\nIhr Shop-Team",
        waited=timedelta(minutes=42),
    )  # fmt: skip
    found["template"] = ticket(
        store, subject="Cancelar mi suscripción", name="Lucía Fernández", address="lucia@example.es",
        topic="cancellation", language="es", route="strong", source="template", model="templates",
        tier="template", reason="template", summary="Quiere cancelar la suscripción",
        reasons=("strong: cancellation: a cancellation is hard to take back",),
        text="Hola, quiero cancelar mi suscripción antes del próximo pago. Gracias, Lucía",
        fields={"names": [{"value": "Lucía"}]},
        draft="Hola Lucía:\n\nGracias por escribirnos. ¿Podría confirmarnos la fecha en que debe terminar la "
        "suscripción?\n\nUn saludo\nEl equipo de Shop",
        detail="No strong model is set up, so this is a template.", waited=timedelta(hours=5),
    )  # fmt: skip
    found["vague"] = ticket(
        store, subject="it does not work", name="", address="k@example.com", topic="bug_report",
        clarity="vague", route="strong", confidence=0.52, model="claude-sonnet-5-5", tier="strong",
        reasons=("strong: confidence 0.52 is below 0.70; the message is vague",), summary="Something fails",
        text="hi it doesnt work again please fix", fields={}, urgency="low",
        draft="Hi,\n\nI am sorry that it gives you trouble. Which page are you on when it fails, and what does it "
        "say?\n\nBest regards,\nThe Shop team",
        waited=timedelta(days=1, hours=2),
    )  # fmt: skip
    found["failed"] = ticket(
        store, subject="Ma facture est fausse", name="Camille Laurent", address="camille@example.fr",
        topic="billing", language="fr", urgency="high", route="strong", draft=None, reason="budget",
        reasons=("strong: a refund over 100 is decided with care",), fields={"amounts": [{"value": "240 €"}]},
        text="Bonjour,\n\nma facture de novembre est de 240 € au lieu de 24 €.\n\nCordialement,\nCamille Laurent",
        summary="Facture de 240 € au lieu de 24 €",
        detail="The cap of $15 a day for drafts is reached; nothing was called.", waited=timedelta(minutes=55),
    )  # fmt: skip
    found["uncertain"] = uncertain(store, who["anna"])
    with store.write() as c:
        c.execute(
            spend.insert().values(
                scope=f"day:{datetime.now(UTC):%Y-%m-%d}", spent_usd=Decimal("1.25"), reserved_usd=Decimal("0.02"),
                updated_at=datetime.now(UTC),
            )
        )  # fmt: skip
        assert c.execute(sa.select(sa.func.count()).select_from(tickets)).scalar_one() == len(found)
    return found
