"""What the web process is made of: live parts, filled by whoever starts it, never from settings here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pipeline.assembly import Parts
from pipeline.db.store import Store
from pipeline.reports.measures import Report
from pipeline.review.desk import Desk
from pipeline.review.oidc import SingleSignOn
from pipeline.review.totp import SecondFactors
from pipeline.routing.table import Routes


class ReportOf(Protocol):
    """Computes the report of a week ("2026-W47", None for the present one), as
    `pipeline.assembly.weekly_report` does: `by` breaks the rewrite rate down, `only` filters it; `fresh`
    counts a week anew that was written."""

    def __call__(
        self,
        week: str | None,
        *,
        by: Sequence[str] = (),
        only: Mapping[str, str] | None = None,
        fresh: bool = False,
    ) -> Report: ...


class Receipt(Protocol):
    """What became of a webhook's delivery: the HTTP status, and one plain line for the sender's log.

    `body` is what must be sent back word for word, where the source asks for that.
    """

    @property
    def status(self) -> int: ...

    @property
    def reason(self) -> str: ...

    @property
    def body(self) -> str | None: ...


ReceiveWebhook = Callable[[str, Mapping[str, str], bytes], Receipt]
"""(source, headers with lower-case names, body) -> receipt. `NotFoundError` for an unknown source; any
other `TriageError`, or a database error, means that it was not stored."""


def _no_hint(_ticket_id: int) -> None:
    """Without a broker at hand the sweeper finds the work."""


@dataclass(frozen=True)
class WebParts:
    """`hint` announces that a ticket has work due; `ready` maps a name to a check that raises when it fails.

    `public_url` is where agents reach the page: its scheme decides on secure cookies, its origin on which
    forms are taken. `inbox_names` are shown even while empty. `report` computes a week.
    `evaluations` is the folder in which `triage eval` keeps its runs.
    `webhook_limit` says how many bytes of body a webhook source may send, or raises `NotFoundError`;
    without it `webhook_limit_bytes` holds for all. `zone` is the time zone of whoever set none of their own.
    `models` are what drafts and rewrites at an agent's wish; without them the page offers none.
    """

    store: Store
    desk: Desk
    routes: Routes
    receive_webhook: ReceiveWebhook
    public_url: str
    version: str
    hint: Callable[[int], None] = _no_hint
    ready: Mapping[str, Callable[[], object]] = field(default_factory=dict)
    inbox_names: tuple[str, ...] = ()
    evaluations: Path | None = None
    report: ReportOf | None = None
    webhook_limit: Callable[[str], int] | None = None
    webhook_limit_bytes: int = 41_943_040
    form_limit_bytes: int = 1_048_576
    zone: str = "UTC"
    models: Parts | None = None
    second_factors: SecondFactors | None = None
    single_sign_on: SingleSignOn | None = None

    @property
    def teams(self) -> dict[str, str]:
        """The team of each topic."""
        return {name: topic.team for name, topic in self.routes.topics.items()}

    @property
    def https(self) -> bool:
        return self.public_url.startswith("https://")
