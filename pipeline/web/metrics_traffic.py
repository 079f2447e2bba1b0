"""What the metrics say of what goes in and out: mail, models, money."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa

from pipeline.db.tables import messages, model_calls, model_states, raw_messages, replies, spend
from pipeline.db.types import now
from pipeline.ingest import uids
from pipeline.ingest.mailboxes import mailboxes_of
from pipeline.models.spend import CapUse, caps_in_use
from pipeline.web.gauges import RECENT, SERIES, Family, age, by, counted, number, single

CALL_STATES = ("reserved", "ok", "failed", "unknown", "not_called")
REPLY_STATES = ("waiting", "sending", "sent", "failed", "uncertain", "withdrawn")
RAW_STATES = ("stored", "parsed", "duplicate", "quarantined")


def of_models(c: sa.Connection) -> Iterator[Family]:
    calls = model_calls.c
    yield counted(c, "triage_model_calls", "Model calls by state.", "state", calls.state, CALL_STATES)
    rows = c.execute(
        sa.select(
            calls.provider,
            calls.model,
            calls.state,
            calls.error_kind,
            sa.func.count().label("n"),
            sa.func.sum(calls.latency_ms).label("ms"),
            sa.func.sum(calls.input_tokens).label("tokens_in"),
            sa.func.sum(calls.output_tokens).label("tokens_out"),
        )
        .where(calls.started_at > now() - RECENT)
        .group_by(calls.provider, calls.model, calls.state, calls.error_kind)
        .order_by(sa.func.count().desc())
        .limit(SERIES)
    ).all()
    window = f"of the last {RECENT.seconds // 60} minutes"
    recent = Family(
        "triage_model_calls_recent",
        f"Model calls {window} by model and outcome: ok, under_way, or the class of the error.",
        labels=["provider", "model", "outcome"],
    )
    latency = Family(
        "triage_model_latency_recent_seconds",
        f"Mean duration of the calls {window} that were answered.",
        labels=["provider", "model"],
    )
    tokens = Family(
        "triage_model_tokens_recent",
        f"Tokens of the calls {window}, as the provider counted them.",
        labels=["provider", "model", "kind"],
    )
    used: dict[tuple[str, str], list[int]] = {}
    for row in rows:
        outcome = {"ok": "ok", "reserved": "under_way"}.get(row.state) or row.error_kind or row.state
        recent.add_metric([row.provider, row.model, outcome], row.n)
        if row.state == "ok":
            latency.add_metric([row.provider, row.model], (row.ms or 0) / row.n / 1000)
        sums = used.setdefault((row.provider, row.model), [0, 0])
        sums[0] += row.tokens_in or 0
        sums[1] += row.tokens_out or 0
    for (provider, model), (tokens_in, tokens_out) in used.items():
        tokens.add_metric([provider, model, "input"], tokens_in)
        tokens.add_metric([provider, model, "output"], tokens_out)
    yield recent
    yield latency
    yield tokens
    yield single(
        "triage_model_calls_in_flight",
        "Model calls under way.",
        number(c, model_calls, calls.state == "reserved"),
    )
    states = c.execute(
        sa.select(model_states.c.model, model_states.c.open_until, model_states.c.failures)
        .order_by(model_states.c.model)
        .limit(SERIES)
    ).all()
    yield by(
        "triage_model_paused",
        "1 while the model's circuit breaker is open: no call is made, but for a probe.",
        "model",
        {row.model: 0 if row.open_until is None else 1 for row in states},
    )
    yield by(
        "triage_model_failures_in_a_row",
        "Outages of the model in a row.",
        "model",
        {row.model: row.failures for row in states},
    )


def of_money(c: sa.Connection) -> Iterator[Family]:
    row = c.execute(
        sa.select(spend.c.spent_usd, spend.c.reserved_usd).where(spend.c.scope == f"day:{now():%Y-%m-%d}")
    ).one_or_none()
    yield single(
        "triage_spend_today_usd",
        "US dollars spent on models today (UTC).",
        float(row.spent_usd) if row else 0,
    )
    yield single(
        "triage_spend_reserved_usd",
        "US dollars reserved for calls under way.",
        float(row.reserved_usd) if row else 0,
    )
    spent, limit, alarm = (
        Family(name, words, labels=["cap", "of"])
        for name, words in (
            ("triage_cap_used_usd", "US dollars spent and reserved under a cap of the present time."),
            ("triage_cap_limit_usd", "The cap, as it stood at the last reservation."),
            ("triage_cap_alarm", "1 once the cap's share for an alarm was passed."),
        )
    )
    for cap in caps_in_use(c)[:SERIES]:
        labels = [cap.kind, _of(cap)]
        spent.add_metric(labels, float(cap.spent_usd + cap.reserved_usd))
        limit.add_metric(labels, float(cap.limit_usd))
        alarm.add_metric(labels, 0 if cap.alarmed_at is None else 1)
    yield spent
    yield limit
    yield alarm


def _of(cap: CapUse) -> str:
    """Whose cap it is: the task, route, inbox or agent; "" for the caps of all. No date: a series must last."""
    return ":".join(cap.scope.split(":")[1:-1])


def of_mail(c: sa.Connection) -> Iterator[Family]:
    raw = raw_messages.c
    yield counted(c, "triage_raw_messages", "Raw messages by state.", "state", raw.state, RAW_STATES)
    yield single(
        "triage_raw_oldest_seconds",
        "Age of the oldest raw message that is stored and not yet parsed.",
        age(c.execute(sa.select(sa.func.min(raw.received_at)).where(raw.state == "stored")).scalar()),
    )
    yield single(
        "triage_quarantine",
        "Raw messages that could not be parsed and wait for a person.",
        number(c, raw_messages, raw.state == "quarantined"),
    )
    arrived = c.execute(
        sa.select(messages.c.inbox, sa.func.count().label("n"))
        .where(messages.c.received_at > now() - RECENT, messages.c.direction == "inbound")
        .group_by(messages.c.inbox)
        .limit(SERIES)
    )
    yield by(
        "triage_messages_recent",
        f"Messages that came in during the last {RECENT.seconds // 60} minutes.",
        "inbox",
        {row.inbox: row.n for row in arrived},
    )
    yield counted(c, "triage_replies", "Replies by state.", "state", replies.c.state, REPLY_STATES)
    yield single(
        "triage_send_uncertain",
        "Replies that may or may not have gone out and wait for a person.",
        number(c, replies, replies.c.state == "uncertain"),
    )


def of_inboxes(c: sa.Connection) -> Iterator[Family]:
    lag = Family(
        "triage_inbox_last_ok_seconds",
        "How long ago the mailbox was last read to its end without an error.",
        labels=["inbox", "folder"],
    )
    failing = Family(
        "triage_inbox_failing", "1 while the last attempt on the mailbox failed.", labels=["inbox", "folder"]
    )
    mailboxes = mailboxes_of(c)[:SERIES]
    for mailbox in mailboxes:
        labels = [mailbox.inbox, mailbox.folder]
        if mailbox.lag_s is not None:
            lag.add_metric(labels, mailbox.lag_s)
        failing.add_metric(labels, 1 if mailbox.state == "failing" else 0)
    yield lag
    yield failing
    yield by(
        "triage_inbox_gone",
        "Mails that were gone before they could be fetched.",
        "inbox",
        {name: uids.gone(c, name) for name in sorted({mailbox.inbox for mailbox in mailboxes})},
    )
