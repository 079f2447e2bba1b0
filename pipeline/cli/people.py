"""Commands for people's work: the review table from the terminal, the accounts of the page, the inboxes."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    from pipeline.cli.agents import agent
    from pipeline.cli.inboxes import inbox
    from pipeline.cli.review import review

    app.add_typer(review, name="review")
    app.add_typer(agent, name="agent")
    app.add_typer(inbox, name="inbox")
