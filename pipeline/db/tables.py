"""Every table of the store. Alembic's migrations build them; a test compares the two."""

from __future__ import annotations

import sqlalchemy as sa

from pipeline.db.types import Id, Json, Money, UtcTime

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

T = sa.Text


def _words_in(sql: str) -> str:
    """A PostgreSQL expression: the words of a text, whatever stands between them, so that `a.b@c` is three.

    The arguments stand as PostgreSQL prints them back, so that the two schemas compare. Not more than 20,000
    characters: a longer list of words than the type holds would refuse the row.
    """
    joined = "@._-/+#:~=&<>?"  # what the parser of the words would take into one
    spaces = " " * len(joined)
    return f"to_tsvector('simple'::regconfig, translate(\"left\"({sql}, 20000), '{joined}', '{spaces}'))"


TICKET_WORDS = _words_in(
    "(((subject || ' ') || COALESCE(customer_name, '')) || ' ') || COALESCE(customer_address, '')"
)
MESSAGE_WORDS = _words_in("text")
UNTRIMMED = "trimmed_at IS NULL OR trimmed_at < updated_at"
FIELD_WORDS = _words_in("jsonb_path_query_array(fields, '$.*[*].*'::jsonpath)::text")


def _searched(name: str, what: str) -> sa.Index:
    """A GIN index for the search, on PostgreSQL only; on SQLite the search reads the texts."""
    return sa.Index(name, sa.text(what), postgresql_using="gin").ddl_if(dialect="postgresql")


# --- what came in --------------------------------------------------------------------------------

raw_messages = sa.Table(
    "raw_messages",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("inbox", T, nullable=False),
    sa.Column("format", T, nullable=False, comment="rfc822, or the webhook adapter's name"),
    sa.Column("sha256", T, nullable=False, comment="of body; the same bytes twice are one row"),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("body", sa.LargeBinary, comment="as received; null once retention removed it"),
    sa.Column("received_at", UtcTime, nullable=False),
    sa.Column("state", T, nullable=False, comment="stored, parsed, duplicate, quarantined"),
    sa.Column("reason", T, comment="why it is quarantined or a duplicate"),
    sa.Column(
        "verified", sa.Boolean, nullable=False, default=False, comment="a webhook whose signature held"
    ),
    sa.Column("attempts", sa.Integer, nullable=False, default=0, comment="how often parsing was begun"),
    sa.Column("times_seen", sa.Integer, nullable=False, default=1),
    sa.UniqueConstraint("sha256"),
    sa.Index("ix_raw_messages_state", "state", "received_at"),
    sa.Index(
        "ix_raw_messages_kept",
        "received_at",
        "id",
        sqlite_where=sa.text("body IS NOT NULL"),
        postgresql_where=sa.text("body IS NOT NULL"),
    ),
)

imap_folders = sa.Table(
    "imap_folders",
    metadata,
    sa.Column("inbox", T, primary_key=True),
    sa.Column("folder", T, primary_key=True),
    sa.Column("uidvalidity", sa.BigInteger, nullable=False),
    sa.Column("watermark", sa.BigInteger, nullable=False, comment="every UID up to it is taken or gone"),
    sa.Column("last_ok_at", UtcTime),
    sa.Column("last_error", T),
    sa.Column("last_error_at", UtcTime),
)

imap_uids = sa.Table(
    "imap_uids",
    metadata,
    sa.Column("inbox", T, primary_key=True),
    sa.Column("folder", T, primary_key=True),
    sa.Column("uidvalidity", sa.BigInteger, primary_key=True),
    sa.Column("uid", sa.BigInteger, primary_key=True),
    sa.Column("raw_id", Id, sa.ForeignKey("raw_messages.id"), comment="null: gone before it was fetched"),
    sa.Column("taken_at", UtcTime, nullable=False),
)

oauth_tokens = sa.Table(
    "oauth_tokens",
    metadata,
    sa.Column("inbox", T, primary_key=True),
    sa.Column(
        "ciphertext", T, nullable=False, comment="under TRIAGE_SECRET_KEY: see pipeline.db.oauth_tokens"
    ),
    sa.Column("updated_at", UtcTime, nullable=False),
)

webhook_events = sa.Table(
    "webhook_events",
    metadata,
    sa.Column("source", T, primary_key=True),
    sa.Column("event_id", T, primary_key=True),
    sa.Column("body_sha256", T, nullable=False),
    sa.Column("raw_id", Id, sa.ForeignKey("raw_messages.id")),
    sa.Column("received_at", UtcTime, nullable=False),
    sa.Column("conflicts", sa.Integer, nullable=False, default=0, comment="the same id with another body"),
)

# --- tickets and their messages --------------------------------------------------------------------

tickets = sa.Table(
    "tickets",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("inbox", T, nullable=False),
    sa.Column("subject", T, nullable=False, default=""),
    sa.Column("customer_address", T, comment="domain part lower-cased"),
    sa.Column("customer_name", T),
    sa.Column(
        "customer_verified", sa.Boolean, nullable=False, default=False, comment="the inbox vouches for it"
    ),
    sa.Column("reply_token", T, nullable=False, unique=True, comment="128 random bits, in our Reply-To"),
    sa.Column("status", T, nullable=False),
    sa.Column("version", sa.Integer, nullable=False, default=1, comment="raised by every change"),
    sa.Column("route", T, comment="cheap, strong or human: the last decision"),
    sa.Column("decision", T, comment="one sentence: why this route"),
    sa.Column("topic", T),
    sa.Column("language", T),
    sa.Column("urgency", T),
    sa.Column(
        "urgency_rank", sa.Integer, nullable=False, default=1, comment="0 low .. 3 critical, for sorting"
    ),
    sa.Column("emotion", T),
    sa.Column("team", T),
    sa.Column("assignee_id", Id, sa.ForeignKey("agents.id")),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("updated_at", UtcTime, nullable=False),
    sa.Column("last_message_at", UtcTime),
    # the work that is due, and who has it
    sa.Column("due_at", UtcTime, comment="null: at rest"),
    sa.Column("attempts", sa.Integer, nullable=False, default=0, comment="starts of the present step"),
    sa.Column(
        "lease_token", sa.Integer, nullable=False, default=0, comment="the fence: raised by every claim"
    ),
    sa.Column("lease_owner", T),
    sa.Column("lease_until", UtcTime),
    sa.Column("hinted_at", UtcTime, comment="when the sweeper last announced it"),
    sa.Column("last_error", T),
    sa.Column(
        "confirmed_by", Id, sa.ForeignKey("agents.id"), comment="agreed that the next step may pass a cap"
    ),
    sa.Column("trimmed_at", UtcTime, comment="when retention took out what machines had said of it"),
    sa.Index(
        "ix_tickets_untrimmed",
        "updated_at",
        "id",
        sqlite_where=sa.text(UNTRIMMED),
        postgresql_where=sa.text(UNTRIMMED),
    ),
    sa.Index("ix_tickets_due_at", "due_at", "id"),
    sa.Index("ix_tickets_status", "status", "urgency_rank", "id"),
    sa.Index("ix_tickets_customer_address", "customer_address"),
    _searched("ix_tickets_words", TICKET_WORDS),
    sa.Index("ix_tickets_created_at", "created_at"),
    sa.Index(
        "ix_tickets_lease_owner",
        "lease_owner",
        sqlite_where=sa.text("lease_owner IS NOT NULL"),
        postgresql_where=sa.text("lease_owner IS NOT NULL"),
    ),
)

messages = sa.Table(
    "messages",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("ticket_id", Id, sa.ForeignKey("tickets.id"), nullable=False),
    sa.Column("raw_id", Id, sa.ForeignKey("raw_messages.id")),
    sa.Column("inbox", T, nullable=False),
    sa.Column("direction", T, nullable=False, comment="inbound or outbound"),
    sa.Column("kind", T, nullable=False, comment="person, auto_reply, bounce, bulk; reply when outbound"),
    sa.Column("kind_reason", T, nullable=False, default=""),
    sa.Column("message_id", T, comment="without angle brackets; null if it had none"),
    sa.Column("in_reply_to", T),
    sa.Column("references", Json, nullable=False, default=list),
    sa.Column("from_name", T),
    sa.Column("from_address", T),
    sa.Column("reply_to", Json, nullable=False, default=list),
    sa.Column("to", Json, nullable=False, default=list),
    sa.Column("cc", Json, nullable=False, default=list),
    sa.Column("subject", T, nullable=False, default=""),
    sa.Column("sent_at", UtcTime, comment="its own Date"),
    sa.Column("received_at", UtcTime, nullable=False),
    sa.Column("text", T, nullable=False, default=""),
    sa.Column("new_text", T, nullable=False, default=""),
    sa.Column("html", T, comment="sanitised"),
    sa.Column(
        "verified", sa.Boolean, nullable=False, default=False, comment="the inbox vouches for the sender"
    ),
    sa.Column("verified_why", T, nullable=False, default=""),
    sa.Column("body_hash", T, nullable=False),
    sa.Column("fingerprint", T, nullable=False, unique=True, comment="hash of Message-ID, From, body hash"),
    sa.Column("bounce", Json),
    sa.Column("defects", Json, nullable=False, default=list),
    sa.Column("flags", Json, nullable=False, default=list, comment="e.g. subject_changed, unverified_token"),
    sa.Column("triaged_at", UtcTime, comment="null: a person's inbound message that waits"),
    sa.Column("agent_id", Id, sa.ForeignKey("agents.id"), comment="who approved an outbound one"),
    sa.Index("ix_messages_ticket_id", "ticket_id", "id"),
    sa.Index("ix_messages_received_at", "received_at"),
    sa.Index("ix_messages_message_id", "message_id"),
    sa.Index("ix_messages_raw_id", "raw_id"),
    sa.Index("ix_messages_from_address", "from_address", "received_at"),
    _searched("ix_messages_words", MESSAGE_WORDS),
)

blobs = sa.Table(
    "blobs",
    metadata,
    sa.Column("sha256", T, primary_key=True),
    sa.Column("data", sa.LargeBinary, nullable=False),
)

attachments = sa.Table(
    "attachments",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("message_id", Id, sa.ForeignKey("messages.id"), nullable=False),
    sa.Column("filename", T, nullable=False),
    sa.Column("content_type", T, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("sha256", T, nullable=False),
    sa.Column("inline", sa.Boolean, nullable=False),
    sa.Column("content_id", T),
    sa.Index("ix_attachments_message_id", "message_id"),
    sa.Index("ix_attachments_sha256", "sha256"),
)

# --- what machines said ------------------------------------------------------------------------------

model_calls = sa.Table(
    "model_calls",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("ticket_id", Id, sa.ForeignKey("tickets.id")),
    sa.Column("message_id", Id, sa.ForeignKey("messages.id")),
    sa.Column("task", T, nullable=False),
    sa.Column("route", T, nullable=False, comment="cheap or strong"),
    sa.Column("attempt", sa.Integer, nullable=False, comment="1, 2, ... within one answer wanted"),
    sa.Column("role", T, nullable=False, comment="model, retry, repair, backup, safe_default"),
    sa.Column("provider", T, nullable=False),
    sa.Column("model", T, nullable=False, comment="its key in routes.toml"),
    sa.Column("answered_by", T, comment="the model name that the provider reported"),
    sa.Column("tier", T, nullable=False, comment="local, cheap, strong, template"),
    sa.Column("prompt", T, nullable=False, comment="digest of the prompt file"),
    sa.Column("prompt_name", T, nullable=False, default="", comment="e.g. triage/cheap"),
    sa.Column("agent_id", Id, sa.ForeignKey("agents.id"), comment="who asked for it by hand"),
    sa.Column("started_at", UtcTime, nullable=False),
    sa.Column("latency_ms", sa.Integer),
    sa.Column("input_tokens", sa.Integer),
    sa.Column("cached_input_tokens", sa.Integer),
    sa.Column("cache_write_tokens", sa.Integer),
    sa.Column("output_tokens", sa.Integer),
    sa.Column("reserved_usd", Money, nullable=False),
    sa.Column("cost_usd", Money, comment="null while under way; the worst price where usage is unknown"),
    sa.Column("state", T, nullable=False, comment="reserved, ok, failed, unknown, not_called"),
    sa.Column("error_kind", T, comment="ModelError.kind, or budget"),
    sa.Column("error", T, comment="no customer text"),
    sa.Column("request_id", T),
    sa.Column("scopes", Json, nullable=False, default=list, comment="the caps that it was reserved in"),
    sa.Index("ix_model_calls_ticket_id", "ticket_id", "id"),
    sa.Index("ix_model_calls_started_at", "started_at"),
    sa.Index("ix_model_calls_state", "state", "started_at"),
)

model_states = sa.Table(
    "model_states",
    metadata,
    sa.Column("model", T, primary_key=True, comment="provider and key of routes.toml: openai/gpt-6-luna"),
    sa.Column(
        "failures", sa.Integer, nullable=False, default=0, server_default="0", comment="outages in a row"
    ),
    sa.Column(
        "opened", sa.Integer, nullable=False, default=0, server_default="0", comment="openings in a row"
    ),
    sa.Column("open_until", UtcTime, comment="no call before then; after it one probe"),
    sa.Column("probe_until", UtcTime, comment="somebody probes; nobody else calls before then"),
    sa.Column("last_kind", T, comment="what opened it: ModelError.kind"),
    sa.Column("next_at", UtcTime, comment="when the next call may begin under the rate limit"),
    sa.Column("updated_at", UtcTime, nullable=False),
)
spend = sa.Table(
    "spend",
    metadata,
    sa.Column("scope", T, primary_key=True, comment="e.g. day:2026-11-23, task:draft:2026-11-23, ticket:12"),
    sa.Column("spent_usd", Money, nullable=False, default=0, comment="settled"),
    sa.Column(
        "reserved_usd", Money, nullable=False, default=0, comment="calls under way, at their worst price"
    ),
    sa.Column("limit_usd", Money, comment="the cap as it stood at the last reservation"),
    sa.Column("label", T, comment="the cap in words"),
    sa.Column("alarmed_at", UtcTime, comment="when the share for an alarm was passed"),
    sa.Column("updated_at", UtcTime, nullable=False),
)

triages = sa.Table(
    "triages",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("ticket_id", Id, sa.ForeignKey("tickets.id"), nullable=False),
    sa.Column("message_id", Id, sa.ForeignKey("messages.id"), nullable=False, unique=True),
    sa.Column("call_id", Id, sa.ForeignKey("model_calls.id")),
    sa.Column("topic", T, nullable=False),
    sa.Column("other_topics", Json, nullable=False, default=list),
    sa.Column("confidence", sa.Float, nullable=False),
    sa.Column("stated", sa.Float, comment="the model's own confidence, before calibration"),
    sa.Column("certainty", sa.Float, comment="of the label's tokens, where the API tells it"),
    sa.Column("agreed", sa.Boolean, comment="with the second reader; null: there was none"),
    sa.Column("calibrated", sa.Boolean, nullable=False, default=False, server_default=sa.false()),
    sa.Column("language", T, nullable=False),
    sa.Column("urgency", T, nullable=False),
    sa.Column("emotion", T, nullable=False),
    sa.Column("clarity", T, nullable=False),
    sa.Column("fields", Json, nullable=False, default=dict),
    sa.Column("summary", T, nullable=False, default=""),
    sa.Column(
        "checked", sa.Boolean, nullable=False, default=True, comment="false: it failed its check twice"
    ),
    sa.Column("route", T, nullable=False),
    sa.Column("reasons", Json, nullable=False, default=list, comment="plain sentences"),
    sa.Column("model", T, nullable=False),
    sa.Column("prompt", T, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Index("ix_triages_ticket_id", "ticket_id", "id"),
    sa.Index("ix_triages_created_at", "created_at"),
    _searched("ix_triages_words", FIELD_WORDS),
)

shadows = sa.Table(
    "shadows",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("ticket_id", Id, sa.ForeignKey("tickets.id"), nullable=False),
    sa.Column("triage_id", Id, sa.ForeignKey("triages.id"), nullable=False, unique=True),
    sa.Column("call_id", Id, sa.ForeignKey("model_calls.id")),
    sa.Column("topic", T, nullable=False, comment="as the strong model read it"),
    sa.Column("language", T, nullable=False),
    sa.Column("route", T, nullable=False, comment="what the rule makes of the strong model's reading"),
    sa.Column("reasons", Json, nullable=False, default=list),
    sa.Column("model", T, nullable=False),
    sa.Column("missed", sa.Boolean, nullable=False, comment="it should have been escalated"),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Index("ix_shadows_created_at", "created_at"),
)
corrections = sa.Table(
    "corrections",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("ticket_id", Id, sa.ForeignKey("tickets.id"), nullable=False),
    sa.Column("triage_id", Id, sa.ForeignKey("triages.id"), nullable=False),
    sa.Column("field", T, nullable=False, comment="topic, language, urgency, emotion, clarity, fields"),
    sa.Column("old", Json),
    sa.Column("new", Json),
    sa.Column("by_kind", T, nullable=False, comment="agent, model or check"),
    sa.Column("by_name", T, nullable=False),
    sa.Column("at", UtcTime, nullable=False),
    sa.Index("ix_corrections_ticket_id", "ticket_id"),
    sa.Index("ix_corrections_at", "at"),
    sa.Index("ix_corrections_triage_id", "triage_id"),
)

account_facts = sa.Table(
    "account_facts",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("ticket_id", Id, sa.ForeignKey("tickets.id"), nullable=False),
    sa.Column("connector", T, nullable=False),
    sa.Column("address", T, nullable=False),
    sa.Column("fetched_at", UtcTime, nullable=False),
    sa.Column("facts", Json, comment="see pipeline.accounts; null where the look-up failed"),
    sa.Column("error", T),
    sa.Index("ix_account_facts_ticket_id", "ticket_id", "id"),
)

drafts = sa.Table(
    "drafts",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("ticket_id", Id, sa.ForeignKey("tickets.id"), nullable=False),
    sa.Column("message_id", Id, sa.ForeignKey("messages.id"), nullable=False, comment="the one it answers"),
    sa.Column("call_id", Id, sa.ForeignKey("model_calls.id")),
    sa.Column("route", T, nullable=False, comment="cheap or strong"),
    sa.Column("task", T, nullable=False, comment="routine or draft"),
    sa.Column("source", T, nullable=False, comment="model or template"),
    sa.Column("provider", T, nullable=False),
    sa.Column("model", T, nullable=False),
    sa.Column("tier", T, nullable=False),
    sa.Column("prompt", T, nullable=False),
    sa.Column("text", T, nullable=False),
    sa.Column("language", T, nullable=False),
    sa.Column("asks", Json, nullable=False, default=list),
    sa.Column("why", T, nullable=False, default=""),
    sa.Column("claims", Json, nullable=False, default=list),
    sa.Column(
        "blocked", Json, nullable=False, default=list, comment="why it may not be approved as it stands"
    ),
    sa.Column("cost_usd", Money, nullable=False, default=0),
    sa.Column("latency_ms", sa.Integer, nullable=False, default=0),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("superseded_at", UtcTime, comment="a newer message made it stale"),
    sa.Column("asked_by", Id, sa.ForeignKey("agents.id"), comment="null: the pipeline wrote it by itself"),
    sa.Column("refines_id", Id, sa.ForeignKey("drafts.id"), comment="the draft that this one polishes"),
    sa.Column(
        "summarised",
        sa.Boolean,
        nullable=False,
        default=False,
        server_default=sa.false(),
        comment="the model saw the older messages as a summary",
    ),
    sa.Index("ix_drafts_ticket_id", "ticket_id", "id"),
    sa.Index("ix_drafts_created_at", "created_at"),
    sa.Index("ix_drafts_superseded_at", "superseded_at"),
)

# --- what people did ----------------------------------------------------------------------------------

agents = sa.Table(
    "agents",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("email", T, nullable=False, unique=True, comment="lower-cased"),
    sa.Column("name", T, nullable=False, default=""),
    sa.Column("role", T, nullable=False, comment="agent, lead or admin"),
    sa.Column("password_hash", T, comment="argon2id; null: cannot log in yet"),
    sa.Column("api_token_hash", T, unique=True),
    sa.Column("zone", T, comment="an IANA time zone; null: the installation's"),
    sa.Column("oidc_issuer", T),
    sa.Column("oidc_subject", T, comment="with the issuer: who this is, whatever the address becomes"),
    sa.Column("totp_secret", T, comment="encrypted under TRIAGE_SECRET_KEY; null: no second factor"),
    sa.Column("totp_confirmed_at", UtcTime, comment="null: not yet in force"),
    sa.Column("totp_last_step", sa.BigInteger, comment="a code is good once"),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("disabled_at", UtcTime),
    sa.Index("uq_agents_oidc", "oidc_issuer", "oidc_subject", unique=True),
)

agent_sessions = sa.Table(
    "agent_sessions",
    metadata,
    sa.Column("token_hash", T, primary_key=True),
    sa.Column("agent_id", Id, sa.ForeignKey("agents.id"), nullable=False),
    sa.Column("csrf_token", T, nullable=False),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("last_seen_at", UtcTime, nullable=False),
    sa.Column("expires_at", UtcTime, nullable=False),
)

login_attempts = sa.Table(
    "login_attempts",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("email", T, nullable=False),
    sa.Column("address", T, nullable=False),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("ok", sa.Boolean, nullable=False),
    sa.Index("ix_login_attempts_email", "email", "at"),
    sa.Index("ix_login_attempts_address", "address", "at"),
    sa.Index("ix_login_attempts_at", "at"),
)

login_links = sa.Table(
    "login_links",
    metadata,
    sa.Column("token_hash", T, primary_key=True),
    sa.Column("agent_id", Id, sa.ForeignKey("agents.id"), nullable=False),
    sa.Column("purpose", T, nullable=False, comment="invite, reset or demo"),
    sa.Column("expires_at", UtcTime, nullable=False),
    sa.Column("used_at", UtcTime),
)

_QUEUE_FILTERS = ("inbox", "topic", "language", "route", "reason", "team")


def _of_open_reviews(*columns: str, carried: tuple[str, ...] = ()) -> sa.Index:
    """Of the open rows only: these are few, however many were ever decided.

    `carried` are columns that the index holds beside its key: a further filter then reads no row of the table.
    """
    where = sa.text("state = 'open'")
    return sa.Index(
        f"ix_reviews_open_{columns[0]}",
        *columns,
        sqlite_where=where,
        postgresql_where=where,
        postgresql_include=carried,
    )


def _filtered_in_order(*first: str) -> sa.Index:
    """The queue's order within each value of a filter, or of all open rows."""
    carried = (*(name for name in _QUEUE_FILTERS if name not in first), "snoozed_until")
    return _of_open_reviews(*first, "urgency_order", "opened_at", "id", carried=carried)


reviews = sa.Table(
    "reviews",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("ticket_id", Id, sa.ForeignKey("tickets.id"), nullable=False),
    sa.Column("draft_id", Id, sa.ForeignKey("drafts.id"), unique=True, comment="null: a failure to handle"),
    sa.Column("reason", T, nullable=False, comment="draft, or what failed: see pipeline.db.reviews.REASONS"),
    sa.Column("detail", T, nullable=False, comment="one plain sentence"),
    sa.Column("state", T, nullable=False, comment="open, decided or superseded"),
    sa.Column(
        "urgency_order",
        sa.Integer,
        nullable=False,
        default=2,
        server_default="2",
        comment="of the ticket, 0 critical .. 3 low: kept here for the queue's order",
    ),
    # of the ticket too, so that each filter of the queue is one index; `pipeline.db.moves` keeps them in step
    sa.Column("inbox", T),
    sa.Column("topic", T),
    sa.Column("language", T),
    sa.Column("route", T),
    sa.Column("team", T),
    sa.Column("assignee_id", Id, sa.ForeignKey("agents.id")),
    sa.Column("snoozed_until", UtcTime, comment="out of the queue until then"),
    sa.Column("opened_at", UtcTime, nullable=False),
    sa.Column("first_viewed_at", UtcTime),
    sa.Column("claimed_by", Id, sa.ForeignKey("agents.id")),
    sa.Column("claimed_until", UtcTime),
    sa.Column("decided_at", UtcTime),
    sa.Column("decided_by", Id, sa.ForeignKey("agents.id")),
    sa.Column("action", T, comment="approve, edit, reject, replace, close, spam, confirm, resend, sent"),
    sa.Column("reject_reason", T),
    sa.Column("note", T),
    sa.Column("sent_text", T, comment="the body that was approved"),
    sa.Column("outcome", T, comment="as_is .. unscorable: see pipeline.review.outcomes"),
    sa.Column("outcome_why", T, comment="for unscorable"),
    sa.Column("edit_share", sa.Float, comment="0..1; null where nothing could be compared"),
    sa.Column("hter", sa.Float),
    sa.Column("escalated_for_nothing", sa.Boolean, comment="the agent's mark on a strong draft"),
    sa.Index("ix_reviews_state", "state", "opened_at", "id"),
    _filtered_in_order(),
    *(_filtered_in_order(name) for name in _QUEUE_FILTERS),
    _of_open_reviews("assignee_id", "urgency_order", "opened_at", "id"),
    *(_of_open_reviews(name) for name in ("claimed_by", "snoozed_until")),
    sa.Index("ix_reviews_ticket_id", "ticket_id", "id"),
    sa.Index(
        "ix_reviews_decided_at",
        "decided_at",
        "id",
        sqlite_where=sa.text("decided_at IS NOT NULL"),
        postgresql_where=sa.text("decided_at IS NOT NULL"),
        postgresql_include=("state", "urgency_order", *_QUEUE_FILTERS),
    ),
    sa.Index("ix_reviews_opened_at", "opened_at"),
    sa.Index(
        "uq_reviews_open",
        "ticket_id",
        unique=True,
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    ),
)

replies = sa.Table(
    "replies",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("ticket_id", Id, sa.ForeignKey("tickets.id"), nullable=False),
    sa.Column("review_id", Id, sa.ForeignKey("reviews.id"), nullable=False, unique=True),
    sa.Column(
        "answers_id", Id, sa.ForeignKey("messages.id"), nullable=False, comment="the customer's message"
    ),
    sa.Column("agent_id", Id, sa.ForeignKey("agents.id"), nullable=False),
    sa.Column("message_id", T, nullable=False, unique=True, comment="fixed at approval, before any attempt"),
    sa.Column("to_address", T, nullable=False),
    sa.Column("subject", T, nullable=False),
    sa.Column("in_reply_to", T),
    sa.Column("references", Json, nullable=False, default=list),
    sa.Column("text", T, nullable=False),
    sa.Column("state", T, nullable=False, comment="waiting, sending, sent, failed, uncertain, withdrawn"),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("sending_at", UtcTime, comment="when the attempt under way began"),
    sa.Column("sent_at", UtcTime),
    sa.Column("server_words", T, comment="what the mail server last said"),
    sa.Index("ix_replies_ticket_id", "ticket_id", "id"),
    sa.Index("ix_replies_state", "state", "sent_at"),
)

agent_inboxes = sa.Table(
    "agent_inboxes",
    metadata,
    sa.Column("agent_id", Id, sa.ForeignKey("agents.id"), primary_key=True),
    sa.Column("inbox", T, primary_key=True, comment="an agent with any sees only these; with none, all"),
)
audit = sa.Table(
    "audit",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("who", T, nullable=False, comment="agent:EMAIL, operator (the command line), link, sso"),
    sa.Column("what", T, nullable=False, comment="see pipeline.review.audit"),
    sa.Column("about", T, nullable=False, comment="the account's address"),
    sa.Column("detail", T, nullable=False, default="", comment="one plain line, no secret"),
    sa.Index("ix_audit_about", "about", "id"),
)
"""What was done to accounts; append-only, triggers of the migration see to it. Tickets have `moves`."""

saved_views = sa.Table(
    "saved_views",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("agent_id", Id, sa.ForeignKey("agents.id"), nullable=False),
    sa.Column("shared", sa.Boolean, nullable=False, default=False, comment="everybody sees it"),
    sa.Column("name", T, nullable=False),
    sa.Column("query", T, nullable=False, comment="the queue page's filters, as in its address"),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.UniqueConstraint("agent_id", "name"),
)
presences = sa.Table(
    "presences",
    metadata,
    sa.Column("ticket_id", Id, sa.ForeignKey("tickets.id"), primary_key=True),
    sa.Column("agent_id", Id, sa.ForeignKey("agents.id"), primary_key=True),
    sa.Column("seen_at", UtcTime, nullable=False, comment="the last sign of an open page"),
    sa.Column("typing", sa.Boolean, nullable=False, default=False),
    sa.Index("ix_presences_seen_at", "seen_at"),
)
typed_texts = sa.Table(
    "typed_texts",
    metadata,
    sa.Column("review_id", Id, sa.ForeignKey("reviews.id"), primary_key=True),
    sa.Column("agent_id", Id, sa.ForeignKey("agents.id"), primary_key=True),
    sa.Column("instead", sa.Boolean, primary_key=True, comment="an answer without the draft"),
    sa.Column("text", T, nullable=False, comment="typed and not sent; a note once the review is superseded"),
    sa.Column("saved_at", UtcTime, nullable=False),
)
mentions = sa.Table(
    "mentions",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("ticket_id", Id, sa.ForeignKey("tickets.id"), nullable=False),
    sa.Column("agent_id", Id, sa.ForeignKey("agents.id"), nullable=False, comment="who is called"),
    sa.Column("by_id", Id, sa.ForeignKey("agents.id"), nullable=False),
    sa.Column("text", T, nullable=False),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("seen_at", UtcTime),
    sa.Index("ix_mentions_agent_id", "agent_id", "seen_at"),
)
comparisons = sa.Table(
    "comparisons",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("ticket_id", Id, sa.ForeignKey("tickets.id"), nullable=False),
    sa.Column("left_id", Id, sa.ForeignKey("drafts.id"), nullable=False),
    sa.Column("right_id", Id, sa.ForeignKey("drafts.id"), nullable=False),
    sa.Column("asked_by", Id, sa.ForeignKey("agents.id"), nullable=False),
    sa.Column("chosen_id", Id, sa.ForeignKey("drafts.id"), comment="null: neither, or not yet"),
    sa.Column("chosen_by", Id, sa.ForeignKey("agents.id")),
    sa.Column("chosen_at", UtcTime, comment="null: not yet decided"),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Index("ix_comparisons_ticket_id", "ticket_id"),
    sa.Index("ix_comparisons_chosen_at", "chosen_at"),
)
second_reads = sa.Table(
    "second_reads",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("review_id", Id, sa.ForeignKey("reviews.id"), nullable=False, unique=True),
    sa.Column("ticket_id", Id, sa.ForeignKey("tickets.id"), nullable=False),
    sa.Column("first_by", Id, sa.ForeignKey("agents.id"), nullable=False, comment="never the second reader"),
    sa.Column("asked_at", UtcTime, nullable=False),
    sa.Column("read_by", Id, sa.ForeignKey("agents.id")),
    sa.Column("read_at", UtcTime, comment="null: not yet read"),
    sa.Column("verdict", T, comment="as_is, light, rewritten or rejected: what the second reader would do"),
    sa.Column("note", T),
    sa.Index("ix_second_reads_read_at", "read_at"),
    sa.Index("ix_second_reads_asked_at", "asked_at"),
)
"""A sample of the drafts that went out as they were, judged once more by somebody else who is not told so."""

weekly_reports = sa.Table(
    "weekly_reports",
    metadata,
    sa.Column("week", T, primary_key=True, comment="2026-W47"),
    sa.Column("zone", T, nullable=False),
    sa.Column("made_at", UtcTime, nullable=False),
    sa.Column("outcomes", Json, nullable=False, comment="drafts by outcome, for the line of weeks"),
    sa.Column(
        "document", Json, nullable=False, comment="the report as in its JSON form, thresholds included"
    ),
)
"""What the schedule wrote, one row a week; what was written and sent does not change any more."""

report_letters = sa.Table(
    "report_letters",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("week", T, sa.ForeignKey("weekly_reports.week"), nullable=False),
    sa.Column("address", T, nullable=False),
    sa.Column("message_id", T, nullable=False, unique=True, comment="fixed before the first attempt"),
    sa.Column("state", T, nullable=False, comment="waiting, sending, sent, failed, uncertain"),
    sa.Column("attempts", sa.Integer, nullable=False, default=0),
    sa.Column("due_at", UtcTime, comment="of the next attempt; null: none"),
    sa.Column("sending_at", UtcTime, comment="when the attempt under way began"),
    sa.Column("sent_at", UtcTime),
    sa.Column("server_words", T, comment="what the mail server last said"),
    sa.UniqueConstraint("week", "address"),
    sa.Index("ix_report_letters_state", "state", "due_at"),
)

proposals = sa.Table(
    "proposals",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("key", T, nullable=False, unique=True, comment="what it is about: proposed once"),
    sa.Column("kind", T, nullable=False, comment="fact, phrase, threshold or case"),
    sa.Column("title", T, nullable=False, comment="one plain sentence"),
    sa.Column("file", T, nullable=False, comment="policy.md, routes.toml, prompts/draft/cases.jsonl ..."),
    sa.Column("content", Json, nullable=False, comment="what would stand in the file"),
    sa.Column("evidence", Json, nullable=False, default=list, comment="ids of the reviews that show it"),
    sa.Column("effect", Json, nullable=False, default=dict, comment="figures of the replay"),
    sa.Column("week", T, nullable=False, comment="whose edits it came out of"),
    sa.Column("state", T, nullable=False, comment="open, approved or dismissed"),
    sa.Column("created_at", UtcTime, nullable=False),
    sa.Column("decided_at", UtcTime),
    sa.Column("decided_by", Id, sa.ForeignKey("agents.id")),
    sa.Index("ix_proposals_state", "state", "id"),
)
"""What the machine would change in a file of the team's; only a person's yes makes a diff of it."""

ways_out = sa.Table(
    "ways_out",
    metadata,
    sa.Column("inbox", T, primary_key=True),
    sa.Column("disabled_at", UtcTime, comment="the receiver said 410: nothing is sent there any more"),
    sa.Column("words", T, comment="what the receiver last said"),
)
sending = sa.Table(
    "sending",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False, comment="always 1: there is one row"),
    sa.Column("store", T, nullable=False, comment="this database and no other, through dumps and restores"),
    sa.Column(
        "era", sa.BigInteger, nullable=False, comment="when sending was last released, in microseconds"
    ),
    sa.Column("turn", sa.BigInteger, nullable=False, comment="raised before each attempt to send"),
    sa.Column("beat_at", UtcTime, nullable=False, comment="when somebody last worked on this database"),
    sa.Column("held_at", UtcTime, comment="null: replies go out"),
    sa.Column("held_why", T),
    sa.Column("held_by", T, comment="agent:EMAIL, or null where it came about by itself"),
    sa.Column("released_at", UtcTime),
    sa.Column("released_by", T),
)
"""One row: whether anything may be sent, and how a database that was set back is known; see `db.sending`."""

moves = sa.Table(
    "moves",
    metadata,
    sa.Column("id", Id, primary_key=True),
    sa.Column("ticket_id", Id, sa.ForeignKey("tickets.id"), nullable=False),
    sa.Column("from_status", T),
    sa.Column("to_status", T, nullable=False),
    sa.Column("version", sa.Integer, nullable=False, comment="of the ticket after the move"),
    sa.Column("who", T, nullable=False, comment="agent:EMAIL, or the step that did it"),
    sa.Column("why", T, nullable=False),
    sa.Column("at", UtcTime, nullable=False),
    sa.Index("ix_moves_ticket_id", "ticket_id", "id"),
    sa.Index("ix_moves_at", "at"),
)
"""The audit trail, and the statistics."""
