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


@agent.command("list")
def list_agents(json: Json = False) -> None:
    """Every account, with its role."""
    from pipeline.assembly import open_store
    from pipeline.review import agents

    rows = [
        {
            "email": found.email,
            "name": found.name,
            "role": found.role,
            "state": "disabled" if disabled else "active" if has_password else "invited",
        }
        for found, has_password, disabled in agents.everyone(open_store())
    ]
    if json:
        print_json(rows)
        return
    for row in rows:
        say(f"{row['email']:40} {row['role']:6} {row['state']}")
    if not rows:
        say("no account yet; make one: triage agent add YOU@EXAMPLE.COM --role admin")


def _link(public_url: str, token: str, email: str, json: bool) -> None:
    address = f"{public_url.rstrip('/')}/enter/{token}"
    if json:
        print_json({"email": email, "link": address})
    else:
        say(f"give this link to {email}; it works once:\n\n    {address}")
