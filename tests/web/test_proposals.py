"""The page of proposals and the one that tries a table: seen and decided by leads, safe with hostile words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest

from pipeline.assembly import Parts
from pipeline.db.store import Store
from pipeline.learning import proposals
from pipeline.learning.proposals import Draft
from pipeline.review import sessions
from tests.kit.live import close, live_parts
from tests.web import running, seed

HOSTILE = "Parcels take 6 days. <script>alert(1)</script>"
FACT = Draft(
    "fact:1", "fact", f"Add to the policy: “{HOSTILE}”", "policy.md", {"text": HOSTILE}, (1,),
    {"words": "Agents added it in 3 tickets."},
)  # fmt: skip
OTHER = replace(FACT, key="fact:2", title="Add to the policy: “Another.”", content={"text": "Another."})


@pytest.fixture
def parts(tmp_path: Path, sqlite_url: str) -> Iterator[Parts]:
    (tmp_path / "policy.md").write_text("# Policy\n", encoding="utf-8")
    parts = live_parts(tmp_path, sqlite_url)
    seed.inbox_of_a_day(parts.store)
    yield parts
    close(parts)


@pytest.fixture
def url(parts: Parts) -> Iterator[str]:
    with running.serving(running.parts_for(parts.store, models=parts)) as url:
        yield url


def client(url: str, store: Store, who: str) -> tuple[httpx2.Client, str]:
    from pipeline.review.agents import find

    token, session = sessions.start(store, find(store, f"{who}@shop.example"))
    made = httpx2.Client(base_url=url, headers={"accept": "text/html"}, timeout=30)
    made.cookies.set("triage_session", token)
    return made, session.csrf_token


def test_a_lead_decides_and_sees_the_diff_that_comes_of_it(parts: Parts, url: str) -> None:
    first, second = proposals.keep(parts.store, "2026-W47", [FACT, OTHER])
    lea, csrf = client(url, parts.store, "lea")
    with lea:
        shown = lea.get("/proposals").text
        assert "+- Another." in shown
        assert "<script>alert" not in shown
        assert "&lt;script&gt;alert(1)" in shown
        form = {"csrf": csrf, "seen": "open"}
        assert lea.post(f"/proposals/{first}/approve", data=form).status_code == 303
        assert lea.post(f"/proposals/{first}/dismiss", data=form).status_code == 409  # it is open no more
        assert lea.post(f"/proposals/{second}/dismiss", data=form).status_code == 303
        assert lea.post(f"/proposals/{second}/praise", data=form).status_code == 404
        assert lea.post(f"/proposals/{second}/approve", data={"seen": "dismissed"}).status_code == 403
        assert "What is not in the files yet" in lea.get("/proposals").text
        assert lea.get(f"/proposals/{first}").status_code == 200
        assert lea.get("/proposals/99").status_code == 404
    assert [one.state for one in proposals.every(parts.store)] == ["dismissed", "approved"]
    assert (parts.home / "policy.md").read_text(encoding="utf-8") == "# Policy\n"
    anna, _csrf = client(url, parts.store, "anna")
    with anna:
        assert {anna.get(path).status_code for path in ("/proposals", "/routes/try")} == {403}


def test_another_table_is_pasted_or_uploaded_tried_and_forgotten(parts: Parts, url: str) -> None:
    lea, csrf = client(url, parts.store, "lea")
    present = parts.routes.path.read_text(encoding="utf-8")
    other = present.replace("confidence_below_uncalibrated = 0.80", "confidence_below_uncalibrated = 0.99")
    with lea:
        assert "in force" in lea.get("/routes/try").text
        png = lea.get("/routes/curve.png")
        assert png.content.startswith(b"\x89PNG")
        form = {"csrf": csrf, "since": "7d", "text": other.replace("\n", "\r\n")}
        tried = lea.post("/routes/try", data=form)
        assert tried.status_code == 200
        assert "cheap → strong" in tried.text
        sent = lea.post("/routes/try", data={"csrf": csrf, "since": "7d"}, files={"file": ("r.toml", other)})
        assert "cheap → strong" in sent.text
        wrong = lea.post("/routes/try", data=form | {"text": "[rule]\nconfidence_below = 3"})
        assert wrong.status_code == 422
        assert "The table" in wrong.text
        assert "Traceback" not in wrong.text
        for bad in ({"files": {"file": ("r.toml", b"\xff\xfe")}}, {}):
            assert lea.post("/routes/try", data={"csrf": csrf}, **bad).status_code == 422
        assert lea.get("/routes/curve.png?since=1y").status_code == 422
    assert parts.routes.path.read_text(encoding="utf-8") == present
