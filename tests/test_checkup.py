from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.checkup import _inboxes, _single_sign_on
from pipeline.db.store import Store
from pipeline.db.tables import imap_folders
from pipeline.errors import UnreachableError
from pipeline.review.oidc import SingleSignOn
from pipeline.settings import load
from tests.ingest import imap_servers
from tests.ingest.imap_servers import USER
from tests.kit import oidc_server
from tests.kit.oidc_server import OidcProvider


@pytest.fixture
def provider() -> Iterator[OidcProvider]:
    with oidc_server.provider() as provider:
        yield provider


def single_sign_on(home: Path, issuer: str | None, **settings: str) -> list[tuple[bool, str]]:
    given = {"oidc_client_id": "triage", "public_url": "https://triage.example.com", **settings}
    found = list(_single_sign_on(load(home=home, oidc_issuer=issuer, **given)))
    assert {result.what for result in found} <= {"single sign-on"}
    return [(result.ok, result.words) for result in found]


def test_check_reads_the_single_sign_on_providers_description(tmp_path: Path, provider: OidcProvider) -> None:
    good, bad = f"{provider.issuer}, back to https://triage.example.com/oidc/callback", (False,)
    assert single_sign_on(tmp_path, provider.issuer) == [(True, good)]
    for change, mend in (
        ({"issuer": "https://other.example.com"}, "calls itself https://other.example.com; write it exactly"),
        ({"token_endpoint": None}, "the provider at TRIAGE_OIDC_ISSUER names no token_endpoint"),
        ({"jwks_uri": "http://keys.example.com"}, "the provider's jwks_uri must be an https:// address"),
    ):
        provider.metadata = change
        ((ok, words),) = single_sign_on(tmp_path, provider.issuer)
        assert ((ok,), mend in words) == (bad, True), words
    provider.metadata, provider.down = {}, True
    ((ok, words),) = single_sign_on(tmp_path, provider.issuer)
    assert ((ok,), "HTTP 503" in words, "see TRIAGE_OIDC_ISSUER" in words) == (bad, True, True), words
    ((ok, words),) = single_sign_on(tmp_path, "http://127.0.0.1:1")
    assert ((ok,), "does not answer: ConnectError; see TRIAGE_OIDC_ISSUER" in words) == (bad, True), words
    ((ok, words),) = single_sign_on(tmp_path, provider.issuer, oidc_client_id="")
    assert ((ok,), "TRIAGE_OIDC_CLIENT_ID must be" in words) == (bad, True), words
    for nowhere in ("https://[bad", "https://a..b"):
        ((ok, words),) = single_sign_on(tmp_path, nowhere)
        assert ((ok,), "TRIAGE_OIDC_ISSUER" in words) == (bad, True), words
    assert [ok for ok, _words in single_sign_on(tmp_path, None)] == [False]  # a client of no provider
    assert single_sign_on(tmp_path, None, oidc_client_id="") == []  # none is set: no line


def test_check_waits_for_a_provider_that_drips_no_longer_than_it_says(tmp_path: Path) -> None:
    def drip() -> None:
        taken, _address = listener.accept()
        with taken, contextlib.suppress(OSError):
            for byte in b"HTTP/1.1 200 OK\r\n" + b"x-wait: 1\r\n" * 1000:
                taken.sendall(bytes([byte]))
                if done.wait(0.02):
                    return

    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip)
        thread.start()
        provider = SingleSignOn(
            "k" * 32, issuer=f"http://127.0.0.1:{listener.getsockname()[1]}", client_id="triage",
            client_secret=None, redirect_uri="https://triage.example.com/oidc/callback",
        )  # fmt: skip
        began = time.monotonic()
        with pytest.raises(UnreachableError, match=r"did not answer within 0\.3 s; see TRIAGE_OIDC_ISSUER"):
            provider.check(within_s=0.3)
        assert time.monotonic() - began < 5
        done.set()
        thread.join(5)


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
