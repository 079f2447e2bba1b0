"""Single sign-on by OpenID Connect: authorization code with PKCE, state and nonce, against one provider.

What comes out is an identity, its issuer and subject; which account that opens says `review.identities`.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from pipeline.errors import ConfigError, InputError, UnreachableError

if TYPE_CHECKING:
    from cryptography.fernet import Fernet
    from joserfc.jwk import KeySet

SCOPES = "openid email profile"
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
"""Signatures by the provider's own key. An HMAC, or none, proves nothing here."""

LEEWAY_S = 60
DISCOVERY = "/.well-known/openid-configuration"
TIMEOUT_S = 10.0
CHECK_S = 12.0
ANSWER_BYTES = 1_000_000
KNOWN_FOR_S = 3600.0
KEYS_AGAIN_S = 60.0
"""How often an unknown key may make us read the provider's keys anew."""

LOGIN_HOLDS_S = 600


@dataclass(frozen=True)
class Begun:
    """A log-in on its way to the provider: `state` ties the answer to the browser, by a sealed cookie."""

    address: str
    cookie: str = field(repr=False)


@dataclass(frozen=True)
class Identity:
    """What the provider vouches for. `email` is None unless it says that the address is verified."""

    issuer: str
    subject: str
    email: str | None


class SingleSignOn:
    """The provider of an installation. `label` names it on the log-in page."""

    def __init__(
        self,
        secret_key: str,
        *,
        issuer: str,
        client_id: str,
        client_secret: str | None,
        redirect_uri: str,
        label: str = "single sign-on",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        for name, url in (("TRIAGE_OIDC_ISSUER", issuer), ("TRIAGE_PUBLIC_URL", redirect_uri)):
            _refuse_open(url, name)
        self.label = label
        self._secret_key = secret_key
        self._issuer = issuer
        self._client_id = client_id
        self._client_secret = client_secret
        self._redirect_uri = redirect_uri
        self._clock = clock
        self._lock = threading.Lock()
        self._known: tuple[float, dict[str, Any]] | None = None
        self._keys: tuple[float, KeySet] | None = None

    def begin(self, to: str) -> Begun:
        """Where to send the browser; `to` is the page of ours that it wants in the end."""
        from authlib.oauth2.rfc7636 import create_s256_code_challenge

        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        sealed = self._cipher().encrypt(json.dumps([state, nonce, verifier, to]).encode())
        query = urlencode(
            {
                "response_type": "code",
                "client_id": self._client_id,
                "redirect_uri": self._redirect_uri,
                "scope": SCOPES,
                "state": state,
                "nonce": nonce,
                "code_challenge": create_s256_code_challenge(verifier),
                "code_challenge_method": "S256",
            }
        )
        place = self._endpoint("authorization_endpoint")
        return Begun(f"{place}{'&' if urlsplit(place).query else '?'}{query}", sealed.decode("ascii"))

    def finish(self, cookie: str, answer: dict[str, str]) -> tuple[Identity, str]:
        """Who logged in, and the page that they want; `answer` is the callback's query.

        Raises `InputError` for an answer that is not to this browser's log-in, or whose token does not
        hold, and `UnreachableError` when the provider does not answer.
        """
        from cryptography.fernet import InvalidToken

        try:
            opened = self._cipher().decrypt(cookie.encode("ascii", "replace"), ttl=LOGIN_HOLDS_S)
        except InvalidToken:
            raise InputError("this log-in took too long, or began in another browser; begin again") from None
        state, nonce, verifier, to = json.loads(opened)
        if not secrets.compare_digest(answer.get("state", "").encode(), state.encode()):
            raise InputError("this answer does not belong to the log-in that you began; begin again")
        if answer.get("iss", self._issuer) != self._issuer:  # RFC 9207: a mix-up of two providers
            raise InputError("another provider answered than was asked; begin again")
        if "error" in answer or not answer.get("code"):
            raise InputError(f"{self.label} did not log you in; begin again or ask an admin")
        tokens = self._redeem(answer["code"], verifier)
        claims = self._claims(tokens, nonce)
        if "email" not in claims:
            claims = self._with_userinfo(claims, tokens)
        email = claims.get("email") if claims.get("email_verified") is True else None
        address = email.strip().lower() if isinstance(email, str) else None
        return Identity(self._issuer, str(claims["sub"]), address), to

    def check(self, *, within_s: float = CHECK_S) -> str:
        """Read the provider's description; returns what it is in a few words.

        Raises `ConfigError` where it is another issuer's or lacks an address, `UnreachableError` where it
        does not come in time.
        """
        said: list[str] = []
        failed: list[Exception] = []

        def look() -> None:
            try:
                for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                    self._endpoint(name)
                said.append(f"{self._issuer}, back to {self._redirect_uri}")
            except Exception as error:  # raised again where it is waited for
                failed.append(error)

        # a provider that sends a byte now and then would keep every single wait short, and us for ever
        thread = threading.Thread(target=look, daemon=True, name="single sign-on check")
        thread.start()
        thread.join(within_s)
        if failed and not isinstance(failed[0], UnreachableError):
            raise failed[0]
        if not said:
            why = str(failed[0]) if failed else f"{self.label} did not answer within {within_s:g} s"
            raise UnreachableError(
                f"{why}; see TRIAGE_OIDC_ISSUER: {self._issuer.rstrip('/')}{DISCOVERY} must be there"
            )
        return said[0]

    # --- the provider -----------------------------------------------------------------------------

    def _metadata(self) -> dict[str, Any]:
        with self._lock:
            if self._known and self._clock() - self._known[0] < KNOWN_FOR_S:
                return self._known[1]
        said = self._ask("GET", f"{self._issuer.rstrip('/')}{DISCOVERY}")
        if said.get("issuer") != self._issuer:
            raise ConfigError(
                f"TRIAGE_OIDC_ISSUER is {self._issuer}, but the provider there calls itself "
                f"{str(said.get('issuer'))[:200]}; write it exactly so"
            )
        with self._lock:
            self._known = (self._clock(), said)
        return said

    def _endpoint(self, name: str) -> str:
        place = self._metadata().get(name)
        if not isinstance(place, str):
            raise ConfigError(f"the provider at TRIAGE_OIDC_ISSUER names no {name}")
        _refuse_open(place, f"the provider's {name}")
        return place

    def _redeem(self, code: str, verifier: str) -> dict[str, Any]:
        from authlib.oauth2.auth import ClientAuth

        offered = self._metadata().get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        way = "client_secret_basic" if "client_secret_basic" in offered else "client_secret_post"
        if not self._client_secret:
            way = "none"
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": self._redirect_uri}
        _place, headers, body = ClientAuth(self._client_id, self._client_secret, way).prepare(
            "POST",
            self._endpoint("token_endpoint"),
            {"content-type": "application/x-www-form-urlencoded"},
            urlencode(form | {"code_verifier": verifier}),
        )
        return self._ask("POST", self._endpoint("token_endpoint"), headers=headers, body=body)

    def _claims(self, tokens: dict[str, Any], nonce: str) -> dict[str, Any]:
        from authlib.oidc.core import CodeIDToken
        from joserfc.errors import JoseError

        try:
            token = self._verified(str(tokens.get("id_token", "")))
            claims = CodeIDToken(
                token.claims,
                token.header,
                options={
                    "iss": {"essential": True, "value": self._issuer},
                    "aud": {"essential": True, "value": self._client_id},
                    "sub": {"essential": True},
                },
                params={
                    "nonce": nonce,
                    "client_id": self._client_id,
                    "access_token": tokens.get("access_token"),
                },
            )
            claims.validate(leeway=LEEWAY_S)
        except (JoseError, ValueError, TypeError) as error:
            raise InputError(
                f"the ID token of {self.label} does not hold ({type(error).__name__}); begin again"
            ) from None
        subject = claims.get("sub")
        if not isinstance(subject, str) or not subject:
            raise InputError(f"the ID token of {self.label} names nobody; begin again")
        return dict(claims)

    def _verified(self, token: str) -> Any:
        from joserfc import jwt
        from joserfc.errors import BadSignatureError, InvalidKeyIdError

        known = self._keys
        try:
            return jwt.decode(token, self._key_set(again=False), algorithms=list(ALGORITHMS))
        except (BadSignatureError, InvalidKeyIdError):
            if known is None:  # they were read just now
                raise
            return jwt.decode(token, self._key_set(again=True), algorithms=list(ALGORITHMS))

    def _key_set(self, *, again: bool) -> KeySet:
        from joserfc.jwk import KeySet

        with self._lock:
            age = self._clock() - self._keys[0] if self._keys else float("inf")
            if self._keys and age < (KEYS_AGAIN_S if again else KNOWN_FOR_S):
                return self._keys[1]
        said = self._ask("GET", self._endpoint("jwks_uri"))
        given = [key for key in said.get("keys") or [] if isinstance(key, dict)]
        ours = [key for key in given if key.get("kty") in ("RSA", "EC")]
        keys = KeySet.import_key_set({"keys": [key for key in ours if key.get("use", "sig") == "sig"]})
        with self._lock:
            self._keys = (self._clock(), keys)
        return keys

    def _with_userinfo(self, claims: dict[str, Any], tokens: dict[str, Any]) -> dict[str, Any]:
        """Some providers give the address only here; it counts for the subject of the token alone."""
        if "userinfo_endpoint" not in self._metadata() or not tokens.get("access_token"):
            return claims
        bearer = {"authorization": f"Bearer {tokens['access_token']}"}
        more = self._ask("GET", self._endpoint("userinfo_endpoint"), headers=bearer)
        if more.get("sub") != claims["sub"]:
            raise InputError(f"{self.label} told of two different people; begin again")
        return {**claims, "email": more.get("email"), "email_verified": more.get("email_verified")}

    def _ask(
        self, method: str, place: str, *, headers: dict[str, str] | None = None, body: str | None = None
    ) -> dict[str, Any]:
        """One answer of the provider's, a JSON object; redirects are not followed."""
        import httpx2

        _refuse_open(place, "the provider's address")
        until = time.monotonic() + TIMEOUT_S
        try:
            with (
                httpx2.Client(timeout=TIMEOUT_S, follow_redirects=False) as client,
                client.stream(
                    method, place, headers={"accept": "application/json", **(headers or {})}, content=body
                ) as answer,
            ):
                taken = b""
                for piece in answer.iter_bytes():
                    taken += piece
                    if len(taken) > ANSWER_BYTES or time.monotonic() > until:
                        raise UnreachableError(f"{self.label} answered with too much, or too slowly")
                status = answer.status_code
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:  # or a name that no host can have
            raise UnreachableError(f"{self.label} does not answer: {type(error).__name__}") from None
        if status in (400, 401, 403) and method == "POST":
            raise InputError(f"{self.label} refused this log-in; begin again or ask an admin")
        try:
            said = json.loads(taken) if status == 200 else None
        except ValueError:
            said = None
        if not isinstance(said, dict):
            raise UnreachableError(f"{self.label} does not answer as it should (HTTP {status})")
        return said

    def _cipher(self) -> Fernet:
        from cryptography.fernet import Fernet
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        derived = HKDF(SHA256(), length=32, salt=None, info=b"triage single sign-on")
        return Fernet(base64.urlsafe_b64encode(derived.derive(self._secret_key.encode())))


def _refuse_open(url: str, name: str) -> None:
    """Codes and tokens travel encrypted, or stay on this machine."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ConfigError(f"{name} is no address: {url[:200]!r}") from None
    try:
        loopback = ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        loopback = parts.hostname == "localhost"
    if parts.scheme != "https" and not (parts.scheme == "http" and loopback):
        raise ConfigError(f"{name} must be an https:// address; it is {url[:200]!r}")
