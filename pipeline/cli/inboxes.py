"""`triage inbox …`: the inboxes of inboxes.toml, and the OAuth2 logins of those that need one."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli.output import Json, note, print_json, say
from pipeline.errors import InputError, NotFoundError, TriageError, UnreachableError

if TYPE_CHECKING:
    from pipeline.ingest.inboxes import ImapInbox, Inbox
    from pipeline.ingest.oauth import Login
    from pipeline.settings import Settings

inbox = typer.Typer(help="The inboxes, and the logins of those that want OAuth2.", no_args_is_help=True)


class Flow(StrEnum):
    """How a person agrees: by a code on any device, or in a browser that comes back to this machine."""

    device = "device"
    code = "code"


@inbox.command()
def login(
    name: str,
    flow: Annotated[Flow | None, typer.Option(help="the provider's usual one by default")] = None,
    port: Annotated[
        int, typer.Option(help="where the browser comes back to; 0: a free one", min=0, max=65535)
    ] = 0,
    paste: Annotated[
        bool, typer.Option("--paste", help="the browser runs elsewhere: paste the address it ends at")
    ] = False,
) -> None:
    """Log in to a mailbox by OAuth2; the login is kept encrypted and renewed by itself."""
    from pipeline.assembly import open_inboxes, open_store, secret_key
    from pipeline.ingest.imap import try_login
    from pipeline.ingest.oauth import Tokens, endpoints, oauth_of
    from pipeline.settings import load

    settings = load()
    found = _imap(open_inboxes(settings), name)
    chosen = flow or Flow(endpoints(oauth_of(found)).prefers)
    if chosen is Flow.device and (paste or port):
        raise InputError("--port and --paste go with --flow code")
    tokens = Tokens(open_store(settings), secret_key(settings))  # before a person takes the trouble
    if chosen is Flow.device:
        made = _by_device(found)
    elif paste:
        made = _by_paste(found, port)
    else:
        made = _by_browser(found, port)
    tokens.keep(found, made)
    note(f"inbox.{name}: the login is kept")
    problem = try_login(found, tokens)
    if problem:
        raise UnreachableError(f"the login is kept, but the mailbox does not open: {problem}")
    say(f"{found.username} at {found.host}:{found.at} opens")


def _by_device(found: ImapInbox) -> Login:
    from pipeline.ingest.oauth_login import ask_device, await_device

    asked = ask_device(found)
    note(f"Open {asked.address} on any device, and type: {asked.user_code}")
    if asked.complete:
        note(f"or open {asked.complete}")
    note(
        f"Log in there as {found.username}. Waiting up to {asked.expires_in_s / 60:.0f} minutes; end with Ctrl-C."
    )
    return await_device(found, asked)


def _by_browser(found: ImapInbox, port: int) -> Login:
    from pipeline.ingest.oauth_login import listening

    with listening(found, port) as flow:
        note(
            f"Open this address in a browser on this machine, and log in as {found.username}:\n\n{flow.url}\n"
        )
        note(f"Waiting at {flow.redirect_uri}; with a browser elsewhere, end with Ctrl-C and add --paste.")
        return flow.wait()


def _by_paste(found: ImapInbox, port: int) -> Login:
    from pipeline.ingest.oauth_login import CodeFlow, redirect_address

    flow = CodeFlow(found, redirect_address(found, port or 8400))
    note(f"Open this address in a browser, and log in as {found.username}:\n\n{flow.url}\n")
    note(f"The browser ends at an address that begins with {flow.redirect_uri} and shows nothing there.")
    return flow.finish(typer.prompt("Paste that address", hide_input=True, err=True).strip())


@inbox.command()
def enable(name: str) -> None:
    """Send replies of this inbox again, after its receiver had said that it wants no more (410)."""
    from pipeline.assembly import open_inboxes, open_store
    from pipeline.delivery.switched_off import switch_on
    from pipeline.settings import load

    settings = load()
    if name not in open_inboxes(settings):
        raise NotFoundError(f"inboxes.toml has no inbox {name!r}")
    with open_store(settings).write() as connection:
        was_off = switch_on(connection, name)
    if was_off:
        say(f"inbox.{name}: replies go out again; approve those that came back anew")
    else:
        say(f"inbox.{name}: its way out was not off")


@inbox.command("list")
def list_(json: Json = False) -> None:
    """Every inbox: its kind, where it takes messages from, and how it signs in."""
    from pipeline.assembly import open_inboxes
    from pipeline.settings import load

    settings = load()
    rows = [_row(settings, found) for found in open_inboxes(settings).values()]
    if json:
        print_json(rows)
        return
    if not rows:
        say("inboxes.toml names no inbox; see inboxes.example.toml")
    for row in rows:
        say(f"{row['name']:<20} {row['kind']:<8} {row['where']}  ({row['signs_in']})")
        say(f"{'':<29} replies: {row['replies']}")


def _row(settings: Settings, found: Inbox) -> dict[str, Any]:
    from pipeline.ingest.inboxes import ImapInbox, WebhookInbox

    if isinstance(found, ImapInbox):
        where = f"{found.username} at {found.host}:{found.at}, {found.folder}"
        signs_in = _login_of(settings, found) if found.oauth else "password"
    elif isinstance(found, WebhookInbox):
        where, signs_in = f"/webhooks/{found.name}, {found.adapter}", "signature"
    else:
        where, signs_in = str(found.path), "none needed"
    return {
        "name": found.name,
        "kind": found.kind,
        "where": where,
        "signs_in": signs_in,
        "replies": _way_out_of(settings, found),
    }


def _way_out_of(settings: Settings, found: Inbox) -> str:
    """Where replies of the inbox go, and whether that is switched off."""
    from pipeline.assembly import open_store, secret_key
    from pipeline.delivery.switched_off import switched_off
    from pipeline.ingest.oauth import Tokens
    from pipeline.ways_out import WaysOut, manners_of

    def tokens() -> Tokens:
        return Tokens(open_store(settings), secret_key(settings))

    try:
        where = WaysOut(settings, {found.name: found}, tokens)(found.name).where
        if manners_of(found).keyed:
            with open_store(settings).read() as connection:
                for off in switched_off(connection, found.name):
                    return f"{where}: {off.said}"
    except TriageError as error:  # shown beside the inbox; it hides no other
        return str(error)
    return where


def _login_of(settings: Settings, found: ImapInbox) -> str:
    from pipeline.assembly import open_store, secret_key
    from pipeline.ingest.oauth import Tokens

    try:
        since = Tokens(open_store(settings), secret_key(settings)).since(found)
    except TriageError as error:  # shown beside the inbox; it hides no other
        return f"OAuth2: {error}"
    return f"OAuth2, renewed {since:%Y-%m-%d %H:%M} UTC"


def _imap(inboxes: dict[str, Inbox], name: str) -> ImapInbox:
    from pipeline.ingest.inboxes import ImapInbox

    found = inboxes.get(name)
    if found is None:
        raise NotFoundError(
            f"inboxes.toml has no inbox {name!r}; it has: {', '.join(sorted(inboxes)) or 'none'}"
        )
    if not isinstance(found, ImapInbox):
        raise InputError(f"inbox.{name} is no IMAP inbox; only those are logged in to")
    return found
