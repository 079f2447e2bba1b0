"""`triage report --send`, `--again` and `--mail`: the report as a mail, by a person's command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cli.output import note, print_json, say
from pipeline.errors import InputError

if TYPE_CHECKING:
    from pipeline.db.store import Store
    from pipeline.reports.measures import Report
    from pipeline.settings import Settings


def send_letters(settings: Settings, week: str | None, again: str | None, *, json: bool) -> None:
    """Send a finished week (None: the last one) to those who do not have it, or once more to `again`."""
    from pipeline.assembly import open_parts
    from pipeline.db.types import now
    from pipeline.reports.weeks import Week
    from pipeline.steps.reporting import send_again, send_now, states

    parts = open_parts(settings)
    chosen = Week.parse(week) if week else Week.of(now(), settings.zone).before()
    before = {state.address: state for state in states(parts.store, chosen)}
    found = send_again(parts, chosen, again) if again else send_now(parts, chosen)
    if json:
        print_json(
            [
                {"week": each.week, "address": each.address, "state": each.state, "words": each.words}
                for each in found
            ]
        )
        return
    for each in found:
        old = before.get(each.address)
        earlier = "sent before: " if old is not None and old.state == "sent" else ""
        say(f"{each.week} {earlier}{each.said}")
    doubtful = [each.address for each in found if each.state in ("failed", "uncertain")]
    if doubtful:
        note(f"to send one again: triage report --week {chosen} --again {doubtful[0]}")


def write_mail(settings: Settings, store: Store, report: Report, path: Path) -> None:
    """The mail as a recipient gets it, as one .eml file."""
    from pipeline.assembly import open_parts
    from pipeline.delivery.compose import wire_bytes
    from pipeline.steps.reporting import as_mail

    to = next(iter(settings.report_recipients), "nobody@localhost")
    data, _utf8 = wire_bytes(as_mail(open_parts(settings, store), report, to))
    try:
        path.write_bytes(data)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from None
    note(f"wrote {path}")
