"""The only place that turns settings into live parts: store, models, prompts, inboxes, the way out."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Self

import sqlalchemy as sa
import structlog

from pipeline import tracing
from pipeline.accounts.lookup import Connector, LookedUp, look_up
from pipeline.db import leases, schema
from pipeline.db.leases import Lease
from pipeline.db.sending import HELD_FOR, Witness
from pipeline.db.store import Store
from pipeline.db.tables import replies, tickets, triages
from pipeline.db.types import now
from pipeline.delivery import send
from pipeline.delivery.compose import Sender
from pipeline.delivery.outcomes import Mailer
from pipeline.drafting.template_provider import TemplateProvider
from pipeline.errors import ConfigError
from pipeline.ingest import inboxes as inbox_tables
from pipeline.ingest.inboxes import Inbox
from pipeline.ingest.intake import STALE_AFTER, take_stored
from pipeline.ingest.oauth import Tokens
from pipeline.ingest.webhooks.receiving import forget_events
from pipeline.lifecycle import Status
from pipeline.models.base import Provider
from pipeline.models.batching import LONGEST_S, BatchingProvider
from pipeline.models.gateway import Gateway, Plan
from pipeline.models.ledger import Ledger, ScratchLedger, StoreLedger, expire_reservations
from pipeline.models.prices import Prices
from pipeline.models.prompts import Prompts
from pipeline.models.providers.local import LEARNED_FILE, LocalProvider
from pipeline.models.redaction import Redactor
from pipeline.reports.measures import Report, report
from pipeline.reports.spending import strong_choice
from pipeline.reports.weeks import Week
from pipeline.reports.written import written
from pipeline.retention import keeping
from pipeline.retention.keeping import Days
from pipeline.review import sessions
from pipeline.review.desk import Desk
from pipeline.review.diff import diff
from pipeline.review.oidc import SingleSignOn
from pipeline.review.outcomes import Thresholds
from pipeline.review.second_reads import Sample
from pipeline.review.totp import SecondFactors
from pipeline.routing import planning, reading
from pipeline.routing.table import DATA_CLASSES, LOCAL, TEMPLATES, Routes
from pipeline.settings import Settings, load
from pipeline.triage import calibration
from pipeline.triage.calibration import Calibration
from pipeline.ways_out import WaysOut, keeper_of_copies, manners_of

log = structlog.get_logger(__name__)

POLICY_BYTES = 60_000
TIDY_EVERY_S = 600.0
KEEP_FOR_S = 10.0
"""How long one tidying may work at retention; the next goes on."""


@dataclass
class Brain:
    """What is needed to read and draft, with or without a database: table, prompts, models."""

    settings: Settings
    routes: Routes
    prompts: Prompts
    providers: Mapping[str, Provider]
    gateway: Gateway
    policy: str | None
    calibration: Calibration
    in_batches: bool = field(default=False, kw_only=True)

    def batched(self) -> Self:
        """The same with every call to a provider travelling in a batch: half the price, answers within a day.

        For backfills and evaluations; a call blocks its thread until its batch has ended, so many threads
        make one batch. `close_batches` ends the work.
        """
        providers = {name: _batching(provider) for name, provider in self.providers.items()}
        return dataclasses.replace(
            self,
            providers=providers,
            gateway=self.gateway.over(providers, Prices(batch=True)),
            # a lease must outlast the batch
            settings=self.settings.model_copy(update={"lease_s": LONGEST_S + 3600.0}),
            in_batches=True,
        )

    def close_batches(self) -> None:
        """Cancel the batches under way; whoever waits for one gets `BatchesClosed`."""
        for provider in self.providers.values():
            if isinstance(provider, BatchingProvider):
                provider.close()

    def warm(self) -> None:
        """Have the local model ready, so that no message's time limit pays for its training."""
        local = self.providers[LOCAL]
        if isinstance(local, LocalProvider):
            local.warm()

    def plan(
        self,
        task: str,
        *,
        ticket_id: int | None = None,
        customer: str | None = None,
        agent_id: int | None = None,
        model: str | None = None,
        inbox: str | None = None,
        topic: str | None = None,
        confirmed: bool = False,
    ) -> Plan:
        """Which models may be asked for this task now, under which caps.

        `inbox` and `topic` (None before it is known) say how confidential the ticket is.
        """
        plan = planning.plan(
            self.routes,
            task,
            self.providers,
            {"cheap": self.settings.cheap_deadline_s, "strong": self.settings.strong_deadline_s}
            | dict.fromkeys(("local", "template"), self.settings.cheap_deadline_s),
            at=now(),
            ticket_id=ticket_id,
            customer=customer,
            agent_id=agent_id,
            model=model,
            inbox=inbox,
            data_class=self.data_class(topic=topic, inbox=inbox, ticket_id=ticket_id),
            confirmed=confirmed,
        )
        if not self.in_batches:
            return plan
        free = (dataclasses.replace(choice, at_once=None, per_minute=None) for choice in plan.choices)
        return dataclasses.replace(plan, choices=tuple(free))  # limits are for live calls

    def data_class(self, *, topic: str | None, inbox: str | None, ticket_id: int | None = None) -> str:
        """How confidential a ticket of this topic and inbox is; here no inbox has a class of its own."""
        return planning.data_class(self.routes, topic, None)


@dataclass
class Parts(Brain):
    """Everything that a worker, a web process or a command works with."""

    store: Store
    inboxes: Mapping[str, Inbox]
    connectors: list[Connector]
    owner: str = field(default_factory=leases.owner_name)
    tidied_at: float = float("-inf")

    def data_class(self, *, topic: str | None, inbox: str | None, ticket_id: int | None = None) -> str:
        """How confidential a ticket is: the strictest of what its inbox says and each topic that a message
        of it was read as. A harmless word at its end does not open the thread before it."""
        found = self.inboxes.get(inbox) if inbox else None
        topics = {topic}
        if ticket_id is not None and any(one.data for one in self.routes.topics.values()):
            with self.store.read() as connection:
                of_ticket = sa.select(triages.c.topic).where(triages.c.ticket_id == ticket_id).distinct()
                topics |= set(connection.execute(of_ticket).scalars())
        classes = (planning.data_class(self.routes, one, found.data if found else None) for one in topics)
        return max(classes, key=DATA_CLASSES.index)

    @cached_property
    def mailers(self) -> Callable[[str], Mailer]:
        """The way out for an inbox's replies, as inboxes.toml or TRIAGE_SMTP_URL says; see `ways_out`."""
        return WaysOut(self.settings, self.inboxes, lambda: self.tokens)

    @cached_property
    def tokens(self) -> Tokens:
        """The OAuth2 logins of the inboxes, kept encrypted under the secret key."""
        return Tokens(self.store, secret_key(self.settings))

    @property
    def home(self) -> Path:
        return self.settings.home.expanduser().resolve()

    def deliver(self, lease: Lease) -> str:
        """The send step for the ticket of this lease; returns the ticket's status after it."""
        if self.witness.take_turn() is not None:
            with self.store.write() as connection:
                leases.release(
                    connection,
                    lease,
                    due_in=HELD_FOR,
                    error="sending is held: see triage sending",
                    progressed=True,
                )
            return Status.APPROVED.value
        with self.store.read() as connection:
            inbox = connection.execute(
                sa.select(tickets.c.inbox).where(tickets.c.id == lease.ticket_id)
            ).scalar_one()
        return send.deliver(
            self.store,
            lease,
            self.mailers(inbox),
            self.sender_of,
            manners=manners_of(self.inboxes.get(inbox)),
            keep_copy=keeper_of_copies(self.inboxes.get(inbox), lambda: self.tokens),
        ).status.value

    @cached_property
    def witness(self) -> Witness:
        """What tells a database that was set back to an older state; asked before each attempt to send."""
        hours = self.settings.hold_after_h
        return Witness(self.store, self.home, timedelta(hours=hours) if hours else None)

    def sender_of(self, inbox_name: str) -> Sender:
        """Who the inbox answers as. Raises `ConfigError` where inboxes.toml names no address for it."""
        inbox = self.inboxes.get(inbox_name)
        address = (inbox.from_address if inbox else None) or next(
            iter(sorted(inbox.own)) if inbox else iter(()), None
        )
        if inbox is None or address is None:
            raise ConfigError(f"inboxes.toml: give [inbox.{inbox_name}] a from_address to answer as")
        return Sender(
            address=address,
            name=inbox.from_name or "",
            signature=inbox.signature or "",
            plus_address=inbox.uses_plus_address,
        )

    def sender_name(self, inbox_name: str) -> str:
        """The name that a draft of this inbox is signed with; empty where none is set."""
        inbox = self.inboxes.get(inbox_name)
        return (inbox.from_name if inbox else None) or ""

    @cached_property
    def desk(self) -> Desk:
        """The review table's actions, with the ways out that uncertain replies need."""
        return Desk(
            self.store,
            undo=timedelta(seconds=self.settings.undo_s),
            domain_of=self._domain_of,
            own_addresses=frozenset(address for inbox in self.inboxes.values() for address in inbox.own),
            mark_sent=self._mark_sent,
            send_again=send.send_again,
            thresholds=thresholds(self.settings),
            asks=frozenset(task.name for task in self.routes.tasks.values() if task.at_cap == "ask"),
            second_reads=Sample(secret_key(self.settings), self.settings.second_read_share),
        )

    def _mark_sent(self, connection: sa.Connection, reply_id: int, *, who: str, why: str) -> object:
        inbox = connection.execute(
            sa.select(tickets.c.inbox)
            .join(replies, replies.c.ticket_id == tickets.c.id)
            .where(replies.c.id == reply_id)
        ).scalar_one()
        return send.mark_sent(connection, reply_id, who=who, why=why, sender=self.sender_of(inbox))

    def _domain_of(self, inbox_name: str) -> str | None:
        inbox = self.inboxes.get(inbox_name)
        address = (inbox.from_address if inbox else None) or ""
        return address.rpartition("@")[2] or None

    def look_up(self, address: str, *, order_numbers: list[str]) -> list[LookedUp]:
        """Ask every connector about an address that the inbox vouches for."""
        return look_up(self.connectors, address, verified=True, order_numbers=order_numbers)

    def due_now(self, ticket_id: int) -> tuple[int, str, int] | None:
        """(ticket id, status, version) if the ticket is due and free at this moment."""
        with self.store.read() as connection:
            row = connection.execute(
                sa.select(tickets.c.id, tickets.c.status, tickets.c.version).where(
                    tickets.c.id == ticket_id, tickets.c.due_at <= now(), tickets.c.lease_until.is_(None)
                )
            ).one_or_none()
        return (row.id, row.status, row.version) if row else None

    def keep_house(self) -> None:
        """What every sweep does: free dead workers' leases, take up what was left half-done, tidy up."""
        lease = timedelta(seconds=self.settings.lease_s)
        if held := self.witness.beat():
            log.warning("sending is held; release it with: triage sending release", why=held.why)
        with self.store.write() as connection:
            freed = leases.free_the_dead(connection)
        taken = len(take_stored(self.store, inboxes=self.inboxes, older_than=min(STALE_AFTER, lease)))
        expired = expire_reservations(self.store, now() - lease)
        if time.monotonic() - self.tidied_at > TIDY_EVERY_S:
            self.tidied_at = time.monotonic()
            sessions.prune(self.store)
            forget_events(self.store)
            keeping.keep(self.store, self.home, days_kept(self.settings), for_s=KEEP_FOR_S)
        if freed or taken or expired:
            log.info(
                "housekeeping", leases_freed=freed, raw_messages_taken=taken, reservations_expired=expired
            )


def open_store(settings: Settings | None = None) -> Store:
    """The store of these settings, its schema checked. Raises `SchemaError` with the command that mends it."""
    settings = settings or load()
    store = Store(settings.database, pool_size=max(10, settings.worker_threads + 4))
    schema.check(store)
    return store


def open_brain(settings: Settings, ledger: Ledger | None = None) -> Brain:
    """Table, prompts and models; without a ledger, calls are booked in memory only."""
    routes = open_routes(settings)
    prompts_folder = settings.file("prompts", settings.prompts)
    if prompts_folder is None:
        raise ConfigError("the prompts folder is nowhere; set TRIAGE_PROMPTS")
    providers = open_providers(settings)
    return Brain(
        settings=settings,
        routes=routes,
        prompts=Prompts(prompts_folder, Redactor(routes.data.redact, routes.region)),
        providers=providers,
        gateway=Gateway(providers, ledger or ScratchLedger(), Prices()),
        policy=_policy(settings),
        calibration=open_calibration(settings),
    )


def open_parts(settings: Settings | None = None, store: Store | None = None) -> Parts:
    """All live parts, for a process that works on the store."""
    settings = settings or load()
    store = store or open_store(settings)
    if settings.otlp_endpoint:
        version = importlib.metadata.version("triage")
        tracing.configure(settings.otlp_endpoint, key=secret_key(settings), version=version)
    brain = open_brain(settings, StoreLedger(store))
    accounts = settings.file("accounts.toml", settings.accounts, shipped=False)
    connectors: list[Connector] = []
    if accounts is not None:
        from pipeline.accounts import config

        connectors = config.load(accounts, home=settings.home.expanduser().resolve())
    return Parts(
        settings=brain.settings,
        routes=brain.routes,
        prompts=brain.prompts,
        providers=brain.providers,
        gateway=brain.gateway,
        policy=brain.policy,
        calibration=brain.calibration,
        store=store,
        inboxes=open_inboxes(settings),
        connectors=connectors,
    )


def open_routes(settings: Settings) -> Routes:
    """The routing table that is in force."""
    path = settings.file("routes.toml", settings.routes)
    if path is None:
        raise ConfigError("routes.toml is nowhere; set TRIAGE_ROUTES")
    return reading.read(path)


def open_calibration(settings: Settings) -> Calibration:
    """What is known of how far the models' confidence can be believed; nothing where there is no file."""
    path = settings.file(calibration.FILE, settings.calibration, shipped=False)
    return calibration.load(path) if path else Calibration()


def open_inboxes(settings: Settings) -> dict[str, Inbox]:
    """The inboxes of inboxes.toml; none where there is no such file."""
    path = settings.file("inboxes.toml", settings.inboxes, shipped=False)
    return inbox_tables.load(path) if path else {}


def open_providers(settings: Settings) -> dict[str, Provider]:
    """The providers that can be asked: the built-in ones, and those with a key (or an own address)."""
    providers: dict[str, Provider] = {
        LOCAL: LocalProvider(
            cache_dir=cache_dir(settings), learned=settings.home.expanduser().resolve() / LEARNED_FILE
        ),
        TEMPLATES: TemplateProvider(),
    }
    if settings.openai_api_key or settings.openai_base_url:
        from pipeline.models.providers.openai import OpenAIProvider

        key = settings.openai_api_key.get_secret_value() if settings.openai_api_key else "none"
        providers["openai"] = OpenAIProvider(key, settings.openai_base_url)
    if settings.anthropic_api_key or settings.anthropic_base_url:
        from pipeline.models.providers.anthropic import AnthropicProvider

        key = settings.anthropic_api_key.get_secret_value() if settings.anthropic_api_key else "none"
        providers["anthropic"] = AnthropicProvider(key, settings.anthropic_base_url)
    return providers


def _batching(provider: Provider) -> Provider:
    """The provider behind its batch API; one that has none (a built-in part) stays as it is."""
    if provider.name == "openai":
        from pipeline.models.providers.openai import OpenAIProvider
        from pipeline.models.providers.openai_batches import OpenAIBatches

        if isinstance(provider, OpenAIProvider):
            return BatchingProvider(OpenAIBatches(provider))
    if provider.name == "anthropic":
        from pipeline.models.providers.anthropic import AnthropicProvider
        from pipeline.models.providers.anthropic_batches import AnthropicBatches

        if isinstance(provider, AnthropicProvider):
            return BatchingProvider(AnthropicBatches(provider))
    return provider


def second_factors(settings: Settings, store: Store) -> SecondFactors:
    """The codes of authenticator apps, kept under the secret key."""
    return SecondFactors(store, secret_key(settings))


def single_sign_on(settings: Settings) -> SingleSignOn | None:
    """The provider that agents may log in with; None where none is set. Raises `ConfigError`."""
    if not settings.oidc_issuer:
        return None
    if not settings.oidc_client_id:
        raise ConfigError("TRIAGE_OIDC_ISSUER is set, so TRIAGE_OIDC_CLIENT_ID must be, as registered there")
    secret = settings.oidc_client_secret
    return SingleSignOn(
        secret_key(settings),
        issuer=settings.oidc_issuer,
        client_id=settings.oidc_client_id,
        client_secret=secret.get_secret_value() if secret else None,
        redirect_uri=f"{settings.public_url.rstrip('/')}/oidc/callback",
        label=settings.oidc_label,
    )


def secret_key(settings: Settings) -> str:
    """What signs links and cookies: as set, or made once and kept in TRIAGE_HOME, readable by its owner."""
    if settings.secret_key:
        return settings.secret_key.get_secret_value()
    path = settings.home.expanduser().resolve() / "secret.key"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text(encoding="ascii").strip()
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(32))
    return path.read_text(encoding="ascii").strip()


def cache_dir(settings: Settings) -> Path:
    """Where the local model keeps what it trained: beside the store if that exists, else the user's cache."""
    home = settings.home.expanduser().resolve()
    if home.is_dir():
        return home / "cache"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "triage"


def _policy(settings: Settings) -> str | None:
    path = settings.file("policy.md", settings.policy, shipped=False)
    if path is None:
        return None
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: the policy cannot be read: {error}") from None
    if len(text.encode()) > POLICY_BYTES:
        raise ConfigError(f"{path}: the policy is longer than {POLICY_BYTES} bytes; every draft pays for it")
    return text


def status_counts(store: Store) -> dict[str, int]:
    """How many tickets stand in each status."""
    with store.read() as connection:
        rows = connection.execute(sa.select(tickets.c.status, sa.func.count()).group_by(tickets.c.status))
        found = {row[0]: int(row[1]) for row in rows}
    return {status.value: found.get(status.value, 0) for status in Status}


def next_due(store: Store) -> datetime | None:
    """When the next ticket that waits is due; None where none does."""
    with store.read() as connection:
        return leases.pending(connection)[1]


def weekly_report(
    settings: Settings,
    store: Store,
    routes: Routes,
    week: str | None,
    *,
    fresh: bool = False,
    by: Sequence[str] = (),
    only: Mapping[str, str] | None = None,
) -> Report:
    """The report of a week like 2026-W47, None for the present one, by the clocks of TRIAGE_ZONE.

    A week that the schedule has written is shown as it was written, unless a `fresh` count is wanted,
    or another breakdown (`by`) or a filter (`only`); for these see `pipeline.reports.measures.report`.
    """
    chosen = Week.parse(week) if week else Week.of(now(), settings.zone)
    if not (fresh or by or only) and (kept := written(store, chosen)) is not None:
        return kept
    return report(
        store,
        chosen,
        zone=settings.zone,
        budgets=routes.budgets,
        thresholds=dataclasses.asdict(thresholds(settings)),
        by=by,
        only=only,
        strong=strong_choice(routes),
        quick_s=settings.quick_s,
        diff=diff,
        routes=routes,
        prompts=settings.file("prompts", settings.prompts),
    )


def thresholds(settings: Settings) -> Thresholds:
    """The edit shares at which a draft counts as sent as it was, heavily edited, rewritten."""
    return Thresholds(settings.as_is_up_to, settings.heavy_from, settings.rewritten_from)


def days_kept(settings: Settings) -> Days:
    """How many days what is kept; 0 is for ever."""
    return Days(
        settings.keep_raw_days,
        settings.keep_attachments_days,
        settings.keep_answers_days,
        settings.keep_logins_days,
    )
