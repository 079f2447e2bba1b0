"""Models in an agent's hand, on both real SDKs: another draft, a polish, two blind side by side, help with a text."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa

from pipeline import steps
from pipeline.assembly import Parts
from pipeline.db.reviews import open_review
from pipeline.db.tables import comparisons, drafts, model_calls, moves, reviews, spend, tickets, typed_texts
from pipeline.db.types import now
from pipeline.errors import AllModelsFailed, ConflictError, InputError, NeedsAgreement, OneSided
from pipeline.models.base import Cap
from pipeline.review import agents, preferences, typed
from pipeline.review.agents import Agent
from pipeline.steps import offering, redrafting
from tests.journeys import scripted
from tests.kit.live import close, live_parts, mail
from tests.kit.model_replies import Reply, Seen, failing, ok, out_of_credit
from tests.kit.model_server import ModelServer
from tests.test_steps import bring

ROUTES = Path(__file__).parents[1] / "routes.toml"
ANGRY = "This is a disgrace!!! Where is my order 48213? I want it NOW, you liars!"
CHEAP, CLAUDE, GPT = "gpt-6-luna", "claude-sonnet-5-5", "gpt-6.1-sol"


def answer(seen: Seen) -> Reply:
    """Readings and drafts as in the journeys, each draft signed by its model; texts come back reworked."""
    if seen.schema is not None and set(seen.schema["properties"]) == {"text"}:
        return ok({"text": "Hello Jane,\n\nwe look into your order 48213.\n\nThe Shop"})
    if scripted.is_reading(seen):
        return scripted.answer(seen)
    wrote = scripted.draft(seen.user)
    return ok({**wrote, "reply": wrote["reply"] + " " + SIGNED[seen.model]}, tokens=scripted.WROTE)


SIGNED = {CHEAP: "(quick)", CLAUDE: "(thorough)", GPT: "(warm)", "claude-haiku-5-5": "(brief)"}


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    with ModelServer(answer) as server:
        yield server


def parts_with(home: Path, url: str, server: ModelServer, *changes: tuple[str, str]) -> Parts:
    server.forget()
    server.answer_by(answer)
    table = ROUTES.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in table
        table = table.replace(old, new)
    path = home.with_name("routes.toml")
    path.write_text(table, encoding="utf-8")
    return live_parts(
        home, url, routes=path,
        openai_api_key="k", openai_base_url=server.openai_url,
        anthropic_api_key="k", anthropic_base_url=server.anthropic_url,
    )  # fmt: skip


@pytest.fixture
def parts(tmp_path: Path, database_url: str, server: ModelServer) -> Iterator[Parts]:
    parts = parts_with(tmp_path / "home", database_url, server)
    yield parts
    close(parts)


@pytest.fixture
def ann(parts: Parts) -> Agent:
    return agents.add(parts.store, "ann@shop.example", "agent", "Ann")


def drafted(parts: Parts, server: ModelServer, number: int = 1) -> int:
    """A ticket with a draft by the strong model, before a person; the journal is empty then."""
    ticket = bring(
        parts, mail(ANGRY, subject=f"Order 48213, {number}", message_id=f"m{number}@customer.example")
    )
    steps.run_until_idle(parts, threads=1)
    assert the(parts, ticket).status == "in_review"
    server.journal.clear()
    return ticket


def the(parts: Parts, ticket: int) -> sa.Row[tuple[object, ...]]:
    with parts.store.read() as connection:
        return connection.execute(sa.select(tickets).where(tickets.c.id == ticket)).one()


def open_row(parts: Parts, ticket: int) -> sa.Row[tuple[object, ...]]:
    with parts.store.read() as connection:
        query = sa.select(reviews).where(reviews.c.ticket_id == ticket, reviews.c.state == "open")
        return connection.execute(query).one()


def all_drafts(parts: Parts) -> list[sa.Row[tuple[object, ...]]]:
    with parts.store.read() as connection:
        return list(connection.execute(sa.select(drafts).order_by(drafts.c.id)))


def last_move(parts: Parts, ticket: int) -> tuple[str, str]:
    with parts.store.read() as connection:
        row = connection.execute(
            sa.select(moves.c.who, moves.c.why).where(moves.c.ticket_id == ticket).order_by(moves.c.id.desc())
        ).first()
    assert row is not None
    return row.who, row.why


def calls_by(parts: Parts, agent: Agent) -> list[tuple[str, str, str]]:
    with parts.store.read() as connection:
        query = sa.select(model_calls.c.task, model_calls.c.model, model_calls.c.state)
        rows = connection.execute(query.where(model_calls.c.agent_id == agent.id).order_by(model_calls.c.id))
        return [(row.task, row.model, row.state) for row in rows]


def caps_of(parts: Parts, ticket: int, agent: Agent) -> dict[str, Cap]:
    plan = parts.plan(
        "draft", ticket_id=ticket, customer="jane@customer.example", inbox="support", agent_id=agent.id
    )
    return {cap.scope.partition(":")[0]: cap for cap in plan.caps}


def use_up(parts: Parts, cap: Cap, but: Decimal = Decimal(0)) -> None:
    with parts.store.write() as connection:
        connection.execute(spend.delete().where(spend.c.scope == cap.scope))
        connection.execute(
            spend.insert().values(scope=cap.scope, spent_usd=cap.limit_usd - but, updated_at=now())
        )


# --- another draft -----------------------------------------------------------------------------------


def test_a_draft_by_hand_takes_the_place_of_the_one_before_on_the_same_row(
    parts: Parts, server: ModelServer, ann: Agent
) -> None:
    ticket = drafted(parts, server)
    before = open_row(parts, ticket)
    typed.keep(parts.store, before.id, ann, "Half an answer")
    made = redrafting.redraft(parts, before.id, ann, the(parts, ticket).version, GPT)

    assert server.kinds == [(GPT, "ok")]
    row = open_row(parts, ticket)
    assert (row.id, row.draft_id, row.reason, row.outcome) == (before.id, made, "draft", None)
    old, new = all_drafts(parts)
    assert old.superseded_at is not None
    assert (new.model, new.tier, new.asked_by, new.superseded_at) == (GPT, "strong", ann.id, None)
    assert new.text.endswith("(warm)")
    assert last_move(parts, ticket) == ("agent:ann@shop.example", f"Ann had the draft written anew by {GPT}")
    assert calls_by(parts, ann) == [("draft", GPT, "ok")]
    assert "Ann had typed, and not sent:\nHalf an answer" in row.note
    with parts.store.read() as connection:
        assert connection.execute(sa.select(typed_texts)).all() == []
        paid = connection.execute(sa.select(spend).where(spend.c.scope.startswith(f"agent:{ann.id}:"))).one()
    assert paid.spent_usd == new.cost_usd > 0


def test_a_draft_given_up_for_another_is_in_no_rewrite_rate(
    parts: Parts, server: ModelServer, ann: Agent
) -> None:
    ticket = drafted(parts, server)
    row = open_row(parts, ticket)
    redrafting.redraft(parts, row.id, ann, the(parts, ticket).version, GPT)
    assert parts.desk.approve(row.id, ann, the(parts, ticket).version).outcome == "as_is"
    with parts.store.read() as connection:
        judged = connection.execute(
            sa.select(drafts.c.model, reviews.c.outcome).join(reviews, reviews.c.draft_id == drafts.c.id)
        ).all()
    assert judged == [(GPT, "as_is")]


def test_a_cheap_model_drafts_by_the_short_prompt_and_a_row_without_a_draft_gets_one(
    parts: Parts, server: ModelServer, ann: Agent
) -> None:
    ticket = drafted(parts, server)
    row = open_row(parts, ticket)
    parts.desk.reject(row.id, ann, the(parts, ticket).version, "wrong_tone")
    row = open_row(parts, ticket)
    assert (row.draft_id, row.reason) == (None, "human_route")
    redrafting.redraft(parts, row.id, ann, the(parts, ticket).version, CHEAP)
    new = all_drafts(parts)[-1]
    assert (new.route, new.task, new.tier, new.text[-7:]) == ("cheap", "routine", "cheap", "(quick)")
    row = open_row(parts, ticket)
    assert (row.reason, row.draft_id) == ("draft", new.id)
    assert row.detail.startswith("The draft was rejected: wrong tone; an answer is still due.")
    assert last_move(parts, ticket)[1] == f"Ann had a draft written by {CHEAP}"


def test_only_the_wished_model_is_asked_and_its_failure_is_told(
    parts: Parts, server: ModelServer, ann: Agent
) -> None:
    ticket = drafted(parts, server)
    row, version = open_row(parts, ticket), the(parts, ticket).version
    server.script(out_of_credit(), model=GPT)
    with pytest.raises(
        AllModelsFailed, match=r"a draft by gpt-6.1-sol did not come \(credit\); choose another"
    ):
        redrafting.redraft(parts, row.id, ann, version, GPT)
    assert server.kinds == [(GPT, "out_of_credit")]
    assert (open_row(parts, ticket).draft_id, the(parts, ticket).version) == (row.draft_id, version)


def test_no_wish_shows_a_model_what_it_may_not_see(
    tmp_path: Path, sqlite_url: str, server: ModelServer
) -> None:
    sensitive = ("[topics.order_shipping]\n", '[topics.order_shipping]\ndata = "sensitive"\n')
    sees = (f'[models."{GPT}"]\n', f'[models."{GPT}"]\nsees = ["public", "customer", "sensitive"]\n')
    parts = parts_with(tmp_path / "home", sqlite_url, server, sensitive, sees)
    ann = agents.add(parts.store, "ann@shop.example", "agent", "Ann")
    ticket = drafted(parts, server)
    row, version = open_row(parts, ticket), the(parts, ticket).version
    assert [offer.key for offer in offering.offers(parts, dict(the(parts, ticket)._mapping))] == [GPT]
    with parts.store.write() as connection:  # a harmless word at the thread's end opens nothing
        connection.execute(tickets.update().where(tickets.c.id == ticket).values(topic="how_to"))
    assert [offer.key for offer in offering.offers(parts, dict(the(parts, ticket)._mapping))] == [GPT]
    for model in (CLAUDE, CHEAP):
        with pytest.raises(InputError, match=f"{model} may not be asked .* sensitive data"):
            redrafting.redraft(parts, row.id, ann, version, model)
        with pytest.raises(InputError, match="may not be asked"):
            redrafting.compare(parts, row.id, ann, version, [GPT, model])
    with pytest.raises(InputError, match="no model may be asked"):
        redrafting.help_write(parts, row.id, ann, "grammar", "Thank you for your order.")
    with pytest.raises(InputError, match="there is no model 'gpt-9'"):
        redrafting.redraft(parts, row.id, ann, version, "gpt-9")
    assert server.journal == []
    close(parts)


def test_what_was_written_while_the_customer_wrote_again_is_not_shown_as_fresh(
    parts: Parts, server: ModelServer, ann: Agent
) -> None:
    ticket = drafted(parts, server)
    row, version = open_row(parts, ticket), the(parts, ticket).version

    def meanwhile(seen: Seen) -> Reply:
        again = mail(
            "I still wait for order 48213!", subject="Re: Order 48213, 1", message_id="m9@customer.example",
            headers="In-Reply-To: <m1@customer.example>\r\n",
        )  # fmt: skip
        assert bring(parts, again) == ticket
        return answer(seen)

    server.answer_by(meanwhile)
    with pytest.raises(ConflictError, match=r"What gpt-6\.1-sol wrote meanwhile is not used"):
        redrafting.redraft(parts, row.id, ann, version, GPT)
    assert the(parts, ticket).status == "received"
    assert all(draft.superseded_at is not None for draft in all_drafts(parts))
    with pytest.raises(ConflictError):
        redrafting.redraft(parts, row.id, ann, version, GPT)
    assert server.kinds == [(GPT, "ok")]  # the second was refused before it cost anything


def test_of_two_agents_who_regenerate_at_once_one_draft_counts(
    parts: Parts, server: ModelServer, ann: Agent
) -> None:
    ticket = drafted(parts, server)
    bob = agents.add(parts.store, "bob@shop.example", "agent", "Bob")
    row, version = open_row(parts, ticket), the(parts, ticket).version
    server.answer_by(lambda seen: answer(seen).later(0.5))

    def wish(agent: Agent) -> str:
        try:
            redrafting.redraft(parts, row.id, agent, version, GPT)
        except ConflictError as error:
            return str(error)
        return "done"

    with ThreadPoolExecutor(2) as pool:
        said = list(pool.map(wish, (ann, bob)))
    assert sorted(one == "done" for one in said) == [False, True]
    assert any("had the draft written anew" in one for one in said)
    assert [draft.superseded_at is None for draft in all_drafts(parts)].count(True) == 1


# --- the caps ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wish", ["redraft", "refine", "compare"])
def test_over_a_cap_that_may_be_passed_the_agent_is_asked_and_their_word_is_kept(
    parts: Parts, server: ModelServer, ann: Agent, wish: str
) -> None:
    ticket = drafted(parts, server)
    row, version = open_row(parts, ticket), the(parts, ticket).version
    use_up(parts, caps_of(parts, ticket, ann)["ticket"])

    def ask(confirmed: bool) -> int:
        if wish == "compare":
            return redrafting.compare(parts, row.id, ann, version, [GPT, CHEAP], confirmed=confirmed)
        do = redrafting.redraft if wish == "redraft" else redrafting.refine
        return do(parts, row.id, ann, version, GPT, confirmed=confirmed)

    with pytest.raises(
        NeedsAgreement, match=r"The cap of \$0.50 a ticket is reached; .* may cost up to \$0\."
    ):
        ask(confirmed=False)
    assert (server.journal, the(parts, ticket).version) == ([], version)
    ask(confirmed=True)
    assert len(server.journal) == (2 if wish == "compare" else 1)
    who, why = last_move(parts, ticket)
    assert who == "agent:ann@shop.example"
    assert why.endswith(", and agreed to pass the cap of $0.50 a ticket")
    assert {state for *_, state in calls_by(parts, ann)} == {"ok", "not_called"}


@pytest.mark.parametrize("kind", ["day", "week", "month", "agent"])
def test_a_hard_cap_refuses_plainly_whoever_agrees(
    parts: Parts, server: ModelServer, ann: Agent, kind: str
) -> None:
    ticket = drafted(parts, server)
    row, version = open_row(parts, ticket), the(parts, ticket).version
    caps = caps_of(parts, ticket, ann)
    use_up(parts, caps["ticket"])
    use_up(parts, caps[kind])
    for word in (False, True):
        wishes = (
            partial(redrafting.redraft, parts, row.id, ann, version, GPT, confirmed=word),
            partial(redrafting.refine, parts, row.id, ann, version, GPT, confirmed=word),
            partial(redrafting.compare, parts, row.id, ann, version, [GPT, CHEAP], confirmed=word),
            partial(redrafting.help_write, parts, row.id, ann, "shorten", "Thank you for your order."),
        )
        for wish in wishes:
            with pytest.raises(InputError, match="is reached") as refused:
                wish()
            assert not isinstance(refused.value, NeedsAgreement)
    assert (server.journal, the(parts, ticket).version) == ([], version)


def test_racing_wishes_never_pass_the_agents_own_cap(parts: Parts, server: ModelServer, ann: Agent) -> None:
    rows = [drafted(parts, server, number) for number in range(6)]
    cap = caps_of(parts, rows[0], ann)["agent"]
    use_up(parts, cap, but=Decimal("0.10"))
    server.answer_by(lambda seen: answer(seen).later(0.3))

    def wish(ticket: int) -> bool:
        try:
            redrafting.redraft(parts, open_row(parts, ticket).id, ann, the(parts, ticket).version, CLAUDE)
        except InputError:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        done = list(pool.map(wish, rows))
    with parts.store.read() as connection:
        used = connection.execute(sa.select(spend).where(spend.c.scope == cap.scope)).one()
    assert used.spent_usd <= cap.limit_usd
    assert used.reserved_usd == 0
    assert done.count(True) == len(server.journal) >= 1
    assert False in done


# --- two side by side ----------------------------------------------------------------------------------


def test_of_two_drafts_the_chosen_one_becomes_the_rows_and_the_choice_is_kept(
    parts: Parts, server: ModelServer, ann: Agent
) -> None:
    ticket = drafted(parts, server)
    row = open_row(parts, ticket)
    made = redrafting.compare(parts, row.id, ann, the(parts, ticket).version, [GPT, CLAUDE])
    assert sorted(server.kinds) == [(CLAUDE, "ok"), (GPT, "ok")]
    found = preferences.comparison(parts.store, made)
    assert found.open
    assert found.left["id"] < found.right["id"]  # in the order of the page, not of the wish
    assert {found.left["model"], found.right["model"]} == {GPT, CLAUDE}
    assert open_row(parts, ticket).draft_id == row.draft_id  # until one is chosen

    side = "left" if found.left["model"] == GPT else "right"
    preferences.choose(parts.store, made, ann, the(parts, ticket).version, side)
    with parts.store.read() as connection:
        kept = connection.execute(sa.select(comparisons)).one()
    chosen = found.left if side == "left" else found.right
    assert (kept.chosen_id, kept.chosen_by, kept.chosen_at is None) == (chosen["id"], ann.id, False)
    assert open_row(parts, ticket).draft_id == chosen["id"]
    fresh = [draft.id for draft in all_drafts(parts) if draft.superseded_at is None]
    assert fresh == [chosen["id"]]
    assert last_move(parts, ticket)[1] == f"Ann preferred the draft by {GPT} to that by {CLAUDE}, blind"
    with pytest.raises(ConflictError, match="chosen already"):
        preferences.choose(parts.store, made, ann, the(parts, ticket).version, "right")


def test_neither_is_a_preference_too_and_leaves_the_row_its_draft(
    parts: Parts, server: ModelServer, ann: Agent
) -> None:
    ticket = drafted(parts, server)
    row = open_row(parts, ticket)
    made = redrafting.compare(parts, row.id, ann, the(parts, ticket).version, [GPT, CLAUDE])
    with pytest.raises(InputError, match="left, right, neither"):
        preferences.choose(parts.store, made, ann, the(parts, ticket).version, "both")
    preferences.choose(parts.store, made, ann, the(parts, ticket).version, "neither")
    assert preferences.comparison(parts.store, made).chosen == "neither"
    assert open_row(parts, ticket).draft_id == row.draft_id
    assert [draft.superseded_at is None for draft in all_drafts(parts)] == [True, False, False]


def test_the_order_of_two_drafts_says_nothing_of_the_wish() -> None:
    firsts = [preferences.shuffled("a", "b")[0] for _ in range(200)]
    assert 50 < firsts.count("a") < 150  # one run in 10^12 fails by chance


def test_a_comparison_is_void_once_the_ticket_has_something_newer(
    parts: Parts, server: ModelServer, ann: Agent
) -> None:
    ticket = drafted(parts, server)
    row = open_row(parts, ticket)
    made = redrafting.compare(parts, row.id, ann, the(parts, ticket).version, [GPT, CLAUDE])
    with parts.store.write() as connection:  # what every newer message and every failure comes to
        open_review(connection, ticket, "human_route", "Somebody must look.")
    assert not preferences.comparison(parts.store, made).open
    with pytest.raises(ConflictError, match="stale"):
        preferences.choose(parts.store, made, ann, the(parts, ticket).version, "left")


def test_where_one_side_of_a_comparison_fails_the_other_is_an_ordinary_draft(
    parts: Parts, server: ModelServer, ann: Agent
) -> None:
    ticket = drafted(parts, server)
    row, version = open_row(parts, ticket), the(parts, ticket).version
    server.script(out_of_credit(), model=CLAUDE)
    with pytest.raises(
        AllModelsFailed,
        match=rf"a draft by {CLAUDE} did not come .* the draft by {GPT} came, and is the ticket's draft now",
    ) as told:
        redrafting.compare(parts, row.id, ann, version, [GPT, CLAUDE], text="My own words")
    assert (type(told.value), told.value.kinds) == (OneSided, ("credit",))
    old, new = all_drafts(parts)
    assert (old.superseded_at is None, new.superseded_at) == (False, None)
    assert (new.model, new.asked_by, open_row(parts, ticket).draft_id) == (GPT, ann.id, new.id)
    assert "had typed, and not sent:\nMy own words" in open_row(parts, ticket).note
    who, why = last_move(parts, ticket)
    assert (who, why) == (
        ann.who, f"Ann wanted two models' drafts side by side; only {GPT} wrote one",
    )  # fmt: skip
    with parts.store.read() as connection:
        assert connection.execute(sa.select(comparisons)).all() == []


def test_nothing_is_kept_of_a_comparison_that_lacks_both_sides(
    parts: Parts, server: ModelServer, ann: Agent
) -> None:
    ticket = drafted(parts, server)
    row, version = open_row(parts, ticket), the(parts, ticket).version
    server.script(out_of_credit(), model=CLAUDE)
    server.script(out_of_credit(), model=GPT)
    with pytest.raises(AllModelsFailed, match=f"a draft by {GPT} did not come") as told:
        redrafting.compare(parts, row.id, ann, version, [GPT, CLAUDE])
    assert not isinstance(told.value, OneSided)
    assert (len(all_drafts(parts)), the(parts, ticket).version) == (1, version)
    with pytest.raises(InputError, match="two different models"):
        redrafting.compare(parts, row.id, ann, version, [GPT, GPT])


# --- a polish, and help with a text ---------------------------------------------------------------------


def test_a_polish_is_a_draft_of_its_own_with_its_claims_checked_anew(
    parts: Parts, server: ModelServer, ann: Agent
) -> None:
    ticket = drafted(parts, server)
    row = open_row(parts, ticket)
    first = all_drafts(parts)[0]
    polished = "Hello Jane,\n\nwe look into your order 48213, and you get a full refund.\n\nThe Shop"
    server.script(ok({"text": polished}), model=GPT)
    made = redrafting.refine(parts, row.id, ann, the(parts, ticket).version, GPT)
    new = all_drafts(parts)[-1]
    assert (new.id, new.refines_id, new.asked_by, new.model, new.tier) == (
        made,
        first.id,
        ann.id,
        GPT,
        "strong",
    )
    assert (new.route, new.task, new.language) == (first.route, first.task, first.language)
    assert first.text in server.journal[0].seen.user
    assert any("promises" in why for why in new.blocked)
    assert open_row(parts, ticket).draft_id == made
    assert last_move(parts, ticket)[1] == f"Ann had the draft by {CLAUDE} polished by {GPT}"
    assert calls_by(parts, ann) == [("writing", GPT, "ok")]


@pytest.mark.parametrize("tool", redrafting.HELP)
def test_help_with_a_text_is_one_cheap_call_that_changes_nothing(
    parts: Parts, server: ModelServer, ann: Agent, tool: str
) -> None:
    ticket = drafted(parts, server)
    row, version = open_row(parts, ticket), the(parts, ticket).version
    own = "Hello Jane,\n\nwe are looking into you order 48213 now, we really are and we do it.\n\nThe Shop"
    written = redrafting.help_write(parts, row.id, ann, tool, own)
    assert written.text == "Hello Jane,\n\nwe look into your order 48213.\n\nThe Shop"
    assert server.kinds == [(CHEAP, "ok")]
    assert own in server.journal[0].seen.user
    assert calls_by(parts, ann) == [("writing", CHEAP, "ok")]
    assert (the(parts, ticket).version, open_row(parts, ticket).draft_id) == (version, row.draft_id)


def test_the_backup_helps_where_the_first_model_is_away(
    parts: Parts, server: ModelServer, ann: Agent
) -> None:
    ticket = drafted(parts, server)
    server.script(failing(), failing(), model=CHEAP)
    text = "Hello Jane, we are looking into your order 48213 at the moment."
    written = redrafting.help_write(parts, open_row(parts, ticket).id, ann, "grammar", text)
    assert written.model == "claude-haiku-5-5"
    with pytest.raises(InputError, match="no text to work on"):
        redrafting.help_write(parts, open_row(parts, ticket).id, ann, "grammar", "  ")
    with pytest.raises(InputError, match="no writing tool 'refine'"):
        redrafting.help_write(parts, open_row(parts, ticket).id, ann, "refine", text)


# --- what the page offers -------------------------------------------------------------------------------


def test_an_offer_tells_what_the_model_usually_takes_and_what_is_left(
    parts: Parts, server: ModelServer, ann: Agent
) -> None:
    ticket = drafted(parts, server)
    offers = {offer.key: offer for offer in offering.offers(parts, dict(the(parts, ticket)._mapping))}
    assert list(offers) == [CHEAP, "claude-haiku-5-5", GPT, CLAUDE]
    assert offers[GPT].drafting is None
    used = offers[CLAUDE].drafting
    assert used is not None
    assert (used.calls, used.cost_usd) == (1, all_drafts(parts)[0].cost_usd)
    left = {cap.label: cap for cap in offering.money_left(parts, dict(the(parts, ticket)._mapping), ann.id)}
    assert left["$5.00 a day an agent"].left_usd == 5
    assert left["$0.50 a ticket"].left_usd == Decimal("0.50") - spent(parts, f"ticket:{ticket}")
    assert (left["$0.50 a ticket"].confirmable, left["$20.00 a day"].confirmable) == (True, False)


def spent(parts: Parts, scope: str) -> Decimal:
    with parts.store.read() as connection:
        return Decimal(
            connection.execute(sa.select(spend.c.spent_usd).where(spend.c.scope == scope)).scalar_one()
        )
