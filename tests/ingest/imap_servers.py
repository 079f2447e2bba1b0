"""Real IMAP servers on loopback for tests: Dovecot where the machine has it, and one that comes by pip."""

from __future__ import annotations

import contextlib
import getpass
import os
import pwd
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from imapclient import IMAPClient

from pipeline.ingest.inboxes import ImapInbox
from tests.kit import places

USER, PASSWORD = "support@shop.example", "a password with ü"

_DOVECOT = """
base_dir = {home}/run
state_dir = {home}/state
log_path = {home}/log
protocols = imap
listen = 127.0.0.1
mail_location = maildir:{home}/mail
default_internal_user = {user}
default_login_user = {user}
default_internal_group = {group}
first_valid_uid = 0
disable_plaintext_auth = no
ssl = {ssl}
mail_max_userip_connections = 100
passdb {{
  driver = static
  args = password={{PLAIN}}{password}
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={home}/home
}}
service imap-login {{
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
    ssl = yes
  }}
  chroot =
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
"""

_XOAUTH2 = """
auth_mechanisms = plain login xoauth2
auth_failure_delay = 0
passdb {{
  driver = oauth2
  mechanisms = xoauth2
  args = {home}/oauth2
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
"""


@dataclass
class Server:
    """A running server with one mailbox; `client()` is a person or a mail server at the same mailbox."""

    name: str
    port: int
    password: str
    home: Path
    tls_port: int | None = None
    _clients: list[IMAPClient] = field(default_factory=list)

    def inbox(self, **more: object) -> ImapInbox:
        values: dict[str, object] = {
            "name": "support",
            "kind": "imap",
            "host": "127.0.0.1",
            "port": self.port,
            "username": USER,
            "password": self.password,
            "tls": "none",
            "start": "all",
            "timeout_s": 20,
        }
        return ImapInbox.model_validate(values | more)

    def client(self) -> IMAPClient:
        client = IMAPClient("127.0.0.1", port=self.port, ssl=False, timeout=20)
        client.plain_login(USER, self.password)
        self._clients.append(client)
        return client

    def close(self) -> None:
        for client in self._clients:
            with contextlib.suppress(Exception):
                client.shutdown()


@contextlib.contextmanager
def dovecot(
    home: Path, *, certificate: tuple[Path, Path] | None = None, introspect: str | None = None
) -> Iterator[Server]:
    """Debian's Dovecot as this test's own process, on ports and in a folder of its own.

    With `introspect` it takes XOAUTH2 too, and asks at that address whose a token is.

    It gives no mail to root; run by root it works as nobody, who needs a folder that is not under `home`.
    """
    if os.geteuid() != 0:
        with _dovecot(home, certificate, introspect) as server:
            yield server
        return
    with tempfile.TemporaryDirectory(prefix="triage-dovecot-") as folder:
        Path(folder).chmod(0o755)
        with _dovecot(Path(folder), certificate, introspect) as server:
            yield server


@contextlib.contextmanager
def _dovecot(home: Path, certificate: tuple[Path, Path] | None, introspect: str | None) -> Iterator[Server]:
    binary = shutil.which("dovecot") or "/usr/sbin/dovecot"
    if not Path(binary).exists():
        places.missing("Dovecot", "install dovecot-imapd")
    root = os.geteuid() == 0
    user, group = ("nobody", "nogroup") if root else (getpass.getuser(), str(os.getgid()))
    port, tls_port = places.free_port(), places.free_port()
    for name in ("run", "state", "home", "mail"):
        (home / name).mkdir(parents=True)
    uid, gid = os.geteuid(), os.getegid()
    if root:
        uid, gid = pwd.getpwnam("nobody").pw_uid, pwd.getpwnam("nobody").pw_gid
        for name in ("home", "mail"):
            os.chown(home / name, uid, gid)
    text = _DOVECOT.format(
        home=home,
        user=user,
        group=group,
        ssl="yes" if certificate else "no",
        password="plain-password",
        uid=uid,
        gid=gid,
        port=port,
        tls_port=tls_port if certificate else 0,
    )
    if certificate:
        text += f"ssl_cert = <{certificate[0]}\nssl_key = <{certificate[1]}\n"
    if introspect:
        text += _XOAUTH2.format(home=home)
        (home / "oauth2").write_text(
            f"introspection_url = {introspect}?token=\nintrospection_mode = get\nusername_attribute = email\n"
            "active_attribute = active\nactive_value = true\n"
        )
    (home / "dovecot.conf").write_text(text)
    with (home / "err").open("wb") as errors:
        process = subprocess.Popen(
            [binary, "-F", "-c", str(home / "dovecot.conf")],
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
        )
    server = Server("dovecot", port, "plain-password", home, tls_port if certificate else None)
    try:
        _wait(port, process, home)
        yield server
    finally:
        server.close()
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextlib.contextmanager
def pymap(home: Path) -> Iterator[Server]:
    """The IMAP server that comes by pip, its mail in memory."""
    port = places.free_port()
    command = [
        str(Path(sys.executable).parent / "pymap"),
        "--no-tls",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    command += ["--no-service", "admin", "--no-service", "managesieve", "dict"]
    command += ["--demo-user", USER, "--demo-password", PASSWORD]
    with (home / "err").open("wb") as errors:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
    server = Server("pymap", port, PASSWORD, home)
    try:
        _wait(port, process, home)
        yield server
    finally:
        server.close()
        process.terminate()
        process.wait(10)


def certificate(home: Path, name: str = "localhost") -> tuple[Path, Path]:
    """A self-signed certificate and its key."""
    cert, key = home / "cert.pem", home / "key.pem"
    openssl = shutil.which("openssl")
    if openssl is None:
        places.missing("openssl", "install openssl")
    command = [
        openssl,
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    command += ["-keyout", str(key), "-out", str(cert), "-subj", f"/CN={name}"]
    command += ["-addext", f"subjectAltName=DNS:{name}"]
    subprocess.run(command, check=True, capture_output=True)
    assert ssl.create_default_context(cafile=str(cert))
    return cert, key


def _wait(port: int, process: subprocess.Popen[bytes], home: Path) -> None:
    until = time.monotonic() + 20
    while not places.answers(port):
        logs = "\n".join(path.read_text() for path in (home / "err", home / "log") if path.exists())
        assert process.poll() is None, logs
        assert time.monotonic() < until, logs
        time.sleep(0.05)
