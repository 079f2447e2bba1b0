"""routes.toml: what is refused, with the line to mend; and the plan that follows from the table."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from pipeline.errors import ConfigError
from pipeline.routing.planning import choices, data_class, plan
from pipeline.routing.printing import as_document, as_lines, markdown
from pipeline.routing.reading import read
from pipeline.routing.table import Routes

SHIPPED = Path(__file__).parents[2] / "routes.toml"
AT = datetime(2026, 11, 23, 12, tzinfo=UTC)


def changed(tmp_path: Path, old: str, new: str) -> Path:
    text = SHIPPED.read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "routes.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def routes() -> Routes:
    return read(SHIPPED)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("confidence_below", "confidenc_below", r"rule\.confidenc_below: unknown key"),
        ("confidence_below = 0.65", "confidence_below = 7", "less than or equal to 1"),
        ('model = "gpt-6-luna"', 'model = "gpt-7"', "'gpt-7' is not among the models"),
        ('route = "cheap"', 'route = "strong"', 'must be "cheap"'),
        ("day = 20.00", "day = -1", "budget.day"),
        ("day = 20.00", 'day = "a lot"', "budget.day"),
        ('emotion = ["angry"]', 'emotion = ["sad"]', "rule.emotion"),
        ('cancellation = "a', 'canceling = "a', "'canceling' is not among the topics"),
        ("[topics.other]", "[topics.rest]", '"other" is missing'),
        ("[task.routine]", "[task.routines]", "the task 'routine' is missing"),
        ('provider = "openai"', 'provider = "opena"', "provider"),
        (
            'tier = "cheap"',
            'tier = "cheap"\nprice = { input_usd = "x", output_usd = 1 }',
            "not a number of dollars",
        ),
        ('tier = "cheap"', 'tier = "cheap"\nprice = { input_usd = nan, output_usd = 1 }', "zero or more"),
        ("[rule]", "[rule", r"line \d"),
        ("day = 20.00", "day = " + "[" * 5000, "nested too deeply"),
        ("draft = 15.00", "drafts = 15.00", "no such task"),
        ('safe_default = "local"', 'safe_default = "magic"', 'can only be "local"'),
    ],
)
def test_a_mistake_is_refused_with_file_and_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = changed(tmp_path, old, new)
    with pytest.raises(ConfigError, match=said) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_the_line_named_is_the_line_of_the_mistake(tmp_path: Path) -> None:
    path = changed(tmp_path, "thread_longer_than = 6", "thread_longer_than = 0")
    line = (
        path.read_text(encoding="utf-8")
        .splitlines()
        .index(
            next(
                row
                for row in path.read_text(encoding="utf-8").splitlines()
                if "thread_longer_than = 0" in row
            )
        )
    )
    with pytest.raises(ConfigError, match=f":{line + 1}:"):
        read(path)


def test_without_a_key_the_built_in_parts_do_the_work(routes: Routes) -> None:
    available = {"local", "templates"}
    assert [choice.key for choice in choices(routes, routes.tasks["triage"], available)] == ["local"]
    assert [choice.key for choice in choices(routes, routes.tasks["draft"], available)] == ["templates"]


def test_with_keys_the_order_is_model_backup_safe_default(routes: Routes) -> None:
    available = {"local", "templates", "openai", "anthropic"}
    found = choices(routes, routes.tasks["triage"], available)
    assert [(choice.key, choice.role) for choice in found] == [
        ("gpt-6-luna", "model"),
        ("claude-haiku-5-5", "backup"),
        ("local", "safe_default"),
    ]


def test_swapping_the_model_by_one_line_keeps_a_backup_of_another_provider(tmp_path: Path) -> None:
    swapped = read(changed(tmp_path, 'model = "gpt-6-luna"', 'model = "claude-haiku-5-5"'))
    found = choices(swapped, swapped.tasks["triage"], {"local", "templates", "openai", "anthropic"})
    assert [choice.key for choice in found] == ["claude-haiku-5-5", "gpt-6-luna", "local"]
    assert found[0].provider != found[1].provider


def test_a_model_asked_for_by_name_comes_first(routes: Routes) -> None:
    available = {"local", "templates", "openai", "anthropic"}
    found = choices(routes, routes.tasks["draft"], available, model="gpt-6.1-sol")
    assert found[0].key == "gpt-6.1-sol"
    with pytest.raises(ConfigError, match="not among the models"):
        choices(routes, routes.tasks["draft"], available, model="gpt-1")


def test_the_plan_counts_day_task_ticket_and_customer_and_hides_the_address(routes: Routes) -> None:
    made = plan(routes, "draft", {"openai"}, {}, at=AT, ticket_id=7, customer="jane@example.com", agent_id=3)
    limits = {cap.scope.split(":")[0]: cap.limit_usd for cap in made.caps}
    assert limits == {
        "day": Decimal("20.00"),
        "week": Decimal("100.00"),
        "month": Decimal("350.00"),
        "task": Decimal("15.00"),
        "ticket": Decimal("0.50"),
        "customer": Decimal("1.00"),
        "agent": Decimal("5.00"),
    }
    assert "jane" not in " ".join(cap.scope for cap in made.caps)


def test_the_table_prints_for_people_and_for_programs(routes: Routes) -> None:
    lines = "\n".join(as_lines(routes, {"local", "templates", "openai"}))
    assert "no key: claude-haiku-5-5" in lines
    assert "confidence is below 0.65" in lines
    document = as_document(routes, {"local", "templates"})
    assert {row["task"] for row in document["tasks"]} == {
        "triage",
        "routine",
        "draft",
        "summary",
        "writing",
        "shadow",
    }
    assert markdown(routes).count("\n") == 7


def test_a_model_never_sees_a_class_that_it_may_not_see_not_even_as_a_wish(tmp_path: Path) -> None:
    old = '[models."claude-sonnet-5-5"]'
    sees = '[models."claude-sonnet-5-5"]\nsees = ["public", "customer", "sensitive"]'
    routes = read(changed(tmp_path, old, sees))
    available = {"local", "templates", "openai", "anthropic"}
    for wish in (None, "gpt-6.1-sol", "gpt-6-luna"):
        found = choices(routes, routes.tasks["draft"], available, wish, "sensitive")
        assert [choice.key for choice in found] == ["claude-sonnet-5-5", "templates"]
    assert [c.key for c in choices(routes, routes.tasks["triage"], available, None, "sensitive")] == ["local"]
    assert choices(routes, routes.tasks["writing"], available, None, "sensitive") == []


def test_the_stricter_class_of_inbox_and_topic_counts(tmp_path: Path) -> None:
    routes = read(changed(tmp_path, "[topics.billing]", '[topics.billing]\ndata = "sensitive"'))
    assert data_class(routes, "billing", "public") == "sensitive"
    assert data_class(routes, "how_to", "public") == "public"
    assert data_class(routes, "how_to", None) == "customer"
    assert data_class(routes, None, "sensitive") == "sensitive"


def test_an_agents_yes_passes_the_narrow_caps_but_not_the_ones_of_day_week_month_and_agent(
    routes: Routes,
) -> None:
    made = plan(
        routes,
        "draft",
        {"openai"},
        {},
        at=AT,
        ticket_id=7,
        customer="j@example.com",
        agent_id=3,
        confirmed=True,
    )
    assert {cap.scope.split(":")[0] for cap in made.caps} == {"day", "week", "month", "agent"}


def test_a_table_without_the_later_tasks_takes_the_models_of_their_kin(tmp_path: Path) -> None:
    text = SHIPPED.read_text(encoding="utf-8")
    head, rest = text.split("[task.summary]")
    text = (head + "# --- the rule" + rest.split("# --- the rule", 1)[1]).replace("shadow = 0.50", "")
    (tmp_path / "routes.toml").write_text(text, encoding="utf-8")
    found = read(tmp_path / "routes.toml").tasks
    assert (found["summary"].model, found["writing"].model) == (found["routine"].model,) * 2
    assert found["shadow"].model == found["draft"].model
