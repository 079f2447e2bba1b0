"""What the report suggests, on weeks made for one suggestion each; every diff is applied and read again."""

from __future__ import annotations

import shutil
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import agents, corrections, reviews, triages
from pipeline.models.prompts import read_prompt
from pipeline.reports import evidence, spending
from pipeline.reports.behind import behind
from pipeline.reports.suggestions import Suggestion, suggested, suggestions
from pipeline.reports.weeks import Week
from pipeline.routing import reading
from pipeline.routing.table import Routes
from tests.reports.conftest import WEEK, Seed, hour

ROOT = Path(__file__).parents[2]
STRONG: dict[str, Any] = {"route": "strong", "task": "draft", "model": "big", "cost_usd": Decimal("0.05")}
CHEAP: dict[str, Any] = {"cost_usd": Decimal("0.01")}


class Desk:
    """A store, a copy of the shipped table and prompts, and what they give."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store, self.folder = store, folder
        shutil.copy(ROOT / "routes.toml", folder)
        shutil.copytree(ROOT / "prompts", folder / "prompts")
        with store.write() as connection:
            connection.execute(
                agents.insert().values(id=1, email="ann@shop.example", role="agent", created_at=hour(-999))
            )
        self.seeded = 0

    @property
    def routes(self) -> Routes:
        return reading.read(self.folder / "routes.toml")

    def judge(
        self, outcomes: dict[str, int], reading: dict[str, Any] | None = None, at: float = 20, **draft: Any
    ) -> None:
        with self.store.write() as connection:
            seed = Seed(connection)
            seed.numbers = iter(range(self.seeded, self.seeded + 10_000))
            self.seeded += 10_000
            for outcome, many in outcomes.items():
                for _n in range(many):
                    ticket, review = seed.judged(hour(at), outcome, **draft)
                    if outcome == "rejected":
                        values = {"reject_reason": "wrong_tone"}
                        connection.execute(reviews.update().where(reviews.c.id == review).values(**values))
                    if reading:
                        connection.execute(
                            triages.update().where(triages.c.ticket_id == ticket).values(**reading)
                        )

    def made(self) -> tuple[Suggestion, ...]:
        with self.store.read() as connection:
            calls, errors = spending.calls(connection, hour(0), hour(168))
            return suggestions(
                connection, hour(0), hour(168), self.routes, self.folder / "prompts", calls, errors
            )

    def apply(self, made: Suggestion) -> None:
        command = ["patch", "-p1", "--silent"]
        subprocess.run(command, cwd=self.folder, input=made.diff.encode(), check=True, capture_output=True)


@pytest.fixture
def desk(store: Store, tmp_path: Path) -> Desk:
    return Desk(store, tmp_path)


@pytest.fixture
def lite(sqlite_store: Store, tmp_path: Path) -> Desk:
    return Desk(sqlite_store, tmp_path)


def test_a_topic_whose_routine_drafts_are_rewritten_is_escalated(desk: Desk) -> None:
    desk.judge({"rewritten": 18, "as_is": 12}, topic="billing", **CHEAP)
    desk.judge({"rewritten": 3, "as_is": 57}, topic="sales", text="x" * 500, **STRONG)
    (made,) = desk.made()
    assert (made.kind, made.file) == ("escalate", "routes.toml")
    assert (made.before, made.after) == (
        "",
        'billing = "routine drafts on it were rewritten, 18 of 30 in a week"',
    )
    # 30 x (18/30 - 3/60) = 16.5 drafts for 30 x $0.04 more; the rate goes from 21/90 to 4.5/90
    assert (made.saved, made.cost_usd) == (16.5, Decimal("1.20"))
    assert (
        made.effect
        == "rewrite rate about 23% → 5% (16 fewer of 90 drafts rewritten a week); models about $1.20 more a week"
    )
    assert [each.text.split(" (")[0] for each in made.evidence] == [
        "routine drafts on billing: 60%",
        "strong drafts in all: 5%",
    ]
    assert made.evidence[0].behind == "figure=drafts&route=cheap&topic=billing&outcome=rewrite"
    desk.apply(made)
    assert "billing" in {each.topic for each in desk.routes.rule.costly}
    assert not desk.made()  # done


def test_what_a_week_is_too_short_for_is_looked_for_in_four(desk: Desk) -> None:
    for n in range(4):
        desk.judge({"rewritten": 6, "as_is": 4}, at=20 - n * 168, topic="billing", **CHEAP)
        desk.judge({"as_is": 12}, at=20 - n * 168, topic="sales", text="x" * 500, **STRONG)
    desk.judge({"rewritten": 50}, at=20 - 4 * 168, topic="how_to", **CHEAP)  # before all of them
    assert not desk.made()
    week = Week.parse(WEEK)
    with desk.store.read() as connection:
        given = (desk.routes, desk.folder / "prompts", *spending.calls(connection, hour(0), hour(168)))
        (made,) = suggested(connection, week, "UTC", *given)
    assert made.after == 'billing = "routine drafts on it were rewritten, 24 of 40 in four weeks"'
    assert made.effect.startswith(
        "rewrite rate about 27% → 0% (24 fewer of 88 drafts rewritten in four weeks)"
    )
    said = made.evidence[0]
    assert said.text.endswith("rewritten, in four weeks")
    assert said.behind == "figure=drafts&route=cheap&topic=billing&outcome=rewrite&since=2026-W44"
    assert behind(desk.store, week, "UTC", dict(parse_qsl(said.behind))).total == 24
    desk.apply(made)
    assert "billing" in {each.topic for each in desk.routes.rule.costly}


def test_too_few_cases_suggest_nothing(lite: Desk) -> None:
    lite.judge({"rewritten": 12, "as_is": 2}, topic="billing", **CHEAP)
    lite.judge({"as_is": 60}, topic="sales", text="x" * 500, **STRONG)
    assert not lite.made()  # 14 drafts
    lite.judge({"rewritten": 20, "as_is": 80}, topic="other", **CHEAP)
    lite.judge({"rewritten": 10, "as_is": 20}, topic="how_to", text="x" * 500, **STRONG)
    assert not lite.made()  # 20% within the bounds of the strong drafts


def test_an_escalation_that_is_not_needed_is_given_up(lite: Desk) -> None:
    sole = {"route": "strong", "reasons": ["Topic cancellation: a cancellation is hard to take back."]}
    lite.judge({"as_is": 24}, sole, topic="cancellation", **STRONG)  # short
    lite.judge({"light": 2}, sole, topic="cancellation", **STRONG)
    both = {"route": "strong", "reasons": [*sole["reasons"], "The customer is angry."]}
    lite.judge({"as_is": 20}, both, topic="cancellation", **STRONG)
    lite.judge({"rewritten": 1, "as_is": 39}, topic="sales", **CHEAP)
    (made,) = lite.made()
    assert (made.kind, made.before, made.after) == (
        "keep",
        'cancellation = "a cancellation is hard to take back"',
        "",
    )
    assert "24 of 26" in made.evidence[0].text
    assert made.cost_usd == Decimal("-1.04")  # 26 x $0.04 less
    assert made.saved == -0.7  # 26 x 1/40 more to rewrite
    assert "models about $1.04 less a week" in made.effect
    lite.apply(made)
    assert {each.topic for each in lite.routes.rule.costly} == {"refund"}


def test_thresholds_move_either_way(lite: Desk) -> None:
    kept = {"confidence": 0.82, "route": "cheap"}
    lite.judge({"rewritten": 15, "as_is": 10}, kept, topic="billing", **CHEAP)
    lite.judge({"rewritten": 10, "as_is": 300}, {"confidence": 0.95}, topic="billing", **CHEAP)
    lite.judge({"as_is": 60}, topic="sales", text="x" * 500, **STRONG)
    (raised,) = lite.made()
    assert raised.title.startswith("Raise confidence_below_uncalibrated from 0.80 to 0.85")
    assert raised.evidence[0].behind is not None
    assert "sure=0.80-0.85" in raised.evidence[0].behind
    lite.apply(raised)
    assert lite.routes.rule.confidence_below_uncalibrated == 0.85

    sole = {
        "route": "strong",
        "confidence": 0.5,
        "calibrated": True,
        "reasons": ["Confidence 0.50 is below 0.65."],
    }
    lite.judge({"as_is": 30}, sole, topic="sales", **STRONG)
    lowered = next(each for each in lite.made() if each.kind == "threshold")
    assert (lowered.before, lowered.after) == ("confidence_below = 0.65", "confidence_below = 0.50")
    lite.apply(lowered)
    assert lite.routes.rule.confidence_below == 0.5


def test_a_model_that_fails_gives_way_to_its_backup_or_gets_one(lite: Desk) -> None:
    with lite.store.write() as connection:
        seed = Seed(connection)
        luna = {"task": "routine", "model": "gpt-6-luna", "cost_usd": Decimal("0.01")}
        for n in range(60):
            failed = {"state": "failed", "error_kind": "timeout"} if n < 15 else {}
            seed.call(hour(n), **luna, **failed)
        haiku = {"model": "claude-haiku-5-5", "provider": "anthropic", "role": "backup"}
        for n in range(30):
            seed.call(hour(n), **haiku, cost_usd=Decimal("0.02"))
    (made,) = lite.made()
    assert (made.before, made.after) == ('model = "gpt-6-luna"', 'model = "claude-haiku-5-5"')
    assert (made.saved, made.cost_usd) == (15.0, Decimal("0.60"))
    assert made.effect == "about 15 fewer of 60 calls a week fail; models about $0.60 more a week"
    lite.apply(made)
    assert lite.routes.tasks["routine"].model == "claude-haiku-5-5"
    table = (ROOT / "routes.toml").read_text(encoding="utf-8")
    routine = table.index("[task.routine]")
    backup = table.index("backup =", routine)
    end = table.index("\n", backup) + 1
    (lite.folder / "routes.toml").write_text(table[:backup] + table[end:], encoding="utf-8")
    (made,) = lite.made()
    assert (made.before, made.after) == ("", 'backup = ["claude-haiku-5-5"]')
    lite.apply(made)
    assert lite.routes.tasks["routine"].backups == ("claude-haiku-5-5",)


def test_a_cap_that_is_reached_on_two_days_is_raised(lite: Desk) -> None:
    with lite.store.write() as connection:
        seed = Seed(connection)
        draft = {"task": "draft", "route": "strong", "model": "big"}
        for n in range(10):
            seed.call(hour(n), **draft, cost_usd=Decimal("0.50"))
        ticket = seed.ticket(hour(1))
        message = seed.message(ticket, hour(1))
        no = {"state": "not_called", "error_kind": "budget", "error": "$15.00 a day for draft is reached"}
        no |= {"cost_usd": Decimal(0), "ticket_id": ticket}
        for day, refused in ((1, 4), (3, 6)):
            for n in range(refused):
                seed.call(hour(24 * day + n), **draft, **no, message_id=seed.message(ticket, hour(1)))
        again = seed.call(hour(24), **draft, **no, message_id=message)
        seed.call(hour(24), **draft, **no, message_id=message)  # the backup, for the same answer
        one_day = no | {"error": "$5.00 a day for routine is reached"}
        seed.call(hour(50), **one_day)
        assert again
    (made,) = lite.made()
    # 5 answers on one day and 6 on the other, $0.50 each: the worse day wants 15 + 3
    assert (made.before, made.after) == ("draft = 15.00", "draft = 18.00")
    assert (made.saved, made.cost_usd) == (11.0, Decimal("5.50"))
    assert "11 answers refused" in made.evidence[0].text
    lite.apply(made)
    assert lite.routes.budgets.task_day["draft"] == Decimal("18.00")


def test_a_prompt_gets_a_line_against_what_agents_reject(lite: Desk) -> None:
    path = lite.folder / "prompts" / "routine" / "cheap.md"
    digest = read_prompt(path, "routine/cheap").digest
    lite.judge({"rejected": 20, "as_is": 80}, topic="billing", prompt=digest, **CHEAP)
    lite.judge({"rejected": 20, "as_is": 80}, topic="billing", prompt="0123456789ab", **CHEAP)
    (made,) = lite.made()
    assert (made.kind, made.file) == ("prompt", "prompts/routine/cheap.md")
    assert made.after.startswith("9. Keep the tone of a careful colleague")
    assert made.evidence[0].behind == (
        f"figure=drafts&prompt=routine+{digest[:8]}&source=model&reason=wrong_tone"
    )
    assert made.effect.startswith(
        "at most rewrite rate about 20% → 10% (20 fewer of 200 drafts rewritten a week)"
    )
    lite.apply(made)
    assert "9. Keep the tone" in read_prompt(path, "routine/cheap").system
    assert not lite.made()  # the prompt in force is another one now


def test_a_language_that_fares_badly_gets_a_line(lite: Desk) -> None:
    digest = read_prompt(lite.folder / "prompts" / "draft" / "strong.md", "draft/strong").digest
    lite.judge({"rewritten": 15, "as_is": 10}, language="pl", topic="sales", prompt=digest, **STRONG)
    lite.judge({"rewritten": 5, "as_is": 95}, topic="sales", prompt=digest, **STRONG)
    (made,) = lite.made()
    assert made.kind == "language"
    assert "Polish" in made.after
    assert made.saved == pytest.approx(13.75, abs=0.1)  # 25 x (15/25 - 5/100) = 13.75
    lite.apply(made)
    read_prompt(lite.folder / "prompts" / "draft" / "strong.md", "draft/strong")


def test_a_topic_that_is_mixed_up_with_another_is_described_better(desk: Desk) -> None:
    desk.judge({"as_is": 60}, topic="billing", **CHEAP)
    with desk.store.write() as connection:
        rows = connection.execute(sa.select(triages.c.id, triages.c.ticket_id).limit(12)).all()
        for row in rows:
            connection.execute(
                corrections.insert().values(
                    ticket_id=row.ticket_id, triage_id=row.id, field="topic", old="billing", new="refund",
                    by_kind="agent", by_name="agent:ann@shop.example", at=hour(30),
                )
            )  # fmt: skip
    (made,) = desk.made()
    assert made.after == (
        'description = "invoices, charges, fees, payment methods, failed or double payments; not refund: '
        'wants money back"'
    )
    assert "12 of 60" in made.evidence[0].text
    desk.apply(made)
    desk.routes  # noqa: B018 - it reads the file


def test_there_are_five_at_most_and_what_costs_nothing_comes_first(lite: Desk) -> None:
    for topic in ("billing", "refund", "sales", "how_to", "bug_report", "other"):
        lite.judge({"rewritten": 20, "as_is": 10}, topic=topic, **CHEAP)
    lite.judge({"as_is": 60}, topic="complaint", text="x" * 500, **STRONG)
    with lite.store.write() as connection:
        rows = connection.execute(
            sa.select(triages.c.id, triages.c.ticket_id).where(triages.c.topic == "billing")
        ).all()
        for row in rows[:12]:
            connection.execute(
                corrections.insert().values(
                    ticket_id=row.ticket_id, triage_id=row.id, field="topic", old="billing", new="other",
                    by_kind="agent", by_name="agent:ann@shop.example", at=hour(30),
                )
            )  # fmt: skip
    made = lite.made()
    assert [each.kind for each in made] == ["topic", *["escalate"] * 4]


def test_each_figure_is_the_number_of_its_cases(lite: Desk) -> None:
    lite.judge({"rewritten": 18, "as_is": 12}, topic="billing", **CHEAP)
    question = {"route": "cheap", "topic": "billing", "outcome": "rewrite", "sure": "0.80-0.95"}
    with lite.store.read() as connection:
        assert len(evidence.ids(connection, hour(0), hour(168), question)) == 18
