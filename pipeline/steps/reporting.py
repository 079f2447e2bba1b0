"""The weekly report on its schedule: the weeks that are due are written, their letters sent, each once.

As with replies, a letter's attempt is committed (`waiting` → `sending`) before anybody connects; one that is
found in `sending` long after may have arrived, becomes `uncertain`, and is not sent again by itself.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
import structlog

from pipeline.assembly import weekly_report
from pipeline.db.store import Store
from pipeline.db.tables import report_letters
from pipeline.db.types import now
from pipeline.delivery.letters import Letter, compose_letter
from pipeline.delivery.outcomes import BY_MAIL, Accepted, Outcome, Permanent, Temporary, Uncertain
from pipeline.delivery.send import RECORD_AGAIN_AFTER_S
from pipeline.delivery.smtp import SmtpMailer
from pipeline.errors import ConfigError, InputError, NotFoundError, UnreachableError
from pipeline.reports import letters
from pipeline.reports.measures import Report
from pipeline.reports.weeks import Week
from pipeline.reports.written import Timetable, address_letters, due, write, written
from pipeline.settings import WEEKDAYS, Settings
from pipeline.ways_out import way_of_reports

if TYPE_CHECKING:
    from pipeline.assembly import Parts

log = structlog.get_logger(__name__)

DEAD_AFTER = timedelta(minutes=15)
"""Longer than any dialogue with a mail server may last (`timeout_s` of TRIAGE_SMTP_URL, at most 600 s)."""


@dataclass(frozen=True)
class State:
    """Where one letter stands: waiting, sending, sent, failed or uncertain."""

    week: str
    address: str
    state: str
    words: str

    @property
    def said(self) -> str:
        return f"{self.address}: {self.state}" + (f" ({self.words})" if self.words else "")


@dataclass(frozen=True)
class _Attempt:
    """A letter that this process has claimed."""

    id: int
    number: int
    week: str
    address: str


def tend(parts: Parts) -> None:
    """What the schedule does each minute: nothing, but for the one minute of the week."""
    try:
        write_due(parts)
    finally:  # a week that cannot be counted does not keep back the letters of another
        send_letters(parts)


def timetable(settings: Settings) -> Timetable:
    """When the settings want the report written."""
    return Timetable(WEEKDAYS.index(settings.report_day), settings.report_hour, settings.zone)


def write_due(parts: Parts) -> list[str]:
    """Write every finished week that is due; returns those that this call wrote, oldest first.

    After a time of no schedule the weeks that were missed are written too, but only the newest is mailed.
    """
    plan = timetable(parts.settings)
    at = now()
    found = []
    for week in due(parts.store, plan, at):
        if write_week(parts, week, mailed=week == plan.newest(at)):
            found.append(str(week))
    return found


def write_week(parts: Parts, week: Week, *, mailed: bool = True) -> bool:
    """Count the week and keep its report, with a letter for each recipient; False if it was written already."""
    made = weekly_report(parts.settings, parts.store, parts.routes, str(week), fresh=True)
    to = parts.settings.report_recipients if mailed and way_out(parts) else ()
    done = write(parts.store, made, to, domain=_domain(parts))
    if done:
        log.info("the weekly report is written", week=str(week), letters=len(to))
    return done


def send_now(parts: Parts, week: Week) -> list[State]:
    """Write the finished week if it is not, and send each recipient the letter that they do not have.

    Raises `InputError` while the week is not over, `ConfigError` where nobody or nothing is set to send it.
    """
    if week.bounds(parts.settings.zone)[1] > now():
        raise InputError(f"the week {week} is not over; its report can be sent when it is")
    _needs_a_way(parts)
    if not write_week(parts, week):
        with parts.store.write() as connection:
            address_letters(connection, str(week), parts.settings.report_recipients, domain=_domain(parts))
    send_letters(parts)
    return states(parts.store, week)


def send_again(parts: Parts, week: Week, address: str) -> list[State]:
    """A person's decision: the letter that failed, or of which nobody knows, goes out once more, under the same
    Message-ID. Raises `NotFoundError` or `InputError`."""
    if way_out(parts) is None:
        raise ConfigError("no mail server is set to send the report by; see TRIAGE_SMTP_URL")
    found = [state for state in states(parts.store, week) if state.address.casefold() == address.casefold()]
    if not found:
        raise NotFoundError(f"there is no letter of {week} to {address}; `triage report --send` writes them")
    with parts.store.write() as connection:
        changed = connection.execute(
            report_letters.update()
            .where(
                report_letters.c.week == str(week),
                report_letters.c.address == found[0].address,
                report_letters.c.state.in_(("failed", "uncertain")),
            )
            .values(state="waiting", due_at=now())
        )
        if not changed.rowcount:
            raise InputError(f"{found[0].said}: only a letter that failed or is uncertain is sent again")
    send_letters(parts)
    return states(parts.store, week)


def states(store: Store, week: Week) -> list[State]:
    """The letters of a week, by address."""
    columns = report_letters.c
    query = sa.select(columns.week, columns.address, columns.state, columns.server_words)
    with store.read() as connection:
        rows = connection.execute(query.where(columns.week == str(week)).order_by(columns.address))
        return [State(row.week, row.address, row.state, row.server_words or "") for row in rows]


def send_letters(parts: Parts) -> None:
    """Make one attempt at every letter that is due. Nothing is held open while the network is asked."""
    _give_up_the_dead(parts.store)
    waiting = _due(parts.store)
    if not waiting:
        return
    mailer = way_out(parts)
    if mailer is None:
        return
    contents: dict[str, tuple[letters.Written, datetime]] = {}
    for row in waiting:
        if row.week not in contents:
            kept = written(parts.store, row.week)
            assert kept is not None  # a letter's week is a key of the written ones
            contents[row.week] = (letters.letter(kept, public_url=parts.settings.public_url), kept.made_at)
        # all that can fail by itself is done before the claim: what fails after it is uncertain
        prepared = _prepared(parts, row, *contents[row.week])
        if parts.witness.take_turn() is not None:
            return  # sending is held: it may be a letter of a restored database, sent long ago
        attempt = claim(parts.store, row.id, row.attempts)
        if attempt is None:
            continue  # somebody else was faster
        outcome = prepared if isinstance(prepared, Permanent) else mailer.post(*prepared)
        _recorded(parts.store, attempt, outcome)


def claim(store: Store, letter_id: int, attempts: int) -> _Attempt | None:
    """Mark the waiting letter as being sent, and commit; None where another process has."""
    columns = report_letters.c
    with store.write() as connection:
        row = connection.execute(
            report_letters.update()
            .where(columns.id == letter_id, columns.state == "waiting", columns.attempts == attempts)
            .values(state="sending", attempts=attempts + 1, sending_at=now(), due_at=None)
            .returning(columns.week, columns.address)
        ).one_or_none()
    return _Attempt(letter_id, attempts + 1, row.week, row.address) if row else None


def record(store: Store, attempt: _Attempt, outcome: Outcome) -> None:
    """Write down what became of the attempt. One that was slow knows more than the `uncertain` written for it;
    if a person had it sent again meanwhile, and that has not begun, an acceptance makes it needless."""
    values: dict[str, Any] = {"server_words": outcome.words, "due_at": None}
    if isinstance(outcome, Accepted):
        values |= {"state": "sent", "sent_at": now()}
    elif isinstance(outcome, Uncertain):
        values["state"] = "uncertain"
    elif isinstance(outcome, Temporary) and attempt.number < BY_MAIL.attempts:
        values |= {"state": "waiting", "due_at": now() + BY_MAIL.waits[attempt.number - 1]}
    else:
        values["state"] = "failed"
    open_to = (
        ("sending", "uncertain", "waiting") if isinstance(outcome, Accepted) else ("sending", "uncertain")
    )
    with store.write() as connection:
        connection.execute(
            report_letters.update()
            .where(
                report_letters.c.id == attempt.id,
                report_letters.c.attempts == attempt.number,
                report_letters.c.state.in_(open_to),
            )
            .values(**values)
        )
    said = {"week": attempt.week, "state": values["state"], "attempt": attempt.number}
    if values["state"] == "sent":
        log.info("the weekly report is sent", **said)
    else:
        log.warning("the weekly report is not sent", **said, words=outcome.words)


def _recorded(store: Store, attempt: _Attempt, outcome: Outcome) -> None:
    for wait_s in RECORD_AGAIN_AFTER_S:
        try:
            return record(store, attempt, outcome)
        except UnreachableError:
            time.sleep(wait_s)  # the server's answer is known to nobody else
    return record(store, attempt, outcome)


def _due(store: Store) -> list[sa.Row[Any]]:
    columns = report_letters.c
    query = (
        sa.select(columns.id, columns.week, columns.address, columns.message_id, columns.attempts)
        .where(columns.state == "waiting", columns.due_at <= now())
        .order_by(columns.id)
    )
    with store.read() as connection:
        return list(connection.execute(query))


def _give_up_the_dead(store: Store) -> None:
    """A letter whose sender died on the way may have arrived: a person decides."""
    columns = report_letters.c
    dead = (columns.state == "sending", columns.sending_at < now() - DEAD_AFTER)
    with store.read() as connection:
        if connection.execute(sa.select(columns.id).where(*dead).limit(1)).first() is None:
            return
    words = "the attempt ended without a word: the mail may or may not have arrived"
    with store.write() as connection:
        connection.execute(report_letters.update().where(*dead).values(state="uncertain", server_words=words))


def _prepared(
    parts: Parts, row: sa.Row[Any], content: letters.Written, at: datetime
) -> tuple[EmailMessage, str, str] | Permanent:
    try:
        sender = sender_address(parts)
        return _mail(content, row.message_id, sender, row.address, at), sender, row.address
    except (ConfigError, InputError) as error:
        return Permanent(str(error))


def as_mail(parts: Parts, report: Report, to: str) -> EmailMessage:
    """The mail of a report as a recipient would get it, for looking at; its Message-ID is of no letter."""
    content = letters.letter(report, public_url=parts.settings.public_url)
    sender = sender_address(parts, to_send=False)
    return _mail(content, f"report.{report.week}@{_domain(parts)}", sender, to, report.made_at)


def _mail(content: letters.Written, message_id: str, sender: str, to: str, at: datetime) -> EmailMessage:
    return compose_letter(
        Letter(message_id, sender, to, content.subject, at, content.text, content.html, content.pictures)
    )


def way_out(parts: Parts) -> SmtpMailer | None:
    """The mail server that the report is sent by; None where there is none."""
    return way_of_reports(parts.settings, parts.inboxes, parts.mailers)


def sender_address(parts: Parts, *, to_send: bool = True) -> str:
    """Who the report comes from. Raises `ConfigError` where neither a setting nor an inbox says."""
    if parts.settings.report_from:
        return parts.settings.report_from
    for name in parts.inboxes:
        # a mail server takes its own inbox's address only
        if not to_send or parts.settings.smtp_url or isinstance(parts.mailers(name), SmtpMailer):
            try:
                return parts.sender_of(name).address
            except ConfigError:
                continue
    raise ConfigError("no inbox has an address that the report could come from; set TRIAGE_REPORT_FROM")


def _domain(parts: Parts) -> str:
    try:
        domain = sender_address(parts).rpartition("@")[2]
        return domain if domain.isascii() else domain.encode("idna").decode("ascii")
    except (ConfigError, UnicodeError):
        return "localhost"


def _needs_a_way(parts: Parts) -> None:
    if not parts.settings.report_recipients:
        raise ConfigError("nobody is set to get the report; set TRIAGE_REPORT_TO")
    if way_out(parts) is None:
        raise ConfigError("no mail server is set to send the report by; set TRIAGE_SMTP_URL")
