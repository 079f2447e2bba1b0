"""The metrics of a store that has everything, the dashboard, the alert rules and the table of the docs over them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import promql_parser
import pytest
import sqlalchemy as sa
import yaml
from prometheus_client.parser import text_string_to_metric_families

from pipeline.db.store import Store
from pipeline.db.tables import (
    imap_folders,
    messages,
    model_calls,
    model_states,
    raw_messages,
    report_letters,
    reviews,
    second_reads,
    sending,
    spend,
    tickets,
    weekly_reports,
)
from pipeline.db.types import now
from pipeline.web import metrics
from tests.kit import places
from tests.web import running, seed

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy/prometheus/alerts.yml"
DOCS = ROOT / "docs/watching.md"
Samples = dict[str, list[tuple[dict[str, str], float]]]


def everything(store: Store) -> None:
    """A morning's queue, and a row of all else that is counted."""
    ids = seed.inbox_of_a_day(store)
    at = now()
    with store.write() as c:
        due, held, dead = list(ids.values())[:3]
        c.execute(
            tickets.update().where(tickets.c.id == due).values(
                status="received", due_at=at - timedelta(seconds=90), last_error="timeout"
            )
        )  # fmt: skip
        for one, until in ((held, timedelta(minutes=5)), (dead, timedelta(minutes=-5))):
            c.execute(
                tickets.update().where(tickets.c.id == one).values(
                    status="escalated", due_at=at - timedelta(minutes=1), hinted_at=at,
                    lease_owner="box1:77:123", lease_until=at + until,
                )
            )  # fmt: skip
        c.execute(
            model_calls.update().where(model_calls.c.id == 1).values(
                started_at=at, state="failed", error_kind="timeout", input_tokens=None, output_tokens=None
            )
        )  # fmt: skip
        c.execute(model_calls.update().where(model_calls.c.id.in_((2, 3))).values(started_at=at))
        c.execute(
            model_states.insert().values(
                model="openai/gpt-6-luna", failures=5, opened=1, open_until=at, updated_at=at
            )
        )
        c.execute(
            spend.insert(),
            [
                {
                    "scope": scope,
                    "spent_usd": 8,
                    "reserved_usd": 1,
                    "limit_usd": 10,
                    "label": "x",
                    "updated_at": at,
                }
                for scope in (f"task:draft:{at:%Y-%m-%d}", "ticket:12", f"tasks:{at:%Y-%m-%d}")
            ],
        )
        for inbox, error_at in (("support", None), ("sales", at)):
            c.execute(
                imap_folders.insert().values(
                    inbox=inbox, folder="INBOX", uidvalidity=1, watermark=1,
                    last_ok_at=at - timedelta(minutes=40), last_error_at=error_at,
                )
            )  # fmt: skip
        for number, state in enumerate(("stored", "quarantined")):
            c.execute(
                raw_messages.insert().values(
                    inbox="support", format="rfc822", sha256=str(number), size=1, body=b"x", state=state,
                    received_at=at - timedelta(minutes=3),
                )
            )  # fmt: skip
        c.execute(messages.update().where(messages.c.id == 1).values(received_at=at))
        review, ticket, agent = c.execute(
            sa.select(reviews.c.id, reviews.c.ticket_id, reviews.c.decided_by).where(
                reviews.c.state == "decided"
            )
        ).first() or (0, 0, 0)
        c.execute(
            second_reads.insert().values(
                review_id=review, ticket_id=ticket, first_by=agent, asked_at=at - timedelta(days=2)
            )
        )
        c.execute(
            sending.insert().values(
                id=1, store="s", era=1, turn=1, beat_at=at, held_at=at, held_why="by hand"
            )
        )
        outcomes = {"as_is": 60, "light": 20, "rewritten": 15, "rejected": 5, "expired": 9}
        for week, found in (("2026-W46", {}), ("2026-W47", outcomes)):
            c.execute(
                weekly_reports.insert().values(week=week, zone="UTC", made_at=at, outcomes=found, document={})
            )
        letters = (("failed", None), ("waiting", at - timedelta(hours=2)), ("waiting", at), ("sent", None))
        for number, (state, due_at) in enumerate(letters):
            c.execute(
                report_letters.insert().values(
                    week="2026-W47", address=f"{number}@shop.example", message_id=str(number), state=state,
                    due_at=due_at,
                )
            )  # fmt: skip


@pytest.fixture(scope="module")
def text(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What /metrics of a store that has everything says."""
    path = tmp_path_factory.mktemp("metrics") / "triage.db"
    shutil.copy(migrated_sqlite, path)
    store = Store(f"sqlite:///{path}")
    everything(store)
    with running.serving(running.parts_for(store)) as url:
        answer = httpx2.get(f"{url}/metrics")
    store.close()
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return answer.text


@pytest.fixture(scope="module")
def samples(text: str) -> Samples:
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def test_each_metric_counts_what_it_says(samples: Samples) -> None:
    def of(name: str, **labels: str) -> float:
        (value,) = [value for found, value in samples[name] if labels.items() <= found.items()]
        return value

    assert of("triage_step_due", step="received") == of("triage_step_due_again", step="received") == 1
    assert of("triage_step_due", step="escalated") == 1  # its lease has run out
    assert 90 <= of("triage_step_oldest_due_seconds", step="received") < 150
    assert 90 <= of("triage_sweep_overdue_seconds") < 150
    assert of("triage_step_in_flight", step="escalated") == of("triage_worker_in_flight", host="box1") == 1
    assert of("triage_leases_expired") == of("triage_sending_held") == 1
    assert abs(of("triage_sweep_timestamp_seconds") - time.time()) < 60
    assert of("triage_model_calls_recent", outcome="timeout") == 1
    assert sum(value for _labels, value in samples["triage_model_calls_recent"]) == 3
    assert sum(value for _labels, value in samples["triage_model_tokens_recent"]) == 2 * (1204 + 211)
    assert of("triage_model_paused", model="openai/gpt-6-luna") == 1
    assert of("triage_cap_used_usd", cap="task", of="draft") == 9
    assert {labels["cap"] for labels, _value in samples["triage_cap_used_usd"]} <= {"day", "task"}
    assert of("triage_inbox_failing", inbox="sales") == 1
    assert 2400 <= of("triage_inbox_last_ok_seconds", inbox="support") < 2500
    assert of("triage_quarantine") == of("triage_raw_messages", state="stored") == 1
    assert 180 <= of("triage_raw_oldest_seconds") < 240
    assert of("triage_messages_recent", inbox="support") == 1
    assert of("triage_second_reads_waiting") == 1
    assert 172_800 <= of("triage_second_reads_oldest_seconds") < 172_900
    assert of("triage_rewrite_ratio") == pytest.approx(0.2)
    assert of("triage_drafts_judged", outcome="expired") == 9
    assert of("triage_report_letters_stuck") == 2
    assert of("process_resident_memory_bytes") > 1_000_000


def test_no_label_holds_what_could_grow_without_bound(text: str, samples: Samples) -> None:
    labels = {
        (label, value) for found in samples.values() for one, _value in found for label, value in one.items()
    }
    assert {label for label, _value in labels} == {
        "status", "step", "host", "reason", "state", "provider", "model", "outcome", "kind", "cap", "of",
        "inbox", "folder", "version", "implementation", "major", "minor", "patchlevel",
    } & {label for label, _value in labels}  # fmt: skip
    assert not [value for _label, value in labels if "@" in value or re.search(r"\d{4}-\d\d", value)]
    assert "example" not in text
    assert len(text.splitlines()) < 400


def named(expression: str) -> dict[str, set[str]]:
    """The metrics of a PromQL expression, each with the labels that it is chosen by."""
    found: dict[str, set[str]] = {}

    def look(node: Any) -> None:
        for name in ("lhs", "rhs", "expr", "vector_selector"):
            if (child := getattr(node, name, None)) is not None:
                look(child)
        for child in getattr(node, "args", None) or ():
            look(child)
        if isinstance(node, promql_parser.VectorSelector):
            names = {matcher.name for matcher in node.matchers.matchers}
            found.setdefault(str(node.name), set()).update(names)

    look(promql_parser.parse(expression))
    return found


def test_the_dashboard_and_the_rules_name_only_metrics_that_are_there(samples: Samples) -> None:
    assert named("sum by (a) (x{b='1'}) / y > 3 and rate(z[5m]) > 0") == {"x": {"b"}, "y": set(), "z": set()}
    dashboard = json.loads((ROOT / "deploy/grafana/triage.json").read_text(encoding="utf-8"))
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    rules = [
        rule
        for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
    ]
    used: set[str] = set()
    for expression in [*asked, *(rule["expr"] for rule in rules)]:
        for name, labels in named(expression).items():
            used.add(name)
            if name == "up":  # Prometheus's own
                continue
            assert name in samples, f"{expression}: nothing exports {name}"
            assert labels <= set(samples[name][0][0]), f"{expression}: {name} has no such label"
    ours = {name for name in samples if name.startswith("triage_")}
    assert ours <= used, "a metric that nobody looks at"
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))


def test_the_docs_have_every_metric_and_a_line_for_every_alert(text: str) -> None:
    written = DOCS.read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| `(\w+)(?:\{[\w,]*\})?` \| (.+?) \|$", written, re.M))
    helped = dict(re.findall(r"^# HELP (triage_\w+) (.+)$", text, re.M))
    assert {name: words for name, words in told.items() if name.startswith("triage_")} == helped
    rules = [
        rule
        for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
    ]
    headings = re.findall(r"^#### (\w+)$", written, re.M)
    assert headings == [rule["alert"] for rule in rules]
    for rule in rules:
        assert rule["annotations"]["runbook"] == f"docs/watching.md#{rule['alert'].lower()}"


def test_prometheus_itself_takes_the_rules_and_the_metrics(text: str, tmp_path: Path) -> None:
    promtool = os.environ.get("TRIAGE_TEST_PROMTOOL") or shutil.which("promtool")
    if promtool is None:
        places.missing("promtool", "apt install prometheus, or name it in TRIAGE_TEST_PROMTOOL")
    folder = RULES.parent
    for arguments in (
        ["check", "rules", "alerts.yml"],
        ["check", "config", "prometheus.yml"],
        ["test", "rules", "alerts.test.yml"],
    ):
        done = subprocess.run([promtool, *arguments], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    done = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_many_scrapes_at_once_count_once(sqlite_store: Store) -> None:
    counted: list[str] = []
    sa.event.listen(
        sqlite_store.engine,
        "before_cursor_execute",
        lambda _c, _k, statement, *_more: counted.append(statement),
    )
    metrics.scrape(sqlite_store)
    once = len(counted)
    assert 15 < once < 40
    found: list[bytes] = []
    kept = metrics._kept[sqlite_store]
    kept.until = float("-inf")
    with kept.lock:
        threads = [
            threading.Thread(target=lambda: found.append(metrics.scrape(sqlite_store))) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert once < len(counted) <= 2 * once  # counts of all rows may be kept for longer
