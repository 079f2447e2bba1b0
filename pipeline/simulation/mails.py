"""The raw mails of the simulation, as a mail server would hand them over."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import datetime
from email.utils import format_datetime

from pipeline.simulation import texts
from pipeline.simulation.plan import Case, Turn


def person(
    case: Case, turn: Turn, place: int, to: str, authserv_id: str | None, thread: Sequence[str]
) -> bytes:
    """The customer's mail of this turn. `thread` are the Message-IDs before it on the ticket."""
    subject = texts.subject(case.language, turn.topic, case.order)
    body = texts.mail(
        case.language,
        turn.topic,
        name=case.customer.name,
        order=case.order,
        product=texts.PRODUCTS[case.product],
        amount=case.amount,
        mood=turn.mood,
        variant=turn.variant,
        again=turn.again,
    )
    headers = _headers(case, turn.at, place, to, f"Re: {subject}" if thread else subject)
    if thread:
        headers += [f"In-Reply-To: <{thread[-1]}>", f"References: {' '.join(f'<{one}>' for one in thread)}"]
    if authserv_id:
        domain = case.customer.address.rpartition("@")[2]
        headers.insert(0, f"Authentication-Results: {authserv_id}; dmarc=pass header.from={domain}")
    return _whole(headers, body)


def message_id(case: Case, place: int) -> str:
    """The Message-ID of the mail at this place among the ticket's turns."""
    return f"{case.number}.{place}.{case.order.lower()}@{case.customer.address.rpartition('@')[2]}"


def automated(case: Case, turn: Turn, to: str) -> bytes:
    """A mail of a program: out of office, a newsletter, a mail server's report."""
    subject, more, body = _AUTOMATED[case.kind]
    headers = _headers(case, turn.at, 0, to, subject)
    if case.kind == "bounce":
        headers[0] = f"From: Mail Delivery System <mailer-daemon@{case.customer.address.rpartition('@')[2]}>"
        headers = ["Return-Path: <>", *headers]
    return _whole([*headers, *more], body.format(address=case.customer.address, name=case.customer.name))


def broken(mark: str) -> bytes:
    """A mail with neither a sender nor a text: nobody can read it."""
    return f"Received: from somewhere by mx.larkfield.example; {mark}\r\nX-Mark: {mark}\r\n\r\n".encode()


_AUTOMATED: dict[str, tuple[str, list[str], str]] = {
    "auto_reply": (
        "Automatic reply: out of the office",
        ["Auto-Submitted: auto-replied", "X-Auto-Response-Suppress: All"],
        "I am out of the office until Monday and read my mail after that.\n\n{name}\n",
    ),
    "bulk": (
        "Our offers of the week",
        [
            "Precedence: bulk",
            "List-Id: Offers <offers.shop-news.example>",
            "List-Unsubscribe: <https://shop-news.example/u>",
        ],
        "This week: paper, ink and much more.\n",
    ),
    "bounce": (
        "Undelivered Mail Returned to Sender",
        ["Auto-Submitted: auto-replied"],
        "This is the mail system.\n\nI'm sorry to have to inform you that your message could not be delivered.\n\n"
        "<{address}>: host mx.example said: 550 5.1.1 User unknown\n",
    ),
}


def _headers(case: Case, at: datetime, place: int, to: str, subject: str) -> list[str]:
    return [
        f"From: {_word(case.customer.name)} <{case.customer.address}>",
        f"To: <{to}>",
        f"Subject: {_word(subject)}",
        f"Date: {format_datetime(at)}",
        f"Message-ID: <{message_id(case, place)}>",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 8bit",
    ]


def _whole(headers: Sequence[str], body: str) -> bytes:
    return ("\r\n".join(headers) + "\r\n\r\n" + body.replace("\n", "\r\n")).encode()


def _word(text: str) -> str:
    return text if text.isascii() else f"=?utf-8?b?{base64.b64encode(text.encode()).decode()}?="
