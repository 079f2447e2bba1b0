"""`triage check`: tries every part that the settings name, one line each, with the mend."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from pipeline import assembly
from pipeline.db import schema, sending
from pipeline.db.store import Store
from pipeline.db.tables import report_letters
from pipeline.delivery.switched_off import SwitchedOff, switched_off
from pipeline.errors import ConfigError, ModelError, TriageError, UnreachableError
from pipeline.ingest.inboxes import FolderInbox, ImapInbox, Inbox, WebhookInbox
from pipeline.ingest.mailboxes import Mailbox, mailboxes_of
from pipeline.ingest.oauth import Tokens
from pipeline.ingest.send_table import Send
from pipeline.models.base import ModelRequest
from pipeline.models.prices import Prices
from pipeline.models.prompts import Prompts
from pipeline.routing.planning import choices
from pipeline.routing.reading import ROUTES
from pipeline.routing.table import LOCAL, TEMPLATES, Routes
from pipeline.settings import Settings, load
from pipeline.ways_out import WaysOut, manners_of, way_of_reports


@dataclass(frozen=True)
class Result:
    """One thing tried. `words` say what was found, or what mends it."""

    what: str
    ok: bool
    words: str

    def to_json(self) -> dict[str, Any]:
        return {"what": self.what, "ok": self.ok, "words": self.words}


def check_all() -> list[Result]:
    """Try everything. A part that fails never hides the others."""
    try:
        settings = load()
    except ConfigError as error:
        return [Result("settings", False, str(error))]
    return [Result("settings", True, f"TRIAGE_HOME is {settings.home}"), *_parts(settings)]


def _parts(settings: Settings) -> Iterator[Result]:
    yield _tried("database", lambda: _database(settings))
    yield _tried("broker", lambda: _broker(settings))
    routes = _routes(settings)
    if isinstance(routes, Result):
        yield routes
    else:
        yield Result(
            "routes.toml", True, f"{routes.path}: {len(routes.tasks)} tasks, {len(routes.topics)} topics"
        )
        yield from _prompts(settings)
        yield from _models(settings, routes)
    yield from _inboxes(settings)
    yield from _accounts(settings)
    yield from _single_sign_on(settings)
    yield _tried("mail out", lambda: _mail_out(settings))
    yield _tried("sending", lambda: _sending(settings))
    yield from _own_ways_out(settings)
    yield _tried("weekly report", lambda: _weekly_report(settings))


def _tried(what: str, attempt: Callable[[], str]) -> Result:
    try:
        return Result(what, True, attempt())
    except TriageError as error:
        return Result(what, False, str(error))


def _database(settings: Settings) -> str:
    store = Store(settings.database)
    schema.check(store)
    return store.url.render_as_string(hide_password=True)


def _broker(settings: Settings) -> str:
    if not settings.broker_url:
        return "in process (for `triage up`; set TRIAGE_BROKER_URL for separate processes)"
    from pipeline.tasks import Hints, make_app

    Hints(make_app(settings.broker_url.get_secret_value(), queue=settings.queue)).check()
    return "answers"


def _routes(settings: Settings) -> Routes | Result:
    try:
        return assembly.open_routes(settings)
    except TriageError as error:
        return Result("routes.toml", False, str(error))


def _prompts(settings: Settings) -> Iterator[Result]:
    folder = settings.file("prompts", settings.prompts)
    if folder is None:
        yield Result("prompts", False, "the prompts folder is nowhere; set TRIAGE_PROMPTS")
        return
    prompts = Prompts(folder)
    for task, route in ROUTES.items():
        if task == "shadow":  # it reads by the prompt of triage
            continue
        yield _tried(
            f"prompt {task}/{route}",
            lambda task=task, route=route: f"version {prompts.load(task, route).digest}",  # type: ignore[misc]
        )


def _models(settings: Settings, routes: Routes) -> Iterator[Result]:
    providers = assembly.open_providers(settings)
    everything = {model.provider for model in routes.models.values()}
    asked = {
        choice.key: choice for task in routes.tasks.values() for choice in choices(routes, task, everything)
    }
    for choice in asked.values():
        if choice.provider in (LOCAL, TEMPLATES):
            continue
        what = f"model {choice.key}"
        if choice.provider not in providers:
            yield Result(what, True, f"not asked: {choice.provider.upper()}_API_KEY is not set")
            continue
        if not Prices().known(choice):
            yield Result(
                what,
                False,
                f'its price is not known; give it one in routes.toml: models."{choice.key}".price',
            )
            continue
        request = ModelRequest(
            "check", choice.name, "Answer with one word.", "Say: yes", max_output_tokens=200
        )
        try:
            providers[choice.provider].complete(request, deadline_s=settings.cheap_deadline_s)
            yield Result(what, True, "answers")
        except ModelError as error:
            key = f"{choice.provider.upper()}_API_KEY and {choice.provider.upper()}_BASE_URL"
            yield Result(what, error.kind == "cut", f"{error}; see {key}")


def _inboxes(settings: Settings) -> Iterator[Result]:
    try:
        inboxes = assembly.open_inboxes(settings)
    except TriageError as error:
        yield Result("inboxes.toml", False, str(error))
        return
    if not inboxes:
        yield Result("inboxes.toml", True, "none is set: mail comes by `triage ingest` only")
    noted = _noted(settings)
    for inbox in inboxes.values():
        yield _tried(f"inbox {inbox.name}", lambda inbox=inbox: _inbox(settings, inbox, noted))  # type: ignore[misc]


def _noted(settings: Settings) -> dict[tuple[str, str], Mailbox]:
    """What the watchers noted of each mailbox; nothing where the database does not answer."""
    try:
        store = Store(settings.database)
        schema.check(store)
        with store.read() as connection:
            return {(mailbox.inbox, mailbox.folder): mailbox for mailbox in mailboxes_of(connection)}
    except TriageError:  # the line of the database says why
        return {}


def _inbox(
    settings: Settings,
    inbox: ImapInbox | WebhookInbox | FolderInbox,
    noted: Mapping[tuple[str, str], Mailbox],
) -> str:
    if isinstance(inbox, ImapInbox):
        from pipeline.ingest.imap import try_login

        problem = try_login(inbox, _tokens(settings) if inbox.oauth else None)
        if problem:
            raise UnreachableError(problem)
        words = f"{inbox.username} at {inbox.host}:{inbox.at}, folder {inbox.folder}"
        return words + _last_read(noted.get((inbox.name, inbox.folder)))
    if isinstance(inbox, WebhookInbox):
        inbox.secrets()
        return f"POST /webhooks/{inbox.name}, {inbox.adapter}"
    if not inbox.path.exists():
        raise ConfigError(f"inboxes.toml, inbox.{inbox.name}: there is no folder {inbox.path}")
    return f"the folder {inbox.path}"


def _tokens(settings: Settings) -> Tokens:
    """The logins by OAuth2; one that is not there yet, or has ended, says what to run."""
    return Tokens(assembly.open_store(settings), assembly.secret_key(settings))


def _last_read(mailbox: Mailbox | None) -> str:
    """What the watcher last noted; a connection that works now says nothing of it."""
    if mailbox is None:
        return "; no watcher has looked at it yet"
    read = f"; last read at {mailbox.last_ok_at:%Y-%m-%d %H:%M:%S} UTC" if mailbox.last_ok_at else ""
    if mailbox.last_error and mailbox.last_error_at:
        return f"{read}; at {mailbox.last_error_at:%Y-%m-%d %H:%M:%S} UTC: {mailbox.last_error}"
    return read


def _accounts(settings: Settings) -> Iterator[Result]:
    try:
        path = settings.file("accounts.toml", settings.accounts, shipped=False)
        if path is None:
            return
        from pipeline.accounts import config

        connectors = config.load(path, home=settings.home.expanduser().resolve())
    except TriageError as error:
        yield Result("accounts.toml", False, str(error))
        return
    for connector in connectors:
        yield _tried(f"accounts {connector.name}", connector.check)


def _single_sign_on(settings: Settings) -> Iterator[Result]:
    if not settings.oidc_issuer:
        if settings.oidc_client_id or settings.oidc_client_secret:
            words = "TRIAGE_OIDC_CLIENT_ID or _SECRET is set, but no TRIAGE_OIDC_ISSUER: nobody can use it"
            yield Result("single sign-on", False, words)
        return
    yield _tried("single sign-on", lambda: _provider(settings))


def _provider(settings: Settings) -> str:
    provider = assembly.single_sign_on(settings)
    assert provider is not None  # an issuer is set
    return provider.check()


def _mail_out(settings: Settings) -> str:
    if not settings.smtp_url:
        return "TRIAGE_SMTP_URL is not set: replies are written to the outbox folder in TRIAGE_HOME"
    from pipeline.delivery.smtp import SmtpMailer, read_url

    return SmtpMailer(read_url(settings.smtp_url.get_secret_value())).check()


def _sending(settings: Settings) -> str:
    """A hold is a failure: nothing goes out until a person has looked."""
    found = sending.state(assembly.open_store(settings))
    if found.held is not None:
        raise ConfigError(
            f"held since {found.held.at:%Y-%m-%d %H:%M} UTC: {found.held.why}; "
            f"{len(found.waiting)} replies wait; look at them, then run: triage sending release --as YOU@EXAMPLE.COM"
        )
    return f"replies go out; {len(found.waiting)} wait"


def _own_ways_out(settings: Settings) -> Iterator[Result]:
    """The inboxes whose replies do not take the common way, and those whose receiver wants none any more."""
    try:
        inboxes = assembly.open_inboxes(settings)
    except TriageError:  # the line of inboxes.toml says why
        return
    ways = WaysOut(settings, inboxes, lambda: _tokens(settings))
    off = _switched_off(settings)
    for inbox in inboxes.values():
        if inbox.send != Send():
            what = f"replies of {inbox.name}"
            yield _tried(what, lambda inbox=inbox: _own_way_out(inbox, ways, off))  # type: ignore[misc]


def _own_way_out(inbox: Inbox, ways: WaysOut, off: Mapping[str, SwitchedOff]) -> str:
    mailer = ways(inbox.name)
    if manners_of(inbox).keyed and inbox.name in off:
        raise ConfigError(f"{mailer.where}: {off[inbox.name].said}")
    check = getattr(mailer, "check", None)
    return str(check()) if check else mailer.where


def _switched_off(settings: Settings) -> dict[str, SwitchedOff]:
    """By inbox; nothing where the database does not answer."""
    try:
        store = Store(settings.database)
        schema.check(store)
        with store.read() as connection:
            return {off.inbox: off for off in switched_off(connection)}
    except TriageError:  # the line of the database says why
        return {}


def _weekly_report(settings: Settings) -> str:
    """When it is written and to whom it goes; a letter that a person has to decide on is a failure."""
    when = f"written on {settings.report_day}s at {settings.report_hour}:00, {settings.zone}"
    to = settings.report_recipients
    if not to:
        return f"{when}; TRIAGE_REPORT_TO is not set: nobody gets it by mail"
    ways = WaysOut(settings, inboxes := assembly.open_inboxes(settings), lambda: _tokens(settings))
    mailer = way_of_reports(settings, inboxes, ways)
    if mailer is None:
        raise ConfigError(
            f"TRIAGE_REPORT_TO names {len(to)}, but there is no mail server: set TRIAGE_SMTP_URL"
        )
    columns = report_letters.c
    stuck = sa.select(columns.week, columns.address, columns.state, columns.server_words).where(
        columns.state.in_(("failed", "uncertain")),
        columns.week == sa.select(sa.func.max(columns.week)).scalar_subquery(),
    )
    with assembly.open_store(settings).read() as connection:
        letter = connection.execute(stuck.order_by(columns.id.desc()).limit(1)).one_or_none()
    if letter is not None:
        raise ConfigError(
            f"the letter of {letter.week} to {letter.address} is {letter.state}: {letter.server_words}; "
            f"run: triage report --week {letter.week} --again {letter.address}"
        )
    return f"{when}, to {len(to)} by {mailer.where}"
