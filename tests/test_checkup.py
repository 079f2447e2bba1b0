from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from pipeline.checkup import _inboxes
from pipeline.db.store import Store
from pipeline.db.tables import imap_folders
from pipeline.settings import load
from tests.ingest import imap_servers
from tests.ingest.imap_servers import USER


def test_check_says_when_each_mailbox_was_read_last(tmp_path: Path, sqlite_store: Store) -> None:
    (tmp_path / "imap").mkdir()
    with imap_servers.pymap(tmp_path / "imap") as server:
        one = (
            f'kind = "imap"\nhost = "127.0.0.1"\nport = {server.port}\nusername = "{USER}"\n'
            f'password = "{server.password}"\ntls = "none"\n'
        )
        (tmp_path / "inboxes.toml").write_text(
            f"[inbox.sales]\n{one}[inbox.support]\n{one}[inbox.away]\n{one.replace('tls', '# tls')}",
            encoding="utf-8",
        )
        with sqlite_store.write() as connection:
            connection.execute(
                imap_folders.insert().values(
                    inbox="support", folder="INBOX", uidvalidity=1, watermark=3, last_error="no answer in time",
                    last_ok_at=datetime(2026, 11, 20, 9, tzinfo=UTC),
                    last_error_at=datetime(2026, 11, 20, 10, tzinfo=UTC),
                )
            )  # fmt: skip
        settings = load(home=tmp_path, database_url=sqlite_store.url.render_as_string(hide_password=False))
        found = {result.what: result for result in _inboxes(settings)}
    assert found["inbox sales"].ok
    assert found["inbox sales"].words.endswith("; no watcher has looked at it yet")
    assert found["inbox support"].ok  # it can be opened now
    assert found["inbox support"].words.endswith(
        "; last read at 2026-11-20 09:00:00 UTC; at 2026-11-20 10:00:00 UTC: no answer in time"
    )
    assert not found["inbox away"].ok  # and hides none of the others
    assert "see tls and port" in found["inbox away"].words
