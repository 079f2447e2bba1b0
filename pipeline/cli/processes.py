"""Commands that stay: demo, up, web, worker, beat, watch."""

from __future__ import annotations

import contextlib
import importlib.metadata
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import structlog
import typer

from pipeline.cli.output import counting, note, progress, say
from pipeline.errors import ConfigError, InputError, NotFoundError, UnreachableError

if TYPE_CHECKING:
    from celery import Celery

    from pipeline.assembly import Parts
    from pipeline.settings import Settings
    from pipeline.tasks import Hints

log = structlog.get_logger(__name__)


def register(app: typer.Typer) -> None:
    for command in (demo, up, web, worker, beat, watch):
        app.command()(command)


def demo(
    once: Annotated[bool, typer.Option("--once", help="end after the summary")] = False,
    dir: Annotated[Path | None, typer.Option(help="where to make the store; later: TRIAGE_HOME=DIR")] = None,
) -> None:
    """No key, no server, no configuration: a sample inbox, worked off, and the review page."""
    from pipeline import demo as sample
    from pipeline.assembly import open_parts
    from pipeline.db.types import now
    from pipeline.logging import configure
    from pipeline.steps import run_until_idle

    configure("auto", "warning")
    home = dir.expanduser().resolve() if dir else Path(tempfile.mkdtemp(prefix="triage-demo-"))
    note(f"a fresh store in {home}")
    settings = sample.prepare(home)
    history = sample.begin_history(home)
    note(f"{sample.PAST_WEEKS} past weeks of simulated work are made, and the local model warms up")
    parts = open_parts(settings)
    parts.warm()
    past = history.result()
    since = now()
    with progress("reading the sample inbox", None) as step:
        counts = sample.ingest(parts, counting(step))
    note("the sample inbox is read; the local model works it off")
    with progress("working it off", None) as step:
        done = run_until_idle(parts, threads=2, on_step=lambda _outcome: step())
    for line in sample.summary(parts, counts, done, since):
        say(line)
    say(f"before that: {past} tickets in {sample.PAST_WEEKS} simulated weeks, for the report")
    if once:
        say(f"\nLook at it with: TRIAGE_HOME={home} triage show 1")
        parts.store.close()
        if dir is None:
            say("(run `triage demo --dir DIR` to keep the store where you want it)")
        return
    port = _free_port(8000)
    address = f"http://127.0.0.1:{port}"
    parts.settings = settings.model_copy(update={"bind": f"127.0.0.1:{port}", "public_url": address})
    link = sample.login_link(parts, address)
    _serve(parts, f"\nThe review page, with a ready login:\n\n    {link}\n\nStop with Ctrl-C.")


def up() -> None:
    """Web, worker, inbox watchers and schedule in one process tree."""
    from pipeline.assembly import open_parts
    from pipeline.db import schema
    from pipeline.db.store import Store

    settings = _start()
    store = Store(settings.database, pool_size=settings.worker_threads + 20)
    before, after = schema.migrate(store)
    if before != after:
        note(f"the schema is {after} (it was {before or 'empty'})")
    parts = open_parts(settings, store)
    _hint_at_first_login(parts)
    _serve(parts, f"the review page is at {settings.public_url}")


def web() -> None:
    """The review page, the API and the webhooks' door."""
    from pipeline.assembly import open_parts
    from pipeline.tasks import Hints, make_app

    settings = _start()
    parts = open_parts(settings)
    hints = Hints(make_app(_needs_broker(settings), sweep_s=settings.sweep_s, queue=settings.queue))
    _run_web(parts, hints, None, f"the review page is at {settings.public_url}")


def worker() -> None:
    """Works off what is due, until it is stopped; what is under way is finished first."""
    from pipeline.assembly import open_parts
    from pipeline.tasks import run_worker

    settings = _start()
    parts = open_parts(settings)
    app, hints = _app(parts, _needs_broker(settings))
    hints.check()
    _begin(parts, hints)
    run_worker(app, threads=settings.worker_threads)


def beat() -> None:
    """The schedule: announces what is due."""
    from pipeline.tasks import make_app, run_beat

    settings = _start()
    run_beat(make_app(_needs_broker(settings), sweep_s=settings.sweep_s, queue=settings.queue))


def watch() -> None:
    """Watches the IMAP and folder inboxes of inboxes.toml."""
    from pipeline.assembly import open_parts
    from pipeline.tasks import Hints, make_app

    settings = _start()
    parts = open_parts(settings)
    hints = Hints(make_app(_needs_broker(settings), sweep_s=settings.sweep_s, queue=settings.queue))
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    watchers = _watchers(parts, stop, lambda ticket_id: hints.announce_if_due(parts, ticket_id))
    if not watchers:
        raise ConfigError("inboxes.toml names no IMAP or folder inbox to watch")
    while not stop.wait(1.0):
        dead = [thread.name for thread in watchers if not thread.is_alive()]
        if dead:
            raise UnreachableError(f"the watcher of {dead[0]} ended by itself; see the log above")
    for thread in watchers:
        thread.join(20)


def _start() -> Settings:
    from pipeline.logging import configure, take_over
    from pipeline.settings import load

    settings = load()
    configure(settings.log_format, settings.log_level)
    take_over()
    return settings


def _needs_broker(settings: Settings) -> str:
    if not settings.broker_url:
        raise ConfigError(
            "TRIAGE_BROKER_URL is not set: separate processes need RabbitMQ or Redis between them; "
            "without one, `triage up` runs everything in one process"
        )
    return settings.broker_url.get_secret_value()


def _app(parts: Parts, broker_url: str | None) -> tuple[Celery, Hints]:
    from pipeline.tasks import Hints, make_app, register

    app = make_app(broker_url, sweep_s=parts.settings.sweep_s, queue=parts.settings.queue)
    hints = Hints(app)
    register(app, parts, hints)
    return app, hints


def _begin(parts: Parts, hints: Hints) -> None:
    """What a worker does first: take up what its dead predecessor left, and announce all that is due."""
    from pipeline.db import leases

    parts.warm()
    parts.keep_house()
    with parts.store.read() as connection:
        due = leases.due(connection)
    for row in due:
        hints.announce(*row)


def _serve(parts: Parts, said: str) -> None:
    """Everything in this process: the web page in the main thread, the rest on threads beside it.

    `said` is printed as soon as the page can be opened.
    """
    from pipeline.tasks import EmbeddedWorker

    broker = parts.settings.broker_url
    app, hints = _app(parts, broker.get_secret_value() if broker else None)
    if broker:
        hints.check()
    embedded = EmbeddedWorker(app, threads=parts.settings.worker_threads)
    stop = threading.Event()
    embedded.start()
    _begin(parts, hints)
    _watchers(parts, stop, lambda ticket_id: hints.announce_if_due(parts, ticket_id))
    try:
        _run_web(parts, hints, embedded.died, said)
    finally:
        stop.set()
        embedded.stop()
    if embedded.died.is_set():
        raise UnreachableError("the worker thread ended by itself; see the log above, then start again")


def _run_web(parts: Parts, hints: Hints, died: threading.Event | None, said: str) -> None:
    import uvicorn

    from pipeline.web.app import create_app

    host, _, port = parts.settings.bind.rpartition(":")
    if not host or not port.isdigit():
        raise ConfigError(f"TRIAGE_BIND is {parts.settings.bind!r}; write it like 127.0.0.1:8000")
    config = uvicorn.Config(
        create_app(_web_parts(parts, hints)),
        host=host.strip("[]"),
        port=int(port),
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=10,
    )
    try:
        with socket.create_server(
            (config.host, config.port), family=socket.AF_INET6 if ":" in config.host else socket.AF_INET
        ) as listening:
            say(said)  # from here on whoever connects is served
            server = _server(config)
            with _ended_by(died, server):
                server.run(sockets=[listening])
    except OSError as error:
        raise UnreachableError(
            f"cannot listen on {parts.settings.bind}: {error.strerror}; see TRIAGE_BIND"
        ) from error


def _server(config: Any) -> Any:
    """A web server that ends at a signal and returns. Uvicorn's own raises the signal again, which would
    end the process before the worker beside it has finished what it has under way."""
    import uvicorn

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            before = {
                number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)
            }
            try:
                yield
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)

    return Server(config)


@contextlib.contextmanager
def _ended_by(died: threading.Event | None, server: Any) -> Iterator[None]:
    """End the web server when the worker beside it dies."""
    if died is not None:

        def wait() -> None:
            died.wait()
            server.should_exit = True

        threading.Thread(target=wait, name="watchdog", daemon=True).start()
    yield


def _web_parts(parts: Parts, hints: Hints) -> Any:
    from pipeline.assembly import second_factors, single_sign_on, weekly_report
    from pipeline.evaluation import runs
    from pipeline.ingest.inboxes import WebhookInbox
    from pipeline.ingest.webhooks.receiving import Receipt, body_limit, receive
    from pipeline.web.parts import WebParts

    def hint(ticket_id: int) -> None:
        hints.announce_if_due(parts, ticket_id)

    def webhook_source(source: str) -> WebhookInbox:
        inbox = parts.inboxes.get(source)
        if not isinstance(inbox, WebhookInbox):
            raise NotFoundError(f"inboxes.toml has no webhook source {source!r}")
        return inbox

    def receive_webhook(source: str, headers: Mapping[str, str], body: bytes) -> Receipt:
        inbox = webhook_source(source)
        return receive(parts.store, inbox, headers, body, on_ticket=hint, inboxes=parts.inboxes)

    def database_answers() -> None:
        with parts.store.read() as connection:
            connection.exec_driver_sql("SELECT 1")

    return WebParts(
        evaluations=parts.home / runs.FOLDER,
        store=parts.store,
        desk=parts.desk,
        models=parts,
        routes=parts.routes,
        receive_webhook=receive_webhook,
        webhook_limit=lambda source: body_limit(webhook_source(source)),
        public_url=parts.settings.public_url,
        version=importlib.metadata.version("triage"),
        hint=hint,
        ready={"database": database_answers, "broker": hints.check},
        inbox_names=tuple(parts.inboxes),
        report=partial(weekly_report, parts.settings, parts.store, parts.routes),
        second_factors=second_factors(parts.settings, parts.store),
        single_sign_on=single_sign_on(parts.settings),
        zone=parts.settings.zone,
    )


def _watchers(
    parts: Parts, stop: threading.Event, on_ticket: Callable[[int], None]
) -> list[threading.Thread]:
    """A thread for each inbox that has to be looked at; none holds up another."""
    from pipeline.ingest.files import watch_folder
    from pipeline.ingest.imap import watch as watch_imap
    from pipeline.ingest.inboxes import FolderInbox, ImapInbox

    threads = []
    for inbox in parts.inboxes.values():
        more: dict[str, Any] = {"inboxes": parts.inboxes}
        if isinstance(inbox, ImapInbox):
            run: Callable[..., None] = watch_imap
            more["tokens"] = parts.tokens
        elif isinstance(inbox, FolderInbox):
            run = watch_folder
        else:
            continue
        thread = threading.Thread(
            target=run,
            args=(inbox, parts.store, stop, on_ticket),
            kwargs=more,
            name=f"inbox {inbox.name}",
            daemon=True,
        )
        thread.start()
        threads.append(thread)
    return threads


def _hint_at_first_login(parts: Parts) -> None:
    from pipeline.review.agents import everyone

    if not everyone(parts.store):
        note(
            "nobody can log in yet; make the first account with: triage agent add YOU@EXAMPLE.COM --role admin"
        )


def _free_port(wanted: int) -> int:
    for port in (wanted, 0):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)) as probe:
            return int(probe.getsockname()[1])
    raise InputError("no port of 127.0.0.1 is free to listen on")
