"""Secrets and a customer's words, planted everywhere in a run with faults, are in no log, message, metric or trace."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session
from amqp.exceptions import NotFound

from pipeline.db.tables import raw_messages, replies, reviews, tickets
from pipeline.review import agents, sessions
from pipeline.tasks import make_app
from tests.kit import model_replies as answers
from tests.kit.collector import Collector
from tests.kit.live import mail
from tests.kit.mail_servers import append, imap_server
from tests.kit.model_server import ModelServer
from tests.kit.places import free_port
from tests.kit.processes import Installation, inbox_of

SENTENCE = "the purple walrus sings beneath the cellar stairs"
CARD = "4111 1111 1111 1111"
KEY = "sk-proj-Zk3vQ9wXb7Lm2Tn8Rf5Yd1Hc"
SAID_PASSWORD = "Blaufelchen-77-am-See"
HOOK_SECRET = "whsec_" + "Q2FuYXJ5" * 4
SMTP_PASSWORD = "Kanarienvogel-im-Keller-9"
BROKER_PASSWORD = "Broker-Vogel-4711"
MASTER = "Mv7Qd2Xs9Lr4Tb6Wn1Yk8Hc3Zf5Gj0Pq"
WORDS = f"Hello, {SENTENCE}. My card is {CARD}, my password is {SAID_PASSWORD} and my API key {KEY}. Jane Walrusova"


class Refusing:
    """Says what it was sent in its refusal, as some servers do."""

    async def handle_DATA(self, _server: SMTP, _session: Session, _envelope: Envelope) -> str:
        return f"554 5.7.1 looks like spam: {WORDS}"


def refusing() -> Controller:
    return Controller(
        Refusing(),
        hostname="127.0.0.1",
        port=free_port(),
        auth_require_tls=False,
        authenticator=lambda *_: AuthResult(success=True),
    )


FAULTS = (
    answers.bad_request(f"cannot read: {WORDS}"),
    answers.html(),
    answers.broken_json(),
    answers.refused_key(),
    answers.ok({"topic": WORDS, "summary": WORDS}),
    answers.cut_body(),
    answers.reset(),
    answers.ok(WORDS),
)


@pytest.fixture(params=["redis-json", "rabbitmq-console"])
def shape(request: pytest.FixtureRequest) -> tuple[str, str]:
    broker, _, log_format = str(request.param).partition("-")
    url = str(request.getfixturevalue(f"{broker}_url"))
    return url, log_format


@pytest.fixture
def traces() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


def waiting(broker_url: str, queue: str) -> list[str]:
    """The messages of a queue as they lie on the broker, headers and all; they are left there."""
    with make_app(broker_url, queue=queue).connection_for_read() as connection:
        channel = connection.default_channel
        if broker_url.startswith("redis"):
            found = [bytes(one).decode() for one in channel.client.lrange(queue, 0, -1)]
            return found + [base64.b64decode(json.loads(one)["body"]).decode() for one in found]
        found = []
        with contextlib.suppress(NotFound):  # until the first message declares the queue
            while (message := channel.basic_get(queue)) is not None:
                found.append(
                    f"{message.body!r} {message.properties} {message.headers} {message.delivery_info}"
                )
    return found  # not acknowledged: the broker takes them back


def test_no_canary_gets_out(
    shape: tuple[str, str], tmp_path: Path, postgres_url: str, traces: Collector
) -> None:
    broker_url, log_format = shape
    parts = ("watch", "web", "beat", "worker") if log_format == "json" else ("watch", "up")
    smtp = refusing()
    smtp.start()
    with imap_server(tmp_path / "imap") as imap, ModelServer() as models:
        hook = f'\n[inbox.hook]\nkind = "webhook"\nadapter = "generic"\nsecret = "{HOOK_SECRET}"\n'
        database = str(
            sa.make_url(postgres_url).set(password="Db-Vogel-0815").render_as_string(hide_password=False)
        )
        with Installation(
            tmp_path / "home",
            parts,
            database_url=database,
            broker_url=broker_url,
            inboxes=inbox_of(imap) + hook,
            environment={
                "OPENAI_API_KEY": KEY.replace("Zk3", "Own"), "OPENAI_BASE_URL": models.openai_url,
                "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20Collector-Vogel-77",
            },
            smtp_url=f"smtp://triage:{SMTP_PASSWORD}@127.0.0.1:{smtp.port}?starttls=no",
            log_format=log_format,
            log_level="debug",
            secret_key=MASTER,
            otlp_endpoint=traces.url,
        ) as place:  # fmt: skip
            canaries = {
                SENTENCE, CARD, CARD.replace(" ", ""), KEY, KEY.replace("Zk3", "Own"), SAID_PASSWORD, HOOK_SECRET,
                SMTP_PASSWORD, MASTER, imap.password, "Db-Vogel-0815", "Collector-Vogel-77", "Walrusova",
                "purple walrus", "jane@customer.example",
            }  # fmt: skip
            models.script(*FAULTS)
            place.start("watch")
            append(
                imap,
                mail(WORDS, subject=f"About {SENTENCE}"),
                mail(WORDS + " Again.", message_id="m2@customer.example", headers=f"X-Note: {KEY}\r\n"),
                b"From: <\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
                + WORDS.encode()
                + b"\xff\0",
            )
            place.until(lambda: len(place.rows(sa.select(raw_messages.c.id))) >= 3, "the mails to be stored")
            place.until(lambda: len(place.rows(sa.select(tickets.c.id))) >= 2, "the tickets")
            payloads = place.until(lambda: waiting(broker_url, place.queue), "hints on the broker")
            agent = agents.add(place.store, "anna@shop.example", role="lead")
            token = agents.make_api_token(place.store, agent.id)
            session, _of = sessions.start(place.store, agent)
            canaries |= {token, session}
            place.start()
            seen = errors_and_metrics(place, token, session)
            with place.store.write() as connection:  # what failed is due at once, not in a minute
                connection.execute(tickets.update().values(due_at=tickets.c.created_at))
            place.until(lambda: len(models.journal) >= len(FAULTS), "the models to have failed")
            row = place.until(lambda: place.rows(open_reviews()), "a row of the review table", 60)[0]
            with httpx2.Client(base_url=place.address, headers={"authorization": f"Bearer {token}"}) as api:
                done = api.post(
                    f"/api/v1/reviews/{row.id}/replace",
                    json={"version": row.version, "text": WORDS + " Bye."},
                )
                assert done.status_code == 200, done.text
            place.until(
                lambda: place.rows(sa.select(replies.c.id).where(replies.c.state == "failed")),
                "the refusal",
                60,
            )
            payloads += waiting(broker_url, place.queue)
            seen["metrics after it all"] = httpx2.get(f"{place.address}/metrics").text
            place.stop()
            seen |= {path.name: path.read_text() for path in place.home.glob("*.log")}
    smtp.stop()
    seen["broker"] = "\n".join(payloads)
    seen["traces"] = b"".join(traces.bodies).decode(errors="replace")
    assert "triage.advance" in seen["broker"]
    assert '"callbacks"' in seen["broker"]  # the body too
    assert traces.spans
    worked = seen["up.log" if "up" in parts else "worker.log"]
    assert "model_call" in worked
    assert "model_paused" in worked
    found = {
        (where, canary)
        for where, text in seen.items()
        for canary in canaries
        if canary.lower() in text.lower() or json.dumps(canary)[1:-1].lower() in text.lower()
    }
    assert not found
    if log_format == "json":
        lines = [
            line for name in seen if name.endswith(".log") for line in seen[name].splitlines() if line.strip()
        ]
        plain = [line for line in lines if not line.startswith("{") and "the review page is at" not in line]
        assert not plain, "a line of the log is no JSON"
        assert all(isinstance(json.loads(line), dict) for line in lines if line.startswith("{"))
        assert "the worker has ended" in worked


def open_reviews() -> sa.Select[Any]:
    return (
        sa.select(reviews.c.id, tickets.c.version)
        .join(tickets, tickets.c.id == reviews.c.ticket_id)
        .where(
            reviews.c.state == "open",
            tickets.c.status == "in_review",
            tickets.c.customer_address.is_not(None),
        )
    )


def errors_and_metrics(place: Installation, token: str, session: str) -> dict[str, str]:
    """What strangers, and agents who do something wrong, are told."""
    seen: dict[str, str] = {}
    with httpx2.Client(base_url=place.address, headers={"x-note": KEY}) as client:

        def ask(method: str, path: str, expected: int | tuple[int, ...], **more: Any) -> None:
            answer = client.request(method, path, **more)
            assert answer.status_code in (expected if isinstance(expected, tuple) else (expected,)), (
                path,
                answer,
            )
            seen[f"{method} {path.partition('?')[0][:20]} {len(seen)}"] = answer.text

        client.cookies.set("triage_session", session)
        bearer = {"authorization": f"Bearer {token}"}
        ask("GET", f"/nothing/{KEY}?card={CARD}", 404)
        ask("POST", "/login", (400, 403), data={"email": "anna@shop.example", "password": SAID_PASSWORD})
        ask("POST", "/webhooks/hook", 401, content=WORDS, headers={"webhook-signature": f"v1,{KEY}"})
        ask("POST", f"/webhooks/{KEY}", 404, content=WORDS)
        ask("GET", "/api/v1/reviews", 401, headers={"authorization": f"Bearer {KEY}"})
        ask("GET", f"/api/v1/tickets/{KEY}", 422, headers=bearer)
        ask(
            "POST",
            "/api/v1/reviews/999/replace",
            (404, 422),
            headers=bearer,
            json={"version": 1, "text": WORDS},
        )
        ask("POST", "/api/v1/reviews/1/replace", 422, headers=bearer, json={"version": WORDS, "text": 1})
        ask("POST", "/api/v1/reviews/1/replace", 422, headers=bearer, content=WORDS)
        ask("GET", f"/?after={KEY}", (303, 400, 403, 422))
        for path in ("/healthz", "/readyz", "/metrics"):
            ask("GET", path, 200)
    return seen


def test_an_exception_that_ends_a_thread_is_a_line_without_its_words(tmp_path: Path) -> None:
    """Three levels of it, in JSON and on a terminal; a library's words are not told, ours and the system's are."""
    import subprocess
    import sys

    script = tmp_path / "threads.py"
    script.write_text(
        "import sys, threading, logging\n"
        "from pipeline.errors import InputError\n"
        "from pipeline.logging import configure, take_over\n"
        "configure(sys.argv[1], 'info'); take_over()\n"
        "def work():\n"
        "    try:\n"
        "        try:\n"
        f"            raise ValueError('{WORDS}')\n"
        "        except ValueError as error:\n"
        "            raise FileNotFoundError(2, 'No such file', '/x') from error\n"
        "    except OSError as error:\n"
        "        raise InputError('the file is gone; put it back') from error\n"
        "thread = threading.Thread(target=work, name='inbox support'); thread.start(); thread.join()\n"
        f"logging.getLogger('celery').error('it broke on %s', '{CARD} {KEY}', exc_info=RuntimeError('{WORDS}'))\n"
    )
    for log_format in ("json", "console"):
        done = subprocess.run(
            [sys.executable, str(script), log_format], capture_output=True, text=True, timeout=60, check=True
        )
        said = done.stderr
        assert "InputError" in said
        assert "the file is gone; put it back" in said
        assert "No such file" in said
        assert "ValueError" in said
        assert f"{script}:12 work" in said
        for canary in (SENTENCE, CARD, KEY, SAID_PASSWORD):
            assert canary not in said
        if log_format == "json":
            assert [json.loads(line)["level"] for line in said.splitlines()] == ["error", "error"]
