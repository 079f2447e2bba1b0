"""The state of the mailboxes at the doors for machines, and a webhook source's own limit."""

from __future__ import annotations

from datetime import timedelta

import httpx2

from pipeline.db.store import Store
from pipeline.db.tables import imap_folders, imap_uids
from pipeline.db.types import now
from pipeline.errors import NotFoundError
from tests.web import running


def test_ready_and_metrics_tell_of_each_mailbox_and_one_that_fails_makes_nothing_unready(
    sqlite_store: Store,
) -> None:
    at = now()
    with sqlite_store.write() as connection:
        for name, values in (
            ("sales", {"last_ok_at": at - timedelta(seconds=40)}),
            ("support", {"last_ok_at": at - timedelta(hours=1), "last_error": "imap.example is away"}),
        ):
            failed = {"last_error_at": at} if "last_error" in values else {}
            connection.execute(
                imap_folders.insert().values(
                    inbox=name, folder="INBOX", uidvalidity=1, watermark=9, **values, **failed
                )
            )
        for uid, taken_at in ((7, at - timedelta(days=1)), (8, at), (9, at)):
            connection.execute(
                imap_uids.insert().values(
                    inbox="sales", folder="INBOX", uidvalidity=1, uid=uid, raw_id=None, taken_at=taken_at
                )
            )
    parts = running.parts_for(sqlite_store, ready={"database": lambda: None})
    with running.serving(parts) as url, httpx2.Client(base_url=url) as client:
        answer = client.get("/readyz")
        assert answer.status_code == 200
        sales, support = answer.json()["mailboxes"]
        assert (sales["inbox"], sales["state"], sales["last_error_at"]) == ("sales", "ok", None)
        assert 40 <= sales["lag_s"] < 100
        assert (support["inbox"], support["state"]) == ("support", "failing")
        assert "imap.example" not in answer.text
        text = client.get("/metrics").text
    assert 'triage_inbox_failing{folder="INBOX",inbox="support"} 1.0' in text
    assert 'triage_inbox_failing{folder="INBOX",inbox="sales"} 0.0' in text
    assert 'triage_inbox_gone{inbox="sales"} 2.0' in text
    assert 'triage_inbox_last_ok_seconds{folder="INBOX",inbox="support"} 36' in text


def test_a_webhook_source_has_its_own_limit(sqlite_store: Store) -> None:
    def limit(source: str) -> int:
        if source != "shop":
            raise NotFoundError("no such source")
        return 5_000

    parts = running.parts_for(sqlite_store, webhook_limit=limit)
    with running.serving(parts) as url, httpx2.Client(base_url=url, headers={"x-secret": "s"}) as client:
        assert client.post("/webhooks/shop", content=b"x" * 5_000).status_code == 200
        assert client.post("/webhooks/shop", content=b"x" * 5_001).status_code == 413
        assert client.post("/webhooks/shop", content=iter([b"x" * 3_000] * 2)).status_code == 413
        assert client.post("/webhooks/other", content=b"x" * 50_000).status_code == 404
