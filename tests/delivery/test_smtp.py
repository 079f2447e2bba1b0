"""The mail server's address, and the dialogue where the server as a whole misbehaves."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP as Smtpd
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session

from pipeline.delivery.outcomes import Accepted, Permanent, Temporary, Uncertain
from pipeline.delivery.smtp import SmtpMailer, read_url
from pipeline.errors import ConfigError
from tests.delivery.conftest import Faulty
from tests.delivery.test_compose import outgoing
from tests.kit.places import free_port


def test_addresses_are_read() -> None:
    server = read_url("smtp://user%40x:p%3As@mail.example:2525?timeout_s=9")
    assert (server.host, server.port, server.tls) == ("mail.example", 2525, "starttls")
    assert (server.user, server.password, server.timeout_s) == ("user@x", "p:s", 9)
    assert "p:s" not in repr(server)
    assert read_url("smtps://mail.example").port == 465
    assert read_url("smtp://127.0.0.1:25").tls == "none"
    assert read_url("smtp://localhost?starttls").tls == "starttls"


@pytest.mark.parametrize(
    "url",
    [
        "mail.example",
        "http://mail.example",
        "smtp://",
        "smtp://mail.example:x",
        "smtp://mail.example?sttls=1",
        "smtp://user:secret@mail.example?starttls=no",
        "smtp://mail.example?timeout_s=0",
        "smtp://mail.example?ca=/no/such/file",
    ],
)
def test_a_wrong_address_is_refused_and_the_password_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError, match="TRIAGE_SMTP_URL") as refused:
        read_url(url)
    assert "secret" not in str(refused.value)


Talk = Callable[[socket.socket], None]


@pytest.fixture
def raw_server() -> Iterator[Callable[[Talk], str]]:
    """A listening socket whose one conversation is a function."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads = []

    def serve(talk: Talk) -> str:
        def run() -> None:
            connection, _peer = listener.accept()
            with connection, contextlib.suppress(OSError):
                talk(connection)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        threads.append(thread)
        return f"smtp://127.0.0.1:{listener.getsockname()[1]}"

    yield serve
    listener.close()
    for thread in threads:
        thread.join(5)


def test_a_server_that_drips_is_left_within_the_time_limit(raw_server: Callable[[Talk], str]) -> None:
    def drip(connection: socket.socket) -> None:
        for _ in range(100):
            connection.sendall(b"2")
            time.sleep(0.05)

    began = time.monotonic()
    outcome = SmtpMailer(read_url(raw_server(drip) + "?timeout_s=0.5")).send(outgoing())
    assert isinstance(outcome, Temporary)
    assert "0.5 s" in outcome.words
    assert time.monotonic() - began < 2


def test_a_server_that_greets_with_a_refusal_is_tried_again(raw_server: Callable[[Talk], str]) -> None:
    outcome = SmtpMailer(read_url(raw_server(lambda c: c.sendall(b"554 5.3.2 closed today\r\n")))).send(
        outgoing()
    )
    assert isinstance(outcome, Temporary)
    assert "554 5.3.2 closed today" in outcome.words


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"250 ok\r\n", Accepted),
        (b"451 later\r\n", Temporary),
        (b"554 spam\r\n", Permanent),
        (b"garbage\r\n", Uncertain),
        (b"354 again?\r\n", Uncertain),
        (b"", Uncertain),
    ],
)
def test_the_answer_after_the_final_dot_decides(
    raw_server: Callable[[Talk], str], answer: bytes, kind: type
) -> None:
    def talk(connection: socket.socket) -> None:
        file = connection.makefile("rb")
        connection.sendall(b"220 hi\r\n")
        for line in file:
            word = line[:4].upper()
            if word == b"DATA":
                connection.sendall(b"354 go\r\n")
                while file.readline() not in (b".\r\n", b""):
                    pass
                connection.sendall(answer)
                return
            connection.sendall(b"250 fine\r\n")

    outcome = SmtpMailer(read_url(raw_server(talk))).send(outgoing())
    assert isinstance(outcome, kind)


def test_a_connection_lost_in_the_middle_of_the_text_is_certain(raw_server: Callable[[Talk], str]) -> None:
    def talk(connection: socket.socket) -> None:
        connection.sendall(b"220 hi\r\n")
        while line := connection.recv(1000):
            if line[:4].upper() == b"DATA":
                connection.sendall(b"354 go\r\n")
                connection.recv(1000)
                connection.shutdown(socket.SHUT_RDWR)
                return
            connection.sendall(b"250 fine\r\n")

    text = "many words " * 300_000  # more than the buffers between us hold
    outcome = SmtpMailer(read_url(raw_server(talk))).send(outgoing(text=text))
    assert isinstance(outcome, Temporary)
    assert "the text" in outcome.words


def test_a_line_that_begins_with_a_dot_arrives_as_it_is(smtp: tuple[Faulty, str]) -> None:
    handler, url = smtp
    assert isinstance(SmtpMailer(read_url(url)).send(outgoing(text="one\n.\n.two\nQUIT")), Accepted)
    assert b"one\r\n.\r\n.two\r\nQUIT\r\n" in handler.journal[0]


def test_a_mailbox_name_beyond_ascii_needs_a_server_that_knows_it(smtp: tuple[Faulty, str]) -> None:
    _handler, url = smtp
    mail = outgoing(to_address="jörg@customer.example")
    assert isinstance(SmtpMailer(read_url(url)).send(mail), Accepted)
    plain_server = Controller(Faulty(), hostname="127.0.0.1", port=free_port(), enable_SMTPUTF8=False)
    plain_server.start()
    try:
        outcome = SmtpMailer(read_url(f"smtp://127.0.0.1:{plain_server.port}")).send(mail)
    finally:
        plain_server.stop()
    assert isinstance(outcome, Permanent)
    assert "SMTPUTF8" in outcome.words


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    try:
        subprocess.run(
            [
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=localhost",
                "-addext",
                "subjectAltName=DNS:localhost,IP:127.0.0.1",
                "-keyout",
                str(key),
                "-out",
                str(cert),
            ],
            check=True,
            capture_output=True,
        )
    except FileNotFoundError:
        pytest.skip("the openssl command is not there to make a certificate")
    return key, cert


def logged_in(
    server: Smtpd, session: Session, envelope: Envelope, mechanism: str, data: object
) -> AuthResult:
    good = isinstance(data, LoginPassword) and (data.login, data.password) == (b"shop", b"right")
    return AuthResult(success=good, handled=False)


@pytest.fixture
def secure(certificate: tuple[Path, Path]) -> Iterator[tuple[Faulty, int, Path]]:
    key, cert = certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    handler = Faulty()
    controller = Controller(
        handler,
        hostname="127.0.0.1",
        port=free_port(),
        tls_context=context,
        require_starttls=True,
        auth_required=True,
        authenticator=logged_in,
    )
    controller.start()
    yield handler, controller.port, cert
    controller.stop()


def test_starttls_and_a_login(secure: tuple[Faulty, int, Path]) -> None:
    handler, port, cert = secure
    mailer = SmtpMailer(read_url(f"smtp://shop:right@localhost:{port}?starttls&ca={cert}"))
    assert "logged in as shop" in mailer.check()
    assert isinstance(mailer.send(outgoing()), Accepted)
    assert len(handler.journal) == 1


def test_a_certificate_that_nobody_vouches_for_is_not_talked_to(secure: tuple[Faulty, int, Path]) -> None:
    handler, port, _cert = secure
    outcome = SmtpMailer(read_url(f"smtp://shop:right@localhost:{port}?starttls")).send(outgoing())
    assert isinstance(outcome, Temporary)
    assert "TLS failed" in outcome.words
    assert handler.journal == []


def test_a_refused_login_waits_for_the_mend(secure: tuple[Faulty, int, Path]) -> None:
    _handler, port, cert = secure
    mailer = SmtpMailer(read_url(f"smtp://shop:wrong@localhost:{port}?starttls&ca={cert}"))
    outcome = mailer.send(outgoing())
    assert isinstance(outcome, Temporary)
    assert "refused the login" in outcome.words
    assert "wrong" not in outcome.words
    with pytest.raises(ConfigError, match="TRIAGE_SMTP_URL"):
        mailer.check()


def test_a_server_without_starttls_is_not_given_the_mail(smtp: tuple[Faulty, str]) -> None:
    handler, url = smtp
    outcome = SmtpMailer(read_url(url + "?starttls")).send(outgoing())
    assert isinstance(outcome, Temporary)
    assert "STARTTLS" in outcome.words
    assert handler.journal == []
