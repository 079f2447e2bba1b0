"""The evaluations page: who may see it, what it lists, two runs compared, hostile answers harmless."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest

from pipeline.evaluation.marks import Marked, Miss
from pipeline.evaluation.runs import Header, RunFolder, Sitter, Verdict
from pipeline.review import sessions
from tests.kit.browsing import Watch
from tests.web.conftest import Place
from tests.web.hostile import FIRST
from tests.web.reading import tree, words

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

LUNA = Sitter("gpt-6-luna", "openai", "gpt-6-luna", "cheap", True)
HOUSE = Sitter("house", "openai", "house", "cheap", False)
HEADER = Header(
    run="monday",
    task="triage",
    prompt="0123456789ab",
    prompt_path="prompts/triage/cheap.md",
    bar={"topic_accuracy": 0.6},
    unmeasured=(),
    source="prompts/triage/cases.jsonl",
    cases="ba9876543210",
    of=4,
    models=(LUNA,),
    started=datetime(2026, 11, 23, 9, 0, tzinfo=UTC),
)


def answered(case: str, topic: str, right: bool, text: str = "") -> Marked:
    return Marked(
        case,
        {"passed": right, "topic_accuracy": right, "schema_validity": True},
        () if right else (Miss("topic", "billing", topic + text),),
        latency_ms=120,
        confidence=(0.9, right),
        answer={"topic": topic, "summary": text or "A message.", "fields": {}},
        cost_usd=Decimal("0.0002"),
    )


def run(root: Path, header: Header, right: dict[str, bool], text: str = "") -> RunFolder:
    """A run of which these cases have answers."""
    cases = [
        {"id": case, "subject": f"About {case}", "body": f"The text of {case}. {text}"} for case in "abcd"
    ]
    folder = RunFolder.create(root, header, cases)
    with folder.held():
        for case, holds in right.items():
            for model in header.models:
                call = folder.reserve(model.key, case, Decimal("0.01"))
                folder.answer(model.key, answered(case, "billing" if holds else "sales", holds, text))
                folder.settle(call, Decimal("0.0002"))
        folder.end("finished" if len(right) == header.of else "interrupted", {}, {})
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where the page looks: TRIAGE_HOME/evaluations, with two runs and one that was stopped."""
    root = tmp_path / "home" / "evaluations"
    run(root, HEADER, dict.fromkeys("abc", True) | {"d": False})
    tuesday = replace(HEADER, run="tuesday", started=datetime(2026, 11, 24, 9, 0, tzinfo=UTC))
    run(root, tuesday, {"a": True, "b": False, "c": False, "d": True})
    stopped = replace(HEADER, run="stopped", models=(LUNA, HOUSE), started=datetime(2026, 11, 22, tzinfo=UTC))
    run(root, stopped, {"a": True})
    return root


def rows(page: httpx2.Response) -> list[str]:
    """Each table row's cells, with a space between."""
    return [
        " ".join(" ".join(cell.text_content().split()) for cell in row)
        for row in tree(page).xpath("//tbody/tr")
    ]


def test_leads_and_admins_see_it_and_agents_do_not(place: Place, root: Path) -> None:
    for who, agent in place.people.items():
        may = agent.role in ("lead", "admin")
        with place.client(who) as client:
            for path in ("", "/run/monday", "/compare?a=monday:gpt-6-luna&b=tuesday:gpt-6-luna"):
                assert client.get(f"/evaluations{path}").status_code == (200 if may else 403)
            assert bool(tree(client.get("/")).xpath("//nav/a[@href='/evaluations']")) == may
    assert {agent.role for agent in place.people.values()} == {"agent", "lead", "admin"}
    with place.client() as client:
        assert client.get("/evaluations").headers["location"].startswith("/login")


@pytest.fixture
def lead(place: Place) -> str:
    return next(who for who, agent in place.people.items() if agent.role == "lead")


def test_runs_are_listed_the_newest_first_with_where_it_looks(place: Place, root: Path, lead: str) -> None:
    with place.client(lead) as client:
        page = client.get("/evaluations")
    found = rows(page)
    assert [next(name for name in ("tuesday", "monday", "stopped") if name in row) for row in found] == [
        "tuesday",
        "monday",
        "stopped",
    ]
    assert "not met" in found[0]
    assert "met gpt-6-luna" in found[1]
    assert "6 answers left" in found[2]
    assert "$0.0008" in found[1]
    assert str(root) in words(page)


def test_a_runs_page_has_its_tables_and_how_to_go_on(place: Place, root: Path, lead: str) -> None:
    folder = RunFolder(root / "monday")
    with folder.held():
        good = dict.fromkeys(("correct", "complete", "tone", "promises", "language"), True)
        folder.judge(Verdict("claude-sonnet-5-5", "gpt-6-luna", "a", good, "No fault found."))
    with place.client(lead) as client:
        page = client.get("/evaluations/run/monday")
        monday, stopped = words(page), words(client.get("/evaluations/run/stopped"))
    assert "triage: gpt-6-luna is the cheapest model that meets the bar ($0.20 per 1,000 tickets)" in monday
    assert "topic accuracy 75.0% 30.1% – 95.4% 3 of 4" in rows(page)
    assert "expected calibration error 0.150" in monday
    assert "Judged by claude-sonnet-5-5; the bar does not count it" in monday
    assert "d: topic: expected billing; came: sales" in monday
    assert "6 answers are left (interrupted)" in stopped
    assert "triage eval triage --run stopped --resume" in stopped
    assert "price not known" in stopped


def test_two_runs_are_compared_with_the_cases_that_flipped(place: Place, root: Path, lead: str) -> None:
    with place.client(lead) as client:
        page = client.get(
            "/evaluations/compare?a=monday:gpt-6-luna&b=tuesday:gpt-6-luna&measure=topic_accuracy"
        )
        text = words(page)
    assert "On the 4 cases that both answered" in text
    topic = next(row for row in rows(page) if row.startswith("topic accuracy"))
    assert topic.startswith("topic accuracy 75.0% 50.0% −25.0% −")
    assert topic.endswith("1 / 2 of 4 not sure")
    assert "3 cases flipped on topic accuracy" in text
    details = [" ".join(part.text_content().split()) for part in tree(page).xpath("//details")]
    assert details[0].startswith("worse in the second b")
    assert "The text of b." in details[0]
    assert details[-1].startswith("better in the second d")
    assert "sales" in details[0]
    assert "billing" in details[0]


def test_what_is_not_there_is_said_plainly(place: Place, root: Path, lead: str) -> None:
    other = replace(HEADER, run="drafts", task="draft", started=datetime(2026, 11, 20, tzinfo=UTC))
    run(root, other, {"a": True})
    with place.client(lead) as client:
        assert client.get("/evaluations/run/sunday").status_code == 404
        assert client.get("/evaluations/run/..%2F..%2Fetc").status_code == 404
        assert client.get("/evaluations/compare?a=monday:gpt-2&b=tuesday:gpt-6-luna").status_code == 404
        assert client.get("/evaluations/compare?a=..:x&b=..:x").status_code == 404
        crossed = client.get("/evaluations/compare?a=monday:gpt-6-luna&b=drafts:gpt-6-luna")
        assert crossed.status_code == 422
        assert "choose two of one task" in words(crossed)
        (root / "monday" / "answers.jsonl").write_text("{}\n", encoding="utf-8")
        listed = client.get("/evaluations")
        assert listed.status_code == 200
        assert "answers.jsonl:1: the line is damaged" in words(listed)
        assert client.get("/evaluations/run/monday").status_code == 422


def test_an_empty_home_says_how_to_make_a_run(place: Place, tmp_path: Path, lead: str) -> None:
    with place.client(lead) as client:
        page = client.get("/evaluations")
    assert "There are no runs yet. Make one with triage eval." in words(page)
    assert not (tmp_path / "home").exists()


def test_a_run_that_is_going_on_shows_what_has_come_so_far(place: Place, root: Path, lead: str) -> None:
    folder = RunFolder(root / "stopped")
    with place.client(lead) as client:
        assert "1 of 4" in words(client.get("/evaluations/run/stopped"))
        with folder.held():
            folder.answer("gpt-6-luna", answered("b", "billing", True))
            with (folder.path / "answers.jsonl").open("a", encoding="utf-8") as file:
                file.write('{"model": "gpt-6-luna", "case": "c", "mar')  # in the midst of a write
            assert "2 of 4" in words(client.get("/evaluations/run/stopped"))


@pytest.fixture
def page(browser: Browser, place: Place) -> Iterator[Page]:
    context = browser.new_context(base_url=place.url)
    token, _session = sessions.start(place.store, place.people["ada"])
    context.add_cookies([{"name": "triage_session", "value": token, "url": place.url}])
    page = context.new_page()
    page.set_default_timeout(15_000)
    watch = Watch(page, place.url)
    yield page
    assert watch.seen == []
    context.close()


PATHS = (
    "/evaluations",
    "/evaluations/run/hostile",
    "/evaluations/compare?a=monday:gpt-6-luna&b=hostile:gpt-6-luna",
)


@pytest.mark.parametrize("width", [360, 1440])
def test_hostile_answers_run_nothing_and_no_page_is_wider_than_its_window(
    root: Path, page: Page, width: int
) -> None:
    text = " ".join(text.text for text in FIRST.values())
    hostile = replace(HEADER, run="hostile", started=datetime(2026, 11, 25, 9, 0, tzinfo=UTC))
    run(root, hostile, dict.fromkeys("abcd", False), text)
    page.set_viewport_size({"width": width, "height": 900})
    for path in PATHS:
        page.goto(path)
        page.wait_for_load_state("networkidle")
        for part in page.locator("details").all():
            part.evaluate("part => part.open = true")
        assert (
            page.evaluate("document.querySelectorAll('main script, main iframe, main img, main svg').length")
            == 0
        )
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path


def test_two_runs_are_chosen_and_compared_by_hand(root: Path, page: Page) -> None:
    page.goto("/")
    page.get_by_role("link", name="Evaluations").click()
    page.get_by_label("First").select_option("monday:gpt-6-luna")
    page.get_by_label("Second").select_option("tuesday:gpt-6-luna")
    page.get_by_role("button", name="Compare").click()
    page.get_by_role("heading", name="Two runs of triage").wait_for()
    page.get_by_label("Show the cases that flipped on").select_option("topic_accuracy")
    page.get_by_role("button", name="Compare").click()
    page.get_by_role("heading", name="3 cases flipped on topic accuracy").wait_for()
