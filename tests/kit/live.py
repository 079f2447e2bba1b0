"""Live parts for tests: the real assembly on a test's own database, with settings of the test's choosing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.assembly import Parts, open_parts
from pipeline.db.store import Store
from pipeline.settings import load

CACHE = Path(__file__).parents[2] / ".pytest_cache" / "local-model"
"""What the local model trains is kept between runs: training it is not what most tests are about."""

INBOXES = """
[inbox.support]
kind = "folder"
path = "{home}/mail"
from_address = "support@shop.example"
from_name = "The Shop"
authserv_id = "mx.shop.example"
"""


def live_parts(home: Path, database_url: str, *, inboxes: str = INBOXES, **settings: Any) -> Parts:
    """Parts as `triage worker` has them, in `home`, which gets an inboxes.toml."""
    home.mkdir(exist_ok=True)
    CACHE.mkdir(parents=True, exist_ok=True)
    if not (home / "cache").exists():
        (home / "cache").symlink_to(CACHE, target_is_directory=True)
    (home / "inboxes.toml").write_text(inboxes.format(home=home.as_posix()), encoding="utf-8")
    made = load(home=home, database_url=database_url, **{"undo_s": 0, **settings})
    return open_parts(made, Store(made.database))


def close(parts: Parts) -> None:
    """Give back the store's connections, and those of the SDKs' clients."""
    for provider in parts.providers.values():
        if callable(end := getattr(provider, "close", None)):
            end()
    parts.store.close()


def mail(
    body: str,
    *,
    sender: str = "Jane Doe <jane@customer.example>",
    subject: str = "A question",
    message_id: str = "m1@customer.example",
    headers: str = "",
) -> bytes:
    """A plain mail to the support inbox."""
    return (
        f"From: {sender}\r\nTo: support@shop.example\r\nSubject: {subject}\r\n"
        f"Date: Mon, 23 Nov 2026 09:00:00 +0000\r\nMessage-ID: <{message_id}>\r\n"
        f"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n{headers}\r\n{body}\r\n"
    ).encode()
