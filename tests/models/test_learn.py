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
from pipeline.db.tables import corrections, replies
from pipeline.errors import ConfigError, InputError
from pipeline.models.base import ModelRequest
from pipeline.models.providers.local import LEARNED_FILE, LocalProvider
from pipeline.models.providers.local.language import (
    LEANING_FILE,
    NO_LEANING,
    REACH,
    LanguageReader,
    Leaning,
    choose,
    read_leaning,
)
from pipeline.models.providers.local.leaning import Reading, compare, fit
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
# A Portuguese shop's mails: words that Spanish or Italian nearly share, written without accents.
SHORT = """
pedido cancelado; compra duplicada; entrega parcial; garantia vencida; casa cerrada; entrega urgente; motor parado
nota de crédito; mesa partida; camisa branca; cama individual; cabo curto; cancelar visita; hora da visita; tinta seca
datas de entrega; erro de entrega; contrato de renda; modelo novo; caixa vazia; pago duas vezes; sofa verde; tela preta
cliente antiga; conta cancelada; fatura errada; porta partida; visita do tecnico; compra anulada; troca de camisa
atraso de entrega; conta bloqueada; prazo de entrega; mesa de madeira; roda partida; camisa manchada; reserva cancelada
falta a garantia; data da visita; casa errada; morada errada; recibo de compra; roupa rasgada; cortina verde
"""
LATER = [
    "entrega de mesa",
    "garantia de motor",
    "copo partido",
    "agenda de visitas",
    "pneu furado",
    "casa verde",
]
CLEAR = {
    "en": "Good morning, the kettle that I bought last week leaks when it boils. Could you send me another one?",
    "de": "Guten Tag, der Wasserkocher von letzter Woche ist undicht. Können Sie mir bitte einen neuen schicken?",
    "fr": "Bonjour, la bouilloire achetée la semaine dernière fuit. Pourriez-vous m'en envoyer une autre ?",
    "es": "Buenos días, el hervidor que compré la semana pasada pierde agua. ¿Podrían enviarme otro, por favor?",
    "it": "Buongiorno, il bollitore che ho comprato la settimana scorsa perde acqua. Potete mandarmene un altro?",
    "nl": "Goedemorgen, de waterkoker die ik vorige week heb gekocht lekt. Kunt u mij een nieuwe sturen?",
    "pt": "Bom dia, a chaleira que comprei na semana passada está a verter água. Podem enviar-me outra?",
    "pl": "Dzień dobry, czajnik kupiony w zeszłym tygodniu przecieka. Czy mogą Państwo przysłać mi nowy?",
    "da": "Godmorgen, kedlen som jeg købte i sidste uge er utæt. Kan I ikke sende mig en anden i stedet?",
    "sv": "God morgon, vattenkokaren som jag köpte förra veckan läcker. Kan ni skicka en ny till mig?",
    "cs": "Dobrý den, konvice, kterou jsem koupil minulý týden, teče. Můžete mi prosím poslat jinou?",
}
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


def test_languages_that_agents_put_right_decide_what_short_mails_leave_open(
    home: Path, sqlite_store: Store
) -> None:
    agents.add(sqlite_store, "ana@loja.example", role="agent", name="Ana")
    ana = agents.find(sqlite_store, "ana@loja.example")
    codes = reading.read(ROUTES).languages
    detector = LanguageReader()
    mails = [text.strip() for text in SHORT.replace("\n", ";").split(";") if text.strip()]
    mails += [text for code, text in CLEAR.items() if code in codes]
    put_right = 0
    for number, body in enumerate(mails):
        true = next((code for code, text in CLEAR.items() if text == body), "pt")
        was = detector.read(body, codes).language
        with sqlite_store.write() as connection:
            seed = Seed(connection)
            # Their topic is one that is no more: here only the language teaches.
            ticket = seed.ticket(hour(number), reply_token=f"t{number}", topic="gone", language=was)
            message = seed.message(ticket, hour(number), fingerprint=f"f{number}", new_text=body)
            seed.triage(ticket, message, hour(number), topic="gone", language=was)
            if was == true:  # it stood when the agent answered
                review = seed.review(ticket, hour(number))
                sent = {"ticket_id": ticket, "review_id": review, "answers_id": message, "agent_id": ana.id}
                words = {"message_id": f"m{number}", "to_address": "jo@mail.example", "subject": "Re"}
                values = {**sent, **words, "text": "Obrigado", "state": "sent", "created_at": hour(number)}
                connection.execute(replies.insert().values(**values))
        if was != true:
            correct(sqlite_store, ticket, ana, 1, {"language": true}, {})
            put_right += 1

    kept = home / LEANING_FILE
    tried = triage(home, "learn", "--json")
    assert tried.returncode == 0, tried.stderr
    assert not kept.exists()
    said = json.loads(tried.stdout)
    assert str(FEWEST) in said["problem"]  # of topics there is nothing to learn, which keeps no language back
    found = said["languages"]
    assert (found["better"], found["applied"]) == (True, False)
    assert (found["corrected"], found["rows"]) == (put_right, len(mails))
    assert found["held"] >= FEWEST_HELD
    assert found["lost"] == 0 < found["gained"]
    assert found["brier_after"] < found["brier_before"]

    done = triage(home, "learn", "--apply")
    assert done.returncode == 0, done.stderr
    assert "languages right" in done.stdout
    assert "taken up" in done.stdout
    assert not (home / LEARNED_FILE).exists()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert set(json.loads(kept.read_text(encoding="utf-8"))["shifts"]) == set(codes)  # figures, and no text

    after = LanguageReader(read_leaning(kept))
    right = [[one.read(text, codes).language == "pt" for text in LATER] for one in (detector, after)]
    assert sum(right[0]) <= 2
    assert sum(right[1]) >= 5
    for code, text in CLEAR.items():
        assert after.read(text, [*codes, "da", "sv", "cs"]).language == code
    request = ModelRequest(
        task="triage", model="local", system="", user="", input={"body": LATER[0], "languages": codes}
    )
    in_force = LocalProvider(CACHE, learned=home / LEARNED_FILE).complete(request, deadline_s=60)
    assert json.loads(in_force.text)["language"] == "pt"

    again = triage(home, "learn", "--apply")
    assert again.returncode == 1
    assert "not make the model better" in again.stderr
    assert triage(home, "learn", "--forget").returncode == 0
    assert not kept.exists()


def test_no_leaning_moves_a_clear_mail_and_none_changes_nothing() -> None:
    detector, codes = LanguageReader(), list(CLEAR)
    for code, text in CLEAR.items():
        scores = detector.scores(text, codes)
        assert choose(scores, NO_LEANING) == detector.read(text, codes)
        for other in codes:
            # Far more than can be learned: it is held to REACH.
            away = Leaning({one: 90.0 if one == other else -90.0 for one in codes})
            assert choose(scores, away).language == code
    assert choose({"es": REACH - 0.1, "pt": 0.0}, Leaning({"es": -9.0, "pt": 9.0})).language == "pt"


def test_few_tickets_move_little_and_a_language_ruled_out_by_its_script_teaches_nothing() -> None:
    one = Reading("pt", {"es": 0.5, "pt": 0.0}, kept_back=False)
    few, many = fit([one]), fit([one] * 30)
    assert 0 < few.shifts["pt"] < many.shifts["pt"] <= REACH / 2
    assert choose(one.scores, many).language == "pt"
    assert fit([Reading("ru", {"es": 0.5, "pt": 0.0}, kept_back=False)]) == Leaning()


def test_languages_are_taught_by_the_tickets_that_are_not_kept_back_and_judged_by_the_others() -> None:
    open_ = {"es": 0.0, "pt": 0.5}
    rows = [Reading("es", open_, kept_back=False)] * 20 + [Reading("pt", open_, kept_back=True)] * 5
    found, new = compare(NO_LEANING, rows)
    assert new == fit(rows[:20])
    assert (found.before, found.after, found.gained, found.lost) == (1.0, 0.0, 0, 5)
    assert (found.worse, found.better) == (True, False)
    assert found.brier_after > found.brier_before
    with pytest.raises(InputError, match=rf"4 of the 24 tickets are kept back .* {FEWEST_HELD} is the least"):
        compare(NO_LEANING, rows[:-1])


@pytest.mark.parametrize("text", ["{}", "[1]", '{"shifts": {"es": NaN}, "steepness": 1}', "\x00"])
def test_broken_figures_of_languages_name_the_file_and_the_mend(tmp_path: Path, text: str) -> None:
    path = tmp_path / LEANING_FILE
    assert read_leaning(path) == NO_LEANING
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"learned-languages\.json.*--forget"):
        read_leaning(path)


def test_labelled_rows_teach_languages_that_are_configured(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"body": "casa verde", "language": "tlh"}), encoding="utf-8")
    done = triage(tmp_path, "learn", "--rows", str(path))
    assert done.returncode == 1
    assert "rows.jsonl:1: the language 'tlh' is not in routes.toml" in done.stderr


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
