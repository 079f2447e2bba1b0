"""The mail of the report, parsed back as a mail client does."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from lxml import html as lxml_html
from PIL import Image

from pipeline.db.store import Store
from pipeline.delivery.compose import wire_bytes
from pipeline.delivery.letters import Letter, compose_letter
from pipeline.errors import InputError
from pipeline.reports.charts import Chart, charts
from pipeline.reports.letters import Written, letter, subject
from pipeline.reports.measures import Report, report
from pipeline.reports.movers import Cause, Mover, Movers
from pipeline.reports.rates import Share
from pipeline.reports.reading_back import from_json
from pipeline.reports.rendering import as_json
from pipeline.reports.suggested import Evidence, Suggestion
from pipeline.reports.weeks import Week
from pipeline.routing.table import Budgets
from tests.reports.conftest import MONDAY, WEEK

BUDGETS = Budgets(
    day=Decimal("0.10"), ticket=None, customer_day=None, agent_day=None, task_day={"draft": Decimal(15)}
)
URL = "https://triage.shop.example"


def count_week(store: Store, week: str = WEEK) -> Report:
    return report(store, Week.parse(week), budgets=BUDGETS, made_at=MONDAY + timedelta(days=7, hours=7))


def wire(content: Written, **other: str) -> bytes:
    values = {"message_id": f"report.{WEEK}.0123456789@{'x' * 60}.example", "sender": "support@shop.example"}
    values |= {"to": "lead@shop.example", "subject": content.subject, **other}
    made = Letter(**values, at=MONDAY, text=content.text, html=content.html, pictures=content.pictures)
    return wire_bytes(compose_letter(made))[0]


def parsed(data: bytes) -> EmailMessage:
    message = message_from_bytes(data, policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert not [defect for part in message.walk() for defect in part.defects]
    return message


@pytest.fixture
def content(seeded: Store) -> Written:
    return letter(count_week(seeded), public_url=f"{URL}/")


def test_the_mail_is_text_or_html_with_every_picture_inside_it(content: Written) -> None:
    data = wire(content)
    message = parsed(data)
    assert message["Subject"] == "Support week 2026-W47: rewrite rate 42% (5 of 12)"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Message-ID"].startswith("<report.2026-W47.")
    assert message.get_content_type() == "multipart/alternative"
    text, related = message.iter_parts()
    assert (text.get_content_type(), related.get_content_type()) == ("text/plain", "multipart/related")
    page, *pictures = related.iter_parts()
    shown = set(re.findall(r'src="cid:([^"]+)"', page.get_content()))
    assert {str(picture["Content-ID"]).strip("<>") for picture in pictures} == shown
    assert len(shown) == len(pictures) == 4
    for picture in pictures:
        assert picture.get_content_disposition() == "inline"
        with Image.open(io.BytesIO(picture.get_content())) as image:
            image.load()
            assert (image.format, image.width) == ("PNG", 1200)
    assert max(len(line) for line in data.split(b"\r\n")) <= 998
    assert wire(content) == data  # a second attempt sends the same bytes


def test_both_alternatives_say_the_figures_and_where_the_cases_are(content: Written) -> None:
    page = lxml_html.fromstring(content.html)
    words = " ".join(page.text_content().split())
    for figure in ("42% (5 of 12", "refund", "strong", "4 of 6"):
        assert figure in words, figure
        assert figure in content.text, figure
    assert f"{URL}/reports?week={WEEK}" in content.text
    links = page.xpath("//a/@href")
    assert f"{URL}/reports?week={WEEK}" in links
    assert f"{URL}/reports/cases?week={WEEK}&figure=drafts&topic=refund&route=strong&outcome=rewrite" in links
    assert all(link.startswith(f"{URL}/reports") for link in links)
    assert all(image.get("alt") and image.get("src").startswith("cid:") for image in page.iter("img"))


def test_nothing_in_the_mail_is_dropped_or_fetched_by_a_client(content: Written) -> None:
    page = lxml_html.fromstring(content.html)
    assert not page.xpath("//style | //script | //link | //iframe | //form")
    assert not page.xpath("//@*[starts-with(name(), 'on')]")
    assert "url(" not in content.html
    assert len(content.html.encode()) < 100_000  # some clients cut what is longer


def test_a_week_in_which_nothing_happened_is_an_honest_mail(sqlite_store: Store) -> None:
    made = count_week(sqlite_store, "2026-W20")
    assert subject(made) == "Support week 2026-W20: nothing came in"
    drawn = {chart.name: chart for chart in charts(made)}
    assert drawn["weeks"].alt == "Rewrite rate, last 12 weeks: no draft was reviewed in any of them."
    assert "no draft was reviewed" in drawn["topics"].alt
    message = parsed(wire(letter(made, public_url=URL)))
    assert len([part for part in message.walk() if part.get_content_type() == "image/png"]) == 4


def test_each_chart_says_its_figures_and_is_drawn_the_same_twice(seeded: Store) -> None:
    made = count_week(seeded)
    drawn = {chart.name: chart for chart in charts(made)}
    assert drawn["weeks"].alt.endswith("W46 1 of 4, W47 42% (5 of 12).")
    assert drawn["topics"].alt == (
        "Rewrite rate by topic and route: billing · cheap 1 of 6; refund · strong 4 of 6."
    )
    assert "$0.11 of $0.10 (112%)" in drawn["spend"].alt or "$0.112000 of $0.10" in drawn["spend"].alt
    assert "mini, routine 50 ms and 100 ms" in drawn["latency"].alt
    for one, other in zip(charts(made), charts(made), strict=True):
        assert one.png() == other.png()


def test_a_chart_for_the_page_lets_the_paper_through_and_fits_a_dark_one(seeded: Store) -> None:
    chart: Chart = charts(count_week(seeded))[1]
    lightness = []
    for dark in (False, True):
        with Image.open(io.BytesIO(chart.png(dark=dark, transparent=True))) as image:
            data = image.convert("LA").tobytes()
        assert data[1] == 0  # the first pixel's alpha
        inks = [light for light, alpha in zip(data[::2], data[1::2], strict=True) if alpha == 255]
        lightness.append(sum(inks) / len(inks))
    assert lightness[0] < 128 < lightness[1]  # dark ink on a light page, light ink on a dark one


@pytest.mark.parametrize(
    "wrong", [{"sender": "no address"}, {"to": "a@b.example\r\nBcc: c@d.example"}, {"to": "<a@b.example>"}]
)
def test_an_address_that_no_header_may_carry_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(InputError, match="TRIAGE_REPORT"):
        wire(Written("s", "t", "<p>t</p>", {}), **wrong)


MOVED = Movers(
    weeks=("2026-W43", "2026-W44", "2026-W45", "2026-W46"),
    groups=(
        Mover(
            ("topic", "route"), ("refund", "strong"), Share(40, 220), Share(20, 65), 0.02, 0.11,
            (Cause("prompt", "prompt draft/strong changed on Tuesday", 0.8, MONDAY),),
        ),
    ),
)  # fmt: skip
ADVICE = (
    Suggestion(
        "rule", "Escalate refunds <below> 0.80", "routes.toml", "0.70", "0.80", "-0.70\n+0.80",
        (Evidence("13 of 60 were rewritten.", "figure=drafts&topic=refund"), Evidence("Mostly in Polish.")),
        "About 6 drafts a week less.", 6.0, Decimal("1.20"),
    ),
)  # fmt: skip


def test_what_to_do_and_what_moved_stand_in_both_alternatives(sqlite_store: Store) -> None:
    advised = replace(count_week(sqlite_store), movers=MOVED, suggestions=ADVICE)
    content = letter(advised, public_url=URL)
    page = lxml_html.fromstring(content.html)
    for words in (
        "refund · strong: 31% (20 of 65), 18% (40 of 220) in the 4 weeks before; +13 points (mix +2, rate +11).",
        "Likely cause: prompt draft/strong changed on Tuesday.",
        "Escalate refunds <below> 0.80",
        "13 of 60 were rewritten.",
        "About 6 drafts a week less.",
    ):
        assert words in " ".join(page.text_content().split())
        assert words in " ".join(content.text.split())
    assert f"{URL}/reports/cases?week={WEEK}&figure=drafts&topic=refund" in page.xpath("//a/@href")
    assert from_json(Report, as_json(advised)) == advised
