"""`triage review …`: the review table from the terminal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.output import Json, print_json, say
from pipeline.errors import InputError

if TYPE_CHECKING:
    from pipeline.db.store import Store
    from pipeline.review.agents import Agent
    from pipeline.review.desk import Decided, Desk
    from pipeline.review.view import TicketView

review = typer.Typer(help="The review table from the terminal.", no_args_is_help=True)

Review = Annotated[int, typer.Argument(help="the row's number, as `triage review list` shows it")]
As = Annotated[
    str | None,
    typer.Option(
        "--as", envvar="TRIAGE_AGENT", help="whose decision it is; needed when there are several agents"
    ),
]
Looker = Annotated[
    str | None, typer.Option("--as", envvar="TRIAGE_AGENT", help="show what this colleague may see")
]
Version = Annotated[
    int | None, typer.Option(help="the ticket's version that was judged; refused if it has changed since")
]
Text = Annotated[str | None, typer.Option(help="the reply")]
NotNeeded = Annotated[
    bool, typer.Option("--not-needed", help="mark a strong draft: a routine answer would have done")
]
File = Annotated[Path | None, typer.Option(help="a file with the reply; - reads standard input")]


@review.command("list")
def list_rows(
    state: Annotated[str, typer.Option(help="open, decided or superseded")] = "open",
    topic: str | None = None,
    language: str | None = None,
    urgency: str | None = None,
    route: str | None = None,
    reason: str | None = None,
    search: Annotated[str | None, typer.Option(help="in subject, customer and text")] = None,
    after: Annotated[str | None, typer.Option(help="`next` of the page before")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200)] = 50,
    as_: Looker = None,
    json: Json = False,
) -> None:
    """The rows, the most urgent first, then the oldest."""
    import dataclasses

    from pipeline.assembly import open_store
    from pipeline.review import queue

    store = open_store()
    filters = queue.Filters(
        state=state, topic=topic, language=language, urgency=urgency, route=route, reason=reason, search=search,
        reader=_agent(store, as_).id if as_ else None,
    )  # fmt: skip
    found = queue.page(store, filters, after=after, limit=limit)
    if json:
        print_json({"reviews": [dataclasses.asdict(row) for row in found.rows], "next": found.next})
        return
    for row in found.rows:
        who = row.customer_name or row.customer_address or "unknown sender"
        marks = [row.urgency, row.topic, row.language, row.route, row.outcome or row.reason]
        say(f"{row.review_id:>6}  #{row.ticket_id:<6} {_safe(row.subject) or '(no subject)'}  ({_safe(who)})")
        say(f"{'':16}{' · '.join(mark for mark in marks if mark)}{'  BLOCKED' if row.blocked else ''}")
    if not found.rows:
        say("nothing waits" if state == "open" else "no such row")
    if found.next:
        say(f"more: triage review list --after '{found.next}'")


@review.command()
def show(row: Review, as_: Looker = None, json: Json = False) -> None:
    """A row with its thread, facts and draft."""
    import dataclasses

    from pipeline.assembly import open_store
    from pipeline.review.view import ticket_of, view

    store = open_store()
    if as_:
        _refuse_unseen(store, _agent(store, as_), row)
    found = view(store, ticket_of(store, row))
    if json:
        private = ("reply_token", "lease_token", "lease_owner", "lease_until")
        values: dict[str, Any] = dataclasses.asdict(found)
        values["ticket"] = {k: v for k, v in values["ticket"].items() if k not in private}
        print_json(values)
        return
    _print(found)


@review.command()
def approve(
    row: Review, not_needed: NotNeeded = False, as_: As = None, version: Version = None, json: Json = False
) -> None:
    """Send the draft as it is."""
    desk, agent, version = _open(row, as_, version)
    _done(desk.approve(row, agent, version, not_needed=not_needed), json)


@review.command()
def edit(
    row: Review,
    text: Text = None,
    file: File = None,
    not_needed: NotNeeded = False,
    as_: As = None,
    version: Version = None,
    json: Json = False,
) -> None:
    """Send your version of the draft."""
    body = _body(text, file)
    desk, agent, version = _open(row, as_, version)
    _done(desk.edit(row, agent, version, body, not_needed=not_needed), json)


@review.command()
def replace(
    row: Review,
    text: Text = None,
    file: File = None,
    as_: As = None,
    version: Version = None,
    json: Json = False,
) -> None:
    """Send an answer without the draft."""
    body = _body(text, file)
    desk, agent, version = _open(row, as_, version)
    _done(desk.replace(row, agent, version, body), json)


@review.command()
def reject(
    row: Review,
    reason: Annotated[str, typer.Option(help="wrong_facts, wrong_tone, wrong_language, missed_question, "
                                             "promised_too_much, not_needed, other")],
    text: Annotated[str, typer.Option(help="in a few words; needed for other")] = "",
    as_: As = None,
    version: Version = None,
    json: Json = False,
) -> None:  # fmt: skip
    """Reject the draft; the ticket stays for a person, unless no answer is needed."""
    desk, agent, version = _open(row, as_, version)
    _done(desk.reject(row, agent, version, reason, text), json)


@review.command()
def close(
    row: Review,
    why: Annotated[str, typer.Option(help="in a few words")] = "",
    as_: As = None,
    version: Version = None,
    json: Json = False,
) -> None:
    """Close the ticket without an answer."""
    desk, agent, version = _open(row, as_, version)
    _done(desk.close(row, agent, version, why), json)


@review.command()
def settle(
    row: Review,
    choice: Annotated[str, typer.Argument(help="sent: the customer has the reply; resend: send it again")],
    as_: As = None,
    version: Version = None,
    json: Json = False,
) -> None:
    """Settle a reply that may or may not have gone out."""
    desk, agent, version = _open(row, as_, version)
    _done(desk.resolve_uncertain(row, agent, version, choice), json)


@review.command()
def confirm(row: Review, as_: As = None, version: Version = None, json: Json = False) -> None:
    """Agree that a draft which a spend cap stopped is written, on your own cap."""
    desk, agent, version = _open(row, as_, version)
    _done(desk.confirm(row, agent, version), json)


@review.command()
def spam(row: Review, as_: As = None, version: Version = None, json: Json = False) -> None:
    """Close the ticket as spam; later mail of its sender is shown with that mark."""
    desk, agent, version = _open(row, as_, version)
    _done(desk.spam(row, agent, version), json)


@review.command()
def assign(
    row: Review,
    to: Annotated[str, typer.Argument(help="the colleague's address, or nobody")],
    as_: As = None,
    version: Version = None,
) -> None:
    """Give the ticket to a colleague who sees its inbox."""
    from pipeline.review.view import ticket_of

    desk, agent, version = _open(row, as_, version)
    ticket_id = ticket_of(desk.store, row)
    desk.assign(ticket_id, agent, version, "" if to == "nobody" else to)
    say(f"ticket {ticket_id}: assigned to {to}")


@review.command()
def note(
    row: Review, text: Annotated[str, typer.Argument(help="@name calls a colleague")], as_: As = None
) -> None:
    """Leave a word for colleagues on the row."""
    desk, agent, _version = _open(row, as_, None)
    called = desk.note(row, agent, text)
    say(f"noted{', for ' + ', '.join(one.shown for one in called) if called else ''}")


def _open(row: int, email: str | None, version: int | None) -> tuple[Desk, Agent, int]:
    """The desk, who decides, and the version decided on: as given, or as it is now."""
    from pipeline.assembly import open_parts
    from pipeline.review.view import ticket_of, view

    parts = open_parts()
    agent = _agent(parts.store, email)
    _refuse_unseen(parts.store, agent, row)
    if version is None:
        version = int(view(parts.store, ticket_of(parts.store, row)).ticket["version"])
    return parts.desk, agent, version


def _agent(store: Store, email: str | None) -> Agent:
    from pipeline.review import agents

    if email:
        return agents.find(store, email)
    active = [agent for agent, _has_password, disabled in agents.everyone(store) if not disabled]
    if not active:
        raise InputError("there is no account yet; make one: triage agent add YOU@EXAMPLE.COM --role agent")
    if len(active) > 1:
        raise InputError("say whose decision it is: --as EMAIL, or TRIAGE_AGENT=EMAIL")
    return active[0]


def _refuse_unseen(store: Store, agent: Agent, row: int) -> None:
    """Whoever has the terminal may know of the row: they are told why this agent may not act on it."""
    from pipeline.review import sight
    from pipeline.review.view import ticket_of

    ticket_id = ticket_of(store, row)
    with store.read() as connection:
        if not sight.sees(connection, agent, ticket_id):
            raise InputError(
                f"{agent.email} does not see the inbox of row {row}; "
                f"another colleague may, or: triage agent inboxes {agent.email}"
            )


def _body(text: str | None, file: Path | None) -> str:
    if (text is None) == (file is None):
        raise InputError("give the reply by --text or by --file (- reads standard input), one of the two")
    if text is not None:
        return text
    assert file is not None
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {file}: {error}") from None


def _done(decided: Decided, json: bool) -> None:
    import dataclasses

    if json:
        print_json(dataclasses.asdict(decided))
        return
    share = f", {decided.edit_share:.0%} changed" if decided.edit_share is not None else ""
    outcome = f": {decided.outcome}{share}" if decided.outcome else ""
    say(f"ticket {decided.ticket_id}: {decided.action}{outcome}")


def _print(found: TicketView) -> None:
    ticket = found.ticket
    say(f"#{ticket['id']} {_safe(ticket['subject'])}  ({ticket['status']}, version {ticket['version']})")
    say(f"decision  {ticket['decision'] or '–'}")
    for message in found.messages:
        sender = (
            "us" if message["direction"] == "outbound" else message["from_name"] or message["from_address"]
        )
        say(f"\n--- {_safe(sender or 'unknown')}, {message['received_at']:%Y-%m-%d %H:%M} UTC")
        say(_safe(message["new_text"] or message["text"]))
    for facts in found.facts:
        for flag in (facts["facts"] or {}).get("flags", []):
            say(f"\n!  {flag['text']}")
    review = found.review
    if review is None:
        return
    say(f"\n=== {review['reason']} ({review['state']}): {review['detail']}")
    if found.draft is not None:
        draft = found.draft
        wrote = "a template, not written by a model" if draft["source"] == "template" else draft["model"]
        say(f"draft by {wrote}, {draft['tier']}, ${draft['cost_usd']}\n\n{_safe(draft['text'])}")
        for blocked in draft["blocked"]:
            say(f"\nBLOCKED: {blocked}")


def _safe(text: object) -> str:
    """Without control characters: a customer's text must not drive the terminal."""
    return "".join(c for c in str(text or "") if c in "\n\t" or c.isprintable())
