from __future__ import annotations

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from pipeline.db.store import Store
from pipeline.errors import UnreachableError
from pipeline.reports.measures import Report
from pipeline.review import sessions, sight
from pipeline.review.agents import add, make_api_token
from tests.web import running
from tests.web.conftest import Place


def test_a_webhook_is_answered_as_its_receipt_says(place: Place) -> None:
    with httpx2.Client(base_url=place.url) as client:
        stored = client.post("/webhooks/shop", content=b"{}", headers={"X-Secret": "s"})
        assert (stored.status_code, stored.text) == (200, "2 bytes stored\n")
        assert client.post("/webhooks/shop", content=b"{}").status_code == 401
        assert client.post("/webhooks/other", content=b"{}").status_code == 404
        failed = client.post("/webhooks/shop", content=b"fail")
        assert (failed.status_code, "retry-after" in failed.headers) == (503, True)
        assert client.post("/webhooks/shop", content=b"x" * 100_001).status_code == 413

        def drip() -> object:
            for _ in range(11):
                yield b"x" * 10_000

        assert client.post("/webhooks/shop", content=drip()).status_code == 413
        assert client.get("/webhooks/shop").status_code == 405
        whole = client.post("/webhooks/shop", content=b"x" * 100_000, headers={"x-secret": "s"})
        assert whole.text == "100000 bytes stored\n"


def test_ready_says_what_is_not(sqlite_store: Store) -> None:
    def broken() -> None:
        raise UnreachableError("amqp://user:secret@host is away")

    parts = running.parts_for(sqlite_store, ready={"database": lambda: None, "broker": broken})
    with running.serving(parts) as url, httpx2.Client(base_url=url) as client:
        assert client.get("/healthz").text == "ok\n"
        answer = client.get("/readyz")
        assert answer.status_code == 503
        assert answer.json() == {"database": "ok", "broker": "UnreachableError"}
        assert "secret" not in answer.text
    with running.serving(running.parts_for(sqlite_store, ready={"database": lambda: None})) as url:
        assert httpx2.get(f"{url}/readyz").status_code == 200


def test_metrics_are_counted_in_the_database(place: Place) -> None:
    text = httpx2.get(f"{place.url}/metrics").text
    found: dict[tuple[str, tuple[str, ...]], float] = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation
        for sample in family.samples:
            found[sample.name, tuple(sample.labels.values())] = sample.value
    assert found["triage_tickets", ("in_review",)] == 6
    assert found["triage_tickets", ("send_uncertain",)] == 1
    assert found["triage_tickets", ("closed",)] == 0
    assert found["triage_reviews_open", ("draft",)] == 4
    assert found["triage_reviews_open", ("send_uncertain",)] == 1
    assert found["triage_send_uncertain", ()] == 1
    assert found["triage_quarantine", ()] == 0
    assert found["triage_spend_today_usd", ()] == pytest.approx(1.25)
    assert found["triage_model_calls", ("ok",)] == 13
    assert found["triage_review_oldest_seconds", ()] > 86_400
    assert "example" not in text  # no customer in it


def test_the_api_decides_with_the_version_it_saw(place: Place) -> None:
    token = make_api_token(place.store, place.people["anna"].id)
    with httpx2.Client(base_url=place.url, headers={"authorization": f"Bearer {token}"}) as api:
        rows = api.get("/api/v1/reviews", params={"reason": "draft", "limit": 2}).json()
        assert len(rows["reviews"]) == 2
        more = api.get("/api/v1/reviews", params={"reason": "draft", "after": rows["next"]}).json()
        assert len(more["reviews"]) == 2
        assert more["next"] is None
        row = next(r for r in rows["reviews"] + more["reviews"] if r["ticket_id"] == place.ids["order"])
        whole = api.get(f"/api/v1/tickets/{row['ticket_id']}").json()
        assert whole["draft"]["cost_usd"] == "0.00061"
        assert "reply_token" not in whole["ticket"]
        path = f"/api/v1/reviews/{row['review_id']}"
        assert api.get(path).json()["ticket"]["id"] == place.ids["order"]
        assert (
            api.post(f"{path}/edit", json={"version": row["version"], "text": "x", "who": 1}).status_code
            == 422
        )
        stale = api.post(f"{path}/edit", json={"version": row["version"] - 1, "text": "Hello, on Friday."})
        assert stale.status_code == 409
        assert list(stale.json()) == ["error"]
        assert "claimed_until" in api.post(f"{path}/claim").json()
        done = api.post(f"{path}/edit", json={"version": row["version"], "text": "Hello, on Friday."}).json()
        assert (done["action"], done["outcome"]) == ("edit", "rewritten")
        assert place.hinted == [place.ids["order"]]
        decided = api.get("/api/v1/reviews", params={"state": "decided"}).json()["reviews"]
        assert place.ids["order"] in [r["ticket_id"] for r in decided]
        fixed = api.post(
            f"/api/v1/tickets/{row['ticket_id']}/correct",
            json={"version": done["version"], "topic": "billing"},
        )
        assert fixed.json() == {"topic": {"old": "order_shipping", "new": "billing"}}
        assert api.get("/api/v1/tickets/99").json() == {"error": "there is no ticket 99"}
        assert api.get("/api/v1/tickets/x").status_code == 422


def test_the_api_assigns_and_marks_as_spam_by_the_rules_of_the_page(place: Place) -> None:
    token = make_api_token(place.store, place.people["anna"].id)
    sight.set_inboxes(place.store, "ben@shop.example", ["sales"])
    with httpx2.Client(base_url=place.url, headers={"authorization": f"Bearer {token}"}) as api:
        ticket = f"/api/v1/tickets/{place.ids['vague']}"
        whole = api.get(ticket).json()
        version = whole["ticket"]["version"]
        spam = f"/api/v1/reviews/{whole['review']['id']}/spam"
        unseeing = api.post(f"{ticket}/assign", json={"version": version, "to": "ben@shop.example"})
        assert (unseeing.status_code, list(unseeing.json())) == (422, ["error"])
        given = api.post(f"{ticket}/assign", json={"version": version, "to": "lea@shop.example"}).json()
        assert given == {"version": version + 1}
        assert api.get(ticket).json()["ticket"]["assignee_email"] == "lea@shop.example"
        for path in (f"{ticket}/assign", spam):
            stale = api.post(path, json={"version": version})
            assert (stale.status_code, "Anna Weiss assigned it" in stale.json()["error"]) == (409, True), path
        assert api.post(f"{ticket}/assign", json=given).json() == {"version": version + 2}  # to nobody
        assert api.post(spam, json={"version": version + 2}).json()["action"] == "spam"
        assert api.post(spam, json={"version": version + 3}).status_code == 409  # decided already
        sight.set_inboxes(place.store, "anna@shop.example", ["sales"])
        for path in (f"{ticket}/assign", spam):
            assert api.post(path, json={"version": version + 3}).status_code == 404, path


def test_the_api_is_described_without_a_foreign_script(place: Place) -> None:
    page = httpx2.get(f"{place.url}/api/docs", headers={"accept": "text/html"}).text
    assert "/api/v1/reviews/{review_id}/approve" in page
    assert "the ticket&#39;s version" in page
    assert "https://" not in page
    spec = httpx2.get(f"{place.url}/api/v1/openapi.json").json()
    assert spec["openapi"].startswith("3.")
    assert all(path.startswith("/api/v1/") for path in spec["paths"])


def test_what_nobody_foresaw_is_one_plain_line(
    sqlite_store: Store, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(_week: str | None) -> Report:
        raise RuntimeError("the words of a customer")

    agent = add(sqlite_store, "a@b.example", "agent")
    token, _session = sessions.start(sqlite_store, agent)
    with (
        running.serving(running.parts_for(sqlite_store, report=broken)) as url,
        httpx2.Client(base_url=url, cookies={"triage_session": token}) as client,
    ):
        for kind in ("text/html", "*/*"):
            answer = client.get("/reports", headers={"accept": kind})
            assert answer.status_code == 500
            assert "Something broke on our side" in answer.text
            assert "Traceback" not in answer.text
            assert "the words of a customer" not in answer.text
            assert answer.headers["x-content-type-options"] == "nosniff"
    printed = "".join(capfd.readouterr())
    assert "RuntimeError" in printed
    assert "the words of a customer" not in printed
