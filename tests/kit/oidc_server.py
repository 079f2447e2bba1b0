"""An OpenID Connect provider on loopback: discovery, authorization code with PKCE, RS256 ID tokens, userinfo.

It is strict where providers are: a wrong client, secret, verifier or redirect address and a code used twice
are refused. `claims`, `header` and the fields after it let it lie in every way that a client must notice.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, SECRET = "triage", "the-client's-secret-of-32-characters"


def new_key(kid: str) -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": kid, "use": "sig"})


@dataclass
class OidcProvider:
    """The provider's state; `subject` and `email` are whoever logs in next."""

    port: int
    key: RSAKey
    subject: str = "sub-1"
    email: str | None = "anna@shop.example"
    email_verified: object = True
    in_userinfo: bool = False
    userinfo: dict[str, Any] = field(default_factory=dict)
    claims: dict[str, Any] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=dict)
    signed_by: RSAKey | None = None
    unsigned: bool = False
    hmac_key: bytes | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    answer: dict[str, str] = field(default_factory=dict)
    down: bool = False
    raw: bytes | None = None
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    access: dict[str, str] = field(default_factory=dict)
    forms: list[dict[str, str]] = field(default_factory=list)
    key_reads: int = 0

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def discovery(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "response_types_supported": ["code"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
        } | self.metadata

    def authorize(self, query: dict[str, str]) -> str:
        """Where the browser is sent once the person has agreed."""
        assert (query["response_type"], query["client_id"]) == ("code", CLIENT)
        assert query["code_challenge_method"] == "S256"
        assert "openid" in query["scope"].split()
        code = secrets.token_hex(8)
        self.codes[code] = query
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']} | self.answer)}"

    def token(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        self.forms.append(form)
        basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        posted = (form.get("client_id"), form.get("client_secret")) == (CLIENT, SECRET)
        if authorization != f"Basic {basic}" and not posted:
            return 401, {"error": "invalid_client"}
        asked = self.codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = _base64(digest)
        if (
            asked is None
            or asked["code_challenge"] != challenge
            or asked["redirect_uri"] != form.get("redirect_uri")
        ):
            return 400, {"error": "invalid_grant"}
        access = secrets.token_hex(8)
        self.access[access] = self.subject
        return 200, {
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": 300,
            "id_token": self.id_token(asked["nonce"]),
        }

    def id_token(self, nonce: str) -> str:
        at = int(time.time())
        claims: dict[str, Any] = {
            "iss": self.issuer, "sub": self.subject, "aud": CLIENT, "nonce": nonce, "iat": at, "exp": at + 300,
        }  # fmt: skip
        if not self.in_userinfo and self.email is not None:
            claims |= {"email": self.email, "email_verified": self.email_verified}
        claims = {key: value for key, value in (claims | self.claims).items() if value is not None}
        if self.unsigned or self.hmac_key:
            head = {"alg": "HS256" if self.hmac_key else "none"}
            text = ".".join(_base64(json.dumps(part).encode()) for part in (head, claims))
            return f"{text}.{_base64(hmac.digest(self.hmac_key, text.encode(), 'sha256') if self.hmac_key else b'')}"
        header = {"alg": "RS256", "kid": self.key.kid} | self.header
        return jwt.encode(header, claims, self.signed_by or self.key, algorithms=[header["alg"]])

    def who(self, authorization: str) -> tuple[int, dict[str, Any]]:
        subject = self.access.get(authorization.removeprefix("Bearer "))
        if subject is None:
            return 401, {"error": "invalid_token"}
        return 200, {
            "sub": subject,
            "email": self.email,
            "email_verified": self.email_verified,
        } | self.userinfo


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


@contextlib.contextmanager
def provider() -> Iterator[OidcProvider]:
    """A running provider."""

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            form = {key: values[0] for key, values in parse_qs(body.decode()).items()}
            self._send(*state.token(form, self.headers.get("authorization", "")))

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if state.down:
                self._send(503, {"error": "busy"})
            elif parts.path == "/.well-known/openid-configuration":
                self._send(200, state.discovery())
            elif parts.path == "/keys":
                state.key_reads += 1
                self._send(200, {"keys": [state.key.as_dict(private=False)]})
            elif parts.path == "/userinfo":
                self._send(*state.who(self.headers.get("authorization", "")))
            else:
                query = {key: values[0] for key, values in parse_qs(parts.query).items()}
                self.send_response(303)
                self.send_header("location", state.authorize(query))
                self.end_headers()

        def _send(self, status: int, said: dict[str, Any]) -> None:
            body = state.raw if state.raw is not None else json.dumps(said).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing on the test's terminal."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        state = OidcProvider(server.server_port, new_key("first"))
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join(5)
