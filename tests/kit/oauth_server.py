"""An OAuth2 provider on loopback: device codes, authorisation codes with PKCE, refresh, and introspection.

It is strict where providers are: a wrong client, verifier or redirect address, a code used twice and a
revoked refresh token are refused in the protocol's words.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

CLIENT, SECRET = "triage-client", "the-client's-secret"
SCOPES = ("imap", "offline_access")


@dataclass
class Provider:
    """The provider's state. `polls` are the answers to the next polls of a device, then it is granted;
    `meanwhile` is what happens once, while the next refresh is under way."""

    port: int
    user: str
    lifetime_s: int = 3600
    polls: list[str] = field(default_factory=list)
    rotates: bool = False
    down: bool = False
    raw: tuple[int, bytes] | None = None
    more: dict[str, Any] = field(default_factory=dict)
    denies: bool = False
    access: set[str] = field(default_factory=set)
    refreshes: set[str] = field(default_factory=set)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    devices: set[str] = field(default_factory=set)
    asked: list[dict[str, str]] = field(default_factory=list)
    introspected: int = 0
    meanwhile: Callable[[], object] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def table(self, **more: object) -> dict[str, object]:
        """The oauth table of an inbox of this provider."""
        return {
            "provider": "custom",
            "client_id": CLIENT,
            "client_secret": SECRET,
            "scopes": SCOPES,
            "token_url": f"{self.url}/token",
            "device_url": f"{self.url}/device",
            "authorize_url": f"{self.url}/authorize?audience=mail",
        } | more

    def grants(self, kind: str) -> list[dict[str, str]]:
        return [form for form in self.asked if form.get("grant_type", "").endswith(kind)]

    def token(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        if form.get("client_id") != CLIENT or form.get("client_secret") != SECRET:
            return 401, {"error": "invalid_client", "error_description": f"no: {form.get('client_secret')}"}
        kind = form.get("grant_type", "").rpartition(":")[2]
        if kind == "device_code":
            if form.get("device_code") not in self.devices:
                return 400, {"error": "invalid_grant"}
            if self.polls:
                return 400, {"error": self.polls.pop(0)}
            self.devices.discard(form["device_code"])
        elif kind == "authorization_code":
            code = self.codes.pop(form.get("code", ""), None)
            digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
            challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
            if code is None or code["code_challenge"] != challenge:
                return 400, {"error": "invalid_grant", "error_description": f"bad {form.get('code')}"}
            if code["redirect_uri"] != form.get("redirect_uri"):
                return 400, {"error": "invalid_grant"}
        elif kind == "refresh_token":
            if self.meanwhile is not None:
                happens, self.meanwhile = self.meanwhile, None
                happens()
            given = form.get("refresh_token", "")
            if given not in self.refreshes:
                return 400, {"error": "invalid_grant", "error_description": f"revoked: {given}"}
            if self.rotates:
                self.refreshes.discard(given)
        else:
            return 400, {"error": "unsupported_grant_type"}
        access, refresh = f"access-{secrets.token_hex(8)}", f"refresh-{secrets.token_hex(8)}"
        self.access.add(access)
        said = {"access_token": access, "token_type": "Bearer", "expires_in": self.lifetime_s}
        if kind != "refresh_token" or self.rotates:
            self.refreshes.add(refresh)
            said["refresh_token"] = refresh
        return 200, {key: value for key, value in (said | self.more).items() if value is not None}

    def device(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        if form.get("client_id") != CLIENT:
            return 401, {"error": "invalid_client"}
        if form.get("scope") != " ".join(SCOPES):
            return 400, {"error": "invalid_scope"}
        code = f"device-{secrets.token_hex(8)}"
        self.devices.add(code)
        said = {"device_code": code, "user_code": "WDJB-MJHT", "verification_uri": f"{self.url}/activate"}
        return 200, said | {"expires_in": 900, "interval": 1}

    def authorize(self, query: dict[str, str]) -> str:
        """Where the browser is sent once the person has agreed, or refused."""
        answer = {"state": query["state"]}
        if self.denies:
            answer["error"] = "access_denied"
        else:
            assert query["response_type"] == "code"
            assert query["code_challenge_method"] == "S256"
            assert (query["client_id"], query["audience"]) == (CLIENT, "mail")
            answer["code"] = f"code-{secrets.token_hex(8)}"
            self.codes[answer["code"]] = query
        return f"{query['redirect_uri']}/?{urlencode(answer)}"


@contextlib.contextmanager
def provider(user: str) -> Iterator[Provider]:
    """A running provider whose every token is `user`'s."""

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            form = {key: values[0] for key, values in parse_qs(body.decode()).items()}
            state.asked.append(form)
            if state.raw is not None:
                self._send(*state.raw)
            elif state.down:
                self._send(503, b"<html>busy</html>")
            else:
                status, said = (state.token if self.path == "/token" else state.device)(form)
                self._send(status, json.dumps(said).encode())

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            if parts.path == "/authorize":
                self.send_response(303)
                self.send_header("location", state.authorize(query))
                self.end_headers()
            else:
                state.introspected += 1
                active = query.get("token") in state.access
                self._send(200, json.dumps({"active": active, "email": state.user}).encode())

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing on the test's terminal."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        state = Provider(server.server_port, user)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join(5)
