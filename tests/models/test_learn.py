"""`triage learn`: the built-in model takes up what agents put right where it is better on tickets kept back."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path

import pytest
import sqlalchemy as sa

from pipeline.db.store import Store
from pipeline.db.tables import corrections
from pipeline.errors import ConfigError
from pipeline.models.base import ModelRequest
from pipeline.models.providers.local import LEARNED_FILE, LocalProvider
from pipeline.models.providers.local.learned import (
    FEWEST,
    FEWEST_HELD,
    Row,
    keep,
    merged,
    read,
    row,
    taught,
)
from pipeline.review import agents
from pipeline.review.corrections import correct
from pipeline.routing import reading
from tests.kit.live import CACHE
from tests.kit.processes import TRIAGE
from tests.reports.conftest import Seed, hour

ROUTES = Path(__file__).parents[2] / "routes.toml"
# A library's tickets: here the desk that makes out the cards renews loans too, which no package can know.
LOANS = [
    "Please extend the loan of my two crime novels until after Easter.",
    "May I keep the cookery book for another fortnight?",
    "I would like to renew the three picture books on my card.",
    "The atlas is due on Monday and I have not finished it, can I have more time?",
    "Kindly prolong my borrowed audio books by a month.",
    "Can the dictionary stay with me two weeks longer?",
    "Renewal of my borrowed travel guides, please.",
    "I am in hospital, please lengthen the loan of the poems.",
    "Could I hold on to the gardening book a little longer?",
    "Please prolong all that I have borrowed until the end of the month.",
    "I need the biography for one more week, may I renew it?",
    "Extend my loans please, we are snowed in.",
    "Please renew my loan of the chess books by four weeks.",
    "I have not finished the second volume, could I keep it until June?",
    "Would you lengthen the loan of both comics for my son?",
    "My books are due tomorrow and I am abroad: please renew them.",
    "May the songbook stay with me another week, please?",
    "I ask you to prolong the loan of three cookery books.",
    "Kindly extend my borrowed novels by ten days.",
    "Can I renew the art book once more?",
    "Please give me two more weeks for the borrowed maps.",
    "I would like to hold on to my borrowed poetry until Friday week.",
    "Renew everything on my card for another month, please.",
    "Could the loan of the bird guide be prolonged a little?",
]
THINGS = """
lamp chair table desk shelf mirror carpet curtain pillow blanket kettle toaster fridge oven mixer pan plate cup fork
knife towel basket vase clock
"""
ASKED = (
    "Please renew the loan of my fairy tales, I would like to keep them three weeks longer.\n"
    "Call me: +1 202 555 0199."
)


def triage(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("TRIAGE_")}
    # A busy machine must not make a reading late: a ticket that no model read cannot be corrected.
    ours = {"TRIAGE_HOME": str(home), "TRIAGE_ROUTES": str(ROUTES), "TRIAGE_CHEAP_DEADLINE_S": "120"}
    environment = kept | ours
    return subprocess.run(
        [str(TRIAGE), *words], cwd=home, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder for TRIAGE_HOME that finds the models that were trained before."""
    CACHE.mkdir(parents=True, exist_ok=True)
    (tmp_path / "cache").symlink_to(CACHE, target_is_directory=True)
    return tmp_path


def labelled(path: Path, rows: list[tuple[str, str]]) -> Path:
    lines = [json.dumps({"subject": None, "body": body, "topic": topic}) for body, topic in rows]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def topic_of(provider: LocalProvider, body: str, subject: str | None = None) -> str:
    asked = {"body": body, "subject": subject}
    request = ModelRequest(task="triage", model="local", system="", user="", input=asked)
    return str(json.loads(provider.complete(request, deadline_s=60).text)["topic"])


@pytest.mark.timeout(400)  # it trains the model, and may share two cores with all other tests
def test_what_agents_put_right_is_learned_when_told_so_and_read_so_after_the_next_start(
    home: Path, sqlite_store: Store
) -> None:
    agents.add(sqlite_store, "ann@library.example", role="agent", name="Ann")
    ann = agents.find(sqlite_store, "ann@library.example")
    teams = {topic.name: topic.team or "" for topic in reading.read(ROUTES).topics.values()}
    for number, body in enumerate(LOANS):
        with sqlite_store.write() as connection:
            seed = Seed(connection)
            ticket = seed.ticket(hour(number), reply_token=f"t{number}")
            text = f"{body}\nYou can write to me at reader@mail.example or call +1 202 555 0123."
            message = seed.message(
                ticket, hour(number), fingerprint=f"f{number}", subject="My card", new_text=text
            )
            seed.triage(ticket, message, hour(number), topic="other")
        correct(sqlite_store, ticket, ann, 1, {"topic": "account_access"}, teams)
    with sqlite_store.read() as connection:
        put_right = connection.execute(sa.select(sa.func.count()).select_from(corrections)).scalar_one()
    assert put_right == len(LOANS)

    kept = home / LEARNED_FILE
    tried = triage(home, "learn", "--json")
    assert tried.returncode == 0, tried.stderr
    said = json.loads(tried.stdout)
    assert (said["better"], said["applied"], kept.exists()) == (True, False, False)  # nothing unasked
    done = triage(home, "learn", "--apply", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == said | {"applied": True}
    assert said["corrected"] == put_right
    assert said["held"] >= FEWEST_HELD
    assert said["taught"] + said["held"] == said["rows"] == len(LOANS)
    assert said["before"] < 0.5 < 0.9 < said["after"]
    assert said["brier_after"] < said["brier_before"]
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    text = kept.read_text(encoding="utf-8")
    assert "cookery" in text
    assert "reader@mail.example" not in text
    assert "555 0123" not in text

    before = LocalProvider(CACHE)
    after = LocalProvider(CACHE, learned=kept)
    assert topic_of(before, ASKED, "My card") != "account_access"
    assert topic_of(after, ASKED, "My card") == "account_access"
    assert topic_of(after, "I forgot my password") == "account_access"

    assert triage(home, "learn", "--forget").returncode == 0
    assert not kept.exists()


@pytest.mark.timeout(400)
def test_rows_that_would_make_the_model_worse_are_refused(home: Path) -> None:
    # What is kept back is right, what teaches is not.
    bodies = [f"I want my money back for the {thing}." for thing in THINGS.split()]
    rows = [
        (body, "refund" if row("refund", None, body).kept_back else ("sales", "how_to")[n % 2])
        for n, body in enumerate(bodies)
    ]
    done = triage(home, "learn", "--apply", "--rows", str(labelled(home / "rows.jsonl", rows)))
    assert done.returncode == 1
    assert "would make the model worse" in done.stderr
    assert not (home / LEARNED_FILE).exists()


def test_a_ticket_is_kept_back_as_a_whole_and_for_good() -> None:
    rows = [row("refund", None, f"text {n}", of=f"ticket {n % 100}") for n in range(200)]
    assert all(rows[n].kept_back == rows[n + 100].kept_back for n in range(100))
    assert 10 < sum(one.kept_back for one in rows[:100]) < 40
    assert not any(one.kept_back for one in taught(rows))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("Where is it?", "parcels")], "rows.jsonl:1: the topic 'parcels' is not in routes.toml"),
        ([("Where is it?", "order_shipping")], f"{FEWEST} is the least"),
    ],
)
def test_rows_that_cannot_be_used_are_refused_in_a_line(
    tmp_path: Path, rows: list[tuple[str, str]], said: str
) -> None:
    done = triage(tmp_path, "learn", "--rows", str(labelled(tmp_path / "rows.jsonl", rows)))
    assert done.returncode == 1
    assert said in done.stderr.splitlines()[-1]


def test_rows_are_kept_without_addresses_numbers_and_passwords() -> None:
    one = row(
        "billing",
        "Card of jo@mail.example",
        "Pay with 4242 4242 4242 4242, call +49 30 23125 440, IBAN DE89 3704 0044 0532 0130 00.",
    )
    for private in ("jo@mail.example", "4242", "23125", "3704"):
        assert private not in one.subject + one.body


def test_a_text_is_kept_once_with_its_newest_topic() -> None:
    old = [Row("refund", "", "Where is my money?"), Row("sales", "", "A quote, please.")]
    new = [Row("billing", "", "Where is my money?"), Row("other", "", " ")]
    assert merged(old, new) == [old[1], new[0]]


def test_a_kept_file_reads_back_and_a_broken_one_names_its_line_and_the_mend(tmp_path: Path) -> None:
    path = tmp_path / LEARNED_FILE
    rows = [Row("refund", "Étui", "Zwrot\npieniędzy", True), Row("sales", "", "ok")]
    assert read(path) == []
    keep(path, rows)
    assert read(path) == rows
    path.write_text(path.read_text(encoding="utf-8") + "{}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"learned\.jsonl:3: .*--forget"):
        LocalProvider(None, learned=path).warm()
