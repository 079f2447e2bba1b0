"""Traces: one per ticket over every process, and nothing of it loaded while they are off."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import sqlalchemy as sa

from pipeline import steps, tracing
from pipeline.db.tables import reviews, tickets
from pipeline.review import agents
from tests.kit.collector import Collector, Span
from tests.kit.live import close, live_parts, mail
from tests.kit.mail_servers import SmtpServer
from tests.kit.model_replies import failing
from tests.kit.model_server import ModelServer
from tests.test_steps import bring

LATE = "Hello,\r\n\r\nwhere is my order 4711? It should have come on Monday.\r\n\r\nJane"


def test_one_trace_goes_from_the_inbox_to_the_reply_over_three_processes(
    tmp_path: Path, sqlite_url: str
) -> None:
    home = tmp_path / "home"
    with Collector() as collector, ModelServer() as models, SmtpServer() as smtp:
        models.script(failing(500), failing(500), failing(500))
        settings = {
            "secret_key": "s" * 40, "otlp_endpoint": collector.url, "smtp_url": smtp.url,
            "openai_api_key": "k", "openai_base_url": models.openai_url,
        }  # fmt: skip
        parts = live_parts(home, sqlite_url, **settings)
        ticket, other = bring(parts, mail(LATE)), bring(parts, mail(LATE, message_id="m2@customer.example"))
        bring(
            parts,
            mail(
                "And 4712?",
                message_id="m3@customer.example",
                headers="In-Reply-To: <m1@customer.example>\r\n",
            ),
        )
        tracing.switch_off()
        environment = {"PATH": os.environ["PATH"], "TRIAGE_HOME": str(home), "TRIAGE_DATABASE_URL": sqlite_url,
                       "TRIAGE_SECRET_KEY": "s" * 40, "TRIAGE_SMTP_URL": smtp.url, "TRIAGE_UNDO_S": "0",
                       "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OPENAI_API_KEY": "k",
                       "OPENAI_BASE_URL": models.openai_url}  # fmt: skip
        triage = [str(Path(sys.executable).parent / "triage"), "run", "--until-idle"]
        subprocess.run(triage, env=environment, cwd=tmp_path, check=True, capture_output=True, timeout=60)
        tracing.configure(collector.url, key="s" * 40, version="1")
        agent = agents.add(parts.store, "ann@shop.example", role="agent")
        with parts.store.read() as connection:
            review = (
                connection.execute(sa.select(reviews.c.id).where(reviews.c.ticket_id == ticket))
                .scalars()
                .all()[-1]
            )
            version = connection.execute(
                sa.select(tickets.c.version).where(tickets.c.id == ticket)
            ).scalar_one()
        parts.desk.replace(review, agent, version, "Hello Jane, it comes on Friday.")
        steps.run_until_idle(parts, threads=1)
        tracing.switch_off()
        close(parts)
    assert len(smtp.to("jane@customer.example")) == 1
    mine = [span for span in collector.spans if span.attributes["triage.ticket"] == ticket]
    assert {span.service for span in mine} == {"triage"}
    (trace,) = {span.trace for span in mine}
    assert trace not in {span.trace for span in collector.spans if span.attributes["triage.ticket"] == other}
    by_id = {span.id: span for span in mine}
    (root,) = [span for span in mine if not span.parent]
    assert (root.name, root.attributes["triage.kind"]) == ("ingest", "message")

    def parent(span: Span) -> str:
        return by_id[span.parent].name

    tree = {(span.name, parent(span)) for span in mine if span.parent}
    assert {
        ("ingest", "ingest"),
        ("step triage", "ingest"),
        ("review", "ingest"),
        ("step send", "ingest"),
    } <= tree
    assert {("model triage", "step triage"), ("send", "step send")} <= tree
    calls = [span for span in collector.spans if span.name == "model triage"]
    assert {span.attributes["triage.outcome"] for span in calls if span.failed} >= {"overloaded"}
    said = next(span.attributes for span in calls if not span.failed)
    assert {
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "gen_ai.usage.input_tokens",
        "triage.cost_usd",
    } <= set(said)
    assert {span.attributes.get("triage.action") for span in mine if span.name == "review"} == {"replace"}
    assert {span.attributes["triage.outcome"] for span in mine if span.name == "send"} == {"accepted"}
    assert all(span.begun <= span.ended for span in mine)
    wire = b"".join(collector.bodies)
    for words in (b"jane", b"4711", b"4712", b"ann@", b"question", b"Friday", b"s" * 40):
        assert words not in wire


def test_a_collector_that_is_away_holds_up_nobody_and_the_end_of_a_process_for_seconds_at_most() -> None:
    work = (
        "import time; from pipeline import tracing; from pipeline.logging import configure\n"
        "configure('json')\n"
        "tracing.configure('http://me:Zugang-Vogel@127.0.0.1:9', key='k' * 32, version='1')\n"
        "begun = time.monotonic()\n"
        "for n in range(2000): tracing.record('step', n, 0.1, {})\n"
        "print(time.monotonic() - begun)"
    )
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", work], capture_output=True, text=True, timeout=60, check=True
    )
    assert time.monotonic() - begun < 15
    assert float(done.stdout) < 3
    assert "Zugang-Vogel" not in done.stderr


def test_an_exception_is_noted_by_its_type() -> None:
    with Collector() as collector:
        tracing.configure(collector.url, key="k" * 32, version="1")
        try:
            with tracing.span("step triage", 7, {"x": None, "y": "z" * 999}):
                raise ValueError("4242 4242 4242 4242 said the customer")
        except ValueError:
            pass
        tracing.switch_off()
    (span,) = collector.spans
    assert span.failed
    assert span.attributes == {"triage.ticket": 7, "y": "z" * 200, "error.type": "ValueError"}
    assert b"4242" not in b"".join(collector.bodies)


def test_nothing_is_loaded_and_nothing_is_done_while_it_is_off() -> None:
    look = (
        "import sys, pipeline.steps, pipeline.assembly, pipeline.tracing as t\n"
        "with t.span('a', 1, {}) as span: span.note({'b': 1})\n"
        "t.record('a', 1, 0.0, {}); t.flush()\n"
        "print([m for m in sys.modules if m.startswith('opentelemetry.sdk') or 'tracing_otel' in m])"
    )
    done = subprocess.run(
        [sys.executable, "-c", look], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"
