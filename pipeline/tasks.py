"""Celery, thin: a message is only a hint that a ticket is due; the database says what is to be done.

Losing a hint costs a moment (the sweep announces what is due again), a doubled one costs a claim that
finds nothing. So there is no result backend, no ETA and no retry here.
"""

from __future__ import annotations

import threading
import warnings
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import structlog
from celery import Celery
from celery.exceptions import SecurityWarning
from celery.worker import state
from kombu.entity import Queue
from kombu.exceptions import OperationalError

from pipeline import steps
from pipeline.db import leases
from pipeline.errors import ConfigError, TriageError, UnreachableError
from pipeline.learning.proposing import propose_due
from pipeline.steps.reporting import tend
from pipeline.steps.shadowing import take_shadows

if TYPE_CHECKING:
    from pipeline.assembly import Parts

log = structlog.get_logger(__name__)

IN_PROCESS = "memory://localhost"
ANNOUNCE_AGAIN_AFTER = timedelta(seconds=60)
_SCHEMES = ("memory", "amqp", "amqps", "pyamqp", "redis", "rediss")
ENOUGH_WAITING = 1000
"""Hints in the queue above which the sweep adds none: the workers have enough to go on with."""


def make_app(broker_url: str | None, *, sweep_s: float = 5.0, queue: str = "triage") -> Celery:
    """The Celery app for a broker address; None is the in-process broker."""
    url = broker_url or IN_PROCESS
    if url.partition("://")[0] not in _SCHEMES:
        raise ConfigError(
            "TRIAGE_BROKER_URL is not a broker's address; write it like amqp://user:password@host// or redis://host"
        )
    app = Celery("triage", broker=url, set_as_current=False)
    in_process = url == IN_PROCESS
    app.conf.update(
        task_queues=[Queue(queue, durable=True)],  # type: ignore[no-untyped-call]  # kombu has no types
        task_default_queue=queue,
        task_acks_late=True,
        task_reject_on_worker_lost=False,  # a poison ticket must not come back by itself; the sweep decides
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        result_backend=None,
        task_serializer="json",
        accept_content=["json"],
        # Threads that wait for prefetched hints stall on the in-process broker's poll: none there.
        worker_prefetch_multiplier=0 if in_process else 1,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options=_transport_options(url),
        broker_heartbeat=30,
        broker_heartbeat_checkrate=30,  # wakes the loop every second: a silent queue would hide SIGTERM
        beat_schedule={
            "sweep": {"task": "triage.sweep", "schedule": sweep_s, "options": {"expires": sweep_s * 4}},
            "shadow": {
                "task": "triage.shadow",
                "schedule": sweep_s * 12,
                "options": {"expires": sweep_s * 12},
            },
            "report": {
                "task": "triage.report",
                "schedule": sweep_s * 12,
                "options": {"expires": sweep_s * 12},
            },
        },
        beat_max_loop_interval=min(sweep_s, 5.0),
        timezone="UTC",
    )
    return app


def _transport_options(url: str) -> dict[str, Any]:
    if url == IN_PROCESS:
        return {"polling_interval": 0.01}
    if url.startswith(("redis", "rediss")):
        return {"visibility_timeout": 1800, "socket_connect_timeout": 5, "socket_keepalive": True}
    return {"connect_timeout": 5}


def register(app: Celery, parts: Parts, hints: Hints) -> None:
    """Give the app its tasks, bound to this process's live parts."""
    shadowing = threading.Lock()
    reporting = threading.Lock()
    proposed: list[str | None] = [None]  # the week whose proposals this process has made

    @app.task(name="triage.advance", shared=False)  # type: ignore[untyped-decorator]  # celery has no types
    def advance(ticket_id: int, _step: str, _version: int) -> None:
        outcome = steps.advance(parts, ticket_id)
        if outcome is not None and outcome.done:
            hints.announce_if_due(parts, ticket_id)

    @app.task(name="triage.sweep", shared=False)  # type: ignore[untyped-decorator]  # celery has no types
    def sweep() -> None:
        try:
            parts.keep_house()
        except TriageError as error:  # what is due is announced all the same
            log.warning("housekeeping failed", error=str(error))
        if hints.waiting() < ENOUGH_WAITING:
            with parts.store.write() as connection:
                due = leases.due(connection, not_hinted_for=ANNOUNCE_AGAIN_AFTER)
            for row in due:
                hints.announce(*row)

    def nothing_is_due() -> bool:
        with parts.store.read() as connection:
            return not leases.due(connection, limit=1)

    @app.task(name="triage.shadow", shared=False)  # type: ignore[untyped-decorator]  # celery has no types
    def shadow() -> None:
        if not shadowing.acquire(blocking=False):
            return  # one thread of a worker at most: the others are for tickets
        try:
            take_shadows(parts, go_on=nothing_is_due)
        except TriageError as error:
            log.warning("shadowing failed", error=str(error))
        finally:
            shadowing.release()

    @app.task(name="triage.report", shared=False)  # type: ignore[untyped-decorator]  # celery has no types
    def report() -> None:
        if not reporting.acquire(blocking=False):
            return  # a letter of the last minute is still on its way
        try:
            tend(parts)
            proposed[0] = propose_due(parts, proposed[0])
        except TriageError as error:  # the next minute tries again
            log.warning("the weekly report failed", error=str(error))
        finally:
            reporting.release()


class Hints:
    """Announces due tickets over the broker. A broker that is away is noted once, and missed by nobody."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._queue = str(app.conf.task_default_queue)
        self._away = False

    def announce(self, ticket_id: int, step: str = "", version: int = 0) -> bool:
        """Send one hint; False when the broker does not answer."""
        try:
            self._app.send_task(
                "triage.advance",
                args=(ticket_id, step, version),
                queue=self._queue,
                retry=False,
                ignore_result=True,
            )
        except (OperationalError, OSError) as error:
            if not self._away:
                log.warning("the broker is away; the sweep will catch up", error=type(error).__name__)
            self._away = True
            return False
        self._away = False
        return True

    def announce_if_due(self, parts: Parts, ticket_id: int) -> None:
        """A hint for the ticket's next step, if it has one that is due now."""
        row = parts.due_now(ticket_id)
        if row is not None:
            self.announce(*row)

    def waiting(self) -> int:
        """How many hints wait in the queue; 0 where the broker does not say."""
        try:
            with self._app.connection_for_write() as connection:
                return int(connection.default_channel.queue_declare(self._queue, passive=True).message_count)
        except Exception:  # a queue that is not there yet closes the channel in each broker's own way
            return 0

    def check(self) -> None:
        """Raise `UnreachableError` unless the broker answers within a few seconds."""
        try:
            with self._app.connection_for_write(connect_timeout=5) as connection:
                connection.ensure_connection(max_retries=1, interval_start=0.2, timeout=5)
        except Exception as error:  # each transport has its own tree of connection errors
            raise UnreachableError(
                f"the broker {self._app.connection_for_write().as_uri()} does not answer: "
                f"{error or type(error).__name__}; see TRIAGE_BROKER_URL"
            ) from error


def run_worker(app: Celery, *, threads: int) -> None:
    """Run a worker in this process until SIGTERM or SIGINT; what is under way is finished first."""
    worker = _worker(app, threads)
    worker.start()
    log.info("the worker has ended; what was under way is finished")


class EmbeddedWorker:
    """A worker and a schedule on threads of this process, beside the web page.

    `died` is set when the worker's thread ends by itself: a worker that dies silently would leave a
    page up that looks well and does nothing, so the process is to end with it.
    """

    def __init__(self, app: Celery, *, threads: int, schedule: bool = True) -> None:
        self._worker = _worker(app, threads)
        self._beat: Any = None
        if schedule:
            from celery.beat import EmbeddedService, Scheduler

            self._beat = EmbeddedService(app, thread=True, scheduler_cls=Scheduler)
        self.died = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)

    def start(self) -> None:
        self._thread.start()
        if self._beat is not None:
            self._beat.start()

    def stop(self, timeout_s: float = 30.0) -> None:
        """Finish what is under way, for at most `timeout_s`, then leave it to its lease."""
        self._stopping = True
        if self._beat is not None:
            self._beat.stop()
        # Asked through the flag that a signal would set, the loop ends itself. Stopping it from this thread
        # would read from its connection while it does, and on AMQP wait for an answer that it swallowed.
        state.should_stop = 0
        try:
            self._thread.join(timeout_s)
        finally:
            state.should_stop = None

    def _run(self) -> None:
        try:
            self._worker.start()
        except BaseException as error:
            log.error("the worker died", error=f"{type(error).__name__}: {error}")
        finally:
            if not self._stopping:
                self.died.set()


def run_beat(app: Celery) -> None:
    """Run the schedule in this process until it is stopped. Two of them only sweep twice."""
    from celery.beat import Scheduler, Service

    Service(app, scheduler_cls=Scheduler).start()


def _quiet(app: Celery) -> Any:
    """Celery's worker without the plain lines that it writes past the log when a signal ends it."""
    from celery.apps.worker import _shutdown_handler, install_worker_term_hard_handler

    class Worker(app.Worker):  # type: ignore[misc]  # celery has no types
        def install_platform_tweaks(self, worker: Any) -> None:
            super().install_platform_tweaks(worker)
            _shutdown_handler(worker, sig="SIGTERM", verbose=False)
            _shutdown_handler(
                worker,
                sig="SIGINT",
                verbose=False,
                callback=lambda worker: install_worker_term_hard_handler(worker, sig="SIGINT", verbose=False),
            )

    return Worker


def _worker(app: Celery, threads: int) -> Any:
    with warnings.catch_warnings():
        # celery warns of root because pickled tasks could do anything; only JSON is accepted here
        warnings.simplefilter("ignore", SecurityWarning)
        return _quiet(app)(
            pool="threads",
            concurrency=threads,
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
            loglevel="WARNING",
            quiet=True,
        )
