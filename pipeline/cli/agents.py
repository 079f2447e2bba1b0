"""`triage agent …`: the accounts of the review page."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.cli.output import Json, print_json, say

agent = typer.Typer(help="Accounts of the review page.", no_args_is_help=True)


@agent.command()
def add(
    email: str,
    role: Annotated[str, typer.Option(help="agent, lead or admin")],
    name: Annotated[str, typer.Option(help="as colleagues see it")] = "",
    json: Json = False,
) -> None:
    """Make an account and a link, valid once, by which its owner sets a password."""
    from pipeline.assembly import open_store
    from pipeline.review import agents, sessions
    from pipeline.settings import load

    settings = load()
    store = open_store(settings)
    made = agents.add(store, email, role, name)
    _link(settings.public_url, sessions.make_link(store, made, "invite"), made.email, json)


@agent.command()
def link(email: str, json: Json = False) -> None:
    """A link, valid once for two hours, by which the account's owner sets a new password."""
    from pipeline.assembly import open_store
    from pipeline.review import agents, sessions
    from pipeline.settings import load

    settings = load()
    store = open_store(settings)
    found = agents.find(store, email)
    _link(settings.public_url, sessions.make_link(store, found, "reset"), found.email, json)


@agent.command()
def disable(email: str, json: Json = False) -> None:
    """End an account with its sessions, links and token; what it did stays."""
    from pipeline.assembly import open_store
    from pipeline.review import agents

    agents.disable(open_store(), email)
    if json:
        print_json({"email": email.strip().lower(), "disabled": True})
    else:
        say(f"{email} is disabled and logged out")


@agent.command()
def enable(email: str, json: Json = False) -> None:
    """Bring a disabled account back; `triage agent link` gives it a new password."""
    from pipeline.assembly import open_store
    from pipeline.review import agents

    agents.enable(open_store(), email)
    if json:
        print_json({"email": email.strip().lower(), "disabled": False})
    else:
        say(f"{email} is back; give them a link: triage agent link {email}")


@agent.command()
def role(
    email: str,
    new: Annotated[str, typer.Argument(metavar="ROLE", help="agent, lead or admin")],
    json: Json = False,
) -> None:
    """Give an account another role."""
    from pipeline.assembly import open_store
    from pipeline.review import agents

    agents.set_role(open_store(), email, new)
    if json:
        print_json({"email": email.strip().lower(), "role": new})
    else:
        say(f"{email} is {new} now")


@agent.command()
def inboxes(
    email: str,
    names: Annotated[list[str] | None, typer.Argument(help="the inboxes whose tickets they see")] = None,
    every: Annotated[bool, typer.Option("--all", help="every inbox, as it is by default")] = False,
    json: Json = False,
) -> None:
    """Limit an agent or lead to the tickets of these inboxes; admins always see all."""
    from pipeline.assembly import open_inboxes, open_store
    from pipeline.errors import InputError
    from pipeline.review import agents, sight
    from pipeline.settings import load

    settings = load()
    store = open_store(settings)
    if every == bool(names):
        raise InputError("name the inboxes, or say --all")
    known = sight.known_inboxes(store) | set(open_inboxes(settings))
    unknown = sorted(set(names or ()) - known)
    if unknown:
        raise InputError(f"there is no inbox {unknown[0]!r}; there are {', '.join(sorted(known)) or 'none'}")
    role_of = agents.find(store, email).role
    sight.set_inboxes(store, email, None if every else names)
    if json:
        print_json({"email": email.strip().lower(), "inboxes": sorted(set(names or ())) or None})
        return
    say(f"{email} sees {'every inbox' if every else ', '.join(sorted(set(names or ())))}")
    if role_of == "admin" and not every:
        say("an admin sees every inbox all the same; give them another role: triage agent role EMAIL agent")


@agent.command("totp-off")
def totp_off(email: str, json: Json = False) -> None:
    """Take the second factor away from one who lost the phone; they are logged out."""
    from pipeline.assembly import open_store
    from pipeline.review import totp

    was = totp.off(open_store(), email)
    if json:
        print_json({"email": email.strip().lower(), "second_factor": False, "was_on": was == "off"})
    else:
        say(f"{email} logs in without a code now" if was == "off" else f"{email} had no second factor")


@agent.command("sso-off")
def sso_off(email: str, json: Json = False) -> None:
    """Forget whose account it is at the single sign-on provider; a fresh link lets them connect anew."""
    from pipeline.assembly import open_store
    from pipeline.review import identities

    was = identities.unbind(open_store(), email)
    if json:
        print_json({"email": email.strip().lower(), "single_sign_on": False, "was_on": was})
    else:
        say(f"{email} is disconnected" if was else f"{email} was not connected")


@agent.command("audit")
def show_audit(
    last: Annotated[int, typer.Option(min=1, max=100_000, help="how many, the newest first")] = 100,
    json: Json = False,
) -> None:
    """What was done to accounts: when, who, what."""
    from pipeline.assembly import open_store
    from pipeline.review import audit

    rows = [
        {"at": at.isoformat(), "who": who, "what": what, "about": about, "detail": detail}
        for at, who, what, about, detail in audit.newest(open_store(), last)
    ]
    if json:
        print_json(rows)
        return
    for row in rows:
        say(f"{row['at'][:19]}Z  {row['who']}  {row['what']}  {row['about']}  {row['detail']}".rstrip())


@agent.command("list")
def list_agents(json: Json = False) -> None:
    """Every account, with its role and the inboxes it is limited to."""
    from pipeline.assembly import open_store
    from pipeline.review import agents

    accounts = agents.accounts(open_store())
    rows = [
        {
            "email": found.agent.email,
            "name": found.agent.name,
            "role": found.agent.role,
            "state": found.state,
            "inboxes": None if found.sees_all else list(found.inboxes),
            "second_factor": found.second_factor,
            "single_sign_on": found.single_sign_on,
        }
        for found in accounts
    ]
    if json:
        print_json(rows)
        return
    for found in accounts:
        sees = "all inboxes" if found.sees_all else ", ".join(found.inboxes)
        say(f"{found.agent.email:40} {found.agent.role:6} {found.state:8} {sees}")
    if not rows:
        say("no account yet; make one: triage agent add YOU@EXAMPLE.COM --role admin")


def _link(public_url: str, token: str, email: str, json: bool) -> None:
    address = f"{public_url.rstrip('/')}/enter/{token}"
    if json:
        print_json({"email": email, "link": address})
    else:
        say(f"give this link to {email}; it works once:\n\n    {address}")
