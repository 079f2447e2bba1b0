"""Making the OAuth2 login of a mailbox: by a code typed on another device, or in a browser that comes back here.

The device flow is RFC 8628; the other is the authorisation code with PKCE (RFC 7636) and a redirect to the
loopback (RFC 8252).
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import queue
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

from pipeline.errors import ConfigError, InputError, UnreachableError
from pipeline.ingest.inboxes import ImapInbox
from pipeline.ingest.oauth import Login, ask, endpoints, granted, oauth_of, refusal, scopes

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
SLOWER_S = 5.0
BROWSER_S = 600.0

PAGE = b"""<!doctype html><meta charset="utf-8"><title>triage</title>
<p>triage has the answer. Go on in the terminal; this page can be closed.</p>"""


# --- the device flow ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """What a person is shown: open `address`, type `user_code`. `complete` is the address with the code in it."""

    address: str
    user_code: str
    complete: str | None
    device_code: str = field(repr=False)
    expires_in_s: float
    interval_s: float


def ask_device(inbox: ImapInbox) -> DeviceCode:
    """Begin a login by device. Raises `ConfigError` (the client may not), `UnreachableError`."""
    where = endpoints(oauth_of(inbox))
    if where.device_url is None:
        raise ConfigError(
            f"inboxes.toml, inbox.{inbox.name}: no device_url; use the browser: triage inbox login {inbox.name} "
            "--flow code"
        )
    answer = ask(inbox, {"scope": " ".join(scopes(inbox))}, url=where.device_url)
    if answer.error is not None:
        raise refusal(inbox, answer)
    said = answer.said
    try:
        return DeviceCode(
            address=_shown(said.get("verification_uri") or said["verification_url"]),
            user_code=_shown(said["user_code"]),
            complete=_shown(said["verification_uri_complete"])
            if "verification_uri_complete" in said
            else None,
            device_code=str(said["device_code"]),
            expires_in_s=min(float(said.get("expires_in", 900)), 3600.0),
            interval_s=min(max(float(said.get("interval", 5)), 1.0), 60.0),
        )
    except (KeyError, TypeError, ValueError):
        raise UnreachableError(
            f"inbox.{inbox.name}: {answer.host} did not answer with a device code"
        ) from None


def await_device(
    inbox: ImapInbox,
    asked: DeviceCode,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Login:
    """Ask until the person has agreed. Raises `InputError` (refused), `UnreachableError` (out of time)."""
    until = clock() + asked.expires_in_s
    interval_s = asked.interval_s
    form = {"grant_type": DEVICE_GRANT, "device_code": asked.device_code}
    late = UnreachableError(
        f"inbox.{inbox.name}: nobody finished the login in time; run again: triage inbox login {inbox.name}"
    )
    while True:
        if clock() + interval_s > until:
            raise late
        sleep(interval_s)
        try:
            answer = ask(inbox, form)
        except UnreachableError:
            interval_s += SLOWER_S  # a busy provider is asked less often
            continue
        if answer.error == "authorization_pending":
            continue
        if answer.error == "slow_down":
            interval_s += SLOWER_S
        elif answer.error == "expired_token":
            raise late
        elif answer.error in ("access_denied", "authorization_declined"):
            raise _denied(inbox)
        else:
            return granted(inbox, answer)


def _denied(inbox: ImapInbox, words: str = "") -> InputError:
    said = f" ({words})" if words else ""
    return InputError(
        f"inbox.{inbox.name}: the login was refused in the browser{said}; "
        f"run again: triage inbox login {inbox.name}"
    )


def _shown(value: object) -> str:
    """A text of the provider's that goes to the terminal: one line, nothing that steers it."""
    if not isinstance(value, str) or not value.isprintable() or len(value) > 2000:
        raise ValueError("not a line of text")
    return value


# --- the authorisation code -----------------------------------------------------------------------------


class CodeFlow:
    """One login in a browser: `url` is what a person opens. Its state and verifier are used for it alone."""

    def __init__(self, inbox: ImapInbox, redirect_uri: str) -> None:
        where = endpoints(oauth_of(inbox))
        if where.authorize_url is None:
            raise ConfigError(
                f"inboxes.toml, inbox.{inbox.name}: no authorize_url; use: triage inbox login {inbox.name} "
                "--flow device"
            )
        self.inbox = inbox
        self.redirect_uri = redirect_uri
        self._state = secrets.token_urlsafe(32)
        self._verifier = secrets.token_urlsafe(64)
        digest = hashlib.sha256(self._verifier.encode()).digest()
        query = {
            "response_type": "code",
            "client_id": oauth_of(inbox).client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(scopes(inbox)),
            "state": self._state,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
            "login_hint": inbox.username,
            **where.authorize_more,
        }
        joint = "&" if urlsplit(where.authorize_url).query else "?"
        self.url = f"{where.authorize_url}{joint}{urlencode(query)}"

    def is_ours(self, address: str) -> bool:
        """Whether an address that a browser was sent to answers this login and no other."""
        with contextlib.suppress(ValueError):
            given = parse_qs(urlsplit(address).query).get("state", [])
            return len(given) == 1 and secrets.compare_digest(given[0].encode(), self._state.encode())
        return False

    def finish(self, address: str) -> Login:
        """The login, from the address that the browser was sent to. Raises `InputError` if the person refused
        or the address is not of this login, `ConfigError` and `UnreachableError` as the provider answers."""
        if not self.is_ours(address):
            raise InputError(
                f"inbox.{self.inbox.name}: this is not the address that this login ended at; "
                f"run again: triage inbox login {self.inbox.name}"
            )
        query = parse_qs(urlsplit(address).query)
        if "error" in query:
            raise _denied(self.inbox, " ".join(query["error"][0].split())[:80])
        if len(query.get("code", [])) != 1:
            raise InputError(f"inbox.{self.inbox.name}: the address holds no code")
        form = {
            "grant_type": "authorization_code",
            "code": query["code"][0],
            "redirect_uri": self.redirect_uri,
            "code_verifier": self._verifier,
        }
        return granted(self.inbox, ask(self.inbox, form))


class Waiting(CodeFlow):
    """A login whose answer comes to a port of the loopback."""

    def __init__(self, inbox: ImapInbox, redirect_uri: str, answers: queue.Queue[str]) -> None:
        super().__init__(inbox, redirect_uri)
        self._answers = answers

    def wait(self, seconds: float = BROWSER_S) -> Login:
        """The login once the browser came back. Raises as `finish`; `UnreachableError` when time is over."""
        until = time.monotonic() + seconds
        while True:
            try:
                address = self._answers.get(timeout=max(0.01, until - time.monotonic()))
            except queue.Empty:
                raise UnreachableError(
                    f"inbox.{self.inbox.name}: no browser came back to {self.redirect_uri} in time; run again: "
                    f"triage inbox login {self.inbox.name}, with --paste where the browser runs elsewhere"
                ) from None
            if self.is_ours(address):
                return self.finish(address)


@contextlib.contextmanager
def listening(inbox: ImapInbox, port: int = 0) -> Iterator[Waiting]:
    """A login whose redirect is waited for at a port of the loopback, a free one by default."""
    answers: queue.Queue[str] = queue.Queue(maxsize=100)
    flow: Waiting | None = None

    class Door(BaseHTTPRequestHandler):
        timeout = 10  # browsers open connections that they never use

        def do_GET(self) -> None:
            ours = flow is not None and flow.is_ours(self.path)
            self.send_response(200 if ours else 404)
            self.send_header("content-type", "text/html; charset=utf-8")
            self.send_header("content-security-policy", "default-src 'none'")
            self.send_header("referrer-policy", "no-referrer")
            self.send_header("cache-control", "no-store")
            self.end_headers()
            if ours:
                self.wfile.write(PAGE)
                with contextlib.suppress(queue.Full):
                    answers.put_nowait(self.path)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the line would hold the code."""

    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), Door)
    except OSError as error:
        raise InputError(f"port {port} of 127.0.0.1 cannot be listened on: {error.strerror}") from None
    server.daemon_threads = True
    server.block_on_close = False
    with server:
        flow = Waiting(inbox, redirect_address(inbox, server.server_port), answers)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield flow
        finally:
            server.shutdown()
            thread.join(5)


def redirect_address(inbox: ImapInbox, port: int) -> str:
    """Where the provider is asked to send the browser."""
    return f"http://{endpoints(oauth_of(inbox)).redirect_host}:{port}"
